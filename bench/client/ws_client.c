#include "bench/client/ws_client_private.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <utlist.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/ids.h"

enum {
    DROPS_A_TURN = 64,
    FRAMES_A_TURN = 16,
    CLOSE_WAIT_S = 2, /* for the server's close frame */
    MAX_MESSAGE = 256 * 1024,
    REASON_MAX = 124,
    WRITE_CLOSE = 4, /* not in the public enum: "just use the lws_close_reason()", which doesn't */
};

/* ---- the end of a socket ---- */

static void forget(struct ws_socket *s)
{
    struct ws_client *c = s->client;
    if (s->state == WAITING) {
        DL_DELETE(c->waiting, s);
        c->n_waiting--;
        return;
    }
    DL_DELETE(c->sockets, s);
    if (s->state == CONNECTING)
        c->n_connecting--;
    else
        c->n_open--;
}

void ws_socket_ended(struct ws_socket *s, int code, const char *reason, size_t len)
{
    if (s->over)
        return;
    s->over = true;
    s->code = (uint16_t)code;
    free(s->reason);
    s->reason = reason && len > 0 ? strndup(reason, len < REASON_MAX ? len : REASON_MAX) : NULL;
}

/* Out of the lists, told, freed. */
void ws_socket_finish(struct ws_socket *s)
{
    struct ws_client *c = s->client;
    if (s->dropped) {
        LL_DELETE2(c->drops, s, next_drop);
        s->code = WS_CLOSED_DROPPED;
    }
    forget(s);
    if (s->wsi)
        lws_set_opaque_user_data(s->wsi, NULL);
    s->state = CLOSING;
    s->wsi = NULL;
    s->h->on_closed(s, s->arg, s->code, s->reason ? s->reason : "");
    struct out *o, *tmp;
    LL_FOREACH_SAFE(s->out, o, tmp)
    free(o);
    buf_free(&s->rx);
    ws_open_free(s->open);
    free(s->reason);
    free(s);
    if (c->waiting && !c->stopping)
        loop_timer_start(c->pump, 0, 0);
}

/* ---- frames out ---- */

static int write_ping(struct ws_socket *s)
{
    unsigned char room[LWS_PRE + 8];
    memcpy(room + LWS_PRE, "sotto-bn", 8);
    s->ping_due = false;
    s->ping_us = clock_mono_us();
    return lws_write(s->wsi, room + LWS_PRE, 8, LWS_WRITE_PING) < 0 ? -1 : 0;
}

/* By a write of its own, as lib/io/ws.c has it and for the same reason. */
static int write_close(struct ws_socket *s)
{
    unsigned char room[LWS_PRE + REASON_MAX + 2], *p = room + LWS_PRE;
    size_t n = s->reason ? strlen(s->reason) : 0;
    p[0] = (unsigned char)(s->code >> 8);
    p[1] = (unsigned char)s->code;
    if (n > 0)
        memcpy(p + 2, s->reason, n);
    s->close_due = false;
    lws_set_timeout(s->wsi, PENDING_TIMEOUT_USER_REASON_BASE, CLOSE_WAIT_S);
    return lws_write(s->wsi, p, n + 2, (enum lws_write_protocol)WRITE_CLOSE) < 0 ? -1 : 0;
}

static int on_writable(struct ws_socket *s)
{
    if (s->ping_due && write_ping(s) != 0)
        return -1;
    for (int i = 0; i < FRAMES_A_TURN && s->out && !lws_partial_buffered(s->wsi); i++) {
        struct out *o = s->out;
        if (lws_write(s->wsi, o->room + LWS_PRE, o->len, LWS_WRITE_TEXT) < (int)o->len)
            return -1;
        LL_DELETE(s->out, o);
        free(o);
        if (lws_send_pipe_choked(s->wsi))
            break;
    }
    if (s->out)
        lws_callback_on_writable(s->wsi);
    else if (s->close_due)
        return write_close(s);
    return 0;
}

/* ---- frames in ---- */

static int on_receive(struct ws_socket *s, const char *data, size_t len)
{
    if (s->dropped || s->over)
        return 0;
    bool whole = lws_is_final_fragment(s->wsi) && lws_remaining_packet_payload(s->wsi) == 0;
    if (whole && s->rx.len == 0) {
        s->h->on_text(s, s->arg, data, len);
        return 0;
    }
    if (buf_append(&s->rx, data, len) != OK) {
        ws_socket_ended(s, WS_CLOSED_TOO_LARGE, "message too large", 17);
        return -1;
    }
    if (!whole)
        return 0;
    struct buf message = s->rx;
    buf_init(&s->rx, message.max); /* given back: most sockets never get a long one again */
    s->h->on_text(s, s->arg, (const char *)message.data, message.len);
    buf_free(&message);
    return 0;
}

static void on_peer_close(struct ws_socket *s, const void *data, size_t len)
{
    const unsigned char *p = data;
    if (s->state == CLOSING)
        return;
    if (len >= 2)
        ws_socket_ended(s, p[0] << 8 | p[1], (const char *)p + 2, len - 2);
    else
        ws_socket_ended(s, 1005, NULL, 0);
}

/* ---- the library's callback ---- */

static void on_refused(struct ws_socket *s, struct lws *wsi, const char *why)
{
    unsigned status = s->beginning ? 0 : lws_http_client_http_response(wsi); /* 0 without one */
    bool answered = status > 101 && status < 600;
    ws_socket_ended(s, answered ? (int)status : WS_CLOSED_CONNECT, why, why ? strlen(why) : 0);
    if (s->beginning)
        return; /* begin() goes on */
    s->wsi = wsi;
    ws_socket_finish(s);
}

static int on_established(struct ws_socket *s, struct lws *wsi)
{
    struct ws_client *c = s->client;
    s->wsi = wsi;
    s->state = OPEN;
    c->n_connecting--;
    c->n_open++;
    if (c->waiting)
        loop_timer_start(c->pump, 0, 0);
    if (!s->dropped)
        s->h->on_open(s, s->arg);
    return 0;
}

static int on_lws(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                  size_t len)
{
    struct ws_socket *s = wsi ? lws_get_opaque_user_data(wsi) : NULL;
    (void)user;
    if (!s)
        return 0;
    switch ((int)reason) {
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        on_refused(s, wsi, in);
        return 0;
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        return on_established(s, wsi);
    case LWS_CALLBACK_CLIENT_RECEIVE:
        return on_receive(s, in, len);
    case LWS_CALLBACK_CLIENT_RECEIVE_PONG:
        if (s->h->on_pong && s->ping_us && !s->dropped)
            s->h->on_pong(s, s->arg, clock_mono_us() - s->ping_us);
        return 0;
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return on_writable(s);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        on_peer_close(s, in, len);
        return 0;
    case LWS_CALLBACK_CLIENT_CLOSED:
        ws_socket_ended(s, WS_CLOSED_LOST, NULL, 0);
        ws_socket_finish(s);
        return 0;
    case LWS_CALLBACK_WSI_DESTROY: /* all that is told of a connection lost within its handshake */
        on_refused(s, wsi, "lost");
        return 0;
    default:
        return 0;
    }
}

static const struct lws_protocols protocols[] = {
    {"load", on_lws, 0, WS_CLIENT_RX, 0, NULL, 0},
    {NULL, NULL, 0, 0, 0, NULL, 0},
};

/* ---- dropping, from the loop: never from inside the library's callbacks ---- */

static void drop_now(struct ws_socket *s)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    if (s->wsi) {
        setsockopt(lws_get_socket_fd(s->wsi), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        lws_set_timeout(s->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_SYNC);
    } else {
        ws_socket_finish(s);
    }
}

static void drop_all(void *arg)
{
    struct ws_client *c = arg;
    for (int i = 0; i < DROPS_A_TURN && c->drops; i++) {
        struct ws_socket *s = c->drops;
        drop_now(s);
        if (c->drops == s) { /* the library didn't tell of its end */
            s->wsi = NULL;
            ws_socket_ended(s, WS_CLOSED_DROPPED, NULL, 0);
            ws_socket_finish(s);
        }
    }
    if (c->drops)
        loop_timer_start(c->dropper, 0, 0);
}

/* ---- the interface ---- */

struct ws_client *ws_client_new(const struct ws_client_options *o)
{
    struct ws_client *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->o = *o;
    if (c->o.max_message == 0)
        c->o.max_message = MAX_MESSAGE;
    c->pump = loop_timer_new(o->loop, ws_client_pump, c);
    c->dropper = loop_timer_new(o->loop, drop_all, c);
    c->credit_us = clock_mono_us();
    if (c->pump && c->dropper && lws_host_start(&c->host, o->loop, protocols, c) == OK)
        return c;
    ws_client_free(c);
    return NULL;
}

void ws_client_free(struct ws_client *c)
{
    if (!c)
        return;
    c->stopping = true;
    while (c->waiting) {
        ws_socket_ended(c->waiting, WS_CLOSED_CONNECT, NULL, 0);
        ws_socket_finish(c->waiting);
    }
    lws_host_stop(&c->host);
    while (c->sockets) { /* those that the library ended without a word */
        c->sockets->wsi = NULL;
        ws_socket_ended(c->sockets, WS_CLOSED_LOST, NULL, 0);
        ws_socket_finish(c->sockets);
    }
    if (c->pump)
        loop_timer_free(c->pump);
    if (c->dropper)
        loop_timer_free(c->dropper);
    free(c);
}

size_t ws_client_open_count(const struct ws_client *c)
{
    return c->n_open;
}

size_t ws_client_pending(const struct ws_client *c)
{
    return c->n_waiting + c->n_connecting;
}

static int sendable(const struct ws_socket *s)
{
    if (s->over || s->dropped || s->close_due || s->state == CLOSING)
        return ERR_CLOSED;
    return s->state == OPEN ? OK : ERR_WRONG_STATE;
}

int ws_socket_send(struct ws_socket *s, const char *text, size_t len)
{
    int rc = sendable(s);
    if (rc != OK)
        return rc;
    struct out *o = malloc(sizeof(*o) + LWS_PRE + len);
    if (!o)
        return ERR_NOMEM;
    o->next = NULL;
    o->len = len;
    memcpy(o->room + LWS_PRE, text, len);
    LL_APPEND(s->out, o);
    lws_callback_on_writable(s->wsi);
    return OK;
}

int ws_socket_ping(struct ws_socket *s)
{
    int rc = sendable(s);
    if (rc != OK)
        return rc;
    s->ping_due = true;
    lws_callback_on_writable(s->wsi);
    return OK;
}

int64_t ws_socket_begun_us(const struct ws_socket *s)
{
    return s->begun_us;
}

void ws_socket_close(struct ws_socket *s, int code, const char *reason)
{
    if (sendable(s) == ERR_WRONG_STATE) {
        ws_socket_drop(s);
        return;
    }
    if (sendable(s) != OK)
        return;
    ws_socket_ended(s, code, reason, reason ? strlen(reason) : 0);
    s->close_due = true;
    lws_callback_on_writable(s->wsi);
}

void ws_socket_drop(struct ws_socket *s)
{
    struct ws_client *c = s->client;
    if (s->dropped || s->state == CLOSING)
        return;
    s->dropped = true;
    LL_PREPEND2(c->drops, s, next_drop);
    loop_timer_start(c->dropper, 0, 0);
}
