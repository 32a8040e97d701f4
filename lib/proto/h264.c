#include "lib/proto/h264.h"

#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"

static bool is_slice(unsigned type)
{
    return type >= H264_NAL_SLICE && type <= H264_NAL_IDR;
}

/* Section 7.4.1.2.3: what may be the first NAL unit of an access unit. Of slices it is the one
 * whose first_mb_in_slice is 0: ue(v) of 0 is a single 1 bit, the first of the slice header. */
static bool can_begin(unsigned type, const uint8_t *body, size_t len)
{
    if (type == H264_NAL_SLICE || type == H264_NAL_IDR || type == 2) {
        return len > 0 && (body[0] & 0x80);
    }
    return (type >= H264_NAL_SEI && type <= H264_NAL_AUD) || type == H264_NAL_PREFIX;
}

/* What is gathered over the units of a packet. */
struct tally {
    bool slices, referenced;
};

/* One NAL unit, or the first piece of one: its header byte's fields and the bytes behind it. */
static void note_nal(struct h264_packet *p, struct tally *t, uint8_t header, const uint8_t *body,
                     size_t len)
{
    unsigned type = header & 0x1f;

    if (p->n_nals == 0) {
        p->frame_start = can_begin(type, body, len);
    }
    p->n_nals += p->n_nals < UINT8_MAX;
    p->idr |= type == H264_NAL_IDR;
    t->slices |= is_slice(type);
    t->referenced |= (header & 0x60) != 0;
}

static void note_sps(struct h264_packet *p, const uint8_t *nal, size_t len)
{
    p->sps = true;
    if (h264_sps_size(nal, len, &p->width, &p->height) != OK) {
        p->width = p->height = 0;
    }
}

/* A NAL unit that is here as a whole. */
static int read_unit(struct h264_packet *p, struct tally *t, const uint8_t *nal, size_t len)
{
    unsigned type = nal[0] & 0x1f;

    if (type == 0 || type >= H264_NAL_STAP_A) {
        return ERR_INVALID;
    }
    note_nal(p, t, nal[0], nal + 1, len - 1);
    if (type == H264_NAL_SPS) {
        note_sps(p, nal, len);
    }
    return OK;
}

/* Section 5.7.1: units with 16 bits of size each. */
static int read_stap_a(struct h264_packet *p, struct tally *t, const uint8_t *payload, size_t len)
{
    struct cursor c;

    cursor_init(&c, payload + 1, len - 1);
    do {
        size_t size = cursor_u16(&c);
        const uint8_t *nal = cursor_bytes(&c, size);
        if (c.bad) {
            return ERR_TRUNCATED;
        }
        int rc = size ? read_unit(p, t, nal, size) : ERR_INVALID;
        if (rc != OK) {
            return rc;
        }
    } while (cursor_left(&c));
    return OK;
}

/* Section 5.8: NRI of the indicator, type and S of the FU header. */
static int read_fu_a(struct h264_packet *p, struct tally *t, const uint8_t *payload, size_t len)
{
    if (len < 2) {
        return ERR_TRUNCATED;
    }
    uint8_t type = payload[1] & 0x1f;
    if (type == 0 || type >= H264_NAL_STAP_A) {
        return ERR_INVALID;
    }
    note_nal(p, t, (uint8_t)((payload[0] & 0x60) | type), payload + 2, len - 2);
    if (!(payload[1] & 0x80)) {
        p->frame_start = false;
    }
    return OK;
}

static int read_payload(struct h264_packet *p, struct tally *t, const uint8_t *payload, size_t len)
{
    if (len == 0) {
        return ERR_TRUNCATED;
    }
    switch (payload[0] & 0x1f) {
    case H264_NAL_STAP_A:
        return read_stap_a(p, t, payload, len);
    case H264_NAL_FU_A:
        return read_fu_a(p, t, payload, len);
    default:
        return read_unit(p, t, payload, len);
    }
}

int h264_parse(struct h264_packet *p, const uint8_t *payload, size_t len)
{
    struct tally t = {0};

    memset(p, 0, sizeof *p);
    int rc = read_payload(p, &t, payload, len);
    if (rc != OK) {
        memset(p, 0, sizeof *p);
        return rc;
    }
    p->not_referenced = t.slices && !t.referenced;
    return OK;
}
