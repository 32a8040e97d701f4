#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sfu/core/sr.h"

#define WALL 1795262400000000 /* ours; theirs is an hour behind */
#define HOUR 3600000000

static struct rtcp_sender_info report(int64_t their_wall_us, uint32_t ts)
{
    return (struct rtcp_sender_info){.ntp = rtcp_ntp_from_wall(their_wall_us), .rtp_ts = ts};
}

static void carries_time_over(void **state)
{
    struct sr_clock c = {0};
    struct sr_source s = {0};
    struct rtcp_sender_info in = report(WALL - HOUR, 90000), out;

    (void)state;
    assert_false(sr_translate(&s, &c, 90000, 0, WALL, &out));
    sr_input(&s, &c, &in, WALL + 20000); /* 20 ms on the way */
    assert_true(sr_translate(&s, &c, 90000, 1000, WALL + 20000 + 1000000, &out));
    assert_int_equal(out.rtp_ts, 90000 + 1000 + 90000);
    assert_int_equal(out.ntp, rtcp_ntp_from_wall(WALL + 1020000));
}

/* Sound and picture of one publisher: moments that were one for him are one for the viewer. */
static void lips_stay_in_sync(void **state)
{
    struct sr_clock c = {0};
    struct sr_source audio = {0}, video = {0};
    struct rtcp_sender_info a = report(WALL - HOUR, 48000), v = report(WALL - HOUR + 500000, 45000);
    struct rtcp_sender_info ra, rv;

    (void)state;
    sr_input(&audio, &c, &a, WALL + 30000);
    sr_input(&video, &c, &v, WALL + 500000 + 10000); /* came through faster */
    assert_true(sr_translate(&audio, &c, 48000, 7, WALL + 2000000, &ra));
    assert_true(sr_translate(&video, &c, 90000, 9, WALL + 2000000, &rv));
    /* One moment: in audio seconds since its report, and in video's plus the half second between.
     */
    double at_audio = (double)(int32_t)(ra.rtp_ts - 7 - 48000) / 48000;
    double at_video = (double)(int32_t)(rv.rtp_ts - 9 - 45000) / 90000 + 0.5;
    assert_true(at_audio - at_video < 0.0001 && at_video - at_audio < 0.0001);
}

static void least_delay_counts_and_drifts_slowly(void **state)
{
    struct sr_clock c = {0};
    struct sr_source s = {0};
    struct rtcp_sender_info in = report(WALL, 0);

    (void)state;
    sr_input(&s, &c, &in, WALL + 50000);
    assert_int_equal(c.offset_us, 50000);
    sr_input(&s, &c, &in, WALL + 10000);
    assert_int_equal(c.offset_us, 10000);
    sr_input(&s, &c, &in, WALL + 60000); /* a queue on the way is no other clock */
    assert_in_range(c.offset_us, 10000, 11000);
    sr_input(&s, &c, &in, WALL + HOUR); /* their clock was set */
    assert_int_equal(c.offset_us, HOUR);
}

static void guess_without_a_report(void **state)
{
    struct rtcp_sender_info out;

    (void)state;
    sr_guess(0xffffffff, 500000, 48000, WALL, &out);
    assert_int_equal(out.rtp_ts, 23999);
    assert_int_equal(out.ntp, rtcp_ntp_from_wall(WALL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carries_time_over),
        cmocka_unit_test(lips_stay_in_sync),
        cmocka_unit_test(least_delay_counts_and_drifts_slowly),
        cmocka_unit_test(guess_without_a_report),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
