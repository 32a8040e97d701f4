/* Building of RTCP. */
#include <string.h>

#include "lib/proto/rtcp.h"

/* Header of a packet with `words` 32-bit words after it. */
static void put_header(struct writer *w, uint8_t count, uint8_t type, size_t words)
{
    writer_u8(w, (uint8_t)(0x80 | (count & 31)));
    writer_u8(w, type);
    writer_u16(w, (uint16_t)words);
}

static void put_report(struct writer *w, const struct rtcp_report *r)
{
    int32_t lost = r->cumulative_lost;

    if (lost > 0x7fffff) {
        lost = 0x7fffff;
    }
    if (lost < -0x800000) {
        lost = -0x800000;
    }
    writer_u32(w, r->ssrc);
    writer_u8(w, r->fraction_lost);
    writer_u24(w, (uint32_t)lost & 0xffffff);
    writer_u32(w, r->highest_seq);
    writer_u32(w, r->jitter);
    writer_u32(w, r->lsr);
    writer_u32(w, r->dlsr);
}

void rtcp_write_sr(struct writer *w, uint32_t ssrc, const struct rtcp_sender_info *info,
                   const struct rtcp_report *reports, size_t n)
{
    if (n > RTCP_MAX_REPORTS) {
        n = RTCP_MAX_REPORTS;
    }
    put_header(w, (uint8_t)n, RTCP_SR, 6 + 6 * n);
    writer_u32(w, ssrc);
    writer_u64(w, info->ntp);
    writer_u32(w, info->rtp_ts);
    writer_u32(w, info->packets);
    writer_u32(w, info->octets);
    for (size_t i = 0; i < n; i++) {
        put_report(w, &reports[i]);
    }
}

void rtcp_write_rr(struct writer *w, uint32_t ssrc, const struct rtcp_report *reports, size_t n)
{
    if (n > RTCP_MAX_REPORTS) {
        n = RTCP_MAX_REPORTS;
    }
    put_header(w, (uint8_t)n, RTCP_RR, 1 + 6 * n);
    writer_u32(w, ssrc);
    for (size_t i = 0; i < n; i++) {
        put_report(w, &reports[i]);
    }
}

void rtcp_write_sdes_cname(struct writer *w, uint32_t ssrc, const char *cname)
{
    size_t len = strlen(cname);

    if (len > 255) {
        len = 255;
    }
    size_t item = (2 + len + 1 + 3) & ~(size_t)3; /* at least one 0 ends the chunk */
    put_header(w, 1, RTCP_SDES, 1 + item / 4);
    writer_u32(w, ssrc);
    writer_u8(w, 1);
    writer_u8(w, (uint8_t)len);
    writer_bytes(w, cname, len);
    for (size_t i = 2 + len; i < item; i++) {
        writer_u8(w, 0);
    }
}

void rtcp_write_bye(struct writer *w, const uint32_t *ssrcs, size_t n)
{
    if (n > RTCP_MAX_SSRCS) {
        n = RTCP_MAX_SSRCS;
    }
    put_header(w, (uint8_t)n, RTCP_BYE, n);
    for (size_t i = 0; i < n; i++) {
        writer_u32(w, ssrcs[i]);
    }
}

/* How many of seqs[i..n) one PID/BLP pair takes, and its mask. */
static size_t nack_run(const uint16_t *seqs, size_t n, uint16_t *mask)
{
    size_t k = 1;

    *mask = 0;
    for (; k < n; k++) {
        uint16_t d = (uint16_t)(seqs[k] - seqs[0]);
        if (d == 0) {
            continue;
        }
        if (d > 16) {
            break;
        }
        *mask |= (uint16_t)(1u << (d - 1));
    }
    return k;
}

void rtcp_write_nack(struct writer *w, uint32_t sender_ssrc, uint32_t media_ssrc,
                     const uint16_t *seqs, size_t n)
{
    size_t pairs = 0;
    uint16_t mask;

    if (n == 0) {
        return;
    }
    for (size_t i = 0; i < n; i += nack_run(seqs + i, n - i, &mask)) {
        pairs++;
    }
    put_header(w, RTCP_FMT_NACK, RTCP_RTPFB, 2 + pairs);
    writer_u32(w, sender_ssrc);
    writer_u32(w, media_ssrc);
    for (size_t i = 0; i < n;) {
        size_t k = nack_run(seqs + i, n - i, &mask);
        writer_u16(w, seqs[i]);
        writer_u16(w, mask);
        i += k;
    }
}

void rtcp_write_pli(struct writer *w, uint32_t sender_ssrc, uint32_t media_ssrc)
{
    put_header(w, RTCP_FMT_PLI, RTCP_PSFB, 2);
    writer_u32(w, sender_ssrc);
    writer_u32(w, media_ssrc);
}

void rtcp_write_fir(struct writer *w, uint32_t sender_ssrc, uint32_t media_ssrc, uint8_t seq)
{
    put_header(w, RTCP_FMT_FIR, RTCP_PSFB, 4);
    writer_u32(w, sender_ssrc);
    writer_u32(w, 0); /* RFC 5104 section 4.3.1.2: media source SHALL be 0 */
    writer_u32(w, media_ssrc);
    writer_u8(w, seq);
    writer_u24(w, 0);
}

void rtcp_write_remb(struct writer *w, uint32_t sender_ssrc, uint64_t bitrate,
                     const uint32_t *ssrcs, size_t n)
{
    uint32_t exp = 0;

    n = n < 255 ? n : 255;
    while (bitrate >> exp > 0x3ffff) { /* 18 bits of mantissa */
        exp++;
    }
    put_header(w, RTCP_FMT_AFB, RTCP_PSFB, 4 + n);
    writer_u32(w, sender_ssrc);
    writer_u32(w, 0);
    writer_u32(w, 0x52454d42); /* "REMB" */
    writer_u8(w, (uint8_t)n);
    writer_u24(w, exp << 18 | (uint32_t)(bitrate >> exp));
    for (size_t i = 0; i < n; i++) {
        writer_u32(w, ssrcs[i]);
    }
}
