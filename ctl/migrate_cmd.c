/* sottoctl migrate: brings the database to what schema/ says. Each file runs once, in a transaction
 * of its own with the row that remembers it; an advisory lock lets only one migrate at a time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ctl/ctl.h"
#include "ctl/db.h"
#include "ctl/schema_files.h"
#include "lib/base/err.h"
#include "lib/base/ids.h"

#define LOCK_KEY "7237128890017" /* any number, as long as every sottoctl takes the same */

static int run(PGconn *db, const char *sql)
{
    PGresult *r = db_query(db, sql, 0, NULL);

    PQclear(r);
    return r ? CTL_OK : CTL_FAILURE;
}

static int lock(PGconn *db)
{
    PGresult *r = db_query(db, "SELECT pg_try_advisory_lock(" LOCK_KEY ")", 0, NULL);

    if (!r) {
        return CTL_FAILURE;
    }
    bool got = strcmp(PQgetvalue(r, 0, 0), "t") == 0;
    PQclear(r);
    if (got) {
        return CTL_OK;
    }
    printf("another migration is running; waiting for it\n");
    fflush(stdout);
    return run(db, "SELECT pg_advisory_lock(" LOCK_KEY ")");
}

static int prepare(PGconn *db)
{
    int rc = lock(db);

    /* A migration that can't get a table's lock fails instead of stopping everybody behind it. */
    if (rc == CTL_OK) {
        rc = run(db, "SET lock_timeout = '30s'");
    }
    if (rc == CTL_OK) {
        rc = run(db, "CREATE TABLE IF NOT EXISTS schema_migrations ("
                     "version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, "
                     "applied_at timestamptz NOT NULL DEFAULT now())");
    }
    return rc;
}

static struct schema_file *find(const struct schema_files *f, int version)
{
    for (size_t i = 0; i < f->n; i++) {
        if (f->item[i].version == version) {
            return &f->item[i];
        }
    }
    return NULL;
}

/* Compares one applied row with the folder. */
static int check_row(const struct schema_files *f, const PGresult *r, int row, const char *dir)
{
    const char *name = PQgetvalue(r, row, 1);
    struct schema_file *file = find(f, (int)strtol(PQgetvalue(r, row, 0), NULL, 10));

    if (!file) {
        return ctl_fail("the database has %s, which %s lacks: it was migrated by a newer Sotto; "
                        "use that one",
                        name, dir);
    }
    if (strcmp(file->checksum, PQgetvalue(r, row, 2)) != 0) {
        return ctl_fail("%s/%s was changed after it was applied: restore it, and put the change "
                        "into a new file with a higher number",
                        dir, file->name);
    }
    free(file->sql); /* applied: nothing to run */
    file->sql = NULL;
    return CTL_OK;
}

static int check_applied(PGconn *db, const struct schema_files *f, const char *dir)
{
    PGresult *r = db_query(
        db, "SELECT version, name, checksum FROM schema_migrations ORDER BY version", 0, NULL);
    int rc = r ? CTL_OK : CTL_FAILURE;

    for (int i = 0; rc == CTL_OK && i < PQntuples(r); i++) {
        rc = check_row(f, r, i, dir);
    }
    PQclear(r);
    return rc;
}

/* The line of the file that PostgreSQL's position (characters from 1) is in; 0 when it gave none.
 */
static int line_of(const char *sql, const char *position)
{
    long left = position ? strtol(position, NULL, 10) : 0;
    int line = 1;

    if (left <= 0) {
        return 0;
    }
    for (; *sql && left > 1; sql++) {
        line += *sql == '\n';
        left -= ((unsigned char)sql[1] & 0xc0) != 0x80;
    }
    return line;
}

static int sql_failed(const struct schema_file *f, const char *dir, const PGresult *r)
{
    const char *message = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    const char *hint = PQresultErrorField(r, PG_DIAG_MESSAGE_HINT);
    int line = line_of(f->sql, PQresultErrorField(r, PG_DIAG_STATEMENT_POSITION));
    char where[24] = "";

    if (line > 0) {
        snprintf(where, sizeof where, ":%d", line);
    }
    return ctl_fail("%s/%s%s: %s%s%s (nothing of this file was applied)", dir, f->name, where,
                    message ? message : "the connection was lost", hint ? ". " : "",
                    hint ? hint : "");
}

static int remember(PGconn *db, const struct schema_file *f)
{
    char version[12];

    snprintf(version, sizeof version, "%d", f->version);
    const char *const params[] = {version, f->name, f->checksum};
    PGresult *r =
        db_query(db, "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)",
                 3, params);
    PQclear(r);
    return r ? CTL_OK : CTL_FAILURE;
}

/* A line that ends the transaction, which would leave half a migration. (PL/pgSQL's BEGIN and END
 * are no such lines.) */
static bool ends_transaction(const char *sql)
{
    while (*sql) {
        sql += strspn(sql, " \t\r\n");
        if (strncasecmp(sql, "commit;", 7) == 0 || strncasecmp(sql, "rollback;", 9) == 0) {
            return true;
        }
        sql += strcspn(sql, "\n");
    }
    return false;
}

static int apply(PGconn *db, const struct schema_file *f, const char *dir)
{
    int64_t start_us = clock_mono_us();
    int rc = CTL_OK;

    if (ends_transaction(f->sql)) {
        return ctl_fail("%s/%s must not COMMIT or ROLLBACK: it runs in a transaction of its own",
                        dir, f->name);
    }
    rc = run(db, "BEGIN");
    if (rc != CTL_OK) {
        return rc;
    }
    PGresult *r = PQexec(db, f->sql);
    ExecStatusType status = PQresultStatus(r);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY) {
        rc = sql_failed(f, dir, r);
    } else if (PQtransactionStatus(db) != PQTRANS_INTRANS) {
        rc = ctl_fail("%s/%s ended its transaction: part of it stands now; undo that by hand", dir,
                      f->name);
    }
    PQclear(r);
    if (rc == CTL_OK) {
        rc = remember(db, f);
    }
    if (rc == CTL_OK) {
        rc = run(db, "COMMIT");
    }
    if (rc == CTL_OK) {
        printf("applied %s (%lld ms)\n", f->name, (long long)(clock_mono_us() - start_us) / 1000);
        fflush(stdout);
    }
    return rc; /* on failure the connection is closed next, which rolls back */
}

static int migrate(PGconn *db, const struct schema_files *f, const char *dir)
{
    int rc = prepare(db);
    int applied = 0;

    if (rc == CTL_OK) {
        rc = check_applied(db, f, dir);
    }
    for (size_t i = 0; rc == CTL_OK && i < f->n; i++) {
        if (f->item[i].sql) {
            rc = apply(db, &f->item[i], dir);
            applied++;
        }
    }
    if (rc == CTL_OK) {
        printf(applied ? "database is up to date: %d applied now, %zu in all\n"
                       : "database is up to date (%d to apply, %zu in all)\n",
               applied, f->n);
    }
    return rc;
}

int cmd_migrate(struct ctl *c)
{
    const char *dir = "schema";
    const struct ctl_option options[] = {{.name = "--dir", .value = &dir}, {0}};
    struct schema_files files;
    int rc = ctl_options(c, options);

    if (rc != CTL_OK) {
        return rc;
    }
    rc = schema_files_read(&files, dir);
    PGconn *db = rc == CTL_OK ? db_open(c->config) : NULL;
    rc = db ? migrate(db, &files, dir) : CTL_FAILURE;
    PQfinish(db);
    schema_files_free(&files);
    return rc;
}
