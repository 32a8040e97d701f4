/* Feedback of a hostile receiver into the history and the estimator: whatever it says, the target
 * stays within its bounds, every number is finite, and the pacer and the probes go on. Each byte of
 * command is followed by what it needs; feedback is a whole RTCP packet. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/proto/rtcp.h"
#include "lib/proto/twcc.h"
#include "sfu/core/bwe.h"
#include "sfu/core/pacer.h"

#define MIN_BPS 50000
#define MAX_BPS 10000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct bwe b;
static struct pacer pacer;
static struct twcc_status st[512];

static void feed(const uint8_t *data, size_t len, int64_t now_us)
{
    struct rtcp_iter it;
    struct rtcp_packet p;
    struct twcc_feedback fb;

    rtcp_iter_init(&it, data, len);
    while (rtcp_next(&it, &p) == 1) {
        int n = twcc_parse(&fb, st, 512, &p);
        if (n > 0) {
            bwe_on_feedback(&b, &fb, st, (size_t)n, now_us);
        }
    }
}

static void send_some(unsigned n, int64_t now_us)
{
    struct probe_want w = bwe_probe_wants(&b, now_us);

    for (unsigned i = 0; i < n; i++) {
        bwe_on_sent(&b, 100 + 40 * i, BWE_MEDIA, now_us);
        pacer_pass(&pacer, 100 + 40 * i, now_us);
    }
    for (size_t sent = 0; sent < w.bytes; sent += w.packet_bytes) {
        bwe_on_sent(&b, w.packet_bytes, BWE_PADDING, now_us);
    }
}

static void check(int64_t now_us)
{
    int64_t bps = bwe_target_bps(&b);

    if (bps < MIN_BPS || bps > MAX_BPS || !isfinite(b.rate.bps) || !isfinite(b.acked.bps) ||
        !isfinite(b.delay.trend) || !isfinite(b.delay.threshold_ms) || !isfinite(b.loss.average)) {
        abort();
    }
    pacer_set_target(&pacer, bps);
    if (bwe_tick(&b, now_us) <= now_us || pacer_budget(&pacer, PACER_AUDIO, now_us) == 0) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t now_us = 1000000;
    size_t at = 0;

    bwe_init(&b, &(struct bwe_config){.start_bps = 300000, .min_bps = MIN_BPS, .max_bps = MAX_BPS},
             now_us);
    pacer_init(&pacer);
    while (at + 2 <= size) {
        uint8_t what = data[at], arg = data[at + 1];
        at += 2;
        if (what % 8 == 0) {
            size_t len = arg < size - at ? arg : size - at;
            feed(data + at, len, now_us);
            at += len;
        } else if (what % 8 == 1) {
            now_us += (int64_t)arg << (what >> 3); /* up to 9 hours */
        } else if (what % 8 == 2) {
            bwe_on_remb(&b, (uint64_t)arg << (what >> 2), now_us);
        } else if (what % 8 == 3) {
            bwe_on_rr_loss(&b, arg, now_us);
        } else if (what % 8 == 4) {
            bwe_set_wanted(&b, (int64_t)arg << (what >> 3), now_us);
        } else {
            send_some(arg % 64, now_us);
            now_us += 1000 * (what >> 3);
        }
        check(now_us);
    }
    return 0;
}
