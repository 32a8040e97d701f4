/* Ids and times as the wire contract shows them: UUIDv7 (RFC 9562 section 5.7) in lower case,
 * RFC 3339 UTC with milliseconds. Pure: time and randomness are arguments where they matter. */
#ifndef SOTTO_BASE_IDS_H
#define SOTTO_BASE_IDS_H

#include <stdbool.h>
#include <stdint.h>

#define ID_LEN 36 /* characters of a UUID's text, without the 0 */

struct id {
    char s[ID_LEN + 1];
};

/* A new UUIDv7 for the wall-clock time given in microseconds since 1970 (UTC). */
struct id id_new(int64_t wall_us);
/* True when s is a UUID in its canonical text, lower case only; NULL is false. */
bool id_is_valid(const char *s);
/* Copies a valid id; ERR_INVALID otherwise (out untouched). */
int id_parse(struct id *out, const char *s);
bool id_equal(const struct id *a, const struct id *b);

#define RFC3339_LEN 24 /* "2026-11-21T11:33:00.000Z" */
/* Writes RFC3339_LEN characters and a 0 into out. */
void rfc3339_format(char out[RFC3339_LEN + 1], int64_t wall_us);

/* Now, for shells only; cores take time as an argument. */
int64_t clock_wall_us(void); /* microseconds since 1970, UTC; may jump */
int64_t clock_mono_us(void); /* microseconds on a clock that never goes back */

#endif
