/* Dependency descriptors on their way out: what a forwarder may change of them. */
#include <string.h>

#include "lib/base/err.h"
#include "lib/proto/bits.h"
#include "lib/proto/dd.h"

#define FLAGS_BIT   24 /* template_dependency_structure_present_flag .. custom_chains_flag */
#define TARGETS_BIT 25 /* active_decode_targets_present_flag */
#define OFFSET_BIT  29 /* template_id_offset, the first field of an attached structure */

/* Writes the n low bits of v at bit pos; the bytes are the caller's to have. */
static void put_bits(uint8_t *out, size_t pos, unsigned n, uint32_t v)
{
    while (n) {
        unsigned room = 8 - pos % 8, take = n < room ? n : room, shift = room - take;
        unsigned mask = ((1u << take) - 1) << shift, part = v >> (n - take) << shift;
        out[pos / 8] = (uint8_t)((out[pos / 8] & ~mask) | (part & mask));
        pos += take;
        n -= take;
    }
}

/* Copies n bits from `from` on. */
static void copy_bits(uint8_t *out, size_t pos, struct bits *from, size_t n)
{
    while (n) {
        unsigned take = n < 32 ? (unsigned)n : 32;
        put_bits(out, pos, take, bits_read(from, take));
        pos += take;
        n -= take;
    }
}

/* Bits of the descriptor as it will be. */
static size_t size_after(const struct dd_frame *f, const struct dd_rewrite *how)
{
    if (!how->set_targets || f->targets_present) {
        return f->bits;
    }
    return (f->bits > f->targets_bit ? f->bits : f->targets_bit) + (size_t)f->n_targets;
}

/* The mask goes in, in place of the old one or between what stands there. */
static void splice_targets(const struct dd_frame *f, uint32_t targets, const uint8_t *data,
                           size_t len, uint8_t *out)
{
    struct bits from;
    size_t head = f->bits < f->targets_bit ? f->bits : f->targets_bit;
    size_t skip = head + (f->targets_present ? f->n_targets : 0);

    bits_init(&from, data, len);
    copy_bits(out, 0, &from, head);
    put_bits(out, TARGETS_BIT, 1, 1);
    put_bits(out, f->targets_bit, f->n_targets, targets);
    bits_skip(&from, skip - head);
    copy_bits(out, f->targets_bit + (size_t)f->n_targets, &from, f->bits - skip);
}

/* The fields of fixed place: frame_number, and the template's id with the structure's offset. */
static void shift_numbers(const struct dd_frame *f, const struct dd_rewrite *how, uint8_t *out)
{
    uint16_t number = (uint16_t)(f->frame_number + how->add_frame);
    struct bits offset;

    out[0] = (uint8_t)((out[0] & 0xc0) | ((out[0] + how->add_template) & 0x3f));
    out[1] = (uint8_t)(number >> 8);
    out[2] = (uint8_t)number;
    if (f->structure_attached) {
        bits_init(&offset, out, OFFSET_BIT / 8 + 2);
        bits_skip(&offset, OFFSET_BIT);
        put_bits(out, OFFSET_BIT, 6, (bits_read(&offset, 6) + how->add_template) & 0x3f);
    }
}

int dd_write(const struct dd_frame *frame, const struct dd_rewrite *how, const uint8_t *data,
             size_t len, uint8_t *out, size_t cap)
{
    size_t size = (size_after(frame, how) + 7) / 8;

    if (frame->bits < FLAGS_BIT || frame->bits > len * 8 || frame->n_targets == 0) {
        return ERR_INVALID;
    }
    if (size > cap || size > DD_MAX_SIZE) {
        return ERR_TOO_LARGE;
    }
    if (how->set_targets) {
        memset(out, 0, size);
        splice_targets(frame, how->targets, data, len, out);
    } else {
        memcpy(out, data, size);
    }
    shift_numbers(frame, how, out);
    return (int)size;
}
