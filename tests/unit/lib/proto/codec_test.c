#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "lib/proto/codec.h"

static void names(void **state)
{
    (void)state;
    assert_string_equal(codec_name(CODEC_VP8), "VP8");
    assert_string_equal(codec_name(CODEC_OPUS), "opus");
    assert_string_equal(codec_name(CODEC_NONE), "");
    assert_string_equal(codec_name((enum codec)99), "");
    assert_int_equal(codec_of("h264"), CODEC_H264);
    assert_int_equal(codec_of("Av1"), CODEC_AV1);
    assert_int_equal(codec_of("RED"), CODEC_RED);
    assert_int_equal(codec_of("vp9"), CODEC_VP9);
    assert_int_equal(codec_of(""), CODEC_NONE);
    assert_int_equal(codec_of("VP80"), CODEC_NONE);
    for (int c = CODEC_NONE; c < CODECS; c++) {
        assert_int_equal(codec_of(codec_name((enum codec)c)), c);
    }
}

static void no_video(void **state)
{
    static const uint8_t payload[] = {0x90, 0x80};
    struct codec_info info, zero = {0};

    (void)state;
    memset(&info, 0xff, sizeof info);
    assert_int_equal(codec_parse(&info, CODEC_OPUS, payload, sizeof payload), ERR_UNSUPPORTED);
    assert_memory_equal(&info, &zero, sizeof info);
    assert_int_equal(codec_parse(&info, CODEC_RED, payload, sizeof payload), ERR_UNSUPPORTED);
    assert_int_equal(codec_parse(&info, CODEC_NONE, payload, sizeof payload), ERR_UNSUPPORTED);
    for (int c = CODEC_VP8; c < CODECS; c++) {
        memset(&info, 0xff, sizeof info);
        assert_int_equal(codec_parse(&info, (enum codec)c, payload, 0), ERR_TRUNCATED);
        assert_memory_equal(&info, &zero, sizeof info);
    }
}

static void vp8(void **state)
{
    /* N S, then X with I (15 bits), L, T (tid 2, Y) */
    uint8_t p[] = {0xb0, 0xe0, 0x92, 0x34, 0x7f, 0xa0, 0x10, 0x02,
                   0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01};
    struct codec_info info;

    (void)state;
    assert_int_equal(codec_parse(&info, CODEC_VP8, p, sizeof p), OK);
    assert_true(info.keyframe && info.frame_start && info.picture_start && info.up_switch);
    assert_true(info.not_referenced && info.has_tl0);
    assert_int_equal(info.tid, 2);
    assert_int_equal(info.picture_bits, 15);
    assert_int_equal(info.picture_id, 0x1234);
    assert_int_equal(info.width, 640);
    codec_rewrite(&info, p, 0x7fff, 0x80);
    assert_int_equal(p[2], 0xff);
    assert_int_equal(p[3], 0xff);
    assert_int_equal(p[4], 0x80);
    assert_int_equal(p[5], 0xa0);
    p[2] = 0x11; /* M clear: 7 bits, and everything behind it is a byte nearer */
    assert_int_equal(codec_parse(&info, CODEC_VP8, p, sizeof p), OK);
    codec_rewrite(&info, p, 0x1ff, 0x33);
    assert_int_equal(p[2], 0x7f);
    assert_int_equal(p[3], 0x33);
}

static uint32_t next_random(uint32_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 17;
    *x ^= *x << 5;
    return *x;
}

/* Payloads of frames that were encrypted end to end: a clear descriptor in front of noise. */
static unsigned keyframes_in_noise(enum codec c, const uint8_t *clear, size_t n_clear)
{
    uint8_t p[1100];
    uint32_t x = 0x2545f491;
    unsigned found = 0;

    for (unsigned round = 0; round < 20000; round++) {
        struct codec_info info;
        for (size_t i = 0; i < sizeof p; i++) {
            p[i] = (uint8_t)(next_random(&x) >> 11);
        }
        memcpy(p, clear, n_clear);
        int rc = codec_parse(&info, c, p, sizeof p);
        assert_true(rc <= OK);
        found += info.keyframe;
    }
    return found;
}

/* Where the codec says in the clear that this is no keyframe, noise can't say otherwise. */
static void encrypted_payloads(void **state)
{
    static const uint8_t vp9_inter[] = {0xec, 0x92, 0x34, 0x00, 0x45};
    static const uint8_t vp9_key[] = {0xac, 0x92, 0x34, 0x00, 0x45};
    static const uint8_t vp8_later[] = {0x80, 0x80, 0x92, 0x34};
    static const uint8_t av1_middle[] = {0x10}, av1_piece[] = {0xd0}, av1_first[] = {0x18};
    static const uint8_t h264_piece[] = {0x7c, 0x01}, h264_slice[] = {0x41};

    (void)state;
    assert_int_equal(keyframes_in_noise(CODEC_VP9, vp9_inter, sizeof vp9_inter), 0);
    assert_int_equal(keyframes_in_noise(CODEC_VP9, vp9_key, sizeof vp9_key), 20000);
    assert_int_equal(keyframes_in_noise(CODEC_VP8, vp8_later, sizeof vp8_later), 0);
    assert_int_equal(keyframes_in_noise(CODEC_AV1, av1_middle, sizeof av1_middle), 0);
    assert_int_equal(keyframes_in_noise(CODEC_AV1, av1_piece, sizeof av1_piece), 0);
    assert_int_equal(keyframes_in_noise(CODEC_AV1, av1_first, sizeof av1_first), 20000);
    assert_int_equal(keyframes_in_noise(CODEC_H264, h264_piece, sizeof h264_piece), 0);
    assert_int_equal(keyframes_in_noise(CODEC_H264, h264_slice, sizeof h264_slice), 0);
    assert_true(keyframes_in_noise(CODEC_H264, h264_slice, 0) > 0); /* nothing is clear: noise */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(no_video),
        cmocka_unit_test(vp8),
        cmocka_unit_test(encrypted_payloads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
