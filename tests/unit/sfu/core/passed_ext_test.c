/* Header extensions that go on to viewers who agreed to them, as a real Chromium wrote them and as
 * made: byte by byte, under the viewer's own ids, and to nobody else. */
#include "layers_fixture.h"
#include "recorded.h"

#define VIEWER_VLA 12
#define CAPTURE_ID 12 /* of the made publisher */

static struct recorded rec;

static struct sdp_publish sdp_of_recording(void)
{
    struct sdp_publish sdp = layers_sdp(true, true, NULL);
    struct sdp_track *t = &sdp.track[0];
    t->n_codecs = 1;
    t->codec[0] = (struct sdp_agreed){.codec = CODEC_VP8, .pt = 96, .rtx_pt = 97};
    t->ext = (struct rtp_ext_map){0};
    t->ext.id[RTP_EXT_DEPENDENCY_DESCRIPTOR] = RECORDED_DD;
    t->ext.id[RTP_EXT_VIDEO_LAYERS] = RECORDED_VLA;
    t->ext.id[RTP_EXT_VIDEO_ORIENTATION] = RECORDED_TURN;
    for (unsigned i = 0; i < rec.n_streams; i++) {
        t->layer[i].ssrc = rec.ssrc[i];
    }
    return sdp;
}

/* What came under `in` left under `out`, or nothing did. */
static bool same_value(const struct recorded_packet *p, uint8_t in, const struct rtp_header *h,
                       const uint8_t *data, uint8_t out)
{
    struct rtp_header was;
    size_t was_len, len;
    assert_int_equal(rtp_parse(&was, p->data, p->kept), OK);
    const uint8_t *before = rtp_ext_find(&was, p->data, in, &was_len);
    const uint8_t *after = rtp_ext_find(h, data, out, &len);
    assert_int_equal(before != NULL, after != NULL);
    if (before) {
        assert_int_equal(len, was_len);
        assert_memory_equal(after, before, len);
    }
    return before != NULL;
}

static void play_recording(bool agreed, int *layers, int *turns)
{
    recorded_read(&rec, "vp8_simulcast");
    struct router *r = fixture_router(2048);
    struct sdp_publish sdp = sdp_of_recording();
    struct publisher *pub = layers_publisher(r, 1, &sdp);
    struct slot *slot = subscriber_video(layers_subscriber(r, 2, 0, 1, 0), 0);
    slot->ext.id[RTP_EXT_VIDEO_LAYERS] = agreed ? VIEWER_VLA : 0;
    struct seen seen = {0};
    *layers = *turns = 0;
    for (int i = 0; i < rec.n; i++) {
        struct packet *k = packet_alloc(router_pool(r));
        k->len = (uint16_t)recorded_bytes(&rec.packet[i], false, packet_data(k));
        k->arrival_us = START_US + rec.packet[i].at_us;
        assert_int_equal(rtp_parse(&k->header, packet_data(k), k->len), OK);
        if (show(r, pub, k, &seen, CODEC_NONE) > 0) {
            size_t len;
            const struct recorded_packet *p = &rec.packet[i];
            *turns +=
                same_value(p, RECORDED_TURN, &seen.h, seen.data, SDP_SLOT_EXT_VIDEO_ORIENTATION);
            if (agreed) {
                *layers += same_value(p, RECORDED_VLA, &seen.h, seen.data, VIEWER_VLA);
            } else {
                *layers += rtp_ext_find(&seen.h, seen.data, VIEWER_VLA, &len) != NULL;
            }
        }
    }
    router_free(r);
}

static void recorded_ones_are_passed(void **state)
{
    (void)state;
    int layers, turns;
    play_recording(true, &layers, &turns);
    assert_true(layers > 20 && turns > 5);
    play_recording(false, &layers, &turns);
    assert_int_equal(layers, 0);
    assert_true(turns > 5);
}

/* abs-capture-time: 64 bits of NTP time, and an offset of the clock or none. */
static void capture_time_is_passed(void **state)
{
    static const uint8_t when[16] = {0xe9, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0, 0, 0, 1, 2};

    (void)state;
    for (uint8_t len = 8; len <= 16; len = (uint8_t)(len + 8)) {
        struct router *r = fixture_router(64);
        struct sdp_publish sdp = layers_sdp(false, false, NULL);
        sdp.track[0].ext.id[RTP_EXT_ABS_CAPTURE_TIME] = CAPTURE_ID;
        struct publisher *p = layers_publisher(r, 1, &sdp);
        struct slot *slot = subscriber_video(layers_subscriber(r, 2, 0, 1, 0), 0);
        slot->ext.id[RTP_EXT_ABS_CAPTURE_TIME] = SDP_SLOT_EXT_ABS_CAPTURE_TIME;
        struct seen seen = {0};
        struct made_video v = made_video(CODEC_VP8, 0, false);
        uint8_t payload[40] = {0};
        size_t got;
        struct rtp_out o = {.pt = fixture_pts[CODEC_VP8],
                            .ssrc = STREAM_SSRC,
                            .n_ext = 1,
                            .ext = {{.id = CAPTURE_ID, .len = len, .data = when}}};
        made_vp8(&v, true, payload);
        struct packet *k = fixture_parsed(r, &o, payload, sizeof payload, START_US);
        assert_int_equal(show(r, p, k, &seen, CODEC_VP8), 1);
        const uint8_t *value =
            rtp_ext_find(&seen.h, seen.data, SDP_SLOT_EXT_ABS_CAPTURE_TIME, &got);
        assert_non_null(value);
        assert_int_equal(got, len);
        assert_memory_equal(value, when, len);
        router_free(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_ones_are_passed),
        cmocka_unit_test(capture_time_is_passed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
