#include "sfu/shell/worker_stats.h"

#include <stdlib.h>
#include <string.h>

#include "sfu/core/publisher.h"
#include "sfu/shell/worker_private.h"

/* ---- numbers ---- */

void stats_of_track(const struct track *t, struct counters *out)
{
    track_sum(t, out);
}

void stats_of_slot(const struct slot *s, struct counters *out)
{
    slot_counters(s, out);
}

static int64_t worse(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Not because nobody wants to see it. */
static bool starves(const struct slot *s)
{
    bool cut = s->state == ALLOCATOR_BANDWIDTH || s->state == ALLOCATOR_OVERLOAD;
    return s->track && s->paused && cut;
}

/* The worst of all slots is what the viewer feels; one that carries nobody says nothing. */
static void add_slot(struct stats_subscriber *out, const struct slot *s)
{
    struct counters c;
    stats_of_slot(s, &c);
    counters_merge(&out->sum, &c);
    out->slots++;
    out->paused += starves(s);
    out->sum.rtt_us = worse(out->sum.rtt_us, c.rtt_us);
    if (s->track) {
        out->used++;
        out->sum.jitter_us = worse(out->sum.jitter_us, c.jitter_us);
        out->sum.fraction_lost = worse(out->sum.fraction_lost, c.fraction_lost);
    }
}

/* What is thought of his link, where he gives feedback on it. */
static void add_estimate(struct stats_subscriber *out, const struct subscriber *s)
{
    struct subscriber_rate_stats rate;
    const struct subscriber_rate *r = s->user ? subscriber_rate_of(s->user) : NULL;
    if (!r) {
        return;
    }
    subscriber_rate_stats(r, &rate);
    if (rate.estimated) {
        out->sum.estimate_bps = rate.target_bps;
    }
    if (out->sum.rtt_us < 0 && rate.rtt_us > 0) {
        out->sum.rtt_us = rate.rtt_us;
    }
}

static void add_subscriber(struct worker *w, struct stats_entry *e, const struct subscriber *s)
{
    e->subscribes = true;
    counters_init(&e->subscriber.sum);
    for (uint32_t i = 0; i < s->n_audio + s->n_video; i++) {
        add_slot(&e->subscriber, &s->slot[i]);
    }
    add_estimate(&e->subscriber, s);
    w->stats.paused += e->subscriber.paused;
}

static void add_publisher(struct worker *w, struct stats_part *part, struct stats_entry *e,
                          const struct publisher *p)
{
    e->publishes = true;
    e->first_track = (uint16_t)part->n_tracks;
    for (size_t i = 0; i < p->n_tracks; i++) {
        const struct track *t = p->track[i];
        struct stats_track *out = &part->track[part->n_tracks++];
        *out = (struct stats_track){.source = t->sdp.source, .live = t->live, .height = t->height};
        stats_of_track(t, &out->counters);
        w->stats.cached += (int64_t)track_cached(t);
    }
    e->n_tracks = (uint16_t)(part->n_tracks - e->first_track);
}

/* ---- a step ---- */

/* Those who have a transport on this worker, not those who came over a relay link. */
static const struct publisher *own_publisher(const struct participant *p)
{
    return p->publisher && !p->publisher->link ? p->publisher : NULL;
}

/* Participants of a room for one step, from the `at`th on; *at is where the next one begins.
 * Somebody who leaves meanwhile may cost another one his turn of this round. */
static size_t collect(const struct room *room, size_t *at, const struct participant **list,
                      size_t cap, size_t *slots)
{
    const struct participant *p = room->participants;
    size_t n = 0;
    for (size_t i = 0; p && i < *at; i++) {
        p = p->hh.next;
    }
    for (; p && n < cap && *slots < STATS_STEP_SLOTS; p = p->hh.next) {
        ++*at;
        *slots += p->subscriber ? p->subscriber->n_audio + p->subscriber->n_video : 0;
        if (p->subscriber || own_publisher(p)) {
            list[n++] = p;
        }
    }
    return n;
}

static struct stats_part *part_new(const struct participant *const *list, size_t n)
{
    size_t tracks = 0;
    for (size_t i = 0; i < n; i++) {
        tracks += own_publisher(list[i]) ? list[i]->publisher->n_tracks : 0;
    }
    struct stats_part *part =
        calloc(1, sizeof *part + n * sizeof part->entry[0] + tracks * sizeof part->track[0]);
    if (part) {
        part->data.type = WORKER_DATA_STATS;
        part->track = (struct stats_track *)(void *)(part->entry + n);
    }
    return part;
}

static void tell_part(struct worker *w, const struct room *room,
                      const struct participant *const *list, size_t n)
{
    struct stats_part *part = n > 0 ? part_new(list, n) : NULL;
    if (!part) {
        return;
    }
    part->room = room->id;
    part->now_us = w->now_us;
    for (; part->n < n; part->n++) {
        const struct participant *p = list[part->n];
        struct stats_entry *e = &part->entry[part->n];
        e->participant = p->number;
        if (own_publisher(p)) {
            add_publisher(w, part, e, p->publisher);
        }
        if (p->subscriber) {
            add_subscriber(w, e, p->subscriber);
        }
    }
    (void)worker_tell_data(w, &part->data);
}

/* The room under way; one that is gone meanwhile ends the round: the next one begins anew. */
static const struct room *room_under_way(const struct worker *w)
{
    return w->stats.room.s[0] ? router_room(w->router, &w->stats.room) : router_rooms(w->router);
}

static void end_round(struct worker *w)
{
    w->stats.running = false;
    sfu_gauge(SFU_PAUSED_SLOTS, w->stats.paused);
    sfu_gauge(SFU_CACHED_PACKETS, w->stats.cached);
}

/* The room is done: on to the next. */
static void next_room(struct worker *w, const struct room *room)
{
    const struct room *next = room->hh.next;
    w->stats.at = 0;
    if (next) {
        w->stats.room = next->id;
    } else {
        end_round(w);
    }
}

static void step(struct worker *w)
{
    const struct participant *list[STATS_STEP_PEOPLE];
    size_t people = 0, slots = 0;
    for (int rooms = 0; rooms < STATS_STEP_PEOPLE && w->stats.running; rooms++) {
        const struct room *room = room_under_way(w);
        if (!room) {
            end_round(w);
            return;
        }
        size_t n = collect(room, &w->stats.at, list, STATS_STEP_PEOPLE - people, &slots);
        tell_part(w, room, list, n);
        people += n;
        if (w->stats.at < room_size(room)) {
            w->stats.room = room->id;
            return;
        }
        next_room(w, room);
    }
}

/* ---- when ---- */

static void sample(struct worker *w)
{
    struct stats_sample *s = malloc(sizeof *s);
    if (s) {
        s->data.type = WORKER_DATA_SAMPLE;
        s->transit = *out_queue_transit(w->queue);
        (void)worker_tell_data(w, &s->data);
    }
    sfu_gauge(SFU_POOL_FREE, (int64_t)packet_pool_available(router_pool(w->router)));
}

/* The capture has ended. */
static void release_tap(struct worker *w)
{
    if (w->tap && capture_tap_closed(w->tap)) {
        capture_tap_unref(w->tap);
        w->tap = NULL;
    }
}

void worker_stats(struct worker *w)
{
    struct stats_round *r = &w->stats;
    if (w->now_us >= r->sample_us) {
        r->sample_us = w->now_us + STATS_SAMPLE_US;
        sample(w);
        release_tap(w);
    }
    if (w->now_us >= r->round_us && !r->running) {
        r->round_us = w->now_us + STATS_ROUND_US;
        r->running = true;
        r->room.s[0] = 0;
        r->at = 0;
        r->paused = r->cached = 0;
    }
    if (r->running) {
        step(w);
    }
}

void worker_stats_idle(struct worker *w)
{
    w->stats.running = false;
    release_tap(w);
    sfu_gauge(SFU_PAUSED_SLOTS, 0);
    sfu_gauge(SFU_CACHED_PACKETS, 0);
    sfu_gauge(SFU_POOL_FREE, (int64_t)packet_pool_available(router_pool(w->router)));
}

/* ---- between the threads ---- */

void worker_stats_end(struct worker *w)
{
    struct worker_data *data;
    capture_tap_unref(w->tap);
    w->tap = NULL;
    while (w->data && (data = mailbox_take(w->data))) {
        free(data);
    }
    mailbox_free(w->data);
}

bool worker_tell_data(struct worker *w, struct worker_data *data)
{
    if (!data) {
        return false;
    }
    if (mailbox_put(w->data, data)) {
        sfu_count(SFU_STATS_DROPPED, 1);
        free(data);
        return false;
    }
    w->o.on_report(w->o.arg);
    return true;
}

struct worker_data *worker_take_data(struct worker *w)
{
    return mailbox_take(w->data);
}
