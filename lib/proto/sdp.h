/* SDP as WebRTC uses it (RFC 8866, 8829, 8839, 8842, 8843, 8851, 8853, 5576): a bounded parse into
 * a tree of borrowed strings. Unknown lines and attributes are skipped; a known attribute with
 * broken grammar is ERR_INVALID. What the SFU answers and offers is in sdp_publish.h and
 * sdp_subscribe.h. */
#ifndef SOTTO_PROTO_SDP_H
#define SOTTO_PROTO_SDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/proto/codec.h"
#include "lib/proto/rtp.h"

#define SDP_MAX_BYTES       65536
#define SDP_MAX_MEDIA       128
#define SDP_MAX_CODECS      64
#define SDP_MAX_EXT         64
#define SDP_MAX_SSRCS       64
#define SDP_MAX_GROUPS      32
#define SDP_MAX_RIDS        16
#define SDP_MAX_CANDIDATES  64
#define SDP_MAX_FEEDBACK    16 /* rtcp-fb lines kept a codec */
#define SDP_FINGERPRINT_LEN 32 /* SHA-256 */
#define SDP_MID_LEN         32 /* of the m-line ids that we take, with the 0 */

enum sdp_direction { SDP_SENDRECV, SDP_SENDONLY, SDP_RECVONLY, SDP_INACTIVE };
enum sdp_setup { SDP_SETUP_NONE, SDP_SETUP_ACTPASS, SDP_SETUP_ACTIVE, SDP_SETUP_PASSIVE };
enum sdp_kind { SDP_AUDIO, SDP_VIDEO, SDP_APPLICATION, SDP_OTHER };

struct sdp_codec {
    uint8_t pt;
    const char *name; /* as written ("opus", "VP8", "rtx"); "" when only on the m-line */
    uint32_t clock_rate;
    uint32_t channels; /* 1 where not said */
    const char *fmtp;  /* parameters, or NULL */
    size_t n_feedback;
    const char *feedback[SDP_MAX_FEEDBACK]; /* "nack pli"; those of "*" are added to all */
};

struct sdp_extmap {
    uint8_t id; /* 1..255; 0 and over 255 are refused */
    enum sdp_direction direction;
    const char *uri;
};

struct sdp_ssrc {
    uint32_t ssrc;
    const char *cname; /* or NULL */
    const char *msid;  /* "stream track", or NULL */
};

struct sdp_ssrc_group {
    const char *semantics; /* "FID", "SIM" */
    size_t n;
    uint32_t ssrc[8];
};

struct sdp_rid {
    const char *id;
    bool send;
    const char *params; /* or NULL */
};

struct sdp_candidate {
    const char *foundation;
    uint32_t component;
    const char *transport; /* lower or upper case as written */
    uint32_t priority;
    const char *address; /* IP or mDNS name */
    uint16_t port;
    const char *type;     /* host, srflx, prflx, relay */
    const char *tcp_type; /* passive, active, so; NULL for UDP */
};

struct sdp_fingerprint {
    const char *hash;  /* "sha-256", lower case */
    const char *value; /* colon-separated hex as written */
};

/* ICE and DTLS: of the session, and of each m-line where it says so itself. */
struct sdp_transport {
    const char *ice_ufrag, *ice_pwd; /* or NULL */
    size_t n_fingerprints;
    struct sdp_fingerprint fingerprint[8];
    enum sdp_setup setup;
};

struct sdp_media {
    enum sdp_kind kind;
    const char *kind_text; /* "audio", "video", "application", … */
    uint16_t port;         /* 0: rejected (or bundle-only, see below) */
    const char *protocol;  /* "UDP/TLS/RTP/SAVPF" */
    const char *formats;   /* the rest of the m= line */
    const char *mid;       /* "" when not said */
    enum sdp_direction direction;
    bool rtcp_mux, rtcp_rsize, bundle_only, end_of_candidates;
    struct sdp_transport transport;
    const char *msid;      /* "stream track" of a=msid, or NULL */
    const char *content;   /* RFC 4796 ("slides"), or NULL */
    const char *simulcast; /* the value, or NULL */
    size_t n_codecs, n_ext, n_ssrcs, n_groups, n_rids, n_candidates;
    struct sdp_codec *codec;
    struct sdp_extmap *ext;
    struct sdp_ssrc *ssrc;
    struct sdp_ssrc_group *group;
    struct sdp_rid *rid;
    struct sdp_candidate *candidate;
};

struct sdp {
    uint64_t session_id, session_version; /* of o=; 0 when not a number */
    bool ice_lite, extmap_allow_mixed, trickle;
    struct sdp_transport transport;
    const char *bundle; /* mids of the first a=group:BUNDLE, space-separated, or NULL */
    size_t n_media;
    struct sdp_media *media;
};

/* Parses len bytes (CRLF or LF). All strings live as long as the result; free with sdp_free.
 * ERR_TOO_LARGE (any bound above), ERR_INVALID, ERR_NOMEM. */
int sdp_parse(struct sdp **out, const char *text, size_t len);
void sdp_free(struct sdp *s);

/* Writes the tree as text again (for tests, logs and rewriting). ERR_TOO_LARGE, ERR_NOMEM. */
int sdp_write(struct buf *out, const struct sdp *s);

/* The codec of that payload type, or NULL. */
const struct sdp_codec *sdp_codec_by_pt(const struct sdp_media *m, uint8_t pt);
/* The first codec of that name (case-insensitive) and clock rate in the m-line's order, or NULL. */
const struct sdp_codec *sdp_codec_by_name(const struct sdp_media *m, const char *name,
                                          uint32_t clock_rate);
/* The rtx codec whose fmtp says apt=pt, or NULL. */
const struct sdp_codec *sdp_rtx_for(const struct sdp_media *m, uint8_t pt);
bool sdp_has_feedback(const struct sdp_codec *c, const char *feedback);
/* The integer value of `name=…` in an fmtp text; dflt when absent or no number. */
int64_t sdp_fmtp_int(const char *fmtp, const char *name, int64_t dflt);
/* Its text. ERR_NOT_FOUND, ERR_TOO_LARGE (out is "" then). */
int sdp_fmtp_text(const char *fmtp, const char *name, char *out, size_t cap);
/* Ids of the known header extensions of one m-line. */
void sdp_ext_map(struct rtp_ext_map *out, const struct sdp_media *m);
/* The first m-line that isn't rejected, which describes the BUNDLE's transport: one of port 0 says
 * nothing of it (RFC 8843 section 7). NULL: there is none. */
const struct sdp_media *sdp_first_used(const struct sdp *s);
/* The m-line with this mid, or NULL. */
const struct sdp_media *sdp_media_by_mid(const struct sdp *s, const char *mid);
/* The m-line's own value or else the session's. */
const char *sdp_ice_ufrag(const struct sdp *s, const struct sdp_media *m);
const char *sdp_ice_pwd(const struct sdp *s, const struct sdp_media *m);
enum sdp_setup sdp_setup_of(const struct sdp *s, const struct sdp_media *m);
/* The SHA-256 fingerprint in force for the m-line as bytes. ERR_NOT_FOUND when there is none,
 * ERR_INVALID when it isn't 32 bytes of hex. */
int sdp_fingerprint_sha256(uint8_t out[SDP_FINGERPRINT_LEN], const struct sdp *s,
                           const struct sdp_media *m);

/* Our end of a transport, for both directions. Strings are borrowed during the call. */
struct sdp_local_candidate {
    const char *address; /* numeric IPv4 or IPv6 */
    uint16_t port;
    bool tcp; /* ICE-TCP passive */
};

struct sdp_local {
    const char *ice_ufrag, *ice_pwd;
    uint8_t fingerprint[SDP_FINGERPRINT_LEN]; /* of our DTLS certificate */
    size_t n_candidates;
    struct sdp_local_candidate candidate[SDP_MAX_CANDIDATES];
    uint64_t session_id;      /* of o=; positive, below 2^63 */
    uint64_t session_version; /* one more with every new description */
    const char *cname;        /* of all our streams */
    bool simulcast;    /* publishers: accept several layers (the router then has to choose among
                          them); when not, a client with RIDs falls back to a single encoding
                          (RFC 8853), and of an SSRC group SIM the first layer counts */
    uint32_t codecs;   /* publishers: those we take (sdp_codec.h); 0: Opus and VP8 */
    enum codec prefer; /* publishers: put first where the client has it; CODEC_NONE: its order */
};

/* What the other end's description says about the transport (the BUNDLE's first m-line). */
struct sdp_remote {
    char ice_ufrag[257], ice_pwd[257]; /* RFC 8839 section 5.4: 4..256 and 22..256 characters */
    uint8_t fingerprint[SDP_FINGERPRINT_LEN];
    bool dtls_active; /* we are the DTLS client */
};

#endif
