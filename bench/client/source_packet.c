#include "bench/client/source_internal.h"

#include <string.h>

#include "lib/base/buf.h"

#define AUDIO_SAMPLES 960
#define VOICE_BIT     0x80

/* The values of a header's extensions while it is written. */
struct ext_values {
    uint8_t transport[2], send_time[3], level;
};

static void add_ext(struct rtp_out *o, uint8_t id, const void *data, size_t len)
{
    if (id != 0)
        o->ext[o->n_ext++] = (struct rtp_out_ext){id, (uint8_t)len, data};
}

/* In the order of cost to a reader; the MID last, as it goes away. */
static void add_common(struct source *s, struct rtp_out *o, struct ext_values *v,
                       const struct media_track *t, bool mid, int64_t now_us)
{
    uint32_t at = rtp_abs_send_time(now_us);
    uint16_t seq = s->transport_seq;

    if (t->ext.id[RTP_EXT_TRANSPORT_CC] != 0)
        s->transport_seq++;
    v->transport[0] = (uint8_t)(seq >> 8);
    v->transport[1] = (uint8_t)seq;
    v->send_time[0] = (uint8_t)(at >> 16);
    v->send_time[1] = (uint8_t)(at >> 8);
    v->send_time[2] = (uint8_t)at;
    add_ext(o, t->ext.id[RTP_EXT_ABS_SEND_TIME], v->send_time, 3);
    add_ext(o, t->ext.id[RTP_EXT_TRANSPORT_CC], v->transport, 2);
    if (mid && t->mid[0] != 0)
        add_ext(o, t->ext.id[RTP_EXT_MID], t->mid, strlen(t->mid));
}

/* Sizes were checked by source_new: the header always fits. */
static size_t write_header(const struct rtp_out *o, uint8_t *room)
{
    int n = rtp_out_write(o, room, SOURCE_ROOM);
    return n > 0 ? (size_t)n : 0;
}

void source_write_audio(struct source *s, struct source_packet *out, uint8_t *room, int64_t now_us)
{
    struct source_stream *st = &s->audio;
    const struct media_opus_packet *p = &s->opus->packet[s->audio_index % MEDIA_OPUS_PACKETS];
    struct ext_values v;
    struct rtp_out o = {.pt = st->track.pt,
                        .seq = st->seq++,
                        .ts = st->ts_base + (uint32_t)(s->audio_index * AUDIO_SAMPLES),
                        .ssrc = st->track.ssrc};

    v.level = (uint8_t)(p->level | (p->voice ? VOICE_BIT : 0));
    add_ext(&o, st->track.ext.id[RTP_EXT_AUDIO_LEVEL], &v.level, 1);
    add_common(s, &o, &v, &st->track, !st->acknowledged, now_us);
    size_t header = write_header(&o, room);
    memcpy(room + header, p->data, p->len);
    *out =
        (struct source_packet){room, header + p->len, header, o.ssrc, source_audio_due(s), false};
    s->audio_index++;
    st->packets++;
    st->octets += p->len;
    s->stats.audio_packets++;
}

/* RFC 7741 section 4.2 with a 15-bit picture id, then RFC 6386 section 9.1: the frame tag (shown,
 * version 0, the first partition all of it as far as 19 bits tell), and a keyframe's start code and
 * size. Returns their bytes. */
static size_t write_vp8(const struct source *s, uint8_t *dst, const struct source_video *v)
{
    struct writer w;
    uint32_t partition = v->frame_size < 0x7ffff ? v->frame_size : 0x7ffff;
    uint32_t tag = partition << 5 | 0x10 | (v->key ? 0 : 1);

    writer_init(&w, dst, SOURCE_ROOM);
    writer_u8(&w, v->first ? 0x90 : 0x80);
    writer_u8(&w, 0x80);
    writer_u16(&w, (uint16_t)(0x8000 | v->picture));
    if (!v->first)
        return w.len;
    writer_u8(&w, (uint8_t)tag);
    writer_u8(&w, (uint8_t)(tag >> 8));
    writer_u8(&w, (uint8_t)(tag >> 16));
    if (v->key) {
        const uint8_t rest[7] = {
            0x9d,
            0x01,
            0x2a,
            (uint8_t)s->config.width,
            (uint8_t)(s->config.width >> 8 & 0x3f),
            (uint8_t)s->config.height,
            (uint8_t)(s->config.height >> 8 & 0x3f),
        };
        writer_bytes(&w, rest, sizeof rest);
    }
    return w.len;
}

void source_write_video(struct source *s, struct source_packet *out, uint8_t *room,
                        const struct source_video *v, bool again, int64_t now_us)
{
    struct source_stream *st = &s->video;
    struct ext_values values;
    bool rtx = again && st->track.rtx_ssrc != 0;
    struct rtp_out o = {.marker = v->marker,
                        .pt = rtx ? st->track.rtx_pt : st->track.pt,
                        .seq = rtx ? st->rtx_seq++ : v->seq,
                        .ts = v->ts,
                        .ssrc = rtx ? st->track.rtx_ssrc : st->track.ssrc,
                        .rtx = rtx,
                        .osn = v->seq};

    add_common(s, &o, &values, &st->track, rtx ? !st->rtx_acknowledged : !st->acknowledged, now_us);
    size_t header = write_header(&o, room);
    size_t off = write_vp8(s, room + header, v);
    struct media_stamp stamp = {s->config.number, v->counter, v->due_us};
    media_stamp_write(room + header, off, v->len, &stamp);
    *out = (struct source_packet){room,   header + v->len, header - (rtx ? 2 : 0),
                                  o.ssrc, v->due_us,       again};
    if (!again) {
        st->packets++;
        st->octets += v->len;
        s->stats.video_packets++;
    } else {
        s->stats.rtx_packets++;
    }
}
