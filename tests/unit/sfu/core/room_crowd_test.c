/* Rooms as large as they may be: who may come in, and that telling everybody is one round. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/unit/sfu/core/room_fixture.h"

#define CROWD 4096 /* ROOM_MAX_PARTICIPANTS */

static uint8_t told[CROWD + 1];

static size_t tell_all(struct router *r)
{
    struct router_event e;
    size_t n = 0;
    memset(told, 0, sizeof told);
    router_tell_all(r);
    while (router_poll(r, START_US, &e)) {
        if (e.type == ROUTER_SLOTS) {
            told[e.subscriber->number]++;
            n++;
        }
    }
    return n;
}

static void a_room_is_full(void **state)
{
    struct subscriber *s;
    struct publisher *p;
    struct sdp_publish sdp = fixture_sdp(CROWD + 1);
    struct router *r = fixture_router(64);
    (void)state;
    assert_int_equal(ROOM_MAX_PARTICIPANTS, CROWD);
    fixture_publisher(r, 1);
    for (uint32_t i = 2; i <= CROWD; i++) {
        fixture_subscriber(r, i, 1, 1);
    }
    assert_int_equal(router_subscribe(r, &fixture_room, CROWD + 1, 1, 1, 1, START_US, &s),
                     ERR_LIMIT);
    assert_int_equal(router_publish(r, &fixture_room, CROWD + 1, &sdp, 1, START_US, &p), ERR_LIMIT);
    s = router_find(r, &fixture_room, 2)->subscriber;
    router_unsubscribe(r, s, START_US);
    fixture_subscriber(r, CROWD + 1, 1, 1);
    assert_int_equal(fixture_route(r, router_find(r, &fixture_room, 1)->publisher,
                                   fixture_video(r, 1, 1, true, START_US), NULL),
                     CROWD - 1);
    router_free(r);
}

static void everybody_is_told_once(void **state)
{
    struct router_event e;
    struct router *r = fixture_router(64);
    (void)state;
    for (uint32_t i = 1; i <= 50; i++) {
        fixture_subscriber(r, i, 1, 1);
    }
    assert_int_equal(tell_all(r), 50);
    for (uint32_t i = 1; i <= 50; i++) {
        assert_int_equal(told[i], 1);
    }
    router_tell_all(r);
    for (uint32_t i = 1; i <= 20; i++) { /* some leave meanwhile: the one just told, and the next */
        assert_true(router_poll(r, START_US, &e));
        uint32_t number = e.subscriber ? e.subscriber->number : 0;
        struct participant *next = number ? router_find(r, &fixture_room, number % 50 + 1) : NULL;
        if (next && next->subscriber) {
            router_unsubscribe(r, next->subscriber, START_US);
        }
        if (i % 2 && number) {
            router_unsubscribe(r, router_find(r, &fixture_room, number)->subscriber, START_US);
        }
    }
    size_t left = room_size(router_room(r, &fixture_room));
    assert_in_range(left, 1, 40);
    assert_int_equal(tell_all(r), left);
    router_free(r);
}

static struct id room_id(unsigned i)
{
    struct id id = fixture_room;
    snprintf(id.s + strlen(id.s) - 4, 5, "%04x", i & 0xffff);
    return id;
}

static struct router *with_rooms(unsigned rooms, unsigned people)
{
    struct router_limits limits = {.max_rooms = rooms, .pool_packets = 64, .cache_us = 1000000};
    struct router *r = router_new(&limits);
    assert_non_null(r);
    for (uint32_t i = 0; i < rooms * people; i++) {
        struct id id = room_id(i / people);
        struct subscriber *s;
        assert_int_equal(router_subscribe(r, &id, i + 1, 1, 1, i, START_US, &s), OK);
        router_subscriber_ready(r, s, START_US);
    }
    return r;
}

static void rooms_end_while_others_are_told(void **state)
{
    struct router_event e;
    struct router *r = with_rooms(30, 3);
    (void)state;
    assert_int_equal(tell_all(r), 90);
    router_tell_all(r);
    for (unsigned ended = 0; router_room_count(r) > 5; ended++) {
        assert_true(router_poll(r, START_US, &e));
        assert_true(ended < 200);
        struct room *room = e.room;
        for (struct participant *p = room->participants, *next; ended % 2 && p; p = next) {
            next = p->hh.next;
            router_unsubscribe(r, p->subscriber, START_US);
        }
    }
    assert_int_equal(tell_all(r), 15);
    router_free(r);
}

/* CPU nanoseconds that one round takes, at best. */
static int64_t round_ns(unsigned rooms, unsigned people)
{
    struct router *r = with_rooms(rooms, people);
    int64_t best = INT64_MAX;
    for (int i = 0; i < 5; i++) {
        struct timespec a, b;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
        assert_int_equal(tell_all(r), rooms * people);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
        int64_t ns = (b.tv_sec - a.tv_sec) * 1000000000 + (b.tv_nsec - a.tv_nsec);
        best = ns < best ? ns : best;
    }
    router_free(r);
    return best;
}

/* Eight times as many take about eight times as long, and not 64 times. */
static void a_round_is_linear(void **state)
{
    (void)state;
    assert_true(round_ns(1, CROWD) < 32 * round_ns(1, CROWD / 8));
    assert_true(round_ns(CROWD / 4, 4) < 32 * round_ns(CROWD / 32, 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_room_is_full),
        cmocka_unit_test(everybody_is_told_once),
        cmocka_unit_test(rooms_end_while_others_are_told),
        cmocka_unit_test(a_round_is_linear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
