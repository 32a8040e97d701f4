#include "sfu/shell/subscriber_rate_trust.h"

static void enter(struct rate_trust *t, enum rate_trust_state state, int64_t now_us)
{
    t->state = state;
    t->since_us = now_us;
}

void rate_trust_init(struct rate_trust *t, int64_t now_us)
{
    *t = (struct rate_trust){.state = RATE_STARTING, .since_us = now_us};
}

static void rest(struct rate_trust *t, int64_t now_us)
{
    int64_t twice = t->rest_us * 2;
    t->rest_us = twice == 0 ? RATE_REST_US : twice < RATE_REST_MAX_US ? twice : RATE_REST_MAX_US;
    enter(t, RATE_RESTING, now_us);
}

static void start(struct rate_trust *t, const struct rate_evidence *e, int64_t now_us)
{
    if (!e->heard || (e->fresh && e->calm)) {
        t->since_us = now_us;
    }
    if (e->congested || now_us - t->since_us >= RATE_START_US) {
        enter(t, RATE_PATIENT, now_us);
    }
}

static void go_on(struct rate_trust *t, const struct rate_evidence *e, int64_t now_us)
{
    if (now_us - t->since_us >= RATE_BORNE_US) {
        t->rest_us = 0;
    }
    if (e->fresh && e->calm) {
        enter(t, RATE_STARTING, now_us);
    }
}

static void sink(struct rate_trust *t, const struct rate_evidence *e, int64_t now_us)
{
    if (!e->drowned) {
        enter(t, RATE_PATIENT, now_us);
    } else if (now_us - t->since_us >= RATE_SINK_US) {
        rest(t, now_us);
    }
}

void rate_trust_look(struct rate_trust *t, const struct rate_evidence *e, int64_t now_us)
{
    if (t->state == RATE_RESTING) {
        if (e->drowned || e->told) {
            t->since_us = now_us; /* it rests from the last sign on */
        } else if (now_us - t->since_us >= t->rest_us) {
            enter(t, RATE_PATIENT, now_us);
        } else if (e->fresh && e->calm) {
            enter(t, RATE_STARTING, now_us);
        }
    } else if (e->told) {
        rest(t, now_us);
    } else if (t->state == RATE_SINKING) {
        sink(t, e, now_us);
    } else if (e->drowned) {
        enter(t, RATE_SINKING, now_us);
    } else if (t->state == RATE_STARTING) {
        start(t, e, now_us);
    } else {
        go_on(t, e, now_us);
    }
}
