#include "sfu/core/slot.h"

#include <string.h>
#include <utlist.h>

#include "lib/base/err.h"
#include "sfu/core/publisher.h"

#define OPUS_CLOCK 48000
#define VP8_CLOCK  90000
#define OUT_EXT    (RTP_HEADER_MIN + 4) /* of what we write, with one CSRC: the extension header */

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
    if (s->next) { /* comes next, and isn't in the cache */
        __builtin_prefetch(s->next);
        __builtin_prefetch((const char *)s->next + 64);
        __builtin_prefetch((const char *)s->next + 128);
    }
    if (!s->accepted || s->paused) {
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

/* Room for slot_stamp, always first. */
static void reserve_stamp(const struct slot *s, struct rtp_out *o)
{
    static const uint8_t zero[3];
    if (s->stamped) {
        add_ext(o, s->ext.id[RTP_EXT_TRANSPORT_CC], zero, 2);
        add_ext(o, s->ext.id[RTP_EXT_ABS_SEND_TIME], zero, 3);
    }
}

/* Header extensions keep their data and get the ids that this subscriber agreed to. */
static void describe(struct slot *s, struct packet *k, const struct rewritten *to, bool rtx,
                     struct rtp_out *o)
{
    bool audio = s->kind == SDP_AUDIO;
    o->padding = false;
    o->n_ext = 0;
    o->marker = k->header.marker || (audio && to->switched);
    o->pt = audio ? SDP_OPUS_PT : rtx ? SDP_VP8_RTX_PT : SDP_VP8_PT;
    o->seq = rtx ? s->rtx_seq++ : to->seq;
    o->ts = to->ts;
    o->ssrc = rtx ? s->rtx_ssrc : s->ssrc;
    o->n_csrc = 1;
    o->csrc[0] = k->csrc;
    o->rtx = rtx;
    o->osn = to->seq;
    reserve_stamp(s, o);
    add_ext(o, s->ext.id[RTP_EXT_MID], (const uint8_t *)s->mid, s->mid_len);
    for (size_t i = 0; i < PACKET_PASSED; i++) {
        add_ext(o, s->ext.id[packet_passed_kind[i]], packet_data(k) + k->passed[i].off,
                k->passed[i].len);
    }
}

int slot_write_header(struct slot *s, struct packet *k, const struct rewritten *to, bool rtx,
                      uint8_t *dst, size_t cap)
{
    struct rtp_out o;
    describe(s, k, to, rtx, &o);
    s->resent += rtx;
    return rtp_out_write(&o, dst, cap);
}

void slot_stamp(const struct slot *s, uint8_t *header, uint16_t transport_seq,
                uint32_t abs_send_time)
{
    if (!s->stamped) {
        return;
    }
    size_t head = header[OUT_EXT] == RTP_EXT_TWO_BYTE >> 8 ? 2 : 1;
    uint8_t *at = header + OUT_EXT + 4 + head;
    if (s->ext.id[RTP_EXT_TRANSPORT_CC]) {
        at[0] = (uint8_t)(transport_seq >> 8);
        at[1] = (uint8_t)transport_seq;
        at += 2 + head;
    }
    if (s->ext.id[RTP_EXT_ABS_SEND_TIME]) {
        at[0] = (uint8_t)(abs_send_time >> 16);
        at[1] = (uint8_t)(abs_send_time >> 8);
        at[2] = (uint8_t)abs_send_time;
    }
}

int slot_write_padding(struct slot *s, uint8_t padding, uint8_t *dst, size_t cap,
                       size_t *header_len)
{
    struct rtp_out o = {.padding = true,
                        .pt = SDP_VP8_RTX_PT,
                        .ts = s->last_ts,
                        .ssrc = s->rtx_ssrc,
                        .n_csrc = 1}; /* of nobody: slot_stamp knows where it writes by it */
    if (!s->rtx || !s->last_us || padding == 0) {
        return ERR_STATE;
    }
    reserve_stamp(s, &o);
    add_ext(&o, s->ext.id[RTP_EXT_MID], (const uint8_t *)s->mid, s->mid_len);
    o.seq = s->rtx_seq;
    int n = rtp_out_write(&o, dst, cap);
    if (n < 0 || padding > cap - (size_t)n) {
        return ERR_TOO_LARGE;
    }
    s->rtx_seq++;
    memset(dst + n, 0, padding);
    dst[(size_t)n + padding - 1] = padding;
    *header_len = (size_t)n;
    return n + padding;
}

void slot_write_payload(const struct slot *s, struct packet *k, const struct rewritten *to,
                        uint8_t *dst)
{
    memcpy(dst, packet_data(k) + k->header.payload_off, k->header.payload_len);
    if (s->kind == SDP_VIDEO && k->vp8.size) {
        struct vp8_descriptor vp8 = k->vp8;
        vp8_rewrite(&vp8, dst, to->picture_id, to->tl0picidx);
    }
}

static int write_packet(struct slot *s, struct packet *k, const struct rewritten *to, bool rtx,
                        uint8_t *dst, size_t cap, size_t *header_len)
{
    int n = slot_write_header(s, k, to, rtx, dst, cap);
    if (n < 0) {
        return n;
    }
    if (k->header.payload_len > cap - (size_t)n) {
        return ERR_TOO_LARGE;
    }
    slot_write_payload(s, k, to, dst + n);
    *header_len = rtx ? (size_t)n - SLOT_OSN : (size_t)n;
    return n + k->header.payload_len;
}

int slot_write(struct slot *s, struct packet *k, const struct rewritten *to, uint8_t *dst,
               size_t cap, size_t *header_len)
{
    return write_packet(s, k, to, false, dst, cap, header_len);
}

int slot_write_rtx(struct slot *s, struct packet *k, const struct rewritten *to, uint8_t *dst,
                   size_t cap, size_t *header_len)
{
    return write_packet(s, k, to, true, dst, cap, header_len);
}
