#include "ctl/db.h"

#include <string.h>

#include "ctl/ctl.h"

/* libpq's messages are whole paragraphs with a newline; ours are one line. */
static int first_line(const char *message)
{
    return (int)strcspn(message, "\n");
}

static void ignore_notice(void *arg, const char *message)
{
    (void)arg;
    (void)message;
}

PGconn *db_open(const struct config *c)
{
    const char *conninfo = config_str(c, "postgres.conninfo");
    const char *const names[] = {"dbname", "connect_timeout", "application_name", "client_encoding",
                                 NULL};
    const char *const values[] = {conninfo, "10", "sottoctl", "UTF8", NULL};

    if (!*conninfo) {
        (void)ctl_fail("[postgres] conninfo isn't set: put it into the configuration, such as "
                       "conninfo = host=/run/postgresql dbname=sotto");
        return NULL;
    }
    PGconn *db = PQconnectdbParams(names, values, 1);
    if (PQstatus(db) != CONNECTION_OK) {
        const char *m = PQerrorMessage(db);
        (void)ctl_fail("no connection to PostgreSQL: %.*s (is it running, and is [postgres] "
                       "conninfo right?)",
                       first_line(m), m);
        PQfinish(db);
        return NULL;
    }
    PQsetNoticeProcessor(db, ignore_notice, NULL);
    return db;
}

PGresult *db_query(PGconn *db, const char *sql, int n, const char *const *params)
{
    PGresult *r = PQexecParams(db, sql, n, NULL, params, NULL, NULL, 0);
    ExecStatusType status = PQresultStatus(r);

    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
        return r;
    }
    const char *m = PQerrorMessage(db);
    (void)ctl_fail("database: %.*s", first_line(m), m);
    PQclear(r);
    return NULL;
}
