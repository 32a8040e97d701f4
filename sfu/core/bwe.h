/* What one subscriber's link carries: Google congestion control (draft-ietf-rmcat-gcc-02 and what
 * libwebrtc made of it) over transport-wide feedback, or REMB and receiver reports where a client
 * gives no better. docs/estimator.md says how, and where it differs.
 *
 * The caller tells every RTP packet that it sends (bwe_on_sent gives the transport-wide number to
 * write into it), every feedback, what the allocator wants, and calls bwe_tick when it asked to be
 * called. Then it reads bwe_target_bps, and bwe_probe_wants for padding. Times are microseconds of
 * one steady clock. */
#ifndef SOTTO_SFU_CORE_BWE_H
#define SOTTO_SFU_CORE_BWE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/proto/twcc.h"
#include "sfu/core/bwe_acked.h"
#include "sfu/core/bwe_delay.h"
#include "sfu/core/bwe_loss.h"
#include "sfu/core/bwe_queue.h"
#include "sfu/core/bwe_rate.h"
#include "sfu/core/probe.h"
#include "sfu/core/send_history.h"

struct bwe_config {
    int64_t start_bps; /* before anything is known */
    int64_t min_bps;   /* the target never goes below: what audio needs */
    int64_t max_bps;
};
#define BWE_START_BPS 600000
#define BWE_MIN_BPS   60000
#define BWE_MAX_BPS   20000000

enum bwe_kind { BWE_MEDIA, BWE_PADDING };

struct bwe_stats {
    uint64_t feedbacks, timeouts;
    uint64_t acked_packets, lost_packets, late_packets;
    uint64_t absurd; /* statuses of packets never sent, forgotten or told before */
    uint64_t overuses;
};

struct bwe {
    /* what each packet touches */
    uint64_t media_bytes;  /* since idle_us */
    int64_t unanswered_us; /* the oldest sending without feedback since; 0: none */
    bool probing;          /* a cluster is being sent */
    struct send_history history;

    struct bwe_acked acked;
    struct bwe_delay delay;
    struct bwe_queue queue;
    struct bwe_rate rate;
    struct bwe_loss loss;
    struct probe probe;
    struct bwe_stats stats;
    double wanted_bps;
    double min_bps, max_bps;
    int64_t target_bps;
    int64_t rtt_us; /* smoothed; 0: not known */
    /* feedback */
    int64_t reference_us; /* receiver's time of the newest, unwrapped */
    int64_t feedback_us;  /* when it came; INT64_MIN: never */
    /* use of the estimate */
    int64_t idle_us;
    double idle_bits; /* what could have been sent and was not */
    bool application_limited;
    /* clients without transport-wide feedback */
    double remb_bps; /* under 0: none */
    int64_t remb_us;
    int64_t rr_us;
};

/* Zero and negative members of the configuration mean the defaults above. */
void bwe_init(struct bwe *b, const struct bwe_config *cfg, int64_t now_us);
/* Bytes of the whole RTP packet. Returns its transport-wide number. */
uint16_t bwe_on_sent(struct bwe *b, size_t bytes, enum bwe_kind kind, int64_t now_us);
/* A parsed feedback with n statuses (at most SEND_HISTORY are looked at), and when it came: packets
 * may have left since, but nothing else may have been told since. Nothing that it says can do harm:
 * what makes no sense is counted and left out. Returns the number of packets with news. */
size_t bwe_on_feedback(struct bwe *b, const struct twcc_feedback *fb, const struct twcc_status *st,
                       size_t n, int64_t now_us);
/* Nothing shows that the link has an end, and it isn't looked for: no queue, next to no loss, no
 * probe, far less is sent than the estimate allows, and so few packets that the history holds them.
 * A feedback may then be told 200 ms after it came. */
bool bwe_is_calm(const struct bwe *b, int64_t now_us);
/* fraction_lost of a report block (1/256ths). Used where no transport-wide feedback comes. */
void bwe_on_rr_loss(struct bwe *b, uint8_t fraction_lost, int64_t now_us);
/* An upper bound, where no transport-wide feedback comes. */
void bwe_on_remb(struct bwe *b, uint64_t bps, int64_t now_us);
/* What the allocator would send if it could, padding not counted: probes look for that much. */
void bwe_set_wanted(struct bwe *b, int64_t bps, int64_t now_us);
/* Timeouts, use, probes. Returns when to be called next, at most 1 s ahead. */
int64_t bwe_tick(struct bwe *b, int64_t now_us);
/* Padding to send now for a probe; while one is being sent, ask again at again_us (every
 * millisecond or two). It costs one comparison when there is none. */
struct probe_want bwe_probe_wants(const struct bwe *b, int64_t now_us);

static inline int64_t bwe_target_bps(const struct bwe *b)
{
    return b->target_bps;
}

#endif
