#include "bench/client/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/err.h"

static struct histogram h, other;

static int clear(void **state)
{
    (void)state;
    memset(&h, 0, sizeof h);
    memset(&other, 0, sizeof other);
    return 0;
}

static void test_empty(void **state)
{
    (void)state;
    assert_int_equal(histogram_quantile(&h, 0.5), 0);
    char text[512];
    assert_true(histogram_json(&h, text, sizeof text) > 0);
    assert_non_null(strstr(text, "\"count\":0"));
}

static void test_quantiles_are_within_two_percent(void **state)
{
    (void)state;
    for (int64_t v = 1; v <= 1000000; v += 7)
        histogram_add(&h, v);
    for (double q = 0.01; q < 1; q += 0.01) {
        double want = q * 1000000, got = (double)histogram_quantile(&h, q);
        assert_true(got > want * 0.98 - 8 && got < want * 1.02 + 8);
    }
    assert_int_equal(histogram_quantile(&h, 1), h.max_us);
}

static void test_every_power_keeps_order(void **state)
{
    (void)state;
    int64_t last = -1;
    for (int p = 0; p < 36; p++) {
        for (int64_t k = 0; k < 4; k++) {
            memset(&h, 0, sizeof h);
            int64_t v = ((int64_t)1 << p) + (((int64_t)1 << p) / 4) * k;
            histogram_add(&h, v);
            histogram_add(&h, v * 3);
            int64_t got = histogram_quantile(&h, 0.5);
            assert_true(got >= v && (double)got <= (double)v * 1.016 + 1);
            assert_true(got >= last);
            last = got;
        }
    }
}

static void test_extremes(void **state)
{
    (void)state;
    histogram_add(&h, -5);
    histogram_add(&h, INT64_MAX / 4);
    assert_int_equal(h.count, 2);
    assert_int_equal(histogram_quantile(&h, 0.5), 0);
    assert_true(histogram_quantile(&h, 1) > (int64_t)1 << 35);
}

static void test_merge(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++)
        histogram_add(i % 2 ? &h : &other, i * 1000);
    histogram_merge(&h, &other);
    assert_int_equal(h.count, 100);
    assert_int_equal(h.max_us, 99000);
    int64_t median = histogram_quantile(&h, 0.5);
    assert_true(median > 48000 && median < 51000);
}

static void test_json_has_room_or_says_so(void **state)
{
    (void)state;
    for (int i = 0; i < 100000; i++)
        histogram_add(&h, i * 13);
    char text[4096];
    int n = histogram_json(&h, text, sizeof text);
    assert_true(n > 0 && (size_t)n == strlen(text) && text[n - 1] == '}');
    for (size_t cap = 0; cap <= (size_t)n; cap += 17)
        assert_int_equal(histogram_json(&h, text, cap), ERR_TOO_LARGE);
}

static void test_a_value_of_many_has_all_of_their_share(void **state)
{
    char text[4096];
    (void)state;
    for (int i = 0; i < 10; i++)
        histogram_add(&h, 7);
    assert_true(histogram_json(&h, text, sizeof text) > 0);
    assert_non_null(strstr(text, "\"cdf\":[[7,1.00000]]}"));
    for (int i = 0; i < 10; i++)
        histogram_add(&h, 9);
    assert_true(histogram_json(&h, text, sizeof text) > 0);
    assert_non_null(strstr(text, "\"cdf\":[[7,0.49500],[9,1.00000]]}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_empty, clear),
        cmocka_unit_test_setup(test_quantiles_are_within_two_percent, clear),
        cmocka_unit_test_setup(test_every_power_keeps_order, clear),
        cmocka_unit_test_setup(test_extremes, clear),
        cmocka_unit_test_setup(test_merge, clear),
        cmocka_unit_test_setup(test_a_value_of_many_has_all_of_their_share, clear),
        cmocka_unit_test_setup(test_json_has_room_or_says_so, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
