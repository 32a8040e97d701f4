#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sfu/core/pli.h"

static void first_goes_at_once_others_merge(void **state)
{
    struct pli p = {0};

    (void)state;
    assert_false(pli_poll(&p, 0));
    assert_int_equal(pli_deadline(&p), INT64_MAX);
    pli_request(&p, 100);
    pli_request(&p, 100);
    assert_int_equal(pli_deadline(&p), 100);
    assert_true(pli_poll(&p, 100));
    assert_false(pli_poll(&p, 100));
    pli_request(&p, 200);
    assert_false(pli_poll(&p, 200));
    assert_int_equal(p.sent, 1);
    assert_int_equal(p.merged, 2);
}

static void keyframe_satisfies_and_interval_holds(void **state)
{
    struct pli p = {0};

    (void)state;
    pli_request(&p, 0);
    assert_true(pli_poll(&p, 0));
    pli_keyframe(&p, 50000);
    assert_int_equal(pli_deadline(&p), INT64_MAX);
    pli_request(&p, 100000); /* too soon after the last */
    assert_false(pli_poll(&p, 100000));
    assert_int_equal(pli_deadline(&p), PLI_MIN_INTERVAL_US);
    assert_true(pli_poll(&p, PLI_MIN_INTERVAL_US));
}

static void repeats_ever_more_slowly(void **state)
{
    struct pli p = {0};
    int64_t now = 0, last_gap = 0;

    (void)state;
    pli_request(&p, 0);
    assert_true(pli_poll(&p, 0));
    for (int i = 0; i < 6; i++) {
        int64_t gap = pli_deadline(&p) - now;
        assert_true(gap >= last_gap && gap <= 5000000);
        assert_false(pli_poll(&p, now + gap - 1));
        now += gap;
        assert_true(pli_poll(&p, now));
        last_gap = gap;
    }
    assert_int_equal(last_gap, 5000000);
}

/* A camera was off for long and comes back: asked soon again, and only if somebody waits. */
static void a_source_that_wakes_is_asked_at_once(void **state)
{
    struct pli p = {0};
    int64_t now = 0;

    (void)state;
    pli_wake(&p, now);
    assert_int_equal(pli_deadline(&p), INT64_MAX);
    pli_request(&p, now);
    for (int i = 0; i < 6; i++) {
        now = pli_deadline(&p);
        assert_true(pli_poll(&p, now));
    }
    pli_wake(&p, now + 100000);
    assert_int_equal(pli_deadline(&p), now + PLI_MIN_INTERVAL_US);
    pli_wake(&p, now + 2000000);
    assert_int_equal(pli_deadline(&p), now + PLI_MIN_INTERVAL_US);
    assert_true(pli_poll(&p, now + 2000000));
    assert_int_equal(pli_deadline(&p), now + 2000000 + PLI_RETRY_US);
}

/* A storm of a thousand requests a second for ten seconds, no keyframe ever. */
static void storm_is_bounded(void **state)
{
    struct pli p = {0};

    (void)state;
    for (int64_t now = 0; now < 10000000; now += 1000) {
        pli_request(&p, now);
        (void)pli_poll(&p, now);
    }
    assert_true(p.sent <= 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_goes_at_once_others_merge),
        cmocka_unit_test(keyframe_satisfies_and_interval_holds),
        cmocka_unit_test(repeats_ever_more_slowly),
        cmocka_unit_test(a_source_that_wakes_is_asked_at_once),
        cmocka_unit_test(storm_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
