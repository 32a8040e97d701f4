/* One direction of a relay link between two workers: a bounded ring of frames from one thread to
 * one other, without locks. The buffers are packets of the reader's pool, handed over empty and
 * taken back full, so that a packet's bytes are copied once for the whole link, into where the
 * reader keeps them. When buffers run short, video is dropped first, then sound, then what keeps
 * the link itself right. */
#ifndef SOTTO_SFU_RELAY_RING_H
#define SOTTO_SFU_RELAY_RING_H

#include <stddef.h>
#include <stdint.h>

#include "sfu/core/pool.h"

#define RELAY_RING_PACKETS 512 /* a power of two: buffers of one ring at most */

/* Who is dropped first. */
enum relay_class { RELAY_CLASS_VIDEO, RELAY_CLASS_AUDIO, RELAY_CLASS_CONTROL, RELAY_CLASSES };

struct relay_ring;

/* ERR_NOMEM. */
int relay_ring_new(struct relay_ring **out);
/* Both threads must be done with it, and the reader must have called relay_ring_drain. NULL is
 * fine. */
void relay_ring_free(struct relay_ring *r);

/* ---- the writer's side ---- */

/* Copies a frame: a head of at most PACKET_HEADROOM bytes, and a body (or none). ERR_LIMIT: dropped
 * and counted. ERR_TOO_LARGE. */
int relay_ring_put(struct relay_ring *r, enum relay_class class, const void *head, size_t head_len,
                   const void *body, size_t body_len);

/* ---- the reader's side ---- */

/* Hands over empty buffers, as long as there are fewer than `bound` (at most RELAY_RING_PACKETS) in
 * the ring and the pool gives some. A bound that shrinks is reached as frames pass. */
void relay_ring_refill(struct relay_ring *r, struct packet_pool *pool, size_t bound);
/* The next frame: packet_data and len are its head and body; the body begins PACKET_HEADROOM into
 * the buffer. The caller's to packet_unref. NULL: none. */
struct packet *relay_ring_take(struct relay_ring *r);
/* Gives all buffers back to the pool, at the end: the writer must have stopped. */
void relay_ring_drain(struct relay_ring *r);

/* Frames dropped of that class since the ring was made; from any thread. */
uint64_t relay_ring_dropped(const struct relay_ring *r, enum relay_class class);

#endif
