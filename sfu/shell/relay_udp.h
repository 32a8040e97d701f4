/* One end of a relay link between two nodes: a UDP socket, the session over it
 * (sfu/core/relay_session.h), and whole frames in and out. Whoever owns it polls its descriptor and
 * calls relay_udp_tick; everything on one thread. */
#ifndef SOTTO_SFU_RELAY_UDP_H
#define SOTTO_SFU_RELAY_UDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct relay_udp;

struct relay_udp_handlers {
    /* A new session began; what the former one brought is void. */
    void (*on_up)(void *arg);
    /* It fell silent. */
    void (*on_down)(void *arg);
    /* One frame; bytes are borrowed. */
    void (*on_frame)(void *arg, const uint8_t *data, size_t len);
};

struct relay_udp_counts {
    uint64_t sent, received; /* frames */
    uint64_t refused;        /* datagrams: of strangers, replayed, malformed */
    uint64_t lost;           /* frames that the kernel refused */
};

/* Binds address:port (0: any). secret: what both nodes know, RELAY_SESSION_SECRET bytes at least;
 * copied. ERR_IO, ERR_NOMEM, ERR_INVALID. */
int relay_udp_open(struct relay_udp **out, const char *address, int port, const void *secret,
                   size_t secret_len, const struct relay_udp_handlers *h, void *arg);
/* The other node. ERR_INVALID when it is no address in numbers. */
int relay_udp_peer(struct relay_udp *u, const char *address, int port);
void relay_udp_close(struct relay_udp *u); /* NULL is fine */
int relay_udp_fd(const struct relay_udp *u);
int relay_udp_port(const struct relay_udp *u);

/* Reads what has come. */
void relay_udp_receive(struct relay_udp *u, int64_t now_us);
/* Each 10 ms or so: hellos, pings, silence. */
void relay_udp_tick(struct relay_udp *u, int64_t now_us);
/* A frame: a head and a body (or none). ERR_STATE: there is no session; ERR_TOO_LARGE, ERR_IO. */
int relay_udp_send(struct relay_udp *u, const void *head, size_t head_len, const void *body,
                   size_t body_len);
const struct relay_udp_counts *relay_udp_counts(const struct relay_udp *u);

#endif
