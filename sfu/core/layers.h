/* Which packets of a track go into one slot: the choice among simulcast streams and among spatial
 * and temporal layers, so that everything forwarded can be decoded and a viewer sees no switch.
 *
 * Simulcast: the stream changes at a keyframe of the new one, and the old one goes on until then.
 * A stream that fell silent while others send is replaced by the highest live one below it.
 * VP8 (and any codec with temporal ids only): down at once, one layer up at a frame marked for it
 * (RFC 7741 section 4.2, Y), all at a keyframe.
 * VP9 SVC (RFC 9628): down with the next picture, one spatial layer up at a frame that isn't
 * predicted from earlier pictures (P = 0) and whose lower layer is forwarded, one temporal layer up
 * at a frame with U (libwebrtc and libvpx mean by U what VP8 means by Y), all at a keyframe.
 * Dependency descriptor (AV1 RTP specification appendix A; needs nothing of the payload, so it is
 * what carries end-to-end encrypted media of any codec): the best decode target within the layers
 * wanted. A target may be taken up at a frame that is a switch indication for it and whose own
 * references were forwarded, or with a new picture when all that the target needs has been
 * forwarded since such a frame. (That is what chains are for; following the frames themselves tells
 * it for targets without a chain too.) Forwarded is what isn't NOT_PRESENT for the target.
 *
 * Loss: a gap changes nothing about what is forwarded. What is missing is expected to be repaired:
 * asked of the publisher again, and by receivers from our cache. A layer is only not taken *up* on
 * the strength of a frame that never came. A late packet is judged by the selection that was in
 * force at its timestamp. When the packet that shows a keyframe comes late, the switch happens all
 * the same, at most LAYERS_LATE_KEY numbers back; what came in between is asked for by receivers.
 *
 * Pure; nothing allocates. */
#ifndef SOTTO_SFU_CORE_LAYERS_H
#define SOTTO_SFU_CORE_LAYERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/proto/codec.h"
#include "lib/proto/dd.h"

#define LAYERS_STREAMS 3   /* simulcast streams; 0 is the smallest */
#define LAYERS_ERAS    8   /* selections remembered for late packets */
#define LAYERS_FRAMES  256 /* frame numbers of which is known whether they were forwarded */
/* A stream counts as silent when nothing of it came for SILENT_US and others began SILENT_PICTURES
 * pictures meanwhile (a still screen is silent in all of them). */
#define LAYERS_SILENT_US       600000
#define LAYERS_SILENT_PICTURES 6
#define LAYERS_ASK_US          500000  /* between two requests of one slot */
#define LAYERS_PATIENCE_US     2000000 /* wait for a temporal switching point, then a keyframe */
#define LAYERS_LATE_KEY        128
#define LAYERS_RESYNC          (INT32_C(1) << 29) /* ticks, 99 minutes of video */

/* ---- of a track, shared by all its slots ---- */

struct layers_stream {
    bool seen, live;
    int64_t last_us;
    int64_t highest;      /* newest number */
    int64_t picture_from; /* the first number that may belong to the newest picture */
    uint32_t ts;          /* the newest picture's */
    uint32_t synced_ts;   /* of the last resync, or the first */
    uint32_t others;      /* pictures that other streams began since last_us */
};

/* Zero-initialise. */
struct layers_track {
    struct layers_stream stream[LAYERS_STREAMS];
};

/* A packet with content. Padding packets don't come here: slots leave them out by rewriter_skip. */
struct layers_packet {
    uint8_t stream; /* 0 unless simulcast */
    bool marker;
    enum codec codec;
    uint32_t ts;
    int64_t ext_seq;
    int64_t now_us;
    const struct codec_info *info;        /* NULL: unknown (cipher text, or didn't parse) */
    const struct dd_frame *dd;            /* NULL: none */
    const struct dd_structure *structure; /* that dd was read by; with dd */
    /* Filled by layers_track_input. */
    bool late;        /* newer packets of its stream came before */
    bool new_picture; /* the first that came of its picture */
    bool resync;    /* its clock was set back, or has gone on for hours: selections, which are known
                       by their first timestamp, are to be told by this one */
    int64_t before; /* newest number of its stream before it; ext_seq - 1 for the first */
    int64_t from_seq; /* the first number that may belong to its picture, not above ext_seq */
};

/* Takes note of a packet, once, before it is given to slots; p->stream below LAYERS_STREAMS. */
void layers_track_input(struct layers_track *t, struct layers_packet *p);
/* Bit a stream: it sends now. */
uint32_t layers_track_live(const struct layers_track *t);

/* Decoding can begin with this packet. */
bool layers_is_key(const struct layers_packet *p);
/* Of such a one that layers_track_input was given: the first number that may belong to its
 * keyframe. */
int64_t layers_key_from(const struct layers_packet *p);

/* ---- of a slot ---- */

#define LAYERS_ALL 255

struct layers_target {
    bool paused;
    uint8_t stream;   /* simulcast */
    uint8_t sid, tid; /* highest layers within the stream; LAYERS_ALL: all */
};

/* What was selected from one timestamp of a stream on. */
struct layers_era {
    uint8_t stream;
    bool closed; /* nothing: the stream was left */
    uint8_t sid, tid;
    uint8_t decode_target; /* of the descriptor; LAYERS_NO_DD without */
    uint32_t ts;
    uint32_t targets; /* decode targets within sid and tid, a bit each */
};
#define LAYERS_NO_DD 255

/* Zero-initialise, then layers_init. */
struct layers {
    struct layers_target target;
    int8_t current; /* stream that is forwarded; -1: none */
    bool asked, waiting, reduced;
    uint8_t n_eras;               /* held; era[0] is the newest */
    int64_t first;                /* the current stream's first number of this stay */
    int64_t left[LAYERS_STREAMS]; /* newest number of a stream when it was left */
    int64_t asked_us;
    int64_t waiting_us;  /* since when a wanted temporal layer is left out */
    int64_t skipped;     /* newest number left out, */
    uint32_t skipped_ts; /* its timestamp, */
    uint8_t skipped_sid; /* and its layer */
    int64_t frame_id;    /* descriptor: newest frame judged; 0: none */
    uint32_t complete;   /* descriptor: targets all of whose frames were forwarded, a bit each */
    uint64_t forwarded[LAYERS_FRAMES / 64];
    struct layers_era era[LAYERS_ERAS];
};

enum layers_action {
    LAYERS_DROP,    /* not of the stream that is forwarded: nothing happens */
    LAYERS_SKIP,    /* rewriter_skip_packet, from skip_from */
    LAYERS_FORWARD, /* rewriter_map_packet with late and from_seq */
};

struct layers_verdict {
    enum layers_action action;
    bool switched;       /* the first packet of another stream than before */
    bool late;           /* forward only into a place that is there (rewriter_packet) */
    bool marker;         /* the RTP marker that the packet is to leave with */
    bool set_targets;    /* dd: active decode targets are to be rewritten (dd_write), */
    uint32_t targets;    /* to these */
    int64_t from_seq;    /* switched: rewriter_packet's from_seq */
    int64_t skip_from;   /* skip: the first number that is known to belong to what is left out */
    int keyframe_stream; /* a keyframe of this stream is needed and none is to be expected by
                            itself; -1: none. Repeated each LAYERS_ASK_US until it comes */
};

/* Forwards nothing until layers_set_target. */
void layers_init(struct layers *l);
/* What is wanted from now on; may be called at any time. Returns the stream that needs a keyframe
 * for it now, or -1. When it pauses a slot, call rewriter_detach. */
int layers_set_target(struct layers *l, const struct layers_track *t,
                      const struct layers_target *target, int64_t now_us);
/* The slot shows another track, or none: call with rewriter_detach. The target stays. */
void layers_reset(struct layers *l);
/* The stream that is to be shown: the wanted one if it is live, else the highest live one below it,
 * else the lowest live one above; -1: none is live, or paused. */
int layers_wanted(const struct layers *l, const struct layers_track *t);
/* What the selector forwards now, for events and statistics; false: nothing. Without a descriptor
 * sid and tid are what is let through, also when the stream has less. */
bool layers_selected(const struct layers *l, uint8_t *stream, uint8_t *sid, uint8_t *tid);

/* Everything of the stream that is forwarded goes on, whatever comes next: packets of a track with
 * this stream alone, neither late nor with resync nor with a descriptor, need no layers_input until
 * the target changes. Their marker stays. */
static inline bool layers_take_all(const struct layers *l)
{
    return l->current >= 0 && l->target.sid == LAYERS_ALL && l->target.tid == LAYERS_ALL &&
           !l->target.paused && l->n_eras > 0 && l->era[0].sid == LAYERS_ALL &&
           l->era[0].tid == LAYERS_ALL && l->era[0].decode_target == LAYERS_NO_DD;
}

/* Marker and targets of a packet that was forwarded before (its retransmission). */
void layers_again(const struct layers *l, const struct layers_packet *p, struct layers_verdict *v);

/* Judges a packet that layers_track_input was given. */
void layers_input(struct layers *l, const struct layers_track *t, const struct layers_packet *p,
                  struct layers_verdict *v);

#endif
