#include "allocator_world.h"

#include <time.h>

static struct world w;

static void check_layer(size_t i, int sid, int tid)
{
    assert_int_equal(w.out[i].state, ALLOCATOR_SENT);
    assert_int_equal(w.out[i].sid, sid);
    assert_int_equal(w.out[i].tid, tid);
    assert_int_equal(w.out[i].bps, w.slot[i].bps[sid][tid]);
}

static void check_state(size_t i, enum allocator_state state)
{
    assert_int_equal(w.out[i].state, state);
    assert_int_equal(w.out[i].bps, 0);
}

static void plenty_gives_all(void **state)
{
    (void)state;
    world_init(&w, 4, 10000000);
    assert_true(world_run(&w)); /* at once: nobody has seen anything worse */
    for (size_t i = 0; i < 4; i++) {
        check_layer(i, 2, 2);
    }
    assert_int_equal(w.result.used_bps, 6000000);
    assert_int_equal(w.result.next_bps, 0);
    assert_int_equal(w.result.wanted_bps, 0);
    assert_int_equal(w.result.again_us, INT64_MAX);
    assert_false(world_run(&w));
}

static void height_asked_for_bounds(void **state)
{
    (void)state;
    world_init(&w, 5, 100000000);
    static const uint32_t asked[] = {90, 180, 181, 360, 2160};
    static const int sid[] = {0, 0, 1, 1, 2};
    for (size_t i = 0; i < 5; i++) {
        w.slot[i].max_height = asked[i];
    }
    world_run(&w);
    for (size_t i = 0; i < 5; i++) {
        check_layer(i, sid[i], 2);
    }
    w.slot[4].max_height = 180; /* a wish is followed at once, down and up */
    assert_true(world_run(&w));
    check_layer(4, 0, 2);
    w.slot[4].max_height = 0;
    assert_true(world_run(&w));
    check_layer(4, 2, 2);
}

static void everyone_before_anyone_better(void **state)
{
    (void)state;
    world_init(&w, 8, 600000); /* 8 × 60 fit, and little more */
    w.slot[3].priority = 100;
    world_run(&w);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(w.out[i].state, ALLOCATOR_SENT);
    }
    world_pass(&w, 10000000);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(w.out[i].state, ALLOCATOR_SENT);
    }
}

static void pausing_goes_by_priority(void **state)
{
    (void)state;
    world_init(&w, 6, 200000); /* three lowest layers */
    for (size_t i = 0; i < 6; i++) {
        w.slot[i].priority = (int32_t)i * 10 - 30;
    }
    world_run(&w);
    for (size_t i = 0; i < 3; i++) {
        check_state(i, ALLOCATOR_BANDWIDTH);
        check_layer(5 - i, 0, 0);
    }
    w.in.budget_bps = 0;
    assert_true(world_run(&w));
    check_state(5, ALLOCATOR_BANDWIDTH);
    assert_int_equal(w.result.next_bps, 60000 * 125 / 100 + 1);
}

static void priority_is_upgraded_first(void **state)
{
    (void)state;
    world_init(&w, 5, 2500000); /* 2000 to plan with */
    w.slot[2].priority = 50;
    world_run(&w);
    check_layer(2, 2, 2);
    for (size_t i = 0; i < 5; i++) {
        assert_true(i == 2 || (w.out[i].state == ALLOCATOR_SENT && w.out[i].sid == 0));
    }
}

static void equals_are_treated_alike(void **state)
{
    (void)state;
    world_init(&w, 4, 2500000);
    world_run(&w);
    for (size_t i = 0; i < 4; i++) {
        check_layer(i, 1, 2);
    }
}

static void screen_is_clear_before_cameras(void **state)
{
    (void)state;
    world_init(&w, 4, 1000000); /* 800 to plan with: 180 for the cameras, 500 for a clear screen */
    w.slot[3] = world_screen(9);
    world_run(&w);
    check_layer(3, 1, 0); /* full height, though at 5 frames a second */
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(w.out[i].state, ALLOCATOR_SENT);
        assert_int_equal(w.out[i].sid, 0);
    }
    w.in.budget_bps = 150000; /* it is also the last to be paused of its priority */
    world_run(&w);
    check_layer(3, 0, 0);
    check_state(0, ALLOCATOR_BANDWIDTH);
    w.slot[0].priority = 10; /* priority goes before it */
    world_run(&w);
    check_layer(0, 0, 1);
    check_state(3, ALLOCATOR_BANDWIDTH);
}

static void down_at_once_up_after_a_while(void **state)
{
    (void)state;
    world_init(&w, 1, 2000000);
    world_run(&w);
    check_layer(0, 2, 2);
    w.in.budget_bps = 1400000;
    assert_true(world_run(&w));
    check_layer(0, 2, 1);
    w.in.budget_bps = 1800000; /* enough, but not by a quarter */
    assert_int_equal(world_pass(&w, 60000000), 0);
    w.in.budget_bps = 1900000;
    assert_int_equal(world_pass(&w, ALLOCATOR_LASTING_US), 0);
    assert_int_equal(w.result.again_us, w.now_us + TICK_US);
    assert_true(world_run(&w));
    check_layer(0, 2, 2);
}

static void headroom_must_last(void **state)
{
    (void)state;
    world_init(&w, 1, 1000000);
    world_run(&w);
    check_layer(0, 1, 2);
    for (int i = 0; i < 20; i++) { /* good for 1.9 s, then not for a moment */
        w.in.budget_bps = 3000000;
        assert_int_equal(world_pass(&w, 1900000), 0);
        w.in.budget_bps = 1000000;
        assert_false(world_run(&w));
    }
}

static void probe_makes_it_faster(void **state)
{
    (void)state;
    world_init(&w, 1, 1000000);
    world_run(&w);
    check_layer(0, 1, 2);
    assert_int_equal(w.result.next_bps, 900000 * 125 / 100 + 1);
    w.in.budget_bps = 1050000;
    w.in.probed = true;
    assert_int_equal(world_pass(&w, ALLOCATOR_PROBED_LASTING_US), 0);
    assert_true(world_run(&w));
    check_layer(0, 2, 1);
}

static void improvements_regretted_come_slower(void **state)
{
    int improved = 0;
    (void)state;
    world_init(&w, 1, 1000000);
    world_run(&w);
    for (int i = 0; i < 10 * 60 * 10; i++) { /* ten minutes: falls back whenever more is used */
        w.in.budget_bps = w.result.used_bps > 1000000 ? 700000 : 3000000;
        uint32_t before = w.out[0].bps;
        world_run(&w);
        improved += w.out[0].bps > before;
    }
    assert_in_range(improved, 5, 30);
}

static void layer_that_dies_is_left_at_once(void **state)
{
    (void)state;
    world_init(&w, 2, 10000000);
    world_run(&w);
    w.slot[0].live[2] = 0;
    w.slot[1].live[2] = 3; /* its top temporal layer only */
    assert_true(world_run(&w));
    check_layer(0, 1, 2);
    check_layer(1, 2, 1);
    w.slot[0].live[0] = w.slot[0].live[1] = 0;
    assert_true(world_run(&w));
    check_state(0, ALLOCATOR_NO_LAYER);
    w.slot[0].live[0] = 7;
    assert_true(world_run(&w)); /* back: something at once */
    assert_int_equal(w.out[0].sid, 0);
    w.slot[0].live[1] = w.slot[0].live[2] = 7;
    w.slot[1].live[2] = 7;
    world_pass(&w, 5000000);
    check_layer(0, 2, 2);
    check_layer(1, 2, 2);
}

static void only_a_larger_layer_lives(void **state)
{
    (void)state;
    world_init(&w, 1, 10000000);
    w.slot[0].max_height = 180;
    w.slot[0].live[0] = 0;
    world_run(&w);
    check_layer(0, 1, 2); /* the smallest there is of at least 180 */
}

static void nobody_and_unseen_want_nothing(void **state)
{
    (void)state;
    world_init(&w, 3, 10000000);
    w.slot[0].source = 0;
    w.slot[1].visible = false;
    world_run(&w);
    check_state(0, ALLOCATOR_OFF);
    check_state(1, ALLOCATOR_OFF);
    check_layer(2, 2, 2);
    assert_false(world_run(&w));
    w.slot[2].source = 77; /* another person in the slot is a change, though the layer is not */
    assert_true(world_run(&w));
    w.slot[1].visible = true;
    assert_true(world_run(&w));
    check_layer(1, 2, 2);
    w.in.n_slots = 1;
    assert_true(world_run(&w));
    w.in.n_slots = 3; /* slots that were away have no memory */
    assert_true(world_run(&w));
    check_layer(2, 2, 2);
    w.in.n_slots = 0;
    assert_true(world_run(&w));
    assert_int_equal(w.result.used_bps, 0);
}

static void newcomer_is_fitted_in(void **state)
{
    (void)state;
    world_init(&w, 2, 400000);
    w.slot[1].visible = false;
    world_run(&w);
    check_layer(0, 1, 1);
    w.in.budget_bps = 300000;
    world_run(&w);
    w.slot[1].visible = true; /* there's no room, so the first makes some */
    assert_true(world_run(&w));
    assert_int_equal(w.out[1].state, ALLOCATOR_SENT);
    assert_true(w.result.used_bps <= 300000);
    w.slot[1].priority = -100; /* even for the least important */
    world_run(&w);
    assert_int_equal(w.out[1].state, ALLOCATOR_SENT);
}

static void equals_keep_their_place(void **state)
{
    (void)state;
    world_init(&w, 4, 140000); /* two lowest layers */
    w.slot[0].visible = w.slot[1].visible = false;
    world_run(&w);
    check_layer(2, 0, 0);
    check_layer(3, 0, 0);
    w.slot[0].visible = true; /* as important, and first by number */
    world_run(&w);
    check_state(0, ALLOCATOR_BANDWIDTH);
    check_layer(2, 0, 0);
    check_layer(3, 0, 0);
    w.slot[0].priority = 1;
    world_run(&w);
    check_layer(0, 0, 0);
    check_state(3, ALLOCATOR_BANDWIDTH);
}

static void slots_that_were_away_are_new(void **state)
{
    (void)state;
    world_init(&w, 3, 150000);
    world_run(&w);
    check_state(2, ALLOCATOR_BANDWIDTH);
    w.in.n_slots = 2;
    w.in.budget_bps = 185000; /* too little headroom to end a pause, enough for a newcomer */
    world_run(&w);
    w.in.n_slots = 3;
    world_run(&w);
    check_layer(2, 0, 0);
}

static void unknown_rates_are_guessed(void **state)
{
    (void)state;
    world_init(&w, 1, 700000);
    memset(w.slot[0].bps, 0, sizeof w.slot[0].bps);
    memset(w.slot[0].height, 0, sizeof w.slot[0].height);
    memset(w.slot[0].fps, 0, sizeof w.slot[0].fps);
    w.slot[0].priority = 100000; /* out of bounds counts as the bound */
    w.slot[0].n_spatial = 200;
    world_run(&w);
    assert_int_equal(w.out[0].state, ALLOCATOR_SENT);
    assert_int_equal(w.out[0].sid, 1);
    w.slot[0].n_spatial = w.slot[0].n_temporal = 0; /* one layer, then */
    w.slot[0].live[0] = 1;
    world_run(&w);
    assert_int_equal(w.out[0].sid, 0);
}

static void overload_sheds_the_least_first(void **state)
{
    size_t before = 8;
    (void)state;
    world_init(&w, 8, 100000000);
    w.slot[0].screen = true;
    w.slot[5].priority = 7;
    for (uint8_t shed = 0; shed <= ALLOCATOR_SHED_ALL; shed++) {
        size_t sent = 0;
        w.in.shed = shed;
        world_run(&w);
        for (size_t i = 0; i < 8; i++) {
            sent += w.out[i].state == ALLOCATOR_SENT;
        }
        assert_true(sent <= before && before - sent <= 1);
        if (sent >= 2) {
            assert_int_equal(w.out[0].state, ALLOCATOR_SENT);
        }
        if (sent >= 1) {
            assert_int_equal(w.out[5].state, ALLOCATOR_SENT);
        }
        before = sent;
    }
    assert_int_equal(before, 0);
    check_state(5, ALLOCATOR_OVERLOAD);
    w.in.shed = 0;
    world_run(&w);
    check_layer(7, 2, 2);
}

/* A recorded shape: a mobile link's estimate, kbit/s each half second, through a tunnel. */
static void trace_of_a_tunnel(void **state)
{
    static const int32_t kbps[] = {2500, 2600, 2400, 2550, 2100, 1200, 600, 250,
                                   90,   40,   40,   60,   150,  300,  450, 600,
                                   800,  1100, 1500, 1900, 2300, 2500};
    int changes = 0;
    (void)state;
    world_init(&w, 2, 2500000);
    w.slot[0].priority = 20;
    for (size_t i = 0; i < sizeof kbps / sizeof kbps[0]; i++) {
        w.in.budget_bps = (int64_t)kbps[i] * 1000;
        for (int k = 0; k < 5; k++) {
            changes += world_run(&w);
            assert_true(w.result.used_bps <= w.in.budget_bps);
        }
        if (kbps[i] >= 60 && i < 9) {
            assert_int_equal(w.out[0].state, ALLOCATOR_SENT);
        }
    }
    changes += world_pass(&w, 30000000);
    check_layer(0, 2, 2);
    assert_in_range(changes, 5, 16);
}

/* Not a bound, but told: the figure is for the machine that runs it. */
static void time_of_a_run(void **state)
{
    enum { RUNS = 2000 };
    struct timespec from, to;
    (void)state;
    for (int full = 0; full < 3; full++) {
        size_t n = full < 2 ? ALLOCATOR_MAX_SLOTS : 9;
        world_init(&w, n, (int64_t)n * 400000);
        (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
        for (int i = 0; i < RUNS; i++) {
            if (full) { /* each time another wish: all is planned anew */
                w.slot[(size_t)i % n].priority = i % 200 - 100;
            }
            world_run(&w);
        }
        (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
        int64_t ns = (to.tv_sec - from.tv_sec) * 1000000000 + to.tv_nsec - from.tv_nsec;
        print_message("%zu slots x 9 layers, %s: %lld ns a run\n", n,
                      full ? "wishes change" : "steady", (long long)(ns / RUNS));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plenty_gives_all),
        cmocka_unit_test(height_asked_for_bounds),
        cmocka_unit_test(everyone_before_anyone_better),
        cmocka_unit_test(pausing_goes_by_priority),
        cmocka_unit_test(priority_is_upgraded_first),
        cmocka_unit_test(equals_are_treated_alike),
        cmocka_unit_test(screen_is_clear_before_cameras),
        cmocka_unit_test(down_at_once_up_after_a_while),
        cmocka_unit_test(headroom_must_last),
        cmocka_unit_test(probe_makes_it_faster),
        cmocka_unit_test(improvements_regretted_come_slower),
        cmocka_unit_test(layer_that_dies_is_left_at_once),
        cmocka_unit_test(only_a_larger_layer_lives),
        cmocka_unit_test(nobody_and_unseen_want_nothing),
        cmocka_unit_test(newcomer_is_fitted_in),
        cmocka_unit_test(equals_keep_their_place),
        cmocka_unit_test(slots_that_were_away_are_new),
        cmocka_unit_test(unknown_rates_are_guessed),
        cmocka_unit_test(overload_sheds_the_least_first),
        cmocka_unit_test(trace_of_a_tunnel),
        cmocka_unit_test(time_of_a_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
