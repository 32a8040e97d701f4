#include "lib/io/tcp_listen.h"

#include <errno.h>
#include <stdbool.h>
#include <unistd.h>

#include "lib/base/err.h"
#include "lib/io/udp_internal.h"

#define BACKLOG 256

static int open_bound(const struct sockaddr *a, socklen_t len)
{
    int on = 1, off = 0;
    int fd = socket(a->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)); /* over TIME_WAIT, not a listener */
    if (a->sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (bind(fd, a, len) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

int tcp_listen(int *fd, int *port, const char *address, int wanted)
{
    struct sockaddr_in6 a, bound;
    struct sockaddr_in v4;
    socklen_t len = sizeof(bound);
    if (!udp_address_of(&a, address, wanted))
        return ERR_INVALID;
    int s = open_bound((const struct sockaddr *)&a, sizeof(a));
    if (s < 0 && (errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT)) {
        udp_to_v4(&v4, &a);
        s = open_bound((const struct sockaddr *)&v4, sizeof(v4));
    }
    if (s < 0)
        return errno == EADDRINUSE ? ERR_CONFLICT : ERR_IO;
    if (getsockname(s, (struct sockaddr *)&bound, &len) != 0) {
        close(s);
        return ERR_IO;
    }
    *fd = s;
    *port = ntohs(bound.sin6_port); /* at the same place in both families */
    return OK;
}
