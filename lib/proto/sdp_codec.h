/* Which payload types of an m-line the house takes (RFC 3264 section 6.1, RFC 6184 section 8.2.2,
 * RFC 9628, AV1 RTP specification section 7, RFC 2198). Both directions answer offers with it. */
#ifndef SOTTO_PROTO_SDP_CODEC_H
#define SOTTO_PROTO_SDP_CODEC_H

#include "lib/proto/codec.h"
#include "lib/proto/sdp.h"

#define SDP_MAX_AGREED 16 /* payload types taken on one m-line; more are left out */

/* A set of codecs: bit SDP_CODEC(c) of each. */
#define SDP_CODEC(c)     (UINT32_C(1) << (c))
#define SDP_AUDIO_CODECS (SDP_CODEC(CODEC_OPUS) | SDP_CODEC(CODEC_RED))
#define SDP_VIDEO_CODECS                                                                           \
    (SDP_CODEC(CODEC_VP8) | SDP_CODEC(CODEC_VP9) | SDP_CODEC(CODEC_H264) | SDP_CODEC(CODEC_AV1))
#define SDP_ALL_CODECS   (SDP_AUDIO_CODECS | SDP_VIDEO_CODECS)
#define SDP_BASIC_CODECS (SDP_CODEC(CODEC_OPUS) | SDP_CODEC(CODEC_VP8))

/* A payload type that both ends agreed on. The sender may use any of them at any time. */
struct sdp_agreed {
    enum codec codec;
    uint8_t pt;
    uint8_t rtx_pt; /* 0: none */
    bool nack, pli, fir, transport_cc, remb;
};

/* The payload types of m that are among `codecs` (0: SDP_BASIC_CODECS), in the m-line's order;
 * those of `prefer`, when it isn't CODEC_NONE, come first. Of a codec with several formats the best
 * kind that is there is taken, and only that: VP9 profile 0 (2 where there is nothing else), AV1
 * profile 0, H.264 in packetization mode 1 (0 where there is nothing else) as constrained baseline,
 * else baseline, main, (constrained) high. RED only around an Opus that is taken. Returns how many.
 */
size_t sdp_agree(struct sdp_agreed out[SDP_MAX_AGREED], const struct sdp_media *m, uint32_t codecs,
                 enum codec prefer);
/* The first entry with a codec of its own (RED is none), or NULL. */
const struct sdp_agreed *sdp_agreed_main(const struct sdp_agreed *agreed, size_t n);

/* H.264 formats (RFC 6184 section 8.1, table 5). */
enum sdp_h264_profile {
    SDP_H264_CONSTRAINED_BASELINE,
    SDP_H264_BASELINE,
    SDP_H264_MAIN,
    SDP_H264_CONSTRAINED_HIGH,
    SDP_H264_HIGH,
    SDP_H264_OTHER
};

struct sdp_h264 {
    enum sdp_h264_profile profile;
    uint32_t profile_level_id; /* its three bytes; 0x42000a where not said */
    uint8_t level;             /* ten times the level; 9 is level 1b */
    uint8_t packetization_mode;
    bool level_asymmetry; /* either side may send at its own level (section 8.2.2) */
};

/* Reads an H.264 fmtp text (NULL: the defaults). ERR_INVALID: no six hex digits, mode over 2. */
int sdp_h264_parse(struct sdp_h264 *out, const char *fmtp);
/* Same packetization mode and profile: one and the same format, whatever the levels. */
bool sdp_h264_same(const struct sdp_h264 *a, const struct sdp_h264 *b);

#endif
