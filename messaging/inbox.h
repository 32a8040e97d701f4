/* The inbox: every durable event of a user in one ever-growing sequence. The cursor is drawn under
 * a lock on the user's counter row that lasts until commit, so cursor order is commit order and a
 * reader that has seen cursor n will never find a row below n later.
 *
 * Rows are written from SQL, in the transaction that makes the event true:
 *   inbox_append(user uuid, device uuid or NULL for all, type text, data jsonb, ttl interval) →
 * bigint inbox_append_users(users uuid[], type text, data jsonb, ttl interval)   locks in a fixed
 * order; a transaction that writes to several users must use the latter (or go through users
 * ascending). After the commit, hub_announce(user) for each. */
#ifndef SOTTO_MESSAGING_INBOX_H
#define SOTTO_MESSAGING_INBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/io/pg.h"

#define INBOX_PAGE 200 /* rows a read */

struct inbox_row {
    int64_t cursor;
    const char *device_id; /* NULL: for all devices of the user */
    const char *type;
    const char *data; /* JSON text */
};

/* rows are borrowed for the call and ascending; fewer than the limit means that the end was
 * reached. `last` is the user's newest cursor as this read saw it. */
typedef void (*inbox_rows_fn)(void *arg, int err, const struct inbox_row *rows, size_t n,
                              int64_t last);
/* Reads rows after `since`: for one device (its own and those for all), or with device_id NULL for
 * every device. fn is called later unless an error is returned (that of pg_query). Expired rows are
 * left out; limit is 1..INBOX_PAGE. */
int inbox_read(struct pg *pg, const char *user_id, const char *device_id, int64_t since, int limit,
               inbox_rows_fn fn, void *arg);

/* Where a device starts: since >= 0 as asked (at most the newest cursor); with -1 from what it has
 * acknowledged, and for a device that never did, from the day it was registered. `purged`: rows
 * after the start are gone by age, the client must read its state anew. Returns as inbox_read. */
typedef void (*inbox_start_fn)(void *arg, int err, int64_t start, int64_t last, bool purged);
int inbox_start(struct pg *pg, const char *user_id, const char *device_id, int64_t since,
                inbox_start_fn fn, void *arg);

/* The device has taken everything up to cursor (never goes back; at most the newest cursor). fn
 * gets the cursor as kept; may be NULL. Returns as inbox_read. */
typedef void (*inbox_acked_fn)(void *arg, int err, int64_t cursor);
int inbox_ack(struct pg *pg, const char *user_id, const char *device_id, int64_t cursor,
              inbox_acked_fn fn, void *arg);

/* Deletes rows past their time and rows older than retention_us, in bounded steps; for a timer. */
void inbox_purge(struct pg *pg, int64_t retention_us);

#endif
