/* The commands of sotto-load-webrtc. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/webrtc_private.h"
#include "lib/base/err.h"

/* ---- the endpoints and their events ---- */

static cJSON *item_event(const struct load_item *i, const char *name)
{
    cJSON *event = load_event(name);
    json_put_int(event, "ep", i->ep);
    return event;
}

static double ms(int64_t us)
{
    return (double)us / 1000;
}

static void on_local(void *arg, struct endpoint *e, const char *type, const char *sdp)
{
    cJSON *event = item_event(arg, "local");
    (void)e;
    json_put_str(event, "type", type);
    json_put_str(event, "sdp", sdp);
    load_emit(event);
}

static void on_connected(void *arg, struct endpoint *e, const struct endpoint_connected *c)
{
    cJSON *event = item_event(arg, "connected");
    (void)e;
    cJSON_AddNumberToObject(event, "ms", ms(c->ms_us));
    cJSON_AddNumberToObject(event, "ice_ms", ms(c->ice_us));
    cJSON_AddNumberToObject(event, "dtls_ms", ms(c->dtls_us));
    json_put_str(event, "profile", c->profile);
    json_put_str(event, "path", c->path);
    load_emit(event);
}

static void on_media(void *arg, struct endpoint *e, enum media_kind kind, int64_t us,
                     int64_t since_us)
{
    cJSON *event = item_event(arg, "media");
    (void)e;
    json_put_str(event, "kind", kind == MEDIA_AUDIO ? "audio" : "video");
    cJSON_AddNumberToObject(event, "ms", ms(us));
    cJSON_AddNumberToObject(event, "since_ms", ms(since_us));
    load_emit(event);
}

static void on_failed(void *arg, struct endpoint *e, const char *why)
{
    cJSON *event = item_event(arg, "failed");
    (void)e;
    json_put_str(event, "why", why);
    load_emit(event);
}

static void on_restarted(void *arg, struct endpoint *e, int64_t us)
{
    cJSON *event = item_event(arg, "restarted");
    (void)e;
    cJSON_AddNumberToObject(event, "ms", ms(us));
    load_emit(event);
}

static const struct endpoint_handler handler = {.local = on_local,
                                                .connected = on_connected,
                                                .media = on_media,
                                                .failed = on_failed,
                                                .restarted = on_restarted};

static bool make_room(struct load *l, uint32_t ep)
{
    size_t cap = l->cap ? l->cap : 256;
    while (cap <= ep)
        cap *= 2;
    if (cap == l->cap)
        return true;
    struct load_item **item = realloc(l->item, cap * sizeof *item);
    if (!item)
        return false;
    memset(item + l->cap, 0, (cap - l->cap) * sizeof *item);
    l->item = item;
    l->cap = cap;
    return true;
}

static struct load_item *find(const struct load *l, int64_t ep)
{
    return ep >= 0 && (size_t)ep < l->cap ? l->item[ep] : NULL;
}

static void drop(struct load *l, uint32_t ep)
{
    struct load_item *i = l->item[ep];
    l->item[ep] = NULL;
    l->n--;
    endpoint_free(i->e);
    free(i);
}

void load_close_all(struct load *l)
{
    for (size_t i = 0; i < l->cap; i++) {
        if (l->item[i])
            drop(l, (uint32_t)i);
    }
    free(l->item);
    l->item = NULL;
    l->cap = 0;
}

/* A new endpoint under the command's number, or NULL with an error told. */
static struct load_item *add(struct load *l, const char *op, const cJSON *c,
                             const struct endpoint_options *options)
{
    struct endpoint_options o = *options;
    o.number = (uint32_t)cJSON_GetObjectItemCaseSensitive(c, "ep")->valuedouble;
    if (find(l, o.number)) {
        load_error(op, "endpoint %u exists", o.number);
        return NULL;
    }
    struct load_item *i = make_room(l, o.number) ? calloc(1, sizeof *i) : NULL;
    int r = i ? endpoint_new(&i->e, l->host, &o, &handler, i) : ERR_NOMEM;
    if (r != OK) {
        load_error(op, "endpoint %u: %s", o.number, err_name(r));
        free(i);
        return NULL;
    }
    i->load = l;
    i->ep = o.number;
    l->item[o.number] = i;
    l->n++;
    return i;
}

/* A new endpoint that couldn't do what it was made for goes again. */
static void finish(struct load *l, const char *op, struct load_item *i, int r)
{
    if (r == OK)
        return;
    load_error(op, "endpoint %u: %s", i->ep, err_name(r));
    drop(l, i->ep);
}

/* ---- commands ---- */

static const char *sdp_of(const cJSON *c, struct json_errors *e)
{
    return json_str(c, "sdp", JSON_REQUIRED, 1, 4 * SDP_MAX_BYTES, e);
}

static void op_offer(struct load *l, const cJSON *c, struct json_errors *e)
{
    struct endpoint_options o = {0};
    if (!load_read_options(&o, c, e))
        return;
    struct load_item *i = add(l, "offer", c, &o);
    if (i)
        finish(l, "offer", i, endpoint_offer(i->e));
}

static void op_answer(struct load *l, const cJSON *c, struct json_errors *e)
{
    struct endpoint_options o = {0};
    struct endpoint_link link;
    const char *sdp = sdp_of(c, e);
    if (!load_read_options(&o, c, e) || !load_read_link(&link, c, e))
        return;
    struct load_item *i = add(l, "answer", c, &o);
    if (i)
        finish(l, "answer", i, endpoint_answer(i->e, sdp, strlen(sdp), &link));
}

static void op_remote(struct load *l, const cJSON *c, struct json_errors *e)
{
    struct endpoint_link link;
    const char *sdp = sdp_of(c, e);
    struct load_item *i = find(l, json_int(c, "ep", JSON_REQUIRED, 0, LOAD_MAX_EP, 0, e));
    if (!load_read_link(&link, c, e))
        return;
    int r = i ? endpoint_remote(i->e, sdp, strlen(sdp), &link) : ERR_NOT_FOUND;
    if (r != OK)
        load_error("remote", "endpoint %d: %s", i ? (int)i->ep : -1, err_name(r));
}

static void op_raw(struct load *l, const cJSON *c, struct json_errors *e)
{
    static struct media_track tracks[2 + LOAD_MAX_RAW_TRACKS];
    struct endpoint_options o = {.direction = SDP_SENDRECV};
    struct endpoint_raw raw;
    if (!load_read_raw(&raw, tracks, c, e))
        return;
    struct load_item *i = add(l, "raw", c, &o);
    if (!i)
        return;
    cJSON *event = item_event(i, "local");
    json_put_int(event, "port", endpoint_port(i->e));
    load_emit(event);
    finish(l, "raw", i, endpoint_start_raw(i->e, &raw));
}

/* Calls fn with each endpoint of "eps"; those that don't exist are told. */
static void each(struct load *l, const char *op, const cJSON *c, struct json_errors *e,
                 void (*fn)(struct load *l, struct load_item *i, void *arg), void *arg)
{
    const cJSON *v;
    cJSON_ArrayForEach(v, json_arr(c, "eps", JSON_REQUIRED, LOAD_MAX_EP, e))
    {
        struct load_item *i = cJSON_IsNumber(v) ? find(l, (int64_t)v->valuedouble) : NULL;
        if (i)
            fn(l, i, arg);
        else
            load_error(op, "no endpoint %g", cJSON_IsNumber(v) ? v->valuedouble : -1.0);
    }
}

static void send_one(struct load *l, struct load_item *i, void *arg)
{
    (void)l;
    int r = endpoint_send(i->e, arg);
    if (r != OK)
        load_error("send", "endpoint %u: %s", i->ep, err_name(r));
}

static void op_send(struct load *l, const cJSON *c, struct json_errors *e)
{
    struct source_config s;
    if (load_read_source(&s, c, e))
        each(l, "send", c, e, send_one, &s);
}

static void receive_one(struct load *l, struct load_item *i, void *arg)
{
    const bool *how = arg;
    (void)l;
    int r = endpoint_receive(i->e, how[0], how[1], how[2]);
    if (r != OK)
        load_error("receive", "endpoint %u: %s", i->ep, err_name(r));
}

static void op_receive(struct load *l, const cJSON *c, struct json_errors *e)
{
    bool how[3] = {json_bool(c, "nack", JSON_OPTIONAL, true, e),
                   json_bool(c, "twcc", JSON_OPTIONAL, true, e),
                   json_bool(c, "decrypt_all", JSON_OPTIONAL, false, e)};
    if (e->n == 0)
        each(l, "receive", c, e, receive_one, how);
}

static void op_move(struct load *l, const cJSON *c, struct json_errors *e)
{
    struct load_item *i = find(l, json_int(c, "ep", JSON_REQUIRED, 0, LOAD_MAX_EP, 0, e));
    int r = i ? endpoint_move(i->e) : ERR_NOT_FOUND;
    if (r != OK) {
        load_error("move", "endpoint %d: %s", i ? (int)i->ep : -1, err_name(r));
        return;
    }
    cJSON *event = item_event(i, "moved");
    json_put_int(event, "port", endpoint_port(i->e));
    load_emit(event);
}

/* With an sdp, the server's offer, the answer is told; without one our offer. */
static void op_restart(struct load *l, const cJSON *c, struct json_errors *e)
{
    const char *sdp = json_str(c, "sdp", JSON_OPTIONAL, 1, 4 * SDP_MAX_BYTES, e);
    struct load_item *i = find(l, json_int(c, "ep", JSON_REQUIRED, 0, LOAD_MAX_EP, 0, e));
    if (e->n > 0)
        return;
    int r = i ? endpoint_restart(i->e, sdp, sdp ? strlen(sdp) : 0) : ERR_NOT_FOUND;
    if (r != OK)
        load_error("restart", "endpoint %d: %s", i ? (int)i->ep : -1, err_name(r));
}

static void op_mark(struct load *l, const cJSON *c, struct json_errors *e)
{
    (void)c;
    (void)e;
    load_mark(l);
    load_emit(load_event("marked"));
}

static void op_stats(struct load *l, const cJSON *c, struct json_errors *e)
{
    bool all = json_bool(c, "eps", JSON_OPTIONAL, false, e);
    if (e->n == 0)
        load_stats(l, all);
}

static void close_one(struct load *l, struct load_item *i, void *arg)
{
    (void)arg;
    drop(l, i->ep);
}

static void op_close(struct load *l, const cJSON *c, struct json_errors *e)
{
    each(l, "close", c, e, close_one, NULL);
    if (e->n == 0)
        load_emit(load_event("closed"));
}

static void op_quit(struct load *l, const cJSON *c, struct json_errors *e)
{
    (void)c;
    (void)e;
    l->quitting = true;
}

static const struct {
    const char *name;
    void (*fn)(struct load *l, const cJSON *c, struct json_errors *e);
    bool needs_ep;
} ops[] = {
    {"offer", op_offer, true},  {"answer", op_answer, true},   {"remote", op_remote, true},
    {"raw", op_raw, true},      {"send", op_send, false},      {"receive", op_receive, false},
    {"move", op_move, true},    {"restart", op_restart, true}, {"mark", op_mark, false},
    {"stats", op_stats, false}, {"close", op_close, false},    {"quit", op_quit, false},
};

static void run(struct load *l, const cJSON *c)
{
    struct json_errors e = {0};
    const char *op = json_str(c, "op", JSON_REQUIRED, 1, 32, &e);
    for (size_t i = 0; op && i < sizeof ops / sizeof *ops; i++) {
        if (strcmp(op, ops[i].name) != 0)
            continue;
        if (ops[i].needs_ep)
            (void)json_int(c, "ep", JSON_REQUIRED, 0, LOAD_MAX_EP - 1, 0, &e);
        if (e.n == 0)
            ops[i].fn(l, c, &e);
        if (e.n > 0)
            load_error(op, "%s: %s", e.item[0].field, e.item[0].message);
        return;
    }
    load_error(op, op ? "no such op" : "op: missing");
}

void load_command(struct load *l, const char *line, size_t len)
{
    cJSON *c = NULL;
    if (json_parse(&c, line, len) != OK || !cJSON_IsObject(c))
        load_error(NULL, "not a JSON object");
    else
        run(l, c);
    cJSON_Delete(c);
}
