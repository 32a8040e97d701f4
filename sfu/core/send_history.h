/* What was sent on one subscriber's transport by transport-wide sequence number
 * (draft-holmer-rmcat-transport-wide-cc-extensions-01): the newest 1024 packets, six bytes each.
 * At 1,000 packets a second that is more than a round trip of half a second and the wait for the
 * next feedback and for one that was lost before it. */
#ifndef SOTTO_SFU_CORE_SEND_HISTORY_H
#define SOTTO_SFU_CORE_SEND_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/fetch.h"

#define SEND_HISTORY         1024 /* power of two, under 2^15 */
#define SEND_HISTORY_IDLE_US 2000000
#define SEND_HISTORY_BYTES   2047 /* that a packet is remembered with, at most */
#define SEND_HISTORY_CLUSTER 7    /* the highest number of a probe's cluster */

enum sent_state { SENT_NONE, SENT_FLYING, SENT_ACKED, SENT_LOST };

/* Side by side, and without a gap: both are noted of each packet, and asked for by each feedback.
 */
struct __attribute__((packed, aligned(2))) sent_packet {
    uint32_t at_us; /* low 32 bits: unambiguous, since 1024 gaps of at most 2 s are under 2^32 us */
    uint16_t what;  /* bytes, 3 bits of cluster, 2 of enum sent_state */
};

struct send_history {
    int64_t next;    /* unwrapped number of the next packet */
    int64_t first;   /* nothing below is remembered: a silence ended there */
    int64_t last_us; /* when the newest left */
    struct sent_packet sent[SEND_HISTORY];
};

/* What a feedback said for the first time about one packet. */
struct sent_news {
    int64_t sent_us;
    uint16_t bytes;
    uint8_t cluster; /* of a probe; 0: none */
    bool received;
    bool late; /* was told lost before, and came after all */
};

/* Fetches where the next packets will be noted. */
static inline void send_history_prefetch(const struct send_history *h)
{
    size_t at = (size_t)h->next & (SEND_HISTORY - 1);
    fetch_write(&h->sent[at]);
    fetch_write(&h->sent[(at + 7) & (SEND_HISTORY - 1)]);
}

void send_history_init(struct send_history *h);
/* Remembers a packet; returns the number to write into it. Sizes over
 * SEND_HISTORY_BYTES count as that; cluster: at most SEND_HISTORY_CLUSTER. */
uint16_t send_history_add(struct send_history *h, size_t bytes, uint8_t cluster, int64_t now_us);
/* One status of a feedback. False when it is no news: never sent, forgotten, said before. */
bool send_history_take(struct send_history *h, uint16_t seq, bool received, struct sent_news *out);
/* It was sent, but so many were since, or so long ago, that nothing is known of it. */
bool send_history_forgot(const struct send_history *h, uint16_t seq);

#endif
