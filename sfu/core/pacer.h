/* How many bytes of video may leave for a subscriber in this turn. A virtual-schedule leaky bucket
 * (the generic cell rate algorithm): the bucket is the time at which it would be empty, so that
 * nothing has to be refilled and a subscriber who is far below its rate costs a comparison and a
 * multiplication a train.
 *
 * The caller holds the queue (references to pooled packets) and tells the pacer its bytes and the
 * age of its oldest. One turn of a subscriber:
 *
 *     if (pacer_pass(p, train_bytes, now)) send all at once, queue nothing;
 *     else queue the train, pacer_queued(p, bytes_queued, oldest_us, now);
 *     ... at pacer_next(p, now): send from the queue up to pacer_budget(p, kind, now) bytes,
 *     retransmissions first, each send told by pacer_sent, and then pacer_queued again.
 *
 * Audio and RTCP never wait; they are told by pacer_sent so that video yields to them. */
#ifndef SOTTO_SFU_CORE_PACER_H
#define SOTTO_SFU_CORE_PACER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACER_FACTOR       2.5    /* times the estimate, as libwebrtc paces */
#define PACER_BURST_US     40000  /* of the rate, that may leave as one train: 100 ms of the link */
#define PACER_RTX_BURST_US 80000  /* the same for retransmissions: they pass video that waits */
#define PACER_DEBT_US      500000 /* no more than this is owed */
#define PACER_QUEUE_US     250000 /* no packet waits longer: the rate rises to what that takes */

enum pacer_kind { PACER_AUDIO, PACER_RTX, PACER_VIDEO, PACER_PADDING };

struct pacer {
    int64_t empty_us;   /* when the bucket is empty */
    uint64_t ns_a_byte; /* 16 bits of fraction; 0: no rate, nothing is paced */
    uint64_t queue_ns;  /* the same while a queue must be gone in time; 0: as above */
    size_t queued_bytes;
    int64_t oldest_us; /* when the oldest packet of the queue came */
};

void pacer_init(struct pacer *p);
/* PACER_FACTOR times the estimate is the rate from now on; 0: unpaced. */
void pacer_set_target(struct pacer *p, int64_t target_bps);
/* Takes note of a send of any kind. */
void pacer_sent(struct pacer *p, size_t bytes, int64_t now_us);
/* Bytes of a kind that may leave now; SIZE_MAX: no bound. More than 0 means that at least one
 * packet may leave, even if it is larger. */
size_t pacer_budget(const struct pacer *p, enum pacer_kind kind, int64_t now_us);
/* What waits now, after every change of the queue; 0 bytes: nothing. */
void pacer_queued(struct pacer *p, size_t bytes, int64_t oldest_us, int64_t now_us);
/* When the queue has a budget again; INT64_MAX when nothing waits. */
int64_t pacer_next(const struct pacer *p, int64_t now_us);

/* The fast path: true when the train may leave whole and now; it is noted then. One that is larger
 * than a burst is to be queued too, and leaves in parts. */
static inline bool pacer_pass(struct pacer *p, size_t bytes, int64_t now_us)
{
    int64_t from = p->empty_us > now_us ? p->empty_us : now_us;
    int64_t to = from + (int64_t)((bytes * p->ns_a_byte >> 16) / 1000);
    if (p->queued_bytes != 0 || to - now_us > PACER_BURST_US) {
        return false;
    }
    p->empty_us = to;
    return true;
}

#endif
