/* The doctor's look at PostgreSQL. */
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl.h"
#include "ctl/db.h"
#include "ctl/doctor.h"
#include "ctl/schema_files.h"

#define OLDEST_SERVER 150000

static bool remembered(const PGresult *r, const struct schema_file *f)
{
    for (int i = 0; i < PQntuples(r); i++) {
        if (strtol(PQgetvalue(r, i, 0), NULL, 10) == f->version) {
            return strcmp(PQgetvalue(r, i, 1), f->checksum) == 0;
        }
    }
    return false;
}

static void check_migrated(struct doctor *d, PGconn *db)
{
    struct schema_files files;
    size_t missing = 0;

    if (schema_files_read(&files, d->schema_dir) != CTL_OK) {
        doctor_bad(d, "give the folder of migrations: --dir DIR", "the migrations can't be read");
        schema_files_free(&files);
        return;
    }
    PGresult *r = PQexec(db, "SELECT version, checksum FROM schema_migrations");
    for (size_t i = 0; i < files.n; i++) {
        missing += PQresultStatus(r) != PGRES_TUPLES_OK || !remembered(r, &files.item[i]);
    }
    if (missing > 0) {
        doctor_bad(d, "sottoctl migrate", "%zu of %zu migrations aren't applied as they are",
                   missing, files.n);
    } else {
        doctor_good(d, "the database is migrated (%zu applied)", files.n);
    }
    PQclear(r);
    schema_files_free(&files);
}

void doctor_database(struct doctor *d)
{
    PGconn *db = db_open(d->config);

    if (!db) {
        doctor_bad(d, "start PostgreSQL, or put [postgres] conninfo right",
                   "the database can't be reached");
        return;
    }
    int version = PQserverVersion(db);
    if (version < OLDEST_SERVER) {
        doctor_bad(d, "use PostgreSQL 15 or later", "PostgreSQL %d is too old", version / 10000);
    } else {
        doctor_good(d, "PostgreSQL %d answers", version / 10000);
    }
    check_migrated(d, db);
    PQfinish(db);
}
