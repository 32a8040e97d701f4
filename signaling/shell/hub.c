/* The registry: users, their devices, and who wants to know of them. */
#include "signaling/shell/hub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "lib/base/crypto.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "messaging/inbox.h"
#include "signaling/shell/hub_internal.h"

#define PURGE_EVERY_US INT64_C(60000000)

struct metric hub_metric_sockets = {
    .name = "sotto_sockets", .help = "Client sockets that are connected.", .kind = METRIC_GAUGE};
struct metric hub_metric_frames_in = {.name = "sotto_socket_frames_received_total",
                                      .help = "Frames received from clients.",
                                      .kind = METRIC_COUNTER};
struct metric hub_metric_events_out = {.name = "sotto_socket_events_sent_total",
                                       .help = "Events queued on client sockets.",
                                       .kind = METRIC_COUNTER};
struct metric hub_metric_dropped = {.name = "sotto_socket_events_dropped_total",
                                    .help = "Ephemeral events dropped at a full queue.",
                                    .kind = METRIC_COUNTER};
struct metric hub_metric_protocol_errors = {.name = "sotto_socket_protocol_errors_total",
                                            .help = "Client frames that broke the protocol.",
                                            .kind = METRIC_COUNTER};
struct metric hub_metric_resyncs = {.name = "sotto_socket_resyncs_total",
                                    .help = "Sockets too slow for their durable events.",
                                    .kind = METRIC_COUNTER};

static void on_purge(void *arg)
{
    struct hub *h = arg;
    inbox_purge(h->o.pg, h->o.retention_us);
}

static void register_metrics(void)
{
    metric_register(&hub_metric_sockets);
    metric_register(&hub_metric_frames_in);
    metric_register(&hub_metric_events_out);
    metric_register(&hub_metric_dropped);
    metric_register(&hub_metric_protocol_errors);
    metric_register(&hub_metric_resyncs);
}

struct hub *hub_new(const struct hub_options *o)
{
    struct hub *h = calloc(1, sizeof(*h));
    if (!h)
        return NULL;
    h->o = *o;
    h->drain_timer = loop_timer_new(o->loop, inbox_drain_tick, h);
    h->retry_timer = loop_timer_new(o->loop, inbox_retry_tick, h);
    h->purge_timer = loop_timer_new(o->loop, on_purge, h);
    if (!h->drain_timer || !h->retry_timer || !h->purge_timer) {
        hub_free(h);
        return NULL;
    }
    if (o->retention_us > 0)
        loop_timer_start(h->purge_timer, PURGE_EVERY_US, PURGE_EVERY_US);
    struct ws_options w = {
        .path = "/v1/ws",
        .max_frame = ENVELOPE_MAX_BYTES,
        .queue_frames = o->queue_frames,
        .queue_bytes = o->queue_bytes,
        .ping_us = o->heartbeat_us,
        .frames_per_second = o->frames_per_second,
        .burst = o->burst,
        .handlers = &hub_ws_handlers,
        .arg = h,
    };
    http_add_ws(o->http, &w);
    http_add_routes(o->http, inbox_routes, h);
    register_metrics();
    return h;
}

void hub_free(struct hub *h)
{
    if (!h)
        return;
    struct hub_device *d, *next_device;
    HASH_ITER(hh, h->devices, d, next_device)
    {
        d->hold = false;
        if (d->socket)
            d->socket->device = NULL;
        d->socket = NULL;
        hub_device_drop(d);
    }
    struct hub_user *u, *next_user;
    HASH_ITER(hh, h->users, u, next_user)
    {
        HASH_DEL(h->users, u);
        free(u);
    }
    struct hub_handler *x, *next_handler;
    HASH_ITER(hh, h->handlers, x, next_handler)
    {
        HASH_DEL(h->handlers, x);
        free(x);
    }
    if (h->drain_timer)
        loop_timer_free(h->drain_timer);
    if (h->retry_timer)
        loop_timer_free(h->retry_timer);
    if (h->purge_timer)
        loop_timer_free(h->purge_timer);
    free(h);
}

void hub_drain(struct hub *h)
{
    h->draining = true;
    struct socket *s, *tmp;
    DL_FOREACH_SAFE(h->sockets, s, tmp)
    {
        uint16_t share;
        char reason[64];
        random_bytes(&share, sizeof(share));
        snprintf(reason, sizeof(reason), "{\"retryAfterMs\":%d}", 200 + share % 4800);
        socket_close(s, 1012, reason, true);
    }
}

/* ---- records ---- */
struct hub_device *hub_device_find(const struct hub *h, const char *device_id)
{
    struct hub_device *d = NULL;
    HASH_FIND_STR(h->devices, device_id, d);
    return d;
}

struct hub_user *hub_user_find(const struct hub *h, const char *user_id)
{
    struct hub_user *u = NULL;
    HASH_FIND_STR(h->users, user_id, u);
    return u;
}

static struct hub_user *user_get(struct hub *h, const char *user_id)
{
    struct hub_user *u = hub_user_find(h, user_id);
    if (u)
        return u;
    u = calloc(1, sizeof(*u));
    if (!u || str_copy(u->user_id, sizeof(u->user_id), user_id) != OK) {
        free(u);
        return NULL;
    }
    u->hub = h;
    HASH_ADD_STR(h->users, user_id, u);
    return u;
}

struct hub_device *hub_device_get(struct hub *h, const char *user_id, const char *device_id)
{
    struct hub_device *d = hub_device_find(h, device_id);
    if (d)
        return strcmp(d->user->user_id, user_id) == 0 ? d : NULL;
    struct hub_user *u = user_get(h, user_id);
    if (!u)
        return NULL;
    d = calloc(1, sizeof(*d));
    if (!d || str_copy(d->device_id, sizeof(d->device_id), device_id) != OK) {
        free(d);
        hub_user_drop(u);
        return NULL;
    }
    d->user = u;
    HASH_ADD_STR(h->devices, device_id, d);
    DL_APPEND(u->devices, d);
    return d;
}

void hub_user_drop(struct hub_user *u)
{
    if (u->devices || u->pulling || u->guard)
        return;
    HASH_DEL(u->hub->users, u);
    free(u);
}

static void device_free(struct hub_device *d)
{
    held_clear(&d->held);
    HASH_DEL(d->user->hub->devices, d);
    DL_DELETE(d->user->devices, d);
    free(d);
}

void hub_device_drop(struct hub_device *d)
{
    struct hub_user *u = d->user;
    if (d->socket || d->hold)
        return;
    held_clear(&d->held);
    if (u->guard)
        return; /* someone goes through the list: hub_user_leave frees it */
    device_free(d);
    hub_user_drop(u);
}

void hub_user_enter(struct hub_user *u)
{
    u->guard++;
}

void hub_user_leave(struct hub_user *u)
{
    struct hub_device *d, *tmp;
    if (--u->guard > 0)
        return;
    DL_FOREACH_SAFE(u->devices, d, tmp)
    {
        if (!d->socket && !d->hold)
            device_free(d);
    }
    hub_user_drop(u);
}

/* ---- who is there ---- */
bool hub_device_online(const struct hub *h, const char *device_id)
{
    const struct hub_device *d = hub_device_find(h, device_id);
    return d && d->socket;
}

int hub_user_online(const struct hub *h, const char *user_id)
{
    int n = 0;
    const struct hub_device *d;
    const struct hub_user *u = hub_user_find(h, user_id);
    if (u)
        DL_FOREACH(u->devices, d) n += d->socket != NULL;
    return n;
}

size_t hub_sockets(const struct hub *h)
{
    return h->connected;
}

bool hub_is_empty(const struct hub *h)
{
    return !h->sockets;
}

void hub_on_presence(struct hub *h, hub_presence_fn fn, void *arg)
{
    if (h->n_presence == HUB_PRESENCE_MAX)
        abort(); /* wiring, known at start */
    h->presence[h->n_presence].fn = fn;
    h->presence[h->n_presence++].arg = arg;
}

void hub_tell_presence(struct hub *h, const struct http_principal *who, bool online)
{
    for (size_t i = 0; i < h->n_presence; i++)
        h->presence[i].fn(h->presence[i].arg, who, online);
}

void hub_set_connected_extra(struct hub *h, hub_connected_fn fn, void *arg)
{
    h->extra = fn;
    h->extra_arg = arg;
}

int hub_hold(struct hub *h, const char *user_id, const char *device_id, bool on)
{
    struct hub_device *d =
        on ? hub_device_get(h, user_id, device_id) : hub_device_find(h, device_id);
    if (!d)
        return on ? ERR_NOMEM : OK;
    d->hold = on;
    if (!on)
        hub_device_drop(d);
    return OK;
}

void hub_close_device(struct hub *h, const char *device_id, int code, const char *reason)
{
    struct hub_device *d = hub_device_find(h, device_id);
    if (d && d->socket)
        socket_close(d->socket, code, reason, false);
}

void hub_close_session(struct hub *h, const char *user_id, const char *session_id,
                       const char *reason)
{
    struct socket *s, *tmp;
    DL_FOREACH_SAFE(h->sockets, s, tmp)
    {
        if (strcmp(s->who.user_id.s, user_id) != 0 || s->state == SOCKET_CLOSING)
            continue;
        if (!session_id || strcmp(s->who.session_id.s, session_id) == 0)
            socket_close(s, 4001, reason, false);
    }
}
