/* A publisher (layers_made.h), a link that loses and reorders, the layer selector and the rewriter
 * of one slot, and an oracle that checks what left. */
#ifndef SOTTO_TESTS_LAYERS_SIM_H
#define SOTTO_TESTS_LAYERS_SIM_H

#include <stdlib.h>

#include "layers_made.h"
#include "lib/base/err.h"
#include "sfu/core/rewriter.h"

#define SIM_FLIGHT 4096
#define SIM_OUT    200000
#define SIM_STAYS  1000
#define SIM_SOURCE 100 /* of stream 0 */

struct sim_flight {
    int64_t at_us;
    int frame;
    uint32_t n;
};

struct sim_out {
    int64_t out; /* unwrapped number */
    int frame, stay;
    uint32_t ts;
    uint16_t picture_id, frame_number;
    uint8_t tl0;
    bool marker;
};

struct sim {
    struct made m;
    bool lossy, silences, pauses;
    struct layers_track track;
    struct layers l;
    struct rewriter r;
    struct rewriter_past past;
    struct sr_source sr[LAYERS_STREAMS];
    int shown; /* stream; -1 none */
    int n_flight, n_out, stay, n_switches, n_refused, n_lost, n_late_drops, n_asked;
    int stay_of[LAYERS_STREAMS];
    struct sim_flight flight[SIM_FLIGHT];
    struct sim_out out[SIM_OUT];
    int64_t forgotten_us, last_forward_us, longest_gap_us, unreached_us, longest_unreached_us;
    int last_wanted;
    bool last_top_off;
};

static inline void sim_init(struct sim *s, enum made_mode mode, uint32_t seed, bool lossy)
{
    memset(s, 0, sizeof *s);
    made_init(&s->m, mode, seed);
    s->lossy = lossy;
    s->shown = s->last_wanted = -1;
    layers_init(&s->l);
    rewriter_init(&s->r, &s->past, 90000, (uint16_t)made_random(&s->m, 32768),
                  made_random(&s->m, 1u << 24));
    s->unreached_us = -1;
}

static inline void sim_send(struct sim *s, int frame)
{
    struct made_frame *f = &s->m.frame[frame];
    for (uint32_t n = 0; n < f->n_packets; n++) {
        int64_t delay_us = 20000 + 5000 * f->stream + 100 * n + 300 * f->sid;
        if (s->lossy) {
            delay_us += made_random(&s->m, 8000);
            if (made_random(&s->m, 100) < 3) {
                delay_us += 60000 + made_random(&s->m, 140000); /* sent again */
                if (made_random(&s->m, 10) == 0) {
                    s->n_lost++;
                    continue;
                }
            }
        }
        assert_true(s->n_flight < SIM_FLIGHT);
        s->flight[s->n_flight++] = (struct sim_flight){s->m.now_us + delay_us, frame, n};
    }
}

static inline struct rewriter_packet sim_rewriter_packet(const struct sim *s,
                                                         const struct layers_packet *p)
{
    struct rewriter_packet rp = {.source = SIM_SOURCE + p->stream,
                                 .ts = p->ts,
                                 .ext_seq = p->ext_seq,
                                 .now_us = p->now_us,
                                 .codec = p->codec,
                                 .info = p->info,
                                 .dd = p->dd};
    rp.synced = s->shown >= 0 &&
                rewriter_ts_distance(&s->sr[s->shown], &s->sr[p->stream], 90000, &rp.ts_distance);
    return rp;
}

/* The slot's selection has the frame in it. */
static inline bool sim_selects(const struct sim *s, const struct made_frame *f)
{
    const struct layers_era *era = &s->l.era[0];
    if (made_is_av1(&s->m)) {
        return f->indication[era->decode_target] != DD_NOT_PRESENT;
    }
    return f->sid <= era->sid && f->tid <= era->tid;
}

/* What a switch leaves to be asked for by receivers: their requests find it in our cache. */
static inline void sim_recover(struct sim *s, uint8_t stream, int64_t from, int64_t to)
{
    for (int i = s->m.n_frames - 1; i >= 0; i--) {
        struct made_frame *f = &s->m.frame[i];
        if (f->stream != stream || f->first_seq > to) {
            continue;
        }
        if (f->first_seq < from) { /* its lost end may be in what is left free */
            return;
        }
        if (sim_selects(s, f)) {
            f->sent |= f->arrived;
            f->stay = s->stay;
        }
    }
}

static inline void sim_record(struct sim *s, int frame, const struct layers_verdict *v,
                              const struct rewritten *to)
{
    struct made_frame *f = &s->m.frame[frame];
    int64_t highest = s->r.out_highest;
    assert_true(s->n_out < SIM_OUT);
    s->out[s->n_out++] = (struct sim_out){
        .out = highest + (int16_t)(uint16_t)(to->seq - (uint16_t)highest),
        .frame = frame,
        .stay = s->stay_of[f->stream],
        .ts = to->ts,
        .picture_id = to->picture_id & 0x7fff,
        .frame_number = (uint16_t)(f->frame_id + to->frame_add),
        .tl0 = to->tl0picidx,
        .marker = v->marker,
    };
    if (s->last_forward_us && s->m.now_us - s->last_forward_us > s->longest_gap_us) {
        s->longest_gap_us = s->m.now_us - s->last_forward_us;
    }
    s->last_forward_us = s->m.now_us;
}

static inline void sim_forward(struct sim *s, const struct layers_packet *p, int frame, uint32_t n,
                               const struct layers_verdict *v)
{
    struct made_frame *f = &s->m.frame[frame];
    struct rewriter_packet rp = sim_rewriter_packet(s, p);
    struct rewritten to;
    rp.late = v->late;
    rp.from_seq = v->from_seq;
    if (rewriter_map_packet(&s->r, &rp, &to) != OK) {
        assert_true(v->late && p->late); /* a packet in order always finds its place */
        s->n_refused++;
        f->arrived &= ~(1u << n);
        return;
    }
    assert_int_equal(to.switched, v->switched);
    if (v->switched) {
        assert_true(f->key && f->sid == 0);
        s->stay_of[p->stream] = ++s->stay;
        s->n_switches++;
        s->shown = p->stream;
        sim_recover(s, p->stream, v->from_seq, s->track.stream[p->stream].highest);
    }
    f->sent |= 1u << n;
    f->stay = s->stay_of[p->stream];
    uint32_t source;
    int64_t ext_seq;
    assert_int_equal(rewriter_unmap(&s->r, to.seq, &source, &ext_seq), OK);
    assert_int_equal(source, rp.source);
    assert_int_equal(ext_seq, rp.ext_seq);
    sim_record(s, frame, v, &to);
}

static inline void sim_deliver(struct sim *s, int frame, uint32_t n)
{
    struct codec_info info;
    struct dd_frame dd;
    struct layers_packet p;
    struct layers_verdict v;
    struct made_frame *f = &s->m.frame[frame];

    if (!s->l.target.paused && f->capture_us >= s->forgotten_us) {
        f->arrived |= 1u << n;
    }
    made_packet(&s->m, f, n, &info, &dd, &p);
    p.now_us = s->m.now_us;
    layers_track_input(&s->track, &p);
    layers_input(&s->l, &s->track, &p, &v);
    if (v.keyframe_stream >= 0) {
        s->n_asked++;
        made_ask_key(&s->m, v.keyframe_stream, s->m.now_us + 40000);
    }
    if (v.action == LAYERS_FORWARD) {
        sim_forward(s, &p, frame, n, &v);
    } else if (v.action == LAYERS_SKIP) {
        struct rewriter_packet rp = sim_rewriter_packet(s, &p);
        rewriter_skip_packet(&s->r, &rp, v.skip_from);
        s->n_late_drops += p.late;
    }
}

/* Delivers what is due, in the order of arrival. */
static inline void sim_run_to(struct sim *s, int64_t until_us)
{
    for (;;) {
        int next = -1;
        for (int i = 0; i < s->n_flight; i++) {
            if (s->flight[i].at_us <= until_us &&
                (next < 0 || s->flight[i].at_us < s->flight[next].at_us)) {
                next = i;
            }
        }
        if (next < 0) {
            break;
        }
        struct sim_flight k = s->flight[next];
        memmove(&s->flight[next], &s->flight[next + 1], (size_t)(--s->n_flight - next) * sizeof k);
        s->m.now_us = k.at_us > s->m.now_us ? k.at_us : s->m.now_us;
        sim_deliver(s, k.frame, k.n);
    }
    s->m.now_us = until_us;
}

static inline void sim_target(struct sim *s, struct layers_target target)
{
    int stream = layers_set_target(&s->l, &s->track, &target, s->m.now_us);
    if (stream >= 0) {
        s->n_asked++;
        made_ask_key(&s->m, stream, s->m.now_us + 40000);
    }
    if (target.paused) {
        rewriter_detach(&s->r);
        s->last_forward_us = 0;
        s->forgotten_us = s->m.now_us; /* what comes from now on may be missing */
    }
    s->unreached_us = -1;
}

static inline bool sim_reached(const struct sim *s)
{
    uint8_t stream, sid, tid, most = s->m.stream[0].top_off ? 1 : 2;
    int wanted = layers_wanted(&s->l, &s->track);
    if (wanted < 0) {
        return true;
    }
    if (!layers_selected(&s->l, &stream, &sid, &tid) || stream != wanted) {
        return false;
    }
    uint8_t want = s->l.target.sid < most ? s->l.target.sid : most;
    bool spatial = s->m.n_sids == 1 || (sid < most ? sid : most) == want;
    return spatial && (s->m.mode == MADE_H264 || tid == s->l.target.tid);
}

static inline void sim_watch(struct sim *s)
{
    int wanted = layers_wanted(&s->l, &s->track);
    bool moved = wanted != s->last_wanted || s->last_top_off != s->m.stream[0].top_off;
    s->last_wanted = wanted;
    s->last_top_off = s->m.stream[0].top_off;
    if (sim_reached(s) || moved) {
        s->unreached_us = -1;
    } else if (s->unreached_us < 0) {
        s->unreached_us = s->m.now_us;
    } else if (s->m.now_us - s->unreached_us > s->longest_unreached_us) {
        s->longest_unreached_us = s->m.now_us - s->unreached_us;
    }
}

static inline void sim_tick(struct sim *s)
{
    int64_t next_us = s->m.now_us + MADE_TICK_US;
    for (uint8_t i = 0; i < s->m.n_streams; i++) {
        struct made_stream *st = &s->m.stream[i];
        int first;
        if (s->silences && i > 0 && made_random(&s->m, 150) == 0) {
            st->off = !st->off;
            st->key_due |= !st->off;
        }
        int n = made_picture(&s->m, i, &first);
        for (int k = 0; k < n; k++) {
            sim_send(s, first + k);
        }
        if (!s->sr[i].known || made_random(&s->m, 30) == 0) { /* a sender report of this moment */
            s->sr[i] = (struct sr_source){
                .known = true,
                .ntp = rtcp_ntp_from_wall(INT64_C(1700000000000000) + s->m.now_us),
                .rtp_ts = st->ts_base + (uint32_t)(s->m.now_us * 9 / 100)};
        }
    }
    sim_run_to(s, next_us);
    sim_watch(s);
}

#endif
