#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

#include "lib/base/err.h"
#include "lib/proto/sdp_codec.h"

/* An offer of one m-line: its kind, its payload types, and its attributes. */
static struct sdp *offer_of(const char *kind, const char *pts, const char *attributes)
{
    struct buf text;
    struct sdp *s = NULL;

    buf_init(&text, 0);
    buf_printf(&text, "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\nm=%s 9 UDP/TLS/RTP/SAVPF %s\r\n%s", kind,
               pts, attributes);
    assert_int_equal(sdp_parse(&s, buf_cstr(&text), text.len), OK);
    buf_free(&text);
    return s;
}

/* What is agreed, as "pt/rtx pt/rtx …". */
static void assert_agreed(const char *kind, const char *pts, const char *attributes,
                          uint32_t codecs, enum codec prefer, const char *expected)
{
    struct sdp *s = offer_of(kind, pts, attributes);
    struct sdp_agreed a[SDP_MAX_AGREED];
    struct buf got;

    buf_init(&got, 0);
    size_t n = sdp_agree(a, &s->media[0], codecs, prefer);
    for (size_t i = 0; i < n; i++) {
        buf_printf(&got, "%s%u/%u", i ? " " : "", a[i].pt, a[i].rtx_pt);
    }
    assert_string_equal(buf_cstr(&got), expected);
    buf_free(&got);
    sdp_free(s);
}

static void h264_profiles(void **state)
{
    static const struct {
        const char *id;
        enum sdp_h264_profile profile;
        uint8_t level;
    } cases[] = {
        {"42e01f", SDP_H264_CONSTRAINED_BASELINE, 31},
        {"42C014", SDP_H264_CONSTRAINED_BASELINE, 20},
        {"4d801f", SDP_H264_CONSTRAINED_BASELINE, 31},
        {"58f01f", SDP_H264_CONSTRAINED_BASELINE, 31},
        {"42001f", SDP_H264_BASELINE, 31},
        {"58a01f", SDP_H264_BASELINE, 31},
        {"4d001f", SDP_H264_MAIN, 31},
        {"4d401f", SDP_H264_MAIN, 31},
        {"640c34", SDP_H264_CONSTRAINED_HIGH, 52},
        {"64001f", SDP_H264_HIGH, 31},
        {"42f00b", SDP_H264_CONSTRAINED_BASELINE, 9},
        {"42e00b", SDP_H264_CONSTRAINED_BASELINE, 11},
        {"58001f", SDP_H264_OTHER, 31},
        {"f4001f", SDP_H264_OTHER, 31},
        {"42e11f", SDP_H264_OTHER, 31},
    };
    char fmtp[64];
    struct sdp_h264 f;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(fmtp, sizeof fmtp, "packetization-mode=1; profile-level-id=%s", cases[i].id);
        assert_int_equal(sdp_h264_parse(&f, fmtp), OK);
        assert_int_equal(f.profile, cases[i].profile);
        assert_int_equal(f.level, cases[i].level);
        assert_int_equal(f.packetization_mode, 1);
        assert_false(f.level_asymmetry);
    }
}

static void h264_defaults_and_bad_input(void **state)
{
    static const char *const bad[] = {
        "profile-level-id=42e01",   "profile-level-id=42e01fa", "profile-level-id=42e01g",
        "profile-level-id=",        "profile-level-id=0x42e0",  "packetization-mode=3",
        "profile-level-id= 42e01f", "profile-level-id=-2e01f"};
    struct sdp_h264 f, g;

    (void)state;
    assert_int_equal(sdp_h264_parse(&f, NULL), OK);
    assert_int_equal(f.profile, SDP_H264_BASELINE);
    assert_int_equal(f.level, 10);
    assert_int_equal(f.packetization_mode, 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(sdp_h264_parse(&f, bad[i]), ERR_INVALID);
    }
    /* RFC 6184 section 8.2.2: the level may differ, profile and mode may not */
    sdp_h264_parse(&f, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f");
    assert_true(f.level_asymmetry);
    sdp_h264_parse(&g, "packetization-mode=1;profile-level-id=4d8034");
    assert_true(sdp_h264_same(&f, &g));
    sdp_h264_parse(&g, "packetization-mode=0;profile-level-id=42e01f");
    assert_false(sdp_h264_same(&f, &g));
    sdp_h264_parse(&g, "packetization-mode=1;profile-level-id=42001f");
    assert_false(sdp_h264_same(&f, &g));
    sdp_h264_parse(&f, "packetization-mode=1;profile-level-id=f4001f");
    sdp_h264_parse(&g, "packetization-mode=1;profile-level-id=58001f");
    assert_false(sdp_h264_same(&f, &g)); /* two that we know nothing of are not one */
}

#define H264(pt, mode, id)                                                                         \
    "a=rtpmap:" pt " H264/90000\r\na=fmtp:" pt " packetization-mode=" mode ";profile-level-id=" id \
    "\r\n"

static void h264_takes_the_best_kind(void **state)
{
    const uint32_t h264 = SDP_CODEC(CODEC_H264);

    (void)state;
    assert_agreed("video", "96 97 98",
                  H264("96", "1", "640c1f") H264("97", "1", "42e01f") H264("98", "0", "42e01f"),
                  h264, CODEC_NONE, "97/0");
    assert_agreed("video", "96 97", H264("96", "1", "42001f") H264("97", "1", "4d001f"), h264,
                  CODEC_NONE, "96/0");
    assert_agreed("video", "96 97", H264("96", "0", "42e01f") H264("97", "1", "640c1f"), h264,
                  CODEC_NONE, "97/0");
    assert_agreed("video", "96", H264("96", "0", "42e01f"), h264, CODEC_NONE, "96/0");
    assert_agreed("video", "96 97", H264("96", "1", "42e01f") H264("97", "1", "42e034"), h264,
                  CODEC_NONE, "96/0 97/0");
    assert_agreed("video", "96 97", H264("96", "1", "f4001f") H264("97", "2", "42e01f"), h264,
                  CODEC_NONE, "");
    assert_agreed("video", "96", H264("96", "1", "zz"), h264, CODEC_NONE, "");
}

#define VP9(pt, profile) "a=rtpmap:" pt " VP9/90000\r\na=fmtp:" pt " profile-id=" profile "\r\n"

static void other_profiles(void **state)
{
    (void)state;
    assert_agreed("video", "98 100 35", VP9("98", "0") VP9("100", "2") VP9("35", "1"),
                  SDP_ALL_CODECS, CODEC_NONE, "98/0");
    assert_agreed("video", "100 35", VP9("100", "2") VP9("35", "1"), SDP_ALL_CODECS, CODEC_NONE,
                  "100/0");
    assert_agreed("video", "35", VP9("35", "3"), SDP_ALL_CODECS, CODEC_NONE, "");
    assert_agreed("video", "45 47",
                  "a=rtpmap:45 AV1/90000\r\na=rtpmap:47 AV1/90000\r\na=fmtp:47 profile=1\r\n",
                  SDP_ALL_CODECS, CODEC_NONE, "45/0");
}

static void order_and_masks(void **state)
{
    static const char many[] = "a=rtpmap:96 H265/90000\r\na=rtpmap:97 VP9/90000\r\n"
                               "a=rtpmap:98 vp8/90000\r\na=rtcp-fb:98 nack\r\n"
                               "a=rtpmap:99 rtx/90000\r\na=fmtp:99 apt=98\r\n"
                               "a=rtpmap:100 rtx/90000\r\na=fmtp:100 apt=97\r\n"
                               "a=rtpmap:101 VP8/48000\r\na=rtpmap:102 opus/48000/2\r\n";
    static const char pts[] = "96 97 98 99 100 101 102";

    (void)state;
    assert_agreed("video", pts, many, SDP_ALL_CODECS, CODEC_NONE,
                  "97/0 98/99"); /* no nack, no rtx */
    assert_agreed("video", pts, many, SDP_ALL_CODECS, CODEC_VP8, "98/99 97/0");
    assert_agreed("video", pts, many, 0, CODEC_NONE, "98/99");
    assert_agreed("video", pts, many, SDP_CODEC(CODEC_VP9), CODEC_VP8, "97/0");
    assert_agreed("audio", pts, many, SDP_ALL_CODECS, CODEC_NONE, "102/0");
    assert_agreed("text", pts, many, SDP_ALL_CODECS, CODEC_NONE, "");
}

#define OPUS "a=rtpmap:111 opus/48000/2\r\na=rtpmap:63 red/48000/2\r\n"

static void red_only_around_opus(void **state)
{
    static const char *const bad[] = {"",
                                      "a=fmtp:63 111/0\r\n",
                                      "a=fmtp:63 /111\r\n",
                                      "a=fmtp:63 111//111\r\n",
                                      "a=fmtp:63 1111\r\n",
                                      "a=fmtp:63 x\r\n"};
    char text[128];

    (void)state;
    assert_agreed("audio", "63 111", OPUS "a=fmtp:63 111/111\r\n", SDP_ALL_CODECS, CODEC_NONE,
                  "63/0 111/0");
    assert_agreed("audio", "111 63", OPUS "a=fmtp:63 111/111\r\n", SDP_ALL_CODECS, CODEC_NONE,
                  "111/0 63/0");
    assert_agreed("audio", "111 63", OPUS "a=fmtp:63 111/111\r\n", 0, CODEC_NONE, "111/0");
    assert_agreed("audio", "63", OPUS "a=fmtp:63 111/111\r\n", SDP_ALL_CODECS, CODEC_NONE, "");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(text, sizeof text, "%s%s", OPUS, bad[i]);
        assert_agreed("audio", "111 63", text, SDP_ALL_CODECS, CODEC_NONE, "111/0");
    }
}

/* More formats than the table holds: the first ones count. */
static void bounded(void **state)
{
    struct buf pts, maps;

    (void)state;
    buf_init(&pts, 0);
    buf_init(&maps, 0);
    for (int pt = 64; pt < 127; pt++) {
        buf_printf(&pts, "%s%d", pt > 64 ? " " : "", pt);
        buf_printf(&maps, "a=rtpmap:%d VP8/90000\r\n", pt);
    }
    assert_agreed(
        "video", buf_cstr(&pts), buf_cstr(&maps), 0, CODEC_NONE,
        "64/0 65/0 66/0 67/0 68/0 69/0 70/0 71/0 72/0 73/0 74/0 75/0 76/0 77/0 78/0 79/0");
    buf_free(&pts);
    buf_free(&maps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(h264_profiles),
        cmocka_unit_test(h264_defaults_and_bad_input),
        cmocka_unit_test(h264_takes_the_best_kind),
        cmocka_unit_test(other_profiles),
        cmocka_unit_test(order_and_masks),
        cmocka_unit_test(red_only_around_opus),
        cmocka_unit_test(bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
