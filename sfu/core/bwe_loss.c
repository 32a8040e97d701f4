#include "sfu/core/bwe_loss.h"

#include <math.h>
#include <string.h>

#define WINDOW_US      250000
#define WINDOW_MAX_US  1000000
#define WINDOW_PACKETS 20
#define AGEING         0.9  /* weight of a window against the next younger one */
#define AGEING_RECENT  0.75 /* the same for the recent average */
#define INHERENT_MIN   0.001
#define INHERENT_SHARE 0.05    /* of loss that a link may have by itself at any rate, */
#define INHERENT_BPS   75000.0 /* and more at low rates: this over the rate */
#define INHERENT_MAX   0.2
#define QUEUE_MS       100.0   /* of a queue that stands: loss isn't the link's own then */
#define CEILING_SHARE  0.08    /* recent loss over this bounds the rate at once, */
#define CEILING_BPS    75000.0 /* to this over what is above it */
#define DOUBT                                                                                      \
    6.0          /* log-likelihood by which a lower rate must explain better: loss comes in        \
                    bursts, so its evidence is weaker than independent losses would be */
#define RISE 1.3 /* a window */

void bwe_loss_init(struct bwe_loss *l)
{
    memset(l, 0, sizeof *l);
    l->limit_bps = INFINITY;
}

void bwe_loss_input(struct bwe_loss *l, const struct sent_news *news)
{
    if (news->late) {
        l->lost -= l->lost > 0;
        return;
    }
    if (l->packets == 0) {
        l->first_us = l->last_us = news->sent_us;
    }
    l->packets++;
    l->lost += !news->received;
    l->bytes += news->bytes;
    l->last_us = news->sent_us > l->last_us ? news->sent_us : l->last_us;
}

static bool close_window(struct bwe_loss *l)
{
    int64_t span = l->last_us - l->first_us;

    if (span < WINDOW_US || (l->packets < WINDOW_PACKETS && span < WINDOW_MAX_US)) {
        return false;
    }
    l->window[l->next] = (struct bwe_loss_window){
        .packets = (float)l->packets,
        .lost = (float)l->lost,
        .sent_bps = (float)((double)l->bytes * 8e6 / (double)span),
    };
    l->next = (l->next + 1) % BWE_LOSS_WINDOWS;
    l->windows += l->windows < BWE_LOSS_WINDOWS;
    l->packets = l->lost = l->bytes = 0;
    return true;
}

/* The window of that age, 0 the newest. */
static const struct bwe_loss_window *aged(const struct bwe_loss *l, unsigned age)
{
    return &l->window[(l->next + BWE_LOSS_WINDOWS - 1 - age) % BWE_LOSS_WINDOWS];
}

static double recent_loss(const struct bwe_loss *l)
{
    double packets = 0, lost = 0, weight = 1;

    for (unsigned i = 0; i < l->windows; i++) {
        packets += weight * aged(l, i)->packets;
        lost += weight * aged(l, i)->lost;
        weight *= AGEING_RECENT;
    }
    return packets > 0 ? lost / packets : 0;
}

/* The share of a window's packets that a link of this rate had to drop. */
static double overflow(const struct bwe_loss_window *w, double bps)
{
    return w->sent_bps > bps ? 1 - bps / w->sent_bps : 0;
}

/* What the link must lose by itself for the sum of losses to come out, within its bounds. */
static double inherent_loss(const struct bwe_loss *l, double bps)
{
    double packets = 0, lost = 0, dropped = 0, weight = 1;

    for (unsigned i = 0; i < l->windows; i++) {
        const struct bwe_loss_window *w = aged(l, i);
        packets += weight * w->packets;
        lost += weight * w->lost;
        dropped += weight * w->packets * overflow(w, bps);
        weight *= AGEING;
    }
    double q = packets > dropped ? (lost - dropped) / (packets - dropped) : 0;
    double most = fmin(INHERENT_SHARE + INHERENT_BPS / bps, INHERENT_MAX);
    return fmin(fmax(q, INHERENT_MIN), l->queued ? INHERENT_MIN : most);
}

/* How likely what was lost is on a link of this rate: a log-likelihood. */
static double explains(const struct bwe_loss *l, double bps)
{
    double q = inherent_loss(l, bps);
    double sum = 0, weight = 1;

    for (unsigned i = 0; i < l->windows; i++) {
        const struct bwe_loss_window *w = aged(l, i);
        double p = fmin(q + (1 - q) * overflow(w, bps), 0.999);
        sum += weight * (w->lost * log(p) + (w->packets - w->lost) * log1p(-p));
        weight *= AGEING;
    }
    return sum;
}

/* The highest of some rates that the losses don't clearly speak against. */
static double choose(const struct bwe_loss *l, double delay_bps, double acked_bps)
{
    double base = fmin(l->limit_bps, delay_bps);
    double rate[] = {delay_bps, base * 1.1, base, base * 0.95, base * 0.85, acked_bps};
    double score[sizeof rate / sizeof *rate];
    double top = -INFINITY, best = 0;
    const unsigned n = sizeof rate / sizeof *rate;

    for (unsigned i = 0; i < n; i++) {
        bool usable = rate[i] > 0 && rate[i] <= delay_bps;
        score[i] = usable ? explains(l, rate[i]) : -INFINITY;
        top = fmax(top, score[i]);
    }
    for (unsigned i = 0; i < n; i++) {
        if (score[i] >= top - DOUBT && rate[i] > best) {
            best = rate[i];
        }
    }
    return best;
}

static bool any_lost(const struct bwe_loss *l)
{
    for (unsigned i = 0; i < l->windows; i++) {
        if (l->window[i].lost > 0) {
            return true;
        }
    }
    return false;
}

static double ceiling(double average)
{
    return average > CEILING_SHARE ? CEILING_BPS / (average - CEILING_SHARE) : INFINITY;
}

void bwe_loss_update(struct bwe_loss *l, double delay_bps, double acked_bps, double queue_ms)
{
    if (!close_window(l)) {
        return;
    }
    if (!any_lost(l)) { /* the usual case costs nothing */
        l->average = l->inherent = 0;
        l->limit_bps = INFINITY;
        return;
    }
    l->average = recent_loss(l);
    l->queued = queue_ms > QUEUE_MS;
    double top = ceiling(l->average);
    double bps = fmin(choose(l, delay_bps, acked_bps), top);
    bps =
        fmax(bps, top / 2 < delay_bps ? top / 2 : 0); /* loss that stays, however little we send */
    l->inherent = inherent_loss(l, bps);
    if (l->limit_bps < delay_bps) {
        bps = fmin(bps, l->limit_bps * RISE);
    }
    l->limit_bps = bps >= delay_bps ? INFINITY : bps;
}
