/* Reading of RTCP; rtcp_write.c builds. */
#include "lib/proto/rtcp.h"

#include <string.h>

#include "lib/base/err.h"

void rtcp_iter_init(struct rtcp_iter *it, const void *data, size_t len)
{
    it->data = data;
    it->len = len;
    it->pos = 0;
}

int rtcp_next(struct rtcp_iter *it, struct rtcp_packet *p)
{
    struct cursor c;

    if (it->pos == it->len) {
        return 0;
    }
    cursor_init(&c, it->data + it->pos, it->len - it->pos);
    uint8_t first = cursor_u8(&c);
    p->type = cursor_u8(&c);
    p->len = (size_t)cursor_u16(&c) * 4;
    p->count = first & 31;
    if (c.bad) {
        return ERR_TRUNCATED;
    }
    if (first >> 6 != 2) {
        return ERR_INVALID;
    }
    p->body = cursor_bytes(&c, p->len);
    if (c.bad) {
        return ERR_TRUNCATED;
    }
    it->pos += c.pos;
    if (first & 0x20) { /* padding: its last byte counts it (RFC 3550 section 6.4.1) */
        uint8_t pad = p->len > 0 ? p->body[p->len - 1] : 0;
        if (pad == 0 || pad > p->len) { /* transport-wide feedback pads by 1..3 bytes */
            return ERR_INVALID;
        }
        p->len -= pad;
    }
    return 1;
}

static void read_report(struct cursor *c, struct rtcp_report *r)
{
    r->ssrc = cursor_u32(c);
    r->fraction_lost = cursor_u8(c);
    uint32_t lost = cursor_u24(c);
    r->cumulative_lost = lost & 0x800000 ? (int32_t)lost - 0x1000000 : (int32_t)lost;
    r->highest_seq = cursor_u32(c);
    r->jitter = cursor_u32(c);
    r->lsr = cursor_u32(c);
    r->dlsr = cursor_u32(c);
}

static int read_reports(struct cursor *c, struct rtcp_report *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        read_report(c, &out[i]);
    }
    return c->bad ? ERR_TRUNCATED : OK;
}

int rtcp_parse_sr(struct rtcp_sr *out, const struct rtcp_packet *p)
{
    struct cursor c;

    if (p->type != RTCP_SR) {
        return ERR_INVALID;
    }
    cursor_init(&c, p->body, p->len);
    out->ssrc = cursor_u32(&c);
    out->info.ntp = cursor_u64(&c);
    out->info.rtp_ts = cursor_u32(&c);
    out->info.packets = cursor_u32(&c);
    out->info.octets = cursor_u32(&c);
    out->n_reports = p->count;
    return read_reports(&c, out->report, p->count);
}

int rtcp_parse_rr(struct rtcp_rr *out, const struct rtcp_packet *p)
{
    struct cursor c;

    if (p->type != RTCP_RR) {
        return ERR_INVALID;
    }
    cursor_init(&c, p->body, p->len);
    out->ssrc = cursor_u32(&c);
    out->n_reports = p->count;
    return read_reports(&c, out->report, p->count);
}

int rtcp_parse_cname(uint32_t *ssrc, char *out, size_t cap, const struct rtcp_packet *p)
{
    struct cursor c;

    if (p->type != RTCP_SDES) {
        return ERR_INVALID;
    }
    if (p->count == 0) {
        return ERR_NOT_FOUND;
    }
    cursor_init(&c, p->body, p->len);
    uint32_t who = cursor_u32(&c);
    for (;;) {
        uint8_t item = cursor_u8(&c);
        if (c.bad) {
            return ERR_TRUNCATED;
        }
        if (item == 0) {
            return ERR_NOT_FOUND;
        }
        size_t len = cursor_u8(&c);
        const uint8_t *text = cursor_bytes(&c, len);
        if (c.bad) {
            return ERR_TRUNCATED;
        }
        if (item != 1) {
            continue;
        }
        if (len + 1 > cap) {
            return ERR_TOO_LARGE;
        }
        memcpy(out, text, len);
        out[len] = 0;
        *ssrc = who;
        return OK;
    }
}

int rtcp_parse_bye(uint32_t ssrcs[RTCP_MAX_SSRCS], const struct rtcp_packet *p)
{
    struct cursor c;

    if (p->type != RTCP_BYE) {
        return ERR_INVALID;
    }
    cursor_init(&c, p->body, p->len);
    for (size_t i = 0; i < p->count; i++) {
        ssrcs[i] = cursor_u32(&c);
    }
    return c.bad ? ERR_TRUNCATED : p->count;
}

static int read_feedback(struct rtcp_feedback *fb, struct cursor *c, const struct rtcp_packet *p,
                         uint8_t type, uint8_t fmt)
{
    if (p->type != type || p->count != fmt) {
        return ERR_INVALID;
    }
    cursor_init(c, p->body, p->len);
    fb->sender_ssrc = cursor_u32(c);
    fb->media_ssrc = cursor_u32(c);
    return c->bad ? ERR_TRUNCATED : OK;
}

int rtcp_parse_nack(struct rtcp_feedback *fb, uint16_t *seqs, size_t cap,
                    const struct rtcp_packet *p)
{
    struct cursor c;
    size_t n = 0;
    int r = read_feedback(fb, &c, p, RTCP_RTPFB, RTCP_FMT_NACK);

    if (r < 0) {
        return r;
    }
    if (cursor_left(&c) == 0) {
        return ERR_TRUNCATED;
    }
    while (cursor_left(&c) > 0) {
        uint16_t pid = cursor_u16(&c);
        uint32_t bits = (uint32_t)cursor_u16(&c) << 1 | 1; /* bit 0 is the PID itself */
        if (c.bad) {
            return ERR_TRUNCATED;
        }
        for (unsigned i = 0; i <= 16 && n < cap; i++) {
            if (bits >> i & 1) {
                seqs[n++] = (uint16_t)(pid + i);
            }
        }
    }
    return (int)n;
}

int rtcp_parse_pli(struct rtcp_feedback *fb, const struct rtcp_packet *p)
{
    struct cursor c;
    return read_feedback(fb, &c, p, RTCP_PSFB, RTCP_FMT_PLI);
}

int rtcp_parse_fir(struct rtcp_feedback *fb, struct rtcp_fir *out, size_t cap,
                   const struct rtcp_packet *p)
{
    struct cursor c;
    size_t n = 0;
    int r = read_feedback(fb, &c, p, RTCP_PSFB, RTCP_FMT_FIR);

    if (r < 0) {
        return r;
    }
    if (cursor_left(&c) == 0) {
        return ERR_TRUNCATED;
    }
    while (cursor_left(&c) > 0) {
        struct rtcp_fir f;
        f.ssrc = cursor_u32(&c);
        f.seq = cursor_u8(&c);
        cursor_skip(&c, 3);
        if (c.bad) {
            return ERR_TRUNCATED;
        }
        if (n < cap) {
            out[n++] = f;
        }
    }
    return (int)n;
}

int rtcp_parse_remb(struct rtcp_remb *out, const struct rtcp_packet *p)
{
    struct cursor c;
    struct rtcp_feedback fb;
    int r = read_feedback(&fb, &c, p, RTCP_PSFB, RTCP_FMT_AFB);

    if (r < 0) {
        return r;
    }
    if (cursor_left(&c) < 4) {
        return ERR_TRUNCATED;
    }
    if (cursor_u32(&c) != 0x52454d42) { /* "REMB" */
        return ERR_NOT_FOUND;
    }
    size_t n = cursor_u8(&c);
    uint32_t v = cursor_u24(&c);
    unsigned exp = v >> 18;
    uint64_t mantissa = v & 0x3ffff;
    out->sender_ssrc = fb.sender_ssrc;
    out->bitrate = exp > 45 ? UINT64_MAX >> 1 : mantissa << exp;
    out->n_ssrcs = 0;
    for (size_t i = 0; i < n && !c.bad; i++) {
        uint32_t ssrc = cursor_u32(&c);
        if (out->n_ssrcs < RTCP_MAX_SSRCS) {
            out->ssrc[out->n_ssrcs++] = ssrc;
        }
    }
    return c.bad ? ERR_TRUNCATED : OK;
}

#define NTP_EPOCH 2208988800u /* seconds from 1900 to 1970 */

uint64_t rtcp_ntp_from_wall(int64_t wall_us)
{
    uint64_t us = (uint64_t)wall_us;
    uint64_t seconds = us / 1000000 + NTP_EPOCH;
    uint64_t fraction = ((us % 1000000 << 32) + 500000) / 1000000;
    return (seconds << 32) + fraction;
}

int64_t rtcp_wall_from_ntp(uint64_t ntp)
{
    int64_t seconds = (int64_t)(ntp >> 32) - (int64_t)NTP_EPOCH;
    return seconds * 1000000 + (int64_t)(((ntp & 0xffffffff) * 1000000 + 0x80000000u) >> 32);
}

uint32_t rtcp_ntp_middle(uint64_t ntp)
{
    return (uint32_t)(ntp >> 16);
}

int64_t rtcp_rtt_us(uint32_t now_middle, uint32_t lsr, uint32_t dlsr)
{
    if (lsr == 0) {
        return -1;
    }
    uint32_t units = now_middle - lsr - dlsr; /* 1/65536 s, modulo 2^32 */
    if (units > 60u * 65536) {
        return -1;
    }
    return (int64_t)units * 1000000 / 65536;
}
