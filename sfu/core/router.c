#include "sfu/core/router.h"

#include <stdlib.h>

#include "lib/base/err.h"
#include "lib/base/fetch.h"

#define RECLAIM_PART                                                                               \
    8 /* of the fullest cache's packets, one in so many goes when the pool is dry */

/* Slots fetched before their turn: between two frames of a hundred viewers they leave the cache. */
#define FETCH_AHEAD 8

struct router {
    struct router_limits limits;
    struct packet_pool *pool;
    struct room *rooms; /* uthash by id; hashed by control calls only */
    uint32_t next_source;
    bool pending;        /* something may be to be told */
    struct room *polled; /* from where router_poll goes on; NULL: the first */
    struct forward *forward;
    size_t forward_cap; /* at least all slots that there are: grown when one subscribes */
    size_t n_slots;
    uint64_t relays; /* of the last packet: the links that want it */
};

struct router *router_new(const struct router_limits *limits)
{
    struct router *r = calloc(1, sizeof *r);
    if (!r) {
        return NULL;
    }
    r->limits = *limits;
    r->next_source = 1;
    r->pool = packet_pool_new(limits->pool_packets);
    if (!r->pool) {
        free(r);
        return NULL;
    }
    return r;
}

void router_free(struct router *r)
{
    struct room *room, *tmp;
    if (!r) {
        return;
    }
    HASH_ITER(hh, r->rooms, room, tmp)
    {
        HASH_DEL(r->rooms, room);
        room_free(room);
    }
    packet_pool_free(r->pool);
    free(r->forward);
    free(r);
}

struct packet_pool *router_pool(struct router *r)
{
    return r->pool;
}

/* ---- control ---- */

struct room *router_room(const struct router *r, const struct id *id)
{
    struct room *room;
    HASH_FIND(hh, r->rooms, id, sizeof *id, room);
    return room;
}

struct room *router_rooms(const struct router *r)
{
    return r->rooms;
}

size_t router_room_count(const struct router *r)
{
    return HASH_COUNT(r->rooms);
}

struct participant *router_find(const struct router *r, const struct id *room, uint32_t number)
{
    const struct room *found = router_room(r, room);
    return found ? room_find(found, number) : NULL;
}

static void drop_room_if_empty(struct router *r, struct room *room)
{
    if (room_size(room) == 0) {
        r->polled = r->polled == room ? NULL : r->polled;
        HASH_DEL(r->rooms, room);
        room_free(room);
    }
}

static int join(struct router *r, const struct id *id, uint32_t number, struct participant **out)
{
    struct room *room = router_room(r, id);
    if (!room) {
        if (HASH_COUNT(r->rooms) >= r->limits.max_rooms) {
            return ERR_LIMIT;
        }
        room = room_new(id);
        if (!room) {
            return ERR_NOMEM;
        }
        HASH_ADD(hh, r->rooms, id, sizeof room->id, room);
    }
    struct participant *p = room_join(room, number);
    if (!p) {
        int err = room_size(room) >= ROOM_MAX_PARTICIPANTS ? ERR_LIMIT : ERR_NOMEM;
        drop_room_if_empty(r, room);
        return err;
    }
    *out = p;
    return OK;
}

static void leave_if_idle(struct router *r, struct participant *p)
{
    struct room *room = p->room;
    room_leave_if_idle(room, p);
    drop_room_if_empty(r, room);
}

static void free_publisher(struct router *r, struct publisher *p, int64_t now_us)
{
    room_detach(p->room, p->track, p->n_tracks, now_us);
    publisher_free(p);
    r->pending = true;
}

int router_publish(struct router *r, const struct id *room, uint32_t number,
                   const struct sdp_publish *sdp, uint32_t random, int64_t now_us,
                   struct publisher **out)
{
    struct participant *p;
    int err = join(r, room, number, &p);
    if (err) {
        return err;
    }
    struct publisher *fresh =
        publisher_new(p->room, number, sdp, r->next_source, random, r->limits.cache_us);
    if (!fresh) {
        leave_if_idle(r, p);
        return ERR_NOMEM;
    }
    r->next_source += PUBLISHER_SOURCES;
    if (p->publisher) {
        free_publisher(r, p->publisher, now_us);
    }
    p->publisher = fresh;
    room_assign(p->room, now_us);
    *out = fresh;
    return OK;
}

int router_republish(struct router *r, struct publisher *p, const struct sdp_publish *sdp,
                     int64_t now_us)
{
    struct track *gone[SDP_MAX_TRACKS];
    size_t n_gone = 0;
    int err = publisher_update(p, sdp, r->next_source, gone, &n_gone);
    if (err) {
        return err;
    }
    r->next_source += PUBLISHER_SOURCES;
    room_detach(p->room, gone, n_gone, now_us);
    for (size_t i = 0; i < n_gone; i++) {
        track_free(gone[i]);
    }
    room_assign(p->room, now_us);
    r->pending = true;
    return OK;
}

void router_publisher_ready(struct router *r, struct publisher *p, int64_t now_us)
{
    p->ready = true;
    room_assign(p->room, now_us);
    r->pending = true;
}

void router_unpublish(struct router *r, struct publisher *p, int64_t now_us)
{
    struct room *room = p->room;
    struct participant *who = room_find(room, p->number);
    who->publisher = NULL;
    free_publisher(r, p, now_us);
    room_assign(room, now_us);
    leave_if_idle(r, who);
}

static int grow_forwards(struct router *r, size_t more)
{
    size_t need = r->n_slots + more;
    if (need > r->forward_cap) {
        size_t cap = need * 2;
        struct forward *f = realloc(r->forward, cap * sizeof *f);
        if (!f) {
            return ERR_NOMEM;
        }
        r->forward = f;
        r->forward_cap = cap;
    }
    r->n_slots = need;
    return OK;
}

static void free_subscriber(struct router *r, struct subscriber *s)
{
    r->n_slots -= (size_t)s->n_audio + s->n_video;
    subscriber_free(s);
}

int router_subscribe(struct router *r, const struct id *room, uint32_t number, uint32_t n_audio,
                     uint32_t n_video, uint64_t random, int64_t now_us, struct subscriber **out)
{
    struct participant *p;
    struct subscriber *fresh;
    (void)now_us;
    int err = join(r, room, number, &p);
    if (err) {
        return err;
    }
    err = subscriber_new(&fresh, p->room, number, n_audio, n_video, random);
    if (!err) {
        err = grow_forwards(r, (size_t)n_audio + n_video);
        if (err) {
            subscriber_free(fresh);
        }
    }
    if (err) {
        leave_if_idle(r, p);
        return err;
    }
    if (p->subscriber) {
        free_subscriber(r, p->subscriber);
    }
    p->subscriber = fresh;
    *out = fresh;
    return OK;
}

void router_subscriber_ready(struct router *r, struct subscriber *s, int64_t now_us)
{
    s->ready = true;
    s->slots_changed = true;
    room_assign_one(s->room, s, now_us);
    r->pending = true;
}

void router_unsubscribe(struct router *r, struct subscriber *s, int64_t now_us)
{
    struct participant *who = room_find(s->room, s->number);
    (void)now_us;
    who->subscriber = NULL;
    free_subscriber(r, s);
    leave_if_idle(r, who);
}

int router_view(struct router *r, struct subscriber *s, const struct room_view *view, size_t n,
                int64_t now_us)
{
    r->pending = true;
    return room_view(s->room, s, view, n, now_us);
}

/* ---- packets ---- */

static void fuller(const struct publisher *p, struct rtx_cache **fullest)
{
    for (size_t i = 0; p && i < p->n_tracks; i++) {
        for (uint8_t at = 0; at < p->track[i]->n_streams; at++) {
            struct rtx_cache *c = p->track[i]->stream[at].cache;
            size_t most = *fullest ? rtx_cache_count(*fullest) : 0;
            *fullest = c && rtx_cache_count(c) > most ? c : *fullest;
        }
    }
}

static struct rtx_cache *fullest_cache(const struct router *r)
{
    struct rtx_cache *fullest = NULL;
    for (const struct room *room = r->rooms; room; room = room->hh.next) {
        for (const struct participant *p = room->participants; p; p = p->hh.next) {
            fuller(p->publisher, &fullest);
        }
    }
    return fullest;
}

/* Some packets at once, so that the search for the fullest cache isn't made for each packet. */
static void reclaim(struct router *r)
{
    struct rtx_cache *c = fullest_cache(r);
    size_t n = c ? rtx_cache_count(c) / RECLAIM_PART + 1 : 0;
    while (n-- > 0 && rtx_cache_evict_oldest(c) > 0) {
    }
}

struct packet *router_alloc(struct router *r)
{
    struct packet *k = packet_alloc(r->pool);
    if (!k) {
        reclaim(r);
        k = packet_alloc(r->pool);
    }
    return k;
}

static size_t map_to_slots(struct router *r, struct track *t, const struct packet *k,
                           const struct track_packet *p)
{
    size_t n = 0;
    bool switched = false, picture = t->sdp.kind == SDP_VIDEO && p->layers.new_picture;
    for (uint32_t i = 0; i < t->n_feeds && i < FETCH_AHEAD; i++) {
        slot_prefetch(t->feeds[i], picture);
    }
    for (uint32_t i = 0; i < t->n_feeds; i++) {
        struct slot *slot = t->feeds[i];
        if (i + FETCH_AHEAD < t->n_feeds) {
            slot_prefetch(t->feeds[i + FETCH_AHEAD], picture);
        }
        if (slot_map(slot, k, p, &r->forward[n].to)) {
            switched |= r->forward[n].to.switched;
            r->forward[n++].slot = slot;
            fetch_write(slot->user); /* which is asked next */
        }
    }
    r->pending |= switched && t->sdp.kind == SDP_VIDEO;
    return n;
}

/* Slots leave it out, as if it had never been. */
static void close_up(struct track *t, const struct track_packet *p)
{
    for (uint32_t i = 0; i < t->n_feeds; i++) {
        rewriter_skip_packet(&t->feeds[i]->rewriter, &p->rewriter, p->rewriter.ext_seq);
    }
}

/* The picture is there again, or has another size. */
static void note_woken(struct router *r, struct track *t, bool live_before)
{
    t->publisher->room->reassign |= !live_before;
    for (uint32_t i = 0; i < t->n_feeds; i++) {
        t->feeds[i]->subscriber->slots_changed = true;
        slot_fit(t->feeds[i], t->last_us);
    }
    r->pending = true;
}

const struct forward *router_packet(struct router *r, struct publisher *p, struct packet *k,
                                    size_t *n, struct track **owner)
{
    enum publisher_packet what;
    *n = 0;
    r->relays = 0;
    struct track *t = *owner = publisher_find(p, k, &what);
    if (!t || what == PUBLISHER_PROBE) {
        return r->forward;
    }
    return router_track_packet(r, t, k, what == PUBLISHER_RETRANSMISSION, n);
}

uint64_t router_relays(const struct router *r)
{
    return r->relays;
}

const struct forward *router_track_packet(struct router *r, struct track *t, struct packet *k,
                                          bool retransmitted, size_t *n)
{
    struct track_packet p;
    bool live_before = t->live;
    *n = 0;
    track_input(t, k, retransmitted, &p);
    r->relays = p.verdict == TRACK_DROP ? 0 : t->stream[k->stream].relays;
    if (p.verdict == TRACK_PADDING) {
        close_up(t, &p);
    } else if (p.verdict == TRACK_FORWARD) {
        if (t->sdp.kind == SDP_AUDIO) {
            room_hear(t->publisher->room, t, k);
        } else if (p.woke) {
            note_woken(r, t, live_before);
        }
        *n = map_to_slots(r, t, k, &p);
    }
    return r->forward;
}

/* ---- time and events ---- */

void router_tick(struct router *r, int64_t now_us)
{
    struct room *room, *tmp;
    HASH_ITER(hh, r->rooms, room, tmp)
    {
        r->pending |= room_tick(room, now_us);
    }
}

/* Goes on where it was the last time: to tell everybody of a large room takes one round. */
static struct subscriber *next_changed(struct room *room)
{
    struct participant *p = room->polled ? room->polled : room->participants;
    for (size_t left = room_size(room); left > 0; left--) {
        struct participant *next = p->hh.next ? p->hh.next : room->participants;
        if (p->subscriber && p->subscriber->ready && p->subscriber->slots_changed) {
            room->polled = next;
            return p->subscriber;
        }
        p = next;
    }
    return NULL;
}

static bool poll_room(struct room *room, int64_t now_us, struct router_event *out)
{
    struct subscriber *s = next_changed(room);
    if (s) {
        s->slots_changed = false;
        *out = (struct router_event){.type = ROUTER_SLOTS, .room = room, .subscriber = s};
        return true;
    }
    if (room->speakers_changed && now_us - room->speakers_us >= ROOM_SPEAKERS_US) {
        room->speakers_changed = false;
        room->speakers_us = now_us;
        *out = (struct router_event){.type = ROUTER_SPEAKERS, .room = room};
        return true;
    }
    return false;
}

bool router_poll(struct router *r, int64_t now_us, struct router_event *out)
{
    struct room *room = r->polled ? r->polled : r->rooms;
    if (!r->pending) {
        return false;
    }
    for (size_t left = HASH_COUNT(r->rooms); left > 0; left--) {
        if (poll_room(room, now_us, out)) {
            r->polled = room;
            return true;
        }
        room = room->hh.next ? room->hh.next : r->rooms;
    }
    r->pending = false;
    return false;
}

void router_tell_all(struct router *r)
{
    struct room *room, *tmp;
    struct participant *p, *ptmp;
    HASH_ITER(hh, r->rooms, room, tmp)
    {
        room->speakers_changed = true;
        HASH_ITER(hh, room->participants, p, ptmp)
        {
            if (p->subscriber) {
                p->subscriber->slots_changed = true;
            }
        }
    }
    r->pending = true;
}
