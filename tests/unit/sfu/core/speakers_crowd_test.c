/* Speakers in a large room: the loudest three of two hundred, voices that come and go, mutes, and
 * what it costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "sfu/core/speakers.h"

#define CROWD     200
#define SEATS     3
#define PACKET_US 20000

static struct speakers *s;
static int64_t now;
static uint64_t seed;
static uint8_t level[CROWD + 1]; /* of each, now; by participant, from 1 */
static bool sending[CROWD + 1];
static uint32_t seat[SEATS]; /* of a listener who isn't in the room's ranking */

static uint32_t next_random(uint32_t below)
{
    uint64_t z = (seed += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)(((z ^ (z >> 31)) >> 32) * below >> 32);
}

static int setup(void **state)
{
    (void)state;
    s = speakers_new(2048);
    now = 1000000;
    seed = 7;
    memset(seat, 0, sizeof seat);
    for (uint32_t i = 1; i <= CROWD; i++) {
        level[i] = SPEAKERS_SILENT;
        sending[i] = true;
        if (!s || speakers_add(s, i) != OK) {
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

struct changes {
    int seats, dominant, told, reranked;
};

static uint32_t dominant(void)
{
    struct speaker a[1];
    return speakers_active(s, a, 1) ? a[0].participant : 0;
}

static void evaluate(struct changes *c)
{
    uint32_t ranked[SEATS], before = dominant();
    if (now < speakers_deadline(s)) {
        return;
    }
    c->told += speakers_tick(s, now);
    c->reranked += speakers_reranked(s);
    size_t n = speakers_rank(s, 0, ranked, SEATS);
    c->seats += (int)speakers_assign(seat, SEATS, ranked, n);
    c->dominant += dominant() != before;
}

/* One packet of each who sends, then what falls due. */
static void packets(struct changes *c)
{
    for (uint32_t i = 1; i <= CROWD; i++) {
        if (sending[i]) {
            speakers_input(s, i, level[i], level[i] < 60, now);
        }
    }
    evaluate(c);
    now += PACKET_US;
}

static struct changes pass(int64_t for_us)
{
    struct changes c = {0};
    for (int64_t end = now + for_us; now < end;) {
        packets(&c);
    }
    return c;
}

static bool seated(uint32_t participant)
{
    return seat[0] == participant || seat[1] == participant || seat[2] == participant;
}

static void the_loudest_three_of_many(void **state)
{
    (void)state;
    for (uint32_t i = 1; i <= CROWD; i++) {
        level[i] = (uint8_t)(50 - i % 7);
    }
    level[17] = 20;
    level[90] = 25;
    level[199] = 30;
    pass(3000000);
    assert_true(seated(17) && seated(90) && seated(199));
    assert_int_equal(dominant(), 17);
    assert_int_equal(pass(60000000).seats, 0);
}

/* Each only a little louder than the one before him in the ranking: the loudest are found all the
 * same, whatever order they began in. */
static void small_steps_hide_nobody(void **state)
{
    (void)state;
    for (uint32_t i = 1; i <= 12; i++) { /* the quietest speak first, three seconds each ahead */
        level[i] = (uint8_t)(56 - 3 * i);
        pass(3000000);
    }
    assert_true(seated(12) && seated(11));
    assert_true(seated(10) || seated(9)); /* within the hysteresis of each other */
    assert_false(seated(1) || seated(2) || seated(3));
}

/* In random rooms nobody in a seat is clearly quieter than somebody without one. */
static void nobody_clearly_louder_is_left_out(void **state)
{
    (void)state;
    for (int world = 0; world < 60; world++) {
        for (uint32_t i = 1; i <= CROWD; i++) {
            level[i] = (uint8_t)(next_random(3) ? 15 + next_random(40) : SPEAKERS_SILENT);
        }
        pass(8000000);
        for (int k = 0; k < SEATS; k++) {
            for (uint32_t i = 1; i <= CROWD; i++) {
                assert_true(seated(i) || level[i] + 14 > level[seat[k]]);
            }
        }
    }
}

/* Speech: seconds of talk and of silence, words of some hundred milliseconds that differ by ±8 dB,
 * and short pauses between them. */
struct voice {
    int64_t until_us, word_until_us;
    bool talks;
    uint8_t usual;
};
static struct voice voice[CROWD + 1];

static void speak(uint32_t i, uint32_t talk_percent)
{
    struct voice *v = &voice[i];
    if (now >= v->until_us) {
        v->talks = next_random(100) < talk_percent;
        v->until_us = now + 1000000 + next_random(4000000);
        v->usual = v->usual ? v->usual : (uint8_t)(25 + next_random(15));
    }
    if (now >= v->word_until_us) {
        bool pause = next_random(4) == 0;
        v->word_until_us = now + 100000 + next_random(300000);
        level[i] = pause ? 75 : (uint8_t)(v->usual - 8 + next_random(17));
    }
    if (!v->talks) {
        level[i] = SPEAKERS_SILENT;
    }
}

static struct changes talk(uint32_t n, uint32_t talk_percent, int64_t for_us)
{
    struct changes c = {0};
    for (int64_t end = now + for_us; now < end;) {
        for (uint32_t i = 1; i <= n; i++) {
            speak(i, talk_percent);
        }
        packets(&c);
    }
    return c;
}

/* Everyone at once: seats change, but as slowly as listeners can follow. */
static void flapping_levels_of_a_crowd(void **state)
{
    (void)state;
    memset(voice, 0, sizeof voice);
    talk(CROWD, 60, 5000000);
    struct changes c = talk(CROWD, 60, 60000000);
    print_message("200 talkers, a minute: %d seats, %d dominant, %d told, %d reranked\n", c.seats,
                  c.dominant, c.told, c.reranked);
    assert_in_range(c.seats, 0, 100);
    assert_in_range(c.dominant, 0, 35);
}

/* A conversation of three in a crowd that listens: they keep their seats through every pause. */
static void three_who_talk_keep_their_seats(void **state)
{
    (void)state;
    memset(voice, 0, sizeof voice);
    talk(SEATS, 60, 20000000);
    struct changes c = talk(SEATS, 60, 300000000);
    print_message("3 of 200, five minutes: %d seats, %d dominant\n", c.seats, c.dominant);
    assert_int_equal(c.seats, 0);
}

/* Four for three seats. */
static void four_for_three_seats(void **state)
{
    (void)state;
    memset(voice, 0, sizeof voice);
    talk(4, 60, 20000000);
    struct changes c = talk(4, 60, 300000000);
    print_message("4 of 200, five minutes: %d seats, %d dominant\n", c.seats, c.dominant);
    assert_in_range(c.seats, 0, 100);
}

static void silence_changes_nothing(void **state)
{
    (void)state;
    struct changes c = pass(2000000);
    assert_int_equal(c.told + c.reranked + c.dominant, 0);
    level[5] = level[6] = 30;
    pass(2000000);
    level[5] = level[6] = SPEAKERS_SILENT;
    pass(SPEAKERS_HOLD_US + 1000000);
    c = pass(60000000); /* nobody speaks, and those who did last stay where they are */
    assert_int_equal(c.told + c.reranked + c.dominant + c.seats, 0);
    assert_true(seated(5) && seated(6));
    assert_int_equal(dominant(), 0);
}

/* Mutes come as silence, as comfort noise, or as nothing at all. */
static void mute_gives_dominance_away(void **state)
{
    for (int how = 0; how < 3; how++) {
        (void)state;
        level[1] = 20;
        sending[1] = true;
        pass(4000000);
        assert_int_equal(dominant(), 1);
        level[2] = 40;
        pass(4000000);
        assert_int_equal(dominant(), 1);
        sending[1] = how == 0;
        level[1] = SPEAKERS_SILENT;
        struct changes c = {0};
        int64_t end = now + 1700000;
        while (now < end) {
            if (how == 1 && now % 400000 == 0) { /* DTX */
                speakers_input(s, 1, SPEAKERS_SILENT, false, now);
            }
            packets(&c);
        }
        assert_int_equal(dominant(), 2); /* the other, though quieter, and soon */
        level[2] = SPEAKERS_SILENT;
        pass(4000000);
        assert_int_equal(dominant(), 0);
    }
}

/* One who is muted and spoke last doesn't keep a seat from one who speaks now. */
static void speakers_go_before_the_muted(void **state)
{
    (void)state;
    level[1] = level[2] = level[3] = 20;
    pass(3000000);
    assert_true(seated(1) && seated(2) && seated(3));
    level[2] = SPEAKERS_SILENT;
    pass(3000000);
    level[150] = 50;
    pass(1000000);
    assert_true(seated(1) && seated(3) && seated(150));
}

static void joins_and_leaves_keep_it_whole(void **state)
{
    uint32_t ranked[CROWD * 3];
    static bool in[CROWD * 3 + 1];
    struct changes c = {0};
    (void)state;
    for (uint32_t i = 1; i <= CROWD * 3; i++) {
        in[i] = i <= CROWD;
    }
    for (int k = 0; k < 20000; k++) {
        uint32_t who = 1 + next_random(CROWD * 3);
        if (in[who]) {
            speakers_remove(s, who);
        } else {
            assert_int_equal(speakers_add(s, who), OK);
        }
        in[who] = !in[who];
        speakers_input(s, 1 + next_random(CROWD * 3), (uint8_t)next_random(128), true, now);
        now += 5000;
        evaluate(&c);
        size_t n = speakers_rank(s, 0, ranked, CROWD * 3), expected = 0;
        if (k % 100 == 0) {
            for (uint32_t i = 1; i <= CROWD * 3; i++) {
                expected += in[i];
            }
            assert_int_equal(n, expected);
            for (size_t i = 0; i < n; i++) {
                assert_true(in[ranked[i]]);
            }
        }
    }
}

/* Numbers of any kind, as many as there is room for: whoever was added is found, and nobody else.
 */
static void any_numbers_are_found(void **state)
{
    enum { ROOM = 64, IDS = 90 };
    uint32_t id[IDS], ranked[ROOM];
    bool in[IDS] = {false};
    size_t n = 0;
    (void)state;
    struct speakers *small = speakers_new(ROOM);
    assert_non_null(small);
    for (uint32_t i = 0; i < IDS; i++) {
        id[i] = 1 + next_random(UINT32_MAX - 1);
    }
    for (int k = 0; k < 20000; k++) {
        size_t i = next_random(IDS);
        if (in[i]) {
            speakers_remove(small, id[i]);
            n--;
            in[i] = false;
        } else {
            in[i] = speakers_add(small, id[i]) == OK;
            assert_int_equal(in[i], n < ROOM);
            n += in[i];
        }
        assert_int_equal(speakers_rank(small, 0, ranked, ROOM), n);
        i = next_random(IDS); /* adding again is fine for who is in, and tells who isn't found */
        if (in[i]) {
            assert_int_equal(speakers_add(small, id[i]), OK);
            assert_int_equal(speakers_rank(small, 0, ranked, ROOM), n);
        }
    }
    speakers_free(small);
}

static double elapsed_ns(const struct timespec *from)
{
    struct timespec to;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
    return (double)(to.tv_sec - from->tv_sec) * 1e9 + (double)(to.tv_nsec - from->tv_nsec);
}

/* Told, not a bound. */
static void cost_of_two_hundred(void **state)
{
    enum { ROUNDS = 5000 };
    struct timespec from;
    uint32_t ranked[SEATS];
    double input = 0, tick = 0, ticks = 0;
    (void)state;
    for (int k = 0; k < ROUNDS; k++, now += PACKET_US) {
        for (uint32_t i = 1; i <= CROWD; i++) {
            level[i] = (uint8_t)next_random(90);
        }
        (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
        for (uint32_t i = 1; i <= CROWD; i++) {
            speakers_input(s, i, level[i], true, now);
        }
        input += elapsed_ns(&from);
        if (now >= speakers_deadline(s)) {
            (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
            (void)speakers_tick(s, now);
            tick += elapsed_ns(&from);
            ticks++;
        }
    }
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
    for (int k = 0; k < ROUNDS; k++) {
        size_t n = speakers_rank(s, 1, ranked, SEATS);
        (void)speakers_assign(seat, SEATS, ranked, n);
    }
    print_message("200 talkers: %.0f ns a packet, %.1f us a tick, %.0f ns a listener\n",
                  input / ROUNDS / CROWD, tick / ticks / 1000, elapsed_ns(&from) / ROUNDS);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_loudest_three_of_many),
        CASE(small_steps_hide_nobody),
        CASE(nobody_clearly_louder_is_left_out),
        CASE(flapping_levels_of_a_crowd),
        CASE(three_who_talk_keep_their_seats),
        CASE(four_for_three_seats),
        CASE(silence_changes_nothing),
        CASE(mute_gives_dominance_away),
        CASE(speakers_go_before_the_muted),
        CASE(joins_and_leaves_keep_it_whole),
        CASE(any_numbers_are_found),
        CASE(cost_of_two_hundred),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
