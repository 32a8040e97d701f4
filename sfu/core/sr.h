/* Sender reports for a slot: the publisher's pair of NTP and RTP time, carried over to the slot's
 * rewritten timestamps so that a viewer can line up sound and picture of one publisher (RFC 3550
 * section 6.4.1). All of a publisher's clocks are mapped to our wall clock by one offset a
 * publisher, so that the streams of different publishers stay comparable too. */
#ifndef SOTTO_SFU_CORE_SR_H
#define SOTTO_SFU_CORE_SR_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/proto/rtcp.h"

/* One publisher's NTP clock against ours; shared by its streams. Zero-initialise. */
struct sr_clock {
    bool known;
    int64_t offset_us; /* our wall clock minus theirs, smallest seen (least delay), slowly rising */
};

/* The last report of one incoming stream. Zero-initialise. */
struct sr_source {
    bool known;
    uint64_t ntp;
    uint32_t rtp_ts;
    int64_t wall_us; /* ours, at arrival */
};

/* A sender report came at wall_us of our clock. */
void sr_input(struct sr_source *s, struct sr_clock *c, const struct rtcp_sender_info *info,
              int64_t wall_us);
/* The pair to be sent now: `ntp` is our wall clock now, rtp_ts the slot's timestamp at that moment.
 * ts_offset is the rewriter's. False when no report came yet: then use sr_guess. */
bool sr_translate(const struct sr_source *s, const struct sr_clock *c, uint32_t clock_rate,
                  uint32_t ts_offset, int64_t wall_us, struct rtcp_sender_info *out);
/* Without a report: the newest packet's rewritten timestamp and when it came (age_us ago). */
void sr_guess(uint32_t newest_ts, int64_t age_us, uint32_t clock_rate, int64_t wall_us,
              struct rtcp_sender_info *out);

#endif
