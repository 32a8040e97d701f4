/* The relay over UDP between nodes: one socket, and a session (sfu/core/relay_session.h) with each
 * of a few peers; whole frames in and out. Whoever owns it polls its descriptor and calls
 * relay_udp_tick and relay_udp_flush; everything on one thread once it has been handed over. */
#ifndef SOTTO_SFU_RELAY_UDP_H
#define SOTTO_SFU_RELAY_UDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RELAY_UDP_PEERS 16

struct relay_udp;

/* peer is below RELAY_UDP_PEERS. None may call relay_udp_forget or relay_udp_peer. */
struct relay_udp_handlers {
    /* A new session began; what the former one brought is void. */
    void (*on_up)(void *arg, uint32_t peer);
    /* It fell silent. */
    void (*on_down)(void *arg, uint32_t peer);
    /* One frame; bytes are borrowed. */
    void (*on_frame)(void *arg, uint32_t peer, const uint8_t *data, size_t len);
};

struct relay_udp_counts {
    uint64_t sent, received; /* frames */
    uint64_t refused;        /* datagrams: of strangers, replayed, malformed */
    uint64_t lost;           /* datagrams that the kernel refused */
};

/* Binds address:port (0: any). secret: what all nodes know, RELAY_SESSION_SECRET bytes at least;
 * copied. ERR_IO, ERR_NOMEM, ERR_INVALID. */
int relay_udp_open(struct relay_udp **out, const char *address, int port, const void *secret,
                   size_t secret_len);
/* Who is told; before anything else is called. h is borrowed for good. */
void relay_udp_handle(struct relay_udp *u, const struct relay_udp_handlers *h, void *arg);
void relay_udp_close(struct relay_udp *u); /* NULL is fine */
int relay_udp_fd(const struct relay_udp *u);
int relay_udp_port(const struct relay_udp *u);

/* Whether relay_udp_peer takes it: an address in numbers, a port. */
bool relay_udp_is_address(const char *address, int port);
/* That peer is the node at address:port from now on; it begins anew when it was another one.
 * ERR_INVALID (no address in numbers, port 0, peer's number), ERR_NOMEM. */
int relay_udp_peer(struct relay_udp *u, uint32_t peer, const char *address, int port);
/* It is no peer any more; tells nobody. */
void relay_udp_forget(struct relay_udp *u, uint32_t peer);
bool relay_udp_is_up(const struct relay_udp *u, uint32_t peer);

/* Reads what has come. */
void relay_udp_receive(struct relay_udp *u, int64_t now_us);
/* Each 10 ms or so: hellos, pings, silence. */
void relay_udp_tick(struct relay_udp *u, int64_t now_us);
/* A frame: a head and a body (or none). It leaves with relay_udp_flush, or when there is no more
 * place. ERR_STATE: there is no session; ERR_TOO_LARGE. */
int relay_udp_send(struct relay_udp *u, uint32_t peer, const void *head, size_t head_len,
                   const void *body, size_t body_len);
void relay_udp_flush(struct relay_udp *u);
const struct relay_udp_counts *relay_udp_counts(const struct relay_udp *u);

#endif
