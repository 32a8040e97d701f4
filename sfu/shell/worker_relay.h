/* A worker's ends of relay links: frames come from and go to the rings of other workers
 * (relay_ring.h), or other nodes by UDP (relay_udp.h), once a turn. Everything here is on the
 * worker's thread. Functions that the loop calls do nothing as long as no room is shared. */
#ifndef SOTTO_SFU_WORKER_RELAY_H
#define SOTTO_SFU_WORKER_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "sfu/core/placement.h"
#include "sfu/core/relay.h"
#include "sfu/shell/relay_ring.h"
#include "sfu/shell/relay_udp.h"

/* Links below lead to workers of this sfud, those from here on to peers of relay_udp. */
#define WORKER_RELAY_NODES PLACEMENT_MAX_WORKERS
_Static_assert(WORKER_RELAY_NODES + RELAY_UDP_PEERS <= RELAY_MAX_LINKS, "links for all nodes");

struct worker;
struct worker_relay;

/* The rings between two workers. A descriptor (eventfd) wakes who waits: `wake` is this worker's
 * own, one for all its links, `peer_wake` the other's. All borrowed. */
struct worker_relay_way {
    struct relay_ring *in, *out;
    int wake, peer_wake;
};

/* ---- orders; ERR_NOMEM, ERR_INVALID, ERR_STATE (no relay_udp), ERR_IO ---- */

int worker_relay_link(struct worker *w, uint32_t link, const struct worker_relay_way *way);
/* What leads to other nodes; borrowed, and no other thread's from now on. Once. */
int worker_relay_nodes(struct worker *w, struct relay_udp *udp);
/* The link (from WORKER_RELAY_NODES on) leads to that node. */
int worker_relay_node(struct worker *w, uint32_t link, const char *address, int port);
/* It leads nowhere any more. */
void worker_relay_unnode(struct worker *w, uint32_t link);
int worker_relay_share(struct worker *w, uint32_t link, const struct id *room, bool branch);
void worker_relay_unshare(struct worker *w, uint32_t link, const struct id *room);
/* The room was closed. */
void worker_relay_close(struct worker *w, const struct id *room);

/* ---- the loop ---- */

/* The descriptor that became readable is the relay's; what has come is taken then. */
bool worker_relay_event(struct worker *w, int fd);
/* When worker_relay_turn is to be called at the latest; INT64_MAX: only after an event. */
int64_t worker_relay_due(const struct worker *w);
/* The packet that the router was given last goes to those links that want it (router_relays). */
void worker_relay_packet(struct worker *w, const struct track *t, struct packet *k);
/* Once a turn, before what the router has to tell: what came in, what is due, and the other ends
 * are woken. */
void worker_relay_turn(struct worker *w);
/* The room's home is elsewhere: that one speaks for it. */
bool worker_relay_is_branch(const struct worker *w, const struct id *room);
/* When all workers' threads have ended and before the router goes. */
void worker_relay_free(struct worker *w);

#endif
