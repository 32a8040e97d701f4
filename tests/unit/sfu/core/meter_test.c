/* Measured layers: rates, frames, what counts as silent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sfu/core/meter.h"

#define TICK_US 33333

/* 30 pictures a second, T0 T2 T1 T2, 500 bytes a layer frame of each of n_sids layers. */
static int64_t play(struct meter *m, int pictures, uint8_t n_sids, uint8_t top_tid, int64_t now_us)
{
    static const uint8_t tids[] = {0, 2, 1, 2};
    for (int i = 0; i < pictures; i++, now_us += TICK_US) {
        uint8_t tid = tids[i % 4];
        for (uint8_t sid = 0; sid < n_sids && tid <= top_tid; sid++) {
            meter_packet(m, sid, tid, 500, sid == 0, now_us);
        }
        if (i % 3 == 0) {
            meter_tick(m, now_us);
        }
    }
    return now_us;
}

static void test_rates_and_frames(void **state)
{
    (void)state;
    struct meter m = {0};
    play(&m, 120, 3, 2, 1000000);
    assert_int_equal(m.n_spatial, 3);
    assert_int_equal(m.n_temporal, 3);
    assert_in_range(meter_bps(&m, 0, 2), 120000 * 9 / 10, 120000 * 11 / 10);
    assert_in_range(meter_bps(&m, 2, 2), 360000 * 9 / 10, 360000 * 11 / 10);
    assert_in_range(meter_bps(&m, 0, 0), 30000 * 8 / 10, 30000 * 12 / 10);
    assert_in_range(m.fps[0], 6, 9);
    assert_in_range(m.fps[1], 13, 17);
    assert_in_range(m.fps[2], 27, 33);
    for (uint8_t sid = 0; sid < 3; sid++) {
        assert_true(meter_live(&m, sid, 0) && meter_live(&m, sid, 2));
    }
    assert_false(meter_live(&m, 0, 3));
}

static void test_a_layer_goes_and_comes(void **state)
{
    (void)state;
    struct meter m = {0};
    int64_t now_us = play(&m, 60, 3, 2, 1000000);
    now_us = play(&m, 90, 2, 1, now_us);
    assert_false(meter_live(&m, 2, 0));
    assert_false(meter_live(&m, 0, 2));
    assert_true(meter_live(&m, 1, 1));
    assert_in_range(meter_bps(&m, 2, 2), 120000 * 9 / 10, 120000 * 11 / 10);
    play(&m, 30, 3, 2, now_us);
    assert_true(meter_live(&m, 2, 0) && meter_live(&m, 0, 2));
}

/* A still screen sends nothing for seconds: its layers are there all the same, as fast as before.
 */
static void test_stillness_is_not_silence(void **state)
{
    (void)state;
    struct meter m = {0};
    int64_t now_us = play(&m, 60, 2, 2, 1000000);
    uint8_t fps = m.fps[2];
    for (int i = 0; i < 100; i++, now_us += 100000) {
        meter_tick(&m, now_us);
    }
    assert_true(meter_live(&m, 1, 2));
    assert_int_equal(m.fps[2], fps);
}

static void test_layers_beyond_the_bounds(void **state)
{
    (void)state;
    struct meter m = {0};
    for (int i = 0; i < 100; i++) {
        meter_packet(&m, 7, 7, 1000, true, 1000000 + i * 10000);
        meter_tick(&m, 1000000 + i * 10000);
    }
    assert_int_equal(m.n_spatial, METER_SPATIAL);
    assert_int_equal(m.n_temporal, METER_TEMPORAL);
    assert_true(meter_live(&m, METER_SPATIAL - 1, METER_TEMPORAL - 1));
    assert_in_range(meter_bps(&m, 255, 255), 700000, 900000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rates_and_frames),
        cmocka_unit_test(test_a_layer_goes_and_comes),
        cmocka_unit_test(test_stillness_is_not_silence),
        cmocka_unit_test(test_layers_beyond_the_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
