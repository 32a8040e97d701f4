/* The layer selector and the rewriter together, on made streams, with an oracle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "layers_oracle.h"

static struct sim sim;

#define TICKS 2500

static struct layers_target random_target(struct sim *s)
{
    return (struct layers_target){.paused = s->pauses && made_random(&s->m, 12) == 0,
                                  .stream = (uint8_t)made_random(&s->m, 3),
                                  .sid = (uint8_t)made_random(&s->m, 3),
                                  .tid = (uint8_t)made_random(&s->m, 3)};
}

static void walk(enum made_mode mode, uint32_t seed, bool lossy, bool silences, bool pauses)
{
    sim_init(&sim, mode, seed, lossy);
    sim.silences = silences && sim.m.n_streams > 1;
    sim.pauses = pauses;
    for (int i = 0; i < 40; i++) { /* reports are there before anything is shown */
        sim_tick(&sim);
    }
    int until = 0;
    for (int i = 0; i < TICKS; i++) {
        if (i >= until) {
            sim_target(&sim, random_target(&sim));
            until = i + (int)made_random(&sim.m, 3) + 5 + (int)made_random(&sim.m, 90);
        }
        sim_tick(&sim);
    }
    oracle_check(&sim);
    assert_true(sim.n_out > TICKS / 4);
    assert_true(sim.n_asked < TICKS / 4);
    if (getenv("LAYERS_SHOW")) {
        print_message(
            "mode %d %s: out %d switches %d refused %d lost %d asked %d late drops %d gap "
            "%d ms unreached %d ms\n",
            mode, lossy ? "lossy" : "clean", sim.n_out, sim.n_switches, sim.n_refused, sim.n_lost,
            sim.n_asked, sim.n_late_drops, (int)(sim.longest_gap_us / 1000),
            (int)(sim.longest_unreached_us / 1000));
    }
    /* The wanted layer is there within a keyframe: request, throttle, encoder; a mark for the
     * temporal layer comes all eight pictures. With losses, and layers of a picture that overtake
     * each other, some keyframes are missed and asked for again. */
    assert_in_range(sim.longest_unreached_us, 0, lossy ? 4000000 : 800000);
    if (!pauses) { /* base layers alone are 133 ms apart */
        assert_in_range(sim.longest_gap_us, 0, silences ? 1300000 : lossy ? 700000 : 210000);
    }
}

static void walks(enum made_mode mode)
{
    for (uint32_t seed = 1; seed <= 6; seed++) {
        walk(mode, seed, false, false, false);
        walk(mode, seed + 100, false, true, true);
        walk(mode, seed + 200, true, false, false);
        walk(mode, seed + 300, true, true, true);
    }
}

static void vp8_simulcast(void **state)
{
    (void)state;
    walks(MADE_VP8);
}

static void h264_simulcast(void **state)
{
    (void)state;
    walks(MADE_H264);
}

static void vp9_groups(void **state)
{
    (void)state;
    walks(MADE_VP9);
}

static void vp9_flexible(void **state)
{
    (void)state;
    walks(MADE_VP9_FLEX);
}

static void av1_simulcast(void **state)
{
    (void)state;
    walks(MADE_AV1_L1T3);
}

static void av1_l3t3(void **state)
{
    (void)state;
    walks(MADE_AV1_L3T3);
}

static void av1_l3t3_key(void **state)
{
    (void)state;
    walks(MADE_AV1_KSVC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vp8_simulcast), cmocka_unit_test(h264_simulcast),
        cmocka_unit_test(vp9_groups),    cmocka_unit_test(vp9_flexible),
        cmocka_unit_test(av1_simulcast), cmocka_unit_test(av1_l3t3),
        cmocka_unit_test(av1_l3t3_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
