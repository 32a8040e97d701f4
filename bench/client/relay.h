/* A link in user space between a client and a server: a UDP port that the client takes for the
 * server, and one by which the server sees the client, with an impair (bench/client/impair.h) each
 * way. On the caller's loop. */
#ifndef SOTTO_BENCH_CLIENT_RELAY_H
#define SOTTO_BENCH_CLIENT_RELAY_H

#include <netinet/in.h>

#include "bench/client/impair.h"
#include "lib/io/loop.h"

struct impair_relay;

/* up: client to server. The client is whoever sends to the port first (and again after a move).
 * ERR_IO, ERR_NOMEM. */
int impair_relay_new(struct impair_relay **out, struct loop *loop,
                     const struct sockaddr_in6 *server, const struct impair_config *up,
                     const struct impair_config *down);
void impair_relay_free(struct impair_relay *r);
/* The port on 127.0.0.1 for the client to send to. */
int impair_relay_port(const struct impair_relay *r);
void impair_relay_stats(const struct impair_relay *r, struct impair_stats *up,
                        struct impair_stats *down);

#endif
