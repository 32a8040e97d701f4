#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdlib.h>

#include "lib/base/err.h"
#include "lib/proto/codec.h"
#include "lib/proto/vp8.h"

/* X I L T K with a 15-bit picture id, then a keyframe header of 640x360. */
static const uint8_t full[] = {0x90, 0xf0, 0x92, 0x34, 0x7f, 0x65, 0x10, 0x02,
                               0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01};

static void reads_everything(void **state)
{
    struct vp8_descriptor d;

    (void)state;
    assert_int_equal(vp8_parse(&d, full, sizeof full), OK);
    assert_int_equal(d.size, 6);
    assert_true(d.frame_start && d.keyframe);
    assert_int_equal(d.picture_bits, 15);
    assert_int_equal(d.picture_id, 0x1234);
    assert_int_equal(d.tl0picidx, 0x7f);
    assert_int_equal(d.tid, 1);
    assert_true(d.layer_sync);
    assert_int_equal(d.keyidx, 5);
    assert_int_equal(d.width, 640);
    assert_int_equal(d.height, 360);
}

static void short_forms(void **state)
{
    static const uint8_t bare[] = {0x10, 0x01}, seven[] = {0x80, 0x80, 0x11, 0};
    static const uint8_t later[] = {0x00, 0x00};
    struct vp8_descriptor d;

    (void)state;
    assert_int_equal(vp8_parse(&d, bare, sizeof bare), OK);
    assert_int_equal(d.size, 1);
    assert_true(d.frame_start);
    assert_false(d.keyframe); /* the P bit is set */
    assert_int_equal(d.picture_bits, 0);
    assert_int_equal(vp8_parse(&d, seven, sizeof seven), OK);
    assert_int_equal(d.picture_bits, 7);
    assert_int_equal(d.picture_id, 0x11);
    assert_int_equal(vp8_parse(&d, later, sizeof later), OK);
    assert_false(d.keyframe); /* not a frame's first packet, whatever its bytes are */
}

static void every_truncation(void **state)
{
    struct vp8_descriptor d;

    (void)state;
    for (size_t n = 0; n < sizeof full; n++) {
        uint8_t *copy = malloc(n ? n : 1);
        memcpy(copy, full, n);
        assert_int_equal(vp8_parse(&d, copy, n), n < 6 ? ERR_TRUNCATED : OK);
        if (n == 6) {
            assert_false(d.keyframe);
        }
        if (n >= 6 && n < 16) {
            assert_int_equal(d.width, 0);
        }
        free(copy);
    }
}

/* What was found where is what codec_rewrite goes by. */
static void rewrites_in_place(void **state)
{
    uint8_t p[sizeof full], seven[] = {0x80, 0x80, 0x11, 0};
    struct codec_info info;
    struct vp8_descriptor d;

    (void)state;
    memcpy(p, full, sizeof p);
    assert_int_equal(codec_parse(&info, CODEC_VP8, p, sizeof p), OK);
    codec_rewrite(&info, p, 0x8001, 9); /* modulo 2^15 */
    assert_int_equal(vp8_parse(&d, p, sizeof p), OK);
    assert_int_equal(d.picture_id, 1);
    assert_int_equal(d.picture_bits, 15);
    assert_int_equal(d.tl0picidx, 9);
    assert_int_equal(d.tid, 1);
    assert_memory_equal(p + 6, full + 6, sizeof full - 6);
    assert_int_equal(codec_parse(&info, CODEC_VP8, seven, sizeof seven), OK);
    codec_rewrite(&info, seven, 0x81, 9);
    assert_int_equal(seven[2], 1);
    assert_int_equal(seven[3], 0); /* there is no tl0picidx to write */
}

static void picture_distance(void **state)
{
    (void)state;
    assert_int_equal(vp8_picture_diff(2, 0x7fff, 15), 3);
    assert_int_equal(vp8_picture_diff(0x7fff, 2, 15), -3);
    assert_int_equal(vp8_picture_diff(1, 126, 7), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_everything), cmocka_unit_test(short_forms),
        cmocka_unit_test(every_truncation), cmocka_unit_test(rewrites_in_place),
        cmocka_unit_test(picture_distance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
