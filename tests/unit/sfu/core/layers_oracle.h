/* What must be true of everything that a slot sent (layers_sim.h), looked at from its end. */
#ifndef SOTTO_TESTS_LAYERS_ORACLE_H
#define SOTTO_TESTS_LAYERS_ORACLE_H

#include "layers_sim.h"

static inline const struct made_frame *oracle_frame(const struct sim *s, const struct sim_out *o)
{
    return &s->m.frame[o->frame];
}

static inline int oracle_by_number(const void *a, const void *b)
{
    const struct sim_out *x = a, *y = b;
    return x->out < y->out ? -1 : x->out > y->out;
}

/* All that a forwarded frame refers to was forwarded too, in the same stay on the stream; but for
 * what never came. */
static inline void oracle_decodable(const struct sim *s)
{
    for (int i = 0; i < s->m.n_frames; i++) {
        const struct made_frame *f = &s->m.frame[i];
        for (int k = 0; f->sent && k < f->n_refs; k++) {
            const struct made_frame *ref = &s->m.frame[f->refs[k]];
            if (!ref->arrived) {
                continue;
            }
            if (!ref->sent || ref->stay != f->stay) {
                fail_msg("frame %d (stream %d sid %d tid %d stay %d) without frame %d (sid %d tid "
                         "%d stay %d)",
                         i, f->stream, f->sid, f->tid, f->stay, f->refs[k], ref->sid, ref->tid,
                         ref->stay);
            }
        }
    }
}

/* A frame is forwarded with all its packets that came, but for the last of a stay. */
static inline void oracle_whole(const struct sim *s)
{
    static int64_t last[SIM_STAYS];
    memset(last, 0, sizeof last);
    for (int i = 0; i < s->n_out; i++) {
        const struct made_frame *f = oracle_frame(s, &s->out[i]);
        assert_true(f->stay < SIM_STAYS);
        last[f->stay] = f->frame_id > last[f->stay] ? f->frame_id : last[f->stay];
    }
    for (int i = 0; i < s->m.n_frames; i++) {
        const struct made_frame *f = &s->m.frame[i];
        bool at_end = f->stay >= 0 && f->frame_id + 4 > last[f->stay];
        if (f->sent && f->sent != f->arrived && !at_end) {
            fail_msg("frame %d (sid %d tid %d): %x of %x", i, f->sid, f->tid, f->sent, f->arrived);
        }
    }
}

/* In the order of their numbers. */
static inline void oracle_numbers(const struct sim *s)
{
    int64_t holes = 0;
    for (int i = 1; i < s->n_out; i++) {
        int64_t step = s->out[i].out - s->out[i - 1].out;
        assert_true(step > 0); /* none twice */
        holes += step - 1;
    }
    if (!s->lossy) {
        assert_int_equal(holes, 0);
    }
}

/* Pictures have growing timestamps, one each, by the clock of the publisher's capture. */
static inline void oracle_timestamps(const struct sim *s)
{
    int64_t first = 0, worst = 0;
    for (int i = 0; i < s->n_out; i++) {
        const struct sim_out *o = &s->out[i], *before = o - 1;
        const struct made_frame *f = oracle_frame(s, o);
        if (i > 0) {
            const struct made_frame *g = oracle_frame(s, before);
            bool same = f->ts == g->ts && f->stream == g->stream && o->stay == before->stay;
            assert_int_equal(same, o->ts == before->ts);
            assert_true((int32_t)(o->ts - before->ts) >= 0);
        }
        int64_t off = (int32_t)(o->ts - (uint32_t)(f->capture_us * 9 / 100));
        if (o->stay == 1) {
            first = off;
        }
        int64_t error = off - first < 0 ? first - off : off - first;
        worst = o->stay > 1 && !s->pauses && error > worst ? error : worst;
    }
    if (!s->lossy && worst > 90 * 8 &&
        s->m.n_streams > 1) { /* 8 ms; a stay before reports is off */
        fail_msg("timestamps off by %lld ticks", (long long)worst);
    }
}

/* VP8: one up each picture, without holes; tl0picidx one up each base picture. Others: in and out
 * apart by the same number during a stay, growing from one to the next. */
static inline void oracle_ids(const struct sim *s)
{
    enum codec codec = made_codec(&s->m);
    for (int i = 1; i < s->n_out; i++) {
        const struct sim_out *o = &s->out[i], *before = o - 1;
        const struct made_frame *f = oracle_frame(s, o), *g = oracle_frame(s, before);
        bool same = o->ts == before->ts, same_stay = o->stay == before->stay;
        if (codec == CODEC_VP8) {
            int step = (o->picture_id - before->picture_id) & 0x7fff;
            assert_true(same ? step == 0 : s->lossy ? step > 0 && step < 100 : step == 1);
            int tl0 = (uint8_t)(o->tl0 - before->tl0);
            assert_true(same ? tl0 == 0 : s->lossy ? tl0 < 100 : tl0 == (f->tid == 0));
        } else if (codec == CODEC_VP9) {
            int step = (o->picture_id - before->picture_id) & 0x7fff;
            int in = (f->picture_id - g->picture_id) & 0x7fff;
            assert_int_equal(step, same_stay ? in : 1);
        } else if (codec == CODEC_AV1) {
            int16_t step = (int16_t)(uint16_t)(o->frame_number - before->frame_number);
            assert_true(same_stay ? step == f->frame_id - g->frame_id : step == 1 || s->lossy);
            assert_true(step >= 0);
        }
    }
}

/* The last packet of a picture has the marker, and none before it but where a layer was taken up
 * within the picture. */
static inline void oracle_markers(const struct sim *s)
{
    for (int i = 1; !s->lossy && i < s->n_out; i++) {
        const struct sim_out *o = &s->out[i], *before = o - 1;
        const struct made_frame *f = oracle_frame(s, o);
        bool begins_layer = f->sid > 0 && !f->key && !f->inter_picture;
        if (o->ts == before->ts && !begins_layer) {
            assert_false(before->marker);
        } else if (o->ts != before->ts && o->stay == before->stay) {
            assert_true(before->marker);
        }
    }
}

static inline void oracle_check(struct sim *s)
{
    qsort(s->out, (size_t)s->n_out, sizeof s->out[0], oracle_by_number);
    oracle_decodable(s);
    oracle_whole(s);
    oracle_numbers(s);
    oracle_timestamps(s);
    oracle_ids(s);
    oracle_markers(s);
}

#endif
