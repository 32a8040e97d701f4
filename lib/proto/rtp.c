#include "lib/proto/rtp.h"

#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"

static const char *const ext_uri[RTP_EXT_KINDS] = {
    [RTP_EXT_MID] = "urn:ietf:params:rtp-hdrext:sdes:mid",
    [RTP_EXT_RID] = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
    [RTP_EXT_REPAIRED_RID] = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
    [RTP_EXT_AUDIO_LEVEL] = "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    [RTP_EXT_ABS_SEND_TIME] = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    [RTP_EXT_TRANSPORT_CC] =
        "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
    [RTP_EXT_VIDEO_ORIENTATION] = "urn:3gpp:video-orientation",
    [RTP_EXT_PLAYOUT_DELAY] = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
    [RTP_EXT_DEPENDENCY_DESCRIPTOR] =
        "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension",
    [RTP_EXT_ABS_CAPTURE_TIME] = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
    [RTP_EXT_VIDEO_LAYERS] =
        "http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00",
};

const char *rtp_ext_uri(enum rtp_ext_kind kind)
{
    return (unsigned)kind < RTP_EXT_KINDS ? ext_uri[kind] : "";
}

int rtp_ext_kind_of(const char *uri)
{
    for (int i = 0; i < RTP_EXT_KINDS; i++) {
        if (strcmp(uri, ext_uri[i]) == 0) {
            return i;
        }
    }
    return -1;
}

/* One element: id and length by the form; id 0 is a padding byte of one. Returns 1, 0 when the list
 * ends here (RFC 8285 section 4.2: id 15), or an error. */
static int read_element(struct cursor *c, bool two_byte, struct rtp_ext *e)
{
    uint8_t b = cursor_u8(c);
    size_t len;

    e->id = 0;
    if (b == 0) {
        return 1;
    }
    if (two_byte) {
        e->id = b;
        len = cursor_u8(c);
    } else {
        if (b >> 4 == 15) {
            return 0;
        }
        e->id = b >> 4;
        len = (size_t)(b & 15) + 1;
        if (e->id == 0) { /* padding with a length set: skip the byte only */
            return 1;
        }
    }
    e->len = (uint8_t)len;
    e->off = (uint16_t)c->pos;
    cursor_skip(c, len);
    return c->bad ? ERR_TRUNCATED : 1;
}

static int read_extension(struct rtp_header *h, struct cursor *c)
{
    h->ext_off = (uint16_t)c->pos;
    h->ext_profile = cursor_u16(c);
    size_t bytes = (size_t)cursor_u16(c) * 4;
    if (c->bad || cursor_left(c) < bytes) {
        return ERR_TRUNCATED;
    }
    h->ext_len = (uint16_t)bytes;
    bool two_byte = (h->ext_profile & 0xfff0) == RTP_EXT_TWO_BYTE;
    if (h->ext_profile == RTP_EXT_ONE_BYTE || two_byte) {
        struct cursor in;
        cursor_init(&in, c->data, c->pos + bytes); /* offsets stay those of the packet */
        in.pos = c->pos;
        while (cursor_left(&in) > 0) {
            struct rtp_ext e;
            int r = read_element(&in, two_byte, &e);
            if (r < 0) {
                return r;
            }
            if (r == 0) {
                break;
            }
            if (e.id != 0 && h->n_ext < RTP_MAX_EXT) {
                h->ext[h->n_ext++] = e;
            }
        }
    }
    cursor_skip(c, bytes);
    return OK;
}

static int parse(struct rtp_header *h, const uint8_t *packet, size_t len, bool *has_padding)
{
    struct cursor c;

    if (len < RTP_HEADER_MIN) {
        return ERR_TRUNCATED;
    }
    if (len > RTP_MAX_PACKET) {
        return ERR_TOO_LARGE;
    }
    memset(h, 0, sizeof *h);
    cursor_init(&c, packet, len);
    uint8_t first = cursor_u8(&c), second = cursor_u8(&c);
    if (first >> 6 != 2) {
        return ERR_INVALID;
    }
    *has_padding = first & 0x20;
    h->n_csrc = first & 15;
    h->marker = second >> 7;
    h->pt = second & 127;
    h->seq = cursor_u16(&c);
    h->ts = cursor_u32(&c);
    h->ssrc = cursor_u32(&c);
    cursor_skip(&c, (size_t)h->n_csrc * 4);
    if (c.bad) {
        return ERR_TRUNCATED;
    }
    if (first & 0x10) {
        int r = read_extension(h, &c);
        if (r < 0) {
            return r;
        }
    }
    h->payload_off = (uint16_t)c.pos;
    h->payload_len = (uint16_t)cursor_left(&c);
    return OK;
}

int rtp_parse(struct rtp_header *h, const uint8_t *packet, size_t len)
{
    bool has_padding = false;
    int r = parse(h, packet, len, &has_padding);
    if (r < 0 || !has_padding) {
        return r;
    }
    if (h->payload_len == 0) {
        return ERR_INVALID;
    }
    h->padding = packet[len - 1];
    if (h->padding == 0 || h->padding > h->payload_len) {
        return ERR_INVALID;
    }
    h->payload_len = (uint16_t)(h->payload_len - h->padding);
    return OK;
}

int rtp_parse_encrypted(struct rtp_header *h, const uint8_t *packet, size_t len)
{
    bool has_padding = false;
    return parse(h, packet, len, &has_padding);
}

static uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

uint32_t rtp_csrc(const struct rtp_header *h, const uint8_t *packet, size_t i)
{
    return i < h->n_csrc ? get_u32(packet + RTP_HEADER_MIN + 4 * i) : 0;
}

const uint8_t *rtp_ext_find(const struct rtp_header *h, const uint8_t *packet, uint8_t id,
                            size_t *len)
{
    for (size_t i = 0; id != 0 && i < h->n_ext; i++) {
        if (h->ext[i].id == id) {
            *len = h->ext[i].len;
            return packet + h->ext[i].off;
        }
    }
    return NULL;
}

bool rtp_audio_level(const struct rtp_header *h, const uint8_t *packet, uint8_t id, uint8_t *level,
                     bool *voice)
{
    size_t len;
    const uint8_t *p = rtp_ext_find(h, packet, id, &len);
    if (!p || len < 1) {
        return false;
    }
    *voice = p[0] & 0x80;
    *level = p[0] & 0x7f;
    return true;
}

bool rtp_transport_seq(const struct rtp_header *h, const uint8_t *packet, uint8_t id, uint16_t *seq)
{
    size_t len;
    const uint8_t *p = rtp_ext_find(h, packet, id, &len);
    if (!p || len < 2) {
        return false;
    }
    *seq = (uint16_t)(p[0] << 8 | p[1]);
    return true;
}

static bool is_token_char(uint8_t ch)
{
    return ch > 0x20 && ch < 0x7f && !strchr("\"(),/:;<=>?@[\\]", ch);
}

bool rtp_ext_text(const struct rtp_header *h, const uint8_t *packet, uint8_t id, char *out,
                  size_t cap)
{
    size_t len;
    const uint8_t *p = rtp_ext_find(h, packet, id, &len);
    if (!p || len == 0 || len + 1 > cap) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (!is_token_char(p[i])) {
            return false;
        }
    }
    memcpy(out, p, len);
    out[len] = 0;
    return true;
}

uint32_t rtp_abs_send_time(int64_t now_us)
{
    uint64_t us = (uint64_t)now_us % 64000000; /* 6 bits of seconds */
    return (uint32_t)((us << 18) / 1000000) & 0xffffff;
}

void rtp_set_seq(uint8_t *packet, uint16_t seq)
{
    packet[2] = (uint8_t)(seq >> 8);
    packet[3] = (uint8_t)seq;
}

static void put_u32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

void rtp_set_ts(uint8_t *packet, uint32_t ts)
{
    put_u32(packet + 4, ts);
}

void rtp_set_ssrc(uint8_t *packet, uint32_t ssrc)
{
    put_u32(packet + 8, ssrc);
}

void rtp_set_pt(uint8_t *packet, uint8_t pt)
{
    packet[1] = (uint8_t)((packet[1] & 0x80) | (pt & 0x7f));
}

void rtp_set_marker(uint8_t *packet, bool marker)
{
    packet[1] = (uint8_t)((packet[1] & 0x7f) | (marker ? 0x80 : 0));
}

int rtp_rtx_unwrap(struct rtp_header *h, uint8_t *packet, size_t *len, uint32_t media_ssrc,
                   uint8_t media_pt)
{
    if (h->payload_len < 2) {
        return ERR_TRUNCATED;
    }
    uint16_t osn = (uint16_t)(packet[h->payload_off] << 8 | packet[h->payload_off + 1]);
    memmove(packet + 2, packet, h->payload_off);
    packet += 2;
    *len -= 2;
    rtp_set_seq(packet, osn);
    rtp_set_ssrc(packet, media_ssrc);
    rtp_set_pt(packet, media_pt);
    return rtp_parse(h, packet, *len);
}

int16_t rtp_seq_diff(uint16_t a, uint16_t b)
{
    return (int16_t)(uint16_t)(a - b);
}

int32_t rtp_ts_diff(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b);
}

int64_t rtp_unwrap_peek(const struct rtp_unwrap *u, uint16_t seq)
{
    if (!u->started) {
        return (int64_t)65536 + seq;
    }
    return u->highest + rtp_seq_diff(seq, (uint16_t)u->highest);
}

int64_t rtp_unwrap_seq(struct rtp_unwrap *u, uint16_t seq)
{
    int64_t v = rtp_unwrap_peek(u, seq);
    if (!u->started || v > u->highest) {
        u->highest = v;
    }
    u->started = true;
    return v;
}

int64_t rtp_unwrap_ts(struct rtp_unwrap *u, uint32_t ts)
{
    int64_t v = (INT64_C(1) << 32) + ts;
    if (u->started) {
        v = u->highest + rtp_ts_diff(ts, (uint32_t)u->highest);
    }
    if (!u->started || v > u->highest) {
        u->highest = v;
    }
    u->started = true;
    return v;
}
