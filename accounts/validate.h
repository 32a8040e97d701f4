/* What an account may consist of. Pure. Each adds a field error and returns NULL, or returns the
 * value; normalised ones are written to `out`. */
#ifndef SOTTO_ACCOUNTS_VALIDATE_H
#define SOTTO_ACCOUNTS_VALIDATE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

#include "lib/base/json.h"

#define EMAIL_MAX        254 /* RFC 5321 section 4.5.3.1.3, less the brackets */
#define USERNAME_MIN     3
#define USERNAME_MAX     32
#define DISPLAY_NAME_MAX 80 /* characters */
#define STATUS_TEXT_MAX  140
#define DEVICE_NAME_MAX  80
#define PLATFORM_MAX     32

/* Looks like an address that mail could be sent to: local@domain, RFC 5321's lengths, no blanks, no
 * quoting. Case is kept. */
bool email_is_valid(const char *s);
/* [a-z0-9_.-]{3,32}. */
bool username_is_valid(const char *s);
/* A line of text people read: 1 to max_chars characters, not only blanks, no control characters and
 * no direction overrides (they make one name look like another's). */
bool label_is_valid(const char *s, size_t max_chars);

/* The username folded to lower case. */
const char *validate_username(const cJSON *o, const char *field, char out[USERNAME_MAX + 1],
                              struct json_errors *e);
const char *validate_email(const cJSON *o, const char *field, struct json_errors *e);
/* A new password: length, and not the username or address itself. */
const char *validate_new_password(const cJSON *o, const char *field, const char *username,
                                  const char *email, struct json_errors *e);
/* A label as above; missing and not required: NULL without error. */
const char *validate_label(const cJSON *o, const char *field, int required, size_t max_chars,
                           struct json_errors *e);
/* A device's platform: [a-z0-9_.-]{1,32}. */
const char *validate_platform(const cJSON *o, const char *field, struct json_errors *e);

#endif
