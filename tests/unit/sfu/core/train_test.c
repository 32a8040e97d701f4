/* Which packets leave as one train. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sfu/core/train.h"

#define TAG ((size_t)16)

static uint32_t rng_state = 12345;

static uint32_t rng(void)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 17;
    rng_state ^= rng_state << 5;
    return rng_state;
}

static void expect(const uint16_t *len, size_t n, size_t packets, size_t segment, size_t bytes)
{
    struct train t;
    train_plan(&t, len, n, TAG);
    assert_int_equal(t.packets, packets);
    assert_int_equal(t.segment, segment);
    assert_int_equal(t.bytes, bytes);
}

static void a_frame_is_one_train(void **state)
{
    static const uint16_t frame[] = {1100, 1101, 1100, 1101, 1101, 700};
    (void)state;
    expect(frame, 6, 6, 1117, 5 * 1117 + 716);
    expect(frame, 1, 1, 0, 1116); /* alone: no segments */
}

static void sound_may_be_the_short_end(void **state)
{
    static const uint16_t then_sound[] = {1100, 1100, 90, 1100}, sound_first[] = {90, 1100, 1100};
    (void)state;
    expect(then_sound, 4, 3, 1116, 2 * 1116 + 106); /* nothing follows what is much shorter */
    expect(sound_first, 3, 1, 0, 106);
}

/* A longer last one makes all before it longer: only within the bounds. */
static void padding_has_its_bounds(void **state)
{
    static const uint16_t dear[] = {500, 500, 600}, cheap[] = {500, 500, 540}, far[] = {5000, 5256},
                          near[] = {5000, 5255};
    (void)state;
    expect(dear, 3, 2, 516, 1032); /* 200 bytes for 1600 are more than a tenth */
    expect(cheap, 3, 3, 556, 3 * 556);
    expect(far, 2, 1, 0, 5016); /* the count is one byte */
    expect(near, 2, 2, 5271, 2 * 5271);
}

static void the_kernels_bounds_hold(void **state)
{
    uint16_t small[100], large[100];
    (void)state;
    for (size_t i = 0; i < 100; i++) {
        small[i] = 100;
        large[i] = 1400;
    }
    expect(small, 100, 64, 116, (size_t)64 * 116);
    expect(large, 100, 45, 1416, (size_t)45 * 1416);
}

/* Whatever comes: all packets leave, each fits its place, padding stays within the bounds. */
static void any_lengths_make_right_trains(void **state)
{
    (void)state;
    for (int round = 0; round < 20000; round++) {
        uint16_t len[80] = {0};
        size_t n = 1 + rng() % 80, base = 40 + rng() % 1400, spread = 1 + rng() % 300, at = 0;
        for (size_t i = 0; i < n; i++) {
            len[i] = (uint16_t)(rng() % 8 == 0 ? 20 + rng() % 1500 : base + rng() % spread);
        }
        while (at < n) {
            struct train t;
            size_t padding = 0, payload = 0, bytes = 0;
            train_plan(&t, len + at, n - at, TAG);
            assert_in_range(t.packets, 1, n - at);
            assert_true(t.packets <= TRAIN_PACKETS);
            for (size_t i = 0; i < t.packets; i++) {
                size_t to = i + 1 < t.packets ? t.segment - TAG : (size_t)len[at + i];
                assert_true(len[at + i] <= to && to - len[at + i] <= 255);
                padding += to - len[at + i];
                payload += len[at + i];
                bytes += to + TAG;
            }
            assert_true(t.packets == 1 || len[at + t.packets - 1] + TAG <= t.segment);
            assert_true(padding * 10 <= payload);
            assert_int_equal(bytes, t.bytes);
            assert_true(bytes <= 65000);
            at += t.packets;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_is_one_train),
        cmocka_unit_test(sound_may_be_the_short_end),
        cmocka_unit_test(padding_has_its_bounds),
        cmocka_unit_test(the_kernels_bounds_hold),
        cmocka_unit_test(any_lengths_make_right_trains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
