/* Reception statistics of one incoming stream (RFC 3550 sections 6.4.1, A.3, A.8) and the report
 * block made of them. */
#ifndef SOTTO_SFU_CORE_RTP_STATS_H
#define SOTTO_SFU_CORE_RTP_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/proto/rtcp.h"

struct rtp_stats {
    uint32_t ssrc;
    uint32_t clock_rate;
    bool started;
    int64_t base, highest; /* unwrapped numbers */
    uint64_t packets, bytes, duplicates_or_late;
    int64_t transit;   /* last relative transit in timestamp units */
    int64_t jitter_q4; /* jitter times 16, as in A.8 */
    uint64_t expected_prior, received_prior;
    uint32_t last_sr_middle; /* of the last sender report */
    int64_t last_sr_us;      /* when it came; 0: none */
};

void rtp_stats_init(struct rtp_stats *s, uint32_t ssrc, uint32_t clock_rate);
/* A media packet (no retransmission); bytes of payload. */
void rtp_stats_input(struct rtp_stats *s, int64_t ext_seq, uint32_t ts, size_t bytes,
                     int64_t now_us);
void rtp_stats_sender_report(struct rtp_stats *s, uint64_t ntp, int64_t now_us);
/* The block for the next receiver report; moves the interval of fraction_lost on. False when no
 * packet has come yet. */
bool rtp_stats_report(struct rtp_stats *s, struct rtcp_report *out, int64_t now_us);
/* Jitter in microseconds, and all packets lost so far (never negative), for counters. */
int64_t rtp_stats_jitter_us(const struct rtp_stats *s);
int64_t rtp_stats_lost(const struct rtp_stats *s);

#endif
