#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/metrics.h"

METRIC_COUNTER_DEF(requests_ok, "test_requests_total", "result=\"ok\"", "Requests.");
METRIC_GAUGE_DEF(open_now, "test_open", NULL, "Open now.");
METRIC_COUNTER_DEF(requests_bad, "test_requests_total", "result=\"bad\"", "Requests.");
METRIC_HIST_DEF(latency, "test_latency_seconds", NULL, "Latency.");
METRIC_HIST_DEF(latency_by, "test_latency_by_seconds", "route=\"x\"", "Latency by route.");
METRIC_COUNTER_DEF(shared, "test_shared_total", NULL, "Counted by many threads.");

static char *rendered(void)
{
    struct buf b;

    buf_init(&b, 0);
    assert_int_equal(metrics_render(&b), OK);
    char *text = strdup(buf_cstr(&b));
    buf_free(&b);
    return text;
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part)) {
        fail_msg("no \"%s\" in:\n%s", part, text);
    }
}

static void nothing_shows_before_its_first_use(void **state)
{
    char *text = rendered();

    (void)state;
    assert_string_equal(text, "");
    free(text);
}

static void metrics_of_one_name_stand_together(void **state)
{
    (void)state;
    metric_add(&requests_ok, 2);
    metric_set(&open_now, -3);
    metric_register(&requests_bad);
    metric_add(&requests_ok, 1);
    char *text = rendered();
    assert_string_equal(text, "# HELP test_open Open now.\n"
                              "# TYPE test_open gauge\n"
                              "test_open -3\n"
                              "# HELP test_requests_total Requests.\n"
                              "# TYPE test_requests_total counter\n"
                              "test_requests_total{result=\"bad\"} 0\n"
                              "test_requests_total{result=\"ok\"} 3\n");
    free(text);
}

static void histograms_are_cumulative(void **state)
{
    (void)state;
    metric_observe_us(&latency, 500); /* a bound belongs to its bucket */
    metric_observe_us(&latency, 501);
    metric_observe_us(&latency, 1500000);
    metric_observe_us(&latency, 60000000);
    metric_observe_us(&latency, -5);
    char *text = rendered();
    assert_has(text, "# TYPE test_latency_seconds histogram\n");
    assert_has(text, "test_latency_seconds_bucket{le=\"0.0005\"} 2\n");
    assert_has(text, "test_latency_seconds_bucket{le=\"0.001\"} 3\n");
    assert_has(text, "test_latency_seconds_bucket{le=\"1\"} 3\n");
    assert_has(text, "test_latency_seconds_bucket{le=\"2.5\"} 4\n");
    assert_has(text, "test_latency_seconds_bucket{le=\"10\"} 4\n");
    assert_has(text, "test_latency_seconds_bucket{le=\"+Inf\"} 5\n");
    assert_has(text, "test_latency_seconds_sum 61.501001\n");
    assert_has(text, "test_latency_seconds_count 5\n");
    free(text);
}

static void histograms_carry_labels(void **state)
{
    (void)state;
    metric_hist_register(&latency_by);
    char *text = rendered();
    assert_has(text, "test_latency_by_seconds_bucket{route=\"x\",le=\"+Inf\"} 0\n");
    assert_has(text, "test_latency_by_seconds_sum{route=\"x\"} 0.000000\n");
    assert_has(text, "test_latency_by_seconds_count{route=\"x\"} 0\n");
    free(text);
}

static void says_when_the_text_does_not_fit(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 40);
    assert_int_equal(metrics_render(&b), ERR_TOO_LARGE);
    buf_free(&b);
}

static void *count(void *arg)
{
    for (int i = 0; i < 10000; i++) {
        metric_add(&shared, 1);
        metric_observe_us(&latency_by, i);
    }
    return arg;
}

static void threads_lose_no_count(void **state)
{
    pthread_t threads[4];

    (void)state;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count, NULL), 0);
    }
    free(rendered()); /* in between, too */
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    char *text = rendered();
    assert_has(text, "test_shared_total 40000\n");
    assert_has(text, "test_latency_by_seconds_count{route=\"x\"} 40000\n");
    char *first = strstr(text, "test_shared_total 40000\n");
    assert_null(strstr(first + 1, "test_shared_total 40000\n")); /* registered once */
    free(text);
}

static int render_own(struct buf *out, void *arg)
{
    return buf_printf(out, "# TYPE test_own gauge\ntest_own{of=\"%s\"} 1\n", (const char *)arg);
}

static int render_nothing(struct buf *out, void *arg)
{
    (void)out;
    (void)arg;
    return ERR_NOMEM;
}

static void sources_write_their_own(void **state)
{
    char one[] = "one", two[] = "two";
    struct metric_source a = {.render = render_own, .arg = one};
    struct metric_source b = {.render = render_own, .arg = two};
    struct metric_source bad = {.render = render_nothing};
    struct buf out;

    (void)state;
    metric_source_remove(&a); /* never added */
    metric_source_add(&a);
    metric_source_add(&b);
    char *text = rendered();
    assert_has(text, "test_own{of=\"one\"} 1\n");
    assert_has(text, "test_own{of=\"two\"} 1\n");
    free(text);
    metric_source_add(&bad);
    buf_init(&out, 0);
    assert_int_equal(metrics_render(&out), ERR_NOMEM);
    buf_free(&out);
    metric_source_remove(&bad);
    metric_source_remove(&a);
    text = rendered();
    assert_null(strstr(text, "one"));
    assert_has(text, "test_own{of=\"two\"} 1\n");
    free(text);
    metric_source_remove(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_shows_before_its_first_use),
        cmocka_unit_test(metrics_of_one_name_stand_together),
        cmocka_unit_test(histograms_are_cumulative),
        cmocka_unit_test(histograms_carry_labels),
        cmocka_unit_test(says_when_the_text_does_not_fit),
        cmocka_unit_test(threads_lose_no_count),
        cmocka_unit_test(sources_write_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
