/* What broken copies of the router got away with: numbers older than what is remembered, what was
 * recovered, slots that are refused or paused, tracks that two would fit. */
#include "tests/unit/sfu/core/room_fixture.h"

struct scene {
    struct router *r;
    struct publisher *p;
    struct subscriber *s;
    struct slot *slot;
    int64_t now_us;
};

static void open_scene(struct scene *c)
{
    c->r = fixture_router(2048);
    c->p = fixture_publisher(c->r, 1);
    c->s = fixture_subscriber(c->r, 2, 1, 1);
    c->slot = subscriber_video(c->s, 0);
    c->now_us = START_US;
}

/* Whether it goes to the slot; *seq is what it leaves as. */
static bool passes(struct scene *c, uint16_t in, bool keyframe, uint16_t *seq)
{
    struct forward f;
    c->now_us += 33000;
    size_t n = fixture_route(c->r, c->p, fixture_video(c->r, 1, in, keyframe, c->now_us), &f);
    *seq = f.to.seq;
    return n == 1;
}

/* A number whose place in the window was free when it came too late for it. */
static void test_older_than_the_window(void **state)
{
    (void)state;
    struct scene c;
    uint16_t seq;
    open_scene(&c);
    for (uint16_t in = 1000; in <= 1000 + 2 * TRACK_WINDOW; in += 2) {
        assert_true(passes(&c, in, in == 1000, &seq));
    }
    const struct rtp_stats *stats = &c.p->track[1]->stream[0].stats;
    uint64_t before = stats->duplicates_or_late;
    assert_false(passes(&c, 1001, false, &seq));
    assert_int_equal(stats->duplicates_or_late, before + 1);
    assert_true(
        passes(&c, 1000 + 2 * TRACK_WINDOW - 1, false, &seq)); /* one that is not too late */
    router_free(c.r);
}

/* RFC 4588: what came by RTX is, byte for byte, what was lost. */
static void test_what_was_recovered_is_whole(void **state)
{
    (void)state;
    struct scene c;
    uint16_t seq;
    size_t n;
    struct track *t;
    open_scene(&c);
    assert_true(passes(&c, 100, true, &seq));
    struct packet *lost = fixture_video(c.r, 1, 101, false, c.now_us);
    assert_true(passes(&c, 102, false, &seq));

    uint8_t payload[2 + 40] = {0, 101};
    memcpy(payload + 2, packet_data(lost) + lost->header.payload_off, 40);
    struct rtp_out o = {
        .pt = RTX_PT, .marker = true, .seq = 900, .ts = 101 * 3000, .ssrc = RTX_SSRC(1)};
    struct packet *k = fixture_parsed(c.r, &o, payload, sizeof payload, c.now_us);
    const struct forward *f = router_packet(c.r, c.p, k, &n, &t);
    assert_int_equal(n, 1);
    assert_int_equal(f[0].to.seq, (uint16_t)(seq - 1));
    assert_int_equal(k->len, lost->len);
    assert_memory_equal(packet_data(k), packet_data(lost), lost->len);
    packet_unref(k);
    packet_unref(lost);
    router_free(c.r);
}

/* Nothing goes to a slot that the client refused, whatever was agreed before; and it is no switch.
 */
static void test_a_slot_that_is_refused_later(void **state)
{
    (void)state;
    struct scene c;
    uint16_t seq;
    open_scene(&c);
    assert_true(passes(&c, 100, true, &seq));
    c.slot->accepted = false;
    assert_false(passes(&c, 101, false, &seq));
    assert_int_equal(c.slot->packets, 1);
    router_free(c.r);
}

/* What was left out while a slot was paused is no gap to its receiver. */
static void test_no_gap_behind_a_pause(void **state)
{
    (void)state;
    struct scene c;
    uint16_t before, seq;
    open_scene(&c);
    c.s->decided = true; /* by an allocator */
    assert_true(passes(&c, 100, true, &before));
    assert_true(passes(&c, 101, false, &before));
    struct layers_target was = c.slot->layers.target, paused = was;
    paused.paused = true;
    slot_aim(c.slot, &paused, c.now_us);
    for (uint16_t in = 102; in < 110; in++) {
        assert_false(passes(&c, in, in == 105, &seq));
    }
    slot_aim(c.slot, &was, c.now_us);
    assert_false(passes(&c, 110, false, &seq)); /* not before a keyframe */
    assert_true(passes(&c, 111, true, &seq));
    assert_int_equal(seq, (uint16_t)(before + 1));
    router_free(c.r);
}

/* An SSRC that nobody named and that two tracks would fit is nobody's. */
static void test_two_tracks_that_would_fit(void **state)
{
    (void)state;
    struct router *r = fixture_router(64);
    struct sdp_publish sdp = fixture_sdp(1);
    struct publisher *p;
    struct track *t;
    size_t n;
    sdp.track[2] = sdp.track[1];
    sdp.track[2].source = SDP_SOURCE_SCREEN;
    sdp.track[2].mid[0] = '2';
    sdp.track[1].ssrc = sdp.track[2].ssrc = sdp.track[1].rtx_ssrc = sdp.track[2].rtx_ssrc = 0;
    sdp.n_tracks = 3;
    assert_int_equal(router_publish(r, &fixture_room, 1, &sdp, 1, START_US, &p), OK);
    router_publisher_ready(r, p, START_US);
    struct packet *k = fixture_video(r, 1, 100, true, START_US);
    (void)router_packet(r, p, k, &n, &t);
    assert_null(t);
    assert_int_equal(n, 0);
    packet_unref(k);
    router_free(r);
}

/* Sound has no RTX stream: its number is nobody's. */
static void test_ssrcs_that_are_none(void **state)
{
    (void)state;
    struct scene c;
    open_scene(&c);
    uint32_t audio = subscriber_audio(c.s, 0)->ssrc, video = c.slot->ssrc;
    assert_ptr_equal(subscriber_slot(c.s, audio), subscriber_audio(c.s, 0));
    assert_ptr_equal(subscriber_slot(c.s, c.slot->rtx_ssrc), c.slot);
    assert_null(subscriber_slot(c.s, audio | (c.slot->rtx_ssrc ^ video)));
    assert_null(subscriber_slot(c.s, audio + 1));
    assert_null(subscriber_slot(c.s, video + 1));
    assert_null(subscriber_slot(c.s, video ^ 0x100));
    router_free(c.r);
}

/* What says that it is RED and isn't (RFC 2198) is dropped and counted. */
static void test_red_that_is_none(void **state)
{
    (void)state;
    struct router *r = fixture_router(64);
    struct sdp_publish sdp = fixture_sdp(1);
    struct publisher *p;
    struct counters counted;
    static const uint8_t endless[8] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    sdp.track[0].n_codecs = 2;
    sdp.track[0].codec[0] = (struct sdp_agreed){.codec = CODEC_OPUS, .pt = AUDIO_PT};
    sdp.track[0].codec[1] = (struct sdp_agreed){.codec = CODEC_RED, .pt = 63};
    assert_int_equal(router_publish(r, &fixture_room, 1, &sdp, 1, START_US, &p), OK);
    router_publisher_ready(r, p, START_US);
    (void)fixture_subscriber(r, 2, 1, 1);
    struct rtp_out o = {.pt = 63, .seq = 7, .ts = 960, .ssrc = AUDIO_SSRC(1)};
    struct packet *k = fixture_parsed(r, &o, endless, sizeof endless, START_US);
    assert_int_equal(fixture_route(r, p, k, NULL), 0);
    track_counters(p->track[0], 0, &counted);
    assert_int_equal(counted.n[COUNTER_DROPPED], 1);
    router_free(r);
}

/* The upper layers of a key picture begin nothing by themselves. */
static void test_where_a_picture_begins(void **state)
{
    (void)state;
    struct codec_info info = {.keyframe = true};
    struct layers_packet p = {.codec = CODEC_VP9, .info = &info};
    assert_true(layers_is_key(&p));
    info.sid = 1;
    assert_false(layers_is_key(&p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_older_than_the_window),
        cmocka_unit_test(test_what_was_recovered_is_whole),
        cmocka_unit_test(test_a_slot_that_is_refused_later),
        cmocka_unit_test(test_no_gap_behind_a_pause),
        cmocka_unit_test(test_two_tracks_that_would_fit),
        cmocka_unit_test(test_ssrcs_that_are_none),
        cmocka_unit_test(test_red_that_is_none),
        cmocka_unit_test(test_where_a_picture_begins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
