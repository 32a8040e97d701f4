/* What a slot's packets look like as they leave. */
#include <string.h>

#include "lib/base/err.h"
#include "lib/proto/red.h"
#include "sfu/core/slot.h"

#define OUT_EXT      (RTP_HEADER_MIN + 4) /* of what we write, with one CSRC: the extension header */
#define PLAYOUT_MOST 1000                 /* in 10 ms */

static void add_ext(struct rtp_out *o, uint8_t id, const uint8_t *data, size_t len)
{
    if (id && len > 0 && len <= 255 && o->n_ext < RTP_MAX_EXT) {
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

/* The dependency descriptor as it is for this slot; dd has room for DD_MAX_SIZE bytes. */
static void add_dd(const struct slot *s, struct packet *k, const struct packet_ext *e,
                   const struct rewritten *to, uint8_t *dd, struct rtp_out *o)
{
    const uint8_t *value = packet_data(k) + e->off;
    uint8_t id = s->ext.id[RTP_EXT_DEPENDENCY_DESCRIPTOR];
    struct dd_rewrite how = {
        .add_frame = to->frame_add, .set_targets = to->set_targets, .targets = to->targets};
    if (!id) {
        return;
    }
    if (!k->has_dd || (!to->frame_add && !to->set_targets)) {
        add_ext(o, id, value, e->len);
        return;
    }
    int n = dd_write(&k->dd, &how, value, e->len, dd, DD_MAX_SIZE);
    add_ext(o, id, dd, n > 0 ? (size_t)n : 0);
}

/* A delay within which what is lost can be sent again, in place of the source's: two numbers of 12
 * bits, least and most, in 10 ms. */
static void add_playout(const struct slot *s, uint8_t *value, struct rtp_out *o)
{
    if (s->playout) {
        value[0] = s->playout >> 4;
        value[1] = (uint8_t)(s->playout << 4 | PLAYOUT_MOST >> 8);
        value[2] = PLAYOUT_MOST & 0xff;
        add_ext(o, s->ext.id[RTP_EXT_PLAYOUT_DELAY], value, 3);
    }
}

/* Header extensions keep their data and get the ids that this subscriber agreed to. */
static void add_passed(const struct slot *s, struct packet *k, const struct rewritten *to,
                       uint8_t *dd, struct rtp_out *o)
{
    for (size_t i = 0; i < k->n_passed; i++) {
        const struct packet_ext *e = &k->passed[i];
        if (e->kind == RTP_EXT_DEPENDENCY_DESCRIPTOR) {
            add_dd(s, k, e, to, dd, o);
        } else if (e->kind != RTP_EXT_PLAYOUT_DELAY || !s->playout) {
            add_ext(o, s->ext.id[e->kind], packet_data(k) + e->off, e->len);
        }
    }
}

static void begin(struct slot *s, bool rtx, struct rtp_out *o)
{
    o->padding = false;
    o->n_ext = 0;
    o->ssrc = rtx ? s->rtx_ssrc : s->ssrc;
    o->n_csrc = 1;
    o->rtx = rtx;
    reserve_stamp(s, o);
    add_ext(o, s->ext.id[RTP_EXT_MID], (const uint8_t *)s->mid, s->mid_len);
}

int slot_write_header(struct slot *s, struct packet *k, const struct rewritten *to, bool rtx,
                      uint8_t *dst, size_t cap)
{
    struct rtp_out o;
    uint8_t dd[DD_MAX_SIZE], playout[3];
    begin(s, rtx, &o);
    o.marker = to->marker;
    o.pt = rtx ? s->rtx_pt[k->codec] : s->pt[k->codec];
    o.seq = rtx ? s->rtx_seq++ : to->seq;
    o.ts = to->ts;
    o.csrc[0] = k->csrc;
    o.osn = to->seq;
    add_passed(s, k, to, dd, &o);
    add_playout(s, playout, &o);
    if (rtx) {
        s->resent++;
        counters_add(&s->counters, COUNTER_RETRANSMIT_BYTES, k->header.payload_len);
    }
    return rtp_out_write(&o, dst, cap);
}

void slot_repeat_header(const struct rewritten *to, const uint8_t *before, size_t len, uint8_t *dst)
{
    memcpy(dst, before, len);
    dst[1] = (uint8_t)((dst[1] & 0x7f) | to->marker << 7);
    rtp_set_seq(dst, to->seq);
    rtp_set_ts(dst, to->ts);
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
    struct rtp_out o = {0};
    if (!s->rtx_pt[s->codec] || !s->last_us || padding == 0) {
        return ERR_STATE;
    }
    begin(s, true, &o);
    o.rtx = false; /* without a payload there is nothing that it repeats */
    o.padding = true;
    o.pt = s->rtx_pt[s->codec];
    o.seq = s->rtx_seq;
    o.ts = s->last_ts;
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
    size_t len = slot_payload_len(s, k);
    memcpy(dst, packet_data(k) + k->header.payload_off + k->header.payload_len - len, len);
    if (k->has_info) {
        codec_rewrite(&k->info, dst, to->picture_id, to->tl0picidx);
    } else if (k->codec == CODEC_RED && !s->unwraps_red) {
        red_retype(dst, len, s->pt[CODEC_OPUS]);
    }
}
