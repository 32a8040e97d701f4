/* The SFU's offer to a subscriber: a fixed number of slots, each an m-line with one SSRC for life
 * (mids "a0", "a1", … and "v0", "v1", …), and the reading of the subscriber's answer. */
#ifndef SOTTO_PROTO_SDP_SUBSCRIBE_H
#define SOTTO_PROTO_SDP_SUBSCRIBE_H

#include "lib/proto/sdp_codec.h"

#define SDP_MAX_AUDIO_SLOTS 16
#define SDP_MAX_VIDEO_SLOTS 64

/* Payload types and extension ids that every offer of ours uses; the answer can't change them. */
#define SDP_OPUS_PT                        111
#define SDP_RED_PT                         63
#define SDP_VP8_PT                         96
#define SDP_VP8_RTX_PT                     97
#define SDP_VP9_PT                         98
#define SDP_VP9_RTX_PT                     99
#define SDP_H264_PT                        102 /* constrained baseline, packetization mode 1 */
#define SDP_H264_RTX_PT                    103
#define SDP_AV1_PT                         45
#define SDP_AV1_RTX_PT                     46
#define SDP_SLOT_EXT_AUDIO_LEVEL           1
#define SDP_SLOT_EXT_ABS_SEND_TIME         2
#define SDP_SLOT_EXT_TRANSPORT_CC          3
#define SDP_SLOT_EXT_MID                   4
#define SDP_SLOT_EXT_VIDEO_ORIENTATION     5
#define SDP_SLOT_EXT_PLAYOUT_DELAY         6
#define SDP_SLOT_EXT_DEPENDENCY_DESCRIPTOR 7
#define SDP_SLOT_EXT_ABS_CAPTURE_TIME      8

/* The payload type of a codec in our offers, and of its retransmissions; 0: there is none. */
uint8_t sdp_slot_pt(enum codec c);
uint8_t sdp_slot_rtx_pt(enum codec c);

struct sdp_slot {
    uint32_t ssrc;
    uint32_t rtx_ssrc; /* video only */
};

struct sdp_slots {
    size_t n_audio, n_video;
    struct sdp_slot audio[SDP_MAX_AUDIO_SLOTS];
    struct sdp_slot video[SDP_MAX_VIDEO_SLOTS];
    uint32_t codecs; /* those that a slot may carry (sdp_codec.h); 0: Opus and VP8 */
};

/* The m-line id of a slot, "a3" or "v12". */
void sdp_slot_mid(char out[8], enum sdp_kind kind, size_t slot);

/* The codecs that the offer of these slots really carries: fewer than slots->codecs when the slots
 * are so many that a client's answer wouldn't fit into a frame (64 KiB). Thirty video slots have
 * them all. */
uint32_t sdp_slots_codecs(const struct sdp_slots *slots);

/* Appends the offer. Every slot has its own msid ("sotto-a0 sotto-a0-track"), so that a browser
 * makes a track and a stream of each. ERR_INVALID (no slot at all, too many, or none of `codecs`
 * for one), ERR_TOO_LARGE,
 * ERR_NOMEM; on failure out is as before. */
int sdp_offer_subscribe(struct buf *out, const struct sdp_slots *slots,
                        const struct sdp_local *local);

struct sdp_subscribed_slot {
    bool accepted;                           /* not rejected, receives, and takes a codec of ours */
    uint32_t codecs;                         /* SDP_CODEC bits of those it takes */
    uint32_t rtx_codecs;                     /* of those, the ones with retransmissions */
    bool rtx;                                /* any */
    bool nack, pli, fir, transport_cc, remb; /* feedback agreed for any codec */
    struct rtp_ext_map ext; /* what may be written to it; 0 where the answer left it out */
};

struct sdp_subscribe {
    struct sdp_remote remote;
    bool extmap_allow_mixed; /* one- and two-byte header extensions may alternate (RFC 8285) */
    struct sdp_subscribed_slot audio[SDP_MAX_AUDIO_SLOTS];
    struct sdp_subscribed_slot video[SDP_MAX_VIDEO_SLOTS];
};

/* Reads the answer to the offer made of `slots`: m-lines in the offer's order, matched by mid.
 * ERR_INVALID: another number or order of m-lines, credentials or setup missing or wrong (actpass
 * is no answer), an extension id moved; ERR_UNSUPPORTED: no SHA-256 fingerprint. A rejected slot is
 * no error. */
int sdp_read_answer(struct sdp_subscribe *out, const struct sdp *answer,
                    const struct sdp_slots *slots);

#endif
