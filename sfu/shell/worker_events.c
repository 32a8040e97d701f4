/* What the worker tells signald of its own accord. */
#include <stdlib.h>
#include <utlist.h>

#include "sfu/shell/worker_private.h"
#include "sfu/shell/worker_relay.h"

/* ---- slots and speakers ---- */

static void describe_slot(const struct slot *s, struct control_slot *out)
{
    const struct track *t = s->track;
    struct slot_told told;
    slot_tell(s, &told);
    *out = (struct control_slot){.slot = s->index, .mid = s->mid, .source = "camera"};
    if (t) {
        out->participant = t->publisher->number;
        out->csrc = t->publisher->number;
        out->source = sdp_source_name(t->sdp.source);
        out->paused = told.paused;
        out->width = told.width;
        out->height = told.height;
    }
}

static void tell_slots(struct worker *w, const struct room *room, const struct subscriber *s)
{
    struct control_slot audio[SDP_MAX_AUDIO_SLOTS];
    struct control_slot video[SDP_MAX_VIDEO_SLOTS];
    worker_look_at(w, s->user);   /* there may be something to report, */
    worker_rate_look(w, s->user); /* and to be decided */
    for (uint32_t i = 0; i < s->n_audio; i++) {
        describe_slot(subscriber_audio(s, i), &audio[i]);
    }
    for (uint32_t i = 0; i < s->n_video; i++) {
        describe_slot(subscriber_video(s, i), &video[i]);
    }
    worker_tell(w, control_make_slots(room->id.s, s->number, audio, s->n_audio, video, s->n_video));
}

static void tell_speakers(struct worker *w, const struct room *room)
{
    if (worker_relay_is_branch(w, &room->id)) {
        return;
    }
    struct speaker active[CONTROL_MAX_SPEAKERS];
    struct control_speaker told[CONTROL_MAX_SPEAKERS];
    size_t n = speakers_active(room->speakers, active, CONTROL_MAX_SPEAKERS);
    size_t n_told = 0;
    for (size_t i = 0; i < n; i++) {
        if (!(active[i].participant & ROOM_SCREEN)) { /* a screen's sound is nobody's speech */
            told[n_told++] = (struct control_speaker){.participant = active[i].participant,
                                                      .level = active[i].level};
        }
    }
    worker_tell(w, control_make_speakers(room->id.s, told, n_told));
}

void worker_events(struct worker *w)
{
    struct router_event e;
    worker_relay_turn(w);
    while (router_poll(w->router, w->now_us, &e)) {
        if (e.type == ROUTER_SLOTS) {
            tell_slots(w, e.room, e.subscriber);
        } else {
            tell_speakers(w, e.room);
        }
    }
}

/* Those who have a transport on this worker, not those who came over a relay link. */
static bool has_publisher(const struct participant *p)
{
    return p->publisher && !p->publisher->link;
}

static bool is_here(const struct participant *p)
{
    return p->subscriber || has_publisher(p);
}

/* ---- hello ---- */

static char *make_hello(const struct worker *w, struct control_hello_room *rooms, uint32_t *numbers,
                        size_t n_numbers)
{
    size_t n = 0, used = 0;
    for (const struct room *r = router_rooms(w->router); r && n < CONTROL_MAX_ROOMS;
         r = r->hh.next) {
        struct participant *p, *tmp;
        rooms[n] = (struct control_hello_room){.room = r->id.s, .participants = numbers + used};
        HASH_ITER(hh, r->participants, p, tmp)
        {
            if (is_here(p) && used < n_numbers) {
                numbers[used++] = p->number;
                rooms[n].n++;
            }
        }
        n++;
    }
    return control_make_hello(w->o.node, w->o.instance, w->o.region, rooms, n);
}

static void tell_all(struct worker *w)
{
    const struct transport *t;
    DL_FOREACH(w->transports, t)
    {
        if (t->connected) {
            worker_tell(w, control_make_transport(true, t->room.s, t->number, t->which));
        }
    }
    router_tell_all(w->router);
}

void worker_hello(struct worker *w)
{
    size_t n_rooms = router_room_count(w->router);
    struct control_hello_room *rooms = calloc(n_rooms + 1, sizeof *rooms);
    uint32_t *numbers = calloc(w->n_transports + 1, sizeof *numbers); /* one each at least */
    if (rooms && numbers) {
        worker_tell_hello(w, make_hello(w, rooms, numbers, w->n_transports));
        tell_all(w);
    }
    free(rooms);
    free(numbers);
}
