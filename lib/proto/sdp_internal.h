/* Shared by the files that parse SDP; nobody else includes it. */
#ifndef SOTTO_PROTO_SDP_INTERNAL_H
#define SOTTO_PROTO_SDP_INTERNAL_H

#include "lib/proto/sdp_codec.h"
#include "lib/proto/sdp_publish.h"

/* The tree with the text that its strings point into. */
struct sdp_tree {
    struct sdp pub;
    char *text;
};

/* Cuts the next word off *s at a space (runs of them count once); NULL when nothing is left. */
char *sdp_word(char **s);
/* Reads a decimal number that must fill the whole text. */
bool sdp_number(const char *text, uint64_t max, uint64_t *out);
/* Makes room for one more element of an array of n; the new one is zeroed. NULL in *err: ERR_NOMEM
 * or ERR_TOO_LARGE past max. */
void *sdp_grow(void **array, size_t *n, size_t size, size_t max, int *err);

/* One a= line: name and value ("" when there is none). m is NULL at session level. Unknown names
 * are skipped. */
int sdp_attribute(struct sdp *s, struct sdp_media *m, const char *name, char *value);

/* What our own descriptions share. Each appends lines to out. bundle is a list of mids, each after
 * a space; "": no group. */
int sdp_put_session(struct buf *out, const struct sdp_local *local, const char *bundle,
                    bool extmap_allow_mixed);
/* ice-ufrag, ice-pwd, fingerprint, setup. */
int sdp_put_transport(struct buf *out, const struct sdp_local *local, const char *setup);
/* All candidates and their end, for the m-line that carries the BUNDLE's transport. */
int sdp_put_candidates(struct buf *out, const struct sdp_local *local);
int sdp_put_ext(struct buf *out, const struct rtp_ext_map *ext);
/* Reads the other end's transport by the m-line that carries it. The setup role is the caller's.
 * ERR_INVALID (credentials), ERR_UNSUPPORTED (no SHA-256 fingerprint). */
int sdp_read_remote(struct sdp_remote *out, const struct sdp *s, const struct sdp_media *m);
/* True when the space-separated list holds this mid. */
bool sdp_in_bundle(const char *bundle, const char *mid);

/* ---- answers (sdp_answer.c) ---- */

/* One accepted m-line of an answer of ours. */
struct sdp_line {
    const struct sdp_media *m; /* what it answers */
    const struct sdp_agreed *agreed;
    size_t n_agreed;
    struct rtp_ext_map ext;
    const char *direction;
    bool dtls_active;
    bool first; /* carries the candidates */
};

/* An m-line that can be answered, codecs aside: secured RTP in the BUNDLE (which a single m-line
 * needs not be in), on one port with its RTCP, with a mid. */
bool sdp_answerable(const struct sdp *offer, const struct sdp_media *m);
/* The other end's transport and the DTLS roles by the first accepted m-line: we are passive unless
 * the offer insists on that itself. ERR_INVALID, ERR_UNSUPPORTED (no SHA-256 fingerprint). */
int sdp_answer_transport(struct sdp_remote *out, const struct sdp *offer,
                         const struct sdp_media *first);
/* Extensions that the m-line offers for packets from them to us (or from us to them), among those
 * that the house forwards. */
void sdp_offered_ext(struct rtp_ext_map *out, const struct sdp *offer, const struct sdp_media *m,
                     bool they_send);
/* True when the transport-cc feedback of an agreed payload type has its extension. Without both,
 * the extension goes from the map. */
bool sdp_settle_transport_cc(struct rtp_ext_map *ext, const struct sdp_agreed *agreed, size_t n);
int sdp_put_line(struct buf *out, const struct sdp_line *l, const struct sdp_local *local);
int sdp_put_rejected(struct buf *out, const struct sdp_media *m);

/* The layers of a simulcasting m-line (sdp_layers.c), and its SSRCs. `many`: more than one layer
 * may be accepted. t->ext is known already. */
void sdp_read_layers(struct sdp_track *t, const struct sdp_media *m, bool many);
/* a=rid and a=simulcast of the answer, where RIDs were accepted. */
int sdp_put_layers(struct buf *out, const struct sdp_track *t);

#endif
