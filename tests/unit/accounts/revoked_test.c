/* Recently revoked sessions: known until their tokens have run out, and no longer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "accounts/revoked.h"
#include "lib/base/err.h"

#define TTL_US 1000

static void test_lifetime(void **state)
{
    struct revoked *r = revoked_new(TTL_US);
    struct id a = id_new(1), b = id_new(2);

    (void)state;
    assert_false(revoked_has(r, &a, 0));
    assert_int_equal(revoked_add(r, &a, 0), OK);
    assert_true(revoked_has(r, &a, 0));
    assert_false(revoked_has(r, &b, 0));
    assert_int_equal(revoked_add(r, &b, 500), OK);
    assert_true(revoked_has(r, &a, TTL_US - 1));
    assert_false(revoked_has(r, &a, TTL_US));
    assert_true(revoked_has(r, &b, TTL_US));
    assert_false(revoked_has(r, &b, 500 + TTL_US));
    revoked_free(r);
}

static void test_again_lives_longer(void **state)
{
    struct revoked *r = revoked_new(TTL_US);
    struct id a = id_new(1);

    (void)state;
    assert_int_equal(revoked_add(r, &a, 0), OK);
    assert_int_equal(revoked_add(r, &a, 900), OK);
    assert_true(revoked_has(r, &a, TTL_US));
    assert_false(revoked_has(r, &a, 900 + TTL_US));
    revoked_free(r);
}

static void test_bounded(void **state)
{
    struct revoked *r = revoked_new(INT64_MAX / 4);
    struct id first = id_new(1), second, last;

    (void)state;
    assert_int_equal(revoked_add(r, &first, 0), OK);
    second = id_new(1);
    assert_int_equal(revoked_add(r, &second, 0), OK);
    for (int i = 2; i < REVOKED_MAX; i++) {
        last = id_new(1);
        assert_int_equal(revoked_add(r, &last, 0), OK);
    }
    assert_true(revoked_has(r, &first, 0));
    last = id_new(1);
    assert_int_equal(revoked_add(r, &last, 0), OK);
    assert_false(revoked_has(r, &first, 0));
    assert_true(revoked_has(r, &second, 0));
    assert_true(revoked_has(r, &last, 0));
    revoked_free(r);
    revoked_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lifetime),
        cmocka_unit_test(test_again_lives_longer),
        cmocka_unit_test(test_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
