#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/err.h"
#include "lib/proto/sdp.h"

#define HEAD "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"

static char file_text[SDP_MAX_BYTES + 1];

/* A description recorded from a real browser. */
static size_t load(const char *name)
{
    char path[128];

    snprintf(path, sizeof path, "tests/data/sdp/%s.sdp", name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(file_text, 1, SDP_MAX_BYTES, f);
    fclose(f);
    file_text[n] = 0;
    return n;
}

static int parse(struct sdp **s, const char *text)
{
    return sdp_parse(s, text, strlen(text));
}

static void reads_chromium(void **state)
{
    struct sdp *s;
    struct rtp_ext_map ext;
    uint8_t fp[SDP_FINGERPRINT_LEN];

    (void)state;
    assert_int_equal(sdp_parse(&s, file_text, load("chromium_publish")), OK);
    assert_string_equal(s->bundle, "0 1");
    assert_true(s->extmap_allow_mixed);
    assert_true(s->trickle);
    assert_false(s->ice_lite);
    assert_int_equal(s->n_media, 2);
    const struct sdp_media *a = &s->media[0], *v = &s->media[1];
    assert_int_equal(a->kind, SDP_AUDIO);
    assert_int_equal(v->kind, SDP_VIDEO);
    assert_int_equal(a->direction, SDP_SENDONLY);
    assert_true(a->rtcp_mux && v->rtcp_rsize);
    assert_string_equal(a->mid, "0");
    assert_ptr_equal(sdp_media_by_mid(s, "1"), v);
    assert_non_null(a->msid);
    const struct sdp_codec *opus = sdp_codec_by_name(a, "OPUS", 48000);
    assert_non_null(opus);
    assert_int_equal(opus->pt, 111);
    assert_int_equal(opus->channels, 2);
    assert_true(sdp_has_feedback(opus, "transport-cc"));
    assert_int_equal(sdp_fmtp_int(opus->fmtp, "useinbandfec", 0), 1);
    assert_int_equal(sdp_fmtp_int(opus->fmtp, "minptime", 0), 10);
    assert_int_equal(sdp_fmtp_int(opus->fmtp, "inptime", -7), -7);
    const struct sdp_codec *vp8 = sdp_codec_by_name(v, "vp8", 90000);
    assert_non_null(vp8);
    assert_true(sdp_has_feedback(vp8, "nack") && sdp_has_feedback(vp8, "nack pli"));
    assert_false(sdp_has_feedback(vp8, "nack sli"));
    const struct sdp_codec *rtx = sdp_rtx_for(v, vp8->pt);
    assert_non_null(rtx);
    assert_int_equal(sdp_fmtp_int(rtx->fmtp, "apt", -1), vp8->pt);
    sdp_ext_map(&ext, a);
    assert_int_equal(ext.id[RTP_EXT_AUDIO_LEVEL], 1);
    assert_int_equal(ext.id[RTP_EXT_MID], 4);
    assert_int_equal(ext.id[RTP_EXT_RID], 0);
    assert_int_equal(v->n_groups, 1);
    assert_string_equal(v->group[0].semantics, "FID");
    assert_int_equal(v->group[0].n, 2);
    assert_int_equal(v->n_ssrcs, 2);
    assert_int_equal(v->ssrc[1].ssrc, v->group[0].ssrc[1]);
    assert_non_null(v->ssrc[0].cname);
    assert_int_equal(sdp_setup_of(s, a), SDP_SETUP_ACTPASS);
    assert_int_equal(strlen(sdp_ice_ufrag(s, a)), 4);
    assert_int_equal(sdp_fingerprint_sha256(fp, s, a), OK);
    assert_true(a->n_candidates > 0);
    assert_string_equal(a->candidate[0].type, "host");
    sdp_free(s);
}

static void reads_firefox(void **state)
{
    struct sdp *s;
    struct rtp_ext_map ext;
    uint8_t fp[SDP_FINGERPRINT_LEN];

    (void)state;
    assert_int_equal(sdp_parse(&s, file_text, load("firefox_publish")), OK);
    assert_string_equal(s->bundle, "0 1");
    const struct sdp_media *a = &s->media[0], *v = &s->media[1];
    assert_int_equal(s->transport.n_fingerprints, 1); /* Firefox says it for the session */
    assert_int_equal(sdp_fingerprint_sha256(fp, s, a), OK);
    assert_int_equal(fp[0], 0x1d);
    assert_int_equal(sdp_codec_by_name(a, "opus", 48000)->pt, 109);
    assert_int_equal(sdp_codec_by_name(v, "VP8", 90000)->pt, 120);
    assert_int_equal(sdp_rtx_for(v, 120)->pt, 124);
    assert_int_equal(sdp_fmtp_int(sdp_codec_by_pt(v, 120)->fmtp, "max-fr", 0), 60);
    sdp_ext_map(&ext, v);
    assert_int_equal(ext.id[RTP_EXT_TRANSPORT_CC], 7);
    assert_int_equal(a->ext[1].direction, SDP_RECVONLY);
    sdp_free(s);
}

static void reads_simulcast(void **state)
{
    struct sdp *s;

    (void)state;
    assert_int_equal(sdp_parse(&s, file_text, load("chromium_simulcast")), OK);
    assert_int_equal(s->n_media, 4);
    const struct sdp_media *v = &s->media[1];
    assert_int_equal(v->n_rids, 3);
    assert_string_equal(v->rid[2].id, "f");
    assert_true(v->rid[0].send);
    assert_string_equal(v->simulcast, "send q;h;f");
    assert_int_equal(s->media[3].kind, SDP_APPLICATION);
    assert_int_equal(s->media[3].n_codecs, 0);
    sdp_free(s);
}

/* Written, read and written again: nothing is lost between the two texts. */
static void writes_what_it_read(void **state)
{
    static const char *const names[] = {
        "chromium_publish", "chromium_simulcast",        "chromium_audio",
        "firefox_publish",  "chromium_subscribe_answer", "firefox_subscribe_answer",
        "firefox_simulcast"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct sdp *a, *b;
        struct buf one, two;
        buf_init(&one, 0);
        buf_init(&two, 0);
        assert_int_equal(sdp_parse(&a, file_text, load(names[i])), OK);
        assert_int_equal(sdp_write(&one, a), OK);
        assert_int_equal(sdp_parse(&b, buf_cstr(&one), one.len), OK);
        assert_int_equal(sdp_write(&two, b), OK);
        assert_string_equal(buf_cstr(&one), buf_cstr(&two));
        assert_int_equal(a->n_media, b->n_media);
        for (size_t m = 0; m < a->n_media; m++) {
            assert_int_equal(a->media[m].n_codecs, b->media[m].n_codecs);
            assert_int_equal(a->media[m].n_ext, b->media[m].n_ext);
            assert_int_equal(a->media[m].n_ssrcs, b->media[m].n_ssrcs);
            assert_int_equal(a->media[m].n_candidates, b->media[m].n_candidates);
        }
        sdp_free(a);
        sdp_free(b);
        buf_free(&one);
        buf_free(&two);
    }
}

/* Cut anywhere, it is read or refused, in a block of exactly that size. */
static void every_truncation(void **state)
{
    size_t n = load("chromium_publish");

    (void)state;
    for (size_t k = 0; k <= n; k++) {
        struct sdp *s = NULL;
        char *copy = malloc(k ? k : 1);
        memcpy(copy, file_text, k);
        int r = sdp_parse(&s, copy, k);
        free(copy);
        assert_true(r == OK || r == ERR_INVALID);
        assert_true((r == OK) == (s != NULL));
        sdp_free(s);
    }
}

static void refuses_broken_grammar(void **state)
{
    static const char *const bad[] = {
        "",
        "hello",
        "v=1\r\no=- 1 2 IN IP4 0.0.0.0\r\n",
        "v=0\r\ns=-\r\n",
        "v=0\r\no=-\r\n",
        HEAD "\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n",
        HEAD "m=audio\r\n",
        HEAD "m=audio x UDP/TLS/RTP/SAVPF 111\r\n",
        HEAD "m=audio 65536 UDP/TLS/RTP/SAVPF 111\r\n",
        HEAD "m=audio 9 UDP/TLS/RTP/SAVPF\r\n",
        HEAD "m=audio 9 UDP/TLS/RTP/SAVPF 128\r\n",
        HEAD "m=audio 9 UDP/TLS/RTP/SAVPF 11a\r\n",
        HEAD "m=audio 9 UDP/TLS/RTP/SAVPF 1\r\na=rtpmap:1\r\n",
        HEAD "m=audio 9 UDP/TLS/RTP/SAVPF 1\r\na=rtpmap:1 opus\r\n",
        HEAD "m=audio 9 UDP/TLS/RTP/SAVPF 1\r\na=rtpmap:1 opus/99999999999\r\n",
        HEAD "m=audio 9 UDP/TLS/RTP/SAVPF 1\r\na=rtpmap:300 opus/48000\r\n",
        HEAD "m=audio 9 UDP/TLS/RTP/SAVPF 1\r\na=extmap:0 urn:x\r\n",
        HEAD "m=audio 9 UDP/TLS/RTP/SAVPF 1\r\na=extmap:256 urn:x\r\n",
        HEAD "m=audio 9 UDP/TLS/RTP/SAVPF 1\r\na=extmap:1/both urn:x\r\n",
        HEAD "m=audio 9 UDP/TLS/RTP/SAVPF 1\r\na=ssrc:-1 cname:x\r\n",
        HEAD "m=audio 9 UDP/TLS/RTP/SAVPF 1\r\na=ssrc:4294967296 cname:x\r\n",
        HEAD "m=audio 9 UDP/TLS/RTP/SAVPF 1\r\na=ssrc-group:FID\r\n",
        HEAD "m=audio 9 UDP/TLS/RTP/SAVPF 1\r\na=mid:\r\n",
        HEAD "m=audio 9 UDP/TLS/RTP/SAVPF 1\r\na=rid:x up\r\n",
        HEAD "m=audio 9 UDP/TLS/RTP/SAVPF 1\r\na=setup:maybe\r\n",
        HEAD "m=audio 9 UDP/TLS/RTP/SAVPF 1\r\na=candidate:1 1 udp 2 host 5 typ\r\n",
        HEAD "m=audio 9 UDP/TLS/RTP/SAVPF 1\r\na=candidate:1 1 udp 2 h 70000 typ host\r\n",
        HEAD "a=fingerprint:sha-256\r\n",
        HEAD "a=ice-ufrag:\r\n",
        HEAD "a=\xff\r\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct sdp *s = NULL;
        if (parse(&s, bad[i]) != ERR_INVALID) {
            fail_msg("taken: %s", bad[i]);
        }
        assert_null(s);
    }
    struct sdp *s = NULL;
    assert_int_equal(sdp_parse(&s, HEAD "a=x\0y\r\n", sizeof(HEAD "a=x\0y\r\n") - 1), ERR_INVALID);
}

static void skips_what_it_does_not_know(void **state)
{
    struct sdp *s;

    (void)state;
    assert_int_equal(parse(&s, "v=0\no=- x y IN IP4 0.0.0.0\na=unknown:1 2 3\na=\nz=0 0\n"
                               "m=text 0 TCP/MSRP *\na=what\na=rtpmap:9 G722/8000\n"),
                     OK);
    assert_int_equal(s->n_media, 1);
    assert_int_equal(s->media[0].kind, SDP_OTHER);
    assert_int_equal(s->session_id, 0);
    sdp_free(s);
}

/* text repeated n times after HEAD (and an m-line, when asked). */
static int parse_many(const char *first, const char *fmt, int n)
{
    static char text[2 * SDP_MAX_BYTES];
    size_t len = (size_t)snprintf(text, sizeof text, "%s%s", HEAD, first);
    struct sdp *s = NULL;

    for (int i = 0; i < n; i++) {
        int k = snprintf(text + len, sizeof text - len, fmt, i + 1);
        assert_true(k > 0 && len + (size_t)k < sizeof text);
        len += (size_t)k;
    }
    int r = sdp_parse(&s, text, len);
    sdp_free(s);
    return r;
}

#pragma GCC diagnostic ignored "-Wformat-nonliteral"

static void bounds(void **state)
{
    static const char m[] = "m=audio 9 UDP/TLS/RTP/SAVPF 1\r\n";

    (void)state;
    assert_int_equal(parse_many("", "m=audio %d UDP/TLS/RTP/SAVPF 1\r\n", SDP_MAX_MEDIA), OK);
    assert_int_equal(parse_many("", "m=audio %d UDP/TLS/RTP/SAVPF 1\r\n", SDP_MAX_MEDIA + 1),
                     ERR_TOO_LARGE);
    assert_int_equal(parse_many(m, "a=extmap:%d urn:x\r\n", SDP_MAX_EXT), OK);
    assert_int_equal(parse_many(m, "a=extmap:%d urn:x\r\n", SDP_MAX_EXT + 1), ERR_TOO_LARGE);
    assert_int_equal(parse_many(m, "a=ssrc:%d cname:x\r\n", SDP_MAX_SSRCS + 1), ERR_TOO_LARGE);
    assert_int_equal(parse_many(m, "a=ssrc-group:FID %d\r\n", SDP_MAX_GROUPS + 1), ERR_TOO_LARGE);
    assert_int_equal(parse_many(m, "a=rid:r%d send\r\n", SDP_MAX_RIDS + 1), ERR_TOO_LARGE);
    assert_int_equal(parse_many(m, "a=candidate:%d 1 udp 1 h 1 typ host\r\n", 65), ERR_TOO_LARGE);
    assert_int_equal(parse_many(m, "a=fingerprint:sha-256 %d\r\n", 9), ERR_TOO_LARGE);
    assert_int_equal(parse_many(m, "a=rtcp-fb:* x%d\r\n", 100), OK); /* the rest isn't kept */
    assert_int_equal(parse_many("m=audio 9 UDP/TLS/RTP/SAVPF", " %d", SDP_MAX_CODECS), OK);
    assert_int_equal(parse_many("m=audio 9 UDP/TLS/RTP/SAVPF", " %d", SDP_MAX_CODECS + 1),
                     ERR_TOO_LARGE);
    static char big[SDP_MAX_BYTES + 1];
    struct sdp *s = NULL;
    memset(big, 'a', sizeof big);
    assert_int_equal(sdp_parse(&s, big, sizeof big), ERR_TOO_LARGE);
}

static void fingerprints(void **state)
{
    struct sdp *s;
    uint8_t fp[SDP_FINGERPRINT_LEN];

    (void)state;
    assert_int_equal(parse(&s, HEAD "a=fingerprint:SHA-1 AA:BB\r\nm=audio 9 X 1\r\n"), OK);
    assert_int_equal(sdp_fingerprint_sha256(fp, s, &s->media[0]), ERR_NOT_FOUND);
    sdp_free(s);
    assert_int_equal(parse(&s, HEAD "m=audio 9 X 1\r\na=fingerprint:sha-256 AA:BB\r\n"), OK);
    assert_int_equal(sdp_fingerprint_sha256(fp, s, &s->media[0]), ERR_INVALID);
    sdp_free(s);
    char text[256] = HEAD "m=audio 9 X 1\r\na=fingerprint:sha-256 ";
    for (int i = 0; i < 32; i++) {
        snprintf(text + strlen(text), 4, "%02x%s", i, i < 31 ? "-" : "");
    }
    assert_int_equal(parse(&s, text), OK);
    assert_int_equal(sdp_fingerprint_sha256(fp, s, &s->media[0]), ERR_INVALID);
    sdp_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_chromium),
        cmocka_unit_test(reads_firefox),
        cmocka_unit_test(reads_simulcast),
        cmocka_unit_test(writes_what_it_read),
        cmocka_unit_test(every_truncation),
        cmocka_unit_test(refuses_broken_grammar),
        cmocka_unit_test(skips_what_it_does_not_know),
        cmocka_unit_test(bounds),
        cmocka_unit_test(fingerprints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
