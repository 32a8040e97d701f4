/* One outgoing stream (a slot) fed by changing sources: sequence numbers, timestamps, picture ids,
 * tl0picidx and the dependency descriptor's frame numbers stay continuous across switches, and
 * across packets left out on purpose. Retransmissions find their way back: the last switches are
 * remembered as segments, and what was left out within them as runs.
 *
 * What is closed up over when layers are dropped:
 * - sequence numbers, always: what is missing looks like loss else, and is asked for again;
 * - VP8's picture ids: libwebrtc's receiver holds back a frame of a higher temporal layer as long
 *   as a picture id before it is missing;
 * - never VP9's: P_DIFF and the place in the group of pictures (RFC 9628 sections 4.2 and 4.2.1)
 *   count in them, and receivers know dropped layers by that;
 * - never the descriptor's frame numbers: its differences and chains count in them.
 * Across a switch all of them go on from the newest that went out. For the descriptor that is a
 * must: libwebrtc drops a keyframe whose frame number is behind the one before it. */
#ifndef SOTTO_SFU_CORE_REWRITER_H
#define SOTTO_SFU_CORE_REWRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/proto/codec.h"
#include "lib/proto/dd.h"
#include "sfu/core/sr.h"

#define REWRITER_SEGMENTS 8
#define REWRITER_RUNS     96 /* three seconds when every other frame of 60 a second is left out */
/* Numbers left free for what is missing; over a wider gap they close up, so that a receiver's
 * rollover counter never has to guess. */
#define REWRITER_MAX_GAP 1024
/* So far behind the newest a late packet is of no use, and its rollover counter is guessed. */
#define REWRITER_MAX_LATE 8192
/* Numbers that a switch leaves free for what may be missing of its keyframe. */
#define REWRITER_MAX_LEAD 64

struct rewriter_segment {
    int64_t in_first;  /* first unwrapped incoming number of the segment */
    int64_t out_first; /* the unwrapped outgoing number it became */
    uint32_t source;   /* the caller's number of the source */
    uint32_t first_run;
    uint32_t ts_offset;    /* out = in + offset, as all offsets */
    uint32_t clock_offset; /* the same, as the publisher's clock would have it */
    uint16_t picture_offset, frame_offset;
    uint8_t tl0_offset;
};

/* Numbers without a hole that were left out, and the sums over their segment up to them. */
struct rewriter_run {
    uint32_t in_after; /* low bits of the first incoming number behind them */
    uint32_t skipped;  /* packets */
    uint16_t pictures; /* picture ids closed up over */
};

/* What is remembered of before: only who has had more than one source or left packets out reads it.
 * The owner's, see rewriter_init. */
struct rewriter_past {
    struct rewriter_segment segment[REWRITER_SEGMENTS]; /* those before the newest */
    struct rewriter_run run[REWRITER_RUNS];
};

struct rewriter {
    uint32_t clock_rate;
    bool started, picture_started, frame_started;
    uint8_t out_tl0;
    uint16_t out_picture, out_frame; /* newest sent */
    uint16_t in_picture;             /* newest of the newest segment's source, sent or left out */
    uint32_t out_ts;                 /* of the newest packet */
    struct rewriter_run left;        /* what `now` has left out until now */
    int64_t out_us;                  /* when the newest packet was sent */
    int64_t out_highest;             /* unwrapped; low 16 bits are on the wire */
    int64_t in_highest;              /* newest number mapped or left out in the newest segment */
    uint32_t n_runs;                 /* ever begun; the ring keeps the last REWRITER_RUNS */
    uint32_t n_segments;             /* ever opened; the last REWRITER_SEGMENTS are known */
    struct rewriter_segment now;     /* the newest */
    struct rewriter_past *past;
};

/* A packet as it came in. */
struct rewriter_packet {
    uint32_t source;
    uint32_t ts;
    int64_t ext_seq;
    int64_t from_seq; /* when it opens a segment: the first number that may belong to its picture
                         (layers_verdict); 0, or what isn't just before ext_seq: none before it */
    int64_t now_us;
    bool late;            /* must find a place that is there already, never opens a segment */
    bool synced;          /* ts_distance holds */
    uint32_t ts_distance; /* rewriter_ts_distance from the source before */
    enum codec codec;
    const struct codec_info *info; /* NULL: none */
    const struct dd_frame *dd;     /* NULL: none */
};

struct rewritten {
    uint16_t seq;
    uint32_t ts;
    uint16_t picture_id; /* with info: for codec_rewrite */
    uint8_t tl0picidx;
    bool switched;      /* first packet of a new source */
    uint16_t frame_add; /* with dd: dd_rewrite's add_frame */
    /* Not the rewriter's, but the slot's: */
    bool marker;      /* as it is to leave */
    bool set_targets; /* with dd: dd_rewrite's */
    uint32_t targets;
};

/* first_seq and first_ts should be random (RFC 3550 section 5.1); first_seq below 2^15 keeps clear
 * of an early rollover. `past` may be given later (r->past), but before the first packet; it needs
 * no initialisation, is borrowed, and freed by the owner. */
void rewriter_init(struct rewriter *r, struct rewriter_past *past, uint32_t clock_rate,
                   uint16_t first_seq, uint32_t first_ts);

/* Maps a packet. A source other than the current one starts a new segment right after the newest
 * packet sent; for video the caller switches at a keyframe's first packet only. The timestamp goes
 * on by the publisher's own clock where that is known (synced, or the same source again after a
 * pause) and within half a second of what the arrival times say, else by the time that passed; at
 * least by a tick.
 * ERR_STATE: the packet has no place (drop it): older than the segment, left out before, closed up
 * over, or of a segment that is forgotten. */
int rewriter_map_packet(struct rewriter *r, const struct rewriter_packet *p, struct rewritten *out);
/* Leaves the source's packets from..ext_seq out on purpose: later ones close up over them. Those
 * not newer than all mapped or left out before stay a gap. All of them belong to one picture that
 * is left out as a whole: p's (codec and info may be none: padding). */
void rewriter_skip_packet(struct rewriter *r, const struct rewriter_packet *p, int64_t from);
/* Maps a packet again for its retransmission, by the segment that out_seq lies in; of p are used
 * ts, info, dd. ERR_NOT_FOUND. */
int rewriter_remap_packet(const struct rewriter *r, uint16_t out_seq,
                          const struct rewriter_packet *p, struct rewritten *out);
/* What to add to timestamps of `next` to have those of `current` at the same moment of capture, by
 * the last sender reports of both (one publisher's clock, RFC 3550 section 6.4.1). False when not
 * known. */
bool rewriter_ts_distance(const struct sr_source *current, const struct sr_source *next,
                          uint32_t clock_rate, uint32_t *distance);

/* Leaves the current source (paused, nobody): the next packet of any source opens a segment. */
void rewriter_detach(struct rewriter *r);

/* Which packet went out under this number: its source and unwrapped incoming number.
 * ERR_NOT_FOUND when it was never sent or the segment is forgotten. */
int rewriter_unmap(const struct rewriter *r, uint16_t out_seq, uint32_t *source, int64_t *ext_seq);
/* The offset to be added to the current source's timestamps (for sender reports); false when the
 * current segment is not of that source. */
bool rewriter_ts_offset(const struct rewriter *r, uint32_t source, uint32_t *offset);

#endif
