/* Simulcast through the router: streams found by RIDs, layers by height, retransmissions of each,
 * numbers that go on across switches. */
#include "layers_fixture.h"

struct scene {
    struct router *r;
    struct publisher *p;
    struct subscriber *s;
    struct made_video v[3];
    struct seen seen;
    int64_t now_us;
};

static void open_scene(struct scene *c, enum codec codec, const char *const *rids)
{
    struct sdp_publish sdp = layers_sdp(true, false, rids);
    memset(c, 0, sizeof *c);
    c->r = fixture_router(1024);
    c->p = layers_publisher(c->r, 1, &sdp);
    c->s = layers_subscriber(c->r, 2, 0, 2, 0);
    c->now_us = START_US;
    for (unsigned i = 0; i < 3; i++) {
        c->v[i] = made_video(codec, i, true);
    }
}

static void run_for(struct scene *c, int pictures)
{
    c->now_us = play(c->r, c->p, c->v, 3, pictures, &c->seen, c->now_us);
}

static void expect_only(struct scene *c, unsigned rank, int pictures)
{
    memset(c->seen.from, 0, sizeof c->seen.from);
    run_for(c, pictures);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(c->seen.from[i], i == rank ? pictures : 0);
    }
}

static void expect_told(struct scene *c, int height)
{
    struct slot_told told;
    slot_tell(subscriber_video(c->s, 0), &told);
    assert_false(told.paused);
    assert_int_equal(told.reason, SLOT_SENT);
    assert_int_equal(told.height, height);
    assert_int_equal(told.width, height * 16 / 9);
}

static void test_streams_by_rid(void **state)
{
    (void)state;
    struct scene c;
    open_scene(&c, CODEC_VP8, NULL);
    run_for(&c, 10);
    const struct track *t = c.p->track[0];
    assert_int_equal(t->n_streams, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(t->stream[i].stats.ssrc, STREAM_SSRC + i);
        assert_int_equal(t->stream[i].height, 180 << i);
        assert_int_equal(t->stream[i].stats.packets, 10);
    }
    assert_int_equal(layers_track_live(&t->layers), 7);
    router_free(c.r);
}

/* What a viewer asks for decides where no allocator does; each switch is one that he can't see. */
static void layers_by_height(enum codec codec)
{
    static const struct {
        uint32_t max_height;
        unsigned rank;
    } asked[] = {{180, 0}, {720, 2}, {360, 1}, {200, 1}, {0, 2}, {100, 0}, {1080, 2}};
    struct scene c;
    open_scene(&c, codec, NULL);
    run_for(&c, 10);
    if (codec == CODEC_VP8) { /* this H.264 doesn't say how large it is: all stay at the top */
        for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
            look(c.r, c.s, 1, asked[i].max_height, c.now_us);
            run_for(&c, 20); /* its keyframe is asked for and comes */
            expect_only(&c, asked[i].rank, 10);
            expect_told(&c, 180 << asked[i].rank);
        }
    }
    expect_only(&c, 2, 10);
    assert_int_equal(c.seen.gaps, 0);
    assert_int_equal(c.seen.backward, 0);
    router_free(c.r);
}

static void test_vp8_by_height(void **state)
{
    (void)state;
    layers_by_height(CODEC_VP8);
}

static void test_h264_simulcast(void **state)
{
    (void)state;
    layers_by_height(CODEC_H264);
}

/* Some clients offer the largest first. */
static void test_order_is_by_size(void **state)
{
    (void)state;
    static const char *const rids[] = {"f", "h", "q"};
    struct scene c;
    open_scene(&c, CODEC_VP8, rids);
    look(c.r, c.s, 1, 180, c.now_us);
    run_for(&c, 20);
    const struct track *t = c.p->track[0];
    assert_int_equal(t->rank[0], 2);
    assert_int_equal(t->rank[2], 0);
    assert_int_equal(t->stream[t->at[0]].height, 180);
    expect_only(&c, 0, 10);
    expect_told(&c, 180);
    assert_int_equal(c.seen.gaps, 0);
    router_free(c.r);
}

/* The encoder ends its top layer for lack of bandwidth, and takes it up again. */
static void test_a_layer_dies(void **state)
{
    (void)state;
    struct scene c;
    open_scene(&c, CODEC_VP8, NULL);
    run_for(&c, 20);
    expect_only(&c, 2, 5);
    c.now_us = play(c.r, c.p, c.v, 2, 40, &c.seen, c.now_us);
    memset(c.seen.from, 0, sizeof c.seen.from);
    c.now_us = play(c.r, c.p, c.v, 2, 10, &c.seen, c.now_us);
    assert_int_equal(c.seen.from[1], 10);
    expect_told(&c, 360);
    c.v[2].key_due = true;
    run_for(&c, 5);
    expect_only(&c, 2, 10);
    assert_int_equal(c.seen.gaps, 0);
    router_free(c.r);
}

static struct packet *made_rtx(struct scene *c, unsigned layer, const uint8_t *payload, size_t len,
                               uint16_t seq, uint32_t ts, bool rid)
{
    uint8_t with_osn[200] = {(uint8_t)(seq >> 8), (uint8_t)seq};
    memcpy(with_osn + 2, payload, len);
    struct rtp_out o = {
        .pt = (uint8_t)(fixture_pts[CODEC_VP8] + 1),
        .marker = true,
        .seq = (uint16_t)(7000 + layer),
        .ts = ts,
        .ssrc = 0x61000000u + layer,
        .n_ext = rid ? 2 : 1,
        .ext = {{.id = MID_ID, .len = 1, .data = (const uint8_t *)"v"},
                {.id = RRID_ID, .len = 1, .data = (const uint8_t *)fixture_rids[layer]}}};
    return fixture_parsed(c->r, &o, with_osn, len + 2, c->now_us);
}

/* A lost packet of any layer is asked for by its SSRC, and its retransmission found by the repaired
 * RID. */
static void test_rtx_of_each_stream_in(void **state)
{
    (void)state;
    struct scene c;
    open_scene(&c, CODEC_VP8, NULL);
    run_for(&c, 30);
    for (unsigned i = 0; i < 3; i++) {
        struct packet *lost = made_packet(c.r, &c.v[i], c.now_us);
        uint8_t payload[120];
        uint16_t seq = lost->header.seq;
        uint32_t ts = lost->header.ts;
        memcpy(payload, packet_data(lost) + lost->header.payload_off, sizeof payload);
        packet_unref(lost);
        c.now_us = play(c.r, c.p, c.v, 3, 1, NULL, c.now_us);
        uint64_t asked = c.p->track[0]->stream[i].nack.asked;
        c.now_us += 20000;
        answer_requests(c.p, c.v, 3, c.now_us);
        assert_int_equal(c.p->track[0]->stream[i].nack.asked, asked + 1);
        size_t got = show(c.r, c.p, made_rtx(&c, i, payload, sizeof payload, seq, ts, true), NULL,
                          CODEC_VP8);
        assert_int_equal(got, i == 2); /* it fills the viewer's gap, of the stream he sees */
        assert_int_equal(c.p->track[0]->stream[i].counters.n[COUNTER_RETRANSMITS], 1);
        assert_int_equal(c.p->track[0]->stream[i].nack.n, 0);
    }
    /* Without a repaired RID, from an SSRC that nobody knows: whose can't be told. */
    uint8_t payload[120] = {0x90};
    struct packet *k = made_rtx(&c, 0, payload, sizeof payload, 1, 1, false);
    size_t n;
    struct track *t;
    k->header.ssrc = 0x99;
    router_packet(c.r, c.p, k, &n, &t);
    assert_null(t);
    packet_unref(k);
    router_free(c.r);
}

static size_t ask(struct scene *c, uint16_t seq, struct resend *again)
{
    uint8_t rtcp[64];
    struct writer w;
    struct subscriber_requests count = {0};
    bool bad;
    writer_init(&w, rtcp, sizeof rtcp);
    rtcp_write_nack(&w, 1, subscriber_video(c->s, 0)->ssrc, &seq, 1);
    return subscriber_rtcp(c->s, rtcp, w.len, c->now_us, c->now_us, again, 1, &count, &bad);
}

/* After a switch a viewer asks for what he lost of the stream before, and of that behind it. */
static void test_rtx_out_across_a_switch(void **state)
{
    (void)state;
    struct scene c;
    struct resend again;
    uint8_t out[1500];
    size_t header_len;
    struct rtp_header h;
    struct codec_info info;
    open_scene(&c, CODEC_VP8, NULL);
    run_for(&c, 10);
    uint16_t before = c.seen.seq, picture_before = c.seen.picture;
    look(c.r, c.s, 1, 180, c.now_us);
    run_for(&c, 20);
    uint16_t behind = c.seen.seq, picture_behind = c.seen.picture;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ask(&c, i ? behind : before, &again), 1);
        assert_int_equal(again.packet->stream, i ? 0 : 2);
        int len =
            slot_written(again.slot, again.packet, &again.to, true, out, sizeof out, &header_len);
        assert_int_equal(rtp_parse(&h, out, (size_t)len), OK);
        assert_int_equal(h.pt, SDP_VP8_RTX_PT);
        assert_true(h.marker);
        assert_int_equal(out[h.payload_off] << 8 | out[h.payload_off + 1], i ? behind : before);
        assert_int_equal(codec_parse(&info, CODEC_VP8, out + h.payload_off + 2, h.payload_len - 2u),
                         OK);
        assert_int_equal(info.picture_id, i ? picture_behind : picture_before);
    }
    router_free(c.r);
}

/* Temporal layers that an allocator leaves out: half the pictures, no gap in anything. */
static void test_temporal_layers_are_left_out(void **state)
{
    (void)state;
    struct scene c;
    struct allocator_slot slots[2];
    struct allocator_choice choice[2] = {{.state = ALLOCATOR_SENT, .sid = 2, .tid = 1}};
    open_scene(&c, CODEC_VP8, NULL);
    run_for(&c, 60);
    assert_int_equal(subscriber_layers(c.s, slots, c.now_us), 2);
    assert_int_equal(slots[0].n_spatial, 3);
    assert_int_equal(slots[0].n_temporal, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(slots[0].live[i], 7);
        assert_int_equal(slots[0].height[i], 180 << i);
        assert_in_range(slots[0].bps[i][2], 120 * 8 * 27, 120 * 8 * 33);
        assert_in_range(slots[0].bps[i][0], 120 * 8 * 6, 120 * 8 * 9);
    }
    assert_in_range(slots[0].fps[2], 27, 33);
    assert_in_range(slots[0].fps[1], 13, 17);
    assert_false(slots[1].source);
    subscriber_apply(c.s, choice, c.now_us);
    run_for(&c, 4);
    expect_only(&c, 3, 0);
    run_for(&c, 40);
    assert_int_equal(c.seen.from[2], 20);
    assert_int_equal(c.seen.gaps, 0);
    choice[0].tid = 2;
    subscriber_apply(c.s, choice, c.now_us);
    run_for(&c, 8);
    expect_only(&c, 2, 12);
    assert_int_equal(c.seen.gaps, 0);
    router_free(c.r);
}

static void test_paused_for_bandwidth(void **state)
{
    (void)state;
    struct scene c;
    struct slot_told told;
    struct router_event e;
    struct allocator_choice choice[2] = {{.state = ALLOCATOR_BANDWIDTH}};
    open_scene(&c, CODEC_VP8, NULL);
    run_for(&c, 10);
    while (router_poll(c.r, c.now_us, &e)) {
    }
    subscriber_apply(c.s, choice, c.now_us);
    size_t before = c.seen.packets;
    run_for(&c, 10);
    assert_int_equal(c.seen.packets, before);
    assert_true(router_poll(c.r, c.now_us, &e)); /* he is told */
    assert_ptr_equal(e.subscriber, c.s);
    slot_tell(subscriber_video(c.s, 0), &told);
    assert_true(told.paused);
    assert_int_equal(told.reason, SLOT_BANDWIDTH);
    assert_string_equal(slot_reason_name(told.reason), "bandwidth");
    choice[0] = (struct allocator_choice){.state = ALLOCATOR_SENT, .sid = 1, .tid = 2};
    subscriber_apply(c.s, choice, c.now_us);
    run_for(&c, 20);
    expect_only(&c, 1, 10);
    assert_int_equal(c.seen.gaps, 0);
    router_free(c.r);
}

/* Keyframes are asked only of streams that somebody is to see. */
static void test_nobody_asks_for_what_nobody_sees(void **state)
{
    (void)state;
    struct scene c;
    open_scene(&c, CODEC_VP8, NULL);
    look(c.r, c.s, 1, 180, c.now_us);
    run_for(&c, 20);
    uint64_t before = c.p->track[0]->stream[2].pli.sent;
    track_request_stream(c.p->track[0], 2, c.now_us);
    track_request_stream(c.p->track[0], 0, c.now_us);
    run_for(&c, 60);
    assert_int_equal(c.p->track[0]->stream[2].pli.sent, before);
    assert_true(c.p->track[0]->stream[0].pli.sent >= 1);
    router_free(c.r);
}

/* The client begins a stream anew under another SSRC: viewers go on with its keyframe. */
static void test_a_stream_changes_its_ssrc(void **state)
{
    (void)state;
    struct scene c;
    open_scene(&c, CODEC_VP8, NULL);
    run_for(&c, 20);
    struct made_video again = made_video(CODEC_VP8, 2, true);
    again.ssrc = 0x52000000u;
    again.seq = 3; /* of other numbers and times */
    again.ts = 5;
    again.picture = 9;
    c.v[2] = again;
    run_for(&c, 5);
    expect_only(&c, 2, 10);
    assert_int_equal(c.p->track[0]->stream[2].stats.ssrc, 0x52000000u);
    assert_int_equal(c.seen.gaps, 0);
    assert_int_equal(c.seen.backward, 0);
    router_free(c.r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams_by_rid),
        cmocka_unit_test(test_vp8_by_height),
        cmocka_unit_test(test_h264_simulcast),
        cmocka_unit_test(test_order_is_by_size),
        cmocka_unit_test(test_a_layer_dies),
        cmocka_unit_test(test_rtx_of_each_stream_in),
        cmocka_unit_test(test_rtx_out_across_a_switch),
        cmocka_unit_test(test_temporal_layers_are_left_out),
        cmocka_unit_test(test_paused_for_bandwidth),
        cmocka_unit_test(test_nobody_asks_for_what_nobody_sees),
        cmocka_unit_test(test_a_stream_changes_its_ssrc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
