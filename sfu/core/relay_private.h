/* Shared by the files of the relay. */
#ifndef SOTTO_SFU_CORE_RELAY_PRIVATE_H
#define SOTTO_SFU_CORE_RELAY_PRIVATE_H

#include <uthash.h>

#include "sfu/core/relay.h"

/* A track that we announced. The track itself is looked up when it is needed: it may go any time.
 */
struct relay_offer {
    uint32_t number; /* the track's source */
    struct id room;
    uint32_t participant;
    struct relay_description told;
    int64_t told_us;
    uint64_t round;                 /* of the scan that saw it last */
    uint8_t layers;                 /* that are wanted, a bit each */
    int64_t wanted_us;              /* when the other side said so last */
    uint64_t ntp[RELAY_MAX_LAYERS]; /* of the reports told last */
    UT_hash_handle hh;
};

/* A track that was announced to us. */
struct relay_remote {
    uint32_t number; /* the other side's */
    struct relay_publisher *from;
    struct relay_description is;
    struct track *track; /* valid while from->publisher is there; or NULL */
    int64_t heard_us;    /* when it was announced last */
    uint8_t told_layers; /* that were asked for last, a bit each */
    int64_t told_us;
    struct relay_remote *prev, *next; /* of its publisher */
    UT_hash_handle hh;
};

struct relay_key {
    struct id room;
    uint32_t participant;
};

/* A participant of the other side, as he appears here. */
struct relay_publisher {
    struct relay_key key;
    struct publisher *publisher; /* NULL: he could not be shown, or was replaced by one of ours */
    struct relay_remote *remotes;
    UT_hash_handle hh;
};

struct relay_room {
    struct id id;
    bool branch;
    bool solicit; /* the other side is to be asked what it has */
    UT_hash_handle hh;
};

struct relay_link {
    bool open;
    struct relay_room *rooms;
    struct relay_offer *offers;
    struct relay_remote *remotes;
    struct relay_publisher *publishers;
};

struct relay {
    struct router *router;
    int64_t scan_us;
    uint64_t round;
    size_t n_rooms; /* over all links */
    struct relay_link link[RELAY_MAX_LINKS];
};

/* Where frames go during one tick. */
struct relay_out {
    uint32_t link;
    int64_t now_us;
    relay_send_fn send;
    void *arg;
};

/* ---- relay_offers.c: what we have ---- */

/* Announces what is new or due, withdraws what is gone, tells levels and reports. */
void relay_offers_scan(struct relay *r, const struct relay_out *out);
int relay_offers_demand(struct relay *r, uint32_t link, const struct relay_frame *f,
                        int64_t now_us);
int relay_offers_nack(struct relay *r, uint32_t link, const struct relay_frame *f, int64_t now_us,
                      struct packet **resend, size_t cap, size_t *n_resend);
/* The other side knows nothing of the room: everything of it is told at the next scan. */
void relay_offers_solicited(struct relay *r, uint32_t link, const struct id *room);
/* Forgets those of the room (NULL: all), and who wanted them. */
void relay_offers_drop(struct relay *r, uint32_t link, const struct id *room);

/* ---- relay_remotes.c: what the other side has ---- */

int relay_remotes_announce(struct relay *r, uint32_t link, const struct relay_frame *f,
                           int64_t now_us);
int relay_remotes_withdraw(struct relay *r, uint32_t link, uint32_t number, int64_t now_us);
void relay_remotes_levels(struct relay *r, uint32_t link, const struct relay_frame *f,
                          int64_t now_us);
int relay_remotes_report(struct relay *r, uint32_t link, const struct relay_frame *f,
                         int64_t wall_us);
/* Asks for what is wanted, calls off what isn't, asks for keyframes and lost packets. */
void relay_remotes_poll(struct relay *r, const struct relay_out *out);
/* Removes those that weren't announced for long. */
void relay_remotes_expire(struct relay *r, uint32_t link, int64_t now_us);
/* Removes those of the room (NULL: all). */
void relay_remotes_drop(struct relay *r, uint32_t link, const struct id *room, int64_t now_us);

#endif
