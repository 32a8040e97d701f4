#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/ratelimit.h"
#include "tests/unit/lib/base/alloc.h"

#define SEC    INT64_C(1000000)
#define MINUTE (60 * SEC)

static int hits(struct ratelimit *r, const char *key, int64_t now_us, int n)
{
    int good = 0;

    for (int i = 0; i < n; i++) {
        good += ratelimit_hit(r, key, now_us, NULL) == OK;
    }
    return good;
}

static void lets_the_limit_through_and_no_more(void **state)
{
    struct ratelimit *r = ratelimit_new(20, MINUTE, 100);
    struct ratelimit_result res;

    (void)state;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(ratelimit_hit(r, "a", i * SEC, &res), OK);
        assert_int_equal(res.limit, 20);
        assert_int_equal(res.remaining, 19 - i);
    }
    assert_int_equal(ratelimit_hit(r, "a", 20 * SEC, &res), ERR_LIMIT);
    assert_int_equal(res.remaining, 0);
    assert_true(res.reset_us > 0);
    assert_int_equal(ratelimit_hit(r, "b", 20 * SEC, &res), OK); /* another key, its own count */
    ratelimit_free(r);
}

/* Whatever the pace, no window of one length sees much more than the limit. */
static void slides_instead_of_jumping(void **state)
{
    struct ratelimit *r = ratelimit_new(10, MINUTE, 100);

    (void)state;
    assert_int_equal(hits(r, "a", 0, 1), 1);            /* the window begins */
    assert_int_equal(hits(r, "a", 59 * SEC, 100), 9);   /* full, at its end */
    assert_int_equal(hits(r, "a", 61 * SEC, 100), 0);   /* the next one doesn't start at nothing */
    assert_int_equal(hits(r, "a", 90 * SEC, 100), 5);   /* half of the last is past */
    assert_int_equal(hits(r, "a", 180 * SEC, 100), 10); /* both are past */
    ratelimit_free(r);
}

static void tells_exactly_when_there_is_room_again(void **state)
{
    struct ratelimit *r = ratelimit_new(7, MINUTE, 100);
    struct ratelimit_result res;
    int64_t now_us = 5 * SEC;

    (void)state;
    assert_int_equal(hits(r, "a", now_us, 7), 7);
    for (int i = 0; i < 30; i++) {
        assert_int_equal(ratelimit_hit(r, "a", now_us, &res), ERR_LIMIT);
        assert_true(res.reset_us > 0 && res.reset_us <= 2 * MINUTE);
        assert_int_equal(ratelimit_hit(r, "a", now_us + res.reset_us - 2, NULL), ERR_LIMIT);
        now_us += res.reset_us;
        assert_int_equal(ratelimit_hit(r, "a", now_us, &res), OK);
    }
    ratelimit_free(r);
}

static void refused_hits_do_not_count(void **state)
{
    struct ratelimit *r = ratelimit_new(1, SEC, 100);

    (void)state;
    assert_int_equal(hits(r, "a", 0, 1000), 1);
    assert_int_equal(hits(r, "a", 2 * SEC, 1), 1);
    ratelimit_free(r);
}

static void forgets_after_two_windows(void **state)
{
    struct ratelimit *r = ratelimit_new(5, SEC, 100);
    struct ratelimit_result res;

    (void)state;
    assert_int_equal(hits(r, "a", 0, 5), 5);
    assert_int_equal(ratelimit_hit(r, "a", 2 * SEC, &res), OK);
    assert_int_equal(res.remaining, 4);
    ratelimit_free(r);
}

static void zero_is_no_limit(void **state)
{
    struct ratelimit *r = ratelimit_new(0, SEC, 100);
    struct ratelimit_result res;

    (void)state;
    assert_int_equal(hits(r, "a", 0, 1000), 1000);
    assert_int_equal(ratelimit_hit(r, "a", 0, &res), OK);
    assert_int_equal(res.limit, 0);
    assert_true(res.remaining > 0);
    assert_int_equal(res.reset_us, 0);
    ratelimit_free(r);
}

static void a_clock_that_goes_back_opens_nothing(void **state)
{
    struct ratelimit *r = ratelimit_new(3, SEC, 100);

    (void)state;
    assert_int_equal(hits(r, "a", 100 * SEC, 5), 3);
    assert_int_equal(hits(r, "a", 0, 5), 0);
    ratelimit_free(r);
}

static void keeps_at_most_max_keys_the_freshest(void **state)
{
    struct ratelimit *r = ratelimit_new(1, MINUTE, 3);
    static const char *const keys[] = {"a", "b", "c"};

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(hits(r, keys[i], i, 1), 1);
    }
    assert_int_equal(hits(r, "a", 3, 1), 0); /* refused, and now fresher than b and c */
    assert_int_equal(hits(r, "d", 4, 1), 1); /* drops b */
    assert_int_equal(hits(r, "a", 5, 1), 0);
    assert_int_equal(hits(r, "c", 6, 1), 0);
    assert_int_equal(hits(r, "b", 7, 1), 1);
    ratelimit_free(r);
}

static void memory_shrinks_after_a_storm(void **state)
{
    struct ratelimit *r = ratelimit_new(1, SEC, 100000);
    char key[16];

    (void)state;
    if (!ALLOC_CAN_FAIL) {
        ratelimit_free(r);
        skip();
    }
    long before = ALLOC_LIVE();
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "k%d", i);
        (void)ratelimit_hit(r, key, 0, NULL);
    }
    assert_true(ALLOC_LIVE() - before > 1000);
    for (int i = 0; i < 1000; i++) {
        (void)ratelimit_hit(r, "one", 10 * SEC + i * SEC, NULL);
    }
    assert_true(ALLOC_LIVE() - before < 10);
    ratelimit_free(r);
}

static void regards_128_bytes_of_a_key(void **state)
{
    struct ratelimit *r = ratelimit_new(1, SEC, 10);
    char key[200];

    (void)state;
    memset(key, 'x', sizeof key - 1);
    key[sizeof key - 1] = 0;
    assert_int_equal(hits(r, key, 0, 1), 1);
    key[150] = 'y';
    assert_int_equal(hits(r, key, 0, 1), 0);
    key[127] = 'y';
    assert_int_equal(hits(r, key, 0, 1), 1);
    assert_int_equal(hits(r, "", 0, 2), 1);
    ratelimit_free(r);
}

static void stays_sane_with_huge_numbers(void **state)
{
    struct ratelimit *r = ratelimit_new(INT64_MAX, INT64_C(86400) * SEC, 10);

    (void)state;
    assert_int_equal(hits(r, "a", INT64_MAX / 2, 10), 10);
    ratelimit_free(r);
    r = ratelimit_new(-5, 0, 0);
    assert_int_equal(hits(r, "a", 0, 10), 10);
    ratelimit_free(r);
    ratelimit_free(NULL);
}

static void lets_pass_without_memory_and_leaks_nothing(void **state)
{
    (void)state;
    if (!ALLOC_CAN_FAIL) {
        skip();
    }
    long before = ALLOC_LIVE();
    alloc_fail_at(0);
    struct ratelimit *none = ratelimit_new(1, SEC, 10);
    alloc_fail_at(-1);
    assert_null(none);
    for (int fail = 0; fail < 6; fail++) {
        struct ratelimit *r = ratelimit_new(1, SEC, 10);
        alloc_fail_at(fail);
        int rc = ratelimit_hit(r, "a", 0, NULL);
        alloc_fail_at(-1);
        assert_int_equal(rc, OK);
        (void)ratelimit_hit(r, "b", 0, NULL);
        ratelimit_free(r);
    }
    assert_int_equal(ALLOC_LIVE(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lets_the_limit_through_and_no_more),
        cmocka_unit_test(slides_instead_of_jumping),
        cmocka_unit_test(tells_exactly_when_there_is_room_again),
        cmocka_unit_test(refused_hits_do_not_count),
        cmocka_unit_test(forgets_after_two_windows),
        cmocka_unit_test(zero_is_no_limit),
        cmocka_unit_test(a_clock_that_goes_back_opens_nothing),
        cmocka_unit_test(keeps_at_most_max_keys_the_freshest),
        cmocka_unit_test(memory_shrinks_after_a_storm),
        cmocka_unit_test(regards_128_bytes_of_a_key),
        cmocka_unit_test(stays_sane_with_huge_numbers),
        cmocka_unit_test(lets_pass_without_memory_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
