/* The delay-based rate: additive increase near the link's known capacity, multiplicative far from
 * it, multiplicative decrease on overuse (draft-ietf-rmcat-gcc-02 section 5.5). */
#ifndef SOTTO_SFU_CORE_BWE_RATE_H
#define SOTTO_SFU_CORE_BWE_RATE_H

#include <stdbool.h>
#include <stdint.h>

#include "sfu/core/bwe_delay.h"

enum bwe_rate_state { BWE_HOLD, BWE_INCREASE, BWE_DECREASE };

/* Where overuse begins, learned from the rates at which it did. */
struct bwe_capacity {
    double kbps; /* under 0: not known */
    double var;  /* normalised by the rate */
};

struct bwe_rate {
    double bps;
    double min_bps, max_bps;
    enum bwe_rate_state state;
    struct bwe_capacity capacity;
    int64_t changed_us;   /* when the rate was last reckoned */
    int64_t decreased_us; /* INT64_MIN: never */
    int64_t narrow_us;    /* when the link was last shown to have an end: a queue, or a probe that
                             filled it; INT64_MIN: never */
    int64_t rtt_us;
    bool improved;     /* more came through than the link was known for, or it isn't known for more
                          than little any longer: worth a probe; the reader clears it */
    int64_t queued_us; /* since when a queue stands; 0: none does */
};

struct bwe_rate_input {
    enum bwe_usage usage;
    double acked_bps;         /* under 0: not known */
    double queued_bps;        /* what arrives while a queue stands; under 0: none does, or not for
                                 long enough */
    double queue_ms;          /* that stands on the way */
    bool application_limited; /* far less is sent than may be: grow by probes only */
};

void bwe_rate_init(struct bwe_rate *r, double start_bps, double min_bps, double max_bps,
                   int64_t now_us);
/* Once a feedback. Moves r->bps. */
void bwe_rate_update(struct bwe_rate *r, const struct bwe_rate_input *in, int64_t now_us);
/* Sets the rate (a probe's result, a timeout), within its bounds. */
void bwe_rate_set(struct bwe_rate *r, double bps, int64_t now_us);
/* A probe filled the link: near this the rate is to grow slowly. */
void bwe_rate_learn_capacity(struct bwe_rate *r, double bps, int64_t now_us);

#endif
