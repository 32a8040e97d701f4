/* What is due comes when it is due: against a list that is searched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sfu/core/due_wheel.h"

#define THINGS 200

struct thing {
    struct due_entry due; /* first */
    int64_t at_us;        /* 0: not set */
    int taken;
};

static uint64_t seed = 7;

static uint64_t next_random(uint64_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (seed >> 33) % below;
}

static void set(struct due_wheel *w, struct thing *t, int64_t at_us)
{
    t->at_us = at_us;
    due_set(w, &t->due, at_us);
}

static void test_each_in_its_time(void **state)
{
    (void)state;
    static struct thing thing[THINGS];
    struct due_wheel w = {0};
    int64_t now = 5000000000, horizon = (int64_t)(DUE_SLOTS - 1) * DUE_TICK_US;
    assert_null(due_take(&w, now));
    for (int step = 0; step < 20000; step++) {
        struct thing *t = &thing[next_random(THINGS)];
        switch (next_random(3)) {
        case 0:
            set(&w, t, now + (int64_t)next_random((uint64_t)horizon - DUE_TICK_US));
            break;
        case 1:
            due_cancel(&w, &t->due);
            t->at_us = 0;
            break;
        default:
            now += (int64_t)next_random(400000);
            break;
        }
        struct due_entry *e;
        while ((e = due_take(&w, now))) {
            t = (struct thing *)e;
            assert_true(t->at_us != 0 && t->at_us <= now);
            t->at_us = 0;
        }
        for (int i = 0; i < THINGS; i++) { /* at most a tick late */
            assert_true(thing[i].at_us == 0 || thing[i].at_us > now - DUE_TICK_US);
            assert_int_equal(thing[i].due.waits, thing[i].at_us != 0);
        }
    }
}

static void test_the_past_comes_with_the_next_tick(void **state)
{
    (void)state;
    struct due_wheel w = {0};
    struct thing t = {0};
    int64_t now = 700000000;
    assert_null(due_take(&w, now));
    set(&w, &t, now - 5000000);
    assert_null(due_take(&w, now));
    assert_ptr_equal(due_take(&w, now + DUE_TICK_US), &t.due);
    assert_null(due_take(&w, now + DUE_TICK_US));
    for (int i = 0; i < 3; i++) { /* set anew while the others are taken: never twice a tick */
        now += DUE_TICK_US * 2;
        set(&w, &t, 0);
        assert_ptr_equal(due_take(&w, now), &t.due);
        set(&w, &t, now);
        assert_null(due_take(&w, now));
    }
}

/* Further ahead than the wheel reaches, and a wheel that nobody turned for an hour. */
static void test_far_ahead_and_long_away(void **state)
{
    (void)state;
    struct due_wheel w = {0};
    struct thing t[3] = {0};
    int64_t now = 9000000000;
    assert_null(due_take(&w, now));
    set(&w, &t[0], now + INT64_C(3600) * 1000000);
    assert_null(due_take(&w, now + (DUE_SLOTS - 3) * (int64_t)DUE_TICK_US));
    assert_ptr_equal(due_take(&w, now + DUE_SLOTS * (int64_t)DUE_TICK_US), &t[0].due);
    now += DUE_SLOTS * (int64_t)DUE_TICK_US;
    for (int i = 0; i < 3; i++) {
        set(&w, &t[i], now + (i + 1) * 10000000);
    }
    now += INT64_C(3600) * 1000000;
    int n = 0;
    while (due_take(&w, now)) {
        n++;
    }
    assert_int_equal(n, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_in_its_time),
        cmocka_unit_test(test_the_past_comes_with_the_next_tick),
        cmocka_unit_test(test_far_ahead_and_long_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
