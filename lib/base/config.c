#include "lib/base/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/config_private.h"
#include "lib/base/err.h"

extern char **environ;

size_t config_count(void)
{
    size_t n = 0;

    while (config_keys[n].name) {
        n++;
    }
    return n;
}

int config_find(const char *name)
{
    for (int i = 0; config_keys[i].name; i++) {
        if (strcmp(config_keys[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

/* Reads at most cap bytes of an open file into out. */
static int read_all(int fd, char *out, size_t cap, size_t *len)
{
    *len = 0;
    while (*len < cap) {
        ssize_t n = read(fd, out + *len, cap - *len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return ERR_IO;
        }
        if (n == 0) {
            return OK;
        }
        *len += (size_t)n;
    }
    return ERR_TOO_LARGE;
}

static int open_error(const char *path, char *why, size_t cap)
{
    if (errno == ENOENT) {
        snprintf(why, cap, "%s: no such file (make one: sottoctl config init > %s)", path, path);
        return ERR_NOT_FOUND;
    }
    snprintf(why, cap, "%s: %s", path, strerror(errno));
    return ERR_IO;
}

static int load_file(struct config *c, char *why, size_t cap)
{
    size_t len;
    int fd = open(c->path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        return open_error(c->path, why, cap);
    }
    char *text = malloc(CONFIG_MAX_FILE + 1);
    int rc = text ? read_all(fd, text, CONFIG_MAX_FILE, &len) : ERR_NOMEM;
    if (rc == OK) {
        text[len] = 0;
        rc = config_read_file(c, text, len, why, cap);
    } else if (rc == ERR_TOO_LARGE) {
        snprintf(why, cap, "%s: larger than %zu KiB", c->path, CONFIG_MAX_FILE >> 10);
        rc = ERR_INVALID;
    } else if (rc == ERR_IO) {
        snprintf(why, cap, "%s: %s", c->path, strerror(errno));
    }
    free(text);
    close(fd);
    return rc;
}

/* Everything up to the last slash, "." without one. */
static char *folder_of(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;

    if (!slash) {
        return strdup(".");
    }
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

static int set_defaults(struct config *c, char *why, size_t cap)
{
    char reason[256] = "";

    for (size_t i = 0; config_keys[i].name; i++) {
        int rc = config_value_set(&c->values[i], &config_keys[i], c->folder, config_keys[i].dflt,
                                  "default", reason, sizeof reason);
        if (rc != OK) {
            snprintf(why, cap, "default of %s: %s", config_keys[i].name, reason);
            return rc;
        }
    }
    return OK;
}

int config_load(struct config **out, const char *path, char *why, size_t why_cap)
{
    struct config *c = calloc(1, sizeof *c);
    int rc = ERR_NOMEM;

    snprintf(why, why_cap, "out of memory");
    if (!c) {
        return rc;
    }
    c->folder = folder_of(path);
    c->path = path ? strdup(path) : NULL;
    c->values = calloc(config_count(), sizeof *c->values);
    if (c->folder && c->values && (c->path || !path)) {
        rc = set_defaults(c, why, why_cap);
    }
    if (rc == OK && path) {
        rc = load_file(c, why, why_cap);
    }
    if (rc == OK) {
        rc = config_read_environment(c, environ, why, why_cap);
    }
    if (rc == OK) {
        rc = config_check_rules(c, why, why_cap);
    }
    if (rc != OK) {
        config_free(c);
        return rc;
    }
    why[0] = 0;
    *out = c;
    return OK;
}

void config_free(struct config *c)
{
    if (!c) {
        return;
    }
    for (size_t i = 0; c->values && config_keys[i].name; i++) {
        config_value_free(&c->values[i]);
    }
    free(c->values);
    free(c->folder);
    free(c->path);
    free(c);
}

/* A name that isn't in the table, or is of another type, is a bug of ours: better found at once. */
static const struct config_value *value_of(const struct config *c, const char *name, unsigned types)
{
    int i = config_find(name);

    if (i < 0 || !(types >> config_keys[i].type & 1)) {
        fprintf(stderr, "config: %s is not a key of the asked type\n", name);
        abort();
    }
    return &c->values[i];
}

#define ANY_TYPE (~0u)

const char *config_str(const struct config *c, const char *name)
{
    return value_of(c, name, ANY_TYPE)->shown;
}

int64_t config_int(const struct config *c, const char *name)
{
    return value_of(c, name, 1u << CONFIG_INT)->number;
}

bool config_bool(const struct config *c, const char *name)
{
    return value_of(c, name, 1u << CONFIG_BOOL)->number != 0;
}

int64_t config_duration_us(const struct config *c, const char *name)
{
    return value_of(c, name, 1u << CONFIG_DURATION)->number;
}

const char *config_item(const struct config *c, const char *name, size_t i)
{
    const struct config_value *v = value_of(c, name, 1u << CONFIG_LIST | 1u << CONFIG_ADDRESSES);

    return i < v->n_items ? v->items[i] : NULL;
}

const char *config_origin(const struct config *c, const char *name)
{
    return value_of(c, name, ANY_TYPE)->origin;
}

static int read_secret(char *out, size_t cap, int fd)
{
    struct stat st;
    size_t len;

    if (fstat(fd, &st) != 0) {
        return ERR_IO;
    }
    if (st.st_mode & S_IRWXO) {
        return ERR_FORBIDDEN;
    }
    int rc = read_all(fd, out, cap, &len);
    if (rc != OK) {
        return rc;
    }
    while (len > 0 && (out[len - 1] == '\n' || out[len - 1] == '\r')) {
        len--;
    }
    out[len] = 0;
    return len > 0 && !memchr(out, 0, len) ? OK : ERR_INVALID;
}

int config_read_secret(char *out, size_t cap, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        return errno == ENOENT ? ERR_NOT_FOUND : errno == EACCES ? ERR_FORBIDDEN : ERR_IO;
    }
    int rc = cap ? read_secret(out, cap, fd) : ERR_TOO_LARGE;
    if (rc != OK && cap) {
        memset(out, 0, cap);
    }
    close(fd);
    return rc;
}
