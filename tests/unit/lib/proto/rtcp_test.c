#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdlib.h>

#include "lib/base/err.h"
#include "lib/proto/rtcp.h"

/* One compound of everything we build. */
static size_t compound(uint8_t *p, size_t cap)
{
    struct writer w;
    struct rtcp_sender_info info = {0x0102030405060708u, 9, 10, 11};
    struct rtcp_report rep = {7, 25, -3, 0x10002, 4, 5, 6};
    static const uint16_t lost[] = {65534, 65535, 3, 14, 15, 100};
    static const uint32_t gone[] = {1, 2};

    writer_init(&w, p, cap);
    rtcp_write_sr(&w, 1, &info, &rep, 1);
    rtcp_write_sdes_cname(&w, 1, "sotto");
    rtcp_write_rr(&w, 2, &rep, 1);
    rtcp_write_nack(&w, 3, 4, lost, 6);
    rtcp_write_pli(&w, 5, 6);
    rtcp_write_fir(&w, 7, 8, 9);
    rtcp_write_bye(&w, gone, 2);
    return w.bad ? 0 : w.len;
}

static void what_is_built_reads_back(void **state)
{
    uint8_t p[512];
    struct rtcp_iter it;
    struct rtcp_packet k;
    struct rtcp_sr sr;
    struct rtcp_rr rr;
    struct rtcp_feedback fb;
    struct rtcp_fir fir[2];
    uint16_t seqs[32];
    uint32_t ssrc, bye[RTCP_MAX_SSRCS];
    char cname[32];
    size_t len = compound(p, sizeof p);

    (void)state;
    assert_true(len > 0 && len % 4 == 0);
    rtcp_iter_init(&it, p, len);
    assert_int_equal(rtcp_next(&it, &k), 1);
    assert_int_equal(rtcp_parse_sr(&sr, &k), OK);
    assert_int_equal(sr.info.ntp, 0x0102030405060708u);
    assert_int_equal(sr.report[0].cumulative_lost, -3);
    assert_int_equal(sr.report[0].highest_seq, 0x10002);
    assert_int_equal(rtcp_next(&it, &k), 1);
    assert_int_equal(rtcp_parse_cname(&ssrc, cname, sizeof cname, &k), OK);
    assert_string_equal(cname, "sotto");
    assert_int_equal(rtcp_parse_cname(&ssrc, cname, 5, &k), ERR_TOO_LARGE);
    assert_int_equal(rtcp_next(&it, &k), 1);
    assert_int_equal(rtcp_parse_rr(&rr, &k), OK);
    assert_int_equal(rr.report[0].dlsr, 6);
    assert_int_equal(rtcp_next(&it, &k), 1);
    assert_int_equal(k.len, 8 + 3 * 4); /* three PID/BLP pairs are enough */
    assert_int_equal(rtcp_parse_nack(&fb, seqs, 32, &k), 6);
    assert_int_equal(fb.media_ssrc, 4);
    assert_int_equal(seqs[0], 65534);
    assert_int_equal(seqs[2], 3);
    assert_int_equal(seqs[5], 100);
    assert_int_equal(rtcp_parse_nack(&fb, seqs, 2, &k), 2); /* bounded by the caller */
    assert_int_equal(rtcp_next(&it, &k), 1);
    assert_int_equal(rtcp_parse_pli(&fb, &k), OK);
    assert_int_equal(fb.media_ssrc, 6);
    assert_int_equal(rtcp_next(&it, &k), 1);
    assert_int_equal(rtcp_parse_fir(&fb, fir, 2, &k), 1);
    assert_int_equal(fir[0].ssrc, 8);
    assert_int_equal(fir[0].seq, 9);
    assert_int_equal(rtcp_next(&it, &k), 1);
    assert_int_equal(rtcp_parse_bye(bye, &k), 2);
    assert_int_equal(rtcp_next(&it, &k), 0);
}

static void try_all(const struct rtcp_packet *k)
{
    struct rtcp_sr sr;
    struct rtcp_rr rr;
    struct rtcp_feedback fb;
    struct rtcp_fir fir[2];
    struct rtcp_remb remb;
    uint16_t seqs[8];
    uint32_t ssrc, bye[RTCP_MAX_SSRCS];
    char cname[8];

    (void)rtcp_parse_sr(&sr, k);
    (void)rtcp_parse_rr(&rr, k);
    (void)rtcp_parse_cname(&ssrc, cname, sizeof cname, k);
    (void)rtcp_parse_nack(&fb, seqs, 8, k);
    (void)rtcp_parse_pli(&fb, k);
    (void)rtcp_parse_fir(&fb, fir, 2, k);
    (void)rtcp_parse_bye(bye, k);
    (void)rtcp_parse_remb(&remb, k);
}

/* Cut at every length, in a heap block of exactly that size: the walk ends in 0 only at a packet's
 * end, and no parser reads past it. */
static void every_truncation(void **state)
{
    uint8_t p[512];
    size_t len = compound(p, sizeof p), whole = 0;

    (void)state;
    for (size_t n = 0; n <= len; n++) {
        uint8_t *copy = malloc(n ? n : 1);
        struct rtcp_iter it;
        struct rtcp_packet k;
        int r;
        memcpy(copy, p, n);
        rtcp_iter_init(&it, copy, n);
        while ((r = rtcp_next(&it, &k)) > 0) {
            try_all(&k);
        }
        assert_true(r == 0 || r == ERR_TRUNCATED);
        whole += r == 0;
        free(copy);
    }
    assert_int_equal(whole, 8); /* nothing, and after each of 7 packets */
}

/* A body shorter than the counts in its header promise. */
static void lying_counts(void **state)
{
    static const uint8_t body[24] = {0};
    struct rtcp_sr sr;
    struct rtcp_rr rr;
    struct rtcp_feedback fb;
    uint32_t ssrc, bye[RTCP_MAX_SSRCS];
    uint16_t seqs[4];
    struct rtcp_fir fir[2];
    char cname[8];

    (void)state;
    assert_int_equal(rtcp_parse_sr(&sr, &(struct rtcp_packet){RTCP_SR, 1, body, 24}),
                     ERR_TRUNCATED);
    assert_int_equal(rtcp_parse_sr(&sr, &(struct rtcp_packet){RTCP_SR, 0, body, 23}),
                     ERR_TRUNCATED);
    assert_int_equal(rtcp_parse_rr(&rr, &(struct rtcp_packet){RTCP_RR, 31, body, 24}),
                     ERR_TRUNCATED);
    assert_int_equal(rtcp_parse_bye(bye, &(struct rtcp_packet){RTCP_BYE, 7, body, 24}),
                     ERR_TRUNCATED);
    assert_int_equal(rtcp_parse_nack(&fb, seqs, 4, &(struct rtcp_packet){RTCP_RTPFB, 1, body, 8}),
                     ERR_TRUNCATED);
    assert_int_equal(rtcp_parse_nack(&fb, seqs, 4, &(struct rtcp_packet){RTCP_RTPFB, 1, body, 10}),
                     ERR_TRUNCATED);
    assert_int_equal(rtcp_parse_pli(&fb, &(struct rtcp_packet){RTCP_PSFB, 1, body, 7}),
                     ERR_TRUNCATED);
    assert_int_equal(rtcp_parse_fir(&fb, fir, 2, &(struct rtcp_packet){RTCP_PSFB, 4, body, 15}),
                     ERR_TRUNCATED);
    static const uint8_t sdes[] = {0, 0, 0, 1, 1, 200, 'a', 'b'};
    assert_int_equal(
        rtcp_parse_cname(&ssrc, cname, 8, &(struct rtcp_packet){RTCP_SDES, 1, sdes, 8}),
        ERR_TRUNCATED);
    assert_int_equal(
        rtcp_parse_cname(&ssrc, cname, 8, &(struct rtcp_packet){RTCP_SDES, 1, body, 8}),
        ERR_NOT_FOUND);
}

static void padding_and_version(void **state)
{
    uint8_t p[] = {0xa0, 201, 0, 2, 0, 0, 0, 1, 0, 0, 0, 4};
    struct rtcp_iter it;
    struct rtcp_packet k;

    (void)state;
    rtcp_iter_init(&it, p, sizeof p);
    assert_int_equal(rtcp_next(&it, &k), 1);
    assert_int_equal(k.len, 4);
    p[11] = 9;
    rtcp_iter_init(&it, p, sizeof p);
    assert_int_equal(rtcp_next(&it, &k), ERR_INVALID);
    p[11] = 0;
    rtcp_iter_init(&it, p, sizeof p);
    assert_int_equal(rtcp_next(&it, &k), ERR_INVALID);
    p[0] = 0x40;
    rtcp_iter_init(&it, p, sizeof p);
    assert_int_equal(rtcp_next(&it, &k), ERR_INVALID);
}

static void remb(void **state)
{
    static const uint8_t body[] = {0, 0, 0, 1, 0, 0, 0, 0, 'R', 'E', 'M', 'B', 1, (3 << 2) | 1,
                                   0, 2, 0, 0, 0, 9};
    struct rtcp_remb r;
    struct rtcp_packet k = {RTCP_PSFB, RTCP_FMT_AFB, body, sizeof body};

    (void)state;
    assert_int_equal(rtcp_parse_remb(&r, &k), OK);
    assert_int_equal(r.bitrate, (0x10002u) << 3);
    assert_int_equal(r.ssrc[0], 9);
    k.len -= 4;
    assert_int_equal(rtcp_parse_remb(&r, &k), ERR_TRUNCATED);
    static const uint8_t other[] = {0, 0, 0, 1, 0, 0, 0, 0, 'X', 'E', 'M', 'B'};
    k = (struct rtcp_packet){RTCP_PSFB, RTCP_FMT_AFB, other, sizeof other};
    assert_int_equal(rtcp_parse_remb(&r, &k), ERR_NOT_FOUND);
}

static void writer_says_when_full(void **state)
{
    uint8_t p[512];
    size_t len = compound(p, sizeof p);

    (void)state;
    for (size_t cap = 0; cap < len; cap++) {
        assert_int_equal(compound(p, cap), 0);
    }
}

static void clocks(void **state)
{
    int64_t wall = 1795262400123456; /* 2026 */

    (void)state;
    assert_int_equal(rtcp_ntp_from_wall(0) >> 32, 2208988800u);
    assert_int_equal(rtcp_wall_from_ntp(rtcp_ntp_from_wall(wall)), wall);
    assert_int_equal(rtcp_wall_from_ntp(rtcp_ntp_from_wall(wall + 999999)), wall + 999999);
    uint32_t now = rtcp_ntp_middle(rtcp_ntp_from_wall(wall));
    uint32_t lsr = now - 65536; /* a second ago, held for half of it */
    assert_int_equal(rtcp_rtt_us(now, lsr, 32768), 500000);
    assert_int_equal(rtcp_rtt_us(now, 0, 0), -1);
    assert_int_equal(rtcp_rtt_us(now, lsr, 65537), -1); /* would be negative */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_built_reads_back),
        cmocka_unit_test(every_truncation),
        cmocka_unit_test(lying_counts),
        cmocka_unit_test(padding_and_version),
        cmocka_unit_test(remb),
        cmocka_unit_test(writer_says_when_full),
        cmocka_unit_test(clocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
