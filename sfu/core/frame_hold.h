/* Whether a video packet may wait for the rest of its frame, so that the frame leaves as one train
 * a subscriber. Only for sources whose frames come in bursts: what they did before is what is
 * expected of them. Pure; times are microseconds. */
#ifndef SOTTO_SFU_CORE_FRAME_HOLD_H
#define SOTTO_SFU_CORE_FRAME_HOLD_H

#include <stdbool.h>
#include <stdint.h>

#define FRAME_HOLD_US 1000 /* at most, from the frame's first packet on */

/* Zero-initialise. */
struct frame_hold {
    bool started;
    uint32_t ts;            /* of the frame that comes */
    int64_t first_us;       /* its first packet */
    uint16_t came, in_time; /* those behind the first */
    uint8_t late;           /* 0: packets come in bursts … 255: none came in time lately */
};

/* A packet of the source came in its order; returns until when it may wait: now_us: not at all,
 * and what waits of its frame neither (the marker ends a frame). */
int64_t frame_hold_input(struct frame_hold *h, uint32_t ts, bool marker, int64_t now_us);

#endif
