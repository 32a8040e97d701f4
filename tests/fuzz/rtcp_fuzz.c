/* RTCP compounds: every parser on every packet, transport-wide feedback among them. */
#include <stdlib.h>

#include "lib/base/err.h"
#include "lib/proto/rtcp.h"
#include "lib/proto/twcc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void feedback(const struct rtcp_packet *p)
{
    static struct twcc_status st[1024];
    struct twcc_feedback t;
    struct rtcp_feedback fb;
    struct rtcp_fir fir[4];
    struct rtcp_remb remb;
    uint16_t seqs[64];

    if (twcc_parse(&t, st, 1024, p) > 1024 || rtcp_parse_nack(&fb, seqs, 64, p) > 64 ||
        rtcp_parse_fir(&fb, fir, 4, p) > 4) {
        abort();
    }
    (void)rtcp_parse_pli(&fb, p);
    (void)rtcp_parse_remb(&remb, p);
}

/* Arrivals made of the input: what is built must read back. */
static void build(const uint8_t *data, size_t size)
{
    int64_t at[TWCC_MAX_PACKETS], now = 1000000;
    static struct twcc_status st[TWCC_MAX_PACKETS];
    uint8_t out[1200];
    struct twcc_feedback fb;
    struct rtcp_iter it;
    struct rtcp_packet p;
    size_t n = size < TWCC_MAX_PACKETS ? size : TWCC_MAX_PACKETS, covered = 0;

    for (size_t i = 0; i < n; i++) {
        now += (int64_t)data[i] * data[i] * 37;
        at[i] = data[i] % 5 == 0 ? TWCC_LOST : now;
    }
    int len = twcc_build(out, sizeof out, 1, 2, 65500, 1, at, n, &covered);
    if (len < 0) {
        return;
    }
    rtcp_iter_init(&it, out, (size_t)len);
    if (rtcp_next(&it, &p) != 1 || twcc_parse(&fb, st, TWCC_MAX_PACKETS, &p) != (int)covered) {
        abort();
    }
    for (size_t i = 0; i < covered; i++) {
        if (st[i].received != (at[i] != TWCC_LOST)) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rtcp_iter it;
    struct rtcp_packet p;
    struct rtcp_sr sr;
    struct rtcp_rr rr;
    uint32_t ssrc, bye[RTCP_MAX_SSRCS];
    char cname[64];

    rtcp_iter_init(&it, data, size);
    while (rtcp_next(&it, &p) > 0) {
        (void)rtcp_parse_sr(&sr, &p);
        (void)rtcp_parse_rr(&rr, &p);
        (void)rtcp_parse_cname(&ssrc, cname, sizeof cname, &p);
        (void)rtcp_parse_bye(bye, &p);
        feedback(&p);
    }
    build(data, size);
    return 0;
}
