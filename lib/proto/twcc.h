/* Transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01
 * section 3.1; RTPFB, FMT 15): built from a log of arrivals, and parsed back. */
#ifndef SOTTO_PROTO_TWCC_H
#define SOTTO_PROTO_TWCC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/proto/rtcp.h"

#define TWCC_LOST        INT64_MIN
#define TWCC_MAX_PACKETS 512 /* statuses in one feedback that we build */

/* Builds one whole RTCP packet (header included) into out. arrival_us[i] is when transport sequence
 * base_seq + i came, on any clock of microseconds that is not negative, or TWCC_LOST; n is at most
 * TWCC_MAX_PACKETS and at least one arrived. What doesn't fit (cap, or a gap between
 * arrivals past 8191 ms) is left for the next feedback: *covered says how many statuses are in.
 * Returns the bytes, a multiple of 4; ERR_TOO_LARGE when not even one fits, ERR_INVALID. */
int twcc_build(uint8_t *out, size_t cap, uint32_t sender_ssrc, uint32_t media_ssrc,
               uint16_t base_seq, uint8_t feedback_count, const int64_t *arrival_us, size_t n,
               size_t *covered);

struct twcc_feedback {
    uint32_t sender_ssrc;
    uint32_t media_ssrc;
    uint16_t base_seq;
    uint16_t count;         /* statuses told */
    uint8_t feedback_count; /* wraps */
    int64_t reference_us;   /* of the receiver's clock, modulo 2^24 * 64 ms */
};

struct twcc_status {
    uint16_t seq;
    bool received;
    int64_t at_us; /* receiver's clock; valid when received */
};

/* Parses; statuses beyond cap are checked but not stored. Returns the number stored, ERR_TRUNCATED,
 * ERR_INVALID (another type, a count of 0, a reserved status symbol). */
int twcc_parse(struct twcc_feedback *fb, struct twcc_status *out, size_t cap,
               const struct rtcp_packet *p);

#endif
