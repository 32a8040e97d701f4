/* The side that hears of tracks: they appear as publishers, and what is wanted is asked for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "lib/base/err.h"
#include "sfu/core/relay_private.h"
#include "sfu/core/track_private.h"

static struct relay_remote *find_remote(const struct relay_link *l, uint32_t number)
{
    struct relay_remote *remote;
    HASH_FIND(hh, l->remotes, &number, sizeof number, remote);
    return remote;
}

static struct track *track_of(const struct relay_remote *remote)
{
    return remote && remote->from->publisher ? remote->track : NULL;
}

/* ---- publishers made of what was announced ---- */

/* A name that no other track of the publisher has or had: its number on the other side. */
static void name_of(const struct relay_remote *remote, char out[SDP_MID_LEN])
{
    snprintf(out, SDP_MID_LEN, "r%08x", remote->number);
}

static void describe(struct sdp_track *t, const struct relay_remote *remote)
{
    const struct relay_description *is = &remote->is;
    *t = (struct sdp_track){.kind = is->video ? SDP_VIDEO : SDP_AUDIO,
                            .source = (enum sdp_source)is->source,
                            .sending = true,
                            .pt = is->codec[0].pt,
                            .clock_rate = is->clock_rate,
                            .nack = is->nack,
                            .pli = is->video,
                            .ext = is->ext,
                            .n_layers = is->n_layers > 1 ? is->n_layers : 0};
    for (size_t i = 0; i < is->n_codecs && is->codec[i].codec != CODEC_NONE; i++) {
        t->codec[t->n_codecs++] = (struct sdp_agreed){.codec = (enum codec)is->codec[i].codec,
                                                      .pt = is->codec[i].pt,
                                                      .nack = is->nack,
                                                      .pli = is->video};
    }
    name_of(remote, t->mid);
}

static void take_tracks(struct relay_publisher *p)
{
    struct relay_remote *remote;
    DL_FOREACH(p->remotes, remote)
    {
        char name[SDP_MID_LEN];
        name_of(remote, name);
        remote->track = NULL;
        for (size_t i = 0; p->publisher && i < p->publisher->n_tracks; i++) {
            if (strcmp(p->publisher->track[i]->sdp.mid, name) == 0) {
                remote->track = p->publisher->track[i];
            }
        }
    }
}

static int show(struct relay *r, uint32_t link, struct relay_publisher *p,
                const struct sdp_publish *sdp, int64_t now_us)
{
    const struct participant *taken = router_find(r->router, &p->key.room, p->key.participant);
    if (taken && taken->publisher) {
        return ERR_CONFLICT; /* he has moved here, or not yet gone from another link */
    }
    int err = router_publish(r->router, &p->key.room, p->key.participant, sdp, p->key.participant,
                             now_us, &p->publisher);
    if (!err) {
        p->publisher->link = link + 1;
        p->publisher->holder = &p->publisher;
        router_publisher_ready(r->router, p->publisher, now_us);
    }
    return err;
}

/* Makes the publisher what its remotes say. */
static int rebuild(struct relay *r, uint32_t link, struct relay_publisher *p, int64_t now_us)
{
    struct sdp_publish *sdp = calloc(1, sizeof *sdp);
    const struct relay_remote *remote;
    if (!sdp) {
        return ERR_NOMEM;
    }
    DL_FOREACH(p->remotes, remote)
    {
        if (sdp->n_tracks < SDP_MAX_TRACKS) {
            describe(&sdp->track[sdp->n_tracks++], remote);
        }
    }
    int err = p->publisher ? router_republish(r->router, p->publisher, sdp, now_us)
                           : show(r, link, p, sdp, now_us);
    take_tracks(p);
    free(sdp);
    return err;
}

static struct relay_publisher *find_or_add(struct relay_link *l, const struct relay_frame *f)
{
    struct relay_publisher *p;
    struct relay_key key;
    memset(&key, 0, sizeof key);
    key.room = f->room;
    key.participant = f->participant;
    HASH_FIND(hh, l->publishers, &key, sizeof key, p);
    if (!p) {
        p = calloc(1, sizeof *p);
        if (p) {
            p->key = key;
            HASH_ADD(hh, l->publishers, key, sizeof p->key, p);
        }
    }
    return p;
}

static void drop_if_bare(struct relay *r, uint32_t link, struct relay_publisher *p, int64_t now_us)
{
    if (!p->remotes) {
        if (p->publisher) {
            router_unpublish(r->router, p->publisher, now_us);
        }
        HASH_DEL(r->link[link].publishers, p);
        free(p);
    }
}

static void remove_remote(struct relay *r, uint32_t link, struct relay_remote *remote,
                          int64_t now_us)
{
    struct relay_publisher *p = remote->from;
    HASH_DEL(r->link[link].remotes, remote);
    DL_DELETE(p->remotes, remote);
    free(remote);
    if (p->remotes && p->publisher) {
        (void)rebuild(r, link, p, now_us); /* out of memory: the track stays until it may go */
    }
    drop_if_bare(r, link, p, now_us);
}

/* ---- what the other side tells ---- */

static bool is_ours(const struct relay_remote *remote, const struct relay_frame *f)
{
    return remote->from->key.participant == f->participant &&
           id_equal(&remote->from->key.room, &f->room);
}

static struct relay_remote *add_remote(struct relay *r, uint32_t link, const struct relay_frame *f,
                                       int64_t now_us)
{
    struct relay_publisher *p = find_or_add(&r->link[link], f);
    struct relay_remote *remote = p ? calloc(1, sizeof *remote) : NULL;
    if (!remote) {
        if (p) {
            drop_if_bare(r, link, p, now_us);
        }
        return NULL;
    }
    remote->number = f->track;
    remote->from = p;
    DL_APPEND(p->remotes, remote);
    HASH_ADD(hh, r->link[link].remotes, number, sizeof remote->number, remote);
    return remote;
}

/* ---- what packets would tell, as long as there are none ---- */

static bool is_carried(const struct relay_remote *remote, uint8_t layer)
{
    return remote->told_layers >> layer & 1;
}

static void take_measures(struct meter *m, const struct relay_layer *is)
{
    m->n_spatial = m->n_spatial ? m->n_spatial : 1;
    for (uint8_t tid = 0; tid < RELAY_MAX_TEMPORAL && is->bps[tid]; tid++) {
        m->bps[0][tid] = is->bps[tid];
        m->fps[tid] = is->fps[tid];
        m->silent[0][tid] = 0;
        m->n_temporal = tid < m->n_temporal ? m->n_temporal : (uint8_t)(tid + 1);
    }
}

/* Its size decides about its rank among the others; slots choose it by what it costs. */
static void take_layer(struct track *t, uint8_t i, const struct relay_layer *is)
{
    struct track_stream *s = &t->stream[i];
    if (is->width && (is->width != s->width || is->height != s->height)) {
        track_resize(t, s, is->width, is->height);
    }
    if (t->sdp.kind == SDP_VIDEO) {
        take_measures(&s->meter, is);
    }
}

static void take_layers(const struct relay_remote *remote, struct track *t)
{
    for (uint8_t i = 0; i < t->n_streams && i < remote->is.n_layers; i++) {
        if (!is_carried(remote, i)) {
            take_layer(t, i, &remote->is.layer[i]);
        }
    }
}

/* The selector takes a stream that is behind the others for one that has fallen silent: it sees
 * only those that pass the link. The other side sees them all. */
static void tell_selector(const struct relay_remote *remote, struct track *t, int64_t now_us)
{
    for (uint8_t i = 0; t->n_streams > 1 && i < t->n_streams && i < remote->is.n_layers; i++) {
        struct layers_stream *s = &t->layers.stream[t->rank[i]];
        bool live = remote->is.layer[i].live;
        if (!is_carried(remote, i) || !live) {
            s->live = live;
            s->seen |= live;
            s->last_us = now_us;
            s->others = 0;
        }
    }
}

static bool is_live(const struct relay_description *d)
{
    bool live = false;
    for (size_t i = 0; i < d->n_layers; i++) {
        live |= d->layer[i].live;
    }
    return live;
}

static void take_state(struct relay *r, const struct relay_remote *remote, int64_t now_us)
{
    struct track *t = track_of(remote);
    if (!t) {
        return;
    }
    bool live = t->live;
    uint16_t width = t->width, height = t->height;
    take_layers(remote, t);
    if (!remote->told_layers) {
        t->live = is_live(&remote->is);
        t->last_us = t->live ? now_us : t->last_us;
    }
    bool changed = t->live != live || t->width != width || t->height != height;
    struct room *room = router_room(r->router, &remote->from->key.room);
    if (changed && t->sdp.kind == SDP_VIDEO && room) {
        room->reassign = true;
    }
}

/* ---- tracks that come and change ---- */

/* Whether the track is to be made anew, or for the first time. */
static bool needs_rebuild(const struct relay_remote *remote, const struct relay_description *to)
{
    struct relay_description stays = *to; /* but for what goes into the track by itself */
    memcpy(stays.layer, remote->is.layer, sizeof stays.layer);
    return !track_of(remote) || !relay_description_same(&remote->is, &stays, false);
}

static bool is_sound(const struct relay_description *d)
{
    bool known = d->source <= SDP_SOURCE_SCREEN_AUDIO;
    for (size_t i = 0; i < d->n_codecs; i++) {
        known = known && d->codec[i].codec < CODECS;
    }
    return known;
}

int relay_remotes_announce(struct relay *r, uint32_t link, const struct relay_frame *f,
                           int64_t now_us)
{
    struct relay_remote *remote = find_remote(&r->link[link], f->track);
    if (!is_sound(&f->description)) {
        return ERR_INVALID;
    }
    if (remote && !is_ours(remote, f)) { /* the other side began anew with its numbers */
        remove_remote(r, link, remote, now_us);
        remote = NULL;
    }
    remote = remote ? remote : add_remote(r, link, f, now_us);
    if (!remote) {
        return ERR_NOMEM;
    }
    bool rebuilds = needs_rebuild(remote, &f->description);
    remote->is = f->description;
    remote->heard_us = now_us;
    int err = rebuilds ? rebuild(r, link, remote->from, now_us) : OK;
    take_state(r, remote, now_us);
    return err;
}

int relay_remotes_withdraw(struct relay *r, uint32_t link, uint32_t number, int64_t now_us)
{
    struct relay_remote *remote = find_remote(&r->link[link], number);
    if (!remote) {
        return ERR_NOT_FOUND;
    }
    remove_remote(r, link, remote, now_us);
    return OK;
}

void relay_remotes_levels(struct relay *r, uint32_t link, const struct relay_frame *f,
                          int64_t now_us)
{
    for (size_t i = 0; i < f->n_levels; i++) {
        const struct relay_level *l = &f->level[i];
        struct track *t = track_of(find_remote(&r->link[link], l->track));
        if (t && t->sdp.kind == SDP_AUDIO) {
            room_hear_level(t->publisher->room, t, l->level, l->voice, l->packets, now_us);
        }
    }
}

int relay_remotes_report(struct relay *r, uint32_t link, const struct relay_frame *f,
                         int64_t wall_us)
{
    struct track *t = track_of(find_remote(&r->link[link], f->track));
    if (!t || f->layer >= t->n_streams) {
        return ERR_NOT_FOUND;
    }
    sr_input(&t->stream[f->layer].sr, &t->publisher->clock, &f->info, wall_us);
    return OK;
}

/* ---- what is asked of the other side ---- */

static uint8_t wanted_layers(const struct track *t)
{
    uint8_t layers = 0;
    for (uint8_t i = 0; t && i < t->n_streams; i++) {
        layers |= (uint8_t)(track_is_watched(t, i) << i);
    }
    return layers;
}

static uint8_t wanted_keyframes(struct track *t, uint8_t layers, int64_t now_us)
{
    uint8_t keyframes = 0;
    for (uint8_t i = 0; layers >> i && t->sdp.kind == SDP_VIDEO; i++) {
        if (layers >> i & 1 && pli_poll(&t->stream[i].pli, now_us)) {
            keyframes |= (uint8_t)(1u << i);
        }
    }
    return keyframes;
}

/* What passed while nobody wanted it is no gap. */
static void forget_gaps(struct track *t, uint8_t layers)
{
    for (uint8_t i = 0; layers >> i; i++) {
        if (layers >> i & 1) {
            struct nack *n = &t->stream[i].nack;
            n->started = n->keyframe_wanted = false;
            n->n = 0;
        }
    }
}

static void demand(struct relay_remote *remote, struct track *t, const struct relay_out *out)
{
    uint8_t layers = wanted_layers(t);
    uint8_t keyframes = layers ? wanted_keyframes(t, layers, out->now_us) : 0;
    bool due = layers && out->now_us - remote->told_us >= RELAY_REFRESH_US;
    if (layers == remote->told_layers && !keyframes && !due) {
        return;
    }
    struct relay_frame f = {
        .type = RELAY_DEMAND, .track = remote->number, .layers = layers, .keyframes = keyframes};
    if (t) {
        forget_gaps(t, layers & (uint8_t)~remote->told_layers);
    }
    remote->told_layers = layers;
    remote->told_us = out->now_us;
    out->send(out->arg, out->link, &f);
}

static void ask_again(const struct relay_remote *remote, struct track *t, uint8_t layer,
                      const struct relay_out *out)
{
    struct track_stream *s = &t->stream[layer];
    struct relay_frame f = {.type = RELAY_NACK, .track = remote->number, .layer = layer};
    if (!t->sdp.nack || !is_carried(remote, layer)) {
        return;
    }
    f.n_seqs = nack_poll(&s->nack, f.seq, RELAY_MAX_SEQS, out->now_us, 0);
    if (f.n_seqs > 0) {
        out->send(out->arg, out->link, &f);
    }
    if (s->nack.keyframe_wanted) {
        s->nack.keyframe_wanted = false;
        pli_request(&s->pli, out->now_us);
    }
}

void relay_remotes_poll(struct relay *r, const struct relay_out *out)
{
    struct relay_remote *remote;
    for (remote = r->link[out->link].remotes; remote; remote = remote->hh.next) {
        struct track *t = track_of(remote);
        if (t) {
            tell_selector(remote, t, out->now_us);
        }
        demand(remote, t, out);
        for (uint8_t i = 0; t && i < t->n_streams; i++) {
            ask_again(remote, t, i, out);
        }
    }
}

/* ---- ends ---- */

void relay_remotes_expire(struct relay *r, uint32_t link, int64_t now_us)
{
    struct relay_remote *remote, *tmp;
    HASH_ITER(hh, r->link[link].remotes, remote, tmp)
    {
        if (now_us - remote->heard_us > RELAY_EXPIRE_US) {
            remove_remote(r, link, remote, now_us);
        }
    }
}

void relay_remotes_drop(struct relay *r, uint32_t link, const struct id *room, int64_t now_us)
{
    struct relay_remote *remote, *tmp;
    HASH_ITER(hh, r->link[link].remotes, remote, tmp)
    {
        if (!room || id_equal(&remote->from->key.room, room)) {
            remove_remote(r, link, remote, now_us);
        }
    }
}
