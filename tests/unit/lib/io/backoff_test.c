#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/io/backoff.h"

static void the_bound_doubles_up_to_the_maximum(void **state)
{
    (void)state;
    /* with the largest remainder the delay is the bound itself */
    assert_int_equal(backoff_delay_us(0, 100, 5000, 100), 100);
    assert_int_equal(backoff_delay_us(1, 100, 5000, 200), 200);
    assert_int_equal(backoff_delay_us(5, 100, 5000, 3200), 3200);
    assert_int_equal(backoff_delay_us(6, 100, 5000, 5000), 5000);
    assert_int_equal(backoff_delay_us(1000, 100, 5000, 5000), 5000);
}

static void the_jitter_is_full(void **state)
{
    (void)state;
    assert_int_equal(backoff_delay_us(3, 100, 5000, 0), 0);
    assert_int_equal(backoff_delay_us(3, 100, 5000, 801), 0);
    for (uint64_t r = 0; r < 5000; r++)
        assert_in_range(backoff_delay_us(3, 100, 5000, r), 0, 800);
}

static void two_draws_differ(void **state)
{
    (void)state;
    int64_t first = backoff_next_us(20, 1000000, 1000000000);
    int same = 0;
    for (int i = 0; i < 20; i++)
        same += backoff_next_us(20, 1000000, 1000000000) == first;
    assert_in_range(same, 0, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bound_doubles_up_to_the_maximum),
        cmocka_unit_test(the_jitter_is_full),
        cmocka_unit_test(two_draws_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
