#include "sfu/core/bwe_delay.h"

#include <math.h>
#include <string.h>

#define GROUP_US         5000 /* draft section 5.2: burst_time */
#define BURST_MAX_US     100000
#define JUMP_US          3000000
#define SMOOTHING        0.9
#define GAIN             4.0
#define DELTAS_MAX       60
#define THRESHOLD_MS     12.5 /* section 5.4: del_var_th(0) */
#define THRESHOLD_MIN_MS 6.0
#define THRESHOLD_MAX_MS 600.0
#define K_UP             0.0087 /* what libwebrtc uses; the draft names 0.01 and 0.00018 */
#define K_DOWN           0.039
#define OUTLIER_MS       15.0 /* section 5.4: a spike doesn't move the threshold */
#define BASE_US          30000000
#define QUEUE_SMOOTHING  0.9
#define OVERUSE_MS       10.0 /* section 5.4: overuse_time_th */

_Static_assert(BWE_TREND_POINTS % 2 == 0, "slope takes two at a time");

void bwe_delay_init(struct bwe_delay *d)
{
    memset(d, 0, sizeof *d);
    d->threshold_ms = THRESHOLD_MS;
    d->threshold_us = INT64_MIN;
    d->over_ms = -1;
}

/* Least squares over what the window holds, by sums of differences from one of its points, two of
 * each side by side. */
static double slope(const struct bwe_delay *d)
{
    const double share = 1.0 / BWE_TREND_POINTS;
    double x[2] = {0}, y[2] = {0}, xy[2] = {0}, xx[2] = {0};

    for (unsigned i = 0; i < BWE_TREND_POINTS; i += 2) {
        for (unsigned k = 0; k < 2; k++) {
            double a = d->at_ms[i + k] - d->at_ms[0], b = d->delay_ms[i + k] - d->delay_ms[0];
            x[k] += a;
            y[k] += b;
            xy[k] += a * b;
            xx[k] += a * a;
        }
    }
    double sum_x = x[0] + x[1], sum_y = y[0] + y[1];
    double spread = xx[0] + xx[1] - sum_x * sum_x * share;
    return spread > 0 ? (xy[0] + xy[1] - sum_x * sum_y * share) / spread : d->trend;
}

static double between(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

static void adapt_threshold(struct bwe_delay *d, double offset_ms, int64_t at_us)
{
    double size = fabs(offset_ms);

    if (d->threshold_us == INT64_MIN) {
        d->threshold_us = at_us;
    }
    if (size <= d->threshold_ms + OUTLIER_MS) {
        double k = size < d->threshold_ms ? K_DOWN : K_UP;
        double ms = between((double)(at_us - d->threshold_us) * 1e-3, 0, 100);
        double moved = d->threshold_ms + k * (size - d->threshold_ms) * ms;
        d->threshold_ms = between(moved, THRESHOLD_MIN_MS, THRESHOLD_MAX_MS);
    }
    d->threshold_us = at_us;
}

static void detect(struct bwe_delay *d, double trend, double sent_ms, int64_t at_us)
{
    double offset = d->points * trend * GAIN;

    if (offset > d->threshold_ms) {
        d->over_ms = d->over_ms < 0 ? sent_ms / 2 : d->over_ms + sent_ms;
        d->over_count++;
        if (d->over_ms > OVERUSE_MS && d->over_count > 1 && trend >= d->trend) {
            d->over_ms = 0;
            d->over_count = 0;
            d->usage = BWE_OVERUSE;
        }
    } else {
        d->over_ms = -1;
        d->over_count = 0;
        d->usage = offset < -d->threshold_ms ? BWE_UNDERUSE : BWE_NORMAL;
    }
    d->trend = trend;
    adapt_threshold(d, offset, at_us);
}

static void add_point(struct bwe_delay *d, double sent_ms, double arrived_ms, int64_t at_us)
{
    if (d->points == 0) {
        d->first_us = at_us;
    }
    d->points += d->points < DELTAS_MAX;
    d->accumulated_ms += arrived_ms - sent_ms;
    d->smoothed_ms = SMOOTHING * d->smoothed_ms + (1 - SMOOTHING) * d->accumulated_ms;
    d->at_ms[d->next] = (double)(at_us - d->first_us) * 1e-3;
    d->delay_ms[d->next] = d->smoothed_ms;
    d->next = d->next + 1 < BWE_TREND_POINTS ? d->next + 1 : 0;
    if (d->points >= BWE_TREND_POINTS) {
        detect(d, slope(d), sent_ms, at_us);
    }
}

/* Sent within the burst time, or after a queue on the way held them: they came in one go. */
static bool same_group(const struct bwe_group *g, int64_t sent_us, int64_t arrived_us)
{
    int64_t arrived = arrived_us - g->last_arrived_us;
    int64_t grown = arrived - (sent_us - g->last_sent_us);

    if (sent_us - g->first_sent_us <= GROUP_US) {
        return true;
    }
    return grown < 0 && arrived <= GROUP_US && arrived_us - g->first_arrived_us < BURST_MAX_US;
}

/* The least one-way delay of the last 30 to 60 s is the path's own: skew of the clocks is
 * milliseconds in that time. */
static void watch_queue(struct bwe_delay *d, const struct bwe_group *g)
{
    int64_t offset = g->last_arrived_us - g->last_sent_us;

    if (!d->have_previous) {
        d->base_us[0] = d->base_us[1] = offset;
        d->base_since_us = g->last_sent_us;
        d->offset_us = (double)offset;
    }
    if (g->last_sent_us - d->base_since_us > BASE_US) {
        d->base_since_us = g->last_sent_us;
        d->base_us[1] = d->base_us[0];
        d->base_us[0] = offset;
    }
    d->base_us[0] = offset < d->base_us[0] ? offset : d->base_us[0];
    d->offset_us = QUEUE_SMOOTHING * d->offset_us + (1 - QUEUE_SMOOTHING) * (double)offset;
}

static int64_t base_us(const struct bwe_delay *d)
{
    return d->base_us[0] < d->base_us[1] ? d->base_us[0] : d->base_us[1];
}

double bwe_delay_queue_ms(const struct bwe_delay *d)
{
    return d->have_previous ? fmax(d->offset_us - (double)base_us(d), 0) / 1000 : 0;
}

int64_t bwe_delay_waited_us(const struct bwe_delay *d, int64_t sent_us, int64_t arrived_us)
{
    int64_t waited = arrived_us - sent_us - base_us(d);

    return d->have_previous && waited > 0 ? waited : 0;
}

static void close_group(struct bwe_delay *d)
{
    const struct bwe_group *g = &d->group, *p = &d->previous;
    int64_t sent = g->last_sent_us - p->last_sent_us;
    int64_t arrived = g->last_arrived_us - p->last_arrived_us;

    if (d->have_previous && arrived >= 0) { /* groups that overtook each other tell nothing */
        add_point(d, (double)sent * 1e-3, (double)arrived * 1e-3, g->last_arrived_us);
    }
    watch_queue(d, g);
    d->previous = d->group;
    d->have_previous = true;
}

void bwe_delay_input(struct bwe_delay *d, int64_t sent_us, int64_t arrived_us)
{
    struct bwe_group *g = &d->group;

    if (d->have_group) {
        int64_t drift = (arrived_us - g->last_arrived_us) - (sent_us - g->last_sent_us);
        if (drift > JUMP_US || drift < -JUMP_US) {
            bwe_delay_init(d);
        } else if (sent_us < g->first_sent_us) {
            return;
        } else if (same_group(g, sent_us, arrived_us)) {
            g->last_sent_us = sent_us > g->last_sent_us ? sent_us : g->last_sent_us;
            g->last_arrived_us = arrived_us > g->last_arrived_us ? arrived_us : g->last_arrived_us;
            return;
        } else {
            close_group(d);
        }
    }
    d->have_group = true;
    *g = (struct bwe_group){sent_us, sent_us, arrived_us, arrived_us};
}
