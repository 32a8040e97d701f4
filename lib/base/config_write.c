/* The two texts of `sottoctl config`: the documented template, and what is in force. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/base/config_private.h"
#include "lib/base/err.h"

/* Appends text as comment lines of at most 98 columns. */
static int comment(struct buf *out, const char *text)
{
    size_t column = 0;
    int rc = OK;

    while (*text && rc == OK) {
        size_t n = strcspn(text, " ");
        if (column == 0 || column + 1 + n > 98) {
            rc = buf_printf(out, "%s# %.*s", column ? "\n" : "", (int)n, text);
            column = 2 + n;
        } else {
            rc = buf_printf(out, " %.*s", (int)n, text);
            column += 1 + n;
        }
        text += n;
        text += strspn(text, " ");
    }
    return rc == OK ? buf_append_str(out, "\n") : rc;
}

/* The section that a key is in, when it is the first of it. */
static const struct config_section *section_start(size_t i)
{
    const char *name = config_keys[i].name;
    size_t n = strcspn(name, ".") + 1;

    if (i > 0 && strncmp(config_keys[i - 1].name, name, n) == 0) {
        return NULL;
    }
    for (const struct config_section *s = config_sections; s->name; s++) {
        if (strlen(s->name) == n - 1 && strncmp(s->name, name, n - 1) == 0) {
            return s;
        }
    }
    return NULL;
}

static int assignment(struct buf *out, const char *key, const char *value)
{
    bool quote = strchr(value, '#') || value[0] == ' ';

    return buf_printf(out, quote ? "%s = \"%s\"" : *value ? "%s = %s" : "%s =%s", key, value);
}

int config_write_template(struct buf *out)
{
    int rc = comment(
        out, "Sotto's configuration, with every key and its default. A key [section] key is "
             "overridden by the environment variable SOTTO_SECTION_KEY. Relative paths "
             "are relative to the folder of this file. Times are written 500ms, 60s, "
             "15m, 24h, 30d; lists with commas.");

    for (size_t i = 0; config_keys[i].name && rc == OK; i++) {
        const struct config_key *k = &config_keys[i];
        const struct config_section *s = section_start(i);
        if (s) {
            rc = buf_append_str(out, "\n");
            rc = rc == OK ? comment(out, s->doc) : rc;
            rc = rc == OK ? buf_printf(out, "[%s]\n", s->name) : rc;
        }
        rc = rc == OK ? comment(out, k->doc) : rc;
        rc = rc == OK && k->words ? buf_printf(out, "# One of %s.\n", k->words) : rc;
        rc = rc == OK ? assignment(out, strchr(k->name, '.') + 1, k->dflt) : rc;
        rc = rc == OK ? buf_append_str(out, "\n") : rc;
    }
    return rc;
}

/* Appends text up to end, of which the bytes from..to are a password. */
static int hide(struct buf *out, const char *text, size_t from, size_t to)
{
    int rc = buf_append(out, text, from);

    rc = rc == OK ? buf_append_str(out, "***") : rc;
    return rc == OK ? buf_append_str(out, text + to) : rc;
}

/* A libpq connection string without its password: `password=…` (quoted or not) or `//user:…@`. */
static int write_conninfo(struct buf *out, const char *text)
{
    const char *word = strcasestr(text, "password");
    const char *uri = strstr(text, "://");

    if (word) {
        const char *at = word + strlen("password");
        at += strspn(at, " =");
        size_t from = (size_t)(at - text);
        size_t n = strcspn(at, " &");
        if (*at == '\'') {
            for (n = 1; at[n] && at[n] != '\''; n++) {
                n += at[n] == '\\' && at[n + 1];
            }
            n += at[n] == '\'';
        }
        return hide(out, text, from, from + n);
    }
    if (uri) {
        const char *host = strchr(uri + 3, '@');
        const char *colon = strchr(uri + 3, ':');
        if (host && colon && colon < host) {
            return hide(out, text, (size_t)(colon + 1 - text), (size_t)(host - text));
        }
    }
    return buf_append_str(out, text);
}

int config_write_effective(const struct config *c, struct buf *out)
{
    int rc = OK;

    for (size_t i = 0; config_keys[i].name && rc == OK; i++) {
        const struct config_key *k = &config_keys[i];
        const struct config_value *v = &c->values[i];
        const struct config_section *s = section_start(i);
        if (s) {
            rc = buf_printf(out, "%s[%s]\n", i ? "\n" : "", s->name);
        }
        if (rc == OK && k->secret) {
            rc = buf_printf(out, "%s = ", strchr(k->name, '.') + 1);
            rc = rc == OK ? write_conninfo(out, v->shown) : rc;
        } else if (rc == OK) {
            rc = assignment(out, strchr(k->name, '.') + 1, v->shown);
        }
        rc = rc == OK ? buf_printf(out, " # %s\n", v->origin) : rc;
    }
    return rc;
}
