/* One open WebSocket: frames in, the queue out, pings, closing. See ws_upgrade.c for how it opens.
 */
#include "lib/io/http_internal.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "lib/base/err.h"
#include "lib/base/ids.h"
#include "lib/base/log.h"

enum { CLOSE_WAIT_US = 2000000, FRAMES_A_TURN = 16, CLOSE_ABNORMAL = 1006 };
enum { WRITE_CLOSE = 4 }; /* lws's LWS_WRITE_CLOSE, which its public header only mentions */

static void on_timer(void *arg);

/* ---- opening and the end ---- */

static void arm(struct ws *w)
{
    int64_t now = clock_mono_us();
    int64_t due = w->ping_due_us;
    if (w->closing && w->close_deadline_us < due)
        due = w->close_deadline_us;
    loop_timer_start(w->timer, due > now ? due - now : 0, 0);
}

int ws_established(struct ws *w)
{
    int64_t now = clock_mono_us();
    w->open = true;
    w->bucket = w->endpoint->o.burst;
    w->bucket_us = now;
    w->ping_due_us = now + w->endpoint->o.ping_us;
    w->timer = loop_timer_new(w->server->loop, on_timer, w);
    if (!w->timer)
        return -1;
    arm(w);
    http_metrics_socket(1);
    LOG_D("ws_open", "path=%s", w->endpoint->o.path);
    if (w->server->draining)
        ws_close(w, 1012, "{\"retryAfterMs\":1000}");
    w->endpoint->o.handlers->on_open(w, w->endpoint->o.arg, w->token, w->since);
    if (w->token)
        OPENSSL_cleanse(w->token, strlen(w->token));
    free(w->token);
    free(w->since);
    w->token = w->since = NULL;
    return 0;
}

void ws_gone(struct ws *w)
{
    bool was_open = w->open;
    w->open = false;
    w->wsi = NULL;
    DL_DELETE(w->server->sockets, w);
    loop_timer_free(w->timer);
    w->timer = NULL;
    if (was_open) {
        http_metrics_socket(-1);
        w->closing = true;
        w->endpoint->o.handlers->on_close(w, w->endpoint->o.arg,
                                          w->close_code ? w->close_code : CLOSE_ABNORMAL);
    }
    ws_queue_free(w->queue);
    buf_free(&w->rx);
    free(w->token);
    free(w->since);
    free(w);
}

int ws_peer_close(struct ws *w, const void *data, size_t len)
{
    const unsigned char *p = data;
    if (!w->close_code)
        w->close_code = len >= 2 ? p[0] << 8 | p[1] : 1005;
    return w->close_sent ? -1 : 0; /* both sides have said it: nothing is left to send */
}

/* ---- frames in ---- */

/* Ends the socket from inside its own receive callback: what is queued is not worth waiting for. */
static int fail(struct ws *w, int code, const char *reason)
{
    w->closing = true;
    w->close_code = code;
    LOG_I("ws_refused", "code=%d reason=\"%s\"", code, reason);
    lws_close_reason(w->wsi, (enum lws_close_status)code, (unsigned char *)reason, strlen(reason));
    return -1;
}

/* A token bucket: `frames_per_second` in, at most `burst` kept. */
static bool take_token(struct ws *w)
{
    const struct ws_options *o = &w->endpoint->o;
    if (o->frames_per_second <= 0)
        return true;
    int64_t now = clock_mono_us();
    w->bucket += (double)(now - w->bucket_us) / 1e6 * o->frames_per_second;
    w->bucket_us = now;
    if (w->bucket > o->burst)
        w->bucket = o->burst;
    if (w->bucket < 1)
        return false;
    w->bucket -= 1;
    return true;
}

int ws_receive(struct ws *w, const char *data, size_t len)
{
    if (w->closing)
        return 0;
    w->pings_unanswered = 0;
    if (lws_frame_is_binary(w->wsi))
        return fail(w, 1003, "Text frames only");
    /* The library hands over parts of frames; all frames of a message, fragments too, are one text
     * here. */
    int rc = buf_append(&w->rx, data, len);
    if (rc == ERR_TOO_LARGE)
        return fail(w, 1009, "Frame too large");
    if (rc != OK)
        return fail(w, 1013, "Overloaded");
    if (!lws_is_final_fragment(w->wsi) || lws_remaining_packet_payload(w->wsi) > 0)
        return 0;
    if (!utf8_is_valid(w->rx.data, w->rx.len))
        return fail(w, 1007, "Invalid UTF-8");
    if (!take_token(w))
        return fail(w, 4003, "Rate limited");
    w->endpoint->o.handlers->on_text(w, w->endpoint->o.arg, buf_cstr(&w->rx), w->rx.len);
    buf_clear(&w->rx);
    return 0;
}

void ws_pong(struct ws *w)
{
    w->pings_unanswered = 0;
}

/* ---- frames out ---- */

/* With a byte in it: lws doesn't tell of a pong that is empty. */
static int write_ping(struct ws *w)
{
    unsigned char room[LWS_PRE + 1];
    room[LWS_PRE] = 'p';
    w->ping_pending = false;
    return lws_write(w->wsi, room + LWS_PRE, 1, LWS_WRITE_PING) < 0 ? -1 : 0;
}

/* The close frame, as a write of its own: asked for by lws_close_reason and -1 from here, Debian's
 * build of lws (with _DEBUG) closes a second time at once and never sends it. From now on only the
 * peer's close frame or the deadline ends the socket. */
static int write_close(struct ws *w)
{
    unsigned char room[LWS_PRE + sizeof(w->close_reason) + 2], *p = room + LWS_PRE;
    size_t n = strlen(w->close_reason);
    p[0] = (unsigned char)(w->close_code >> 8);
    p[1] = (unsigned char)w->close_code;
    memcpy(p + 2, w->close_reason, n);
    w->close_sent = true;
    return lws_write(w->wsi, p, n + 2, (enum lws_write_protocol)WRITE_CLOSE) < 0 ? -1 : 0;
}

int ws_writable(struct ws *w)
{
    if (w->close_sent)
        return 0;
    if (w->ping_pending) {
        if (write_ping(w) != 0)
            return -1;
        lws_callback_on_writable(w->wsi);
        return 0;
    }
    size_t len;
    unsigned char *text;
    for (int i = 0; i < FRAMES_A_TURN && (text = ws_queue_peek(w->queue, &len)); i++) {
        if (lws_write(w->wsi, text, len, LWS_WRITE_TEXT) < (int)len)
            return -1;
        ws_queue_pop(w->queue);
        if (lws_send_pipe_choked(w->wsi) || lws_partial_buffered(w->wsi))
            break;
    }
    if (ws_queue_frames(w->queue) > 0)
        lws_callback_on_writable(w->wsi);
    else if (w->closing && lws_partial_buffered(w->wsi))
        lws_callback_on_writable(w->wsi);
    else if (w->closing)
        return write_close(w);
    return 0;
}

/* Ends it without a word; w is gone after. Only from the timer, never from lws's callbacks. */
static void kill_now(struct ws *w)
{
    if (!w->close_code)
        w->close_code = CLOSE_ABNORMAL;
    w->closing = true;
    lws_set_timeout(w->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_SYNC);
}

static void on_timer(void *arg)
{
    struct ws *w = arg;
    int64_t now = clock_mono_us();
    if (w->closing) {
        if (now >= w->close_deadline_us)
            kill_now(w);
        else
            arm(w);
        return;
    }
    if (now >= w->ping_due_us) {
        if (w->pings_unanswered >= 2) {
            LOG_D("ws_dead", "path=%s", w->endpoint->o.path);
            kill_now(w);
            return;
        }
        w->pings_unanswered++;
        w->ping_pending = true;
        w->ping_due_us = now + w->endpoint->o.ping_us;
        lws_callback_on_writable(w->wsi);
    }
    arm(w);
}

/* ---- the interface ---- */

int ws_send(struct ws *w, enum ws_class cls, const char *text, size_t len)
{
    if (!w->open || w->closing)
        return ERR_CLOSED;
    int dropped = 0;
    int rc = ws_queue_push(w->queue, cls, text, len, &dropped);
    if (dropped)
        http_metrics_dropped(dropped);
    if (rc == OK) {
        lws_callback_on_writable(w->wsi);
        return OK;
    }
    if (rc == ERR_WRONG_STATE) {
        LOG_I("ws_overflow", "bytes=%zu", ws_queue_bytes(w->queue));
        if (w->endpoint->o.handlers->on_overflow)
            w->endpoint->o.handlers->on_overflow(w, w->endpoint->o.arg);
    } else if (cls == WS_CONTROL) {
        /* It asks and asks and doesn't read the answers. */
        ws_close(w, 1013, "Too slow");
    }
    return ERR_LIMIT;
}

void ws_resume(struct ws *w)
{
    ws_queue_resume(w->queue);
}

void ws_close(struct ws *w, int code, const char *reason)
{
    if (!w->wsi || w->closing)
        return;
    w->closing = true;
    w->close_code = code;
    snprintf(w->close_reason, sizeof(w->close_reason), "%.120s", reason ? reason : "");
    w->close_deadline_us = clock_mono_us() + CLOSE_WAIT_US;
    if (!w->open)
        return;
    arm(w);
    lws_callback_on_writable(w->wsi);
}

size_t ws_queued_bytes(const struct ws *w)
{
    return ws_queue_bytes(w->queue);
}

const struct http_principal *ws_who(const struct ws *w)
{
    return &w->who;
}

const char *ws_address(const struct ws *w)
{
    return w->address;
}

void ws_set_user(struct ws *w, void *user)
{
    w->user = user;
}

void *ws_user(const struct ws *w)
{
    return w->user;
}
