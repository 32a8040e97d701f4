/* One incoming stream of a publisher: its numbers unwrapped, its gaps asked for again, its
 * keyframes waited for, its last packets kept, and the slots that it feeds. */
#ifndef SOTTO_SFU_CORE_TRACK_H
#define SOTTO_SFU_CORE_TRACK_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/proto/sdp_publish.h"
#include "sfu/core/frame_hold.h"
#include "sfu/core/nack.h"
#include "sfu/core/pli.h"
#include "sfu/core/pool.h"
#include "sfu/core/rtp_stats.h"
#include "sfu/core/rtx_cache.h"
#include "sfu/core/sr.h"

#define TRACK_CACHE_PACKETS 1024
#define TRACK_WINDOW        1024 /* numbers of which is known whether they came; a multiple of 64 */
#define TRACK_SILENT_US     3000000 /* no packet for so long: the track counts as paused */

struct publisher;
struct slot;

/* How loud a track was since the relay links were told last. */
struct track_heard {
    uint8_t level; /* of the loudest packet, 0 (loudest) .. 127 */
    uint8_t packets;
    bool voice;
};

struct track {
    struct publisher *publisher;
    uint32_t source; /* unique in its router: what rewriters know the track by */
    struct sdp_track sdp;
    struct rtp_unwrap unwrap;
    uint64_t seen[TRACK_WINDOW / 64]; /* bit per number, for those up to unwrap.highest */
    struct rtp_stats stats;
    struct nack nack;
    struct pli pli;
    struct sr_source sr;
    struct rtx_cache *cache; /* of video; NULL for audio */
    bool live;               /* packets come */
    int64_t last_us;         /* when the last one came; 0: none yet */
    uint16_t width, height;  /* of the last keyframe; 0: not known */
    struct slot *feeds;      /* utlist of the slots that this track feeds */
    uint64_t relays;         /* bit i: relay link i wants it */
    struct track_heard heard;
    uint64_t rtx_packets;   /* that came as retransmissions */
    struct frame_hold hold; /* of video: whether its frames come in bursts */
};

/* What is to become of a packet. */
enum track_verdict {
    TRACK_FORWARD,
    TRACK_PADDING, /* no payload: slots close up over its number */
    TRACK_DROP,    /* a duplicate, or too old to be of use */
};

/* cache_us is for how long packets can be asked for again. NULL when out of memory. */
struct track *track_new(struct publisher *p, const struct sdp_track *sdp, uint32_t source,
                        int64_t cache_us);
/* The track must feed nothing any more. NULL is fine. */
void track_free(struct track *t);

/* A packet with parsed header, RTX already unwrapped; sets ext_seq and vp8, keeps a reference of
 * video for retransmission. *woke is set true when the track was paused before or changed its
 * picture's size, false else. */
enum track_verdict track_input(struct track *t, struct packet *k, bool retransmitted, bool *woke);
/* Calls off `live` when nothing came for TRACK_SILENT_US and lets old packets go. True when live
 * changed. */
bool track_tick(struct track *t, int64_t now_us);
/* A slot needs a keyframe to go on. Nothing for audio. */
void track_request_keyframe(struct track *t, int64_t now_us);

#endif
