/* The sending side of an ICE-TCP connection: see tcp_listener.h. */
#include "sfu/shell/tcp_conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <utlist.h>

/* Writes without waiting: the bytes that the kernel took, or -1 when the connection is broken. */
static ssize_t write_some(const struct tcp_conn *c, const uint8_t *data, size_t len)
{
    ssize_t n = send(c->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR || errno == ENOBUFS)) {
        return 0;
    }
    return n;
}

static void watch(const struct tcp_conn *c, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = (void *)(uintptr_t)c};
    (void)epoll_ctl(c->listener->epoll, EPOLL_CTL_MOD, c->fd, &e);
}

/* ---- the queue ---- */

static void begin_queue(struct tcp_conn *c, int64_t now_us)
{
    c->queue = malloc(TCP_QUEUE);
    c->queue_at = 0;
    c->mark = 0;
    c->mark_us = now_us;
}

/* Keeps bytes for later, up to a bound. False: there is no room. */
static bool put(struct tcp_conn *c, const uint8_t *data, size_t len, size_t most, int64_t now_us)
{
    if (!c->queue) {
        begin_queue(c, now_us);
    }
    if (!c->queue || len > most || c->queue_len > most - len) {
        return false;
    }
    if (c->queue_at + c->queue_len + len > TCP_QUEUE) {
        memmove(c->queue, c->queue + c->queue_at, c->queue_len);
        c->queue_at = 0;
    }
    memcpy(c->queue + c->queue_at + c->queue_len, data, len);
    if (c->queue_len == 0) {
        DL_APPEND2(c->listener->slow, c, slow_prev, slow_next);
        watch(c, EPOLLIN | EPOLLOUT);
        c->mark = len;
        c->mark_us = now_us;
    }
    c->queue_len += len;
    return true;
}

static void end_queue(struct tcp_conn *c)
{
    DL_DELETE2(c->listener->slow, c, slow_prev, slow_next);
    watch(c, EPOLLIN);
    free(c->queue);
    c->queue = NULL;
}

void tcp_conn_write(struct tcp_conn *c, int64_t now_us)
{
    if (c->queue_len == 0) {
        return;
    }
    ssize_t n = write_some(c, c->queue + c->queue_at, c->queue_len);
    if (n < 0) {
        tcp_conn_end(c, true);
        return;
    }
    size_t sent = (size_t)n;
    c->queue_at += sent;
    c->queue_len -= sent;
    if (c->queue_len == 0) {
        end_queue(c);
    } else if (sent >= c->mark) {
        c->mark = c->queue_len; /* what is here now must have left a second from now */
        c->mark_us = now_us;
    } else {
        c->mark -= sent;
    }
}

/* ---- packets ---- */

/* Nothing more can leave. It ends with the next turn, which finds it hung up, and not here: whoever
 * sends may be about to become its user. */
static void break_off(const struct tcp_conn *c)
{
    (void)shutdown(c->fd, SHUT_RDWR);
}

/* The packets in `out` of which the kernel took `sent` bytes: the rest of the one it took a part of
 * must follow, those behind it may be left out. */
static void keep_rest(struct tcp_conn *c, size_t sent, int64_t now_us)
{
    struct tcp_listener *l = c->listener;
    size_t at = 0;
    for (size_t i = 0; i < l->n_out; at = l->out_packet[i++].end) {
        size_t end = l->out_packet[i].end;
        if (end <= sent) {
            continue;
        }
        bool begun = at < sent;
        size_t from = begun ? sent : at;
        size_t most = begun || l->out_packet[i].dear ? TCP_QUEUE : TCP_QUEUE_LOW;
        if (!put(c, l->out + from, end - from, most, now_us)) {
            l->counts.dropped++;
            if (begun) { /* out of memory, in the middle of a packet */
                break_off(c);
            }
        }
    }
}

static void flush(struct tcp_conn *c, int64_t now_us)
{
    struct tcp_listener *l = c->listener;
    if (l->n_out > 0 && !c->dead) {
        ssize_t n = c->queue_len > 0 ? 0 : write_some(c, l->out, l->out_packet[l->n_out - 1].end);
        if (n < 0) {
            l->counts.dropped += l->n_out;
            break_off(c);
        } else {
            keep_rest(c, (size_t)n, now_us);
        }
    }
    l->n_out = 0;
}

void tcp_conn_cork(struct tcp_conn *c)
{
    c->corked = true;
}

void tcp_conn_uncork(struct tcp_conn *c, int64_t now_us)
{
    c->corked = false;
    flush(c, now_us);
}

bool tcp_conn_send(struct tcp_conn *c, const uint8_t *data, size_t len, bool dear, int64_t now_us)
{
    struct tcp_listener *l = c->listener;
    uint64_t dropped = l->counts.dropped;
    if (c->dead || len == 0 || len > TCP_FRAME_MAX) {
        return false;
    }
    if (l->n_out == TCP_TURN) {
        flush(c, now_us);
    }
    size_t at = l->n_out > 0 ? l->out_packet[l->n_out - 1].end : 0;
    tcp_frames_header(l->out + at, len);
    memcpy(l->out + at + TCP_FRAME_HEADER, data, len);
    l->out_packet[l->n_out++] = (struct tcp_out){.end = at + TCP_FRAME_HEADER + len, .dear = dear};
    if (!c->corked) {
        flush(c, now_us);
    }
    return !c->dead && l->counts.dropped == dropped;
}

/* ---- what the worker asks and tells ---- */

const struct sockaddr_in6 *tcp_conn_peer(const struct tcp_conn *c)
{
    return &c->peer;
}

const struct in6_addr *tcp_conn_local(const struct tcp_conn *c)
{
    return &c->local;
}

bool tcp_conn_is_proven(const struct tcp_conn *c)
{
    return c->proven;
}

void tcp_conn_prove(struct tcp_conn *c)
{
    if (!c->proven && !c->dead) {
        DL_DELETE(c->listener->unproven, c);
        DL_APPEND(c->listener->proven, c);
        c->proven = true;
    }
}

void *tcp_conn_user(const struct tcp_conn *c)
{
    return c->user;
}

void tcp_conn_set_user(struct tcp_conn *c, void *user)
{
    c->user = user;
}

void tcp_conn_drop(struct tcp_conn *c)
{
    c->listener->counts.unproven += !c->proven && !c->dead;
    tcp_conn_end(c, false);
}
