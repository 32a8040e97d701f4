#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdlib.h>

#include "lib/base/err.h"
#include "lib/proto/codec.h"
#include "lib/proto/vp9.h"

/* I L B V: picture 0x1234, tid 0 sid 0, tl0picidx 0x45; three layers with sizes and a group of
 * four pictures (T3). */
static const uint8_t key[] = {
    0xaa, 0x92, 0x34, 0x00, 0x45,                               /* I L B V */
    0x58,                                                       /* N_S 2, Y, G */
    0x01, 0x40, 0x00, 0xb4, 0x02, 0x80, 0x01, 0x68, 0x05, 0x00, /* 320x180 640x360 1280x */
    0x02, 0xd0,                                                 /* 720 */
    0x04,                                                       /* N_G */
    0x04, 0x04,                                                 /* T0: 4 back */
    0x54, 0x01,                                                 /* T2, U: 1 back */
    0x34, 0x02,                                                 /* T1, U: 2 back */
    0x48, 0x01, 0x02,                                           /* T2: 1 and 2 back */
    0x82, 0x49, 0x83, 0x42,                                     /* the frame */
};
#define KEY_SIZE 28 /* of the descriptor */

static void key_picture_with_structure(void **state)
{
    struct vp9_descriptor d;

    (void)state;
    assert_int_equal(vp9_parse(&d, key, sizeof key), OK);
    assert_true(d.start && !d.end && !d.inter_picture && !d.flexible && d.has_structure);
    assert_int_equal(d.picture_bits, 15);
    assert_int_equal(d.picture_id, 0x1234);
    assert_int_equal(d.picture_off, 1);
    assert_true(d.has_tl0 && d.has_layers);
    assert_int_equal(d.tl0picidx, 0x45);
    assert_int_equal(d.tl0_off, 4);
    assert_int_equal(d.size, 5);
    assert_int_equal(d.n_spatial, 3);
    assert_int_equal(d.width, 1280);
    assert_int_equal(d.height, 720);
    assert_int_equal(d.payload_off, KEY_SIZE);
    assert_int_equal(key[d.payload_off], 0x82);
}

static void whole_structure(void **state)
{
    struct vp9_descriptor d;
    struct vp9_structure s;

    (void)state;
    assert_int_equal(vp9_parse(&d, key, sizeof key), OK);
    assert_int_equal(vp9_structure_read(&s, &d, key, sizeof key), OK);
    assert_int_equal(s.n_spatial, 3);
    assert_int_equal(s.width[0], 320);
    assert_int_equal(s.height[1], 360);
    assert_int_equal(s.n_group, 4);
    assert_int_equal(s.group[1].tid, 2);
    assert_true(s.group[1].up_switch);
    assert_int_equal(s.group[2].tid, 1);
    assert_int_equal(s.group[3].n_diffs, 2);
    assert_int_equal(s.group[3].diff[1], 2);
    assert_false(s.group[3].up_switch);
    d.has_structure = false;
    assert_int_equal(vp9_structure_read(&s, &d, key, sizeof key), ERR_NOT_FOUND);
}

static void flexible_mode(void **state)
{
    /* I P L F E, 7-bit picture 5, tid 1 U sid 2 D, diffs 1, 3, 127 */
    static const uint8_t p[] = {0xf4, 0x05, 0x35, 0x03, 0x07, 0xfe, 0x00};
    static const uint8_t four[] = {0xf4, 0x05, 0x35, 0x03, 0x07, 0xff, 0x02, 0x00};
    struct vp9_descriptor d, zero = {0};

    (void)state;
    assert_int_equal(vp9_parse(&d, p, sizeof p), OK);
    assert_true(d.flexible && d.inter_picture && d.end && !d.start && d.up_switch && d.inter_layer);
    assert_int_equal(d.picture_bits, 7);
    assert_int_equal(d.picture_id, 5);
    assert_int_equal(d.tid, 1);
    assert_int_equal(d.sid, 2);
    assert_false(d.has_tl0); /* none in the flexible mode */
    assert_int_equal(d.n_diffs, 3);
    assert_int_equal(d.diff[0], 1);
    assert_int_equal(d.diff[1], 3);
    assert_int_equal(d.diff[2], 127);
    assert_int_equal(d.payload_off, 6);
    assert_int_equal(vp9_parse(&d, four, sizeof four), ERR_INVALID);
    assert_memory_equal(&d, &zero, sizeof d);
}

static void flexible_key_has_no_diffs(void **state)
{
    static const uint8_t p[] = {0x98, 0x05, 0xff};
    struct vp9_descriptor d;

    (void)state;
    assert_int_equal(vp9_parse(&d, p, sizeof p), OK);
    assert_int_equal(d.n_diffs, 0);
    assert_int_equal(d.payload_off, 2);
}

static void every_truncation(void **state)
{
    struct vp9_descriptor d, whole, zero = {0};
    struct vp9_structure s;

    (void)state;
    assert_int_equal(vp9_parse(&whole, key, sizeof key), OK);
    for (size_t n = 0; n < sizeof key; n++) {
        uint8_t *copy = malloc(n ? n : 1);
        memcpy(copy, key, n);
        assert_int_equal(vp9_parse(&d, copy, n), n < KEY_SIZE ? ERR_TRUNCATED : OK);
        if (n < KEY_SIZE) {
            assert_memory_equal(&d, &zero, sizeof d);
        }
        assert_int_equal(vp9_structure_read(&s, &whole, copy, n),
                         n < KEY_SIZE ? ERR_TRUNCATED : OK);
        assert_int_equal(s.n_spatial, n < KEY_SIZE ? 0 : 3);
        free(copy);
    }
}

/* N_S 7 with sizes, N_G 255 with three differences each. */
static void largest_structure(void **state)
{
    uint8_t p[1 + 1 + 32 + 1 + 255 * 4] = {0x0a, 0xf8};
    struct vp9_descriptor d;
    struct vp9_structure s;

    (void)state;
    p[34] = 255;
    for (size_t i = 0; i < 255; i++) {
        p[35 + 4 * i] = 0xec;
        p[35 + 4 * i + 3] = (uint8_t)i;
    }
    assert_int_equal(vp9_parse(&d, p, sizeof p), OK);
    assert_int_equal(d.payload_off, sizeof p);
    assert_int_equal(d.n_spatial, 8);
    assert_int_equal(d.width, 0); /* zero sizes say nothing */
    assert_int_equal(vp9_structure_read(&s, &d, p, sizeof p), OK);
    assert_int_equal(s.group[254].diff[2], 254);
    assert_int_equal(s.group[254].tid, 7);
    assert_int_equal(vp9_parse(&d, p, sizeof p - 1), ERR_TRUNCATED);
}

static void as_a_codec(void **state)
{
    /* sid 1 of the key picture: D, not P; then sid 1 of an inter picture with Z */
    static const uint8_t upper[] = {0x8c | 0x20, 0x05, 0x03, 0x45},
                         inter[] = {0xed, 0x06, 0x23, 0x46};
    struct codec_info info;

    (void)state;
    assert_int_equal(codec_parse(&info, CODEC_VP9, key, sizeof key), OK);
    assert_true(info.keyframe && info.frame_start && info.picture_start && !info.frame_end);
    assert_int_equal(info.n_spatial, 3);
    assert_int_equal(info.height, 720);
    assert_int_equal(codec_parse(&info, CODEC_VP9, upper, sizeof upper), OK);
    assert_true(info.frame_start && info.frame_end && !info.picture_start && info.inter_layer);
    assert_false(info.keyframe); /* it needs the layer below */
    assert_false(info.inter_picture);
    assert_int_equal(info.sid, 1);
    assert_int_equal(codec_parse(&info, CODEC_VP9, inter, sizeof inter), OK);
    assert_true(info.inter_picture && info.not_for_upper && !info.keyframe);
    assert_int_equal(info.tid, 1);
}

static void rewriting(void **state)
{
    uint8_t p[sizeof key];
    struct codec_info info, again;

    (void)state;
    memcpy(p, key, sizeof p);
    assert_int_equal(codec_parse(&info, CODEC_VP9, p, sizeof p), OK);
    codec_rewrite(&info, p, 0x8007, 0x99); /* modulo 2^15 */
    assert_int_equal(codec_parse(&again, CODEC_VP9, p, sizeof p), OK);
    assert_int_equal(again.picture_id, 7);
    assert_int_equal(again.picture_bits, 15);
    assert_int_equal(again.tl0picidx, 0x99);
    assert_int_equal(p[0], key[0]);
    assert_int_equal(p[3], key[3]);
    assert_memory_equal(p + 5, key + 5, sizeof key - 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_picture_with_structure),
        cmocka_unit_test(whole_structure),
        cmocka_unit_test(flexible_mode),
        cmocka_unit_test(flexible_key_has_no_diffs),
        cmocka_unit_test(every_truncation),
        cmocka_unit_test(largest_structure),
        cmocka_unit_test(as_a_codec),
        cmocka_unit_test(rewriting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
