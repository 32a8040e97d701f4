/* ICE-TCP, the passive end (RFC 6544): one listening port a worker and the connections that came to
 * it, whose packets are framed by RFC 4571. A connection is nobody's until a check on it was
 * verified (tcp_conn_prove); those that don't get there in time are closed. Sending never blocks: a
 * reader who is slow loses packets, those that matter less first, and one who is too far behind is
 * closed. Not on a loop: the worker polls the descriptor. */
#ifndef SOTTO_SFU_TCP_LISTENER_H
#define SOTTO_SFU_TCP_LISTENER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TCP_PROOF_US  5000000                 /* for the first verified check */
#define TCP_BEHIND_US 1000000                 /* what waits so long was for nobody */
#define TCP_QUEUE     (256 * 1024)            /* bytes kept for a slow reader */
#define TCP_QUEUE_LOW ((size_t)TCP_QUEUE / 4) /* from here on only what is dear */

struct tcp_listener;
struct tcp_conn;

struct tcp_listener_options {
    const char *address;
    int port;           /* 0: any */
    size_t connections; /* at once; when there are so many, the oldest unproven one gives way */
    size_t per_prefix;  /* of them, from one /24 or /56 (admission_prefix) */
    /* One packet; data is the callee's to change, until it returns. The connection may be dropped
     * in it. */
    void (*on_packet)(void *arg, struct tcp_conn *c, uint8_t *data, size_t len);
    /* A connection with a user ends of its own accord, or was too slow: the user is to forget it.
     * Not after tcp_conn_drop. Called by tcp_listener_turn and _tick only, never while something is
     * sent. */
    void (*on_end)(void *arg, struct tcp_conn *c);
    void *arg;
};

struct tcp_counts {
    uint64_t accepted, refused; /* refused: over a bound, or unproven and given way */
    uint64_t unproven;          /* closed because no check came in time, or something else did */
    uint64_t slow;              /* closed because they were too far behind */
    uint64_t dropped;           /* packets that a slow reader didn't get */
};

/* ERR_IO, ERR_INVALID (address), ERR_NOMEM. Where the port is taken any other is. */
int tcp_listener_open(struct tcp_listener **out, const struct tcp_listener_options *o);
/* Closes everything without a word to on_end. NULL is fine. */
void tcp_listener_close(struct tcp_listener *l);
/* Readable when tcp_listener_turn has something to do. */
int tcp_listener_fd(const struct tcp_listener *l);
int tcp_listener_port(const struct tcp_listener *l);
size_t tcp_listener_count(const struct tcp_listener *l);
/* Accepts, reads and writes what can be without waiting, a bounded amount. */
void tcp_listener_turn(struct tcp_listener *l, int64_t now_us);
/* Closes those whose time is over; each 100 ms or so. */
void tcp_listener_tick(struct tcp_listener *l, int64_t now_us);
/* No connection that tcp_listener_tick has to look at. */
bool tcp_listener_is_idle(const struct tcp_listener *l);
/* What was counted since the last call. */
void tcp_listener_take_counts(struct tcp_listener *l, struct tcp_counts *out);

const struct sockaddr_in6 *tcp_conn_peer(const struct tcp_conn *c);
const struct in6_addr *tcp_conn_local(const struct tcp_conn *c);
bool tcp_conn_is_proven(const struct tcp_conn *c);
/* A check on it was verified: it stays from now on. */
void tcp_conn_prove(struct tcp_conn *c);
/* Whose it is: NULL at first. */
void *tcp_conn_user(const struct tcp_conn *c);
void tcp_conn_set_user(struct tcp_conn *c, void *user);
/* Closed with the next turn or tick; nothing is read from it any more. */
void tcp_conn_drop(struct tcp_conn *c);
/* One packet, framed. `dear`: it may use all of the queue. False when it was dropped. */
bool tcp_conn_send(struct tcp_conn *c, const uint8_t *data, size_t len, bool dear, int64_t now_us);
/* For packets that leave together: between these two nothing is written, then all at once. */
void tcp_conn_cork(struct tcp_conn *c);
void tcp_conn_uncork(struct tcp_conn *c, int64_t now_us);

#endif
