#include "sfu/core/track.h"

#include <stdlib.h>

struct track *track_new(struct publisher *p, const struct sdp_track *sdp, uint32_t source,
                        int64_t cache_us)
{
    struct track *t = calloc(1, sizeof *t);
    if (!t) {
        return NULL;
    }
    t->publisher = p;
    t->sdp = *sdp;
    t->source = source;
    rtp_stats_init(&t->stats, sdp->ssrc, sdp->clock_rate);
    if (sdp->kind == SDP_VIDEO) {
        t->cache = rtx_cache_new(TRACK_CACHE_PACKETS, cache_us);
        if (!t->cache) {
            free(t);
            return NULL;
        }
    }
    return t;
}

void track_free(struct track *t)
{
    if (t) {
        rtx_cache_free(t->cache);
        free(t);
    }
}

static bool is_old(const struct track *t, const struct packet *k)
{
    return t->cache && (k->ext_seq + TRACK_CACHE_PACKETS <= t->unwrap.highest ||
                        rtx_cache_get(t->cache, k->ext_seq, k->arrival_us) != NULL);
}

static bool note_picture(struct track *t, struct packet *k)
{
    if (vp8_parse(&k->vp8, packet_data(k) + k->header.payload_off, k->header.payload_len) != 0) {
        k->vp8 = (struct vp8_descriptor){0};
        return false;
    }
    if (!k->vp8.keyframe) {
        return false;
    }
    pli_keyframe(&t->pli, k->arrival_us);
    nack_keyframe(&t->nack, k->ext_seq);
    bool resized = k->vp8.width && (k->vp8.width != t->width || k->vp8.height != t->height);
    if (resized) {
        t->width = k->vp8.width;
        t->height = k->vp8.height;
    }
    return resized;
}

enum track_verdict track_input(struct track *t, struct packet *k, bool retransmitted, bool *woke)
{
    int64_t now_us = k->arrival_us;
    *woke = false;
    k->vp8 = (struct vp8_descriptor){0};
    k->ext_seq = rtp_unwrap_seq(&t->unwrap, k->header.seq);
    if (is_old(t, k)) {
        t->stats.duplicates_or_late++;
        return TRACK_DROP;
    }
    if (retransmitted) {
        t->rtx_packets++;
    } else {
        rtp_stats_input(&t->stats, k->ext_seq, k->header.ts, k->header.payload_len, now_us);
    }
    if (t->sdp.nack) {
        nack_received(&t->nack, k->ext_seq, now_us);
    }
    t->last_us = now_us;
    if (k->header.payload_len == 0) {
        return TRACK_PADDING;
    }
    *woke = !t->live;
    t->live = true;
    if (t->sdp.kind == SDP_VIDEO) {
        *woke |= note_picture(t, k);
        rtx_cache_put(t->cache, k);
        if (t->nack.keyframe_wanted) {
            t->nack.keyframe_wanted = false;
            track_request_keyframe(t, now_us);
        }
    }
    return TRACK_FORWARD;
}

bool track_tick(struct track *t, int64_t now_us)
{
    if (t->cache) {
        rtx_cache_expire(t->cache, now_us);
    }
    if (t->live && now_us - t->last_us > TRACK_SILENT_US) {
        t->live = false;
        return true;
    }
    return false;
}

void track_request_keyframe(struct track *t, int64_t now_us)
{
    if (t->sdp.kind == SDP_VIDEO) {
        pli_request(&t->pli, now_us);
    }
}
