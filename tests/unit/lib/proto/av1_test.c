#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdlib.h>

#include "lib/base/err.h"
#include "lib/proto/av1.h"
#include "lib/proto/codec.h"

/* N, W 2: a sequence header of 640x360, one operating point; a key frame's OBU, shown. */
static const uint8_t key[] = {0x28, 0x0a, 0x08, 0x00, 0x00, 0x00, 0x42, 0x62,
                              0x7f, 0xb3, 0x80, 0x40, 0x30, 0x10, 0x55, 0xaa};

static void key_frame(void **state)
{
    struct av1_packet p;
    struct codec_info info;

    (void)state;
    assert_int_equal(av1_parse(&p, key, sizeof key), OK);
    assert_true(p.new_sequence && p.sequence && p.keyframe && p.frame_start);
    assert_true(!p.continues && !p.continued && !p.has_layer);
    assert_int_equal(p.n_elements, 2);
    assert_int_equal(p.width, 640);
    assert_int_equal(p.height, 360);
    assert_int_equal(codec_parse(&info, CODEC_AV1, key, sizeof key), OK);
    assert_true(info.keyframe && info.frame_start && info.picture_start && !info.frame_end);
    assert_int_equal(info.width, 640);
}

/* Timing, decoder model, display delay, three operating points, as an L3T3 encoder may say. */
static void sequence_headers(void **state)
{
    static const uint8_t full[] = {0x10, 0x08, 0x04, 0x00, 0x00, 0x00, 0x04, 0x00, 0x00, 0x00,
                                   0x7a, 0x22, 0x90, 0x00, 0x00, 0x3e, 0x84, 0xa6, 0x27, 0x07,
                                   0x42, 0x02, 0x80, 0xcc, 0x98, 0x39, 0x60, 0x28, 0x0c, 0xc8,
                                   0x83, 0x92, 0x02, 0x80, 0xcc, 0xd4, 0xcf, 0xfb, 0x3c, 0x02};
    static const uint8_t still[] = {0x10, 0x08, 0x19, 0x7c, 0x3f, 0xff, 0xc0, 0x10};
    static const uint8_t profile[] = {0x10, 0x08, 0xa0, 0x00, 0x00, 0x42, 0x62, 0x7f, 0xb3, 0x80};
    struct av1_packet p;

    (void)state;
    assert_int_equal(av1_parse(&p, full, sizeof full), OK);
    assert_true(p.sequence && p.keyframe && !p.new_sequence);
    assert_int_equal(p.width, 1280);
    assert_int_equal(p.height, 720);
    assert_int_equal(av1_parse(&p, still, sizeof still), OK);
    assert_int_equal(p.width, 65535); /* 65536 doesn't fit */
    assert_int_equal(p.height, 1);
    assert_int_equal(av1_parse(&p, profile, sizeof profile), OK);
    assert_false(p.sequence || p.keyframe);
    assert_int_equal(p.width, 0);
    for (size_t n = 2; n < 38; n++) { /* cut off by the packet's end: no size, no crash */
        uint8_t *copy = malloc(n);
        memcpy(copy, full, n);
        assert_int_equal(av1_parse(&p, copy, n), OK);
        assert_false(p.keyframe);
        free(copy);
    }
}

/* A sequence header may be repeated in front of an inter frame: no keyframe. */
static void repeated_sequence_header(void **state)
{
    uint8_t p[sizeof key];
    struct av1_packet a;

    (void)state;
    memcpy(p, key, sizeof p);
    p[0] &= 0xf7;
    assert_int_equal(av1_parse(&a, p, sizeof p), OK);
    assert_true(a.keyframe); /* a key frame follows */
    p[13] = 0x30;            /* INTER_FRAME, shown */
    assert_int_equal(av1_parse(&a, p, sizeof p), OK);
    assert_true(a.sequence && !a.keyframe);
    p[0] |= 0x08; /* N is the sender's word */
    assert_int_equal(av1_parse(&a, p, sizeof p), OK);
    assert_true(a.keyframe);
}

static void layers_and_fragments(void **state)
{
    /* W 1: a frame OBU with extension tid 2, sid 1 and a size field of 2 */
    static const uint8_t layer[] = {0x10, 0x36, 0x48, 0x02, 0x30, 0x00};
    /* Z Y W 1: a middle piece that looks like a sequence header */
    static const uint8_t middle[] = {0xd0, 0x08, 0x00, 0x00, 0x00, 0x42, 0x62, 0x7f, 0xb3, 0x80};
    /* Z W 2: the end of a piece, then a tile group with extension tid 1, sid 2 */
    static const uint8_t then[] = {0xa0, 0x02, 0x08, 0x00, 0x24, 0x30, 0x11};
    static const uint8_t tiles[] = {0x10, 0x20, 0x11};
    struct av1_packet p;
    struct codec_info info;

    (void)state;
    assert_int_equal(av1_parse(&p, layer, sizeof layer), OK);
    assert_true(p.has_layer && p.frame_start && !p.keyframe);
    assert_int_equal(p.tid, 2);
    assert_int_equal(p.sid, 1);
    assert_int_equal(codec_parse(&info, CODEC_AV1, layer, sizeof layer), OK);
    assert_true(info.frame_start && !info.picture_start);
    assert_int_equal(info.tid, 2);
    assert_int_equal(av1_parse(&p, middle, sizeof middle), OK);
    assert_true(p.continues && p.continued && !p.keyframe && !p.sequence && !p.frame_start);
    assert_int_equal(av1_parse(&p, then, sizeof then), OK);
    assert_false(p.frame_start || p.continued);
    assert_int_equal(p.sid, 2);
    assert_int_equal(av1_parse(&p, tiles, sizeof tiles), OK);
    assert_false(p.frame_start);
}

static void bad_elements(void **state)
{
    static const uint8_t n_and_z[] = {0x98, 0x30}, none[] = {0x10},
                         zero[] = {0x00, 0x00, 0x01, 0x30};
    static const uint8_t lies[] = {0x20, 0x7f, 0x30}, missing[] = {0x20, 0x01, 0x30};
    static const uint8_t long_leb[] = {0x00, 0x81, 0x80, 0x80, 0x80, 0x80, 0x00, 0x30};
    static const uint8_t large[] = {0x00, 0xff, 0xff, 0xff, 0xff, 0x7f, 0x30};
    static const uint8_t cut_leb[] = {0x00, 0x81};
    struct av1_packet p, empty = {0};

    (void)state;
    assert_int_equal(av1_parse(&p, none, 0), ERR_TRUNCATED);
    assert_int_equal(av1_parse(&p, none, 1), ERR_TRUNCATED);
    assert_int_equal(av1_parse(&p, n_and_z, sizeof n_and_z), ERR_INVALID);
    assert_memory_equal(&p, &empty, sizeof p);
    assert_int_equal(av1_parse(&p, zero, sizeof zero), ERR_INVALID);
    assert_int_equal(av1_parse(&p, lies, sizeof lies), ERR_TRUNCATED);
    assert_int_equal(av1_parse(&p, missing, sizeof missing), ERR_TRUNCATED);
    assert_int_equal(av1_parse(&p, long_leb, sizeof long_leb), ERR_INVALID);
    assert_int_equal(av1_parse(&p, large, sizeof large), ERR_INVALID);
    assert_int_equal(av1_parse(&p, cut_leb, sizeof cut_leb), ERR_TRUNCATED);
    assert_memory_equal(&p, &empty, sizeof p);
}

static void every_truncation(void **state)
{
    struct av1_packet p;

    (void)state;
    for (size_t n = 0; n < sizeof key; n++) {
        uint8_t *copy = malloc(n ? n : 1);
        memcpy(copy, key, n);
        assert_int_equal(av1_parse(&p, copy, n), n < 13 ? ERR_TRUNCATED : OK);
        free(copy);
    }
}

/* W 0: a thousand elements of a byte each. */
static void many_elements(void **state)
{
    uint8_t p[2001] = {0};
    struct av1_packet a;

    (void)state;
    for (size_t i = 1; i < sizeof p; i += 2) {
        p[i] = 1;
        p[i + 1] = 0x30;
    }
    assert_int_equal(av1_parse(&a, p, sizeof p), OK);
    assert_int_equal(a.n_elements, 1000);
    assert_false(a.keyframe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_frame),
        cmocka_unit_test(sequence_headers),
        cmocka_unit_test(repeated_sequence_header),
        cmocka_unit_test(layers_and_fragments),
        cmocka_unit_test(bad_elements),
        cmocka_unit_test(every_truncation),
        cmocka_unit_test(many_elements),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
