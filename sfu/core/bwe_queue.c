#include "sfu/core/bwe_queue.h"

#include <string.h>

#define STANDS_US 30000  /* of waiting: less may be jitter, or the frame that the packet is of */
#define LEAST_US  60000  /* of standing, and */
#define LEAST     4      /* packets: less is chance */
#define SPAN_US   100000 /* and as many packets; two of these, or a link that changes isn't seen */
#define PAUSE_US  1000000

void bwe_queue_init(struct bwe_queue *q)
{
    memset(q, 0, sizeof *q);
}

void bwe_queue_input(struct bwe_queue *q, int64_t waited_us, int64_t arrived_us, uint16_t bytes)
{
    int64_t gap = arrived_us - q->last_us;

    if (!q->begun || waited_us < STANDS_US || gap > PAUSE_US || gap < -PAUSE_US) {
        *q = (struct bwe_queue){.begun = true, .last_us = arrived_us};
        return;
    }
    if (gap > 0) { /* else reordered: no time passed */
        q->last_us = arrived_us;
        q->now.us += gap;
    }
    q->now.bytes += bytes;
    q->now.packets++;
    if (q->now.us >= SPAN_US && q->now.packets >= LEAST) {
        q->before = q->now;
        q->now = (struct bwe_queue_span){0};
    }
}

double bwe_queue_bps(const struct bwe_queue *q)
{
    int64_t us = q->before.us + q->now.us;
    bool known = us >= LEAST_US && q->before.packets + q->now.packets >= LEAST;

    return known ? (q->before.bytes + q->now.bytes) * 8e6 / (double)us : -1;
}
