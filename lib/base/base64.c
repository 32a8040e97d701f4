/* RFC 4648: sections 4 (standard) and 5 (url). */
#include <string.h>

#include "lib/base/crypto.h"
#include "lib/base/err.h"

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

size_t base64_len(size_t n)
{
    return (n + 2) / 3 * 4;
}

size_t base64url_len(size_t n)
{
    return n / 3 * 4 + (n % 3 ? n % 3 + 1 : 0);
}

static void encode(char *out, const void *data, size_t n, const char *alphabet, bool pad)
{
    const uint8_t *p = data;

    for (; n > 0; p += 3) {
        size_t take = n < 3 ? n : 3;
        uint32_t v = (uint32_t)p[0] << 16;
        v |= take > 1 ? (uint32_t)p[1] << 8 : 0;
        v |= take > 2 ? p[2] : 0;
        for (size_t i = 0; i < 4; i++) {
            if (i <= take) {
                *out++ = alphabet[v >> (18 - 6 * i) & 63];
            } else if (pad) {
                *out++ = '=';
            }
        }
        n -= take;
    }
    *out = 0;
}

void base64_encode(char *out, const void *data, size_t n)
{
    encode(out, data, n, standard, true);
}

void base64url_encode(char *out, const void *data, size_t n)
{
    encode(out, data, n, url, false);
}

/* The six bits of a character, or -1. */
static int sextet(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

/* Length without padding, or -1 when the padding is wrong. */
static long unpadded(const char *text)
{
    size_t n = strlen(text);
    size_t pad = 0;

    while (pad < 2 && n > pad && text[n - 1 - pad] == '=') {
        pad++;
    }
    if (pad > 0 && n % 4 != 0) {
        return -1;
    }
    n -= pad;
    return n % 4 == 1 ? -1 : (long)n;
}

int base64_decode(void *out, size_t *out_len, const char *text)
{
    uint8_t *o = out;
    uint32_t v = 0;
    unsigned bits = 0;
    size_t used = 0;
    long n = unpadded(text);

    /* One alphabet or the other; a mix is nobody's encoding. */
    if (n < 0 || (strpbrk(text, "+/") && strpbrk(text, "-_"))) {
        return ERR_INVALID;
    }
    size_t need = (size_t)n / 4 * 3 + (n % 4 ? (size_t)n % 4 - 1 : 0);
    for (long i = 0; i < n; i++) {
        if (sextet(text[i]) < 0) {
            return ERR_INVALID;
        }
    }
    /* Left-over bits must be 0 (RFC 4648 section 3.5), so that one value has one text. */
    if (n % 4 && (sextet(text[n - 1]) & (n % 4 == 2 ? 15 : 3))) {
        return ERR_INVALID;
    }
    if (need > *out_len) {
        return ERR_TOO_LARGE;
    }
    for (long i = 0; i < n; i++) {
        v = v << 6 | (uint32_t)sextet(text[i]);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            o[used++] = (uint8_t)(v >> bits);
        }
    }
    *out_len = used;
    return OK;
}
