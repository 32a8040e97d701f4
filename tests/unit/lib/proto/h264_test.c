#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdlib.h>

#include "lib/base/err.h"
#include "lib/proto/codec.h"
#include "lib/proto/h264.h"

/* Constrained baseline, 40 by 23 macroblocks, 4 pairs of lines cropped. */
static const uint8_t sps[] = {0x67, 0x42, 0xc0, 0x1f, 0xda, 0x02, 0x80, 0xbf, 0xe5, 0x40};
static const uint8_t pps[] = {0x68, 0xce, 0x3c, 0x80};

static void expect_size(const uint8_t *nal, size_t len, int rc, unsigned width, unsigned height)
{
    uint16_t w = 0, h = 0;

    assert_int_equal(h264_sps_size(nal, len, &w, &h), rc);
    if (rc == OK) {
        assert_int_equal(w, width);
        assert_int_equal(h, height);
    }
}

static void sizes_of_sps(void **state)
{
    /* high, interlaced 1080 lines, two scaling lists, picture order by cycles */
    static const uint8_t high[] = {0x67, 0x64, 0x00, 0x28, 0xad, 0xa4, 0x92, 0x49,
                                   0x24, 0x92, 0x49, 0x02, 0x11, 0x50, 0xe2, 0x9a,
                                   0x65, 0x81, 0xe0, 0x11, 0x1f, 0x68};
    /* 4:4:4 of 4 by 3 macroblocks, cropped by odd numbers */
    static const uint8_t full[] = {0x27, 0xf4, 0x00, 0x00, 0x91, 0x96, 0x84, 0x7d, 0x32, 0x16};
    /* an emulation prevention byte in front of the id */
    static const uint8_t escaped[] = {0x67, 0x42, 0x00, 0x00, 0x03, 0x01,
                                      0x01, 0x68, 0x14, 0x1f, 0xa0};

    (void)state;
    expect_size(sps, sizeof sps, OK, 640, 360);
    expect_size(high, sizeof high, OK, 1920, 1080);
    expect_size(full, sizeof full, OK, 61, 41);
    expect_size(escaped, sizeof escaped, OK, 320, 240);
}

static void sps_that_lie(void **state)
{
    static const uint8_t wide[] = {0x67, 0x42, 0x00, 0x1e, 0xda, 0x00, 0x10, 0x80, 0x7e, 0x80};
    static const uint8_t cropped_away[] = {0x67, 0x42, 0x00, 0x1e, 0xda, 0x7c, 0xa5, 0xe0};
    uint8_t zeros[300] = {0x67, 0x64, 0x00, 0x1e};

    (void)state;
    expect_size(wide, sizeof wide, ERR_INVALID, 0, 0);
    expect_size(cropped_away, sizeof cropped_away, ERR_INVALID, 0, 0);
    expect_size(pps, sizeof pps, ERR_INVALID, 0, 0);
    uint16_t w, h;
    assert_true(h264_sps_size(zeros, sizeof zeros, &w, &h) < OK); /* no code has 32 zeros */
    memset(zeros + 4, 0xff, sizeof zeros - 4);
    assert_true(h264_sps_size(zeros, sizeof zeros, &w, &h) <= OK);
    for (size_t n = 0; n + 1 < sizeof sps; n++) {
        uint8_t *copy = malloc(n ? n : 1);
        memcpy(copy, sps, n);
        expect_size(copy, n, ERR_TRUNCATED, 0, 0);
        free(copy);
    }
}

static void single_units(void **state)
{
    static const uint8_t idr[] = {0x65, 0x88, 0x84}, later_idr[] = {0x65, 0x11, 0x84};
    static const uint8_t inter[] = {0x61, 0x9a, 0x00}, dropped[] = {0x01, 0x9a, 0x00};
    static const uint8_t delimiter[] = {0x09, 0xf0};
    struct h264_packet p;

    (void)state;
    assert_int_equal(h264_parse(&p, idr, sizeof idr), OK);
    assert_true(p.idr && p.frame_start && !p.sps && !p.not_referenced);
    assert_int_equal(h264_parse(&p, later_idr, sizeof later_idr), OK);
    assert_true(p.idr && !p.frame_start); /* not its first macroblock */
    assert_int_equal(h264_parse(&p, inter, sizeof inter), OK);
    assert_true(p.frame_start && !p.idr && !p.not_referenced);
    assert_int_equal(h264_parse(&p, dropped, sizeof dropped), OK);
    assert_true(p.frame_start && p.not_referenced);
    assert_int_equal(h264_parse(&p, delimiter, sizeof delimiter), OK);
    assert_true(p.frame_start && !p.not_referenced); /* no slice: it says nothing of the picture */
    assert_int_equal(h264_parse(&p, sps, sizeof sps), OK);
    assert_true(p.sps && p.frame_start);
    assert_int_equal(p.width, 640);
    assert_int_equal(p.height, 360);
}

/* SPS, PPS and an IDR slice of three bytes in a STAP-A. */
static size_t make_stap(uint8_t *out)
{
    static const uint8_t idr[] = {0x65, 0x88, 0x84};
    size_t n = 0;

    out[n++] = 0x78;
    out[n++] = 0;
    out[n++] = sizeof sps;
    memcpy(out + n, sps, sizeof sps);
    n += sizeof sps;
    out[n++] = 0;
    out[n++] = sizeof pps;
    memcpy(out + n, pps, sizeof pps);
    n += sizeof pps;
    out[n++] = 0;
    out[n++] = sizeof idr;
    memcpy(out + n, idr, sizeof idr);
    return n + sizeof idr;
}

static void aggregates(void **state)
{
    uint8_t stap[64];
    size_t n = make_stap(stap);
    struct h264_packet p, zero = {0};

    (void)state;
    assert_int_equal(h264_parse(&p, stap, n), OK);
    assert_true(p.sps && p.idr && p.frame_start);
    assert_int_equal(p.n_nals, 3);
    assert_int_equal(p.height, 360);
    for (size_t i = 0; i < n; i++) {
        uint8_t *copy = malloc(i ? i : 1);
        memcpy(copy, stap, i);
        bool whole = i == 3 + sizeof sps || i == 5 + sizeof sps + sizeof pps;
        assert_int_equal(h264_parse(&p, copy, i), whole ? OK : ERR_TRUNCATED);
        if (!whole) {
            assert_memory_equal(&p, &zero, sizeof p);
        }
        free(copy);
    }
    stap[2] = 0xff; /* a length that lies */
    assert_int_equal(h264_parse(&p, stap, n), ERR_TRUNCATED);
    stap[2] = 0;
    assert_int_equal(h264_parse(&p, stap, n), ERR_INVALID);
}

static void fragments(void **state)
{
    static const uint8_t first[] = {0x7c, 0x85, 0x88, 0x84}, middle[] = {0x7c, 0x05, 0x88};
    static const uint8_t last[] = {0x7c, 0x45, 0x88}, droppable[] = {0x1c, 0x81, 0x9a};
    struct h264_packet p;

    (void)state;
    assert_int_equal(h264_parse(&p, first, sizeof first), OK);
    assert_true(p.idr && p.frame_start);
    assert_int_equal(h264_parse(&p, middle, sizeof middle), OK);
    assert_true(p.idr && !p.frame_start);
    assert_int_equal(h264_parse(&p, last, sizeof last), OK);
    assert_true(p.idr && !p.frame_start);
    assert_int_equal(h264_parse(&p, droppable, sizeof droppable), OK);
    assert_true(p.not_referenced && p.frame_start && !p.idr);
    assert_int_equal(h264_parse(&p, first, 1), ERR_TRUNCATED);
    assert_int_equal(h264_parse(&p, first, 2), OK); /* no bytes yet: allowed, begins nothing */
    assert_false(p.frame_start);
}

static void what_is_not_negotiated(void **state)
{
    static const uint8_t types[] = {0, 25, 26, 27, 29, 30, 31};
    uint8_t nested[] = {0x78, 0, 3, 0x78, 0, 0}, fu[] = {0x7c, 0x80 | 28, 0};
    struct h264_packet p;

    (void)state;
    for (size_t i = 0; i < sizeof types; i++) {
        uint8_t payload[] = {(uint8_t)(0x60 | types[i]), 0, 1, 0x65};
        assert_int_equal(h264_parse(&p, payload, sizeof payload), ERR_INVALID);
    }
    assert_int_equal(h264_parse(&p, nested, sizeof nested), ERR_INVALID);
    assert_int_equal(h264_parse(&p, fu, sizeof fu), ERR_INVALID);
}

static void as_a_codec(void **state)
{
    uint8_t stap[64];
    struct codec_info info, again;
    size_t n = make_stap(stap);

    (void)state;
    assert_int_equal(codec_parse(&info, CODEC_H264, stap, n), OK);
    assert_true(info.keyframe && info.picture_start && info.frame_start && !info.not_referenced);
    assert_int_equal(info.width, 640);
    assert_int_equal(info.picture_bits, 0);
    codec_rewrite(&info, stap, 1, 1); /* there is nothing to rewrite */
    assert_int_equal(codec_parse(&again, CODEC_H264, stap, n), OK);
    assert_memory_equal(&info, &again, sizeof info);
    assert_int_equal(codec_parse(&info, CODEC_H264, pps, sizeof pps), OK);
    assert_false(info.keyframe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_of_sps), cmocka_unit_test(sps_that_lie),
        cmocka_unit_test(single_units), cmocka_unit_test(aggregates),
        cmocka_unit_test(fragments),    cmocka_unit_test(what_is_not_negotiated),
        cmocka_unit_test(as_a_codec),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
