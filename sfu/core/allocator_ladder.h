/* The layers of one slot as rungs of a ladder: what each costs and is worth. Private to the
 * allocator. */
#ifndef SOTTO_SFU_CORE_ALLOCATOR_LADDER_H
#define SOTTO_SFU_CORE_ALLOCATOR_LADDER_H

#include "sfu/core/allocator.h"

#define LADDER_RUNGS (ALLOCATOR_SPATIAL * ALLOCATOR_TEMPORAL)
#define LADDER_NONE  (-1)

struct rung {
    uint32_t bps;  /* > 0 */
    int32_t value; /* > 0; 1/64 of a doubling of height */
    uint8_t sid, tid;
};

struct ladder {
    int n; /* rungs, cheapest first; of equal cost the worthiest first */
    struct rung rung[LADDER_RUNGS];
    double weight; /* of the slot's priority */
};

/* Live layers up to the smallest one of at least max_height, or all when none is that high.
 * A rung's value is its picture's height (twice for a screen) and how smoothly it moves. */
void ladder_build(struct ladder *l, const struct allocator_slot *s);
/* The rung of a layer, LADDER_NONE when it isn't there. */
int ladder_find(const struct ladder *l, uint8_t sid, uint8_t tid);
/* The cheapest rung of at most max_value; LADDER_NONE: none. */
int ladder_lowest(const struct ladder *l, int32_t max_value);
/* The worthiest rung that costs at most bps (the cheapest of equals); LADDER_NONE: none. */
int ladder_best(const struct ladder *l, int64_t bps, int32_t max_value);
/* The next step up from `at` with most value a bit, among rungs of at most max_value; LADDER_NONE
 * when there is none. Steps taken one after the other run along the upper hull, so that value a bit
 * falls from each to the next. */
int ladder_step(const struct ladder *l, int at, int32_t max_value);
/* Value a bit, weighed by priority, of going from one rung to another. */
double ladder_gain(const struct ladder *l, int from, int to);

#endif
