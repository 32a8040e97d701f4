/* The SFU's offer to a subscriber: a fixed number of slots, each an m-line with one SSRC for life
 * (mids "a0", "a1", … and "v0", "v1", …), and the reading of the subscriber's answer. */
#ifndef SOTTO_PROTO_SDP_SUBSCRIBE_H
#define SOTTO_PROTO_SDP_SUBSCRIBE_H

#include "lib/proto/sdp.h"

#define SDP_MAX_AUDIO_SLOTS 16
#define SDP_MAX_VIDEO_SLOTS 64

/* Payload types and extension ids that every offer of ours uses; the answer can't change them. */
#define SDP_OPUS_PT                111
#define SDP_VP8_PT                 96
#define SDP_VP8_RTX_PT             97
#define SDP_SLOT_EXT_AUDIO_LEVEL   1
#define SDP_SLOT_EXT_ABS_SEND_TIME 2
#define SDP_SLOT_EXT_TRANSPORT_CC  3
#define SDP_SLOT_EXT_MID           4

struct sdp_slot {
    uint32_t ssrc;
    uint32_t rtx_ssrc; /* video only */
};

struct sdp_slots {
    size_t n_audio, n_video;
    struct sdp_slot audio[SDP_MAX_AUDIO_SLOTS];
    struct sdp_slot video[SDP_MAX_VIDEO_SLOTS];
};

/* The m-line id of a slot, "a3" or "v12". */
void sdp_slot_mid(char out[8], enum sdp_kind kind, size_t slot);

/* Appends the offer. Every slot has its own msid ("sotto-a0 sotto-a0-track"), so that a browser
 * makes a track and a stream of each. ERR_INVALID (no slot at all, or too many), ERR_TOO_LARGE,
 * ERR_NOMEM; on failure out is as before. */
int sdp_offer_subscribe(struct buf *out, const struct sdp_slots *slots,
                        const struct sdp_local *local);

struct sdp_subscribed_slot {
    bool accepted; /* not rejected, receives, and takes our codec */
    bool rtx;
    bool nack, transport_cc;
    struct rtp_ext_map ext; /* what may be written to it; 0 where the answer left it out */
};

struct sdp_subscribe {
    struct sdp_remote remote;
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
