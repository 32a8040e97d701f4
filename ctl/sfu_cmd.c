/* sottoctl sfu: what the sfud of this configuration is doing, asked at its internal port. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl.h"
#include "ctl/probe.h"
#include "lib/base/err.h"
#include "lib/base/ids.h"
#include "lib/base/json.h"

#define MAX_ANSWER ((size_t)32 * 1024 * 1024)
#define MAX_STEPS  64 /* of one worker's participants, each some 64 */

/* ---- asking ---- */

static int read_key(const struct config *c, char *key, size_t cap)
{
    const char *path = config_str(c, "http.internal_key_file");
    int err = config_read_secret(key, cap, path);
    return err == OK ? CTL_OK
                     : ctl_fail("%s: %s (sottoctl secrets init makes it)", path, err_name(err));
}

static int refused(int status, const char *path)
{
    if (status == 0) {
        return ctl_fail("sfud doesn't answer: is it running, and [sfu] metrics_port right?");
    }
    if (status == 401 || status == 403) {
        return ctl_fail("sfud refuses the internal key: it was changed after sfud was started");
    }
    return status == 404 ? ctl_fail("no such room on this sfud")
                         : ctl_fail("sfud answers %d to %s", status, path);
}

/* An object, to be freed by cJSON_Delete. */
static int ask(const struct config *c, const char *path, cJSON **out)
{
    char key[256];
    struct buf body;
    int port = (int)config_int(c, "sfu.metrics_port");
    int rc = port ? read_key(c, key, sizeof key) : ctl_fail("[sfu] metrics_port is 0");
    if (rc != CTL_OK) {
        return rc;
    }
    buf_init(&body, MAX_ANSWER);
    int status = probe_get(config_str(c, "sfu.metrics_address"), port, path, key, &body);
    explicit_bzero(key, sizeof key);
    if (status != 200) {
        rc = refused(status, path);
    } else if (json_parse(out, buf_cstr(&body), body.len) != OK) {
        rc = ctl_fail("sfud's answer is not whole");
    }
    buf_free(&body);
    return rc;
}

/* ---- reading ---- */

static const cJSON *member(const cJSON *o, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(o, name);
}

static double number(const cJSON *o, const char *name)
{
    const cJSON *v = member(o, name);
    return cJSON_IsNumber(v) ? v->valuedouble : 0;
}

static const char *text(const cJSON *o, const char *name)
{
    const cJSON *v = member(o, name);
    return cJSON_IsString(v) ? v->valuestring : "";
}

static bool flag(const cJSON *o, const char *name)
{
    return cJSON_IsTrue(member(o, name));
}

/* ---- printing ---- */

static void print_number(const cJSON *o, const char *name, const char *label, const char *unit)
{
    const cJSON *v = member(o, name);
    if (cJSON_IsNumber(v)) {
        printf(" · %s %.10g%s", label, v->valuedouble, unit);
    }
}

static void print_counters(const cJSON *o)
{
    printf(" · %.0f packets, %.1f MB", number(o, "packets"), number(o, "bytes") / 1e6);
    print_number(o, "lost", "lost", "");
    print_number(o, "lossPercent", "loss", " %");
    print_number(o, "jitterMs", "jitter", " ms");
    print_number(o, "rttMs", "RTT", " ms");
    print_number(o, "estimateKbps", "estimate", " kbit/s");
    print_number(o, "nacks", "NACKs", "");
    print_number(o, "plis", "PLIs", "");
    print_number(o, "retransmits", "again", "");
    print_number(o, "layerSwitches", "switches", "");
    print_number(o, "freezes", "freezes", "");
    printf("\n");
}

static void print_transport(const cJSON *t)
{
    printf("    %-9s %s", text(t, "which"), flag(t, "connected") ? "connected" : "not connected");
    if (*text(t, "address")) {
        printf(" · %s", text(t, "address"));
    }
    printf(" · up %.0f s, heard %.0f ms ago", number(t, "ageMs") / 1000, number(t, "quietMs"));
    if (number(t, "iceRestarts") > 0) {
        printf(" · %.0f ICE restarts", number(t, "iceRestarts"));
    }
    printf("\n");
}

static void print_track(const cJSON *t)
{
    const cJSON *s;
    printf("    sends     %s%s", text(t, "source"), flag(t, "live") ? "" : " (silent)");
    if (number(t, "width") > 0) {
        printf(" %.0f×%.0f", number(t, "width"), number(t, "height"));
    }
    printf(" → %.0f slots\n", number(t, "slots"));
    cJSON_ArrayForEach(s, member(t, "streams"))
    {
        printf("      stream  %s", *text(s, "rid") ? text(s, "rid") : "-");
        if (number(s, "width") > 0) {
            printf(" %.0f×%.0f", number(s, "width"), number(s, "height"));
        }
        print_number(s, "bitrateKbps", "now", " kbit/s");
        print_counters(s);
    }
}

/* Slots that carry nobody are told in one number. */
static void print_slots(const cJSON *list)
{
    const cJSON *s;
    int empty = 0;
    cJSON_ArrayForEach(s, list)
    {
        if (!member(s, "participant")) {
            empty++;
            continue;
        }
        printf("    %s %-3.0f %s of %.0f", text(s, "kind"), number(s, "slot"), text(s, "source"),
               number(s, "participant"));
        if (flag(s, "paused")) {
            printf(" (paused: %s)", text(s, "reason"));
        } else if (flag(s, "waitsForKeyframe")) {
            printf(" (waits for a keyframe)");
        }
        if (number(s, "width") > 0) {
            printf(" %.0f×%.0f", number(s, "width"), number(s, "height"));
        }
        print_number(s, "sid", "layer", "");
        print_number(s, "tid", "temporal", "");
        print_counters(s);
    }
    if (empty > 0) {
        printf("    %d empty slots\n", empty);
    }
}

static void print_link(const cJSON *link)
{
    if (!flag(link, "estimated")) {
        return;
    }
    printf("    link      carries %.0f kbit/s", number(link, "estimateKbps"));
    print_number(link, "usedKbps", "video takes", " kbit/s");
    print_number(link, "wantedKbps", "would take", " kbit/s");
    print_number(link, "rttMs", "RTT", " ms");
    print_number(link, "lossPercent", "loss", " %");
    print_number(link, "pacedNow", "waiting", "");
    print_number(link, "pausedForBandwidth", "slots paused", "");
    print_number(link, "pausedForLoad", "slots shed", "");
    printf("\n");
}

static void print_participant(const cJSON *p, double worker)
{
    const cJSON *item;
    printf("  participant %.0f (worker %.0f%s)\n", number(p, "participant"), worker,
           member(p, "relayLink") ? ", by relay" : "");
    cJSON_ArrayForEach(item, member(p, "transports"))
    {
        print_transport(item);
    }
    print_link(member(p, "link"));
    cJSON_ArrayForEach(item, member(p, "tracks"))
    {
        print_track(item);
    }
    print_slots(member(p, "slots"));
}

static void print_part(const cJSON *part)
{
    const cJSON *p;
    cJSON_ArrayForEach(p, member(part, "participants"))
    {
        print_participant(p, number(part, "worker"));
    }
}

/* ---- commands ---- */

int cmd_sfu_rooms(struct ctl *c)
{
    static const struct ctl_option none[] = {{0}};
    cJSON *answer = NULL;
    const cJSON *room;
    int rc = ctl_options(c, none);

    rc = rc == CTL_OK ? ask(c->config, "/debug/rooms", &answer) : rc;
    if (rc != CTL_OK) {
        return rc;
    }
    printf("%-38s%8s%14s%12s%13s%8s\n", "room", "worker", "participants", "publishers",
           "subscribers", "tracks");
    cJSON_ArrayForEach(room, member(answer, "rooms"))
    {
        printf("%-38s%8.0f%14.0f%12.0f%13.0f%8.0f\n", text(room, "room"), number(room, "worker"),
               number(room, "participants"), number(room, "publishers"),
               number(room, "subscribers"), number(room, "tracks"));
    }
    if (flag(answer, "truncated")) {
        printf("… and more\n");
    }
    cJSON_Delete(answer);
    return CTL_OK;
}

/* What a worker had no place for in the answers before. */
static int print_rest(const struct config *c, const char *room, const cJSON *part)
{
    char path[160];
    double worker = number(part, "worker"), from = number(part, "next");
    int rc = CTL_OK;
    for (int step = 0; rc == CTL_OK && from > 0 && step < MAX_STEPS; step++) {
        cJSON *answer = NULL;
        snprintf(path, sizeof path, "/debug/rooms/%s?worker=%.0f&from=%.0f", room, worker, from);
        rc = ask(c, path, &answer);
        const cJSON *more = rc == CTL_OK ? cJSON_GetArrayItem(member(answer, "parts"), 0) : NULL;
        print_part(more);
        from = more ? number(more, "next") : 0;
        cJSON_Delete(answer);
    }
    return rc;
}

static int print_room(const struct config *c, const char *room)
{
    char path[96];
    cJSON *answer = NULL;
    const cJSON *part;
    snprintf(path, sizeof path, "/debug/rooms/%s", room);
    int rc = ask(c, path, &answer);
    if (rc != CTL_OK) {
        return rc;
    }
    printf("room %s\n", room);
    cJSON_ArrayForEach(part, member(answer, "parts"))
    {
        print_part(part);
        rc = rc == CTL_OK ? print_rest(c, room, part) : rc;
    }
    cJSON_Delete(answer);
    return rc;
}

int cmd_sfu_room(struct ctl *c)
{
    const char *room = c->args[0];
    if (!room || c->args[1] || !id_is_valid(room)) {
        return ctl_usage("sfu room wants the room's id, a UUID (sottoctl sfu rooms lists them)");
    }
    return print_room(c->config, room);
}
