/* One outgoing stream (a slot) fed by changing sources: sequence numbers, timestamps and VP8
 * picture ids stay continuous across switches. Within a source the mapping is an offset, so
 * retransmissions find their way back: the last switches are remembered as segments. */
#ifndef SOTTO_SFU_CORE_REWRITER_H
#define SOTTO_SFU_CORE_REWRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/proto/vp8.h"

#define REWRITER_SEGMENTS 16
/* Numbers left free for what is missing; over a wider gap they close up, so that a receiver's
 * rollover counter never has to guess. */
#define REWRITER_MAX_GAP 1024

struct rewriter_segment {
    uint32_t source;    /* the caller's number of the source */
    int64_t in_first;   /* first unwrapped incoming number of the segment */
    int64_t out_first;  /* the unwrapped outgoing number it became */
    uint32_t ts_offset; /* out = in + offset */
    uint16_t picture_offset;
    uint8_t tl0_offset;
};

struct rewriter {
    uint32_t clock_rate;
    bool started;
    int64_t out_highest; /* unwrapped; low 16 bits are on the wire */
    uint32_t out_ts;     /* of the newest packet */
    int64_t out_us;      /* when it was sent */
    bool vp8_started;
    uint16_t out_picture;
    uint8_t out_tl0;
    size_t n_segments; /* ever opened; the ring keeps the last REWRITER_SEGMENTS */
    struct rewriter_segment segment[REWRITER_SEGMENTS];
};

struct rewritten {
    uint16_t seq;
    uint32_t ts;
    uint16_t picture_id; /* valid with vp8 */
    uint8_t tl0picidx;
    bool switched; /* first packet of a new source */
};

/* first_seq and first_ts should be random (RFC 3550 section 5.1); first_seq below 2^15 keeps clear
 * of an early rollover. */
void rewriter_init(struct rewriter *r, uint32_t clock_rate, uint16_t first_seq, uint32_t first_ts);

/* Maps a packet of `source`. A source other than the current one starts a new segment right after
 * the newest packet sent, its timestamp moved on by the time that passed (at least one tick); for
 * video the caller switches at a keyframe's first packet only. vp8 may be NULL.
 * ERR_STATE: the packet is older than the segment's first and has no place (drop it). */
int rewriter_map(struct rewriter *r, uint32_t source, int64_t ext_seq, uint32_t ts, int64_t now_us,
                 const struct vp8_descriptor *vp8, struct rewritten *out);

/* The source's packet ext_seq is left out on purpose: later ones close up over it. Only for a
 * packet newer than all mapped before it; else nothing happens and it stays a gap. */
void rewriter_skip(struct rewriter *r, uint32_t source, int64_t ext_seq);

/* Leaves the current source (paused, nobody): the next packet of any source opens a segment. */
void rewriter_detach(struct rewriter *r);

/* Which packet went out under this number: its source and unwrapped incoming number.
 * ERR_NOT_FOUND when it was never sent or the segment is forgotten. */
int rewriter_unmap(const struct rewriter *r, uint16_t out_seq, uint32_t *source, int64_t *ext_seq);
/* Maps a packet again for its retransmission, by the segment that out_seq lies in. */
int rewriter_remap(const struct rewriter *r, uint16_t out_seq, uint32_t ts,
                   const struct vp8_descriptor *vp8, struct rewritten *out);
/* The offset to be added to the current source's timestamps (for sender reports); false when the
 * current segment is not of that source. */
bool rewriter_ts_offset(const struct rewriter *r, uint32_t source, uint32_t *offset);

#endif
