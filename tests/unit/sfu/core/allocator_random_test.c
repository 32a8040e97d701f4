/* Properties of the allocator over random worlds. */
#include "allocator_world.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) /* twenty times as slow */
#define WORLDS 300
#else
#define WORLDS 3000
#endif

static struct world w;

static void random_layers(struct allocator_slot *s)
{
    uint32_t base = 20000 + world_random(&w, 200000);
    s->n_spatial = (uint8_t)(1 + world_random(&w, 3));
    s->n_temporal = (uint8_t)(1 + world_random(&w, 3));
    for (uint32_t sid = 0; sid < ALLOCATOR_SPATIAL; sid++) {
        s->live[sid] = world_random(&w, 8) ? 7 : (uint8_t)world_random(&w, 8);
        s->height[sid] = world_random(&w, 10) ? (uint16_t)(180u << sid) : 0;
        base += base + world_random(&w, 400000);
        for (uint32_t tid = 0; tid < ALLOCATOR_TEMPORAL; tid++) {
            s->bps[sid][tid] = world_random(&w, 20) ? base * (2 + tid) / 4 : 0;
        }
    }
    for (uint32_t tid = 0; tid < ALLOCATOR_TEMPORAL; tid++) {
        s->fps[tid] = world_random(&w, 2) ? (uint8_t)(7u << tid) : 0;
    }
}

static struct allocator_slot random_slot(void)
{
    static const uint32_t heights[] = {0, 90, 180, 240, 360, 720, 1080};
    struct allocator_slot s = {.source = 1 + world_random(&w, 1000),
                               .visible = world_random(&w, 10) > 0,
                               .screen = world_random(&w, 8) == 0,
                               .priority = (int32_t)world_random(&w, 5) * 10 - 20,
                               .max_height = heights[world_random(&w, 7)]};
    random_layers(&s);
    return s;
}

static void random_world(uint64_t seed)
{
    world_init(&w, 0, 0);
    w.random = seed;
    w.in.n_slots = 1 + world_random(&w, world_random(&w, 4) ? 8 : ALLOCATOR_MAX_SLOTS);
    for (size_t i = 0; i < w.in.n_slots; i++) {
        w.slot[i] = random_slot();
    }
    w.in.budget_bps = world_random(&w, 400000) * (int64_t)w.in.n_slots;
}

/* ---- what must hold after every run ---- */

static bool layer_lives(const struct allocator_slot *s, int sid)
{
    return (s->live[sid] & ((1u << s->n_temporal) - 1)) != 0;
}

static void check_slot(const struct allocator_slot *s, const struct allocator_choice *c)
{
    bool lives = false;
    for (int sid = 0; sid < s->n_spatial; sid++) {
        lives |= layer_lives(s, sid);
    }
    if (!s->visible) {
        assert_int_equal(c->state, ALLOCATOR_OFF);
        return;
    }
    if (!lives) {
        assert_int_equal(c->state, ALLOCATOR_NO_LAYER);
        return;
    }
    if (c->state != ALLOCATOR_SENT) {
        assert_int_equal(c->state, ALLOCATOR_BANDWIDTH);
        assert_int_equal(c->bps, 0);
        return;
    }
    assert_true(c->sid < s->n_spatial && c->tid < s->n_temporal);
    assert_true(s->live[c->sid] & (1u << c->tid));
    for (int sid = 0; sid < c->sid; sid++) { /* no smaller one would do */
        assert_false(s->max_height && layer_lives(s, sid) && s->height[sid] >= s->max_height);
    }
}

static void check_world(void)
{
    int64_t used = 0;
    for (size_t i = 0; i < w.in.n_slots; i++) {
        check_slot(&w.slot[i], &w.out[i]);
        used += w.out[i].bps;
    }
    assert_int_equal(used, w.result.used_bps);
    assert_true(used == 0 || used <= w.in.budget_bps);
    assert_true(w.result.wanted_bps == 0 || w.result.wanted_bps >= w.result.next_bps);
}

/* The cheapest layer that lives: what a slot needs to be shown at all. Only where all is known. */
static uint32_t cheapest(const struct allocator_slot *s)
{
    uint32_t least = UINT32_MAX;
    for (int sid = 0; sid < s->n_spatial; sid++) {
        for (int tid = 0; tid < s->n_temporal; tid++) {
            if ((s->live[sid] & (1u << tid)) && s->bps[sid][tid] < least) {
                least = s->bps[sid][tid];
            }
        }
    }
    return least;
}

static bool all_known(const struct allocator_slot *s)
{
    for (int sid = 0; sid < s->n_spatial; sid++) {
        for (int tid = 0; tid < s->n_temporal; tid++) {
            if (!s->bps[sid][tid]) {
                return false;
            }
        }
    }
    return true;
}

/* Who is paused doesn't fit, or makes room for somebody at least as important. */
static void check_pauses(void)
{
    for (size_t i = 0; i < w.in.n_slots; i++) {
        const struct allocator_slot *s = &w.slot[i];
        if (w.out[i].state != ALLOCATOR_BANDWIDTH || !all_known(s)) {
            continue;
        }
        int64_t needed = cheapest(s);
        for (size_t k = 0; k < w.in.n_slots; k++) {
            const struct allocator_slot *o = &w.slot[k];
            bool before = o->priority > s->priority ||
                          (o->priority == s->priority && (o->screen || !s->screen));
            if (w.out[k].state == ALLOCATOR_SENT && before) {
                uint32_t c = all_known(o) ? cheapest(o) : w.out[k].bps;
                needed += c < w.out[k].bps ? c : w.out[k].bps;
            }
        }
        assert_true(needed > w.in.budget_bps);
    }
}

static void properties_of_one_run(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= WORLDS; seed++) {
        random_world(seed);
        world_run(&w);
        check_world();
        check_pauses();
    }
}

static void random_event(void)
{
    size_t i = world_random(&w, (uint32_t)w.in.n_slots);
    switch (world_random(&w, 12)) {
    case 0:
        w.slot[i] = random_slot();
        break;
    case 1:
        random_layers(&w.slot[i]);
        break;
    case 2:
        w.in.n_slots = 1 + world_random(&w, ALLOCATOR_MAX_SLOTS);
        break;
    default:
        w.in.budget_bps = world_random(&w, 300000) * (int64_t)w.in.n_slots;
    }
}

/* Whatever happens, the budget and the wishes hold at every moment, and the same history leads to
 * the same choices. */
static void properties_of_histories(void **state)
{
    static struct allocator other;
    static struct allocator_choice out[ALLOCATOR_MAX_SLOTS];
    struct allocator_result result;
    (void)state;
    for (uint64_t seed = 1; seed <= WORLDS / 3; seed++) {
        random_world(seed);
        memset(&other, 0, sizeof other);
        for (size_t i = 0; i < ALLOCATOR_MAX_SLOTS; i++) {
            w.slot[i] = random_slot();
        }
        for (int k = 0; k < 60; k++) {
            random_event();
            world_run(&w);
            check_world();
            allocator_run(&other, &w.in, w.now_us, out, &result);
            assert_memory_equal(out, w.out, w.in.n_slots * sizeof out[0]);
            assert_int_equal(result.again_us, w.result.again_us);
            w.now_us += world_random(&w, 3000000);
        }
    }
}

/* With nothing happening it comes to rest, and then nothing more would fit with headroom. */
static void comes_to_rest(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= WORLDS / 3; seed++) {
        random_world(seed);
        world_pass(&w, 1000000);
        w.in.budget_bps = world_random(&w, 400000) * (int64_t)w.in.n_slots;
        world_pass(&w, 60000000);
        assert_int_equal(world_pass(&w, 20000000), 0);
        assert_int_equal(w.result.again_us, INT64_MAX);
        assert_true(w.result.next_bps == 0 || w.in.budget_bps < w.result.next_bps);
    }
}

/* What it says is worth probing for is: with that budget something gets better. */
static void next_bps_tells_the_truth(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= WORLDS / 3; seed++) {
        random_world(seed);
        world_pass(&w, 60000000);
        int64_t before = w.result.next_bps;
        if (before == 0) {
            continue;
        }
        w.in.budget_bps = before;
        assert_true(world_pass(&w, 40000000) > 0);
        int64_t all = w.result.wanted_bps;
        w.in.budget_bps = all ? all : w.in.budget_bps;
        world_pass(&w, 40000000);
        assert_int_equal(w.result.next_bps, 0);
    }
}

/* ±10 %, drawn anew each tick or each few seconds. */
static int64_t noisy(int64_t mean)
{
    return mean * (900 + world_random(&w, 201)) / 1000;
}

static void noise_switches_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= WORLDS / 10; seed++) {
        random_world(seed);
        int64_t mean = w.in.budget_bps;
        int period = seed % 3 == 0 ? 1 : seed % 3 == 1 ? 10 : 70;
        int changes = 0;
        w.in.budget_bps = mean * 9 / 10; /* both ends were seen */
        world_pass(&w, 5000000);
        w.in.budget_bps = mean * 11 / 10;
        world_pass(&w, 60000000);
        for (int i = 0; i < 6000; i++) {
            if (i % period == 0) {
                w.in.budget_bps = noisy(mean);
            }
            bool changed = world_run(&w);
            changes += i >= 3000 && changed;
        }
        assert_int_equal(changes, 0);
    }
}

static bool improved(const struct allocator_choice *before)
{
    for (size_t i = 0; i < w.in.n_slots; i++) {
        if (w.out[i].bps > before[i].bps) {
            return true;
        }
    }
    return false;
}

/* However the budget jumps, what was regretted isn't tried again and again. */
static void wild_budgets_do_not_flap(void **state)
{
    static struct allocator_choice before[ALLOCATOR_MAX_SLOTS];
    (void)state;
    for (uint64_t seed = 1; seed <= WORLDS / 10; seed++) {
        random_world(seed);
        int ups = 0, seconds = 600;
        int64_t top = w.in.budget_bps * 3;
        world_run(&w);
        for (int i = 0; i < seconds * 10; i++) {
            if (world_random(&w, 30) == 0) {
                w.in.budget_bps = world_random(&w, 1000) * top / 1000;
            }
            memcpy(before, w.out, sizeof before);
            world_run(&w);
            ups += improved(before);
        }
        assert_true(ups <= seconds / 10);
    }
}

/* More important never has less than the same source at a lower priority. */
static void priority_is_never_worse(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= WORLDS; seed++) {
        random_world(seed);
        for (size_t i = 1; i < w.in.n_slots; i++) {
            int32_t priority = w.slot[i].priority;
            uint32_t source = w.slot[i].source;
            w.slot[i] = w.slot[0];
            w.slot[i].priority = priority;
            w.slot[i].source = source;
        }
        world_run(&w);
        for (size_t i = 0; i < w.in.n_slots; i++) {
            for (size_t k = 0; k < w.in.n_slots; k++) {
                if (w.slot[i].priority > w.slot[k].priority) {
                    assert_true(w.out[i].bps >= w.out[k].bps);
                }
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(properties_of_one_run),   cmocka_unit_test(properties_of_histories),
        cmocka_unit_test(comes_to_rest),           cmocka_unit_test(next_bps_tells_the_truth),
        cmocka_unit_test(noise_switches_nothing),  cmocka_unit_test(wild_budgets_do_not_flap),
        cmocka_unit_test(priority_is_never_worse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
