#include "messaging/inbox.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/err.h"
#include "lib/base/log.h"

#define NUMBER_TEXT 24

/* One query under way: which of the callbacks is used says what it was. */
struct inbox_query {
    inbox_rows_fn rows;
    inbox_start_fn start;
    inbox_acked_fn acked;
    void *arg;
};

static void number(char out[NUMBER_TEXT], int64_t v)
{
    snprintf(out, NUMBER_TEXT, "%" PRId64, v);
}

static struct inbox_query *query_new(void *arg)
{
    struct inbox_query *q = calloc(1, sizeof(*q));
    if (!q)
        abort(); /* control plane: nothing to go on with, as in json.h */
    q->arg = arg;
    return q;
}

static void rows_done(void *arg, int err, const struct pg_result *res)
{
    struct inbox_query *q = arg;
    struct inbox_row rows[INBOX_PAGE];
    size_t n = 0;
    int64_t last = 0;
    int total = err == OK ? pg_rows(res) : 0;
    for (int i = 0; i < total; i++) {
        last = pg_int(res, i, 0);
        if (!pg_text(res, i, 1) || n == INBOX_PAGE)
            continue; /* the row that only says the newest cursor */
        rows[n].cursor = pg_int(res, i, 1);
        rows[n].device_id = pg_text(res, i, 2);
        rows[n].type = pg_text(res, i, 3);
        rows[n].data = pg_text(res, i, 4);
        n++;
    }
    q->rows(q->arg, err, rows, n, last);
    free(q);
}

static void start_done(void *arg, int err, const struct pg_result *res)
{
    struct inbox_query *q = arg;
    if (err == OK && pg_rows(res) == 1)
        q->start(q->arg, OK, pg_int(res, 0, 0), pg_int(res, 0, 1), pg_bool(res, 0, 2));
    else
        q->start(q->arg, err ? err : ERR_IO, 0, 0, false);
    free(q);
}

static void ack_done(void *arg, int err, const struct pg_result *res)
{
    struct inbox_query *q = arg;
    if (q->acked)
        q->acked(q->arg, err, err == OK && pg_rows(res) == 1 ? pg_int(res, 0, 0) : 0);
    free(q);
}

/* The newest cursor comes with each row, and alone where there is none: one snapshot for both, so a
 * short page with `last` says that everything up to it was seen. */
int inbox_read(struct pg *pg, const char *user_id, const char *device_id, int64_t since, int limit,
               inbox_rows_fn fn, void *arg)
{
    char from[NUMBER_TEXT], page[NUMBER_TEXT];
    number(from, since);
    number(page, limit < 1 ? 1 : limit > INBOX_PAGE ? INBOX_PAGE : limit);
    const char *params[] = {user_id, device_id, from, page};
    struct inbox_query *q = query_new(arg);
    q->rows = fn;
    int err = pg_query(pg, "inbox_read",
                       "SELECT coalesce(c.last_cursor, 0), i.cursor, i.device_id, i.type, i.data "
                       "FROM (SELECT $1::uuid AS owner) me "
                       "LEFT JOIN inbox_counters c ON c.user_id = me.owner "
                       "LEFT JOIN LATERAL (SELECT * FROM inbox i WHERE i.user_id = me.owner"
                       " AND i.cursor > $3::bigint AND i.expires_at > now()"
                       " AND ($2::uuid IS NULL OR i.device_id IS NULL OR i.device_id = $2::uuid)"
                       " ORDER BY i.cursor LIMIT $4::int) i ON true ORDER BY i.cursor",
                       4, params, NULL, rows_done, q);
    if (err)
        free(q);
    return err;
}

int inbox_start(struct pg *pg, const char *user_id, const char *device_id, int64_t since,
                inbox_start_fn fn, void *arg)
{
    char from[NUMBER_TEXT];
    number(from, since < 0 ? -1 : since);
    const char *params[] = {user_id, device_id, from};
    struct inbox_query *q = query_new(arg);
    q->start = fn;
    int err = pg_query(pg, "inbox_start",
                       "SELECT start, last, lost FROM inbox_start($1::uuid, $2::uuid, $3::bigint)",
                       3, params, NULL, start_done, q);
    if (err)
        free(q);
    return err;
}

int inbox_ack(struct pg *pg, const char *user_id, const char *device_id, int64_t cursor,
              inbox_acked_fn fn, void *arg)
{
    char upto[NUMBER_TEXT];
    number(upto, cursor);
    const char *params[] = {user_id, device_id, upto};
    struct inbox_query *q = query_new(arg);
    q->acked = fn;
    int err = pg_query(pg, "inbox_ack", "SELECT inbox_ack($1::uuid, $2::uuid, $3::bigint)", 3,
                       params, NULL, ack_done, q);
    if (err)
        free(q);
    return err;
}

static void purge_done(void *arg, int err, const struct pg_result *res)
{
    (void)arg;
    if (err == OK && pg_rows(res) == 1 && pg_int(res, 0, 0) > 0)
        LOG_I("inbox_purged", "rows=%" PRId64, pg_int(res, 0, 0));
}

void inbox_purge(struct pg *pg, int64_t retention_us)
{
    char age[NUMBER_TEXT];
    number(age, retention_us / 1000000);
    const char *params[] = {age};
    pg_query(pg, "inbox_purge", "SELECT inbox_purge(make_interval(secs => $1::float8), 5000)", 1,
             params, NULL, purge_done, NULL);
}
