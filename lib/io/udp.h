/* UDP in batches for the packet path: recvmmsg in, sendmmsg out. Not on a loop: a worker owns one
 * and polls its descriptor. Nothing here allocates after udp_open. */
#ifndef SOTTO_IO_UDP_H
#define SOTTO_IO_UDP_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define UDP_BATCH 64
#define UDP_MTU   2048 /* bytes kept of a datagram */

struct udp;

struct udp_packet {
    uint8_t *data; /* in: UDP_MTU bytes of the caller's pool; out: what to send */
    size_t len;
    struct sockaddr_in6 peer; /* IPv4 as v4-mapped; one shape for all */
    /* Where the socket is bound to any address, in: which of this host's the datagram came to; out:
     * which it leaves from, so that an answer comes from where the question went. All zeros: the
     * kernel's choice. Of the peer's family. */
    struct in6_addr local;
};

/* Binds address:port (0: any; "" or "::" binds both families). ERR_IO, ERR_NOMEM. */
int udp_open(struct udp **out, const char *address, int port, int buffer_bytes);
void udp_close(struct udp *u);
int udp_fd(const struct udp *u);
int udp_port(const struct udp *u);
/* Reads up to n packets into their data; returns how many, 0 when none wait, or ERR_IO. Truncated
 * datagrams come with len 0. */
int udp_recv(struct udp *u, struct udp_packet *p, int n);
/* Sends all n in as few calls as the kernel allows. Returns how many the kernel took (the rest was
 * refused: buffers full or peer unreachable; they're counted as drops). */
int udp_send(struct udp *u, const struct udp_packet *p, int n);

#endif
