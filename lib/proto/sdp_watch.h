/* The SFU's answer to a watcher's offer (WHEP, draft-ietf-wish-whep section 4.2): the client offers
 * the m-lines that it wants to receive, we answer sendonly with our SSRCs. Payload types, extension
 * ids and mids are the client's, so that each slot has its own. */
#ifndef SOTTO_PROTO_SDP_WATCH_H
#define SOTTO_PROTO_SDP_WATCH_H

#include "lib/proto/sdp_subscribe.h"

/* One accepted m-line. */
struct sdp_watch_slot {
    char mid[SDP_MID_LEN];
    uint8_t pt[CODECS];     /* by enum codec: what to send it under; 0: the client can't take it */
    uint8_t rtx_pt[CODECS]; /* of its retransmissions; 0: none */
    bool nack, pli, fir, transport_cc, remb; /* feedback agreed for any codec */
    struct rtp_ext_map ext;                  /* what may be written to it; 0: not agreed */
    size_t line;                             /* which of the offer's m-lines */
    size_t n_agreed; /* what the answer says, in the client's order: of each codec one format */
    struct sdp_agreed agreed[CODECS];
};

struct sdp_watch {
    struct sdp_remote remote;
    bool extmap_allow_mixed; /* one- and two-byte header extensions may alternate (RFC 8285) */
    bool rtcp_rsize;         /* reduced-size RTCP (RFC 5506) on every slot */
    size_t n_audio, n_video;
    struct sdp_watch_slot audio[SDP_MAX_AUDIO_SLOTS];
    struct sdp_watch_slot video[SDP_MAX_VIDEO_SLOTS];
};

/* Reads the offer: every m-line that receives (recvonly, sendrecv) and takes one of `codecs`
 * (sdp_codec.h; 0: Opus and VP8) becomes a slot, in the offer's order, up to max_audio and
 * max_video (which the maxima of sdp_subscribe.h bound). An H.264 slot is of constrained baseline
 * where the client has it. ERR_INVALID: no BUNDLE over several m-lines, two of one mid, no ICE
 * credentials or of bad length, no setup that can be answered; ERR_UNSUPPORTED: nothing to send, or
 * no SHA-256 fingerprint. */
int sdp_read_watch(struct sdp_watch *out, const struct sdp *offer, uint32_t codecs,
                   size_t max_audio, size_t max_video);

/* Appends the answer to the same offer; `slots` has the SSRCs, at least as many as w has slots. The
 * n-th audio and the n-th video slot are one stream ("sotto-n"): players show the sound with its
 * picture. What is no slot is rejected with port 0.
 * ERR_INVALID (too few SSRCs), ERR_TOO_LARGE, ERR_NOMEM; on failure out is as before. */
int sdp_answer_watch(struct buf *out, const struct sdp_watch *w, const struct sdp *offer,
                     const struct sdp_slots *slots, const struct sdp_local *local);

#endif
