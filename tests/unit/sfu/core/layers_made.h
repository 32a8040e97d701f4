/* Made video: what an encoder with simulcast, SVC or temporal layers sends, with the references of
 * every frame written down, so that a test can tell what a receiver could decode. */
#ifndef SOTTO_TESTS_LAYERS_MADE_H
#define SOTTO_TESTS_LAYERS_MADE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "sfu/core/layers.h"

#define MADE_FRAMES  40000
#define MADE_TICKS   3000 /* 30 pictures a second */
#define MADE_TICK_US 33333

enum made_mode {
    MADE_VP8,      /* 3 streams × 3 temporal layers */
    MADE_H264,     /* 3 streams */
    MADE_VP9,      /* one stream, 3 × 3, groups of pictures */
    MADE_VP9_FLEX, /* the same; the top layer comes and goes, and begins without a keyframe */
    MADE_AV1_L1T3, /* 3 streams × 3 temporal layers, by the descriptor alone */
    MADE_AV1_L3T3, /* one stream; the top layer comes and goes */
    MADE_AV1_KSVC, /* L3T3_KEY: no prediction between spatial layers but at keyframes */
};
#define MADE_MODES (MADE_AV1_KSVC + 1)

struct made_frame {
    uint8_t stream, sid, tid;
    bool key, inter_picture, inter_layer, up_switch, top; /* top: last of its picture */
    int refs[4], n_refs;                                  /* numbers of frames */
    uint32_t ts, n_packets;
    int64_t first_seq, capture_us, frame_id;
    uint16_t picture_id;
    uint8_t tl0;
    uint32_t active_targets;
    uint8_t indication[9];
    /* What became of it. */
    uint32_t arrived, sent; /* packets, a bit each */
    int stay;               /* in which it was forwarded */
};

struct made_stream {
    uint32_t ts_base;
    int64_t next_seq, next_frame_id;
    uint16_t picture_id;
    uint8_t tl0;
    unsigned phase;
    bool key_due, off, top_off, began;
    int64_t key_at_us; /* not before */
    int last[3][3];    /* frame that spatial and temporal layer were last made of */
};

struct made {
    enum made_mode mode;
    uint32_t rng;
    uint8_t n_streams, n_sids;
    int n_frames;
    int64_t now_us;
    struct made_stream stream[LAYERS_STREAMS];
    struct dd_structure structure;
    struct made_frame frame[MADE_FRAMES];
};

static inline uint32_t made_random(struct made *m, uint32_t below)
{
    m->rng = m->rng * 1664525 + 1013904223;
    return (m->rng >> 8) % below;
}

static inline bool made_is_av1(const struct made *m)
{
    return m->mode >= MADE_AV1_L1T3;
}

static inline enum codec made_codec(const struct made *m)
{
    static const enum codec of[MADE_MODES] = {CODEC_VP8, CODEC_H264, CODEC_VP9, CODEC_VP9,
                                              CODEC_AV1, CODEC_AV1,  CODEC_AV1};
    return of[m->mode];
}

static inline void made_init(struct made *m, enum made_mode mode, uint32_t seed)
{
    memset(m, 0, sizeof *m);
    m->mode = mode;
    m->rng = seed;
    bool simulcast = mode == MADE_VP8 || mode == MADE_H264 || mode == MADE_AV1_L1T3;
    m->n_streams = simulcast ? 3 : 1;
    m->n_sids = simulcast ? 1 : 3;
    m->structure.n_targets = (uint8_t)(m->n_sids * 3);
    m->structure.n_spatial = m->n_sids;
    m->structure.n_temporal = 3;
    for (uint8_t t = 0; t < m->structure.n_targets; t++) {
        m->structure.target_sid[t] = t / 3;
        m->structure.target_tid[t] = t % 3;
    }
    for (int i = 0; i < LAYERS_STREAMS; i++) {
        struct made_stream *s = &m->stream[i];
        s->ts_base = made_random(m, 1u << 24) << 8;
        s->next_seq = 65536 + made_random(m, 65536);
        s->next_frame_id = 65536 + made_random(m, 65536);
        s->picture_id = (uint16_t)made_random(m, 32768);
        s->tl0 = (uint8_t)made_random(m, 256);
        s->key_due = true;
    }
}

/* A request reached the encoder, which answers with its next picture. */
static inline void made_ask_key(struct made *m, int stream, int64_t at_us)
{
    struct made_stream *s = &m->stream[stream];
    if (!s->key_due) {
        s->key_due = true;
        s->key_at_us = at_us;
    }
}

static inline void made_ref(struct made_frame *f, int ref)
{
    f->refs[f->n_refs++] = ref;
}

/* References of a frame that isn't of a keyframe picture: T0 T2 T1 T2, every other round without
 * references to a former round's upper layers (always so for AV1). */
static inline void made_refs(const struct made *m, const struct made_stream *s,
                             struct made_frame *f)
{
    const int *last = s->last[f->sid];
    bool sync = made_is_av1(m) || s->phase % 8 < 4, second = s->phase % 4 == 3;

    f->inter_picture = true;
    made_ref(f, f->tid == 0 ? last[0] : second ? last[1] : last[0]);
    if (f->tid > 0 && !sync) {
        made_ref(f, last[f->tid]);
    }
    /* Y of VP8: of the base layer only; U of VP9 as libwebrtc sets it: of lower layers only. */
    f->up_switch = f->tid > 0 && sync && (m->mode != MADE_VP8 || !second);
}

static inline void made_indications(const struct made *m, struct made_frame *f)
{
    for (int t = 0; t < m->structure.n_targets; t++) {
        uint8_t sid = m->structure.target_sid[t], tid = m->structure.target_tid[t];
        bool within = f->sid <= sid && f->tid <= tid;
        bool lower = f->sid < sid;
        if (!within || (lower && m->mode == MADE_AV1_KSVC && !f->key)) {
            f->indication[t] = DD_NOT_PRESENT;
        } else if (f->key || !f->inter_picture) {
            f->indication[t] = DD_SWITCH;
        } else if (lower) {
            f->indication[t] = DD_REQUIRED;
        } else if (f->tid == 0 || (f->tid == 1 && tid == 2)) {
            f->indication[t] = DD_SWITCH;
        } else {
            f->indication[t] = DD_DISCARDABLE;
        }
    }
}

static inline void made_frame_of(struct made *m, uint8_t stream, uint8_t sid, bool key,
                                 bool resumes, bool top)
{
    static const uint8_t tids[4] = {0, 2, 1, 2};
    struct made_stream *s = &m->stream[stream];
    int number = m->n_frames++;
    struct made_frame *f = &m->frame[number];

    *f = (struct made_frame){.stream = stream, .sid = sid, .key = key, .top = top, .stay = -1};
    f->tid = key || m->mode == MADE_H264 ? 0 : tids[s->phase % 4];
    if (!key && !resumes) {
        made_refs(m, s, f);
    }
    if (sid > 0 && (key || resumes || m->mode != MADE_AV1_KSVC)) {
        f->inter_layer = true;
        made_ref(f, number - 1);
    }
    f->capture_us = m->now_us;
    f->ts = s->ts_base + (uint32_t)(m->now_us * 9 / 100);
    f->n_packets = key ? 3 + made_random(m, 4) : 1 + made_random(m, 3);
    f->first_seq = s->next_seq;
    s->next_seq += f->n_packets;
    f->frame_id = s->next_frame_id++;
    f->picture_id = s->picture_id;
    f->tl0 = s->tl0;
    f->active_targets = s->top_off ? 0x3f : 0x1ff;
    if (m->n_sids == 1) {
        f->active_targets = 7;
    }
    made_indications(m, f);
    s->last[sid][f->tid] = number;
    if (key || resumes) {
        s->last[sid][0] = s->last[sid][1] = s->last[sid][2] = number;
    }
}

/* The next picture of a stream: frames from *first on; returns how many, 0 while it is off. */
static inline int made_picture(struct made *m, uint8_t stream, int *first)
{
    struct made_stream *s = &m->stream[stream];
    *first = m->n_frames;
    if (s->off || m->n_frames + 3 > MADE_FRAMES) {
        return 0;
    }
    bool key = s->key_due && m->now_us >= s->key_at_us, resumes = false;
    s->phase = key ? 0 : s->phase + 1;
    bool may_change = m->mode == MADE_VP9_FLEX || m->mode == MADE_AV1_L3T3;
    if (may_change && !key && s->phase % 4 == 0 && made_random(m, 12) == 0) {
        s->top_off = !s->top_off;
        resumes = !s->top_off;
    }
    s->key_due = s->key_due && !key;
    s->picture_id = (s->picture_id + 1) & 0x7fff;
    s->tl0 += s->phase % 4 == 0 || m->mode == MADE_H264;
    uint8_t n = m->n_sids - (s->top_off ? 1 : 0);
    for (uint8_t sid = 0; sid < n; sid++) {
        made_frame_of(m, stream, sid, key, resumes && sid == 2, sid + 1 == n);
    }
    return n;
}

/* What the selector is told of one packet. */
static inline void made_packet(const struct made *m, const struct made_frame *f, uint32_t n,
                               struct codec_info *info, struct dd_frame *dd,
                               struct layers_packet *p)
{
    bool vp9 = made_codec(m) == CODEC_VP9, vp8 = m->mode == MADE_VP8, start = n == 0;
    bool end = n + 1 == f->n_packets;

    *p = (struct layers_packet){.stream = f->stream,
                                .marker = end && f->top,
                                .codec = made_codec(m),
                                .ts = f->ts,
                                .ext_seq = f->first_seq + n};
    if (made_is_av1(m)) {
        *dd = (struct dd_frame){.first_in_frame = start,
                                .last_in_frame = end,
                                .frame_number = (uint16_t)f->frame_id,
                                .frame_id = f->frame_id,
                                .sid = f->sid,
                                .tid = f->tid,
                                .structure_attached = f->key && f->sid == 0 && start,
                                .keyframe = f->key && f->sid == 0 && start,
                                .n_fdiffs = (uint8_t)f->n_refs,
                                .n_targets = m->structure.n_targets,
                                .active_targets = f->active_targets};
        for (int i = 0; i < f->n_refs; i++) {
            dd->fdiff[i] = (uint16_t)(f->frame_id - m->frame[f->refs[i]].frame_id);
        }
        memcpy(dd->indication, f->indication, sizeof f->indication);
        p->dd = dd;
        p->structure = &m->structure;
        return; /* the payload is cipher text */
    }
    *info = (struct codec_info){.keyframe = f->key && f->sid == 0 && (start || vp9),
                                .frame_start = start,
                                .frame_end = vp9 && end,
                                .picture_start = start && f->sid == 0,
                                .up_switch = f->up_switch,
                                .inter_picture = vp9 && f->inter_picture,
                                .inter_layer = f->inter_layer,
                                .sid = f->sid,
                                .tid = f->tid};
    if (vp8 || vp9) {
        info->picture_bits = 15;
        info->picture_id = f->picture_id;
        info->has_tl0 = true;
        info->tl0picidx = f->tl0;
    }
    p->info = info;
}

#endif
