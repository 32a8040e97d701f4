/* The floor's socket on 127.0.0.1: recvmmsg in, one sendmmsg for a batch of messages out. */
#ifndef SOTTO_BENCH_LOAD_FLOOR_NET_H
#define SOTTO_BENCH_LOAD_FLOOR_NET_H

#include "bench/client/floor_forward.h"

#define NET_BATCH 64

struct net_datagram {
    uint16_t port; /* it came from */
    size_t len;
    uint8_t data[2048];
};

enum net_mode { NET_TRAIN, NET_SENDMMSG, NET_SENDTO };

struct net;

/* port 0: the kernel's choice. ERR_IO, ERR_NOMEM. */
int net_open(struct net **out, int port, enum net_mode mode);
void net_close(struct net *n);
int net_fd(const struct net *n);
int net_port(const struct net *n);
/* Up to NET_BATCH datagrams, valid until the next call; their number, 0: none wait. ERR_IO. */
int net_receive(struct net *n, struct net_datagram **out);
void net_send(struct net *n, const struct floor_message *m, size_t count);
/* The kernel refused UDP_SEGMENT once: trains are sent as single packets since then. */
bool net_fell_back(const struct net *n);

struct net_stats {
    uint64_t recv_calls, send_calls, messages, refused;
};
void net_stats(const struct net *n, struct net_stats *out);

#endif
