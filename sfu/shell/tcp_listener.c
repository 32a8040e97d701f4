#include "sfu/shell/tcp_listener.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <uthash.h>
#include <utlist.h>

#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/io/tcp_frames.h"
#include "lib/io/tcp_listen.h"
#include "lib/io/udp_internal.h"
#include "sfu/core/admission.h"
#include "sfu/shell/tcp_conn.h"

#define EVENTS  64 /* looked at a turn */
#define ACCEPTS 32 /* a turn */

struct tcp_prefix {
    uint64_t key;
    size_t n; /* connections */
    UT_hash_handle hh;
};

/* ---- connections ---- */

static void count_prefix(struct tcp_listener *l, struct tcp_prefix *p, int by)
{
    p->n = by > 0 ? p->n + 1 : p->n - 1;
    if (p->n == 0) {
        HASH_DEL(l->prefixes, p);
        free(p);
    }
}

void tcp_conn_end(struct tcp_conn *c, bool tell)
{
    struct tcp_listener *l = c->listener;
    if (c->dead) {
        return;
    }
    c->dead = true;
    DL_DELETE(*(c->proven ? &l->proven : &l->unproven), c);
    if (c->queue_len > 0) {
        DL_DELETE2(l->slow, c, slow_prev, slow_next);
    }
    close(c->fd);
    free(c->queue);
    c->queue = NULL;
    c->queue_len = 0;
    count_prefix(l, c->prefix, -1);
    l->n--;
    DL_APPEND(l->dead, c);
    if (tell && c->user) {
        l->o.on_end(l->o.arg, c);
    }
}

/* What has ended is freed when nobody can be in the middle of it any more. */
static void bury(struct tcp_listener *l)
{
    struct tcp_conn *c, *tmp;
    DL_FOREACH_SAFE(l->dead, c, tmp)
    {
        DL_DELETE(l->dead, c);
        free(c);
    }
}

static struct tcp_prefix *find_prefix(struct tcp_listener *l, const struct sockaddr_in6 *peer)
{
    uint64_t key = admission_prefix(peer->sin6_addr.s6_addr);
    struct tcp_prefix *p;
    HASH_FIND(hh, l->prefixes, &key, sizeof key, p);
    if (!p && (p = calloc(1, sizeof *p))) {
        p->key = key;
        HASH_ADD(hh, l->prefixes, key, sizeof p->key, p);
    }
    return p;
}

/* Room for one more: ERR_LIMIT. */
static int make_room(struct tcp_listener *l)
{
    if (l->n >= l->o.connections && l->unproven) {
        l->counts.refused++;
        tcp_conn_end(l->unproven, false);
    }
    return l->n < l->o.connections ? OK : ERR_LIMIT;
}

/* Small packets leave at once, and the kernel takes no more than it will send soon: what waits,
 * waits with us, where it can be dropped. */
static void tune(int fd)
{
    int on = 1, low = TCP_UNSENT;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &low, sizeof low);
}

static void to_v6(struct sockaddr_in6 *a)
{
    struct sockaddr_in v4;
    if (a->sin6_family == AF_INET) {
        memcpy(&v4, a, sizeof v4);
        udp_from_v4(a, &v4);
    }
}

static int take_in(struct tcp_listener *l, int fd, const struct sockaddr_in6 *peer,
                   struct tcp_prefix *p, int64_t now_us)
{
    struct sockaddr_in6 local = {0};
    socklen_t len = sizeof local;
    struct tcp_conn *c = calloc(1, sizeof *c);
    if (!c || getsockname(fd, (struct sockaddr *)&local, &len) != 0) {
        free(c);
        return ERR_NOMEM;
    }
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &e) != 0) {
        free(c);
        return ERR_NOMEM;
    }
    to_v6(&local);
    tune(fd);
    c->listener = l;
    c->fd = fd;
    c->peer = *peer;
    c->local = local.sin6_addr;
    c->since_us = now_us;
    c->prefix = p;
    count_prefix(l, p, 1);
    DL_APPEND(l->unproven, c);
    l->n++;
    l->counts.accepted++;
    return OK;
}

static void accept_one(struct tcp_listener *l, int fd, struct sockaddr_in6 *peer, int64_t now_us)
{
    to_v6(peer);
    struct tcp_prefix *p = find_prefix(l, peer);
    if (p) {
        p->n++; /* it must not go while room is made */
        int err = p->n > l->o.per_prefix ? ERR_LIMIT : make_room(l);
        err = err ? err : take_in(l, fd, peer, p, now_us);
        count_prefix(l, p, -1);
        if (err == OK) {
            return;
        }
    }
    l->counts.refused++;
    close(fd);
}

static void watch_port(struct tcp_listener *l, bool on)
{
    struct epoll_event e = {.events = on ? EPOLLIN : 0, .data.ptr = NULL};
    l->deaf = !on;
    (void)epoll_ctl(l->epoll, EPOLL_CTL_MOD, l->fd, &e);
}

static void accept_some(struct tcp_listener *l, int64_t now_us)
{
    for (int i = 0; i < ACCEPTS; i++) {
        struct sockaddr_in6 peer = {0};
        socklen_t len = sizeof peer;
        int fd = accept4(l->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            accept_one(l, fd, &peer, now_us);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            watch_port(l, false); /* the next tick tries again; until then it would only spin */
            return;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        }
    }
}

/* ---- reading ---- */

static void read_some(struct tcp_listener *l, struct tcp_conn *c)
{
    ssize_t n = recv(c->fd, l->in, sizeof l->in, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
        tcp_conn_end(c, true);
        return;
    }
    const uint8_t *data = l->in, *frame;
    size_t len = n > 0 ? (size_t)n : 0;
    int got = 0;
    while (!c->dead && (got = tcp_frames_next(&c->in, &data, &len, &frame)) > 0) {
        memcpy(l->packet, frame, (size_t)got); /* aligned, and the callee's to change */
        l->o.on_packet(l->o.arg, c, l->packet, (size_t)got);
    }
    if (got < 0 && !c->dead) {
        l->counts.unproven += !c->proven;
        tcp_conn_end(c, true);
    }
}

/* ---- the loop's side ---- */

void tcp_listener_turn(struct tcp_listener *l, int64_t now_us)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(l->epoll, events, EVENTS, 0);
    for (int i = 0; i < n; i++) {
        struct tcp_conn *c = events[i].data.ptr;
        if (!c) {
            accept_some(l, now_us);
            continue;
        }
        if (!c->dead && (events[i].events & EPOLLOUT)) {
            tcp_conn_write(c, now_us);
        }
        if (!c->dead && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
            read_some(l, c);
        }
    }
    bury(l);
}

void tcp_listener_tick(struct tcp_listener *l, int64_t now_us)
{
    struct tcp_conn *c, *tmp;
    if (l->deaf) {
        watch_port(l, true);
    }
    while (l->unproven && now_us - l->unproven->since_us > TCP_PROOF_US) {
        l->counts.unproven++;
        tcp_conn_end(l->unproven, true);
    }
    DL_FOREACH_SAFE2(l->slow, c, tmp, slow_next)
    {
        if (now_us - c->mark_us > TCP_BEHIND_US) {
            l->counts.slow++;
            tcp_conn_end(c, true);
        }
    }
    bury(l);
}

bool tcp_listener_is_idle(const struct tcp_listener *l)
{
    return !l->unproven && !l->slow && !l->dead && !l->deaf;
}

int tcp_listener_fd(const struct tcp_listener *l)
{
    return l->epoll;
}

int tcp_listener_port(const struct tcp_listener *l)
{
    return l->port;
}

size_t tcp_listener_count(const struct tcp_listener *l)
{
    return l->n;
}

void tcp_listener_take_counts(struct tcp_listener *l, struct tcp_counts *out)
{
    *out = l->counts;
    l->counts = (struct tcp_counts){0};
}

/* ---- life ---- */

static int open_port(struct tcp_listener *l)
{
    int err = tcp_listen(&l->fd, &l->port, l->o.address, l->o.port);
    if (err == ERR_CONFLICT && l->o.port != 0) {
        err = tcp_listen(&l->fd, &l->port, l->o.address, 0);
        LOG_W("tcp_port_taken", "port=%d instead=%d", l->o.port, l->port);
    }
    return err;
}

int tcp_listener_open(struct tcp_listener **out, const struct tcp_listener_options *o)
{
    struct tcp_listener *l = aligned_alloc(64, (sizeof *l + 63) / 64 * 64);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    if (!l) {
        return ERR_NOMEM;
    }
    memset(l, 0, sizeof *l);
    l->o = *o;
    l->fd = -1;
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    int err = l->epoll < 0 ? ERR_IO : open_port(l);
    if (!err && epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->fd, &e) != 0) {
        err = ERR_IO;
    }
    if (err) {
        tcp_listener_close(l);
        return err;
    }
    *out = l;
    return OK;
}

void tcp_listener_close(struct tcp_listener *l)
{
    if (!l) {
        return;
    }
    while (l->unproven) {
        tcp_conn_end(l->unproven, false);
    }
    while (l->proven) {
        tcp_conn_end(l->proven, false);
    }
    bury(l);
    if (l->fd >= 0) {
        close(l->fd);
    }
    if (l->epoll >= 0) {
        close(l->epoll);
    }
    free(l);
}
