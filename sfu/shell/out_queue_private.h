/* The out queue's inside, shared by what collects and paces (out_queue.c) and what writes
 * (out_write.c). */
#ifndef SOTTO_SFU_OUT_QUEUE_PRIVATE_H
#define SOTTO_SFU_OUT_QUEUE_PRIVATE_H

#include "sfu/core/train.h"
#include "sfu/shell/out_pace.h"
#include "sfu/shell/out_queue.h"

#define OUT_ITEMS    8192
#define OUT_MESSAGES 256
#define OUT_ARENA                                                                                  \
    (128 * 1024) /* what is written before it is sent: it should stay in the cache                 \
                  */

/* An item whose header is written. */
struct out_draft {
    const struct out_item *item;
    const uint8_t *header;
    uint16_t header_len; /* an OSN, or a probe's padding, included */
    uint16_t clear_len;  /* of it, what isn't encrypted */
    bool repeats;        /* the header is that of a packet before it (slot_repeat_header) */
};

/* Of a message: when its first packet came, and how many are in it. */
struct out_timing {
    int64_t arrival_us; /* 0: it isn't timed */
    uint64_t packets;
};

struct out_queue {
    out_send_fn send;
    void *arg;
    bool trains;
    uint64_t spare[OUT_ITEMS / 64]; /* bit i: item i is free */
    size_t n_spare;
    size_t spare_from; /* no word before this one has any */
    struct transport *ready, *waiting;
    int64_t due_us;         /* not later than the earliest of those that wait */
    struct out_pace *paced; /* utlist of those that hold something or probe */
    int64_t paced_us;       /* likewise, of them */
    size_t held;            /* packets, by all pacers */
    int64_t now_us;         /* of this flush, or later: of the newest packet */
    struct out_counts counts;
    size_t n_messages, arena_len;
    size_t in_messages; /* packets */
    struct udp_message message[OUT_MESSAGES];
    struct out_timing timing[OUT_MESSAGES];
    int64_t train_us; /* arrival of the train under way; 0: it has none */
    struct histogram transit;
    struct out_draft draft[TRAIN_PACKETS];
    uint16_t len[TRAIN_PACKETS]; /* of the drafts as they leave, without tag */
    struct out_item *behind;     /* the drafts, in the same transport's list */
    struct out_item item[OUT_ITEMS];
    uint8_t headers[TRAIN_PACKETS * SLOT_HEADER];
    uint8_t arena[OUT_ARENA];
};

/* A free item, or NULL. */
struct out_item *out_queue_item(struct out_queue *q);
/* Writes these packets of the transport as trains, and gives them back. */
void out_queue_write(struct out_queue *q, struct transport *t, struct out_item *first);
/* What is written is sent. */
void out_queue_send(struct out_queue *q);
/* Gives back a list of packets up to `end`. */
void out_queue_release(struct out_queue *q, struct out_item *first, const struct out_item *end);

#endif
