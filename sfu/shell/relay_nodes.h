/* Which rooms this sfud shares with other nodes, on the control thread: signald says so, and the
 * worker that is the room's home is told. Each worker has a UDP port for it, and a link of its own
 * to each of at most RELAY_UDP_PEERS nodes' workers, for all rooms that the two share. */
#ifndef SOTTO_SFU_RELAY_NODES_H
#define SOTTO_SFU_RELAY_NODES_H

#include <stddef.h>
#include <stdint.h>

#include "lib/proto/control.h"
#include "sfu/core/placement.h"
#include "sfu/shell/worker.h"

#define RELAY_NODES_DOUBT_US 60000000 /* signald has so long to tell again what it knows */

struct relay_nodes;

struct relay_nodes_options {
    const char *address;
    int port;           /* of the first worker, the next one has the next; 0: any */
    const void *secret; /* RELAY_SESSION_SECRET bytes at least; NULL: there are no other nodes */
    size_t secret_len;
};

/* Opens the ports and gives them to the workers; these (n of them) and the placement are borrowed,
 * the array isn't kept. ERR_INVALID (secret, ports past 65535), ERR_IO, ERR_NOMEM, ERR_LIMIT. */
int relay_nodes_new(struct relay_nodes **out, struct worker *const *worker, size_t n,
                    struct placement *placement, const struct relay_nodes_options *o);
/* After the workers have been stopped. NULL is fine. */
void relay_nodes_free(struct relay_nodes *r);

/* A relay frame: the room gets a home here if it has none, and is shared with that node. *port is
 * that of the home's end. The same again is fine; another address, worker or branch replaces what
 * was told of that room and node. ERR_INVALID (name, address), ERR_LIMIT (rooms, nodes, orders),
 * ERR_NOMEM. */
int relay_nodes_share(struct relay_nodes *r, const struct control_frame *f, int *port);
/* An unrelay frame. */
void relay_nodes_unshare(struct relay_nodes *r, const struct id *room, const char *node);
/* The room was closed. */
void relay_nodes_close(struct relay_nodes *r, const struct id *room);
/* signald has forgotten: what it doesn't tell again in RELAY_NODES_DOUBT_US ends. */
void relay_nodes_doubt(struct relay_nodes *r, int64_t now_us);
/* Call each second: what a worker's full ring refused is told again, what is doubted for long ends.
 */
void relay_nodes_review(struct relay_nodes *r, int64_t now_us);

#endif
