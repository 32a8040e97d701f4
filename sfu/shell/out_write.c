/* Writing what leaves: headers, numbers, padding, encryption, trains. */
#include <string.h>

#include "lib/base/ids.h"
#include "sfu/shell/out_queue_private.h"
#include "sfu/shell/transport.h"

#define P_BIT 0x20

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

void out_queue_send(struct out_queue *q)
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
                                                       .local = peer_address_source(t->selected)};
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
static int protect(struct out_queue *q, struct transport *t, const struct out_draft *d,
                   uint8_t *dst, size_t len, size_t to)
{
    const struct out_item *i = d->item;
    struct srtp_stream *stream = i->rtx ? &i->slot->rtx_stream : &i->slot->stream;
    if (d->repeats) {
        slot_repeat_header(&i->to, d->header, d->header_len, dst);
    } else {
        memcpy(dst, d->header, d->header_len);
    }
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
static int64_t arrival_of(const struct out_draft *d, size_t n)
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
    if (q->n_messages + 1 + train->packets > OUT_MESSAGES ||
        q->arena_len + train->bytes + SRTP_MAX_TAG > OUT_ARENA) {
        out_queue_send(q);
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
static int write_header(const struct out_item *i, struct out_draft *d, uint8_t *dst)
{
    size_t clear_len = 0;
    int len = i->packet ? slot_write_header(i->slot, i->packet, &i->to, i->rtx, dst, SLOT_HEADER)
                        : slot_write_padding(i->slot, i->padding, dst, SLOT_HEADER, &clear_len);
    if (len > 0) {
        clear_len = i->packet ? (size_t)len - (i->rtx ? SLOT_OSN : 0) : clear_len;
        *d = (struct out_draft){i, dst, (uint16_t)len, (uint16_t)clear_len, false};
    }
    return len;
}

/* `before` is the draft of the packet before it, or NULL. */
static int next_header(const struct out_item *i, const struct out_draft *before,
                       struct out_draft *d, uint8_t *dst)
{
    const struct out_item *b = before ? before->item : NULL;
    if (!b || b->slot != i->slot || b->rtx || i->rtx || !slot_repeats(b->packet, i->packet)) {
        return write_header(i, d, dst);
    }
    *d = (struct out_draft){i, before->header, before->header_len, before->clear_len, true};
    return before->header_len;
}

/* Writes the headers of the first packets, as many as a train may have, but of those alike the
 * first one's only; how many. Those too large are dropped. */
static size_t draft(struct out_queue *q, struct out_item *i)
{
    size_t n = 0, used = 0;
    for (; i && n < TRAIN_PACKETS; i = i->next) {
        int len = next_header(i, n ? &q->draft[n - 1] : NULL, &q->draft[n], q->headers + used);
        size_t payload = i->packet ? slot_payload_len(i->slot, i->packet) : 0;
        if (len < 0 || (size_t)len + payload > OUT_DATAGRAM - SRTP_MAX_TAG) {
            q->counts.too_large += i->packet != NULL; /* nobody misses a probe */
            continue;
        }
        used = (size_t)(q->draft[n].header - q->headers) + (size_t)len;
        q->len[n++] = (uint16_t)((size_t)len + payload);
    }
    q->behind = i;
    return n;
}

void out_queue_write(struct out_queue *q, struct transport *t, struct out_item *first)
{
    struct train train;
    while (first) {
        size_t n = draft(q, first);
        for (size_t at = 0; at < n; at += train.packets) {
            train_plan(&train, q->len + at, q->trains ? n - at : 1, srtp_writer_tag_len(t->writer));
            write_train(q, t, at, &train);
        }
        struct out_item *behind = q->behind;
        out_queue_release(q, first, behind);
        first = behind;
    }
}
