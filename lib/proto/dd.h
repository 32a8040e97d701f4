/* The dependency descriptor (AV1 RTP specification 1.0, appendix A): an RTP header extension that
 * tells layers and dependencies without a look at the payload. A stream's template structure comes
 * with keyframes (and now and then); later descriptors refer to it. Pure, bounded, no allocation.
 */
#ifndef SOTTO_PROTO_DD_H
#define SOTTO_PROTO_DD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DD_MAX_TEMPLATES 64
#define DD_MAX_TARGETS   32
#define DD_MAX_CHAINS    32
#define DD_MAX_FDIFFS    8
#define DD_MAX_SPATIAL   4 /* resolutions kept */

/* Of a frame for a decode target. */
enum dd_indication { DD_NOT_PRESENT, DD_DISCARDABLE, DD_SWITCH, DD_REQUIRED };

struct dd_template {
    uint8_t sid, tid;
    uint8_t n_fdiffs;
    uint8_t fdiff[DD_MAX_FDIFFS];       /* 1.. */
    uint8_t indication[DD_MAX_TARGETS]; /* enum dd_indication */
    uint8_t chain_diff[DD_MAX_CHAINS];
};

struct dd_structure {
    uint8_t template_id_offset;
    uint8_t n_templates, n_targets, n_chains, n_spatial, n_temporal;
    uint8_t target_sid[DD_MAX_TARGETS], target_tid[DD_MAX_TARGETS]; /* highest layer of each */
    uint8_t target_chain[DD_MAX_TARGETS]; /* the chain that protects it; meaningless when n_chains
                                             is 0 */
    bool has_resolutions;
    uint16_t width[DD_MAX_SPATIAL], height[DD_MAX_SPATIAL];
    struct dd_template templates[DD_MAX_TEMPLATES];
};

/* State of one incoming stream; zero-initialise. */
struct dd_state {
    bool known; /* a structure was read */
    struct dd_structure structure;
    uint32_t active_targets; /* bit a target; all when never said */
};

struct dd_frame {
    bool first_in_frame, last_in_frame;
    uint16_t frame_number;
    uint8_t sid, tid;
    bool structure_attached; /* a keyframe's first packet, or a repetition */
    bool keyframe;           /* structure attached, and the frame depends on nothing */
    uint8_t n_fdiffs;
    uint16_t fdiff[DD_MAX_FDIFFS];
    uint8_t n_targets, n_chains;
    uint8_t indication[DD_MAX_TARGETS];
    uint8_t chain_diff[DD_MAX_CHAINS];
    uint32_t active_targets;
    uint16_t width, height; /* of the frame's spatial layer; 0: not known */
};

/* Reads one descriptor (the extension's data); state takes over a structure that is attached, only
 * after the whole of it was read well. ERR_TRUNCATED, ERR_INVALID, ERR_STATE (refers to a structure
 * that was never seen). */
int dd_parse(struct dd_state *state, struct dd_frame *out, const uint8_t *data, size_t len);

#endif
