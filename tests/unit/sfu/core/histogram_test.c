#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "sfu/core/histogram.h"

static struct histogram h;

static int setup(void **state)
{
    (void)state;
    memset(&h, 0, sizeof h);
    return 0;
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void empty_is_zero(void **state)
{
    (void)state;
    assert_int_equal(histogram_quantile(&h, 0.5), 0);
    assert_int_equal(histogram_mean(&h), 0);
}

static void small_values_are_exact(void **state)
{
    (void)state;
    for (int64_t v = 0; v < 32; v++) {
        histogram_record(&h, v);
    }
    for (int v = 0; v < 32; v++) {
        assert_int_equal(histogram_quantile(&h, (v + 0.5) / 32), v);
    }
    assert_int_equal(histogram_quantile(&h, 1), 31);
    assert_int_equal(histogram_mean(&h), 15);
}

/* Buckets follow each other without a gap, and every value has a place. */
static void buckets_are_in_order(void **state)
{
    size_t last = 0;
    (void)state;
    for (uint64_t v = 0; v < 1u << 20; v++) {
        size_t b = histogram_bucket(v);
        assert_true(b == last || b == last + 1);
        last = b;
    }
    assert_int_equal(histogram_bucket(UINT32_MAX), HISTOGRAM_BUCKETS - 1);
    assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void quantiles_are_within_a_step(void **state)
{
    enum { N = 2000 };
    static uint64_t value[N];
    static const double q[] = {0, 0.01, 0.5, 0.9, 0.99, 0.999, 1};
    uint64_t random = 88172645463325252u;
    (void)state;
    for (int world = 0; world < 500; world++) {
        memset(&h, 0, sizeof h);
        for (int i = 0; i < N; i++) {
            value[i] = next_random(&random) >> (32 + next_random(&random) % 31);
            histogram_record(&h, (int64_t)value[i]);
        }
        qsort(value, N, sizeof value[0], compare);
        for (size_t i = 0; i < sizeof q / sizeof q[0]; i++) {
            size_t at = (size_t)(q[i] * N);
            double is = (double)value[at < N ? at : N - 1];
            double told = (double)histogram_quantile(&h, q[i]);
            assert_true(told >= is * (1 - 1.0 / 32) - 1 && told <= is * (1 + 1.0 / 32) + 1);
        }
        assert_int_equal(h.max, value[N - 1]);
    }
}

static void extremes_do_no_harm(void **state)
{
    (void)state;
    histogram_record(&h, -5);
    histogram_record(&h, INT64_MAX);
    assert_int_equal(h.count, 2);
    assert_int_equal(histogram_quantile(&h, 0), 0);
    assert_int_equal(histogram_quantile(&h, 1), INT64_MAX);
    assert_int_equal(histogram_quantile(&h, -3), 0);
    assert_int_equal(histogram_quantile(&h, 7), INT64_MAX);
}

static void merging_equals_recording_in_one(void **state)
{
    static struct histogram part[4], sum;
    uint64_t random = 42;
    (void)state;
    memset(part, 0, sizeof part);
    memset(&sum, 0, sizeof sum);
    for (int i = 0; i < 10000; i++) {
        int64_t v = (int64_t)(next_random(&random) >> (40 + i % 20));
        histogram_record(&part[i % 4], v);
        histogram_record(&h, v);
    }
    for (int i = 0; i < 4; i++) {
        histogram_merge(&sum, &part[i]);
    }
    assert_memory_equal(&sum, &h, sizeof h);
}

static void since_tells_the_last_interval(void **state)
{
    static struct histogram before, interval;
    (void)state;
    histogram_record(&h, 1000000);
    before = h;
    histogram_since(&interval, &h, &before);
    assert_int_equal(interval.count, 0);
    assert_int_equal(interval.max, 0);
    for (int i = 0; i < 100; i++) {
        histogram_record(&h, 200);
    }
    histogram_since(&interval, &h, &before);
    assert_int_equal(interval.count, 100);
    assert_in_range(histogram_quantile(&interval, 0.99), 194, 207);
    assert_in_range(interval.max, 200, 207);
    assert_int_equal(histogram_mean(&interval), 200);
}

static void below_is_exact_where_buckets_begin(void **state)
{
    (void)state;
    for (int64_t v = 0; v < 3000; v++) {
        histogram_record_n(&h, v, 3);
    }
    assert_int_equal(h.count, 9000);
    assert_int_equal(h.sum, 3 * 2999 * 3000 / 2);
    assert_int_equal(h.max, 2999);
    for (unsigned bit = 1; bit < 11; bit++) {
        assert_int_equal(histogram_below(&h, 1u << bit), 3 * (1u << bit));
        assert_int_equal(histogram_below(&h, 3u << bit >> 1), 3 * (3u << bit >> 1));
    }
    assert_int_equal(histogram_below(&h, 0), 0);
    assert_int_equal(histogram_below(&h, UINT64_C(1) << 32), 9000);
    histogram_record_n(&h, -5, 2);
    assert_int_equal(histogram_below(&h, 1), 5);
}

/* Told, not a bound. */
static void time_of_a_record(void **state)
{
    enum { N = 20000000 };
    struct timespec from, to;
    uint64_t random = 7;
    (void)state;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
    for (int i = 0; i < N; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        histogram_record(&h, (int64_t)(random >> 50));
    }
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
    int64_t ns = (to.tv_sec - from.tv_sec) * 1000000000 + to.tv_nsec - from.tv_nsec;
    print_message("a record: %.2f ns, %zu bytes a histogram\n", (double)ns / N, sizeof h);
    assert_int_equal(h.count, N);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(empty_is_zero, setup),
        cmocka_unit_test_setup(small_values_are_exact, setup),
        cmocka_unit_test_setup(buckets_are_in_order, setup),
        cmocka_unit_test_setup(quantiles_are_within_a_step, setup),
        cmocka_unit_test_setup(extremes_do_no_harm, setup),
        cmocka_unit_test_setup(merging_equals_recording_in_one, setup),
        cmocka_unit_test_setup(since_tells_the_last_interval, setup),
        cmocka_unit_test_setup(below_is_exact_where_buckets_begin, setup),
        cmocka_unit_test_setup(time_of_a_record, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
