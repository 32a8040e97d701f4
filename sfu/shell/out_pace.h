/* What a transport's pacer holds back of its RTP: video that would fill the link's queue waits here
 * for its turn, retransmissions before it; audio never does. Belongs to the out queue, which sends
 * what this hands out. Nothing here allocates. */
#ifndef SOTTO_SFU_OUT_PACE_H
#define SOTTO_SFU_OUT_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sfu/core/bwe.h"
#include "sfu/core/pacer.h"
#include "sfu/core/slot.h"

#define OUT_PACE_MAX 512 /* packets held of one transport: beyond, all of them leave */
#define OUT_PACE_STEP_US                                                                           \
    5000                /* between two sends of what is held, so that they are still trains        \
                         */
#define OUT_OVERHEAD 40 /* what a packet's header is reckoned at */

struct transport;

/* A packet that is to leave by a slot. */
struct out_item {
    struct out_item *next;
    struct packet *packet; /* a reference; NULL: a probe's padding */
    struct slot *slot;
    struct rewritten to;
    bool rtx;
    uint8_t padding; /* bytes, of a probe */
};

struct out_list {
    struct out_item *first, *last;
    size_t n, bytes;
};

/* One a transport whose rate is bounded; what each train touches stands first. */
struct out_pace {
    struct pacer pacer;
    struct bwe *bwe;             /* NULL: packets aren't numbered, nothing is estimated */
    struct transport *transport; /* the owner */
    bool active;                 /* in the queue's list: something is held, or probed for */
    int64_t due_us;              /* when something is to be done, of an active one */
    struct out_list rtx, video;
    int64_t rtx_us; /* since when the oldest retransmission waits */
    uint64_t held;  /* packets that ever waited */
    struct out_pace *prev, *next;
};

static inline size_t out_item_bytes(const struct out_item *i)
{
    return (size_t)(i->packet ? i->packet->header.payload_len : i->padding) + OUT_OVERHEAD;
}

/* A zeroed one becomes ready for use: unpaced until pacer_set_target. */
void out_pace_init(struct out_pace *p, struct transport *t);
/* The pacer didn't let the list pass: what may leave now all the same comes back (its order within
 * each stream is that of sending), the rest is held. */
struct out_item *out_pace_take(struct out_pace *p, struct out_item *first, int64_t now_us);
/* What may leave by now of what is held. */
struct out_item *out_pace_release(struct out_pace *p, int64_t now_us);
/* All that is held. */
struct out_item *out_pace_drop(struct out_pace *p);
/* When out_pace_release has something; INT64_MAX: nothing is held. */
int64_t out_pace_due(const struct out_pace *p, int64_t now_us);

static inline size_t out_pace_held(const struct out_pace *p)
{
    return p->rtx.n + p->video.n;
}

#endif
