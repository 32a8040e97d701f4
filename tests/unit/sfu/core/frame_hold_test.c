/* Packets wait for their frame only where frames come in bursts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sfu/core/frame_hold.h"

#define START_US INT64_C(5000000)
#define FRAME_US 33000

/* A frame of six packets, gap_us between them; until when the first and the fifth may wait. */
static void frame(struct frame_hold *h, int n, int64_t gap_us, int64_t *first, int64_t *fifth)
{
    int64_t at = START_US + (int64_t)n * FRAME_US;
    for (int i = 0; i < 6; i++, at += gap_us) {
        int64_t until = frame_hold_input(h, (uint32_t)n * 3000, i == 5, at);
        *first = i == 0 ? until - at : *first;
        *fifth = i == 4 ? until - at : *fifth;
        assert_true(until - at <= FRAME_HOLD_US);
        assert_true(i < 5 || until == at); /* the marker ends it */
    }
}

static void bursts_are_waited_for(void **state)
{
    struct frame_hold h = {0};
    int64_t first = 0, fifth = 0;
    (void)state;
    for (int n = 0; n < 100; n++) {
        frame(&h, n, 40, &first, &fifth);
        assert_int_equal(first, FRAME_HOLD_US);
        assert_int_equal(fifth, FRAME_HOLD_US - 160);
    }
}

/* A sender that spreads a frame over its time: after some frames nothing waits in vain. */
static void paced_frames_are_not(void **state)
{
    struct frame_hold h = {0};
    int64_t first = 0, fifth = 0;
    (void)state;
    for (int n = 0; n < 20; n++) {
        frame(&h, n, 5000, &first, &fifth);
    }
    assert_int_equal(first, 0);
    for (int n = 20; n < 40; n++) { /* and it learns back */
        frame(&h, n, 40, &first, &fifth);
    }
    assert_int_equal(first, FRAME_HOLD_US);
}

static void frames_of_one_packet_never_wait(void **state)
{
    struct frame_hold h = {0};
    (void)state;
    for (int n = 0; n < 10; n++) {
        int64_t at = START_US + (int64_t)n * FRAME_US;
        assert_int_equal(frame_hold_input(&h, (uint32_t)n, true, at), at);
    }
}

/* Without its marker a frame waits its time out, and no longer. */
static void a_lost_marker_costs_the_bound(void **state)
{
    struct frame_hold h = {0};
    (void)state;
    assert_int_equal(frame_hold_input(&h, 1, false, START_US), START_US + FRAME_HOLD_US);
    assert_int_equal(frame_hold_input(&h, 1, false, START_US + 999), START_US + FRAME_HOLD_US);
    assert_int_equal(frame_hold_input(&h, 1, false, START_US + 1500), START_US + 1500);
    assert_int_equal(frame_hold_input(&h, 2, false, START_US + 9000),
                     START_US + 9000 + FRAME_HOLD_US);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bursts_are_waited_for),
        cmocka_unit_test(paced_frames_are_not),
        cmocka_unit_test(frames_of_one_packet_never_wait),
        cmocka_unit_test(a_lost_marker_costs_the_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
