#include "sfu/shell/out_queue.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "lib/base/fetch.h"
#include "sfu/shell/out_queue_private.h"
#include "sfu/shell/transport.h"

#define HELD          (OUT_ITEMS / 2) /* of the items, by pacers: the rest is for what passes */
#define PROBE         255             /* bytes of padding of a probe's packet, at most */
#define PROBE_STEP_US 1000

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
    memset(q->spare, 0xff, sizeof q->spare);
    q->n_spare = OUT_ITEMS;
    return q;
}

void out_queue_trains(struct out_queue *q, bool on)
{
    q->trains = on;
}

/* Always the first that is free: so a packet's items are neighbours, which the processor fetches by
 * itself. A list of those freed last would jump. */
struct out_item *out_queue_item(struct out_queue *q)
{
    if (q->n_spare == 0) {
        return NULL;
    }
    while (q->spare[q->spare_from] == 0) {
        q->spare_from++;
    }
    uint64_t *word = &q->spare[q->spare_from];
    size_t at = q->spare_from * 64 + (size_t)__builtin_ctzll(*word);
    *word &= *word - 1;
    q->n_spare--;
    return &q->item[at];
}

static void release(struct out_queue *q, struct out_item *i)
{
    size_t at = (size_t)(i - q->item), word = at / 64;
    packet_unref(i->packet);
    q->spare[word] |= UINT64_C(1) << at % 64;
    q->spare_from = word < q->spare_from ? word : q->spare_from;
    q->n_spare++;
}

void out_queue_release(struct out_queue *q, struct out_item *first, const struct out_item *end)
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
    if (q->n_spare == 0) {
        out_queue_flush_all(q);
    }
    struct out_item *i = out_queue_item(q);
    bool ready = due_us <= 0 || !q->trains;
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
    out_queue_write(q, p->transport, first);
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
        out_queue_write(q, t, first);
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
    while (slot && q->n_spare > 0 && list.n < TRAIN_PACKETS && list.n * size < w->bytes) {
        struct out_item *i = out_queue_item(q);
        *i = (struct out_item){.next = list.first,
                               .slot = slot,
                               .rtx = true,
                               .padding = (uint8_t)(size - OUT_OVERHEAD)};
        list.first = i;
        list.n++;
    }
    q->counts.probes += list.n;
    pacer_sent(&p->pacer, list.n * size, q->now_us);
    out_queue_write(q, p->transport, list.first);
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
 * pages: it is fetched while those before it are served, each step by what the one before it has
 * fetched: */
static void fetch_first(const struct transport *t)
{
    fetch_write(t);
    fetch_write((const char *)t + FETCH_LINE);
}

static void fetch_second(const struct transport *t)
{
    srtp_writer_prefetch_far(t->writer);
    fetch_write(t->out.pace);
    fetch_write(t->out.first);
    if (t->selected) {
        fetch_read(t->selected);
        fetch_read((const char *)t->selected + FETCH_LINE);
    }
}

static void fetch_third(const struct transport *t)
{
    srtp_writer_prefetch_near(t->writer);
    if (t->out.pace && t->out.pace->bwe) {
        fetch_write(t->out.pace->bwe);
    }
    slot_prefetch_write(t->out.first->slot);
}

static void fetch_fourth(const struct transport *t)
{
    if (t->out.pace && t->out.pace->bwe) {
        send_history_prefetch(&t->out.pace->bwe->history);
    }
}

#define AHEAD 8 /* two are served between two steps: memory is as slow as that */

/* Those whose steps are under way, in the order of leaving from the last on; nobody leaves the list
 * but by being served. */
struct ahead {
    const struct transport *t[AHEAD];
};

/* Each moves on, and has its next step. */
static void fetch_ahead(struct ahead *a)
{
    const struct transport *next = a->t[0] ? a->t[0]->out.next : NULL;
    memmove(a->t + 1, a->t, sizeof a->t - sizeof a->t[0]);
    a->t[0] = next;
    if (a->t[0]) {
        fetch_first(a->t[0]);
    }
    if (a->t[2]) {
        fetch_second(a->t[2]);
    }
    if (a->t[4]) {
        fetch_third(a->t[4]);
    }
    if (a->t[6]) {
        fetch_fourth(a->t[6]);
    }
}

static void send_ready(struct out_queue *q)
{
    struct ahead a = {.t = {q->ready}};
    for (int i = 0; q->ready && i < AHEAD - 1; i++) {
        fetch_ahead(&a);
    }
    while (q->ready) {
        struct transport *t = q->ready;
        fetch_ahead(&a);
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
    out_queue_send(q);
}

void out_queue_flush_all(struct out_queue *q)
{
    q->due_us = INT64_MIN;
    ripen(q, INT64_MAX);
    send_ready(q);
    out_queue_send(q);
}

void out_queue_forget(struct out_queue *q, struct transport *t)
{
    struct out_pace *p = t->out.pace;
    if (p && p->active) {
        q->held -= out_pace_held(p);
        out_queue_release(q, out_pace_drop(p), NULL);
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
    out_queue_release(q, t->out.first, NULL);
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
