/* The answers to publishing clients of all kinds, with every codec and layer that the house knows.
 * tests/data/sdp/README.md says where the offers are from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/err.h"
#include "lib/proto/sdp_publish.h"

static struct sdp_local local = {
    .ice_ufrag = "srvU",
    .ice_pwd = "srvpwdsrvpwdsrvpwdsrvpwd",
    .n_candidates = 4,
    .candidate = {{"192.0.2.1", 7000, false},
                  {"2001:db8::1", 7000, false},
                  {"192.0.2.1", 7001, true},
                  {"2001:db8::1", 7001, true}},
    .session_id = 4711,
    .session_version = 1,
    .cname = "sotto",
    .simulcast = true,
    .codecs = SDP_ALL_CODECS,
};

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

/* Answers the offer of that name, in which the first `from` became `to` (of the same length). The
 * answer as text and, in *a, parsed. */
static struct buf answer(const char *name, const char *from, const char *to, struct sdp_publish *p,
                         struct sdp **a)
{
    struct buf out;
    struct sdp *offer;
    char *text = load(name), *hit = from ? strstr(text, from) : NULL;

    if (from) {
        assert_non_null(hit);
        memcpy(hit, to, strlen(to));
    }
    buf_init(&out, 0);
    assert_int_equal(sdp_parse(&offer, text, strlen(text)), OK);
    assert_int_equal(sdp_answer_publish(&out, p, offer, &local), OK);
    assert_int_equal(sdp_parse(a, buf_cstr(&out), out.len), OK);
    assert_int_equal((*a)->n_media, offer->n_media);
    sdp_free(offer);
    free(text);
    return out;
}

/* "VP8 97/98, H264 101/102" of a track. */
static void assert_codecs(const struct sdp_track *t, const char *expected)
{
    struct buf got;

    buf_init(&got, 0);
    for (size_t i = 0; i < t->n_codecs; i++) {
        buf_printf(&got, "%s%s %u/%u", i ? ", " : "", codec_name(t->codec[i].codec), t->codec[i].pt,
                   t->codec[i].rtx_pt);
    }
    assert_string_equal(buf_cstr(&got), expected);
    buf_free(&got);
}

/* What each client's first sound and first picture may be sent as. */
static void every_client(void **state)
{
    static const struct {
        const char *name, *audio, *video;
        bool transport_cc, remb;
    } cases[] = {
        {"chromium_publish", "opus 111/0, red 63/0",
         "VP8 96/97, H264 108/109, AV1 45/46, VP9 98/99", true, true},
        {"firefox_publish", "opus 109/0", "VP8 120/124, VP9 121/125, AV1 99/100", true, true},
        {"aiortc_publish", "opus 96/0", "VP8 97/98, H264 101/102", false, true},
        {"gstreamer_publish", "opus 97/0", "VP8 96/0", false, false},
        {"gstreamer_h264", NULL, "H264 96/97", false, false},
        {"safari_publish", "opus 111/0, red 63/0", "H264 98/99, VP8 106/107, VP9 108/109", true,
         true},
        {"obs_whip", "opus 111/0", "H264 96/0", false, true},
        {"libwebrtc_native", "opus 111/0, red 63/0",
         "VP8 127/121, VP9 125/120, AV1 35/36, H264 108/109", true, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sdp_publish p;
        struct sdp *a;
        struct buf out = answer(cases[i].name, NULL, NULL, &p, &a);
        const struct sdp_track *video = &p.track[cases[i].audio ? 1 : 0];
        assert_true(p.track[0].sending && video->sending);
        if (cases[i].audio) {
            assert_codecs(&p.track[0], cases[i].audio);
        }
        assert_codecs(video, cases[i].video);
        assert_int_equal(video->transport_cc, cases[i].transport_cc);
        assert_int_equal(video->remb, cases[i].remb);
        assert_int_equal(video->pt, video->codec[0].pt);
        assert_int_equal(video->rtx_pt, video->codec[0].rtx_pt);
        assert_false(p.remote.dtls_active);
        assert_non_null(strstr(buf_cstr(&out), "a=setup:passive\r\n"));
        sdp_free(a);
        buf_free(&out);
    }
}

/* aiortc's m-lines use one id for levels and for times: of a publisher the levels count. */
static void an_id_means_one_thing(void **state)
{
    struct sdp_publish p;
    struct sdp *a;
    struct buf out = answer("aiortc_publish", NULL, NULL, &p, &a);

    (void)state;
    assert_int_equal(p.track[0].ext.id[RTP_EXT_AUDIO_LEVEL], 2);
    assert_int_equal(p.track[1].ext.id[RTP_EXT_ABS_SEND_TIME], 0);
    assert_int_equal(p.track[0].ext.id[RTP_EXT_MID], p.track[1].ext.id[RTP_EXT_MID]);
    assert_null(strstr(buf_cstr(&out), "abs-send-time"));
    sdp_free(a);
    buf_free(&out);
}

static void payload_types_are_found(void **state)
{
    struct sdp_publish p;
    struct sdp *a;
    struct buf out = answer("safari_publish", NULL, NULL, &p, &a);
    bool rtx;

    (void)state;
    assert_int_equal(sdp_track_codec(&p.track[1], 106, &rtx)->codec, CODEC_VP8);
    assert_false(rtx);
    assert_int_equal(sdp_track_codec(&p.track[1], 109, &rtx)->codec, CODEC_VP9);
    assert_true(rtx);
    assert_null(sdp_track_codec(&p.track[1], 96, &rtx));  /* constrained high */
    assert_null(sdp_track_codec(&p.track[1], 104, &rtx)); /* H.265 */
    assert_null(sdp_track_codec(&p.track[0], 0, &rtx));   /* 0 is no retransmission of Opus */
    assert_string_equal(a->media[1].formats, "98 99 106 107 108 109");
    assert_string_equal(sdp_codec_by_pt(&a->media[1], 98)->fmtp,
                        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f");
    assert_string_equal(sdp_codec_by_pt(&a->media[1], 108)->fmtp, "profile-id=0");
    assert_string_equal(sdp_codec_by_pt(&a->media[0], 63)->fmtp, "111/111");
    sdp_free(a);
    buf_free(&out);
}

static void sound_keeps_its_wishes(void **state)
{
    struct sdp_publish p;
    struct sdp *a;
    struct buf out = answer("libwebrtc_native", NULL, NULL, &p, &a);

    (void)state;
    assert_string_equal(sdp_codec_by_pt(&a->media[1], 111)->fmtp,
                        "minptime=10;useinbandfec=1;stereo=1;usedtx=1");
    assert_int_equal(a->media[0].port, 0); /* its data channel */
    assert_string_equal(a->bundle, "1 2");
    assert_int_equal(a->media[1].n_candidates, 4);
    assert_int_equal(a->media[2].n_candidates, 0);
    sdp_free(a);
    buf_free(&out);
    out = answer("obs_whip", NULL, NULL, &p, &a);
    assert_string_equal(sdp_codec_by_pt(&a->media[0], 111)->fmtp,
                        "minptime=10;useinbandfec=1;stereo=1");
    assert_int_equal(p.track[1].ssrc, 3388068601u);
    assert_false(p.rtcp_rsize);
    sdp_free(a);
    buf_free(&out);
}

/* RFC 6544 section 4.5 and RFC 8421: candidates of both families, TCP after UDP, passive. */
static void candidates(void **state)
{
    struct sdp_publish p;
    struct sdp *a;
    struct buf out = answer("chromium_publish", NULL, NULL, &p, &a);
    const struct sdp_media *m = &a->media[0];

    (void)state;
    assert_int_equal(m->n_candidates, 4);
    for (size_t i = 0; i < 4; i++) {
        const struct sdp_candidate *c = &m->candidate[i];
        assert_string_equal(c->transport, i < 2 ? "udp" : "tcp");
        assert_string_equal(c->address, i % 2 ? "2001:db8::1" : "192.0.2.1");
        assert_int_equal(c->port, i < 2 ? 7000 : 7001);
        assert_int_equal(c->component, 1);
        assert_true(i == 0 || c->priority < m->candidate[i - 1].priority);
        if (i < 2) {
            assert_null(c->tcp_type);
        } else {
            assert_string_equal(c->tcp_type, "passive");
        }
    }
    assert_true(m->end_of_candidates);
    sdp_free(a);
    buf_free(&out);
}

static void simulcast_by_rids(void **state)
{
    struct sdp_publish p;
    struct sdp *a;
    struct buf out = answer("libwebrtc_native", NULL, NULL, &p, &a);
    const struct sdp_track *t = &p.track[1];

    (void)state;
    assert_int_equal(t->n_layers, 3); /* the fourth is one too many */
    assert_int_equal(t->n_rids, 3);
    assert_string_equal(t->layer[0].rid, "l");
    assert_string_equal(t->layer[1].rid, "m");
    assert_true(t->layer[1].paused && !t->layer[0].paused && !t->layer[2].paused);
    assert_int_equal(t->ext.id[RTP_EXT_DEPENDENCY_DESCRIPTOR], 12);
    assert_int_equal(t->ext.id[RTP_EXT_VIDEO_LAYERS], 9);
    assert_int_equal(t->ext.id[RTP_EXT_ABS_CAPTURE_TIME], 15);
    assert_string_equal(a->media[2].simulcast, "recv l;~m;h");
    assert_int_equal(a->media[2].n_rids, 3);
    assert_null(strstr(buf_cstr(&out), "corruption-detection"));
    assert_null(strstr(buf_cstr(&out), "toffset"));
    sdp_free(a);
    buf_free(&out);
    out = answer("libwebrtc_native", "send l;~m;h;x", "send l,m;?;;h", &p, &a);
    assert_int_equal(p.track[1].n_layers, 2); /* of alternatives the first */
    assert_string_equal(a->media[2].simulcast, "recv l;h");
    sdp_free(a);
    buf_free(&out);
    out = answer("libwebrtc_native", "send l;~m;h;x", "recv l send h", &p, &a);
    assert_string_equal(a->media[2].simulcast, "recv h");
    sdp_free(a);
    buf_free(&out);
    out = answer("libwebrtc_native", "send l;~m;h;x", "send l;l;y;~l", &p, &a);
    assert_string_equal(a->media[2].simulcast, "recv l"); /* twice, and never declared */
    sdp_free(a);
    buf_free(&out);
}

static void simulcast_by_ssrcs(void **state)
{
    struct sdp_publish p;
    struct sdp *a;
    struct buf out = answer("safari_sim_group", NULL, NULL, &p, &a);
    const struct sdp_track *t = &p.track[1];

    (void)state;
    assert_int_equal(t->n_layers, 3);
    assert_int_equal(t->n_rids, 0);
    for (uint32_t i = 0; i < 3; i++) {
        assert_string_equal(t->layer[i].rid, "");
        assert_int_equal(t->layer[i].ssrc, 2221 + i);
        assert_int_equal(t->layer[i].rtx_ssrc, 3331 + i);
    }
    assert_int_equal(t->ssrc, 2221);
    assert_int_equal(t->rtx_ssrc, 3331);
    sdp_free(a);
    buf_free(&out);
    local.simulcast = false; /* then the first layer is the stream */
    out = answer("safari_sim_group", NULL, NULL, &p, &a);
    local.simulcast = true;
    assert_int_equal(p.track[1].n_layers, 0);
    assert_int_equal(p.track[1].ssrc, 2221);
    sdp_free(a);
    buf_free(&out);
}

/* What the router of today can take, when nothing else is asked for. */
static void basic_codecs_by_default(void **state)
{
    struct sdp_publish p;
    struct sdp *a;

    (void)state;
    local.codecs = 0;
    struct buf out = answer("safari_publish", NULL, NULL, &p, &a);
    assert_codecs(&p.track[0], "opus 111/0");
    assert_codecs(&p.track[1], "VP8 106/107");
    sdp_free(a);
    buf_free(&out);
    local.codecs = SDP_ALL_CODECS;
    local.prefer = CODEC_VP9;
    out = answer("safari_publish", NULL, NULL, &p, &a);
    local.prefer = CODEC_NONE;
    assert_codecs(&p.track[1], "VP9 108/109, H264 98/99, VP8 106/107");
    assert_int_equal(p.track[1].pt, 108);
    sdp_free(a);
    buf_free(&out);
}

/* GStreamer's bundle-only m-line has port 0 and is no rejected one; when the first m-line goes, its
 * transport is still the BUNDLE's. */
static void bundle_only(void **state)
{
    struct sdp_publish p;
    struct sdp *a;
    struct buf out = answer("gstreamer_publish", NULL, NULL, &p, &a);

    (void)state;
    assert_int_equal(p.n_tracks, 2);
    assert_int_equal(a->media[1].port, 9);
    sdp_free(a);
    buf_free(&out);
    out = answer("gstreamer_publish", "OPUS/48000", "NONE/48000", &p, &a);
    assert_int_equal(p.n_tracks, 1);
    assert_string_equal(a->bundle, "video1");
    assert_int_equal(a->media[1].n_candidates, 4);
    sdp_free(a);
    buf_free(&out);
}

/* A single m-line needs no BUNDLE; then the answer has none either. */
static void one_line_alone(void **state)
{
    struct sdp_publish p;
    struct sdp *a;
    struct buf out = answer("gstreamer_h264", "a=group:BUNDLE", "a=xroup:BUNDLE", &p, &a);

    (void)state;
    assert_int_equal(p.n_tracks, 1);
    assert_null(a->bundle);
    sdp_free(a);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_client),
        cmocka_unit_test(an_id_means_one_thing),
        cmocka_unit_test(payload_types_are_found),
        cmocka_unit_test(sound_keeps_its_wishes),
        cmocka_unit_test(candidates),
        cmocka_unit_test(simulcast_by_rids),
        cmocka_unit_test(simulcast_by_ssrcs),
        cmocka_unit_test(basic_codecs_by_default),
        cmocka_unit_test(bundle_only),
        cmocka_unit_test(one_line_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
