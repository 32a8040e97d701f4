#include "sfu/shell/relay_ring.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"

#define MASK (RELAY_RING_PACKETS - 1)

/* Buffers on their way from one thread to the other. */
struct lane {
    _Alignas(64) _Atomic size_t head; /* next to be taken; the taker's */
    _Alignas(64) _Atomic size_t tail; /* next free; the giver's */
    struct packet *slot[RELAY_RING_PACKETS];
};

struct relay_ring {
    struct lane full, empty;
    size_t handed;        /* the reader's: buffers that are in one of the lanes */
    _Atomic size_t bound; /* how many there may be; the reader's */
    _Alignas(64) _Atomic uint64_t dropped[RELAY_CLASSES];
};

/* The part of the buffers that a class leaves for those above it: one in so many. */
static const size_t reserve[RELAY_CLASSES] = {
    [RELAY_CLASS_VIDEO] = 4,
    [RELAY_CLASS_AUDIO] = 16,
    [RELAY_CLASS_CONTROL] = SIZE_MAX,
};

static size_t lane_count(const struct lane *l)
{
    return atomic_load_explicit(&l->tail, memory_order_acquire) -
           atomic_load_explicit(&l->head, memory_order_acquire);
}

/* There is always place: no more buffers go round than a lane holds. */
static void lane_put(struct lane *l, struct packet *k)
{
    size_t tail = atomic_load_explicit(&l->tail, memory_order_relaxed);
    l->slot[tail & MASK] = k;
    atomic_store_explicit(&l->tail, tail + 1, memory_order_release);
}

static struct packet *lane_take(struct lane *l)
{
    size_t head = atomic_load_explicit(&l->head, memory_order_relaxed);
    if (head == atomic_load_explicit(&l->tail, memory_order_acquire)) {
        return NULL;
    }
    struct packet *k = l->slot[head & MASK];
    atomic_store_explicit(&l->head, head + 1, memory_order_release);
    return k;
}

int relay_ring_new(struct relay_ring **out)
{
    struct relay_ring *r = aligned_alloc(64, (sizeof *r + 63) / 64 * 64);
    if (!r) {
        return ERR_NOMEM;
    }
    memset(r, 0, sizeof *r);
    *out = r;
    return OK;
}

void relay_ring_free(struct relay_ring *r)
{
    free(r);
}

/* ---- the writer's side ---- */

static void fill(struct packet *k, const void *head, size_t head_len, const void *body,
                 size_t body_len)
{
    k->start = (uint16_t)(PACKET_HEADROOM - head_len);
    k->len = (uint16_t)(head_len + body_len);
    memcpy(packet_data(k), head, head_len);
    if (body_len > 0) {
        memcpy(k->room + PACKET_HEADROOM, body, body_len);
    }
}

int relay_ring_put(struct relay_ring *r, enum relay_class class, const void *head, size_t head_len,
                   const void *body, size_t body_len)
{
    if (head_len > PACKET_HEADROOM || body_len > PACKET_CAP) {
        return ERR_TOO_LARGE;
    }
    size_t keep = atomic_load_explicit(&r->bound, memory_order_relaxed) / reserve[class];
    struct packet *k = lane_count(&r->empty) > keep ? lane_take(&r->empty) : NULL;
    if (!k) {
        atomic_fetch_add_explicit(&r->dropped[class], 1, memory_order_relaxed);
        return ERR_LIMIT;
    }
    fill(k, head, head_len, body, body_len);
    lane_put(&r->full, k);
    return OK;
}

/* ---- the reader's side ---- */

void relay_ring_refill(struct relay_ring *r, struct packet_pool *pool, size_t bound)
{
    size_t most = bound < RELAY_RING_PACKETS ? bound : RELAY_RING_PACKETS;
    atomic_store_explicit(&r->bound, most, memory_order_relaxed);
    while (r->handed < most) {
        struct packet *k = packet_alloc(pool);
        if (!k) {
            return;
        }
        lane_put(&r->empty, k);
        r->handed++;
    }
}

struct packet *relay_ring_take(struct relay_ring *r)
{
    struct packet *k = lane_take(&r->full);
    if (k) {
        r->handed--;
    }
    return k;
}

void relay_ring_drain(struct relay_ring *r)
{
    struct packet *k;
    while ((k = lane_take(&r->full)) || (k = lane_take(&r->empty))) {
        packet_unref(k);
        r->handed--;
    }
}

uint64_t relay_ring_dropped(const struct relay_ring *r, enum relay_class class)
{
    return atomic_load_explicit(&r->dropped[class], memory_order_relaxed);
}
