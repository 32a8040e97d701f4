/* Links that lose and break, people who move, rooms that end, frames that make no sense. */
#include "tests/unit/sfu/core/relay_fixture.h"

/* A third of all frames is lost: state and packets heal. */
static void test_a_link_that_loses(void **state)
{
    (void)state;
    struct net net;
    open_net(&net, 2);
    net.loss = 33;
    net.random = 4711;
    struct publisher *p = fixture_publisher(net.node[0].router, 1);
    struct subscriber *s = fixture_subscriber(net.node[1].router, 2, 1, 1);
    run(&net, 5000000);
    assert_non_null(subscriber_video(s, 0)->track);
    uint16_t seq = 100;
    say_video(&net, 0, p, seq++, true);
    for (int i = 0; i < 300; i++) {
        say_video(&net, 0, p, seq++, asks_for_picture(&net, p));
        run(&net, 10000);
    }
    run(&net, 500000);
    /* Ten tries a packet, and the first keyframe may take a while. */
    assert_true(subscriber_video(s, 0)->packets > 250);
    router_unsubscribe(net.node[1].router, s, net.now_us);
    run(&net, RELAY_EXPIRE_US + 1000000); /* whether or not it was told: nobody asks any more */
    size_t before = net.count[RELAY_PACKET][0];
    say_video(&net, 0, p, seq++, true);
    assert_int_equal(net.count[RELAY_PACKET][0], before);
    router_unpublish(net.node[0].router, p, net.now_us);
    run(&net, RELAY_EXPIRE_US + 1000000);
    assert_null(remote(&net, 1, 1));
    close_net(&net);
}

static void test_a_link_that_breaks_and_comes_back(void **state)
{
    (void)state;
    struct net net;
    open_net(&net, 2);
    struct publisher *p = fixture_publisher(net.node[0].router, 1);
    struct subscriber *s = fixture_subscriber(net.node[1].router, 2, 1, 1);
    run(&net, 300000);
    relay_shut(net.node[0].relay, 1, net.now_us);
    relay_shut(net.node[1].relay, 0, net.now_us);
    assert_null(remote(&net, 1, 1));
    assert_null(subscriber_video(s, 0)->track);
    say_video(&net, 0, p, 100, true);
    assert_int_equal(net.count[RELAY_PACKET][0], 0);
    relay_open(net.node[0].relay, 1);
    relay_open(net.node[1].relay, 0);
    run(&net, 300000);
    assert_non_null(subscriber_video(s, 0)->track);
    say_video(&net, 0, p, 101, true);
    assert_int_equal(subscriber_video(s, 0)->packets, 1);
    close_net(&net);
}

/* A participant who moves: his own publisher here is worth more than what a link tells of him. */
static void test_one_of_ours_takes_the_place(void **state)
{
    (void)state;
    struct net net;
    open_net(&net, 2);
    struct publisher *there = fixture_publisher(net.node[0].router, 1);
    run(&net, 300000);
    assert_int_equal(remote(&net, 1, 1)->link, 1);
    struct publisher *here = fixture_publisher(net.node[1].router, 1);
    assert_ptr_equal(remote(&net, 1, 1), here);
    say_video(&net, 0, there, 100, true);
    run(&net, 2500000); /* he is announced again meanwhile */
    assert_ptr_equal(remote(&net, 1, 1), here);
    assert_ptr_equal(remote(&net, 0, 1), there);
    router_unpublish(net.node[0].router, there, net.now_us);
    run(&net, 2500000);
    assert_int_equal(remote(&net, 0, 1)->link, 2);
    router_unpublish(net.node[1].router, here, net.now_us);
    run(&net, 300000);
    assert_null(remote(&net, 0, 1));
    close_net(&net);
}

static void test_rooms_that_are_left(void **state)
{
    (void)state;
    struct net net;
    open_net(&net, 2);
    struct publisher *p = fixture_publisher(net.node[0].router, 1);
    fixture_subscriber(net.node[1].router, 2, 1, 1);
    run(&net, 300000);
    relay_leave_all(net.node[1].relay, &fixture_room, net.now_us);
    assert_null(remote(&net, 1, 1));
    run(&net, 2500000); /* what is still announced is of no room that is shared */
    assert_null(remote(&net, 1, 1));
    relay_leave(net.node[0].relay, 1, &fixture_room, net.now_us);
    say_video(&net, 0, p, 100, true);
    assert_int_equal(net.count[RELAY_PACKET][0], 0);
    assert_int_equal(relay_join(net.node[0].relay, RELAY_MAX_LINKS, &fixture_room, false),
                     ERR_INVALID);
    close_net(&net);
}

/* The reports that lips are kept in step by. */
static void test_reports_pass(void **state)
{
    (void)state;
    struct net net;
    open_net(&net, 2);
    struct publisher *p = fixture_publisher(net.node[0].router, 1);
    fixture_subscriber(net.node[1].router, 2, 1, 1);
    run(&net, 300000);
    struct rtcp_sender_info info = {.ntp = UINT64_C(0xe0000000) << 32, .rtp_ts = 12345};
    uint8_t rtcp[100];
    struct writer w;
    writer_init(&w, rtcp, sizeof rtcp);
    rtcp_write_sr(&w, VIDEO_SSRC(1), &info, NULL, 0);
    assert_int_equal(publisher_rtcp(p, rtcp, w.len, net.now_us, net.now_us), OK);
    run(&net, 200000);
    const struct track *t = publisher_track(remote(&net, 1, 1), SDP_SOURCE_CAMERA);
    assert_true(t->stream[0].sr.known);
    assert_true(t->stream[0].sr.ntp == info.ntp);
    assert_int_equal(t->stream[0].sr.rtp_ts, 12345);
    assert_int_equal(net.count[RELAY_REPORT][0], 1);
    close_net(&net);
}

static void test_frames_of_nothing_known(void **state)
{
    (void)state;
    struct net net;
    struct packet *resend[4];
    size_t n;
    open_net(&net, 2);
    for (int type = RELAY_ANNOUNCE; type <= RELAY_SOLICIT; type++) {
        struct relay_frame f = {.type = (enum relay_frame_type)type, .track = 99, .n_seqs = 3};
        f.room = (struct id){"01890a5d-ac96-774b-bcce-b302099a8000"};
        f.participant = 1;
        f.description = (struct relay_description){
            .n_codecs = 1, .n_layers = 1, .clock_rate = 90000, .video = true};
        f.n_levels = 1;
        f.level[0].track = 99;
        int err = relay_input(net.node[1].relay, 0, &f, net.now_us, 0, resend, 4, &n);
        assert_true(err == OK || err == ERR_NOT_FOUND);
        assert_int_equal(n, 0);
        err = relay_input(net.node[1].relay, 5, &f, net.now_us, 0, resend, 4, &n);
        assert_int_equal(err, ERR_NOT_FOUND); /* no such link */
    }
    assert_false(takes(&net, 1, 0, 99, 0));
    assert_false(takes(&net, 1, 99, 99, 0));
    struct relay_frame f = {
        .type = RELAY_ANNOUNCE,
        .track = 1,
        .room = fixture_room,
        .participant = 1,
        .description = {.n_codecs = 1, .n_layers = 1, .clock_rate = 1, .source = 200}};
    assert_int_equal(relay_input(net.node[1].relay, 0, &f, net.now_us, 0, resend, 4, &n),
                     ERR_INVALID);
    close_net(&net);
}

/* More tracks than a publisher may have: the first ones are shown, nothing breaks. */
static void test_too_many_tracks(void **state)
{
    (void)state;
    struct net net;
    struct packet *resend[4];
    size_t n;
    open_net(&net, 2);
    for (uint32_t i = 1; i <= SDP_MAX_TRACKS + 4; i++) {
        struct relay_frame f = {.type = RELAY_ANNOUNCE,
                                .track = i,
                                .room = fixture_room,
                                .participant = 1,
                                .description = {.n_codecs = 1,
                                                .codec = {{1, 111}},
                                                .n_layers = 1,
                                                .clock_rate = 48000,
                                                .source = 1}};
        (void)relay_input(net.node[1].relay, 0, &f, net.now_us, 0, resend, 4, &n);
    }
    assert_int_equal(remote(&net, 1, 1)->n_tracks, SDP_MAX_TRACKS);
    assert_false(takes(&net, 1, 0, SDP_MAX_TRACKS + 4, 0));
    struct relay_frame gone = {.type = RELAY_WITHDRAW, .track = 1};
    assert_int_equal(relay_input(net.node[1].relay, 0, &gone, net.now_us, 0, resend, 4, &n), OK);
    assert_true(takes(&net, 1, 0, SDP_MAX_TRACKS + 1, 0));
    assert_false(takes(&net, 1, 0, SDP_MAX_TRACKS + 1, 1)); /* of a layer that it hasn't */
    assert_false(takes(&net, 1, 0, 1, 0));
    close_net(&net);
}

/* Nothing passes any more, not even that they are gone: what is not told again goes by itself. */
static void test_a_link_that_falls_silent(void **state)
{
    (void)state;
    struct net net;
    open_net(&net, 2);
    (void)fixture_publisher(net.node[0].router, 1);
    (void)fixture_subscriber(net.node[1].router, 2, 1, 1);
    run(&net, 300000);
    assert_non_null(remote(&net, 1, 1));
    net.loss = 100;
    run(&net, RELAY_EXPIRE_US + 2000000);
    assert_null(remote(&net, 1, 1));
    close_net(&net);
}

/* No more is sent again than there is room for, whatever is asked. */
static void test_resends_are_bounded(void **state)
{
    (void)state;
    struct net net;
    struct packet *resend[6] = {0};
    size_t n;
    open_net(&net, 2);
    struct publisher *p = fixture_publisher(net.node[0].router, 1);
    (void)fixture_subscriber(net.node[1].router, 2, 1, 1);
    run(&net, 300000);
    struct relay_frame f = {.type = RELAY_NACK, .track = p->track[1]->source, .n_seqs = 5};
    for (uint16_t seq = 100; seq < 105; seq++) {
        say_video(&net, 0, p, seq, seq == 100);
        f.seq[seq - 100] = seq;
    }
    assert_int_equal(relay_input(net.node[0].relay, 1, &f, net.now_us, 0, resend, 2, &n), OK);
    assert_int_equal(n, 2);
    assert_null(resend[2]);
    assert_int_equal(relay_input(net.node[0].relay, 1, &f, net.now_us, 0, resend, 6, &n), OK);
    assert_int_equal(n, 5);
    close_net(&net);
}

/* Of a layer that the track hasn't: there is nothing behind its last stream. */
static void test_reports_of_no_layer(void **state)
{
    (void)state;
    struct net net;
    struct packet *resend[4];
    size_t n;
    open_net(&net, 2);
    struct publisher *p = fixture_publisher(net.node[0].router, 1);
    run(&net, 300000);
    for (uint8_t layer = 0; layer < RELAY_MAX_LAYERS; layer++) {
        struct relay_frame f = {.type = RELAY_REPORT,
                                .track = p->track[1]->source,
                                .layer = layer,
                                .info = {.ntp = UINT64_C(0xe0000000) << 32, .rtp_ts = 1}};
        int err = relay_input(net.node[1].relay, 0, &f, net.now_us, 0, resend, 4, &n);
        assert_int_equal(err, layer ? ERR_NOT_FOUND : OK);
    }
    close_net(&net);
}

static void test_codecs_that_are_none(void **state)
{
    (void)state;
    struct net net;
    struct packet *resend[4];
    size_t n;
    open_net(&net, 2);
    struct relay_frame f = {.type = RELAY_ANNOUNCE,
                            .track = 1,
                            .room = fixture_room,
                            .participant = 1,
                            .description = {.n_codecs = 2,
                                            .codec = {{CODEC_OPUS, 111}, {CODECS, 112}},
                                            .n_layers = 1,
                                            .clock_rate = 48000,
                                            .source = 1}};
    assert_int_equal(relay_input(net.node[1].relay, 0, &f, net.now_us, 0, resend, 4, &n),
                     ERR_INVALID);
    assert_null(remote(&net, 1, 1));
    close_net(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_link_that_loses),
        cmocka_unit_test(test_a_link_that_breaks_and_comes_back),
        cmocka_unit_test(test_one_of_ours_takes_the_place),
        cmocka_unit_test(test_rooms_that_are_left),
        cmocka_unit_test(test_reports_pass),
        cmocka_unit_test(test_frames_of_nothing_known),
        cmocka_unit_test(test_too_many_tracks),
        cmocka_unit_test(test_a_link_that_falls_silent),
        cmocka_unit_test(test_resends_are_bounded),
        cmocka_unit_test(test_reports_of_no_layer),
        cmocka_unit_test(test_codecs_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
