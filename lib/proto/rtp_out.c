/* Writing of RTP headers. */
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/proto/rtp.h"

static bool needs_two_byte(const struct rtp_out *o)
{
    for (size_t i = 0; i < o->n_ext; i++) {
        if (o->ext[i].id > 14 || o->ext[i].len == 0 || o->ext[i].len > 16) {
            return true;
        }
    }
    return false;
}

static size_t ext_bytes(const struct rtp_out *o)
{
    size_t n = 0, head = needs_two_byte(o) ? 2 : 1;
    for (size_t i = 0; i < o->n_ext; i++) {
        n += head + o->ext[i].len;
    }
    return (n + 3) & ~(size_t)3;
}

size_t rtp_out_size(const struct rtp_out *o)
{
    size_t n = RTP_HEADER_MIN + 4 * (size_t)o->n_csrc;
    if (o->n_ext > 0) {
        n += 4 + ext_bytes(o);
    }
    return n + (o->rtx ? 2 : 0);
}

static void write_ext(struct writer *w, const struct rtp_out *o)
{
    bool two_byte = needs_two_byte(o);
    size_t bytes = ext_bytes(o), end = w->len + 4 + bytes;

    writer_u16(w, two_byte ? RTP_EXT_TWO_BYTE : RTP_EXT_ONE_BYTE);
    writer_u16(w, (uint16_t)(bytes / 4));
    for (size_t i = 0; i < o->n_ext; i++) {
        const struct rtp_out_ext *e = &o->ext[i];
        if (two_byte) {
            writer_u8(w, e->id);
            writer_u8(w, e->len);
        } else {
            writer_u8(w, (uint8_t)(e->id << 4 | (e->len - 1)));
        }
        writer_bytes(w, e->data, e->len);
    }
    while (w->len < end && !w->bad) {
        writer_u8(w, 0);
    }
}

int rtp_out_write(const struct rtp_out *o, uint8_t *dst, size_t cap)
{
    struct writer w;

    if (o->n_csrc > RTP_MAX_CSRC || o->n_ext > RTP_MAX_EXT || o->pt > 127) {
        return ERR_INVALID;
    }
    for (size_t i = 0; i < o->n_ext; i++) {
        if (o->ext[i].id == 0) {
            return ERR_INVALID;
        }
    }
    writer_init(&w, dst, cap);
    writer_u8(&w, (uint8_t)(0x80 | (o->padding ? 0x20 : 0) | (o->n_ext ? 0x10 : 0) | o->n_csrc));
    writer_u8(&w, (uint8_t)((o->marker ? 0x80 : 0) | o->pt));
    writer_u16(&w, o->seq);
    writer_u32(&w, o->ts);
    writer_u32(&w, o->ssrc);
    for (size_t i = 0; i < o->n_csrc; i++) {
        writer_u32(&w, o->csrc[i]);
    }
    if (o->n_ext > 0) {
        write_ext(&w, o);
    }
    if (o->rtx) {
        writer_u16(&w, o->osn);
    }
    return w.bad ? ERR_TOO_LARGE : (int)w.len;
}

int rtp_out_prepend(const struct rtp_out *o, uint8_t *payload, size_t headroom)
{
    if (o->n_csrc > RTP_MAX_CSRC || o->n_ext > RTP_MAX_EXT) {
        return ERR_INVALID;
    }
    size_t n = rtp_out_size(o);
    if (n > headroom) {
        return ERR_TOO_LARGE;
    }
    return rtp_out_write(o, payload - n, n);
}
