/* When an estimate that carries less than the smallest pictures is believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sfu/shell/subscriber_rate_trust.h"

#define LOOK_US 100000

static struct rate_trust t;
static int64_t now_us;

static int setup(void **state)
{
    (void)state;
    now_us = 1000000;
    rate_trust_init(&t, now_us);
    return 0;
}

/* Looks for so long with one evidence. */
static void see(struct rate_evidence e, double seconds)
{
    for (int64_t end_us = now_us + (int64_t)(seconds * 1e6); now_us < end_us;) {
        now_us += LOOK_US;
        rate_trust_look(&t, &e, now_us);
    }
}

static const struct rate_evidence quiet = {.heard = true, .calm = true};
static const struct rate_evidence drowned = {.heard = true, .congested = true, .drowned = true};

static void begins_with_the_first_feedback(void **state)
{
    (void)state;
    see((struct rate_evidence){.calm = true}, 60);
    assert_int_equal(t.state, RATE_STARTING);
    see(quiet, 1.0);
    assert_int_equal(t.state, RATE_STARTING);
    see(quiet, 0.5);
    assert_int_equal(t.state, RATE_PATIENT);
}

static void congestion_ends_a_start(void **state)
{
    (void)state;
    see((struct rate_evidence){.heard = true, .congested = true}, 0.1);
    assert_int_equal(t.state, RATE_PATIENT);
    see((struct rate_evidence){.heard = true, .fresh = true}, 0.1); /* not calm */
    assert_int_equal(t.state, RATE_PATIENT);
    see((struct rate_evidence){.heard = true, .fresh = true, .calm = true}, 0.1);
    assert_int_equal(t.state, RATE_STARTING);
}

/* Overuse and loss alone, as long as they like. */
static void only_a_link_that_drowns_is_believed(void **state)
{
    (void)state;
    see((struct rate_evidence){.heard = true, .congested = true}, 600);
    assert_false(rate_trusts(&t));
    for (int i = 0; i < 100; i++) { /* stalls */
        see(drowned, 0.4);
        assert_int_equal(t.state, RATE_SINKING);
        see(quiet, 0.1);
        assert_int_equal(t.state, RATE_PATIENT);
    }
    see(drowned, 0.7);
    assert_true(rate_trusts(&t));
}

static void what_a_receiver_says_counts_at_once(void **state)
{
    (void)state;
    see((struct rate_evidence){.heard = true, .told = true}, 0.1);
    assert_true(rate_trusts(&t));
}

static double rested(void)
{
    see(drowned, 0.7);
    int64_t from_us = now_us;
    while (rate_trusts(&t)) {
        see(quiet, 0.1);
    }
    return (double)(now_us - from_us) / 1e6;
}

static void rests_longer_each_time(void **state)
{
    static const double expected[] = {4, 8, 16, 32, 64, 64};
    (void)state;
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        double s = rested();
        assert_true(s >= expected[i] && s < expected[i] + 0.3);
        see(quiet, 1);
    }
    see(quiet, RATE_BORNE_US / 1e6 + 1); /* it bore them: forgotten */
    double s = rested();
    assert_true(s >= 4 && s < 4.3);
}

static void rests_from_the_last_sign_on(void **state)
{
    (void)state;
    see(drowned, 10);
    see(quiet, 3.5);
    assert_true(rate_trusts(&t));
    see(quiet, 1);
    assert_false(rate_trusts(&t));
}

static void somebody_new_is_tried_in_calm(void **state)
{
    (void)state;
    see(drowned, 0.7);
    see((struct rate_evidence){.heard = true, .fresh = true}, 0.1);
    assert_true(rate_trusts(&t));
    see((struct rate_evidence){.heard = true, .fresh = true, .calm = true}, 0.1);
    assert_int_equal(t.state, RATE_STARTING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(begins_with_the_first_feedback, setup),
        cmocka_unit_test_setup(congestion_ends_a_start, setup),
        cmocka_unit_test_setup(only_a_link_that_drowns_is_believed, setup),
        cmocka_unit_test_setup(what_a_receiver_says_counts_at_once, setup),
        cmocka_unit_test_setup(rests_longer_each_time, setup),
        cmocka_unit_test_setup(rests_from_the_last_sign_on, setup),
        cmocka_unit_test_setup(somebody_new_is_tried_in_calm, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
