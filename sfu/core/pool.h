/* Packet buffers of one worker: a fixed number, allocated once, counted references. A packet is
 * decrypted into its buffer, parsed once, and then only read: subscribers copy what they send, the
 * retransmission cache keeps a reference. Not for use by several threads. */
#ifndef SOTTO_SFU_CORE_POOL_H
#define SOTTO_SFU_CORE_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "lib/proto/codec.h"
#include "lib/proto/dd.h"
#include "lib/proto/rtp.h"

#define PACKET_HEADROOM 32   /* in front of data, for RTX unwrapping and header growth */
#define PACKET_CAP      1568 /* bytes from data on: any Ethernet datagram, SRTP tag included */

/* Header extensions that go on to subscribers. */
#define PACKET_PASSED 6
extern const enum rtp_ext_kind packet_passed_kind[PACKET_PASSED];

struct packet_pool;

/* One that is there. */
struct packet_ext {
    uint8_t kind; /* enum rtp_ext_kind */
    uint8_t len;  /* 1.. */
    uint16_t off; /* from packet_data on */
};

struct packet {
    uint32_t refs;
    uint16_t len;   /* bytes from data on */
    uint16_t start; /* where the packet begins within room (PACKET_HEADROOM at first) */
    int64_t arrival_us;
    int64_t ext_seq; /* unwrapped sequence number of its source */
    /* What all slots ask of it alike, found once by its track. */
    uint8_t stream;   /* which of its track's; set by who knows it (publisher_find, the relay) */
    uint8_t codec;    /* enum codec */
    bool has_info;    /* info was read: of video whose descriptor makes sense */
    bool has_dd;      /* dd was read */
    uint8_t n_passed; /* of passed */
    uint16_t red_off; /* of CODEC_RED: where the primary block begins within the payload */
    uint32_t csrc;    /* who sent it */
    struct packet_ext passed[PACKET_PASSED];
    struct rtp_header header;
    struct codec_info info;
    struct dd_frame dd;
    struct packet_pool *pool;
    struct packet *next; /* free list */
    uint8_t room[PACKET_HEADROOM + PACKET_CAP];
};

/* count buffers at once; NULL when out of memory. */
struct packet_pool *packet_pool_new(size_t count);
/* All packets must have come home (else it aborts: a leak is a bug). NULL is fine. */
void packet_pool_free(struct packet_pool *p);
/* A buffer with one reference, len 0, or NULL when the pool is empty (drop and count). */
struct packet *packet_alloc(struct packet_pool *p);
size_t packet_pool_available(const struct packet_pool *p);
size_t packet_pool_size(const struct packet_pool *p);

static inline struct packet *packet_ref(struct packet *k) /* returns k */
{
    k->refs++;
    return k;
}

/* Of packet_unref: it goes home. */
void packet_unref_last(struct packet *k);

static inline void packet_unref(struct packet *k) /* NULL is fine */
{
    if (k && k->refs > 1) {
        k->refs--;
    } else {
        packet_unref_last(k);
    }
}

static inline uint8_t *packet_data(struct packet *k)
{
    return k->room + k->start;
}

#endif
