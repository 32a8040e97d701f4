/* The estimator's parts and its bounds; bwe_net_test.c has the networks. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sfu/core/bwe.h"

static struct bwe b;
static const struct bwe_config config = {.start_bps = 500000, .min_bps = 50000, .max_bps = 5000000};

static int setup(void **state)
{
    (void)state;
    bwe_init(&b, &config, 1000000);
    return 0;
}

/* One packet every 5 ms, 20 to a feedback; each arrives 20 ms later, and later by `grow_us` more
 * each. */
static int64_t talk(int64_t now_us, unsigned feedbacks, size_t bytes, int64_t grow_us)
{
    struct twcc_status st[20];
    int64_t later_us = 20000;

    for (unsigned k = 0; k < feedbacks; k++) {
        struct twcc_feedback fb = {.count = 20, .reference_us = now_us / 64000 * 64000};
        for (unsigned i = 0; i < 20; i++) {
            uint16_t seq = bwe_on_sent(&b, bytes, BWE_MEDIA, now_us);
            later_us += grow_us;
            st[i] = (struct twcc_status){seq, true, now_us + later_us};
            now_us += 5000;
        }
        bwe_on_feedback(&b, &fb, st, 20, now_us + 20000);
        bwe_tick(&b, now_us + 20000);
    }
    return now_us;
}

static void configuration_has_bounds_and_defaults(void **state)
{
    struct bwe_config none = {0};

    (void)state;
    bwe_init(&b, &none, 0);
    assert_int_equal(bwe_target_bps(&b), BWE_START_BPS);
    bwe_init(&b, &(struct bwe_config){.start_bps = 9000, .min_bps = 80000, .max_bps = 10}, 0);
    assert_int_equal(bwe_target_bps(&b), 80000);
    assert_true(sizeof b <= 20 * 1024);
}

static void a_growing_delay_brings_the_rate_down(void **state)
{
    (void)state;
    int64_t now = talk(1000000, 30, 300, 0); /* 480 kbit/s */
    int64_t calm = bwe_target_bps(&b);
    assert_true(calm > 500000 && calm < 480000 * 1.5 + 20000);
    assert_int_equal(b.stats.overuses, 0);
    talk(now, 6, 300, 500); /* every tenth of a second the queue is 10 ms longer */
    assert_true(b.stats.overuses > 0);
    assert_true(bwe_target_bps(&b) < 480000 * 0.95);
}

static void a_delay_that_stays_is_no_overuse(void **state)
{
    (void)state;
    int64_t now = talk(1000000, 30, 300, 0);
    bwe_tick(&b, now);
    talk(now + 20000, 50, 300, 0); /* the sender paused, the path did not change */
    assert_int_equal(b.stats.overuses, 0);
}

static void round_trips_are_smoothed_and_sane(void **state)
{
    (void)state;
    talk(1000000, 10, 300, 0);
    assert_in_range(b.rtt_us, 20000, 30000);
    struct twcc_status st = {bwe_on_sent(&b, 100, BWE_MEDIA, 50000000), true, 60000000};
    struct twcc_feedback fb = {.count = 1};
    int64_t before = b.rtt_us;
    bwe_on_feedback(&b, &fb, &st, 1, 49000000); /* answered before it was sent */
    assert_int_equal(b.rtt_us, before);
}

static void absurd_feedback_is_left_out(void **state)
{
    static struct twcc_status st[65535];
    struct twcc_feedback fb = {.count = 65535};

    (void)state;
    int64_t now = talk(1000000, 20, 300, 0);
    int64_t before = bwe_target_bps(&b);
    for (unsigned i = 0; i < 65535; i++) { /* numbers never sent, and all told before */
        st[i] = (struct twcc_status){(uint16_t)(i + 500), true, INT64_MAX / 4 - i};
    }
    assert_int_equal(bwe_on_feedback(&b, &fb, st, 65535, now), 0);
    assert_int_equal(b.stats.absurd, SEND_HISTORY);
    assert_int_equal(bwe_target_bps(&b), before);
    assert_int_equal(b.stats.feedbacks, 20);
}

static void arrival_times_may_be_anything(void **state)
{
    (void)state;
    srand(1);
    int64_t now = 1000000;
    for (unsigned k = 0; k < 20000; k++) {
        struct twcc_status st[4];
        int64_t any = (int64_t)(rand() & 0xffffff) * 64000;
        struct twcc_feedback fb = {.count = 4, .reference_us = any};
        for (unsigned i = 0; i < 4; i++) {
            uint16_t seq = bwe_on_sent(&b, (size_t)(rand() % 1500), BWE_MEDIA, now);
            st[i] = (struct twcc_status){seq, rand() % 4 != 0, any + rand() % 100000000 - 50000000};
            now += rand() % 3000;
        }
        bwe_on_feedback(&b, &fb, st, 4, now);
        bwe_set_wanted(&b, rand(), now);
        bwe_tick(&b, now);
        assert_in_range(bwe_target_bps(&b), config.min_bps, config.max_bps);
        assert_true(isfinite(b.rate.bps) && isfinite(b.acked.bps) && isfinite(b.delay.trend));
    }
}

static void the_reference_time_wraps(void **state)
{
    const int64_t wrap_us = INT64_C(64000) << 24;

    (void)state;
    for (int64_t now = wrap_us - 3000000; now < wrap_us + 3000000; now += 100000) {
        struct twcc_feedback fb = {.count = 2, .reference_us = now / 64000 * 64000 % wrap_us};
        struct twcc_status st[2];
        for (unsigned i = 0; i < 2; i++) {
            st[i] = (struct twcc_status){bwe_on_sent(&b, 800, BWE_MEDIA, now + 50000 * i), true,
                                         fb.reference_us + now % 64000 + 50000 * i};
        }
        bwe_on_feedback(&b, &fb, st, 2, now + 70000);
    }
    assert_int_equal(b.stats.overuses, 0);
    assert_in_range(b.acked.bps, 120000, 140000); /* 2 x 800 bytes each 100 ms */
    assert_true(bwe_delay_queue_ms(&b.delay) < 1);
    assert_true(b.reference_us > wrap_us);
}

static void without_feedback_at_all_it_keeps_the_start(void **state)
{
    (void)state;
    for (int64_t now = 1000000; now < 30000000; now += 20000) {
        bwe_on_sent(&b, 1000, BWE_MEDIA, now);
        int64_t next = bwe_tick(&b, now);
        assert_true(next > now && next <= now + 1000000);
    }
    assert_int_equal(bwe_target_bps(&b), config.start_bps);
    assert_int_equal(b.stats.timeouts, 0);
}

static void silence_halves_and_stops_at_the_least(void **state)
{
    (void)state;
    int64_t now = talk(1000000, 20, 300, 0);
    int64_t before = bwe_target_bps(&b);
    bwe_on_sent(&b, 100, BWE_MEDIA, now);
    bwe_tick(&b, now + 1100000);
    assert_in_range(bwe_target_bps(&b), before * 79 / 100, before * 81 / 100);
    for (int64_t t = now + 1200000; t < now + 60000000; t += 100000) {
        bwe_tick(&b, t);
    }
    assert_int_equal(bwe_target_bps(&b), config.min_bps);
}

/* A packet a millisecond for 5 s, each tenth of a second a feedback for those that left `ago_us`
 * before; every so manieth was lost. */
static void talk_of_the_past(int64_t now_us, int ago, unsigned lost_every)
{
    struct twcc_status st[20];
    uint16_t seq = 0;

    for (int64_t i = 0; i < 5000; i++, now_us += 1000) {
        seq = bwe_on_sent(&b, 1200, BWE_MEDIA, now_us);
        if (i < 2000 || i % 100 != 0) {
            continue;
        }
        struct twcc_feedback fb = {.count = 20, .reference_us = now_us / 64000 * 64000};
        for (unsigned k = 0; k < 20; k++) {
            bool received = lost_every == 0 || k % lost_every != 0;
            st[k] = (struct twcc_status){(uint16_t)(seq - ago + (int)k), received, now_us};
        }
        assert_int_equal(bwe_on_feedback(&b, &fb, st, 20, now_us), 0);
        bwe_tick(&b, now_us);
    }
}

static void feedback_of_what_is_forgotten_is_no_silence(void **state)
{
    (void)state;
    int64_t now = talk(1000000, 20, 300, 0);
    int64_t before = bwe_target_bps(&b);
    talk_of_the_past(now, 1500, 0);
    assert_int_equal(b.stats.timeouts, 0);
    assert_int_equal(bwe_target_bps(&b), before);
}

static void feedback_of_what_never_was_or_was_lost_is_silence(void **state)
{
    (void)state;
    int64_t now = talk(1000000, 20, 300, 0);
    talk_of_the_past(now, -40, 0); /* not sent yet */
    assert_in_range(b.stats.timeouts, 2, 4);
    setup(NULL);
    now = talk(1000000, 20, 300, 0);
    talk_of_the_past(now, 1500, 2);
    assert_in_range(b.stats.timeouts, 2, 4);
}

static void remb_and_reports_where_nothing_better_comes(void **state)
{
    (void)state;
    bwe_on_remb(&b, 2000000, 2000000);
    assert_int_equal(bwe_target_bps(&b), 2000000);
    bwe_on_remb(&b, 700000, 3000000);
    assert_int_equal(bwe_target_bps(&b), 700000);
    bwe_on_rr_loss(&b, 128, 4000000); /* half is lost */
    assert_in_range(bwe_target_bps(&b), 520000, 530000);
    bwe_on_rr_loss(&b, 128, 4100000); /* another stream's report of the same time */
    assert_in_range(bwe_target_bps(&b), 520000, 530000);
    bwe_on_rr_loss(&b, 13, 5000000); /* 5 %: holds */
    assert_in_range(bwe_target_bps(&b), 520000, 530000);
    bwe_on_remb(&b, UINT64_MAX, 5000000);
    for (int64_t now = 6000000; now < 10000000; now += 1000000) {
        for (int64_t t = now - 1000000; t < now; t += 20000) {
            bwe_on_sent(&b, 1200, BWE_MEDIA, t);
        }
        bwe_on_rr_loss(&b, 0, now);
    }
    assert_in_range(bwe_target_bps(&b), 600000, 680000); /* 5 % a report */
    talk(11000000, 1, 300, 0);
    int64_t own = bwe_target_bps(&b);
    bwe_on_remb(&b, 60000, 12000000);
    bwe_on_rr_loss(&b, 255, 13000000);
    assert_int_equal(bwe_target_bps(&b), own); /* transport-wide feedback knows better */
}

static void loss_at_every_rate_is_the_links_own(void **state)
{
    struct bwe_loss l;
    int64_t now = 0;

    (void)state;
    bwe_loss_init(&l);
    for (unsigned i = 0; i < 5000; i++) { /* 5 % of 1.9 Mbit/s, evenly */
        struct sent_news n = {.sent_us = now += 5000, .bytes = 1200, .received = i % 20 != 0};
        bwe_loss_input(&l, &n);
        bwe_loss_update(&l, 2e6, 1.8e6, 0);
    }
    assert_true(isinf(l.limit_bps));
    for (unsigned i = 0; i < 5000; i++) { /* the same with a queue: it overflows */
        struct sent_news n = {.sent_us = now += 5000, .bytes = 1200, .received = i % 20 != 0};
        bwe_loss_input(&l, &n);
        bwe_loss_update(&l, 2e6, 1.8e6, 150);
    }
    assert_true(l.limit_bps < 1.91e6);
}

static void half_lost_is_too_much_and_is_forgiven(void **state)
{
    struct bwe_loss l;
    int64_t now = 0;

    (void)state;
    bwe_loss_init(&l);
    for (unsigned i = 0; i < 400; i++) {
        struct sent_news n = {.sent_us = now += 5000, .bytes = 1200, .received = i % 2 != 0};
        bwe_loss_input(&l, &n);
        bwe_loss_update(&l, 2e6, 1e6, 0);
    }
    assert_true(l.limit_bps < 1.1e6);
    for (unsigned i = 0; i < 2000; i++) {
        struct sent_news n = {.sent_us = now += 5000, .bytes = 1200, .received = true};
        bwe_loss_input(&l, &n);
        bwe_loss_update(&l, 2e6, 1.9e6, 0);
    }
    assert_true(isinf(l.limit_bps));
}

static void little_sent_is_no_reason_to_collapse(void **state)
{
    struct bwe_rate r;
    struct bwe_rate_input in = {BWE_OVERUSE, 60e3, -1, 0, true};

    (void)state;
    bwe_rate_init(&r, 2e6, 50e3, 5e6, 0);
    for (int64_t now = 100000; now <= 2900000; now += 100000) {
        bwe_rate_update(&r, &in, now);
    }
    assert_true(r.bps > 1.2e6 && r.bps < 1.25e6); /* three times 15 % */
    in.application_limited = false;
    bwe_rate_update(&r, &in, 3000000);
    assert_true(r.bps < 60e3);
}

static void a_standing_queue_stops_growth_for_a_while(void **state)
{
    struct bwe_rate r;
    struct bwe_rate_input in = {BWE_NORMAL, 1e6, -1, 150, false};
    int64_t now = 100000;

    (void)state;
    bwe_rate_init(&r, 1e6, 50e3, 5e6, 0);
    for (; now < 5000000; now += 100000) {
        bwe_rate_update(&r, &in, now);
    }
    assert_true(r.bps <= 1e6);
    for (; now < 7000000; now += 100000) { /* the path has become longer */
        bwe_rate_update(&r, &in, now);
    }
    assert_true(r.bps > 1.05e6);
}

/* A packet each interval, each waited so long. Returns the last one's arrival. */
static int64_t queue_up(struct bwe_queue *q, int64_t from_us, unsigned n, int64_t each_us,
                        int64_t waited_us)
{
    for (unsigned i = 0; i < n; i++) {
        bwe_queue_input(q, waited_us, from_us += each_us, 1000);
    }
    return from_us;
}

static void a_queue_tells_what_the_link_has(void **state)
{
    struct bwe_queue q;

    (void)state;
    bwe_queue_init(&q);
    int64_t now = queue_up(&q, 1000000, 100, 20000, 0); /* 400 kbit/s go in, and none waits */
    assert_true(bwe_queue_bps(&q) < 0);
    now = queue_up(&q, now, 3, 10000, 50000);
    assert_true(bwe_queue_bps(&q) < 0); /* too few to tell */
    now = queue_up(&q, now, 3, 10000, 50000);
    assert_in_range(bwe_queue_bps(&q), 799000, 801000); /* at once, and all of it */
    now = queue_up(&q, now, 1000, 10000, 200000);
    assert_in_range(bwe_queue_bps(&q), 799000, 801000);
    now = queue_up(&q, now, 12, 40000, 200000); /* narrower yet */
    assert_in_range(bwe_queue_bps(&q), 195000, 210000);
    queue_up(&q, now, 1, 10000, 0);
    assert_true(bwe_queue_bps(&q) < 0);
}

/* Nothing for 300 ms, then all that was held at once: the time of the stall is part of it. */
static void a_stall_is_no_wide_link(void **state)
{
    struct bwe_queue q;

    (void)state;
    bwe_queue_init(&q);
    int64_t now = queue_up(&q, 1000000, 10, 20000, 0);
    queue_up(&q, now + 300000, 15, 100, 150000);
    assert_in_range(bwe_queue_bps(&q), 300000, 500000);
}

static void a_decrease_goes_by_what_the_queue_lets_through(void **state)
{
    struct bwe_rate r;
    struct bwe_rate_input in = {BWE_OVERUSE, 430e3, 800e3, 60, false};

    (void)state;
    bwe_rate_init(&r, 1150e3, 50e3, 5e6, 0);
    bwe_rate_update(&r, &in, 100000);
    assert_in_range(r.bps, 679000, 681000);
    assert_in_range(r.capacity.kbps, 799, 801);
    bwe_rate_init(&r, 1150e3, 50e3, 5e6, 0);
    in = (struct bwe_rate_input){BWE_OVERUSE, 1100e3, 300e3, 60, false}; /* the other way round */
    bwe_rate_update(&r, &in, 100000);
    assert_in_range(r.bps, 254000, 256000);
}

/* Five packets that left at 3.2 Mbit/s and came at 1.9. */
static void a_probe_of_a_link_that_we_fill_is_believed_a_little(void **state)
{
    const struct probe_cluster full = {.id = 1,
                                       .target_bps = 4e6,
                                       .sent_bytes = 6000,
                                       .sent_packets = 5,
                                       .got_bytes = 6000,
                                       .got_packets = 5,
                                       .last_sent_us = 12000,
                                       .last_arrived_us = 20000,
                                       .last_began_us = 20000,
                                       .last_bytes = 1200,
                                       .first_bytes = 1200};

    (void)state;
    int64_t now = talk(1000000, 10, 300, 0);
    int64_t before = bwe_target_bps(&b);
    b.probe.cluster[1] = full;
    now = talk(now, 1, 300, 0);
    assert_in_range(bwe_target_bps(&b), before * 110 / 100, before * 125 / 100);
    b.acked.bps = 50000; /* hardly used: then it is new knowledge */
    b.acked.var = 0;
    b.probe.cluster[1] = full;
    talk(now, 1, 30, 0);
    assert_in_range(bwe_target_bps(&b), 1700000, 1900000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(configuration_has_bounds_and_defaults, setup),
        cmocka_unit_test_setup(a_growing_delay_brings_the_rate_down, setup),
        cmocka_unit_test_setup(a_delay_that_stays_is_no_overuse, setup),
        cmocka_unit_test_setup(round_trips_are_smoothed_and_sane, setup),
        cmocka_unit_test_setup(absurd_feedback_is_left_out, setup),
        cmocka_unit_test_setup(arrival_times_may_be_anything, setup),
        cmocka_unit_test_setup(the_reference_time_wraps, setup),
        cmocka_unit_test_setup(without_feedback_at_all_it_keeps_the_start, setup),
        cmocka_unit_test_setup(silence_halves_and_stops_at_the_least, setup),
        cmocka_unit_test_setup(feedback_of_what_is_forgotten_is_no_silence, setup),
        cmocka_unit_test_setup(feedback_of_what_never_was_or_was_lost_is_silence, setup),
        cmocka_unit_test_setup(remb_and_reports_where_nothing_better_comes, setup),
        cmocka_unit_test(little_sent_is_no_reason_to_collapse),
        cmocka_unit_test(a_queue_tells_what_the_link_has),
        cmocka_unit_test(a_stall_is_no_wide_link),
        cmocka_unit_test(a_decrease_goes_by_what_the_queue_lets_through),
        cmocka_unit_test(a_standing_queue_stops_growth_for_a_while),
        cmocka_unit_test_setup(a_probe_of_a_link_that_we_fill_is_believed_a_little, setup),
        cmocka_unit_test(loss_at_every_rate_is_the_links_own),
        cmocka_unit_test(half_lost_is_too_much_and_is_forgiven),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
