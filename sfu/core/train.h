/* Which of a peer's packets leave as one train: a message of datagrams of equal length, of which
 * the last may be shorter (UDP_SEGMENT). Lengths are made equal by RTP padding (RFC 3550 section
 * 5.1) where that costs little. Pure arithmetic. */
#ifndef SOTTO_SFU_CORE_TRAIN_H
#define SOTTO_SFU_CORE_TRAIN_H

#include <stddef.h>
#include <stdint.h>

#define TRAIN_PACKETS 64    /* the kernel takes no more segments */
#define TRAIN_BYTES   65000 /* of one message, tags included */
#define TRAIN_PAD     255   /* bytes: the count that ends padding is one byte and counts itself */
#define TRAIN_COST    10    /* padding is at most the 10th part of what it makes equal */

struct train {
    size_t packets; /* at least 1 */
    size_t segment; /* bytes of each but the last, tag included; 0: one packet */
    size_t bytes;   /* of all, padded and with tags */
};

/* The longest train that packets 0 … make, in their order. len[i]: bytes of each of the n > 0
 * packets as they leave, without padding and before the tag of `tag` bytes is added. Each but the
 * last of the train is to be padded to segment - tag. */
void train_plan(struct train *out, const uint16_t *len, size_t n, size_t tag);

#endif
