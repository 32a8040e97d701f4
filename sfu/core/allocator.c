#include "sfu/core/allocator.h"

#include <string.h>

#include "sfu/core/allocator_ladder.h"

#define ANY_VALUE  INT32_MAX
#define NO_VALUE   (-1)
#define MAX_BUDGET INT64_C(1000000000000)

/* Which rung each slot gets, by slot. */
struct plan {
    int at[ALLOCATOR_MAX_SLOTS];
    int64_t used_bps;
};

/* What one run works on. Slots that want nothing, have nothing or are shed aren't in the order. */
struct work {
    const struct allocator_input *in;
    struct allocator *a;
    size_t n, n_order;
    uint8_t order[ALLOCATOR_MAX_SLOTS]; /* slots, the most important first */
    uint8_t rank[ALLOCATOR_MAX_SLOTS];  /* the other way round */
    enum allocator_state state[ALLOCATOR_MAX_SLOTS];
    struct ladder ladder[ALLOCATOR_MAX_SLOTS];
};

/* ---- what is wanted ---- */

static bool is_wanted(const struct allocator_slot *s)
{
    return s->visible && s->source != 0;
}

static bool same_source(const struct allocator_was *was, const struct allocator_slot *s)
{
    return was->wanted && was->source == s->source;
}

static bool wish_changed(const struct allocator_was *was, const struct allocator_slot *s)
{
    if (!is_wanted(s)) {
        return was->wanted;
    }
    return !same_source(was, s) || was->max_height != s->max_height ||
           was->priority != s->priority || was->screen != s->screen;
}

static bool wishes_changed(const struct allocator *a, const struct allocator_input *in, size_t n)
{
    bool changed = n != a->n_slots || in->shed != a->shed;
    for (size_t i = 0; i < n && !changed; i++) {
        changed = wish_changed(&a->was[i], &in->slot[i]);
    }
    return changed;
}

static bool is_sent(const struct work *w, size_t i)
{
    return w->a->was[i].choice.state == ALLOCATOR_SENT &&
           same_source(&w->a->was[i], &w->in->slot[i]);
}

/* Priority, screens, who is shown already (so that equals don't take each other's place), number.
 */
static bool goes_before(const struct work *w, size_t i, size_t j)
{
    const struct allocator_slot *a = &w->in->slot[i], *b = &w->in->slot[j];
    if (a->priority != b->priority) {
        return a->priority > b->priority;
    }
    if (a->screen != b->screen) {
        return a->screen;
    }
    if (is_sent(w, i) != is_sent(w, j)) {
        return is_sent(w, i);
    }
    return i < j;
}

static void insert_in_order(struct work *w, size_t i)
{
    size_t at = w->n_order++;
    for (; at > 0 && goes_before(w, i, w->order[at - 1]); at--) {
        w->order[at] = w->order[at - 1];
    }
    w->order[at] = (uint8_t)i;
}

/* Of n slots the last ones, by the share that is to be shed; of one slot at more than half. */
static void shed_last(struct work *w)
{
    size_t n = w->n_order, shed = w->in->shed;
    size_t keep = shed < ALLOCATOR_SHED_ALL ? ALLOCATOR_SHED_ALL - shed : 0;
    while (w->n_order > 0 && (2 * w->n_order - 1) * ALLOCATOR_SHED_ALL > 2 * n * keep) {
        w->state[w->order[--w->n_order]] = ALLOCATOR_OVERLOAD;
    }
}

static void prepare(struct work *w)
{
    w->n_order = 0;
    for (size_t i = 0; i < w->n; i++) {
        const struct allocator_slot *s = &w->in->slot[i];
        w->state[i] = ALLOCATOR_OFF;
        if (!is_wanted(s)) {
            continue;
        }
        ladder_build(&w->ladder[i], s);
        w->state[i] = w->ladder[i].n ? ALLOCATOR_BANDWIDTH : ALLOCATOR_NO_LAYER;
        if (w->ladder[i].n) {
            insert_in_order(w, i);
        }
    }
    shed_last(w);
    for (size_t k = 0; k < w->n_order; k++) {
        w->rank[w->order[k]] = (uint8_t)k;
    }
}

/* ---- filling a budget ---- */

struct step {
    double gain;
    uint8_t slot;
    int8_t to;
};

struct heap {
    size_t n;
    struct step step[ALLOCATOR_MAX_SLOTS]; /* the best first */
};

static bool step_before(const struct work *w, const struct step *a, const struct step *b)
{
    return a->gain > b->gain || (a->gain == b->gain && w->rank[a->slot] < w->rank[b->slot]);
}

static void sift_down(const struct work *w, struct heap *h, size_t at)
{
    struct step s = h->step[at];
    for (size_t child; (child = 2 * at + 1) < h->n; at = child) {
        if (child + 1 < h->n && step_before(w, &h->step[child + 1], &h->step[child])) {
            child++;
        }
        if (!step_before(w, &h->step[child], &s)) {
            break;
        }
        h->step[at] = h->step[child];
    }
    h->step[at] = s;
}

static bool next_step(const struct work *w, const struct plan *p, size_t i, int32_t cap,
                      struct step *out)
{
    int to = ladder_step(&w->ladder[i], p->at[i], cap);
    if (to == LADDER_NONE) {
        return false;
    }
    *out = (struct step){ladder_gain(&w->ladder[i], p->at[i], to), (uint8_t)i, (int8_t)to};
    return true;
}

static void move(const struct work *w, struct plan *p, size_t i, int to)
{
    const struct rung *rung = w->ladder[i].rung;
    p->used_bps += (int64_t)rung[to].bps - (p->at[i] == LADDER_NONE ? 0 : rung[p->at[i]].bps);
    p->at[i] = to;
}

static void give_lowest(const struct work *w, struct plan *p, int64_t budget, const int32_t *cap)
{
    for (size_t k = 0; k < w->n_order; k++) {
        size_t i = w->order[k];
        int low = ladder_lowest(&w->ladder[i], cap[i]);
        if (p->at[i] == LADDER_NONE && low != LADDER_NONE &&
            p->used_bps + w->ladder[i].rung[low].bps <= budget) {
            move(w, p, i, low);
        }
    }
}

/* The best step of all that still fits, again and again; a slot whose step doesn't fit is out. */
static void give_upgrades(const struct work *w, struct plan *p, int64_t budget, const int32_t *cap)
{
    struct heap h = {.n = 0};
    for (size_t k = 0; k < w->n_order; k++) {
        size_t i = w->order[k];
        if (p->at[i] != LADDER_NONE && next_step(w, p, i, cap[i], &h.step[h.n])) {
            h.n++;
        }
    }
    for (size_t k = h.n / 2; k-- > 0;) {
        sift_down(w, &h, k);
    }
    while (h.n > 0) {
        size_t i = h.step[0].slot;
        const struct rung *rung = w->ladder[i].rung;
        int64_t more = (int64_t)rung[h.step[0].to].bps - rung[p->at[i]].bps;
        bool fits = p->used_bps + more <= budget;
        if (fits) {
            move(w, p, i, h.step[0].to);
        }
        if (!fits || !next_step(w, p, i, cap[i], &h.step[0])) {
            h.step[0] = h.step[--h.n];
        }
        if (h.n > 0) {
            sift_down(w, &h, 0);
        }
    }
}

/* Rungs that lie below the hull fit where the next on it does not. */
static void give_leftovers(const struct work *w, struct plan *p, int64_t budget, const int32_t *cap)
{
    for (size_t k = 0; k < w->n_order; k++) {
        size_t i = w->order[k];
        if (p->at[i] == LADDER_NONE) {
            continue;
        }
        const struct rung *rung = w->ladder[i].rung;
        int64_t room = budget - p->used_bps + rung[p->at[i]].bps;
        int best = ladder_best(&w->ladder[i], room, cap[i]);
        if (best != LADDER_NONE && rung[best].value > rung[p->at[i]].value) {
            move(w, p, i, best);
        }
    }
}

static void clear(const struct work *w, struct plan *p)
{
    p->used_bps = 0;
    for (size_t i = 0; i < w->n; i++) {
        p->at[i] = LADDER_NONE;
    }
}

/* Adds to a plan what the budget has room for; cap is the most that a slot may get, as a value. */
static void top_up(const struct work *w, struct plan *p, int64_t budget, const int32_t *cap)
{
    give_lowest(w, p, budget, cap);
    give_upgrades(w, p, budget, cap);
    give_leftovers(w, p, budget, cap);
}

/* ---- staying, going down ---- */

/* What the slot has, or what comes nearest from below where that is gone. Who is new or has just
 * come back starts with his lowest; who is paused stays so. */
static int present_rung(const struct work *w, size_t i)
{
    const struct allocator_was *was = &w->a->was[i];
    const struct ladder *l = &w->ladder[i];
    if (!is_sent(w, i)) {
        bool paused = was->choice.state == ALLOCATOR_BANDWIDTH && same_source(was, &w->in->slot[i]);
        return paused ? LADDER_NONE : ladder_lowest(l, ANY_VALUE);
    }
    int at = ladder_find(l, was->choice.sid, was->choice.tid);
    if (at == LADDER_NONE) {
        at = ladder_best(l, was->choice.bps, ANY_VALUE);
    }
    return at == LADDER_NONE ? ladder_lowest(l, ANY_VALUE) : at;
}

/* The present plan, cut down to the budget. True when something had to go. */
static bool hold_on(const struct work *w, struct plan *p)
{
    int32_t cap[ALLOCATOR_MAX_SLOTS];
    clear(w, p);
    for (size_t k = 0; k < w->n_order; k++) {
        size_t i = w->order[k];
        int at = present_rung(w, i);
        cap[i] = at == LADDER_NONE ? NO_VALUE : w->ladder[i].rung[at].value;
        if (at != LADDER_NONE) {
            move(w, p, i, at);
        }
    }
    if (p->used_bps <= w->in->budget_bps) {
        return false;
    }
    clear(w, p);
    top_up(w, p, w->in->budget_bps, cap);
    return true;
}

/* An improvement that didn't last makes the next one wait, each time longer. */
static void regret(struct allocator *a, int64_t now_us)
{
    if (a->improved_us == 0) {
        return;
    }
    if (now_us - a->improved_us >= ALLOCATOR_REGRET_US) {
        a->regrets = 0;
    } else {
        a->regrets += a->regrets < ALLOCATOR_HOLD_STEPS;
        a->hold_until_us = now_us + (ALLOCATOR_HOLD_US << a->regrets);
    }
    a->improved_us = 0;
}

/* ---- going up ---- */

static double worth(const struct work *w, const struct plan *p)
{
    double sum = 0;
    for (size_t k = 0; k < w->n_order; k++) {
        size_t i = w->order[k];
        sum +=
            p->at[i] == LADDER_NONE ? 0 : w->ladder[i].weight * w->ladder[i].rung[p->at[i]].value;
    }
    return sum;
}

/* Whom it shows counts first, in order; then what it shows of them. Values don't depend on measured
 * rates, so each plan taken because it is better brings an end nearer: no circles. */
static bool is_better(const struct work *w, const struct plan *p, const struct plan *than)
{
    for (size_t k = 0; k < w->n_order; k++) {
        bool has = p->at[w->order[k]] != LADDER_NONE, had = than->at[w->order[k]] != LADDER_NONE;
        if (has != had) {
            return has;
        }
    }
    double mine = worth(w, p), other = worth(w, than);
    return mine > other + other * 1e-9;
}

static int64_t headroom(const struct allocator_input *in)
{
    return in->probed ? ALLOCATOR_PROBED_HEADROOM : ALLOCATOR_HEADROOM;
}

/* What may be planned with: what is in use and carried, or the budget less the headroom. */
static int64_t trusted_bps(const struct work *w, const struct plan *held, int64_t now_us)
{
    int64_t budget = w->in->budget_bps < MAX_BUDGET ? w->in->budget_bps : MAX_BUDGET;
    int64_t bps = budget * 100 / headroom(w->in);
    bool held_back = now_us < w->a->hold_until_us;
    return held_back || bps < held->used_bps ? held->used_bps : bps;
}

/* A plan from nothing or, where that isn't better, the present one and more. False: neither is. */
static bool find_better(const struct work *w, const struct plan *held, int64_t budget,
                        struct plan *out)
{
    int32_t cap[ALLOCATOR_MAX_SLOTS];
    for (size_t i = 0; i < w->n; i++) {
        cap[i] = ANY_VALUE;
    }
    clear(w, out);
    top_up(w, out, budget, cap);
    if (is_better(w, out, held)) {
        return true;
    }
    *out = *held;
    top_up(w, out, budget, cap);
    return is_better(w, out, held);
}

static bool lasted(struct allocator *a, bool probed, int64_t now_us)
{
    if (!a->waiting) {
        a->waiting = true;
        a->better_since_us = now_us;
    }
    int64_t need_us = probed ? ALLOCATOR_PROBED_LASTING_US : ALLOCATOR_LASTING_US;
    return now_us - a->better_since_us >= need_us;
}

/* Replaces the plan by a better one whose time has come; a wish of the viewer's needs no waiting.
 */
static void improve(struct work *w, struct plan *p, bool wished, int64_t now_us)
{
    struct plan better;
    if (!find_better(w, p, trusted_bps(w, p, now_us), &better)) {
        w->a->waiting = false;
        return;
    }
    if (!lasted(w->a, w->in->probed, now_us) && !wished) {
        return;
    }
    w->a->waiting = false;
    if (!wished) {
        w->a->improved_us = now_us;
    }
    *p = better;
}

/* ---- what comes of it ---- */

static bool same_choice(const struct allocator_choice *a, const struct allocator_choice *b)
{
    return a->state == b->state && a->sid == b->sid && a->tid == b->tid;
}

static void choose(struct work *w, const struct plan *p, struct allocator_choice *out,
                   struct allocator_result *result)
{
    for (size_t i = 0; i < w->n; i++) {
        const struct allocator_slot *s = &w->in->slot[i];
        struct allocator_was *was = &w->a->was[i];
        out[i] = (struct allocator_choice){.state = w->state[i]};
        if (p->at[i] != LADDER_NONE) {
            const struct rung *r = &w->ladder[i].rung[p->at[i]];
            out[i] = (struct allocator_choice){ALLOCATOR_SENT, r->sid, r->tid, r->bps};
        }
        result->changed |=
            !same_choice(&out[i], &was->choice) || (is_wanted(s) && was->source != s->source);
        *was = (struct allocator_was){out[i],      s->source,    s->max_height,
                                      s->priority, is_wanted(s), s->screen};
    }
    result->used_bps = p->used_bps;
}

/* The least that a slot needs in addition for anything better; 0: nothing is better. */
static int64_t least_more(const struct ladder *l, int at)
{
    int64_t least = 0;
    for (int i = 0; i < l->n; i++) {
        if (at != LADDER_NONE && l->rung[i].value <= l->rung[at].value) {
            continue;
        }
        int64_t more = (int64_t)l->rung[i].bps - (at == LADDER_NONE ? 0 : l->rung[at].bps);
        more = more < 1 ? 1 : more;
        least = least == 0 || more < least ? more : least;
    }
    return least;
}

static void tell_wants(const struct work *w, const struct plan *p, struct allocator_result *result)
{
    int64_t least = 0, all = 0;
    for (size_t k = 0; k < w->n_order; k++) {
        const struct ladder *l = &w->ladder[w->order[k]];
        int64_t more = least_more(l, p->at[w->order[k]]);
        least = more > 0 && (least == 0 || more < least) ? more : least;
        all += l->rung[ladder_best(l, INT64_MAX, ANY_VALUE)].bps;
    }
    result->next_bps = least ? (p->used_bps + least) * headroom(w->in) / 100 + 1 : 0;
    all = all * headroom(w->in) / 100 + 1;
    result->wanted_bps = all > result->next_bps && least ? all : result->next_bps;
}

static int64_t look_again(const struct allocator *a, bool probed, bool content, int64_t now_us)
{
    if (content) {
        return INT64_MAX;
    }
    if (a->waiting) {
        return a->better_since_us + (probed ? ALLOCATOR_PROBED_LASTING_US : ALLOCATOR_LASTING_US);
    }
    return now_us < a->hold_until_us ? a->hold_until_us : INT64_MAX;
}

static bool is_content(const struct work *w, const struct plan *p)
{
    for (size_t k = 0; k < w->n_order; k++) {
        if (least_more(&w->ladder[w->order[k]], p->at[w->order[k]]) > 0) {
            return false;
        }
    }
    return true;
}

void allocator_run(struct allocator *a, const struct allocator_input *in, int64_t now_us,
                   struct allocator_choice *out, struct allocator_result *result)
{
    struct work w; /* its ladders are filled as far as they are used */
    struct plan p;
    w.in = in;
    w.a = a;
    w.n = in->n_slots < ALLOCATOR_MAX_SLOTS ? in->n_slots : ALLOCATOR_MAX_SLOTS;
    bool wished = wishes_changed(a, in, w.n);
    *result = (struct allocator_result){.changed = w.n != a->n_slots};
    prepare(&w);
    if (hold_on(&w, &p) && !wished) {
        regret(a, now_us);
    }
    if (is_content(&w, &p)) {
        a->waiting = false;
    } else {
        improve(&w, &p, wished, now_us);
    }
    if (w.n < a->n_slots) {
        memset(&a->was[w.n], 0, (a->n_slots - w.n) * sizeof a->was[0]);
    }
    a->n_slots = w.n;
    a->shed = in->shed;
    choose(&w, &p, out, result);
    tell_wants(&w, &p, result);
    result->again_us = look_again(a, in->probed, result->next_bps == 0, now_us);
}
