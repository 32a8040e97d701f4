/* Made sources and slots for the tests of the allocator. */
#ifndef SOTTO_TEST_ALLOCATOR_WORLD_H
#define SOTTO_TEST_ALLOCATOR_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sfu/core/allocator.h"

#define TICK_US INT64_C(100000)

struct world {
    struct allocator a;
    struct allocator_input in;
    struct allocator_slot slot[ALLOCATOR_MAX_SLOTS];
    struct allocator_choice out[ALLOCATOR_MAX_SLOTS];
    struct allocator_result result;
    int64_t now_us;
    uint64_t random;
};

__attribute__((unused)) static uint32_t world_random(struct world *w, uint32_t below)
{
    uint64_t z = (w->random += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)(((z ^ (z >> 31)) >> 32) * below >> 32);
}

/* A camera in simulcast: 180p at 150, 360p at 500, 720p at 1500 kbit/s, three temporal layers. */
__attribute__((unused)) static struct allocator_slot world_camera(uint32_t source)
{
    return (struct allocator_slot){
        .source = source,
        .visible = true,
        .n_spatial = 3,
        .n_temporal = 3,
        .live = {7, 7, 7},
        .height = {180, 360, 720},
        .fps = {7, 15, 30},
        .bps = {{60000, 90000, 150000}, {200000, 300000, 500000}, {600000, 900000, 1500000}}};
}

/* A screen in one layer of 1080 lines at 1.5 Mbit/s, five frames a second at 400 kbit/s. */
__attribute__((unused)) static struct allocator_slot world_screen(uint32_t source)
{
    return (struct allocator_slot){.source = source,
                                   .visible = true,
                                   .screen = true,
                                   .n_spatial = 2,
                                   .n_temporal = 2,
                                   .live = {3, 3},
                                   .height = {540, 1080},
                                   .fps = {5, 15},
                                   .bps = {{150000, 300000}, {500000, 1500000}}};
}

__attribute__((unused)) static void world_init(struct world *w, size_t n, int64_t budget_bps)
{
    memset(w, 0, sizeof *w);
    w->now_us = 1000000;
    w->in = (struct allocator_input){.budget_bps = budget_bps, .n_slots = n, .slot = w->slot};
    for (size_t i = 0; i < n; i++) {
        w->slot[i] = world_camera((uint32_t)i + 1);
    }
}

/* One run, a tick after the last. True when a choice changed. */
__attribute__((unused)) static bool world_run(struct world *w)
{
    w->now_us += TICK_US;
    allocator_run(&w->a, &w->in, w->now_us, w->out, &w->result);
    return w->result.changed;
}

/* Runs for so long; returns how many runs changed a choice. */
__attribute__((unused)) static int world_pass(struct world *w, int64_t for_us)
{
    int changes = 0;
    for (int64_t end = w->now_us + for_us; w->now_us < end;) {
        changes += world_run(w);
    }
    return changes;
}

#endif
