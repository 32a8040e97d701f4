/* Which worker has which room, and which of a room's workers has which participant. A room gets its
 * home, the worker with the least load, when its first participant comes, and keeps it. When it
 * outgrows that one (too many participants, or the worker measured too busy), those who come later
 * are placed on another worker: a branch of the room, joined to its home by a relay link. Pure: the
 * load is told, marks order what was asked of workers and what they answered. */
#ifndef SOTTO_SFU_CORE_PLACEMENT_H
#define SOTTO_SFU_CORE_PLACEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/ids.h"

#define PLACEMENT_MAX_WORKERS 48 /* each is a relay link of the others; nodes have the rest */
#define PLACEMENT_NOWHERE     SIZE_MAX

struct placement;

struct placement_limits {
    size_t workers;      /* 1..PLACEMENT_MAX_WORKERS */
    size_t max_rooms;    /* in all */
    size_t room_workers; /* that one room may use; 1: rooms are never spread */
    uint32_t
        participants; /* of one room on one worker before the next one is used; 0: any number */
    uint32_t busy_per_mille; /* of a core: a worker beyond takes no more of a room; 0: any load */
};

/* ERR_INVALID (number of workers), ERR_NOMEM. */
int placement_new(struct placement **out, const struct placement_limits *limits);
void placement_free(struct placement *p); /* NULL is fine */

/* A measurement of worker i: its share of one core, 0..1000. Smoothed here. */
void placement_load(struct placement *p, size_t worker, uint32_t busy_per_mille);

/* The worker of that participant, who is placed when he is new; mark grows with every call that
 * speaks of what is asked of workers. ERR_LIMIT (rooms), ERR_NOMEM. */
int placement_join(struct placement *p, const struct id *room, uint32_t number, int64_t mark,
                   size_t *worker);
/* Where the participant is, else the room's home, else PLACEMENT_NOWHERE. */
size_t placement_find(const struct placement *p, const struct id *room, uint32_t number);
size_t placement_home(const struct placement *p, const struct id *room);
/* Bit i: worker i has participants of the room, or is its home. 0: no such room. */
uint64_t placement_workers(const struct placement *p, const struct id *room);
/* Forgets the participant, and the room with the last one. */
void placement_leave(struct placement *p, const struct id *room, uint32_t number);
void placement_close(struct placement *p, const struct id *room);

/* The room has its home here also while nobody of it is: another node shares it. ERR_LIMIT (rooms),
 * ERR_NOMEM. Until placement_release, or the room is closed. */
int placement_hold(struct placement *p, const struct id *room, size_t *home);
void placement_release(struct placement *p, const struct id *room);

/* What a worker says that it has, to forget what has ended there on its own (peers that fell
 * silent): begin, seen for each participant, end. Those of that worker who were not seen go, unless
 * they were placed or asked for after `mark`, when the question was put. */
void placement_seen_begin(struct placement *p);
void placement_seen(struct placement *p, size_t worker, const struct id *room, uint32_t number);
void placement_seen_end(struct placement *p, size_t worker, int64_t mark);

size_t placement_room_count(const struct placement *p);
/* Participants placed on that worker. */
size_t placement_count(const struct placement *p, size_t worker);

#endif
