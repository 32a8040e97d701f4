/* What the files of udp share, and where a test puts its own system call. */
#ifndef SOTTO_IO_UDP_INTERNAL_H
#define SOTTO_IO_UDP_INTERNAL_H

#include <stdbool.h>

#include "lib/io/udp.h"

/* UDP_SEGMENT or UDP_GRO, and an in6_pktinfo or, where ipv4_only, an in_pktinfo, which is smaller.
 * GRO's segment comes as an int. */
union udp_control {
    size_t align; /* as struct cmsghdr, whose flexible array clang allows at an end only */
    uint8_t room[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int))];
};

struct udp_slot {
    union udp_control control;
    struct iovec iov;
    struct sockaddr_in v4; /* used where ipv4_only */
};

/* Where UDP_GRO is on: datagrams that came joined wait here until they are taken one by one. */
struct udp_gro;

typedef int (*udp_sendmmsg_fn)(int fd, struct mmsghdr *msgs, unsigned n, int flags);

struct udp {
    int fd;
    int port;
    bool ipv4_only;
    bool any;  /* bound to no one address: which one is used is told by and to the kernel */
    int route; /* a socket that asks what it would choose (udp_is_source); -1: none */
    udp_sendmmsg_fn sendmmsg;
    enum udp_segments segments;
    bool train_taken;    /* the kernel has sent one */
    int refused_in_line; /* trains, since it sent one */
    struct udp_gro *gro;
    uint64_t dropped; /* told so far */
    struct mmsghdr in_msgs[UDP_BATCH], out_msgs[UDP_SEND_MAX];
    struct udp_slot in[UDP_BATCH], out[UDP_SEND_MAX];
};

/* ---- udp.c ---- */

/* The address as an IPv6 one. "" and "::" are any; false when it is neither family's text. */
bool udp_address_of(struct sockaddr_in6 *out, const char *address, int port);
void udp_to_v4(struct sockaddr_in *out, const struct sockaddr_in6 *in);
void udp_from_v4(struct sockaddr_in6 *out, const struct sockaddr_in *in);
void udp_map_v4(struct in6_addr *out, const struct in_addr *in);

/* What a counter of the kernel's that goes round has counted by now. */
static inline uint64_t udp_count_on(uint64_t total, uint32_t counter)
{
    return total + (uint32_t)(counter - (uint32_t)total);
}

/* ---- udp_send.c ---- */

/* Counters show from the start. */
void udp_send_register(void);

/* ---- udp_recv.c ---- */

void udp_gro_free(struct udp_gro *g);

#endif
