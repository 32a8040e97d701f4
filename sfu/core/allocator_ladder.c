#include "sfu/core/allocator_ladder.h"

#define UNIT            64  /* value of a doubling of height */
#define LEAST_HEIGHT    45  /* smaller ones are worth as much as this */
#define SCREEN_WEIGHT   16  /* a screen's clarity weighs as if it had 40 more of priority */
#define USUAL_HEIGHT    180 /* of the smallest layer of which nothing is known */
#define PRIORITY_DOUBLE 10

/* 64 · log2(x / 16), linear between powers of two. */
static int32_t log_units(uint32_t x)
{
    int32_t octaves = 0;
    uint32_t x64 = x * UNIT;
    while (x64 >= 2 * 16 * UNIT) {
        x64 /= 2;
        octaves++;
    }
    return octaves * UNIT + (int32_t)(x64 / 16) - UNIT;
}

/* Known, or told by a neighbour that is known: each is usually twice the one below. */
static uint32_t height_of(const struct allocator_slot *s, int sid)
{
    if (s->height[sid]) {
        return s->height[sid];
    }
    for (int away = 1; away < ALLOCATOR_SPATIAL; away++) {
        if (sid - away >= 0 && s->height[sid - away]) {
            return (uint32_t)s->height[sid - away] << away;
        }
        if (sid + away < ALLOCATOR_SPATIAL && s->height[sid + away]) {
            return (uint32_t)s->height[sid + away] >> away;
        }
    }
    return (uint32_t)USUAL_HEIGHT << sid;
}

static uint32_t fps_of(const struct allocator_slot *s, int tid, int n_temporal)
{
    return s->fps[tid] ? s->fps[tid] : 30u >> (n_temporal - 1 - tid);
}

/* What motion is missing costs little at first and then ever more: in 1/64, of 30, 15, 7.5, 3.75 …
 * frames a second. A camera's picture that moves is worth more than a sharp one that jerks: half
 * the frames weigh nearly as much as half the height, and a quarter of them far more. */
static int32_t motion_units(uint32_t fps, bool screen)
{
    static const int32_t camera[] = {0, 60, 150, 250, 350}, shared[] = {0, 6, 16, 32, 56};
    const int32_t *missing = screen ? shared : camera;
    uint32_t x = fps < 2 ? 2 : fps;
    int i = 0;
    for (; x < 30 && i < 4; i++) { /* between two of them by a straight line */
        if (x * 2 > 30) {
            return -(missing[i + 1] - missing[i]) * (int32_t)(30 - x) / 15 - missing[i];
        }
        x *= 2;
    }
    return -missing[i];
}

static int32_t value_of(const struct allocator_slot *s, int sid, int tid, int n_temporal)
{
    uint32_t h = height_of(s, sid);
    int32_t units = log_units(h > LEAST_HEIGHT ? h : LEAST_HEIGHT) * (s->screen ? 2 : 1);
    /* 400: above all that motion takes away, so that a value is never below 1 */
    return 400 + units + motion_units(fps_of(s, tid, n_temporal), s->screen);
}

/* Usual rates of what hasn't been measured yet. */
static uint32_t cost_of(const struct allocator_slot *s, int sid, int tid, int n_temporal)
{
    static const uint32_t whole[ALLOCATOR_SPATIAL] = {150000, 500000, 1500000};
    static const uint32_t percent[ALLOCATOR_TEMPORAL] = {100, 65, 45};
    if (s->bps[sid][tid]) {
        return s->bps[sid][tid];
    }
    return whole[sid] / 100 * percent[n_temporal - 1 - tid];
}

/* 2 ^ (priority / 10), from 2^-10 to 2^10. */
static double weight_of(const struct allocator_slot *s)
{
    static const double tenth[PRIORITY_DOUBLE] = {
        1.0,           1.07177346254, 1.14869835500, 1.23114441334, 1.31950791077,
        1.41421356237, 1.51571656651, 1.62450479271, 1.74110112659, 1.86606598307};
    int p = s->priority < -100 ? 0 : s->priority > 100 ? 200 : s->priority + 100;
    double w = (double)(1u << (p / PRIORITY_DOUBLE)) * tenth[p % PRIORITY_DOUBLE] / 1024;
    return s->screen ? w * SCREEN_WEIGHT : w;
}

static int bounded(uint8_t n, int max)
{
    return n < 1 ? 1 : n > max ? max : n;
}

/* The smallest live spatial layer that is high enough, or the highest live one; -1: none lives. */
static int top_layer(const struct allocator_slot *s, int n_spatial, int n_temporal)
{
    int top = -1;
    for (int i = 0; i < n_spatial; i++) {
        if (!(s->live[i] & ((1u << n_temporal) - 1))) {
            continue;
        }
        top = i;
        if (s->max_height && height_of(s, i) >= s->max_height) {
            break;
        }
    }
    return top;
}

static void insert(struct ladder *l, struct rung r)
{
    int at = l->n++;
    for (; at > 0; at--) {
        const struct rung *below = &l->rung[at - 1];
        if (below->bps < r.bps || (below->bps == r.bps && below->value >= r.value)) {
            break;
        }
        l->rung[at] = *below;
    }
    l->rung[at] = r;
}

void ladder_build(struct ladder *l, const struct allocator_slot *s)
{
    int n_spatial = bounded(s->n_spatial, ALLOCATOR_SPATIAL);
    int n_temporal = bounded(s->n_temporal, ALLOCATOR_TEMPORAL);
    int top = top_layer(s, n_spatial, n_temporal);
    l->n = 0;
    l->weight = weight_of(s);
    for (int sid = 0; sid <= top; sid++) {
        for (int tid = 0; tid < n_temporal; tid++) {
            if (s->live[sid] & (1u << tid)) {
                insert(l, (struct rung){.bps = cost_of(s, sid, tid, n_temporal),
                                        .value = value_of(s, sid, tid, n_temporal),
                                        .sid = (uint8_t)sid,
                                        .tid = (uint8_t)tid});
            }
        }
    }
}

int ladder_find(const struct ladder *l, uint8_t sid, uint8_t tid)
{
    for (int i = 0; i < l->n; i++) {
        if (l->rung[i].sid == sid && l->rung[i].tid == tid) {
            return i;
        }
    }
    return LADDER_NONE;
}

int ladder_lowest(const struct ladder *l, int32_t max_value)
{
    for (int i = 0; i < l->n; i++) {
        if (l->rung[i].value <= max_value) {
            return i;
        }
    }
    return LADDER_NONE;
}

int ladder_best(const struct ladder *l, int64_t bps, int32_t max_value)
{
    int best = LADDER_NONE;
    for (int i = 0; i < l->n && l->rung[i].bps <= bps; i++) {
        int32_t value = l->rung[i].value;
        if (value <= max_value && (best < 0 || value > l->rung[best].value)) {
            best = i;
        }
    }
    return best;
}

double ladder_gain(const struct ladder *l, int from, int to)
{
    const struct rung *a = &l->rung[from], *b = &l->rung[to];
    double cost = b->bps > a->bps ? (double)(b->bps - a->bps) : 1;
    return l->weight * (b->value - a->value) / cost;
}

int ladder_step(const struct ladder *l, int at, int32_t max_value)
{
    int best = LADDER_NONE;
    double most = 0;
    for (int i = at + 1; i < l->n; i++) {
        if (l->rung[i].value <= l->rung[at].value || l->rung[i].value > max_value) {
            continue;
        }
        double gain = ladder_gain(l, at, i);
        if (best < 0 || gain >= most) {
            best = i;
            most = gain;
        }
    }
    return best;
}
