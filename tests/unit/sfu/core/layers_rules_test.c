/* The layer selector's rules one by one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sfu/core/layers.h"

static struct layers l;
static struct layers_track track;
static struct layers_verdict v;
static int64_t now_us, seq[LAYERS_STREAMS];

static int setup(void **state)
{
    (void)state;
    layers_init(&l);
    memset(&track, 0, sizeof track);
    now_us = 1000000;
    for (int i = 0; i < LAYERS_STREAMS; i++) {
        seq[i] = 1000 * (i + 1);
    }
    return 0;
}

static int want(uint8_t stream, uint8_t sid, uint8_t tid)
{
    struct layers_target t = {.stream = stream, .sid = sid, .tid = tid};
    return layers_set_target(&l, &track, &t, now_us);
}

static enum layers_action give(struct layers_packet p)
{
    p.now_us = now_us;
    layers_track_input(&track, &p);
    layers_input(&l, &track, &p, &v);
    return v.action;
}

/* A picture of one packet; 33 ms pass with each of stream 0. */
static enum layers_action vp8(uint8_t stream, bool key, uint8_t tid, bool sync)
{
    struct codec_info info = {.keyframe = key, .frame_start = true, .tid = tid, .up_switch = sync};
    now_us += stream == 0 ? 33333 : 0;
    return give((struct layers_packet){.stream = stream,
                                       .codec = CODEC_VP8,
                                       .ts = (uint32_t)(now_us * 9 / 100),
                                       .ext_seq = seq[stream]++,
                                       .marker = true,
                                       .info = &info});
}

static void nothing_before_a_keyframe(void **state)
{
    (void)state;
    assert_int_equal(vp8(0, true, 0, false), LAYERS_DROP); /* no target yet */
    assert_int_equal(want(0, 0, 2), 0);                    /* asked for at once */
    assert_int_equal(want(0, 0, 2), -1);
    assert_int_equal(vp8(0, false, 0, false), LAYERS_DROP);
    assert_int_equal(v.keyframe_stream, -1);
    int asked = 0;
    for (int i = 0; i < 35; i++) { /* a good second */
        assert_int_equal(vp8(0, false, 0, false), LAYERS_DROP);
        asked += v.keyframe_stream == 0;
    }
    assert_int_equal(asked, 2);
    assert_int_equal(vp8(0, true, 0, false), LAYERS_FORWARD);
    assert_true(v.switched);
    assert_int_equal(vp8(0, false, 2, false), LAYERS_FORWARD);
    assert_false(v.switched);
}

static void paused_forwards_nothing(void **state)
{
    struct layers_target off = {.paused = true};

    (void)state;
    vp8(0, false, 0, false);
    want(0, 0, 2);
    vp8(0, true, 0, false);
    assert_int_equal(layers_set_target(&l, &track, &off, now_us), -1);
    assert_int_equal(vp8(0, true, 0, false), LAYERS_DROP);
    assert_int_equal(v.keyframe_stream, -1);
    assert_int_equal(want(0, 0, 2), 0);
    assert_int_equal(vp8(0, false, 0, false), LAYERS_DROP);
    assert_int_equal(vp8(0, true, 0, false), LAYERS_FORWARD);
    assert_true(v.switched);
}

static void the_old_stream_goes_on_until_the_keyframe(void **state)
{
    (void)state;
    vp8(0, false, 0, false);
    vp8(2, false, 0, false);
    assert_int_equal(want(2, 0, 2), 2);
    assert_int_equal(vp8(0, true, 0, false), LAYERS_FORWARD); /* better small than nothing */
    assert_int_equal(vp8(2, false, 0, false), LAYERS_DROP);
    assert_int_equal(vp8(0, false, 0, false), LAYERS_FORWARD);
    assert_int_equal(vp8(2, true, 0, false), LAYERS_FORWARD);
    assert_true(v.switched);
    assert_int_equal(vp8(0, true, 0, false), LAYERS_DROP);
    assert_int_equal(want(0, 0, 2), 0);
    assert_int_equal(vp8(0, false, 0, false), LAYERS_DROP);
    assert_int_equal(vp8(2, false, 0, false), LAYERS_FORWARD);
    assert_int_equal(vp8(0, true, 0, false), LAYERS_FORWARD);
    assert_int_equal(vp8(2, true, 0, false), LAYERS_DROP);
}

static void a_silent_stream_is_replaced(void **state)
{
    (void)state;
    want(2, 0, 2);
    for (int i = 0; i < 3; i++) {
        vp8(i, true, 0, false);
    }
    assert_int_equal(layers_wanted(&l, &track), 2);
    assert_int_equal(vp8(2, true, 0, false), LAYERS_FORWARD);
    int asked = 0, pictures = 0;
    while (asked == 0 && pictures < 60) { /* 0 and 1 go on */
        assert_int_equal(vp8(0, false, 0, false), LAYERS_DROP);
        assert_int_equal(vp8(1, false, 0, false), LAYERS_DROP);
        asked += v.keyframe_stream == 1;
        pictures++;
    }
    assert_in_range(pictures, 15, 22);
    assert_int_equal(layers_wanted(&l, &track), 1);
    assert_int_equal(vp8(1, true, 0, false), LAYERS_FORWARD);
    assert_int_equal(vp8(2, false, 0, false), LAYERS_DROP); /* it is back, and asked for */
    assert_int_equal(v.keyframe_stream, 2);
    assert_int_equal(vp8(1, false, 0, false), LAYERS_FORWARD);
    assert_int_equal(vp8(2, true, 0, false), LAYERS_FORWARD);
}

/* A screen that stands still is silent in all streams: that is no reason to switch. */
static void all_silent_is_not_silent(void **state)
{
    (void)state;
    want(1, 0, 2);
    vp8(0, true, 0, false);
    vp8(1, true, 0, false);
    now_us += 60000000;
    assert_int_equal(vp8(0, false, 0, false), LAYERS_DROP);
    assert_int_equal(v.keyframe_stream, -1);
    assert_int_equal(vp8(1, false, 0, false), LAYERS_FORWARD);
}

static void temporal_layers_go_up_one_by_one_at_their_mark(void **state)
{
    (void)state;
    want(0, 0, 0);
    vp8(0, true, 0, false);
    assert_int_equal(vp8(0, false, 2, true), LAYERS_SKIP);
    assert_int_equal(v.keyframe_stream, -1);
    want(0, 0, 2);
    assert_int_equal(vp8(0, false, 0, true), LAYERS_FORWARD);
    assert_int_equal(vp8(0, false, 1, false), LAYERS_SKIP);
    assert_int_equal(vp8(0, false, 2, true), LAYERS_SKIP); /* its layer 1 isn't there */
    assert_int_equal(vp8(0, false, 1, true), LAYERS_FORWARD);
    assert_int_equal(vp8(0, false, 2, false), LAYERS_SKIP);
    assert_int_equal(vp8(0, false, 2, true), LAYERS_FORWARD);
    assert_int_equal(vp8(0, false, 2, false), LAYERS_FORWARD);
    want(0, 0, 1); /* down at once */
    assert_int_equal(vp8(0, false, 2, false), LAYERS_SKIP);
    assert_int_equal(vp8(0, false, 1, false), LAYERS_FORWARD);
    want(0, 0, 2);
    assert_int_equal(vp8(0, true, 0, false), LAYERS_FORWARD);
    assert_int_equal(vp8(0, false, 2, false), LAYERS_FORWARD); /* a keyframe is a mark for all */
}

/* Some encoders never mark a layer: after a while a keyframe is asked for. */
static void patience_ends(void **state)
{
    int asked = 0, pictures = 0;

    (void)state;
    want(0, 0, 0);
    vp8(0, true, 0, false);
    want(0, 0, 1);
    while (asked == 0 && pictures < 200) {
        assert_int_equal(vp8(0, false, (uint8_t)(pictures % 2), false),
                         pictures % 2 ? LAYERS_SKIP : LAYERS_FORWARD);
        asked += v.keyframe_stream == 0;
        pictures++;
    }
    assert_in_range(pictures, LAYERS_PATIENCE_US / 33333, LAYERS_PATIENCE_US / 33333 + 5);
}

/* One packet of a spatial layer. */
static enum layers_action vp9(uint8_t sid, bool key, bool inter_picture)
{
    struct codec_info info = {.keyframe = key && sid == 0,
                              .frame_start = true,
                              .frame_end = true,
                              .inter_picture = inter_picture,
                              .inter_layer = sid > 0,
                              .sid = sid};
    now_us += sid == 0 ? 33333 : 0;
    return give((struct layers_packet){.codec = CODEC_VP9,
                                       .ts = (uint32_t)(now_us * 9 / 100),
                                       .ext_seq = seq[0]++,
                                       .marker = sid == 2,
                                       .info = &info});
}

static void spatial_layers_change_between_pictures(void **state)
{
    (void)state;
    want(0, 2, 0);
    assert_int_equal(vp9(0, true, false), LAYERS_FORWARD);
    assert_false(v.marker);
    assert_int_equal(vp9(1, true, false), LAYERS_FORWARD);
    want(0, 0, 0); /* in the middle of the picture */
    assert_int_equal(vp9(2, true, false), LAYERS_FORWARD);
    assert_true(v.marker);
    assert_int_equal(vp9(0, false, true), LAYERS_FORWARD);
    assert_true(v.marker); /* now it is the last one */
    assert_int_equal(vp9(1, false, true), LAYERS_SKIP);
    assert_int_equal(v.keyframe_stream, -1);
    assert_int_equal(vp9(2, false, true), LAYERS_SKIP);
    want(0, 2, 0);
    assert_int_equal(vp9(0, false, true), LAYERS_FORWARD);
    assert_int_equal(vp9(1, false, true), LAYERS_SKIP);
    assert_int_equal(v.keyframe_stream, 0);
    assert_int_equal(vp9(2, false, false), LAYERS_SKIP); /* layer 1 below it isn't there */
    vp9(0, false, true);
    assert_int_equal(vp9(1, false, false), LAYERS_FORWARD); /* from the layer below only */
    assert_true(v.marker);
    assert_int_equal(vp9(2, false, true), LAYERS_SKIP);
    vp9(0, false, true);
    assert_int_equal(vp9(1, false, true), LAYERS_FORWARD);
}

/* Between two packets of a picture that is left out, what is missing was left out too. */
static void gaps_within_left_out_pictures_close(void **state)
{
    struct codec_info info = {.tid = 1};
    struct layers_packet p = {.codec = CODEC_VP8, .ts = 1, .ext_seq = 2000, .info = &info};

    (void)state;
    seq[0] = 1999;
    want(0, 0, 0);
    vp8(0, true, 0, false);
    assert_int_equal(give(p), LAYERS_SKIP);
    assert_int_equal(v.skip_from, 2000);
    p.ext_seq = 2003;
    assert_int_equal(give(p), LAYERS_SKIP);
    assert_int_equal(v.skip_from, 2001);
    p.ext_seq = 2006;
    p.ts = 2; /* of the next picture: 2004 and 2005 may be anything's */
    assert_int_equal(give(p), LAYERS_SKIP);
    assert_int_equal(v.skip_from, 2006);
    p.ext_seq = 2004;
    p.ts = 1;
    assert_int_equal(give(p), LAYERS_SKIP); /* late */
    assert_int_equal(v.skip_from, 2004);
}

/* The packet that shows the keyframe was lost and comes when others have. */
static void a_late_keyframe_switches(void **state)
{
    struct codec_info info = {.keyframe = true, .frame_start = true};
    struct layers_packet p = {.stream = 1, .codec = CODEC_VP8, .ts = 5, .info = &info};

    (void)state;
    want(1, 0, 2);
    seq[1] = 501;
    vp8(0, true, 0, false);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(vp8(1, false, 0, false), LAYERS_DROP);
    }
    p.ext_seq = 500;
    assert_int_equal(give(p), LAYERS_FORWARD);
    assert_true(v.switched);
    assert_int_equal(v.from_seq, 500);
    assert_int_equal(vp8(1, false, 0, false), LAYERS_FORWARD);
    assert_false(v.switched);
}

static void late_packets_go_by_the_selection_of_their_time(void **state)
{
    struct codec_info info = {.tid = 1};
    struct layers_packet p = {.codec = CODEC_VP8, .info = &info};

    (void)state;
    want(0, 0, 1);
    vp8(0, true, 0, false);
    p.ext_seq = seq[0]++; /* a picture that is missing, */
    now_us += 33333;
    p.ts = (uint32_t)(now_us * 9 / 100);
    vp8(0, false, 0, false);
    want(0, 0, 0);
    vp8(0, false, 0, false);
    assert_int_equal(vp8(0, false, 1, false), LAYERS_SKIP);
    assert_int_equal(give(p), LAYERS_FORWARD); /* from before the layer was given up */
    assert_true(v.late);
}

static void decode_targets_are_told(void **state)
{
    struct dd_structure s = {.n_targets = 2, .target_tid = {0, 1}};
    struct dd_frame dd = {.first_in_frame = true,
                          .last_in_frame = true,
                          .keyframe = true,
                          .structure_attached = true,
                          .frame_id = 70000,
                          .n_targets = 2,
                          .indication = {DD_SWITCH, DD_SWITCH},
                          .active_targets = 3};
    struct layers_packet p = {
        .codec = CODEC_AV1, .ts = 9, .ext_seq = 1, .dd = &dd, .structure = &s};

    (void)state;
    want(0, 7, 0);
    assert_int_equal(give(p), LAYERS_FORWARD);
    assert_true(v.set_targets);
    assert_int_equal(v.targets, 1);
    dd.keyframe = dd.structure_attached = false;
    dd.indication[0] = DD_NOT_PRESENT;
    dd.indication[1] = DD_DISCARDABLE;
    dd.tid = dd.n_fdiffs = 1;
    dd.fdiff[0] = 1;
    dd.frame_id++;
    p.ext_seq++;
    p.ts += 3000;
    assert_int_equal(give(p), LAYERS_SKIP);
    want(0, 7, 1); /* nothing it needs was left out: at once */
    dd.frame_id++;
    dd.fdiff[0] = 2;
    p.ext_seq++;
    p.ts += 3000;
    assert_int_equal(give(p), LAYERS_FORWARD);
    assert_true(v.set_targets);
    assert_int_equal(v.targets, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_before_a_keyframe, setup),
        cmocka_unit_test_setup(paused_forwards_nothing, setup),
        cmocka_unit_test_setup(the_old_stream_goes_on_until_the_keyframe, setup),
        cmocka_unit_test_setup(a_silent_stream_is_replaced, setup),
        cmocka_unit_test_setup(all_silent_is_not_silent, setup),
        cmocka_unit_test_setup(temporal_layers_go_up_one_by_one_at_their_mark, setup),
        cmocka_unit_test_setup(patience_ends, setup),
        cmocka_unit_test_setup(spatial_layers_change_between_pictures, setup),
        cmocka_unit_test_setup(gaps_within_left_out_pictures_close, setup),
        cmocka_unit_test_setup(a_late_keyframe_switches, setup),
        cmocka_unit_test_setup(late_packets_go_by_the_selection_of_their_time, setup),
        cmocka_unit_test_setup(decode_targets_are_told, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
