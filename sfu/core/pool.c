#include "sfu/core/pool.h"

#include <stdlib.h>

const enum rtp_ext_kind packet_passed_kind[PACKET_PASSED] = {
    RTP_EXT_AUDIO_LEVEL,      RTP_EXT_VIDEO_ORIENTATION, RTP_EXT_PLAYOUT_DELAY,
    RTP_EXT_ABS_CAPTURE_TIME, RTP_EXT_VIDEO_LAYERS,      RTP_EXT_DEPENDENCY_DESCRIPTOR,
};

struct packet_pool {
    size_t size, available;
    struct packet *free_list;
    struct packet *packets;
};

struct packet_pool *packet_pool_new(size_t count)
{
    struct packet_pool *p = calloc(1, sizeof *p);

    if (!p) {
        return NULL;
    }
    p->packets = count ? calloc(count, sizeof *p->packets) : NULL;
    if (count > 0 && !p->packets) {
        free(p);
        return NULL;
    }
    p->size = p->available = count;
    for (size_t i = count; i-- > 0;) {
        p->packets[i].pool = p;
        p->packets[i].next = p->free_list;
        p->free_list = &p->packets[i];
    }
    return p;
}

void packet_pool_free(struct packet_pool *p)
{
    if (!p) {
        return;
    }
    if (p->available != p->size) {
        abort();
    }
    free(p->packets);
    free(p);
}

struct packet *packet_alloc(struct packet_pool *p)
{
    struct packet *k = p->free_list;

    if (!k) {
        return NULL;
    }
    p->free_list = k->next;
    p->available--;
    k->next = NULL;
    k->refs = 1;
    k->len = 0;
    k->start = PACKET_HEADROOM;
    k->arrival_us = 0;
    k->ext_seq = 0;
    k->csrc = 0;
    k->stream = k->codec = k->n_passed = 0;
    k->red_off = 0;
    k->has_info = k->has_dd = false;
    return k;
}

void packet_unref_last(struct packet *k)
{
    if (!k) {
        return;
    }
    if (k->refs == 0) {
        abort(); /* given back twice */
    }
    k->refs = 0;
    k->next = k->pool->free_list;
    k->pool->free_list = k;
    k->pool->available++;
}

size_t packet_pool_available(const struct packet_pool *p)
{
    return p->available;
}

size_t packet_pool_size(const struct packet_pool *p)
{
    return p->size;
}
