/* The relay: a room that two routers share. Over a link each side announces the tracks that it has
 * (of its own publishers, and of those that other links brought, never those of the link itself);
 * on the other side they appear as publishers of the same participant number. A track's packets
 * pass a link once, of simulcast those streams that somebody beyond it is to get, and only while
 * there is such a one; keyframes and lost packets are asked for upstream. Sound that nobody beyond
 * listens to is told by its level, so that speakers are ranked alike everywhere. Links of a room
 * form a star around its home.
 *
 * Pure: frames (lib/proto/relay_frame.h) come in as structs and leave by a handler, packets are the
 * shell's to carry. A link loses frames or not: everything but packets is told anew each second and
 * forgotten when it isn't. */
#ifndef SOTTO_SFU_CORE_RELAY_H
#define SOTTO_SFU_CORE_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/proto/relay_frame.h"
#include "sfu/core/router.h"

#define RELAY_MAX_LINKS  64      /* of one router; bits of track.relays */
#define RELAY_TICK_US    10000   /* between two calls of relay_tick */
#define RELAY_SCAN_US    100000  /* between two looks for what came, went or was heard */
#define RELAY_REFRESH_US 1000000 /* state is told anew after so long */
#define RELAY_EXPIRE_US  5000000 /* and forgotten when it wasn't for so long */

struct relay;

/* The router is borrowed and must outlive it. NULL when out of memory. */
struct relay *relay_new(struct router *router);
/* What came over links is gone from the router afterwards. NULL is fine. */
void relay_free(struct relay *r, int64_t now_us);

/* The link may be used from now on (link < RELAY_MAX_LINKS) / lost its other end: all that came
 * over it goes, nothing is wanted any more; rooms stay joined for when it opens again. */
void relay_open(struct relay *r, uint32_t link);
void relay_shut(struct relay *r, uint32_t link, int64_t now_us);
bool relay_is_open(const struct relay *r, uint32_t link);

/* The room is shared over that link; branch: the other side is its home. Twice is fine. ERR_NOMEM,
 * ERR_INVALID (link). */
int relay_join(struct relay *r, uint32_t link, const struct id *room, bool branch);
/* No longer: what came of it goes. */
void relay_leave(struct relay *r, uint32_t link, const struct id *room, int64_t now_us);
/* The same on all links: the room was closed. */
void relay_leave_all(struct relay *r, const struct id *room, int64_t now_us);
/* The room's home is on the other side of a link: that one tells of its speakers. */
bool relay_is_branch(const struct relay *r, const struct id *room);
/* Whether any room is shared over any link: relay_tick has something to do then. */
bool relay_has_rooms(const struct relay *r);

/* One frame came. ERR_NOT_FOUND: a track or room that this side doesn't know (any more, or yet);
 * ERR_CONFLICT: the participant has a publisher here; ERR_LIMIT, ERR_NOMEM; nothing to be done but
 * to count it. A nack's packets are put into resend (at most cap, borrowed until the next call) and
 * their number into *n_resend: they are to be sent as packet frames of f->track and f->layer.
 * Packet frames go by relay_packet instead. */
int relay_input(struct relay *r, uint32_t link, const struct relay_frame *f, int64_t now_us,
                int64_t wall_us, struct packet **resend, size_t cap, size_t *n_resend);
/* Whose a packet of that number and layer is (its header parsed): sets k->stream, and tells the
 * track to give it to by router_track_packet; NULL: drop. */
struct track *relay_packet(const struct relay *r, uint32_t link, uint32_t number, uint8_t layer,
                           struct packet *k);

/* What is to be sent on a link; the frame is the handler's during the call. It must not call the
 * relay. */
typedef void (*relay_send_fn)(void *arg, uint32_t link, const struct relay_frame *f);
/* Call each RELAY_TICK_US. */
void relay_tick(struct relay *r, int64_t now_us, relay_send_fn send, void *arg);

#endif
