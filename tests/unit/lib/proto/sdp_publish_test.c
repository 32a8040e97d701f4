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
    .fingerprint = {0xab, 0xcd},
    .n_candidates = 3,
    .candidate = {{"192.0.2.1", 7000, false},
                  {"2001:db8::1", 7000, false},
                  {"192.0.2.1", 7001, true}},
    .session_id = 4711,
    .session_version = 3,
    .cname = "sotto",
};

static char *load(const char *name, size_t *len)
{
    char path[128], *text = calloc(1, SDP_MAX_BYTES + 1);

    snprintf(path, sizeof path, "tests/data/sdp/%s.sdp", name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    *len = fread(text, 1, SDP_MAX_BYTES, f);
    fclose(f);
    return text;
}

/* The answer to a text, with `from` replaced by `to` first (when given). */
static int answer(struct buf *out, struct sdp_publish *p, const char *text, const char *from,
                  const char *to)
{
    struct buf edited;
    struct sdp *offer = NULL;

    buf_init(&edited, 0);
    for (const char *at = text; *at;) {
        const char *hit = from ? strstr(at, from) : NULL;
        if (!hit) {
            buf_append_str(&edited, at);
            break;
        }
        buf_append(&edited, at, (size_t)(hit - at));
        buf_append_str(&edited, to);
        at = hit + strlen(from);
    }
    int r = sdp_parse(&offer, buf_cstr(&edited), edited.len);
    assert_int_equal(r, OK);
    r = sdp_answer_publish(out, p, offer, &local);
    sdp_free(offer);
    buf_free(&edited);
    return r;
}

static void answers_chromium(void **state)
{
    size_t len;
    char *text = load("chromium_publish", &len);
    struct sdp_publish p;
    struct buf out;
    struct sdp *a;

    (void)state;
    buf_init(&out, 0);
    assert_int_equal(answer(&out, &p, text, NULL, NULL), OK);
    assert_int_equal(p.n_tracks, 2);
    assert_int_equal(p.track[0].source, SDP_SOURCE_MICROPHONE);
    assert_int_equal(p.track[0].pt, 111);
    assert_int_equal(p.track[0].rtx_pt, 0);
    assert_int_equal(p.track[0].clock_rate, 48000);
    assert_int_equal(p.track[0].ext.id[RTP_EXT_AUDIO_LEVEL], 1);
    assert_true(p.track[0].transport_cc);
    assert_int_equal(p.track[1].source, SDP_SOURCE_CAMERA);
    assert_int_equal(p.track[1].pt, 96);
    assert_int_equal(p.track[1].rtx_pt, 97);
    assert_true(p.track[1].nack && p.track[1].pli && p.track[1].sending);
    assert_true(p.track[1].ssrc != 0 && p.track[1].rtx_ssrc != 0);
    assert_int_equal(p.track[1].ext.id[RTP_EXT_VIDEO_ORIENTATION], 13);
    assert_int_equal(p.track[1].ext.id[RTP_EXT_ABS_CAPTURE_TIME], 0); /* not offered */
    assert_false(p.remote.dtls_active);
    assert_int_equal(strlen(p.remote.ice_ufrag), 4);
    /* and the text says the same */
    assert_int_equal(sdp_parse(&a, buf_cstr(&out), out.len), OK);
    assert_true(a->ice_lite);
    assert_string_equal(a->bundle, "0 1");
    assert_int_equal(a->session_version, 3);
    const struct sdp_media *m = &a->media[0], *v = &a->media[1];
    assert_int_equal(m->n_codecs, 1);
    assert_int_equal(v->n_codecs, 2);
    assert_int_equal(m->direction, SDP_RECVONLY);
    assert_int_equal(sdp_setup_of(a, m), SDP_SETUP_PASSIVE);
    assert_int_equal(m->n_candidates, 3);
    assert_string_equal(m->candidate[2].tcp_type, "passive");
    assert_true(m->candidate[0].priority > m->candidate[1].priority);
    assert_true(m->candidate[1].priority > m->candidate[2].priority);
    assert_true(m->end_of_candidates);
    assert_int_equal(v->n_candidates, 0);
    assert_true(sdp_has_feedback(&v->codec[0], "goog-remb"));
    assert_true(sdp_has_feedback(&v->codec[0], "transport-cc"));
    assert_true(sdp_has_feedback(&v->codec[0], "ccm fir"));
    uint8_t fp[SDP_FINGERPRINT_LEN];
    assert_int_equal(sdp_fingerprint_sha256(fp, a, v), OK);
    assert_memory_equal(fp, local.fingerprint, sizeof fp);
    sdp_free(a);
    buf_free(&out);
    free(text);
}

static void answers_firefox(void **state)
{
    size_t len;
    char *text = load("firefox_publish", &len);
    struct sdp_publish p;
    struct buf out;

    (void)state;
    buf_init(&out, 0);
    assert_int_equal(answer(&out, &p, text, NULL, NULL), OK);
    assert_int_equal(p.n_tracks, 2);
    assert_int_equal(p.track[0].pt, 109);
    assert_int_equal(p.track[1].pt, 120);
    assert_int_equal(p.track[1].rtx_pt, 124);
    assert_int_equal(p.track[1].ext.id[RTP_EXT_TRANSPORT_CC], 7);
    buf_free(&out);
    free(text);
}

static void simulcast_and_rejected_lines(void **state)
{
    size_t len;
    char *text = load("chromium_simulcast", &len);
    struct sdp_publish p;
    struct buf out;
    struct sdp *a;

    (void)state;
    buf_init(&out, 0);
    local.simulcast = true;
    assert_int_equal(answer(&out, &p, text, NULL, NULL), OK);
    local.simulcast = false;
    assert_int_equal(p.n_tracks, 3);
    assert_int_equal(p.track[1].n_rids, 3);
    assert_string_equal(p.track[1].rid[0], "q");
    assert_int_equal(p.track[1].ssrc, 0);
    assert_int_equal(p.track[2].source, SDP_SOURCE_SCREEN);
    assert_false(p.track[2].sending);
    assert_int_equal(sdp_parse(&a, buf_cstr(&out), out.len), OK);
    assert_string_equal(a->bundle, "0 1 2");
    assert_int_equal(a->n_media, 4);
    assert_string_equal(a->media[1].simulcast, "recv q;h;f");
    assert_int_equal(a->media[2].direction, SDP_INACTIVE);
    assert_int_equal(a->media[3].port, 0);
    assert_string_equal(a->media[3].mid, "3");
    assert_string_equal(a->media[3].formats, "webrtc-datachannel");
    sdp_free(a);
    buf_free(&out);
    free(text);
}

static void simulcast_is_declined_by_default(void **state)
{
    size_t len;
    char *text = load("firefox_simulcast", &len);
    struct sdp_publish p;
    struct buf out;

    (void)state;
    buf_init(&out, 0);
    assert_int_equal(answer(&out, &p, text, NULL, NULL), OK);
    assert_int_equal(p.n_tracks, 1);
    assert_int_equal(p.track[0].n_rids, 0);
    assert_null(strstr(buf_cstr(&out), "simulcast"));
    assert_null(strstr(buf_cstr(&out), "a=rid"));
    buf_free(&out);
    free(text);
}

static void setup_follows_the_offer(void **state)
{
    size_t len;
    char *text = load("chromium_publish", &len);
    struct sdp_publish p;
    struct buf out;

    (void)state;
    buf_init(&out, 0);
    assert_int_equal(answer(&out, &p, text, "actpass", "passive"), OK);
    assert_true(p.remote.dtls_active);
    assert_non_null(strstr(buf_cstr(&out), "a=setup:active\r\n"));
    buf_clear(&out);
    assert_int_equal(answer(&out, &p, text, "actpass", "active"), OK);
    assert_false(p.remote.dtls_active);
    buf_clear(&out);
    assert_int_equal(answer(&out, &p, text, "a=setup:actpass", "a=x"), ERR_INVALID);
    assert_int_equal(out.len, 0);
    buf_free(&out);
    free(text);
}

static void refuses_what_cannot_be_answered(void **state)
{
    size_t len;
    char *text = load("chromium_publish", &len);
    struct sdp_publish p;
    struct buf out;

    (void)state;
    buf_init(&out, 0);
    buf_append_str(&out, "kept");
    assert_int_equal(answer(&out, &p, text, "a=group:BUNDLE 0 1", "a=x"), ERR_INVALID);
    assert_int_equal(answer(&out, &p, text, "a=rtcp-mux", "a=x"), ERR_UNSUPPORTED);
    assert_int_equal(answer(&out, &p, text, "a=ice-ufrag:", "a=x:"), ERR_INVALID);
    assert_int_equal(answer(&out, &p, text, "a=ice-pwd:", "a=ice-pwd:\x21"), ERR_INVALID);
    assert_int_equal(answer(&out, &p, text, "sha-256", "sha-1"), ERR_UNSUPPORTED);
    assert_int_equal(answer(&out, &p, text, "RTP/SAVPF", "RTP/AVPF"), ERR_UNSUPPORTED);
    assert_int_equal(answer(&out, &p, text, "a=mid:1", "a=mid:0"), ERR_INVALID);
    assert_string_equal(buf_cstr(&out), "kept"); /* a refusal writes nothing */
    buf_free(&out);
    free(text);
}

static void without_rtx_or_feedback(void **state)
{
    size_t len;
    char *text = load("chromium_publish", &len);
    struct sdp_publish p;
    struct buf out;

    (void)state;
    buf_init(&out, 0);
    assert_int_equal(answer(&out, &p, text, " rtx/90000", " nix/90000"), OK);
    assert_int_equal(p.track[1].rtx_pt, 0);
    assert_int_equal(answer(&out, &p, text, "transport-cc", "x"), OK);
    assert_false(p.track[1].transport_cc);
    assert_int_equal(p.track[1].ext.id[RTP_EXT_TRANSPORT_CC], 0);
    assert_int_equal(answer(&out, &p, text, "VP8/90000", "VP7/90000"), OK);
    assert_int_equal(p.n_tracks, 1); /* the sound goes on its own */
    buf_free(&out);
    free(text);
}

static void screen_is_told_by_content(void **state)
{
    size_t len;
    char *text = load("chromium_publish", &len);
    struct sdp_publish p;
    struct buf out;

    (void)state;
    buf_init(&out, 0);
    assert_int_equal(answer(&out, &p, text, "a=mid:1", "a=mid:1\r\na=content:slides"), OK);
    assert_int_equal(p.track[1].source, SDP_SOURCE_SCREEN);
    assert_string_equal(sdp_source_name(SDP_SOURCE_SCREEN), "screen");
    assert_int_equal(sdp_source_of("camera"), SDP_SOURCE_CAMERA);
    assert_int_equal(sdp_source_of("x"), -1);
    buf_free(&out);
    free(text);
}

/* More m-lines than a publisher may have: the first ones count, the others are rejected. */
static void many_lines(void **state)
{
    struct buf text, out;
    struct sdp *offer, *a;
    struct sdp_publish p;

    (void)state;
    buf_init(&text, 0);
    buf_init(&out, 0);
    buf_append_str(&text, "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\na=group:BUNDLE");
    for (int i = 0; i < 20; i++) {
        buf_printf(&text, " %d", i);
    }
    buf_append_str(&text,
                   "\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=setup:actpass"
                   "\r\na=fingerprint:sha-256 ");
    for (int i = 0; i < 32; i++) {
        buf_printf(&text, "%s%02x", i ? ":" : "", i);
    }
    for (int i = 0; i < 20; i++) {
        buf_printf(&text,
                   "\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:%d\r\na=rtcp-mux\r\n"
                   "a=rtpmap:96 VP8/90000",
                   i);
    }
    buf_append_str(&text, "\r\n");
    assert_int_equal(sdp_parse(&offer, buf_cstr(&text), text.len), OK);
    assert_int_equal(sdp_answer_publish(&out, &p, offer, &local), OK);
    assert_int_equal(p.n_tracks, SDP_MAX_TRACKS);
    assert_int_equal(p.remote.fingerprint[31], 31);
    assert_int_equal(sdp_parse(&a, buf_cstr(&out), out.len), OK);
    assert_int_equal(a->n_media, 20);
    assert_int_equal(a->media[SDP_MAX_TRACKS - 1].port, 9);
    assert_int_equal(a->media[SDP_MAX_TRACKS].port, 0);
    sdp_free(a);
    sdp_free(offer);
    buf_free(&text);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_chromium),
        cmocka_unit_test(answers_firefox),
        cmocka_unit_test(simulcast_and_rejected_lines),
        cmocka_unit_test(simulcast_is_declined_by_default),
        cmocka_unit_test(setup_follows_the_offer),
        cmocka_unit_test(refuses_what_cannot_be_answered),
        cmocka_unit_test(without_rtx_or_feedback),
        cmocka_unit_test(screen_is_told_by_content),
        cmocka_unit_test(many_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
