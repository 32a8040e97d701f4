/* The count of what found the receive buffer full, where the kernel's own goes round. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/io/udp_internal.h"

static void a_counter_that_goes_round_counts_on(void **state)
{
    static const struct {
        uint64_t total;
        uint32_t counter;
        uint64_t now;
    } cases[] = {
        {0, 0, 0},
        {0, 7, 7},
        {7, 7, 7},
        {UINT32_MAX - 1, UINT32_MAX, UINT32_MAX},
        {UINT32_MAX, 0, UINT64_C(1) << 32},
        {UINT32_MAX - 9, 5, (UINT64_C(1) << 32) + 5},
        {(UINT64_C(3) << 32) + 5, 5, (UINT64_C(3) << 32) + 5},
        {(UINT64_C(3) << 32) + 5, 4, (UINT64_C(4) << 32) + 4},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(udp_count_on(cases[i].total, cases[i].counter), cases[i].now);
}

/* What was told stays told where the kernel doesn't answer. */
static void no_answer_is_no_new_count(void **state)
{
    static struct udp closed = {.fd = -1, .dropped = (UINT64_C(1) << 32) + 3};

    (void)state;
    assert_int_equal(udp_dropped(&closed), (UINT64_C(1) << 32) + 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_counter_that_goes_round_counts_on),
        cmocka_unit_test(no_answer_is_no_new_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
