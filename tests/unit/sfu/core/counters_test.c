#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sfu/core/counters.h"

#define FRAME_US 33333

static struct counters c;
static int64_t now;

static int setup(void **state)
{
    (void)state;
    counters_init(&c);
    now = 1000000;
    return 0;
}

static void frames(int n, int64_t every_us)
{
    for (int i = 0; i < n; i++, now += every_us) {
        counters_frame(&c, i == 0, now);
        for (int k = 0; k < 5; k++) {
            counters_packet(&c, 1000, now);
        }
    }
}

static void unknown_is_said_so(void **state)
{
    struct counters_view view;
    struct counter_rates rates = {0};
    (void)state;
    counters_render(&c, &rates, &view);
    assert_int_equal(view.packets, 0);
    assert_int_equal(view.sid, COUNTERS_NONE);
    assert_int_equal(view.estimate_kbps, COUNTERS_NONE);
    assert_true(view.rtt_ms == COUNTERS_NONE && view.jitter_ms == COUNTERS_NONE);
    assert_true(view.loss_percent == 0);
}

static void rates_between_two_reads(void **state)
{
    struct counters before;
    struct counter_rates rates;
    (void)state;
    frames(30, FRAME_US);
    before = c;
    frames(60, FRAME_US);
    counters_add(&c, COUNTER_LOST, 100);
    counters_add(&c, COUNTER_NACKS, 20);
    counters_add(&c, COUNTER_RETRANSMITS, 10);
    counters_add(&c, COUNTER_PLIS, 2);
    counters_rates(&c, &before, 2000000, &rates);
    assert_true(rates.packets == 150 && rates.bits == 1200000 && rates.frames == 30);
    assert_true(rates.nacks == 10 && rates.retransmits == 5 && rates.plis == 1);
    assert_true(rates.loss == 0.25 && rates.frozen == 0 && rates.seconds == 2);
    struct counters_view view;
    counters_render(&c, &rates, &view);
    assert_int_equal(view.bitrate_kbps, 1200);
    assert_true(view.loss_percent == 25 && view.fps == 30);
    assert_int_equal(view.frames, 90);
    assert_int_equal(view.keyframes, 2);
}

static void nonsense_gives_no_rates(void **state)
{
    static const struct counter_rates none;
    struct counters before;
    struct counter_rates rates;
    (void)state;
    frames(30, FRAME_US);
    before = c;
    counters_rates(&c, &before, 0, &rates);
    assert_memory_equal(&rates, &none, sizeof rates);
    counters_rates(&c, &before, -1, &rates);
    assert_memory_equal(&rates, &none, sizeof rates);
    counters_init(&c); /* the block began anew */
    frames(2, FRAME_US);
    counters_rates(&c, &before, 1000000, &rates);
    assert_memory_equal(&rates, &none, sizeof rates);
}

static void gaps_tell_freezes(void **state)
{
    (void)state;
    frames(60, FRAME_US);
    now += 100000; /* more than three frames, but not by 150 ms */
    frames(60, FRAME_US);
    assert_int_equal(c.n[COUNTER_FREEZES], 0);
    now += 500000;
    frames(60, FRAME_US);
    assert_int_equal(c.n[COUNTER_FREEZES], 1);
    assert_in_range(c.n[COUNTER_FREEZE_US], 530000, 540000);
}

static void slow_pictures_do_not_freeze(void **state)
{
    (void)state;
    frames(20, 1000000); /* a screen of one frame a second */
    now += 1500000;
    frames(20, 1000000);
    assert_int_equal(c.n[COUNTER_FREEZES], 0);
    now += 5000000;
    frames(20, 1000000);
    assert_int_equal(c.n[COUNTER_FREEZES], 1);
}

static void pause_is_no_freeze(void **state)
{
    (void)state;
    frames(60, FRAME_US);
    counters_pause(&c, true);
    counters_pause(&c, true);
    now += 5000000;
    counters_pause(&c, false);
    frames(60, FRAME_US);
    assert_int_equal(c.n[COUNTER_FREEZES], 0);
    assert_int_equal(c.n[COUNTER_PAUSES], 1);
}

static void clock_that_goes_back_is_harmless(void **state)
{
    (void)state;
    frames(60, FRAME_US);
    now -= 3000000;
    frames(60, FRAME_US);
    assert_int_equal(c.n[COUNTER_FREEZES], 0);
    assert_true(c.usual_us > 0);
}

static void layers_count_switches(void **state)
{
    (void)state;
    counters_layer(&c, 0, 1); /* the first is none */
    counters_layer(&c, 0, 1);
    counters_layer(&c, 1, 1);
    counters_layer(&c, 1, 2);
    counters_layer(&c, COUNTERS_NONE, COUNTERS_NONE);
    counters_layer(&c, 0, 0);
    assert_int_equal(c.n[COUNTER_SWITCHES], 2);
    assert_int_equal(c.sid, 0);
}

static void reports_of_the_receiver(void **state)
{
    struct counters_view view;
    struct counter_rates rates = {0};
    (void)state;
    counters_report(&c, 64, 10, 12345, -1);
    assert_int_equal(c.rtt_us, COUNTERS_NONE);
    counters_report(&c, 64, 7, 12345, 80040);
    counters_report(&c, 64, -3, 12345, -1);
    assert_int_equal(c.n[COUNTER_LOST], 10); /* duplicates don't take losses back */
    c.estimate_bps = 1234567;
    counters_render(&c, &rates, &view);
    assert_true(view.loss_percent == 25 && view.jitter_ms == 12.3 && view.rtt_ms == 80);
    assert_int_equal(view.estimate_kbps, 1235);
}

static void totals_add_up(void **state)
{
    struct counters sum;
    (void)state;
    counters_init(&sum);
    frames(10, FRAME_US);
    counters_merge(&sum, &c);
    counters_merge(&sum, &c);
    assert_int_equal(sum.n[COUNTER_PACKETS], 100);
    assert_int_equal(sum.n[COUNTER_BYTES], 100000);
    assert_int_equal(sum.rtt_us, COUNTERS_NONE);
}

#define CASE(fn) cmocka_unit_test_setup(fn, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(unknown_is_said_so),
        CASE(rates_between_two_reads),
        CASE(nonsense_gives_no_rates),
        CASE(gaps_tell_freezes),
        CASE(slow_pictures_do_not_freeze),
        CASE(pause_is_no_freeze),
        CASE(clock_that_goes_back_is_harmless),
        CASE(layers_count_switches),
        CASE(reports_of_the_receiver),
        CASE(totals_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
