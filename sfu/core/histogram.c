#include "sfu/core/histogram.h"

/* The middle of a bucket. */
static uint64_t middle(size_t bucket)
{
    if (bucket < (1u << (HISTOGRAM_STEP_BITS + 1))) {
        return bucket;
    }
    size_t shift = (bucket >> HISTOGRAM_STEP_BITS) - 1;
    uint64_t steps = bucket - (shift << HISTOGRAM_STEP_BITS);
    return (steps << shift) + (UINT64_C(1) << shift) / 2;
}

/* The highest value that the bucket counts. */
static uint64_t upper(size_t bucket)
{
    if (bucket < (1u << (HISTOGRAM_STEP_BITS + 1))) {
        return bucket;
    }
    size_t shift = (bucket >> HISTOGRAM_STEP_BITS) - 1;
    return ((bucket - (shift << HISTOGRAM_STEP_BITS) + 1) << shift) - 1;
}

uint64_t histogram_below(const struct histogram *h, uint64_t limit)
{
    uint64_t n = 0;
    for (size_t i = 0, end = histogram_bucket(limit); i < end; i++) {
        n += h->bucket[i];
    }
    return n;
}

void histogram_merge(struct histogram *to, const struct histogram *from)
{
    to->count += from->count;
    to->sum += from->sum;
    to->max = from->max > to->max ? from->max : to->max;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        to->bucket[i] += from->bucket[i];
    }
}

void histogram_since(struct histogram *out, const struct histogram *now,
                     const struct histogram *before)
{
    uint64_t max = 0, top = now->max;
    out->count = now->count - before->count;
    out->sum = now->sum - before->sum;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        out->bucket[i] = now->bucket[i] - before->bucket[i];
        if (out->bucket[i]) {
            max = i == HISTOGRAM_BUCKETS - 1 ? top : upper(i);
        }
    }
    out->max = max < top ? max : top;
}

uint64_t histogram_quantile(const struct histogram *h, double q)
{
    double share = q < 0 ? 0 : q > 1 ? 1 : q;
    uint64_t wanted = (uint64_t)(share * (double)h->count), below = 0;
    if (h->count == 0) {
        return 0;
    }
    wanted = wanted < h->count ? wanted : h->count - 1;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        below += h->bucket[i];
        if (below > wanted) {
            uint64_t value = middle(i);
            return value < h->max && i < HISTOGRAM_BUCKETS - 1 ? value : h->max;
        }
    }
    return h->max;
}

uint64_t histogram_mean(const struct histogram *h)
{
    return h->count ? h->sum / h->count : 0;
}
