/* The offers and answers of an endpoint, shaped as a browser's (RFC 8829): Opus 111, VP8 96 with
 * RTX 97, BUNDLE, rtcp-mux, reduced-size RTCP, the header extensions that Chromium offers for both,
 * one SSRC a sending m-line and a FID group with its retransmissions. In answers the offer's
 * payload types and extension ids are followed (Janus chooses its own). Pure. */
#ifndef SOTTO_BENCH_CLIENT_SDP_CLIENT_H
#define SOTTO_BENCH_CLIENT_SDP_CLIENT_H

#include "bench/client/ice_lean.h"
#include "bench/client/media.h"
#include "lib/base/buf.h"
#include "lib/proto/sdp.h"

#define SDP_CLIENT_MAX_LINES 8 /* of a kind in an offer of ours */

/* Our end. Strings are borrowed during the call. */
struct sdp_client_local {
    const char *ufrag, *pwd, *cname;
    uint8_t fingerprint[SDP_FINGERPRINT_LEN];
    uint64_t session_id;    /* below 2^63 */
    uint32_t ssrc;          /* m-line i sends with ssrc + 2 i, its retransmissions with one more */
    const char *candidates; /* whole a=candidate lines with CRLF, for the first m-line */
    unsigned audio, video;  /* m-lines of an offer, at most SDP_CLIENT_MAX_LINES each */
    enum sdp_direction direction; /* of an offer; in an answer: what we are ready for at most */
};

/* What both ends agreed on. */
struct sdp_client_agreed {
    char ufrag[257], pwd[257]; /* theirs */
    uint8_t fingerprint[SDP_FINGERPRINT_LEN];
    bool dtls_client, remote_lite; /* we are the DTLS client; they are an ICE-lite end */
    size_t n_candidates;           /* UDP and IPv4 ones */
    struct ice_lean_candidate candidate[ICE_LEAN_PAIRS];
    bool sends[2];              /* by media_kind */
    struct media_track send[2]; /* with our SSRCs */
    size_t n_receive;
    struct media_track *receive; /* owned */
};
void sdp_client_agreed_free(struct sdp_client_agreed *a);

/* Appends an offer. ERR_INVALID (no m-line or too many), ERR_TOO_LARGE, ERR_NOMEM. */
int sdp_client_offer(struct buf *out, const struct sdp_client_local *local);
/* Answers an offer: every Opus or VP8 m-line in the BUNDLE is taken, the others are rejected; the
 * first one of a kind that may send does. ERR_INVALID (grammar, credentials, setup),
 * ERR_UNSUPPORTED (nothing to take, no SHA-256 fingerprint), ERR_TOO_LARGE, ERR_NOMEM. *a is to be
 * freed on OK only.
 */
int sdp_client_answer(struct buf *out, struct sdp_client_agreed *a, const char *offer, size_t len,
                      const struct sdp_client_local *local);
/* Reads the answer to sdp_client_offer with the same local. Errors as above; a rejected m-line is
 * none, unless all are. */
int sdp_client_read_answer(struct sdp_client_agreed *a, const char *answer, size_t len,
                           const struct sdp_client_local *local);

#endif
