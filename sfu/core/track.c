#include "sfu/core/track.h"

#include <stdlib.h>
#include <string.h>

#include "sfu/core/publisher.h"

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

static uint64_t *window_word(struct track *t, int64_t ext_seq, uint64_t *bit)
{
    uint64_t at = (uint64_t)ext_seq % TRACK_WINDOW;
    *bit = UINT64_C(1) << (at % 64);
    return &t->seen[at / 64];
}

/* Each number goes on at most once, however often and by whatever stream it comes: a second packet
 * of the same number would leave under a nonce already used (RFC 7714 section 5). False for what
 * came before or is older than the window. `before` is the highest number until now. */
static bool is_fresh(struct track *t, int64_t ext_seq, int64_t before)
{
    uint64_t bit;
    uint64_t *word;
    if (ext_seq <= before - TRACK_WINDOW) {
        return false;
    }
    if (ext_seq - before >= TRACK_WINDOW) {
        memset(t->seen, 0, sizeof t->seen);
    } else {
        for (int64_t n = before + 1; n <= ext_seq; n++) { /* these places held older numbers */
            word = window_word(t, n, &bit);
            *word &= ~bit;
        }
    }
    word = window_word(t, ext_seq, &bit);
    bool fresh = !(*word & bit);
    *word |= bit;
    return fresh;
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

/* What all slots write of it alike is looked up once. */
static void prepare(const struct track *t, struct packet *k)
{
    const uint8_t *data = packet_data(k);
    k->csrc = t->publisher->number;
    for (size_t i = 0; i < PACKET_PASSED; i++) {
        size_t len = 0;
        const uint8_t *value =
            rtp_ext_find(&k->header, data, t->publisher->ext.id[packet_passed_kind[i]], &len);
        k->passed[i] = (struct packet_ext){0};
        if (value) {
            k->passed[i] = (struct packet_ext){(uint16_t)(value - data), (uint8_t)len};
        }
    }
}

enum track_verdict track_input(struct track *t, struct packet *k, bool retransmitted, bool *woke)
{
    int64_t now_us = k->arrival_us;
    *woke = false;
    k->vp8 = (struct vp8_descriptor){0};
    int64_t before = t->unwrap.started ? t->unwrap.highest : INT64_MIN / 2;
    k->ext_seq = rtp_unwrap_seq(&t->unwrap, k->header.seq);
    if (!is_fresh(t, k->ext_seq, before)) {
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
    prepare(t, k);
    *woke = !t->live;
    t->live = true;
    if (t->sdp.kind == SDP_VIDEO) {
        bool resized = note_picture(t, k);
        if (*woke) {
            pli_wake(&t->pli, now_us);
        }
        *woke |= resized;
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
