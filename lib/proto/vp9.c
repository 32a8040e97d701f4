#include "lib/proto/vp9.h"

#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"

/* I was set: 7 bits, or 15 when M is. */
static void read_picture_id(struct vp9_descriptor *d, struct cursor *c)
{
    d->picture_off = (uint8_t)c->pos;
    uint8_t first = cursor_u8(c);
    d->picture_bits = first & 0x80 ? 15 : 7;
    d->picture_id = first & 0x7f;
    if (first & 0x80) {
        d->picture_id = (uint16_t)(d->picture_id << 8 | cursor_u8(c));
    }
}

/* L was set: TID U SID D, and TL0PICIDX outside of the flexible mode. */
static void read_layers(struct vp9_descriptor *d, struct cursor *c)
{
    uint8_t b = cursor_u8(c);

    d->tid = b >> 5;
    d->up_switch = b & 0x10;
    d->sid = b >> 1 & 7;
    d->inter_layer = b & 1;
    if (!d->flexible) {
        d->has_tl0 = true;
        d->tl0_off = (uint8_t)c->pos;
        d->tl0picidx = cursor_u8(c);
    }
}

/* F and P were set: P_DIFF with N, one to three of them. */
static int read_diffs(struct vp9_descriptor *d, struct cursor *c)
{
    bool more = true;

    while (more && !c->bad) {
        if (d->n_diffs == VP9_MAX_DIFFS) {
            return ERR_INVALID;
        }
        uint8_t b = cursor_u8(c);
        d->diff[d->n_diffs++] = b >> 1;
        more = b & 1;
    }
    return OK;
}

/* N_G pictures: TID U R, then R differences of a byte each. */
static void read_group(struct vp9_structure *s, struct cursor *c)
{
    s->n_group = cursor_u8(c);
    for (size_t i = 0; i < s->n_group && !c->bad; i++) {
        struct vp9_group_picture *p = &s->group[i];
        uint8_t b = cursor_u8(c);
        p->tid = b >> 5;
        p->up_switch = b & 0x10;
        p->n_diffs = b >> 2 & 3;
        for (size_t k = 0; k < p->n_diffs; k++) {
            p->diff[k] = cursor_u8(c);
        }
    }
}

static void read_structure(struct vp9_structure *s, struct cursor *c)
{
    uint8_t b = cursor_u8(c);

    s->n_spatial = (uint8_t)((b >> 5) + 1);
    s->has_sizes = b & 0x10;
    s->has_group = b & 0x08;
    for (size_t i = 0; s->has_sizes && i < s->n_spatial; i++) {
        s->width[i] = cursor_u16(c);
        s->height[i] = cursor_u16(c);
    }
    if (s->has_group) {
        read_group(s, c);
    }
}

/* The first byte but I: P L F B E V Z. */
static void read_flags(struct vp9_descriptor *d, uint8_t first)
{
    d->inter_picture = first & 0x40;
    d->has_layers = first & 0x20;
    d->flexible = first & 0x10;
    d->start = first & 0x08;
    d->end = first & 0x04;
    d->has_structure = first & 0x02;
    d->not_for_upper = first & 0x01;
}

/* V was set: what the descriptor keeps of the structure. */
static void note_structure(struct vp9_descriptor *d, struct cursor *c)
{
    struct vp9_structure s = {0};

    read_structure(&s, c);
    d->n_spatial = s.n_spatial;
    d->width = s.width[s.n_spatial - 1];
    d->height = s.height[s.n_spatial - 1];
}

static int read_all(struct vp9_descriptor *d, struct cursor *c)
{
    uint8_t first = cursor_u8(c);

    read_flags(d, first);
    if (first & 0x80) {
        read_picture_id(d, c);
    }
    if (d->has_layers) {
        read_layers(d, c);
    }
    int rc = d->flexible && d->inter_picture ? read_diffs(d, c) : OK;
    if (rc != OK) {
        return rc;
    }
    d->size = (uint8_t)c->pos;
    if (d->has_structure) {
        note_structure(d, c);
    }
    d->payload_off = (uint16_t)c->pos;
    return c->bad ? ERR_TRUNCATED : OK;
}

int vp9_parse(struct vp9_descriptor *d, const uint8_t *payload, size_t len)
{
    struct cursor c;

    memset(d, 0, sizeof *d);
    cursor_init(&c, payload, len);
    int rc = read_all(d, &c);
    if (rc != OK) {
        memset(d, 0, sizeof *d);
    }
    return rc;
}

int vp9_structure_read(struct vp9_structure *s, const struct vp9_descriptor *d,
                       const uint8_t *payload, size_t len)
{
    struct cursor c;

    memset(s, 0, sizeof *s);
    if (!d->has_structure) {
        return ERR_NOT_FOUND;
    }
    cursor_init(&c, payload, len);
    cursor_skip(&c, d->size);
    read_structure(s, &c);
    if (c.bad) {
        memset(s, 0, sizeof *s);
        return ERR_TRUNCATED;
    }
    return OK;
}
