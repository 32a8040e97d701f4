/* A repeated question to a UDP server that tells whether it is alive: a STUN Binding request (RFC
 * 8489 section 5 and 6.1), as TURN servers answer without credentials. On the loop; never blocks
 * (names are resolved on the thread pool). */
#ifndef SOTTO_IO_UDP_PROBE_H
#define SOTTO_IO_UDP_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/io/loop.h"

struct udp_probe;

/* Asks host:port each `every_us`, the first time at once. NULL when out of memory or descriptors.
 */
struct udp_probe *udp_probe_new(struct loop *l, const char *host, int port, int64_t every_us);
void udp_probe_free(struct udp_probe *p);
/* It answered one of the last two questions. */
bool udp_probe_alive(const struct udp_probe *p);

#endif
