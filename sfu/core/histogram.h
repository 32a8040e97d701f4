/* Log-linear histogram for times: 16 steps an octave, so that a quantile is told within 1/32 of
 * its value. Fixed memory, a few nanoseconds a record, and two of them add up (workers into one).
 * The unit is the caller's; numbers are plain, one thread writes. */
#ifndef SOTTO_SFU_CORE_HISTOGRAM_H
#define SOTTO_SFU_CORE_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_STEP_BITS 4
#define HISTOGRAM_OCTAVES   28 /* whole ones above the exact part: up to 2^32 - 1 */
#define HISTOGRAM_BUCKETS   ((HISTOGRAM_OCTAVES + 1) << HISTOGRAM_STEP_BITS)

struct histogram {
    uint64_t count, sum, max; /* of all values as they came */
    uint64_t bucket[HISTOGRAM_BUCKETS];
};

/* Where a value is counted; values of 2^32 and more in the last one. */
static inline size_t histogram_bucket(uint64_t value)
{
    if (value < (1u << (HISTOGRAM_STEP_BITS + 1))) {
        return (size_t)value;
    }
    if (value > UINT32_MAX) {
        return HISTOGRAM_BUCKETS - 1;
    }
    unsigned shift = 63u - (unsigned)__builtin_clzll(value) - HISTOGRAM_STEP_BITS;
    return ((size_t)shift << HISTOGRAM_STEP_BITS) + (size_t)(value >> shift);
}

/* A negative value (a clock that went back) counts as 0. */
static inline void histogram_record(struct histogram *h, int64_t value)
{
    uint64_t v = value > 0 ? (uint64_t)value : 0;
    h->count++;
    h->sum += v;
    h->max = v > h->max ? v : h->max;
    h->bucket[histogram_bucket(v)]++;
}

/* The same n times. */
static inline void histogram_record_n(struct histogram *h, int64_t value, uint64_t n)
{
    uint64_t v = value > 0 ? (uint64_t)value : 0;
    h->count += n;
    h->sum += v * n;
    h->max = v > h->max ? v : h->max;
    h->bucket[histogram_bucket(v)] += n;
}

/* How many of them were below `limit`, which must be where a bucket begins (a power of two, or half
 * as much again). */
uint64_t histogram_below(const struct histogram *h, uint64_t limit);
/* Adds `from` to `to`. */
void histogram_merge(struct histogram *to, const struct histogram *from);
/* What was recorded since `before`, an earlier copy of the same histogram; max stays that of all
 * time, bounded to the highest bucket in use. out may be either. */
void histogram_since(struct histogram *out, const struct histogram *now,
                     const struct histogram *before);
/* The value below which the share q (0..1) of all lie; 0 when nothing was recorded. Never above
 * max. */
uint64_t histogram_quantile(const struct histogram *h, double q);
/* 0 when nothing was recorded. */
uint64_t histogram_mean(const struct histogram *h);

#endif
