#include "sfu/core/relay.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "sfu/core/relay_private.h"

/* ---- lives ---- */

struct relay *relay_new(struct router *router)
{
    struct relay *r = calloc(1, sizeof *r);
    if (r) {
        r->router = router;
    }
    return r;
}

static void forget_rooms(struct relay_link *l)
{
    struct relay_room *room, *tmp;
    HASH_ITER(hh, l->rooms, room, tmp)
    {
        HASH_DEL(l->rooms, room);
        free(room);
    }
}

void relay_free(struct relay *r, int64_t now_us)
{
    if (r) {
        for (uint32_t i = 0; i < RELAY_MAX_LINKS; i++) {
            relay_shut(r, i, now_us);
            forget_rooms(&r->link[i]);
        }
        free(r);
    }
}

/* ---- links ---- */

void relay_open(struct relay *r, uint32_t link)
{
    struct relay_room *room;
    if (link >= RELAY_MAX_LINKS || r->link[link].open) {
        return;
    }
    r->link[link].open = true;
    for (room = r->link[link].rooms; room; room = room->hh.next) {
        room->solicit = true;
    }
}

void relay_shut(struct relay *r, uint32_t link, int64_t now_us)
{
    if (link < RELAY_MAX_LINKS && r->link[link].open) {
        relay_remotes_drop(r, link, NULL, now_us);
        relay_offers_drop(r, link, NULL);
        r->link[link].open = false;
    }
}

bool relay_is_open(const struct relay *r, uint32_t link)
{
    return link < RELAY_MAX_LINKS && r->link[link].open;
}

/* ---- rooms ---- */

static struct relay_room *find_room(const struct relay_link *l, const struct id *id)
{
    struct relay_room *room;
    HASH_FIND(hh, l->rooms, id, sizeof *id, room);
    return room;
}

int relay_join(struct relay *r, uint32_t link, const struct id *id, bool branch)
{
    if (link >= RELAY_MAX_LINKS) {
        return ERR_INVALID;
    }
    struct relay_link *l = &r->link[link];
    struct relay_room *room = find_room(l, id);
    if (!room) {
        room = calloc(1, sizeof *room);
        if (!room) {
            return ERR_NOMEM;
        }
        room->id = *id;
        room->solicit = true;
        HASH_ADD(hh, l->rooms, id, sizeof room->id, room);
        r->n_rooms++;
    }
    room->branch = branch;
    return OK;
}

void relay_leave(struct relay *r, uint32_t link, const struct id *id, int64_t now_us)
{
    struct relay_room *room = link < RELAY_MAX_LINKS ? find_room(&r->link[link], id) : NULL;
    if (room) {
        relay_remotes_drop(r, link, id, now_us);
        relay_offers_drop(r, link, id);
        HASH_DEL(r->link[link].rooms, room);
        r->n_rooms--;
        free(room);
    }
}

void relay_leave_all(struct relay *r, const struct id *id, int64_t now_us)
{
    struct id room = *id; /* the caller's may be of the room itself, which ends */
    for (uint32_t i = 0; i < RELAY_MAX_LINKS; i++) {
        relay_leave(r, i, &room, now_us);
    }
}

bool relay_is_branch(const struct relay *r, const struct id *id)
{
    for (uint32_t i = 0; i < RELAY_MAX_LINKS; i++) {
        const struct relay_room *room = r->link[i].rooms ? find_room(&r->link[i], id) : NULL;
        if (room && room->branch) {
            return true;
        }
    }
    return false;
}

bool relay_has_rooms(const struct relay *r)
{
    return r->n_rooms > 0;
}

/* ---- frames ---- */

int relay_input(struct relay *r, uint32_t link, const struct relay_frame *f, int64_t now_us,
                int64_t wall_us, struct packet **resend, size_t cap, size_t *n_resend)
{
    *n_resend = 0;
    if (!relay_is_open(r, link)) {
        return ERR_NOT_FOUND;
    }
    switch (f->type) {
    case RELAY_ANNOUNCE:
        if (!find_room(&r->link[link], &f->room)) {
            return ERR_NOT_FOUND;
        }
        return relay_remotes_announce(r, link, f, now_us);
    case RELAY_WITHDRAW:
        return relay_remotes_withdraw(r, link, f->track, now_us);
    case RELAY_DEMAND:
        return relay_offers_demand(r, link, f, now_us);
    case RELAY_NACK:
        return relay_offers_nack(r, link, f, now_us, resend, cap, n_resend);
    case RELAY_LEVELS:
        relay_remotes_levels(r, link, f, now_us);
        return OK;
    case RELAY_REPORT:
        return relay_remotes_report(r, link, f, wall_us);
    case RELAY_SOLICIT:
        relay_offers_solicited(r, link, &f->room);
        return OK;
    case RELAY_PACKET:
    case RELAY_PING:
        return OK;
    }
    return ERR_UNSUPPORTED;
}

/* The publisher's SSRC tells that he began anew with his numbers. */
static void note_ssrc(struct track *t, uint8_t layer, const struct rtp_header *h)
{
    struct track_stream *s = &t->stream[layer];
    if (!s->stats.started) {
        s->stats.ssrc = h->ssrc;
    } else if (s->stats.ssrc != h->ssrc) {
        track_restart_stream(t, layer, h->ssrc, h->seq);
    }
}

struct track *relay_packet(const struct relay *r, uint32_t link, uint32_t number, uint8_t layer,
                           struct packet *k)
{
    struct relay_remote *remote = NULL;
    if (relay_is_open(r, link)) {
        HASH_FIND(hh, r->link[link].remotes, &number, sizeof number, remote);
    }
    struct track *t = remote && remote->from->publisher ? remote->track : NULL;
    if (!t || layer >= t->n_streams) {
        return NULL;
    }
    k->stream = layer;
    note_ssrc(t, layer, &k->header);
    return t;
}

/* ---- time ---- */

static void solicit(struct relay_link *l, const struct relay_out *out)
{
    struct relay_room *room;
    for (room = l->rooms; room; room = room->hh.next) {
        if (room->solicit) {
            struct relay_frame f = {.type = RELAY_SOLICIT, .room = room->id};
            room->solicit = false;
            out->send(out->arg, out->link, &f);
        }
    }
}

/* What was heard has been told to all links. */
static void forget_heard(struct relay *r, const struct relay_link *l)
{
    for (const struct relay_room *shared = l->rooms; shared; shared = shared->hh.next) {
        const struct room *room = router_room(r->router, &shared->id);
        const struct participant *p = room ? room->participants : NULL;
        for (; p; p = p->hh.next) {
            for (size_t i = 0; p->publisher && i < p->publisher->n_tracks; i++) {
                p->publisher->track[i]->heard = (struct track_heard){0};
            }
        }
    }
}

static void scan(struct relay *r, struct relay_out *out)
{
    r->round++;
    for (out->link = 0; out->link < RELAY_MAX_LINKS; out->link++) {
        if (r->link[out->link].open) {
            relay_offers_scan(r, out);
            relay_remotes_expire(r, out->link, out->now_us);
        }
    }
    for (uint32_t i = 0; i < RELAY_MAX_LINKS; i++) {
        forget_heard(r, &r->link[i]);
    }
}

void relay_tick(struct relay *r, int64_t now_us, relay_send_fn send, void *arg)
{
    struct relay_out out = {.now_us = now_us, .send = send, .arg = arg};
    for (out.link = 0; out.link < RELAY_MAX_LINKS; out.link++) {
        if (r->link[out.link].open) {
            solicit(&r->link[out.link], &out);
            relay_remotes_poll(r, &out);
        }
    }
    if (now_us >= r->scan_us) {
        r->scan_us = now_us + RELAY_SCAN_US;
        scan(r, &out);
    }
}
