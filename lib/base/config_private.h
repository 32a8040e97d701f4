/* Shared by the files of config alone. */
#ifndef SOTTO_BASE_CONFIG_PRIVATE_H
#define SOTTO_BASE_CONFIG_PRIVATE_H

#include "lib/base/config.h"

#define CONFIG_MAX_FILE  ((size_t)256 << 10)
#define CONFIG_MAX_VALUE 4096
#define CONFIG_MAX_ITEMS 64
#define CONFIG_ENV_MAX   96 /* of SOTTO_<SECTION>_<KEY> */

struct config_value {
    char *text;   /* as written, quotes undone */
    char *shown;  /* what config_str gives: text, or the resolved path */
    char **items; /* of a list; they point into item_text */
    size_t n_items;
    char *item_text;
    int64_t number; /* int, bool, duration in microseconds */
    char *origin;   /* "default", "FILE:LINE", "environment NAME" */
};

struct config {
    char *path;                  /* of the ini file, or NULL */
    char *folder;                /* that relative paths are relative to; "." without a file */
    struct config_value *values; /* in the order of config_keys */
};

/* Checks and takes over one value; on failure v is as before, and reason tells what is wrong with
 * it
 * ("must be a whole number from 0 to 65535"). ERR_INVALID, ERR_NOMEM. */
int config_value_set(struct config_value *v, const struct config_key *key, const char *folder,
                     const char *text, const char *origin, char *reason, size_t cap);
void config_value_free(struct config_value *v);
/* Index in config_keys of "section.key", or -1. */
int config_find(const char *name);
size_t config_count(void);
/* Sets v from the file's text / from the process's variables. why as config_load. */
int config_read_file(struct config *c, char *text, size_t len, char *why, size_t cap);
int config_read_environment(struct config *c, char *const *environment, char *why, size_t cap);
/* The variable that overrides a key, in out[CONFIG_ENV_MAX]. */
void config_env_name(char *out, const struct config_key *key);
/* Edits (insertions, deletions, changes) that make b of a; at most 99. Words over 63 bytes are 99.
 */
unsigned config_distance(const char *a, const char *b);

#endif
