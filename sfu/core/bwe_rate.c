#include "sfu/core/bwe_rate.h"

#include <math.h>

#define BETA             0.85
#define GROWTH           1.08 /* a second */
#define GROWTH_MIN_BPS   1000.0
#define HEADROOM         1.5 /* section 5.5: no more than 1.5 times what is received */
#define HEADROOM_BPS     10000.0
#define NEAR             0.5    /* of the known capacity */
#define ADDITIVE_MIN_BPS 4000.0 /* a second */
#define FRAMES_A_SECOND  30.0
#define PACKET_BITS      9600.0
#define DETECT_US        100000 /* what the detector takes, beside the round trip */
#define LEARN_OVERUSE    0.05
#define LEARN_PROBE      0.5
#define BETA_QUEUED      0.75 /* with a queue that has to drain as well */
#define QUEUE_MS         80.0
#define NARROW_MS        30.0    /* of queue behind an overuse: it isn't the path's jitter alone */
#define QUEUE_HOLD_US    5000000 /* longer is no queue, but a path that has become longer */
#define QUIET_DROP_US    1000000 /* between decreases while little is sent */

static void capacity_forget(struct bwe_capacity *c)
{
    *c = (struct bwe_capacity){.kbps = -1, .var = 0.4};
}

static void capacity_learn(struct bwe_capacity *c, double kbps, double weight)
{
    if (c->kbps < 0) {
        c->kbps = kbps;
        return;
    }
    c->kbps = (1 - weight) * c->kbps + weight * kbps;
    double error = c->kbps - kbps;
    c->var = (1 - weight) * c->var + weight * error * error / fmax(c->kbps, 1);
    c->var = fmin(fmax(c->var, 0.4), 2.5);
}

/* Three standard deviations. */
static double capacity_spread(const struct bwe_capacity *c)
{
    return 3 * sqrt(c->var * c->kbps);
}

void bwe_rate_init(struct bwe_rate *r, double start_bps, double min_bps, double max_bps,
                   int64_t now_us)
{
    *r = (struct bwe_rate){
        .min_bps = min_bps,
        .max_bps = max_bps,
        .state = BWE_HOLD,
        .changed_us = now_us,
        .decreased_us = INT64_MIN,
        .narrow_us = INT64_MIN,
        .rtt_us = 200000,
    };
    capacity_forget(&r->capacity);
    bwe_rate_set(r, start_bps, now_us);
}

void bwe_rate_set(struct bwe_rate *r, double bps, int64_t now_us)
{
    r->bps = fmin(fmax(bps, r->min_bps), r->max_bps);
    r->changed_us = now_us;
}

void bwe_rate_learn_capacity(struct bwe_rate *r, double bps, int64_t now_us)
{
    r->narrow_us = now_us;
    capacity_learn(&r->capacity, bps / 1000, LEARN_PROBE);
}

/* Section 5.5: half a packet a response time, here a whole one of the size that a video at this
 * rate has. */
static double additive_bps(const struct bwe_rate *r)
{
    double frame_bits = r->bps / FRAMES_A_SECOND;
    double packet_bits = frame_bits / ceil(frame_bits / PACKET_BITS);
    double response_s = (double)(r->rtt_us + DETECT_US) / 1e6;

    return fmax(ADDITIVE_MIN_BPS, packet_bits / response_s);
}

static void increase(struct bwe_rate *r, const struct bwe_rate_input *in, int64_t now_us)
{
    struct bwe_capacity *c = &r->capacity;
    double s = fmin(fmax((double)(now_us - r->changed_us) / 1e6, 0), 1);
    double limit = in->acked_bps < 0 ? r->bps : HEADROOM * in->acked_bps + HEADROOM_BPS;

    if (c->kbps >= 0 && in->acked_bps / 1000 > c->kbps + capacity_spread(c)) {
        capacity_forget(c);
        r->improved = true;
    }
    r->changed_us = now_us;
    if (in->application_limited || r->bps >= limit) {
        return;
    }
    double by = r->bps > NEAR * 1000 * c->kbps && c->kbps >= 0
                    ? additive_bps(r) * s
                    : fmax(r->bps * (pow(GROWTH, s) - 1), GROWTH_MIN_BPS * s);
    r->bps = fmin(fmin(r->bps + by, limit), r->max_bps);
}

/* When we send little, what comes through says nothing of what could, and a slope without a queue
 * behind it is noise. A queue that stands is none, however little we send: then what comes through
 * is what the link has for us. */
static bool is_noise(const struct bwe_rate_input *in)
{
    return in->application_limited && in->queue_ms <= QUEUE_MS;
}

/* While a queue stands, what arrives is what the link has for us. What arrived before it stood is
 * only what was sent, or what the link had before it narrowed. */
static double arrives_bps(const struct bwe_rate_input *in)
{
    return in->queued_bps >= 0 ? in->queued_bps : in->acked_bps;
}

/* Once a round trip, at once where far less comes through than we think. */
static bool may_decrease(const struct bwe_rate *r, const struct bwe_rate_input *in, int64_t now_us)
{
    int64_t wait = r->rtt_us < 10000 ? 10000 : r->rtt_us > 200000 ? 200000 : r->rtt_us;

    if (r->decreased_us == INT64_MIN) {
        return true;
    }
    if (is_noise(in)) {
        return now_us - r->decreased_us >= QUIET_DROP_US;
    }
    return now_us - r->decreased_us >= wait || arrives_bps(in) < r->bps / 2;
}

static void decrease(struct bwe_rate *r, const struct bwe_rate_input *in, int64_t now_us)
{
    struct bwe_capacity *c = &r->capacity;
    double beta = in->queue_ms > QUEUE_MS ? BETA_QUEUED : BETA;
    double arrives = arrives_bps(in);
    double to = beta * (arrives < 0 ? r->bps : arrives);

    if (!may_decrease(r, in, now_us)) {
        return;
    }
    if (in->queue_ms > NARROW_MS) {
        r->narrow_us = now_us;
    }
    r->improved |= in->application_limited && !is_noise(in); /* what more there is isn't known */
    if (is_noise(in)) {
        to = fmax(to, BETA * r->bps);
    } else if (arrives >= 0) {
        if (to > r->bps && c->kbps >= 0) {
            to = BETA * c->kbps * 1000;
        }
        if (c->kbps >= 0 && arrives / 1000 < c->kbps - capacity_spread(c)) {
            capacity_forget(c);
        }
        capacity_learn(c, arrives / 1000, LEARN_OVERUSE);
    }
    bwe_rate_set(r, fmin(to, r->bps), now_us);
    r->decreased_us = now_us;
}

/* A queue that neither grows nor shrinks has no slope, but is no reason to send more. */
static bool queue_stands(struct bwe_rate *r, double queue_ms, int64_t now_us)
{
    if (queue_ms <= QUEUE_MS) {
        r->queued_us = 0;
        return false;
    }
    if (r->queued_us == 0) {
        r->queued_us = now_us;
    }
    return now_us - r->queued_us < QUEUE_HOLD_US;
}

void bwe_rate_update(struct bwe_rate *r, const struct bwe_rate_input *in, int64_t now_us)
{
    bool queued = queue_stands(r, in->queue_ms, now_us);

    if (in->usage == BWE_OVERUSE) {
        decrease(r, in, now_us);
        r->state = BWE_HOLD;
    } else if (in->usage == BWE_UNDERUSE || queued) { /* the queue drains: let it */
        r->state = BWE_HOLD;
    } else if (r->state == BWE_HOLD) {
        r->state = BWE_INCREASE;
        r->changed_us = now_us;
    } else {
        increase(r, in, now_us);
    }
}
