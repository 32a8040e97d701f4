/* The state of rooms as plain numbers, for an admin: copied on the worker's thread at control's
 * request, a bounded number of participants at a time, and turned into text on the control thread
 * (debug_json.h). */
#ifndef SOTTO_SFU_DEBUG_DUMP_H
#define SOTTO_SFU_DEBUG_DUMP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/proto/control.h"
#include "lib/proto/sdp_publish.h"
#include "sfu/core/counters.h"
#include "sfu/core/slot.h"
#include "sfu/shell/subscriber_rate.h"
#include "sfu/shell/worker_stats.h"

#define DUMP_MAX_PARTICIPANTS 64   /* of one answer */
#define DUMP_MAX_SLOTS        1024 /* after so many, the answer ends */
#define DUMP_TEXT             16

struct worker;

struct dump_transport {
    enum control_which which;
    bool connected, has_address;
    uint32_t ice_epoch;       /* 0: no restart yet */
    int64_t age_us, quiet_us; /* since it was made, and since it was heard last */
    struct sockaddr_in6 address;
};

/* One SSRC of a track: a simulcast has several. */
struct dump_stream {
    char rid[DUMP_TEXT];
    uint32_t ssrc; /* 0: none came yet */
    uint16_t width, height;
    uint32_t bps; /* measured; 0: not known */
    struct counters counters;
};

struct dump_track {
    enum sdp_source source;
    enum sdp_kind kind;
    char mid[DUMP_TEXT];
    uint32_t ssrc;
    bool live, nack;
    uint16_t width, height;
    size_t feeds, cached; /* slots, packets */
    uint64_t relays;      /* bits of links */
    size_t n_streams;
    struct dump_stream stream[TRACK_STREAMS];
};

struct dump_slot {
    enum sdp_kind kind;
    uint32_t index, ssrc;
    char mid[DUMP_TEXT];
    bool accepted, waiting;
    struct slot_told told;
    uint32_t participant; /* who is in it; 0: nobody */
    enum sdp_source source;
    uint32_t wish_participant, wish_height;
    int32_t wish_priority;
    struct counters counters;
};

/* What a subscriber's link carries, and what is made of it. */
struct dump_rate {
    bool known;
    struct subscriber_rate_stats stats;
};

struct dump_participant {
    uint32_t number;
    uint32_t link; /* 1 + the relay link that he comes over; 0: he is here */
    bool viewed;   /* he asked for a view of his own */
    size_t n_transports, first_track, n_tracks, first_slot, n_slots;
    struct dump_transport transport[2];
    struct dump_rate rate;
};

/* Of one worker. */
struct room_dump {
    struct worker_data data;
    int64_t ticket;
    bool list;                /* it answers dump_rooms: see rooms_dump */
    bool found;               /* the worker has the room */
    size_t total, from, next; /* participants; next == total: these were the last */
    size_t n, n_tracks, n_slots;
    struct dump_track *track; /* behind the participants */
    struct dump_slot *slot;   /* behind the tracks */
    struct dump_participant participant[];
};

struct dump_room_entry {
    struct id room;
    uint32_t participants, publishers, subscribers, tracks;
};

struct rooms_dump {
    struct worker_data data;
    int64_t ticket;
    bool list; /* true; in the same place as in room_dump */
    size_t n;
    struct dump_room_entry entry[];
};

/* The worker's side: answers by worker_tell_data; room "": all of them. from: the first
 * participant, by the order of joining. */
void debug_dump(struct worker *w, int64_t ticket, const struct id *room, size_t from);

#endif
