#include "sfu/shell/out_queue.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "lib/base/ids.h"
#include "sfu/core/train.h"
#include "sfu/shell/out_pace.h"
#include "sfu/shell/transport.h"

#define ITEMS         8192
#define HELD          (ITEMS / 2) /* of them, by pacers: the rest is for what passes */
#define MESSAGES      256
#define ARENA         (128 * 1024) /* what is written before it is sent: it should stay in the cache */
#define P_BIT         0x20
#define PROBE         255 /* bytes of padding of a probe's packet, at most */
#define PROBE_STEP_US 1000

/* An item whose header is written. */
struct draft {
    const struct out_item *item;
    const uint8_t *header;
    uint16_t header_len; /* an OSN, or a probe's padding, included */
    uint16_t clear_len;  /* of it, what isn't encrypted */
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
    struct out_item *free;
    struct transport *ready, *waiting;
    int64_t due_us;         /* not later than the earliest of those that wait */
    struct out_pace *paced; /* utlist of those that hold something or probe */
    int64_t paced_us;       /* likewise, of them */
    size_t held;            /* packets, by all pacers */
    int64_t now_us;         /* of this flush, or later: of the newest packet */
    struct out_counts counts;
    size_t n_messages, arena_len;
    size_t in_messages; /* packets */
    struct udp_message message[MESSAGES];
    struct out_timing timing[MESSAGES];
    int64_t train_us; /* arrival of the train under way; 0: it has none */
    struct histogram transit;
    struct draft draft[TRAIN_PACKETS];
    uint16_t len[TRAIN_PACKETS]; /* of the drafts as they leave, without tag */
    struct out_item *behind;     /* the drafts, in the same transport's list */
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
    q->due_us = q->paced_us = INT64_MAX;
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

static void release_all(struct out_queue *q, struct out_item *first, const struct out_item *end)
{
    while (first != end) {
        struct out_item *next = first->next;
        release(q, first);
        first = next;
    }
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
    t->out.bytes += (uint32_t)out_item_bytes(i);
    q->now_us = !rtx && k->arrival_us > q->now_us ? k->arrival_us : q->now_us;
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

static void record_transit(struct out_queue *q)
{
    int64_t now_us = clock_mono_us();
    for (size_t i = 0; i < q->n_messages; i++) {
        const struct out_timing *t = &q->timing[i];
        if (t->arrival_us > 0) {
            histogram_record_n(&q->transit, now_us - t->arrival_us, t->packets);
        }
    }
}

static void send_messages(struct out_queue *q)
{
    if (q->n_messages > 0) {
        int taken = q->send(q->arg, q->message, (int)q->n_messages);
        size_t got = taken > 0 ? (size_t)taken : 0;
        q->counts.packets += got;
        q->counts.refused += q->in_messages - (got < q->in_messages ? got : q->in_messages);
        q->counts.messages += q->n_messages;
        record_transit(q);
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
    q->timing[q->n_messages] = (struct out_timing){.arrival_us = q->train_us, .packets = packets};
    q->message[q->n_messages++] = (struct udp_message){.data = data,
                                                       .len = len,
                                                       .segment = packets > 1 ? segment : 0,
                                                       .peer = &t->selected->addr,
                                                       .local = &t->selected->local};
    q->in_messages += packets;
    q->arena_len = (size_t)(data - q->arena) + len;
    q->counts.bytes += len;
}

/* Numbers are given in the order of leaving, and all of one flush leave at its time. */
static void stamp(const struct out_queue *q, const struct transport *t, const struct out_item *i,
                  uint8_t *header, size_t bytes)
{
    const struct out_pace *p = t->out.pace;
    if (p && p->bwe) {
        enum bwe_kind kind = i->packet ? BWE_MEDIA : BWE_PADDING;
        uint16_t seq = bwe_on_sent(p->bwe, bytes, kind, q->now_us);
        slot_stamp(i->slot, header, seq, rtp_abs_send_time(q->now_us));
    }
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
    memcpy(dst, d->header, d->header_len);
    if (i->packet) {
        slot_write_payload(i->slot, i->packet, &i->to, dst + d->header_len);
    }
    stamp(q, t, i, dst, to);
    if (to > len) {
        dst[0] |= P_BIT;
        memset(dst + len, 0, to - len);
        dst[to - 1] = (uint8_t)(to - len);
        q->counts.padding += to - len;
    }
    return srtp_writer_protect(t->writer, stream, dst, to, d->clear_len, to + SRTP_MAX_TAG);
}

/* When the first of these drafts came that isn't a retransmission; 0: all are. */
static int64_t arrival_of(const struct draft *d, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!d[i].item->rtx) {
            return d[i].item->packet->arrival_us;
        }
    }
    return 0;
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
    q->train_us = arrival_of(&q->draft[at], train->packets);
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

/* The header of a packet as it leaves, with a probe's padding; its length, or an error. */
static int write_header(const struct out_item *i, struct draft *d, uint8_t *dst)
{
    size_t clear_len = 0;
    int len = i->packet ? slot_write_header(i->slot, i->packet, &i->to, i->rtx, dst, SLOT_HEADER)
                        : slot_write_padding(i->slot, i->padding, dst, SLOT_HEADER, &clear_len);
    if (len > 0) {
        clear_len = i->packet ? (size_t)len - (i->rtx ? SLOT_OSN : 0) : clear_len;
        *d = (struct draft){i, dst, (uint16_t)len, (uint16_t)clear_len};
    }
    return len;
}

/* Writes the headers of the first packets, as many as a train may have; how many. Those too large
 * are dropped. */
static size_t draft(struct out_queue *q, struct out_item *i)
{
    size_t n = 0, used = 0;
    for (; i && n < TRAIN_PACKETS; i = i->next) {
        int len = write_header(i, &q->draft[n], q->headers + used);
        size_t payload = i->packet ? slot_payload_len(i->slot, i->packet) : 0;
        if (len < 0 || (size_t)len + payload > OUT_DATAGRAM - SRTP_MAX_TAG) {
            q->counts.too_large++;
            continue;
        }
        q->len[n++] = (uint16_t)((size_t)len + payload);
        used += (size_t)len;
    }
    q->behind = i;
    return n;
}

/* Writes them as trains, and gives them back. */
static void send_items(struct out_queue *q, struct transport *t, struct out_item *first)
{
    struct train train;
    while (first) {
        size_t n = draft(q, first);
        for (size_t at = 0; at < n; at += train.packets) {
            train_plan(&train, q->len + at, q->trains ? n - at : 1, srtp_writer_tag_len(t->writer));
            write_train(q, t, at, &train);
        }
        struct out_item *behind = q->behind;
        release_all(q, first, behind);
        first = behind;
    }
}

/* ---- pacing ---- */

static void activate(struct out_queue *q, struct out_pace *p, int64_t due_us)
{
    if (!p->active) {
        DL_APPEND(q->paced, p);
        p->active = true;
        p->due_us = INT64_MAX;
    }
    p->due_us = due_us < p->due_us ? due_us : p->due_us;
    q->paced_us = due_us < q->paced_us ? due_us : q->paced_us;
}

static void deactivate(struct out_queue *q, struct out_pace *p)
{
    DL_DELETE(q->paced, p);
    p->active = false;
    p->due_us = INT64_MAX;
}

/* What the pacer now hands out; `held` is what it held before. */
static void send_released(struct out_queue *q, struct out_pace *p, size_t held,
                          struct out_item *first)
{
    q->held += out_pace_held(p) - held;
    send_items(q, p->transport, first);
}

/* The pacer didn't let these pass. */
static void hold_back(struct out_queue *q, struct out_pace *p, struct out_item *first)
{
    size_t held = out_pace_held(p);
    send_released(q, p, held, out_pace_take(p, first, q->now_us));
    held = out_pace_held(p);
    if (q->held > HELD) {
        send_released(q, p, held, out_pace_drop(p));
    } else if (held > 0) {
        activate(q, p, out_pace_due(p, q->now_us));
    }
}

static void send_peer(struct out_queue *q, struct transport *t)
{
    struct out_item *first = t->out.first;
    struct out_pace *p = t->out.pace;
    bool pass = !p || pacer_pass(&p->pacer, t->out.bytes, q->now_us);
    t->out.first = t->out.last = NULL;
    t->out.ready = false;
    t->out.bytes = 0;
    if (pass) {
        send_items(q, t, first);
    } else {
        hold_back(q, p, first);
    }
}

/* A video slot that can carry padding, or NULL. */
static struct slot *probe_slot(const struct transport *t)
{
    const struct subscriber *s = t->subscriber;
    for (uint32_t i = 0; s && i < s->n_video; i++) {
        struct slot *slot = subscriber_video(s, i);
        if (slot->accepted && slot->rtx && slot->last_us) {
            return slot;
        }
    }
    return NULL;
}

/* `bytes` of padding, in packets of one size. */
static void send_probe(struct out_queue *q, struct out_pace *p, const struct probe_want *w)
{
    struct slot *slot = probe_slot(p->transport);
    struct out_list list = {0};
    size_t size = w->packet_bytes < PROBE + OUT_OVERHEAD ? w->packet_bytes : PROBE + OUT_OVERHEAD;
    size = size > 2 * OUT_OVERHEAD ? size : 2 * OUT_OVERHEAD;
    while (slot && q->free && list.n < TRAIN_PACKETS && list.n * size < w->bytes) {
        struct out_item *i = q->free;
        q->free = i->next;
        *i = (struct out_item){.next = list.first,
                               .slot = slot,
                               .rtx = true,
                               .padding = (uint8_t)(size - OUT_OVERHEAD)};
        list.first = i;
        list.n++;
    }
    q->counts.probes += list.n;
    pacer_sent(&p->pacer, list.n * size, q->now_us);
    send_items(q, p->transport, list.first);
}

static void serve(struct out_queue *q, struct out_pace *p)
{
    size_t held = out_pace_held(p);
    send_released(q, p, held, out_pace_release(p, q->now_us));
    p->due_us = out_pace_due(p, q->now_us);
    if (p->bwe) {
        struct probe_want w = bwe_probe_wants(p->bwe, q->now_us);
        if (w.bytes > 0 && out_pace_held(p) == 0) {
            send_probe(q, p, &w);
        }
        int64_t again_us =
            w.again_us > q->now_us + PROBE_STEP_US ? w.again_us : q->now_us + PROBE_STEP_US;
        p->due_us = again_us < p->due_us ? again_us : p->due_us;
    }
}

/* Those whose time has come, and when it comes for the others. */
static void serve_paced(struct out_queue *q, int64_t now_us)
{
    struct out_pace *p, *tmp;
    if (q->paced_us > now_us) {
        return;
    }
    q->paced_us = INT64_MAX;
    DL_FOREACH_SAFE(q->paced, p, tmp)
    {
        if (p->due_us <= now_us) {
            serve(q, p);
        }
        if (p->due_us == INT64_MAX) {
            deactivate(q, p);
        } else if (p->due_us < q->paced_us) {
            q->paced_us = p->due_us;
        }
    }
}

void out_queue_probe(struct out_queue *q, struct transport *t)
{
    struct out_pace *p = t->out.pace;
    if (p && p->bwe && p->bwe->probing) {
        activate(q, p, q->now_us);
    }
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
        if (a->out.pace && a->out.pace->bwe) {
            __builtin_prefetch(a->out.pace->bwe);
        }
    }
    if (!b) {
        return;
    }
    srtp_writer_prefetch_far(b->writer);
    __builtin_prefetch(b->selected);
    __builtin_prefetch((const char *)b->selected + 64);
    if (b->out.pace) {
        __builtin_prefetch(b->out.pace);
    }
    __builtin_prefetch(b->out.first->slot);
    __builtin_prefetch((const char *)b->out.first->slot + 64);
    if (b->out.next) {
        __builtin_prefetch(b->out.next);
        __builtin_prefetch((const char *)b->out.next + 64);
    }
}

static void send_ready(struct out_queue *q)
{
    while (q->ready) {
        struct transport *t = q->ready;
        fetch_ahead(t);
        if (t->out.pace && t->out.pace->bwe) {
            send_history_prefetch(&t->out.pace->bwe->history);
        }
        DL_DELETE2(q->ready, t, out.prev, out.next);
        send_peer(q, t);
    }
}

/* What was held before leaves first. */
void out_queue_flush(struct out_queue *q, int64_t now_us)
{
    q->now_us = now_us > q->now_us ? now_us : q->now_us;
    serve_paced(q, q->now_us);
    ripen(q, now_us);
    send_ready(q);
    send_messages(q);
}

void out_queue_flush_all(struct out_queue *q)
{
    q->due_us = INT64_MIN;
    ripen(q, INT64_MAX);
    send_ready(q);
    send_messages(q);
}

void out_queue_forget(struct out_queue *q, struct transport *t)
{
    struct out_pace *p = t->out.pace;
    if (p && p->active) {
        q->held -= out_pace_held(p);
        release_all(q, out_pace_drop(p), NULL);
        deactivate(q, p);
    }
    if (!t->out.first) {
        return;
    }
    if (t->out.ready) {
        DL_DELETE2(q->ready, t, out.prev, out.next);
    } else {
        unwait(q, t);
    }
    release_all(q, t->out.first, NULL);
    t->out = (struct out_peer){.pace = p};
}

int64_t out_queue_due(const struct out_queue *q)
{
    int64_t due = q->ready ? 0 : q->waiting ? q->due_us : INT64_MAX;
    return q->paced && q->paced_us < due ? q->paced_us : due;
}

void out_queue_take_counts(struct out_queue *q, struct out_counts *out)
{
    *out = q->counts;
    q->counts = (struct out_counts){0};
}

const struct histogram *out_queue_transit(const struct out_queue *q)
{
    return &q->transit;
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
    while (q->paced) {
        out_queue_forget(q, q->paced->transport);
    }
    free(q);
}
