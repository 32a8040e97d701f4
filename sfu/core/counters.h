/* What is counted of a track that comes in or a slot that goes out. Plain numbers that one thread
 * writes on the packet path; whoever reads them takes a copy in that thread and works out rates
 * between two copies. */
#ifndef SOTTO_SFU_CORE_COUNTERS_H
#define SOTTO_SFU_CORE_COUNTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A freeze is a gap between frames of more than three times their usual distance and of more than
 * 150 ms beyond it (W3C webrtc-stats, freezeCount). */
#define COUNTERS_FREEZE_FACTOR   3
#define COUNTERS_FREEZE_EXTRA_US 150000
#define COUNTERS_NONE            (-1) /* of sid, tid, jitter, RTT, estimate: not known */

enum counter {
    COUNTER_PACKETS, /* media, first time */
    COUNTER_BYTES,   /* their payload */
    COUNTER_LOST,  /* found missing, whether they came later or not; of a slot: as its receiver told
                    */
    COUNTER_NACKS, /* packets asked for again: sent for a track, received for a slot */
    COUNTER_PLIS,  /* keyframe requests: sent for a track, received for a slot */
    COUNTER_RETRANSMITS, /* received for a track, sent for a slot */
    COUNTER_RETRANSMIT_BYTES,
    COUNTER_DROPPED, /* over a limit, late, or not forwardable */
    COUNTER_FRAMES,
    COUNTER_KEYFRAMES,
    COUNTER_SWITCHES, /* of layer */
    COUNTER_FREEZES,
    COUNTER_FREEZE_US,
    COUNTER_PAUSES, /* by the allocator, for lack of bandwidth or load */
    COUNTERS
};

struct counters {
    uint64_t n[COUNTERS];
    int64_t jitter_us, rtt_us; /* COUNTERS_NONE: not known */
    int64_t estimate_bps;      /* the subscriber's, or the source's; COUNTERS_NONE: not known */
    int8_t sid, tid;           /* layer in use, COUNTERS_NONE: none */
    bool paused;
    int64_t frame_us;      /* when the last frame came; 0: none, or a gap that is no freeze */
    int64_t usual_us;      /* smoothed distance of frames; 0: not known yet */
    int64_t last_us;       /* of the last packet; 0: none */
    int64_t fraction_lost; /* of 65536, as the receiver told last; COUNTERS_NONE: didn't */
};

void counters_init(struct counters *c);

static inline void counters_add(struct counters *c, enum counter which, uint64_t n)
{
    c->n[which] += n;
}

/* A media packet that came (or left), of so many bytes of payload. */
static inline void counters_packet(struct counters *c, size_t bytes, int64_t now_us)
{
    c->n[COUNTER_PACKETS]++;
    c->n[COUNTER_BYTES] += bytes;
    c->last_us = now_us;
}

/* A frame begins. Counts the gap before it when that was a freeze. */
void counters_frame(struct counters *c, bool keyframe, int64_t now_us);
/* The picture is paused or goes on, by will: the gap is no freeze. */
void counters_pause(struct counters *c, bool paused);
/* The layer in use; counts a switch when it was another one. COUNTERS_NONE twice: none. */
void counters_layer(struct counters *c, int sid, int tid);
/* A receiver report's block on this stream (RFC 3550 section 6.4.1): of 256, and in all (which may
 * fall when duplicates come: then the count stays). rtt_us < 0: not known by this one. */
void counters_report(struct counters *c, uint8_t fraction_lost, int32_t cumulative_lost,
                     int64_t jitter_us, int64_t rtt_us);

/* Between two copies of one block. */
struct counter_rates {
    double seconds;
    double packets, bits, frames, nacks, plis, retransmits; /* a second */
    double loss;                                            /* share lost of what was sent, 0..1 */
    double frozen;                                          /* share of the time, 0..1 */
};
/* All 0 when no time has passed or a number went back (the block began anew). */
void counters_rates(const struct counters *now, const struct counters *before, int64_t elapsed_us,
                    struct counter_rates *out);

/* What is told outside (call_stats, the admin dump): rounded, in the units of the contract. Members
 * that aren't known are COUNTERS_NONE. */
struct counters_view {
    uint64_t packets, bytes, lost, nacks, plis, retransmits, dropped, frames, keyframes, switches,
        freezes, pauses;
    int64_t freeze_ms, bitrate_kbps, estimate_kbps;
    double loss_percent, jitter_ms, rtt_ms, fps;
    int sid, tid;
    bool paused;
};
void counters_render(const struct counters *c, const struct counter_rates *rates,
                     struct counters_view *out);

/* Adds totals of `from` to `to` (a room's, a worker's); what isn't a sum is left alone. */
void counters_merge(struct counters *to, const struct counters *from);

#endif
