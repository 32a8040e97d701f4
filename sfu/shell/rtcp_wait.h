/* SRTCP that may wait: between two feedbacks of one subscriber among a hundred his keys, his
 * estimate and his shares have left the processor's cache, and fetching them is most of what a
 * feedback costs. Where nothing shows that his link is narrow (subscriber_rate_rtcp), those
 * that hold nothing but transport-wide feedback are kept as they came, encrypted, with the time at
 * which they came, until his turn of rates, and opened together. What stands in the clear is enough
 * to tell them (RFC 3711 section 3.4); what is kept isn't proved authentic yet.
 *
 * One arena a worker, in which a subscriber has few places: who sends more is opened at once. */
#ifndef SOTTO_SFU_RTCP_WAIT_H
#define SOTTO_SFU_RTCP_WAIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RTCP_WAIT_EACH     4    /* packets kept a subscriber */
#define RTCP_WAIT_ALL      4096 /* of all: 512 KiB, as far as they are used; a power of two */
#define RTCP_WAIT_BYTES    116  /* of one; longer ones don't wait */
#define RTCP_WAIT_US       200000
#define RTCP_WAIT_EARLY_US 15000 /* who asks each 10 ms may be late by 5 */

struct rtcp_waiting {
    int64_t at_us; /* when it came */
    uint16_t next; /* of those that are free: place + 1; 0: none */
    uint16_t len;
    uint8_t data[RTCP_WAIT_BYTES];
};

/* A subscriber's; zero-initialise. Small, so that it can stand where a packet looks anyway. */
struct rtcp_queue {
    uint32_t turn;                  /* among those with something */
    uint16_t place[RTCP_WAIT_EACH]; /* of what waits, oldest first */
    uint8_t n;
    bool open; /* what comes may wait: the caller's to set */
};

struct rtcp_wait;

/* NULL when out of memory. */
struct rtcp_wait *rtcp_wait_new(void);
void rtcp_wait_free(struct rtcp_wait *w);

/* One packet of transport-wide feedback, and nothing behind it but what SRTCP adds: at most
 * RTCP_WAIT_BYTES of both. */
bool rtcp_wait_is_feedback(const uint8_t *data, size_t len);
/* Keeps such a packet (a copy). False: it can't, and it is to be opened behind those that wait,
 * because the subscriber's places or all are taken. */
bool rtcp_wait_put(struct rtcp_wait *w, struct rtcp_queue *q, const uint8_t *data, size_t len,
                   int64_t now_us);
/* Empties the queue: returns how many there were, oldest first, to be decrypted in place. They stay
 * until the next call of anything here. */
size_t rtcp_wait_take(struct rtcp_wait *w, struct rtcp_queue *q,
                      struct rtcp_waiting *out[RTCP_WAIT_EACH]);
/* The subscribers, at most cap, whose oldest packet will have waited for RTCP_WAIT_US before long:
 * RTCP_WAIT_EARLY_US. All that they have is to be taken before this is called again. */
size_t rtcp_wait_due(struct rtcp_wait *w, struct rtcp_queue **out, size_t cap, int64_t now_us);
/* They will be taken soon: fetches them into the cache. */
void rtcp_wait_prefetch(const struct rtcp_wait *w, const struct rtcp_queue *q);
/* The subscriber goes. */
void rtcp_wait_forget(struct rtcp_wait *w, struct rtcp_queue *q);

#endif
