#include "bench/client/impair.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/err.h"

#define N 100000

static struct impair *im;
static int64_t sent_at[N], came_at[N]; /* came_at 0: lost */
static uint32_t order[N];              /* packets in the order in which they came */
static size_t n_came;

static int end(void **state)
{
    (void)state;
    impair_free(im);
    im = NULL;
    return 0;
}

static void take(int64_t now_us)
{
    uint8_t out[IMPAIR_MAX_PACKET];
    uint32_t i;
    size_t len;

    while ((len = impair_poll(im, out, now_us)) > 0) {
        memcpy(&i, out, sizeof i);
        assert_true(i < N && came_at[i] == 0);
        assert_int_equal(len, 100 + i % 1000);
        assert_int_equal(out[len - 1], (uint8_t)i);
        came_at[i] = now_us;
        order[n_came++] = i;
    }
}

/* `count` packets of 100 to 1099 bytes every gap_us, taken exactly when they are due. */
static void run(struct impair_config c, uint32_t count, int64_t gap_us)
{
    uint8_t data[IMPAIR_MAX_PACKET] = {0};
    int64_t now = 1000000;

    memset(came_at, 0, sizeof came_at);
    n_came = 0;
    assert_int_equal(impair_new(&im, &c), OK);
    for (uint32_t i = 0; i < count; i++, now += gap_us) {
        while (impair_deadline(im) <= now)
            take(impair_deadline(im));
        size_t len = 100 + i % 1000;
        memcpy(data, &i, sizeof i);
        data[len - 1] = (uint8_t)i;
        sent_at[i] = now;
        assert_int_equal(impair_input(im, data, len, now), OK);
    }
    while (impair_deadline(im) < INT64_MAX)
        take(impair_deadline(im));
    struct impair_stats st;
    impair_stats(im, &st);
    assert_int_equal(st.in, count);
    assert_int_equal(st.out, n_came);
    assert_int_equal(st.in, st.out + st.lost + st.queue_full);
}

static double loss_of(uint32_t count)
{
    return 1 - (double)n_came / count;
}

static bool in_order(void)
{
    for (size_t i = 1; i < n_came; i++)
        if (order[i] < order[i - 1])
            return false;
    return true;
}

static void test_nothing_wrong(void **state)
{
    (void)state;
    run((struct impair_config){0}, 10000, 100);
    assert_int_equal(n_came, 10000);
    assert_true(in_order());
    for (int i = 0; i < 10000; i++)
        assert_int_equal(came_at[i], sent_at[i]);
}

/* Within five standard deviations of what was asked. */
static void test_loss_is_what_was_asked(void **state)
{
    (void)state;
    for (double p = 0.001; p < 0.6; p *= 3) {
        run((struct impair_config){.loss = p, .seed = 42}, N, 100);
        assert_true(fabs(loss_of(N) - p) < 5 * sqrt(p * (1 - p) / N));
        end(NULL);
    }
    run((struct impair_config){.loss = 1, .seed = 42}, 1000, 100);
    assert_int_equal(n_came, 0);
    end(NULL);
    run((struct impair_config){.loss = 1, .burst = 5, .seed = 42}, 1000, 100);
    assert_true(n_came <= 1);
}

static void test_bursts_are_as_long_as_asked(void **state)
{
    (void)state;
    for (double b = 2; b <= 16; b *= 2) {
        run((struct impair_config){.loss = 0.05, .burst = b, .seed = 7}, N, 100);
        size_t bursts = 0, lost = 0;
        for (size_t i = 1; i < N; i++) {
            lost += came_at[i] == 0;
            bursts += came_at[i] == 0 && came_at[i - 1] != 0;
        }
        double mean = (double)lost / (double)bursts;
        assert_true(fabs(mean - b) < 5 * b / sqrt((double)bursts));
        assert_true(fabs(loss_of(N) - 0.05) < 5 * sqrt(0.05 * 2 * b / N));
        end(NULL);
    }
}

static void test_delay_and_jitter(void **state)
{
    (void)state;
    double sum = 0;
    int64_t least = INT64_MAX, most = 0;

    run((struct impair_config){.delay_us = 30000, .jitter_us = 8000, .seed = 1}, 20000, 20000);
    assert_true(in_order());
    for (int i = 0; i < 20000; i++) {
        int64_t took = came_at[i] - sent_at[i];
        sum += (double)took;
        least = took < least ? took : least;
        most = took > most ? took : most;
    }
    assert_true(least >= 30000 && least < 30020 && most <= 38000 && most > 37980);
    assert_true(fabs(sum / 20000 - 34000) < 5 * 8000 / sqrt(12.0 * 20000));
    end(NULL);
    run((struct impair_config){.delay_us = 30000, .jitter_us = 8000, .seed = 1}, 20000, 100);
    assert_true(in_order());
}

static void test_reordering(void **state)
{
    (void)state;
    struct impair_stats st;
    size_t overtaken = 0;

    run((struct impair_config){.reorder = 0.05, .delay_us = 10000, .seed = 9}, 20000, 2000);
    impair_stats(im, &st);
    assert_int_equal(n_came, 20000);
    for (int i = 0; i < 20000; i++) {
        int64_t took = came_at[i] - sent_at[i];
        assert_true(took == 10000 || (took >= 15000 && took <= 25000));
        overtaken += took > 10000;
    }
    assert_int_equal(overtaken, st.reordered);
    assert_true(fabs((double)overtaken / 20000 - 0.05) < 5 * sqrt(0.05 * 0.95 / 20000));
    size_t late = 0;
    uint32_t highest = 0;
    for (size_t i = 0; i < n_came; i++) {
        late += order[i] < highest;
        highest = order[i] > highest ? order[i] : highest;
    }
    assert_true(late > overtaken * 9 / 10 && late <= overtaken);
}

static void test_bottleneck(void **state)
{
    (void)state;
    struct impair_stats st;
    uint64_t bytes = 0;

    /* 600 bytes a millisecond are 4.8 Mbit/s, on 2 Mbit/s with a queue of 100 ms. */
    run((struct impair_config){.rate_bps = 2000000, .queue_us = 100000}, 20000, 1000);
    impair_stats(im, &st);
    assert_true(in_order());
    for (size_t i = 0; i < n_came; i++)
        bytes += 100 + order[i] % 1000;
    double rate = (double)bytes * 8 / ((double)(came_at[order[n_came - 1]] - sent_at[0]) / 1e6);
    assert_true(rate > 1990000 && rate <= 2010000);
    assert_int_equal(st.queue_full, 20000 - n_came);
    int64_t most = 0;
    for (int i = 0; i < 20000; i++)
        if (came_at[i] != 0 && came_at[i] - sent_at[i] > most)
            most = came_at[i] - sent_at[i];
    assert_true(most > 95000 && most <= 100000 + 4400); /* the queue, and the packet itself */
    end(NULL);
    run((struct impair_config){.rate_bps = 6000000, .queue_us = 100000}, 20000, 1000);
    assert_int_equal(n_came, 20000);
}

static void test_same_seed_same_fate(void **state)
{
    (void)state;
    static int64_t before[N];
    struct impair_config c = {
        .loss = 0.1, .burst = 3, .jitter_us = 5000, .reorder = 0.1, .seed = 5};

    run(c, 5000, 500);
    memcpy(before, came_at, sizeof before);
    end(NULL);
    run(c, 5000, 500);
    assert_memory_equal(before, came_at, 5000 * sizeof before[0]);
    end(NULL);
    c.seed = 6;
    run(c, 5000, 500);
    assert_memory_not_equal(before, came_at, 5000 * sizeof before[0]);
}

static void test_what_is_held_is_bounded(void **state)
{
    (void)state;
    struct impair_config c = {.delay_us = 1000000, .max_packets = 10};
    uint8_t data[IMPAIR_MAX_PACKET + 1] = {1}, out[IMPAIR_MAX_PACKET];
    struct impair_stats st;

    assert_int_equal(impair_new(&im, &c), OK);
    for (int round = 0; round < 3; round++) {
        int64_t now = round * 10000000;
        for (int i = 0; i < 25; i++)
            assert_int_equal(impair_input(im, data, IMPAIR_MAX_PACKET, now), OK);
        assert_int_equal(impair_poll(im, out, now), 0);
        int n = 0;
        while (impair_poll(im, out, now + 1000000) == IMPAIR_MAX_PACKET)
            n++;
        assert_int_equal(n, 10);
    }
    impair_stats(im, &st);
    assert_int_equal(st.queue_full, 45);
    assert_int_equal(impair_input(im, data, IMPAIR_MAX_PACKET + 1, 0), ERR_TOO_LARGE);
    assert_int_equal(impair_input(im, data, 0, 40000000), OK);
    assert_int_equal(impair_poll(im, out, 41000000), 0);
    assert_true(impair_deadline(im) == INT64_MAX);
}

static void test_nonsense_is_refused(void **state)
{
    (void)state;
    const struct impair_config bad[] = {{.loss = -0.1},   {.loss = 1.1},    {.loss = NAN},
                                        {.reorder = 2},   {.delay_us = -1}, {.jitter_us = -1},
                                        {.rate_bps = -1}, {.queue_us = -1}, {.burst = -1}};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(impair_new(&im, &bad[i]), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_nothing_wrong, end),
        cmocka_unit_test_teardown(test_loss_is_what_was_asked, end),
        cmocka_unit_test_teardown(test_bursts_are_as_long_as_asked, end),
        cmocka_unit_test_teardown(test_delay_and_jitter, end),
        cmocka_unit_test_teardown(test_reordering, end),
        cmocka_unit_test_teardown(test_bottleneck, end),
        cmocka_unit_test_teardown(test_same_seed_same_fate, end),
        cmocka_unit_test_teardown(test_what_is_held_is_bounded, end),
        cmocka_unit_test_teardown(test_nonsense_is_refused, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
