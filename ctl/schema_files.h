/* The numbered migrations of a folder. */
#ifndef SOTTO_CTL_SCHEMA_FILES_H
#define SOTTO_CTL_SCHEMA_FILES_H

#include <stddef.h>

#include "lib/base/crypto.h"

struct schema_file {
    int version;   /* the three digits that the name begins with */
    char name[64]; /* "010_users.sql" */
    char *sql;
    char checksum[2 * SHA256_LEN + 1];
};

struct schema_files {
    struct schema_file *item; /* by version */
    size_t n;
};

/* Reads every NNN_subject.sql of dir. CTL_OK; CTL_FAILURE and an error line when there is none, a
 * name is wrong, two have one number, or a file can't be read. Free in both cases. */
int schema_files_read(struct schema_files *out, const char *dir);
void schema_files_free(struct schema_files *f);

#endif
