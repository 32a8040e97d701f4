#include "sfu/shell/worker_set.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utlist.h>

#include "lib/base/err.h"
#include "lib/base/log.h"

#define MAX_PORT 65535

/* A room that has a branch. */
struct share {
    struct id room;
    size_t home, branch;
    bool home_told, branch_told;
    struct share *prev, *next;
};

/* Two workers' way to each other: link i of a worker leads to worker i. */
struct way {
    struct relay_ring *ring; /* what the worker of the row writes and that of the column reads */
    bool told;               /* to the one of the row */
};

struct worker_set {
    size_t n;
    struct worker *worker[PLACEMENT_MAX_WORKERS];
    int64_t cpu_us[PLACEMENT_MAX_WORKERS];
    int64_t measured_us; /* 0: not yet */
    struct placement *placement;
    struct relay_nodes *nodes;       /* NULL: there are none */
    int wake[PLACEMENT_MAX_WORKERS]; /* wakes who waits for rings; 0: none yet */
    struct share *shares;
    struct way way[PLACEMENT_MAX_WORKERS][PLACEMENT_MAX_WORKERS];
    int64_t mark; /* grows with each request that places and each inventory that is asked for */
};

/* ---- life ---- */

/* The CPUs that this process may use; returns how many were written. */
static size_t usable_cpus(int *cpu, size_t cap)
{
    cpu_set_t set;
    size_t n = 0;
    if (sched_getaffinity(0, sizeof set, &set) != 0) {
        return 0;
    }
    for (int i = 0; i < CPU_SETSIZE && n < cap; i++) {
        if (CPU_ISSET((size_t)i, &set)) {
            cpu[n++] = i;
        }
    }
    return n;
}

static int start_one(struct worker_set *s, const struct worker_options *options, const int *cpu,
                     size_t n_cpus)
{
    struct worker_options o = *options;
    size_t i = s->n;
    o.port = options->port ? options->port + (int)i : 0;
    int err = worker_start(&s->worker[i], &o);
    if (err) {
        return err;
    }
    s->n++;
    int bound = n_cpus > 0 ? cpu[i % n_cpus] : -1;
    if (bound >= 0 && worker_pin(s->worker[i], bound) != OK) {
        LOG_W("pin_failed", "worker=%zu cpu=%d", i, bound);
        bound = -1;
    }
    LOG_I("worker", "index=%zu port=%d cpu=%d", i, worker_port(s->worker[i]), bound);
    return OK;
}

int worker_set_start(struct worker_set **out, const struct worker_options *o,
                     const struct worker_set_options *options)
{
    int cpu[PLACEMENT_MAX_WORKERS];
    size_t n_cpus = usable_cpus(cpu, PLACEMENT_MAX_WORKERS);
    size_t n = options->workers ? options->workers : n_cpus ? n_cpus : 1;
    struct placement_limits limits = {.workers = n,
                                      .max_rooms = options->max_rooms,
                                      .room_workers = options->room_workers,
                                      .participants = options->participants,
                                      .busy_per_mille = options->busy_per_mille};
    if (n > PLACEMENT_MAX_WORKERS || (o->port && (size_t)o->port + n - 1 > MAX_PORT)) {
        return ERR_INVALID;
    }
    struct worker_set *s = calloc(1, sizeof *s);
    if (!s) {
        return ERR_NOMEM;
    }
    int err = placement_new(&s->placement, &limits);
    while (!err && s->n < n) {
        err = start_one(s, o, cpu, options->pin ? n_cpus : 0);
    }
    if (!err && options->nodes.secret) {
        err = relay_nodes_new(&s->nodes, s->worker, n, s->placement, &options->nodes);
    }
    if (err) {
        worker_set_stop(s);
        return err;
    }
    *out = s;
    return OK;
}

/* First all threads end: they write to each other's rings and wake each other. */
void worker_set_stop(struct worker_set *s)
{
    struct share *share, *tmp;
    if (!s) {
        return;
    }
    for (size_t i = 0; i < s->n; i++) {
        worker_halt(s->worker[i]);
    }
    for (size_t i = 0; i < s->n; i++) {
        worker_stop(s->worker[i]);
    }
    for (size_t i = 0; i < s->n; i++) {
        for (size_t k = 0; k < s->n; k++) {
            relay_ring_free(s->way[i][k].ring);
        }
        if (s->wake[i] > 0) {
            close(s->wake[i]);
        }
    }
    relay_nodes_free(s->nodes);
    DL_FOREACH_SAFE(s->shares, share, tmp)
    {
        free(share);
    }
    placement_free(s->placement);
    free(s);
}

size_t worker_set_count(const struct worker_set *s)
{
    return s->n;
}

struct worker *worker_set_at(const struct worker_set *s, size_t i)
{
    return s->worker[i];
}

const struct placement *worker_set_placement(const struct worker_set *s)
{
    return s->placement;
}

/* ---- rooms that two workers share ---- */

static int need_ring(struct way *way)
{
    return way->ring ? OK : relay_ring_new(&way->ring);
}

static int need_wake(int *fd)
{
    if (*fd <= 0) {
        *fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    }
    return *fd > 0 ? OK : ERR_IO;
}

/* Tells one worker of its way to the other. */
static int tell_way(struct worker_set *s, size_t from, size_t to)
{
    struct way *out = &s->way[from][to], *in = &s->way[to][from];
    int err = need_ring(out);
    err = err ? err : need_ring(in);
    err = err ? err : need_wake(&s->wake[from]);
    err = err ? err : need_wake(&s->wake[to]);
    if (!err && !out->told) {
        struct worker_relay_way way = {
            .in = in->ring, .out = out->ring, .wake = s->wake[from], .peer_wake = s->wake[to]};
        err = worker_link(s->worker[from], (uint32_t)to, &way);
        out->told = err == OK;
    }
    return err;
}

/* What could not be told now, because a ring is full, is told at the next measure. */
static void tell_share(struct worker_set *s, struct share *h)
{
    if (!h->home_told && tell_way(s, h->home, h->branch) == OK) {
        h->home_told = worker_share(s->worker[h->home], (uint32_t)h->branch, &h->room, false) == OK;
    }
    if (!h->branch_told && tell_way(s, h->branch, h->home) == OK) {
        h->branch_told =
            worker_share(s->worker[h->branch], (uint32_t)h->home, &h->room, true) == OK;
    }
}

static struct share *find_share(const struct worker_set *s, const struct id *room, size_t branch)
{
    struct share *h;
    DL_FOREACH(s->shares, h)
    {
        if (h->branch == branch && id_equal(&h->room, room)) {
            return h;
        }
    }
    return NULL;
}

static int share(struct worker_set *s, const struct id *room, size_t branch)
{
    size_t home = placement_home(s->placement, room);
    struct share *h = branch == home ? NULL : find_share(s, room, branch);
    if (branch == home || (h && h->home == home)) {
        return OK;
    }
    h = calloc(1, sizeof *h);
    if (!h) {
        return ERR_NOMEM;
    }
    *h = (struct share){.room = *room, .home = home, .branch = branch};
    DL_APPEND(s->shares, h);
    LOG_I("room_spread", "room=%s home=%zu branch=%zu", room->s, home, branch);
    tell_share(s, h);
    return OK;
}

static bool is_over(const struct worker_set *s, const struct share *h)
{
    return placement_home(s->placement, &h->room) != h->home ||
           !(placement_workers(s->placement, &h->room) >> h->branch & 1);
}

/* The branch's last one has left, or the room is closed. */
static void end_share(struct worker_set *s, struct share *h)
{
    if (h->home_told && worker_unshare(s->worker[h->home], (uint32_t)h->branch, &h->room) == OK) {
        h->home_told = false;
    }
    if (h->branch_told && worker_unshare(s->worker[h->branch], (uint32_t)h->home, &h->room) == OK) {
        h->branch_told = false;
    }
    if (!h->home_told && !h->branch_told) {
        DL_DELETE(s->shares, h);
        free(h);
    }
}

static void review_shares(struct worker_set *s)
{
    struct share *h, *tmp;
    DL_FOREACH_SAFE(s->shares, h, tmp)
    {
        if (is_over(s, h)) {
            end_share(s, h);
        } else {
            tell_share(s, h);
        }
    }
}

/* ---- requests ---- */

/* The other workers of a room end their part of it without a word: the home answers. */
static int close_branches(struct worker_set *s, const struct id *room, size_t home)
{
    uint64_t set = placement_workers(s->placement, room);
    int err = OK;
    for (size_t i = 0; i < s->n && !err; i++) {
        if (i != home && (set >> i & 1)) {
            struct control_frame *f = calloc(1, sizeof *f);
            if (!f) {
                return ERR_NOMEM;
            }
            f->type = CONTROL_CLOSE;
            f->room = *room;
            err = worker_request(s->worker[i], f);
            if (err) {
                free(f);
            }
        }
    }
    return err;
}

static bool is_joining(enum control_type type)
{
    return type == CONTROL_PUBLISH || type == CONTROL_SUBSCRIBE || type == CONTROL_WATCH;
}

static int choose(struct worker_set *s, const struct control_frame *f, size_t *worker)
{
    if (is_joining(f->type)) {
        int err = placement_join(s->placement, &f->room, f->participant, ++s->mark, worker);
        return err ? err : share(s, &f->room, *worker);
    }
    *worker = f->type == CONTROL_CLOSE ? placement_home(s->placement, &f->room)
                                       : placement_find(s->placement, &f->room, f->participant);
    if (*worker == PLACEMENT_NOWHERE) {
        *worker = 0; /* which has no such room either, and says so */
    }
    return f->type == CONTROL_CLOSE ? close_branches(s, &f->room, *worker) : OK;
}

int worker_set_request(struct worker_set *s, struct control_frame *f)
{
    size_t worker;
    bool closes = f->type == CONTROL_CLOSE, leaves = f->type == CONTROL_LEAVE && !f->has_which;
    struct id room = f->room; /* the frame is gone when it was handed over */
    uint32_t participant = f->participant;
    int err = choose(s, f, &worker);
    if (!err) {
        err = worker_request(s->worker[worker], f);
    }
    if (!err && leaves) {
        placement_leave(s->placement, &room, participant);
    } else if (!err && closes) {
        placement_close(s->placement, &room);
    }
    if (!err && closes && s->nodes) {
        relay_nodes_close(s->nodes, &room);
    }
    return err;
}

int worker_set_relay(struct worker_set *s, const struct control_frame *f, int *port)
{
    *port = 0;
    if (!s->nodes) {
        return ERR_UNSUPPORTED;
    }
    if (f->type == CONTROL_RELAY) {
        return relay_nodes_share(s->nodes, f, port);
    }
    relay_nodes_unshare(s->nodes, &f->room, f->node);
    return OK;
}

void worker_set_greeted(struct worker_set *s, int64_t now_us)
{
    if (s->nodes) {
        relay_nodes_doubt(s->nodes, now_us);
    }
}

/* ---- measures ---- */

void worker_set_measure(struct worker_set *s, int64_t now_us)
{
    int64_t past_us = now_us - s->measured_us;
    int64_t mark = ++s->mark;
    for (size_t i = 0; i < s->n; i++) {
        int64_t cpu_us = worker_cpu_us(s->worker[i]), used_us = cpu_us - s->cpu_us[i];
        if (s->measured_us && past_us > 0) {
            int64_t busy = used_us * 1000 / past_us;
            placement_load(s->placement, i, (uint32_t)(busy < 0 ? 0 : busy > 1000 ? 1000 : busy));
        }
        s->cpu_us[i] = cpu_us;
        (void)worker_ask_inventory(s->worker[i], mark); /* else the next time */
    }
    s->measured_us = now_us;
    review_shares(s);
    if (s->nodes) {
        relay_nodes_review(s->nodes, now_us);
    }
}

void worker_set_take_inventory(struct worker_set *s, size_t i,
                               const struct worker_inventory *inventory)
{
    placement_seen_begin(s->placement);
    for (size_t k = 0; k < inventory->n; k++) {
        placement_seen(s->placement, i, &inventory->entry[k].room, inventory->entry[k].participant);
    }
    placement_seen_end(s->placement, i, inventory->mark);
}
