/* PostgreSQL without blocking: a few connections on the loop, each in libpq's pipeline mode.
 * Statements are prepared once a connection, by name. A connection that breaks reconnects with
 * exponential backoff and full jitter (100 ms … 5 s); queries wait for it in a bounded queue and
 * fail with ERR_UNAVAILABLE after the timeout. A query that was sent when the connection broke
 * fails with ERR_UNAVAILABLE too: its outcome is unknown, so callers must be idempotent
 * (compare-and-set). */
#ifndef SOTTO_IO_PG_H
#define SOTTO_IO_PG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/io/loop.h"

struct pg;

struct pg_options {
    const char *conninfo;     /* libpq connection string */
    int connections;          /* 1..64 */
    int64_t query_timeout_us; /* from pg_query to answer, waiting included */
    size_t max_queued;        /* queries waiting for a connection; then ERR_LIMIT */
};

/* The answer to one query; borrowed, valid inside the callback only. */
struct pg_result;
/* err: OK; ERR_CONFLICT (unique or check violation, serialization); ERR_NOT_FOUND/ERR_FORBIDDEN/
 * ERR_WRONG_STATE/… when SQL raised one of ours (SQLSTATE 'ST' + code, see pg_state.h);
 * ERR_UNAVAILABLE; ERR_TIMEOUT; ERR_IO for any other SQL error (logged). res is NULL unless OK. */
typedef void (*pg_fn)(void *arg, int err, const struct pg_result *res);

/* Opens the pool and begins to connect; never waits. NULL when out of memory. Host names in
 * conninfo are resolved while connecting: prefer an address or a socket folder where the resolver
 * is slow. */
struct pg *pg_open(struct loop *l, const struct pg_options *o);
/* Outstanding queries get ERR_CLOSED. Not to be called from inside a callback of the pool. */
void pg_close(struct pg *p);
/* Inside a callback that got an error raised by our SQL (SQLSTATE 'ST…'): its message, such as
 * "call_not_found"; "" otherwise. */
const char *pg_raised(const struct pg *p);
/* At least one connection is up. */
bool pg_ready(const struct pg *p);

/* Runs a statement as its own implicit transaction. `name` and `sql` are static strings, one sql a
 * name. params are texts ($1…), NULL for SQL NULL, copied. `fn` may be NULL; it is always called
 * later, never from inside pg_query. Returns OK or ERR_LIMIT/ERR_NOMEM/ERR_CLOSED (fn isn't
 * called). `lane` keeps order: queries of the same non-NULL lane run on the same connection in
 * order. */
int pg_query(struct pg *p, const char *name, const char *sql, int n_params,
             const char *const *params, const char *lane, pg_fn fn, void *arg);
/* A statement of several that must commit together belongs in an SQL function under schema/. */

int pg_rows(const struct pg_result *r);
/* Column by index; NULL for SQL NULL. Text form. */
const char *pg_text(const struct pg_result *r, int row, int col);
int64_t pg_int(const struct pg_result *r, int row, int col); /* 0 for NULL */
bool pg_bool(const struct pg_result *r, int row, int col);

#endif
