#include "lib/proto/vp8.h"

#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"

/* X was set: I, L, T, K and what they announce (RFC 7741 section 4.2). */
static void read_extended(struct vp8_descriptor *d, struct cursor *c)
{
    uint8_t flags = cursor_u8(c);

    if (flags & 0x80) {
        d->picture_off = (uint8_t)c->pos;
        uint8_t first = cursor_u8(c);
        d->picture_bits = first & 0x80 ? 15 : 7;
        d->picture_id = first & 0x7f;
        if (first & 0x80) {
            d->picture_id = (uint16_t)(d->picture_id << 8 | cursor_u8(c));
        }
    }
    if (flags & 0x40) {
        d->has_tl0 = true;
        d->tl0_off = (uint8_t)c->pos;
        d->tl0picidx = cursor_u8(c);
    }
    if (flags & 0x30) {
        uint8_t b = cursor_u8(c);
        d->has_tid = flags & 0x20;
        d->has_keyidx = flags & 0x10;
        d->tid = d->has_tid ? b >> 6 : 0;
        d->layer_sync = d->has_tid && (b & 0x20);
        d->keyidx = d->has_keyidx ? b & 0x1f : 0;
    }
}

/* The frame header of a keyframe (RFC 6386 section 9.1): P bit 0, start code, then the size. */
static void read_frame(struct vp8_descriptor *d, const uint8_t *p, size_t len)
{
    if (len < 1) {
        return;
    }
    d->keyframe = (p[0] & 1) == 0;
    if (d->keyframe && len >= 10 && p[3] == 0x9d && p[4] == 0x01 && p[5] == 0x2a) {
        d->width = (uint16_t)((p[7] << 8 | p[6]) & 0x3fff);
        d->height = (uint16_t)((p[9] << 8 | p[8]) & 0x3fff);
    }
}

int vp8_parse(struct vp8_descriptor *d, const uint8_t *payload, size_t len)
{
    struct cursor c;

    memset(d, 0, sizeof *d);
    cursor_init(&c, payload, len);
    uint8_t first = cursor_u8(&c);
    d->non_reference = first & 0x20;
    d->start = first & 0x10;
    d->partition = first & 0x07;
    d->frame_start = d->start && d->partition == 0;
    if (first & 0x80) {
        read_extended(d, &c);
    }
    if (c.bad) {
        return ERR_TRUNCATED;
    }
    d->size = (uint8_t)c.pos;
    if (d->frame_start) {
        read_frame(d, payload + c.pos, cursor_left(&c));
    }
    return OK;
}

int vp8_picture_diff(uint16_t a, uint16_t b, uint8_t bits)
{
    int size = 1 << bits, d = (a - b) & (size - 1);
    return d >= size / 2 ? d - size : d;
}
