/* The side that has tracks: what is announced, who wants it, what is sent again. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "sfu/core/relay_private.h"

static struct relay_offer *find_offer(const struct relay_link *l, uint32_t number)
{
    struct relay_offer *o;
    HASH_FIND(hh, l->offers, &number, sizeof number, o);
    return o;
}

static struct track *track_of(const struct relay *r, const struct relay_offer *o)
{
    const struct participant *p = router_find(r->router, &o->room, o->participant);
    for (size_t i = 0; p && p->publisher && i < p->publisher->n_tracks; i++) {
        if (p->publisher->track[i]->source == o->number) {
            return p->publisher->track[i];
        }
    }
    return NULL;
}

/* layers: bits of the streams that are wanted over that link. */
static void set_wanted(struct track *t, uint32_t link, uint8_t layers)
{
    uint64_t bit = UINT64_C(1) << link;
    if (!t) {
        return;
    }
    t->relays = 0;
    for (uint8_t i = 0; i < t->n_streams; i++) {
        struct track_stream *s = &t->stream[i];
        s->relays = layers >> i & 1 ? s->relays | bit : s->relays & ~bit;
        t->relays |= s->relays;
    }
}

static void drop_offer(struct relay *r, uint32_t link, struct relay_offer *o)
{
    set_wanted(track_of(r, o), link, 0);
    HASH_DEL(r->link[link].offers, o);
    free(o);
}

void relay_offers_drop(struct relay *r, uint32_t link, const struct id *room)
{
    struct relay_offer *o, *tmp;
    HASH_ITER(hh, r->link[link].offers, o, tmp)
    {
        if (!room || id_equal(&o->room, room)) {
            drop_offer(r, link, o);
        }
    }
}

/* ---- what the other side asks ---- */

int relay_offers_demand(struct relay *r, uint32_t link, const struct relay_frame *f, int64_t now_us)
{
    struct relay_offer *o = find_offer(&r->link[link], f->track);
    struct track *t = o ? track_of(r, o) : NULL;
    if (!t) {
        return ERR_NOT_FOUND;
    }
    o->layers = f->layers;
    o->wanted_us = now_us;
    set_wanted(t, link, f->layers);
    for (uint8_t i = 0; t->sdp.kind == SDP_VIDEO && i < t->n_streams; i++) {
        if (f->layers & f->keyframes & 1u << i) {
            pli_request(&t->stream[i].pli, now_us);
        }
    }
    return OK;
}

int relay_offers_nack(struct relay *r, uint32_t link, const struct relay_frame *f, int64_t now_us,
                      struct packet **resend, size_t cap, size_t *n_resend)
{
    const struct relay_offer *o = find_offer(&r->link[link], f->track);
    const struct track *t = o && o->layers ? track_of(r, o) : NULL;
    if (!t || f->layer >= t->n_streams) {
        return ERR_NOT_FOUND;
    }
    struct rtx_cache *cache = t->stream[f->layer].cache;
    for (size_t i = 0; cache && i < f->n_seqs && *n_resend < cap; i++) {
        struct packet *k = rtx_cache_get_seq(cache, f->seq[i], now_us);
        if (k) {
            resend[(*n_resend)++] = k;
        }
    }
    return OK;
}

void relay_offers_solicited(struct relay *r, uint32_t link, const struct id *room)
{
    relay_offers_drop(r, link, room);
    r->scan_us = 0;
}

/* ---- what is told ---- */

static void describe_codecs(struct relay_description *d, const struct sdp_track *sdp)
{
    for (size_t i = 0; i < sdp->n_codecs && d->n_codecs < RELAY_MAX_CODECS; i++) {
        d->codec[d->n_codecs++] =
            (struct relay_codec){.codec = (uint8_t)sdp->codec[i].codec, .pt = sdp->codec[i].pt};
    }
    if (d->n_codecs == 0) {
        d->codec[d->n_codecs++] = (struct relay_codec){.pt = sdp->pt};
    }
}

/* Of audio there is nothing to be chosen. */
static void describe_layer(struct relay_layer *l, const struct track *t, uint8_t i)
{
    const struct track_stream *s = &t->stream[i];
    bool video = t->sdp.kind == SDP_VIDEO, alone = t->n_streams == 1;
    l->live = t->live && (alone || t->layers.stream[t->rank[i]].live);
    l->width = s->width;
    l->height = s->height;
    for (uint8_t tid = 0; video && tid < RELAY_MAX_TEMPORAL; tid++) {
        uint32_t below = tid ? meter_bps(&s->meter, METER_SPATIAL - 1, (uint8_t)(tid - 1)) : 0;
        l->bps[tid] = meter_bps(&s->meter, METER_SPATIAL - 1, tid) - below;
        l->fps[tid] = s->meter.fps[tid];
    }
}

static void describe(struct relay_description *d, const struct track *t)
{
    *d = (struct relay_description){.video = t->sdp.kind == SDP_VIDEO,
                                    .nack = t->sdp.nack,
                                    .source = (uint8_t)t->sdp.source,
                                    .clock_rate = t->sdp.clock_rate,
                                    .n_layers = t->n_streams,
                                    .ext = t->publisher->ext};
    describe_codecs(d, &t->sdp);
    for (uint8_t i = 0; i < t->n_streams; i++) {
        describe_layer(&d->layer[i], t, i);
    }
}

static struct relay_offer *add_offer(struct relay *r, uint32_t link, const struct id *room,
                                     const struct track *t)
{
    struct relay_offer *o = calloc(1, sizeof *o);
    if (o) {
        o->number = t->source;
        o->room = *room;
        o->participant = t->publisher->number;
        o->told_us = INT64_MIN / 2;
        HASH_ADD(hh, r->link[link].offers, number, sizeof o->number, o);
    }
    return o;
}

static void announce(struct relay_offer *o, const struct track *t, const struct relay_out *out)
{
    struct relay_description is;
    describe(&is, t);
    if (relay_description_same(&is, &o->told, false) &&
        out->now_us - o->told_us < RELAY_REFRESH_US) {
        return;
    }
    o->told = is;
    o->told_us = out->now_us;
    struct relay_frame f = {.type = RELAY_ANNOUNCE,
                            .track = o->number,
                            .room = o->room,
                            .participant = o->participant,
                            .description = is};
    out->send(out->arg, out->link, &f);
}

static void tell_reports(struct relay_offer *o, const struct track *t, const struct relay_out *out)
{
    for (uint8_t i = 0; i < t->n_streams; i++) {
        const struct sr_source *sr = &t->stream[i].sr;
        if (o->layers >> i & 1 && sr->known && sr->ntp != o->ntp[i]) {
            struct relay_frame f = {.type = RELAY_REPORT,
                                    .track = o->number,
                                    .layer = i,
                                    .info = {.ntp = sr->ntp, .rtp_ts = sr->rtp_ts}};
            o->ntp[i] = sr->ntp;
            out->send(out->arg, out->link, &f);
        }
    }
}

static void send_levels(struct relay_frame *levels, const struct relay_out *out)
{
    if (levels->n_levels > 0) {
        out->send(out->arg, out->link, levels);
        levels->n_levels = 0;
    }
}

/* Of sound whose packets don't pass: they would tell. */
static void tell_level(const struct relay_offer *o, const struct track *t,
                       struct relay_frame *levels, const struct relay_out *out)
{
    if (t->sdp.kind != SDP_AUDIO || o->layers || t->heard.packets == 0) {
        return;
    }
    levels->level[levels->n_levels++] = (struct relay_level){.track = o->number,
                                                             .level = t->heard.level,
                                                             .packets = t->heard.packets,
                                                             .voice = t->heard.voice};
    if (levels->n_levels == RELAY_MAX_LEVELS) {
        send_levels(levels, out);
    }
}

static void scan_track(struct relay *r, const struct id *room, struct track *t,
                       struct relay_frame *levels, const struct relay_out *out)
{
    struct relay_offer *o = find_offer(&r->link[out->link], t->source);
    o = o ? o : add_offer(r, out->link, room, t);
    if (!o) {
        return; /* the next scan tries again */
    }
    o->round = r->round;
    if (o->layers && out->now_us - o->wanted_us > RELAY_EXPIRE_US) {
        o->layers = 0;
        set_wanted(t, out->link, 0);
    }
    announce(o, t, out);
    tell_reports(o, t, out);
    tell_level(o, t, levels, out);
}

static void scan_room(struct relay *r, const struct room *room, struct relay_frame *levels,
                      const struct relay_out *out)
{
    for (const struct participant *p = room->participants; p; p = p->hh.next) {
        const struct publisher *from = p->publisher;
        if (!from || !from->ready || from->link == out->link + 1) {
            continue;
        }
        for (size_t i = 0; i < from->n_tracks; i++) {
            if (from->track[i]->sdp.sending) {
                scan_track(r, &room->id, from->track[i], levels, out);
            }
        }
    }
}

static void withdraw_unseen(struct relay *r, const struct relay_out *out)
{
    struct relay_offer *o, *tmp;
    HASH_ITER(hh, r->link[out->link].offers, o, tmp)
    {
        if (o->round != r->round) {
            struct relay_frame f = {.type = RELAY_WITHDRAW, .track = o->number};
            out->send(out->arg, out->link, &f);
            drop_offer(r, out->link, o);
        }
    }
}

void relay_offers_scan(struct relay *r, const struct relay_out *out)
{
    struct relay_frame levels = {.type = RELAY_LEVELS};
    struct relay_room *shared;
    for (shared = r->link[out->link].rooms; shared; shared = shared->hh.next) {
        const struct room *room = router_room(r->router, &shared->id);
        if (room) {
            scan_room(r, room, &levels, out);
        }
    }
    send_levels(&levels, out);
    withdraw_unseen(r, out);
}
