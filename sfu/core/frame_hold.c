#include "sfu/core/frame_hold.h"

#define LATE_LIMIT 128 /* from here on, waiting would be in vain more often than not */

/* A frame is over: an eighth of the judgement is its share of packets that waiting would have
 * waited for in vain. Frames of one packet tell nothing. */
static void judge(struct frame_hold *h)
{
    if (h->came > 0) {
        unsigned late = 255u * (unsigned)(h->came - h->in_time) / h->came;
        h->late = (uint8_t)((h->late * 7u + late + 4) / 8);
    }
}

static void begin(struct frame_hold *h, uint32_t ts, int64_t now_us)
{
    if (h->started) {
        judge(h);
    }
    h->started = true;
    h->ts = ts;
    h->first_us = now_us;
    h->came = h->in_time = 0;
}

int64_t frame_hold_input(struct frame_hold *h, uint32_t ts, bool marker, int64_t now_us)
{
    if (!h->started || ts != h->ts) {
        begin(h, ts, now_us);
    } else if (h->came < UINT16_MAX) {
        h->came++;
        h->in_time += now_us <= h->first_us + FRAME_HOLD_US;
    }
    int64_t until = h->first_us + FRAME_HOLD_US;
    return marker || h->late >= LATE_LIMIT || until < now_us ? now_us : until;
}
