/* UDP in batches: see udp.h. One socket for both families where the host has IPv6: IPv4 peers show
 * as v4-mapped addresses (RFC 4291 section 2.5.5.2) and are written back to IPv4 only where the
 * host has no IPv6 at all. */
#include "lib/io/udp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/metrics.h"

/* An in6_pktinfo or, where ipv4_only, an in_pktinfo, which is smaller. */
union control {
    struct cmsghdr align;
    uint8_t room[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

struct udp {
    int fd;
    int port;
    bool ipv4_only;
    bool any; /* bound to no one address: which one is used is told by and to the kernel */
    union control control[UDP_BATCH];
    struct mmsghdr msgs[UDP_BATCH];
    struct iovec iov[UDP_BATCH];
    struct sockaddr_in v4[UDP_BATCH]; /* used where ipv4_only */
};

METRIC_COUNTER_DEF(m_sent, "sotto_udp_sent_total", NULL, "Datagrams that the kernel took");
METRIC_COUNTER_DEF(m_refused, "sotto_udp_refused_total", NULL, "Datagrams that the kernel refused");

/* The address as an IPv6 one. "" and "::" are any; false when it is neither family's text. */
static bool address_of(struct sockaddr_in6 *out, const char *address, int port)
{
    memset(out, 0, sizeof(*out));
    out->sin6_family = AF_INET6;
    out->sin6_port = htons((uint16_t)port);
    if (!*address || strcmp(address, "0.0.0.0") == 0)
        return true; /* any, of both families */
    if (inet_pton(AF_INET6, address, &out->sin6_addr) == 1)
        return true;
    struct in_addr v4;
    if (inet_pton(AF_INET, address, &v4) != 1)
        return false;
    out->sin6_addr.s6_addr[10] = out->sin6_addr.s6_addr[11] = 0xff;
    memcpy(&out->sin6_addr.s6_addr[12], &v4, 4);
    return true;
}

static void to_v4(struct sockaddr_in *out, const struct sockaddr_in6 *in)
{
    memset(out, 0, sizeof(*out));
    out->sin_family = AF_INET;
    out->sin_port = in->sin6_port;
    memcpy(&out->sin_addr, &in->sin6_addr.s6_addr[12], 4);
}

static void map_v4(struct in6_addr *out, const struct in_addr *in)
{
    memset(out, 0, sizeof(*out));
    out->s6_addr[10] = out->s6_addr[11] = 0xff;
    memcpy(&out->s6_addr[12], in, 4);
}

static void from_v4(struct sockaddr_in6 *out, const struct sockaddr_in *in)
{
    memset(out, 0, sizeof(*out));
    out->sin6_family = AF_INET6;
    out->sin6_port = in->sin_port;
    map_v4(&out->sin6_addr, &in->sin_addr);
}

static int bind_any_family(struct udp *u, const struct sockaddr_in6 *a)
{
    int off = 0;
    u->fd = socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (u->fd >= 0) {
        setsockopt(u->fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
        if (bind(u->fd, (const struct sockaddr *)a, sizeof(*a)) == 0)
            return OK;
        int why = errno;
        close(u->fd);
        u->fd = -1;
        if (why != EADDRNOTAVAIL && why != EAFNOSUPPORT) {
            errno = why;
            return ERR_IO;
        }
    }
    struct sockaddr_in v4;
    to_v4(&v4, a);
    u->ipv4_only = true;
    u->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (u->fd < 0 || bind(u->fd, (struct sockaddr *)&v4, sizeof(v4)) != 0)
        return ERR_IO;
    return OK;
}

/* Asks to be told which address each datagram came to. IPv4 ones come as v4-mapped on a socket of
 * both families. Where the kernel refuses, it goes on choosing the address itself. */
static void learn_local(struct udp *u, const struct sockaddr_in6 *bound)
{
    static const struct in6_addr mapped_any = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
    int on = 1;
    if (!IN6_IS_ADDR_UNSPECIFIED(&bound->sin6_addr) &&
        memcmp(&bound->sin6_addr, &mapped_any, sizeof(mapped_any)) != 0)
        return;
    u->any = setsockopt(u->fd, u->ipv4_only ? IPPROTO_IP : IPPROTO_IPV6,
                        u->ipv4_only ? IP_PKTINFO : IPV6_RECVPKTINFO, &on, sizeof(on)) == 0;
}

static int port_of(int fd)
{
    struct sockaddr_in6 a;
    socklen_t n = sizeof(a);
    if (getsockname(fd, (struct sockaddr *)&a, &n) != 0)
        return ERR_IO;
    return ntohs(a.sin6_port); /* at the same place in both families */
}

int udp_open(struct udp **out, const char *address, int port, int buffer_bytes)
{
    struct sockaddr_in6 a;
    if (!address_of(&a, address, port))
        return ERR_INVALID;
    struct udp *u = calloc(1, sizeof(*u));
    if (!u)
        return ERR_NOMEM;
    u->fd = -1;
    if (bind_any_family(u, &a) != OK || (u->port = port_of(u->fd)) <= 0) {
        LOG_E("udp_bind_failed", "address=%s port=%d why=\"%s\"", *address ? address : "any", port,
              strerror(errno));
        udp_close(u);
        return ERR_IO;
    }
    learn_local(u, &a);
    if (buffer_bytes > 0) { /* the kernel caps it at net.core.{r,w}mem_max: a wish, not a promise */
        setsockopt(u->fd, SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof(buffer_bytes));
        setsockopt(u->fd, SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof(buffer_bytes));
    }
    metric_register(&m_sent);
    metric_register(&m_refused);
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

static void name_of(struct udp *u, int i, struct sockaddr_in6 *peer)
{
    struct msghdr *h = &u->msgs[i].msg_hdr;
    h->msg_name = u->ipv4_only ? (void *)&u->v4[i] : (void *)peer;
    h->msg_namelen = u->ipv4_only ? sizeof(u->v4[i]) : sizeof(*peer);
}

static void read_local(struct in6_addr *out, struct msghdr *h)
{
    memset(out, 0, sizeof(*out));
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
        if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof(info));
            *out = info.ipi6_addr;
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof(info));
            map_v4(out, &info.ipi_addr);
        }
    }
}

static void put_control(struct msghdr *h, union control *room, int level, int type,
                        const void *info, size_t len)
{
    memset(room, 0, sizeof(*room));
    h->msg_control = room;
    h->msg_controllen = CMSG_SPACE(len);
    struct cmsghdr *c = CMSG_FIRSTHDR(h);
    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(len);
    memcpy(CMSG_DATA(c), info, len);
}

/* The interface stays the route's to choose: only the address is asked for. */
static void write_local(struct udp *u, int i, const struct in6_addr *local)
{
    struct msghdr *h = &u->msgs[i].msg_hdr;
    if (!u->any || IN6_IS_ADDR_UNSPECIFIED(local))
        return;
    if (u->ipv4_only) {
        struct in_pktinfo info = {0};
        memcpy(&info.ipi_spec_dst, &local->s6_addr[12], 4);
        put_control(h, &u->control[i], IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
    } else {
        struct in6_pktinfo info = {.ipi6_addr = *local};
        put_control(h, &u->control[i], IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
    }
}

int udp_recv(struct udp *u, struct udp_packet *p, int n)
{
    if (n > UDP_BATCH)
        n = UDP_BATCH;
    for (int i = 0; i < n; i++) {
        u->iov[i] = (struct iovec){.iov_base = p[i].data, .iov_len = UDP_MTU};
        u->msgs[i].msg_hdr = (struct msghdr){.msg_iov = &u->iov[i], .msg_iovlen = 1};
        name_of(u, i, &p[i].peer);
        if (u->any) {
            u->msgs[i].msg_hdr.msg_control = &u->control[i];
            u->msgs[i].msg_hdr.msg_controllen = sizeof(u->control[i]);
        }
    }
    int got;
    do
        got = recvmmsg(u->fd, u->msgs, (unsigned)n, 0, NULL);
    while (got < 0 &&
           (errno == EINTR || errno == ECONNREFUSED)); /* an ICMP error of a former send */
    if (got < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : ERR_IO;
    for (int i = 0; i < got; i++) {
        p[i].len = u->msgs[i].msg_hdr.msg_flags & MSG_TRUNC ? 0 : u->msgs[i].msg_len;
        read_local(&p[i].local, &u->msgs[i].msg_hdr);
        if (u->ipv4_only)
            from_v4(&p[i].peer, &u->v4[i]);
    }
    return got;
}

/* Sends up to UDP_BATCH; one that is refused for itself is skipped, full buffers end the attempt.
 */
static int send_batch(struct udp *u, const struct udp_packet *p, int n)
{
    for (int i = 0; i < n; i++) {
        u->iov[i] = (struct iovec){.iov_base = p[i].data, .iov_len = p[i].len};
        u->msgs[i].msg_hdr = (struct msghdr){.msg_iov = &u->iov[i], .msg_iovlen = 1};
        name_of(u, i, (struct sockaddr_in6 *)&p[i].peer);
        if (u->ipv4_only)
            to_v4(&u->v4[i], &p[i].peer);
        write_local(u, i, &p[i].local);
    }
    int done = 0, taken = 0;
    while (done < n) {
        int sent = sendmmsg(u->fd, u->msgs + done, (unsigned)(n - done), 0);
        if (sent > 0) {
            done += sent;
            taken += sent;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) {
            break;
        } else if (errno != EINTR) {
            done++;
        }
    }
    return taken;
}

int udp_send(struct udp *u, const struct udp_packet *p, int n)
{
    int taken = 0;
    for (int i = 0; i < n; i += UDP_BATCH)
        taken += send_batch(u, p + i, n - i < UDP_BATCH ? n - i : UDP_BATCH);
    metric_add(&m_sent, taken);
    if (taken < n)
        metric_add(&m_refused, n - taken);
    return taken;
}
