#include "sfu/shell/out_queue.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "sfu/core/train.h"
#include "sfu/shell/transport.h"

#define ITEMS    8192
#define MESSAGES 256
#define ARENA    (128 * 1024) /* what is written before it is sent: it should stay in the cache */
#define P_BIT    0x20

struct out_item {
    struct out_item *next; /* of the same transport, or free */
    struct packet *packet; /* a reference */
    struct slot *slot;
    struct rewritten to;
    bool rtx;
};

/* An item whose header is written. */
struct draft {
    const struct out_item *item;
    const uint8_t *header;
    uint16_t header_len; /* an OSN included */
};

struct out_queue {
    out_send_fn send;
    void *arg;
    bool trains;
    struct out_item *free;
    struct transport *ready, *waiting;
    int64_t due_us; /* not later than the earliest of those that wait */
    struct out_counts counts;
    size_t n_messages, arena_len;
    size_t in_messages; /* packets */
    struct udp_message message[MESSAGES];
    struct draft draft[TRAIN_PACKETS];
    uint16_t len[TRAIN_PACKETS];   /* of the drafts as they leave, without tag */
    const struct out_item *behind; /* the drafts, in the same transport's list */
    struct out_item item[ITEMS];
    uint8_t headers[TRAIN_PACKETS * SLOT_HEADER];
    uint8_t arena[ARENA];
};

struct out_queue *out_queue_new(out_send_fn send, void *arg)
{
    struct out_queue *q = calloc(1, sizeof *q);
    if (!q) {
        return NULL;
    }
    q->send = send;
    q->arg = arg;
    q->trains = true;
    q->due_us = INT64_MAX;
    for (size_t i = ITEMS; i-- > 0;) {
        q->item[i].next = q->free;
        q->free = &q->item[i];
    }
    return q;
}

void out_queue_trains(struct out_queue *q, bool on)
{
    q->trains = on;
}

static void release(struct out_queue *q, struct out_item *i)
{
    packet_unref(i->packet);
    i->next = q->free;
    q->free = i;
}

/* ---- collecting ---- */

static void unwait(struct out_queue *q, struct transport *t)
{
    DL_DELETE2(q->waiting, t, out.prev, out.next);
    if (!q->waiting) {
        q->due_us = INT64_MAX;
    }
}

static void make_ready(struct out_queue *q, struct transport *t)
{
    unwait(q, t);
    DL_APPEND2(q->ready, t, out.prev, out.next);
    t->out.ready = true;
}

/* The transport's first packet. */
static void enlist(struct out_queue *q, struct transport *t, bool ready)
{
    t->out.due_us = INT64_MAX;
    t->out.ready = ready;
    if (ready) {
        DL_APPEND2(q->ready, t, out.prev, out.next);
    } else {
        DL_APPEND2(q->waiting, t, out.prev, out.next);
    }
}

void out_queue_add(struct out_queue *q, struct transport *t, struct slot *slot, struct packet *k,
                   const struct rewritten *to, bool rtx, int64_t due_us)
{
    if (!q->free) {
        out_queue_flush_all(q);
    }
    struct out_item *i = q->free;
    bool ready = due_us <= 0 || !q->trains;
    q->free = i->next;
    *i = (struct out_item){.packet = packet_ref(k), .slot = slot, .to = *to, .rtx = rtx};
    if (!t->out.first) {
        t->out.first = i;
        enlist(q, t, ready);
    } else {
        t->out.last->next = i;
    }
    t->out.last = i;
    if (t->out.ready) {
        return;
    }
    if (ready) {
        make_ready(q, t);
        return;
    }
    t->out.due_us = due_us < t->out.due_us ? due_us : t->out.due_us;
    q->due_us = due_us < q->due_us ? due_us : q->due_us;
}

/* ---- writing ---- */

static void send_messages(struct out_queue *q)
{
    if (q->n_messages > 0) {
        int taken = q->send(q->arg, q->message, (int)q->n_messages);
        size_t got = taken > 0 ? (size_t)taken : 0;
        q->counts.packets += got;
        q->counts.refused += q->in_messages - (got < q->in_messages ? got : q->in_messages);
        q->counts.messages += q->n_messages;
    }
    q->n_messages = q->arena_len = q->in_messages = 0;
}

/* Bytes in the arena become a message; without an address they were written for the numbers' sake
 * only (see protect). */
static void add_message(struct out_queue *q, const struct transport *t, const uint8_t *data,
                        size_t len, size_t segment, size_t packets)
{
    if (packets == 0) {
        return;
    }
    if (!t->selected) {
        q->counts.refused += packets;
        return;
    }
    q->message[q->n_messages++] = (struct udp_message){.data = data,
                                                       .len = len,
                                                       .segment = packets > 1 ? segment : 0,
                                                       .peer = &t->selected->addr,
                                                       .local = &t->selected->local};
    q->in_messages += packets;
    q->arena_len = (size_t)(data - q->arena) + len;
    q->counts.bytes += len;
}

/* The packet of `len` bytes at dst, padded to `to` (RFC 3550 section 5.1: the last byte counts) and
 * encrypted; its length. Each number that was given is protected, also when there is nobody to send
 * it to: the rollover counter goes by what passes the writer, and a number left out too often would
 * come twice. */
static int protect(struct out_queue *q, struct transport *t, const struct draft *d, uint8_t *dst,
                   size_t len, size_t to)
{
    const struct out_item *i = d->item;
    struct srtp_stream *stream = i->rtx ? &i->slot->rtx_stream : &i->slot->stream;
    size_t header_len = d->header_len - (i->rtx ? SLOT_OSN : 0);
    memcpy(dst, d->header, d->header_len);
    slot_write_payload(i->slot, i->packet, &i->to, dst + d->header_len);
    if (to > len) {
        dst[0] |= P_BIT;
        memset(dst + len, 0, to - len);
        dst[to - 1] = (uint8_t)(to - len);
        q->counts.padding += to - len;
    }
    return srtp_writer_protect(t->writer, stream, dst, to, header_len, to + SRTP_MAX_TAG);
}

/* One train of the drafts from `at` on. A packet that can't be encrypted is left out, and what
 * came before it is a train of its own. */
static void write_train(struct out_queue *q, struct transport *t, size_t at,
                        const struct train *train)
{
    if (q->n_messages + 1 + train->packets > MESSAGES ||
        q->arena_len + train->bytes + SRTP_MAX_TAG > ARENA) {
        send_messages(q);
    }
    size_t tag = srtp_writer_tag_len(t->writer), packets = 0;
    uint8_t *start = q->arena + q->arena_len, *dst = start;
    for (size_t i = at; i < at + train->packets; i++) {
        bool last = i + 1 == at + train->packets;
        size_t to = last ? q->len[i] : train->segment - tag;
        int len = protect(q, t, &q->draft[i], dst, q->len[i], to);
        if (len > 0) {
            dst += len;
            packets++;
            continue;
        }
        add_message(q, t, start, (size_t)(dst - start), train->segment, packets);
        q->counts.refused++;
        start = dst;
        packets = 0;
    }
    add_message(q, t, start, (size_t)(dst - start), train->segment, packets);
}

/* Writes the headers of the transport's next packets, as many as a train may have; how many. Those
 * too large are dropped. */
static size_t draft(struct out_queue *q, struct transport *t)
{
    size_t n = 0, used = 0;
    struct out_item *i = t->out.first;
    for (; i && n < TRAIN_PACKETS; i = i->next) {
        uint8_t *header = q->headers + used;
        int len = slot_write_header(i->slot, i->packet, &i->to, i->rtx, header, SLOT_HEADER);
        size_t whole = len > 0 ? (size_t)len + i->packet->header.payload_len : SIZE_MAX;
        if (whole > OUT_DATAGRAM - SRTP_MAX_TAG) {
            q->counts.too_large++;
            continue;
        }
        q->draft[n] = (struct draft){.item = i, .header = header, .header_len = (uint16_t)len};
        q->len[n++] = (uint16_t)whole;
        used += (size_t)len;
    }
    q->behind = i;
    return n;
}

static void release_until(struct out_queue *q, struct transport *t, const struct out_item *end)
{
    while (t->out.first != end) {
        struct out_item *i = t->out.first;
        t->out.first = i->next;
        release(q, i);
    }
}

static void send_peer(struct out_queue *q, struct transport *t)
{
    struct train train;
    while (t->out.first) {
        size_t n = draft(q, t);
        for (size_t at = 0; at < n; at += train.packets) {
            train_plan(&train, q->len + at, q->trains ? n - at : 1, srtp_writer_tag_len(t->writer));
            write_train(q, t, at, &train);
        }
        release_until(q, t, q->behind);
    }
    t->out.last = NULL;
    t->out.ready = false;
}

/* ---- leaving ---- */

/* Those whose time has come, and when it comes for the others. */
static void ripen(struct out_queue *q, int64_t now_us)
{
    struct transport *t, *tmp;
    if (q->due_us > now_us) {
        return;
    }
    q->due_us = INT64_MAX;
    DL_FOREACH_SAFE2(q->waiting, t, tmp, out.next)
    {
        if (t->out.due_us <= now_us) {
            make_ready(q, t);
        } else if (t->out.due_us < q->due_us) {
            q->due_us = t->out.due_us;
        }
    }
}

/* What a transport's packets need has left the cache since its last frame, and is spread over
 * pages: it is fetched while those before it are served. Each step touches only what the step
 * before has fetched. */
static void fetch_ahead(const struct transport *t)
{
    const struct transport *a = t->out.next, *b = a ? a->out.next : NULL;
    if (a) {
        srtp_writer_prefetch_near(a->writer);
    }
    if (!b) {
        return;
    }
    srtp_writer_prefetch_far(b->writer);
    __builtin_prefetch(b->selected);
    __builtin_prefetch((const char *)b->selected + 64);
    __builtin_prefetch(b->out.first->slot);
    __builtin_prefetch((const char *)b->out.first->slot + 64);
    if (b->out.next) {
        __builtin_prefetch(b->out.next);
        __builtin_prefetch((const char *)b->out.next + 64);
    }
}

void out_queue_flush(struct out_queue *q, int64_t now_us)
{
    ripen(q, now_us);
    while (q->ready) {
        struct transport *t = q->ready;
        fetch_ahead(t);
        DL_DELETE2(q->ready, t, out.prev, out.next);
        send_peer(q, t);
    }
    send_messages(q);
}

void out_queue_flush_all(struct out_queue *q)
{
    q->due_us = INT64_MIN;
    out_queue_flush(q, INT64_MAX);
}

void out_queue_forget(struct out_queue *q, struct transport *t)
{
    if (!t->out.first) {
        return;
    }
    if (t->out.ready) {
        DL_DELETE2(q->ready, t, out.prev, out.next);
    } else {
        unwait(q, t);
    }
    release_until(q, t, NULL);
    t->out = (struct out_peer){0};
}

int64_t out_queue_due(const struct out_queue *q)
{
    return q->ready ? 0 : q->waiting ? q->due_us : INT64_MAX;
}

void out_queue_take_counts(struct out_queue *q, struct out_counts *out)
{
    *out = q->counts;
    q->counts = (struct out_counts){0};
}

void out_queue_free(struct out_queue *q)
{
    if (!q) {
        return;
    }
    while (q->ready) {
        out_queue_forget(q, q->ready);
    }
    while (q->waiting) {
        out_queue_forget(q, q->waiting);
    }
    free(q);
}
