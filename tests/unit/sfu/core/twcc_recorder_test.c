#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/proto/twcc.h"
#include "sfu/core/twcc_recorder.h"

static struct twcc_recorder t;
static struct twcc_status st[TWCC_MAX_PACKETS];
static uint8_t p[1200];

static int setup(void **state)
{
    (void)state;
    twcc_recorder_init(&t, 1);
    return 0;
}

/* Polls and reads one feedback; its number of statuses, or 0. */
static int poll_one(struct twcc_feedback *fb, int64_t now_us)
{
    struct rtcp_iter it;
    struct rtcp_packet k;
    size_t len = twcc_recorder_poll(&t, 2, p, sizeof p, now_us);

    if (len == 0) {
        return 0;
    }
    rtcp_iter_init(&it, p, len);
    assert_int_equal(rtcp_next(&it, &k), 1);
    return twcc_parse(fb, st, TWCC_MAX_PACKETS, &k);
}

static void tells_arrivals_and_losses(void **state)
{
    struct twcc_feedback fb;

    (void)state;
    assert_int_equal(twcc_recorder_deadline(&t), INT64_MAX);
    twcc_recorder_input(&t, 65535, 1000000);
    twcc_recorder_input(&t, 1, 1002000);
    twcc_recorder_input(&t, 1, 1003000); /* a duplicate */
    assert_int_equal(twcc_recorder_deadline(&t), 1000000 + TWCC_INTERVAL_US);
    assert_int_equal(poll_one(&fb, 1040000), 0);
    assert_int_equal(poll_one(&fb, 1050000), 3);
    assert_int_equal(fb.base_seq, 65535);
    assert_int_equal(fb.sender_ssrc, 1);
    assert_int_equal(fb.media_ssrc, 2);
    assert_int_equal(fb.feedback_count, 0);
    assert_true(st[0].received && !st[1].received && st[2].received);
    assert_int_equal(st[2].at_us - st[0].at_us, 2000);
    assert_int_equal(poll_one(&fb, 1050000), 0);
    assert_int_equal(twcc_recorder_deadline(&t), INT64_MAX);
}

/* What was lost between two feedbacks is told by the second one. */
static void losses_between_feedbacks(void **state)
{
    struct twcc_feedback fb;

    (void)state;
    twcc_recorder_input(&t, 10, 1000000);
    assert_int_equal(poll_one(&fb, 1050000), 1);
    twcc_recorder_input(&t, 13, 1060000);
    twcc_recorder_input(&t, 9, 1061000); /* told of already */
    assert_int_equal(poll_one(&fb, 1110000), 3);
    assert_int_equal(fb.base_seq, 11);
    assert_int_equal(fb.feedback_count, 1);
    assert_true(!st[0].received && !st[1].received && st[2].received);
}

/* What doesn't fit into one packet comes in the next, at once. */
static void small_packets_go_on_where_they_ended(void **state)
{
    struct rtcp_iter it;
    struct rtcp_packet k;
    struct twcc_feedback fb;
    int told = 0;
    size_t len;

    (void)state;
    for (int i = 0; i < 100; i++) {
        twcc_recorder_input(&t, (uint16_t)i, 1000000 + i);
    }
    while ((len = twcc_recorder_poll(&t, 2, p, 60, 1050000)) > 0) {
        rtcp_iter_init(&it, p, len);
        assert_int_equal(rtcp_next(&it, &k), 1);
        int n = twcc_parse(&fb, st, TWCC_MAX_PACKETS, &k);
        assert_true(n > 0 && n < 100);
        assert_int_equal(fb.base_seq, told);
        told += n;
    }
    assert_int_equal(told, 100);
}

static void long_gap_is_jumped(void **state)
{
    struct twcc_feedback fb;

    (void)state;
    twcc_recorder_input(&t, 0, 1000000);
    assert_int_equal(poll_one(&fb, 1050000), 1);
    twcc_recorder_input(&t, 20000, 1060000);
    assert_int_equal(poll_one(&fb, 1110000), 1);
    assert_int_equal(fb.base_seq, 20000);
}

/* A high rate with losses, over several rollovers: each status told once, and right. */
static void every_number_is_told_once(void **state)
{
    static uint8_t arrived[200000], told[200000];
    struct twcc_feedback fb;
    uint32_t rng = 3;
    int64_t now = 1000000, unwrapped = 0;
    uint16_t last = 0;

    (void)state;
    for (int i = 0; i < 200000; i++) {
        rng = rng * 1664525 + 1013904223;
        now += rng >> 24;
        if (i == 0 || (rng >> 16) % 20 != 0) {
            arrived[i] = 1;
            twcc_recorder_input(&t, (uint16_t)i, now);
        }
        if (now < twcc_recorder_deadline(&t)) {
            continue;
        }
        int n;
        while ((n = poll_one(&fb, now)) > 0) {
            for (int k = 0; k < n; k++) {
                unwrapped += (int16_t)(uint16_t)(st[k].seq - last);
                last = st[k].seq;
                assert_int_equal(told[unwrapped], 0);
                told[unwrapped] = 1;
                assert_int_equal(st[k].received, arrived[unwrapped]);
            }
        }
    }
    for (int64_t i = 0; i < unwrapped; i++) {
        assert_int_equal(told[i], 1);
    }
    assert_true(unwrapped > 199000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(tells_arrivals_and_losses, setup),
        cmocka_unit_test_setup(losses_between_feedbacks, setup),
        cmocka_unit_test_setup(small_packets_go_on_where_they_ended, setup),
        cmocka_unit_test_setup(long_gap_is_jumped, setup),
        cmocka_unit_test_setup(every_number_is_told_once, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
