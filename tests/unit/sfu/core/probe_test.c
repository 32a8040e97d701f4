#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sfu/core/probe.h"

static struct probe p;
static struct probe_result r;
static const struct probe_state hungry = {
    .estimate_bps = 300e3, .wanted_bps = 3e6, .max_bps = 10e6};

static int setup(void **state)
{
    (void)state;
    probe_init(&p);
    return 0;
}

struct sent {
    uint8_t cluster;
    uint16_t bytes;
    int64_t at_us;
};

/* Sends all the padding that is wanted, a turn a millisecond. */
static size_t send_all(struct sent *out, size_t cap, int64_t now_us)
{
    size_t n = 0;

    for (int64_t end_us = now_us + 400000; now_us < end_us; now_us += 1000) {
        struct probe_want w = probe_wants(&p, now_us);
        for (size_t sent = 0; sent < w.bytes && n < cap; sent += w.packet_bytes) {
            uint8_t id = probe_on_sent(&p, w.packet_bytes, now_us);
            out[n++] = (struct sent){id, (uint16_t)w.packet_bytes, now_us};
        }
    }
    return n;
}

/* Each arrives when a link of this rate has carried it. */
static void answer(const struct sent *s, size_t n, double link_bps, int64_t delay_us)
{
    int64_t free_us = 0;

    for (size_t i = 0; i < n; i++) {
        struct sent_news news = {s[i].at_us, s[i].bytes, s[i].cluster, true, false};
        free_us = s[i].at_us > free_us ? s[i].at_us : free_us;
        free_us += (int64_t)(s[i].bytes * 8e6 / link_bps);
        probe_input(&p, &news, free_us + delay_us);
    }
}

static void begins_with_two_and_goes_on_while_it_works(void **state)
{
    struct sent s[64];

    (void)state;
    probe_tick(&p, &hungry, 1000);
    size_t n = send_all(s, 64, 1000);
    assert_true(n >= PROBE_PACKETS);
    assert_true(p.cluster[p.last_id % 2].target_bps > 890e3);
    probe_tick(&p, &hungry, 50000);
    n += send_all(s + n, 64 - n, 50000);
    assert_int_equal(p.sent, 2);
    answer(s, n, 100e6, 20000);
    assert_true(probe_poll(&p, 150000, &r));
    assert_false(r.saturated);
    assert_true(r.bps > 0.8 * r.target_bps && r.bps < 1.25 * r.target_bps);
    while (probe_poll(&p, 150000, &r)) {
    }
    struct probe_state s2 = hungry;
    s2.estimate_bps = 1.8e6;
    probe_go_on(&p, &r, &s2, 150000);
    assert_int_equal(p.sent, 3);
}

static void a_full_link_tells_its_capacity(void **state)
{
    struct sent s[64];

    (void)state;
    probe_tick(&p, &hungry, 1000);
    size_t n = send_all(s, 64, 1000);
    answer(s, n, 500e3, 20000);
    assert_true(probe_poll(&p, 150000, &r));
    assert_true(r.saturated);
    assert_true(r.bps > 430e3 && r.bps < 500e3);
    uint64_t sent = p.sent;
    probe_go_on(&p, &r, &hungry, 150000);
    assert_int_equal(p.sent, sent);
}

/* A link that was found full, and that we fill, is left alone for long; not when there is reason to
 * think that it got better, even if the probe that this brings comes to nothing. */
static void what_got_better_is_not_full(void **state)
{
    struct sent s[64];
    struct probe_state filling = hungry;

    (void)state;
    filling.filling = true;
    probe_tick(&p, &hungry, 1000);
    size_t n = send_all(s, 64, 1000);
    answer(s, n, 500e3, 20000);
    assert_true(probe_poll(&p, 150000, &r));
    probe_go_on(&p, &r, &filling, 150000);
    p.then_bps = 0;
    probe_tick(&p, &filling, 10000000);
    assert_int_equal(p.sent, 1);
    probe_hurry(&p);
    probe_tick(&p, &filling, 10100000);
    for (int64_t now = 10200000; now < 17000000; now += 100000) {
        probe_tick(&p, &filling, now);
    }
    assert_int_equal(p.sent, 4); /* again at once, since nobody answered, and after 5 s */
}

static void nothing_wanted_nothing_probed(void **state)
{
    struct probe_state s = hungry;

    (void)state;
    s.wanted_bps = 200e3;
    for (int64_t now = 0; now < 60000000; now += 50000) {
        probe_tick(&p, &s, now);
        assert_int_equal(probe_wants(&p, now).bytes, 0);
        assert_int_equal(probe_wants(&p, now).again_us, INT64_MAX);
    }
    assert_int_equal(p.sent, 0);
    assert_int_equal(probe_deadline(&p, &s), INT64_MAX);
    s.wanted_bps = 3e6;
    s.congested = true;
    probe_tick(&p, &s, 60000000);
    assert_int_equal(p.sent, 0);
}

static void what_is_lost_or_impossible_proves_nothing(void **state)
{
    struct sent s[64];

    (void)state;
    probe_tick(&p, &hungry, 1000);
    size_t n = send_all(s, 64, 1000);
    for (size_t i = 0; i < n; i++) { /* half is lost */
        struct sent_news news = {s[i].at_us, s[i].bytes, s[i].cluster, i % 2 == 0, false};
        probe_input(&p, &news, s[i].at_us + 20000);
    }
    assert_false(probe_poll(&p, 150000, &r));
    setup(NULL);
    probe_tick(&p, &hungry, 1000);
    n = send_all(s, 64, 1000);
    for (size_t i = 0; i < n; i++) { /* all at one instant: faster than it was sent */
        struct sent_news news = {s[i].at_us, s[i].bytes, s[i].cluster, true, false};
        probe_input(&p, &news, 90000 + (int64_t)i);
    }
    assert_false(probe_poll(&p, 150000, &r));
    setup(NULL);
    probe_tick(&p, &hungry, 1000);
    n = send_all(s, 64, 1000);
    for (size_t i = 0; i < n; i++) { /* backwards, and of clusters that never were */
        struct sent_news news = {s[i].at_us, s[i].bytes, (uint8_t)(i * 37), true, false};
        probe_input(&p, &news, -(int64_t)i * 1000000000);
    }
    assert_false(probe_poll(&p, 150000, &r));
}

/* Numbers of clusters come again after six: what left before this one began is of another. */
static void an_older_cluster_of_the_same_number_is_another(void **state)
{
    (void)state;
    probe_tick(&p, &hungry, 5000000);
    uint8_t id = probe_on_sent(&p, 1200, 4999000); /* by the turn before */
    const struct probe_cluster *c = &p.cluster[id % PROBE_CLUSTERS];
    struct sent_news news = {4998999, 1200, id, true, false};
    probe_input(&p, &news, 5020000);
    news.received = false;
    probe_input(&p, &news, 5020000);
    assert_int_equal(c->got_packets + c->lost_packets, 0);
    news.sent_us = 4999000;
    probe_input(&p, &news, 5020000);
    assert_int_equal(c->lost_packets, 1);
}

static void nobody_answers_nobody_pads(void **state)
{
    (void)state;
    for (int64_t now = 0; now < 100000000; now += 25000) { /* wants are never met */
        probe_tick(&p, &hungry, now);
        assert_true(probe_wants(&p, now).bytes < 2000);
    }
    assert_true(p.sent > 10 && p.sent < 30);
    assert_int_equal(p.succeeded, 0);
}

/* A train of video in the middle of a cluster must not make an idle link look full. */
static void unequal_packets_do_not_deceive(void **state)
{
    struct sent s[8];
    static const struct sent way[] = {
        {0, 700, 1000}, {0, 1200, 3000}, {0, 100, 5000}, {0, 100, 9000}, {0, 100, 13000}};

    (void)state;
    probe_tick(&p,
               &(struct probe_state){.estimate_bps = 300e3, .wanted_bps = 720e3, .max_bps = 1e7},
               1000);
    for (unsigned i = 0; i < 5; i++) {
        s[i] = way[i];
        s[i].cluster = probe_on_sent(&p, s[i].bytes, s[i].at_us);
        assert_int_not_equal(s[i].cluster, 0);
    }
    answer(s, 5, 1e9, 20000);
    for (int64_t now = 14000; now < 600000; now += 1000) {
        probe_tick(&p, &(struct probe_state){.congested = true}, now);
    }
    assert_true(probe_poll(&p, 600000, &r));
    assert_false(r.saturated);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(begins_with_two_and_goes_on_while_it_works, setup),
        cmocka_unit_test_setup(a_full_link_tells_its_capacity, setup),
        cmocka_unit_test_setup(what_got_better_is_not_full, setup),
        cmocka_unit_test_setup(nothing_wanted_nothing_probed, setup),
        cmocka_unit_test_setup(what_is_lost_or_impossible_proves_nothing, setup),
        cmocka_unit_test_setup(an_older_cluster_of_the_same_number_is_another, setup),
        cmocka_unit_test_setup(nobody_answers_nobody_pads, setup),
        cmocka_unit_test_setup(unequal_packets_do_not_deceive, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
