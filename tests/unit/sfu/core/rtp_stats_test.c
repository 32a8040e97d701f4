#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sfu/core/rtp_stats.h"

#define FIRST 65536 /* what the unwrapper makes of sequence number 0 */

static struct rtp_stats s;
static struct rtcp_report rep;

static int setup(void **state)
{
    (void)state;
    rtp_stats_init(&s, 42, 90000);
    return 0;
}

static void counts_losses(void **state)
{
    (void)state;
    assert_false(rtp_stats_report(&s, &rep, 0));
    for (int i = 0; i < 100; i++) {
        if (i % 4 != 3) {
            rtp_stats_input(&s, FIRST + i, (uint32_t)i * 3000, 100, i * 33333);
        }
    }
    assert_true(rtp_stats_report(&s, &rep, 4000000));
    assert_int_equal(rep.ssrc, 42);
    assert_int_equal(rep.highest_seq, 98);
    assert_int_equal(rep.cumulative_lost, 24);
    assert_int_equal(rep.fraction_lost, 24 * 256 / 99);
    assert_int_equal(rep.lsr, 0);
    assert_int_equal(rep.dlsr, 0);
    assert_int_equal(rtp_stats_lost(&s), 24);
    for (int i = 99; i < 109; i++) {
        rtp_stats_input(&s, FIRST + i, (uint32_t)i * 3000, 100, i * 33333);
    }
    assert_true(rtp_stats_report(&s, &rep, 4000000));
    assert_int_equal(rep.fraction_lost, 0); /* of this interval only */
    assert_int_equal(rep.cumulative_lost, 24);
}

static void duplicates_make_negative_loss(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        rtp_stats_input(&s, FIRST, 0, 100, 0);
    }
    assert_true(rtp_stats_report(&s, &rep, 0));
    assert_int_equal(rep.cumulative_lost, -2);
    assert_int_equal(rep.fraction_lost, 0);
    assert_int_equal(rtp_stats_lost(&s), 0);
    assert_int_equal(s.duplicates_or_late, 2);
}

static void rollovers_show_in_the_report(void **state)
{
    (void)state;
    rtp_stats_input(&s, FIRST + 65535, 0, 100, 0);
    rtp_stats_input(&s, FIRST + 65537, 0, 100, 0);
    assert_true(rtp_stats_report(&s, &rep, 0));
    assert_int_equal(rep.highest_seq, 65537);
    assert_int_equal(rep.cumulative_lost, 1);
}

static void jitter_follows_the_rfc(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) { /* exactly on time */
        rtp_stats_input(&s, FIRST + i, (uint32_t)i * 900, 100, (int64_t)i * 10000);
    }
    assert_int_equal(rtp_stats_jitter_us(&s), 0);
    for (int i = 50; i < 1000; i++) { /* every other one 5 ms late: |D| is 5 ms each time */
        rtp_stats_input(&s, FIRST + i, (uint32_t)i * 900, 100,
                        (int64_t)i * 10000 + (i % 2 ? 5000 : 0));
    }
    assert_true(rtp_stats_jitter_us(&s) > 4800 && rtp_stats_jitter_us(&s) <= 5000);
    assert_true(rtp_stats_report(&s, &rep, 0));
    assert_int_equal(rep.jitter, (uint32_t)(s.jitter_q4 >> 4));
}

static void timestamps_may_wrap_and_jump(void **state)
{
    (void)state;
    rtp_stats_input(&s, FIRST, 0xfffffff0, 100, 1000000);
    rtp_stats_input(&s, FIRST + 1, 0xfffffff0 + 900, 100, 1010000);
    assert_int_equal(rtp_stats_jitter_us(&s), 0);
    rtp_stats_input(&s, FIRST + 2, 0x7000000, 100, 1020000); /* the source began anew */
    assert_int_equal(rtp_stats_jitter_us(&s), 0);
}

static void last_sender_report(void **state)
{
    uint64_t ntp = rtcp_ntp_from_wall(1700000000000000);

    (void)state;
    rtp_stats_input(&s, FIRST, 0, 100, 0);
    rtp_stats_sender_report(&s, ntp, 2000000);
    assert_true(rtp_stats_report(&s, &rep, 2500000));
    assert_int_equal(rep.lsr, rtcp_ntp_middle(ntp));
    assert_int_equal(rep.dlsr, 32768);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(counts_losses, setup),
        cmocka_unit_test_setup(duplicates_make_negative_loss, setup),
        cmocka_unit_test_setup(rollovers_show_in_the_report, setup),
        cmocka_unit_test_setup(jitter_follows_the_rfc, setup),
        cmocka_unit_test_setup(timestamps_may_wrap_and_jump, setup),
        cmocka_unit_test_setup(last_sender_report, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
