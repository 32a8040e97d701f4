#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/err.h"
#include "lib/proto/sdp_watch.h"

static const struct sdp_local local = {
    .ice_ufrag = "srvU",
    .ice_pwd = "srvpwdsrvpwdsrvpwdsrvpwd",
    .n_candidates = 2,
    .candidate = {{"192.0.2.1", 7000, false}, {"192.0.2.1", 7001, true}},
    .session_id = 4711,
    .session_version = 1,
    .cname = "sotto",
};

static struct sdp_slots make_slots(void)
{
    struct sdp_slots s = {.n_audio = 4, .n_video = 4};

    for (uint32_t i = 0; i < 4; i++) {
        s.audio[i].ssrc = 1000 + i;
        s.video[i] = (struct sdp_slot){2000 + i, 3000 + i};
    }
    return s;
}

static char *load(const char *name)
{
    char path[128], *text = calloc(1, SDP_MAX_BYTES + 1);

    snprintf(path, sizeof path, "tests/data/sdp/%s.sdp", name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_true(fread(text, 1, SDP_MAX_BYTES, f) > 0);
    fclose(f);
    return text;
}

/* Reads and answers an offer with every `from` replaced by `to` (of the same length). */
static int watch_text(struct sdp_watch *w, struct buf *out, const char *source, const char *from,
                      const char *to)
{
    struct sdp_slots slots = make_slots();
    struct sdp *offer;
    char *text = strdup(source);

    for (char *hit = from ? strstr(text, from) : NULL; hit; hit = strstr(hit + 1, from)) {
        memcpy(hit, to, strlen(to));
    }
    assert_int_equal(sdp_parse(&offer, text, strlen(text)), OK);
    int r = sdp_read_watch(w, offer, SDP_ALL_CODECS, 4, 4);
    if (r == OK) {
        r = sdp_answer_watch(out, w, offer, &slots, &local);
    }
    sdp_free(offer);
    free(text);
    return r;
}

static int watch(struct sdp_watch *w, struct buf *out, const char *name, const char *from,
                 const char *to)
{
    char *text = load(name);

    buf_clear(out);
    int r = watch_text(w, out, text, from, to);
    free(text);
    return r;
}

/* What the clients take, and under which payload types: Opus, RED, VP8, VP9, H.264, AV1. */
static void every_client(void **state)
{
    static const struct {
        const char *name;
        uint8_t pt[CODECS], vp8_rtx, mid_ext;
        bool transport_cc, nack;
    } cases[] = {
        {"chromium156_watch", {0, 111, 63, 96, 98, 108, 45}, 97, 4, true, true},
        {"firefox153_watch", {0, 109, 0, 120, 121, 0, 99}, 124, 3, true, true},
        {"aiortc_watch", {0, 96, 0, 97, 0, 101, 0}, 98, 1, false, true},
        {"gstreamer_watch", {0, 97, 0, 96, 0, 0, 0}, 98, 0, false, true},
    };
    struct sdp_watch w;
    struct buf out;

    (void)state;
    buf_init(&out, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(watch(&w, &out, cases[i].name, NULL, NULL), OK);
        assert_int_equal(w.n_audio, 1);
        assert_int_equal(w.n_video, 1);
        for (enum codec c = CODEC_OPUS; c < CODECS; c++) {
            uint8_t pt = c <= CODEC_RED ? w.audio[0].pt[c] : w.video[0].pt[c];
            assert_int_equal(pt, cases[i].pt[c]);
        }
        assert_int_equal(w.video[0].rtx_pt[CODEC_VP8], cases[i].vp8_rtx);
        assert_int_equal(w.video[0].ext.id[RTP_EXT_MID], cases[i].mid_ext);
        assert_int_equal(w.video[0].ext.id[RTP_EXT_RID], 0);
        assert_int_equal(w.video[0].transport_cc, cases[i].transport_cc);
        assert_int_equal(w.video[0].nack, cases[i].nack);
        assert_int_equal(w.audio[0].rtx_pt[CODEC_OPUS], 0);
        assert_false(w.remote.dtls_active);
    }
    buf_free(&out);
}

/* aiortc's m-lines use one id for levels and for times: a watcher keeps the times. */
static void an_id_means_one_thing(void **state)
{
    struct sdp_watch w;
    struct buf out;

    (void)state;
    buf_init(&out, 0);
    assert_int_equal(watch(&w, &out, "aiortc_watch", NULL, NULL), OK);
    assert_int_equal(w.audio[0].ext.id[RTP_EXT_MID], 1); /* the same on both: no clash */
    assert_int_equal(w.video[0].ext.id[RTP_EXT_MID], 1);
    assert_int_equal(w.audio[0].ext.id[RTP_EXT_AUDIO_LEVEL], 0);
    assert_int_equal(w.video[0].ext.id[RTP_EXT_ABS_SEND_TIME], 2);
    assert_null(strstr(buf_cstr(&out), "ssrc-audio-level"));
    /* Of two others it is the first line's. */
    assert_int_equal(watch(&w, &out, "aiortc_watch", "extmap:2 http", "extmap:1 http"), OK);
    assert_int_equal(w.audio[0].ext.id[RTP_EXT_MID], 1);
    assert_int_equal(w.audio[0].ext.id[RTP_EXT_AUDIO_LEVEL], 2);
    assert_int_equal(w.video[0].ext.id[RTP_EXT_ABS_SEND_TIME], 0);
    /* Nor twice on one line. */
    assert_int_equal(watch(&w, &out, "aiortc_watch", "extmap:2 urn", "extmap:1 urn"), OK);
    assert_int_equal(w.audio[0].ext.id[RTP_EXT_MID], 1);
    assert_int_equal(w.audio[0].ext.id[RTP_EXT_AUDIO_LEVEL], 0);
    assert_int_equal(w.video[0].ext.id[RTP_EXT_ABS_SEND_TIME], 2);
    buf_free(&out);
}

static void the_answer_says_the_same(void **state)
{
    struct sdp_watch w;
    struct buf out;
    struct sdp *a;

    (void)state;
    buf_init(&out, 0);
    assert_int_equal(watch(&w, &out, "chromium156_watch", NULL, NULL), OK);
    assert_int_equal(sdp_parse(&a, buf_cstr(&out), out.len), OK);
    assert_true(a->ice_lite);
    assert_string_equal(a->bundle, "0 1");
    const struct sdp_media *sound = &a->media[0], *picture = &a->media[1];
    assert_int_equal(sound->direction, SDP_SENDONLY);
    assert_int_equal(picture->direction, SDP_SENDONLY);
    assert_string_equal(sound->msid, "sotto-0 sotto-a0-track");
    assert_string_equal(picture->msid, "sotto-0 sotto-v0-track"); /* one stream: lips in step */
    assert_int_equal(sound->n_candidates, 2);
    assert_string_equal(sound->candidate[1].tcp_type, "passive");
    assert_int_equal(picture->n_candidates, 0);
    assert_int_equal(sound->n_ssrcs, 1);
    assert_int_equal(picture->group[0].ssrc[0], 2000);
    assert_int_equal(picture->group[0].ssrc[1], 3000);
    assert_int_equal(sdp_rtx_for(picture, 96)->pt, 97);
    assert_true(sdp_has_feedback(sdp_codec_by_pt(picture, 96), "transport-cc"));
    assert_true(sdp_has_feedback(sdp_codec_by_pt(picture, 96), "goog-remb"));
    assert_true(sdp_has_feedback(sdp_codec_by_pt(picture, 96), "nack pli"));
    assert_null(sdp_codec_by_pt(picture, 100)); /* VP9 profile 2 */
    assert_int_equal(sdp_setup_of(a, sound), SDP_SETUP_PASSIVE);
    sdp_free(a);
    buf_free(&out);
}

static void setup_follows_the_offer(void **state)
{
    struct sdp_watch w;
    struct buf out;

    (void)state;
    buf_init(&out, 0);
    assert_int_equal(watch(&w, &out, "aiortc_watch", "setup:actpass", "setup:passive"), OK);
    assert_true(w.remote.dtls_active);
    assert_non_null(strstr(buf_cstr(&out), "a=setup:active\r\n"));
    buf_free(&out);
}

static void refuses_what_cannot_be_watched(void **state)
{
    static const char c[] = "chromium156_watch";
    struct sdp_watch w;
    struct buf out;

    (void)state;
    buf_init(&out, 0);
    assert_int_equal(watch(&w, &out, c, "a=group:BUNDLE", "a=xroup:BUNDLE"), ERR_INVALID);
    assert_int_equal(watch(&w, &out, c, "a=recvonly", "a=sendonly"), ERR_UNSUPPORTED);
    assert_int_equal(watch(&w, &out, c, "a=recvonly", "a=inactive"), ERR_UNSUPPORTED);
    assert_int_equal(watch(&w, &out, c, "a=rtpmap:", "a=rtpxap:"), ERR_UNSUPPORTED);
    assert_int_equal(watch(&w, &out, c, "a=rtcp-mux", "a=rtcp-xux"), ERR_UNSUPPORTED);
    assert_int_equal(watch(&w, &out, c, "sha-256", "sha-512"), ERR_UNSUPPORTED);
    assert_int_equal(watch(&w, &out, c, "a=ice-pwd:", "a=ice-xwd:"), ERR_INVALID);
    assert_int_equal(watch(&w, &out, c, "a=setup:", "a=setux:"), ERR_INVALID);
    assert_int_equal(watch(&w, &out, c, "a=mid:1", "a=mid:0"), ERR_INVALID);
    assert_int_equal(out.len, 0);
    buf_free(&out);
}

/* One kind without a codec of ours is rejected; the other goes on and has the transport. */
static void sound_alone_or_picture_alone(void **state)
{
    struct sdp_watch w;
    struct buf out;
    struct sdp *a;

    (void)state;
    buf_init(&out, 0);
    assert_int_equal(watch(&w, &out, "aiortc_watch", "opus/48000", "nope/48000"), OK);
    assert_int_equal(w.n_audio, 0);
    assert_int_equal(w.n_video, 1);
    assert_int_equal(w.video[0].line, 1);
    assert_int_equal(sdp_parse(&a, buf_cstr(&out), out.len), OK);
    assert_string_equal(a->bundle, "1");
    assert_int_equal(a->media[0].port, 0);
    assert_int_equal(a->media[1].n_candidates, 2);
    sdp_free(a);
    buf_free(&out);
}

/* RFC 8843 section 7.1.3: a bundle-only m-line has no transport of its own; it is the first one's,
 * even when that one is rejected. */
static void bundle_only_has_the_first_ones_transport(void **state)
{
    static const char offer[] =
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\na=group:BUNDLE 0 1\r\n"
        "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=rtcp-mux\r\na=recvonly\r\n"
        "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=setup:actpass\r\n"
        "a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:"
        "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n"
        "m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=bundle-only\r\na=rtcp-mux\r\n"
        "a=recvonly\r\na=rtpmap:96 VP8/90000\r\n";
    struct sdp_watch w;
    struct buf out;

    (void)state;
    buf_init(&out, 0);
    assert_int_equal(watch_text(&w, &out, offer, NULL, NULL), OK);
    assert_int_equal(w.n_video, 1);
    assert_string_equal(w.remote.ice_ufrag, "abcd");
    assert_int_equal(w.remote.fingerprint[1], 0x11);
    assert_int_equal(watch_text(&w, &out, offer, "a=group:BUNDLE 0 1", "a=group:BUNDLE   1"),
                     ERR_INVALID); /* then nobody has it */
    buf_free(&out);
}

/* RFC 8285 section 5: extensions for one way are answered the other way, or not at all when that
 * isn't ours. Of a codec that stands there twice, the first format is used. */
static void extensions_of_one_way(void **state)
{
    static const char offer[] =
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\n"
        "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:1\r\na=rtcp-mux\r\na=recvonly\r\n"
        "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=setup:actpass\r\n"
        "a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:"
        "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n"
        "a=extmap:1/sendonly urn:3gpp:video-orientation\r\n"
        "a=extmap:9 http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00\r\n"
        "a=extmap:2/recvonly urn:ietf:params:rtp-hdrext:sdes:mid\r\n"
        "a=extmap:3/inactive http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time\r\n"
        "a=rtpmap:96 VP8/90000\r\na=rtpmap:97 VP8/90000\r\n";
    struct sdp_watch w;
    struct buf out;

    (void)state;
    buf_init(&out, 0);
    assert_int_equal(watch_text(&w, &out, offer, NULL, NULL), OK);
    assert_int_equal(w.video[0].ext.id[RTP_EXT_VIDEO_ORIENTATION], 0);
    assert_int_equal(w.video[0].ext.id[RTP_EXT_VIDEO_LAYERS], 9);
    assert_int_equal(w.video[0].ext.id[RTP_EXT_MID], 2);
    assert_int_equal(w.video[0].ext.id[RTP_EXT_ABS_SEND_TIME], 0);
    assert_int_equal(w.video[0].pt[CODEC_VP8], 96);
    assert_int_equal(w.video[0].n_agreed, 1);
    assert_non_null(strstr(buf_cstr(&out), "SAVPF 96\r\n"));
    assert_non_null(strstr(buf_cstr(&out), "a=extmap:2/sendonly urn:"));
    assert_null(strstr(buf_cstr(&out), "a=extmap:1"));
    assert_null(strstr(buf_cstr(&out), "BUNDLE")); /* a single m-line needs none */
    buf_free(&out);
}

/* n m-lines of each kind, in turns. */
static void put_offer(struct buf *text, int n)
{
    buf_append_str(text, "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\na=group:BUNDLE");
    for (int i = 0; i < 2 * n; i++) {
        buf_printf(text, " m%d", i);
    }
    buf_append_str(text, "\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n"
                         "a=setup:actpass\r\na=fingerprint:sha-256 ");
    for (int i = 0; i < 32; i++) {
        buf_printf(text, "%s%02x", i ? ":" : "", i);
    }
    for (int i = 0; i < 2 * n; i++) {
        buf_printf(text,
                   "\r\nm=%s 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:m%d\r\na=rtcp-mux\r\na=recvonly\r\n"
                   "a=rtpmap:96 %s",
                   i % 2 ? "video" : "audio", i, i % 2 ? "VP8/90000" : "opus/48000/2");
    }
    buf_append_str(text, "\r\n");
}

static void many_lines(void **state)
{
    struct buf text, out;
    struct sdp_watch w;
    struct sdp *a;

    (void)state;
    buf_init(&text, 0);
    buf_init(&out, 0);
    put_offer(&text, 6);
    assert_int_equal(watch_text(&w, &out, buf_cstr(&text), NULL, NULL), OK);
    assert_int_equal(w.n_audio, 4); /* as many as were allowed */
    assert_int_equal(w.n_video, 4);
    assert_string_equal(w.video[3].mid, "m7");
    assert_int_equal(sdp_parse(&a, buf_cstr(&out), out.len), OK);
    assert_int_equal(a->n_media, 12);
    assert_string_equal(a->bundle, "m0 m1 m2 m3 m4 m5 m6 m7");
    assert_int_equal(a->media[7].ssrc[0].ssrc, 2003);
    assert_string_equal(a->media[6].msid, "sotto-3 sotto-a3-track");
    assert_int_equal(a->media[8].port, 0);
    sdp_free(a);
    buf_free(&text);
    buf_free(&out);
}

static void bounds(void **state)
{
    struct sdp_slots few = {.n_audio = 1};
    struct buf text, out;
    struct sdp_watch w;
    struct sdp *offer;

    (void)state;
    buf_init(&text, 0);
    buf_init(&out, 500);
    buf_append_str(&out, "kept");
    put_offer(&text, 2);
    assert_int_equal(sdp_parse(&offer, buf_cstr(&text), text.len), OK);
    assert_int_equal(sdp_read_watch(&w, offer, 0, 2, 2), OK);
    assert_int_equal(sdp_answer_watch(&out, &w, offer, &few, &local), ERR_INVALID);
    few = make_slots();
    assert_int_equal(sdp_answer_watch(&out, &w, offer, &few, &local), ERR_TOO_LARGE);
    assert_string_equal(buf_cstr(&out), "kept");
    assert_int_equal(sdp_read_watch(&w, offer, 0, 0, 0), ERR_UNSUPPORTED);
    sdp_free(offer);
    buf_clear(&text);
    put_offer(&text, 64);
    assert_int_equal(sdp_parse(&offer, buf_cstr(&text), text.len), OK);
    assert_int_equal(sdp_read_watch(&w, offer, 0, 1000, 1000), OK);
    assert_int_equal(w.n_audio, SDP_MAX_AUDIO_SLOTS);
    assert_int_equal(w.n_video, SDP_MAX_VIDEO_SLOTS);
    sdp_free(offer);
    buf_clear(&text);
    put_offer(&text, 65);
    assert_int_equal(sdp_parse(&offer, buf_cstr(&text), text.len), ERR_TOO_LARGE);
    buf_free(&text);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_client),
        cmocka_unit_test(an_id_means_one_thing),
        cmocka_unit_test(the_answer_says_the_same),
        cmocka_unit_test(setup_follows_the_offer),
        cmocka_unit_test(refuses_what_cannot_be_watched),
        cmocka_unit_test(sound_alone_or_picture_alone),
        cmocka_unit_test(bundle_only_has_the_first_ones_transport),
        cmocka_unit_test(extensions_of_one_way),
        cmocka_unit_test(many_lines),
        cmocka_unit_test(bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
