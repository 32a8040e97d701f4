/* The strict grammar of RFC 8259, checked before cJSON reads the text: cJSON takes more than JSON
 * (control bytes in strings, numbers such as 01 or 1., any byte under 33 as space) and recurses. */
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json_private.h"

struct scan {
    struct cursor c;
    unsigned depth;
    bool object[JSON_MAX_DEPTH + 1]; /* what each open level is */
};

/* The next byte, or -1 at the end. */
static int peek(const struct cursor *c)
{
    return cursor_left(c) ? c->data[c->pos] : -1;
}

static bool take(struct cursor *c, int byte)
{
    if (peek(c) != byte) {
        return false;
    }
    c->pos++;
    return true;
}

static void space(struct cursor *c)
{
    for (int b = peek(c); b == ' ' || b == '\t' || b == '\n' || b == '\r'; b = peek(c)) {
        c->pos++;
    }
}

static bool digits(struct cursor *c)
{
    size_t from = c->pos;

    for (int b = peek(c); b >= '0' && b <= '9'; b = peek(c)) {
        c->pos++;
    }
    return c->pos > from;
}

static bool digits_and_exponent(struct cursor *c)
{
    (void)take(c, '-');
    if (!take(c, '0') && !digits(c)) {
        return false;
    }
    if (take(c, '.') && !digits(c)) {
        return false;
    }
    if (take(c, 'e') || take(c, 'E')) {
        if (!take(c, '+')) {
            (void)take(c, '-');
        }
        return digits(c);
    }
    return true;
}

/* cJSON reads no further than this many characters of a number. */
#define NUMBER_CHARS 63

static bool number(struct cursor *c)
{
    size_t from = c->pos;

    return digits_and_exponent(c) && c->pos - from <= NUMBER_CHARS;
}

/* Four hex digits, or -1. */
static int32_t hex4(struct cursor *c)
{
    int32_t v = 0;

    for (int i = 0; i < 4; i++) {
        int b = cursor_u8(c);
        if (b >= '0' && b <= '9') {
            v = v * 16 + b - '0';
        } else if ((b | 32) >= 'a' && (b | 32) <= 'f') {
            v = v * 16 + (b | 32) - 'a' + 10;
        } else {
            return -1;
        }
    }
    return v;
}

/* What follows a backslash. A surrogate must come as a pair, and NUL never: C strings end there. */
static bool escape(struct cursor *c)
{
    int b = cursor_u8(c);

    if (b != 'u') {
        return b && strchr("\"\\/bfnrt", b);
    }
    int32_t v = hex4(c);
    if (v >= 0xd800 && v <= 0xdbff) {
        int32_t low = take(c, '\\') && take(c, 'u') ? hex4(c) : -1;
        return low >= 0xdc00 && low <= 0xdfff;
    }
    return v > 0 && !(v >= 0xdc00 && v <= 0xdfff);
}

static bool string(struct cursor *c)
{
    if (!take(c, '"')) {
        return false;
    }
    while (cursor_left(c)) {
        int b = cursor_u8(c);
        if (b == '"') {
            return true;
        }
        if (b < 0x20 || (b == '\\' && !escape(c))) {
            return false;
        }
    }
    return false;
}

static bool word(struct cursor *c, const char *w)
{
    const uint8_t *p = cursor_bytes(c, strlen(w));

    return p && memcmp(p, w, strlen(w)) == 0;
}

static bool scalar(struct cursor *c)
{
    switch (peek(c)) {
    case '"':
        return string(c);
    case 't':
        return word(c, "true");
    case 'f':
        return word(c, "false");
    case 'n':
        return word(c, "null");
    default:
        return number(c);
    }
}

/* A member's name with its colon, where the level is an object. */
static bool name(struct scan *s)
{
    if (!s->object[s->depth]) {
        return true;
    }
    space(&s->c);
    if (!string(&s->c)) {
        return false;
    }
    space(&s->c);
    return take(&s->c, ':');
}

/* Goes into an object or array; *empty when it closed at once. */
static bool open_level(struct scan *s, bool *empty)
{
    bool object = cursor_u8(&s->c) == '{';

    if (s->depth == JSON_MAX_DEPTH) {
        return false;
    }
    s->object[++s->depth] = object;
    space(&s->c);
    *empty = take(&s->c, object ? '}' : ']');
    if (*empty) {
        s->depth--;
        return true;
    }
    return name(s);
}

/* After a value: closes what ends here; true in *more when another value follows. */
static bool after_value(struct scan *s, bool *more)
{
    for (;;) {
        space(&s->c);
        *more = false;
        if (s->depth == 0) {
            return true;
        }
        if (take(&s->c, ',')) {
            *more = true;
            return name(s);
        }
        if (!take(&s->c, s->object[s->depth] ? '}' : ']')) {
            return false;
        }
        s->depth--;
    }
}

int json_scan(const char *data, size_t n)
{
    struct scan s = {.depth = 0};
    bool more = true;

    cursor_init(&s.c, data, n);
    while (more) {
        space(&s.c);
        int b = peek(&s.c);
        if (b == '{' || b == '[') {
            bool empty;
            if (!open_level(&s, &empty)) {
                return ERR_INVALID;
            }
            if (!empty) {
                continue;
            }
        } else if (!scalar(&s.c)) {
            return ERR_INVALID;
        }
        if (!after_value(&s, &more)) {
            return ERR_INVALID;
        }
    }
    return !s.c.bad && cursor_left(&s.c) == 0 ? OK : ERR_INVALID;
}
