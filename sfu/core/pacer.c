#include "sfu/core/pacer.h"

#include <string.h>

#define BITS       16                          /* of fraction */
#define SLOWEST_NS ((uint64_t)1000000 << BITS) /* a byte a millisecond: 8 kbit/s */

void pacer_init(struct pacer *p)
{
    memset(p, 0, sizeof *p);
    p->empty_us = INT64_MIN / 2;
}

static uint64_t pace(const struct pacer *p)
{
    return p->queue_ns != 0 ? p->queue_ns : p->ns_a_byte;
}

void pacer_set_target(struct pacer *p, int64_t target_bps)
{
    if (target_bps <= 0) {
        p->ns_a_byte = p->queue_ns = 0;
        p->empty_us = INT64_MIN / 2;
        return;
    }
    double ns = 8e9 / ((double)target_bps * PACER_FACTOR) * (1 << BITS);
    p->ns_a_byte = ns < (double)SLOWEST_NS ? (uint64_t)ns : SLOWEST_NS;
}

void pacer_sent(struct pacer *p, size_t bytes, int64_t now_us)
{
    int64_t from = p->empty_us > now_us ? p->empty_us : now_us;
    uint64_t bounded = bytes < UINT32_MAX / 64 ? bytes : UINT32_MAX / 64;
    int64_t to = from + (int64_t)((bounded * pace(p) >> BITS) / 1000);

    p->empty_us = to > now_us + PACER_DEBT_US ? now_us + PACER_DEBT_US : to;
}

size_t pacer_budget(const struct pacer *p, enum pacer_kind kind, int64_t now_us)
{
    const int64_t burst_us = kind == PACER_RTX ? PACER_RTX_BURST_US : PACER_BURST_US;
    int64_t owed_us = p->empty_us > now_us ? p->empty_us - now_us : 0;

    if (kind == PACER_AUDIO || p->ns_a_byte == 0) {
        return SIZE_MAX;
    }
    if (kind == PACER_PADDING) { /* only what nobody else wants */
        return p->queued_bytes != 0 || owed_us > 0
                   ? 0
                   : (size_t)(((uint64_t)PACER_BURST_US * 1000 << BITS) / p->ns_a_byte);
    }
    if (p->queued_bytes != 0 && now_us - p->oldest_us >= PACER_QUEUE_US) {
        return SIZE_MAX;
    }
    if (owed_us >= burst_us) {
        return 0;
    }
    uint64_t ns = (uint64_t)(burst_us - owed_us) * 1000;
    return (size_t)((ns << BITS) / pace(p)) + 1;
}

void pacer_queued(struct pacer *p, size_t bytes, int64_t oldest_us, int64_t now_us)
{
    p->queued_bytes = bytes;
    p->oldest_us = oldest_us;
    p->queue_ns = 0;
    if (bytes == 0 || p->ns_a_byte == 0) {
        return;
    }
    int64_t left_us = oldest_us + PACER_QUEUE_US - now_us;
    left_us = left_us < 1000 ? 1000 : left_us > PACER_QUEUE_US ? PACER_QUEUE_US : left_us;
    uint64_t need = ((uint64_t)left_us * 1000 << BITS) / bytes;
    if (need < p->ns_a_byte) {
        p->queue_ns = need > 0 ? need : 1;
    }
}

int64_t pacer_next(const struct pacer *p, int64_t now_us)
{
    if (p->queued_bytes == 0) {
        return INT64_MAX;
    }
    int64_t free_us = p->empty_us - PACER_BURST_US + 1;
    int64_t late_us = p->oldest_us + PACER_QUEUE_US;
    int64_t next = free_us < late_us ? free_us : late_us;
    return next > now_us ? next : now_us;
}
