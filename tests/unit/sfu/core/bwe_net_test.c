/* The estimator with its pacer over a network in the process: where does it settle, how soon, and
 * what does it do to the queue. Every case runs with several seeds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/sfu/core/bwe_network.h"

#define SEEDS     4
#define PLENTY    5e6 /* more than any link here has */
#define EACH_SEED for (uint32_t seed = 1; seed <= (net_tells() ? 10 * SEEDS : SEEDS); seed++)

static bool waits; /* feedback does, where it may: each case holds with and without it */

static struct flow *fresh_of(const char *test, uint32_t seed, double source_bps)
{
    net_of_test(test);
    net_init(&net, seed);
    net.waits = waits;
    return net_flow(&net, 0, source_bps);
}
#define fresh(seed, source_bps) fresh_of(__func__, seed, source_bps)

static double used(double seconds)
{
    net_measure(&net);
    net_run(&net, seconds);
    return net_got_bps(&net, 0) / net.capacity_bps;
}

#define assert_between(x, low, high)                                                               \
    do {                                                                                           \
        double value_ = (x);                                                                       \
        bool out_ = value_ < (low) || value_ > (high);                                             \
        net_figures.out += out_;                                                                   \
        if (out_ && !net_tells()) {                                                                \
            fail_msg("seed %u: %s is %.3f, not in %.3f..%.3f", seed, #x, value_, (double)(low),    \
                     (double)(high));                                                              \
        }                                                                                          \
    } while (0)

static void converges_and_keeps_the_queue_short(void **state)
{
    (void)state;
    EACH_SEED
    {
        fresh(seed, PLENTY);
        net_run(&net, 2);
        assert_between(used(3), 0.7, 1.01);
        assert_between(used(30), 0.85, 1.01);
        assert_between(net_queue_ms(&net), 0, 40);
        assert_between((double)net.queue_worst_us / 1000, 0, 200);
        assert_int_equal(net.dropped, 0);
        assert_between((double)net.flow[0].worst_wait_us / 1000, 0, 260);
    }
}

static void finds_links_of_any_size(void **state)
{
    static const double sizes[] = {200e3, 1e6, 10e6};

    (void)state;
    EACH_SEED
    {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            fresh(seed, 19e6);
            net.capacity_bps = sizes[i];
            net_run(&net, 10);
            assert_between(used(20), 0.7, 1.01);
            assert_between(net_queue_ms(&net), 0, 100);
        }
    }
}

static void follows_a_sudden_drop_and_the_recovery(void **state)
{
    (void)state;
    EACH_SEED
    {
        fresh(seed, PLENTY);
        net_run(&net, 20);
        net.capacity_bps = 0.5e6;
        net_run(&net, 3);
        assert_between((double)bwe_target_bps(&net.flow[0].bwe), 0.2e6, 0.65e6);
        assert_between(used(15), 0.75, 1.01);
        assert_between(net_queue_ms(&net), 0, 80);
        net.capacity_bps = 2.5e6;
        net_run(&net, 10);
        assert_between((double)bwe_target_bps(&net.flow[0].bwe), 1.75e6, 3e6);
        assert_between(used(10), 0.8, 1.01);
    }
}

/* A layer that takes little of a link, which narrows as a larger one begins: what arrived until
 * then says nothing of the link. */
static void a_cut_that_little_is_sent_on_is_measured(void **state)
{
    static const double layers[] = {150e3, 430e3, 0};

    (void)state;
    EACH_SEED
    {
        struct flow *f = fresh(seed, 1.7e6);
        net.capacity_bps = 1.2e6;
        f->layers = layers;
        net_run(&net, 10);
        assert_between((double)bwe_target_bps(&f->bwe), 0.9e6, 1.5e6);
        net.capacity_bps = 0.8e6;
        f->layers = NULL;
        f->source_min_bps = 1.7e6; /* until the layer below's next key picture */
        net_run(&net, 0.4);
        f->source_min_bps = 0;
        double least = 1e9;
        for (int i = 0; i < 40; i++) {
            net_run(&net, 0.1);
            least = fmin(least, (double)bwe_target_bps(&f->bwe));
        }
        assert_between(least, 0.5e6, 0.8e6);
        assert_between(used(10), 0.8, 1.01);
        assert_between(net_queue_ms(&net), 0, 60);
    }
}

static void random_loss_is_not_congestion(void **state)
{
    (void)state;
    EACH_SEED
    {
        fresh(seed, PLENTY);
        net.loss = 0.05;
        net_run(&net, 10);
        assert_between(used(30) / 0.95, 0.7, 1.01);
        assert_between(net.flow[0].bwe.loss.average, 0.01, 0.12);
    }
}

static void a_burst_of_loss_passes(void **state)
{
    (void)state;
    EACH_SEED
    {
        fresh(seed, PLENTY);
        net_run(&net, 15);
        net.loss = 0.2;
        net_run(&net, 4);
        assert_between((double)bwe_target_bps(&net.flow[0].bwe), 0.25e6, 1.2e6);
        net.loss = 0;
        net_run(&net, 10);
        assert_between(used(10), 0.7, 1.01);
    }
}

static void two_flows_share(void **state)
{
    (void)state;
    EACH_SEED
    {
        fresh(seed, PLENTY);
        net_run(&net, 15);
        net_flow(&net, 1, PLENTY);
        net_run(&net, 30);
        net_measure(&net);
        net_run(&net, 60);
        double first = net_got_bps(&net, 0), second = net_got_bps(&net, 1);
        assert_between(first / (first + second), 0.3, 0.7);
        assert_between((first + second) / net.capacity_bps, 0.75, 1.01);
        assert_between(net_queue_ms(&net), 0, 60);
    }
}

static void yields_to_traffic_that_does_not(void **state)
{
    (void)state;
    EACH_SEED
    {
        fresh(seed, PLENTY);
        net_run(&net, 10);
        net.cross_bps = 1.5e6;
        net_run(&net, 5);
        assert_between(used(20), 0.28, 0.41); /* 0.4 is left */
        assert_between(net_queue_ms(&net), 0, 80);
        net.cross_bps = 0;
        net_run(&net, 10);
        assert_between(used(10), 0.75, 1.01);
    }
}

static void bears_jitter_skew_and_bad_feedback(void **state)
{
    (void)state;
    EACH_SEED
    {
        fresh(seed, PLENTY);
        net.jitter_us = 20000;
        net_run(&net, 10);
        assert_between(used(20), 0.7, 1.01);
        assert_between(net_queue_ms(&net), 0, 60);
        fresh(seed, PLENTY)->skew = seed % 2 ? 200e-6 : -200e-6;
        net_run(&net, 10);
        assert_between(used(60), 0.8, 1.01);
        assert_between(net_queue_ms(&net), 0, 60);
        fresh(seed, PLENTY);
        net.feedback_loss = 0.2;
        net.feedback_jitter_us = 60000;
        net_run(&net, 15);
        assert_between(used(20), 0.6, 1.01);
        assert_between(net_queue_ms(&net), 0, 80);
    }
}

/* Sends a tenth of a Mbit/s, wants no more: no growth, no probe, no collapse; then it wants much.
 */
static void an_idle_estimate_neither_grows_nor_falls(void **state)
{
    (void)state;
    EACH_SEED
    {
        struct flow *f = fresh(seed, 60e3);
        net_run(&net, 60);
        assert_int_equal(bwe_target_bps(&f->bwe), 300000);
        assert_int_equal(f->bwe.probe.sent, 0);
        f->source_max_bps = f->wanted_bps = 2e6;
        net_run(&net, 3);
        assert_between((double)bwe_target_bps(&f->bwe), 1.9e6, 4e6);
        f->source_max_bps = f->wanted_bps = 60e3;
        net.jitter_us = 10000;
        net_run(&net, 60);
        assert_between((double)bwe_target_bps(&f->bwe), 1.5e6, 4e6);
    }
}

/* Forwarded layers come in steps: only probes can tell that the next one fits. */
static void steps_of_simulcast_are_climbed_by_probes(void **state)
{
    static const double layers[] = {150e3, 500e3, 1500e3, 0};

    (void)state;
    EACH_SEED
    {
        struct flow *f = fresh(seed, 1.7e6);
        f->layers = layers;
        net_run(&net, 2);
        assert_between(source_bps(f), 1.5e6, 1.5e6);
        net.capacity_bps = 0.8e6;
        net_run(&net, 5);
        assert_between(source_bps(f), 150e3, 500e3);
        net_run(&net, 15);
        assert_between(source_bps(f), 500e3, 500e3);
        net.capacity_bps = 2.5e6;
        net_run(&net, 10);
        assert_between(source_bps(f), 1.5e6, 1.5e6);
    }
}

static void backs_off_in_silence_and_returns(void **state)
{
    (void)state;
    EACH_SEED
    {
        struct flow *f = fresh(seed, PLENTY);
        net_run(&net, 10);
        net.feedback_loss = 1;
        net_run(&net, 10);
        assert_between((double)bwe_target_bps(&f->bwe), 60e3, 600e3);
        assert_between((double)f->bwe.stats.timeouts, 7, 12);
        net.feedback_loss = 0;
        net_run(&net, 10);
        assert_between(used(10), 0.75, 1.01);
    }
}

/* From the moment in which a link that carried everything becomes too narrow, in milliseconds. */
static double notices_after(uint32_t seed, double capacity_bps)
{
    struct flow *f = fresh(seed, 1.5e6);
    net.capacity_bps = 10e6;
    net_run(&net, 40);
    f->waited = 0;
    net_run(&net, 2);
    assert_true(waits ? f->waited > 15 : f->waited == 0);
    int64_t from_us = net.now_us;
    uint64_t overuses = f->bwe.stats.overuses;
    net.capacity_bps = capacity_bps;
    while (f->bwe.stats.overuses == overuses && net.now_us - from_us < 5000000) {
        net_run(&net, 0.001);
    }
    assert_true(f->bwe.stats.overuses > overuses);
    return (double)(net.now_us - from_us) / 1000;
}

static void feedback_that_waits_is_soon_enough(void **state)
{
    (void)state;
    bool was = waits;
    for (uint32_t seed = 1; seed <= 8; seed++) {
        for (double bps = 0.4e6; bps < 1.4e6; bps += 0.3e6) {
            waits = false;
            double sooner = notices_after(seed, bps);
            waits = true;
            assert_between(notices_after(seed, bps) - sooner, -200, 200);
        }
    }
    waits = was;
}

/* `SOTTO_BWE_TRACE=file`: writes what docs/estimator.md plots. */
static void trace_for_the_plot(void **state)
{
    const char *path = getenv("SOTTO_BWE_TRACE");

    (void)state;
    if (!path) {
        skip();
    }
    fresh(2, PLENTY);
    net.trace = fopen(path, "w");
    assert_non_null(net.trace);
    fputs("s,capacity,target,delay_based,loss_based,acked,second,usage,loss,queue_ms\n", net.trace);
    net_run(&net, 20);
    net.capacity_bps = 0.5e6;
    net_run(&net, 15);
    net.capacity_bps = 2.5e6;
    net_run(&net, 20);
    net.loss = 0.05;
    net_run(&net, 15);
    net.loss = 0.2;
    net_run(&net, 5);
    net.loss = 0;
    net_run(&net, 15);
    fclose(net.trace);
    net.trace = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(converges_and_keeps_the_queue_short),
        cmocka_unit_test(finds_links_of_any_size),
        cmocka_unit_test(follows_a_sudden_drop_and_the_recovery),
        cmocka_unit_test(a_cut_that_little_is_sent_on_is_measured),
        cmocka_unit_test(random_loss_is_not_congestion),
        cmocka_unit_test(a_burst_of_loss_passes),
        cmocka_unit_test(two_flows_share),
        cmocka_unit_test(yields_to_traffic_that_does_not),
        cmocka_unit_test(bears_jitter_skew_and_bad_feedback),
        cmocka_unit_test(an_idle_estimate_neither_grows_nor_falls),
        cmocka_unit_test(steps_of_simulcast_are_climbed_by_probes),
        cmocka_unit_test(backs_off_in_silence_and_returns),
        cmocka_unit_test(feedback_that_waits_is_soon_enough),
        cmocka_unit_test(trace_for_the_plot),
    };
    int failed = cmocka_run_group_tests_name("at once", tests, NULL, NULL);
    waits = true;
    failed += cmocka_run_group_tests_name("waiting", tests, NULL, NULL);
    net_tell();
    return failed;
}
