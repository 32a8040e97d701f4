#include "sfu/core/publisher.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"

/* ---- tracks ---- */

static void forget_stream(struct publisher *p, size_t i)
{
    memmove(&p->stream[i], &p->stream[i + 1], (--p->n_streams - i) * sizeof p->stream[0]);
}

static void forget_streams(struct publisher *p, const struct track *t)
{
    for (size_t i = p->n_streams; i-- > 0;) {
        if (p->stream[i].track == t) {
            forget_stream(p, i);
        }
    }
}

/* It takes the place of what was known as the same stream, when there is such. */
static void add_stream(struct publisher *p, const struct publisher_stream *s)
{
    for (size_t i = p->n_streams; i-- > 0;) {
        const struct publisher_stream *was = &p->stream[i];
        if (was->track == s->track && was->at == s->at && was->rtx == s->rtx) {
            forget_stream(p, i);
        }
    }
    if (p->n_streams == PUBLISHER_MAX_STREAMS) {
        forget_stream(p, 0);
    }
    p->stream[p->n_streams++] = *s;
}

static void learn_ssrcs(struct publisher *p, struct track *t, uint8_t at, uint32_t ssrc,
                        uint32_t rtx_ssrc)
{
    if (ssrc) {
        add_stream(p, &(struct publisher_stream){.ssrc = ssrc, .track = t, .at = at});
    }
    if (rtx_ssrc) {
        add_stream(p,
                   &(struct publisher_stream){.ssrc = rtx_ssrc, .rtx = true, .track = t, .at = at});
    }
}

static void learn_track(struct publisher *p, struct track *t)
{
    if (t->n_streams == 1) {
        learn_ssrcs(p, t, 0, t->sdp.ssrc, t->sdp.rtx_ssrc);
        return;
    }
    for (uint8_t i = 0; i < t->n_streams; i++) {
        learn_ssrcs(p, t, i, t->sdp.layer[i].ssrc, t->sdp.layer[i].rtx_ssrc);
    }
}

static void merge_extensions(struct publisher *p)
{
    p->ext = (struct rtp_ext_map){0};
    for (size_t i = 0; i < p->n_tracks; i++) {
        for (int kind = 0; kind < RTP_EXT_KINDS; kind++) {
            if (!p->ext.id[kind]) {
                p->ext.id[kind] = p->track[i]->sdp.ext.id[kind];
            }
        }
    }
}

struct publisher *publisher_new(struct room *room, uint32_t number, const struct sdp_publish *sdp,
                                uint32_t source_base, uint32_t random, int64_t cache_us)
{
    struct publisher *p = calloc(1, sizeof *p);
    if (!p) {
        return NULL;
    }
    p->room = room;
    p->number = number;
    p->ssrc = random ? random : 1;
    p->cache_us = cache_us;
    p->remb_bps = PUBLISHER_REMB_BPS;
    twcc_recorder_init(&p->twcc, p->ssrc);
    struct track *gone[SDP_MAX_TRACKS];
    size_t n_gone = 0;
    if (publisher_update(p, sdp, source_base, gone, &n_gone)) {
        free(p);
        return NULL;
    }
    return p;
}

void publisher_free(struct publisher *p)
{
    if (p) {
        for (size_t i = 0; i < p->n_tracks; i++) {
            track_free(p->track[i]);
        }
        if (p->holder) {
            *p->holder = NULL;
        }
        free(p);
    }
}

static bool same_layers(const struct sdp_track *a, const struct sdp_track *b)
{
    uint8_t n = track_streams(a);
    bool same = n == track_streams(b);
    for (uint8_t i = 0; same && n > 1 && i < n; i++) {
        const struct sdp_layer *x = &a->layer[i], *y = &b->layer[i];
        same = strcmp(x->rid, y->rid) == 0 && (x->ssrc == y->ssrc || !x->ssrc || !y->ssrc);
    }
    return same;
}

/* The same stream goes on when nothing that identifies it changed. */
static bool same_stream(const struct sdp_track *a, const struct sdp_track *b)
{
    uint8_t dd = RTP_EXT_DEPENDENCY_DESCRIPTOR;
    return same_layers(a, b) && !a->ext.id[dd] == !b->ext.id[dd] && a->kind == b->kind &&
           a->pt == b->pt && a->clock_rate == b->clock_rate &&
           (a->ssrc == b->ssrc || a->ssrc == 0 || b->ssrc == 0) && strcmp(a->mid, b->mid) == 0;
}

static struct track *find_same(const struct publisher *p, const struct sdp_track *sdp)
{
    for (size_t i = 0; i < p->n_tracks; i++) {
        if (same_stream(&p->track[i]->sdp, sdp)) {
            return p->track[i];
        }
    }
    return NULL;
}

static void collect_gone(struct publisher *p, struct track *const *next, size_t n,
                         struct track **gone, size_t *n_gone)
{
    *n_gone = 0;
    for (size_t i = 0; i < p->n_tracks; i++) {
        bool kept = false;
        for (size_t j = 0; j < n; j++) {
            kept |= next[j] == p->track[i];
        }
        if (!kept) {
            forget_streams(p, p->track[i]);
            gone[(*n_gone)++] = p->track[i];
        }
    }
}

int publisher_update(struct publisher *p, const struct sdp_publish *sdp, uint32_t source_base,
                     struct track *gone[SDP_MAX_TRACKS], size_t *n_gone)
{
    struct track *next[SDP_MAX_TRACKS] = {0};
    bool fresh[SDP_MAX_TRACKS] = {0};
    size_t n = sdp->n_tracks < SDP_MAX_TRACKS ? sdp->n_tracks : SDP_MAX_TRACKS;
    for (size_t i = 0; i < n; i++) {
        next[i] = find_same(p, &sdp->track[i]);
        if (!next[i]) {
            next[i] = track_new(p, &sdp->track[i], source_base + (uint32_t)i * TRACK_STREAMS,
                                p->cache_us);
            fresh[i] = true;
        }
        if (!next[i]) {
            for (size_t j = 0; j < i; j++) {
                if (fresh[j]) {
                    track_free(next[j]);
                }
            }
            return ERR_NOMEM;
        }
    }
    collect_gone(p, next, n, gone, n_gone);
    for (size_t i = 0; i < n; i++) {
        if (!fresh[i]) {
            track_describe(next[i], &sdp->track[i]);
        }
        p->track[i] = next[i];
        learn_track(p, next[i]); /* SSRCs that were found on arrival stay known */
    }
    p->n_tracks = n;
    merge_extensions(p);
    return OK;
}

struct track *publisher_track(const struct publisher *p, enum sdp_source source)
{
    for (size_t i = 0; i < p->n_tracks; i++) {
        if (p->track[i]->sdp.source == source && p->track[i]->sdp.sending) {
            return p->track[i];
        }
    }
    return NULL;
}

/* ---- whose packet ---- */

static const struct publisher_stream *find_stream(const struct publisher *p, uint32_t ssrc)
{
    for (size_t i = 0; i < p->n_streams; i++) {
        if (p->stream[i].ssrc == ssrc) {
            return &p->stream[i];
        }
    }
    return NULL;
}

/* Which stream of the track an SSRC that the SDP didn't name is, by its RID (RFC 8852); -1: that
 * can't be told. */
static int stream_by_rid(const struct publisher *p, const struct track *t, const struct packet *k,
                         const uint8_t *data, bool rtx)
{
    char rid[SDP_RID_LEN];
    uint8_t id = p->ext.id[rtx ? RTP_EXT_REPAIRED_RID : RTP_EXT_RID];
    if (t->n_streams == 1) {
        return 0;
    }
    if (!rtp_ext_text(&k->header, data, id, rid, sizeof rid)) {
        return -1;
    }
    for (uint8_t i = 0; i < t->n_streams; i++) {
        if (strcmp(t->sdp.layer[i].rid, rid) == 0) {
            return i;
        }
    }
    return -1;
}

/* An SSRC that the SDP didn't name (RFC 8843 section 9.2). */
static const struct publisher_stream *learn_stream(struct publisher *p, const struct packet *k,
                                                   const uint8_t *data)
{
    char mid[SDP_MID_LEN];
    bool has_mid = rtp_ext_text(&k->header, data, p->ext.id[RTP_EXT_MID], mid, sizeof mid);
    struct publisher_stream found = {.ssrc = k->header.ssrc};
    for (size_t i = 0; i < p->n_tracks; i++) {
        struct track *t = p->track[i];
        bool rtx;
        if (!track_agreed(t, k->header.pt, &rtx) || (has_mid && strcmp(t->sdp.mid, mid) != 0)) {
            continue;
        }
        if (found.track) {
            return NULL; /* two would fit */
        }
        found.track = t;
        found.rtx = rtx;
    }
    int at = found.track ? stream_by_rid(p, found.track, k, data, found.rtx) : -1;
    if (at < 0) {
        return NULL;
    }
    found.at = (uint8_t)at;
    add_stream(p, &found);
    return find_stream(p, k->header.ssrc);
}

static int unwrap_rtx(struct packet *k, const struct track_stream *s, uint8_t media_pt)
{
    size_t len = k->len;
    int err = rtp_rtx_unwrap(&k->header, packet_data(k), &len, s->stats.ssrc, media_pt);
    if (!err) {
        k->start = (uint16_t)(k->start + 2);
        k->len = (uint16_t)len;
    }
    return err;
}

/* Of a track's media: its SSRC may be another than before. */
static void note_ssrc(struct track *t, uint8_t at, const struct rtp_header *h)
{
    struct track_stream *s = &t->stream[at];
    if (!s->stats.started) {
        s->stats.ssrc = h->ssrc;
    } else if (s->stats.ssrc != h->ssrc) {
        track_restart_stream(t, at, h->ssrc, h->seq);
    }
}

struct track *publisher_find(struct publisher *p, struct packet *k, enum publisher_packet *what)
{
    const uint8_t *data = packet_data(k);
    uint16_t transport_seq;
    bool rtx;
    *what = PUBLISHER_MEDIA;
    if (rtp_transport_seq(&k->header, data, p->ext.id[RTP_EXT_TRANSPORT_CC], &transport_seq)) {
        twcc_recorder_input(&p->twcc, transport_seq, k->arrival_us);
    }
    const struct publisher_stream *s = find_stream(p, k->header.ssrc);
    if (!s) {
        s = learn_stream(p, k, data);
    }
    const struct sdp_agreed *a = s ? track_agreed(s->track, k->header.pt, &rtx) : NULL;
    if (!a) {
        return NULL;
    }
    k->stream = s->at;
    if (!s->rtx) {
        note_ssrc(s->track, s->at, &k->header);
        return rtx ? NULL : s->track;
    }
    struct track_stream *of = &s->track->stream[s->at];
    bool content = rtx && of->unwrap.started && unwrap_rtx(k, of, a->pt) == OK;
    *what = content ? PUBLISHER_RETRANSMISSION : PUBLISHER_PROBE;
    return s->track;
}
