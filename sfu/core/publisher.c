#include "sfu/core/publisher.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/proto/rtcp.h"

#define NACK_BATCH 64

/* ---- tracks ---- */

static void add_stream(struct publisher *p, uint32_t ssrc, struct track *t, bool rtx)
{
    size_t at = p->n_streams;
    if (at < PUBLISHER_MAX_STREAMS) {
        p->n_streams++;
    } else {
        at = p->next_stream++ % PUBLISHER_MAX_STREAMS;
    }
    p->stream[at] = (struct publisher_stream){.ssrc = ssrc, .rtx = rtx, .track = t};
}

static void forget_streams(struct publisher *p, const struct track *t)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n_streams; i++) {
        if (p->stream[i].track != t) {
            p->stream[n++] = p->stream[i];
        }
    }
    p->n_streams = n;
}

static void learn_track(struct publisher *p, struct track *t)
{
    if (t->sdp.ssrc) {
        add_stream(p, t->sdp.ssrc, t, false);
    }
    if (t->sdp.rtx_ssrc && t->sdp.rtx_pt) {
        add_stream(p, t->sdp.rtx_ssrc, t, true);
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

/* The same stream goes on when nothing that identifies it changed. */
static bool same_stream(const struct sdp_track *a, const struct sdp_track *b)
{
    return a->kind == b->kind && a->pt == b->pt && a->clock_rate == b->clock_rate &&
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
            next[i] = track_new(p, &sdp->track[i], source_base + (uint32_t)i, p->cache_us);
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
            next[i]->sdp = sdp->track[i];
            forget_streams(p, next[i]);
        }
        p->track[i] = next[i];
        learn_track(p, next[i]);
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

static bool takes_pt(const struct track *t, uint8_t pt)
{
    return t->sdp.pt == pt || (t->sdp.rtx_pt && t->sdp.rtx_pt == pt);
}

/* An SSRC that the SDP didn't name (RFC 8843 section 9.2). */
static const struct publisher_stream *learn_stream(struct publisher *p, const struct packet *k,
                                                   const uint8_t *data)
{
    char mid[SDP_MID_LEN];
    bool has_mid = rtp_ext_text(&k->header, data, p->ext.id[RTP_EXT_MID], mid, sizeof mid);
    struct track *found = NULL;
    for (size_t i = 0; i < p->n_tracks; i++) {
        struct track *t = p->track[i];
        if (!takes_pt(t, k->header.pt) || (has_mid && strcmp(t->sdp.mid, mid) != 0)) {
            continue;
        }
        if (found) {
            return NULL; /* two would fit */
        }
        found = t;
    }
    if (!found) {
        return NULL;
    }
    add_stream(p, k->header.ssrc, found, k->header.pt != found->sdp.pt);
    return find_stream(p, k->header.ssrc);
}

static int unwrap_rtx(struct packet *k, const struct track *t)
{
    size_t len = k->len;
    int err = rtp_rtx_unwrap(&k->header, packet_data(k), &len, t->stats.ssrc, t->sdp.pt);
    if (!err) {
        k->start = (uint16_t)(k->start + 2);
        k->len = (uint16_t)len;
    }
    return err;
}

struct track *publisher_find(struct publisher *p, struct packet *k, enum publisher_packet *what)
{
    const uint8_t *data = packet_data(k);
    uint16_t transport_seq;
    *what = PUBLISHER_MEDIA;
    if (rtp_transport_seq(&k->header, data, p->ext.id[RTP_EXT_TRANSPORT_CC], &transport_seq)) {
        twcc_recorder_input(&p->twcc, transport_seq, k->arrival_us);
    }
    const struct publisher_stream *s = find_stream(p, k->header.ssrc);
    if (!s) {
        s = learn_stream(p, k, data);
    }
    if (!s || !takes_pt(s->track, k->header.pt)) {
        return NULL;
    }
    struct track *t = s->track;
    if (!s->rtx) {
        if (!t->stats.started) {
            t->stats.ssrc = k->header.ssrc;
        }
        return k->header.pt == t->sdp.pt ? t : NULL;
    }
    bool content = t->unwrap.started && unwrap_rtx(k, t) == OK;
    *what = content ? PUBLISHER_RETRANSMISSION : PUBLISHER_PROBE;
    return t;
}

/* ---- RTCP in ---- */

static void take_sender_report(struct publisher *p, const struct rtcp_packet *r, int64_t now_us,
                               int64_t wall_us)
{
    struct rtcp_sr sr;
    if (rtcp_parse_sr(&sr, r)) {
        return;
    }
    const struct publisher_stream *s = find_stream(p, sr.ssrc);
    if (s && !s->rtx) {
        rtp_stats_sender_report(&s->track->stats, sr.info.ntp, now_us);
        sr_input(&s->track->sr, &p->clock, &sr.info, wall_us);
    }
}

int publisher_rtcp(struct publisher *p, const uint8_t *data, size_t len, int64_t now_us,
                   int64_t wall_us)
{
    struct rtcp_iter it;
    struct rtcp_packet r;
    int n;
    rtcp_iter_init(&it, data, len);
    while ((n = rtcp_next(&it, &r)) == 1) {
        if (r.type == RTCP_SR) {
            take_sender_report(p, &r, now_us, wall_us);
        }
    }
    return n;
}

/* ---- RTCP out ---- */

static size_t poll_requests(struct publisher *p, struct writer *w, int64_t now_us,
                            struct publisher_feedback *count)
{
    for (size_t i = 0; i < p->n_tracks; i++) {
        struct track *t = p->track[i];
        uint16_t seqs[NACK_BATCH];
        size_t n =
            t->sdp.nack && t->stats.started ? nack_poll(&t->nack, seqs, NACK_BATCH, now_us, 0) : 0;
        if (n > 0) {
            rtcp_write_nack(w, p->ssrc, t->stats.ssrc, seqs, n);
            count->nacked += (uint32_t)n;
        }
        if (t->nack.keyframe_wanted) {
            t->nack.keyframe_wanted = false;
            track_request_keyframe(t, now_us);
        }
        if ((t->feeds || t->relays) && t->stats.ssrc && pli_poll(&t->pli, now_us)) {
            rtcp_write_pli(w, p->ssrc, t->stats.ssrc);
            count->plis++;
        }
    }
    return w->bad ? 0 : w->len;
}

static size_t poll_report(struct publisher *p, struct writer *w, int64_t now_us)
{
    if (now_us < p->report_us) {
        return 0;
    }
    p->report_us = now_us + PUBLISHER_REPORT_US;
    struct rtcp_report blocks[SDP_MAX_TRACKS];
    size_t n = 0;
    for (size_t i = 0; i < p->n_tracks; i++) {
        n += rtp_stats_report(&p->track[i]->stats, &blocks[n], now_us);
    }
    if (n > 0) {
        rtcp_write_rr(w, p->ssrc, blocks, n);
    }
    return w->bad ? 0 : w->len;
}

size_t publisher_poll(struct publisher *p, uint8_t *out, size_t cap, int64_t now_us,
                      struct publisher_feedback *count)
{
    struct writer w;
    writer_init(&w, out, cap);
    size_t n = poll_report(p, &w, now_us);
    if (n == 0) {
        n = poll_requests(p, &w, now_us, count);
    }
    if (n == 0 && p->n_tracks > 0) {
        n = twcc_recorder_poll(&p->twcc, p->track[0]->stats.ssrc, out, cap, now_us);
    }
    return n;
}
