#include "lib/base/json.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/ids.h"
#include "lib/base/json_private.h"

/* Past this a double skips integers. */
#define EXACT_MAX 9007199254740991.0 /* 2^53 - 1 */
/* Somewhat under the largest double, which cJSON would round up to infinity when it prints it. */
#define NUMBER_MAX 1e308

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Duplicate keys in one object. Sorted rather than hashed: nobody can choose keys that make it slow
 * (n log n comparisons over at most n bytes in all). */
static int check_keys(const cJSON *object)
{
    const char *few[16];
    const char **keys = few;
    size_t n = 0;
    int rc = OK;

    for (const cJSON *m = object->child; m; m = m->next) {
        n++;
    }
    if (n > sizeof few / sizeof few[0] && !(keys = malloc(n * sizeof *keys))) {
        return ERR_NOMEM;
    }
    n = 0;
    for (const cJSON *m = object->child; m; m = m->next) {
        keys[n++] = m->string;
    }
    if (n > 1) {
        qsort(keys, n, sizeof *keys, by_text);
    }
    for (size_t i = 1; i < n && rc == OK; i++) {
        rc = strcmp(keys[i - 1], keys[i]) ? OK : ERR_INVALID;
    }
    if (keys != few) {
        free(keys);
    }
    return rc;
}

/* What the grammar can't say: no key twice, no number past a double (1e999 would be infinite).
 * Depth is bounded by the scan.
 */
static int check_tree(const cJSON *v)
{
    int rc = OK;

    if (cJSON_IsNumber(v)) {
        return fabs(v->valuedouble) <= NUMBER_MAX ? OK : ERR_INVALID;
    }
    if (cJSON_IsObject(v)) {
        rc = check_keys(v);
    }
    for (const cJSON *m = v->child; m && rc == OK; m = m->next) {
        rc = check_tree(m);
    }
    return rc;
}

int json_parse(cJSON **out, const char *data, size_t n)
{
    if (!utf8_is_valid(data, n) || json_scan(data, n) != OK) {
        return ERR_INVALID;
    }
    cJSON *v = cJSON_ParseWithLength(data, n);
    if (!v) {
        return ERR_NOMEM; /* the only reason that is left after the scan */
    }
    int rc = check_tree(v);
    if (rc != OK) {
        cJSON_Delete(v);
        return rc;
    }
    *out = v;
    return OK;
}

char *json_print(const cJSON *v)
{
    return cJSON_PrintUnformatted(v);
}

void json_error(struct json_errors *e, const char *field, const char *fmt, ...)
{
    va_list ap;

    if (!e || e->n >= JSON_MAX_ERRORS) {
        return;
    }
    snprintf(e->item[e->n].field, sizeof e->item[0].field, "%s", field);
    va_start(ap, fmt);
    vsnprintf(e->item[e->n].message, sizeof e->item[0].message, fmt, ap);
    va_end(ap);
    e->n++;
}

/* The member, or NULL (with an error when required). */
static const cJSON *member(const cJSON *o, const char *field, int required, struct json_errors *e)
{
    const cJSON *m = cJSON_GetObjectItemCaseSensitive(o, field);

    if (!m || cJSON_IsNull(m)) {
        if (required) {
            json_error(e, field, "is required");
        }
        return NULL;
    }
    return m;
}

const char *json_str(const cJSON *o, const char *field, int required, size_t min, size_t max,
                     struct json_errors *e)
{
    const cJSON *m = member(o, field, required, e);

    if (!m) {
        return NULL;
    }
    if (!cJSON_IsString(m)) {
        json_error(e, field, "must be a string");
        return NULL;
    }
    size_t n = strlen(m->valuestring);
    if (n < min || n > max) {
        json_error(e, field, "must be %zu to %zu bytes long", min, max);
        return NULL;
    }
    return m->valuestring;
}

const char *json_id(const cJSON *o, const char *field, int required, struct json_errors *e)
{
    const cJSON *m = member(o, field, required, e);

    if (!m) {
        return NULL;
    }
    if (!cJSON_IsString(m) || !id_is_valid(m->valuestring)) {
        json_error(e, field, "must be a UUID in lower case");
        return NULL;
    }
    return m->valuestring;
}

int64_t json_int(const cJSON *o, const char *field, int required, int64_t min, int64_t max,
                 int64_t dflt, struct json_errors *e)
{
    const cJSON *m = member(o, field, required, e);

    if (!m) {
        return dflt;
    }
    double v = m->valuedouble;
    if (!cJSON_IsNumber(m) || v != floor(v) || fabs(v) > EXACT_MAX) {
        json_error(e, field, "must be a whole number");
        return dflt;
    }
    if ((int64_t)v < min || (int64_t)v > max) {
        json_error(e, field, "must be %lld to %lld", (long long)min, (long long)max);
        return dflt;
    }
    return (int64_t)v;
}

bool json_bool(const cJSON *o, const char *field, int required, bool dflt, struct json_errors *e)
{
    const cJSON *m = member(o, field, required, e);

    if (!m) {
        return dflt;
    }
    if (!cJSON_IsBool(m)) {
        json_error(e, field, "must be true or false");
        return dflt;
    }
    return cJSON_IsTrue(m);
}

/* "must be one of a, b, c", cut when the list is long. */
static void error_words(struct json_errors *e, const char *field, const char *const *words)
{
    char list[80] = "";
    size_t len = 0;

    for (size_t i = 0; words[i] && len < sizeof list; i++) {
        len += (size_t)snprintf(list + len, sizeof list - len, "%s%s", i ? ", " : "", words[i]);
    }
    json_error(e, field, "must be one of %s", list);
}

int json_enum(const cJSON *o, const char *field, int required, const char *const *words,
              struct json_errors *e)
{
    const cJSON *m = member(o, field, required, e);

    if (!m) {
        return -1;
    }
    for (int i = 0; cJSON_IsString(m) && words[i]; i++) {
        if (strcmp(words[i], m->valuestring) == 0) {
            return i;
        }
    }
    error_words(e, field, words);
    return -1;
}

const cJSON *json_obj(const cJSON *o, const char *field, int required, struct json_errors *e)
{
    const cJSON *m = member(o, field, required, e);

    if (m && !cJSON_IsObject(m)) {
        json_error(e, field, "must be an object");
        return NULL;
    }
    return m;
}

const cJSON *json_arr(const cJSON *o, const char *field, int required, int max,
                      struct json_errors *e)
{
    const cJSON *m = member(o, field, required, e);

    if (!m) {
        return NULL;
    }
    if (!cJSON_IsArray(m)) {
        json_error(e, field, "must be an array");
        return NULL;
    }
    if (cJSON_GetArraySize(m) > max) {
        json_error(e, field, "must have at most %d items", max);
        return NULL;
    }
    return m;
}
