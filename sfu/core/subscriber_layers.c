/* Between a subscriber's video slots and the allocator. */
#include "sfu/core/publisher.h"
#include "sfu/core/subscriber.h"

size_t subscriber_layers(const struct subscriber *s, struct allocator_slot *out, int64_t now_us)
{
    (void)now_us;
    for (uint32_t i = 0; i < s->n_video; i++) {
        const struct slot *slot = subscriber_video(s, i);
        const struct track *t = slot->track;
        out[i] = (struct allocator_slot){.visible = slot->accepted,
                                         .priority = slot->wish.priority,
                                         .max_height = slot->wish.max_height};
        if (t) {
            out[i].source = t->source;
            out[i].screen = t->sdp.source == SDP_SOURCE_SCREEN;
            out[i].n_spatial = out[i].n_temporal = 1;
            out[i].live[0] = t->live;
            out[i].height[0] = t->height;
        }
    }
    return s->n_video;
}

static void apply_one(struct slot *slot, const struct allocator_choice *choice, int64_t now_us)
{
    bool paused = choice->state != ALLOCATOR_SENT;
    slot->state = choice->state;
    if (paused == slot->paused) {
        return;
    }
    slot->paused = paused;
    slot->subscriber->slots_changed = true;
    if (paused) {
        rewriter_detach(&slot->rewriter);
    } else if (slot->track) {
        slot->waiting = true;
        track_request_keyframe(slot->track, now_us);
    }
}

void subscriber_apply(struct subscriber *s, const struct allocator_choice *choice, int64_t now_us)
{
    for (uint32_t i = 0; i < s->n_video; i++) {
        apply_one(subscriber_video(s, i), &choice[i], now_us);
    }
}

void subscriber_watched(struct subscriber *s, const struct sdp_watch *w)
{
    for (uint32_t i = 0; i < s->n_audio + s->n_video; i++) {
        bool audio = i < s->n_audio;
        size_t at = audio ? i : i - s->n_audio;
        const struct sdp_watch_slot *a = audio ? &w->audio[at] : &w->video[at];
        s->slot[i].accepted = at < (audio ? w->n_audio : w->n_video);
        s->slot[i].rtx = !audio && a->rtx_pt[CODEC_VP8] != 0;
        s->slot[i].ext = a->ext;
    }
}

void subscriber_stamped(struct subscriber *s)
{
    for (uint32_t i = 0; i < s->n_audio + s->n_video; i++) {
        s->slot[i].stamped = true;
    }
}
