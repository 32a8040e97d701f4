#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "sfu/core/speakers.h"

#define PACKET_US 20000

static struct speakers *s;
static int64_t now;

static int setup(void **state)
{
    (void)state;
    s = speakers_new(8);
    now = 1000000;
    for (uint32_t i = 1; i <= 5; i++) {
        if (speakers_add(s, i) != OK) {
            return 1;
        }
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    speakers_free(s);
    return 0;
}

/* Everyone sends for so long; level[i] is participant i+1's, 127 is silence. How often the list
 * changed. */
static int talk(const uint8_t level[5], int64_t for_us)
{
    int changes = 0;

    for (int64_t end = now + for_us; now < end; now += PACKET_US) {
        for (uint32_t i = 0; i < 5; i++) {
            speakers_input(s, i + 1, level[i], level[i] < 60, now);
        }
        if (now >= speakers_deadline(s)) {
            changes += speakers_tick(s, now);
        }
    }
    return changes;
}

static uint32_t dominant(void)
{
    struct speaker a[8];
    return speakers_active(s, a, 8) ? a[0].participant : 0;
}

static void nobody_speaks_at_first(void **state)
{
    uint32_t rank[8];

    (void)state;
    assert_int_equal(talk((uint8_t[]){127, 127, 127, 127, 127}, 1000000), 0);
    assert_int_equal(dominant(), 0);
    assert_int_equal(speakers_rank(s, 2, rank, 8), 4); /* in order of joining, without oneself */
    assert_int_equal(rank[0], 1);
    assert_int_equal(rank[1], 3);
}

static void loudest_becomes_dominant(void **state)
{
    struct speaker a[8];
    uint32_t rank[8];

    (void)state;
    assert_int_equal(talk((uint8_t[]){127, 127, 20, 127, 127}, 1000000), 1);
    assert_int_equal(speakers_active(s, a, 8), 1);
    assert_int_equal(a[0].participant, 3);
    assert_in_range(a[0].level, 19, 25);
    assert_int_equal(speakers_rank(s, 0, rank, 2), 2);
    assert_int_equal(rank[0], 3);
}

static void click_is_no_speech(void **state)
{
    (void)state;
    speakers_input(s, 1, 5, true, now);
    speakers_input(s, 1, 5, true, now + PACKET_US);
    (void)speakers_tick(s, now + 2 * PACKET_US);
    assert_int_equal(dominant(), 0);
}

static void dominance_needs_time(void **state)
{
    (void)state;
    talk((uint8_t[]){30, 127, 127, 127, 127}, 1000000);
    assert_int_equal(dominant(), 1);
    talk((uint8_t[]){30, 20, 127, 127, 127}, 400000); /* louder, but only for a moment */
    assert_int_equal(dominant(), 1);
    talk((uint8_t[]){30, 127, 127, 127, 127}, 400000);
    assert_int_equal(dominant(), 1);
    talk((uint8_t[]){30, 20, 127, 127, 127}, 2000000);
    assert_int_equal(dominant(), 2);
}

static void equals_do_not_flutter(void **state)
{
    int changes = 0;

    (void)state;
    talk((uint8_t[]){30, 30, 127, 127, 127}, 1000000);
    for (int i = 0; i < 20; i++) { /* two voices within 2 dB, now one, now the other ahead */
        changes += talk((uint8_t[]){30, 32, 127, 127, 127}, 500000);
        changes += talk((uint8_t[]){32, 30, 127, 127, 127}, 500000);
    }
    changes += talk((uint8_t[]){32, 30, 127, 127, 127}, 5000000); /* nor a lasting 2 dB */
    assert_int_equal(changes, 0);
    assert_int_equal(dominant(), 1);
}

static void silence_ends_it_after_a_while(void **state)
{
    (void)state;
    talk((uint8_t[]){30, 127, 127, 127, 127}, 1000000);
    talk((uint8_t[]){127, 127, 127, 127, 127}, SPEAKERS_HOLD_US / 2);
    assert_int_equal(dominant(), 1);
    assert_int_equal(talk((uint8_t[]){127, 127, 127, 127, 127}, SPEAKERS_HOLD_US), 1);
    assert_int_equal(dominant(), 0);
    uint32_t rank[8];
    speakers_rank(s, 0, rank, 8);
    assert_int_equal(rank[0], 1); /* who spoke last keeps his place before the silent */
}

static void ends_when_packets_stop(void **state)
{
    (void)state;
    talk((uint8_t[]){30, 127, 127, 127, 127}, 1000000);
    for (int i = 0; i < 30; i++, now += SPEAKERS_TICK_US) {
        (void)speakers_tick(s, now);
    }
    assert_int_equal(dominant(), 0);
}

static void noise_without_voice_bit(void **state)
{
    (void)state;
    talk((uint8_t[]){30, 127, 127, 127, 127}, 500000); /* it uses the bit */
    now += SPEAKERS_HOLD_US * 2;
    for (int i = 0; i < 100; i++, now += PACKET_US) {
        speakers_input(s, 1, 30, false, now); /* a fan */
        speakers_input(s, 2, 40, false, now); /* a client that never sets the bit */
        (void)speakers_tick(s, now);
    }
    assert_int_equal(dominant(), 2);
}

static void packets_without_level(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++, now += PACKET_US) {
        speakers_input_unknown(s, 4, 80, now);
        speakers_input_unknown(s, 5, 3, now); /* DTX */
        (void)speakers_tick(s, now);
    }
    struct speaker a[8];
    assert_int_equal(speakers_active(s, a, 8), 1);
    assert_int_equal(a[0].participant, 4);
}

static void joining_and_leaving(void **state)
{
    (void)state;
    talk((uint8_t[]){127, 127, 127, 127, 20}, 1000000);
    assert_int_equal(dominant(), 5);
    speakers_remove(s, 2); /* the last entry moves into its place */
    assert_int_equal(dominant(), 5);
    speakers_remove(s, 5);
    now += SPEAKERS_TICK_US;
    assert_true(speakers_tick(s, now));
    assert_int_equal(dominant(), 0);
    speakers_remove(s, 99);
    uint32_t rank[8];
    assert_int_equal(speakers_rank(s, 0, rank, 8), 3);
    for (uint32_t i = 10; i < 15; i++) {
        assert_int_equal(speakers_add(s, i), OK);
    }
    assert_int_equal(speakers_add(s, 10), OK);
    assert_int_equal(speakers_add(s, 77), ERR_LIMIT);
    assert_int_equal(speakers_rank(s, 0, rank, 8), 8);
    speakers_input(s, 77, 0, true, now); /* a stranger is ignored */
}

static void assigning_changes_as_little_as_can_be(void **state)
{
    uint32_t slots[3] = {0};

    (void)state;
    assert_int_equal(speakers_assign(slots, 3, (uint32_t[]){5, 6}, 2), 2);
    assert_memory_equal(slots, ((uint32_t[]){5, 6, 0}), sizeof slots);
    assert_int_equal(speakers_assign(slots, 3, (uint32_t[]){6, 7, 5}, 3),
                     1); /* order is no matter */
    assert_memory_equal(slots, ((uint32_t[]){5, 6, 7}), sizeof slots);
    assert_int_equal(speakers_assign(slots, 3, (uint32_t[]){8, 7, 6, 5}, 4), 1);
    assert_memory_equal(slots, ((uint32_t[]){8, 6, 7}), sizeof slots);
    assert_int_equal(speakers_assign(slots, 3, (uint32_t[]){7}, 1), 0); /* unwanted ones may stay */
    slots[1] = 0;                                                       /* 6 has gone */
    assert_int_equal(speakers_assign(slots, 3, (uint32_t[]){7, 9}, 2), 1);
    assert_memory_equal(slots, ((uint32_t[]){8, 9, 7}), sizeof slots);
    assert_int_equal(speakers_assign(slots, 0, (uint32_t[]){7}, 1), 0);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(nobody_speaks_at_first),
        CASE(loudest_becomes_dominant),
        CASE(click_is_no_speech),
        CASE(dominance_needs_time),
        CASE(equals_do_not_flutter),
        CASE(silence_ends_it_after_a_while),
        CASE(ends_when_packets_stop),
        CASE(noise_without_voice_bit),
        CASE(packets_without_level),
        CASE(joining_and_leaving),
        cmocka_unit_test(assigning_changes_as_little_as_can_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
