/* What one subscriber may be sent: the estimate of his link, the pacer that keeps to it, and the
 * share of each video slot. One a subscriber that has video slots; about 11 KiB where he gives
 * feedback, 3 KiB where he gives none. It is pure but for memory: RTCP and time go in, the
 * subscriber's slots are switched and paused, probes are asked for by its bwe. */
#ifndef SOTTO_SFU_SUBSCRIBER_RATE_H
#define SOTTO_SFU_SUBSCRIBER_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/proto/twcc.h"
#include "sfu/core/allocator.h"
#include "sfu/core/subscriber.h"
#include "sfu/shell/out_pace.h"
#include "sfu/shell/subscriber_rate_trust.h"

#define RATE_MAX_BPS  50000000
#define RATE_STATUSES TWCC_MAX_PACKETS /* of one feedback that are looked at */
/* Numbers went out for so long and no feedback came: the client gives none. */
#define RATE_DEAF_US 3000000
/* The link drowns when a queue of so many milliseconds stands, or such a share is lost. */
#define RATE_DROWN_MS   150
#define RATE_DROWN_LOSS 0.2
/* Of the estimate that retransmissions may take, and at once, in seconds of that. */
#define RATE_RESEND_SHARE 0.4
#define RATE_RESEND_BURST 0.5
/* More loss than this, and retransmissions: pictures are to be played so late that those come in
 * time, a round trip and RATE_RESENT_US (until the gap shows, is asked for and filled), at most
 * RATE_PLAYOUT_US; until there was less loss for RATE_LOSSY_US. */
#define RATE_LOSSY      0.015
#define RATE_RESENT_US  90000
#define RATE_PLAYOUT_US 400000
#define RATE_LOSSY_US   20000000
#define RATE_QUEUED_US  4000000 /* since a queue stood: loss was lost there, and it is over */
/* Nothing has shown that the link has an end for so long: trains leave as they come. */
#define RATE_NARROW_US 30000000
#define RATE_WIDE      4 /* times the pacer's usual rate, then */

struct transport;

/* What is sent beside video, measured. */
struct rate_use {
    int64_t at_us; /* of the last look; 0: none yet */
    uint64_t audio_bytes, resent;
    double audio_bps, rtx_bps;
};

struct subscriber_rate {
    struct out_pace pace; /* first: what packets touch */
    struct subscriber *subscriber;
    bool twcc;                 /* the answer agreed to transport-wide feedback */
    int64_t sent_us, heard_us; /* the first number, the first feedback; 0: none yet */
    struct rate_trust trust;
    uint64_t overuses;             /* counted at the last look */
    int64_t tick_us;               /* when bwe_tick is due */
    uint64_t probes;               /* that had succeeded */
    int64_t probed_us;             /* when one last did; 0: never */
    int64_t budget_bps, floor_bps; /* of the last run */
    int64_t lossy_us;              /* when much was last lost */
    uint8_t playout;               /* that slots ask for (slot->playout) */
    struct rate_use use;
    struct allocator allocator;
    struct allocator_result result;
};

/* For a subscriber whose answer was read and whose transport is up: packets to him are numbered
 * from now on, if he agreed. t->out.pace is set. ERR_NOMEM. */
int subscriber_rate_new(struct subscriber_rate **out, struct transport *t, struct subscriber *s,
                        int64_t now_us);
/* The out queue must have forgotten the transport. NULL is fine; the subscriber may be gone. */
void subscriber_rate_free(struct subscriber_rate *r);
/* Of a transport; NULL: it has none. */
struct subscriber_rate *subscriber_rate_of(const struct transport *t);

/* RTCP of the transport came: fetches what it will be needed for while it is decrypted. Between two
 * feedbacks of a hundred subscribers all of it has left the cache. */
void subscriber_rate_prefetch(const struct transport *t);
/* One decrypted RTCP compound: transport-wide feedback, REMB, loss of reports. `statuses` is room
 * for RATE_STATUSES. Returns whether slots should be looked at now (subscriber_rate_run) and not
 * only when it is due. *bad: a feedback made no sense. now_us is when it came. As long as nothing
 * shows that the link is narrow it may come to be handed over RTCP_WAIT_US later, in its order:
 * the transport's rtcp.open says so. */
bool subscriber_rate_rtcp(struct subscriber_rate *r, const uint8_t *data, size_t len,
                          struct twcc_status *statuses, int64_t now_us, bool *bad);
/* Each 100 ms, and when subscriber_rate_rtcp says so: shares the estimate over the video slots.
 * shed: 0..ALLOCATOR_SHED_ALL. */
void subscriber_rate_run(struct subscriber_rate *r, uint8_t shed, int64_t now_us);

struct subscriber_rate_stats {
    bool estimated;     /* feedback comes: what follows holds */
    int64_t target_bps; /* the estimate; 0: none */
    int64_t budget_bps; /* of it, for video */
    int64_t used_bps;   /* of that, by the layers chosen */
    int64_t wanted_bps; /* what all that is asked for takes; 0: it is being sent */
    int64_t acked_bps;  /* that arrives; 0: not known */
    int64_t rtt_us;     /* 0: not known */
    double loss;        /* share of packets, lately */
    uint64_t probes;    /* clusters that succeeded */
    uint64_t overuses, feedbacks;
    uint64_t held; /* packets that the pacer ever held back */
    size_t held_now;
    unsigned paused_bandwidth, paused_overload; /* slots */
};
void subscriber_rate_stats(const struct subscriber_rate *r, struct subscriber_rate_stats *out);

#endif
