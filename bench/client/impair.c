#include "bench/client/impair.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"

#define MAX_PACKETS     4096
#define HOLD_BACK_US    5000 /* of a reordered packet, and up to twice as much on top */
#define HOLD_BACK_US_ON 10000

struct held {
    int64_t at_us;
    uint64_t order; /* of equal times the first that came leaves first */
    size_t len;
    uint8_t data[IMPAIR_MAX_PACKET];
};

struct impair {
    struct impair_config config;
    double enter, leave; /* probabilities of a loss burst's start and end, a packet */
    bool in_burst;
    uint64_t random, order;
    int64_t busy_until_us; /* the bottleneck */
    int64_t last_us;       /* when the last packet that keeps order leaves */
    struct held *pool;     /* its pages are touched as they are needed */
    size_t *heap;          /* places in the pool, the next to leave on top */
    size_t *spare;         /* places given back */
    size_t n, n_spare, used;
    struct impair_stats stats;
};

/* splitmix64 (Steele, Lea, Flood 2014), as a number in 0..1. */
static double draw(struct impair *im)
{
    uint64_t z = im->random += 0x9e3779b97f4a7c15U;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
    z = (z ^ z >> 27) * 0x94d049bb133111ebU;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

static bool config_ok(const struct impair_config *c)
{
    return c->loss >= 0 && c->loss <= 1 && c->reorder >= 0 && c->reorder <= 1 && c->burst >= 0 &&
           c->delay_us >= 0 && c->jitter_us >= 0 && c->rate_bps >= 0 && c->queue_us >= 0;
}

int impair_new(struct impair **out, const struct impair_config *c)
{
    if (!config_ok(c))
        return ERR_INVALID;
    struct impair *im = calloc(1, sizeof *im);
    if (!im)
        return ERR_NOMEM;
    im->config = *c;
    im->random = c->seed;
    if (c->max_packets == 0)
        im->config.max_packets = MAX_PACKETS;
    double burst = c->burst > 1 ? c->burst : 1;
    im->leave = 1 / burst;
    im->enter = c->loss < 1 ? c->loss / (burst * (1 - c->loss)) : 1;
    im->pool = calloc(im->config.max_packets, sizeof *im->pool);
    im->heap = calloc(im->config.max_packets, sizeof *im->heap);
    im->spare = calloc(im->config.max_packets, sizeof *im->spare);
    if (!im->pool || !im->heap || !im->spare) {
        impair_free(im);
        return ERR_NOMEM;
    }
    *out = im;
    return OK;
}

void impair_free(struct impair *im)
{
    if (!im)
        return;
    free(im->pool);
    free(im->heap);
    free(im->spare);
    free(im);
}

/* Gilbert's model: nothing is lost in the good state and all in the bad one. Without bursts each
 * packet is lost by itself. */
static bool is_lost(struct impair *im)
{
    if (im->config.loss <= 0)
        return false;
    if (im->config.burst <= 1)
        return draw(im) < im->config.loss;
    double p = draw(im);
    im->in_burst = im->in_burst ? p >= im->leave || im->config.loss >= 1 : p < im->enter;
    return im->in_burst;
}

/* When the packet has passed the bottleneck; -1: its queue is full. */
static int64_t pass_bottleneck(struct impair *im, size_t len, int64_t now_us)
{
    if (im->config.rate_bps == 0)
        return now_us;
    int64_t from = im->busy_until_us > now_us ? im->busy_until_us : now_us;
    if (from - now_us > im->config.queue_us)
        return -1;
    im->busy_until_us = from + (int64_t)len * 8 * 1000000 / im->config.rate_bps;
    return im->busy_until_us;
}

static int64_t leave_time(struct impair *im, int64_t passed_us)
{
    int64_t at = passed_us + im->config.delay_us;

    if (im->config.jitter_us > 0)
        at += (int64_t)(draw(im) * (double)im->config.jitter_us);
    if (at < im->last_us)
        at = im->last_us;
    if (im->config.reorder > 0 && draw(im) < im->config.reorder) {
        im->stats.reordered++;
        return at + HOLD_BACK_US + (int64_t)(draw(im) * HOLD_BACK_US_ON);
    }
    im->last_us = at;
    return at;
}

static bool before(const struct impair *im, size_t a, size_t b)
{
    const struct held *x = &im->pool[im->heap[a]], *y = &im->pool[im->heap[b]];
    return x->at_us != y->at_us ? x->at_us < y->at_us : x->order < y->order;
}

static void swap(struct impair *im, size_t a, size_t b)
{
    size_t t = im->heap[a];
    im->heap[a] = im->heap[b];
    im->heap[b] = t;
}

static void push(struct impair *im, size_t place)
{
    size_t i = im->n++;

    im->heap[i] = place;
    for (; i > 0 && before(im, i, (i - 1) / 2); i = (i - 1) / 2)
        swap(im, i, (i - 1) / 2);
}

static size_t pop(struct impair *im)
{
    size_t top = im->heap[0], i = 0;

    im->heap[0] = im->heap[--im->n];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child + 1 < im->n && before(im, child + 1, child))
            child++;
        if (child >= im->n || !before(im, child, i))
            return top;
        swap(im, i, child);
        i = child;
    }
}

int impair_input(struct impair *im, const uint8_t *data, size_t len, int64_t now_us)
{
    if (len > IMPAIR_MAX_PACKET)
        return ERR_TOO_LARGE;
    im->stats.in++;
    if (is_lost(im)) {
        im->stats.lost++;
        return OK;
    }
    int64_t passed = im->n < im->config.max_packets ? pass_bottleneck(im, len, now_us) : -1;
    if (passed < 0) {
        im->stats.queue_full++;
        return OK;
    }
    size_t place = im->n_spare > 0 ? im->spare[--im->n_spare] : im->used++;
    struct held *h = &im->pool[place];
    h->at_us = leave_time(im, passed);
    h->order = im->order++;
    h->len = len;
    memcpy(h->data, data, len);
    push(im, place);
    return OK;
}

size_t impair_poll(struct impair *im, uint8_t *out, int64_t now_us)
{
    while (im->n > 0 && im->pool[im->heap[0]].at_us <= now_us) {
        size_t place = pop(im), len = im->pool[place].len;
        memcpy(out, im->pool[place].data, len);
        im->spare[im->n_spare++] = place;
        im->stats.out++;
        if (len > 0) /* an empty datagram would look like none */
            return len;
    }
    return 0;
}

int64_t impair_deadline(const struct impair *im)
{
    return im->n > 0 ? im->pool[im->heap[0]].at_us : INT64_MAX;
}

void impair_stats(const struct impair *im, struct impair_stats *out)
{
    *out = im->stats;
}
