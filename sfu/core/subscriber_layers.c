/* What a subscriber agreed to, and what an allocator knows and decides of his video slots. */
#include <string.h>

#include "sfu/core/publisher.h"
#include "sfu/core/subscriber.h"

/* ---- what was agreed ---- */

static bool is_of_kind(enum codec c, enum sdp_kind kind)
{
    return ((kind == SDP_AUDIO ? SDP_AUDIO_CODECS : SDP_VIDEO_CODECS) & SDP_CODEC(c)) != 0;
}

/* Opus without RED around it: RED is unwrapped for this one. */
static void settle(struct slot *s)
{
    s->rtx = false;
    for (int c = CODEC_NONE; c < CODECS; c++) {
        s->rtx |= s->rtx_ssrc && s->rtx_pt[c];
    }
    s->unwraps_red = s->kind == SDP_AUDIO && !s->pt[CODEC_RED];
    if (s->unwraps_red) {
        s->pt[CODEC_RED] = s->pt[CODEC_OPUS];
    }
}

/* Answers by hand say no codecs: then it is what every answer has. */
static void answer_slot(struct slot *s, const struct sdp_subscribed_slot *a)
{
    uint32_t codecs = a->codecs ? a->codecs : SDP_BASIC_CODECS;
    uint32_t rtx = a->rtx_codecs ? a->rtx_codecs : a->rtx ? codecs : 0;
    s->accepted = a->accepted;
    s->ext = a->ext;
    for (int c = CODEC_NONE; c < CODECS; c++) {
        bool takes = a->accepted && is_of_kind(c, s->kind) && codecs & SDP_CODEC(c);
        s->pt[c] = takes ? sdp_slot_pt(c) : 0;
        s->rtx_pt[c] = takes && s->rtx_ssrc && rtx & SDP_CODEC(c) ? sdp_slot_rtx_pt(c) : 0;
    }
    settle(s);
}

void subscriber_answered(struct subscriber *s, const struct sdp_subscribe *answer)
{
    for (uint32_t i = 0; i < s->n_audio; i++) {
        answer_slot(subscriber_audio(s, i), &answer->audio[i]);
    }
    for (uint32_t i = 0; i < s->n_video; i++) {
        answer_slot(subscriber_video(s, i), &answer->video[i]);
    }
}

static void watch_slot(struct slot *s, const struct sdp_watch_slot *w)
{
    s->accepted = true;
    s->ext = w->ext;
    memcpy(s->pt, w->pt, sizeof s->pt);
    memcpy(s->rtx_pt, w->rtx_pt, sizeof s->rtx_pt);
    memcpy(s->mid, w->mid, sizeof s->mid);
    s->mid_len = (uint8_t)strnlen(s->mid, sizeof s->mid - 1);
    settle(s);
}

void subscriber_watched(struct subscriber *s, const struct sdp_watch *w)
{
    for (uint32_t i = 0; i < s->n_audio && i < w->n_audio; i++) {
        watch_slot(subscriber_audio(s, i), &w->audio[i]);
    }
    for (uint32_t i = 0; i < s->n_video && i < w->n_video; i++) {
        watch_slot(subscriber_video(s, i), &w->video[i]);
    }
}

void subscriber_stamped(struct subscriber *s)
{
    for (uint32_t i = 0; i < s->n_audio + s->n_video; i++) {
        s->slot[i].stamped = true;
    }
}

/* ---- what there is to choose from ---- */

static uint8_t live_mask(const struct meter *m, uint8_t sid)
{
    uint8_t mask = 0;
    for (uint8_t tid = 0; tid < ALLOCATOR_TEMPORAL; tid++) {
        mask |= (uint8_t)(meter_live(m, sid, tid) << tid);
    }
    return mask;
}

static uint8_t more(uint8_t a, uint8_t b)
{
    return a > b ? a : b;
}

/* A stream's temporal layers as they are at spatial index `at` of the allocator's. */
static void fill_layer(const struct track *t, uint8_t rank, uint8_t sid, uint8_t at,
                       struct allocator_slot *out)
{
    const struct meter *m = &t->stream[t->at[rank]].meter;
    uint16_t width;
    track_size(t, rank, sid, &width, &out->height[at]);
    out->n_temporal = more(out->n_temporal, m->n_temporal);
    for (uint8_t tid = 0; tid < ALLOCATOR_TEMPORAL; tid++) {
        out->bps[at][tid] = meter_bps(m, sid, tid);
        out->fps[tid] = more(out->fps[tid], m->fps[tid]);
    }
}

static void fill_simulcast(const struct track *t, struct allocator_slot *out)
{
    uint32_t live = layers_track_live(&t->layers);
    out->n_spatial = t->n_streams;
    for (uint8_t rank = 0; rank < t->n_streams; rank++) {
        const struct meter *m = &t->stream[t->at[rank]].meter;
        fill_layer(t, rank, METER_SPATIAL - 1, rank, out);
        for (uint8_t sid = 0; live >> rank & 1 && sid < METER_SPATIAL; sid++) {
            out->live[rank] |= live_mask(m, sid);
        }
    }
}

static void fill_svc(const struct track *t, struct allocator_slot *out)
{
    const struct meter *m = &t->stream[0].meter;
    out->n_spatial = more(m->n_spatial, 1);
    for (uint8_t sid = 0; sid < out->n_spatial; sid++) {
        fill_layer(t, 0, sid, sid, out);
        out->live[sid] = t->live ? live_mask(m, sid) : 0;
    }
}

static void fill_slot(const struct slot *slot, struct allocator_slot *out)
{
    const struct track *t = slot->track;
    bool taken = slot->codec == CODEC_NONE || slot->pt[slot->codec];
    *out = (struct allocator_slot){.visible = slot->accepted && taken,
                                   .priority = slot->wish.priority,
                                   .max_height = slot->wish.max_height};
    if (!t) {
        return;
    }
    out->source = t->source;
    out->screen = t->sdp.source == SDP_SOURCE_SCREEN;
    if (t->n_streams > 1) {
        fill_simulcast(t, out);
    } else {
        fill_svc(t, out);
    }
    out->n_temporal = more(out->n_temporal, 1);
}

size_t subscriber_layers(const struct subscriber *s, struct allocator_slot *out, int64_t now_us)
{
    (void)now_us;
    for (uint32_t i = 0; i < s->n_video; i++) {
        fill_slot(subscriber_video(s, i), &out[i]);
    }
    return s->n_video;
}

/* ---- what was chosen ---- */

/* The highest layer there is means all: more may come. */
static struct layers_target target_of(const struct slot *slot, const struct allocator_choice *c)
{
    struct layers_target target = {.sid = LAYERS_ALL, .tid = c->tid};
    const struct track *t = slot->track;
    uint8_t n_temporal = 0;
    for (uint8_t i = 0; i < t->n_streams; i++) {
        n_temporal = more(n_temporal, t->stream[i].meter.n_temporal);
    }
    if (c->tid + 1 >= n_temporal) {
        target.tid = LAYERS_ALL;
    }
    if (t->n_streams > 1) {
        target.stream = c->sid;
    } else if (c->sid + 1 < t->stream[0].meter.n_spatial) {
        target.sid = c->sid;
    }
    return target;
}

static bool lacks_room(enum allocator_state state)
{
    return state == ALLOCATOR_BANDWIDTH || state == ALLOCATOR_OVERLOAD;
}

static void note_pause(struct slot *slot, const struct allocator_choice *choice, bool paused)
{
    if (paused != slot->paused || (paused && choice->state != slot->state)) {
        slot->subscriber->slots_changed = true;
    }
    if (lacks_room(choice->state) || !paused) {
        counters_pause(&slot->counters, paused);
    }
    slot->paused = paused;
    slot->state = choice->state;
}

/* A source that is silent isn't paused: its first keyframe is to be seen, in its lowest layer. */
static void apply_one(struct slot *slot, const struct allocator_choice *choice, int64_t now_us)
{
    static const struct allocator_choice lowest = {.state = ALLOCATOR_SENT};
    struct layers_target target = {.paused = true};
    bool silent = choice->state == ALLOCATOR_NO_LAYER;
    bool paused = choice->state != ALLOCATOR_SENT && !silent;
    if (paused != slot->paused || slot->state != choice->state) {
        note_pause(slot, choice, paused);
    }
    if (!paused && slot->track) {
        target = target_of(slot, silent ? &lowest : choice);
    }
    slot_aim(slot, &target, now_us);
}

void subscriber_apply(struct subscriber *s, const struct allocator_choice *choice, int64_t now_us)
{
    s->decided = true;
    for (uint32_t i = 0; i < s->n_video; i++) {
        apply_one(subscriber_video(s, i), &choice[i], now_us);
    }
}
