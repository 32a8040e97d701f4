#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sfu/core/nack.h"

static struct nack n;
static uint16_t seqs[NACK_MAX_MISSING];

static int setup(void **state)
{
    (void)state;
    memset(&n, 0, sizeof n);
    return 0;
}

static void asks_for_gaps(void **state)
{
    (void)state;
    nack_received(&n, 100, 0);
    assert_int_equal(nack_deadline(&n), INT64_MAX);
    nack_received(&n, 104, 1000);
    assert_int_equal(nack_deadline(&n), 1000 + NACK_FIRST_US);
    assert_int_equal(nack_poll(&n, seqs, 10, 1000, 0), 0); /* reordering may heal it */
    assert_int_equal(nack_poll(&n, seqs, 10, 1000 + NACK_FIRST_US, 0), 3);
    assert_int_equal(seqs[0], 101);
    assert_int_equal(seqs[2], 103);
    assert_int_equal(nack_poll(&n, seqs, 10, 1000 + NACK_FIRST_US, 0), 0);
    nack_received(&n, 102, 30000);
    assert_int_equal(n.recovered, 1);
    assert_int_equal(nack_poll(&n, seqs, 10, 1000 + NACK_FIRST_US + 100000, 0), 2);
    assert_int_equal(seqs[1], 103);
}

static void reordering_asks_nothing(void **state)
{
    (void)state;
    nack_received(&n, 100, 0);
    nack_received(&n, 102, 0);
    nack_received(&n, 101, 1000);
    nack_received(&n, 101, 1000); /* a duplicate */
    nack_received(&n, 50, 1000);  /* ancient */
    assert_int_equal(nack_poll(&n, seqs, 10, 1000000, 0), 0);
    assert_int_equal(n.recovered, 0);
}

static void repeats_by_round_trip(void **state)
{
    (void)state;
    nack_received(&n, 1, 0);
    nack_received(&n, 3, 0);
    assert_int_equal(nack_poll(&n, seqs, 10, 5000, 300000), 1);
    assert_int_equal(nack_deadline(&n), 305000);
    assert_int_equal(nack_poll(&n, seqs, 10, 304999, 300000), 0);
    assert_int_equal(nack_poll(&n, seqs, 10, 305000, 1000), 1);
    assert_int_equal(nack_deadline(&n), 305000 + NACK_MIN_GAP_US); /* never faster than this */
}

static void gives_up_after_tries_or_age(void **state)
{
    int64_t now = 5000;

    (void)state;
    nack_received(&n, 1, 0);
    nack_received(&n, 3, 0);
    for (int i = 0; i < NACK_MAX_TRIES; i++, now += NACK_MIN_GAP_US) {
        assert_int_equal(nack_poll(&n, seqs, 10, now, 1), 1);
    }
    assert_false(n.keyframe_wanted);
    assert_int_equal(nack_poll(&n, seqs, 10, now, 1), 0);
    assert_true(n.keyframe_wanted);
    assert_int_equal(n.given_up, 1);
    assert_int_equal(n.n, 0);
    n.keyframe_wanted = false;
    nack_received(&n, 5, now);
    assert_int_equal(nack_poll(&n, seqs, 10, now + NACK_MAX_AGE_US + 1, 1), 0);
    assert_true(n.keyframe_wanted);
}

static void keyframe_ends_older_gaps(void **state)
{
    (void)state;
    nack_received(&n, 1, 0);
    nack_received(&n, 5, 0);
    nack_received(&n, 8, 0);
    nack_keyframe(&n, 5);
    assert_int_equal(nack_poll(&n, seqs, 10, 10000, 0), 2);
    assert_int_equal(seqs[0], 6);
}

static void bounded(void **state)
{
    (void)state;
    nack_received(&n, 0, 0);
    nack_received(&n, NACK_MAX_MISSING + 1, 0); /* exactly as many as are kept */
    assert_int_equal(n.n, NACK_MAX_MISSING);
    assert_false(n.keyframe_wanted);
    nack_received(&n, NACK_MAX_MISSING + 4, 0); /* two more: the two oldest go */
    assert_int_equal(n.n, NACK_MAX_MISSING);
    assert_int_equal(n.missing[0].ext_seq, 3);
    assert_true(n.keyframe_wanted);
    n.keyframe_wanted = false;
    nack_received(&n, 1000000, 0); /* a jump */
    assert_int_equal(n.n, 0);
    assert_true(n.keyframe_wanted);
}

static void small_packet_is_filled_in_turns(void **state)
{
    (void)state;
    nack_received(&n, 0, 0);
    nack_received(&n, 11, 0);
    assert_int_equal(nack_poll(&n, seqs, 4, 5000, 0), 4);
    assert_int_equal(seqs[3], 4);
    assert_int_equal(nack_poll(&n, seqs, 4, 5000, 0), 4);
    assert_int_equal(seqs[0], 5);
    assert_int_equal(nack_poll(&n, seqs, 4, 5000, 0), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(asks_for_gaps, setup),
        cmocka_unit_test_setup(reordering_asks_nothing, setup),
        cmocka_unit_test_setup(repeats_by_round_trip, setup),
        cmocka_unit_test_setup(gives_up_after_tries_or_age, setup),
        cmocka_unit_test_setup(keyframe_ends_older_gaps, setup),
        cmocka_unit_test_setup(bounded, setup),
        cmocka_unit_test_setup(small_packet_is_filled_in_turns, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
