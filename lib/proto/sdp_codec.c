#include "lib/proto/sdp_codec.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/proto/sdp_internal.h"

#define RANKS 16 /* of formats of one codec; the lowest that an m-line has is taken */

/* ---- H.264 ---- */

struct h264_pattern {
    uint8_t profile_idc;
    uint8_t mask, value; /* of profile_iop, the constraint flags */
    enum sdp_h264_profile profile;
};

/* RFC 6184 section 8.1, table 5; constrained high is of the standard's A.2.4.2. */
static const struct h264_pattern h264_patterns[] = {
    {0x42, 0x4f, 0x40, SDP_H264_CONSTRAINED_BASELINE},
    {0x4d, 0x8f, 0x80, SDP_H264_CONSTRAINED_BASELINE},
    {0x58, 0xcf, 0xc0, SDP_H264_CONSTRAINED_BASELINE},
    {0x42, 0x4f, 0x00, SDP_H264_BASELINE},
    {0x58, 0xcf, 0x80, SDP_H264_BASELINE},
    {0x4d, 0xaf, 0x00, SDP_H264_MAIN},
    {0x64, 0xff, 0x0c, SDP_H264_CONSTRAINED_HIGH},
    {0x64, 0xff, 0x00, SDP_H264_HIGH},
};

static enum sdp_h264_profile h264_profile(uint8_t idc, uint8_t iop)
{
    for (size_t i = 0; i < sizeof h264_patterns / sizeof h264_patterns[0]; i++) {
        const struct h264_pattern *p = &h264_patterns[i];
        if (p->profile_idc == idc && (iop & p->mask) == p->value) {
            return p->profile;
        }
    }
    return SDP_H264_OTHER;
}

static int read_id(uint32_t *id, const char *hex)
{
    if (strlen(hex) != 6 || strspn(hex, "0123456789abcdefABCDEF") != 6) {
        return ERR_INVALID;
    }
    *id = (uint32_t)strtoul(hex, NULL, 16);
    return OK;
}

/* Level 1b of the old profiles is written as level 1.1 with constraint_set3 (RFC 6184 section 8.1).
 */
static uint8_t h264_level(uint8_t idc, uint8_t iop, uint8_t level_idc)
{
    bool old = idc == 0x42 || idc == 0x4d || idc == 0x58;
    return old && level_idc == 11 && (iop & 0x10) ? 9 : level_idc;
}

int sdp_h264_parse(struct sdp_h264 *out, const char *fmtp)
{
    uint32_t id = 0x42000a; /* section 8.1: baseline without constraints, level 1 */
    char hex[8];
    int64_t mode = sdp_fmtp_int(fmtp, "packetization-mode", 0);
    int r = sdp_fmtp_text(fmtp, "profile-level-id", hex, sizeof hex);

    if (r == OK) {
        r = read_id(&id, hex);
    }
    if ((r < 0 && r != ERR_NOT_FOUND) || mode < 0 || mode > 2) {
        return ERR_INVALID;
    }
    uint8_t idc = (uint8_t)(id >> 16), iop = (uint8_t)(id >> 8), level = (uint8_t)id;
    *out =
        (struct sdp_h264){.profile = h264_profile(idc, iop),
                          .profile_level_id = id,
                          .level = h264_level(idc, iop, level),
                          .packetization_mode = (uint8_t)mode,
                          .level_asymmetry = sdp_fmtp_int(fmtp, "level-asymmetry-allowed", 0) == 1};
    return OK;
}

bool sdp_h264_same(const struct sdp_h264 *a, const struct sdp_h264 *b)
{
    return a->packetization_mode == b->packetization_mode && a->profile == b->profile &&
           (a->profile != SDP_H264_OTHER || a->profile_level_id >> 8 == b->profile_level_id >> 8);
}

/* Everybody's decoder takes constrained baseline. Mode 0 is a subset of mode 1, but one NAL unit a
 * packet needs encoders that slice by size, so it comes after all of mode 1. */
static int h264_rank(const char *fmtp)
{
    struct sdp_h264 f;

    if (sdp_h264_parse(&f, fmtp) < 0 || f.profile == SDP_H264_OTHER || f.packetization_mode > 1) {
        return -1;
    }
    return (int)f.profile + (f.packetization_mode == 1 ? 0 : SDP_H264_OTHER);
}

/* ---- the codec of a payload type ---- */

static enum codec codec_in(const struct sdp_media *m, const struct sdp_codec *c)
{
    enum codec codec = codec_of(c->name);
    bool audio = codec == CODEC_OPUS || codec == CODEC_RED;

    if (codec == CODEC_NONE || c->pt == 0 || m->kind != (audio ? SDP_AUDIO : SDP_VIDEO) ||
        c->clock_rate != (audio ? 48000u : 90000u)) {
        return CODEC_NONE;
    }
    return codec;
}

/* How good a format is, 0 the best; negative: not taken. */
static int rank_of(enum codec codec, const struct sdp_codec *c)
{
    int64_t profile;

    switch (codec) {
    case CODEC_VP9: /* profile 2 is 10 bits and more; 1 and 3 are other samplings */
        profile = sdp_fmtp_int(c->fmtp, "profile-id", 0);
        return profile == 0 ? 0 : profile == 2 ? 1 : -1;
    case CODEC_AV1:
        return sdp_fmtp_int(c->fmtp, "profile", 0) == 0 ? 0 : -1;
    case CODEC_H264:
        return h264_rank(c->fmtp);
    default:
        return 0;
    }
}

/* RFC 2198 section 5: the fmtp lists the payload types of the blocks, "111/111". All of them must
 * be one that was taken as Opus. */
static bool red_is_of(const struct sdp_codec *c, const struct sdp_agreed *agreed, size_t n)
{
    const char *p = c->fmtp ? c->fmtp : "";
    size_t blocks = 0;

    while (*p) {
        size_t len = strcspn(p, "/");
        char text[4] = "";
        uint64_t pt;
        bool found = false;
        if (len == 0 || len >= sizeof text) {
            return false;
        }
        memcpy(text, p, len);
        for (size_t i = 0; sdp_number(text, 127, &pt) && i < n; i++) {
            found |= agreed[i].codec == CODEC_OPUS && agreed[i].pt == pt;
        }
        if (!found) {
            return false;
        }
        blocks++;
        p += len + (p[len] == '/');
    }
    return blocks > 0;
}

/* ---- what is agreed ---- */

static void read_feedback(struct sdp_agreed *a, const struct sdp_codec *c)
{
    a->nack = sdp_has_feedback(c, "nack");
    a->pli = sdp_has_feedback(c, "nack pli");
    a->fir = sdp_has_feedback(c, "ccm fir");
    a->transport_cc = sdp_has_feedback(c, "transport-cc");
    a->remb = sdp_has_feedback(c, "goog-remb");
}

static struct sdp_agreed describe(const struct sdp_media *m, enum codec codec,
                                  const struct sdp_codec *c)
{
    struct sdp_agreed a = {.codec = codec, .pt = c->pt};
    const struct sdp_codec *rtx = sdp_rtx_for(m, c->pt);

    read_feedback(&a, c);
    if (m->kind == SDP_VIDEO && rtx && a.nack && rtx->clock_rate == c->clock_rate) {
        a.rtx_pt = rtx->pt;
    }
    return a;
}

static void find_best(int best[CODECS], const struct sdp_media *m)
{
    for (size_t i = 0; i < CODECS; i++) {
        best[i] = RANKS;
    }
    for (size_t i = 0; i < m->n_codecs; i++) {
        enum codec codec = codec_in(m, &m->codec[i]);
        int rank = codec == CODEC_NONE ? -1 : rank_of(codec, &m->codec[i]);
        if (rank >= 0 && rank < best[codec]) {
            best[codec] = rank;
        }
    }
}

/* Appends those of m that `wanted` has; RED waits for a second round, when Opus is known. */
static size_t collect(struct sdp_agreed *out, size_t n, const struct sdp_media *m, uint32_t wanted,
                      const int best[CODECS])
{
    for (size_t i = 0; i < m->n_codecs && n < SDP_MAX_AGREED; i++) {
        const struct sdp_codec *c = &m->codec[i];
        enum codec codec = codec_in(m, c);
        if (codec == CODEC_NONE || !(wanted & SDP_CODEC(codec)) ||
            rank_of(codec, c) != best[codec] || (codec == CODEC_RED && !red_is_of(c, out, n))) {
            continue;
        }
        out[n++] = describe(m, codec, c);
    }
    return n;
}

/* Where the m-line has a payload type; the smaller, the more it is wanted. */
static size_t place_of(const struct sdp_media *m, const struct sdp_agreed *a, enum codec prefer)
{
    size_t at = (size_t)(sdp_codec_by_pt(m, a->pt) - m->codec);
    return a->codec == prefer ? at : at + SDP_MAX_CODECS;
}

static void sort(struct sdp_agreed *a, size_t n, const struct sdp_media *m, enum codec prefer)
{
    for (size_t i = 1; i < n; i++) {
        struct sdp_agreed moved = a[i];
        size_t k = i;
        for (; k > 0 && place_of(m, &a[k - 1], prefer) > place_of(m, &moved, prefer); k--) {
            a[k] = a[k - 1];
        }
        a[k] = moved;
    }
}

size_t sdp_agree(struct sdp_agreed out[SDP_MAX_AGREED], const struct sdp_media *m, uint32_t codecs,
                 enum codec prefer)
{
    int best[CODECS];
    uint32_t wanted = codecs ? codecs : SDP_BASIC_CODECS;

    find_best(best, m);
    size_t n = collect(out, 0, m, wanted & ~SDP_CODEC(CODEC_RED), best);
    n = collect(out, n, m, wanted & SDP_CODEC(CODEC_RED), best);
    sort(out, n, m, prefer);
    return n;
}

const struct sdp_agreed *sdp_agreed_main(const struct sdp_agreed *agreed, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (agreed[i].codec != CODEC_RED) {
            return &agreed[i];
        }
    }
    return NULL;
}
