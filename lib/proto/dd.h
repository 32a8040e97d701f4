/* The dependency descriptor (AV1 RTP specification 1.0, appendix A): an RTP header extension that
 * tells layers and dependencies without a look at the payload. A stream's template structure comes
 * with keyframes (and now and then); later descriptors refer to it. Pure, bounded, no allocation.
 *
 * What a forwarder owes to receivers when it drops layers (appendix A.4; libwebrtc's receiver): the
 * frame numbers stay as they are, gaps and all, because the differences point at them; RTP's marker
 * is set on the last packet of the highest spatial layer that is forwarded; active_decode_targets
 * tells what is still there (dd_write). A stream that goes on from another source (simulcast) needs
 * frame numbers that grow on, because libwebrtc drops a keyframe whose number is behind the last
 * one's: dd_write shifts them. */
#ifndef SOTTO_PROTO_DD_H
#define SOTTO_PROTO_DD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DD_MAX_TEMPLATES 64
#define DD_MAX_TARGETS   32
#define DD_MAX_CHAINS    32
#define DD_MAX_FDIFFS    8
#define DD_MAX_SPATIAL   4   /* sid 0..3, as in AV1 and libwebrtc */
#define DD_MAX_TEMPORAL  8   /* tid 0..7 */
#define DD_MAX_SIZE      255 /* bytes of an extension's data (RFC 8285) */
#define DD_LATE_FRAMES   512 /* a frame number this little behind is late; further, a new start */

/* Of a frame for a decode target. */
enum dd_indication { DD_NOT_PRESENT, DD_DISCARDABLE, DD_SWITCH, DD_REQUIRED };

struct dd_template {
    uint8_t sid, tid;
    uint8_t n_fdiffs;
    uint8_t fdiff[DD_MAX_FDIFFS];       /* 1..16 */
    uint8_t indication[DD_MAX_TARGETS]; /* enum dd_indication */
    uint8_t chain_diff[DD_MAX_CHAINS];  /* 0..15; 0: the chain needs nothing before this frame */
};

struct dd_structure {
    uint8_t template_id_offset;
    uint8_t n_templates, n_targets, n_chains, n_spatial, n_temporal;
    uint8_t target_sid[DD_MAX_TARGETS], target_tid[DD_MAX_TARGETS]; /* highest layer of each */
    uint8_t target_chain[DD_MAX_TARGETS]; /* the chain that protects it; meaningless when n_chains
                                             is 0 */
    bool has_resolutions;
    uint16_t width[DD_MAX_SPATIAL], height[DD_MAX_SPATIAL]; /* 65535 stands for 65536 too */
    struct dd_template templates[DD_MAX_TEMPLATES];
};

/* State of one incoming stream; zero-initialise. */
struct dd_state {
    bool known; /* a structure was read */
    struct dd_structure structure;
    uint32_t active_targets; /* bit a target; all when never said */
    int64_t newest;          /* frame number, unwrapped: of the newest frame, */
    int64_t structure_since; /* of the frame that brought the structure held, */
    int64_t targets_since;   /* and of the one that last said the active targets */
};

struct dd_frame {
    bool first_in_frame, last_in_frame;
    uint16_t frame_number;
    int64_t frame_id; /* frame_number unwrapped along the stream: differences, chains and comparing
                         work on it. The first frame's is 2^16 + frame_number */
    uint8_t sid, tid;
    bool structure_attached; /* a keyframe's first packet, or a repetition */
    bool keyframe;           /* structure attached, and the frame depends on nothing */
    uint8_t n_fdiffs;
    uint16_t fdiff[DD_MAX_FDIFFS]; /* 1..4096 */
    uint8_t n_targets, n_chains;
    uint8_t indication[DD_MAX_TARGETS];
    uint8_t chain_diff[DD_MAX_CHAINS];
    uint32_t active_targets; /* at this frame */
    uint16_t width, height;  /* of the frame's spatial layer; 0: not known */
    /* For dd_write. */
    bool targets_present; /* the descriptor says its active targets itself */
    uint16_t targets_bit; /* where that mask is, or would be: bits from the descriptor's start */
    uint16_t bits;        /* used of the descriptor; what follows is padding */
};

/* Reads one descriptor (the extension's data); state takes over a structure that is attached and a
 * mask, only after the whole of it was read well. A frame that was read was read by state's
 * structure. What comes late changes no state: a mask that a newer frame has replaced is told of
 * its own frame only, and a structure that has been replaced is refused. ERR_TRUNCATED, ERR_INVALID
 * (layers or templates beyond the bounds above), ERR_TOO_LARGE (more than DD_MAX_FDIFFS
 * differences, or DD_MAX_SIZE bytes), ERR_STATE (the structure is not held: never seen, lost on its
 * way, or replaced since). On failure state is unchanged and *out is zero. */
int dd_parse(struct dd_state *state, struct dd_frame *out, const uint8_t *data, size_t len);

/* How a descriptor is to differ on its way out. All zero: not at all. */
struct dd_rewrite {
    uint16_t add_frame; /* to frame_number, modulo 2^16 */
    /* To frame_dependency_template_id, and to the offset of a structure that is attached, modulo
     * 64: so that the structures of two sources don't overlap. */
    uint8_t add_template;
    bool set_targets; /* say `targets` as the active decode targets, in place of what was said */
    uint32_t targets;
};

/* Writes the descriptor that `frame` was read from (data, len) at out, which may hold DD_MAX_SIZE
 * bytes and must not overlap data. Everything but what `how` names stays bit by bit; padding at the
 * end is dropped. Returns the bytes written, at most len + 5, or ERR_TOO_LARGE (cap), ERR_INVALID
 * (frame wasn't read from this). Cheap: no parsing. */
int dd_write(const struct dd_frame *frame, const struct dd_rewrite *how, const uint8_t *data,
             size_t len, uint8_t *out, size_t cap);

/* The decode targets of the structure whose layers don't pass sid and tid, bit a target. In the
 * stream modes without inter-layer prediction those of lower spatial layers are among them. */
uint32_t dd_targets_within(const struct dd_structure *s, uint8_t sid, uint8_t tid);

#endif
