/* Two workers with real sockets: rooms go to both, each to its own port, and what is asked of a
 * room reaches the worker that has it. Run by ThreadSanitizer too. */
#include "tests/unit/sfu/shell/set_fixture.h"

static void test_two_rooms_two_workers(void **state)
{
    (void)state;
    struct set_end c;
    struct peer ann, ben, cleo, dora;
    set_open(&c, 2, 4);
    size_t first = publish(&c, &ann, ROOM, 1);
    size_t second = publish(&c, &cleo, OTHER_ROOM, 3);
    assert_int_not_equal(first, second);
    assert_int_not_equal(ann.server.sin_port, cleo.server.sin_port);
    assert_int_equal(subscribe(&c, &ben, ROOM, 2), first);
    assert_int_equal(subscribe(&c, &dora, OTHER_ROOM, 4), second);
    pass_sound(&ann, &ben, 1);
    pass_sound(&cleo, &dora, 3);
    peer_shut(&ann);
    peer_shut(&ben);
    peer_shut(&cleo);
    peer_shut(&dora);
    set_shut(&c);
}

static void test_rooms_that_nobody_has(void **state)
{
    (void)state;
    struct set_end c;
    set_open(&c, 3, 4);
    expect_reply(&c, control_make_leave(c.next_id++, ROOM, 1), true);
    expect_reply(&c, control_make_close(c.next_id++, ROOM), true);
    expect_reply(&c, control_make_view(c.next_id++, ROOM, 1, NULL, 0), false);
    set_shut(&c);
}

static void test_leave_and_close_make_place(void **state)
{
    (void)state;
    struct set_end c;
    struct control_slot none = {0};
    set_open(&c, 2, 1);
    expect_reply(&c, control_make_subscribe(c.next_id++, ROOM, 1, 1, 1), true);
    char *text = control_make_subscribe(c.next_id++, OTHER_ROOM, 1, 1, 1);
    assert_int_equal(set_send(&c, text), ERR_LIMIT);
    expect_reply(&c, control_make_leave(c.next_id++, ROOM, 1), true);
    expect_reply(&c, control_make_subscribe(c.next_id++, OTHER_ROOM, 1, 1, 1), true);
    expect_reply(&c, control_make_view(c.next_id++, OTHER_ROOM, 1, &none, 0), true);
    expect_reply(&c, control_make_close(c.next_id++, OTHER_ROOM), true);
    expect_reply(&c, control_make_view(c.next_id++, OTHER_ROOM, 1, &none, 0), false);
    assert_int_equal(placement_room_count(worker_set_placement(c.set)), 0);
    set_shut(&c);
}

/* A transport that never connects goes on its own; what it held of its worker is free again once
 * that one was asked. */
static void test_what_ends_on_its_own_is_forgotten(void **state)
{
    (void)state;
    struct set_end c;
    struct control_frame f;
    set_open(&c, 2, 4);
    expect_reply(&c, control_make_subscribe(c.next_id++, ROOM, 1, 1, 1), true);
    worker_set_measure(c.set, clock_mono_us());
    set_await(&c, CONTROL_DISCONNECTED, &f);
    control_free(&f);
    assert_int_equal(placement_room_count(worker_set_placement(c.set)), 1);
    worker_set_measure(c.set, clock_mono_us());
    expect_reply(&c, control_make_leave(c.next_id++, OTHER_ROOM, 1), true);
    int64_t end_us = clock_mono_us() + WAIT_US;
    while (placement_room_count(worker_set_placement(c.set)) && clock_mono_us() < end_us) {
        expect_reply(&c, control_make_leave(c.next_id++, OTHER_ROOM, 1), true);
        worker_set_measure(c.set, clock_mono_us());
    }
    assert_int_equal(placement_room_count(worker_set_placement(c.set)), 0);
    set_shut(&c);
}

static void test_a_worker_that_works_is_measured(void **state)
{
    (void)state;
    struct set_end c;
    set_open(&c, 2, 4);
    int64_t before_us = worker_cpu_us(worker_set_at(c.set, 0));
    for (int i = 0; i < 200; i++) { /* to worker 0, which has no such room */
        expect_reply(&c, control_make_leave(c.next_id++, ROOM, 1), true);
    }
    assert_true(worker_cpu_us(worker_set_at(c.set, 0)) > before_us);
    set_shut(&c);
}

/* Each worker takes one participant of a room: the others are elsewhere, and hear him all the same.
 */
static void test_a_room_on_three_workers(void **state)
{
    (void)state;
    struct set_end c;
    struct peer ann, ben, cleo;
    struct worker_set_options options = {
        .workers = 3, .max_rooms = 4, .room_workers = 3, .participants = 1};
    int64_t relayed = sfu_metric_value(SFU_RELAYED_PACKETS);
    set_open_with(&c, &options);
    size_t home = publish(&c, &ann, ROOM, 1);
    size_t second = subscribe(&c, &ben, ROOM, 2);
    assert_int_not_equal(second, home);
    pass_sound(&ann, &ben, 1);
    int64_t end_us = clock_mono_us() + WAIT_US; /* a worker tells its counts behind its turn */
    while (sfu_metric_value(SFU_RELAYED_PACKETS) < relayed + 10 && clock_mono_us() < end_us) {
        poll(NULL, 0, 1);
    }
    assert_true(sfu_metric_value(SFU_RELAYED_PACKETS) >= relayed + 10);
    size_t third = publish(&c, &cleo, ROOM, 3);
    assert_int_not_equal(third, home);
    assert_int_not_equal(third, second);
    expect_reply(&c, control_make_leave(c.next_id++, ROOM, 1), true);
    pass_sound(&cleo, &ben, 3); /* from branch to branch, by a home that has nobody left */
    peer_shut(&ann);
    peer_shut(&ben);
    peer_shut(&cleo);
    set_shut(&c); /* in the midst of it */
}

/* With the branch's last one the link of the room ends, and with it what it brought. */
static void test_a_branch_ends(void **state)
{
    (void)state;
    struct set_end c;
    struct peer ann, ben;
    struct worker_set_options options = {
        .workers = 2, .max_rooms = 4, .room_workers = 2, .participants = 1};
    int64_t rooms = sfu_metric_value(SFU_ROOMS); /* what former tests left */
    set_open_with(&c, &options);
    publish(&c, &ann, ROOM, 1);
    subscribe(&c, &ben, ROOM, 2);
    pass_sound(&ann, &ben, 1);
    expect_reply(&c, control_make_leave(c.next_id++, ROOM, 2), true);
    worker_set_measure(c.set, clock_mono_us());
    int64_t end_us = clock_mono_us() + WAIT_US;
    while (sfu_metric_value(SFU_ROOMS) != rooms + 1 && clock_mono_us() < end_us) {
        poll(NULL, 0, 1); /* the branch has no room any more, the home has */
    }
    assert_int_equal(sfu_metric_value(SFU_ROOMS), rooms + 1);
    expect_reply(&c, control_make_close(c.next_id++, ROOM), true);
    worker_set_measure(c.set, clock_mono_us());
    peer_shut(&ann);
    peer_shut(&ben);
    set_shut(&c);
}

static void test_bounds(void **state)
{
    (void)state;
    struct worker_set *s;
    struct worker_options o = {.port = 65530, .on_report = no_report};
    struct worker_set_options options = {.workers = 10, .max_rooms = 1, .room_workers = 1};
    assert_int_equal(worker_set_start(&s, &o, &options), ERR_INVALID);
    options.workers = PLACEMENT_MAX_WORKERS + 1;
    o.port = 0;
    assert_int_equal(worker_set_start(&s, &o, &options), ERR_INVALID);
    worker_set_stop(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_rooms_two_workers),
        cmocka_unit_test(test_rooms_that_nobody_has),
        cmocka_unit_test(test_leave_and_close_make_place),
        cmocka_unit_test(test_what_ends_on_its_own_is_forgotten),
        cmocka_unit_test(test_a_worker_that_works_is_measured),
        cmocka_unit_test(test_a_room_on_three_workers),
        cmocka_unit_test(test_a_branch_ends),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
