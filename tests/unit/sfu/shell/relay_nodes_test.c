/* Two nodes in one process, each with workers, sockets and a relay port: what is published on one
 * is heard on the other, for as long as signald says so. Run by ThreadSanitizer too. */
#include "tests/unit/sfu/shell/set_fixture.h"

#include "sfu/shell/relay_nodes.h"

#define SECRET "a secret that all nodes know"

static void node_open(struct set_end *c, size_t workers, const char *secret)
{
    struct worker_set_options options = {.workers = workers,
                                         .max_rooms = 2,
                                         .room_workers = workers,
                                         .participants = 1,
                                         .nodes = {.address = "127.0.0.1",
                                                   .secret = secret,
                                                   .secret_len = secret ? strlen(secret) : 0}};
    set_open_with(c, &options);
}

/* A relay or unrelay frame of signald's (its text is freed). */
static int tell(struct set_end *c, char *text, int *port)
{
    struct control_frame f;
    assert_non_null(text);
    assert_int_equal(control_parse(&f, text, strlen(text), NULL, 0), OK);
    free(text);
    int err = worker_set_relay(c->set, &f, port);
    control_free(&f);
    return err;
}

static int share(struct set_end *c, const char *room, const char *node, int to, bool branch)
{
    int port = 0;
    char *text = control_make_relay(1, room, node, "127.0.0.1", (uint32_t)to, branch);
    assert_int_equal(tell(c, text, &port), OK);
    assert_true(port > 0);
    return port;
}

static void unshare(struct set_end *c, const char *node)
{
    int port;
    assert_int_equal(tell(c, control_make_unrelay(2, ROOM, node), &port), OK);
}

/* As signald does it: a place at the home, then either side is told of the other. */
static void join_nodes(struct set_end *home, struct set_end *branch)
{
    int at_home = share(home, ROOM, "branch", 0, false);
    int at_branch = share(branch, ROOM, "home", at_home, true);
    assert_int_equal(share(home, ROOM, "branch", at_branch, false), at_home);
}

static void await_rooms(int64_t n)
{
    int64_t end_us = clock_mono_us() + WAIT_US;
    while (sfu_metric_value(SFU_ROOMS) != n && clock_mono_us() < end_us) {
        poll(NULL, 0, 1);
    }
    assert_int_equal(sfu_metric_value(SFU_ROOMS), n);
}

static void test_heard_on_another_node(void **state)
{
    (void)state;
    struct set_end a, b;
    struct peer ann, ben;
    node_open(&a, 1, SECRET);
    node_open(&b, 1, SECRET);
    publish(&a, &ann, ROOM, 1);
    join_nodes(&a, &b);
    subscribe(&b, &ben, ROOM, 2);
    pass_sound(&ann, &ben, 1);
    assert_true(sfu_metric_value(SFU_RELAY_LINKS) == 2);
    join_nodes(&a, &b); /* told again: nothing changes */
    pass_sound(&ann, &ben, 1);
    peer_shut(&ann);
    peer_shut(&ben);
    set_shut(&a);
    set_shut(&b); /* in the midst of it */
}

/* Ann's worker is a branch on node a, cleo's a branch on node b: three links between them. */
static void test_from_branch_to_branch(void **state)
{
    (void)state;
    struct set_end a, b;
    struct peer ann, ben, cleo, dora;
    node_open(&a, 2, SECRET);
    node_open(&b, 2, SECRET);
    size_t home = publish(&a, &ben, ROOM, 2);
    assert_int_not_equal(publish(&a, &ann, ROOM, 1), home);
    join_nodes(&a, &b);
    home = subscribe(&b, &dora, ROOM, 4);
    assert_int_not_equal(subscribe(&b, &cleo, ROOM, 3), home);
    expect_reply(&a, control_make_leave(a.next_id++, ROOM, 2), true);
    pass_sound(&ann, &cleo, 1);
    pass_sound(&ann, &dora, 1);
    peer_shut(&ann);
    peer_shut(&ben);
    peer_shut(&cleo);
    peer_shut(&dora);
    set_shut(&a);
    set_shut(&b);
}

static void test_it_ends(void **state)
{
    (void)state;
    struct set_end a, b;
    struct peer ann;
    int64_t rooms = sfu_metric_value(SFU_ROOMS); /* what former tests left */
    node_open(&a, 1, SECRET);
    node_open(&b, 1, SECRET);
    publish(&a, &ann, ROOM, 1);
    join_nodes(&a, &b);
    await_rooms(rooms + 2);
    unshare(&b, "nobody");
    unshare(&b, "home");
    unshare(&b, "home");
    await_rooms(rooms + 1);
    assert_int_equal(placement_room_count(worker_set_placement(b.set)), 0);
    join_nodes(&a, &b);
    await_rooms(rooms + 2);
    unshare(&a, "branch"); /* the other side hears nothing more of it, and forgets */
    await_rooms(rooms + 1);
    assert_int_equal(placement_room_count(worker_set_placement(b.set)), 1);
    expect_reply(&b, control_make_close(b.next_id++, ROOM), true);
    assert_int_equal(placement_room_count(worker_set_placement(b.set)), 0);
    peer_shut(&ann);
    set_shut(&a);
    set_shut(&b);
}

/* signald came back: what it doesn't speak of within a minute ends. */
static void test_signald_has_forgotten(void **state)
{
    (void)state;
    struct set_end a;
    const struct placement *placement;
    int64_t now_us = clock_mono_us();
    node_open(&a, 1, SECRET);
    placement = worker_set_placement(a.set);
    share(&a, ROOM, "b", 9, false);
    share(&a, OTHER_ROOM, "b", 9, false);
    worker_set_greeted(a.set, now_us);
    share(&a, OTHER_ROOM, "b", 9, false);
    worker_set_measure(a.set, now_us + RELAY_NODES_DOUBT_US - 1);
    assert_int_equal(placement_room_count(placement), 2);
    worker_set_measure(a.set, now_us + RELAY_NODES_DOUBT_US);
    assert_int_equal(placement_room_count(placement), 1);
    worker_set_measure(a.set, now_us + 2 * RELAY_NODES_DOUBT_US);
    assert_int_equal(placement_room_count(placement), 1);
    set_shut(&a);
}

static void test_refused(void **state)
{
    (void)state;
    struct set_end a;
    int port;
    char name[70], third[] = "01890a5d-ac96-774b-bcce-b302099a8059";
    node_open(&a, 1, NULL);
    assert_int_equal(tell(&a, control_make_relay(1, ROOM, "b", NULL, 0, false), &port),
                     ERR_UNSUPPORTED);
    worker_set_greeted(a.set, 1);
    set_shut(&a);
    node_open(&a, 1, SECRET);
    assert_int_equal(tell(&a, control_make_relay(1, ROOM, "b", "localhost", 9, false), &port),
                     ERR_INVALID);
    memset(name, 'n', sizeof name);
    name[65] = 0;
    assert_int_equal(tell(&a, control_make_relay(1, ROOM, name, NULL, 0, false), &port),
                     ERR_INVALID);
    assert_int_equal(placement_room_count(worker_set_placement(a.set)), 0);
    for (int i = 0; i < RELAY_UDP_PEERS; i++) {
        snprintf(name, sizeof name, "n%d", i);
        share(&a, ROOM, name, 1000 + i, false);
    }
    assert_int_equal(tell(&a, control_make_relay(1, ROOM, "b", "127.0.0.1", 9, false), &port),
                     ERR_LIMIT);
    share(&a, OTHER_ROOM, "n0", 1000, false); /* over the link that there is */
    assert_int_equal(tell(&a, control_make_relay(1, third, "b", NULL, 0, false), &port), ERR_LIMIT);
    unshare(&a, "n3");
    share(&a, ROOM, "b", 9, false);
    share(&a, ROOM, "b", 9, true); /* its home is over there now */
    set_shut(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heard_on_another_node),
        cmocka_unit_test(test_from_branch_to_branch),
        cmocka_unit_test(test_it_ends),
        cmocka_unit_test(test_signald_has_forgotten),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
