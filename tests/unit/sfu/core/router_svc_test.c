/* Layers within one stream, descriptors, encrypted payloads, other codecs, extensions, RED, and
 * what a publisher is told: through the router. */
#include "layers_fixture.h"

/* ---- VP9 with three spatial layers ---- */

struct vp9_source {
    uint16_t seq, picture;
    uint32_t ts;
    uint8_t tl0;
    bool key_due;
};

/* One packet a spatial layer: I L B E, V with sizes at a keyframe; layers of one picture depend on
 * the one below. */
static struct packet *vp9_packet(struct router *r, struct vp9_source *v, uint8_t sid, bool key,
                                 int64_t now_us)
{
    static const uint8_t sizes[] = {0x50, 1, 64, 0, 180, 2, 128, 1, 104, 5, 0, 2, 208};
    uint8_t payload[100] = {(uint8_t)(0x80 | 0x20 | 0x0c | (key ? 0 : 0x40)),
                            (uint8_t)(0x80 | v->picture >> 8), (uint8_t)v->picture,
                            (uint8_t)(sid << 1 | (sid > 0)), v->tl0};
    if (key && sid == 0) {
        payload[0] |= 0x02;
        memcpy(payload + 5, sizes, sizeof sizes);
    }
    struct rtp_out o = {.pt = fixture_pts[CODEC_VP9],
                        .marker = sid == 2,
                        .seq = v->seq++,
                        .ts = v->ts,
                        .ssrc = STREAM_SSRC};
    return fixture_parsed(r, &o, payload, sizeof payload, now_us);
}

static int64_t play_vp9(struct router *r, struct publisher *p, struct vp9_source *v, int pictures,
                        struct seen *s, int64_t now_us)
{
    struct made_video asked = {.ssrc = STREAM_SSRC};
    for (int i = 0; i < pictures; i++, now_us += TICK_US) {
        bool key = v->key_due;
        v->key_due = false;
        for (uint8_t sid = 0; sid < 3; sid++) {
            show(r, p, vp9_packet(r, v, sid, key, now_us), s, CODEC_VP9);
        }
        v->ts += 3000;
        v->picture++;
        v->tl0++;
        answer_requests(p, &asked, 1, now_us);
        v->key_due |= asked.key_due;
        asked.key_due = false;
        router_tick(r, now_us);
    }
    return now_us;
}

static void test_vp9_by_height(void **state)
{
    (void)state;
    static const struct {
        uint32_t max_height;
        size_t packets;
    } asked[] = {{0, 3}, {180, 1}, {360, 2}, {720, 3}, {100, 1}};
    struct router *r = fixture_router(1024);
    struct sdp_publish sdp = layers_sdp(false, false, NULL);
    struct publisher *p = layers_publisher(r, 1, &sdp);
    struct subscriber *s = layers_subscriber(r, 2, 0, 1, 0);
    struct vp9_source v = {.seq = 65530, .picture = 100, .ts = 4000000000u, .key_due = true};
    struct seen seen = {0};
    struct allocator_slot slot;
    int64_t now_us = play_vp9(r, p, &v, 40, &seen, START_US);
    subscriber_layers(s, &slot, now_us);
    assert_int_equal(slot.n_spatial, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(slot.height[i], 180 << i);
        assert_in_range(slot.bps[i][0], 24000 * (i + 1) * 9 / 10, 24000 * (i + 1) * 11 / 10);
    }
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        struct slot_told told;
        look(r, s, 1, asked[i].max_height, now_us);
        now_us = play_vp9(r, p, &v, 30, &seen, now_us);
        size_t before = seen.packets;
        now_us = play_vp9(r, p, &v, 10, &seen, now_us);
        assert_int_equal(seen.packets - before, 10 * asked[i].packets);
        assert_true(seen.h.marker);
        slot_tell(subscriber_video(s, 0), &told);
        assert_int_equal(told.height, 90 << asked[i].packets);
    }
    assert_int_equal(seen.gaps, 0);
    assert_int_equal(seen.backward, 0);
    router_free(r);
}

/* ---- by the dependency descriptor ---- */

static struct packet *dd_packet(struct router *r, const struct dd_packet *d, enum codec codec,
                                uint32_t ssrc, bool encrypted, int64_t now_us)
{
    uint8_t payload[16];
    struct rtp_out o = {.pt = fixture_pts[codec],
                        .marker = d->marker,
                        .seq = d->seq,
                        .ts = d->ts,
                        .ssrc = ssrc,
                        .n_ext = 1,
                        .ext = {{.id = DD_ID, .len = d->dd_len, .data = d->dd}}};
    memcpy(payload, d->payload, sizeof payload);
    for (size_t i = 0; encrypted && i < sizeof payload; i++) {
        payload[i] = (uint8_t)(d->seq * 31 + i * 57 + 0x80); /* cipher text */
    }
    return fixture_parsed(r, &o, payload, d->payload_len, now_us);
}

struct dd_scene {
    struct router *r;
    struct publisher *p;
    struct subscriber *s;
    struct dd_stream stream;
    bool encrypted;
    struct seen seen;
    int64_t now_us;
};

/* What left is whole: each frame's references had left before it. */
static void play_dd(struct dd_scene *c, int pictures)
{
    struct made_video asked = {.ssrc = STREAM_SSRC};
    struct dd_packet p[DD_STREAM_PACKETS];
    for (int i = 0; i < pictures; i++, c->now_us += TICK_US) {
        bool key = c->stream.count == 0 || asked.key_due;
        asked.key_due = false;
        size_t n = dd_stream_picture(&c->stream, key, p);
        for (size_t k = 0; k < n; k++) {
            show(c->r, c->p,
                 dd_packet(c->r, &p[k], CODEC_AV1, STREAM_SSRC, c->encrypted, c->now_us), &c->seen,
                 CODEC_NONE);
        }
        answer_requests(c->p, &asked, 1, c->now_us);
        router_tick(c->r, c->now_us);
    }
}

static void dd_by_height(bool encrypted)
{
    static const struct {
        uint32_t max_height;
        size_t packets;
        uint32_t targets;
    } asked[] = {{0, 6, 0x1ff}, {180, 2, 7}, {360, 4, 0x3f}, {720, 6, 0x1ff}};
    struct sdp_publish sdp = layers_sdp(false, true, NULL);
    struct dd_scene c = {.r = fixture_router(2048), .encrypted = encrypted, .now_us = START_US};
    c.p = layers_publisher(c.r, 1, &sdp);
    c.s = layers_subscriber(c.r, 2, 0, 1, 0);
    dd_stream_init(&c.stream, 3, 3, DD_STREAM_FULL, 2);
    dd_stream_with_sizes(&c.stream);
    play_dd(&c, 40);
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        look(c.r, c.s, 1, asked[i].max_height, c.now_us);
        play_dd(&c, 40);
        size_t before = c.seen.packets;
        play_dd(&c, 8);
        assert_int_equal(c.seen.packets - before, 8 * asked[i].packets);
        assert_true(c.seen.has_dd);
        assert_int_equal(c.seen.dd.active_targets, asked[i].targets);
        assert_true(c.seen.h.marker);
    }
    assert_int_equal(c.seen.gaps, 0);
    assert_int_equal(c.seen.backward, 0);
    router_free(c.r);
}

static void test_av1_by_height(void **state)
{
    (void)state;
    dd_by_height(false);
}

/* The server can't read a byte of it, and does the same. */
static void test_encrypted_by_height(void **state)
{
    (void)state;
    dd_by_height(true);
}

/* A descriptor that can't be read (its structure never came): nothing is made of cipher text, and a
 * keyframe is asked for. */
static void test_no_structure_no_picture(void **state)
{
    (void)state;
    struct sdp_publish sdp = layers_sdp(false, true, NULL);
    struct router *r = fixture_router(64);
    struct publisher *p = layers_publisher(r, 1, &sdp);
    layers_subscriber(r, 2, 0, 1, 0);
    struct dd_stream stream;
    struct dd_packet d[DD_STREAM_PACKETS];
    struct made_video asked = {.ssrc = STREAM_SSRC};
    struct seen seen = {0};
    dd_stream_init(&stream, 1, 1, DD_STREAM_FULL, 1);
    dd_stream_picture(&stream, true, d); /* lost */
    answer_requests(p, &asked, 1, START_US);
    for (int i = 0; i < 30; i++) {
        dd_stream_picture(&stream, false, d);
        d[0].payload[0] = 0x18; /* as if a sequence began */
        show(r, p, dd_packet(r, &d[0], CODEC_AV1, STREAM_SSRC, false, START_US + i * TICK_US),
             &seen, CODEC_NONE);
        answer_requests(p, &asked, 1, START_US + i * TICK_US);
    }
    assert_int_equal(seen.packets, 0);
    assert_true(asked.key_due);
    router_free(r);
}

/* Frame numbers of three simulcast streams go on by one across switches. */
static void test_frame_numbers_across_streams(void **state)
{
    (void)state;
    struct sdp_publish sdp = layers_sdp(true, true, NULL);
    struct router *r = fixture_router(1024);
    struct publisher *p = layers_publisher(r, 1, &sdp);
    struct subscriber *s = layers_subscriber(r, 2, 0, 1, 0);
    struct dd_stream stream[3];
    struct seen seen = {0};
    int64_t now_us = START_US;
    uint16_t newest = 0;
    for (unsigned i = 0; i < 3; i++) {
        p->track[0]->sdp.layer[i].ssrc = STREAM_SSRC + i;
        sdp.track[0].layer[i].ssrc = STREAM_SSRC + i;
        dd_stream_init(&stream[i], 1, 3, DD_STREAM_FULL, 1);
        stream[i].frame_number = (uint16_t)(1000 * i);
    }
    assert_int_equal(router_republish(r, p, &sdp, now_us), OK);
    for (int i = 0; i < 200; i++, now_us += TICK_US) {
        struct allocator_choice choice = {
            .state = ALLOCATOR_SENT, .sid = (uint8_t)(i / 20 % 3), .tid = 2};
        struct dd_packet d[DD_STREAM_PACKETS];
        subscriber_apply(s, &choice, now_us);
        for (unsigned k = 0; k < 3; k++) {
            dd_stream_picture(&stream[k], i % 20 == 0, d);
            size_t n = show(r, p, dd_packet(r, &d[0], CODEC_AV1, STREAM_SSRC + k, true, now_us),
                            &seen, CODEC_NONE);
            if (n && seen.packets > 1) {
                assert_int_equal(seen.dd.frame_number, (uint16_t)(newest + 1));
            }
            newest = n ? seen.dd.frame_number : newest;
        }
    }
    assert_in_range(seen.packets, 200, 210); /* the former goes on until the next has begun */
    assert_int_equal(seen.gaps, 0);
    router_free(r);
}

/* ---- codecs ---- */

static void test_a_codec_that_is_refused(void **state)
{
    (void)state;
    struct router *r = fixture_router(256);
    struct sdp_publish sdp = layers_sdp(false, false, NULL);
    struct publisher *p = layers_publisher(r, 1, &sdp);
    struct subscriber *s = layers_subscriber(r, 2, 0, 1, SDP_CODEC(CODEC_H264));
    struct made_video vp8 = made_video(CODEC_VP8, 0, false),
                      h264 = made_video(CODEC_H264, 0, false);
    struct seen seen = {0};
    struct slot_told told;
    int64_t now_us = play(r, p, &vp8, 1, 10, &seen, START_US);
    assert_int_equal(seen.packets, 10);
    assert_int_equal(seen.pt, SDP_VP8_PT);
    h264.seq = vp8.seq;
    h264.ts = vp8.ts;
    now_us = play(r, p, &h264, 1, 10, &seen, now_us);
    assert_int_equal(seen.packets, 10);
    slot_tell(subscriber_video(s, 0), &told);
    assert_true(told.paused);
    assert_int_equal(told.reason, SLOT_CODEC);
    vp8.seq = h264.seq;
    vp8.ts = h264.ts;
    play(r, p, &vp8, 1, 5, &seen, now_us); /* not before a keyframe, which is asked for */
    slot_tell(subscriber_video(s, 0), &told);
    assert_false(told.paused);
    assert_in_range(seen.packets, 12, 15);
    assert_int_equal(seen.gaps, 0);
    router_free(r);
}

static void test_codecs_in_turns(void **state)
{
    (void)state;
    struct router *r = fixture_router(256);
    struct sdp_publish sdp = layers_sdp(false, false, NULL);
    struct publisher *p = layers_publisher(r, 1, &sdp);
    layers_subscriber(r, 2, 0, 1, 0);
    struct made_video vp8 = made_video(CODEC_VP8, 0, false),
                      h264 = made_video(CODEC_H264, 0, false);
    struct seen seen = {0};
    int64_t now_us = play(r, p, &vp8, 1, 10, &seen, START_US);
    h264.seq = vp8.seq;
    h264.ts = vp8.ts;
    play(r, p, &h264, 1, 10, &seen, now_us);
    assert_int_equal(seen.packets, 20);
    assert_int_equal(seen.pt, SDP_H264_PT);
    assert_int_equal(seen.gaps, 0);
    router_free(r);
}

/* ---- RED ---- */

static struct sdp_publish red_sdp(void)
{
    struct sdp_publish p = fixture_sdp(1);
    struct sdp_track *t = &p.track[0];
    t->codec[t->n_codecs++] = (struct sdp_agreed){.codec = CODEC_RED, .pt = 63};
    t->codec[t->n_codecs++] = (struct sdp_agreed){.codec = CODEC_OPUS, .pt = AUDIO_PT};
    return p;
}

static size_t say_red(struct router *r, struct publisher *p, uint16_t seq, uint8_t *out)
{
    static const uint8_t red[] = {0x80 | AUDIO_PT, 0x0f, 0x00, 3, AUDIO_PT, 1, 2, 3, 9, 8, 7, 6};
    size_t n, header_len;
    struct track *t;
    struct rtp_out o = {.pt = 63, .seq = seq, .ts = seq * 960u, .ssrc = AUDIO_SSRC(1)};
    struct packet *k = fixture_parsed(r, &o, red, sizeof red, START_US);
    const struct forward *f = router_packet(r, p, k, &n, &t);
    assert_int_equal(n, 1);
    int len = slot_written(f->slot, k, &f->to, false, out, 200, &header_len);
    assert_true(len > 0);
    packet_unref(k);
    return (size_t)len;
}

static void test_red_is_passed_or_unwrapped(void **state)
{
    (void)state;
    static const uint8_t passed[] = {
        0x80 | SDP_OPUS_PT, 0x0f, 0, 3, SDP_OPUS_PT, 1, 2, 3, 9, 8, 7, 6};
    for (int refused = 0; refused < 2; refused++) {
        struct router *r = fixture_router(64);
        struct sdp_publish sdp = red_sdp();
        struct publisher *p = layers_publisher(r, 1, &sdp);
        layers_subscriber(r, 2, 1, 0, refused ? SDP_CODEC(CODEC_RED) : 0);
        uint8_t out[200];
        struct rtp_header h;
        size_t len = say_red(r, p, 5, out);
        assert_int_equal(rtp_parse(&h, out, len), OK);
        assert_int_equal(h.pt, refused ? SDP_OPUS_PT : SDP_RED_PT);
        assert_int_equal(h.payload_len, refused ? 4 : sizeof passed);
        assert_memory_equal(out + h.payload_off, refused ? passed + 8 : passed, h.payload_len);
        router_free(r);
    }
}

/* ---- extensions and stamps ---- */

static void test_extensions_and_stamps(void **state)
{
    (void)state;
    static const uint8_t delay[3] = {0x00, 0x10, 0x20}, turn = 3;
    struct router *r = fixture_router(64);
    struct sdp_publish sdp = layers_sdp(false, false, NULL);
    struct publisher *p = layers_publisher(r, 1, &sdp);
    struct subscriber *s = layers_subscriber(r, 2, 0, 1, 0);
    struct seen seen = {0};
    uint8_t payload[40];
    struct made_video v = made_video(CODEC_VP8, 0, false);
    struct rtp_out o = {.pt = fixture_pts[CODEC_VP8],
                        .seq = 77,
                        .ssrc = STREAM_SSRC,
                        .n_ext = 2,
                        .ext = {{.id = DELAY_ID, .len = 3, .data = delay},
                                {.id = TURN_ID, .len = 1, .data = &turn}}};
    subscriber_stamped(s);
    memset(payload, 0, sizeof payload);
    made_vp8(&v, true, payload);
    assert_int_equal(
        show(r, p, fixture_parsed(r, &o, payload, sizeof payload, START_US), &seen, CODEC_VP8), 1);
    slot_stamp(subscriber_video(s, 0), seen.data, 0xabcd, 0x123456);
    assert_int_equal(rtp_parse(&seen.h, seen.data, seen.h.payload_off + 40u), OK);
    uint16_t number;
    size_t len;
    assert_true(rtp_transport_seq(&seen.h, seen.data, SDP_SLOT_EXT_TRANSPORT_CC, &number));
    assert_int_equal(number, 0xabcd);
    const uint8_t *value = rtp_ext_find(&seen.h, seen.data, SDP_SLOT_EXT_ABS_SEND_TIME, &len);
    assert_int_equal(len, 3);
    assert_memory_equal(value, "\x12\x34\x56", 3);
    value = rtp_ext_find(&seen.h, seen.data, SDP_SLOT_EXT_PLAYOUT_DELAY, &len);
    assert_memory_equal(value, delay, 3);
    value = rtp_ext_find(&seen.h, seen.data, SDP_SLOT_EXT_VIDEO_ORIENTATION, &len);
    assert_int_equal(*value, 3);
    /* A probe is stamped at the same place. */
    uint8_t probe[400];
    int n = slot_write_padding(subscriber_video(s, 0), 200, probe, sizeof probe, &len);
    assert_true(n > 200);
    slot_stamp(subscriber_video(s, 0), probe, 0x0102, 0);
    assert_int_equal(rtp_parse(&seen.h, probe, (size_t)n), OK);
    assert_int_equal(seen.h.ssrc, subscriber_video(s, 0)->rtx_ssrc);
    assert_int_equal(seen.h.pt, SDP_VP8_RTX_PT);
    assert_int_equal(seen.h.payload_len, 0);
    assert_int_equal(seen.h.padding, 200);
    assert_true(rtp_transport_seq(&seen.h, probe, SDP_SLOT_EXT_TRANSPORT_CC, &number));
    assert_int_equal(number, 0x0102);
    router_free(r);
}

/* ---- what a publisher is told ---- */

static void test_remb_and_fir(void **state)
{
    (void)state;
    struct router *r = fixture_router(64);
    struct sdp_publish sdp = layers_sdp(false, false, NULL);
    sdp.track[0].pli = false;
    sdp.track[0].fir = sdp.track[0].remb = true;
    struct publisher *p = layers_publisher(r, 1, &sdp);
    layers_subscriber(r, 2, 0, 1, 0);
    struct made_video v = made_video(CODEC_VP8, 0, false);
    v.key_due = false;
    show(r, p, made_packet(r, &v, START_US), NULL, CODEC_VP8);
    uint8_t out[1200];
    struct publisher_feedback count = {0};
    size_t len, rembs = 0, firs = 0;
    while ((len = publisher_poll(p, out, sizeof out, START_US, &count)) > 0) {
        struct rtcp_iter it;
        struct rtcp_packet packet;
        struct rtcp_remb remb;
        struct rtcp_fir fir;
        struct rtcp_feedback fb;
        rtcp_iter_init(&it, out, len);
        while (rtcp_next(&it, &packet) == 1) {
            if (rtcp_parse_remb(&remb, &packet) == OK) {
                assert_int_equal(remb.ssrc[0], STREAM_SSRC);
                assert_in_range(remb.bitrate, PUBLISHER_REMB_BPS * 99 / 100, PUBLISHER_REMB_BPS);
                rembs++;
            } else if (rtcp_parse_fir(&fb, &fir, 1, &packet) == 1) {
                assert_int_equal(fir.ssrc, STREAM_SSRC);
                firs++;
            }
        }
    }
    assert_int_equal(rembs, 1);
    assert_int_equal(firs, 1);
    assert_int_equal(count.plis, 1);
    router_free(r);
}

/* ---- watchers ---- */

static void test_a_watcher_has_numbers_of_his_own(void **state)
{
    (void)state;
    static struct sdp_watch w;
    struct router *r = fixture_router(64);
    struct sdp_publish sdp = layers_sdp(false, false, NULL);
    struct publisher *p = layers_publisher(r, 1, &sdp);
    struct subscriber *s;
    struct seen seen = {0};
    struct made_video v = made_video(CODEC_VP8, 0, false);
    char mid[32];
    w.n_video = 1;
    snprintf(w.video[0].mid, sizeof w.video[0].mid, "the-second-of-them");
    w.video[0].pt[CODEC_VP8] = 41;
    w.video[0].ext.id[RTP_EXT_MID] = 12;
    assert_int_equal(router_subscribe(r, &fixture_room, 2, 0, 1, 99, START_US, &s), OK);
    subscriber_watched(s, &w);
    router_subscriber_ready(r, s, START_US);
    play(r, p, &v, 1, 3, &seen, START_US);
    assert_int_equal(seen.packets, 3);
    assert_int_equal(seen.pt, 41);
    assert_true(rtp_ext_text(&seen.h, seen.data, 12, mid, sizeof mid));
    assert_string_equal(mid, "the-second-of-them");
    assert_false(subscriber_video(s, 0)->rtx);
    router_free(r);
}

static void test_memory_of_a_subscriber(void **state)
{
    (void)state;
    size_t bytes = sizeof(struct subscriber) + 12 * sizeof(struct slot);
    assert_true(bytes <= (size_t)40 * 1024); /* of 64 KiB; 20 are the estimator's */
    assert_true(sizeof(struct packet) - PACKET_HEADROOM - PACKET_CAP <= 384);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vp9_by_height),
        cmocka_unit_test(test_av1_by_height),
        cmocka_unit_test(test_encrypted_by_height),
        cmocka_unit_test(test_no_structure_no_picture),
        cmocka_unit_test(test_frame_numbers_across_streams),
        cmocka_unit_test(test_a_codec_that_is_refused),
        cmocka_unit_test(test_codecs_in_turns),
        cmocka_unit_test(test_red_is_passed_or_unwrapped),
        cmocka_unit_test(test_extensions_and_stamps),
        cmocka_unit_test(test_remb_and_fir),
        cmocka_unit_test(test_a_watcher_has_numbers_of_his_own),
        cmocka_unit_test(test_memory_of_a_subscriber),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
