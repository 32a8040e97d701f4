/* What the link carries while a queue stands on it: the rate at which packets arrive then, and only
 * then. A window that began before the queue did tells what was sent, not what the link has. */
#ifndef SOTTO_SFU_CORE_BWE_QUEUE_H
#define SOTTO_SFU_CORE_BWE_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

/* From an arrival, which isn't part of it, to the newest. */
struct bwe_queue_span {
    int64_t us;
    uint32_t bytes, packets;
};

struct bwe_queue {
    bool begun;
    int64_t last_us;                   /* arrival of the newest packet */
    struct bwe_queue_span now, before; /* one after the other; the first begins where the last
                                          packet came that waited for next to nothing */
};

void bwe_queue_init(struct bwe_queue *q);
/* A packet that arrived, in order of sending: how long it waited in queues (bwe_delay_waited_us),
 * and when it came by the receiver's clock. */
void bwe_queue_input(struct bwe_queue *q, int64_t waited_us, int64_t arrived_us, uint16_t bytes);
/* Bit/s; under 0: none stands, or not for long enough to tell. */
double bwe_queue_bps(const struct bwe_queue *q);

#endif
