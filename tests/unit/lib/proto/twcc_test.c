#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdlib.h>

#include "lib/base/err.h"
#include "lib/proto/twcc.h"

static int read_one(struct twcc_feedback *fb, struct twcc_status *st, size_t cap, const uint8_t *p,
                    size_t len)
{
    struct rtcp_iter it;
    struct rtcp_packet k;

    rtcp_iter_init(&it, p, len);
    assert_int_equal(rtcp_next(&it, &k), 1);
    int r = twcc_parse(fb, st, cap, &k);
    assert_int_equal(rtcp_next(&it, &k), 0);
    return r;
}

static uint32_t rng_state = 7;

static uint32_t rng(void)
{
    rng_state = rng_state * 1664525 + 1013904223;
    return rng_state >> 8;
}

/* Random arrivals with losses, reordering and bursts: times come back within a tick. */
static void random_logs_come_back(void **state)
{
    int64_t at[TWCC_MAX_PACKETS];
    static struct twcc_status st[TWCC_MAX_PACKETS];
    uint8_t p[1200];

    (void)state;
    for (int round = 0; round < 2000; round++) {
        size_t n = 1 + rng() % 300, covered = 0;
        uint32_t loss = rng() % 60;
        int64_t now = (int64_t)(rng() % 1000000000) + 100000;
        bool any = false;
        for (size_t i = 0; i < n; i++) {
            now += rng() % (round % 3 == 0 ? 200000 : 3000);
            at[i] = rng() % 100 < loss ? TWCC_LOST : now - (rng() % 20 == 0 ? 5000 : 0);
            any |= at[i] != TWCC_LOST;
        }
        uint16_t base = (uint16_t)rng();
        int len = twcc_build(p, sizeof p, 1, 2, base, (uint8_t)round, at, n, &covered);
        if (!any) {
            assert_int_equal(len, ERR_INVALID);
            continue;
        }
        assert_true(len > 0 && len % 4 == 0 && covered >= 1 && covered <= n);
        struct twcc_feedback fb;
        int got = read_one(&fb, st, TWCC_MAX_PACKETS, p, (size_t)len);
        assert_int_equal(got, (int)covered);
        assert_int_equal(fb.base_seq, base);
        assert_int_equal(fb.feedback_count, (uint8_t)round);
        for (size_t i = 0; i < covered; i++) {
            assert_int_equal(st[i].seq, (uint16_t)(base + i));
            assert_int_equal(st[i].received, at[i] != TWCC_LOST);
            if (st[i].received) {
                assert_true(st[i].at_us - at[i] <= 125);
                assert_true(at[i] - st[i].at_us <= 125);
            }
        }
    }
}

static void small_buffer_covers_less(void **state)
{
    int64_t at[200];
    uint8_t p[60];
    struct twcc_status st[200];
    struct twcc_feedback fb;
    size_t covered = 0;

    (void)state;
    for (size_t i = 0; i < 200; i++) {
        at[i] = 1000000 + (int64_t)i * 1000;
    }
    int len = twcc_build(p, sizeof p, 1, 2, 0, 0, at, 200, &covered);
    assert_true(len > 0 && len <= 60);
    assert_true(covered > 10 && covered < 40);
    assert_int_equal(read_one(&fb, st, 200, p, (size_t)len), (int)covered);
    assert_int_equal(twcc_build(p, 20, 1, 2, 0, 0, at, 200, &covered), ERR_TOO_LARGE);
}

static void gap_too_long_for_a_delta_ends_the_packet(void **state)
{
    int64_t at[] = {1000000, 1001000, 1001000 + 9000000, 10002000};
    uint8_t p[100];
    size_t covered = 0;

    (void)state;
    assert_true(twcc_build(p, sizeof p, 1, 2, 0, 0, at, 4, &covered) > 0);
    assert_int_equal(covered, 2);
}

/* The draft's own layouts by hand: a run, a one-bit vector, a two-bit vector, deltas of both sizes.
 */
static void reads_each_chunk_form(void **state)
{
    static const uint8_t body[] = {
        0,           0,    0,    1,  0, 0, 0, 2,
        0,           10,   0,    26, 0, 0, 1, 5, /* base 10, 26 statuses, 64 ms, #5 */
        0x20,        5,                          /* 5 small */
        0x80 | 0x20, 0,                          /* one-bit: only its first arrived */
        0xc0 | 0x20, 0x01,                       /* two-bit: first large, last small */
        4,           0,    0,    0,  8,          /* the run */
        1,           0xff, 0xfe, 2,              /* one-bit, large = -2, small = 2 */
    };
    struct twcc_feedback fb;
    struct twcc_status st[26];
    struct rtcp_packet k = {RTCP_RTPFB, RTCP_FMT_TWCC, body, sizeof body};

    (void)state;
    assert_int_equal(twcc_parse(&fb, st, 26, &k), 26);
    assert_int_equal(fb.reference_us, 64000);
    assert_int_equal(st[0].at_us, 65000);
    assert_int_equal(st[4].at_us, 67000);
    assert_true(st[5].received && !st[6].received);
    assert_int_equal(st[5].at_us, 67250);
    assert_true(st[19].received);
    assert_int_equal(st[19].at_us, 66750);
    assert_true(!st[20].received && st[25].received);
    assert_int_equal(st[25].at_us, 67250);
    assert_int_equal(st[25].seq, 35);
    assert_int_equal(twcc_parse(&fb, st, 3, &k), 3); /* bounded by the caller */
    for (size_t n = 0; n < sizeof body; n++) {
        uint8_t *copy = malloc(n ? n : 1);
        memcpy(copy, body, n);
        k = (struct rtcp_packet){RTCP_RTPFB, RTCP_FMT_TWCC, copy, n};
        assert_int_equal(twcc_parse(&fb, st, 26, &k), ERR_TRUNCATED);
        free(copy);
    }
}

static void absurd_counts(void **state)
{
    uint8_t body[] = {0,    0, 0, 1, 0, 0,    0,    2,    0,    10,   0xff,
                      0xff, 0, 0, 1, 5, 0x1f, 0xff, 0x1f, 0xff, 0x1f, 0xff};
    struct twcc_feedback fb;
    struct twcc_status st[4];
    struct rtcp_packet k = {RTCP_RTPFB, RTCP_FMT_TWCC, body, sizeof body};

    (void)state;
    assert_int_equal(twcc_parse(&fb, st, 4, &k), ERR_TRUNCATED);
    body[10] = body[11] = 0;
    assert_int_equal(twcc_parse(&fb, st, 4, &k), ERR_INVALID);
    body[11] = 1;
    body[16] = 0x60; /* the reserved symbol */
    body[17] = 1;
    assert_int_equal(twcc_parse(&fb, st, 4, &k), ERR_INVALID);
    body[16] = body[17] = 0; /* runs of no length lead nowhere */
    body[18] = body[19] = body[20] = body[21] = 0;
    assert_int_equal(twcc_parse(&fb, st, 4, &k), ERR_TRUNCATED);
}

/* A reserved symbol counts only as far as symbols do. */
static void reserved_symbols_behind_the_last(void **state)
{
    uint8_t body[] = {0, 0, 0, 1, 0, 0, 0, 2, 0, 10, 0, 0, 0, 0, 1, 5, 0xc0, 0};
    struct twcc_feedback fb;
    struct twcc_status st[8];
    struct rtcp_packet k = {RTCP_RTPFB, RTCP_FMT_TWCC, body, sizeof body};

    (void)state;
    for (int at = 0; at < 7; at++) {
        uint16_t chunk = (uint16_t)(0xc000 | 3 << (12 - 2 * at));
        body[16] = (uint8_t)(chunk >> 8);
        body[17] = (uint8_t)chunk;
        for (uint8_t count = 1; count <= 7; count++) {
            body[11] = count;
            assert_int_equal(twcc_parse(&fb, st, 8, &k), at < count ? ERR_INVALID : count);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_logs_come_back),
        cmocka_unit_test(small_buffer_covers_less),
        cmocka_unit_test(gap_too_long_for_a_delta_ends_the_packet),
        cmocka_unit_test(reads_each_chunk_form),
        cmocka_unit_test(absurd_counts),
        cmocka_unit_test(reserved_symbols_behind_the_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
