#include "sfu/core/bwe_acked.h"

#include <math.h>

#define FIRST_WINDOW_US 500000
#define WINDOW_US       150000
#define DOUBT           10.0 /* how much a sample far from the belief is doubted */
#define DRIFT           5.0  /* variance that a window adds */
#define FAST_VAR        200.0
#define FLOOR_BPS       40000.0

void bwe_acked_init(struct bwe_acked *a)
{
    *a = (struct bwe_acked){.bps = -1, .var = 50};
}

void bwe_acked_expect_change(struct bwe_acked *a)
{
    a->var = FAST_VAR;
}

static void believe(struct bwe_acked *a, double sample)
{
    if (a->bps < 0) {
        a->bps = sample;
        return;
    }
    double kbps = a->bps / 1000, s = sample / 1000;
    double doubt = DOUBT * fabs(kbps - s) / (kbps + fmin(s, kbps) + 1);
    double sample_var = doubt * doubt;
    double var = a->var + DRIFT;
    kbps = (sample_var * kbps + var * s) / (sample_var + var);
    a->bps = fmax(kbps * 1000, FLOOR_BPS);
    a->var = sample_var * var / (sample_var + var);
}

void bwe_acked_input(struct bwe_acked *a, int64_t arrived_us, uint16_t bytes)
{
    const int64_t window = a->bps < 0 ? FIRST_WINDOW_US : WINDOW_US;

    if (!a->started) {
        a->started = 1;
        a->last_us = arrived_us;
    }
    int64_t gap = arrived_us - a->last_us;
    if (gap < 0) { /* reordered, or the clock went back: not time that passed */
        gap = 0;
    }
    a->last_us = arrived_us;
    a->span_us += gap;
    if (gap > window) {
        a->bytes = 0;
        a->span_us %= window;
    }
    if (a->span_us >= window) {
        believe(a, a->bytes * 8e6 / (double)window);
        a->span_us -= window;
        a->bytes = 0;
    }
    a->bytes += bytes;
}
