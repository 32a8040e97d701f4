#include "sfu/core/rtp_stats.h"

#include <string.h>

void rtp_stats_init(struct rtp_stats *s, uint32_t ssrc, uint32_t clock_rate)
{
    memset(s, 0, sizeof *s);
    s->ssrc = ssrc;
    s->clock_rate = clock_rate;
}

static int64_t to_ticks(const struct rtp_stats *s, int64_t us)
{
    return us / 1000000 * s->clock_rate + us % 1000000 * s->clock_rate / 1000000;
}

/* RFC 3550 appendix A.8, on the difference of transit times modulo 2^32. */
static void update_jitter(struct rtp_stats *s, uint32_t ts, int64_t now_us)
{
    int64_t transit = (int64_t)((uint32_t)to_ticks(s, now_us) - ts);
    int64_t d = (int32_t)(uint32_t)(transit - s->transit);

    s->transit = transit;
    if (s->packets <= 1) {
        return;
    }
    if (d < 0) {
        d = -d;
    }
    if (d > (int64_t)s->clock_rate * 10) { /* a jump of the source's clock is no jitter */
        return;
    }
    s->jitter_q4 += d - ((s->jitter_q4 + 8) >> 4);
}

void rtp_stats_input(struct rtp_stats *s, int64_t ext_seq, uint32_t ts, size_t bytes,
                     int64_t now_us)
{
    if (!s->started) {
        s->started = true;
        s->base = s->highest = ext_seq;
    }
    s->packets++;
    s->bytes += bytes;
    if (ext_seq > s->highest) {
        s->highest = ext_seq;
    } else if (s->packets > 1) {
        s->duplicates_or_late++;
    }
    update_jitter(s, ts, now_us);
}

void rtp_stats_sender_report(struct rtp_stats *s, uint64_t ntp, int64_t now_us)
{
    s->last_sr_middle = rtcp_ntp_middle(ntp);
    s->last_sr_us = now_us;
}

static uint64_t expected(const struct rtp_stats *s)
{
    return s->started ? (uint64_t)(s->highest - s->base) + 1 : 0;
}

/* RFC 3550 appendix A.3. */
static uint8_t take_fraction(struct rtp_stats *s)
{
    uint64_t want = expected(s) - s->expected_prior, got = s->packets - s->received_prior;

    s->expected_prior = expected(s);
    s->received_prior = s->packets;
    if (want == 0 || got >= want) {
        return 0;
    }
    uint64_t fraction = ((want - got) << 8) / want;
    return fraction > 255 ? 255 : (uint8_t)fraction;
}

bool rtp_stats_report(struct rtp_stats *s, struct rtcp_report *out, int64_t now_us)
{
    if (!s->started) {
        return false;
    }
    int64_t lost = (int64_t)expected(s) - (int64_t)s->packets;
    if (lost > 0x7fffff) {
        lost = 0x7fffff;
    }
    if (lost < -0x800000) {
        lost = -0x800000;
    }
    out->ssrc = s->ssrc;
    out->fraction_lost = take_fraction(s);
    out->cumulative_lost = (int32_t)lost;
    out->highest_seq = (uint32_t)(s->highest - 65536); /* the unwrapper starts one cycle up */
    out->jitter = (uint32_t)(s->jitter_q4 >> 4);
    out->lsr = s->last_sr_us ? s->last_sr_middle : 0;
    out->dlsr = s->last_sr_us ? (uint32_t)((now_us - s->last_sr_us) * 65536 / 1000000) : 0;
    return true;
}

int64_t rtp_stats_jitter_us(const struct rtp_stats *s)
{
    return s->clock_rate ? (s->jitter_q4 >> 4) * 1000000 / s->clock_rate : 0;
}

int64_t rtp_stats_lost(const struct rtp_stats *s)
{
    int64_t lost = (int64_t)expected(s) - (int64_t)s->packets;
    return lost > 0 ? lost : 0;
}
