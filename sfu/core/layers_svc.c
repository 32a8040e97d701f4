/* The layer selector by the codec's own descriptor: spatial and temporal ids, and the marks for
 * switching up. A packet without any (cipher text) counts as the lowest layer. */
#include "sfu/core/layers_private.h"

static const struct codec_info *info_of(const struct layers_packet *p)
{
    static const struct codec_info none;
    return p->info ? p->info : &none;
}

static uint8_t least(uint8_t a, uint8_t b)
{
    return a < b ? a : b;
}

/* One layer up, where this packet's frame allows it and nothing of the frame was left out yet. */
static void step_up(const struct layers *l, struct layers_era *next, const struct layers_packet *p,
                    const struct codec_info *info)
{
    const struct layers_target *target = &l->target;
    bool begun = l->skipped != INT64_MIN && l->skipped_ts == p->ts && l->skipped_sid == info->sid;

    if (p->new_picture && info->up_switch && info->tid == next->tid + 1 &&
        info->tid <= target->tid) {
        next->tid = info->tid;
    }
    if (info->sid == next->sid + 1 && info->sid <= target->sid && info->tid <= next->tid &&
        !info->inter_picture && !begun) {
        next->sid = info->sid;
    }
}

void layers_svc_choose(struct layers *l, const struct layers_packet *p)
{
    const struct codec_info *info = info_of(p);
    struct layers_era next = l->era[0];

    if (next.decode_target != LAYERS_NO_DD) { /* of a described stream, whose descriptor is lost */
        return;
    }
    if (p->new_picture && layers_is_key(p)) {
        next.sid = l->target.sid;
        next.tid = l->target.tid;
    } else {
        if (p->new_picture) {
            next.sid = least(next.sid, l->target.sid);
            next.tid = least(next.tid, l->target.tid);
        }
        step_up(l, &next, p, info);
    }
    if (next.sid != l->era[0].sid || next.tid != l->era[0].tid) {
        next.ts = p->ts;
        layers_begin_era(l, &next);
    }
}

bool layers_svc_has(const struct layers_era *era, const struct layers_packet *p)
{
    const struct codec_info *info = info_of(p);
    return info->sid <= era->sid && info->tid <= era->tid;
}

enum layers_lack layers_svc_lacks(const struct layers *l, const struct layers_packet *p)
{
    const struct codec_info *info = info_of(p);

    if (info->sid > l->target.sid || info->tid > l->target.tid) {
        return LACK_NOTHING;
    }
    return info->sid > l->era[0].sid ? LACK_KEYFRAME : LACK_TEMPORAL;
}
