/* Shared by the files that parse SDP; nobody else includes it. */
#ifndef SOTTO_PROTO_SDP_INTERNAL_H
#define SOTTO_PROTO_SDP_INTERNAL_H

#include "lib/proto/sdp.h"

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

/* What our own descriptions share. Each appends lines to out. */
int sdp_put_session(struct buf *out, const struct sdp_local *local, const char *bundle,
                    bool extmap_allow_mixed);
/* ice-ufrag, ice-pwd, fingerprint, setup; with candidates and their end on the BUNDLE's first one.
 */
int sdp_put_transport(struct buf *out, const struct sdp_local *local, const char *setup,
                      bool candidates);
int sdp_put_ext(struct buf *out, const struct rtp_ext_map *ext);
/* Reads the other end's transport by the m-line that carries it. The setup role is the caller's.
 * ERR_INVALID (credentials), ERR_UNSUPPORTED (no SHA-256 fingerprint). */
int sdp_read_remote(struct sdp_remote *out, const struct sdp *s, const struct sdp_media *m);
/* True when the space-separated list holds this mid. */
bool sdp_in_bundle(const char *bundle, const char *mid);

#endif
