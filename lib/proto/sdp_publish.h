/* The SFU's answer to a publisher's offer (RFC 3264, RFC 8829): Opus and VP8 by the client's
 * payload types, RTX where offered, the wanted header extensions, everything else rejected with
 * port 0. */
#ifndef SOTTO_PROTO_SDP_PUBLISH_H
#define SOTTO_PROTO_SDP_PUBLISH_H

#include "lib/proto/sdp.h"

#define SDP_MAX_TRACKS 8 /* accepted m-lines of one publisher; more are rejected with port 0 */
#define SDP_MAX_LAYERS 3 /* simulcast RIDs regarded */
#define SDP_MID_LEN    32
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

struct sdp_track {
    enum sdp_kind kind; /* SDP_AUDIO or SDP_VIDEO */
    enum sdp_source source;
    char mid[SDP_MID_LEN];
    bool sending; /* offered direction sends (sendonly, sendrecv) */
    uint8_t pt;
    uint8_t rtx_pt; /* 0: none */
    uint32_t clock_rate;
    bool nack, pli, transport_cc; /* feedback agreed */
    struct rtp_ext_map ext;
    uint32_t ssrc, rtx_ssrc; /* 0: not signalled (found by MID or payload type on arrival) */
    size_t n_rids;           /* simulcast; 0: a single stream */
    char rid[SDP_MAX_LAYERS][SDP_RID_LEN];
};

struct sdp_publish {
    struct sdp_remote remote;
    size_t n_tracks;
    struct sdp_track track[SDP_MAX_TRACKS];
};

/* Reads a publisher's offer into *p and appends the answer to out. Our setup is passive unless the
 * offer insists on passive. The same function answers a re-offer and an ICE restart (new local
 * credentials, version + 1): track order and mids follow the offer.
 * ERR_INVALID: no BUNDLE over what is accepted, no rtcp-mux, no ICE credentials or of bad length,
 * no setup that can be answered; ERR_UNSUPPORTED: nothing to accept, or no SHA-256 fingerprint;
 * ERR_TOO_LARGE, ERR_NOMEM. On failure out is as before. */
int sdp_answer_publish(struct buf *out, struct sdp_publish *p, const struct sdp *offer,
                       const struct sdp_local *local);

#endif
