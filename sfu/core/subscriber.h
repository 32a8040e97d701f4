/* The receiving side of a participant as the SFU sees it: a fixed number of slots, the RTCP that
 * comes back for them (NACK, PLI, FIR, receiver reports), and the sender reports that go out. */
#ifndef SOTTO_SFU_CORE_SUBSCRIBER_H
#define SOTTO_SFU_CORE_SUBSCRIBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/proto/sdp_watch.h"
#include "sfu/core/allocator.h"
#include "sfu/core/slot.h"

#define SUBSCRIBER_REPORT_US      1000000
#define SUBSCRIBER_RESENDS_SECOND 1000 /* retransmissions a second, at most, and */
#define SUBSCRIBER_RESENDS_BURST  300  /* at once: what one NACK storm may cost */

struct room;

struct subscriber {
    uint32_t number; /* the participant's */
    struct room *room;
    bool ready;  /* transport up and answer read: slots are filled */
    bool viewed; /* a view was sent: video slots show what it asks for, and nothing else */
    bool slots_changed;
    bool decided; /* an allocator decides about layers (subscriber_apply) */
    uint32_t n_audio, n_video;
    struct slot *slot; /* n_audio of audio, then n_video of video */
    uint32_t ssrc_base;
    int64_t report_us; /* when sender reports are due next */
    size_t report_next;
    int64_t resend_us; /* when resend_left was last topped up */
    double resend_left;
    float resends_second, resends_burst; /* what it is topped up by, and to */
    void *user;                          /* the shell's transport */
};

/* random: 64 bits of which SSRCs, first sequence numbers and timestamps are made. ERR_INVALID (no
 * slot, or too many of a kind), ERR_NOMEM. */
int subscriber_new(struct subscriber **out, struct room *room, uint32_t number, uint32_t n_audio,
                   uint32_t n_video, uint64_t random);
/* Detaches its slots. NULL is fine. */
void subscriber_free(struct subscriber *s);
/* The SSRCs for the offer. */
void subscriber_describe(const struct subscriber *s, struct sdp_slots *out);
/* What the answer agreed to. */
void subscriber_answered(struct subscriber *s, const struct sdp_subscribe *answer);
struct slot *subscriber_audio(const struct subscriber *s, uint32_t i); /* i < n_audio */
struct slot *subscriber_video(const struct subscriber *s, uint32_t i); /* i < n_video */
/* The slot that sends with this SSRC (media or RTX), or NULL. */
struct slot *subscriber_slot(const struct subscriber *s, uint32_t ssrc);

/* So many retransmissions a second, and at once, of the bounds above at most; a few in any case. */
void subscriber_bound_resends(struct subscriber *s, double second, double burst);

/* What a watcher's own offer said (WHEP): payload types, extensions and mids are his. Instead of
 * subscriber_answered. */
void subscriber_watched(struct subscriber *s, const struct sdp_watch *w);

/* What each video slot could be sent and what is wanted of it, in slot order, for allocator_run:
 * out has room for n_video. Returns n_video. Cheap enough for each 100 ms. */
size_t subscriber_layers(const struct subscriber *s, struct allocator_slot *out, int64_t now_us);
/* What the allocator chose, n_video choices in slot order: slots are switched or paused, keyframes
 * asked for, slots_changed set where a viewer is to know of it. From the first call on the caller
 * decides about this subscriber's video; before, max_height alone does. */
void subscriber_apply(struct subscriber *s, const struct allocator_choice *choice, int64_t now_us);

/* The shell will fill the transport-wide numbers of all slots (slot_stamp). */
void subscriber_stamped(struct subscriber *s);

/* A packet to be sent again (slot_write_header, rtx); borrowed from the track's cache. */
struct resend {
    struct slot *slot;
    struct packet *packet;
    struct rewritten to;
};

struct subscriber_requests {
    uint32_t nacked, plis; /* that came in the compound */
};
/* One decrypted RTCP compound. Writes at most cap resends and returns their number (bounded by the
 * subscriber's budget); picture requests go to the tracks. A broken compound is taken up to where
 * it breaks. *bad (may not be NULL) tells whether it was. */
size_t subscriber_rtcp(struct subscriber *s, const uint8_t *data, size_t len, int64_t now_us,
                       int64_t wall_us, struct resend *out, size_t cap,
                       struct subscriber_requests *count, bool *bad);

/* Sender reports and CNAME of the slots in use, when due, at most cap bytes (1200 is right).
 * Returns the bytes, 0 when nothing is due. Call until 0. */
size_t subscriber_poll(struct subscriber *s, uint8_t *out, size_t cap, const char *cname,
                       int64_t now_us, int64_t wall_us);

#endif
