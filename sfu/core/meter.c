#include "sfu/core/meter.h"

#include <string.h>

#define SILENT_MEASURES 3 /* a layer is gone after so many */
#define SILENT_FRAMES   2 /* a measure with fewer frames of others says nothing */
#define STILL_US        250000
#define STEADY          4 /* what is told of fps changes when it is off by a fourth */

static uint32_t smooth(uint32_t was, uint64_t is)
{
    return was ? (uint32_t)((was + is) / 2) : (uint32_t)(is < UINT32_MAX ? is : UINT32_MAX);
}

static void measure_layer(struct meter *m, unsigned sid, unsigned tid, int64_t us, bool tells)
{
    if (m->bytes[sid][tid] > 0) {
        m->silent[sid][tid] = 0;
        m->bps[sid][tid] =
            smooth(m->bps[sid][tid], (uint64_t)m->bytes[sid][tid] * 8000000 / (uint64_t)us);
    } else if (tells && m->silent[sid][tid] < SILENT_MEASURES) {
        m->silent[sid][tid]++;
    }
}

static void measure_frames(struct meter *m, int64_t us)
{
    uint32_t frames = 0;
    for (unsigned tid = 0; tid < m->n_temporal; tid++) {
        frames += m->frames[tid];
        m->mfps[tid] = smooth(m->mfps[tid], (uint64_t)frames * 1000000000 / (uint64_t)us);
        uint32_t told = m->fps[tid] * 1000u, is = m->mfps[tid];
        uint32_t off = told > is ? told - is : is - told;
        if (told == 0 || off > told / STEADY) {
            uint32_t fps = (is + 500) / 1000;
            m->fps[tid] = (uint8_t)(fps < 1 ? 1 : fps > UINT8_MAX ? UINT8_MAX : fps);
        }
    }
}

void meter_tick(struct meter *m, int64_t now_us)
{
    int64_t us = now_us - m->since_us;
    uint32_t frames = 0;
    if (!m->since_us || us < METER_US) {
        return;
    }
    for (unsigned tid = 0; tid < m->n_temporal; tid++) {
        frames += m->frames[tid];
    }
    for (unsigned sid = 0; sid < m->n_spatial; sid++) {
        for (unsigned tid = 0; tid < m->n_temporal; tid++) {
            measure_layer(m, sid, tid, us, frames > SILENT_FRAMES);
        }
    }
    if (frames > 0 && now_us - m->last_us < STILL_US) { /* a still screen is as fast as before */
        measure_frames(m, us);
    }
    memset(m->bytes, 0, sizeof m->bytes);
    memset(m->frames, 0, sizeof m->frames);
    m->since_us = now_us;
}

bool meter_live(const struct meter *m, uint8_t sid, uint8_t tid)
{
    return sid < m->n_spatial && tid < m->n_temporal && m->silent[sid][tid] < SILENT_MEASURES &&
           (m->bps[sid][tid] > 0 || m->bytes[sid][tid] > 0);
}

uint32_t meter_bps(const struct meter *m, uint8_t sid, uint8_t tid)
{
    uint64_t sum = 0;
    for (unsigned s = 0; s <= sid && s < m->n_spatial; s++) {
        for (unsigned t = 0; t <= tid && t < m->n_temporal; t++) {
            sum += m->silent[s][t] < SILENT_MEASURES ? m->bps[s][t] : 0;
        }
    }
    return (uint32_t)(sum < UINT32_MAX ? sum : UINT32_MAX);
}
