/* A room on several routers: what passes a link, and what does not. */
#include "tests/unit/sfu/core/relay_fixture.h"

static void test_a_track_appears_on_the_other_side(void **state)
{
    (void)state;
    struct net net;
    open_net(&net, 2);
    fixture_publisher(net.node[0].router, 7);
    run(&net, 200000);
    const struct publisher *there = remote(&net, 1, 7);
    assert_non_null(there);
    assert_int_equal(there->number, 7);
    assert_int_equal(there->link, 1);
    assert_int_equal(there->n_tracks, 2);
    assert_non_null(publisher_track(there, SDP_SOURCE_CAMERA));
    assert_non_null(publisher_track(there, SDP_SOURCE_MICROPHONE));
    assert_int_equal(there->ext.id[RTP_EXT_AUDIO_LEVEL], LEVEL_ID);
    assert_int_equal(net.count[RELAY_ANNOUNCE][1], 0); /* and is not told back */
    assert_true(relay_is_branch(net.node[1].relay, &fixture_room));
    assert_false(relay_is_branch(net.node[0].relay, &fixture_room));
    close_net(&net);
}

static void test_nothing_passes_that_nobody_wants(void **state)
{
    (void)state;
    struct net net;
    open_net(&net, 2);
    struct publisher *p = fixture_publisher(net.node[0].router, 1);
    fixture_subscriber(net.node[0].router, 2, 1, 1);
    run(&net, 300000);
    for (uint16_t i = 0; i < 50; i++) {
        say_audio(&net, 0, p, (uint16_t)(100 + i), 30);
        say_video(&net, 0, p, (uint16_t)(100 + i), i == 0);
    }
    assert_int_equal(net.count[RELAY_PACKET][0], 0);
    assert_int_equal(net.count[RELAY_DEMAND][1], 0);
    assert_int_equal(net.node[0].forwarded, 100);
    close_net(&net);
}

/* However many watch beyond: each packet passes once. */
static void test_once_a_link(void **state)
{
    (void)state;
    struct net net;
    open_net(&net, 2);
    struct publisher *p = fixture_publisher(net.node[0].router, 1);
    struct subscriber *s[4];
    for (uint32_t i = 0; i < 4; i++) {
        s[i] = fixture_subscriber(net.node[1].router, 10 + i, 2, 2);
    }
    run(&net, 300000);
    assert_true(asks_for_picture(&net, p));
    for (uint16_t i = 0; i < 50; i++) {
        say_audio(&net, 0, p, (uint16_t)(100 + i), 30);
        say_video(&net, 0, p, (uint16_t)(100 + i), i == 0);
    }
    assert_int_equal(net.count[RELAY_PACKET][0], 100);
    assert_int_equal(net.node[1].forwarded, 400);
    assert_int_equal(net.node[1].last.slot->track->publisher->number, 1);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(subscriber_audio(s[i], 0)->packets, 50);
        router_unsubscribe(net.node[1].router, s[i], net.now_us);
    }
    run(&net, 100000); /* nobody is left beyond */
    size_t before = net.count[RELAY_PACKET][0];
    say_audio(&net, 0, p, 150, 30);
    say_video(&net, 0, p, 150, false);
    assert_int_equal(net.count[RELAY_PACKET][0], before);
    close_net(&net);
}

/* One who comes later beyond the link gets his picture: the request goes all the way up. */
static void test_keyframes_are_asked_for_upstream(void **state)
{
    (void)state;
    struct net net;
    open_net(&net, 2);
    struct publisher *p = fixture_publisher(net.node[0].router, 1);
    run(&net, 200000);
    say_video(&net, 0, p, 100, true);
    assert_false(asks_for_picture(&net, p));
    struct subscriber *s = fixture_subscriber(net.node[1].router, 2, 0, 1);
    run(&net, 30000);
    assert_true(asks_for_picture(&net, p));
    say_video(&net, 0, p, 101, true);
    assert_int_equal(subscriber_video(s, 0)->packets, 1);
    run(&net, 2000000);
    assert_false(asks_for_picture(&net, p));
    close_net(&net);
}

static void test_a_lost_packet_is_sent_again(void **state)
{
    (void)state;
    struct net net;
    open_net(&net, 2);
    struct publisher *p = fixture_publisher(net.node[0].router, 1);
    struct subscriber *s = fixture_subscriber(net.node[1].router, 2, 0, 1);
    run(&net, 200000);
    for (uint16_t i = 0; i < 10; i++) {
        net.drop_packets = i == 4 || i == 6;
        say_video(&net, 0, p, (uint16_t)(65530 + i), i == 0); /* across the wrap */
    }
    assert_int_equal(subscriber_video(s, 0)->packets, 8);
    run(&net, 30000);
    assert_int_equal(net.count[RELAY_NACK][1], 1);
    assert_int_equal(subscriber_video(s, 0)->packets, 10);
    assert_int_equal(net.count[RELAY_PACKET][0], 12);
    close_net(&net);
}

/* Who is loudest is known beyond the link without his sound passing; only his then does. */
static void test_levels_rank_and_the_loudest_passes(void **state)
{
    (void)state;
    struct net net;
    open_net(&net, 2);
    struct publisher *p[3];
    for (uint32_t i = 0; i < 3; i++) {
        p[i] = fixture_publisher(net.node[0].router, i + 1);
    }
    struct subscriber *s = fixture_subscriber(net.node[1].router, 9, 1, 0);
    for (uint16_t seq = 0; seq < 150; seq++) { /* 3 seconds: the third one talks */
        for (uint32_t i = 0; i < 3; i++) {
            say_audio(&net, 0, p[i], seq, i == 2 ? 20 : 110);
        }
        run(&net, 20000);
    }
    assert_int_equal(subscriber_audio(s, 0)->track->publisher->number, 3);
    struct speaker active[4];
    const struct room *room = router_room(net.node[1].router, &fixture_room);
    assert_int_equal(speakers_active(room->speakers, active, 4), 1);
    assert_int_equal(active[0].participant, 3);
    size_t before = net.count[RELAY_PACKET][0], levels = net.count[RELAY_LEVELS][0];
    for (uint16_t seq = 150; seq < 200; seq++) {
        for (uint32_t i = 0; i < 3; i++) {
            say_audio(&net, 0, p[i], seq, i == 2 ? 20 : 110);
        }
        run(&net, 20000);
    }
    assert_int_equal(net.count[RELAY_PACKET][0] - before, 50);
    assert_in_range(net.count[RELAY_LEVELS][0] - levels, 9, 11); /* ten a second for all */
    close_net(&net);
}

static void test_who_leaves_is_gone_beyond(void **state)
{
    (void)state;
    struct net net;
    open_net(&net, 2);
    struct publisher *p = fixture_publisher(net.node[0].router, 1);
    struct subscriber *s = fixture_subscriber(net.node[1].router, 2, 1, 1);
    run(&net, 200000);
    assert_non_null(subscriber_video(s, 0)->track);
    router_unpublish(net.node[0].router, p, net.now_us);
    run(&net, 200000);
    assert_null(remote(&net, 1, 1));
    assert_null(subscriber_video(s, 0)->track);
    router_unsubscribe(net.node[1].router, s, net.now_us);
    assert_int_equal(router_room_count(net.node[1].router), 0);
    close_net(&net);
}

/* A camera that is added comes too, and one that goes, goes. */
static void test_tracks_come_and_go(void **state)
{
    (void)state;
    struct net net;
    open_net(&net, 2);
    struct publisher *p = fixture_publisher(net.node[0].router, 1);
    struct sdp_publish sdp = fixture_sdp(1), less = sdp;
    less.n_tracks = 1;
    assert_int_equal(router_republish(net.node[0].router, p, &less, net.now_us), OK);
    run(&net, 200000);
    assert_int_equal(remote(&net, 1, 1)->n_tracks, 1);
    struct subscriber *s = fixture_subscriber(net.node[1].router, 2, 1, 1);
    assert_int_equal(router_republish(net.node[0].router, p, &sdp, net.now_us), OK);
    run(&net, 200000);
    assert_int_equal(remote(&net, 1, 1)->n_tracks, 2);
    say_video(&net, 0, p, 100, true);
    assert_int_equal(subscriber_video(s, 0)->packets, 1);
    assert_int_equal(router_republish(net.node[0].router, p, &less, net.now_us), OK);
    run(&net, 200000);
    assert_int_equal(remote(&net, 1, 1)->n_tracks, 1);
    assert_null(subscriber_video(s, 0)->track);
    assert_non_null(subscriber_audio(s, 0)->track);
    close_net(&net);
}

/* What isn't looked at yet is known to be live all the same, and of which size. */
static void test_live_is_told(void **state)
{
    (void)state;
    struct net net;
    open_net(&net, 2);
    struct publisher *p = fixture_publisher(net.node[0].router, 1);
    run(&net, 200000);
    const struct track *t = publisher_track(remote(&net, 1, 1), SDP_SOURCE_CAMERA);
    assert_false(t->live);
    for (uint16_t i = 0; i < 60; i++) { /* six seconds: longer than silence takes to be seen */
        say_video(&net, 0, p, (uint16_t)(100 + i), true);
        run(&net, 100000);
    }
    assert_true(t->live);
    assert_int_equal(t->width, 640);
    assert_int_equal(t->height, 480);
    run(&net, 4000000);
    assert_false(t->live);
    close_net(&net);
}

static void test_a_star_of_three(void **state)
{
    (void)state;
    struct net net;
    open_net(&net, 3);
    struct publisher *p = fixture_publisher(net.node[1].router, 1);
    run(&net, 300000);
    assert_int_equal(remote(&net, 0, 1)->link, 2);
    assert_int_equal(remote(&net, 2, 1)->link, 1);
    assert_int_equal(remote(&net, 1, 1)->link, 0);
    struct subscriber *s = fixture_subscriber(net.node[2].router, 2, 1, 1);
    run(&net, 100000);
    assert_true(asks_for_picture(&net, p)); /* over two links */
    for (uint16_t i = 0; i < 20; i++) {
        say_video(&net, 1, p, (uint16_t)(100 + i), i == 0);
    }
    assert_int_equal(subscriber_video(s, 0)->packets, 20);
    assert_int_equal(net.count[RELAY_PACKET][1], 20);
    assert_int_equal(net.count[RELAY_PACKET][0], 20);
    assert_int_equal(net.count[RELAY_PACKET][2], 0);
    for (uint16_t seq = 0; seq < 100; seq++) { /* levels pass both too */
        say_audio(&net, 1, p, seq, 20);
        run(&net, 20000);
    }
    struct speaker active[4];
    const struct room *room = router_room(net.node[2].router, &fixture_room);
    assert_int_equal(speakers_active(room->speakers, active, 4), 1);
    router_unpublish(net.node[1].router, p, net.now_us);
    run(&net, 400000);
    assert_null(remote(&net, 0, 1));
    assert_null(remote(&net, 2, 1));
    close_net(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_track_appears_on_the_other_side),
        cmocka_unit_test(test_nothing_passes_that_nobody_wants),
        cmocka_unit_test(test_once_a_link),
        cmocka_unit_test(test_keyframes_are_asked_for_upstream),
        cmocka_unit_test(test_a_lost_packet_is_sent_again),
        cmocka_unit_test(test_levels_rank_and_the_loudest_passes),
        cmocka_unit_test(test_who_leaves_is_gone_beyond),
        cmocka_unit_test(test_tracks_come_and_go),
        cmocka_unit_test(test_live_is_told),
        cmocka_unit_test(test_a_star_of_three),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
