#include "lib/io/udp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/metrics.h"

METRIC_COUNTER_DEF(drops, "sotto_udp_send_drops_total", NULL,
                   "Datagrams the kernel would not take: buffers full or peer unreachable");
METRIC_COUNTER_DEF(truncated, "sotto_udp_truncated_total", NULL, "Datagrams larger than we keep");

struct udp {
    int fd, port;
    /* prepared once; a batch only fills in lengths and pointers */
    struct mmsghdr msgs[UDP_BATCH];
    struct iovec iov[UDP_BATCH];
};

/* The local address as IPv6: "" and "::" are every address of both families, "0.0.0.0" every one of
 * IPv4, and an IPv4 address its mapped form. */
static int local_address(struct sockaddr_in6 *a, const char *address, int port)
{
    struct in_addr v4;
    memset(a, 0, sizeof(*a));
    a->sin6_family = AF_INET6;
    a->sin6_port = htons((uint16_t)port);
    if (address[0] == 0 || inet_pton(AF_INET6, address, &a->sin6_addr) == 1)
        return OK;
    if (inet_pton(AF_INET, address, &v4) != 1)
        return ERR_INVALID;
    a->sin6_addr.s6_addr[10] = a->sin6_addr.s6_addr[11] = 0xff;
    memcpy(&a->sin6_addr.s6_addr[12], &v4, sizeof(v4));
    return OK;
}

/* As large as asked for: beyond the system's limit where we may (CAP_NET_ADMIN), else up to it. */
static void set_buffer(int fd, int force, int plain, int bytes)
{
    if (bytes > 0 && setsockopt(fd, SOL_SOCKET, force, &bytes, sizeof(bytes)) != 0)
        (void)setsockopt(fd, SOL_SOCKET, plain, &bytes, sizeof(bytes));
}

static int open_socket(const char *address, int port, int buffer_bytes)
{
    struct sockaddr_in6 a;
    int off = 0;
    if (port < 0 || port > 65535 || local_address(&a, address, port) != OK)
        return -1;
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, buffer_bytes);
    set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, buffer_bytes);
    if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) != 0 ||
        bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int udp_open(struct udp **out, const char *address, int port, int buffer_bytes)
{
    struct udp *u = calloc(1, sizeof(*u));
    if (!u)
        return ERR_NOMEM;
    u->fd = open_socket(address, port, buffer_bytes);
    struct sockaddr_in6 a;
    socklen_t n = sizeof(a);
    if (u->fd < 0 || getsockname(u->fd, (struct sockaddr *)&a, &n) != 0) {
        LOG_E("udp_open_failed", "address=%s port=%d why=\"%s\"", address, port, strerror(errno));
        udp_close(u);
        return ERR_IO;
    }
    u->port = ntohs(a.sin6_port);
    for (int i = 0; i < UDP_BATCH; i++) {
        u->msgs[i].msg_hdr.msg_iov = &u->iov[i];
        u->msgs[i].msg_hdr.msg_iovlen = 1;
    }
    metric_register(&drops);
    metric_register(&truncated);
    *out = u;
    return OK;
}

void udp_close(struct udp *u)
{
    if (!u)
        return;
    if (u->fd >= 0)
        close(u->fd);
    free(u);
}

int udp_fd(const struct udp *u)
{
    return u->fd;
}

int udp_port(const struct udp *u)
{
    return u->port;
}

int udp_recv(struct udp *u, struct udp_packet *p, int n)
{
    if (n > UDP_BATCH)
        n = UDP_BATCH;
    for (int i = 0; i < n; i++) {
        u->iov[i] = (struct iovec){.iov_base = p[i].data, .iov_len = UDP_MTU};
        u->msgs[i].msg_hdr.msg_name = &p[i].peer;
        u->msgs[i].msg_hdr.msg_namelen = sizeof(p[i].peer);
        u->msgs[i].msg_hdr.msg_flags = 0;
    }
    int got = recvmmsg(u->fd, u->msgs, (unsigned)n, MSG_DONTWAIT, NULL);
    if (got < 0) {
        /* A refused port of some peer shows here (ICMP) and is no fault of ours. */
        bool none = errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ||
                    errno == ECONNREFUSED || errno == EHOSTUNREACH || errno == ENETUNREACH;
        return none ? 0 : ERR_IO;
    }
    for (int i = 0; i < got; i++) {
        p[i].len = u->msgs[i].msg_len;
        if (u->msgs[i].msg_hdr.msg_flags & MSG_TRUNC) {
            p[i].len = 0;
            metric_add(&truncated, 1);
        }
    }
    return got;
}

/* One sendmmsg stops at the first datagram the kernel refuses; that one is left out and the rest
 * goes on, unless the buffer is full, when nothing more would go. */
static int send_some(struct udp *u, int n)
{
    int at = 0, sent = 0;
    while (at < n) {
        int k = sendmmsg(u->fd, u->msgs + at, (unsigned)(n - at), MSG_DONTWAIT);
        if (k > 0) {
            at += k;
            sent += k;
        } else if (errno == EINTR) {
            continue;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) {
            break;
        } else {
            at++;
        }
    }
    return sent;
}

int udp_send(struct udp *u, const struct udp_packet *p, int n)
{
    int sent = 0;
    for (int from = 0; from < n; from += UDP_BATCH) {
        int batch = n - from < UDP_BATCH ? n - from : UDP_BATCH;
        for (int i = 0; i < batch; i++) {
            const struct udp_packet *q = &p[from + i];
            u->iov[i] = (struct iovec){.iov_base = q->data, .iov_len = q->len};
            u->msgs[i].msg_hdr.msg_name = (void *)&q->peer;
            u->msgs[i].msg_hdr.msg_namelen = sizeof(q->peer);
        }
        sent += send_some(u, batch);
    }
    if (sent < n)
        metric_add(&drops, n - sent);
    return sent;
}
