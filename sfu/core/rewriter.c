#include "sfu/core/rewriter.h"

#include <string.h>

#include "lib/base/err.h"
#include "lib/proto/rtp.h"
#include "lib/proto/vp8.h"

#define NOBODY          UINT32_MAX /* the segment opened by rewriter_detach; no packet maps into it */
#define NTP_SECONDS_MAX 3600       /* reports further apart tell nothing */

void rewriter_init(struct rewriter *r, struct rewriter_past *past, uint32_t clock_rate,
                   uint16_t first_seq, uint32_t first_ts)
{
    memset(r, 0, sizeof *r);
    r->past = past;
    r->clock_rate = clock_rate;
    r->out_highest = (int64_t)65536 + first_seq - 1;
    r->out_ts = first_ts;
}

/* ---- segments and runs ---- */

/* The i-th newest, from 1. */
static const struct rewriter_segment *segment_back(const struct rewriter *r, size_t i)
{
    return i == 1 ? &r->now : &r->past->segment[(r->n_segments - i) % REWRITER_SEGMENTS];
}

static const struct rewriter_segment *newest(const struct rewriter *r)
{
    return r->n_segments ? &r->now : NULL;
}

static size_t segments_held(const struct rewriter *r)
{
    return r->n_segments < REWRITER_SEGMENTS ? r->n_segments : REWRITER_SEGMENTS;
}

static struct rewriter_segment *open_segment(struct rewriter *r)
{
    if (r->n_segments > 0) {
        r->past->segment[(r->n_segments - 1) % REWRITER_SEGMENTS] = r->now;
    }
    r->n_segments++;
    r->now = (struct rewriter_segment){.first_run = r->n_runs};
    r->left = (struct rewriter_run){0};
    return &r->now;
}

/* The run number n, or NULL when the ring has lost it. */
static const struct rewriter_run *run_at(const struct rewriter *r, uint32_t n)
{
    return r->n_runs - n <= REWRITER_RUNS ? &r->past->run[n % REWRITER_RUNS] : NULL;
}

/* The number of the first run behind the i-th newest segment. */
static uint32_t runs_end(const struct rewriter *r, size_t i)
{
    return i == 1 ? r->n_runs : segment_back(r, i - 1)->first_run;
}

/* What the i-th newest segment has left out before ext_seq. ERR_STATE when ext_seq itself was left
 * out, or when that is forgotten. */
static int left_out_before(const struct rewriter *r, size_t i, int64_t ext_seq,
                           struct rewriter_run *before)
{
    uint32_t low = (uint32_t)ext_seq, first = segment_back(r, i)->first_run;

    for (uint32_t n = runs_end(r, i); n != first; n--) {
        const struct rewriter_run *run = run_at(r, n - 1);
        if (!run) {
            return ERR_STATE;
        }
        if ((int32_t)(low - run->in_after) >= 0) {
            *before = *run;
            return OK;
        }
        const struct rewriter_run *older = n - 1 != first ? run_at(r, n - 2) : NULL;
        if (n - 1 != first && !older) {
            return ERR_STATE;
        }
        uint32_t length = run->skipped - (older ? older->skipped : 0);
        if ((int32_t)(low - (run->in_after - length)) >= 0) {
            return ERR_STATE;
        }
    }
    *before = (struct rewriter_run){0};
    return OK;
}

static int64_t place(const struct rewriter_segment *s, const struct rewriter_run *before,
                     int64_t ext_seq)
{
    return s->out_first + (ext_seq - s->in_first) - before->skipped;
}

/* ---- what goes on across a switch ---- */

/* The timestamp moves on by the time that passed since the newest packet, at least one tick, so
 * that a receiver's jitter buffer sees a pause, not a jump. */
static uint32_t ts_by_arrival(const struct rewriter *r, int64_t now_us)
{
    int64_t us = now_us > r->out_us ? now_us - r->out_us : 0;
    int64_t ticks = us / 1000000 * r->clock_rate + us % 1000000 * r->clock_rate / 1000000;

    return r->out_ts + (ticks > 0 ? (uint32_t)ticks : 1);
}

static const struct rewriter_segment *last_source(const struct rewriter *r)
{
    for (size_t i = 1; i <= segments_held(r); i++) {
        if (segment_back(r, i)->source != NOBODY) {
            return segment_back(r, i);
        }
    }
    return NULL;
}

/* The first timestamp of a new segment, and where the publisher's clock puts it: behind the newest
 * that went out, when an older picture takes over. Later switches count from the latter, so that
 * shifts don't add up. */
static uint32_t first_ts(const struct rewriter *r, const struct rewriter_packet *p,
                         uint32_t *by_clock)
{
    const struct rewriter_segment *last = last_source(r);

    *by_clock = r->started ? ts_by_arrival(r, p->now_us) : r->out_ts;
    if (!last || (last->source != p->source && !p->synced)) {
        return *by_clock;
    }
    uint32_t ts = p->ts + last->clock_offset + (last->source == p->source ? 0 : p->ts_distance);
    int64_t error = (int32_t)(ts - *by_clock);
    if (error > r->clock_rate / 2 || -error > r->clock_rate / 2) {
        return *by_clock;
    }
    *by_clock = ts;
    return (int32_t)(ts - r->out_ts) > 0 ? ts : r->out_ts + 1;
}

static void switch_to(struct rewriter *r, const struct rewriter_packet *p)
{
    uint32_t by_clock, ts = first_ts(r, p, &by_clock); /* before the segment is there */
    int64_t lead = p->from_seq ? p->ext_seq - p->from_seq : 0;
    struct rewriter_segment *s = open_segment(r);

    s->source = p->source;
    s->in_first = p->ext_seq - (lead > 0 && lead <= REWRITER_MAX_LEAD ? lead : 0);
    s->out_first = r->out_highest + 1;
    s->ts_offset = ts - p->ts;
    s->clock_offset = by_clock - p->ts;
    if (p->info) {
        r->in_picture = p->info->picture_id;
        if (r->picture_started) {
            s->picture_offset = (uint16_t)(r->out_picture + 1 - p->info->picture_id);
            s->tl0_offset = (uint8_t)(r->out_tl0 + 1 - p->info->tl0picidx);
        }
    }
    if (p->dd && r->frame_started) {
        s->frame_offset = (uint16_t)(r->out_frame + 1 - p->dd->frame_number);
    }
}

/* The newest segment's source goes on with ext_seq right after the newest number sent. */
static void close_gap(struct rewriter *r, int64_t ext_seq)
{
    struct rewriter_segment old = *newest(r);
    uint16_t pictures = r->left.pictures;
    struct rewriter_segment *next = open_segment(r);

    old.first_run = next->first_run;
    *next = old;
    next->in_first = ext_seq;
    next->out_first = r->out_highest + 1;
    next->picture_offset = (uint16_t)(next->picture_offset - pictures);
}

/* ---- mapping ---- */

static void fill(const struct rewriter_segment *s, const struct rewriter_run *before,
                 int64_t out_seq, const struct rewriter_packet *p, struct rewritten *out)
{
    *out = (struct rewritten){.seq = (uint16_t)out_seq, .ts = p->ts + s->ts_offset};
    if (p->info) {
        out->picture_id = (uint16_t)(p->info->picture_id + s->picture_offset - before->pictures);
        out->tl0picidx = (uint8_t)(p->info->tl0picidx + s->tl0_offset);
    }
    if (p->dd) {
        out->frame_add = s->frame_offset;
    }
}

/* The newest packet is what the next segment goes on from. */
static void note_newest(struct rewriter *r, int64_t out_seq, const struct rewriter_packet *p,
                        const struct rewritten *out)
{
    if (r->started && out_seq <= r->out_highest) {
        return;
    }
    r->started = true;
    r->out_highest = out_seq;
    r->out_ts = out->ts;
    r->out_us = p->now_us;
    if (p->info) {
        r->picture_started = true;
        r->out_picture = out->picture_id & 0x7fff;
        r->out_tl0 = out->tl0picidx;
    }
    if (p->dd) {
        r->frame_started = true;
        r->out_frame = (uint16_t)(p->dd->frame_number + out->frame_add);
    }
}

static bool is_newer_picture(const struct rewriter *r, const struct codec_info *info)
{
    return info && info->picture_bits &&
           vp8_picture_diff(info->picture_id, r->in_picture, info->picture_bits) > 0;
}

/* A packet that isn't the newest of the newest segment: its place is there already, in the newest
 * segment of its source that begins before it, or nowhere. */
static int map_late(struct rewriter *r, const struct rewriter_packet *p, struct rewritten *out)
{
    int64_t next_first = INT64_MAX;
    struct rewriter_run before;

    for (size_t i = 1; i <= segments_held(r); i++) {
        const struct rewriter_segment *s = segment_back(r, i);
        if (s->source != p->source || p->ext_seq < s->in_first) {
            next_first = s->out_first < next_first ? s->out_first : next_first;
            continue;
        }
        if (left_out_before(r, i, p->ext_seq, &before) != OK) {
            return ERR_STATE;
        }
        int64_t out_seq = place(s, &before, p->ext_seq);
        if (out_seq >= next_first || r->out_highest - out_seq > REWRITER_MAX_LATE) {
            return ERR_STATE;
        }
        fill(s, &before, out_seq, p, out);
        note_newest(r, out_seq, p, out); /* late, and yet it may be the newest that went out */
        return OK;
    }
    return ERR_STATE;
}

int rewriter_map_packet(struct rewriter *r, const struct rewriter_packet *p, struct rewritten *out)
{
    const struct rewriter_segment *s = newest(r);
    bool switched = !s || s->source != p->source;

    if (switched ? p->late : p->ext_seq <= r->in_highest) {
        return map_late(r, p, out);
    }
    if (switched) {
        switch_to(r, p);
    }
    int64_t out_seq = place(&r->now, &r->left, p->ext_seq);
    if (out_seq - r->out_highest > REWRITER_MAX_GAP) {
        close_gap(r, p->ext_seq);
        out_seq = r->now.out_first;
    }
    r->in_highest = p->ext_seq;
    if (is_newer_picture(r, p->info)) {
        r->in_picture = p->info->picture_id;
    }
    fill(&r->now, &r->left, out_seq, p, out);
    out->switched = switched;
    note_newest(r, out_seq, p, out);
    return OK;
}

void rewriter_skip_packet(struct rewriter *r, const struct rewriter_packet *p, int64_t from)
{
    const struct rewriter_segment *s = newest(r);

    if (!s || s->source != p->source || p->ext_seq <= r->in_highest) {
        return;
    }
    from = from <= r->in_highest ? r->in_highest + 1 : from > p->ext_seq ? p->ext_seq : from;
    struct rewriter_run run = r->left;
    bool goes_on = s->first_run != r->n_runs && run.in_after == (uint32_t)from;
    run.in_after = (uint32_t)p->ext_seq + 1;
    run.skipped += (uint32_t)(p->ext_seq - from) + 1;
    if (p->codec == CODEC_VP8 && is_newer_picture(r, p->info)) {
        run.pictures++;
        r->in_picture = p->info->picture_id;
    }
    r->n_runs += goes_on ? 0 : 1;
    r->past->run[(r->n_runs - 1) % REWRITER_RUNS] = r->left = run;
    r->in_highest = p->ext_seq;
}

void rewriter_detach(struct rewriter *r)
{
    const struct rewriter_segment *last = newest(r);

    if (last && last->source != NOBODY) {
        struct rewriter_segment *s = open_segment(r);
        s->source = NOBODY;
        s->out_first = r->out_highest + 1;
    }
}

/* ---- the way back ---- */

/* The segment that out_seq lies in, as the i-th newest; 0 when there is none. */
static size_t segment_of(const struct rewriter *r, int64_t out_seq)
{
    for (size_t i = 1; i <= segments_held(r); i++) {
        if (segment_back(r, i)->source != NOBODY && out_seq >= segment_back(r, i)->out_first) {
            return i;
        }
    }
    return 0;
}

/* What had been left out before the packet that went out as out_seq. */
static int left_out_before_out(const struct rewriter *r, size_t i, int64_t out_seq,
                               struct rewriter_run *before)
{
    const struct rewriter_segment *s = segment_back(r, i);

    for (uint32_t n = runs_end(r, i); n != s->first_run; n--) {
        const struct rewriter_run *run = run_at(r, n - 1);
        if (!run) {
            return ERR_NOT_FOUND;
        }
        int64_t after = s->in_first + (uint32_t)(run->in_after - (uint32_t)s->in_first);
        if (out_seq >= place(s, run, after)) {
            *before = *run;
            return OK;
        }
    }
    *before = (struct rewriter_run){0};
    return OK;
}

static const struct rewriter_segment *find(const struct rewriter *r, uint16_t out_seq,
                                           int64_t *unwrapped, struct rewriter_run *before)
{
    if (!r->started) {
        return NULL;
    }
    *unwrapped = r->out_highest + rtp_seq_diff(out_seq, (uint16_t)r->out_highest);
    size_t i = *unwrapped <= r->out_highest ? segment_of(r, *unwrapped) : 0;
    return i && left_out_before_out(r, i, *unwrapped, before) == OK ? segment_back(r, i) : NULL;
}

int rewriter_unmap(const struct rewriter *r, uint16_t out_seq, uint32_t *source, int64_t *ext_seq)
{
    int64_t n;
    struct rewriter_run before;
    const struct rewriter_segment *s = find(r, out_seq, &n, &before);

    if (!s) {
        return ERR_NOT_FOUND;
    }
    *source = s->source;
    *ext_seq = s->in_first + (n - s->out_first) + before.skipped;
    return OK;
}

int rewriter_remap_packet(const struct rewriter *r, uint16_t out_seq,
                          const struct rewriter_packet *p, struct rewritten *out)
{
    int64_t n;
    struct rewriter_run before;
    const struct rewriter_segment *s = find(r, out_seq, &n, &before);

    if (!s) {
        return ERR_NOT_FOUND;
    }
    fill(s, &before, n, p, out);
    return OK;
}

/* ---- clocks ---- */

bool rewriter_ts_offset(const struct rewriter *r, uint32_t source, uint32_t *offset)
{
    const struct rewriter_segment *s = newest(r);

    if (!s || s->source != source) {
        return false;
    }
    *offset = s->ts_offset;
    return true;
}

bool rewriter_ts_distance(const struct sr_source *current, const struct sr_source *next,
                          uint32_t clock_rate, uint32_t *distance)
{
    int64_t apart = (int64_t)(next->ntp - current->ntp); /* seconds in the upper half */

    if (!current->known || !next->known || apart / 4294967296 > NTP_SECONDS_MAX ||
        apart / 4294967296 < -NTP_SECONDS_MAX) {
        return false;
    }
    int64_t whole = apart / 4294967296 * clock_rate;
    int64_t part = apart % 4294967296 * clock_rate / 4294967296;
    *distance = current->rtp_ts + (uint32_t)(whole + part) - next->rtp_ts;
    return true;
}
