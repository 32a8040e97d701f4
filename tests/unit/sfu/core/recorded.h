/* What a real Chromium sent (tests/data/rtp, README.md there), read from pcap, with what its
 * dependency descriptors say of every frame: the truth that a selection is judged by, whatever the
 * router is shown of the packets. Of VP8 without them it is what its temporal layers may refer to
 * at most (RFC 7741 section 4.2, TID and Y). */
#ifndef SOTTO_TEST_RECORDED_H
#define SOTTO_TEST_RECORDED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/proto/codec.h"
#include "lib/proto/dd.h"
#include "lib/proto/rtp.h"

#define RECORDED_PACKETS 3000
#define RECORDED_STREAMS 3
#define RECORDED_BYTES   400 /* kept of a packet, at most */
#define RECORDED_DD      13  /* ids of header extensions in all recordings */
#define RECORDED_VLA     14
#define RECORDED_TURN    3

struct recorded_packet {
    int64_t at_us; /* since the first */
    uint16_t len;  /* as it was */
    uint16_t kept; /* bytes of it that are in the file */
    uint8_t stream;
    bool first, last, keyframe; /* of its frame; keyframe: needs none before it */
    uint8_t sid, tid;
    uint32_t ts;
    int64_t frame; /* number of its frame, along its stream */
    uint8_t n_refs;
    int64_t ref[DD_MAX_FDIFFS]; /* numbers of frames that it needs */
    uint8_t data[RECORDED_BYTES];
};

struct recorded_vp8 {
    bool began;
    uint8_t n_refs;
    int64_t frame, newest[3], ref[3]; /* newest: of each temporal layer */
};

struct recorded {
    uint8_t n_streams, n_spatial, n_temporal;
    uint32_t ssrc[RECORDED_STREAMS];
    struct dd_state dd[RECORDED_STREAMS];
    struct recorded_vp8 vp8[RECORDED_STREAMS];
    int n;
    struct recorded_packet packet[RECORDED_PACKETS];
};

static inline uint32_t recorded_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint8_t recorded_stream(struct recorded *r, uint32_t ssrc)
{
    uint8_t i = 0;
    while (i < r->n_streams && r->ssrc[i] != ssrc) {
        i++;
    }
    if (i == r->n_streams) {
        assert_true(i < RECORDED_STREAMS);
        r->ssrc[r->n_streams++] = ssrc;
    }
    return i;
}

/* By VP8's payload descriptor, which tells its frame with each packet. False: a frame before the
 * first keyframe. */
static inline bool recorded_vp8(struct recorded_packet *p, struct recorded_vp8 *v,
                                const struct rtp_header *h)
{
    struct codec_info i;
    size_t len = (size_t)(p->kept - h->payload_off);
    assert_int_equal(codec_parse(&i, CODEC_VP8, p->data + h->payload_off, len), 0);
    assert_true(i.tid < 3);
    p->first = i.frame_start;
    p->last = h->marker;
    if (p->first) {
        v->frame++;
        v->began |= i.keyframe;
        v->n_refs = 0;
        for (int t = 0; !i.keyframe && t <= (i.up_switch ? 0 : i.tid); t++) {
            v->ref[v->n_refs++] = v->newest[t];
        }
        for (int t = 0; t < 3; t++) {
            v->newest[t] = i.keyframe || t == i.tid ? v->frame : v->newest[t];
        }
    }
    p->tid = i.tid;
    p->frame = v->frame;
    p->n_refs = v->n_refs;
    memcpy(p->ref, v->ref, sizeof v->ref);
    return v->began;
}

/* By the descriptor. False: a frame before the first keyframe, of which nothing is known. */
static inline bool recorded_dd(struct recorded_packet *p, struct dd_state *state, const uint8_t *dd,
                               size_t len)
{
    struct dd_frame f;
    if (dd_parse(state, &f, dd, len) != 0) {
        assert_false(state->known);
        return false;
    }
    p->first = f.first_in_frame;
    p->last = f.last_in_frame;
    p->sid = f.sid;
    p->tid = f.tid;
    p->frame = f.frame_id;
    p->n_refs = f.n_fdiffs;
    for (uint8_t i = 0; i < f.n_fdiffs; i++) {
        p->ref[i] = f.frame_id - f.fdiff[i];
    }
    return true;
}

static inline bool recorded_describe(struct recorded *r, struct recorded_packet *p,
                                     const struct rtp_header *h)
{
    size_t len;
    const uint8_t *dd = rtp_ext_find(h, p->data, RECORDED_DD, &len);
    p->stream = recorded_stream(r, h->ssrc);
    p->ts = h->ts;
    if (dd ? !recorded_dd(p, &r->dd[p->stream], dd, len)
           : !recorded_vp8(p, &r->vp8[p->stream], h)) {
        return false;
    }
    p->keyframe = p->n_refs == 0;
    r->n_spatial = p->sid >= r->n_spatial ? (uint8_t)(p->sid + 1) : r->n_spatial;
    r->n_temporal = p->tid >= r->n_temporal ? (uint8_t)(p->tid + 1) : r->n_temporal;
    return true;
}

/* One record of the file: pcap's own header, IPv4, UDP, RTP. */
static inline void recorded_take(struct recorded *r, const uint8_t *at, size_t caught,
                                 int64_t *first_us)
{
    enum { IN_FRONT = 28 };
    struct rtp_header h;
    struct recorded_packet *p = &r->packet[r->n];
    int64_t us = (int64_t)recorded_u32(at) * 1000000 + recorded_u32(at + 4);
    *first_us = *first_us ? *first_us : us;
    assert_true(r->n < RECORDED_PACKETS && caught - IN_FRONT <= RECORDED_BYTES);
    memset(p, 0, sizeof *p);
    p->at_us = us - *first_us;
    p->len = (uint16_t)(recorded_u32(at + 12) - IN_FRONT);
    p->kept = (uint16_t)(caught - IN_FRONT);
    memcpy(p->data, at + 16 + IN_FRONT, p->kept);
    assert_int_equal(rtp_parse(&h, p->data, p->kept), 0);
    if (recorded_describe(r, p, &h)) {
        r->n++;
    }
}

/* tests/data/rtp/<name>.pcap; the working directory is the repository's. */
static inline void recorded_read(struct recorded *r, const char *name)
{
    static uint8_t file[400000];
    char path[200];
    int64_t first_us = 0;

    memset(r, 0, sizeof *r);
    snprintf(path, sizeof path, "tests/data/rtp/%s.pcap", name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t len = fread(file, 1, sizeof file, f);
    fclose(f);
    assert_true(len > 24 && len < sizeof file);
    for (size_t at = 24; at < len;) {
        assert_true(at + 16 <= len);
        size_t caught = recorded_u32(file + at + 8);
        assert_true(caught > 40 && caught <= len - at - 16);
        recorded_take(r, file + at, caught, &first_us);
        at += 16 + caught;
    }
    assert_true(r->n > 1000);
}

/* The packet as it came, or of another payload: its descriptor's extension is there or not by the
 * ids that are agreed, not by the bytes. Returns its length. */
static inline size_t recorded_bytes(const struct recorded_packet *p, bool blind, uint8_t *out)
{
    struct rtp_header h;
    assert_int_equal(rtp_parse(&h, p->data, p->kept), 0);
    memcpy(out, p->data, p->kept);
    memset(out + p->kept, 0, (size_t)(p->len - p->kept));
    for (size_t i = h.payload_off; blind && i < p->len; i++) {
        out[i] = (uint8_t)(rand() >> 7); /* cipher text, all of it */
    }
    return p->len;
}

#endif
