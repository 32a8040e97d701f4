/* The pool: lanes, waiting queries, timeouts. */
#include "lib/io/pg.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "lib/base/err.h"
#include "lib/base/ids.h"
#include "lib/base/log.h"
#include "lib/base/metrics.h"
#include "lib/io/pg_internal.h"

/* What the server has after our timeout to end a statement by itself, before we give up the
 * connection too. */
enum { GRACE_US = 1000000 };

METRIC_HIST_DEF(duration, "sotto_pg_query_seconds", NULL,
                "Time from asking for a query to its answer, waiting included");
METRIC_COUNTER_DEF(failed, "sotto_pg_query_errors_total", NULL,
                   "Queries that were not answered: database away, timeout, SQL error");
METRIC_GAUGE_DEF(waiting, "sotto_pg_queries_waiting", NULL, "Queries that wait for a connection");

void pg_finish(struct pg *p, struct pg_query *q, int err, const PGresult *r)
{
    if (q->fn || q->start_us)
        metric_observe_us(&duration, clock_mono_us() - q->start_us);
    if (err == ERR_IO || err == ERR_TIMEOUT || err == ERR_UNAVAILABLE)
        metric_add(&failed, 1);
    pg_fn fn = q->fn;
    q->fn = NULL;
    if (fn) {
        struct pg_result res = {.r = r};
        p->raised = q->raised;
        fn(q->arg, err, err == OK ? &res : NULL);
        p->raised = "";
    }
    PQclear(q->result);
    free(q);
}

static struct pg_query *query_new(const char *name, const char *sql, int n,
                                  const char *const *params)
{
    size_t head = sizeof(struct pg_query) + (size_t)n * sizeof(char *), text = 0;
    for (int i = 0; i < n; i++)
        text += params[i] ? strlen(params[i]) + 1 : 0;
    struct pg_query *q = calloc(1, head + text);
    if (!q)
        return NULL;
    q->name = name;
    q->sql = sql;
    q->n_params = n;
    q->params = (const char **)(q + 1);
    char *at = (char *)q + head;
    for (int i = 0; i < n; i++) {
        if (!params[i])
            continue;
        size_t len = strlen(params[i]) + 1;
        memcpy(at, params[i], len);
        q->params[i] = at;
        at += len;
    }
    return q;
}

/* FNV-1a. */
static int lane_index(const struct pg *p, const char *lane)
{
    uint32_t h = 2166136261u;
    for (; *lane; lane++)
        h = (h ^ (uint8_t)*lane) * 16777619u;
    return (int)(h % (uint32_t)p->n_conns);
}

static struct pg_conn *least_busy(struct pg *p)
{
    struct pg_conn *best = NULL;
    for (int i = 0; i < p->n_conns; i++) {
        struct pg_conn *c = &p->conns[i];
        if (pg_conn_has_room(c) && (!best || c->n_sent < best->n_sent))
            best = c;
    }
    return best;
}

static void set_waiting(struct pg *p, int change)
{
    p->n_waiting += (size_t)change;
    metric_set(&waiting, (int64_t)p->n_waiting);
}

void pg_pump(struct pg *p)
{
    if (p->closed)
        return;
    for (int i = 0; i < p->n_conns; i++) {
        struct pg_conn *c = &p->conns[i];
        while (c->waiting && pg_conn_has_room(c)) {
            struct pg_query *q = c->waiting;
            DL_DELETE(c->waiting, q);
            set_waiting(p, -1);
            pg_conn_send(c, q);
        }
    }
    struct pg_conn *c;
    while (p->waiting && (c = least_busy(p))) {
        struct pg_query *q = p->waiting;
        DL_DELETE(p->waiting, q);
        set_waiting(p, -1);
        pg_conn_send(c, q);
    }
}

/* ---- timeouts ---- */

static void expire_waiting(struct pg *p, struct pg_query **list, int64_t now)
{
    while (*list && (*list)->deadline_us <= now) {
        struct pg_query *q = *list;
        DL_DELETE(*list, q);
        set_waiting(p, -1);
        pg_finish(p, q, ERR_UNAVAILABLE, NULL);
    }
}

static void expire_sent(struct pg *p, struct pg_conn *c, int64_t now)
{
    struct pg_query *q, *tmp;
    bool dead = c->sent && c->sent->deadline_us < now - GRACE_US;
    DL_FOREACH_SAFE(c->sent, q, tmp)
    {
        if (q->deadline_us > now)
            break;
        pg_fn fn = q->fn;
        q->fn = NULL;
        if (!fn)
            continue;
        metric_add(&failed, 1);
        LOG_W("pg_query_timeout", "query=%s conn=%d", q->name, c->index);
        p->raised = "";
        fn(q->arg, ERR_TIMEOUT, NULL);
    }
    if (dead)
        pg_conn_break(c);
}

static void on_sweep(void *arg)
{
    struct pg *p = arg;
    int64_t now = clock_mono_us();
    bool busy = false;
    expire_waiting(p, &p->waiting, now);
    for (int i = 0; i < p->n_conns; i++) {
        expire_waiting(p, &p->conns[i].waiting, now);
        expire_sent(p, &p->conns[i], now);
        busy = busy || p->conns[i].waiting || p->conns[i].sent;
    }
    if (!busy && !p->waiting) {
        loop_timer_stop(p->sweep);
        p->sweeping = false;
    }
}

static void want_sweep(struct pg *p)
{
    if (p->sweeping)
        return;
    int64_t every_us = p->timeout_us / 8;
    every_us = every_us < 10000 ? 10000 : every_us > 250000 ? 250000 : every_us;
    loop_timer_start(p->sweep, every_us, every_us);
    p->sweeping = true;
}

/* ---- the interface ---- */

int pg_query(struct pg *p, const char *name, const char *sql, int n_params,
             const char *const *params, const char *lane, pg_fn fn, void *arg)
{
    if (p->closed)
        return ERR_CLOSED;
    int at = lane ? lane_index(p, lane) : -1;
    struct pg_conn *c = lane ? &p->conns[at] : least_busy(p);
    bool now = c && pg_conn_has_room(c) && !(lane ? c->waiting : p->waiting);
    if (!now && p->n_waiting >= p->max_queued)
        return ERR_LIMIT;
    struct pg_query *q = query_new(name, sql, n_params, params);
    if (!q)
        return ERR_NOMEM;
    q->lane = at;
    q->fn = fn;
    q->arg = arg;
    q->start_us = clock_mono_us();
    q->deadline_us = q->start_us + p->timeout_us;
    want_sweep(p);
    if (now) {
        pg_conn_send(c, q);
        return OK;
    }
    if (lane)
        DL_APPEND(c->waiting, q);
    else
        DL_APPEND(p->waiting, q);
    set_waiting(p, 1);
    return OK;
}

struct pg *pg_open(struct loop *l, const struct pg_options *o)
{
    struct pg *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->loop = l;
    p->timeout_us = o->query_timeout_us > 0 ? o->query_timeout_us : 5000000;
    p->max_queued = o->max_queued;
    p->raised = "";
    int n = o->connections < 1 ? 1 : o->connections > 64 ? 64 : o->connections;
    p->conninfo = strdup(o->conninfo ? o->conninfo : "");
    p->conns = calloc((size_t)n, sizeof(*p->conns));
    p->sweep = loop_timer_new(l, on_sweep, p);
    bool ok = p->conninfo && p->conns && p->sweep;
    for (; ok && p->n_conns < n; p->n_conns++)
        ok = pg_conn_init(&p->conns[p->n_conns], p, p->n_conns) == OK;
    metric_hist_register(&duration);
    metric_register(&failed);
    metric_register(&waiting);
    if (ok)
        return p;
    pg_close(p);
    return NULL;
}

static void fail_all(struct pg *p, struct pg_query **list)
{
    while (*list) {
        struct pg_query *q = *list;
        DL_DELETE(*list, q);
        set_waiting(p, -1);
        pg_finish(p, q, ERR_CLOSED, NULL);
    }
}

void pg_close(struct pg *p)
{
    if (!p)
        return;
    p->closed = true;
    fail_all(p, &p->waiting);
    for (int i = 0; i < p->n_conns; i++) {
        fail_all(p, &p->conns[i].waiting);
        pg_conn_close(&p->conns[i], ERR_CLOSED);
    }
    loop_timer_free(p->sweep);
    free(p->conns);
    free(p->conninfo);
    free(p);
}

bool pg_ready(const struct pg *p)
{
    for (int i = 0; i < p->n_conns; i++)
        if (p->conns[i].state == PG_UP)
            return true;
    return false;
}

const char *pg_raised(const struct pg *p)
{
    return p->raised;
}

/* ---- results ---- */

int pg_rows(const struct pg_result *r)
{
    return PQntuples(r->r);
}

const char *pg_text(const struct pg_result *r, int row, int col)
{
    return PQgetisnull(r->r, row, col) ? NULL : PQgetvalue(r->r, row, col);
}

int64_t pg_int(const struct pg_result *r, int row, int col)
{
    const char *s = pg_text(r, row, col);
    return s ? strtoll(s, NULL, 10) : 0;
}

bool pg_bool(const struct pg_result *r, int row, int col)
{
    const char *s = pg_text(r, row, col);
    return s && s[0] == 't';
}
