#include "accounts/validate.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "accounts/password.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"

#define LOWER_DIGITS   "abcdefghijklmnopqrstuvwxyz0123456789"
#define USERNAME_CHARS LOWER_DIGITS "_.-"
#define LOCAL_PART_MAX 64
#define LABEL_BYTES    4 /* of UTF-8 a character, at most */

/* ASCII only: names are compared the same way in SQL, whatever the locale here or there. */
static char fold(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool domain_is_valid(const char *s)
{
    size_t label = 0;

    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        bool letter = c >= 0x80 || strchr(LOWER_DIGITS, fold((char)c));

        if (c == '.') {
            if (!label || s[-1] == '-') {
                return false;
            }
            label = 0;
        } else if (letter || (c == '-' && label)) {
            if (++label > 63) {
                return false;
            }
        } else {
            return false;
        }
    }
    return label && s[-1] != '-';
}

bool email_is_valid(const char *s)
{
    const char *at = strrchr(s, '@');
    size_t local = at ? (size_t)(at - s) : 0;

    if (!at || !local || local > LOCAL_PART_MAX || strlen(s) > EMAIL_MAX || s[0] == '.' ||
        at[-1] == '.' || memmem(s, local, "..", 2)) {
        return false;
    }
    for (const char *p = s; p < at; p++) {
        if ((unsigned char)*p <= ' ' || *p == 0x7f || strchr("\"(),:;<>@[\\]", *p)) {
            return false;
        }
    }
    return domain_is_valid(at + 1);
}

bool username_is_valid(const char *s)
{
    size_t n = strlen(s);

    return n >= USERNAME_MIN && n <= USERNAME_MAX && strspn(s, USERNAME_CHARS) == n;
}

/* The next code point of well-formed UTF-8. */
static uint32_t next_char(const unsigned char **s)
{
    const unsigned char *p = *s;
    int more = *p >= 0xf0 ? 3 : *p >= 0xe0 ? 2 : *p >= 0xc0 ? 1 : 0;
    uint32_t c = more == 3 ? *p & 7u : more == 2 ? *p & 15u : more == 1 ? *p & 31u : *p;

    for (p++; more > 0 && (*p & 0xc0) == 0x80; more--, p++) {
        c = c << 6 | (*p & 63u);
    }
    *s = p;
    return c;
}

static bool char_is_hostile(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x202a && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069) || c == 0x2028 || c == 0x2029;
}

/* Blank or without ink of its own: a name must hold something else too. */
static bool char_is_blank(uint32_t c)
{
    return c == ' ' || c == 0xa0 || c == 0xad || c == 0x3000 || c == 0xfeff || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200f) || c == 0x202f || (c >= 0x205f && c <= 0x2064);
}

bool label_is_valid(const char *s, size_t max_chars)
{
    const unsigned char *p = (const unsigned char *)s;
    bool ink = false;
    size_t n = 0;

    while (*p) {
        uint32_t c = next_char(&p);

        if (++n > max_chars || char_is_hostile(c)) {
            return false;
        }
        ink = ink || !char_is_blank(c);
    }
    return ink;
}

const char *validate_username(const cJSON *o, const char *field, char out[USERNAME_MAX + 1],
                              struct json_errors *e)
{
    const char *s = json_str(o, field, JSON_REQUIRED, USERNAME_MIN, USERNAME_MAX, e);

    if (!s || str_copy(out, USERNAME_MAX + 1, s)) {
        return NULL;
    }
    for (char *p = out; *p; p++) {
        *p = fold(*p);
    }
    if (!username_is_valid(out)) {
        json_error(e, field, "may hold letters a-z, digits, '_', '.' and '-' only");
        return NULL;
    }
    return out;
}

const char *validate_email(const cJSON *o, const char *field, struct json_errors *e)
{
    const char *s = json_str(o, field, JSON_REQUIRED, 3, EMAIL_MAX, e);

    if (s && !email_is_valid(s)) {
        json_error(e, field, "is not an e-mail address");
        return NULL;
    }
    return s;
}

static size_t count_chars(const char *s)
{
    const unsigned char *p = (const unsigned char *)s;
    size_t n = 0;

    for (; *p; n++) {
        next_char(&p);
    }
    return n;
}

const char *validate_new_password(const cJSON *o, const char *field, const char *username,
                                  const char *email, struct json_errors *e)
{
    const char *s = json_str(o, field, JSON_REQUIRED, 1, PASSWORD_MAX, e);

    if (!s) {
        return NULL;
    }
    if (count_chars(s) < PASSWORD_MIN) {
        json_error(e, field, "must have at least %d characters", PASSWORD_MIN);
        return NULL;
    }
    if ((username && strcasecmp(s, username) == 0) || (email && strcasecmp(s, email) == 0)) {
        json_error(e, field, "must not be the username or the e-mail address");
        return NULL;
    }
    return s;
}

const char *validate_label(const cJSON *o, const char *field, int required, size_t max_chars,
                           struct json_errors *e)
{
    const char *s = json_str(o, field, required, 1, max_chars * LABEL_BYTES, e);

    if (s && !label_is_valid(s, max_chars)) {
        json_error(e, field, "must be 1 to %zu visible characters", max_chars);
        return NULL;
    }
    return s;
}

const char *validate_platform(const cJSON *o, const char *field, struct json_errors *e)
{
    const char *s = json_str(o, field, JSON_OPTIONAL, 1, PLATFORM_MAX, e);

    if (s && strspn(s, USERNAME_CHARS) != strlen(s)) {
        json_error(e, field, "may hold letters a-z, digits, '_', '.' and '-' only");
        return NULL;
    }
    return s;
}
