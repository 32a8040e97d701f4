/* What each layer of one incoming video stream really is: its bitrate, its frames a second, whether
 * it comes at all. What the allocator decides by. Pure; times are microseconds. */
#ifndef SOTTO_SFU_CORE_METER_H
#define SOTTO_SFU_CORE_METER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define METER_SPATIAL  3
#define METER_TEMPORAL 3
#define METER_US       500000 /* what is measured at a time */

/* Zero-initialise. */
struct meter {
    int64_t since_us;                              /* 0: nothing came yet */
    int64_t last_us;                               /* of the newest packet */
    uint32_t bytes[METER_SPATIAL][METER_TEMPORAL]; /* since then */
    uint16_t frames[METER_TEMPORAL];               /* pictures, by their temporal layer */
    uint8_t silent[METER_SPATIAL][METER_TEMPORAL]; /* measures without a packet, while others came
                                                    */
    uint32_t bps[METER_SPATIAL][METER_TEMPORAL];   /* smoothed, of that layer alone; 0: not known */
    uint32_t mfps[METER_TEMPORAL]; /* frames in 1000 seconds, smoothed, of the layers up to it */
    uint8_t fps[METER_TEMPORAL];   /* the same a second, but steady; 0: not known */
    uint8_t n_spatial, n_temporal; /* that were ever seen */
};

/* A packet of so many bytes; layers beyond the bounds count as the highest. new_picture: the first
 * of its time. */
static inline void meter_packet(struct meter *m, uint8_t sid, uint8_t tid, size_t bytes,
                                bool new_picture, int64_t now_us)
{
    sid = sid < METER_SPATIAL ? sid : METER_SPATIAL - 1;
    tid = tid < METER_TEMPORAL ? tid : METER_TEMPORAL - 1;
    m->since_us = m->since_us ? m->since_us : now_us;
    m->last_us = now_us;
    m->bytes[sid][tid] += (uint32_t)bytes;
    m->frames[tid] = (uint16_t)(m->frames[tid] + new_picture);
    m->n_spatial = sid < m->n_spatial ? m->n_spatial : (uint8_t)(sid + 1);
    m->n_temporal = tid < m->n_temporal ? m->n_temporal : (uint8_t)(tid + 1);
}
/* Call about every 100 ms: works out what METER_US brought. */
void meter_tick(struct meter *m, int64_t now_us);
/* Packets of this layer come, as far as any of the stream do. */
bool meter_live(const struct meter *m, uint8_t sid, uint8_t tid);
/* Of the layers up to sid and tid together. */
uint32_t meter_bps(const struct meter *m, uint8_t sid, uint8_t tid);

#endif
