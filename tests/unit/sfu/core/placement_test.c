/* Rooms go where there is least to do, stay there, and spread when they outgrow a worker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "sfu/core/placement.h"

static struct id room(unsigned n)
{
    struct id id = {{0}};
    snprintf(id.s, sizeof id.s, "01890a5d-ac96-774b-bcce-%012u", n);
    return id;
}

static struct placement *make(size_t workers, size_t room_workers, uint32_t participants,
                              uint32_t busy)
{
    struct placement *p;
    struct placement_limits limits = {.workers = workers,
                                      .max_rooms = 100,
                                      .room_workers = room_workers,
                                      .participants = participants,
                                      .busy_per_mille = busy};
    assert_int_equal(placement_new(&p, &limits), OK);
    return p;
}

static size_t join(struct placement *p, unsigned r, uint32_t number, int64_t mark)
{
    struct id id = room(r);
    size_t worker;
    assert_int_equal(placement_join(p, &id, number, mark, &worker), OK);
    return worker;
}

/* What was measured, often enough that smoothing has settled. */
static void measure(struct placement *p, size_t worker, uint32_t busy)
{
    for (int i = 0; i < 20; i++) {
        placement_load(p, worker, busy);
    }
}

static void test_rooms_share_the_workers(void **state)
{
    (void)state;
    struct placement *p = make(4, 1, 0, 0);
    size_t count[4] = {0};
    for (unsigned i = 0; i < 40; i++) {
        count[join(p, i, 1, i)]++;
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(count[i], 10);
        assert_int_equal(placement_count(p, i), 10);
    }
    assert_int_equal(placement_room_count(p), 40);
    placement_free(p);
}

static void test_a_room_keeps_its_home(void **state)
{
    (void)state;
    struct placement *p = make(2, 1, 0, 0);
    struct id id = room(7);
    size_t home = join(p, 7, 1, 1);
    measure(p, home, 990); /* it may be busy now: those of the room go there all the same */
    for (uint32_t n = 1; n < 50; n++) {
        assert_int_equal(join(p, 7, n, n), home);
        assert_int_equal(placement_find(p, &id, n), home);
    }
    assert_int_equal(placement_find(p, &id, 999), home);
    assert_int_equal(placement_workers(p, &id), 1u << home);
    assert_int_not_equal(join(p, 8, 1, 60), home);
    placement_free(p);
}

static void test_measured_load_counts_before_numbers(void **state)
{
    (void)state;
    struct placement *p = make(2, 1, 0, 0);
    measure(p, 0, 700);
    measure(p, 1, 100);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(join(p, i, 1, i), 1);
    }
    measure(p, 0, 100);
    measure(p, 1, 110); /* within a step, as measurements differ: numbers decide */
    assert_int_equal(join(p, 30, 1, 30), 0);
    placement_free(p);
}

/* A burst between two measurements doesn't all go to the one that was idle. */
static void test_a_burst_is_shared(void **state)
{
    (void)state;
    struct placement *p = make(2, 1, 0, 0);
    size_t count[2] = {0};
    measure(p, 0, 200);
    measure(p, 1, 0);
    for (unsigned i = 0; i < 100; i++) {
        count[join(p, i, 1, i)]++;
    }
    assert_true(count[1] > count[0]);
    assert_true(count[0] >= 20);
    placement_free(p);
}

static void test_ends(void **state)
{
    (void)state;
    struct placement *p = make(3, 1, 0, 0);
    struct id id = room(1);
    size_t home = join(p, 1, 1, 1);
    join(p, 1, 2, 2);
    placement_leave(p, &id, 1);
    placement_leave(p, &id, 1);
    assert_int_equal(placement_home(p, &id), home);
    placement_leave(p, &id, 2);
    assert_int_equal(placement_home(p, &id), PLACEMENT_NOWHERE);
    assert_int_equal(placement_find(p, &id, 1), PLACEMENT_NOWHERE);
    join(p, 1, 1, 3);
    join(p, 1, 2, 4);
    placement_close(p, &id);
    placement_close(p, &id);
    assert_int_equal(placement_room_count(p), 0);
    assert_int_equal(placement_workers(p, &id), 0);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(placement_count(p, i), 0);
    }
    placement_free(p);
}

static void test_too_many_rooms(void **state)
{
    (void)state;
    struct placement *p = make(2, 1, 0, 0);
    struct id id = room(200);
    size_t worker;
    for (unsigned i = 0; i < 100; i++) {
        join(p, i, 1, 1);
    }
    assert_int_equal(placement_join(p, &id, 1, 2, &worker), ERR_LIMIT);
    join(p, 5, 2, 3); /* one that there is takes more people */
    id = room(5);
    placement_close(p, &id);
    join(p, 200, 1, 4);
    placement_free(p);
}

/* What a worker no longer has is forgotten, but not what it was asked for meanwhile. */
static void test_what_ended_on_its_own(void **state)
{
    (void)state;
    struct placement *p = make(2, 1, 0, 0);
    struct id one = room(1), two = room(2);
    size_t a = join(p, 1, 1, 10);
    join(p, 1, 2, 11);
    size_t b = join(p, 2, 1, 12);
    assert_int_not_equal(a, b);
    join(p, 1, 3, 21); /* after the question */
    placement_seen_begin(p);
    placement_seen(p, a, &one, 1);
    placement_seen(p, a, &two, 1); /* not there: means nothing */
    placement_seen_end(p, a, 20);
    assert_int_equal(placement_count(p, a), 2);
    assert_int_equal(placement_count(p, b), 1);
    placement_seen_begin(p);
    placement_seen_end(p, a, 30);
    assert_int_equal(placement_home(p, &one), PLACEMENT_NOWHERE);
    assert_int_equal(placement_home(p, &two), b);
    placement_free(p);
}

static void test_a_room_that_outgrows_its_worker(void **state)
{
    (void)state;
    struct placement *p = make(3, 3, 4, 0);
    struct id id = room(1);
    size_t home = join(p, 1, 1, 1), count[3] = {1};
    assert_int_equal(home, 0);
    for (uint32_t n = 2; n <= 12; n++) {
        count[join(p, 1, n, n)]++;
    }
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(count[i], 4);
    }
    assert_int_equal(placement_workers(p, &id), 7);
    for (uint32_t n = 13; n <= 18; n++) { /* all are full: shared all the same */
        count[join(p, 1, n, n)]++;
    }
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(count[i], 6);
    }
    placement_free(p);
}

/* The branch that there is fills up before another one is begun: each costs a link. */
static void test_branches_are_few(void **state)
{
    (void)state;
    struct placement *p = make(4, 2, 2, 0);
    struct id id = room(1);
    for (uint32_t n = 1; n <= 8; n++) {
        join(p, 1, n, n);
    }
    assert_int_equal(__builtin_popcountll(placement_workers(p, &id)), 2);
    for (uint32_t n = 3; n <= 8; n++) { /* those of the branch leave, and it is none any more */
        if (placement_find(p, &id, n) != placement_home(p, &id)) {
            placement_leave(p, &id, n);
        }
    }
    assert_int_equal(__builtin_popcountll(placement_workers(p, &id)), 1);
    placement_free(p);
}

static void test_a_busy_worker_takes_no_more(void **state)
{
    (void)state;
    struct placement *p = make(2, 2, 0, 800);
    struct id id = room(1);
    size_t home = join(p, 1, 1, 1);
    measure(p, home, 790);
    assert_int_equal(join(p, 1, 2, 2), home);
    measure(p, home, 850);
    assert_int_not_equal(join(p, 1, 3, 3), home);
    assert_int_equal(join(p, 1, 2, 4), home); /* who is there stays there */
    assert_int_equal(placement_workers(p, &id), 3);
    placement_free(p);
}

static void test_bounds(void **state)
{
    (void)state;
    struct placement *p;
    struct placement_limits limits = {.workers = 0, .max_rooms = 1, .room_workers = 1};
    assert_int_equal(placement_new(&p, &limits), ERR_INVALID);
    limits.workers = PLACEMENT_MAX_WORKERS + 1;
    assert_int_equal(placement_new(&p, &limits), ERR_INVALID);
    p = make(PLACEMENT_MAX_WORKERS, 64, 1, 0);
    struct id id = room(1);
    for (uint32_t n = 1; n <= PLACEMENT_MAX_WORKERS; n++) {
        join(p, 1, n, n);
    }
    assert_true(placement_workers(p, &id) == UINT64_MAX >> (64 - PLACEMENT_MAX_WORKERS));
    placement_load(p, PLACEMENT_MAX_WORKERS, 1000);
    assert_int_equal(placement_count(p, PLACEMENT_MAX_WORKERS), 0);
    placement_free(p);
    placement_free(NULL);
}

/* A room that another node shares is there without anybody of it. */
static void test_held(void **state)
{
    (void)state;
    struct placement *p = make(2, 1, 0, 0);
    struct id id = room(1), other = room(2);
    size_t home, again;
    assert_int_equal(placement_hold(p, &id, &home), OK);
    assert_int_equal(placement_hold(p, &id, &again), OK);
    assert_int_equal(again, home);
    assert_int_equal(placement_home(p, &id), home);
    measure(p, home, 900);
    assert_int_equal(join(p, 1, 5, 1), home);
    placement_leave(p, &id, 5);
    placement_seen_begin(p);
    placement_seen_end(p, home, 100);
    assert_int_equal(placement_home(p, &id), home);
    placement_release(p, &id);
    assert_int_equal(placement_home(p, &id), PLACEMENT_NOWHERE);
    assert_int_equal(placement_hold(p, &id, &home), OK);
    placement_close(p, &id);
    assert_int_equal(placement_room_count(p), 0);
    join(p, 2, 1, 1);
    assert_int_equal(placement_hold(p, &other, &home), OK);
    placement_release(p, &other); /* those who are there keep it */
    assert_int_equal(placement_home(p, &other), home);
    placement_release(p, &id); /* none such */
    placement_hold(p, &id, &home);
    placement_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rooms_share_the_workers),
        cmocka_unit_test(test_a_room_keeps_its_home),
        cmocka_unit_test(test_measured_load_counts_before_numbers),
        cmocka_unit_test(test_a_burst_is_shared),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_too_many_rooms),
        cmocka_unit_test(test_what_ended_on_its_own),
        cmocka_unit_test(test_a_room_that_outgrows_its_worker),
        cmocka_unit_test(test_branches_are_few),
        cmocka_unit_test(test_a_busy_worker_takes_no_more),
        cmocka_unit_test(test_held),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
