#include "ctl/schema_files.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"

#define MAX_FILE ((size_t)1 << 20)

static int is_sql(const struct dirent *d)
{
    size_t n = strlen(d->d_name);

    return d->d_name[0] != '.' && n > 4 && strcmp(d->d_name + n - 4, ".sql") == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int parse_name(struct schema_file *f, const char *name)
{
    bool digits = isdigit((unsigned char)name[0]) && isdigit((unsigned char)name[1]) &&
                  isdigit((unsigned char)name[2]);

    if (!digits || name[3] != '_' || str_copy(f->name, sizeof f->name, name) != OK) {
        return ERR_INVALID;
    }
    f->version = (name[0] - '0') * 100 + (name[1] - '0') * 10 + name[2] - '0';
    return OK;
}

static int read_file(struct schema_file *f, const char *dir)
{
    char path[PATH_MAX];
    uint8_t hash[SHA256_LEN];

    snprintf(path, sizeof path, "%s/%s", dir, f->name);
    FILE *in = fopen(path, "re");
    f->sql = malloc(MAX_FILE + 1);
    if (!in || !f->sql) {
        int saved = errno;
        if (in) {
            fclose(in);
        }
        return ctl_fail("%s: %s", path, strerror(saved));
    }
    size_t n = fread(f->sql, 1, MAX_FILE + 1, in);
    bool bad = ferror(in) != 0;
    fclose(in);
    if (bad || n > MAX_FILE || !utf8_is_valid(f->sql, n)) {
        return ctl_fail("%s: not a readable UTF-8 file of at most 1 MiB", path);
    }
    f->sql[n] = 0;
    sha256(hash, f->sql, n);
    hex_encode(f->checksum, hash, sizeof hash);
    return CTL_OK;
}

static int add(struct schema_files *out, const char *dir, const char *name)
{
    struct schema_file *f = &out->item[out->n++];

    if (parse_name(f, name) != OK) {
        return ctl_fail("%s/%s: a migration is called NNN_subject.sql", dir, name);
    }
    if (out->n > 1 && f[-1].version == f->version) {
        return ctl_fail("%s: %s and %s have one number: renumber the newer one", dir, f[-1].name,
                        f->name);
    }
    return read_file(f, dir);
}

int schema_files_read(struct schema_files *out, const char *dir)
{
    struct dirent **found;
    int n = scandir(dir, &found, is_sql, by_name);
    int rc = CTL_OK;

    *out = (struct schema_files){0};
    if (n < 0) {
        return ctl_fail("%s: %s (give the folder of migrations: --dir DIR)", dir, strerror(errno));
    }
    out->item = calloc((size_t)n + 1, sizeof *out->item);
    if (!out->item) {
        rc = ctl_fail("out of memory");
    }
    for (int i = 0; i < n; i++) {
        if (rc == CTL_OK) {
            rc = add(out, dir, found[i]->d_name);
        }
        free(found[i]);
    }
    free(found);
    if (rc == CTL_OK && n == 0) {
        rc = ctl_fail("%s holds no migrations (give their folder: --dir DIR)", dir);
    }
    return rc;
}

void schema_files_free(struct schema_files *f)
{
    for (size_t i = 0; i < f->n; i++) {
        free(f->item[i].sql);
    }
    free(f->item);
    *f = (struct schema_files){0};
}
