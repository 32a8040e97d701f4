/* What forwarding needs to know of a video packet, whatever its codec: read once from the clear
 * descriptor in front of the payload (RFC 7741 VP8, RFC 9628 VP9, RFC 6184 H.264, AV1 RTP
 * specification 1.0 section 4). Nothing here allocates or keeps state.
 *
 * End-to-end encrypted media: what the sender's packetiser wrote in the clear stays true (VP8's and
 * VP9's whole descriptor, AV1's aggregation header with N). What lies behind it (VP8's frame
 * header, H.264's NAL headers, AV1's OBUs) may be cipher text: any bytes parse without harm, but
 * `keyframe`, `frame_start` and sizes of VP8, H.264 and AV1 are then worth no more than those
 * bytes. Whoever knows that a track is encrypted forwards by the dependency descriptor (dd.h)
 * alone. */
#ifndef SOTTO_PROTO_CODEC_H
#define SOTTO_PROTO_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum codec { CODEC_NONE, CODEC_OPUS, CODEC_RED, CODEC_VP8, CODEC_VP9, CODEC_H264, CODEC_AV1 };
#define CODECS (CODEC_AV1 + 1)

/* SDP's encoding name ("opus", "red", "VP8", "VP9", "H264", "AV1"), "" for CODEC_NONE and what is
 * no codec; static storage. */
const char *codec_name(enum codec c);
/* The codec of an encoding name (case-insensitive); CODEC_NONE when unknown. */
enum codec codec_of(const char *name);

struct codec_info {
    bool keyframe;    /* belongs to a picture that needs none before it: VP9 all packets of its base
                         layer (neither P nor D); H.264 those with an SPS or a piece of an IDR
                         picture; VP8 and AV1 (N, or a sequence header) the first. Whoever begins to
                         forward does so where also picture_start is true */
    bool frame_start; /* first packet of a (layer) frame. H.264 and AV1 have no mark for it: true
                         where one can begin; it does where also the timestamp is new */
    bool frame_end;   /* last packet of a (layer) frame, where the descriptor says so (VP9 E); the
                         others tell by RTP's marker */
    bool picture_start; /* first packet of the whole picture: all spatial layers of one time */
    bool up_switch;     /* from this frame on temporal layer `tid` can be taken up (VP8 Y, VP9 U) */
    bool not_referenced;  /* no later frame of any layer needs it (VP8 N, H.264 nal_ref_idc 0) */
    bool inter_picture;   /* predicted from earlier pictures (VP9 P) */
    bool inter_layer;     /* predicted from the spatial layer below (VP9 D) */
    bool not_for_upper;   /* not used by the spatial layer above (VP9 Z) */
    uint8_t sid, tid;     /* spatial 0..7 and temporal 0..7 layer */
    uint8_t picture_bits; /* 0 (none), 7 or 15 */
    uint16_t picture_id;
    bool has_tl0;
    uint8_t tl0picidx;
    uint8_t picture_off, tl0_off; /* of both within the payload, for rewriting in place */
    uint8_t n_spatial; /* spatial layers, when a scalability structure is in this packet; else 0 */
    uint16_t width, height; /* of the picture (its highest layer), when told here; else 0 */
};

/* Reads the descriptor at a payload's start. ERR_TRUNCATED, ERR_INVALID, ERR_UNSUPPORTED (not a
 * video codec). *out is zero on failure. */
int codec_parse(struct codec_info *out, enum codec c, const uint8_t *payload, size_t len);

/* Writes a new picture id (modulo 2^picture_bits) and tl0picidx in place, where the descriptor has
 * them; payload is the one that info was parsed from, or a copy. */
void codec_rewrite(const struct codec_info *info, uint8_t *payload, uint16_t picture_id,
                   uint8_t tl0picidx);

#endif
