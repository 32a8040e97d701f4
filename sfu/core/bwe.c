#include "sfu/core/bwe.h"

#include <math.h>
#include <string.h>

#define REFERENCE_WRAP_US ((int64_t)64000 << 24)
#define REFERENCE_MAX_US  (INT64_MAX / 8)
#define SILENCE_US        2000000 /* without feedback: what was fitted is old */
#define TIMEOUT_MIN_US    1000000
#define TIMEOUT_RTTS      4
#define TIMEOUT_FACTOR    0.8
#define LIFE_LOST         0.1 /* of what came: more, and the queue is full */
#define RTT_MAX_US        10000000
#define TICK_US           100000
#define TICK_IDLE_US      1000000
#define PROBE_TICK_US     25000
#define CALM_US           1000000 /* after a decrease, before the next probe */
#define IDLE_SHARE        0.65    /* less of the target than this is limited by the application */
#define FILLING_SHARE     0.75
#define PROBE_PUSH        1.15
#define PROBE_GAIN        1.3
#define IDLE_WINDOW_S     0.5
#define IDLE_BEGINS       0.8 /* of the window */
#define IDLE_ENDS         0.5
#define CALM_BEFORE_US    10000000 /* that nothing was to be seen */
#define CALM_SHARE        0.85     /* of the target that is used at most */
#define CALM_QUEUE_MS     20.0
#define CALM_MAX_BPS      6000000.0
#define CALM_LOSS         0.005 /* lately, and none just now */
#define REMB_FRESH_US     10000000
#define RR_LOW            5 /* 2 %, 10 %: draft section 6, in 1/256ths */
#define RR_HIGH           26
#define RR_GROWTH         1.05
#define RR_INTERVAL_US    900000

static double limited(double bps, double min, double max)
{
    return fmin(fmax(bps, min), max);
}

static bool hears_twcc(const struct bwe *b)
{
    return b->feedback_us != INT64_MIN;
}

static bool hears_remb(const struct bwe *b, int64_t now_us)
{
    return !hears_twcc(b) && b->remb_bps >= 0 && now_us - b->remb_us < REMB_FRESH_US;
}

static void publish(struct bwe *b, int64_t now_us)
{
    double bps = fmin(b->rate.bps, b->loss.limit_bps);

    if (hears_remb(b, now_us)) {
        bps = fmin(bps, b->remb_bps);
    }
    b->target_bps = (int64_t)limited(bps, b->min_bps, b->max_bps);
}

static void note_probing(struct bwe *b)
{
    b->probing = probe_wants(&b->probe, 0).again_us != INT64_MAX;
}

void bwe_init(struct bwe *b, const struct bwe_config *cfg, int64_t now_us)
{
    memset(b, 0, sizeof *b);
    b->min_bps = cfg->min_bps > 0 ? (double)cfg->min_bps : BWE_MIN_BPS;
    b->max_bps = fmax(cfg->max_bps > 0 ? (double)cfg->max_bps : BWE_MAX_BPS, b->min_bps);
    send_history_init(&b->history);
    bwe_acked_init(&b->acked);
    bwe_delay_init(&b->delay);
    bwe_queue_init(&b->queue);
    bwe_rate_init(&b->rate, cfg->start_bps > 0 ? (double)cfg->start_bps : BWE_START_BPS, b->min_bps,
                  b->max_bps, now_us);
    bwe_loss_init(&b->loss);
    probe_init(&b->probe);
    b->feedback_us = INT64_MIN;
    b->remb_bps = -1;
    b->idle_us = b->remb_us = b->rr_us = now_us;
    publish(b, now_us);
}

uint16_t bwe_on_sent(struct bwe *b, size_t bytes, enum bwe_kind kind, int64_t now_us)
{
    uint8_t cluster = 0;

    if (b->probing) {
        cluster = probe_on_sent(&b->probe, bytes, now_us);
        note_probing(b);
    }
    if (b->unanswered_us == 0) {
        b->unanswered_us = now_us;
    }
    b->media_bytes += kind == BWE_MEDIA ? bytes : 0;
    return send_history_add(&b->history, bytes, cluster, now_us);
}

/* How much of the target is used: what was not sent of IDLE_SHARE of it gathers in a window. */
static void watch_use(struct bwe *b, int64_t now_us)
{
    double s = fmax((double)(now_us - b->idle_us) / 1e6, 0);
    double allowed = IDLE_SHARE * (double)b->target_bps;
    double window = allowed * IDLE_WINDOW_S;

    b->idle_bits += allowed * s - (double)b->media_bytes * 8;
    b->idle_bits = limited(b->idle_bits, -window, window);
    b->media_bytes = 0;
    b->idle_us = now_us > b->idle_us ? now_us : b->idle_us; /* a feedback may be told late */
    bool was = b->application_limited;
    b->application_limited = b->idle_bits > window * (was ? IDLE_ENDS : IDLE_BEGINS);
    if (was && !b->application_limited) {
        bwe_acked_expect_change(&b->acked);
    }
}

static bool filling(const struct bwe *b)
{
    return b->acked.bps > FILLING_SHARE * (double)b->target_bps;
}

static struct probe_state probing(const struct bwe *b, int64_t now_us)
{
    bool dropped = b->rate.decreased_us != INT64_MIN && now_us - b->rate.decreased_us < CALM_US;

    return (struct probe_state){
        .estimate_bps = (double)b->target_bps,
        .wanted_bps = b->wanted_bps,
        .max_bps = b->max_bps,
        .filling = filling(b),
        .congested = b->delay.usage == BWE_OVERUSE || dropped || b->loss.limit_bps < b->rate.bps,
    };
}

static void use_probes(struct bwe *b, int64_t now_us)
{
    struct probe_result r;

    while (probe_poll(&b->probe, now_us, &r)) {
        if (r.saturated && filling(b)) { /* what it got there it may have taken from others */
            r.bps = fmin(r.bps, b->rate.bps * PROBE_PUSH);
        }
        r.gained = r.bps > b->rate.bps * PROBE_GAIN;
        if (r.bps > b->rate.bps && b->delay.usage != BWE_OVERUSE) {
            bwe_rate_set(&b->rate, r.bps, now_us);
            bwe_acked_expect_change(&b->acked);
            if (r.saturated) {
                bwe_rate_learn_capacity(&b->rate, r.bps, now_us);
            }
        }
        publish(b, now_us);
        struct probe_state s = probing(b, now_us);
        probe_go_on(&b->probe, &r, &s, now_us);
    }
}

/* The reference time counts 2^24 units of 64 ms and wraps. One who lies about it for years of his
 * clock begins anew. */
static int64_t unwrap_reference(const struct bwe *b, int64_t reference_us)
{
    if (!hears_twcc(b)) {
        return reference_us;
    }
    int64_t d = (reference_us - b->reference_us) % REFERENCE_WRAP_US;
    if (d >= REFERENCE_WRAP_US / 2) {
        d -= REFERENCE_WRAP_US;
    } else if (d < -REFERENCE_WRAP_US / 2) {
        d += REFERENCE_WRAP_US;
    }
    int64_t next = b->reference_us + d;
    return next > REFERENCE_MAX_US || next < -REFERENCE_MAX_US ? reference_us : next;
}

static void take_status(struct bwe *b, const struct sent_news *news, int64_t arrived_us)
{
    bwe_loss_input(&b->loss, news);
    if (news->cluster != 0) {
        probe_input(&b->probe, news, arrived_us);
    }
    if (!news->received) {
        b->stats.lost_packets++;
        return;
    }
    b->stats.acked_packets++;
    b->stats.late_packets += news->late;
    bwe_acked_input(&b->acked, arrived_us, news->bytes);
    bwe_delay_input(&b->delay, news->sent_us, arrived_us);
    bwe_queue_input(&b->queue, bwe_delay_waited_us(&b->delay, news->sent_us, arrived_us),
                    arrived_us, news->bytes);
}

static void take_rtt(struct bwe *b, int64_t sent_us, int64_t now_us)
{
    int64_t rtt = now_us - sent_us;

    if (rtt < 0 || rtt > RTT_MAX_US) {
        return;
    }
    b->rtt_us = b->rtt_us == 0 ? rtt : b->rtt_us + (rtt - b->rtt_us) / 8;
    b->rate.rtt_us = b->rtt_us;
}

/* A feedback that tells anything new. */
static void conclude(struct bwe *b, int64_t newest_sent_us, int64_t now_us)
{
    if (newest_sent_us != INT64_MIN) {
        take_rtt(b, newest_sent_us, now_us);
    }
    b->unanswered_us = b->history.last_us > now_us ? now_us : 0;
    watch_use(b, now_us);
    struct bwe_rate_input in = {
        .usage = b->delay.usage,
        .acked_bps = b->acked.bps,
        .queued_bps = bwe_queue_bps(&b->queue),
        .queue_ms = bwe_delay_queue_ms(&b->delay),
        .application_limited = b->application_limited,
    };
    b->stats.overuses += in.usage == BWE_OVERUSE;
    bwe_rate_update(&b->rate, &in, now_us);
    bwe_loss_update(&b->loss, b->rate.bps, b->acked.bps, in.queue_ms);
    publish(b, now_us);
    use_probes(b, now_us);
    if (b->rate.improved) {
        b->rate.improved = false;
        probe_hurry(&b->probe);
    }
}

/* Where more is under way than is remembered, feedback comes too late to tell anything but that it
 * comes, and that next to nothing is lost: no reason to take it for silence. */
static bool shows_life(const struct bwe *b, const struct twcc_status *st, size_t n)
{
    size_t came = 0, lost = 0;

    for (size_t i = 0; i < n && i < SEND_HISTORY; i++) {
        bool known = send_history_forgot(&b->history, st[i].seq);
        came += known && st[i].received;
        lost += known && !st[i].received;
    }
    return came > 0 && lost <= LIFE_LOST * (double)came;
}

size_t bwe_on_feedback(struct bwe *b, const struct twcc_feedback *fb, const struct twcc_status *st,
                       size_t n, int64_t now_us)
{
    int64_t newest_sent_us = INT64_MIN;
    int64_t reference_us = unwrap_reference(b, fb->reference_us);
    size_t taken = 0;

    if (hears_twcc(b) && now_us - b->feedback_us > SILENCE_US) {
        bwe_delay_init(&b->delay);
        bwe_queue_init(&b->queue);
        bwe_acked_expect_change(&b->acked);
        probe_hurry(&b->probe);
    }
    for (size_t i = 0; i < n && i < SEND_HISTORY; i++) {
        struct sent_news news;
        if (!send_history_take(&b->history, st[i].seq, st[i].received, &news)) {
            b->stats.absurd += st[i].received;
            continue;
        }
        int64_t arrived_us = st[i].at_us - fb->reference_us + reference_us;
        take_status(b, &news, arrived_us);
        if (news.received && news.sent_us > newest_sent_us) {
            newest_sent_us = news.sent_us;
        }
        taken++;
    }
    if (taken == 0) {
        b->unanswered_us = shows_life(b, st, n) ? 0 : b->unanswered_us;
        return 0;
    }
    b->reference_us = reference_us;
    b->feedback_us = now_us;
    b->stats.feedbacks++;
    conclude(b, newest_sent_us, now_us);
    note_probing(b);
    return taken;
}

static bool seen_lately(int64_t at_us, int64_t now_us)
{
    return at_us != INT64_MIN && now_us - at_us < CALM_BEFORE_US;
}

bool bwe_is_calm(const struct bwe *b, int64_t now_us)
{
    const struct bwe_delay *d = &b->delay;
    const struct bwe_loss *l = &b->loss;
    bool sloping = d->usage != BWE_NORMAL || d->over_ms >= 0 || d->points < BWE_TREND_POINTS;
    bool lossy = l->average > CALM_LOSS || l->lost > 0 || l->limit_bps < b->rate.bps;
    double most = fmin(CALM_SHARE * (double)b->target_bps, CALM_MAX_BPS);
    if (!hears_twcc(b) || sloping || lossy || b->probing || probe_busy(&b->probe)) {
        return false;
    }
    return b->acked.bps >= 0 && b->acked.bps < most && bwe_delay_queue_ms(d) < CALM_QUEUE_MS &&
           !seen_lately(b->rate.decreased_us, now_us) && !seen_lately(b->rate.narrow_us, now_us);
}

void bwe_on_rr_loss(struct bwe *b, uint8_t fraction_lost, int64_t now_us)
{
    if (hears_twcc(b) || now_us - b->rr_us < RR_INTERVAL_US) { /* reports come for each stream */
        return;
    }
    b->rr_us = now_us;
    watch_use(b, now_us);
    if (fraction_lost > RR_HIGH) {
        double p = fraction_lost / 256.0;
        bwe_rate_set(&b->rate, (double)b->target_bps * (1 - 0.5 * p), now_us);
    } else if (fraction_lost < RR_LOW && !b->application_limited) {
        bwe_rate_set(&b->rate, b->rate.bps * RR_GROWTH, now_us);
    }
    publish(b, now_us);
}

void bwe_on_remb(struct bwe *b, uint64_t bps, int64_t now_us)
{
    double limit = limited((double)bps, b->min_bps, b->max_bps);

    if (hears_twcc(b)) {
        return;
    }
    if (b->remb_bps < 0 && b->rate.bps < limit) { /* the first: the receiver knows better than us */
        bwe_rate_set(&b->rate, limit, now_us);
    }
    b->remb_bps = limit;
    b->remb_us = now_us;
    publish(b, now_us);
}

void bwe_set_wanted(struct bwe *b, int64_t bps, int64_t now_us)
{
    (void)now_us;
    b->wanted_bps = limited((double)bps, 0, b->max_bps);
}

/* Nothing comes back of what we send: the way back is broken, or the way there is full. */
static void watch_silence(struct bwe *b, int64_t now_us)
{
    int64_t wait = TIMEOUT_RTTS * b->rtt_us;

    wait = wait > TIMEOUT_MIN_US ? wait : TIMEOUT_MIN_US;
    if (!hears_twcc(b) || b->unanswered_us == 0 || now_us - b->unanswered_us < wait) {
        return;
    }
    b->unanswered_us = now_us;
    b->stats.timeouts++;
    bwe_rate_set(&b->rate, (double)b->target_bps * TIMEOUT_FACTOR, now_us);
    b->rate.decreased_us = now_us;
    publish(b, now_us);
}

int64_t bwe_tick(struct bwe *b, int64_t now_us)
{
    watch_silence(b, now_us);
    watch_use(b, now_us);
    struct probe_state s = probing(b, now_us);
    if (b->history.next > 1) { /* probes are padding of a stream: not before it has begun */
        probe_tick(&b->probe, &s, now_us);
        note_probing(b);
    }
    int64_t probe_us = probe_deadline(&b->probe, &s);
    if (probe_us != INT64_MAX) {
        int64_t soon = now_us + PROBE_TICK_US;
        return probe_us < soon ? soon : probe_us < now_us + TICK_US ? probe_us : now_us + TICK_US;
    }
    return now_us + (b->unanswered_us != 0 ? TICK_US : TICK_IDLE_US);
}

struct probe_want bwe_probe_wants(const struct bwe *b, int64_t now_us)
{
    return b->probing ? probe_wants(&b->probe, now_us) : (struct probe_want){.again_us = INT64_MAX};
}
