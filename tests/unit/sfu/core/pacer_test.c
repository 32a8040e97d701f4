#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sfu/core/pacer.h"

static struct pacer p;

static int setup(void **state)
{
    (void)state;
    pacer_init(&p);
    return 0;
}

static void without_a_rate_all_passes(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++) {
        assert_true(pacer_pass(&p, 65000, 1));
    }
    assert_int_equal(pacer_budget(&p, PACER_VIDEO, 1), SIZE_MAX);
    assert_int_equal(pacer_next(&p, 1), INT64_MAX);
}

static void far_below_the_rate_nothing_waits(void **state)
{
    (void)state;
    pacer_set_target(&p, 2500000);
    for (int64_t now = 0; now < 10000000; now += 33333) {
        assert_true(pacer_pass(&p, 6000, now)); /* 1.44 Mbit/s */
    }
}

/* A keyframe of 60 kB at 1 Mbit/s: 2.5 Mbit/s leave, the first 40 ms of it at once. */
static void a_large_frame_leaves_at_the_rate(void **state)
{
    size_t left = 60000, first = 0;
    int64_t now = 1000000;

    (void)state;
    pacer_set_target(&p, 1000000);
    assert_false(pacer_pass(&p, left, now));
    assert_false(pacer_pass(&p, 12600, now)); /* 40 ms of 2.5 Mbit/s are 12500 bytes: */
    assert_true(pacer_pass(&p, 12400, now));  /* a train of them leaves whole, and is owed */
    assert_false(pacer_pass(&p, 1200, now));
    now += 1000000;
    pacer_queued(&p, left, now, now);
    while (left > 0) {
        size_t budget = pacer_budget(&p, PACER_VIDEO, now);
        while (budget > 0 && left > 0) {
            size_t one = left < 1200 ? left : 1200;
            pacer_sent(&p, one, now);
            left -= one;
            first += now == 2000000 ? one : 0;
            pacer_queued(&p, left, 2000000, now);
            budget = pacer_budget(&p, PACER_VIDEO, now);
        }
        if (left > 0) {
            int64_t next = pacer_next(&p, now);
            assert_true(next > now);
            now = next;
        }
    }
    assert_in_range(first, 12000, 14400); /* 40 ms of 2.5 Mbit/s are 12500 bytes */
    assert_in_range(now, 2000000 + 140000, 2000000 + 160000); /* 47500 bytes at 2.5 Mbit/s */
}

static void no_packet_waits_longer_than_the_bound(void **state)
{
    size_t left = 400000, early = 0;
    int64_t now = 1000000;

    (void)state;
    pacer_set_target(&p, 300000);
    pacer_queued(&p, left, now, now);
    while (left > 0) {
        if (pacer_budget(&p, PACER_VIDEO, now) > 0) {
            size_t one = left < 1200 ? left : 1200;
            pacer_sent(&p, one, now);
            left -= one;
            early += now < 1000000 + PACER_QUEUE_US / 2 ? one : 0;
            pacer_queued(&p, left, 1000000, now);
        } else {
            now = pacer_next(&p, now);
        }
        assert_true(now <= 1000000 + PACER_QUEUE_US);
    }
    assert_true(now > 1000000 + PACER_QUEUE_US / 2); /* spread all the same, */
    assert_in_range(early, 150000, 320000);          /* evenly */
}

static void audio_never_waits_and_retransmissions_pass_video(void **state)
{
    (void)state;
    pacer_set_target(&p, 100000);
    pacer_sent(&p, 1400, 1000);
    pacer_queued(&p, 1200, 1000, 1000);
    assert_int_equal(pacer_budget(&p, PACER_VIDEO, 1000), 0);
    assert_true(pacer_budget(&p, PACER_RTX, 1000) > 0);
    assert_int_equal(pacer_budget(&p, PACER_AUDIO, 1000), SIZE_MAX);
    assert_int_equal(pacer_budget(&p, PACER_PADDING, 1000), 0);
    pacer_queued(&p, 0, 0, 1000);
    assert_int_equal(pacer_budget(&p, PACER_PADDING, 1000), 0); /* something is owed */
    assert_true(pacer_budget(&p, PACER_PADDING, 100000) > 0);
}

static void debt_is_bounded(void **state)
{
    (void)state;
    pacer_set_target(&p, 1); /* less than the slowest: counted as that */
    for (int i = 0; i < 1000; i++) {
        pacer_sent(&p, SIZE_MAX, 1000);
    }
    assert_int_equal(pacer_budget(&p, PACER_VIDEO, 1000), 0);
    assert_true(pacer_budget(&p, PACER_VIDEO, 1000 + PACER_DEBT_US) > 0);
    assert_false(pacer_pass(&p, 60000, 1000 + 2 * PACER_DEBT_US));
    assert_true(pacer_pass(&p, 30, 1000 + 2 * PACER_DEBT_US));
    pacer_set_target(&p, 0);
    assert_int_equal(pacer_budget(&p, PACER_VIDEO, 1000), SIZE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(without_a_rate_all_passes, setup),
        cmocka_unit_test_setup(far_below_the_rate_nothing_waits, setup),
        cmocka_unit_test_setup(a_large_frame_leaves_at_the_rate, setup),
        cmocka_unit_test_setup(no_packet_waits_longer_than_the_bound, setup),
        cmocka_unit_test_setup(audio_never_waits_and_retransmissions_pass_video, setup),
        cmocka_unit_test_setup(debt_is_bounded, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
