#include "lib/base/ids.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/base/crypto.h"
#include "lib/base/err.h"

/* RFC 9562 section 5.7: 48 bits of milliseconds, version, rand_a, variant, rand_b. rand_a holds the
 * fraction of the millisecond (section 6.2, method 3), so ids made in one process sort by time to a
 * quarter of a microsecond. */
struct id id_new(int64_t wall_us)
{
    uint8_t b[16];
    char hex[33];
    struct id id;
    uint64_t us = wall_us > 0 ? (uint64_t)wall_us : 0;
    uint64_t ms = us / 1000;
    uint32_t fraction = (uint32_t)(us % 1000 * 4096 / 1000);

    random_bytes(b + 8, 8);
    for (int i = 0; i < 6; i++) {
        b[i] = (uint8_t)(ms >> (40 - 8 * i));
    }
    b[6] = (uint8_t)(0x70 | fraction >> 8);
    b[7] = (uint8_t)fraction;
    b[8] = (uint8_t)(0x80 | (b[8] & 0x3f));
    hex_encode(hex, b, sizeof b);
    snprintf(id.s, sizeof id.s, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
             hex + 20);
    return id;
}

bool id_is_valid(const char *s)
{
    if (!s) {
        return false;
    }
    for (int i = 0; i < ID_LEN; i++) {
        char c = s[i];
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');

        if (dash ? c != '-' : !hex) {
            return false;
        }
    }
    return s[ID_LEN] == 0;
}

int id_parse(struct id *out, const char *s)
{
    if (!id_is_valid(s)) {
        return ERR_INVALID;
    }
    memcpy(out->s, s, sizeof out->s);
    return OK;
}

bool id_equal(const struct id *a, const struct id *b)
{
    return memcmp(a->s, b->s, sizeof a->s) == 0;
}

/* The years that four digits can show: 0000-01-01 and the last millisecond of 9999. */
#define RFC3339_FIRST_US (INT64_C(-62167219200) * 1000000)
#define RFC3339_LAST_US  (INT64_C(253402300800) * 1000000 - 1)

void rfc3339_format(char out[RFC3339_LEN + 1], int64_t wall_us)
{
    struct tm tm;

    if (wall_us < RFC3339_FIRST_US) {
        wall_us = RFC3339_FIRST_US;
    } else if (wall_us > RFC3339_LAST_US) {
        wall_us = RFC3339_LAST_US;
    }
    int64_t us = wall_us % 1000000;
    if (us < 0) {
        us += 1000000;
    }
    time_t seconds = (time_t)((wall_us - us) / 1000000);
    char text[64]; /* the compiler can't know that the year has four digits */
    gmtime_r(&seconds, &tm);
    snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900,
             tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(us / 1000));
    memcpy(out, text, RFC3339_LEN);
    out[RFC3339_LEN] = 0;
}

static int64_t clock_us(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_wall_us(void)
{
    return clock_us(CLOCK_REALTIME);
}

int64_t clock_mono_us(void)
{
    return clock_us(CLOCK_MONOTONIC);
}
