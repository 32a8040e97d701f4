#include "sfu/core/slot.h"

#include <string.h>
#include <utlist.h>

#include "lib/base/err.h"
#include "sfu/core/publisher.h"

#define OPUS_CLOCK 48000
#define VP8_CLOCK  90000

void slot_init(struct slot *s, struct subscriber *sub, enum sdp_kind kind, uint32_t index,
               uint32_t ssrc, uint32_t rtx_ssrc, uint64_t random)
{
    *s = (struct slot){.subscriber = sub,
                       .kind = kind,
                       .index = index,
                       .ssrc = ssrc,
                       .rtx_ssrc = rtx_ssrc,
                       .rtt_us = -1};
    sdp_slot_mid(s->mid, kind, index);
    s->mid_len = (uint8_t)strlen(s->mid);
    s->rtx_seq = (uint16_t)((random >> 16) & 0x7fff);
    rewriter_init(&s->rewriter, kind == SDP_AUDIO ? OPUS_CLOCK : VP8_CLOCK,
                  (uint16_t)(random & 0x7fff), (uint32_t)(random >> 32));
}

void slot_set_track(struct slot *s, struct track *t, int64_t now_us)
{
    if (s->track == t) {
        return;
    }
    if (s->track) {
        DL_DELETE(s->track->feeds, s);
        rewriter_detach(&s->rewriter);
    }
    s->track = t;
    s->waiting = t && s->kind == SDP_VIDEO;
    if (t) {
        DL_APPEND(t->feeds, s);
        track_request_keyframe(t, now_us);
    }
}

bool slot_map(struct slot *s, const struct packet *k, struct rewritten *to)
{
    if (!s->accepted) {
        return false;
    }
    bool video = s->kind == SDP_VIDEO;
    if (s->waiting) {
        if (!k->vp8.keyframe) {
            return false;
        }
        s->waiting = false;
    }
    if (rewriter_map(&s->rewriter, s->track->source, k->ext_seq, k->header.ts, k->arrival_us,
                     video ? &k->vp8 : NULL, to)) {
        return false;
    }
    s->last_us = k->arrival_us;
    s->last_ts = to->ts;
    s->packets++;
    s->octets += k->header.payload_len;
    return true;
}

static void add_ext(struct rtp_out *o, uint8_t id, const uint8_t *data, size_t len)
{
    if (id && data && len > 0 && len <= 255 && o->n_ext < RTP_MAX_EXT) {
        o->ext[o->n_ext++] = (struct rtp_out_ext){.id = id, .len = (uint8_t)len, .data = data};
    }
}

/* Header extensions keep their data and get the ids that this subscriber agreed to. */
static void describe(const struct slot *s, struct packet *k, const struct rewritten *to,
                     struct rtp_out *o)
{
    const struct track *t = s->track;
    const uint8_t *data = packet_data(k);
    bool audio = s->kind == SDP_AUDIO;
    *o = (struct rtp_out){0};
    o->marker = k->header.marker || (audio && to->switched);
    o->pt = audio ? SDP_OPUS_PT : SDP_VP8_PT;
    o->seq = to->seq;
    o->ts = to->ts;
    o->ssrc = s->ssrc;
    o->n_csrc = 1;
    o->csrc[0] = t->publisher->number;
    add_ext(o, s->ext.id[RTP_EXT_MID], (const uint8_t *)s->mid, s->mid_len);
    static const enum rtp_ext_kind passed[] = {RTP_EXT_AUDIO_LEVEL, RTP_EXT_VIDEO_ORIENTATION};
    for (size_t i = 0; i < sizeof passed / sizeof passed[0]; i++) {
        size_t len = 0;
        uint8_t id = s->ext.id[passed[i]];
        const uint8_t *value =
            id ? rtp_ext_find(&k->header, data, t->publisher->ext.id[passed[i]], &len) : NULL;
        add_ext(o, id, value, len);
    }
}

static int write_packet(const struct slot *s, struct packet *k, const struct rewritten *to,
                        const struct rtp_out *o, uint8_t *dst, size_t cap, size_t *header_len)
{
    int n = rtp_out_write(o, dst, cap);
    if (n < 0) {
        return n;
    }
    size_t payload_len = k->header.payload_len;
    if (payload_len > cap - (size_t)n) {
        return ERR_TOO_LARGE;
    }
    uint8_t *payload = dst + n;
    memcpy(payload, packet_data(k) + k->header.payload_off, payload_len);
    if (s->kind == SDP_VIDEO && k->vp8.size) {
        struct vp8_descriptor vp8 = k->vp8;
        vp8_rewrite(&vp8, payload, to->picture_id, to->tl0picidx);
    }
    *header_len = o->rtx ? (size_t)n - 2 : (size_t)n;
    return n + (int)payload_len;
}

int slot_write(struct slot *s, struct packet *k, const struct rewritten *to, uint8_t *dst,
               size_t cap, size_t *header_len)
{
    struct rtp_out o;
    describe(s, k, to, &o);
    return write_packet(s, k, to, &o, dst, cap, header_len);
}

int slot_write_rtx(struct slot *s, struct packet *k, const struct rewritten *to, uint8_t *dst,
                   size_t cap, size_t *header_len)
{
    struct rtp_out o;
    describe(s, k, to, &o);
    o.rtx = true;
    o.osn = to->seq;
    o.seq = s->rtx_seq++;
    o.pt = SDP_VP8_RTX_PT;
    o.ssrc = s->rtx_ssrc;
    s->resent++;
    return write_packet(s, k, to, &o, dst, cap, header_len);
}
