/* One client socket from its ticket to its end. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "accounts/accounts.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "messaging/inbox.h"
#include "signaling/shell/hub_internal.h"

/* ---- sending ---- */
void socket_send_text(struct socket *s, const char *text, size_t len)
{
    if (!s->w || s->state == SOCKET_CLOSING)
        return;
    if (ws_send(s->w, WS_CONTROL, text, len) == ERR_LIMIT)
        socket_close(s, 1013, "too slow", false);
}

void socket_send(struct socket *s, const char *type, cJSON *data)
{
    char *text = hub_event_text(type, data);
    if (text)
        socket_send_text(s, text, strlen(text));
    free(text);
}

/* ---- life ---- */
void socket_unref(struct socket *s)
{
    if (--s->refs > 0)
        return;
    held_clear(&s->early);
    free(s);
}

/* Out of the registry; tells the presence listeners unless another socket takes its place. */
static void detach(struct socket *s, bool replaced)
{
    struct hub_device *d = s->device;
    if (!d)
        return;
    struct hub *h = s->hub;
    s->device = NULL;
    d->socket = NULL;
    metric_set(&hub_metric_sockets, (int64_t)--h->connected);
    if (replaced)
        return;
    /* The listeners may hold the device: what waits for it is kept then, and goes otherwise. They
     * may also have let go of it, so it's looked up anew. */
    hub_tell_presence(h, &s->who, false);
    d = hub_device_find(h, s->who.device_id.s);
    if (d)
        hub_device_drop(d);
}

void socket_close(struct socket *s, int code, const char *reason, bool replaced)
{
    if (s->state == SOCKET_CLOSING)
        return;
    if (code == 4001) {
        cJSON *data = json_new();
        json_put_str(data, "reason", reason);
        socket_send(s, "session_revoked", data);
    }
    s->state = SOCKET_CLOSING;
    LOG_I("socket_closing", "user=%s device=%s code=%d", s->who.user_id.s, s->who.device_id.s,
          code);
    detach(s, replaced);
    if (s->w)
        ws_close(s->w, code, reason);
}

/* The database could not say who this is: come back later. */
static void fail_unavailable(struct socket *s)
{
    socket_close(s, 1013, "{\"retryAfterMs\":1000}", false);
}

/* ---- connected ---- */
static void send_connected(struct socket *s)
{
    cJSON *data = json_new();
    json_put_str(data, "userId", s->who.user_id.s);
    json_put_str(data, "login", s->who.login);
    json_put_str(data, "deviceId", s->who.device_id.s);
    json_put_str(data, "sessionId", s->who.session_id.s);
    json_put_int(data, "heartbeatSeconds", (s->hub->o.heartbeat_us + 999999) / 1000000);
    json_put_str(data, "message", "Welcome");
    if (s->hub->extra)
        s->hub->extra(s->hub->extra_arg, &s->who, data);
    socket_send(s, "connected", data);
}

/* Enters the registry; a socket that the device had before goes. */
static int attach(struct socket *s)
{
    struct hub_device *d = hub_device_get(s->hub, s->who.user_id.s, s->who.device_id.s);
    if (!d)
        return ERR_NOMEM;
    if (d->socket)
        socket_close(d->socket, 4009, "replaced by a newer connection of this device", true);
    d->socket = s;
    s->device = d;
    metric_set(&hub_metric_sockets, (int64_t)++s->hub->connected);
    return OK;
}

static void run_early_frames(struct socket *s)
{
    struct held_frame *f;
    while (s->state != SOCKET_CLOSING && (f = held_pop(&s->early))) {
        hub_on_frame(s, f->text, f->len);
        free(f);
    }
}

static void on_start(void *arg, int err, int64_t start, int64_t last, bool purged)
{
    struct socket *s = arg;
    (void)last;
    if (s->state != SOCKET_STARTING) {
        socket_unref(s);
        return;
    }
    if (err == OK)
        err = attach(s);
    if (err != OK) {
        fail_unavailable(s);
        socket_unref(s);
        return;
    }
    s->pushed = start;
    s->truncated = purged;
    s->state = SOCKET_SYNCING;
    LOG_I("socket_connected", "user=%s device=%s cursor=%" PRId64, s->who.user_id.s,
          s->who.device_id.s, start);
    accounts_touch(s->hub->o.accounts, &s->who);
    send_connected(s);
    if (s->state == SOCKET_SYNCING)
        hub_tell_presence(s->hub, &s->who, true);
    run_early_frames(s);
    inbox_sync_socket(s);
    socket_unref(s);
}

static void on_ticket(void *arg, int err)
{
    struct socket *s = arg;
    struct hub *h = s->hub;
    if (s->state != SOCKET_TICKET) {
        socket_unref(s);
        return;
    }
    if (err == OK) {
        s->state = SOCKET_STARTING;
        err = inbox_start(h->o.pg, s->who.user_id.s, s->who.device_id.s, s->since, on_start, s);
        if (err == OK)
            return; /* the reference goes on to on_start */
    }
    if (err == ERR_AUTH)
        socket_close(s, 1008, "Invalid or expired token", false);
    else
        fail_unavailable(s);
    socket_unref(s);
}

/* ---- the server's handlers ---- */
static int on_upgrade(void *arg, const char *token, struct http_principal *out, const char **why)
{
    struct hub *h = arg;
    return accounts_check_ticket(h->o.accounts, token, out, why);
}

/* `since` as the client gave it, or -1 for none and for what is no number: it then gets what its
 * device hasn't acknowledged, which is never too little. */
static int64_t parse_since(const char *text)
{
    char *end = NULL;
    if (!text || *text < '0' || *text > '9' || strlen(text) > 15)
        return -1;
    long long v = strtoll(text, &end, 10);
    return *end ? -1 : v;
}

static void on_open(struct ws *w, void *arg, const char *token, const char *since)
{
    struct hub *h = arg;
    struct socket *s = calloc(1, sizeof(*s));
    if (!s) {
        ws_close(w, 1013, "{\"retryAfterMs\":1000}");
        return;
    }
    s->hub = h;
    s->w = w;
    s->refs = 1;
    s->who = *ws_who(w);
    s->since = parse_since(since);
    DL_APPEND(h->sockets, s);
    ws_set_user(w, s);
    if (h->draining) {
        socket_close(s, 1012, "{\"retryAfterMs\":1000}", false);
        return;
    }
    s->refs++;
    if (accounts_spend_ticket(h->o.accounts, token, on_ticket, s) != OK) {
        fail_unavailable(s);
        socket_unref(s);
    }
}

static void on_text(struct ws *w, void *arg, const char *text, size_t len)
{
    struct socket *s = ws_user(w);
    (void)arg;
    if (!s || s->state == SOCKET_CLOSING)
        return;
    s->refs++; /* a frame may end its own socket */
    if (s->state >= SOCKET_SYNCING)
        hub_on_frame(s, text, len);
    else if (s->early.frames >= SOCKET_EARLY_FRAMES || s->early.bytes + len > SOCKET_EARLY_BYTES)
        socket_close(s, 4004, "too many frames before connected", false);
    else
        held_push(&s->early, WS_CONTROL, text, len, SOCKET_EARLY_FRAMES, SOCKET_EARLY_BYTES);
    socket_unref(s);
}

/* Too slow for its durable events: nothing more is pushed until it has pulled and says so by `ack`.
 */
static void on_overflow(struct ws *w, void *arg)
{
    struct socket *s = ws_user(w);
    (void)arg;
    if (!s || (s->state != SOCKET_SYNCING && s->state != SOCKET_LIVE))
        return;
    s->state = SOCKET_OVERFLOW;
    metric_add(&hub_metric_resyncs, 1);
    LOG_W("socket_resync", "user=%s device=%s cursor=%" PRId64, s->who.user_id.s,
          s->who.device_id.s, s->pushed);
}

static void on_close(struct ws *w, void *arg, int code)
{
    struct socket *s = ws_user(w);
    (void)arg;
    if (!s)
        return;
    struct hub *h = s->hub;
    s->w = NULL;
    DL_DELETE(h->sockets, s);
    LOG_I("socket_closed", "user=%s device=%s code=%d", s->who.user_id.s, s->who.device_id.s, code);
    if (s->state != SOCKET_CLOSING) {
        s->state = SOCKET_CLOSING;
        detach(s, false);
    }
    socket_unref(s);
}

const struct ws_handlers hub_ws_handlers = {
    .on_upgrade = on_upgrade,
    .on_open = on_open,
    .on_text = on_text,
    .on_overflow = on_overflow,
    .on_close = on_close,
};
