#include "sfu/core/placement.h"

#include <stdlib.h>
#include <uthash.h>

#include "lib/base/err.h"

/* Loads are compared by steps, so that noise of a measurement doesn't choose; a participant who was
 * placed since the last one counts ahead for what he may cost. */
#define STEP_PER_MILLE  50
#define FRESH_PER_MILLE 5

struct member {
    uint32_t number;
    size_t worker;
    int64_t mark; /* when he was last asked for */
    uint64_t seen;
    UT_hash_handle hh;
};

struct placed_room {
    struct id id;
    size_t home;
    bool held;              /* also without members */
    struct member *members; /* by number */
    uint32_t count[PLACEMENT_MAX_WORKERS];
    UT_hash_handle hh;
};

struct worker_load {
    uint32_t busy; /* per mille, smoothed */
    uint32_t fresh;
    size_t count;
};

struct placement {
    struct placement_limits limits;
    struct worker_load load[PLACEMENT_MAX_WORKERS];
    struct placed_room *rooms; /* by id */
    uint64_t round;            /* of placement_seen_… */
};

int placement_new(struct placement **out, const struct placement_limits *limits)
{
    if (limits->workers < 1 || limits->workers > PLACEMENT_MAX_WORKERS) {
        return ERR_INVALID;
    }
    struct placement *p = calloc(1, sizeof *p);
    if (!p) {
        return ERR_NOMEM;
    }
    p->limits = *limits;
    *out = p;
    return OK;
}

/* ---- rooms and members ---- */

static struct placed_room *find_room(const struct placement *p, const struct id *id)
{
    struct placed_room *r;
    HASH_FIND(hh, p->rooms, id, sizeof *id, r);
    return r;
}

static struct member *find_member(const struct placed_room *r, uint32_t number)
{
    struct member *m;
    HASH_FIND(hh, r->members, &number, sizeof number, m);
    return m;
}

static void drop_room_if_empty(struct placement *p, struct placed_room *r)
{
    if (!r->members && !r->held) {
        HASH_DEL(p->rooms, r);
        free(r);
    }
}

static void drop_member(struct placement *p, struct placed_room *r, struct member *m)
{
    r->count[m->worker]--;
    p->load[m->worker].count--;
    HASH_DEL(r->members, m);
    free(m);
}

static void clear_room(struct placement *p, struct placed_room *r)
{
    struct member *m, *tmp;
    HASH_ITER(hh, r->members, m, tmp)
    {
        drop_member(p, r, m);
    }
    r->held = false;
    drop_room_if_empty(p, r);
}

void placement_free(struct placement *p)
{
    struct placed_room *r, *tmp;
    if (p) {
        HASH_ITER(hh, p->rooms, r, tmp)
        {
            clear_room(p, r);
        }
        free(p);
    }
}

/* ---- choosing ---- */

void placement_load(struct placement *p, size_t worker, uint32_t busy_per_mille)
{
    if (worker < p->limits.workers) {
        struct worker_load *l = &p->load[worker];
        l->busy = (l->busy + busy_per_mille + 1) / 2;
        l->fresh = 0;
    }
}

static uint32_t expected(const struct worker_load *l)
{
    return l->busy + l->fresh * FRESH_PER_MILLE;
}

static bool is_lighter(const struct worker_load *a, const struct worker_load *b)
{
    uint32_t step_a = expected(a) / STEP_PER_MILLE, step_b = expected(b) / STEP_PER_MILLE;
    return step_a != step_b ? step_a < step_b : a->count < b->count;
}

/* The lightest of the workers in the set; PLACEMENT_NOWHERE when it is empty. */
static size_t lightest(const struct placement *p, uint64_t set)
{
    size_t best = PLACEMENT_NOWHERE;
    for (size_t i = 0; i < p->limits.workers; i++) {
        if ((set >> i & 1) &&
            (best == PLACEMENT_NOWHERE || is_lighter(&p->load[i], &p->load[best]))) {
            best = i;
        }
    }
    return best;
}

static uint64_t all_workers(const struct placement *p)
{
    return UINT64_MAX >> (64 - p->limits.workers);
}

static uint64_t workers_of(const struct placement *p, const struct placed_room *r)
{
    uint64_t set = UINT64_C(1) << r->home;
    for (size_t i = 0; i < p->limits.workers; i++) {
        set |= r->count[i] ? UINT64_C(1) << i : 0;
    }
    return set;
}

static bool is_busy(const struct placement *p, size_t worker)
{
    return p->limits.busy_per_mille && expected(&p->load[worker]) >= p->limits.busy_per_mille;
}

/* Those of the set that can take one more of the room. */
static uint64_t with_place(const struct placement *p, const struct placed_room *r, uint64_t set)
{
    uint64_t out = 0;
    for (size_t i = 0; i < p->limits.workers; i++) {
        bool full = p->limits.participants && r->count[i] >= p->limits.participants;
        if ((set >> i & 1) && !full && !is_busy(p, i)) {
            out |= UINT64_C(1) << i;
        }
    }
    return out;
}

/* Its home as long as there is place, then the branches it has, then a new one; when all are full,
 * the lightest of those it has takes more than it should. */
static size_t choose(const struct placement *p, const struct placed_room *r)
{
    uint64_t has = workers_of(p, r), place = with_place(p, r, all_workers(p));
    if (p->limits.room_workers <= 1 || (place >> r->home & 1)) {
        return r->home;
    }
    if (place & has) {
        return lightest(p, place & has);
    }
    bool may_grow = (size_t)__builtin_popcountll(has) < p->limits.room_workers;
    if (may_grow && place) {
        return lightest(p, place);
    }
    return lightest(p, has);
}

static int make_room(struct placement *p, const struct id *id, struct placed_room **out)
{
    if (HASH_COUNT(p->rooms) >= p->limits.max_rooms) {
        return ERR_LIMIT;
    }
    struct placed_room *r = calloc(1, sizeof *r);
    if (!r) {
        return ERR_NOMEM;
    }
    r->id = *id;
    r->home = lightest(p, all_workers(p));
    HASH_ADD(hh, p->rooms, id, sizeof r->id, r);
    *out = r;
    return OK;
}

static int add_member(struct placement *p, struct placed_room *r, uint32_t number,
                      struct member **out)
{
    struct member *m = calloc(1, sizeof *m);
    if (!m) {
        return ERR_NOMEM;
    }
    m->number = number;
    m->worker = choose(p, r);
    HASH_ADD(hh, r->members, number, sizeof m->number, m);
    r->count[m->worker]++;
    p->load[m->worker].count++;
    p->load[m->worker].fresh++;
    *out = m;
    return OK;
}

int placement_join(struct placement *p, const struct id *room, uint32_t number, int64_t mark,
                   size_t *worker)
{
    struct placed_room *r = find_room(p, room);
    int err = r ? OK : make_room(p, room, &r);
    if (err) {
        return err;
    }
    struct member *m = find_member(r, number);
    err = m ? OK : add_member(p, r, number, &m);
    if (err) {
        drop_room_if_empty(p, r);
        return err;
    }
    m->mark = mark;
    *worker = m->worker;
    return OK;
}

/* ---- asking ---- */

size_t placement_find(const struct placement *p, const struct id *room, uint32_t number)
{
    const struct placed_room *r = find_room(p, room);
    const struct member *m = r ? find_member(r, number) : NULL;
    return m ? m->worker : r ? r->home : PLACEMENT_NOWHERE;
}

size_t placement_home(const struct placement *p, const struct id *room)
{
    const struct placed_room *r = find_room(p, room);
    return r ? r->home : PLACEMENT_NOWHERE;
}

uint64_t placement_workers(const struct placement *p, const struct id *room)
{
    const struct placed_room *r = find_room(p, room);
    return r ? workers_of(p, r) : 0;
}

size_t placement_room_count(const struct placement *p)
{
    return HASH_COUNT(p->rooms);
}

size_t placement_count(const struct placement *p, size_t worker)
{
    return worker < p->limits.workers ? p->load[worker].count : 0;
}

/* ---- ends ---- */

void placement_leave(struct placement *p, const struct id *room, uint32_t number)
{
    struct placed_room *r = find_room(p, room);
    struct member *m = r ? find_member(r, number) : NULL;
    if (m) {
        drop_member(p, r, m);
        drop_room_if_empty(p, r);
    }
}

void placement_close(struct placement *p, const struct id *room)
{
    struct placed_room *r = find_room(p, room);
    if (r) {
        clear_room(p, r);
    }
}

int placement_hold(struct placement *p, const struct id *room, size_t *home)
{
    struct placed_room *r = find_room(p, room);
    int err = r ? OK : make_room(p, room, &r);
    if (!err) {
        r->held = true;
        *home = r->home;
    }
    return err;
}

void placement_release(struct placement *p, const struct id *room)
{
    struct placed_room *r = find_room(p, room);
    if (r) {
        r->held = false;
        drop_room_if_empty(p, r);
    }
}

void placement_seen_begin(struct placement *p)
{
    p->round++;
}

void placement_seen(struct placement *p, size_t worker, const struct id *room, uint32_t number)
{
    const struct placed_room *r = find_room(p, room);
    struct member *m = r ? find_member(r, number) : NULL;
    if (m && m->worker == worker) {
        m->seen = p->round;
    }
}

static void forget_unseen(struct placement *p, struct placed_room *r, size_t worker, int64_t mark)
{
    struct member *m, *tmp;
    HASH_ITER(hh, r->members, m, tmp)
    {
        if (m->worker == worker && m->seen != p->round && m->mark <= mark) {
            drop_member(p, r, m);
        }
    }
    drop_room_if_empty(p, r);
}

void placement_seen_end(struct placement *p, size_t worker, int64_t mark)
{
    struct placed_room *r, *tmp;
    HASH_ITER(hh, p->rooms, r, tmp)
    {
        forget_unseen(p, r, worker, mark);
    }
}
