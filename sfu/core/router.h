/* All rooms of one worker. Control calls change who is where; router_packet takes one packet and
 * returns who gets it; router_poll tells what changed. Nothing on the way of a packet allocates,
 * locks or hashes a string. Time and randomness are arguments; times are microseconds of one
 * monotonic clock. */
#ifndef SOTTO_SFU_CORE_ROUTER_H
#define SOTTO_SFU_CORE_ROUTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sfu/core/pool.h"
#include "sfu/core/room.h"

#define ROUTER_TICK_US 100000

struct router;

struct router_limits {
    size_t max_rooms;
    size_t pool_packets; /* packet buffers, for the caches and what is under way */
    int64_t cache_us;    /* for how long packets can be asked for again */
};

/* NULL when out of memory. */
struct router *router_new(const struct router_limits *limits);
void router_free(struct router *r);
/* Where packets come from; a packet that has to wait for nothing is given back by packet_unref. */
struct packet_pool *router_pool(struct router *r);

/* ---- control ---- */

struct room *router_room(const struct router *r, const struct id *id); /* or NULL */
struct room *router_rooms(const struct router *r); /* the first; go on by hh.next */
size_t router_room_count(const struct router *r);
struct participant *router_find(const struct router *r, const struct id *room, uint32_t number);

/* A publisher, who takes the place of the participant's former one; room and participant are made
 * where needed. Its tracks are shown from router_publisher_ready on. ERR_LIMIT, ERR_NOMEM. */
int router_publish(struct router *r, const struct id *room, uint32_t number,
                   const struct sdp_publish *sdp, uint32_t random, int64_t now_us,
                   struct publisher **out);
/* A new description of the same transport. ERR_NOMEM. */
int router_republish(struct router *r, struct publisher *p, const struct sdp_publish *sdp,
                     int64_t now_us);
void router_publisher_ready(struct router *r, struct publisher *p, int64_t now_us);
/* Ends and frees it, its participant when he has nothing else, and the room when it is empty. */
void router_unpublish(struct router *r, struct publisher *p, int64_t now_us);

/* Likewise. ERR_INVALID (slots), ERR_LIMIT, ERR_NOMEM. */
int router_subscribe(struct router *r, const struct id *room, uint32_t number, uint32_t n_audio,
                     uint32_t n_video, uint64_t random, int64_t now_us, struct subscriber **out);
/* The transport is up and the answer was read: slots are filled. */
void router_subscriber_ready(struct router *r, struct subscriber *s, int64_t now_us);
void router_unsubscribe(struct router *r, struct subscriber *s, int64_t now_us);
int router_view(struct router *r, struct subscriber *s, const struct room_view *view, size_t n,
                int64_t now_us);

/* ---- packets ---- */

/* A buffer for a packet. When the pool is dry, the oldest packets of the fullest cache go: who
 * sends too much pays for it. NULL when even that gives none (drop and count). */
struct packet *router_alloc(struct router *r);

struct forward {
    struct slot *slot;
    struct rewritten to;
};

/* One decrypted packet (header parsed, arrival_us set) of a publisher. Returns the slots that it
 * goes to, borrowed until the next call, and their number; 0 for what goes nowhere. *owner is the
 * track it was, or NULL when it is nobody's. The caller keeps its reference of k. */
const struct forward *router_packet(struct router *r, struct publisher *p, struct packet *k,
                                    size_t *n, struct track **owner);
/* The same of a packet whose track and stream (k->stream) are known: it came over a relay link
 * (relay.h). */
const struct forward *router_track_packet(struct router *r, struct track *t, struct packet *k,
                                          bool retransmitted, size_t *n);
/* The relay links (a bit each) that the packet given last goes to as well; 0 for what is a
 * duplicate. */
uint64_t router_relays(const struct router *r);

/* ---- time and events ---- */

/* Call each ROUTER_TICK_US. */
void router_tick(struct router *r, int64_t now_us);

enum router_event_type { ROUTER_SLOTS, ROUTER_SPEAKERS };
struct router_event {
    enum router_event_type type;
    struct room *room;
    struct subscriber *subscriber; /* of ROUTER_SLOTS */
};
/* The next change to be told; false when there is none. */
bool router_poll(struct router *r, int64_t now_us, struct router_event *out);
/* Everything is to be told again (control has lost its memory). */
void router_tell_all(struct router *r);

#endif
