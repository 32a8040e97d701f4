/* A room: its participants, who is heard and seen in whose slots, who speaks. Audio slots carry the
 * loudest, never the viewer himself; video slots what the view asks for or, without one, the other
 * publishers in the order in which they joined, those who send a picture first. */
#ifndef SOTTO_SFU_CORE_ROOM_H
#define SOTTO_SFU_CORE_ROOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

#include "lib/base/ids.h"
#include "sfu/core/publisher.h"
#include "sfu/core/speakers.h"
#include "sfu/core/subscriber.h"

#define ROOM_MAX_PARTICIPANTS 4096
#define ROOM_SPEAKERS_US      250000   /* between two speakers events */
#define ROOM_SCREEN           0x10000u /* in a slot's key: the participant's screen, not himself */

struct participant {
    uint32_t number;
    struct room *room;
    struct publisher *publisher;   /* or NULL */
    struct subscriber *subscriber; /* or NULL */
    UT_hash_handle hh;
};

struct room {
    struct id id;
    struct participant *participants; /* by number; iterates in the order of joining */
    struct speakers *speakers;
    bool reassign; /* a picture came or went: slots are to be filled anew at the next tick */
    struct participant *polled; /* from whom router_poll goes on; NULL: the first */
    bool speakers_changed;
    int64_t speakers_us; /* of the last event */
    UT_hash_handle hh;
};

/* NULL when out of memory. */
struct room *room_new(const struct id *id);
/* Frees its participants, publishers and subscribers too. NULL is fine. */
void room_free(struct room *r);

struct participant *room_find(const struct room *r, uint32_t number);
/* Finds or adds. NULL when out of memory or the room is full. */
struct participant *room_join(struct room *r, uint32_t number);
/* Removes a participant who has neither publisher nor subscriber left; else nothing. */
void room_leave_if_idle(struct room *r, struct participant *p);
size_t room_size(const struct room *r);

/* Takes tracks out of all slots, before they are freed or when they may no longer be shown. */
void room_detach(struct room *r, struct track *const *tracks, size_t n, int64_t now_us);
/* Somebody came, went, or changed what he sends or wants to see: fills all slots anew, with as
 * little change as can be. Sets slots_changed of the subscribers concerned. */
void room_assign(struct room *r, int64_t now_us);
/* The same for one subscriber. */
void room_assign_one(struct room *r, struct subscriber *s, int64_t now_us);
/* Levels, speakers, silent tracks; call each 100 ms. True when something is to be told. */
bool room_tick(struct room *r, int64_t now_us);
/* The level of one packet of a participant's microphone or screen sound. */
void room_hear(struct room *r, struct track *t, struct packet *k);
/* The same as a relay link tells it: so many packets, the loudest of that level. */
void room_hear_level(struct room *r, struct track *t, uint8_t level, bool voice, uint8_t packets,
                     int64_t now_us);

/* What a view asks for one slot; a slot that it doesn't name becomes empty. */
struct room_view {
    uint32_t slot;
    struct slot_wish wish;
};
/* A view of no entries goes back to the automatic order. ERR_INVALID: a slot that there isn't. */
int room_view(struct room *r, struct subscriber *s, const struct room_view *view, size_t n,
              int64_t now_us);

#endif
