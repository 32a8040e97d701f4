/* UDP in batches for the packet path: recvmmsg in, sendmmsg out; trains of equal datagrams in one
 * message where the kernel can (UDP_SEGMENT out, UDP_GRO in). Not on a loop: a worker owns one and
 * polls its descriptor. Nothing here allocates after udp_open and udp_gro. */
#ifndef SOTTO_IO_UDP_H
#define SOTTO_IO_UDP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define UDP_BATCH     64   /* datagrams received at once */
#define UDP_MTU       2048 /* bytes kept of a datagram */
#define UDP_JOINED    32   /* messages received at once where they may be joined (udp_gro) */
#define UDP_SEND_MAX  1024 /* messages sent at once: what sendmmsg takes (UIO_MAXIOV) */
#define UDP_TRAIN_MAX 64   /* datagrams of one message (UDP_MAX_SEGMENTS before Linux 6.9) */
#define UDP_TRAIN_LEN                                                                              \
    65000 /* bytes of one message: an IP packet less its headers, with a reserve */

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

/* One datagram, or several to one peer behind each other. */
struct udp_message {
    const uint8_t *data;
    size_t len;       /* of all of them, at most UDP_TRAIN_LEN */
    uint16_t segment; /* bytes of each but the last, which may be shorter; 0: it is one datagram */
    const struct sockaddr_in6 *peer; /* as in udp_packet; borrowed */
    const struct in6_addr *local;
};

/* Binds address:port (0: any; "" or "::" binds both families). buffer_bytes: of each direction's
 * socket buffer, if the process may (CAP_NET_ADMIN, or net.core.{r,w}mem_max allows it); what is
 * got instead is logged; 0: the host's default. ERR_IO, ERR_NOMEM. */
int udp_open(struct udp **out, const char *address, int port, int buffer_bytes);
void udp_close(struct udp *u);
int udp_fd(const struct udp *u);
int udp_port(const struct udp *u);
/* Datagrams that found the receive buffer full, since it was opened; asked for at least once while
 * the kernel's counter, which has 32 bits, goes round. A system call. */
uint64_t udp_dropped(struct udp *u);
/* Whether the kernel, as its routes are now, sends to the peer from this address of ours by itself:
 * then a message needn't name it, which costs the kernel an allocation and a look each. A few
 * system calls; false when it can't be told. */
bool udp_is_source(const struct udp *u, const struct sockaddr_in6 *peer,
                   const struct in6_addr *local);
/* Reads up to n packets into their data; returns how many, 0 when none wait, or ERR_IO. Truncated
 * datagrams come with len 0. Not where udp_gro is on. */
int udp_recv(struct udp *u, struct udp_packet *p, int n);
/* Sends all n in as few calls as the kernel allows. Returns how many the kernel took (the rest was
 * refused: buffers full or peer unreachable; they're counted as drops). */
int udp_send(struct udp *u, const struct udp_packet *p, int n);

/* Whether trains may leave as one message. */
enum udp_segments {
    UDP_SEGMENTS_ON,
    UDP_SEGMENTS_OFF, /* the kernel or the device refused: said once, single datagrams for good */
};
enum udp_segments udp_segments(const struct udp *u);
/* Sends all n messages, in order. Returns how many *datagrams* the kernel took. A train that is
 * refused is sent again as single datagrams, so that nothing is lost by trying. */
int udp_send_messages(struct udp *u, const struct udp_message *m, int n);

/* Asks the kernel to join datagrams of one sender that came together (UDP_GRO, Linux 5.0).
 * ERR_UNSUPPORTED (go on with udp_recv), ERR_NOMEM. */
int udp_gro(struct udp *u);
/* Reads up to UDP_JOINED messages, and gives up to n of the datagrams in them, one by one: data is
 * borrowed until the next call. As udp_recv in everything else; what didn't fit into n comes with
 * the next call. Without udp_gro: ERR_STATE. */
int udp_recv_joined(struct udp *u, struct udp_packet *p, int n);

#endif
