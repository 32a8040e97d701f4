/* The layer selector by the dependency descriptor (AV1 RTP specification appendix A). */
#include <string.h>

#include "sfu/core/layers_private.h"

static uint32_t bit(unsigned n)
{
    return UINT32_C(1) << (n & 31);
}

static unsigned n_targets(const struct layers_packet *p)
{
    unsigned n =
        p->dd->n_targets < p->structure->n_targets ? p->dd->n_targets : p->structure->n_targets;
    return n < DD_MAX_TARGETS ? n : DD_MAX_TARGETS;
}

static bool is_better(const struct dd_structure *s, unsigned a, unsigned b)
{
    return s->target_sid[a] != s->target_sid[b] ? s->target_sid[a] > s->target_sid[b]
                                                : s->target_tid[a] > s->target_tid[b];
}

/* The best of a set, or LAYERS_NO_DD of none. */
static unsigned best_of(const struct layers_packet *p, uint32_t set)
{
    unsigned best = LAYERS_NO_DD;

    for (unsigned t = 0; t < n_targets(p); t++) {
        if (set & bit(t) && (best == LAYERS_NO_DD || is_better(p->structure, t, best))) {
            best = t;
        }
    }
    return best;
}

/* Targets within what is wanted and active; when there are none such, within what is wanted; when
 * there are none either, the lowest. */
static uint32_t wanted_targets(const struct layers *l, const struct layers_packet *p)
{
    uint32_t within = dd_targets_within(p->structure, l->target.sid, l->target.tid);
    unsigned lowest = 0;

    if (within & p->dd->active_targets) {
        return within & p->dd->active_targets;
    }
    for (unsigned t = 1; t < n_targets(p); t++) {
        lowest = is_better(p->structure, lowest, t) ? t : lowest;
    }
    return within ? within : bit(lowest);
}

/* ---- what was forwarded ---- */

static bool was_forwarded(const struct layers *l, int64_t frame_id)
{
    uint64_t at = (uint64_t)frame_id % LAYERS_FRAMES;
    return frame_id > l->frame_id - LAYERS_FRAMES && frame_id <= l->frame_id &&
           l->forwarded[at / 64] >> at % 64 & 1;
}

static void advance(struct layers *l, int64_t frame_id)
{
    if (frame_id - l->frame_id >= LAYERS_FRAMES) {
        memset(l->forwarded, 0, sizeof l->forwarded);
    } else {
        for (int64_t id = l->frame_id + 1; id <= frame_id; id++) {
            uint64_t at = (uint64_t)id % LAYERS_FRAMES;
            l->forwarded[at / 64] &= ~(UINT64_C(1) << at % 64);
        }
    }
    l->frame_id = frame_id;
}

void layers_dd_forwarded(struct layers *l, const struct layers_packet *p)
{
    int64_t id = p->dd->frame_id;
    uint64_t at = (uint64_t)id % LAYERS_FRAMES;

    if (id > l->frame_id - LAYERS_FRAMES && id <= l->frame_id) {
        l->forwarded[at / 64] |= UINT64_C(1) << at % 64;
    }
}

bool layers_dd_was_forwarded(const struct layers *l, const struct layers_packet *p)
{
    return was_forwarded(l, p->dd->frame_id);
}

static bool refers_to_forwarded(const struct layers *l, const struct dd_frame *f)
{
    for (unsigned i = 0; i < f->n_fdiffs && i < DD_MAX_FDIFFS; i++) {
        if (!was_forwarded(l, f->frame_id - f->fdiff[i])) {
            return false;
        }
    }
    return true;
}

/* ---- choosing ---- */

/* Targets that can be taken up at this frame. */
static uint32_t reachable(const struct layers *l, const struct layers_packet *p, bool decodable)
{
    uint32_t set = p->new_picture ? l->complete : 0;

    for (unsigned t = 0; decodable && t < n_targets(p); t++) {
        bool up = p->structure->target_sid[t] > l->era[0].sid;
        if (p->dd->indication[t] == DD_SWITCH && (p->new_picture || up)) {
            set |= bit(t);
        }
    }
    return set;
}

static unsigned choose_target(const struct layers *l, const struct layers_packet *p, bool decodable)
{
    unsigned current = l->era[0].decode_target;
    uint32_t wanted = wanted_targets(l, p), can = reachable(l, p, decodable) & wanted;

    if (current < n_targets(p)) {
        can |= wanted & bit(current);
    }
    unsigned best = best_of(p, can);
    if (best != LAYERS_NO_DD) {
        return best;
    }
    return current < n_targets(p) || !p->dd->keyframe ? current : best_of(p, wanted);
}

/* What the frame, which is new and will (not) be forwarded, means for each target. */
static void note_complete(struct layers *l, const struct layers_packet *p, bool decodable)
{
    bool sent = layers_dd_has(&l->era[0], p);

    for (unsigned t = 0; t < n_targets(p); t++) {
        uint8_t i = p->dd->indication[t];
        if (sent && i == DD_SWITCH && decodable) {
            l->complete |= bit(t);
        } else if (!sent && (i == DD_SWITCH || i == DD_REQUIRED)) {
            l->complete &= ~bit(t);
        }
    }
}

static void take_up(struct layers *l, const struct layers_packet *p, unsigned t)
{
    struct layers_era next = l->era[0];

    next.decode_target = (uint8_t)t;
    next.sid = p->structure->target_sid[t];
    next.tid = p->structure->target_tid[t];
    next.targets = dd_targets_within(p->structure, next.sid, next.tid);
    next.ts = p->ts;
    layers_begin_era(l, &next);
}

void layers_dd_enter(struct layers *l)
{
    l->frame_id = 0;
    l->complete = 0;
    l->reduced = false;
    memset(l->forwarded, 0, sizeof l->forwarded);
}

void layers_dd_choose(struct layers *l, const struct layers_packet *p)
{
    const struct dd_frame *f = p->dd;

    if (f->frame_id <= l->frame_id) { /* another packet of the same frame */
        return;
    }
    if (f->keyframe) { /* maybe with another structure, whose targets are others */
        struct layers_era next = l->era[0];
        layers_dd_enter(l);
        next.decode_target = LAYERS_NO_DD;
        next.ts = p->ts;
        layers_begin_era(l, &next);
    } else if (f->frame_id != l->frame_id + 1 && p->before + 1 != p->ext_seq) {
        /* What is missing may have been theirs. Frame numbers alone don't tell: Chromium counts
         * them over all streams of a simulcast. */
        l->complete &= l->era[0].decode_target < DD_MAX_TARGETS ? bit(l->era[0].decode_target) : 0;
    }
    advance(l, f->frame_id);
    bool decodable = refers_to_forwarded(l, f);
    unsigned t = choose_target(l, p, decodable);
    if (t < n_targets(p) && t != l->era[0].decode_target) {
        take_up(l, p, t);
    }
    note_complete(l, p, decodable);
}

bool layers_dd_has(const struct layers_era *era, const struct layers_packet *p)
{
    if (era->decode_target < n_targets(p)) {
        return p->dd->indication[era->decode_target] != DD_NOT_PRESENT;
    }
    return p->dd->sid <= era->sid && p->dd->tid <= era->tid;
}

enum layers_lack layers_dd_lacks(const struct layers *l, const struct layers_packet *p)
{
    unsigned best = best_of(p, wanted_targets(l, p));

    if (best == LAYERS_NO_DD || p->dd->indication[best] == DD_NOT_PRESENT) {
        return LACK_NOTHING;
    }
    return p->structure->target_sid[best] != l->era[0].sid ? LACK_KEYFRAME : LACK_TEMPORAL;
}
