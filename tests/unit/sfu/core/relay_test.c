/* Routers that share a room over links in the process, which may lose frames. Everything passes as
 * bytes. */
#include "tests/unit/sfu/core/room_fixture.h"

#include <stdlib.h>

#include "lib/proto/rtcp.h"
#include "sfu/core/relay.h"

#define MAX_NODES  3
#define MAX_QUEUED 4096

/* Link i of a node leads to node i. */
struct node {
    struct router *router;
    struct relay *relay;
    size_t forwarded; /* packets that went into slots here */
    struct forward last;
};

struct queued {
    uint32_t from, to;
    size_t len;
    uint8_t data[RELAY_MAX_FRAME];
};

struct net {
    size_t n;
    struct node node[MAX_NODES];
    int64_t now_us;
    unsigned loss; /* frames lost, of 100 */
    uint32_t random;
    bool drop_packets;
    size_t count[16][MAX_NODES]; /* frames by type and sender */
    size_t n_queued;
    struct queued *queue;
    uint32_t sender;
};

static bool loses(struct net *net)
{
    net->random = net->random * 1664525u + 1013904223u;
    return (net->random >> 16) % 100 < net->loss;
}

static void put(struct net *net, uint32_t from, uint32_t to, const struct relay_frame *f)
{
    struct queued *q = &net->queue[net->n_queued];
    net->count[f->type][from]++;
    if (loses(net) || (f->type == RELAY_PACKET && net->drop_packets)) {
        return;
    }
    assert_true(net->n_queued < MAX_QUEUED);
    int n = relay_frame_write(f, q->data, sizeof q->data);
    assert_true(n > 0);
    q->from = from;
    q->to = to;
    q->len = (size_t)n;
    net->n_queued++;
}

static void send_frame(void *arg, uint32_t link, const struct relay_frame *f)
{
    struct net *net = arg;
    put(net, net->sender, link, f);
}

static void send_packet(struct net *net, uint32_t from, uint32_t to, uint32_t track,
                        struct packet *k)
{
    struct relay_frame f = {
        .type = RELAY_PACKET, .track = track, .payload = packet_data(k), .payload_len = k->len};
    put(net, from, to, &f);
}

/* What the worker does behind router_packet and router_track_packet. */
static void spread(struct net *net, uint32_t at, const struct forward *f, size_t n,
                   const struct track *t, struct packet *k)
{
    struct node *node = &net->node[at];
    node->forwarded += n;
    if (n) {
        node->last = f[0];
    }
    uint64_t links = router_relays(node->router);
    for (uint32_t i = 0; i < net->n; i++) {
        if (links >> i & 1) {
            send_packet(net, at, i, t->source, k);
        }
    }
}

static void take_packet(struct net *net, const struct queued *q, const struct relay_frame *f)
{
    struct node *node = &net->node[q->to];
    struct track *t = relay_track(node->relay, q->from, f->track);
    size_t n;
    if (!t) {
        return;
    }
    struct packet *k = router_alloc(node->router);
    assert_non_null(k);
    memcpy(packet_data(k), f->payload, f->payload_len);
    k->len = (uint16_t)f->payload_len;
    k->arrival_us = net->now_us;
    assert_int_equal(rtp_parse(&k->header, packet_data(k), k->len), OK);
    const struct forward *list = router_track_packet(node->router, t, k, false, &n);
    spread(net, q->to, list, n, t, k);
    packet_unref(k);
}

static void deliver(struct net *net)
{
    for (size_t i = 0; i < net->n_queued; i++) { /* more may come behind meanwhile */
        const struct queued *q = &net->queue[i];
        struct node *node = &net->node[q->to];
        struct relay_frame f;
        struct packet *resend[RELAY_MAX_SEQS];
        size_t n = 0;
        assert_int_equal(relay_frame_read(&f, q->data, q->len), OK);
        if (f.type == RELAY_PACKET) {
            take_packet(net, q, &f);
            continue;
        }
        (void)relay_input(node->relay, q->from, &f, net->now_us, net->now_us, resend,
                          RELAY_MAX_SEQS, &n);
        for (size_t k = 0; k < n; k++) {
            send_packet(net, q->to, q->from, f.track, resend[k]);
        }
    }
    net->n_queued = 0;
}

static void run(struct net *net, int64_t for_us)
{
    struct router_event e;
    for (int64_t end_us = net->now_us + for_us; net->now_us < end_us;
         net->now_us += RELAY_TICK_US) {
        for (net->sender = 0; net->sender < net->n; net->sender++) {
            struct node *node = &net->node[net->sender];
            relay_tick(node->relay, net->now_us, send_frame, net);
            if (net->now_us % ROUTER_TICK_US == 0) {
                router_tick(node->router, net->now_us);
            }
            while (router_poll(node->router, net->now_us, &e)) {
            }
        }
        deliver(net);
    }
}

/* Node 0 is the home; the others are its branches. */
static void open_net(struct net *net, size_t n)
{
    memset(net, 0, sizeof *net);
    net->queue = calloc(MAX_QUEUED, sizeof *net->queue);
    assert_non_null(net->queue);
    net->n = n;
    net->now_us = START_US;
    for (size_t i = 0; i < n; i++) {
        net->node[i].router = fixture_router(2048);
        net->node[i].relay = relay_new(net->node[i].router);
        assert_non_null(net->node[i].relay);
    }
    for (uint32_t i = 1; i < n; i++) {
        relay_open(net->node[0].relay, i);
        relay_open(net->node[i].relay, 0);
        assert_int_equal(relay_join(net->node[0].relay, i, &fixture_room, false), OK);
        assert_int_equal(relay_join(net->node[i].relay, 0, &fixture_room, true), OK);
    }
}

static void close_net(struct net *net)
{
    for (size_t i = 0; i < net->n; i++) {
        relay_free(net->node[i].relay, net->now_us);
        router_free(net->node[i].router);
    }
    free(net->queue);
}

static void say(struct net *net, uint32_t at, struct publisher *p, struct packet *k)
{
    size_t n;
    struct track *t;
    const struct forward *f = router_packet(net->node[at].router, p, k, &n, &t);
    assert_non_null(t);
    spread(net, at, f, n, t, k);
    packet_unref(k);
    deliver(net);
}

static void say_audio(struct net *net, uint32_t at, struct publisher *p, uint16_t seq,
                      uint8_t level)
{
    say(net, at, p, fixture_audio(net->node[at].router, p->number, seq, level, net->now_us));
}

static void say_video(struct net *net, uint32_t at, struct publisher *p, uint16_t seq,
                      bool keyframe)
{
    say(net, at, p, fixture_video(net->node[at].router, p->number, seq, keyframe, net->now_us));
}

static struct publisher *remote(struct net *net, uint32_t at, uint32_t number)
{
    struct participant *p = router_find(net->node[at].router, &fixture_room, number);
    return p ? p->publisher : NULL;
}

/* Whether the publisher is asked for a keyframe now. */
static bool asks_for_picture(struct net *net, struct publisher *p)
{
    uint8_t out[1200];
    struct publisher_feedback count = {0};
    while (publisher_poll(p, out, sizeof out, net->now_us, &count) > 0) {
    }
    return count.plis > 0;
}

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
    assert_true(t->sr.known);
    assert_true(t->sr.ntp == info.ntp);
    assert_int_equal(t->sr.rtp_ts, 12345);
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
        f.description = (struct relay_description){.layers = 1, .clock_rate = 90000, .video = true};
        f.n_levels = 1;
        f.level[0].track = 99;
        int err = relay_input(net.node[1].relay, 0, &f, net.now_us, 0, resend, 4, &n);
        assert_true(err == OK || err == ERR_NOT_FOUND);
        assert_int_equal(n, 0);
        err = relay_input(net.node[1].relay, 5, &f, net.now_us, 0, resend, 4, &n);
        assert_int_equal(err, ERR_NOT_FOUND); /* no such link */
    }
    assert_null(relay_track(net.node[1].relay, 0, 99));
    assert_null(relay_track(net.node[1].relay, 99, 99));
    struct relay_frame f = {.type = RELAY_ANNOUNCE,
                            .track = 1,
                            .room = fixture_room,
                            .participant = 1,
                            .description = {.layers = 1, .clock_rate = 1, .source = 200}};
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
        struct relay_frame f = {
            .type = RELAY_ANNOUNCE,
            .track = i,
            .room = fixture_room,
            .participant = 1,
            .description = {.layers = 1, .clock_rate = 48000, .pt = 111, .source = 1}};
        (void)relay_input(net.node[1].relay, 0, &f, net.now_us, 0, resend, 4, &n);
    }
    assert_int_equal(remote(&net, 1, 1)->n_tracks, SDP_MAX_TRACKS);
    assert_null(relay_track(net.node[1].relay, 0, SDP_MAX_TRACKS + 4));
    struct relay_frame gone = {.type = RELAY_WITHDRAW, .track = 1};
    assert_int_equal(relay_input(net.node[1].relay, 0, &gone, net.now_us, 0, resend, 4, &n), OK);
    assert_non_null(relay_track(net.node[1].relay, 0, SDP_MAX_TRACKS + 1));
    assert_null(relay_track(net.node[1].relay, 0, 1));
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
        cmocka_unit_test(test_a_link_that_loses),
        cmocka_unit_test(test_a_link_that_breaks_and_comes_back),
        cmocka_unit_test(test_one_of_ours_takes_the_place),
        cmocka_unit_test(test_rooms_that_are_left),
        cmocka_unit_test(test_reports_pass),
        cmocka_unit_test(test_frames_of_nothing_known),
        cmocka_unit_test(test_too_many_tracks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
