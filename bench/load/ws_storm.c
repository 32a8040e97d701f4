/* storm: N sockets are opened and held; then everyone loses the connection and comes back.
 *   {"op":"storm","by":"client|server","sdk":false}
 * by client: each socket is reset at once; by server: whoever drives us ends the server, and the
 * sockets come back as they are lost. Each one comes back as the SDK does (web/sdk/src/socket.ts):
 * a new ticket by HTTP, a socket with its cursor, `connected`, `synced`; XMPP resumes its session.
 * A try that fails is repeated after the SDK's backoff (full jitter below 0.5 s, doubled each time,
 * at most 20 s, and never sooner than the server asked for); with "sdk" true the first try waits
 * so, too. When all are back: {"ev":"back"}. The time of a socket runs from its loss to `synced`;
 * one that is lost again is no longer back, and has a second, longer time when it is.
 */
#include <stdlib.h>
#include <string.h>

#include "bench/load/ws.h"
#include "lib/base/err.h"
#include "lib/base/ids.h"
#include "lib/io/backoff.h"

enum { BASE_US = 500000, MOST_US = 20000000, TURN_US = 10000 };

struct due {
    int64_t at_us; /* 0: not waiting */
    bool counted;  /* lost in this storm and not back yet */
    bool was_back; /* in this storm, at least once */
    int tries;
};

struct storm {
    struct loop_timer *timer;
    struct due *due; /* one a peer */
    bool on, sdk;
    int lost, back, waiting;
    int64_t begun_us, half_us, most_us, all_us;
    uint64_t tries, failures, lost_again;
    struct histogram time;
};

static struct storm *of(const struct run *r)
{
    return r->own;
}

/* ---- coming back ---- */

static void wait_for(struct peer *p, int64_t delay_us)
{
    struct storm *t = of(p->run);
    struct due *d = &t->due[p->index];
    if (d->at_us == 0)
        t->waiting++;
    d->at_us = clock_mono_us() + delay_us;
}

static void try_again(struct peer *p)
{
    struct storm *t = of(p->run);
    t->tries++;
    if (peer_connect(p, true) != OK)
        wait_for(p, BASE_US);
}

static void on_turn(void *arg)
{
    struct run *r = arg;
    struct storm *t = of(r);
    int64_t now = clock_mono_us();
    for (int i = 0; t->waiting > 0 && i < r->n; i++) {
        struct due *d = &t->due[i];
        if (d->at_us == 0 || d->at_us > now)
            continue;
        d->at_us = 0;
        t->waiting--;
        try_again(&r->peers[i]);
    }
}

static void on_gone(struct peer *p, int code, const char *why)
{
    struct storm *t = of(p->run);
    struct due *d = &t->due[p->index];
    (void)code;
    (void)why;
    if (!t->on)
        return;
    if (!d->counted) {
        d->counted = true;
        d->tries = 0;
        if (d->was_back) { /* its time goes on from its first loss */
            t->back--;
            t->lost_again++;
        } else {
            p->lost_us = clock_mono_us();
            t->lost++;
        }
    } else {
        t->failures++;
        d->tries++;
    }
    int64_t hint = p->retry_after_ms * 1000;
    if (d->tries == 0 && !t->sdk && hint == 0)
        wait_for(p, 0);
    else
        wait_for(p, hint + backoff_next_us(d->tries, BASE_US, MOST_US));
}

static void tell_back(struct run *r)
{
    run_tell(r, run_event("back"));
}

static void on_ready(struct peer *p)
{
    struct run *r = p->run;
    struct storm *t = of(r);
    struct due *d = &t->due[p->index];
    int64_t now = clock_mono_us();
    if (!t->on || !d->counted) {
        if (!r->all_open)
            histogram_add(&r->connect,
                          now - (r->xmpp ? xmpp_begun_us(p->xmpp) : ws_socket_begun_us(p->ws)));
        return;
    }
    d->counted = false;
    d->was_back = true;
    histogram_add(&t->time, now - p->lost_us);
    t->back++;
    if (t->back * 2 >= r->n && !t->half_us)
        t->half_us = now - t->begun_us;
    if ((int64_t)t->back * 100 >= (int64_t)r->n * 99 && !t->most_us)
        t->most_us = now - t->begun_us;
    if (t->back >= r->n && !t->all_us) {
        t->all_us = now - t->begun_us;
        tell_back(r);
    }
}

/* ---- commands ---- */

static void begin_storm(struct run *r, const cJSON *c)
{
    struct storm *t = of(r);
    bool by_server = strcmp(run_text(c, "by", "client"), "server") == 0;
    t->on = true;
    t->sdk = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(c, "sdk"));
    t->lost = t->back = 0;
    t->half_us = t->most_us = t->all_us = 0;
    t->tries = t->failures = t->lost_again = 0;
    t->time = (struct histogram){0};
    for (int i = 0; i < r->n; i++)
        t->due[i].was_back = false;
    run_mark(r);
    t->begun_us = clock_mono_us();
    loop_timer_start(t->timer, TURN_US, TURN_US);
    for (int i = 0; !by_server && i < r->n; i++)
        peer_drop(&r->peers[i]);
    run_tell(r, run_event("storming"));
}

static bool on_command(struct run *r, const char *op, const cJSON *c)
{
    if (strcmp(op, "storm") == 0)
        begin_storm(r, c);
    else if (strcmp(op, "ping") == 0)
        run_ping_rate(r, run_number(c, "per_second", 0));
    else
        return false;
    return true;
}

static void on_stats(struct run *r, cJSON *into)
{
    const struct storm *t = of(r);
    cJSON *o = json_new();
    json_put_int(o, "lost", t->lost);
    json_put_int(o, "back", t->back);
    json_put_int(o, "lost_again", (int64_t)t->lost_again);
    json_put_int(o, "tries", (int64_t)t->tries);
    json_put_int(o, "failures", (int64_t)t->failures);
    cJSON_AddNumberToObject(o, "half_ms", (double)t->half_us / 1000);
    cJSON_AddNumberToObject(o, "most_ms", (double)t->most_us / 1000);
    cJSON_AddNumberToObject(o, "all_ms", (double)t->all_us / 1000);
    run_put_histogram(r, o, "time", &t->time);
    json_put(into, "storm", o);
}

static int start(struct run *r)
{
    struct storm *t = calloc(1, sizeof(*t));
    r->own = t;
    if (!t)
        return ERR_NOMEM;
    t->due = calloc((size_t)r->n, sizeof(*t->due));
    t->timer = loop_timer_new(r->loop, on_turn, r);
    return t->due && t->timer ? OK : ERR_NOMEM;
}

static void stop(struct run *r)
{
    struct storm *t = of(r);
    if (!t)
        return;
    if (t->timer)
        loop_timer_free(t->timer);
    free(t->due);
    free(t);
}

const struct mode mode_storm = {
    .name = "storm",
    .opens = true,
    .start = start,
    .stop = stop,
    .on_ready = on_ready,
    .on_gone = on_gone,
    .on_command = on_command,
    .on_stats = on_stats,
};
