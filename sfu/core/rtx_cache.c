#include "sfu/core/rtx_cache.h"

#include <stdlib.h>

#define MAX_SLOTS 32768

struct rtx_cache {
    size_t mask; /* slots - 1 */
    size_t count;
    int64_t max_age_us;
    int64_t oldest; /* nothing below this number is held */
    int64_t newest; /* the highest number put in; -1: none yet */
    struct packet *slot[];
};

struct rtx_cache *rtx_cache_new(size_t slots, int64_t max_age_us)
{
    size_t n = 1;

    while (n < slots && n < MAX_SLOTS) {
        n *= 2;
    }
    struct rtx_cache *c = calloc(1, sizeof *c + n * sizeof(struct packet *));
    if (!c) {
        return NULL;
    }
    c->mask = n - 1;
    c->max_age_us = max_age_us;
    c->newest = -1;
    return c;
}

static struct packet **place(struct rtx_cache *c, int64_t seq)
{
    return &c->slot[(uint64_t)seq & c->mask];
}

static size_t drop(struct rtx_cache *c, struct packet **at)
{
    if (!*at) {
        return 0;
    }
    packet_unref(*at);
    *at = NULL;
    c->count--;
    return 1;
}

void rtx_cache_free(struct rtx_cache *c)
{
    if (!c) {
        return;
    }
    for (size_t i = 0; i <= c->mask; i++) {
        drop(c, &c->slot[i]);
    }
    free(c);
}

/* Numbers that leave the window as it moves on to `seq`. */
static void advance(struct rtx_cache *c, int64_t seq)
{
    int64_t size = (int64_t)c->mask + 1, bottom = seq - size + 1;

    if (c->newest >= 0) {
        for (int64_t s = c->oldest; s < bottom && s < c->oldest + size; s++) {
            drop(c, place(c, s));
        }
    }
    if (c->newest < 0 || bottom > c->oldest) {
        c->oldest = c->newest < 0 ? seq : bottom;
    }
    c->newest = seq;
}

void rtx_cache_put(struct rtx_cache *c, struct packet *k)
{
    int64_t seq = k->ext_seq, size = (int64_t)c->mask + 1;

    if (seq < 0 || (c->newest >= 0 && seq <= c->newest - size)) {
        return;
    }
    if (c->newest < 0 || seq > c->newest) {
        advance(c, seq);
    } else if (seq < c->oldest) {
        c->oldest = seq;
    }
    struct packet **at = place(c, seq);
    if (*at == k) {
        return;
    }
    drop(c, at);
    *at = packet_ref(k);
    c->count++;
}

struct packet *rtx_cache_get(const struct rtx_cache *c, int64_t ext_seq, int64_t now_us)
{
    if (ext_seq < 0) {
        return NULL;
    }
    struct packet *k = c->slot[(uint64_t)ext_seq & c->mask];
    if (!k || k->ext_seq != ext_seq || now_us - k->arrival_us > c->max_age_us) {
        return NULL;
    }
    return k;
}

struct packet *rtx_cache_get_seq(const struct rtx_cache *c, uint16_t seq, int64_t now_us)
{
    if (c->newest < 0) {
        return NULL;
    }
    return rtx_cache_get(c, c->newest + rtp_seq_diff(seq, (uint16_t)c->newest), now_us);
}

size_t rtx_cache_expire(struct rtx_cache *c, int64_t now_us)
{
    size_t gone = 0;

    while (c->count > 0 && c->oldest <= c->newest) {
        struct packet **at = place(c, c->oldest);
        if (*at && now_us - (*at)->arrival_us <= c->max_age_us) {
            break;
        }
        gone += drop(c, at);
        c->oldest++;
    }
    return gone;
}

size_t rtx_cache_evict_oldest(struct rtx_cache *c)
{
    while (c->count > 0 && c->oldest <= c->newest) {
        if (drop(c, place(c, c->oldest++))) {
            return 1;
        }
    }
    return 0;
}

size_t rtx_cache_count(const struct rtx_cache *c)
{
    return c->count;
}
