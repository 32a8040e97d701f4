#include "sfu/core/counters.h"

#include <string.h>

#define SMOOTHING 16 /* frames that the usual distance forgets in */

void counters_init(struct counters *c)
{
    memset(c, 0, sizeof *c);
    c->jitter_us = c->rtt_us = c->estimate_bps = c->fraction_lost = COUNTERS_NONE;
    c->sid = c->tid = COUNTERS_NONE;
}

static bool is_freeze(const struct counters *c, int64_t gap_us)
{
    return c->usual_us > 0 && gap_us > COUNTERS_FREEZE_FACTOR * c->usual_us &&
           gap_us > c->usual_us + COUNTERS_FREEZE_EXTRA_US;
}

void counters_frame(struct counters *c, bool keyframe, int64_t now_us)
{
    int64_t gap_us = c->frame_us ? now_us - c->frame_us : 0;
    c->n[COUNTER_FRAMES]++;
    c->n[COUNTER_KEYFRAMES] += keyframe;
    c->frame_us = now_us;
    if (gap_us <= 0) {
        return;
    }
    if (is_freeze(c, gap_us)) {
        c->n[COUNTER_FREEZES]++;
        c->n[COUNTER_FREEZE_US] += (uint64_t)gap_us;
    }
    c->usual_us += c->usual_us ? (gap_us - c->usual_us) / SMOOTHING : gap_us;
}

void counters_pause(struct counters *c, bool paused)
{
    if (paused && !c->paused) {
        c->n[COUNTER_PAUSES]++;
    }
    c->paused = paused;
    c->frame_us = 0;
}

void counters_layer(struct counters *c, int sid, int tid)
{
    bool had = c->sid != COUNTERS_NONE, has = sid != COUNTERS_NONE;
    if (had && has && (c->sid != sid || c->tid != tid)) {
        c->n[COUNTER_SWITCHES]++;
    }
    c->sid = (int8_t)sid;
    c->tid = (int8_t)tid;
}

void counters_report(struct counters *c, uint8_t fraction_lost, int32_t cumulative_lost,
                     int64_t jitter_us, int64_t rtt_us)
{
    c->fraction_lost = (int64_t)fraction_lost << 8;
    if (cumulative_lost > 0 && (uint64_t)cumulative_lost > c->n[COUNTER_LOST]) {
        c->n[COUNTER_LOST] = (uint64_t)cumulative_lost;
    }
    c->jitter_us = jitter_us;
    c->rtt_us = rtt_us >= 0 ? rtt_us : c->rtt_us;
}

static bool went_back(const struct counters *now, const struct counters *before)
{
    for (int i = 0; i < COUNTERS; i++) {
        if (now->n[i] < before->n[i]) {
            return true;
        }
    }
    return false;
}

static double grown(const struct counters *now, const struct counters *before, enum counter which)
{
    return (double)(now->n[which] - before->n[which]);
}

void counters_rates(const struct counters *now, const struct counters *before, int64_t elapsed_us,
                    struct counter_rates *out)
{
    *out = (struct counter_rates){0};
    if (elapsed_us <= 0 || went_back(now, before)) {
        return;
    }
    double s = (double)elapsed_us / 1e6;
    double lost = grown(now, before, COUNTER_LOST), came = grown(now, before, COUNTER_PACKETS);
    double frozen = grown(now, before, COUNTER_FREEZE_US) / (double)elapsed_us;
    out->seconds = s;
    out->packets = came / s;
    out->bits = grown(now, before, COUNTER_BYTES) * 8 / s;
    out->frames = grown(now, before, COUNTER_FRAMES) / s;
    out->nacks = grown(now, before, COUNTER_NACKS) / s;
    out->plis = grown(now, before, COUNTER_PLIS) / s;
    out->retransmits = grown(now, before, COUNTER_RETRANSMITS) / s;
    out->loss = lost > 0 ? lost / (lost + came) : 0;
    out->frozen = frozen < 1 ? frozen : 1;
}

static double tenths(double x)
{
    return (double)(int64_t)(x * 10 + (x < 0 ? -0.5 : 0.5)) / 10;
}

static double to_ms(int64_t us)
{
    return us < 0 ? COUNTERS_NONE : tenths((double)us / 1000);
}

static int64_t to_kbps(double bps)
{
    return bps < 0 ? COUNTERS_NONE : (int64_t)(bps / 1000 + 0.5);
}

/* What the receiver told last counts before what we reckon. */
static double loss_percent(const struct counters *c, const struct counter_rates *rates)
{
    double share = c->fraction_lost >= 0 ? (double)c->fraction_lost / 65536 : rates->loss;
    return tenths(share * 100);
}

void counters_render(const struct counters *c, const struct counter_rates *rates,
                     struct counters_view *out)
{
    *out = (struct counters_view){
        .packets = c->n[COUNTER_PACKETS],
        .bytes = c->n[COUNTER_BYTES],
        .lost = c->n[COUNTER_LOST],
        .nacks = c->n[COUNTER_NACKS],
        .plis = c->n[COUNTER_PLIS],
        .retransmits = c->n[COUNTER_RETRANSMITS],
        .dropped = c->n[COUNTER_DROPPED],
        .frames = c->n[COUNTER_FRAMES],
        .keyframes = c->n[COUNTER_KEYFRAMES],
        .switches = c->n[COUNTER_SWITCHES],
        .freezes = c->n[COUNTER_FREEZES],
        .pauses = c->n[COUNTER_PAUSES],
        .freeze_ms = (int64_t)(c->n[COUNTER_FREEZE_US] / 1000),
        .bitrate_kbps = to_kbps(rates->bits),
        .estimate_kbps = to_kbps((double)c->estimate_bps),
        .loss_percent = loss_percent(c, rates),
        .jitter_ms = to_ms(c->jitter_us),
        .rtt_ms = to_ms(c->rtt_us),
        .fps = tenths(rates->frames),
        .sid = c->sid,
        .tid = c->tid,
        .paused = c->paused,
    };
}

void counters_merge(struct counters *to, const struct counters *from)
{
    for (int i = 0; i < COUNTERS; i++) {
        to->n[i] += from->n[i];
    }
}
