/* JSON over cJSON: parsing with bounds and UTF-8 checks, typed access that collects field errors
 * for RFC 9457 answers, and small builders. */
#ifndef SOTTO_BASE_JSON_H
#define SOTTO_BASE_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_MAX_DEPTH 32

/* True when the bytes are well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms) and hold
 * no 0 byte. */
bool utf8_is_valid(const void *data, size_t n);

/* Parses exactly one value. ERR_INVALID for bad JSON, bad UTF-8, trailing bytes, duplicate keys in
 * one object, escaped NUL, half a surrogate pair, a number past 1e308 or 63 characters, or nesting
 * over JSON_MAX_DEPTH; ERR_NOMEM. Takes time in proportion to n (n log n for the keys of one
 * object), whatever the bytes are. Free with cJSON_Delete. */
int json_parse(cJSON **out, const char *data, size_t n);
/* Compact text, to be freed with free(); NULL when out of memory. */
char *json_print(const cJSON *v);

#define JSON_MAX_ERRORS 8
/* The field errors of one request: `{field, message}`. Zero-initialise. */
struct json_errors {
    int n;
    struct {
        char field[48];
        char message[96];
    } item[JSON_MAX_ERRORS];
};
void json_error(struct json_errors *e, const char *field, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

enum { JSON_REQUIRED = 1, JSON_OPTIONAL = 0 };

/* Typed access to a member of `o`. A missing optional member leaves the default and adds no error;
 * null counts as missing. Strings are borrowed from the tree; lengths are in UTF-8 bytes. */
const char *json_str(const cJSON *o, const char *field, int required, size_t min, size_t max,
                     struct json_errors *e);
/* A UUID in canonical text, or NULL with an error. */
const char *json_id(const cJSON *o, const char *field, int required, struct json_errors *e);
int64_t json_int(const cJSON *o, const char *field, int required, int64_t min, int64_t max,
                 int64_t dflt, struct json_errors *e);
bool json_bool(const cJSON *o, const char *field, int required, bool dflt, struct json_errors *e);
/* One of the words in the NULL-ended list; returns its index, or -1 (with an error when present but
 * not in the list, or required and missing). */
int json_enum(const cJSON *o, const char *field, int required, const char *const *words,
              struct json_errors *e);
/* A member object / array (at most max items); NULL when missing. */
const cJSON *json_obj(const cJSON *o, const char *field, int required, struct json_errors *e);
const cJSON *json_arr(const cJSON *o, const char *field, int required, int max,
                      struct json_errors *e);

/* Builders: add and return nothing; on out of memory the process aborts (small control-plane
 * allocations only; never on the packet path). json_put_str leaves the member out when s is NULL.
 */
cJSON *json_new(void);
void json_put_str(cJSON *o, const char *field, const char *s);
void json_put_int(cJSON *o, const char *field, int64_t v);
void json_put_bool(cJSON *o, const char *field, bool v);
void json_put_null(cJSON *o, const char *field);
void json_put(cJSON *o, const char *field, cJSON *owned); /* takes ownership; NULL is ignored */
void json_put_time(cJSON *o, const char *field, int64_t wall_us);

#endif
