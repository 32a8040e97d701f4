#include "sfu/shell/debug_dump.h"

#include <stdlib.h>

#include "lib/base/buf.h"
#include "sfu/shell/worker_private.h"

/* ---- all rooms ---- */

static struct dump_room_entry describe_room(const struct room *room)
{
    struct dump_room_entry e = {.room = room->id};
    for (const struct participant *p = room->participants; p; p = p->hh.next) {
        e.participants++;
        e.subscribers += p->subscriber != NULL;
        if (p->publisher) {
            e.publishers++;
            e.tracks += (uint32_t)p->publisher->n_tracks;
        }
    }
    return e;
}

static struct worker_data *dump_rooms(const struct worker *w, int64_t ticket)
{
    size_t n = router_room_count(w->router);
    struct rooms_dump *d = calloc(1, sizeof *d + n * sizeof d->entry[0]);
    if (!d) {
        return NULL;
    }
    d->data.type = WORKER_DATA_DUMP;
    d->ticket = ticket;
    d->list = true;
    for (const struct room *r = router_rooms(w->router); r && d->n < n; r = r->hh.next) {
        d->entry[d->n++] = describe_room(r);
    }
    return &d->data;
}

/* ---- one room ---- */

static void dump_transport(const struct worker *w, struct dump_participant *out,
                           const struct transport *t)
{
    struct dump_transport *o = &out->transport[out->n_transports++];
    *o = (struct dump_transport){.which = t->which,
                                 .connected = t->connected,
                                 .has_address = t->selected != NULL,
                                 .ice_epoch = t->epoch,
                                 .age_us = w->now_us - t->created_us,
                                 .quiet_us = t->heard_us ? w->now_us - t->heard_us : -1};
    if (t->selected) {
        o->address = t->selected->addr;
    }
}

static void dump_stream(struct dump_track *out, const struct track *t, uint8_t i)
{
    const struct track_stream *s = &t->stream[i];
    struct dump_stream *o = &out->stream[out->n_streams++];
    *o = (struct dump_stream){.ssrc = s->stats.ssrc, .width = s->width, .height = s->height};
    if (t->sdp.kind == SDP_VIDEO) {
        o->bps = meter_bps(&s->meter, METER_SPATIAL - 1, METER_TEMPORAL - 1);
    }
    if (i < t->sdp.n_layers) {
        (void)str_copy(o->rid, sizeof o->rid, t->sdp.layer[i].rid);
    }
    track_counters(t, i, &o->counters);
}

static void dump_track(struct room_dump *d, const struct track *t)
{
    struct dump_track *o = &d->track[d->n_tracks++];
    *o = (struct dump_track){.source = t->sdp.source,
                             .kind = t->sdp.kind,
                             .ssrc = t->sdp.ssrc,
                             .live = t->live,
                             .nack = t->sdp.nack,
                             .width = t->width,
                             .height = t->height,
                             .cached = track_cached(t),
                             .relays = t->relays};
    (void)str_copy(o->mid, sizeof o->mid, t->sdp.mid);
    for (uint8_t i = 0; i < t->n_streams && i < TRACK_STREAMS; i++) {
        dump_stream(o, t, i);
    }
    o->feeds = t->n_feeds;
}

static void dump_slot(struct room_dump *d, const struct slot *s)
{
    struct dump_slot *o = &d->slot[d->n_slots++];
    *o = (struct dump_slot){.kind = s->kind,
                            .index = s->index,
                            .ssrc = s->ssrc,
                            .accepted = s->accepted,
                            .waiting = slot_waits(s),
                            .wish_participant = s->wish.participant,
                            .wish_height = s->wish.max_height,
                            .wish_priority = s->wish.priority};
    (void)str_copy(o->mid, sizeof o->mid, s->mid);
    slot_tell(s, &o->told);
    if (s->track) {
        o->participant = s->track->publisher->number;
        o->source = s->track->sdp.source;
    }
    slot_counters(s, &o->counters);
}

static void dump_rate(struct dump_participant *out, const struct transport *t)
{
    const struct subscriber_rate *r = subscriber_rate_of(t);
    if (r) {
        out->rate.known = true;
        subscriber_rate_stats(r, &out->rate.stats);
    }
}

static void dump_participant(const struct worker *w, struct room_dump *d,
                             const struct participant *p)
{
    struct dump_participant *o = &d->participant[d->n++];
    const struct publisher *pub = p->publisher;
    const struct subscriber *sub = p->subscriber;
    *o = (struct dump_participant){
        .number = p->number, .first_track = d->n_tracks, .first_slot = d->n_slots};
    if (pub) {
        o->link = pub->link;
        if (pub->user) {
            dump_transport(w, o, pub->user);
        }
        for (size_t i = 0; i < pub->n_tracks; i++) {
            dump_track(d, pub->track[i]);
        }
    }
    if (sub) {
        o->viewed = sub->viewed;
        if (sub->user) {
            dump_transport(w, o, sub->user);
            dump_rate(o, sub->user);
        }
        for (uint32_t i = 0; i < sub->n_audio + sub->n_video; i++) {
            dump_slot(d, &sub->slot[i]);
        }
    }
    o->n_tracks = d->n_tracks - o->first_track;
    o->n_slots = d->n_slots - o->first_slot;
}

struct extent {
    const struct participant *first;
    size_t n, tracks, slots;
};

static struct extent measure(const struct room *room, size_t from)
{
    struct extent e = {0};
    const struct participant *p = room->participants;
    for (size_t i = 0; p && i < from; i++) {
        p = p->hh.next;
    }
    e.first = p;
    for (; p && e.n < DUMP_MAX_PARTICIPANTS && e.slots < DUMP_MAX_SLOTS; p = p->hh.next) {
        e.n++;
        e.tracks += p->publisher ? p->publisher->n_tracks : 0;
        e.slots += p->subscriber ? p->subscriber->n_audio + p->subscriber->n_video : 0;
    }
    return e;
}

static struct room_dump *room_dump_new(const struct extent *e)
{
    struct room_dump *d = NULL;
    size_t people = e->n * sizeof d->participant[0], tracks = e->tracks * sizeof *d->track;
    d = calloc(1, sizeof *d + people + tracks + e->slots * sizeof *d->slot);
    if (d) {
        d->data.type = WORKER_DATA_DUMP;
        d->track = (struct dump_track *)(void *)((char *)d->participant + people);
        d->slot = (struct dump_slot *)(void *)((char *)d->track + tracks);
    }
    return d;
}

static struct worker_data *dump_room(const struct worker *w, int64_t ticket, const struct id *id,
                                     size_t from)
{
    const struct room *room = router_room(w->router, id);
    struct extent e = room ? measure(room, from) : (struct extent){0};
    struct room_dump *d = room_dump_new(&e);
    if (!d) {
        return NULL;
    }
    d->ticket = ticket;
    d->found = room != NULL;
    d->total = room ? room_size(room) : 0;
    d->from = from;
    d->next = from + e.n < d->total ? from + e.n : d->total;
    for (const struct participant *p = e.first; d->n < e.n; p = p->hh.next) {
        dump_participant(w, d, p);
    }
    return &d->data;
}

void debug_dump(struct worker *w, int64_t ticket, const struct id *room, size_t from)
{
    struct worker_data *d = room->s[0] ? dump_room(w, ticket, room, from) : dump_rooms(w, ticket);
    (void)worker_tell_data(w, d); /* else control's question times out */
}
