/* One incoming m-line of a publisher: one stream, or up to three of a simulcast. Of each stream the
 * numbers are unwrapped, gaps asked for again, keyframes waited for, the last packets kept and the
 * layers measured; the track feeds slots, which choose among its streams and layers. */
#ifndef SOTTO_SFU_CORE_TRACK_H
#define SOTTO_SFU_CORE_TRACK_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/proto/sdp_publish.h"
#include "sfu/core/counters.h"
#include "sfu/core/frame_hold.h"
#include "sfu/core/layers.h"
#include "sfu/core/meter.h"
#include "sfu/core/nack.h"
#include "sfu/core/pli.h"
#include "sfu/core/pool.h"
#include "sfu/core/rewriter.h"
#include "sfu/core/rtp_stats.h"
#include "sfu/core/rtx_cache.h"
#include "sfu/core/sr.h"

#define TRACK_CACHE_PACKETS 1024
#define TRACK_WINDOW        1024 /* numbers of which is known whether they came; a multiple of 64 */
#define TRACK_SILENT_US     3000000 /* no packet for so long: the track counts as paused */
#define TRACK_STREAMS       SDP_MAX_LAYERS
#define TRACK_SPATIAL       METER_SPATIAL

struct publisher;
struct slot;

/* How loud a track was since the relay links were told last. */
struct track_heard {
    uint8_t level; /* of the loudest packet, 0 (loudest) .. 127 */
    uint8_t packets;
    bool voice;
};

/* One SSRC and its retransmissions. */
struct track_stream {
    struct rtp_unwrap unwrap;
    uint64_t seen[TRACK_WINDOW / 64]; /* bit per number, for those up to unwrap.highest */
    struct rtp_stats stats;
    struct pli pli;
    uint8_t fir_seq; /* of the newest FIR (RFC 5104 section 4.3.1) */
    struct sr_source sr;
    struct rtx_cache *cache;              /* of video; NULL for audio */
    struct dd_state *dd;                  /* where the descriptor was agreed */
    uint16_t width, height;               /* of its pictures; 0: not known */
    uint16_t layer_width[TRACK_SPATIAL];  /* of its spatial layers, where */
    uint16_t layer_height[TRACK_SPATIAL]; /* they are told; 0: not */
    struct frame_hold hold;               /* of video: whether its frames come in bursts */
    struct meter meter;                   /* of video */
    struct counters counters;             /* read by track_counters, which fills in the rest */
    uint64_t relays;                      /* bit i: relay link i wants it */
    struct nack nack;
};

struct track {
    struct publisher *publisher;
    uint32_t source; /* unique in its router; rewriters know its streams as source + stream */
    struct sdp_track sdp;
    uint8_t agreed_of[128]; /* by payload type: 1 + its place in sdp.codec; 0: not agreed */
    bool live;              /* packets come; of audio: came ever (silence is no pause) */
    int64_t last_us;        /* when the last one came; 0: none yet */
    uint16_t width, height; /* of the largest stream's last keyframe; 0: not known */
    struct slot **feeds;    /* the slots that this track feeds, */
    uint32_t n_feeds, cap_feeds;
    uint64_t relays; /* bit i: relay link i wants any of its streams */
    struct track_heard heard;
    struct layers_track layers; /* by rank */
    /* Streams by size, the smallest first: the layer selector counts so. As offered at first; by
     * what their keyframes tell as soon as they do. */
    uint8_t rank[TRACK_STREAMS]; /* of a stream */
    uint8_t at[TRACK_STREAMS];   /* the stream of a rank */
    uint8_t n_streams;           /* 1..TRACK_STREAMS, for life */
    struct track_stream stream[];
};

/* What is to become of a packet. */
enum track_verdict {
    TRACK_FORWARD,
    TRACK_PADDING, /* no payload: slots close up over its number */
    TRACK_DROP,    /* a duplicate, or too old to be of use, or of no agreed codec */
};

/* A packet as all slots see it, made once. Its pointers lead into the packet and its track. */
struct track_packet {
    enum track_verdict verdict;
    bool woke;                       /* the track was paused, or its pictures have a new size */
    bool keyframe;                   /* of video: decoding can begin with it */
    bool plain;                      /* nothing that a slot which takes all must look at */
    struct layers_packet layers;     /* of video */
    struct rewriter_packet rewriter; /* late, from_seq and what syncs are the slot's to set */
};

/* cache_us is for how long packets can be asked for again. NULL when out of memory. */
struct track *track_new(struct publisher *p, const struct sdp_track *sdp, uint32_t source,
                        int64_t cache_us);
/* The track must feed nothing any more. NULL is fine. */
void track_free(struct track *t);
/* The slot gets its packets from now on (see slot_set_track). ERR_NOMEM. */
int track_feed(struct track *t, struct slot *s);
/* It gets none any more; another may take its place in `feeds`. */
void track_unfeed(struct track *t, struct slot *s);
/* A new description of the same streams (publisher_update has compared them). */
void track_describe(struct track *t, const struct sdp_track *sdp);
/* How many streams a description makes. */
uint8_t track_streams(const struct sdp_track *sdp);

/* The agreed format of a payload type (*rtx: of its retransmissions), or NULL. */
static inline const struct sdp_agreed *track_agreed(const struct track *t, uint8_t pt, bool *rtx)
{
    uint8_t at = t->agreed_of[pt & 127];
    const struct sdp_agreed *a = at ? &t->sdp.codec[at - 1] : NULL;
    *rtx = a && a->pt != pt;
    return a;
}

/* A packet with parsed header and its `stream` set, RTX already unwrapped: what is to be known of
 * it is found and put into k and *out; video is kept for retransmission. */
void track_input(struct track *t, struct packet *k, bool retransmitted, struct track_packet *out);
/* Its SSRC is another than before, and seq its first number: those that we know it by go on behind
 * the former's, slots begin anew. */
void track_restart_stream(struct track *t, uint8_t stream, uint32_t ssrc, uint16_t seq);
/* Works out what layers measured, lets old packets go, calls off `live` of video when nothing came
 * for TRACK_SILENT_US. True when live changed. */
bool track_tick(struct track *t, int64_t now_us);

/* A slot needs a keyframe of the stream of this rank. Nothing for audio. */
void track_request_stream(struct track *t, unsigned rank, int64_t now_us);
/* Of all streams that live; of all when none does. */
void track_request_keyframe(struct track *t, int64_t now_us);
/* Somebody is to get, or gets, the stream: gaps and keyframes matter. */
bool track_is_watched(const struct track *t, uint8_t stream);

/* The stream and layers that fit a height (0: any): the smallest that is at least as high. */
struct layers_target track_fit(const struct track *t, uint32_t max_height);
/* The size of the pictures of a rank's layers up to sid; 0: not known. */
void track_size(const struct track *t, unsigned rank, uint8_t sid, uint16_t *width,
                uint16_t *height);
/* Everything counted of a stream; of all streams together (jitter: the worst). */
void track_counters(const struct track *t, uint8_t stream, struct counters *out);
void track_sum(const struct track *t, struct counters *out);
/* Packets that it keeps. */
size_t track_cached(const struct track *t);

#endif
