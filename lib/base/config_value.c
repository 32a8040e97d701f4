/* One value: from its text to its type, within its bounds. */
#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/config_private.h"
#include "lib/base/err.h"

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit durations[] = {
    {"us", 1},
    {"ms", 1000},
    {"s", 1000000},
    {"m", INT64_C(60) * 1000000},
    {"h", INT64_C(3600) * 1000000},
    {"d", INT64_C(86400) * 1000000},
    {NULL, 0},
};
static const struct unit sizes[] = {
    {"", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {NULL, 0},
};
static const struct unit plain[] = {{"", 1}, {NULL, 0}};

/* Digits and a unit of the list; false when it is anything else or passes 64 bits. */
static bool parse_number(int64_t *out, const char *text, const struct unit *units)
{
    bool negative = *text == '-';
    const char *p = text + negative;
    int64_t v = 0;

    if (!isdigit((unsigned char)*p)) {
        return false;
    }
    for (; isdigit((unsigned char)*p); p++) {
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *p - '0', &v)) {
            return false;
        }
    }
    for (; units->name; units++) {
        if (strcmp(units->name, p) == 0) {
            *out = negative ? -v : v;
            return !__builtin_mul_overflow(*out, units->factor, out);
        }
    }
    return false;
}

static bool parse_bool(int64_t *out, const char *text)
{
    static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcasecmp(words[i], text) == 0) {
            *out = i & 1;
            return true;
        }
    }
    return false;
}

/* The largest unit that shows it whole: "15m", "500ms". */
static void show_duration(char out[32], int64_t us)
{
    size_t i = sizeof durations / sizeof durations[0] - 2;

    while (i > 0 && (us == 0 || us % durations[i].factor != 0)) {
        i--;
    }
    snprintf(out, 32, "%" PRId64 "%s", us / durations[i].factor, us ? durations[i].name : "");
}

static bool is_address(const char *text)
{
    struct in6_addr a;

    return inet_pton(AF_INET, text, &a) == 1 || inet_pton(AF_INET6, text, &a) == 1;
}

static bool has_word(const char *words, const char *text)
{
    size_t n = strlen(text);

    for (const char *at = words; n > 0 && *at; at += *at == '|') {
        size_t len = strcspn(at, "|");
        if (len == n && memcmp(at, text, n) == 0) {
            return true;
        }
        at += len;
    }
    return false;
}

static int check_int(struct config_value *v, const struct config_key *key, const char *text,
                     char *reason, size_t cap)
{
    size_t n = strlen(key->name);
    bool bytes = n > 6 && strcmp(key->name + n - 6, "_bytes") == 0;

    if (parse_number(&v->number, text, bytes ? sizes : plain) && v->number >= key->min &&
        v->number <= key->max) {
        return OK;
    }
    snprintf(reason, cap, "must be a whole number from %" PRId64 " to %" PRId64 "%s", key->min,
             key->max, bytes ? ", in bytes or with KiB, MiB, GiB" : "");
    return ERR_INVALID;
}

static int check_duration(struct config_value *v, const struct config_key *key, const char *text,
                          char *reason, size_t cap)
{
    char low[32], high[32];

    if (strcmp(text, "0") == 0) {
        text = "0s";
    }
    if (parse_number(&v->number, text, durations) && v->number >= key->min &&
        v->number <= key->max) {
        return OK;
    }
    show_duration(low, key->min);
    show_duration(high, key->max);
    snprintf(reason, cap, "must be a time such as 500ms, 60s, 15m, 24h or 30d, from %s to %s", low,
             high);
    return ERR_INVALID;
}

static int check_string(const struct config_key *key, const char *text, char *reason, size_t cap)
{
    size_t n = strlen(text);
    size_t max = key->max ? (size_t)key->max : 1024;

    if (key->words) {
        if (has_word(key->words, text)) {
            return OK;
        }
        snprintf(reason, cap, "must be one of %s", key->words);
        return ERR_INVALID;
    }
    if (n >= (size_t)key->min && n <= max) {
        return OK;
    }
    snprintf(reason, cap, "must be %" PRId64 " to %zu characters long", key->min, max);
    return ERR_INVALID;
}

/* Splits at commas; an empty text is an empty list, an empty item an error. */
static int check_list(struct config_value *v, const struct config_key *key, const char *text,
                      char *reason, size_t cap)
{
    char *at, *item;

    v->item_text = strdup(text);
    v->items = calloc(CONFIG_MAX_ITEMS + 1, sizeof *v->items);
    if (!v->item_text || !v->items) {
        return ERR_NOMEM;
    }
    at = *text ? v->item_text : NULL;
    while ((item = strsep(&at, ","))) {
        item += strspn(item, " \t");
        size_t n = strlen(item);
        while (n > 0 && (item[n - 1] == ' ' || item[n - 1] == '\t')) {
            item[--n] = 0;
        }
        if (n == 0 || v->n_items == CONFIG_MAX_ITEMS) {
            snprintf(reason, cap, n ? "has more than %d items" : "has an empty item",
                     CONFIG_MAX_ITEMS);
            return ERR_INVALID;
        }
        if (key->type == CONFIG_ADDRESSES && !is_address(item)) {
            snprintf(reason, cap, "must hold IP addresses, and \"%.64s\" is none", item);
            return ERR_INVALID;
        }
        v->items[v->n_items++] = item;
    }
    return OK;
}

static int check_typed(struct config_value *v, const struct config_key *key, const char *text,
                       char *reason, size_t cap)
{
    switch (key->type) {
    case CONFIG_INT:
        return check_int(v, key, text, reason, cap);
    case CONFIG_DURATION:
        return check_duration(v, key, text, reason, cap);
    case CONFIG_BOOL:
        snprintf(reason, cap, "must be yes or no");
        return parse_bool(&v->number, text) ? OK : ERR_INVALID;
    case CONFIG_ADDRESS:
        snprintf(reason, cap, "must be an IP address");
        return !*text || is_address(text) ? OK : ERR_INVALID;
    case CONFIG_LIST:
    case CONFIG_ADDRESSES:
        return check_list(v, key, text, reason, cap);
    case CONFIG_STRING:
        return check_string(key, text, reason, cap);
    case CONFIG_PATH:
        break;
    }
    return OK;
}

/* Relative paths are relative to the ini's folder, wherever the program was started. */
static char *resolve(const struct config_key *key, const char *folder, const char *text)
{
    char *out = NULL;

    if (key->type != CONFIG_PATH || !*text || *text == '/' || strcmp(folder, ".") == 0) {
        return strdup(text);
    }
    return asprintf(&out, "%s/%s", strcmp(folder, "/") ? folder : "", text) < 0 ? NULL : out;
}

int config_value_set(struct config_value *v, const struct config_key *key, const char *folder,
                     const char *text, const char *origin, char *reason, size_t cap)
{
    struct config_value new = {0};
    int rc = ERR_INVALID;

    if (strlen(text) > CONFIG_MAX_VALUE) {
        snprintf(reason, cap, "is longer than %d bytes", CONFIG_MAX_VALUE);
    } else {
        rc = check_typed(&new, key, text, reason, cap);
    }
    if (rc == OK) {
        new.text = strdup(text);
        new.shown = resolve(key, folder, text);
        new.origin = strdup(origin);
        rc = new.text &&new.shown &&new.origin ? OK : ERR_NOMEM;
    }
    if (rc == OK) {
        config_value_free(v);
        *v = new;
    } else {
        config_value_free(&new);
    }
    return rc;
}

void config_value_free(struct config_value *v)
{
    free(v->text);
    free(v->shown);
    free(v->items);
    free(v->item_text);
    free(v->origin);
    *v = (struct config_value){0};
}
