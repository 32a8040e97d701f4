/* SDP fragments (application/trickle-ice-sdpfrag, RFC 8840 section 9): what a WHIP or WHEP client
 * says by PATCH (RFC 9725 section 4.3): further candidates of an ICE session, or credentials of a
 * new one. The other end is ICE-lite and learns where a client is from its checks, so candidates
 * are checked for their grammar and counted, not kept. Pure. */
#ifndef SOTTO_PROTO_SDPFRAG_H
#define SOTTO_PROTO_SDPFRAG_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/buf.h"
#include "lib/proto/sdp.h"

#define SDPFRAG_TYPE           "application/trickle-ice-sdpfrag"
#define SDPFRAG_MAX_BYTES      16384
#define SDPFRAG_MAX_MEDIA      32
#define SDPFRAG_MAX_CANDIDATES 256
#define SDPFRAG_MAX_MID        32
#define SDPFRAG_MAX_CREDENTIAL 256 /* characters, RFC 8839 section 5.4 */

struct sdpfrag {
    /* One pair for the whole (all m-lines are one BUNDLE, RFC 9725 section 4.4.1); "" for none. */
    char ufrag[SDPFRAG_MAX_CREDENTIAL + 1];
    char pwd[SDPFRAG_MAX_CREDENTIAL + 1];
    size_t n_media;
    char mid[SDPFRAG_MAX_MEDIA][SDPFRAG_MAX_MID + 1]; /* of each pseudo m-line; "" for none */
    size_t n_candidates;
    bool end_of_candidates;
};

/* Reads len bytes (CRLF or LF). Attributes that aren't known are skipped. ERR_INVALID (grammar; a
 * candidate before an m-line; two different values of one credential; one credential without the
 * other; nothing at all), ERR_TOO_LARGE (any bound above). out is cleared first. */
int sdpfrag_parse(struct sdpfrag *out, const char *text, size_t len);

/* The fragment that answers an ICE restart: credentials and candidates of a description, by its
 * first m-line that isn't rejected. Appends to out. ERR_INVALID when there is none or it has no
 * credentials, ERR_TOO_LARGE, ERR_NOMEM. */
int sdpfrag_write(struct buf *out, const struct sdp *description);

/* An offer with other credentials and without the candidates of those it had: what the client would
 * offer anew for an ICE restart. Every other line stays as it is; a credential of the session or an
 * m-line is replaced where it stands. Appends to out. ERR_INVALID when the offer holds no
 * credentials or the fragment none, ERR_TOO_LARGE, ERR_NOMEM. */
int sdpfrag_restart_offer(struct buf *out, const char *offer, const struct sdpfrag *f);

#endif
