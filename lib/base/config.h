/* Configuration: one ini file for all programs, every key known beforehand with type, default,
 * bounds and a sentence of documentation (lib/base/config_keys.c is the only list). A key
 * `[http] public_port` is overridden by the environment variable SOTTO_HTTP_PUBLIC_PORT. An unknown
 * section, key or variable, or a value of the wrong type or out of bounds, stops the start and says
 * file, line and reason. Secrets stand in files that `_file` keys name.
 *
 * The file: `[section]`, `key = value`, lines that begin with `#` or `;` are comments, and so is
 * what follows ` #`. A value in double quotes keeps spaces and `#`. UTF-8, at most 256 KiB. A key
 * that stands twice is an error. */
#ifndef SOTTO_BASE_CONFIG_H
#define SOTTO_BASE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"

struct config;

enum config_type {
    CONFIG_STRING,    /* min..max characters; max 0: 1024 */
    CONFIG_INT,       /* bounds are min..max; names in _bytes take KiB, MiB, GiB */
    CONFIG_BOOL,      /* true/false, yes/no, on/off, 1/0 */
    CONFIG_DURATION,  /* "60s", "500ms", "15m", "24h", "30d"; held in microseconds, bounds likewise
                       */
    CONFIG_PATH,      /* relative ones are relative to the folder of the ini file */
    CONFIG_LIST,      /* comma-separated strings */
    CONFIG_ADDRESS,   /* an IPv4 or IPv6 address in numbers */
    CONFIG_ADDRESSES, /* comma-separated addresses */
};

struct config_key {
    const char *name; /* "section.key" */
    enum config_type type;
    const char *dflt; /* as it would be written in the file */
    int64_t min, max;
    const char *doc;
    const char *words; /* of a string that is a choice: "debug|info|warn|error"; or NULL */
    bool secret;       /* may hold a password: shown without it */
};

/* The table, ended by a NULL name; the keys of a section stand together. */
extern const struct config_key config_keys[];

struct config_section {
    const char *name, *doc;
};
/* Every section's sentence for the template, ended by a NULL name. */
extern const struct config_section config_sections[];

/* The rules between keys, checked after each value is good. On failure `why` is one line with the
 * origins of what contradicts. OK, ERR_INVALID. */
int config_check_rules(const struct config *c, char *why, size_t why_cap);

/* Variables that begin with SOTTO_ and are no configuration: SOTTO_CONFIG (the ini file's path for
 * sottoctl and the Makefile) and those of tools, by name or by prefix (a `*` at the end). Every
 * other unknown one stops the start. Ended by NULL. */
extern const char *const config_tool_variables[];

/* Loads path (NULL: defaults and environment only). On failure `why` (whose size is why_cap) holds
 * one line such as `var/sotto.ini:12: unknown key "prot" in [http] (did you mean "port"?)`.
 * ERR_INVALID, ERR_NOT_FOUND, ERR_IO, ERR_NOMEM. */
int config_load(struct config **out, const char *path, char *why, size_t why_cap);
void config_free(struct config *c);

/* Access by "section.key". A name that isn't in the table is a bug and aborts. Strings are borrowed
 * for the life of the config; an empty string means "not set". */
const char *config_str(const struct config *c, const char *name);
int64_t config_int(const struct config *c, const char *name);
bool config_bool(const struct config *c, const char *name);
int64_t config_duration_us(const struct config *c, const char *name);
/* The i-th item of a list, or NULL past its end. */
const char *config_item(const struct config *c, const char *name, size_t i);

/* Where the value comes from: "default", "var/sotto.ini:12" or "environment SOTTO_HTTP_TLS_PORT".
 */
const char *config_origin(const struct config *c, const char *name);
/* Writes every key with its value and origin, passwords hidden (for `sottoctl config print`). */
int config_write_effective(const struct config *c, struct buf *out);

/* Reads a whole secret file, without trailing newline, into out. ERR_NOT_FOUND, ERR_TOO_LARGE,
 * ERR_IO, ERR_INVALID (empty, or with a 0 byte), ERR_FORBIDDEN (file open to others). */
int config_read_secret(char *out, size_t cap, const char *path);

/* Writes the documented file with all defaults (for `sottoctl config init`). */
int config_write_template(struct buf *out);

#endif
