#include "lib/proto/codec.h"

#include <string.h>
#include <strings.h>

#include "lib/base/err.h"
#include "lib/proto/av1.h"
#include "lib/proto/h264.h"
#include "lib/proto/vp8.h"
#include "lib/proto/vp9.h"

static const char *const names[CODECS] = {
    [CODEC_NONE] = "",   [CODEC_OPUS] = "opus", [CODEC_RED] = "red", [CODEC_VP8] = "VP8",
    [CODEC_VP9] = "VP9", [CODEC_H264] = "H264", [CODEC_AV1] = "AV1",
};

const char *codec_name(enum codec c)
{
    return (unsigned)c < CODECS ? names[c] : "";
}

enum codec codec_of(const char *name)
{
    for (unsigned i = CODEC_NONE + 1; i < CODECS; i++) {
        if (strcasecmp(names[i], name) == 0) {
            return (enum codec)i;
        }
    }
    return CODEC_NONE;
}

static int parse_vp8(struct codec_info *out, const uint8_t *payload, size_t len)
{
    struct vp8_descriptor d;
    int rc = vp8_parse(&d, payload, len);

    if (rc != OK) {
        return rc;
    }
    out->keyframe = d.keyframe;
    out->frame_start = d.frame_start;
    out->picture_start = d.frame_start;
    out->up_switch = d.layer_sync;
    out->not_referenced = d.non_reference;
    out->tid = d.tid;
    out->picture_bits = d.picture_bits;
    out->picture_id = d.picture_id;
    out->picture_off = d.picture_off;
    out->has_tl0 = d.has_tl0;
    out->tl0picidx = d.tl0picidx;
    out->tl0_off = d.tl0_off;
    out->width = d.width;
    out->height = d.height;
    return OK;
}

static int parse_vp9(struct codec_info *out, const uint8_t *payload, size_t len)
{
    struct vp9_descriptor d;
    int rc = vp9_parse(&d, payload, len);

    if (rc != OK) {
        return rc;
    }
    out->keyframe = !d.inter_picture && !d.inter_layer;
    out->frame_start = d.start;
    out->frame_end = d.end;
    out->picture_start = d.start && d.sid == 0;
    out->up_switch = d.up_switch;
    out->inter_picture = d.inter_picture;
    out->inter_layer = d.inter_layer;
    out->not_for_upper = d.not_for_upper;
    out->sid = d.sid;
    out->tid = d.tid;
    out->picture_bits = d.picture_bits;
    out->picture_id = d.picture_id;
    out->picture_off = d.picture_off;
    out->has_tl0 = d.has_tl0;
    out->tl0picidx = d.tl0picidx;
    out->tl0_off = d.tl0_off;
    out->n_spatial = d.n_spatial;
    out->width = d.width;
    out->height = d.height;
    return OK;
}

static int parse_h264(struct codec_info *out, const uint8_t *payload, size_t len)
{
    struct h264_packet p;
    int rc = h264_parse(&p, payload, len);

    if (rc != OK) {
        return rc;
    }
    out->keyframe = p.idr || p.sps;
    out->frame_start = p.frame_start;
    out->picture_start = p.frame_start;
    out->not_referenced = p.not_referenced;
    out->width = p.width;
    out->height = p.height;
    return OK;
}

static int parse_av1(struct codec_info *out, const uint8_t *payload, size_t len)
{
    struct av1_packet p;
    int rc = av1_parse(&p, payload, len);

    if (rc != OK) {
        return rc;
    }
    out->keyframe = p.keyframe;
    out->frame_start = p.frame_start;
    out->picture_start = p.frame_start && p.sid == 0;
    out->sid = p.sid;
    out->tid = p.tid;
    out->width = p.width;
    out->height = p.height;
    return OK;
}

int codec_parse(struct codec_info *out, enum codec c, const uint8_t *payload, size_t len)
{
    memset(out, 0, sizeof *out);
    switch (c) {
    case CODEC_VP8:
        return parse_vp8(out, payload, len);
    case CODEC_VP9:
        return parse_vp9(out, payload, len);
    case CODEC_H264:
        return parse_h264(out, payload, len);
    case CODEC_AV1:
        return parse_av1(out, payload, len);
    default:
        return ERR_UNSUPPORTED;
    }
}

void codec_rewrite(const struct codec_info *info, uint8_t *payload, uint16_t picture_id,
                   uint8_t tl0picidx)
{
    uint8_t *p = payload + info->picture_off;

    if (info->picture_bits == 15) { /* VP8 and VP9 write it alike: M, then 15 bits */
        p[0] = (uint8_t)(0x80 | (picture_id >> 8 & 0x7f));
        p[1] = (uint8_t)picture_id;
    } else if (info->picture_bits == 7) {
        p[0] = picture_id & 0x7f;
    }
    if (info->has_tl0) {
        payload[info->tl0_off] = tl0picidx;
    }
}
