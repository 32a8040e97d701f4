#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sfu/core/bwe.h"
#include "sfu/core/send_history.h"

static struct send_history h;
static struct sent_news n;

static int setup(void **state)
{
    (void)state;
    send_history_init(&h);
    return 0;
}

static void fits_its_budget(void **state)
{
    (void)state;
    assert_true(sizeof h <= 6 * SEND_HISTORY + 64);
    assert_true(sizeof(struct bwe) <= 8192);
}

static void tells_each_packet_once(void **state)
{
    (void)state;
    uint16_t a = send_history_add(&h, 1200, 0, 1000);
    uint16_t b = send_history_add(&h, 100, 7, 2000);
    assert_int_equal((uint16_t)(a + 1), b);
    assert_true(send_history_take(&h, b, true, &n));
    assert_int_equal(n.sent_us, 2000);
    assert_int_equal(n.bytes, 100);
    assert_int_equal(n.cluster, 7);
    assert_true(n.received && !n.late);
    assert_false(send_history_take(&h, b, true, &n));
    assert_false(send_history_take(&h, b, false, &n));
    assert_true(send_history_take(&h, a, false, &n));
    assert_int_equal(n.sent_us, 1000);
    assert_false(n.received);
    assert_false(send_history_take(&h, a, false, &n));
    assert_true(send_history_take(&h, a, true, &n)); /* it came after all */
    assert_true(n.received && n.late);
    assert_false(send_history_take(&h, a, true, &n));
}

static void knows_what_it_has_forgotten(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3000; i++) { /* numbers 1 to 3000 */
        send_history_add(&h, 1200, 0, 1000 + i);
    }
    assert_false(send_history_forgot(&h, 0));
    assert_true(send_history_forgot(&h, 1));
    assert_true(send_history_forgot(&h, 3000 - SEND_HISTORY));
    assert_false(send_history_forgot(&h, 3001 - SEND_HISTORY));
    assert_false(send_history_forgot(&h, 3000));
    assert_false(send_history_forgot(&h, 3001));
    send_history_add(&h, 1200, 0, 3000 + 2 * SEND_HISTORY_IDLE_US);
    assert_true(send_history_forgot(&h, 3000));
    for (unsigned i = 0; i < 70000; i++) { /* 73001 is the newest: 7465 */
        send_history_add(&h, 1200, 0, 90000000);
    }
    assert_true(send_history_forgot(&h, 7465 - SEND_HISTORY));
    assert_false(send_history_forgot(&h, 7466));
    assert_true(send_history_forgot(&h, 60000));
}

static void knows_nothing_of_what_was_never_sent(void **state)
{
    (void)state;
    for (unsigned seq = 0; seq <= UINT16_MAX; seq++) {
        assert_false(send_history_take(&h, (uint16_t)seq, true, &n));
    }
    uint16_t a = send_history_add(&h, 1200, 0, 1000);
    unsigned known = 0;
    for (unsigned seq = 0; seq <= UINT16_MAX; seq++) {
        known += send_history_take(&h, (uint16_t)seq, true, &n);
    }
    assert_int_equal(known, 1);
    assert_false(send_history_take(&h, a, true, &n));
}

static void forgets_the_oldest_and_wraps(void **state)
{
    (void)state;
    uint16_t seq = 0;
    int64_t now = 0;
    for (unsigned i = 0; i < 200000; i++) {
        seq = send_history_add(&h, i % 1500, 0, now += 100);
    }
    assert_false(send_history_take(&h, (uint16_t)(seq - SEND_HISTORY), true, &n));
    for (unsigned i = 0; i < SEND_HISTORY; i++) {
        assert_true(send_history_take(&h, (uint16_t)(seq - i), true, &n));
        assert_int_equal(n.sent_us, now - 100 * (int64_t)i);
        assert_int_equal(n.bytes, (199999 - i) % 1500);
    }
}

/* 1,000 packets a second, half a second of round trip, feedback each 100 ms of which one in a row
 * is lost: everything is told. */
static void remembers_a_long_way(void **state)
{
    const int64_t there_us = 250000, back_us = 250000;
    (void)state;
    uint16_t seq[1 << 14];
    int told = 0;
    for (int ms = 0; ms < 10000; ms++) {
        seq[ms] = send_history_add(&h, 1000, 0, 1000 * ms);
        int heard = ms - (int)((there_us + back_us) / 1000);
        for (int i = heard - 199; heard > 0 && heard % 200 == 0 && i <= heard; i++) {
            assert_true(send_history_take(&h, seq[i], true, &n));
            assert_int_equal(n.sent_us, 1000 * i);
            told++;
        }
    }
    assert_true(told > 9000);
}

/* The low 32 bits of a time are enough: a silence ends what is remembered, slowness doesn't. */
static void times_stay_right_over_hours(void **state)
{
    (void)state;
    int64_t now = INT64_C(1) << 40;
    uint16_t first = send_history_add(&h, 1, 0, now);
    for (unsigned i = 1; i < SEND_HISTORY; i++) {
        send_history_add(&h, 1, 0, now + i * (int64_t)SEND_HISTORY_IDLE_US);
    }
    assert_true(send_history_take(&h, first, true, &n));
    assert_int_equal(n.sent_us, now);
    now += INT64_C(9000000000);
    uint16_t last = send_history_add(&h, 1, 0, now);
    assert_false(send_history_take(&h, (uint16_t)(last - 1), true, &n));
    assert_true(send_history_take(&h, last, true, &n));
    assert_int_equal(n.sent_us, now);
}

static void bears_a_clock_that_goes_back_and_huge_packets(void **state)
{
    (void)state;
    send_history_add(&h, 1, 0, 5000000);
    uint16_t b = send_history_add(&h, SIZE_MAX, 0, 10);
    assert_true(send_history_take(&h, b, true, &n));
    assert_int_equal(n.sent_us, 5000000);
    assert_int_equal(n.bytes, SEND_HISTORY_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(fits_its_budget, setup),
        cmocka_unit_test_setup(tells_each_packet_once, setup),
        cmocka_unit_test_setup(knows_what_it_has_forgotten, setup),
        cmocka_unit_test_setup(knows_nothing_of_what_was_never_sent, setup),
        cmocka_unit_test_setup(forgets_the_oldest_and_wraps, setup),
        cmocka_unit_test_setup(remembers_a_long_way, setup),
        cmocka_unit_test_setup(times_stay_right_over_hours, setup),
        cmocka_unit_test_setup(bears_a_clock_that_goes_back_and_huge_packets, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
