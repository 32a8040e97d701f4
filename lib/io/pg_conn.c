/* One connection: asynchronous connect, pipeline mode, prepared statements, reconnect. Every query
 * is its own group (Parse when needed, Bind, Execute, Sync), so that each is its own transaction
 * and an error ends with its own group. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/ids.h"
#include "lib/base/log.h"
#include "lib/base/metrics.h"
#include "lib/io/backoff.h"
#include "lib/io/pg_internal.h"
#include "lib/io/pg_state.h"

enum { CONNECT_TIMEOUT_US = 5000000, BACKOFF_MIN_US = 100000, BACKOFF_MAX_US = 5000000 };

METRIC_COUNTER_DEF(reconnects, "sotto_pg_reconnects_total", NULL,
                   "Database connections that broke or could not be made");
METRIC_GAUGE_DEF(up, "sotto_pg_connections", NULL, "Database connections that are up");

static void conn_step(struct pg_conn *c);
static void conn_ready(struct pg_conn *c, int events);

/* ---- watching the socket ---- */

static void on_poll_closed(uv_handle_t *h)
{
    free(h);
}

static void poll_close(struct pg_conn *c)
{
    if (!c->poll)
        return;
    c->poll->data = NULL;
    uv_close((uv_handle_t *)c->poll, on_poll_closed);
    c->poll = NULL;
}

static void on_poll(uv_poll_t *h, int status, int events)
{
    struct pg_conn *c = h->data;
    if (!c)
        return;
    if (c->state == PG_CONNECTING)
        conn_step(c);
    else if (c->state == PG_UP)
        conn_ready(c, status < 0 ? UV_READABLE : events);
}

/* Watches libpq's socket; a new handle where the socket may have changed under us. */
static int poll_watch(struct pg_conn *c, int events)
{
    if (!c->poll) {
        uv_poll_t *h = calloc(1, sizeof(*h));
        if (!h)
            return ERR_NOMEM;
        if (uv_poll_init(loop_uv(c->pool->loop), h, PQsocket(c->pq)) != 0) {
            free(h);
            return ERR_IO;
        }
        h->data = c;
        c->poll = h;
    }
    return uv_poll_start(c->poll, events, on_poll) == 0 ? OK : ERR_IO;
}

/* ---- prepared statements ---- */

static bool is_prepared(struct pg_conn *c, const char *name)
{
    struct pg_prepared *s;
    HASH_FIND_STR(c->prepared, name, s);
    return s != NULL;
}

static void set_prepared(struct pg_conn *c, const char *name)
{
    struct pg_prepared *s = calloc(1, sizeof(*s));
    if (!s)
        return; /* it is prepared again next time, the server refuses, and we try again */
    s->name = name;
    HASH_ADD_KEYPTR(hh, c->prepared, s->name, strlen(s->name), s);
}

static void unset_prepared(struct pg_conn *c, const char *name)
{
    struct pg_prepared *s;
    HASH_FIND_STR(c->prepared, name, s);
    if (!s)
        return;
    HASH_DEL(c->prepared, s);
    free(s);
}

static void forget_prepared(struct pg_conn *c)
{
    struct pg_prepared *s, *tmp;
    HASH_ITER(hh, c->prepared, s, tmp)
    {
        HASH_DEL(c->prepared, s);
        free(s);
    }
}

/* ---- down and up ---- */

static void conn_down(struct pg_conn *c, int err)
{
    if (c->state == PG_UP)
        metric_add(&up, -1);
    c->state = PG_DOWN;
    c->broken = false;
    poll_close(c);
    if (c->pq)
        PQfinish(c->pq);
    c->pq = NULL;
    forget_prepared(c);
    struct pg_query *lost = c->sent;
    c->sent = NULL;
    c->n_sent = 0;
    while (lost) {
        struct pg_query *q = lost;
        DL_DELETE(lost, q);
        pg_finish(c->pool, q, err, NULL);
    }
}

static void conn_retry(struct pg_conn *c)
{
    metric_add(&reconnects, 1);
    int64_t delay_us = backoff_next_us(c->failures++, BACKOFF_MIN_US, BACKOFF_MAX_US);
    conn_down(c, ERR_UNAVAILABLE);
    loop_timer_start(c->timer, delay_us, 0);
}

static void on_notice(void *arg, const PGresult *r)
{
    (void)arg;
    const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    LOG_D("pg_notice", "text=\"%s\"", text ? text : "");
}

static void conn_start(struct pg_conn *c)
{
    c->state = PG_CONNECTING;
    c->pq = PQconnectStart(c->pool->conninfo);
    if (!c->pq || PQstatus(c->pq) == CONNECTION_BAD || poll_watch(c, UV_WRITABLE) != OK) {
        LOG_W("pg_connect_failed", "conn=%d", c->index);
        conn_retry(c);
        return;
    }
    PQsetNoticeReceiver(c->pq, on_notice, c);
    loop_timer_start(c->timer, CONNECT_TIMEOUT_US, 0);
}

/* The server ends a statement by itself at our timeout, so that one slow query doesn't hold up the
 * pipeline behind it for longer. Part of the pipeline like any other query; nobody waits for it. */
static int send_settings(struct pg_conn *c)
{
    struct pg_query *q = calloc(1, sizeof(*q));
    if (!q)
        return ERR_NOMEM;
    char ms[24];
    snprintf(ms, sizeof(ms), "%" PRId64, c->pool->timeout_us / 1000);
    const char *params[] = {ms};
    q->name = "settings";
    q->lane = -1;
    q->deadline_us = clock_mono_us() + c->pool->timeout_us;
    q->n_results = 1; /* no Parse answer of its own: see on_result */
    if (!PQsendQueryParams(c->pq, "select set_config('statement_timeout', $1, false)", 1, NULL,
                           params, NULL, NULL, 0) ||
        !PQpipelineSync(c->pq)) {
        free(q);
        return ERR_IO;
    }
    DL_APPEND(c->sent, q);
    c->n_sent++;
    return OK;
}

static void conn_up(struct pg_conn *c)
{
    loop_timer_stop(c->timer);
    c->state = PG_UP;
    metric_add(&up, 1);
    if (PQsetnonblocking(c->pq, 1) != 0 || !PQenterPipelineMode(c->pq) || send_settings(c) != OK ||
        poll_watch(c, UV_READABLE | UV_WRITABLE) != OK) {
        conn_retry(c);
        return;
    }
    c->failures = 0;
    LOG_I("pg_connected", "conn=%d", c->index);
    pg_pump(c->pool);
}

static void conn_step(struct pg_conn *c)
{
    /* PQconnectPoll may close its socket and open another, perhaps with the same number. */
    poll_close(c);
    PostgresPollingStatusType st = PQconnectPoll(c->pq);
    int rc = OK;
    if (st == PGRES_POLLING_OK)
        conn_up(c);
    else if (st == PGRES_POLLING_READING)
        rc = poll_watch(c, UV_READABLE);
    else if (st == PGRES_POLLING_WRITING)
        rc = poll_watch(c, UV_WRITABLE);
    else
        rc = ERR_IO;
    if (rc != OK) {
        char text[160];
        snprintf(text, sizeof(text), "%.150s", PQerrorMessage(c->pq));
        text[strcspn(text, "\n")] = 0;
        LOG_W("pg_connect_failed", "conn=%d why=\"%s\"", c->index, text);
        conn_retry(c);
    }
}

static void on_conn_timer(void *arg)
{
    struct pg_conn *c = arg;
    if (c->state == PG_DOWN) {
        conn_start(c);
    } else if (c->state == PG_CONNECTING || c->broken) {
        LOG_W("pg_connection_reset", "conn=%d state=%s", c->index,
              c->state == PG_UP ? "up" : "connecting");
        conn_retry(c);
    }
}

void pg_conn_break(struct pg_conn *c)
{
    if (c->state != PG_UP || c->broken)
        return;
    c->broken = true;
    loop_timer_start(c->timer, 0, 0);
}

/* ---- queries ---- */

bool pg_conn_has_room(const struct pg_conn *c)
{
    return c->state == PG_UP && !c->broken && c->n_sent < PG_PIPELINE_DEPTH;
}

bool pg_conn_send(struct pg_conn *c, struct pg_query *q)
{
    q->prepares = !is_prepared(c, q->name);
    q->n_results = q->prepares ? 0 : 1;
    DL_APPEND(c->sent, q);
    c->n_sent++;
    if ((q->prepares && !PQsendPrepare(c->pq, q->name, q->sql, 0, NULL)) ||
        !PQsendQueryPrepared(c->pq, q->name, q->n_params, q->params, NULL, NULL, 0) ||
        !PQpipelineSync(c->pq)) {
        pg_conn_break(c);
        return false;
    }
    if (q->prepares)
        set_prepared(c, q->name);
    if (PQflush(c->pq) != 0)
        poll_watch(c, UV_READABLE | UV_WRITABLE);
    return true;
}

static void note_error(struct pg_query *q, const PGresult *r)
{
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    /* libpq's own errors have no state: the connection is gone */
    q->err = state ? pg_err_of_state(state) : ERR_UNAVAILABLE;
    if (state && strncmp(state, "ST", 2) == 0)
        (void)str_copy(q->raised, sizeof(q->raised), text ? text : "");
    else if (q->err == ERR_IO)
        LOG_E("pg_query_failed", "query=%s sqlstate=%s text=\"%s\"", q->name, state,
              text ? text : "");
}

/* The server doesn't know the statement although we thought so (its Parse failed in a group of its
 * own before us, or a pooler gave us another backend), or knows it although we didn't. */
static bool statement_mismatch(const PGresult *r)
{
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    return state && (strcmp(state, "26000") == 0 || strcmp(state, "42P05") == 0);
}

static void on_result(struct pg_conn *c, struct pg_query *q, PGresult *r)
{
    ExecStatusType st = PQresultStatus(r);
    if (st == PGRES_PIPELINE_ABORTED) {
        PQclear(r);
    } else if (st == PGRES_FATAL_ERROR || st == PGRES_BAD_RESPONSE) {
        if (q->prepares && q->n_results == 0)
            unset_prepared(c, q->name);
        if (statement_mismatch(r) && !q->retried) {
            q->err = ERR_AGAIN;
            if (q->prepares)
                set_prepared(c, q->name);
            else
                unset_prepared(c, q->name);
        } else {
            note_error(q, r);
        }
        PQclear(r);
    } else if (q->n_results == 0) {
        PQclear(r); /* of the Parse */
    } else if (!q->result) {
        q->result = r;
        r = NULL;
    } else {
        PQclear(r);
    }
    q->n_results++;
}

static void on_sync(struct pg_conn *c)
{
    struct pg_query *q = c->sent;
    if (!q)
        return;
    DL_DELETE(c->sent, q);
    c->n_sent--;
    if (q->err == ERR_AGAIN) { /* it wasn't run: once more, in its lane's place as far as may be */
        q->err = OK;
        q->retried = true;
        pg_conn_send(c, q);
        return;
    }
    PGresult *r = q->result;
    q->result = NULL;
    pg_finish(c->pool, q, q->err, q->err == OK ? r : NULL);
    PQclear(r);
}

static void read_results(struct pg_conn *c)
{
    int nothing = 0; /* a NULL ends a query's results; two in a row mean that nothing is left */
    while (c->sent && !PQisBusy(c->pq) && nothing < 2) {
        PGresult *r = PQgetResult(c->pq);
        if (!r) {
            nothing++;
            continue;
        }
        nothing = 0;
        if (PQresultStatus(r) == PGRES_PIPELINE_SYNC) {
            PQclear(r);
            on_sync(c);
        } else {
            on_result(c, c->sent, r);
        }
    }
}

static void conn_ready(struct pg_conn *c, int events)
{
    if ((events & UV_READABLE) && !PQconsumeInput(c->pq)) {
        read_results(c); /* what came whole before the end is still true */
        LOG_W("pg_connection_lost", "conn=%d lost=%d", c->index, c->n_sent);
        conn_retry(c);
        return;
    }
    read_results(c);
    if (PQstatus(c->pq) == CONNECTION_BAD) {
        LOG_W("pg_connection_lost", "conn=%d lost=%d", c->index, c->n_sent);
        conn_retry(c);
        return;
    }
    int left = PQflush(c->pq);
    if (left < 0)
        pg_conn_break(c);
    else
        poll_watch(c, left ? UV_READABLE | UV_WRITABLE : UV_READABLE);
    pg_pump(c->pool);
}

int pg_conn_init(struct pg_conn *c, struct pg *p, int index)
{
    metric_register(&reconnects);
    metric_register(&up);
    c->pool = p;
    c->index = index;
    c->timer = loop_timer_new(p->loop, on_conn_timer, c);
    if (!c->timer)
        return ERR_NOMEM;
    loop_timer_start(c->timer, 0, 0);
    return OK;
}

void pg_conn_close(struct pg_conn *c, int err)
{
    loop_timer_free(c->timer);
    c->timer = NULL;
    conn_down(c, err);
}
