/* UDP in batches: see udp.h. One socket for both families where the host has IPv6: IPv4 peers show
 * as v4-mapped addresses (RFC 4291 section 2.5.5.2) and are written back to IPv4 only where the
 * host has no IPv6 at all. */
#include "lib/io/udp_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/err.h"
#include "lib/base/log.h"

bool udp_address_of(struct sockaddr_in6 *out, const char *address, int port)
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

void udp_to_v4(struct sockaddr_in *out, const struct sockaddr_in6 *in)
{
    memset(out, 0, sizeof(*out));
    out->sin_family = AF_INET;
    out->sin_port = in->sin6_port;
    memcpy(&out->sin_addr, &in->sin6_addr.s6_addr[12], 4);
}

void udp_map_v4(struct in6_addr *out, const struct in_addr *in)
{
    memset(out, 0, sizeof(*out));
    out->s6_addr[10] = out->s6_addr[11] = 0xff;
    memcpy(&out->s6_addr[12], in, 4);
}

void udp_from_v4(struct sockaddr_in6 *out, const struct sockaddr_in *in)
{
    memset(out, 0, sizeof(*out));
    out->sin6_family = AF_INET6;
    out->sin6_port = in->sin_port;
    udp_map_v4(&out->sin6_addr, &in->sin_addr);
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
    udp_to_v4(&v4, a);
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

/* Of the same families, since they choose by themselves, but bound to nothing. */
static void open_route(struct udp *u)
{
    int off = 0, family = u->ipv4_only ? AF_INET : AF_INET6;
    u->route = u->any ? socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) : -1;
    if (u->route >= 0 && !u->ipv4_only)
        setsockopt(u->route, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
}

/* What a socket is connected from is what the kernel would send from. The port is given back. */
bool udp_is_source(const struct udp *u, const struct sockaddr_in6 *peer,
                   const struct in6_addr *local)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 from = {0};
    const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    socklen_t n = sizeof(from);
    if (u->route < 0)
        return false;
    udp_to_v4(&v4, peer);
    bool got = connect(u->route, u->ipv4_only ? (struct sockaddr *)&v4 : (struct sockaddr *)peer,
                       u->ipv4_only ? sizeof(v4) : sizeof(*peer)) == 0 &&
               getsockname(u->route, (struct sockaddr *)&from, &n) == 0;
    connect(u->route, &nobody, sizeof(nobody));
    if (got && u->ipv4_only) {
        memcpy(&v4, &from, sizeof(v4));
        udp_from_v4(&from, &v4);
    }
    return got && memcmp(&from.sin6_addr, local, sizeof(*local)) == 0;
}

/* A kernel that doesn't know the option needn't be asked with a packet. */
static void learn_segments(struct udp *u)
{
    int segment;
    socklen_t n = sizeof(segment);
    if (getsockopt(u->fd, IPPROTO_UDP, UDP_SEGMENT, &segment, &n) != 0)
        u->segments = UDP_SEGMENTS_OFF;
}

static int port_of(int fd)
{
    struct sockaddr_in6 a;
    socklen_t n = sizeof(a);
    if (getsockname(fd, (struct sockaddr *)&a, &n) != 0)
        return ERR_IO;
    return ntohs(a.sin6_port); /* at the same place in both families */
}

/* Past net.core.{r,w}mem_max where the process may, which is 208 KiB on most hosts: 2 ms of a busy
 * port. The kernel doubles what is asked for, for its own books. */
static void set_buffer(const struct udp *u, int force, int plain, int bytes)
{
    int got = 0;
    socklen_t n = sizeof(got);
    if (setsockopt(u->fd, SOL_SOCKET, force, &bytes, sizeof(bytes)) != 0)
        setsockopt(u->fd, SOL_SOCKET, plain, &bytes, sizeof(bytes));
    if (getsockopt(u->fd, SOL_SOCKET, plain, &got, &n) == 0 && got / 2 < bytes)
        LOG_W("udp_buffer_small", "port=%d which=%s wanted=%d got=%d why=\"net.core.%s\"", u->port,
              plain == SO_RCVBUF ? "receive" : "send", bytes, got / 2,
              plain == SO_RCVBUF ? "rmem_max" : "wmem_max");
}

int udp_open(struct udp **out, const char *address, int port, int buffer_bytes)
{
    struct sockaddr_in6 a;
    if (!udp_address_of(&a, address, port))
        return ERR_INVALID;
    struct udp *u = calloc(1, sizeof(*u));
    if (!u)
        return ERR_NOMEM;
    u->fd = u->route = -1;
    u->sendmmsg = sendmmsg;
    if (bind_any_family(u, &a) != OK || (u->port = port_of(u->fd)) <= 0) {
        LOG_E("udp_bind_failed", "address=%s port=%d why=\"%s\"", *address ? address : "any", port,
              strerror(errno));
        udp_close(u);
        return ERR_IO;
    }
    learn_local(u, &a);
    open_route(u);
    learn_segments(u);
    if (buffer_bytes > 0) {
        set_buffer(u, SO_RCVBUFFORCE, SO_RCVBUF, buffer_bytes);
        set_buffer(u, SO_SNDBUFFORCE, SO_SNDBUF, buffer_bytes);
    }
    udp_send_register();
    *out = u;
    return OK;
}

void udp_close(struct udp *u)
{
    if (!u)
        return;
    if (u->fd >= 0)
        close(u->fd);
    if (u->route >= 0)
        close(u->route);
    udp_gro_free(u->gro);
    free(u);
}

uint64_t udp_dropped(struct udp *u)
{
    uint32_t info[SK_MEMINFO_VARS] = {0};
    socklen_t n = sizeof(info);
    if (getsockopt(u->fd, SOL_SOCKET, SO_MEMINFO, info, &n) == 0)
        u->dropped = udp_count_on(u->dropped, info[SK_MEMINFO_DROPS]);
    return u->dropped;
}

int udp_fd(const struct udp *u)
{
    return u->fd;
}

int udp_port(const struct udp *u)
{
    return u->port;
}
