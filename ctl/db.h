/* PostgreSQL for a command: one plain blocking connection. */
#ifndef SOTTO_CTL_DB_H
#define SOTTO_CTL_DB_H

#include <libpq-fe.h>

#include "lib/base/config.h"

/* Connects as [postgres] conninfo says, ten seconds at most. NULL, and an error line that says what
 * to do. Close with PQfinish. */
PGconn *db_open(const struct config *c);
/* Runs a statement with text parameters; NULL and an error line when it fails. Free with PQclear.
 */
PGresult *db_query(PGconn *db, const char *sql, int n, const char *const *params);

#endif
