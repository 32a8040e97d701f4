/* Private to lib/io/link*.c: one connection, of either side. */
#ifndef SOTTO_IO_LINK_INTERNAL_H
#define SOTTO_IO_LINK_INTERNAL_H

#include <stdbool.h>
#include <uv.h>

#include "lib/io/link.h"
#include "lib/io/link_frame.h"

enum link_state { LINK_HELLO, LINK_PROOF, LINK_UP, LINK_DOWN };

struct link {
    uv_tcp_t tcp; /* first: freed by its close callback */
    struct loop *loop;
    bool server;
    enum link_state state;
    const char *secret; /* of the server or client that owns us */
    const struct link_handlers *handlers;
    void *arg, *user;
    uint8_t nonce[LINK_NONCE], peer_nonce[LINK_NONCE];
    struct buf rx;
    size_t queued; /* bytes given to libuv and not yet written */
    struct loop_timer *timer;
    int64_t heard_us;
    int64_t deadline_us;                         /* of the handshake */
    void (*on_end)(struct link *k, void *owner); /* tells the owner, before it is freed */
    void *owner;
    struct link *prev, *next;
};

/* A connection with its uv_tcp_t initialised; link_begin once it is connected. NULL: no memory. */
struct link *link_new(struct loop *l, bool server, const char *secret,
                      const struct link_handlers *h, void *arg);
void link_begin(struct link *k);
/* Ends it at once: handlers (when it was up) and the owner are told before it returns. */
void link_end(struct link *k, const char *why);

#endif
