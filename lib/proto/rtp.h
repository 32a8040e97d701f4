/* RTP (RFC 3550 section 5), header extensions (RFC 8285), retransmission payload (RFC 4588). A
 * packet is parsed once into a struct of offsets; everything after works on those. Nothing here
 * allocates. */
#ifndef SOTTO_PROTO_RTP_H
#define SOTTO_PROTO_RTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RTP_HEADER_MIN   12
#define RTP_MAX_CSRC     15
#define RTP_MAX_EXT      16 /* elements regarded in one packet; further ones are skipped over */
#define RTP_MAX_PACKET   2048
#define RTP_EXT_ONE_BYTE 0xbede
#define RTP_EXT_TWO_BYTE 0x1000 /* the low 4 bits ("appbits") are ignored on reading */

/* The header extensions that the house knows. Ids are negotiated by SDP a=extmap. */
enum rtp_ext_kind {
    RTP_EXT_MID,                   /* urn:ietf:params:rtp-hdrext:sdes:mid */
    RTP_EXT_RID,                   /* urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id */
    RTP_EXT_REPAIRED_RID,          /* urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id */
    RTP_EXT_AUDIO_LEVEL,           /* urn:ietf:params:rtp-hdrext:ssrc-audio-level, RFC 6464 */
    RTP_EXT_ABS_SEND_TIME,         /* http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time */
    RTP_EXT_TRANSPORT_CC,          /* draft-holmer-rmcat-transport-wide-cc-extensions-01 */
    RTP_EXT_VIDEO_ORIENTATION,     /* urn:3gpp:video-orientation */
    RTP_EXT_PLAYOUT_DELAY,         /* http://www.webrtc.org/experiments/rtp-hdrext/playout-delay */
    RTP_EXT_DEPENDENCY_DESCRIPTOR, /* AV1 RTP specification, appendix A; any codec */
    RTP_EXT_ABS_CAPTURE_TIME,      /* …/rtp-hdrext/abs-capture-time */
    RTP_EXT_VIDEO_LAYERS,          /* …/rtp-hdrext/video-layers-allocation00 */
    RTP_EXT_KINDS
};

/* id of each kind on one m-line or transport; 0: not negotiated. */
struct rtp_ext_map {
    uint8_t id[RTP_EXT_KINDS];
};

/* The kind's URI; static storage. */
const char *rtp_ext_uri(enum rtp_ext_kind kind);
/* The kind of a URI, or -1. */
int rtp_ext_kind_of(const char *uri);

struct rtp_ext {
    uint8_t id;   /* 1..14 (one-byte) or 1..255 (two-byte) */
    uint8_t len;  /* bytes of data, 0..255 */
    uint16_t off; /* of the data, from the packet's first byte */
};

struct rtp_header {
    bool marker;
    uint8_t pt;      /* 0..127 */
    uint8_t n_csrc;  /* 0..15; the CSRCs start at byte 12 */
    uint8_t padding; /* bytes of padding at the end, its count byte included; 0 when P is clear */
    uint16_t seq;
    uint32_t ts;
    uint32_t ssrc;
    uint16_t ext_profile; /* 0: no extension; 0xbede or 0x1000: elements were read; else opaque */
    uint16_t ext_off;     /* of the 4-byte extension header */
    uint16_t ext_len;     /* bytes of extension data after that header */
    uint16_t payload_off; /* = length of the whole header */
    uint16_t payload_len; /* without padding; 0 is allowed (padding-only probes) */
    uint8_t n_ext;
    struct rtp_ext ext[RTP_MAX_EXT];
};

/* Parses a (decrypted) packet of len bytes. Bad element lengths end the list of elements but not
 * the packet only where RFC 8285 says so (id 15 in the one-byte form); otherwise ERR_TRUNCATED.
 * ERR_INVALID (version, padding count), ERR_TRUNCATED, ERR_TOO_LARGE (over RTP_MAX_PACKET). */
int rtp_parse(struct rtp_header *h, const uint8_t *packet, size_t len);

/* The same of a packet whose payload is still encrypted: P is noted as padding = 0 and
 * payload_len covers everything after the header. Same errors but those of padding. */
int rtp_parse_encrypted(struct rtp_header *h, const uint8_t *packet, size_t len);

uint32_t rtp_csrc(const struct rtp_header *h, const uint8_t *packet, size_t i); /* i < n_csrc */

/* Data of the element with this id, or NULL; id 0 (not negotiated) is never found. */
const uint8_t *rtp_ext_find(const struct rtp_header *h, const uint8_t *packet, uint8_t id,
                            size_t *len);
/* RFC 6464: level is 0 (loudest) .. 127 (silence) in -dBov. False when absent or empty. */
bool rtp_audio_level(const struct rtp_header *h, const uint8_t *packet, uint8_t id, uint8_t *level,
                     bool *voice);
/* The transport-wide sequence number. False when absent or short. */
bool rtp_transport_seq(const struct rtp_header *h, const uint8_t *packet, uint8_t id,
                       uint16_t *seq);
/* Text of MID, RID or repaired RID (ASCII, at most cap-1 characters), 0-ended. False when absent,
 * empty, too long, or not of the characters of a token (RFC 8852 section 3, RFC 9143). */
bool rtp_ext_text(const struct rtp_header *h, const uint8_t *packet, uint8_t id, char *out,
                  size_t cap);
/* abs-send-time of a clock in microseconds: 24 bits of 6.18 fixed point seconds. */
uint32_t rtp_abs_send_time(int64_t now_us);

/* A header to be written. */
struct rtp_out_ext {
    uint8_t id; /* 1..255; over 14, or len 0 or over 16, makes the two-byte form be used */
    uint8_t len;
    const uint8_t *data; /* borrowed until written */
};

struct rtp_out {
    bool marker;
    bool padding; /* set P; the caller has put the padding at the payload's end */
    uint8_t pt;
    uint16_t seq;
    uint32_t ts;
    uint32_t ssrc;
    uint8_t n_csrc;
    uint32_t csrc[RTP_MAX_CSRC];
    uint8_t n_ext;
    struct rtp_out_ext ext[RTP_MAX_EXT];
    bool rtx;     /* RFC 4588: the original sequence number follows the header */
    uint16_t osn; /* the original sequence number, when rtx */
};

/* Bytes of the header (with OSN when rtx): 12..; no side effects. */
size_t rtp_out_size(const struct rtp_out *o);
/* Writes the header at dst. Returns its bytes, or ERR_TOO_LARGE (cap), ERR_INVALID (counts, ids).
 */
int rtp_out_write(const struct rtp_out *o, uint8_t *dst, size_t cap);
/* Writes the header so that it ends exactly at `payload`, into the headroom bytes in front of it.
 * Returns its bytes (the packet begins at payload - that), or ERR_TOO_LARGE, ERR_INVALID. The
 * headroom may hold the old header: o's ext data must not lie inside it. */
int rtp_out_prepend(const struct rtp_out *o, uint8_t *payload, size_t headroom);

/* RFC 4588 section 4: turns a retransmission into the packet it repeats, in place: sequence number
 * from the payload's first two bytes, the media stream's SSRC and payload type. The header is moved
 * 2 bytes up: the packet begins at packet + 2 afterwards, *len is 2 smaller, and h is parsed anew.
 * ERR_TRUNCATED when the payload has fewer than 2 bytes (padding-only probes among them; the
 * packet is then untouched). */
int rtp_rtx_unwrap(struct rtp_header *h, uint8_t *packet, size_t *len, uint32_t media_ssrc,
                   uint8_t media_pt);

/* Rewrites fields in place. */
void rtp_set_seq(uint8_t *packet, uint16_t seq);
void rtp_set_ts(uint8_t *packet, uint32_t ts);
void rtp_set_ssrc(uint8_t *packet, uint32_t ssrc);
void rtp_set_pt(uint8_t *packet, uint8_t pt);
void rtp_set_marker(uint8_t *packet, bool marker);

/* Signed distance a - b on the circle of 2^16 or 2^32 (RFC 1982). */
int16_t rtp_seq_diff(uint16_t a, uint16_t b);
int32_t rtp_ts_diff(uint32_t a, uint32_t b);

/* Unwraps 16-bit sequence numbers to 64 bits; zero-initialise. The first value s becomes 2^16 + s,
 * so that packets a little older than the first stay positive. */
struct rtp_unwrap {
    bool started;
    int64_t highest; /* the highest unwrapped so far */
};
/* Unwraps and moves `highest` on when the number is newer. */
int64_t rtp_unwrap_seq(struct rtp_unwrap *u, uint16_t seq);
/* Unwraps by the current state without changing it. */
int64_t rtp_unwrap_peek(const struct rtp_unwrap *u, uint16_t seq);
/* The same for 32-bit timestamps (first value t becomes 2^32 + t). */
int64_t rtp_unwrap_ts(struct rtp_unwrap *u, uint32_t ts);

#endif
