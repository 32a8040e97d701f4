#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/err.h"
#include "lib/proto/sdp_subscribe.h"

static const struct sdp_local local = {
    .ice_ufrag = "srvU",
    .ice_pwd = "srvpwdsrvpwdsrvpwdsrvpwd",
    .n_candidates = 1,
    .candidate = {{"192.0.2.1", 7000, false}},
    .session_id = 4711,
    .session_version = 1,
    .cname = "sotto",
};

/* As many slots as the recorded answers are about. */
static struct sdp_slots make_slots(void)
{
    struct sdp_slots s = {.n_audio = 3, .n_video = 9};
    for (uint32_t i = 0; i < 3; i++) {
        s.audio[i].ssrc = 1000 + i;
    }
    for (uint32_t i = 0; i < 9; i++) {
        s.video[i] = (struct sdp_slot){2000 + i, 3000 + i};
    }
    return s;
}

static void offer_says_every_slot(void **state)
{
    struct sdp_slots s = make_slots();
    struct buf out;
    struct sdp *o;
    struct rtp_ext_map ext;

    (void)state;
    buf_init(&out, 0);
    assert_int_equal(sdp_offer_subscribe(&out, &s, &local), OK);
    assert_int_equal(sdp_parse(&o, buf_cstr(&out), out.len), OK);
    assert_true(o->ice_lite);
    assert_string_equal(o->bundle, "a0 a1 a2 v0 v1 v2 v3 v4 v5 v6 v7 v8");
    assert_int_equal(o->n_media, 12);
    for (size_t i = 0; i < 12; i++) {
        const struct sdp_media *m = &o->media[i];
        bool audio = i < 3;
        assert_int_equal(m->direction, SDP_SENDONLY);
        assert_int_equal(sdp_setup_of(o, m), SDP_SETUP_ACTPASS);
        assert_int_equal(m->n_ssrcs, audio ? 1 : 2);
        assert_int_equal(m->ssrc[0].ssrc, audio ? 1000 + i : 2000 + i - 3);
        assert_string_equal(m->ssrc[0].cname, "sotto");
        assert_int_equal(m->n_candidates, i == 0 ? 1 : 0);
        assert_true(m->rtcp_mux);
        sdp_ext_map(&ext, m);
        assert_int_equal(ext.id[RTP_EXT_AUDIO_LEVEL], audio ? SDP_SLOT_EXT_AUDIO_LEVEL : 0);
        assert_int_equal(ext.id[RTP_EXT_TRANSPORT_CC], SDP_SLOT_EXT_TRANSPORT_CC);
    }
    const struct sdp_media *v = sdp_media_by_mid(o, "v8");
    assert_string_equal(v->msid, "sotto-v8 sotto-v8-track");
    assert_int_equal(v->group[0].ssrc[1], 3008);
    assert_int_equal(sdp_rtx_for(v, SDP_VP8_PT)->pt, SDP_VP8_RTX_PT);
    sdp_free(o);
    buf_free(&out);
}

static void offer_without_sound(void **state)
{
    struct sdp_slots s = {.n_video = 1, .video = {{1, 2}}};
    struct buf out;
    struct sdp *o;

    (void)state;
    buf_init(&out, 0);
    assert_int_equal(sdp_offer_subscribe(&out, &s, &local), OK);
    assert_int_equal(sdp_parse(&o, buf_cstr(&out), out.len), OK);
    assert_int_equal(o->media[0].n_candidates, 1);
    assert_string_equal(o->bundle, "v0");
    sdp_free(o);
    buf_free(&out);
}

static void offer_bounds(void **state)
{
    struct sdp_slots s = {0};
    struct buf out;

    (void)state;
    buf_init(&out, 0);
    assert_int_equal(sdp_offer_subscribe(&out, &s, &local), ERR_INVALID);
    s.n_audio = SDP_MAX_AUDIO_SLOTS + 1;
    assert_int_equal(sdp_offer_subscribe(&out, &s, &local), ERR_INVALID);
    s.n_audio = SDP_MAX_AUDIO_SLOTS;
    s.n_video = SDP_MAX_VIDEO_SLOTS;
    assert_int_equal(sdp_offer_subscribe(&out, &s, &local), OK);
    assert_true(out.len < SDP_MAX_BYTES); /* a client may parse it with bounds like ours */
    buf_free(&out);
    buf_init(&out, 1000);
    assert_int_equal(sdp_offer_subscribe(&out, &s, &local), ERR_TOO_LARGE);
    assert_int_equal(out.len, 0);
    buf_free(&out);
}

static char *load(const char *name)
{
    char path[128], *text = calloc(1, SDP_MAX_BYTES + 1);

    snprintf(path, sizeof path, "tests/data/sdp/%s.sdp", name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(text, 1, SDP_MAX_BYTES, f);
    fclose(f);
    assert_true(n > 0);
    return text;
}

/* Reads a recorded answer with the first `from` replaced by `to` (of the same length). */
static int read_edited(struct sdp_subscribe *out, const char *name, const char *from,
                       const char *to)
{
    struct sdp_slots s = make_slots();
    struct sdp *a = NULL;
    char *text = load(name), *hit = from ? strstr(text, from) : NULL;

    if (from) {
        assert_non_null(hit);
        assert_int_equal(strlen(from), strlen(to));
        memcpy(hit, to, strlen(to));
    }
    assert_int_equal(sdp_parse(&a, text, strlen(text)), OK);
    int r = sdp_read_answer(out, a, &s);
    sdp_free(a);
    free(text);
    return r;
}

static void reads_chromium(void **state)
{
    struct sdp_subscribe r;

    (void)state;
    assert_int_equal(read_edited(&r, "chromium_subscribe_answer", NULL, NULL), OK);
    assert_false(r.remote.dtls_active);
    for (size_t i = 0; i < 3; i++) {
        assert_true(r.audio[i].accepted);
        assert_false(r.audio[i].rtx);
        assert_int_equal(r.audio[i].ext.id[RTP_EXT_AUDIO_LEVEL], SDP_SLOT_EXT_AUDIO_LEVEL);
    }
    for (size_t i = 0; i < 9; i++) {
        assert_true(r.video[i].accepted && r.video[i].rtx && r.video[i].nack &&
                    r.video[i].transport_cc);
    }
    assert_false(r.video[9].accepted);
}

static void reads_firefox(void **state)
{
    struct sdp_subscribe r;

    (void)state;
    assert_int_equal(read_edited(&r, "firefox_subscribe_answer", NULL, NULL), OK);
    assert_true(r.audio[0].accepted && r.video[8].accepted && r.video[8].rtx);
    assert_int_equal(r.audio[0].ext.id[RTP_EXT_ABS_SEND_TIME], 0); /* it left that one out */
    assert_int_equal(r.video[0].ext.id[RTP_EXT_ABS_SEND_TIME], SDP_SLOT_EXT_ABS_SEND_TIME);
}

static void rejected_slot_is_no_error(void **state)
{
    struct sdp_subscribe r;

    (void)state;
    assert_int_equal(read_edited(&r, "chromium_subscribe_answer", "m=video 9", "m=video 0"), OK);
    assert_false(r.video[0].accepted);
    assert_true(r.video[1].accepted);
    assert_int_equal(read_edited(&r, "chromium_subscribe_answer", "recvonly", "inactive"), OK);
    assert_false(r.audio[0].accepted);
}

static void refuses_bad_answers(void **state)
{
    static const char c[] = "chromium_subscribe_answer";
    struct sdp_subscribe r;

    (void)state;
    assert_int_equal(read_edited(&r, c, "a=mid:v3", "a=mid:v4"), ERR_INVALID);
    assert_int_equal(read_edited(&r, c, "m=audio", "m=video"), ERR_INVALID);
    assert_int_equal(read_edited(&r, c, "setup:active", "xetup:active"), ERR_INVALID);
    assert_int_equal(read_edited(&r, c, "ice-ufrag", "ice-xfrag"), ERR_INVALID);
    assert_int_equal(read_edited(&r, c, "sha-256", "sha-512"), ERR_UNSUPPORTED);
    assert_int_equal(read_edited(&r, c, "a=group:BUNDLE a0", "a=group:BUNDLE xx"), ERR_INVALID);
    assert_int_equal(read_edited(&r, c, "extmap:1 ", "extmap:9 "), ERR_INVALID);
    assert_int_equal(read_edited(&r, c, "a=rtcp-mux", "a=rtcp-xux"), ERR_INVALID);
    assert_int_equal(read_edited(&r, "chromium_publish", NULL, NULL), ERR_INVALID);
}

/* ---- with every codec ---- */

static struct sdp_slots all_codecs(size_t n_audio, size_t n_video)
{
    struct sdp_slots s = {.n_audio = n_audio, .n_video = n_video, .codecs = SDP_ALL_CODECS};

    for (uint32_t i = 0; i < SDP_MAX_AUDIO_SLOTS; i++) {
        s.audio[i].ssrc = 4000000000u + i;
    }
    for (uint32_t i = 0; i < SDP_MAX_VIDEO_SLOTS; i++) {
        s.video[i] = (struct sdp_slot){4100000000u + i, 4200000000u + i};
    }
    return s;
}

static void offer_of_every_codec(void **state)
{
    struct sdp_slots s = all_codecs(1, 2);
    struct buf out;
    struct sdp *o;
    struct sdp_agreed a[SDP_MAX_AGREED];

    (void)state;
    buf_init(&out, 0);
    assert_int_equal(sdp_offer_subscribe(&out, &s, &local), OK);
    assert_int_equal(sdp_parse(&o, buf_cstr(&out), out.len), OK);
    assert_string_equal(o->media[0].formats, "111 63");
    assert_string_equal(o->media[2].formats, "96 97 98 99 102 103 45 46");
    /* we would take all of it ourselves */
    size_t n = sdp_agree(a, &o->media[2], SDP_ALL_CODECS, CODEC_NONE);
    assert_int_equal(n, 4);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(a[i].pt, sdp_slot_pt(a[i].codec));
        assert_int_equal(a[i].rtx_pt, sdp_slot_rtx_pt(a[i].codec));
        assert_true(a[i].nack && a[i].pli && a[i].fir && a[i].transport_cc && a[i].remb);
    }
    assert_int_equal(sdp_agree(a, &o->media[0], SDP_ALL_CODECS, CODEC_NONE), 2);
    assert_int_equal(sdp_slot_pt(CODEC_NONE), 0);
    assert_int_equal(sdp_slot_rtx_pt(CODEC_RED), 0);
    sdp_free(o);
    buf_free(&out);
}

/* However many slots: our offer stays below 60,000 bytes, and fewer of them carry more. */
static void many_slots_carry_less(void **state)
{
    static const struct {
        size_t n_audio, n_video;
        uint32_t without;
    } cases[] = {
        {3, 9, 0},
        {16, 30, 0},
        {3, 43, SDP_CODEC(CODEC_AV1)},
        {3, 52, SDP_CODEC(CODEC_AV1) | SDP_CODEC(CODEC_VP9)},
        {16, 64,
         SDP_CODEC(CODEC_AV1) | SDP_CODEC(CODEC_VP9) | SDP_CODEC(CODEC_H264) |
             SDP_CODEC(CODEC_RED)},
    };
    struct buf out;

    (void)state;
    buf_init(&out, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sdp_slots s = all_codecs(cases[i].n_audio, cases[i].n_video);
        assert_int_equal(sdp_slots_codecs(&s), SDP_ALL_CODECS & ~cases[i].without);
        buf_clear(&out);
        assert_int_equal(sdp_offer_subscribe(&out, &s, &local), OK);
        assert_true(out.len < 60000);
        assert_non_null(strstr(buf_cstr(&out), "video-orientation"));
    }
    buf_free(&out);
}

static void masks_that_leave_nothing(void **state)
{
    struct sdp_slots s = all_codecs(1, 1);
    struct buf out;

    (void)state;
    buf_init(&out, 0);
    s.codecs = SDP_CODEC(CODEC_VP8);
    assert_int_equal(sdp_offer_subscribe(&out, &s, &local), ERR_INVALID);
    s.codecs = SDP_CODEC(CODEC_RED) | SDP_CODEC(CODEC_VP8); /* no RED without Opus */
    assert_int_equal(sdp_offer_subscribe(&out, &s, &local), ERR_INVALID);
    s.codecs = SDP_CODEC(CODEC_OPUS);
    assert_int_equal(sdp_offer_subscribe(&out, &s, &local), ERR_INVALID);
    s.n_video = 0;
    assert_int_equal(sdp_offer_subscribe(&out, &s, &local), OK);
    buf_free(&out);
}

/* A recorded answer to two audio and three video slots of all codecs. */
static void read_all(struct sdp_subscribe *out, const char *name, const char *from, const char *to)
{
    struct sdp_slots s = all_codecs(2, 3);
    struct sdp *a = NULL;
    char *text = load(name), *hit = from ? strstr(text, from) : NULL;

    if (from) {
        assert_non_null(hit);
        memcpy(hit, to, strlen(to));
    }
    assert_int_equal(sdp_parse(&a, text, strlen(text)), OK);
    assert_int_equal(sdp_read_answer(out, a, &s), OK);
    sdp_free(a);
    free(text);
}

static void answers_to_every_codec(void **state)
{
    const uint32_t h264 = SDP_CODEC(CODEC_H264);
    struct sdp_subscribe r;

    (void)state;
    read_all(&r, "chromium156_answer", NULL, NULL);
    assert_true(r.extmap_allow_mixed);
    for (size_t i = 0; i < 3; i++) {
        const struct sdp_subscribed_slot *v = &r.video[i];
        assert_int_equal(v->codecs, SDP_VIDEO_CODECS);
        assert_int_equal(v->rtx_codecs, SDP_VIDEO_CODECS);
        assert_true(v->accepted && v->rtx && v->nack && v->pli && v->fir && v->remb &&
                    v->transport_cc);
        assert_int_equal(v->ext.id[RTP_EXT_DEPENDENCY_DESCRIPTOR],
                         SDP_SLOT_EXT_DEPENDENCY_DESCRIPTOR);
        assert_int_equal(v->ext.id[RTP_EXT_ABS_CAPTURE_TIME], SDP_SLOT_EXT_ABS_CAPTURE_TIME);
    }
    assert_int_equal(r.audio[1].codecs, SDP_AUDIO_CODECS);
    assert_int_equal(r.audio[1].rtx_codecs, 0);
    read_all(&r, "firefox153_answer", NULL, NULL); /* here without its H.264 plugin */
    assert_int_equal(r.video[2].codecs, SDP_VIDEO_CODECS & ~h264);
    assert_int_equal(r.video[2].rtx_codecs, SDP_VIDEO_CODECS & ~h264);
    assert_int_equal(r.video[2].ext.id[RTP_EXT_DEPENDENCY_DESCRIPTOR], 0);
    assert_int_equal(r.audio[0].codecs, SDP_CODEC(CODEC_OPUS));
}

/* Under our payload type another format stands: not ours to send. */
static void another_format_is_none(void **state)
{
    struct sdp_subscribe r;

    (void)state;
    read_all(&r, "chromium156_answer", "profile-level-id=42e01f", "profile-level-id=42e034");
    assert_true(r.video[0].codecs & SDP_CODEC(CODEC_H264)); /* only its level */
    read_all(&r, "chromium156_answer", "profile-level-id=42e01f", "profile-level-id=64001f");
    assert_int_equal(r.video[0].codecs, SDP_VIDEO_CODECS & ~SDP_CODEC(CODEC_H264));
    assert_int_equal(r.video[1].codecs, SDP_VIDEO_CODECS);
    read_all(&r, "chromium156_answer", "rtpmap:98 VP9", "rtpmap:98 VP7");
    assert_int_equal(r.video[0].codecs, SDP_VIDEO_CODECS & ~SDP_CODEC(CODEC_VP9));
    read_all(&r, "chromium156_answer", "apt=45", "apt=44");
    assert_int_equal(r.video[0].rtx_codecs, SDP_VIDEO_CODECS & ~SDP_CODEC(CODEC_AV1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offer_says_every_slot),  cmocka_unit_test(offer_without_sound),
        cmocka_unit_test(offer_bounds),           cmocka_unit_test(reads_chromium),
        cmocka_unit_test(reads_firefox),          cmocka_unit_test(rejected_slot_is_no_error),
        cmocka_unit_test(refuses_bad_answers),    cmocka_unit_test(offer_of_every_codec),
        cmocka_unit_test(many_slots_carry_less),  cmocka_unit_test(masks_that_leave_nothing),
        cmocka_unit_test(answers_to_every_codec), cmocka_unit_test(another_format_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
