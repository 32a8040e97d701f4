/* Durable events on their way to sockets. Two kinds of reads:
 *  - a socket that is SYNCING reads for itself, page by page, as fast as its client takes them;
 *  - all LIVE sockets of a user share one read, from the lowest cursor among them.
 * A cursor below one that was read never appears later (messaging/inbox.h), so each socket needs
 * only the last cursor that was queued on it to get every event once. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "lib/base/err.h"
#include "lib/base/log.h"
#include "messaging/inbox.h"
#include "signaling/shell/hub_internal.h"

#define DRAIN_TICK_US INT64_C(20000)
#define RETRY_US      INT64_C(500000) /* after the database could not be asked */

/* ---- pushing ---- */
static int push_row(struct socket *s, const struct inbox_row *row)
{
    struct buf b;
    buf_init(&b, 0);
    int err =
        buf_printf(&b, "{\"type\":\"%s\",\"cursor\":%" PRId64 ",\"data\":", row->type, row->cursor);
    if (err == OK)
        err = buf_append_str(&b, row->data);
    if (err == OK)
        err = buf_append_str(&b, "}");
    if (err == OK)
        err = ws_send(s->w, WS_DURABLE, buf_cstr(&b), b.len);
    buf_free(&b);
    return err;
}

static void send_cursor(struct socket *s, const char *type)
{
    cJSON *data = json_new();
    json_put_int(data, "cursor", s->pushed);
    if (s->truncated)
        json_put_bool(data, "truncated", true);
    s->truncated = false;
    socket_send(s, type, data);
}

/* Queues what is new for this socket. A socket that is too slow ends up in OVERFLOW. */
static void push_rows(struct socket *s, const struct inbox_row *rows, size_t n)
{
    enum socket_state before = s->state;
    for (size_t i = 0; i < n && s->state == before; i++) {
        if (rows[i].cursor <= s->pushed)
            continue;
        bool mine = !rows[i].device_id || strcmp(rows[i].device_id, s->who.device_id.s) == 0;
        if (mine && push_row(s, &rows[i]) != OK)
            break;
        s->pushed = rows[i].cursor;
        metric_add(&hub_metric_events_out, mine);
    }
    if (s->state == SOCKET_OVERFLOW)
        send_cursor(s, "resync_required");
}

/* ---- a syncing socket ---- */
static void wait_for_queue(struct socket *s)
{
    s->waiting = true;
    loop_timer_start(s->hub->drain_timer, DRAIN_TICK_US, 0);
}

static void read_failed(struct socket *s, int err)
{
    LOG_W("inbox_read_failed", "device=%s err=%s", s->who.device_id.s, err_name(err));
    s->waiting = true;
    loop_timer_start(s->hub->retry_timer, RETRY_US, 0);
}

static void on_synced(struct socket *s)
{
    s->state = SOCKET_LIVE;
    send_cursor(s, "synced");
    if (s->device)
        hub_flush_held(s->device);
    if (s->device) /* what was committed since the last page was read */
        hub_announce(s->hub, s->who.user_id.s);
}

static void on_page(void *arg, int err, const struct inbox_row *rows, size_t n, int64_t last)
{
    struct socket *s = arg;
    s->reading = false;
    if (s->state == SOCKET_SYNCING && err != OK)
        read_failed(s, err);
    else if (s->state == SOCKET_SYNCING)
        push_rows(s, rows, n);
    if (s->state == SOCKET_SYNCING && err == OK) {
        if (n == INBOX_PAGE) {
            inbox_sync_socket(s);
        } else {
            if (last > s->pushed)
                s->pushed = last; /* the rest is for other devices, or has expired */
            on_synced(s);
        }
    }
    socket_unref(s);
}

void inbox_sync_socket(struct socket *s)
{
    if (s->state != SOCKET_SYNCING || s->reading)
        return;
    if (ws_queued_bytes(s->w) > SOCKET_SYNC_LOW) {
        wait_for_queue(s);
        return;
    }
    s->reading = true;
    s->refs++;
    int err = inbox_read(s->hub->o.pg, s->who.user_id.s, s->who.device_id.s, s->pushed, INBOX_PAGE,
                         on_page, s);
    if (err != OK) {
        s->reading = false;
        read_failed(s, err);
        socket_unref(s);
    }
}

void inbox_drain_tick(void *arg)
{
    struct hub *h = arg;
    struct socket *s, *tmp;
    DL_FOREACH_SAFE(h->sockets, s, tmp)
    {
        if (!s->waiting)
            continue;
        s->waiting = false;
        inbox_sync_socket(s); /* waits again if it has to */
    }
}

void inbox_retry_tick(void *arg)
{
    struct hub *h = arg;
    struct hub_user *u, *tmp;
    inbox_drain_tick(h);
    HASH_ITER(hh, h->users, u, tmp)
    {
        if (u->again && !u->pulling)
            inbox_pull_user(u);
    }
}

/* ---- live sockets ---- */
/* The sockets stay: calls go on by them while the database is away. */
static void pull_failed(struct hub_user *u, int err)
{
    u->again = err != ERR_CLOSED; /* with that, we're going down */
    if (!u->again)
        return;
    LOG_W("inbox_pull_failed", "user=%s err=%s", u->user_id, err_name(err));
    loop_timer_start(u->hub->retry_timer, RETRY_US, 0);
}

static void on_live_rows(void *arg, int err, const struct inbox_row *rows, size_t n, int64_t last)
{
    struct hub_user *u = arg;
    struct hub_device *d;
    hub_user_enter(u);
    u->pulling = false;
    if (err != OK) {
        pull_failed(u, err);
    } else {
        DL_FOREACH(u->devices, d)
        {
            struct socket *s = d->socket;
            if (!s || s->state != SOCKET_LIVE || s->pushed < u->since)
                continue; /* one that came behind the start of this read takes part in the next */
            push_rows(s, rows, n);
            if (s->state == SOCKET_LIVE && n < INBOX_PAGE && last > s->pushed)
                s->pushed = last;
        }
    }
    if (err == OK && (u->again || n == INBOX_PAGE))
        inbox_pull_user(u);
    hub_user_leave(u);
}

void inbox_pull_user(struct hub_user *u)
{
    struct hub_device *d;
    int64_t since = INT64_MAX;
    if (u->pulling) {
        u->again = true;
        return;
    }
    u->again = false;
    DL_FOREACH(u->devices, d)
    {
        if (d->socket && d->socket->state == SOCKET_LIVE && d->socket->pushed < since)
            since = d->socket->pushed;
    }
    if (since == INT64_MAX)
        return;
    u->since = since;
    u->pulling = true;
    int err = inbox_read(u->hub->o.pg, u->user_id, NULL, since, INBOX_PAGE, on_live_rows, u);
    if (err != OK) {
        u->pulling = false;
        pull_failed(u, err);
    }
}

/* ---- ack ---- */
static void ack_next(struct socket *s);

static void on_acked(void *arg, int err, int64_t cursor)
{
    struct socket *s = arg;
    s->ack_sent = 0;
    if (err != OK)
        LOG_W("ack_failed", "device=%s err=%s", s->who.device_id.s, err_name(err));
    if (err == OK && s->state == SOCKET_OVERFLOW) {
        /* It has pulled up to here; pushing goes on from there. */
        if (cursor > s->pushed)
            s->pushed = cursor;
        s->state = SOCKET_SYNCING;
        ws_resume(s->w);
        inbox_sync_socket(s);
    }
    if (s->state != SOCKET_CLOSING)
        ack_next(s);
    socket_unref(s);
}

/* One write at a time, of the newest cursor. */
static void ack_next(struct socket *s)
{
    if (s->ack_sent || !s->acked)
        return;
    int64_t cursor = s->acked - 1;
    s->acked = 0;
    s->ack_sent = cursor + 1;
    s->refs++;
    if (inbox_ack(s->hub->o.pg, s->who.user_id.s, s->who.device_id.s, cursor, on_acked, s) != OK) {
        s->ack_sent = 0;
        socket_unref(s);
    }
}

void socket_ack(struct socket *s, int64_t cursor)
{
    if (cursor + 1 > s->acked)
        s->acked = cursor + 1;
    ack_next(s);
}

/* ---- GET /v1/sync ---- */
struct sync_request {
    struct http_request *r;
    int limit;
};

static void on_sync_rows(void *arg, int err, const struct inbox_row *rows, size_t n, int64_t last)
{
    struct sync_request *q = arg;
    (void)last;
    if (err != OK) {
        http_problem_err(q->r, err);
        free(q);
        return;
    }
    cJSON *body = json_new(), *items = cJSON_CreateArray();
    for (size_t i = 0; i < n && i < (size_t)q->limit; i++) {
        cJSON *item = json_new(), *data = NULL;
        json_parse(&data, rows[i].data, strlen(rows[i].data));
        json_put_str(item, "type", rows[i].type);
        json_put_int(item, "cursor", rows[i].cursor);
        json_put(item, "data", data);
        cJSON_AddItemToArray(items, item);
    }
    json_put(body, "items", items);
    if (n > (size_t)q->limit)
        json_put_int(body, "nextCursor", rows[q->limit - 1].cursor);
    else
        json_put_null(body, "nextCursor");
    http_reply(q->r, 200, body);
    free(q);
}

static int64_t query_number(struct http_request *r, const char *name, int64_t lo, int64_t hi,
                            int64_t dflt, struct json_errors *e)
{
    const char *text = http_query(r, name);
    char *end = NULL;
    if (!text)
        return dflt;
    long long v = *text >= '0' && *text <= '9' && strlen(text) <= 16 ? strtoll(text, &end, 10) : -1;
    if (!end || *end || v < lo || v > hi) {
        json_error(e, name, "must be a number from %lld to %lld", (long long)lo, (long long)hi);
        return dflt;
    }
    return v;
}

static void on_sync(struct http_request *r, void *arg)
{
    struct hub *h = arg;
    struct json_errors e = {0};
    int64_t since = query_number(r, "since", 0, INT64_C(1) << 53, 0, &e);
    int limit = (int)query_number(r, "limit", 1, 100, 50, &e);
    if (e.n) {
        http_problem_fields(r, &e);
        return;
    }
    struct sync_request *q = calloc(1, sizeof(*q));
    if (!q) {
        http_problem_err(r, ERR_NOMEM);
        return;
    }
    q->r = r;
    q->limit = limit;
    const struct http_principal *who = http_who(r);
    int err =
        inbox_read(h->o.pg, who->user_id.s, who->device_id.s, since, limit + 1, on_sync_rows, q);
    if (err != OK) {
        http_problem_err(r, err);
        free(q);
    }
}

const struct http_route inbox_routes[] = {
    {HTTP_GET, "/v1/sync", on_sync, HTTP_AUTH, 0, NULL},
    {.path = NULL},
};
