/* Where values come from: the ini file's lines, the environment; and what to say of unknown names.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/config_private.h"
#include "lib/base/err.h"
#include "lib/base/json.h"

#define WORD_MAX 64

struct reader {
    struct config *c;
    int line;
    char section[WORD_MAX];
    bool in_section;
    char *why;
    size_t cap;
};

#define SAY(r, fmt, ...)                                                                           \
    (snprintf((r)->why, (r)->cap, "%s:%d: " fmt, (r)->c->path, (r)->line, __VA_ARGS__), ERR_INVALID)

unsigned config_distance(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b);
    unsigned char row[WORD_MAX];

    if (na >= WORD_MAX || nb >= WORD_MAX) {
        return 99;
    }
    for (size_t j = 0; j <= nb; j++) {
        row[j] = (unsigned char)j;
    }
    for (size_t i = 1; i <= na; i++) {
        unsigned char diagonal = row[0];
        row[0] = (unsigned char)i;
        for (size_t j = 1; j <= nb; j++) {
            unsigned best = diagonal + (a[i - 1] != b[j - 1]);
            best = best < row[j] + 1u ? best : row[j] + 1u;
            best = best < row[j - 1] + 1u ? best : row[j - 1] + 1u;
            diagonal = row[j];
            row[j] = (unsigned char)best;
        }
    }
    return row[nb];
}

/* Keeps the better of two guesses; one farther off than a third of the word is none. What stands
 * after the last _ counts too: "prot" may mean "tls_port". */
static void consider(const char **best, unsigned *distance, const char *word, const char *guess)
{
    const char *tail = strrchr(guess, '_');
    unsigned whole = config_distance(word, guess);
    unsigned end = tail ? config_distance(word, tail + 1) + 1 : whole;
    unsigned d = whole < end ? whole : end;
    unsigned most = (unsigned)strlen(word) / 3 + 2;

    if (d <= most && d < *distance) {
        *distance = d;
        *best = guess;
    }
}

static const char *key_of(const struct config_key *k)
{
    return strchr(k->name, '.') + 1;
}

static bool in_section(const struct config_key *k, const char *section)
{
    size_t n = strlen(section);

    return strncmp(k->name, section, n) == 0 && k->name[n] == '.';
}

static int unknown_section(struct reader *r, const char *name)
{
    const char *best = NULL;
    unsigned distance = 99;

    for (const struct config_section *s = config_sections; s->name; s++) {
        consider(&best, &distance, name, s->name);
    }
    if (best) {
        return SAY(r, "unknown section [%s] (did you mean [%s]?)", name, best);
    }
    return SAY(r, "unknown section [%s]", name);
}

static int unknown_key(struct reader *r, const char *name)
{
    const char *best = NULL;
    unsigned distance = 99;

    for (const struct config_key *k = config_keys; k->name; k++) {
        if (in_section(k, r->section)) {
            consider(&best, &distance, name, key_of(k));
        }
    }
    for (const struct config_key *k = config_keys; k->name && distance > 1; k++) {
        if (strcmp(key_of(k), name) == 0) {
            return SAY(r, "unknown key \"%s\" in [%s] (it belongs to [%.*s])", name, r->section,
                       (int)(key_of(k) - k->name - 1), k->name);
        }
    }
    if (best) {
        return SAY(r, "unknown key \"%s\" in [%s] (did you mean \"%s\"?)", name, r->section, best);
    }
    return SAY(r, "unknown key \"%s\" in [%s]", name, r->section);
}

static char *trim(char *s)
{
    s += strspn(s, " \t");
    size_t n = strlen(s);
    while (n > 0 && strchr(" \t\r", s[n - 1])) {
        s[--n] = 0;
    }
    return s;
}

static int read_section(struct reader *r, char *line)
{
    char *end = strchr(line, ']');
    char *rest = end ? trim(end + 1) : NULL;

    if (!end || (*rest && *rest != '#' && *rest != ';')) {
        return SAY(r, "a section is written [name], not \"%.60s\"", line);
    }
    *end = 0;
    char *name = trim(line + 1);
    for (const struct config_section *s = config_sections; s->name; s++) {
        if (strcmp(s->name, name) == 0) {
            r->in_section = true;
            return str_copy(r->section, sizeof r->section, name);
        }
    }
    name[strnlen(name, WORD_MAX - 1)] = 0;
    return unknown_section(r, name);
}

/* Undoes quotes, or cuts a comment; NULL when a quote isn't closed or something follows it. */
static char *read_value(char *s)
{
    s = trim(s);
    if (*s == '"') {
        char *end = strchr(s + 1, '"');
        char *rest = end ? trim(end + 1) : NULL;
        if (!end || (*rest && *rest != '#')) {
            return NULL;
        }
        *end = 0;
        return s + 1;
    }
    for (char *p = s; *p; p++) {
        if (*p == '#' && (p == s || p[-1] == ' ' || p[-1] == '\t')) {
            *p = 0;
            break;
        }
    }
    return trim(s);
}

static int set_key(struct reader *r, const char *key, const char *value)
{
    char name[2 * WORD_MAX + 1], origin[512], reason[256] = "";

    snprintf(name, sizeof name, "%s.%s", r->section, key);
    int i = config_find(name);
    if (i < 0) {
        return unknown_key(r, key);
    }
    struct config_value *v = &r->c->values[i];
    if (strcmp(v->origin, "default") != 0) {
        return SAY(r, "[%s] %s stands twice (first at %s)", r->section, key, v->origin);
    }
    snprintf(origin, sizeof origin, "%s:%d", r->c->path, r->line);
    int rc =
        config_value_set(v, &config_keys[i], r->c->folder, value, origin, reason, sizeof reason);
    if (rc == ERR_INVALID && config_keys[i].secret) {
        return SAY(r, "[%s] %s %s", r->section, key, reason);
    }
    return rc == ERR_INVALID ? SAY(r, "[%s] %s = %.60s: %s", r->section, key, value, reason) : rc;
}

static int read_line(struct reader *r, char *line)
{
    line = trim(line);
    if (!*line || *line == '#' || *line == ';') {
        return OK;
    }
    if (*line == '[') {
        return read_section(r, line);
    }
    char *equals = strchr(line, '=');
    if (!equals || equals == line) {
        return SAY(r, "a line is \"key = value\", not \"%.60s\"", line);
    }
    *equals = 0;
    char *key = trim(line);
    char *value = read_value(equals + 1);
    key[strnlen(key, WORD_MAX - 1)] = 0;
    if (!value) {
        return SAY(r, "the quotes around %s aren't closed, or something follows them", key);
    }
    if (!r->in_section) {
        return SAY(r, "\"%s\" stands before any [section]", key);
    }
    return set_key(r, key, value);
}

int config_read_file(struct config *c, char *text, size_t len, char *why, size_t cap)
{
    struct reader r = {.c = c, .why = why, .cap = cap};
    int rc = OK;

    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3; /* some editors begin UTF-8 so */
        len -= 3;
    }
    for (char *line; rc == OK && (line = strsep(&text, "\n"));) {
        size_t n = strlen(line);
        r.line++;
        if (!utf8_is_valid(line, n) || (!text && n < len)) {
            return SAY(&r, "%s", "not a line of UTF-8 text");
        }
        len -= n < len ? n + 1 : n;
        rc = read_line(&r, line);
    }
    return rc;
}

void config_env_name(char *out, const struct config_key *key)
{
    int n = snprintf(out, CONFIG_ENV_MAX, "SOTTO_%s", key->name);

    for (int i = 0; i < n && out[i]; i++) {
        out[i] = out[i] == '.' ? '_' : (char)toupper((unsigned char)out[i]);
    }
}

static bool is_tool_variable(const char *name)
{
    for (const char *const *t = config_tool_variables; *t; t++) {
        size_t n = strlen(*t);
        bool prefix = (*t)[n - 1] == '*';
        if (prefix ? strncmp(name, *t, n - 1) == 0 : strcmp(name, *t) == 0) {
            return true;
        }
    }
    return false;
}

/* Takes one variable; name is without the value. */
static int read_variable(struct config *c, const char *name, const char *value, char *why,
                         size_t cap)
{
    char known[CONFIG_ENV_MAX], origin[CONFIG_ENV_MAX + 16], reason[256] = "";
    char best[CONFIG_ENV_MAX] = "";
    unsigned distance = 4;

    for (size_t i = 0; config_keys[i].name; i++) {
        config_env_name(known, &config_keys[i]);
        unsigned d = config_distance(name, known);
        if (d == 0 && strcmp(name, known) == 0) {
            snprintf(origin, sizeof origin, "environment %s", known);
            int rc = config_value_set(&c->values[i], &config_keys[i], c->folder, value, origin,
                                      reason, sizeof reason);
            if (rc == ERR_INVALID) {
                snprintf(why, cap, "%s: %s", origin, reason);
            }
            return rc;
        }
        if (d < distance) {
            distance = d;
            (void)str_copy(best, sizeof best, known);
        }
    }
    snprintf(why, cap,
             best[0] ? "environment: unknown variable %.80s (did you mean %s?)"
                     : "environment: unknown variable %.80s%s",
             name, best);
    return ERR_INVALID;
}

int config_read_environment(struct config *c, char *const *environment, char *why, size_t cap)
{
    for (; environment && *environment; environment++) {
        char name[CONFIG_ENV_MAX + 1];
        const char *equals = strchr(*environment, '=');

        if (strncmp(*environment, "SOTTO_", 6) != 0 || !equals) {
            continue;
        }
        snprintf(name, sizeof name, "%.*s", (int)(equals - *environment), *environment);
        if (is_tool_variable(name)) {
            continue;
        }
        int rc = read_variable(c, name, equals + 1, why, cap);
        if (rc != OK) {
            return rc;
        }
    }
    return OK;
}
