/* Private to lib/io/pg*.c: the pool (pg.c) and one connection of it (pg_conn.c). */
#ifndef SOTTO_IO_PG_INTERNAL_H
#define SOTTO_IO_PG_INTERNAL_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <uthash.h>
#include <uv.h>

#include "lib/io/pg.h"

struct pg_query {
    const char *name, *sql; /* static */
    int n_params;
    const char **params; /* they and their texts are part of this allocation */
    int lane;            /* index of its connection, or -1 */
    pg_fn fn;            /* NULL once it was told (a timeout): only the answer is awaited then */
    void *arg;
    int64_t start_us, deadline_us;
    bool prepares; /* sent together with its Parse */
    bool retried;  /* its statement was unknown to the server once */
    int n_results; /* of its group, so far */
    int err;
    char raised[64]; /* the message of an error of ours */
    PGresult *result;
    struct pg_query *prev, *next;
};

struct pg_result {
    const PGresult *r;
};

struct pg_prepared {
    const char *name;
    UT_hash_handle hh;
};

enum pg_conn_state { PG_DOWN, PG_CONNECTING, PG_UP };

struct pg_conn {
    struct pg *pool;
    int index;
    enum pg_conn_state state;
    PGconn *pq;
    uv_poll_t *poll;          /* NULL while down; its own allocation, freed by its close callback */
    struct loop_timer *timer; /* down: the next attempt; connecting: the bound of the attempt */
    int failures;
    struct pg_prepared *prepared;
    struct pg_query *sent;    /* in the order of the pipeline */
    struct pg_query *waiting; /* of lanes that live here, until it is up */
    int n_sent;
    bool broken; /* to be reset at the next turn of the loop */
};

struct pg {
    struct loop *loop;
    char *conninfo;
    struct pg_conn *conns;
    int n_conns;
    int64_t timeout_us;
    size_t max_queued, n_waiting;
    struct pg_query *waiting; /* of no lane */
    struct loop_timer *sweep;
    bool sweeping, closed;
    const char *raised; /* inside a callback: what SQL raised, or "" */
};

/* ---- pg_conn.c ---- */
enum { PG_PIPELINE_DEPTH = 256 }; /* sent and unanswered, a connection */

int pg_conn_init(struct pg_conn *c, struct pg *p, int index);
/* Hands what was sent to the pool as unavailable (with `err`), then closes. */
void pg_conn_close(struct pg_conn *c, int err);
/* Sends q, which is in no list; true when the connection took it. */
bool pg_conn_send(struct pg_conn *c, struct pg_query *q);
bool pg_conn_has_room(const struct pg_conn *c);
/* Closes at the next turn of the loop and connects again. */
void pg_conn_break(struct pg_conn *c);

/* ---- pg.c ---- */
/* Tells q's caller and frees it. q is in no list. */
void pg_finish(struct pg *p, struct pg_query *q, int err, const PGresult *r);
/* Sends what waits, as far as connections have room. */
void pg_pump(struct pg *p);

#endif
