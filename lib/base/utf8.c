/* Well-formed UTF-8: RFC 3629 section 4. */
#include <string.h>

#include "lib/base/json.h"

/* The length of the character at p, or 0 when it is no character. */
static size_t character(const uint8_t *p, size_t left)
{
    uint8_t low = 0x80, high = 0xbf; /* bounds of the second byte */
    size_t n;

    if (p[0] < 0x80) {
        return p[0] != 0;
    }
    if (p[0] < 0xc2 || p[0] > 0xf4) {
        return 0;
    }
    n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (p[0] == 0xe0) {
        low = 0xa0; /* below: overlong */
    } else if (p[0] == 0xed) {
        high = 0x9f; /* above: surrogates */
    } else if (p[0] == 0xf0) {
        low = 0x90;
    } else if (p[0] == 0xf4) {
        high = 0x8f; /* above: past U+10FFFF */
    }
    if (left < n || p[1] < low || p[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return n;
}

bool utf8_is_valid(const void *data, size_t n)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < n;) {
        size_t len = character(p + i, n - i);
        if (len == 0) {
            return false;
        }
        i += len;
    }
    return true;
}
