#include "sfu/core/layers_private.h"

#include <string.h>

#define RESYNC_SLACK (LAYERS_RESYNC / 16) /* for what comes late behind a resync */

/* ---- eras ---- */

const struct layers_era *layers_era_at(const struct layers *l, uint8_t stream, uint32_t ts)
{
    for (unsigned i = 0; i < l->n_eras; i++) {
        if (l->era[i].stream == stream && (int32_t)(ts - l->era[i].ts) >= 0) {
            return l->era[i].closed ? NULL : &l->era[i];
        }
    }
    return NULL;
}

void layers_begin_era(struct layers *l, const struct layers_era *era)
{
    bool replaces = l->n_eras && l->era[0].stream == era->stream && l->era[0].ts == era->ts;

    if (!replaces) {
        memmove(&l->era[1], &l->era[0], (LAYERS_ERAS - 1) * sizeof l->era[0]);
        l->n_eras += l->n_eras < LAYERS_ERAS ? 1 : 0;
    }
    l->era[0] = *era;
    l->waiting = false;
}

/* ---- what is wanted ---- */

void layers_init(struct layers *l)
{
    memset(l, 0, sizeof *l);
    l->target.paused = true;
    layers_reset(l);
}

void layers_reset(struct layers *l)
{
    l->current = -1;
    l->n_eras = 0;
    l->asked = l->waiting = false;
    for (unsigned i = 0; i < LAYERS_STREAMS; i++) {
        l->left[i] = INT64_MIN;
    }
}

static void leave(struct layers *l, const struct layers_track *t)
{
    if (l->current >= 0) {
        const struct layers_stream *s = &t->stream[l->current];
        struct layers_era end = {.stream = (uint8_t)l->current, .closed = true, .ts = s->ts + 1};
        l->left[l->current] = s->highest;
        layers_begin_era(l, &end);
    }
    l->current = -1;
}

static int ask(struct layers *l, int stream, int64_t now_us)
{
    if (l->asked && now_us - l->asked_us < LAYERS_ASK_US) {
        return -1;
    }
    l->asked = true;
    l->asked_us = now_us;
    return stream;
}

int layers_set_target(struct layers *l, const struct layers_track *t,
                      const struct layers_target *target, int64_t now_us)
{
    struct layers_target next = *target, was = l->target;

    next.stream = next.stream < LAYERS_STREAMS ? next.stream : LAYERS_STREAMS - 1;
    if (next.paused == was.paused && next.stream == was.stream && next.sid == was.sid &&
        next.tid == was.tid) {
        return -1;
    }
    l->target = next;
    l->asked = l->waiting = false;
    if (next.paused) {
        leave(l, t);
        l->n_eras = 0; /* the rewriter is detached: late packets have no place */
        return -1;
    }
    int wanted = layers_wanted(l, t);
    return wanted >= 0 && wanted != l->current ? ask(l, wanted, now_us) : -1;
}

bool layers_selected(const struct layers *l, uint8_t *stream, uint8_t *sid, uint8_t *tid)
{
    if (l->current < 0) {
        return false;
    }
    *stream = (uint8_t)l->current;
    *sid = l->era[0].sid;
    *tid = l->era[0].tid;
    return true;
}

/* ---- packets ---- */

static bool has(const struct layers_era *era, const struct layers_packet *p)
{
    return p->dd ? layers_dd_has(era, p) : layers_svc_has(era, p);
}

static bool is_last_of_layer(const struct layers_era *era, const struct layers_packet *p)
{
    if (p->dd) {
        return p->dd->last_in_frame && p->dd->sid == era->sid;
    }
    return p->info && p->info->frame_end && p->info->sid == era->sid;
}

static void say_targets(struct layers *l, const struct layers_era *era,
                        const struct layers_packet *p, struct layers_verdict *v)
{
    if (!p->dd || era->decode_target == LAYERS_NO_DD) {
        return;
    }
    v->targets = era->targets & p->dd->active_targets;
    l->reduced |= v->targets != p->dd->active_targets;
    v->set_targets = l->reduced && v->targets != 0; /* said again when they are all back */
}

static void forward(struct layers *l, const struct layers_era *era, const struct layers_packet *p,
                    struct layers_verdict *v)
{
    v->action = LAYERS_FORWARD;
    v->late = p->late;
    v->marker = p->marker || is_last_of_layer(era, p);
    say_targets(l, era, p, v);
}

void layers_again(const struct layers *l, const struct layers_packet *p, struct layers_verdict *v)
{
    const struct layers_era *era = layers_era_at(l, p->stream, p->ts);

    *v = (struct layers_verdict){.action = LAYERS_FORWARD, .keyframe_stream = -1};
    v->marker = p->marker || (era && is_last_of_layer(era, p));
    if (era && p->dd && era->decode_target != LAYERS_NO_DD) {
        v->targets = era->targets & p->dd->active_targets;
        v->set_targets = v->targets != 0 && v->targets != p->dd->active_targets;
    }
}

/* A late packet of a stay that is over. */
static void judge_former(struct layers *l, const struct layers_packet *p, struct layers_verdict *v)
{
    const struct layers_era *era =
        p->ext_seq <= l->left[p->stream] ? layers_era_at(l, p->stream, p->ts) : NULL;

    if (era && has(era, p)) {
        forward(l, era, p, v);
        v->late = true;
    }
}

static uint8_t layer_of(const struct layers_packet *p)
{
    return p->dd ? p->dd->sid : p->info ? p->info->sid : 0;
}

static void skip(struct layers *l, const struct layers_packet *p, struct layers_verdict *v)
{
    /* Between two packets of a picture that are left out, all are. */
    bool between = !p->late && p->before == l->skipped && p->ts == l->skipped_ts;

    v->action = LAYERS_SKIP;
    v->skip_from = between ? p->before + 1 : p->ext_seq;
    if (!p->late) {
        l->skipped = p->ext_seq;
        l->skipped_ts = p->ts;
        l->skipped_sid = layer_of(p);
    }
}

static void ask_for_lack(struct layers *l, const struct layers_packet *p, struct layers_verdict *v)
{
    enum layers_lack lack = p->dd ? layers_dd_lacks(l, p) : layers_svc_lacks(l, p);

    if (lack == LACK_TEMPORAL && !l->waiting) {
        l->waiting = true;
        l->waiting_us = p->now_us;
    }
    bool tired = l->waiting && p->now_us - l->waiting_us >= LAYERS_PATIENCE_US;
    if (lack == LACK_KEYFRAME || (lack == LACK_TEMPORAL && tired)) {
        v->keyframe_stream = ask(l, l->current, p->now_us);
    }
    if (lack == LACK_TEMPORAL && tired) {
        l->waiting_us = p->now_us;
    }
}

static void judge(struct layers *l, const struct layers_packet *p, struct layers_verdict *v)
{
    if (!p->late && p->dd) {
        layers_dd_choose(l, p);
    } else if (!p->late) {
        layers_svc_choose(l, p);
    }
    const struct layers_era *era = layers_era_at(l, p->stream, p->ts);
    if (!era && !p->late) { /* its clock was set back: what was selected last goes on */
        l->era[0].ts = p->ts - RESYNC_SLACK;
        era = &l->era[0];
    } else if (p->resync && era == &l->era[0]) {
        l->era[0].ts = p->ts - RESYNC_SLACK;
    }
    if (era && (has(era, p) || (p->dd && layers_dd_was_forwarded(l, p)))) {
        forward(l, era, p, v);
        if (p->dd) {
            layers_dd_forwarded(l, p);
        }
        return;
    }
    skip(l, p, v);
    if (!p->late) {
        ask_for_lack(l, p, v);
    }
}

static void enter(struct layers *l, const struct layers_track *t, const struct layers_packet *p,
                  struct layers_verdict *v)
{
    struct layers_era era = {.stream = p->stream, .ts = p->ts, .decode_target = LAYERS_NO_DD};
    struct layers_packet first = *p; /* as if nothing of the stream had come before */

    leave(l, t);
    l->current = (int8_t)p->stream;
    l->first = layers_key_from(p);
    l->asked = false;
    l->skipped = INT64_MIN;
    era.sid = l->target.sid;
    era.tid = l->target.tid;
    layers_begin_era(l, &era);
    layers_dd_enter(l);
    first.late = false;
    first.new_picture = true;
    judge(l, &first, v);
    v->action = LAYERS_FORWARD;
    v->switched = true;
    v->from_seq = l->first;
}

void layers_input(struct layers *l, const struct layers_track *t, const struct layers_packet *p,
                  struct layers_verdict *v)
{
    *v = (struct layers_verdict){.keyframe_stream = -1};
    if (l->target.paused) {
        return;
    }
    if (p->stream == l->current) {
        if (p->ext_seq >= l->first) {
            judge(l, p, v);
        } else {
            judge_former(l, p, v);
        }
        return;
    }
    int wanted = layers_wanted(l, t);
    if (layers_may_enter(l, t, p, wanted)) {
        enter(l, t, p, v);
    } else if (p->late) {
        judge_former(l, p, v);
    } else if (p->stream == wanted) {
        v->keyframe_stream = ask(l, wanted, p->now_us);
    }
}
