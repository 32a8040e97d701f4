/* A worker's ends of relay links: frames come from and go to the rings of other workers, once a
 * turn. Everything here is on the worker's thread. Functions that the loop calls do nothing as long
 * as no room is shared. */
#ifndef SOTTO_SFU_WORKER_RELAY_H
#define SOTTO_SFU_WORKER_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "sfu/core/relay.h"
#include "sfu/shell/relay_ring.h"

struct worker;
struct worker_relay;

/* ---- orders; ERR_NOMEM, ERR_INVALID ---- */

int worker_relay_link(struct worker *w, uint32_t link, struct relay_ring *in,
                      struct relay_ring *out, struct worker *peer);
int worker_relay_share(struct worker *w, uint32_t link, const struct id *room, bool branch);
void worker_relay_unshare(struct worker *w, uint32_t link, const struct id *room);
/* The room was closed. */
void worker_relay_close(struct worker *w, const struct id *room);

/* ---- the loop ---- */

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
