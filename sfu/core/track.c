#include "sfu/core/track_private.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "sfu/core/publisher.h"
#include "sfu/core/slot.h"

/* ---- lives ---- */

uint8_t track_streams(const struct sdp_track *sdp)
{
    size_t n = sdp->n_layers < TRACK_STREAMS ? sdp->n_layers : TRACK_STREAMS;
    return sdp->kind == SDP_VIDEO && n > 1 ? (uint8_t)n : 1;
}

/* A description by its first members alone: of a relay link, or by hand. */
static void complete(struct sdp_track *sdp)
{
    if (sdp->n_codecs == 0) {
        sdp->codec[sdp->n_codecs++] = (struct sdp_agreed){
            .codec = sdp->kind == SDP_AUDIO ? CODEC_OPUS : CODEC_VP8,
            .pt = sdp->pt,
            .rtx_pt = sdp->rtx_pt,
        };
    }
}

void track_describe(struct track *t, const struct sdp_track *sdp)
{
    t->sdp = *sdp;
    complete(&t->sdp);
    memset(t->agreed_of, 0, sizeof t->agreed_of);
    for (size_t i = t->sdp.n_codecs; i-- > 0;) { /* the first of a number counts */
        const struct sdp_agreed *a = &t->sdp.codec[i];
        if (a->rtx_pt) {
            t->agreed_of[a->rtx_pt & 127] = (uint8_t)(i + 1);
        }
        t->agreed_of[a->pt & 127] = (uint8_t)(i + 1);
    }
}

static bool stream_init(struct track_stream *s, const struct sdp_track *sdp, size_t i,
                        int64_t cache_us)
{
    uint32_t ssrc = i < sdp->n_layers && sdp->layer[i].ssrc ? sdp->layer[i].ssrc : 0;
    rtp_stats_init(&s->stats, ssrc ? ssrc : i == 0 ? sdp->ssrc : 0, sdp->clock_rate);
    counters_init(&s->counters);
    if (sdp->kind != SDP_VIDEO) {
        return true;
    }
    s->cache = rtx_cache_new(TRACK_CACHE_PACKETS, cache_us);
    if (sdp->ext.id[RTP_EXT_DEPENDENCY_DESCRIPTOR]) {
        s->dd = calloc(1, sizeof *s->dd);
        return s->cache && s->dd;
    }
    return s->cache != NULL;
}

struct track *track_new(struct publisher *p, const struct sdp_track *sdp, uint32_t source,
                        int64_t cache_us)
{
    uint8_t n = track_streams(sdp);
    struct track *t = calloc(1, sizeof *t + n * sizeof t->stream[0]);
    if (!t) {
        return NULL;
    }
    t->publisher = p;
    t->source = source;
    t->n_streams = n;
    track_describe(t, sdp);
    for (uint8_t i = 0; i < TRACK_STREAMS; i++) {
        t->rank[i] = t->at[i] = i;
    }
    for (uint8_t i = 0; i < n; i++) {
        if (!stream_init(&t->stream[i], sdp, i, cache_us)) {
            track_free(t);
            return NULL;
        }
    }
    return t;
}

void track_free(struct track *t)
{
    for (uint8_t i = 0; t && i < t->n_streams; i++) {
        rtx_cache_free(t->stream[i].cache);
        free(t->stream[i].dd);
    }
    if (t) {
        free(t->feeds);
    }
    free(t);
}

int track_feed(struct track *t, struct slot *s)
{
    if (t->n_feeds == t->cap_feeds) {
        uint32_t cap = t->cap_feeds ? 2 * t->cap_feeds : 4;
        struct slot **more = realloc(t->feeds, cap * sizeof *more);
        if (!more) {
            return ERR_NOMEM;
        }
        t->feeds = more;
        t->cap_feeds = cap;
    }
    s->feed = t->n_feeds;
    t->feeds[t->n_feeds++] = s;
    return OK;
}

void track_unfeed(struct track *t, struct slot *s)
{
    struct slot *last = t->feeds[--t->n_feeds];
    t->feeds[s->feed] = last;
    last->feed = s->feed;
}

static void restart_feeds(struct track *t)
{
    for (uint32_t i = 0; i < t->n_feeds; i++) {
        slot_restart(t->feeds[i]);
    }
}

void track_restart_stream(struct track *t, uint8_t stream, uint32_t ssrc, uint16_t seq)
{
    struct track_stream *s = &t->stream[stream];
    uint32_t clock_rate = s->stats.clock_rate;
    /* Never behind what was sent, and right before what comes. */
    s->unwrap.highest = (((s->unwrap.highest >> 16) + 2) * 65536 + seq) - 1;
    rtp_stats_init(&s->stats, ssrc, clock_rate);
    s->sr = (struct sr_source){0};
    if (s->dd) {
        *s->dd = (struct dd_state){0};
    }
    restart_feeds(t);
}

/* ---- sizes ---- */

static uint32_t area(const struct track_stream *s)
{
    return (uint32_t)s->width * s->height;
}

/* Of two streams whose sizes are known the smaller one is first; the others stay where they are. */
static bool sort_streams(struct track *t)
{
    bool moved = false;
    for (unsigned round = 1; round < t->n_streams; round++) {
        for (unsigned i = 1; i < t->n_streams; i++) {
            uint32_t a = area(&t->stream[t->at[i - 1]]), b = area(&t->stream[t->at[i]]);
            if (a && b && a > b) {
                uint8_t swap = t->at[i];
                t->at[i] = t->at[i - 1];
                t->at[i - 1] = swap;
                moved = true;
            }
        }
    }
    for (uint8_t i = 0; i < t->n_streams; i++) {
        t->rank[t->at[i]] = i;
    }
    return moved;
}

/* Slots chose by ranks that are others now. */
static void rank_streams(struct track *t)
{
    struct layers_stream was[TRACK_STREAMS];
    uint8_t at[TRACK_STREAMS];
    memcpy(was, t->layers.stream, sizeof was);
    memcpy(at, t->at, sizeof at);
    if (t->n_streams > 1 && sort_streams(t)) {
        for (uint8_t i = 0; i < t->n_streams; i++) {
            t->layers.stream[t->rank[at[i]]] = was[i];
        }
        restart_feeds(t);
    }
}

void track_resize(struct track *t, struct track_stream *s, uint16_t width, uint16_t height)
{
    s->width = width;
    s->height = height;
    rank_streams(t);
    const struct track_stream *largest = s;
    for (uint8_t i = 0; i < t->n_streams; i++) {
        largest = area(&t->stream[i]) > area(largest) ? &t->stream[i] : largest;
    }
    t->width = largest->width;
    t->height = largest->height;
}

void track_size(const struct track *t, unsigned rank, uint8_t sid, uint16_t *width,
                uint16_t *height)
{
    const struct track_stream *s = &t->stream[t->at[rank < t->n_streams ? rank : 0]];
    unsigned top = s->meter.n_spatial ? s->meter.n_spatial - 1u : 0;
    *width = s->width;
    *height = s->height;
    if (sid >= top) {
        return;
    }
    bool told = s->layer_height[sid] != 0;
    *width = told ? s->layer_width[sid] : (uint16_t)(s->width >> (top - sid));
    *height = told ? s->layer_height[sid] : (uint16_t)(s->height >> (top - sid));
}

struct layers_target track_fit(const struct track *t, uint32_t max_height)
{
    struct layers_target fit = {.sid = LAYERS_ALL, .tid = LAYERS_ALL};
    uint8_t n_spatial = t->stream[0].meter.n_spatial;
    uint16_t width, height;
    fit.stream = (uint8_t)(t->n_streams - 1);
    if (max_height == 0) {
        return fit;
    }
    for (uint8_t rank = 0; rank + 1 < t->n_streams; rank++) {
        track_size(t, rank, LAYERS_ALL, &width, &height);
        if (height >= max_height) {
            fit.stream = rank;
            return fit;
        }
    }
    for (uint8_t sid = 0; t->n_streams == 1 && sid + 1 < n_spatial; sid++) {
        track_size(t, 0, sid, &width, &height);
        if (height >= max_height) {
            fit.sid = sid;
            return fit;
        }
    }
    return fit;
}

/* ---- time ---- */

bool track_tick(struct track *t, int64_t now_us)
{
    if (t->sdp.kind != SDP_VIDEO) {
        return false;
    }
    for (uint8_t i = 0; i < t->n_streams; i++) {
        rtx_cache_expire(t->stream[i].cache, now_us);
        meter_tick(&t->stream[i].meter, now_us);
    }
    if (t->live && now_us - t->last_us > TRACK_SILENT_US) {
        t->live = false;
        return true;
    }
    return false;
}

/* ---- keyframes ---- */

void track_request_stream(struct track *t, unsigned rank, int64_t now_us)
{
    if (t->sdp.kind == SDP_VIDEO && rank < t->n_streams) {
        pli_request(&t->stream[t->at[rank]].pli, now_us);
    }
}

void track_request_keyframe(struct track *t, int64_t now_us)
{
    uint32_t live = layers_track_live(&t->layers);
    for (unsigned rank = 0; rank < t->n_streams; rank++) {
        if (!live || live >> rank & 1) {
            track_request_stream(t, rank, now_us);
        }
    }
}

bool track_is_watched(const struct track *t, uint8_t stream)
{
    if (t->n_streams == 1 || t->stream[stream].relays) {
        return t->n_feeds > 0 || t->stream[stream].relays;
    }
    for (uint32_t i = 0; i < t->n_feeds; i++) {
        const struct slot *slot = t->feeds[i];
        int wanted = layers_wanted(&slot->layers, &t->layers);
        if (slot->layers.current == t->rank[stream] || wanted == t->rank[stream] ||
            (wanted < 0 && !slot->layers.target.paused)) {
            return true;
        }
    }
    return false;
}

/* ---- counters ---- */

void track_counters(const struct track *t, uint8_t stream, struct counters *out)
{
    const struct track_stream *s = &t->stream[stream];
    *out = s->counters;
    out->n[COUNTER_PACKETS] = s->stats.packets;
    out->n[COUNTER_BYTES] = s->stats.bytes;
    out->n[COUNTER_LOST] = s->stats.started ? (uint64_t)rtp_stats_lost(&s->stats) : 0;
    out->n[COUNTER_NACKS] = s->nack.asked;
    out->n[COUNTER_PLIS] = s->pli.sent;
    out->n[COUNTER_DROPPED] += s->stats.duplicates_or_late;
    out->jitter_us = s->stats.started ? rtp_stats_jitter_us(&s->stats) : COUNTERS_NONE;
    out->paused = !t->live;
    out->last_us = t->last_us;
    if (t->sdp.kind == SDP_VIDEO) {
        out->estimate_bps = meter_bps(&s->meter, METER_SPATIAL - 1, METER_TEMPORAL - 1);
    }
}

void track_sum(const struct track *t, struct counters *out)
{
    struct counters one;
    track_counters(t, 0, out);
    for (uint8_t i = 1; i < t->n_streams; i++) {
        track_counters(t, i, &one);
        counters_merge(out, &one);
        out->jitter_us = one.jitter_us > out->jitter_us ? one.jitter_us : out->jitter_us;
        out->estimate_bps += one.estimate_bps;
    }
}

size_t track_cached(const struct track *t)
{
    size_t n = 0;
    for (uint8_t i = 0; i < t->n_streams; i++) {
        n += t->stream[i].cache ? rtx_cache_count(t->stream[i].cache) : 0;
    }
    return n;
}
