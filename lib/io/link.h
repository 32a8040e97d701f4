/* The control link between our own programs: length-prefixed frames (4 bytes, big endian, at most
 * 1 MiB) over TCP, mutually authenticated by a shared secret before the first frame of use:
 * both sides send a 32-byte nonce and answer HMAC-SHA256(secret, role || both nonces), compared in
 * constant time. The client reconnects for ever with full jitter (100 ms … 2 s). Pings every second
 * find a dead peer within four. */
#ifndef SOTTO_IO_LINK_H
#define SOTTO_IO_LINK_H

#include <stddef.h>
#include <stdint.h>

#include "lib/io/loop.h"

struct link; /* one authenticated peer */
struct link_server;
struct link_client;

struct link_handlers {
    void (*on_up)(struct link *k, void *arg); /* may be NULL */
    /* One frame; bytes are borrowed. */
    void (*on_frame)(struct link *k, void *arg, const uint8_t *data, size_t len);
    /* Gone; k is freed after. */
    void (*on_down)(struct link *k, void *arg);
};

/* Listens. `port` 0 takes any (see link_server_port). ERR_IO. The secret is copied. */
int link_listen(struct link_server **out, struct loop *l, const char *address, int port,
                const char *secret, const struct link_handlers *h, void *arg);
int link_server_port(const struct link_server *s);
void link_server_free(struct link_server *s);
/* Connects, and again for as long as it lives. */
int link_connect(struct link_client **out, struct loop *l, const char *address, int port,
                 const char *secret, const struct link_handlers *h, void *arg);
void link_client_free(struct link_client *c);

/* Sends a frame (copied). ERR_CLOSED; ERR_LIMIT when over 8 MiB wait (then the link is dropped). */
int link_send(struct link *k, const void *data, size_t len);
void link_set_user(struct link *k, void *user);
void *link_user(const struct link *k);
void link_drop(struct link *k);

#endif
