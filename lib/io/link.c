/* One control connection: handshake, frames, pings.
 *
 *   both   → 32 bytes of nonce
 *   client → its proof;   server checks it, then answers with its own
 *   then frames; an empty frame is a ping and needs no answer, since both sides send one a second.
 */
#include "lib/io/link.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/ids.h"
#include "lib/base/log.h"
#include "lib/base/metrics.h"
#include "lib/io/link_internal.h"

enum { PING_US = 1000000, DEAD_US = 4000000, HANDSHAKE_US = 5000000, READ_ROOM = 65536 };

METRIC_COUNTER_DEF(refused, "sotto_link_refused_total", NULL,
                   "Control connections refused: wrong secret, bad frame, too slow");

struct write {
    uv_write_t req; /* first */
    struct link *link;
    size_t len;
    uint8_t data[];
};

static void on_closed(uv_handle_t *h)
{
    free(h);
}

void link_end(struct link *k, const char *why)
{
    if (k->state == LINK_DOWN)
        return;
    bool was_up = k->state == LINK_UP;
    k->state = LINK_DOWN;
    LOG_I("link_down", "side=%s why=\"%s\"", k->server ? "server" : "client", why);
    loop_timer_free(k->timer);
    k->timer = NULL;
    if (was_up)
        k->handlers->on_down(k, k->arg);
    if (k->on_end)
        k->on_end(k, k->owner);
    buf_free(&k->rx);
    uv_close((uv_handle_t *)&k->tcp, on_closed);
}

/* ---- writing ---- */

static void on_written(uv_write_t *req, int status)
{
    struct write *w = (struct write *)req;
    struct link *k = w->link;
    k->queued -= w->len;
    free(w);
    if (status < 0 && k->state != LINK_DOWN)
        link_end(k, "write failed");
}

static int write_bytes(struct link *k, const void *head, size_t head_len, const void *data,
                       size_t len)
{
    struct write *w = malloc(sizeof(*w) + head_len + len);
    if (!w)
        return ERR_NOMEM;
    w->link = k;
    w->len = head_len + len;
    if (head_len)
        memcpy(w->data, head, head_len);
    if (len)
        memcpy(w->data + head_len, data, len);
    uv_buf_t b = uv_buf_init((char *)w->data, (unsigned)w->len);
    if (uv_write(&w->req, (uv_stream_t *)&k->tcp, &b, 1, on_written) != 0) {
        free(w);
        return ERR_IO;
    }
    k->queued += w->len;
    return OK;
}

static int send_frame(struct link *k, const void *data, size_t len)
{
    uint8_t head[4];
    struct writer w;
    writer_init(&w, head, sizeof(head));
    writer_u32(&w, (uint32_t)len);
    return write_bytes(k, head, sizeof(head), data, len);
}

static void drop_later(void *arg)
{
    link_end(arg, "dropped");
}

/* From inside a caller's own send, so the end comes at the next turn of the loop. */
static void end_soon(struct link *k)
{
    struct loop_timer *t = loop_timer_new(k->loop, drop_later, k);
    if (!t)
        return;
    loop_timer_free(k->timer);
    k->timer = t;
    loop_timer_start(t, 0, 0);
}

int link_send(struct link *k, const void *data, size_t len)
{
    if (k->state != LINK_UP)
        return ERR_CLOSED;
    if (len == 0 || len > LINK_MAX_FRAME)
        return len ? ERR_TOO_LARGE : ERR_INVALID;
    if (k->queued + len > LINK_MAX_QUEUED) {
        LOG_W("link_overflow", "queued=%zu", k->queued);
        end_soon(k);
        return ERR_LIMIT;
    }
    return send_frame(k, data, len);
}

/* ---- reading ---- */

static int send_proof(struct link *k)
{
    uint8_t proof[SHA256_LEN];
    link_proof(proof, k->secret, k->server ? "server" : "client",
               k->server ? k->peer_nonce : k->nonce, k->server ? k->nonce : k->peer_nonce);
    return write_bytes(k, NULL, 0, proof, sizeof(proof));
}

static bool proof_is_good(struct link *k)
{
    uint8_t want[SHA256_LEN];
    link_proof(want, k->secret, k->server ? "client" : "server",
               k->server ? k->peer_nonce : k->nonce, k->server ? k->nonce : k->peer_nonce);
    return equal_constant_time(want, k->rx.data, sizeof(want));
}

static void handshake_nonce(struct link *k)
{
    memcpy(k->peer_nonce, k->rx.data, LINK_NONCE);
    buf_consume(&k->rx, LINK_NONCE);
    k->state = LINK_PROOF;
    if (!k->server && send_proof(k) != OK)
        link_end(k, "write failed");
}

static void handshake_proof(struct link *k)
{
    if (!proof_is_good(k)) {
        metric_add(&refused, 1);
        LOG_W("link_refused", "side=%s why=proof", k->server ? "server" : "client");
        link_end(k, "wrong secret");
        return;
    }
    buf_consume(&k->rx, SHA256_LEN);
    if (k->server && send_proof(k) != OK) {
        link_end(k, "write failed");
        return;
    }
    k->state = LINK_UP;
    LOG_I("link_up", "side=%s", k->server ? "server" : "client");
    if (k->handlers->on_up)
        k->handlers->on_up(k, k->arg);
}

static void frames(struct link *k)
{
    const uint8_t *data;
    size_t len, at = 0;
    int rc = OK;
    while (rc == OK) {
        struct buf rest = {.data = k->rx.data + at, .len = k->rx.len - at};
        rc = link_frame_next(&rest, &data, &len);
        if (rc != OK)
            break;
        at += 4 + len;
        if (len > 0)
            k->handlers->on_frame(k, k->arg, data, len);
        if (k->state != LINK_UP)
            return;
    }
    buf_consume(&k->rx, at);
    if (rc != ERR_AGAIN) {
        metric_add(&refused, 1);
        link_end(k, "frame too large");
    }
}

static void process(struct link *k)
{
    if (k->state == LINK_HELLO && k->rx.len >= LINK_NONCE)
        handshake_nonce(k);
    if (k->state == LINK_PROOF && k->rx.len >= SHA256_LEN)
        handshake_proof(k);
    if (k->state == LINK_UP)
        frames(k);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *b)
{
    static char room[READ_ROOM]; /* one loop thread; emptied before the next read */
    (void)h;
    (void)suggested;
    *b = uv_buf_init(room, sizeof(room));
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    struct link *k = (struct link *)s;
    if (k->state == LINK_DOWN || n == 0)
        return;
    if (n < 0) {
        link_end(k, n == UV_EOF ? "closed by the peer" : "read failed");
        return;
    }
    k->heard_us = clock_mono_us();
    if (buf_append(&k->rx, b->base, (size_t)n) != OK) {
        link_end(k, "no memory");
        return;
    }
    process(k);
}

static void on_timer(void *arg)
{
    struct link *k = arg;
    int64_t now = clock_mono_us();
    if (k->state != LINK_UP) {
        if (now >= k->deadline_us) {
            metric_add(&refused, 1);
            link_end(k, "handshake timeout");
        }
        return;
    }
    if (now - k->heard_us >= DEAD_US)
        link_end(k, "silent");
    else if (send_frame(k, NULL, 0) != OK)
        link_end(k, "write failed");
}

/* ---- life ---- */

struct link *link_new(struct loop *l, bool server, const char *secret,
                      const struct link_handlers *h, void *arg)
{
    struct link *k = calloc(1, sizeof(*k));
    if (!k)
        return NULL;
    if (uv_tcp_init(loop_uv(l), &k->tcp) != 0) {
        free(k);
        return NULL;
    }
    metric_register(&refused);
    k->loop = l;
    k->server = server;
    k->secret = secret;
    k->handlers = h;
    k->arg = arg;
    /* a whole frame, and the piece of the next that came with it */
    buf_init(&k->rx, LINK_MAX_FRAME + 4 + READ_ROOM);
    return k;
}

void link_begin(struct link *k)
{
    random_bytes(k->nonce, sizeof(k->nonce));
    k->heard_us = clock_mono_us();
    k->deadline_us = k->heard_us + HANDSHAKE_US;
    k->timer = loop_timer_new(k->loop, on_timer, k);
    uv_tcp_nodelay(&k->tcp, 1);
    if (!k->timer || uv_read_start((uv_stream_t *)&k->tcp, on_alloc, on_read) != 0 ||
        write_bytes(k, NULL, 0, k->nonce, sizeof(k->nonce)) != OK) {
        link_end(k, "no memory");
        return;
    }
    loop_timer_start(k->timer, PING_US, PING_US);
}

void link_set_user(struct link *k, void *user)
{
    k->user = user;
}

void *link_user(const struct link *k)
{
    return k->user;
}

void link_drop(struct link *k)
{
    if (k->state != LINK_DOWN)
        end_soon(k);
}
