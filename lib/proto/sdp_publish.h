/* The SFU's answer to a publisher's offer (RFC 3264, RFC 8829; WHIP, RFC 9725): the codecs of
 * sdp_codec.h by the client's payload types, RTX where offered, the wanted header extensions,
 * simulcast by RIDs or SSRCs, everything else rejected with port 0. */
#ifndef SOTTO_PROTO_SDP_PUBLISH_H
#define SOTTO_PROTO_SDP_PUBLISH_H

#include "lib/proto/sdp_codec.h"

#define SDP_MAX_TRACKS 8 /* accepted m-lines of one publisher; more are rejected with port 0 */
#define SDP_MAX_LAYERS 3 /* simulcast layers regarded */
#define SDP_RID_LEN    17

/* What a track shows. The first audio m-line is the microphone and the first video m-line the
 * camera; the second ones, or any with a=content:slides (RFC 4796), are the shared screen's. */
enum sdp_source {
    SDP_SOURCE_CAMERA,
    SDP_SOURCE_MICROPHONE,
    SDP_SOURCE_SCREEN,
    SDP_SOURCE_SCREEN_AUDIO
};
/* "camera", "microphone", "screen", "screenAudio"; static storage. */
const char *sdp_source_name(enum sdp_source s);
/* The source of a name, or -1. */
int sdp_source_of(const char *name);

/* One encoding of a simulcast. */
struct sdp_layer {
    char rid[SDP_RID_LEN];   /* "": told by its SSRC */
    uint32_t ssrc, rtx_ssrc; /* 0: not signalled (RIDs: found by the extension on arrival) */
    bool paused;             /* the client begins without it (RFC 8853 '~') */
};

struct sdp_track {
    enum sdp_kind kind; /* SDP_AUDIO or SDP_VIDEO */
    enum sdp_source source;
    char mid[SDP_MID_LEN];
    bool sending; /* offered direction sends (sendonly, sendrecv) */
    /* What the client may send, at any time and in turns, in the answer's order. */
    size_t n_codecs;
    struct sdp_agreed codec[SDP_MAX_AGREED];
    uint8_t pt;     /* the first one's (RED aside), as are the next four */
    uint8_t rtx_pt; /* 0: none */
    uint32_t clock_rate;
    bool nack, pli, transport_cc; /* feedback agreed */
    bool fir, remb;
    struct rtp_ext_map ext;
    uint32_t ssrc, rtx_ssrc; /* 0: not signalled (found by MID or payload type on arrival) */
    size_t n_rids;           /* simulcast by RIDs; 0: by SSRCs or not at all */
    char rid[SDP_MAX_LAYERS][SDP_RID_LEN];
    size_t n_layers; /* simulcast either way, in the order offered; 0: a single stream */
    struct sdp_layer layer[SDP_MAX_LAYERS];
};

/* The entry of an agreed payload type: of the media itself, or, with *rtx true, of its
 * retransmissions. NULL: not agreed. */
const struct sdp_agreed *sdp_track_codec(const struct sdp_track *t, uint8_t pt, bool *rtx);

struct sdp_publish {
    struct sdp_remote remote;
    bool rtcp_rsize; /* reduced-size RTCP (RFC 5506) on every track */
    size_t n_tracks;
    struct sdp_track track[SDP_MAX_TRACKS];
};

/* Reads a publisher's offer into *p and appends the answer to out. Our setup is passive unless the
 * offer insists on passive. The same function answers a re-offer and an ICE restart (new local
 * credentials, version + 1): track order and mids follow the offer.
 * ERR_INVALID: no BUNDLE over several m-lines, no rtcp-mux, no ICE credentials or of bad length,
 * no setup that can be answered; ERR_UNSUPPORTED: nothing to accept, or no SHA-256 fingerprint;
 * ERR_TOO_LARGE, ERR_NOMEM. On failure out is as before. */
int sdp_answer_publish(struct buf *out, struct sdp_publish *p, const struct sdp *offer,
                       const struct sdp_local *local);

#endif
