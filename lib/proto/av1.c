#include "lib/proto/av1.h"

#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/proto/bits.h"

#define MAX_LEB128  5 /* bytes that a length of 32 bits takes */
#define MAX_PROFILE 2
#define MAX_REST    16 /* bytes of a sequence header behind the picture's size; at most about 10 */

/* leb128() of section 4.10.5, without zeros beyond 32 bits. False: cut off, or too large. */
static bool read_leb128(struct cursor *c, size_t *out)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < MAX_LEB128; i++) {
        uint8_t b = cursor_u8(c);
        v |= (uint64_t)(b & 0x7f) << 7 * i;
        if (!(b & 0x80)) {
            *out = (size_t)v;
            return !c->bad && v <= UINT32_MAX;
        }
    }
    return false;
}

/* uvlc() of section 4.10.3. */
static void skip_uvlc(struct bits *b)
{
    unsigned zeros = 0;

    while (!b->bad && !bits_flag(b)) {
        zeros++;
    }
    if (zeros < 32) {
        bits_skip(b, zeros);
    }
}

/* timing_info() and decoder_model_info(). Returns the bits of a buffer delay; 0: no model. */
static unsigned read_timing(struct bits *b)
{
    if (!bits_flag(b)) { /* timing_info_present_flag */
        return 0;
    }
    bits_skip(b, 64); /* num_units_in_display_tick, time_scale */
    if (bits_flag(b)) {
        skip_uvlc(b); /* num_ticks_per_picture_minus_1 */
    }
    if (!bits_flag(b)) { /* decoder_model_info_present_flag */
        return 0;
    }
    unsigned delay_bits = bits_read(b, 5) + 1;
    bits_skip(b, 32 + 5 + 5);
    return delay_bits;
}

static void skip_operating_points(struct bits *b)
{
    unsigned delay_bits = read_timing(b);
    bool display_delay = bits_flag(b);

    for (unsigned n = bits_read(b, 5) + 1; n && !b->bad; n--) {
        bits_skip(b, 12);          /* operating_point_idc */
        if (bits_read(b, 5) > 7) { /* seq_level_idx */
            bits_skip(b, 1);       /* seq_tier */
        }
        if (delay_bits && bits_flag(b)) {
            bits_skip(b, 2 * (size_t)delay_bits + 1);
        }
        if (display_delay && bits_flag(b)) {
            bits_skip(b, 4);
        }
    }
}

static uint16_t size_of(uint32_t minus_one)
{
    return minus_one < UINT16_MAX ? (uint16_t)(minus_one + 1) : UINT16_MAX;
}

/* sequence_header_obu() up to max_frame_height_minus_1 (section 5.5.1). */
static bool read_sequence(struct av1_packet *p, const uint8_t *data, size_t len)
{
    struct bits b;

    bits_init(&b, data, len);
    uint32_t profile = bits_read(&b, 3);
    bool still = bits_flag(&b), reduced = bits_flag(&b);
    if (reduced) {
        bits_skip(&b, 5); /* seq_level_idx */
    } else {
        skip_operating_points(&b);
    }
    unsigned wide = bits_read(&b, 4) + 1, high = bits_read(&b, 4) + 1;
    uint32_t width = bits_read(&b, wide), height = bits_read(&b, high);
    if (b.bad || profile > MAX_PROFILE || (reduced && !still) || len - b.pos / 8 > MAX_REST) {
        return false;
    }
    p->width = size_of(width);
    p->height = size_of(height);
    return true;
}

/* obu_header() of section 5.3.2: forbidden bit, type, extension flag, size flag, reserved bit.
 * Leaves the cursor at the OBU's payload. False: cipher text, or a size that isn't the element's
 * (which may be larger only when the element goes on in the next packet; nothing depends on that
 * here). */
static bool read_obu_header(struct av1_packet *p, struct cursor *c, unsigned *type)
{
    uint8_t header = cursor_u8(c), ext = header & 0x04 ? cursor_u8(c) : 0;
    size_t size = SIZE_MAX;

    if ((header & 0x81) || ((header & 0x02) && !read_leb128(c, &size)) || c->bad ||
        size < cursor_left(c)) {
        return false;
    }
    if (header & 0x04) {
        p->has_layer = true;
        p->tid = ext >> 5;
        p->sid = ext >> 3 & 3;
    }
    *type = header >> 3;
    return true;
}

/* An OBU whose header is in this packet. */
static void read_obu(struct av1_packet *p, const uint8_t *data, size_t len)
{
    struct cursor c;
    unsigned type;

    cursor_init(&c, data, len);
    if (!read_obu_header(p, &c, &type)) {
        return;
    }
    const uint8_t *body = data + c.pos;
    size_t size = cursor_left(&c);
    if (type == AV1_OBU_SEQUENCE && !p->sequence) {
        p->sequence = read_sequence(p, body, size);
        p->keyframe |= p->sequence;
    } else if ((type == AV1_OBU_FRAME || type == AV1_OBU_FRAME_HEADER) && size) {
        /* show_existing_frame, then frame_type: 0 is KEY_FRAME (section 5.9.2) */
        p->keyframe &= p->new_sequence || (body[0] & 0xe0) == 0;
    }
}

static bool can_begin(uint8_t header)
{
    unsigned type = header >> 3 & 0xf;

    return !(header & 0x81) &&
           (type == AV1_OBU_FRAME ||
            (type >= AV1_OBU_SEQUENCE && type <= AV1_OBU_METADATA && type != AV1_OBU_TILE_GROUP));
}

static void note_element(struct av1_packet *p, const uint8_t *data, size_t len)
{
    if (p->n_elements == 0) {
        p->frame_start = !p->continues && can_begin(data[0]);
    }
    if (p->n_elements || !p->continues) {
        read_obu(p, data, len);
    }
    p->n_elements++;
}

/* Section 4.4: with W, the last of W elements has no length of its own. */
static int read_elements(struct av1_packet *p, struct cursor *c, unsigned w)
{
    do {
        size_t size = cursor_left(c);
        bool last = w && p->n_elements + 1u == w;
        if (!last && !read_leb128(c, &size)) {
            return c->bad ? ERR_TRUNCATED : ERR_INVALID;
        }
        const uint8_t *data = cursor_bytes(c, size);
        if (!data) {
            return ERR_TRUNCATED;
        }
        if (size == 0) {
            return last ? ERR_TRUNCATED : ERR_INVALID;
        }
        note_element(p, data, size);
    } while (w ? p->n_elements < w : cursor_left(c) > 0);
    return OK;
}

static int read_payload(struct av1_packet *p, const uint8_t *payload, size_t len)
{
    struct cursor c;

    cursor_init(&c, payload, len);
    uint8_t header = cursor_u8(&c);
    p->continues = header & 0x80;
    p->continued = header & 0x40;
    p->new_sequence = p->keyframe = header & 0x08;
    if (p->new_sequence && p->continues) {
        return ERR_INVALID;
    }
    return cursor_left(&c) ? read_elements(p, &c, header >> 4 & 3) : ERR_TRUNCATED;
}

int av1_parse(struct av1_packet *p, const uint8_t *payload, size_t len)
{
    memset(p, 0, sizeof *p);
    int rc = read_payload(p, payload, len);
    if (rc != OK) {
        memset(p, 0, sizeof *p);
    }
    return rc;
}
