/* Is a queue growing on the way? Packets are grouped into bursts, the one-way delay's change from
 * group to group is smoothed, a line is fitted to it and its slope compared to a threshold that
 * adapts to the path's jitter (draft-ietf-rmcat-gcc-02 sections 5.2 to 5.4, with libwebrtc's
 * trendline in place of the Kalman filter). */
#ifndef SOTTO_SFU_CORE_BWE_DELAY_H
#define SOTTO_SFU_CORE_BWE_DELAY_H

#include <stdbool.h>
#include <stdint.h>

#define BWE_TREND_POINTS 20

enum bwe_usage { BWE_NORMAL, BWE_OVERUSE, BWE_UNDERUSE };

struct bwe_group {
    int64_t first_sent_us, last_sent_us;
    int64_t first_arrived_us, last_arrived_us;
};

struct bwe_delay {
    bool have_group, have_previous;
    struct bwe_group group, previous;
    double at_ms[BWE_TREND_POINTS]; /* arrival since first_us */
    double delay_ms[BWE_TREND_POINTS];
    unsigned points; /* deltas so far, at most 60 */
    unsigned next;   /* place of the next point */
    int64_t first_us;
    double accumulated_ms, smoothed_ms;
    double threshold_ms;
    int64_t threshold_us; /* when it last moved */
    double trend;         /* the slope of the last fit */
    double over_ms;       /* for how long the slope is too steep; under 0: it isn't */
    unsigned over_count;
    enum bwe_usage usage;
    /* the queue that stands, from the one-way delay over the least that was seen */
    int64_t base_us[2]; /* least difference of the clocks, in this and the former window */
    int64_t base_since_us;
    double offset_us; /* the same, now, smoothed */
};

void bwe_delay_init(struct bwe_delay *d);
/* A packet that arrived, in order of sending; arrived_us is of the receiver's clock (any origin,
 * any skew). Jumps of the difference of the clocks past 3 s start it anew. */
void bwe_delay_input(struct bwe_delay *d, int64_t sent_us, int64_t arrived_us);

/* The delay that a standing queue adds, in milliseconds. A slope can't see it. */
double bwe_delay_queue_ms(const struct bwe_delay *d);
/* How much longer one packet was under way than the path takes at least, microseconds; 0 while that
 * isn't known. */
int64_t bwe_delay_waited_us(const struct bwe_delay *d, int64_t sent_us, int64_t arrived_us);

#endif
