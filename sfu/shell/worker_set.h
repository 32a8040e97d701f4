/* The workers of one sfud, as its control thread sees them: started together, each with its own UDP
 * port, measured, and asked by room. They share nothing; which has which room is decided here
 * (sfu/core/placement.h), and so is that a room which outgrew its worker is shared by two: these
 * are linked by a pair of rings (relay_ring.h) and told to relay it; likewise for rooms that other
 * nodes have too (relay_nodes.h). All calls from the control thread. */
#ifndef SOTTO_SFU_WORKER_SET_H
#define SOTTO_SFU_WORKER_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sfu/core/placement.h"
#include "sfu/shell/relay_nodes.h"
#include "sfu/shell/worker.h"
#include "sfu/shell/worker_order.h"

struct worker_set;

struct worker_set_options {
    size_t workers; /* 0: one for each CPU that this process may use */
    bool pin;       /* each to a CPU of its own, in turn */
    size_t max_rooms;
    size_t room_workers;     /* see struct placement_limits */
    uint32_t participants;   /* likewise */
    uint32_t busy_per_mille; /* likewise */
    struct relay_nodes_options nodes;
};

/* Starts them: worker i on port o->port + i (0: whatever the kernel gives each), with `o` for the
 * rest. ERR_INVALID (number, ports past 65535), and worker_start's errors. */
int worker_set_start(struct worker_set **out, const struct worker_options *o,
                     const struct worker_set_options *options);
/* Ends all; they report no more. NULL is fine. */
void worker_set_stop(struct worker_set *s);

size_t worker_set_count(const struct worker_set *s);
struct worker *worker_set_at(const struct worker_set *s, size_t i); /* i < count */

/* Hands a request of signald to the worker that has, or gets, its room; it is the worker's then.
 * ERR_LIMIT (a full ring, too many rooms), ERR_NOMEM: it stays the caller's. */
int worker_set_request(struct worker_set *s, struct control_frame *f);
/* Carries out a relay or unrelay of signald's at once; the frame stays the caller's. *port: of this
 * node's end. ERR_UNSUPPORTED (there are no other nodes), and relay_nodes_share's errors. */
int worker_set_relay(struct worker_set *s, const struct control_frame *f, int *port);
/* signald was told everything anew, and has to say anew which rooms are shared with other nodes. */
void worker_set_greeted(struct worker_set *s, int64_t now_us);
/* Measures what each costs and asks what it has; call once a second. */
void worker_set_measure(struct worker_set *s, int64_t now_us);
/* Its answer. */
void worker_set_take_inventory(struct worker_set *s, size_t i,
                               const struct worker_inventory *inventory);
/* For tests and stats. */
const struct placement *worker_set_placement(const struct worker_set *s);

#endif
