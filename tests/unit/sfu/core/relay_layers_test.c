/* Simulcast and codecs over links: those get the layers they want who are beyond, and a link
 * carries no others. */
#include "tests/unit/sfu/core/relay_fixture.h"

#define LAYERS     3
#define FRAME_US   30000
#define LAYER_SSRC 0x5000u
#define DD_ID      12

static const uint16_t width_of[LAYERS] = {320, 640, 1280}, height_of[LAYERS] = {180, 360, 720};

/* Publisher 1 on node 0 and how far his streams are. */
struct sender {
    struct publisher *publisher;
    uint16_t seq[LAYERS];
    uint32_t ssrc[LAYERS];
    bool keyframe[LAYERS]; /* the next frame is one */
};

static struct track *camera(const struct publisher *p)
{
    return publisher_track(p, SDP_SOURCE_CAMERA);
}

static void open_sender(struct sender *s, struct net *net)
{
    struct sdp_publish sdp = fixture_sdp(1);
    memset(s, 0, sizeof *s);
    sdp.track[1].n_layers = LAYERS;
    for (size_t i = 0; i < LAYERS; i++) {
        s->ssrc[i] = sdp.track[1].layer[i].ssrc = LAYER_SSRC + (uint32_t)i;
        s->seq[i] = (uint16_t)(1000 * i);
        s->keyframe[i] = true;
    }
    sdp.track[1].ssrc = LAYER_SSRC;
    assert_int_equal(
        router_publish(net->node[0].router, &fixture_room, 1, &sdp, 77, net->now_us, &s->publisher),
        OK);
    router_publisher_ready(net->node[0].router, s->publisher, net->now_us);
}

static void send_layer(struct sender *s, struct net *net, size_t i)
{
    uint8_t frame[200] = {0x90, 0xe0, 0x80, (uint8_t)s->seq[i], (uint8_t)s->seq[i], 0x20};
    bool key = s->keyframe[i];
    frame[6] = key ? 0x10 : 0x11;
    frame[9] = 0x9d;
    frame[10] = 0x01;
    frame[11] = 0x2a;
    frame[12] = (uint8_t)width_of[i];
    frame[13] = (uint8_t)(width_of[i] >> 8);
    frame[14] = (uint8_t)height_of[i];
    frame[15] = (uint8_t)(height_of[i] >> 8);
    struct rtp_out o = {.pt = VIDEO_PT,
                        .marker = true,
                        .seq = ++s->seq[i],
                        .ts = (uint32_t)(net->now_us / 1000 * 90),
                        .ssrc = s->ssrc[i]};
    size_t len = 40 * (i + 1) + (key ? 60 : 0);
    s->keyframe[i] = false;
    say(net, 0, s->publisher, fixture_parsed(net->node[0].router, &o, frame, len, net->now_us));
}

/* A second of video has 33 frames; a stream that is asked for a picture begins with one. */
static void film(struct sender *s, struct net *net, int64_t for_us)
{
    for (int64_t end_us = net->now_us + for_us; net->now_us < end_us;) {
        for (size_t i = 0; i < LAYERS; i++) {
            struct track_stream *of = &camera(s->publisher)->stream[i];
            bool asked = track_is_watched(camera(s->publisher), (uint8_t)i) &&
                         pli_poll(&of->pli, net->now_us);
            s->keyframe[i] |= asked;
            send_layer(s, net, i);
        }
        run(net, FRAME_US);
    }
}

static void look(struct net *net, struct subscriber *s, uint32_t max_height)
{
    struct room_view view = {
        .slot = 0,
        .wish = {.participant = 1, .source = SDP_SOURCE_CAMERA, .max_height = max_height}};
    assert_int_equal(router_view(net->node[1].router, s, &view, 1, net->now_us), OK);
}

static struct subscriber *viewer(struct net *net, uint32_t number, uint32_t max_height)
{
    struct subscriber *s = fixture_subscriber(net->node[1].router, number, 1, 1);
    look(net, s, max_height);
    return s;
}

/* The height of what the viewer gets. */
static int height(const struct subscriber *s)
{
    struct slot_told told;
    slot_tell(subscriber_video(s, 0), &told);
    return told.stream < 0 ? 0 : told.height;
}

static void count_anew(struct net *net)
{
    memset(net->carried, 0, sizeof net->carried);
}

static void test_only_what_is_wanted_passes(void **state)
{
    (void)state;
    struct net net;
    struct sender s;
    open_net(&net, 2);
    open_sender(&s, &net);
    film(&s, &net, 1000000);
    assert_int_equal(net.carried[0] + net.carried[1] + net.carried[2], 0);
    struct subscriber *ben = viewer(&net, 2, 180), *cleo = viewer(&net, 3, 180);
    film(&s, &net, 1000000);
    assert_int_equal(height(ben), 180);
    assert_int_equal(height(cleo), 180);
    assert_int_equal(net.carried[1] + net.carried[2], 0);
    assert_in_range(net.carried[0], 25, 34); /* once, for both */

    look(&net, ben, 720);
    film(&s, &net, 500000);
    assert_int_equal(height(ben), 720);
    assert_int_equal(height(cleo), 180);
    count_anew(&net);
    film(&s, &net, 1000000);
    assert_in_range(net.carried[0], 33, 34);
    assert_int_equal(net.carried[1], 0);
    assert_in_range(net.carried[2], 33, 34);

    look(&net, cleo, 0); /* as large as there is */
    film(&s, &net, 500000);
    assert_int_equal(height(cleo), 720);
    count_anew(&net);
    uint64_t asked = camera(remote(&net, 1, 1))->stream[2].nack.asked;
    film(&s, &net, 3000000);
    assert_int_equal(net.carried[0] + net.carried[1], 0);
    assert_in_range(net.carried[2], 99, 101);

    look(&net, ben, 180); /* again, after a pause in its numbers */
    look(&net, cleo, 180);
    film(&s, &net, 1000000);
    assert_int_equal(height(ben), 180);
    assert_int_equal(camera(remote(&net, 1, 1))->stream[0].nack.asked, 0);
    assert_int_equal(camera(remote(&net, 1, 1))->stream[2].nack.asked, asked);
    close_net(&net);
}

/* A layer that its publisher stops isn't wanted any more, and the next best one comes. */
static void test_a_layer_ends(void **state)
{
    (void)state;
    struct net net;
    struct sender s;
    open_net(&net, 2);
    open_sender(&s, &net);
    film(&s, &net, 1000000);
    struct subscriber *ben = viewer(&net, 2, 0);
    film(&s, &net, 1000000);
    assert_int_equal(height(ben), 720);
    for (int64_t end_us = net.now_us + 4000000; net.now_us < end_us;) {
        for (size_t i = 0; i < 2; i++) {
            s.keyframe[i] |= pli_poll(&camera(s.publisher)->stream[i].pli, net.now_us);
            send_layer(&s, &net, i);
        }
        run(&net, FRAME_US);
    }
    assert_int_equal(height(ben), 360);
    count_anew(&net);
    film(&s, &net, 2000000); /* and back */
    assert_int_equal(height(ben), 720);
    close_net(&net);
}

/* What a lossy link loses of a layer is asked of that layer's numbers. */
static void test_repair(void **state)
{
    (void)state;
    struct net net;
    struct sender s;
    open_net(&net, 2);
    open_sender(&s, &net);
    film(&s, &net, 1000000);
    viewer(&net, 2, 360);
    film(&s, &net, 1000000);
    net.loss = 10;
    film(&s, &net, 3000000);
    net.loss = 0;
    film(&s, &net, 500000);
    const struct track_stream *far = &camera(remote(&net, 1, 1))->stream[1];
    assert_true(far->nack.asked > 5);
    assert_true(far->nack.recovered > 5);
    assert_int_equal(far->nack.n, 0);
    close_net(&net);
}

/* A publisher whose stream began anew under another SSRC: its numbers may lie anywhere. */
static void test_another_ssrc(void **state)
{
    (void)state;
    struct net net;
    struct sender s;
    open_net(&net, 2);
    open_sender(&s, &net);
    film(&s, &net, 1000000);
    struct subscriber *ben = viewer(&net, 2, 360);
    film(&s, &net, 1000000);
    assert_int_equal(height(ben), 360);
    struct track *near = camera(s.publisher), *far = camera(remote(&net, 1, 1));
    for (size_t i = 0; i < s.publisher->n_streams; i++) {
        if (s.publisher->stream[i].track == near && s.publisher->stream[i].at == 1) {
            s.publisher->stream[i].ssrc = 0x9999;
        }
    }
    s.ssrc[1] = 0x9999;
    s.seq[1] = 40000;
    s.keyframe[1] = true;
    film(&s, &net, 1000000);
    assert_ptr_equal(camera(remote(&net, 1, 1)), far);
    assert_int_equal(far->stream[1].stats.ssrc, 0x9999);
    assert_int_equal(height(ben), 360);
    assert_true(net.now_us - subscriber_video(ben, 0)->last_us < 100000);
    close_net(&net);
}

/* All that is agreed is told: formats by payload type, the descriptor and its extension. */
static void test_codecs(void **state)
{
    (void)state;
    struct net net;
    struct publisher *p;
    struct sdp_publish sdp = fixture_sdp(1);
    struct sdp_track *video = &sdp.track[1], *sound = &sdp.track[0];
    video->codec[video->n_codecs++] =
        (struct sdp_agreed){.codec = CODEC_AV1, .pt = 45, .rtx_pt = 46};
    video->codec[video->n_codecs++] =
        (struct sdp_agreed){.codec = CODEC_VP9, .pt = 98, .rtx_pt = 99};
    video->pt = 45;
    video->ext.id[RTP_EXT_DEPENDENCY_DESCRIPTOR] = DD_ID;
    sound->codec[sound->n_codecs++] = (struct sdp_agreed){.codec = CODEC_RED, .pt = 63};
    sound->codec[sound->n_codecs++] = (struct sdp_agreed){.codec = CODEC_OPUS, .pt = AUDIO_PT};
    open_net(&net, 3);
    assert_int_equal(router_publish(net.node[1].router, &fixture_room, 1, &sdp, 7, net.now_us, &p),
                     OK);
    router_publisher_ready(net.node[1].router, p, net.now_us);
    run(&net, 300000);
    for (uint32_t at = 0; at < 3; at += 2) { /* the home, and by it the other branch */
        bool rtx;
        const struct track *t = camera(remote(&net, at, 1));
        assert_int_equal(t->sdp.n_codecs, 2);
        assert_int_equal(track_agreed(t, 45, &rtx)->codec, CODEC_AV1);
        assert_int_equal(track_agreed(t, 98, &rtx)->codec, CODEC_VP9);
        assert_null(track_agreed(t, VIDEO_PT, &rtx));
        assert_int_equal(t->publisher->ext.id[RTP_EXT_DEPENDENCY_DESCRIPTOR], DD_ID);
        assert_non_null(t->stream[0].dd);
        assert_int_equal(t->n_streams, 1);
        t = publisher_track(remote(&net, at, 1), SDP_SOURCE_MICROPHONE);
        assert_int_equal(track_agreed(t, 63, &rtx)->codec, CODEC_RED);
    }
    close_net(&net);
}

/* Who is two links away gets what the home has nobody for. */
static void test_through_the_home(void **state)
{
    (void)state;
    struct net net;
    struct sender s;
    open_net(&net, 3);
    open_sender(&s, &net); /* on the home: seen on node 1 in 180, on node 2 in 720 */
    film(&s, &net, 1000000);
    struct subscriber *ben = viewer(&net, 2, 180);
    struct subscriber *cleo = fixture_subscriber(net.node[2].router, 3, 1, 1);
    film(&s, &net, 1500000);
    assert_int_equal(height(ben), 180);
    assert_int_equal(height(cleo), 720);
    struct publisher *dora = fixture_publisher(net.node[2].router, 4);
    struct subscriber *ed = viewer(&net, 5, 0);
    run(&net, 300000);
    look(&net, ed, 0);
    struct room_view view = {.wish = {.participant = 4, .source = SDP_SOURCE_CAMERA}};
    assert_int_equal(router_view(net.node[1].router, ed, &view, 1, net.now_us), OK);
    run(&net, 100000);
    assert_true(asks_for_picture(&net, dora));
    for (uint16_t i = 0; i < 10; i++) {
        say_video(&net, 2, dora, (uint16_t)(100 + i), i == 0);
        run(&net, FRAME_US);
    }
    assert_int_equal(height(ed), 480);
    close_net(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_what_is_wanted_passes),
        cmocka_unit_test(test_a_layer_ends),
        cmocka_unit_test(test_repair),
        cmocka_unit_test(test_another_ssrc),
        cmocka_unit_test(test_codecs),
        cmocka_unit_test(test_through_the_home),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
