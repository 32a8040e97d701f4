#include "sfu/shell/addresses.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"

static bool usable(const struct ifaddrs *i, int family)
{
    if (!i->ifa_addr || i->ifa_addr->sa_family != family || !(i->ifa_flags & IFF_UP) ||
        (i->ifa_flags & IFF_LOOPBACK)) {
        return false;
    }
    if (family == AF_INET6) {
        const struct sockaddr_in6 *a = (const struct sockaddr_in6 *)(const void *)i->ifa_addr;
        return !IN6_IS_ADDR_LINKLOCAL(&a->sin6_addr);
    }
    const struct sockaddr_in *a = (const struct sockaddr_in *)(const void *)i->ifa_addr;
    return (ntohl(a->sin_addr.s_addr) >> 16) != 0xa9fe; /* 169.254/16 */
}

static const void *bytes_of(const struct ifaddrs *i)
{
    if (i->ifa_addr->sa_family == AF_INET6) {
        return &((const struct sockaddr_in6 *)(const void *)i->ifa_addr)->sin6_addr;
    }
    return &((const struct sockaddr_in *)(const void *)i->ifa_addr)->sin_addr;
}

int host_addresses(char (*out)[ADDRESS_TEXT], size_t cap, bool loopback)
{
    struct ifaddrs *list;
    size_t n = 0;
    if (getifaddrs(&list) != 0) {
        return ERR_IO;
    }
    for (int pass = 0; pass < 2; pass++) {
        int family = pass == 0 ? AF_INET : AF_INET6;
        for (const struct ifaddrs *i = list; i && n < cap; i = i->ifa_next) {
            if (usable(i, family) && inet_ntop(family, bytes_of(i), out[n], ADDRESS_TEXT)) {
                n++;
            }
        }
    }
    freeifaddrs(list);
    if (loopback && n < cap && str_copy(out[n], ADDRESS_TEXT, "127.0.0.1") == OK) {
        n++;
    }
    return (int)n;
}
