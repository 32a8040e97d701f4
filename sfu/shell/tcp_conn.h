/* What tcp_listener.c (connections come and go, and are read) and tcp_conn.c (they are written to)
 * share. */
#ifndef SOTTO_SFU_TCP_CONN_H
#define SOTTO_SFU_TCP_CONN_H

#include "lib/io/tcp_frames.h"
#include "sfu/shell/tcp_listener.h"

#define TCP_UNSENT (32 * 1024) /* bytes that the kernel takes before it has sent others */
#define TCP_READ   (32 * 1024) /* bytes read of one connection a turn */
#define TCP_TURN   128         /* packets written at once */

struct tcp_prefix;

struct tcp_conn {
    struct tcp_listener *listener;
    int fd;
    bool proven, dead, corked;
    void *user;
    struct sockaddr_in6 peer; /* IPv4 as v4-mapped */
    struct in6_addr local;
    int64_t since_us;
    struct tcp_prefix *prefix;
    struct tcp_conn *prev, *next; /* utlist of the unproven, the proven or the dead */

    /* What the kernel didn't take: whole packets, but for the first one. */
    uint8_t *queue; /* TCP_QUEUE bytes, or NULL while there is nothing */
    size_t queue_at, queue_len;
    size_t mark; /* bytes that are still to leave of what was there at mark_us */
    int64_t mark_us;
    struct tcp_conn *slow_prev, *slow_next; /* utlist of those with a queue */

    struct tcp_frames in;
};

/* A packet in the listener's `out`. */
struct tcp_out {
    size_t end;
    bool dear;
};

struct tcp_listener {
    struct tcp_listener_options o;
    int fd, epoll, port;
    bool deaf; /* no descriptors left: nobody is accepted until the next tick */
    size_t n;
    struct tcp_conn *unproven, *proven, *slow, *dead; /* unproven: oldest first */
    struct tcp_prefix *prefixes;
    struct tcp_counts counts;
    /* Of the one connection that is corked. */
    size_t n_out;
    struct tcp_out out_packet[TCP_TURN];
    uint8_t out[TCP_TURN * (TCP_FRAME_HEADER + TCP_FRAME_MAX)];
    uint8_t in[TCP_READ];
    _Alignas(16) uint8_t packet[TCP_FRAME_MAX];
};

/* ---- tcp_listener.c ---- */

/* tell: on_end is called where there is a user. Freed with the turn's or tick's end. */
void tcp_conn_end(struct tcp_conn *c, bool tell);

/* ---- tcp_conn.c ---- */

/* The kernel has room for what waits. */
void tcp_conn_write(struct tcp_conn *c, int64_t now_us);

#endif
