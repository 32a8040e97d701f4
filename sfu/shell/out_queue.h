/* RTP that leaves: collected a transport as (packet, slot), written and encrypted when the queue is
 * flushed, so that what one peer gets in a turn leaves as one train of datagrams
 * (sfu/core/train.h). A packet's bytes are written once: into the train, encrypted there. One queue
 * a worker; nothing is kept a transport but the ends of its list. Order within a transport stays.
 * Does not allocate after out_queue_new. */
#ifndef SOTTO_SFU_OUT_QUEUE_H
#define SOTTO_SFU_OUT_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/io/udp.h"
#include "sfu/core/histogram.h"
#include "sfu/core/slot.h"

#define OUT_DATAGRAM 1600 /* longest packet that leaves, SRTP tag included */

struct out_queue;
struct out_item;
struct out_pace;
struct transport;

/* In each transport; zero-initialise. */
struct out_peer {
    struct out_item *first, *last; /* its packets, oldest first */
    int64_t due_us;                /* when they are to leave */
    bool ready;                    /* among those to leave with the next flush */
    uint32_t bytes;                /* of them, about */
    struct out_pace *pace;         /* the caller's; NULL: nothing is held back or numbered */
    struct transport *prev, *next; /* utlist of the queue */
};

struct out_counts {
    uint64_t packets, bytes; /* handed to the kernel, tags and padding included */
    uint64_t messages;       /* in so many of them */
    uint64_t padding;        /* bytes */
    uint64_t probes;         /* packets of padding only */
    uint64_t refused;        /* packets that the kernel refused, or without anywhere to go */
    uint64_t too_large;
};

/* Where messages go: returns how many datagrams were taken (as udp_send_messages). A message's peer
 * is `addr` of the transport's selected peer_address: by that the worker finds ICE-TCP connections.
 */
typedef int (*out_send_fn)(void *arg, const struct udp_message *m, int n);

/* NULL when out of memory. */
struct out_queue *out_queue_new(out_send_fn send, void *arg);
/* Packets that are still in it are given back; transports must have been forgotten or be gone. */
void out_queue_free(struct out_queue *q);
/* Whether packets leave as trains (so it begins), or each by itself and never held. */
void out_queue_trains(struct out_queue *q, bool on);

/* The packet is to leave by this slot of the transport's, which must be keyed: at due_us, or before
 * with anything for the same transport that is due earlier (0: with the next flush). Takes a
 * reference of k; rtx: as retransmission. Flushes when the queue is full. */
void out_queue_add(struct out_queue *q, struct transport *t, struct slot *slot, struct packet *k,
                   const struct rewritten *to, bool rtx, int64_t due_us);
/* Everything that is due leaves, as far as its transport's pacer lets it; probes too. */
void out_queue_flush(struct out_queue *q, int64_t now_us);
/* Everything leaves that no pacer holds. */
void out_queue_flush_all(struct out_queue *q);
/* The transport or its subscriber goes: what waits for it, also in its pacer, is dropped. */
void out_queue_forget(struct out_queue *q, struct transport *t);
/* After anything that may have begun a probe (bwe_tick, bwe_on_feedback). */
void out_queue_probe(struct out_queue *q, struct transport *t);
/* When something becomes due; INT64_MAX: nothing waits. */
int64_t out_queue_due(const struct out_queue *q);
/* What was counted since the last call. */
void out_queue_take_counts(struct out_queue *q, struct out_counts *out);
/* Microseconds from a packet's arrival_us until the kernel has it: of each train the time of its
 * first packet, counted for all that are in it. Retransmissions aren't. */
const struct histogram *out_queue_transit(const struct out_queue *q);

#endif
