/* A subscriber behind a link: what he is sent follows what it carries, sound first. */
#include "tests/unit/sfu/shell/rate_world.h"

static const double one_stream[WORLD_LAYERS + 1] = {800000};

static bool is_paused(void)
{
    return subscriber_video(w.s, 0)->paused;
}

/* On a link that carries everything nothing is held, dropped or paused, at any time. */
static void a_wide_link_changes_nothing(void **state)
{
    struct subscriber_rate_stats st;
    (void)state;
    world_open(one_stream, true);
    w.key_factor = 1;
    for (int i = 0; i < 100; i++) {
        world_run(0.1);
        assert_false(is_paused());
    }
    subscriber_rate_stats(w.rate, &st);
    assert_true(st.estimated && st.target_bps > 800000 && st.feedbacks > 50);
    assert_in_range(st.rtt_us, 50000, 200000);
    assert_int_equal(w.dropped, 0);
    assert_in_range(w.audio, 495, 500);
    assert_in_range(w.layer_packets[0], 302 * 3, 303 * 4 + 10);
    assert_int_equal(st.paused_bandwidth + st.paused_overload, 0);
    world_measure();
    world_run(20);
    assert_int_equal(w.probes, 0); /* there is nothing more to find room for */
    assert_true(world_waits ? w.waited > 100 : w.waited == 0);
    world_close();
}

/* Too narrow for the picture: it is paused and told, sound goes on whole; and comes back. */
static void a_narrow_link_keeps_the_sound(void **state)
{
    struct subscriber_rate_stats st;
    (void)state;
    world_open(one_stream, true);
    world_run(5);
    assert_false(is_paused());
    world_measure();
    w.capacity_bps = 300000;
    world_run(6);
    assert_true(is_paused());
    assert_true(w.told > 0);
    subscriber_rate_stats(w.rate, &st);
    assert_int_equal(st.paused_bandwidth, 1);
    world_measure();
    world_run(5);
    assert_int_equal(w.dropped, 0);
    assert_in_range(w.audio, 249, 251);
    assert_true(w.worst_queue_us < 100000);
    w.capacity_bps = 0;
    world_measure();
    world_run(20);
    assert_false(is_paused());
    assert_true(w.told > 0);
    assert_true(w.layer_packets[0] > 300);
    assert_true(w.probes > 0); /* that found the room */
    world_close();
}

static unsigned most_seen(void)
{
    unsigned best = 0;
    for (unsigned i = 1; i < WORLD_LAYERS; i++) {
        best = w.layer_packets[i] > w.layer_packets[best] ? i : best;
    }
    return best;
}

/* Three sizes behind 500 kbit/s: the smallest is sent and sound is whole; the largest again when
 * there is room. The small one must come quickly, or the picture stands. */
static void the_layer_that_fits(void **state)
{
    static const double layers[WORLD_LAYERS] = {150000, 500000, 1500000};
    (void)state;
    world_open(layers, true);
    world_run(1);
    assert_true(most_seen() < 2); /* nobody begins at the top */
    world_run(9);
    world_measure();
    world_run(2);
    assert_int_equal(most_seen(), 2);
    assert_int_equal(w.layer_packets[0] + w.layer_packets[1] + w.dropped, 0);

    w.capacity_bps = 500000;
    world_run(2.5);
    world_measure();
    for (int i = 0; i < 15; i++) {
        world_run(1);
        assert_false(is_paused());
    }
    assert_int_equal(most_seen(), 0);
    assert_int_equal(w.layer_packets[1] + w.layer_packets[2], 0);
    assert_true(w.layer_packets[0] > 15 * 28);
    assert_int_equal(w.dropped, 0);
    assert_in_range(w.audio, 745, 760); /* some of before in the queue */
    assert_true(w.worst_queue_us < 200000);

    w.capacity_bps = 0;
    world_run(15);
    world_measure();
    world_run(2);
    assert_int_equal(most_seen(), 2);
    world_close();
}

/* Loss of the radio's kind leaves the size alone. */
static void random_loss_takes_no_layer(void **state)
{
    static const double layers[WORLD_LAYERS] = {150000, 500000, 1500000};
    struct subscriber_rate_stats st;
    (void)state;
    world_open(layers, true);
    world_run(10);
    w.loss = 0.05;
    w.capacity_bps = 4000000;
    world_run(5);
    world_measure();
    world_run(20);
    assert_int_equal(most_seen(), 2);
    assert_int_equal(w.layer_packets[0], 0);
    subscriber_rate_stats(w.rate, &st);
    assert_true(st.loss > 0.02 && st.loss < 0.1);
    world_close();
}

/* An estimate that had no reason to grow pauses nobody who turns his camera on. */
static void a_camera_after_a_long_talk(void **state)
{
    static const double camera[WORLD_LAYERS + 1] = {1800000};
    (void)state;
    world_open(camera, true);
    w.layer_bps[0] = 0;
    world_run(20);
    assert_true(bwe_target_bps(w.rate->pace.bwe) < 1000000);
    w.layer_bps[0] = camera[0];
    w.key[0] = true;
    w.frame_us = w.now_us;
    for (int i = 0; i < 100; i++) {
        world_run(0.1);
        assert_false(is_paused());
    }
    assert_true(bwe_target_bps(w.rate->pace.bwe) > 1800000);
    assert_int_equal(w.dropped, 0);
    world_close();
}

/* A keyframe far larger than a burst, on a link that has shown its end: it leaves by and by, sound
 * between its parts without delay, and the link's queue stays short. */
static void a_large_keyframe_is_spread(void **state)
{
    (void)state;
    world_open(one_stream, true);
    w.capacity_bps = 850000;
    world_run(2);
    w.capacity_bps = 2500000;
    world_run(8);
    world_measure();
    uint64_t held = w.rate->pace.held;
    w.key_factor = 25; /* 80 kB: a quarter of a second of the link */
    w.key[0] = true;
    uint64_t audio = w.left_audio;
    for (int i = 0; i < 40; i++) {
        world_run(0.02);
        assert_int_equal(w.left_audio, ++audio);
    }
    assert_true(w.rate->pace.held > held + 20);
    assert_int_equal(out_pace_held(&w.rate->pace), 0);
    assert_int_equal(w.dropped, 0);
    assert_true(w.worst_queue_us < 250000);
    world_close();
}

/* Nothing says that the link is narrow: a keyframe of the usual size leaves as it came, from the
 * first one on. */
static void a_wide_link_holds_nothing_back(void **state)
{
    static const double stream[WORLD_LAYERS + 1] = {1500000};
    (void)state;
    world_open(stream, true);
    w.key_factor = 8; /* 50 kB */
    for (int i = 0; i < 20; i++) {
        w.key[0] = true;
        world_run(1);
        assert_int_equal(w.rate->pace.held, 0);
    }
    world_close();
}

/* The size changes and nothing stands still: a queue that larger pictures made says nothing of the
 * smallest. */
static void a_sudden_bottleneck_pauses_nobody(void **state)
{
    static const double layers[WORLD_LAYERS] = {150000, 500000, 1500000};
    (void)state;
    for (double bps = 300000; bps < 1300000; bps += 200000) {
        world_open(layers, true);
        world_run(10);
        w.capacity_bps = bps;
        for (int i = 0; i < 80; i++) {
            world_run(0.1);
            assert_false(is_paused());
        }
        world_measure();
        world_run(5);
        assert_int_equal(w.dropped, 0);
        world_close();
    }
}

/* A quarter is lost, and three times what the smallest picture takes arrives: that says nothing of
 * it. */
static void much_loss_proves_nothing_against_what_arrives(void **state)
{
    static const double layers[WORLD_LAYERS] = {150000, 500000, 1500000};
    (void)state;
    world_open(layers, true);
    world_run(10);
    w.loss = 0.25;
    for (int i = 0; i < 30; i++) {
        world_run(0.1);
        assert_false(rate_trusts(&w.rate->trust));
        assert_false(is_paused());
    }
    world_close();
}

/* Far less is sent than the link was known to carry, when it becomes narrower than that. */
static void little_is_sent_and_yet_too_much(void **state)
{
    static const double layers[WORLD_LAYERS] = {150000, 350000, 800000};
    (void)state;
    world_open(layers, true);
    world_run(10);
    assert_true(bwe_target_bps(w.rate->pace.bwe) > 900000);
    bwe_rate_set(&w.rate->pace.bwe->rate, 4000000, w.now_us); /* as after a larger picture */
    w.capacity_bps = 500000;
    world_measure();
    world_run(2);
    assert_true(bwe_target_bps(w.rate->pace.bwe) < 500000);
    assert_true(w.dropped < 60); /* 300 ms of queue, and what it takes to see that it grows */
    assert_false(is_paused());
    world_close();
}

/* What is lost is to come again before its picture is due: a viewer's buffer doesn't know the round
 * trip. Without loss nothing is asked of it; after loss, nothing any more. */
static void lost_pictures_have_time_to_come_again(void **state)
{
    (void)state;
    world_open(one_stream, true);
    world_run(10);
    assert_false(w.has_playout);
    w.loss = 0.05;
    for (int i = 0; i < 50; i++) {
        subscriber_video(w.s, 0)->resent += 1;
        world_run(0.1);
    }
    assert_true(w.has_playout);
    assert_int_equal(w.playout & 0xfff, 1000);
    assert_in_range((w.playout >> 12) * 10, 2 * WORLD_DELAY_US / 1000 + 60, 250);
    w.loss = 0;
    world_run(35);
    assert_true(w.has_playout);
    assert_int_equal(w.playout >> 12, 1);
    world_close();
}

/* Jitter and loss without a bottleneck pause nobody, whatever they do to the estimate. */
static void jitter_and_loss_pause_nobody(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 8; seed++) {
        world_open(one_stream, true);
        w.seed = seed;
        w.loss = 0.05;
        w.jitter_us = 40000;
        for (int i = 0; i < 300; i++) {
            world_run(0.1);
            assert_false(is_paused());
        }
        w.capacity_bps = 400000; /* and now it is one */
        world_run(6);
        assert_true(is_paused());
        world_close();
    }
}

/* Agreed to feedback and gives none: as one who didn't agree. */
static void without_feedback_nothing_is_bounded(void **state)
{
    static const double large[WORLD_LAYERS + 1] = {3000000};
    struct subscriber_rate_stats st;
    (void)state;
    world_open(large, true);
    w.deaf = true;
    for (int i = 0; i < 60; i++) {
        world_run(0.1);
        assert_false(is_paused());
    }
    subscriber_rate_stats(w.rate, &st);
    assert_false(st.estimated);
    assert_int_equal(st.held_now, 0);
    world_close();
    world_open(large, false);
    assert_null(w.rate->pace.bwe);
    world_run(5);
    assert_false(is_paused());
    assert_int_equal(w.rate->pace.held, 0);
    world_close();
}

static void give_remb(uint64_t bps)
{
    uint8_t mantissa_exp[24] = {0x8f, RTCP_PSFB, 0, 5,   0,   0,   0,   1, 0,
                                0,    0,         0, 'R', 'E', 'M', 'B', 1};
    unsigned e = 0;
    for (; bps >> e > 0x3ffff; e++) {
    }
    mantissa_exp[17] = (uint8_t)(e << 2 | (bps >> e >> 16));
    mantissa_exp[18] = (uint8_t)(bps >> e >> 8);
    mantissa_exp[19] = (uint8_t)(bps >> e);
    world_rtcp(mantissa_exp, sizeof mantissa_exp);
}

static void remb_bounds_who_gives_nothing_better(void **state)
{
    struct subscriber_rate_stats st;
    (void)state;
    world_open(one_stream, false);
    world_run(1);
    give_remb(2000000);
    world_run(1);
    assert_false(is_paused());
    give_remb(300000);
    world_run(0.2);
    assert_true(is_paused());
    subscriber_rate_stats(w.rate, &st);
    assert_true(st.estimated && st.target_bps <= 300000);
    for (int i = 0; i < 10; i++) {
        give_remb(5000000);
        world_run(1);
    }
    world_close();
}

static void overload_takes_the_picture(void **state)
{
    struct subscriber_rate_stats st;
    (void)state;
    world_open(one_stream, true);
    world_run(2);
    subscriber_rate_run(w.rate, ALLOCATOR_SHED_ALL, w.now_us);
    assert_true(is_paused());
    subscriber_rate_stats(w.rate, &st);
    assert_int_equal(st.paused_overload, 1);
    world_run(5);
    assert_false(is_paused());
    world_close();
}

/* What is held when the transport goes comes home. */
static void what_is_held_is_given_back(void **state)
{
    (void)state;
    world_open(one_stream, true);
    world_run(3);
    w.key_factor = 40;
    w.key[0] = true;
    while (out_pace_held(&w.rate->pace) == 0) {
        world_run(0.001);
    }
    assert_true(out_queue_due(w.q) < INT64_MAX);
    world_close(); /* aborts when a packet is missing */
}

/* Feedback about packets that never were, with absurd counts, or broken. */
static void absurd_feedback_does_no_harm(void **state)
{
    bool bad = false;
    (void)state;
    world_open(one_stream, true);
    world_run(2);
    uint8_t lie[24] = {0x8f, RTCP_RTPFB, 0, 5, 0, 0, 0, 1, 0, 0, 0, 1, 0x70, 0, 0xff, 0xff};
    memset(lie + 16, 0x1f, 8);
    subscriber_rate_rtcp(w.rate, lie, sizeof lie, w.statuses, w.now_us, &bad);
    assert_true(bad);
    for (int i = 0; i < 65536; i++) { /* of any numbers, "lost" */
        uint8_t lost[24] = {0x8f, RTCP_RTPFB, 0, 5, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0x1f, 0xff};
        lost[12] = (uint8_t)(i >> 8);
        lost[13] = (uint8_t)i;
        lost[20] = 0x1f;
        lost[21] = 0xff;
        subscriber_rate_rtcp(w.rate, lost, sizeof lost, w.statuses, w.now_us, &bad);
    }
    for (size_t len = 0; len < sizeof lie; len++) {
        subscriber_rate_rtcp(w.rate, lie, len, w.statuses, w.now_us, &bad);
    }
    world_run(20);
    assert_true(bwe_target_bps(w.rate->pace.bwe) >= BWE_MIN_BPS);
    world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wide_link_changes_nothing),
        cmocka_unit_test(a_narrow_link_keeps_the_sound),
        cmocka_unit_test(the_layer_that_fits),
        cmocka_unit_test(random_loss_takes_no_layer),
        cmocka_unit_test(a_camera_after_a_long_talk),
        cmocka_unit_test(a_large_keyframe_is_spread),
        cmocka_unit_test(a_wide_link_holds_nothing_back),
        cmocka_unit_test(a_sudden_bottleneck_pauses_nobody),
        cmocka_unit_test(much_loss_proves_nothing_against_what_arrives),
        cmocka_unit_test(little_is_sent_and_yet_too_much),
        cmocka_unit_test(lost_pictures_have_time_to_come_again),
        cmocka_unit_test(jitter_and_loss_pause_nobody),
        cmocka_unit_test(without_feedback_nothing_is_bounded),
        cmocka_unit_test(remb_bounds_who_gives_nothing_better),
        cmocka_unit_test(overload_takes_the_picture),
        cmocka_unit_test(what_is_held_is_given_back),
        cmocka_unit_test(absurd_feedback_does_no_harm),
    };
    if (srtp_init() != srtp_err_status_ok) {
        return 1;
    }
    int failed = cmocka_run_group_tests_name("at once", tests, NULL, NULL);
    world_waits = rtcp_wait_new();
    failed += cmocka_run_group_tests_name("waiting", tests, NULL, NULL);
    rtcp_wait_free(world_waits);
    return failed;
}
