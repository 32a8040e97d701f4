#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "sfu/core/rewriter.h"

static struct rewriter r;
static struct rewriter_past past;
static struct rewritten out;

static int setup(void **state)
{
    (void)state;
    rewriter_init(&r, &past, 90000, 1000, 5000);
    return 0;
}

static int map_picture(uint32_t source, int64_t seq, uint32_t ts, int64_t now_us,
                       const struct codec_info *info)
{
    struct rewriter_packet p = {.source = source,
                                .ext_seq = seq,
                                .ts = ts,
                                .now_us = now_us,
                                .codec = info ? CODEC_VP8 : CODEC_NONE,
                                .info = info};
    return rewriter_map_packet(&r, &p, &out);
}

static int map(uint32_t source, int64_t seq, uint32_t ts, int64_t now_us)
{
    return map_picture(source, seq, ts, now_us, NULL);
}

static void leave_out(uint32_t source, int64_t seq)
{
    struct rewriter_packet p = {.source = source, .ext_seq = seq};
    rewriter_skip_packet(&r, &p, seq);
}

static int map_again(uint16_t out_seq, uint32_t ts, const struct codec_info *info)
{
    struct rewriter_packet p = {.ts = ts, .info = info};
    return rewriter_remap_packet(&r, out_seq, &p, &out);
}

static struct codec_info picture(uint16_t id, uint8_t tl0)
{
    return (struct codec_info){
        .picture_bits = 15, .picture_id = id, .has_tl0 = true, .tl0picidx = tl0};
}

static void offset_within_a_source(void **state)
{
    (void)state;
    assert_int_equal(map(1, 70000, 42, 0), OK);
    assert_true(out.switched);
    assert_int_equal(out.seq, 1000);
    assert_int_equal(out.ts, 5000);
    assert_int_equal(map(1, 70003, 42 + 3000, 33000), OK);
    assert_false(out.switched);
    assert_int_equal(out.seq, 1003); /* the gap stays a gap */
    assert_int_equal(out.ts, 8000);
    assert_int_equal(map(1, 70002, 42, 34000), OK); /* late, takes its place */
    assert_int_equal(out.seq, 1002);
    assert_int_equal(map(1, 69999, 42, 34000), ERR_STATE); /* before the first */
}

static void switch_goes_on_by_time(void **state)
{
    (void)state;
    map(1, 100, 0, 1000000);
    map(1, 101, 3000, 1033000);
    assert_int_equal(map(2, 9000, 777777, 1133000), OK); /* 100 ms later */
    assert_true(out.switched);
    assert_int_equal(out.seq, 1002);
    assert_int_equal(out.ts, 8000 + 9000);
    assert_int_equal(map(1, 102, 6000, 1133000), OK); /* back in the same microsecond */
    assert_int_equal(out.seq, 1003);
    assert_int_equal(out.ts, 17001); /* at least a tick */
}

static void picture_ids_are_continuous(void **state)
{
    struct codec_info a = picture(32767, 255), b = picture(5, 9), b2 = picture(6, 10);

    (void)state;
    assert_int_equal(map_picture(1, 1, 0, 0, &a), OK);
    assert_int_equal(out.picture_id, 32767);
    assert_int_equal(map_picture(2, 1, 0, 0, &b), OK);
    assert_int_equal(out.picture_id & 0x7fff, 0);
    assert_int_equal(out.tl0picidx, 0);
    assert_int_equal(map_picture(2, 2, 0, 0, &b2), OK);
    assert_int_equal(out.picture_id & 0x7fff, 1);
    assert_int_equal(out.tl0picidx, 1);
}

static void skipped_packets_close_up(void **state)
{
    (void)state;
    map(1, 100, 0, 0);
    leave_out(1, 101);
    leave_out(1, 102);
    map(1, 103, 0, 0);
    assert_int_equal(out.seq, 1001);
    map(1, 105, 0, 0); /* 104 is missing */
    assert_int_equal(out.seq, 1003);
    leave_out(1, 106);
    map(1, 107, 0, 0);
    assert_int_equal(out.seq, 1004);
    assert_int_equal(map(1, 104, 0, 0), OK); /* late, of the segment before */
    assert_int_equal(out.seq, 1002);
    assert_int_equal(map(1, 106, 0, 0), ERR_STATE); /* the skipped one has no place */
    assert_int_equal(map(1, 99, 0, 0), ERR_STATE);
    leave_out(1, 50); /* too late to be left out: nothing happens */
    leave_out(2, 200);
    map(1, 108, 0, 0);
    assert_int_equal(out.seq, 1005);
}

static void finds_the_way_back(void **state)
{
    uint32_t source;
    int64_t seq;
    struct codec_info v = picture(100, 1);

    (void)state;
    assert_int_equal(rewriter_unmap(&r, 1000, &source, &seq), ERR_NOT_FOUND);
    for (int i = 0; i < 5; i++) {
        map_picture(7, 65534 + i, 1000 + (uint32_t)i, 0, &v);
    }
    struct rewritten first = out;
    for (int i = 0; i < 3; i++) {
        map_picture(8, 500 + i, 9, 10, &v);
    }
    assert_int_equal(rewriter_unmap(&r, 1004, &source, &seq), OK);
    assert_int_equal(source, 7);
    assert_int_equal(seq, 65538);
    assert_int_equal(rewriter_unmap(&r, 1005, &source, &seq), OK);
    assert_int_equal(source, 8);
    assert_int_equal(seq, 500);
    assert_int_equal(map_again(1004, 1004, &v), OK);
    assert_int_equal(out.seq, first.seq);
    assert_int_equal(out.ts, first.ts);
    assert_int_equal(out.picture_id, first.picture_id);
    assert_int_equal(rewriter_unmap(&r, 999, &source, &seq), ERR_NOT_FOUND);
    assert_int_equal(rewriter_unmap(&r, 1008, &source, &seq), ERR_NOT_FOUND); /* not sent yet */
}

static void remembers_the_last_segments_only(void **state)
{
    uint32_t source;
    int64_t seq;

    (void)state;
    for (uint32_t i = 0; i < REWRITER_SEGMENTS + 4; i++) {
        map(i, 10, 0, 0);
    }
    assert_int_equal(rewriter_unmap(&r, 1003, &source, &seq), ERR_NOT_FOUND);
    assert_int_equal(rewriter_unmap(&r, 1004, &source, &seq), OK);
    assert_int_equal(source, 4);
}

static void detach_opens_anew(void **state)
{
    uint32_t offset, source;
    int64_t seq;

    (void)state;
    assert_false(rewriter_ts_offset(&r, 1, &offset));
    map(1, 100, 0, 0);
    assert_true(rewriter_ts_offset(&r, 1, &offset));
    assert_int_equal(offset, 5000);
    rewriter_detach(&r);
    rewriter_detach(&r);
    assert_false(rewriter_ts_offset(&r, 1, &offset));
    assert_int_equal(map(1, 900, 1, 1000000), OK);
    assert_true(out.switched);
    assert_int_equal(out.seq, 1001);
    assert_int_equal(out.ts, 95000);
    assert_int_equal(rewriter_unmap(&r, 1000, &source, &seq), OK);
    assert_int_equal(seq, 100);
}

/* A padding packet that comes late must not move a segment back over numbers already promised: two
 * packets would leave under one number, which is one nonce. */
static void late_skips_leave_a_gap(void **state)
{
    (void)state;
    map(1, 10, 0, 0);
    leave_out(1, 15);
    leave_out(1, 13); /* behind the segment that begins at 16 */
    map(1, 14, 0, 0);
    uint16_t of_14 = out.seq;
    map(1, 12, 0, 0);
    assert_int_not_equal(out.seq, of_14);
    assert_int_equal(out.seq, 1002);
    assert_int_equal(of_14, 1004);
    map(1, 16, 0, 0);
    assert_int_equal(out.seq, 1005);
}

/* Packets repaired after a padding packet that came before them, and then another source. */
static void a_switch_goes_on_after_late_packets(void **state)
{
    (void)state;
    map(1, 10, 0, 0);
    leave_out(1, 15);
    map(1, 14, 0, 0);
    assert_int_equal(out.seq, 1004);
    map(2, 500, 0, 0);
    assert_int_equal(out.seq, 1005);
}

/* A source may leap by half the number space, a packet or a padding packet at a time. What goes out
 * doesn't: a receiver whose rollover counter has to guess over such gaps guesses wrong. */
static void leaps_close_up(void **state)
{
    uint32_t source;
    int64_t seq;

    (void)state;
    map(1, 100, 5000, 0);
    assert_int_equal(map(1, 100 + 32767, 9000, 0), OK);
    assert_int_equal(out.seq, 1001);
    assert_false(out.switched);
    assert_int_equal(rewriter_unmap(&r, 1001, &source, &seq), OK);
    assert_int_equal(seq, 100 + 32767);
    assert_int_equal(map(1, 101, 0, 0), ERR_STATE); /* its place is taken */
    for (int i = 0; i < 100; i++) {                 /* padding that leaps, a little or much */
        leave_out(1, 40000 + i * 500);
    }
    leave_out(1, 120000);
    assert_int_equal(map(1, 120001, 0, 0), OK);
    assert_true((uint16_t)(out.seq - 1001) <= REWRITER_MAX_GAP);
    uint16_t last = out.seq;
    map(1, 120001 + REWRITER_MAX_GAP, 0, 0); /* what may be repaired stays a gap */
    assert_int_equal((uint16_t)(out.seq - last), REWRITER_MAX_GAP);
    map(1, 120002, 0, 0);
    assert_int_equal((uint16_t)(out.seq - last), 1);
}

/* The same for any order of arrival: each number of a source comes once, as content or padding. */
static void no_number_twice_in_any_order(void **state)
{
    static uint8_t used[1 << 20];
    uint32_t rng = 11, base = 1000, source = 1;

    (void)state;
    for (int block = 0; block < 4000; block++) {
        int order[16];
        for (int i = 0; i < 16; i++) { /* shuffled from inside out */
            rng = rng * 1664525 + 1013904223;
            int k = (int)((rng >> 16) % (uint32_t)(i + 1));
            order[i] = order[k];
            order[k] = i;
        }
        source = block % 5 ? source : rng >> 30;
        base += block % 7 ? 0 : rng % 5000; /* leaps, some wider than REWRITER_MAX_GAP */
        for (int i = 0; i < 16; i++) {
            int64_t seq = base + block * 16 + order[i];
            rng = rng * 1664525 + 1013904223;
            if ((rng >> 16) % 4 == 0) {
                leave_out(source, seq);
            } else if (map(source, seq, 0, 0) == OK) {
                int64_t n =
                    r.out_highest + (int16_t)(uint16_t)(out.seq - (uint16_t)r.out_highest) - 65536;
                assert_in_range(n, 0, sizeof used - 1);
                assert_false(used[n]);
                used[n] = 1;
            }
        }
    }
}

/* Any mix of sources, losses, skips: numbers out are never used twice, never go back by more than
 * what is late, and each finds its way back. */
static void random_walk(void **state)
{
    static uint8_t used[1 << 20];
    uint32_t rng = 5, source = 1;
    int64_t in[4] = {1000, 70000, 65500, 20}, now = 0, last = 0;
    int64_t highest = 1000;

    (void)state;
    for (int i = 0; i < 300000; i++) {
        rng = rng * 1664525 + 1013904223;
        uint32_t k = rng >> 16;
        now += 5000;
        if (k % 200 == 0) {
            source = k % 4;
        }
        if (k % 300 == 1) {
            rewriter_detach(&r);
        }
        in[source] += 1 + (k % 37 == 0);
        if (k % 41 == 0) {
            leave_out(source, in[source]);
            continue;
        }
        assert_int_equal(map_picture(source, in[source], 0, now, NULL), OK);
        int64_t n = highest + (int16_t)(uint16_t)(out.seq - (uint16_t)highest);
        highest = n;
        assert_true(i == 0 || n > last);
        assert_true(n - last <= 4 || i == 0);
        last = n;
        assert_false(used[n]);
        used[n] = 1;
        uint32_t back_source;
        int64_t back;
        assert_int_equal(rewriter_unmap(&r, out.seq, &back_source, &back), OK);
        assert_int_equal(back_source, source);
        assert_int_equal(back, in[source]);
    }
}

static int map_vp8(int64_t seq, uint16_t picture_id)
{
    struct codec_info v = picture(picture_id, 0);
    return map_picture(1, seq, 0, 0, &v);
}

static void skip_picture(enum codec codec, int64_t from, int64_t seq, uint16_t picture_id)
{
    struct codec_info info = {.picture_bits = 15, .picture_id = picture_id};
    struct rewriter_packet p = {.source = 1, .ext_seq = seq, .codec = codec, .info = &info};
    rewriter_skip_packet(&r, &p, from);
}

/* Receivers of VP8 hold a frame back as long as a picture id before it is missing. */
static void left_out_pictures_of_vp8_close_up(void **state)
{
    uint32_t source;
    int64_t seq;

    (void)state;
    map_vp8(100, 32766);
    skip_picture(CODEC_VP8, 101, 101, 32767);
    skip_picture(CODEC_VP8, 102, 102, 32767); /* of the same picture */
    map_vp8(104, 1);                          /* 103 is missing: of picture 0 */
    assert_int_equal(out.seq, 1002);
    assert_int_equal(out.picture_id & 0x7fff, 0);
    skip_picture(CODEC_VP8, 105, 105, 2);
    map_vp8(106, 3);
    assert_int_equal(out.picture_id & 0x7fff, 1);
    map_vp8(103, 0); /* late, and counted as it would have been */
    assert_int_equal(out.seq, 1001);
    assert_int_equal(out.picture_id & 0x7fff, 32767);
    assert_int_equal(rewriter_unmap(&r, 1003, &source, &seq), OK);
    assert_int_equal(seq, 106);
    struct codec_info again = picture(1, 0);
    assert_int_equal(map_again(1002, 0, &again), OK);
    assert_int_equal(out.picture_id & 0x7fff, 0);
}

/* VP9 refers to pictures by the difference of their ids. */
static void picture_ids_of_vp9_keep_their_holes(void **state)
{
    struct codec_info info = {.picture_bits = 15, .picture_id = 12};
    struct rewriter_packet p = {.source = 1, .ext_seq = 100, .codec = CODEC_VP9, .info = &info};

    (void)state;
    assert_int_equal(rewriter_map_packet(&r, &p, &out), OK);
    skip_picture(CODEC_VP9, 101, 102, 13);
    p.ext_seq = 103;
    info.picture_id = 14;
    assert_int_equal(rewriter_map_packet(&r, &p, &out), OK);
    assert_int_equal(out.seq, 1001);
    assert_int_equal(out.picture_id, 14);
}

static void a_run_may_include_what_never_came(void **state)
{
    (void)state;
    map(1, 100, 0, 0);
    skip_picture(CODEC_VP8, 101, 101, 1);
    skip_picture(CODEC_VP8, 102, 103, 1); /* 102 is missing and surely of the same picture */
    map(1, 104, 0, 0);
    assert_int_equal(out.seq, 1001);
    assert_int_equal(map(1, 102, 0, 0), ERR_STATE);
}

/* Two simulcast streams; the first one's last packet comes when the second is shown already. */
static void late_packets_of_the_former_source_find_their_place(void **state)
{
    struct rewriter_packet p = {.source = 1, .ext_seq = 100, .ts = 7};

    (void)state;
    assert_int_equal(rewriter_map_packet(&r, &p, &out), OK);
    p.ext_seq = 102;
    assert_int_equal(rewriter_map_packet(&r, &p, &out), OK);
    p = (struct rewriter_packet){.source = 2, .ext_seq = 500, .from_seq = 498, .ts = 70};
    assert_int_equal(rewriter_map_packet(&r, &p, &out), OK);
    assert_true(out.switched);
    assert_int_equal(out.seq, 1005); /* two numbers are left for the keyframe's first packets */
    p.ext_seq = 499;
    assert_int_equal(rewriter_map_packet(&r, &p, &out), OK);
    assert_int_equal(out.seq, 1004);
    p = (struct rewriter_packet){.source = 1, .ext_seq = 101, .ts = 7, .late = true};
    assert_int_equal(rewriter_map_packet(&r, &p, &out), OK);
    assert_int_equal(out.seq, 1001);
    assert_int_equal(out.ts, 5000);
    p.ext_seq = 103; /* never had a place */
    assert_int_equal(rewriter_map_packet(&r, &p, &out), ERR_STATE);
    p.source = 3;
    assert_int_equal(rewriter_map_packet(&r, &p, &out), ERR_STATE);
}

static void frame_numbers_grow_across_a_switch(void **state)
{
    struct dd_frame dd = {.frame_number = 40000};
    struct rewriter_packet p = {.source = 1, .ext_seq = 1, .dd = &dd};

    (void)state;
    assert_int_equal(rewriter_map_packet(&r, &p, &out), OK);
    assert_int_equal(out.frame_add, 0);
    p.source = 2;
    dd.frame_number = 7; /* libwebrtc would drop this keyframe as older than the last one */
    assert_int_equal(rewriter_map_packet(&r, &p, &out), OK);
    assert_int_equal((uint16_t)(dd.frame_number + out.frame_add), 40001);
    p.ext_seq = 2;
    dd.frame_number = 9; /* a frame is left out: its number stays free */
    assert_int_equal(rewriter_map_packet(&r, &p, &out), OK);
    assert_int_equal((uint16_t)(dd.frame_number + out.frame_add), 40003);
}

/* Two encodings of one camera: the second's report says which moment its timestamps mean. */
static void reports_keep_timestamps_in_step(void **state)
{
    struct sr_source a = {.known = true, .ntp = UINT64_C(5) << 32, .rtp_ts = 1000};
    struct sr_source b = {.known = true, .ntp = (UINT64_C(5) << 32) + (1u << 31), .rtp_ts = 800000};
    struct rewriter_packet p = {.source = 1, .ext_seq = 1, .ts = 1000, .now_us = 1000000};

    (void)state;
    assert_false(rewriter_ts_distance(&a, &(struct sr_source){0}, 90000, &p.ts_distance));
    assert_int_equal(rewriter_map_packet(&r, &p, &out), OK);
    assert_int_equal(out.ts, 5000);
    p = (struct rewriter_packet){.source = 2, .ext_seq = 1, .now_us = 1140000};
    p.synced = rewriter_ts_distance(&a, &b, 90000, &p.ts_distance);
    assert_true(p.synced);
    p.ts = 800000 - 45000 + 9000; /* 100 ms later, and 40 ms longer on its way */
    assert_int_equal(rewriter_map_packet(&r, &p, &out), OK);
    assert_int_equal(out.ts, 14000);
    p.source = 1;
    p.synced = rewriter_ts_distance(&b, &a, 90000, &p.ts_distance);
    p.ts = 1000 + 6000; /* a keyframe that was repaired, from before: no way back */
    assert_int_equal(rewriter_map_packet(&r, &p, &out), OK);
    assert_int_equal(out.ts, 14001);
    p.source = 2;
    p.synced = rewriter_ts_distance(&a, &b, 90000, &p.ts_distance);
    p.ts = 800000 - 45000 + 18000; /* and its shift is gone with the next switch */
    assert_int_equal(rewriter_map_packet(&r, &p, &out), OK);
    assert_int_equal(out.ts, 23000);
    p.source = 1;
    p.ts = 90000 * 60; /* nonsense: by arrival */
    p.now_us += 10000;
    assert_int_equal(rewriter_map_packet(&r, &p, &out), OK);
    assert_int_equal(out.ts, 23900);
}

/* Hours of leaving out every other picture: what is within the runs kept finds its way back. */
static void many_runs(void **state)
{
    uint32_t source;
    int64_t seq;

    (void)state;
    for (int64_t n = 0; n < 200000; n += 2) {
        assert_int_equal(map(1, n, 0, 0), OK);
        assert_int_equal(out.seq, (uint16_t)(1000 + n / 2));
        leave_out(1, n + 1);
    }
    for (int back = 0; back < REWRITER_RUNS - 1; back++) {
        uint16_t number = (uint16_t)(1000 + 99999 - back);
        assert_int_equal(rewriter_unmap(&r, number, &source, &seq), OK);
        assert_int_equal(seq, 199998 - 2 * back);
    }
    assert_int_equal(rewriter_unmap(&r, (uint16_t)(1000 + 99999 - 500), &source, &seq),
                     ERR_NOT_FOUND);
    assert_int_equal(map(1, 199998 - 1000, 0, 0), ERR_STATE); /* forgotten, so not guessed */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(offset_within_a_source, setup),
        cmocka_unit_test_setup(switch_goes_on_by_time, setup),
        cmocka_unit_test_setup(picture_ids_are_continuous, setup),
        cmocka_unit_test_setup(skipped_packets_close_up, setup),
        cmocka_unit_test_setup(late_skips_leave_a_gap, setup),
        cmocka_unit_test_setup(a_switch_goes_on_after_late_packets, setup),
        cmocka_unit_test_setup(leaps_close_up, setup),
        cmocka_unit_test_setup(no_number_twice_in_any_order, setup),
        cmocka_unit_test_setup(finds_the_way_back, setup),
        cmocka_unit_test_setup(remembers_the_last_segments_only, setup),
        cmocka_unit_test_setup(detach_opens_anew, setup),
        cmocka_unit_test_setup(random_walk, setup),
        cmocka_unit_test_setup(left_out_pictures_of_vp8_close_up, setup),
        cmocka_unit_test_setup(picture_ids_of_vp9_keep_their_holes, setup),
        cmocka_unit_test_setup(a_run_may_include_what_never_came, setup),
        cmocka_unit_test_setup(late_packets_of_the_former_source_find_their_place, setup),
        cmocka_unit_test_setup(frame_numbers_grow_across_a_switch, setup),
        cmocka_unit_test_setup(reports_keep_timestamps_in_step, setup),
        cmocka_unit_test_setup(many_runs, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
