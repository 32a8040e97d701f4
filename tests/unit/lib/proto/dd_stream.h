/* Made streams with dependency descriptors, for tests: an encoder's prediction structure is played
 * (L1T3, L3T3, L3T3_KEY, S3T3 and their like as in the AV1 RTP specification, appendix A.10, and
 * W3C's webrtc-svc), templates are gathered from it, and every frame is written as packets with the
 * descriptor, seq, timestamp and marker that a browser would send.
 *
 *     struct dd_stream s;
 *     struct dd_packet p[DD_STREAM_PACKETS];
 *     dd_stream_init(&s, 3, 3, DD_STREAM_FULL, 2);      L3T3, two packets a frame
 *     size_t n = dd_stream_picture(&s, true, p);        a key picture, all spatial layers
 *     n = dd_stream_picture(&s, false, p);              the next one
 *
 * Header only, so that the tests of any folder and the fuzz targets can include it. */
#ifndef SOTTO_TESTS_DD_STREAM_H
#define SOTTO_TESTS_DD_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "lib/proto/dd.h"

#define DD_STREAM_MAX_FRAME_PACKETS 4
#define DD_STREAM_PACKETS           (DD_MAX_SPATIAL * DD_STREAM_MAX_FRAME_PACKETS)
#define DD_STREAM_TICKS             3000 /* RTP ticks a picture: 30 a second */

/* How spatial layers predict from each other. */
enum dd_stream_kind {
    DD_STREAM_FULL, /* L*T*: each from the one below, always */
    DD_STREAM_KEY,  /* L*T*_KEY: in key pictures only */
    DD_STREAM_SIMUL /* S*T*: never */
};

struct dd_packet {
    uint16_t seq;
    uint32_t ts;
    bool marker;   /* last packet of the picture */
    bool keyframe; /* of a key picture (any of its layers) */
    uint8_t sid, tid;
    uint16_t frame_number;
    bool first_in_frame, last_in_frame;
    uint8_t dd[DD_MAX_SIZE]; /* the extension's data */
    uint8_t dd_len;
    uint8_t
        payload[16]; /* AV1: aggregation header (N on a stream's first), then a piece of an OBU */
    uint8_t payload_len;
};

/* A frame before it is written: what a descriptor can say of it. */
struct dd_made {
    uint8_t sid, tid;
    uint8_t n_fdiffs;
    uint16_t fdiff[DD_MAX_FDIFFS];
    uint8_t indication[DD_MAX_TARGETS];
    uint8_t chain_diff[DD_MAX_CHAINS];
};

struct dd_stream {
    enum dd_stream_kind kind;
    unsigned spatial, temporal, packets; /* layers; packets a frame */
    struct dd_structure structure; /* targets: sid * temporal + tid; a chain a spatial layer */
    unsigned active_spatial;       /* layers the encoder makes now; all at first */
    bool say_targets;              /* say the mask in each frame's first packet */
    bool resolutions;              /* put 320x180, 640x360, 1280x720 into the structure */
    /* where the stream is */
    uint16_t frame_number, seq; /* of the next frame and packet; may be set, to start elsewhere */
    uint32_t ts;
    unsigned picture;                               /* since the key picture */
    uint32_t last[DD_MAX_SPATIAL][DD_MAX_TEMPORAL]; /* frame counts: of the last frame of a layer */
    uint32_t chain[DD_MAX_CHAINS];                  /* and of a chain; 0: none since the key */
    uint32_t count;
};

/* ---- writing ---- */

struct dd_bits {
    uint8_t *data;
    size_t pos;
};

static inline void dd_put(struct dd_bits *b, unsigned n, uint32_t v)
{
    for (unsigned i = n; i-- > 0; b->pos++) {
        if (v >> i & 1) {
            b->data[b->pos / 8] |= (uint8_t)(0x80 >> b->pos % 8);
        }
    }
}

/* write_ns() of appendix A.8.2. */
static inline void dd_put_ns(struct dd_bits *b, uint32_t n, uint32_t v)
{
    unsigned w = 0;

    for (uint32_t x = n; x; x >>= 1) {
        w++;
    }
    uint32_t m = (1u << w) - n;
    if (n > 1) {
        dd_put(b, v < m ? w - 1 : w, v < m ? v : v + m);
    }
}

static inline void dd_put_templates(struct dd_bits *b, const struct dd_structure *s)
{
    for (unsigned i = 1; i <= s->n_templates; i++) {
        const struct dd_template *t = &s->templates[i - 1], *next = t + 1;
        unsigned step = i == s->n_templates ? 3 : next->sid > t->sid ? 2 : next->tid > t->tid;
        dd_put(b, 2, step);
    }
    for (unsigned i = 0; i < s->n_templates; i++) {
        for (unsigned k = 0; k < s->n_targets; k++) {
            dd_put(b, 2, s->templates[i].indication[k]);
        }
    }
    for (unsigned i = 0; i < s->n_templates; i++) {
        for (unsigned k = 0; k < s->templates[i].n_fdiffs; k++) {
            dd_put(b, 5, 0x10 | (s->templates[i].fdiff[k] - 1u));
        }
        dd_put(b, 1, 0);
    }
}

static inline void dd_put_structure(struct dd_bits *b, const struct dd_structure *s)
{
    dd_put(b, 6, s->template_id_offset);
    dd_put(b, 5, s->n_targets - 1u);
    dd_put_templates(b, s);
    dd_put_ns(b, s->n_targets + 1u, s->n_chains);
    for (unsigned i = 0; s->n_chains && i < s->n_targets; i++) {
        dd_put_ns(b, s->n_chains, s->target_chain[i]);
    }
    for (unsigned i = 0; i < s->n_templates; i++) {
        for (unsigned k = 0; k < s->n_chains; k++) {
            dd_put(b, 4, s->templates[i].chain_diff[k]);
        }
    }
    dd_put(b, 1, s->has_resolutions);
    for (unsigned i = 0; s->has_resolutions && i < s->n_spatial; i++) {
        dd_put(b, 16, s->width[i] - 1u);
        dd_put(b, 16, s->height[i] - 1u);
    }
}

static inline bool dd_same_fdiffs(const struct dd_template *t, const struct dd_made *f)
{
    bool same = t->n_fdiffs == f->n_fdiffs;

    for (unsigned i = 0; same && i < f->n_fdiffs; i++) {
        same = t->fdiff[i] == f->fdiff[i];
    }
    return same;
}

/* The template of the frame's layer that needs the fewest custom fields. */
static inline unsigned dd_best_template(const struct dd_structure *s, const struct dd_made *f,
                                        bool custom[3])
{
    unsigned best = 0, fewest = 4;

    for (unsigned i = 0; i < s->n_templates; i++) {
        const struct dd_template *t = &s->templates[i];
        bool c[3] = {memcmp(t->indication, f->indication, s->n_targets) != 0, !dd_same_fdiffs(t, f),
                     memcmp(t->chain_diff, f->chain_diff, s->n_chains) != 0};
        unsigned n = (unsigned)c[0] + c[1] + c[2];
        if (t->sid == f->sid && t->tid == f->tid && n < fewest) {
            fewest = n;
            best = i;
            memcpy(custom, c, sizeof c);
        }
    }
    return best;
}

static inline void dd_put_custom(struct dd_bits *b, const struct dd_structure *s,
                                 const struct dd_made *f, const bool custom[3])
{
    for (unsigned i = 0; custom[0] && i < s->n_targets; i++) {
        dd_put(b, 2, f->indication[i]);
    }
    for (unsigned i = 0; custom[1] && i < f->n_fdiffs; i++) {
        unsigned v = f->fdiff[i] - 1u, size = v < 16 ? 1 : v < 256 ? 2 : 3;
        dd_put(b, 2, size);
        dd_put(b, 4 * size, v);
    }
    if (custom[1]) {
        dd_put(b, 2, 0);
    }
    for (unsigned i = 0; custom[2] && i < s->n_chains; i++) {
        dd_put(b, 8, f->chain_diff[i]);
    }
}

/* Writes a whole descriptor; `attach` puts the structure in, `targets` (or NULL) the mask. out
 * holds DD_MAX_SIZE bytes. Returns its bytes. The frame's layer must have a template. */
static inline size_t dd_make(uint8_t *out, const struct dd_structure *s, const struct dd_made *f,
                             uint16_t frame_number, bool first, bool last, bool attach,
                             const uint32_t *targets)
{
    struct dd_bits b = {out, 0};
    bool custom[3] = {false, false, false};
    unsigned index = dd_best_template(s, f, custom);

    memset(out, 0, DD_MAX_SIZE);
    dd_put(&b, 1, first);
    dd_put(&b, 1, last);
    dd_put(&b, 6, (index + s->template_id_offset) % 64);
    dd_put(&b, 16, frame_number);
    if (attach || targets || custom[0] || custom[1] || custom[2]) {
        dd_put(&b, 1, attach);
        dd_put(&b, 1, targets != NULL);
        dd_put(&b, 1, custom[0]);
        dd_put(&b, 1, custom[1]);
        dd_put(&b, 1, custom[2]);
        if (attach) {
            dd_put_structure(&b, s);
        }
        if (targets) {
            dd_put(&b, s->n_targets, *targets);
        }
        dd_put_custom(&b, s, f, custom);
    }
    return (b.pos + 7) / 8;
}

/* ---- an encoder ---- */

/* Temporal layer of a picture: T1 0; T2 0 1; T3 0 2 1 2. */
static inline uint8_t dd_stream_tid(const struct dd_stream *s, unsigned picture)
{
    static const uint8_t pattern[3][4] = {{0, 0, 0, 0}, {0, 1, 0, 1}, {0, 2, 1, 2}};

    return pattern[s->temporal - 1][picture % 4];
}

static inline uint8_t dd_stream_indication(const struct dd_stream *s, uint8_t sid, uint8_t tid,
                                           bool key, unsigned target)
{
    unsigned to_sid = target / s->temporal, to_tid = target % s->temporal;
    bool above = to_sid > sid;

    if (to_sid < sid || to_tid < tid) {
        return DD_NOT_PRESENT;
    }
    if (above && (s->kind == DD_STREAM_SIMUL || (s->kind == DD_STREAM_KEY && !key))) {
        return DD_NOT_PRESENT;
    }
    if (above) {
        return key ? DD_SWITCH : DD_REQUIRED;
    }
    return tid > 0 && to_tid == tid ? DD_DISCARDABLE : DD_SWITCH;
}

static inline bool dd_stream_on_chain(const struct dd_stream *s, uint8_t sid, uint8_t tid, bool key,
                                      unsigned chain)
{
    bool below = s->kind == DD_STREAM_FULL || (s->kind == DD_STREAM_KEY && key);

    return tid == 0 && (sid == chain || (sid < chain && below));
}

/* What the next frame (count + 1) of that layer refers to. */
static inline void dd_stream_refer(const struct dd_stream *s, struct dd_made *f, bool key)
{
    uint32_t own = s->count + 1, from = 0;
    bool lower = f->sid > 0 && (s->kind == DD_STREAM_FULL || (s->kind == DD_STREAM_KEY && key));

    for (unsigned t = 0; !key && (t < f->tid || t == 0); t++) { /* the newest of lower layers */
        from = s->last[f->sid][t] > from ? s->last[f->sid][t] : from;
    }
    if (from) {
        f->fdiff[f->n_fdiffs++] = (uint16_t)(own - from);
    }
    if (lower) {
        f->fdiff[f->n_fdiffs++] = 1;
    }
}

/* Makes the next frame and moves the encoder on. */
static inline void dd_stream_encode(struct dd_stream *s, struct dd_made *f, uint8_t sid,
                                    uint8_t tid, bool key)
{
    *f = (struct dd_made){.sid = sid, .tid = tid};
    dd_stream_refer(s, f, key);
    s->count++;
    for (unsigned i = 0; i < s->spatial * s->temporal; i++) {
        f->indication[i] = dd_stream_indication(s, sid, tid, key, i);
    }
    for (unsigned i = 0; i < s->spatial; i++) {
        f->chain_diff[i] = s->chain[i] ? (uint8_t)(s->count - s->chain[i]) : 0;
        if (dd_stream_on_chain(s, sid, tid, key, i)) {
            s->chain[i] = s->count;
        }
    }
    s->last[sid][tid] = s->count;
}

static inline void dd_stream_key(struct dd_stream *s)
{
    s->picture = 0;
    memset(s->last, 0, sizeof s->last);
    memset(s->chain, 0, sizeof s->chain);
}

/* Takes the frame up as a template, in the order of layers, unless it is one already. A template's
 * chain difference has 4 bits: what is larger needs a custom field in each frame. */
static inline void dd_stream_learn(struct dd_structure *s, const struct dd_made *made)
{
    bool custom[3] = {true, true, true};
    struct dd_made frame = *made, *f = &frame;
    unsigned at = 0;

    for (unsigned i = 0; i < s->n_chains; i++) {
        f->chain_diff[i] = f->chain_diff[i] < 16 ? f->chain_diff[i] : 15;
    }
    dd_best_template(s, f, custom);
    if (!custom[0] && !custom[1] && !custom[2]) {
        return;
    }
    while (at < s->n_templates &&
           s->templates[at].sid * 8 + s->templates[at].tid <= f->sid * 8 + f->tid) {
        at++;
    }
    memmove(&s->templates[at + 1], &s->templates[at],
            (s->n_templates - at) * sizeof s->templates[0]);
    struct dd_template *t = &s->templates[at];
    *t = (struct dd_template){.sid = f->sid, .tid = f->tid, .n_fdiffs = f->n_fdiffs};
    for (unsigned i = 0; i < f->n_fdiffs; i++) {
        t->fdiff[i] = (uint8_t)f->fdiff[i];
    }
    memcpy(t->indication, f->indication, sizeof t->indication);
    memcpy(t->chain_diff, f->chain_diff, sizeof t->chain_diff);
    s->n_templates++;
}

/* The structure: layers, targets, chains, and the templates of a key picture and two rounds of the
 * temporal pattern. */
static inline void dd_stream_plan(struct dd_stream *s)
{
    struct dd_structure *st = &s->structure;
    struct dd_stream trial = *s;
    struct dd_made f;

    st->n_spatial = (uint8_t)s->spatial;
    st->n_temporal = (uint8_t)s->temporal;
    st->n_targets = (uint8_t)(s->spatial * s->temporal);
    st->n_chains = (uint8_t)s->spatial;
    for (unsigned i = 0; i < st->n_targets; i++) {
        st->target_sid[i] = st->target_chain[i] = (uint8_t)(i / s->temporal);
        st->target_tid[i] = (uint8_t)(i % s->temporal);
    }
    for (unsigned p = 0; p < 9; p++) {
        for (uint8_t sid = 0; sid < s->spatial; sid++) {
            dd_stream_encode(&trial, &f, sid, dd_stream_tid(s, p), p == 0);
            dd_stream_learn(st, &f);
        }
    }
}

/* spatial 1..4, temporal 1..3 layers, packets 1..4 a frame. Numbers start a little before they
 * wrap. */
static inline void dd_stream_init(struct dd_stream *s, unsigned spatial, unsigned temporal,
                                  enum dd_stream_kind kind, unsigned packets)
{
    memset(s, 0, sizeof *s);
    s->kind = kind;
    s->spatial = s->active_spatial = spatial;
    s->temporal = temporal;
    s->packets = packets;
    s->frame_number = 65530;
    s->seq = 65500;
    s->ts = 0xfffff000u;
    dd_stream_plan(s);
}

/* 180 lines times two for each spatial layer, 16:9; call after init and before the first picture.
 */
static inline void dd_stream_with_sizes(struct dd_stream *s)
{
    s->structure.has_resolutions = s->resolutions = true;
    for (unsigned i = 0; i < s->spatial; i++) {
        s->structure.width[i] = (uint16_t)(320u << i);
        s->structure.height[i] = (uint16_t)(180u << i);
    }
}

/* ---- packets ---- */

/* An aggregation header of one element (W = 1; N, Z, Y as they must be), then OBU bytes: a frame
 * OBU with its layer in the extension, a key frame's or an inter frame's first bits, and filling.
 */
static inline void dd_stream_payload(const struct dd_stream *s, struct dd_packet *p)
{
    bool new_sequence = p->keyframe && p->first_in_frame && p->sid == 0;

    memset(p->payload, 0xa5, sizeof p->payload);
    p->payload[0] =
        (uint8_t)(!p->first_in_frame << 7 | !p->last_in_frame << 6 | 1 << 4 | new_sequence << 3);
    if (p->first_in_frame) {
        p->payload[1] = 6 << 3 | 4;
        p->payload[2] = (uint8_t)(p->tid << 5 | p->sid << 3);
        p->payload[3] = p->keyframe ? 0x10 : 0x30;
    }
    p->payload_len = (uint8_t)(s->packets > 1 ? sizeof p->payload : 8);
}

static inline uint32_t dd_stream_targets(const struct dd_stream *s)
{
    return (1u << s->active_spatial * s->temporal) - 1;
}

/* The frame's packets; the structure goes with the first packet of a key picture, in the streams
 * without inter-layer prediction with that of each spatial layer. */
static inline size_t dd_stream_packets(struct dd_stream *s, const struct dd_made *f, bool key,
                                       struct dd_packet *out)
{
    bool attach = key && f->n_fdiffs == 0;
    uint32_t mask = dd_stream_targets(s);
    bool say = s->say_targets || (attach && s->active_spatial < s->spatial);

    for (unsigned i = 0; i < s->packets; i++) {
        struct dd_packet *p = &out[i];
        memset(p, 0, sizeof *p);
        p->first_in_frame = i == 0;
        p->last_in_frame = i + 1 == s->packets;
        p->seq = s->seq++;
        p->ts = s->ts;
        p->marker = p->last_in_frame && f->sid + 1u == s->active_spatial;
        p->keyframe = key;
        p->sid = f->sid;
        p->tid = f->tid;
        p->frame_number = s->frame_number;
        p->dd_len =
            (uint8_t)dd_make(p->dd, &s->structure, f, s->frame_number, p->first_in_frame,
                             p->last_in_frame, attach && i == 0, say && i == 0 ? &mask : NULL);
        dd_stream_payload(s, p);
    }
    s->frame_number++;
    return s->packets;
}

/* Makes the next picture, a key picture if so told (the first one must be). Returns its packets, in
 * sending order, at most DD_STREAM_PACKETS. */
static inline size_t dd_stream_picture(struct dd_stream *s, bool key, struct dd_packet *out)
{
    struct dd_made f;
    size_t n = 0;

    if (key) {
        dd_stream_key(s);
    }
    uint8_t tid = dd_stream_tid(s, s->picture);
    for (uint8_t sid = 0; sid < s->active_spatial; sid++) {
        dd_stream_encode(s, &f, sid, tid, key);
        n += dd_stream_packets(s, &f, key, out + n);
    }
    s->picture++;
    s->ts += DD_STREAM_TICKS;
    return n;
}

#endif
