/* The layer selector: which simulcast streams live, which one is to be shown, and where a stay on
 * one may begin. */
#include "sfu/core/layers_private.h"
#include "sfu/core/rewriter.h"

static void note_others(struct layers_track *t, const struct layers_packet *p)
{
    for (uint8_t i = 0; i < LAYERS_STREAMS; i++) {
        struct layers_stream *s = &t->stream[i];
        if (i == p->stream || !s->live) {
            continue;
        }
        s->others++;
        if (s->others >= LAYERS_SILENT_PICTURES && p->now_us - s->last_us >= LAYERS_SILENT_US) {
            s->live = false;
        }
    }
}

static bool needs_resync(struct layers_stream *s, uint32_t ts)
{
    int32_t since = s->seen ? (int32_t)(ts - s->synced_ts) : 0;
    bool needs = since < 0 || since > LAYERS_RESYNC;

    if (needs || !s->seen) {
        s->synced_ts = ts;
    }
    return needs;
}

void layers_track_input(struct layers_track *t, struct layers_packet *p)
{
    struct layers_stream *s = &t->stream[p->stream];

    p->before = s->seen ? s->highest : p->ext_seq - 1;
    p->late = p->ext_seq <= p->before;
    p->new_picture = !p->late && (!s->seen || p->ts != s->ts);
    p->resync = p->new_picture && needs_resync(s, p->ts);
    if (p->new_picture) {
        s->ts = p->ts;
        s->picture_from = p->before + 1;
        note_others(t, p);
    }
    if (!p->late) {
        s->highest = p->ext_seq;
    } else if (p->ts != s->ts && p->ext_seq >= s->picture_from) { /* of the picture before it */
        s->picture_from = p->ext_seq + 1;
    }
    bool same = p->ts == s->ts && s->picture_from < p->ext_seq;
    p->from_seq = same ? s->picture_from : p->ext_seq;
    s->seen = s->live = true;
    s->last_us = p->now_us;
    s->others = 0;
}

uint32_t layers_track_live(const struct layers_track *t)
{
    uint32_t live = 0;

    for (uint32_t i = 0; i < LAYERS_STREAMS; i++) {
        live |= t->stream[i].live ? 1u << i : 0;
    }
    return live;
}

int layers_wanted(const struct layers *l, const struct layers_track *t)
{
    if (l->target.paused) {
        return -1;
    }
    for (int i = l->target.stream; i >= 0; i--) {
        if (t->stream[i].live) {
            return i;
        }
    }
    for (int i = l->target.stream + 1; i < LAYERS_STREAMS; i++) {
        if (t->stream[i].live) {
            return i;
        }
    }
    return -1;
}

bool layers_is_key(const struct layers_packet *p)
{
    if (p->dd) {
        return p->dd->keyframe && p->dd->first_in_frame;
    }
    return p->info && p->info->keyframe && p->info->sid == 0;
}

int64_t layers_key_from(const struct layers_packet *p)
{
    /* H.264 and AV1 without a descriptor don't tell where a picture begins, only where it may. */
    bool told = p->codec == CODEC_VP8 || p->codec == CODEC_VP9;
    bool starts = p->dd ? p->dd->first_in_frame : told && p->info->frame_start;

    return starts ? p->ext_seq : p->from_seq;
}

bool layers_may_enter(const struct layers *l, const struct layers_track *t,
                      const struct layers_packet *p, int wanted)
{
    if (!layers_is_key(p) || p->ext_seq <= l->left[p->stream] ||
        t->stream[p->stream].highest - p->ext_seq > LAYERS_LATE_KEY ||
        p->ext_seq - layers_key_from(p) > REWRITER_MAX_LEAD) {
        return false;
    }
    if (p->stream == wanted) {
        return true;
    }
    /* Better a smaller picture than none. */
    bool nothing = l->current < 0 || !t->stream[l->current].live;
    return nothing && p->stream <= l->target.stream;
}
