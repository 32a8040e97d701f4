#include "sfu/core/rewriter.h"

#include <string.h>

#include "lib/base/err.h"
#include "lib/proto/rtp.h"

#define NOBODY UINT32_MAX /* the segment opened by rewriter_detach; no packet maps into it */

void rewriter_init(struct rewriter *r, uint32_t clock_rate, uint16_t first_seq, uint32_t first_ts)
{
    memset(r, 0, sizeof *r);
    r->clock_rate = clock_rate;
    r->out_highest = (int64_t)65536 + first_seq - 1;
    r->out_ts = first_ts;
}

static struct rewriter_segment *newest(struct rewriter *r)
{
    return r->n_segments ? &r->segment[(r->n_segments - 1) % REWRITER_SEGMENTS] : NULL;
}

static const struct rewriter_segment *newest_const(const struct rewriter *r)
{
    return r->n_segments ? &r->segment[(r->n_segments - 1) % REWRITER_SEGMENTS] : NULL;
}

static struct rewriter_segment *open_segment(struct rewriter *r)
{
    struct rewriter_segment *s = &r->segment[r->n_segments++ % REWRITER_SEGMENTS];
    memset(s, 0, sizeof *s);
    return s;
}

/* The timestamp moves on by the time that passed since the newest packet, at least one tick, so
 * that a receiver's jitter buffer sees a pause, not a jump. */
static uint32_t next_ts(const struct rewriter *r, int64_t now_us)
{
    int64_t us = now_us - r->out_us;

    if (!r->started) {
        return r->out_ts;
    }
    if (us < 0) {
        us = 0;
    }
    int64_t ticks = us / 1000000 * r->clock_rate + us % 1000000 * r->clock_rate / 1000000;
    return r->out_ts + (ticks > 0 ? (uint32_t)ticks : 1);
}

static struct rewriter_segment *switch_to(struct rewriter *r, uint32_t source, int64_t ext_seq,
                                          uint32_t ts, int64_t now_us,
                                          const struct vp8_descriptor *vp8)
{
    struct rewriter_segment *s = open_segment(r);

    s->source = source;
    s->in_first = ext_seq;
    s->out_first = r->out_highest + 1;
    s->ts_offset = next_ts(r, now_us) - ts;
    if (vp8 && r->vp8_started) {
        s->picture_offset = (uint16_t)(r->out_picture + 1 - vp8->picture_id);
        s->tl0_offset = (uint8_t)(r->out_tl0 + 1 - vp8->tl0picidx);
    }
    return s;
}

/* The newest segment's source goes on with ext_seq as out_first, which is above out_highest. */
static struct rewriter_segment *continue_at(struct rewriter *r, int64_t ext_seq, int64_t out_first)
{
    struct rewriter_segment old = *newest(r), *next = open_segment(r);

    *next = old;
    next->in_first = ext_seq;
    next->out_first = out_first;
    return next;
}

static void fill(const struct rewriter_segment *s, int64_t out_seq, uint32_t ts,
                 const struct vp8_descriptor *vp8, struct rewritten *out)
{
    out->seq = (uint16_t)out_seq;
    out->ts = ts + s->ts_offset;
    out->picture_id = vp8 ? (uint16_t)(vp8->picture_id + s->picture_offset) : 0;
    out->tl0picidx = vp8 ? (uint8_t)(vp8->tl0picidx + s->tl0_offset) : 0;
    out->switched = false;
}

/* The newest packet is what the next segment goes on from. */
static void note_newest(struct rewriter *r, int64_t out_seq, int64_t now_us,
                        const struct vp8_descriptor *vp8, const struct rewritten *out)
{
    if (r->started && out_seq <= r->out_highest) {
        return;
    }
    r->started = true;
    r->out_highest = out_seq;
    r->out_ts = out->ts;
    r->out_us = now_us;
    if (vp8) {
        r->vp8_started = true;
        r->out_picture = out->picture_id & 0x7fff;
        r->out_tl0 = out->tl0picidx;
    }
}

/* A late packet of the current source from before its newest segment: its place is in an older one
 * (rewriter_skip opens new ones). ERR_STATE when it was skipped, or is older than them all. */
static int map_late(const struct rewriter *r, uint32_t source, int64_t ext_seq, uint32_t ts,
                    const struct vp8_descriptor *vp8, struct rewritten *out, int64_t *out_seq)
{
    size_t held = r->n_segments < REWRITER_SEGMENTS ? r->n_segments : REWRITER_SEGMENTS;
    int64_t next_first = newest_const(r)->out_first;

    for (size_t i = 2; i <= held; i++) {
        const struct rewriter_segment *s = &r->segment[(r->n_segments - i) % REWRITER_SEGMENTS];
        if (s->source != source) {
            return ERR_STATE;
        }
        *out_seq = s->out_first + (ext_seq - s->in_first);
        if (ext_seq >= s->in_first) {
            if (*out_seq >= next_first) {
                return ERR_STATE;
            }
            fill(s, *out_seq, ts, vp8, out);
            return OK;
        }
        if (s->out_first < next_first) {
            next_first = s->out_first;
        }
    }
    return ERR_STATE;
}

int rewriter_map(struct rewriter *r, uint32_t source, int64_t ext_seq, uint32_t ts, int64_t now_us,
                 const struct vp8_descriptor *vp8, struct rewritten *out)
{
    struct rewriter_segment *s = newest(r);
    bool switched = !s || s->source != source;
    int64_t out_seq;

    if (switched) {
        s = switch_to(r, source, ext_seq, ts, now_us, vp8);
    } else if (ext_seq < s->in_first) {
        int err = map_late(r, source, ext_seq, ts, vp8, out, &out_seq);
        if (err == OK) { /* late in its source, and yet it may be the newest that went out */
            note_newest(r, out_seq, now_us, vp8, out);
        }
        return err;
    }
    out_seq = s->out_first + (ext_seq - s->in_first);
    if (out_seq - r->out_highest > REWRITER_MAX_GAP) {
        s = continue_at(r, ext_seq, r->out_highest + 1);
        out_seq = s->out_first;
    }
    fill(s, out_seq, ts, vp8, out);
    out->switched = switched;
    note_newest(r, out_seq, now_us, vp8, out);
    return OK;
}

void rewriter_skip(struct rewriter *r, uint32_t source, int64_t ext_seq)
{
    struct rewriter_segment *s = newest(r);

    if (!s || s->source != source) {
        return;
    }
    int64_t in_highest = s->in_first + (r->out_highest - s->out_first);
    if (ext_seq <= in_highest || ext_seq < s->in_first) { /* numbers from in_first on are given */
        return;
    }
    if (s->in_first == ext_seq) { /* nothing mapped yet: it just begins later */
        s->in_first++;
        return;
    }
    /* Numbers between the newest and this one may still come; they keep their places in the old
     * segment, and the new one begins after them. */
    int64_t out_first = s->out_first + (ext_seq - s->in_first);
    bool wide = out_first - r->out_highest > REWRITER_MAX_GAP;
    (void)continue_at(r, ext_seq + 1, wide ? r->out_highest + 1 : out_first);
}

void rewriter_detach(struct rewriter *r)
{
    struct rewriter_segment *s = newest(r);

    if (!s || s->source == NOBODY) {
        return;
    }
    int64_t after = r->out_highest + 1;
    s = open_segment(r);
    s->source = NOBODY;
    s->out_first = after;
}

static const struct rewriter_segment *segment_of(const struct rewriter *r, int64_t out_seq)
{
    size_t held = r->n_segments < REWRITER_SEGMENTS ? r->n_segments : REWRITER_SEGMENTS;

    for (size_t i = 1; i <= held; i++) {
        const struct rewriter_segment *s = &r->segment[(r->n_segments - i) % REWRITER_SEGMENTS];
        if (s->source != NOBODY && out_seq >= s->out_first) {
            return s;
        }
    }
    return NULL;
}

static const struct rewriter_segment *find(const struct rewriter *r, uint16_t out_seq,
                                           int64_t *unwrapped)
{
    if (!r->started) {
        return NULL;
    }
    *unwrapped = r->out_highest + rtp_seq_diff(out_seq, (uint16_t)r->out_highest);
    return *unwrapped <= r->out_highest ? segment_of(r, *unwrapped) : NULL;
}

int rewriter_unmap(const struct rewriter *r, uint16_t out_seq, uint32_t *source, int64_t *ext_seq)
{
    int64_t n;
    const struct rewriter_segment *s = find(r, out_seq, &n);

    if (!s) {
        return ERR_NOT_FOUND;
    }
    *source = s->source;
    *ext_seq = s->in_first + (n - s->out_first);
    return OK;
}

int rewriter_remap(const struct rewriter *r, uint16_t out_seq, uint32_t ts,
                   const struct vp8_descriptor *vp8, struct rewritten *out)
{
    int64_t n;
    const struct rewriter_segment *s = find(r, out_seq, &n);

    if (!s) {
        return ERR_NOT_FOUND;
    }
    fill(s, n, ts, vp8, out);
    return OK;
}

bool rewriter_ts_offset(const struct rewriter *r, uint32_t source, uint32_t *offset)
{
    const struct rewriter_segment *s = newest_const(r);

    if (!s || s->source != source) {
        return false;
    }
    *offset = s->ts_offset;
    return true;
}
