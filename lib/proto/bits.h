/* A reader of single bits, most significant first, over borrowed bytes. Like struct cursor it never
 * passes the end: after the first short read `bad` stays true and every further read gives 0. */
#ifndef SOTTO_PROTO_BITS_H
#define SOTTO_PROTO_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bits {
    const uint8_t *data;
    size_t len; /* bits */
    size_t pos; /* bits */
    bool bad;
};

/* len is in bytes (at most SIZE_MAX / 8). */
void bits_init(struct bits *b, const uint8_t *data, size_t len);
/* The next n bits, 0..32. */
uint32_t bits_read(struct bits *b, unsigned n);
bool bits_flag(struct bits *b);
void bits_skip(struct bits *b, size_t n);
/* ns(n): a value below n in as few bits as it takes (AV1 section 4.10.7); n 1..2^31. */
uint32_t bits_read_ns(struct bits *b, uint32_t n);
/* ue(v) and se(v), Exp-Golomb codes (H.264 section 9.1). Over 31 leading zeros: bad. */
uint32_t bits_read_ue(struct bits *b);
int32_t bits_read_se(struct bits *b);

#endif
