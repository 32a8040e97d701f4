/* A whole packet as the out queue writes it: header and payload, not stamped, not encrypted. */
#ifndef SOTTO_TEST_SLOT_WRITTEN_H
#define SOTTO_TEST_SLOT_WRITTEN_H

#include "lib/base/err.h"
#include "sfu/core/slot.h"

/* Its length and *header_len (without a retransmission's OSN), or ERR_TOO_LARGE. */
static inline int slot_written(struct slot *s, struct packet *k, const struct rewritten *to,
                               bool rtx, uint8_t *dst, size_t cap, size_t *header_len)
{
    int n = slot_write_header(s, k, to, rtx, dst, cap);
    size_t len = slot_payload_len(s, k);
    *header_len = (size_t)n - (rtx ? SLOT_OSN : 0);
    if (n < 0 || len > cap - (size_t)n) {
        return ERR_TOO_LARGE;
    }
    slot_write_payload(s, k, to, dst + n);
    return n + (int)len;
}

#endif
