/* What a worker measures of itself and of those in its rooms, as plain numbers in one allocation:
 * copied on the worker's thread in small steps, turned into text on the control thread
 * (stats_board.h). A step is bounded, so that no room, however large, holds packets up. */
#ifndef SOTTO_SFU_WORKER_STATS_H
#define SOTTO_SFU_WORKER_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/ids.h"
#include "lib/proto/sdp_publish.h"
#include "sfu/core/counters.h"
#include "sfu/core/histogram.h"

struct slot;
struct track;
struct worker;

#define STATS_ROUND_US    5000000 /* everybody is told of once in this time */
#define STATS_SAMPLE_US   1000000
#define STATS_STEP_PEOPLE 32  /* participants of a step at most */
#define STATS_STEP_SLOTS  512 /* after so many slots of subscribers a step ends */

enum worker_data_type { WORKER_DATA_STATS, WORKER_DATA_SAMPLE, WORKER_DATA_DUMP };

/* First member of each; the whole is one allocation. */
struct worker_data {
    enum worker_data_type type;
};

struct stats_track {
    enum sdp_source source;
    bool live;
    uint16_t height; /* of the picture; 0: not known or sound */
    struct counters counters;
};

/* All slots of a subscriber: numbers added up; loss, jitter and RTT of the worst. */
struct stats_subscriber {
    struct counters sum;
    uint32_t slots, used, paused; /* there are, have somebody, paused by the allocator */
};

struct stats_entry {
    uint32_t participant;
    bool publishes, subscribes;
    uint16_t first_track, n_tracks;
    struct stats_subscriber subscriber;
};

/* Some of a room's participants. */
struct stats_part {
    struct worker_data data;
    struct id room;
    int64_t now_us;
    size_t n, n_tracks;
    struct stats_track *track; /* behind the entries */
    struct stats_entry entry[];
};

/* Of the whole worker. */
struct stats_sample {
    struct worker_data data;
    struct histogram transit; /* microseconds from arrival to the kernel, since the start */
};

/* Where the round is. Zero-initialise. */
struct stats_round {
    bool running;
    struct id room;              /* the one under way; "": the first */
    size_t at;                   /* participants of it that were told of */
    int64_t round_us, sample_us; /* when the next is due */
    int64_t paused, cached;      /* of this round so far: slots, packets */
};

/* ---- the worker's side ---- */

/* What is due of it; each 10 ms. */
void worker_stats(struct worker *w);
/* Nobody is connected: gauges fall, and what is left of the round is nobody's. */
void worker_stats_idle(struct worker *w);
/* Frees what control didn't take. */
void worker_stats_end(struct worker *w);
/* The same numbers for the admin's dump. */
void stats_of_track(const struct track *t, struct counters *out);
void stats_of_slot(const struct slot *s, struct counters *out);
/* Hands it to control (taken over; NULL is ignored); false when it was dropped, because control
 * takes none at the time. */
bool worker_tell_data(struct worker *w, struct worker_data *data);

/* ---- control's side ---- */

/* The next, or NULL; to be freed with free(). */
struct worker_data *worker_take_data(struct worker *w);

#endif
