/* The sockets: one an endpoint, read by recvmmsg into buffers that all share. Datagrams that were
 * dropped for want of room are asked of the kernel by SO_MEMINFO, which costs nothing a packet. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/client/endpoint_private.h"
#include "lib/base/err.h"
#include "lib/base/ids.h"
#include "lib/proto/demux.h"

#define MAX_AGO_US 2000000 /* older than that is a clock that was set */

/* Makes the headers that the last call wrote to as good as new. With names while anybody may write
 * to us, without once connected. */
static void prepare(struct endpoint *e)
{
    struct endpoint_host *h = e->host;
    bool named = !e->is_connected_socket;
    int n = named == h->in_named ? h->in_used : ENDPOINT_BATCH;
    for (int i = 0; i < n; i++) {
        struct msghdr *m = &h->in[i].msg_hdr;
        m->msg_name = named ? &h->in_from[i] : NULL;
        m->msg_namelen = named ? sizeof h->in_from[i] : 0;
        m->msg_control = &h->in_control[i];
        m->msg_controllen = sizeof h->in_control[i];
    }
    h->in_named = named;
}

static int receive(struct endpoint *e)
{
    struct endpoint_host *h = e->host;
    int n;
    prepare(e);
    do
        n = recvmmsg(e->fd, h->in, ENDPOINT_BATCH, 0, NULL);
    while (n < 0 && (errno == EINTR || errno == ECONNREFUSED)); /* ICMP of a former send */
    h->stats.recv_calls++;
    h->in_used = n > 0 ? n : 0;
    return n;
}

/* When the kernel took the datagram in, on our clock: what we were late doesn't count. */
static int64_t arrived(struct endpoint_host *h, int i, int64_t now_us, int64_t wall_us)
{
    struct msghdr *m = &h->in[i].msg_hdr;
    const struct cmsghdr *c = CMSG_FIRSTHDR(m);
    struct timespec t;
    if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
        return now_us;
    memcpy(&t, CMSG_DATA(c), sizeof t);
    int64_t ago_us = wall_us - (t.tv_sec * 1000000LL + t.tv_nsec / 1000);
    return ago_us > 0 && ago_us < MAX_AGO_US ? now_us - ago_us : now_us;
}

void endpoint_datagram(struct endpoint *e, uint8_t *data, size_t len,
                       const struct sockaddr_in *from, int64_t now_us, int64_t arrived_us)
{
    switch (demux_packet(data, len)) {
    case PACKET_RTP:
        endpoint_rtp(e, data, len, arrived_us);
        break;
    case PACKET_RTCP:
        endpoint_rtcp(e, data, len, arrived_us);
        break;
    case PACKET_STUN:
        endpoint_stun(e, data, len, from, now_us);
        break;
    case PACKET_DTLS:
        endpoint_dtls(e, data, len, from, now_us);
        break;
    case PACKET_UNKNOWN:
        break;
    }
}

static void on_readable(uv_poll_t *p, int status, int events)
{
    struct endpoint *e = p->data;
    struct endpoint_host *h = e->host;
    int64_t now = 0;
    (void)status;
    (void)events;
    for (int round = 0; round < ENDPOINT_ROUNDS; round++) {
        int n = receive(e);
        now = clock_mono_us();
        int64_t wall = clock_wall_us();
        for (int i = 0; i < n; i++) {
            if (!(h->in[i].msg_hdr.msg_flags & MSG_TRUNC))
                endpoint_datagram(e, h->in_data[i], h->in[i].msg_len, &h->in_from[i], now,
                                  arrived(h, i, now, wall));
        }
        if (n < ENDPOINT_BATCH)
            break;
    }
    endpoint_schedule(e, now);
}

/* A bound socket with its buffers; -1: none is to be had. */
static int bound(int *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t len = sizeof a;
    int bytes = ENDPOINT_BUFFER, on = 1;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (bind(fd, (struct sockaddr *)&a, sizeof a) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) != 0) {
        close(fd);
        return -1;
    }
    *port = ntohs(a.sin_port);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    return fd;
}

int endpoint_socket_renew(struct endpoint *e)
{
    int port;
    int fd = bound(&port);
    if (fd < 0)
        return ERR_IO;
    /* The number stays, so libuv's handle does too; stopped, it lets go of the former socket. */
    uv_poll_stop(&e->poll);
    int r = dup3(fd, e->fd, O_CLOEXEC);
    close(fd);
    if (r < 0 || uv_poll_start(&e->poll, UV_READABLE, on_readable) != 0)
        return ERR_IO;
    e->port = port;
    e->dropped_before = 0;
    e->is_connected_socket = false;
    endpoint_socket_connect(e);
    return OK;
}

int endpoint_socket_open(struct endpoint *e)
{
    e->fd = bound(&e->port);
    if (e->fd < 0 || uv_poll_init(loop_uv(e->host->loop), &e->poll, e->fd) != 0)
        return ERR_IO;
    e->poll_open = true;
    e->poll.data = e;
    return uv_poll_start(&e->poll, UV_READABLE, on_readable) == 0 ? OK : ERR_IO;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

void endpoint_socket_close(struct endpoint *e)
{
    bool opened = e->poll_open;
    int fd = e->fd;
    if (opened)
        uv_close((uv_handle_t *)&e->poll, on_closed);
    if (fd >= 0)
        close(fd);
    if (!opened)
        free(e);
}

void endpoint_socket_connect(struct endpoint *e)
{
    if (e->fd >= 0 && connect(e->fd, (struct sockaddr *)&e->peer, sizeof e->peer) == 0)
        e->is_connected_socket = true;
}

void endpoint_transmit_to(struct endpoint *e, const uint8_t *data, size_t len,
                          const struct sockaddr_in *to)
{
    bool named = !e->is_connected_socket;
    ssize_t n;
    do
        n = sendto(e->fd, data, len, 0, named ? (const struct sockaddr *)to : NULL,
                   named ? sizeof *to : 0);
    while (n < 0 && (errno == EINTR || errno == ECONNREFUSED));
    e->host->stats.send_calls++;
    e->host->stats.refused += n < 0;
}

void endpoint_transmit(struct endpoint *e, const uint8_t *data, size_t len)
{
    if (e->nice)
        nice_peer_send(e->nice, data, len);
    else if (e->has_peer)
        endpoint_transmit_to(e, data, len, &e->peer);
}

/* All datagrams of a frame in one call; one that is refused is left out. */
static void send_all(struct endpoint *e, struct mmsghdr *out, size_t n)
{
    size_t done = 0;
    int tries = 0;
    while (done < n) {
        int sent = sendmmsg(e->fd, out + done, (unsigned)(n - done), 0);
        e->host->stats.send_calls++;
        if (sent > 0) {
            done += (size_t)sent;
        } else if (errno == EAGAIN || errno == ENOBUFS) {
            e->host->stats.refused += n - done;
            return;
        } else if ((errno != ECONNREFUSED && errno != EINTR) || ++tries > 2) {
            e->host->stats.refused++;
            done++;
        }
    }
}

void endpoint_transmit_batch(struct endpoint *e, struct iovec *iov, size_t n)
{
    struct mmsghdr out[ENDPOINT_FRAME];
    if (e->nice) {
        for (size_t i = 0; i < n; i++)
            nice_peer_send(e->nice, iov[i].iov_base, iov[i].iov_len);
        return;
    }
    memset(out, 0, n * sizeof *out);
    for (size_t i = 0; i < n; i++) {
        out[i].msg_hdr.msg_iov = &iov[i];
        out[i].msg_hdr.msg_iovlen = 1;
        if (!e->is_connected_socket) {
            out[i].msg_hdr.msg_name = &e->peer;
            out[i].msg_hdr.msg_namelen = sizeof e->peer;
        }
    }
    send_all(e, out, n);
}

uint64_t endpoint_socket_dropped(const struct endpoint *e)
{
    uint32_t info[SK_MEMINFO_VARS] = {0};
    socklen_t len = sizeof info;
    if (e->fd < 0 || getsockopt(e->fd, SOL_SOCKET, SO_MEMINFO, info, &len) != 0)
        return 0;
    return info[SK_MEMINFO_DROPS];
}
