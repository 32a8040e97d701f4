/* The floor's socket on 127.0.0.1: recvmmsg in, one sendmmsg for a batch of messages out. Refused
 * segments are sent again as single packets, and all that come after. */
#ifndef SOTTO_BENCH_CLIENT_FLOOR_NET_H
#define SOTTO_BENCH_CLIENT_FLOOR_NET_H

#include "bench/client/floor_forward.h"

#define NET_BATCH 64

struct floor_datagram {
    uint16_t port; /* it came from */
    size_t len;
    uint8_t data[2048];
};

enum floor_net_mode { NET_TRAIN, NET_SENDMMSG, NET_SENDTO };

struct floor_net;

/* port 0: the kernel's choice. ERR_IO, ERR_NOMEM. */
int floor_net_open(struct floor_net **out, int port, enum floor_net_mode mode);
void floor_net_close(struct floor_net *n);
int floor_net_fd(const struct floor_net *n);
int floor_net_port(const struct floor_net *n);
/* Up to NET_BATCH datagrams, valid until the next call; their number, 0: none wait. ERR_IO. */
int floor_net_receive(struct floor_net *n, struct floor_datagram **out);
void floor_net_send(struct floor_net *n, const struct floor_message *m, size_t count);
/* The kernel refused UDP_SEGMENT once: trains are sent as single packets since then. */
bool floor_net_fell_back(const struct floor_net *n);

struct floor_net_stats {
    uint64_t recv_calls, send_calls, messages, refused;
};
void floor_net_stats(const struct floor_net *n, struct floor_net_stats *out);

#endif
