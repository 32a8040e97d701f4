/* What to ask a publisher for again: gaps in one incoming stream, asked by generic NACK (RFC 4585
 * section 6.2.1), repeated after a round trip, bounded in number, tries and age. */
#ifndef SOTTO_SFU_CORE_NACK_H
#define SOTTO_SFU_CORE_NACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NACK_MAX_MISSING 256
#define NACK_MAX_TRIES   10
#define NACK_MAX_AGE_US  1000000
#define NACK_FIRST_US    5000 /* mere reordering gets this long to heal before the first ask */
#define NACK_MIN_GAP_US                                                                            \
    20000 /* between two asks for the same packet, or a round trip if longer                       \
           */

struct nack_entry {
    int64_t ext_seq;
    int64_t since_us, next_us;
    uint8_t tries;
};

/* Zero-initialise. */
struct nack {
    bool started;
    bool keyframe_wanted; /* set when gaps were given up; the reader clears it */
    int64_t highest;
    size_t n; /* missing, ascending */
    struct nack_entry missing[NACK_MAX_MISSING];
    uint64_t asked, recovered, given_up;
};

/* A packet came (by media or RTX), with its unwrapped number. A jump of more than NACK_MAX_MISSING
 * gives everything up and sets keyframe_wanted. */
void nack_received(struct nack *n, int64_t ext_seq, int64_t now_us);
/* A keyframe begins at ext_seq: older gaps no longer matter. */
void nack_keyframe(struct nack *n, int64_t ext_seq);
/* The numbers to be asked for now, ascending, at most cap; returns how many. Entries out of tries
 * or age go, with keyframe_wanted. rtt_us <= 0: not known (100 ms are taken). */
size_t nack_poll(struct nack *n, uint16_t *seqs, size_t cap, int64_t now_us, int64_t rtt_us);
/* When nack_poll has work next; INT64_MAX when nothing is missing. */
int64_t nack_deadline(const struct nack *n);

#endif
