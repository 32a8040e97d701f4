#include "bench/client/histogram.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

#include "lib/base/err.h"

#define CDF_POINTS 40

/* Values below 2 * STEPS have a bucket each; above, each power of two is cut into STEPS. */
static size_t bucket_of(int64_t v)
{
    if (v < 2 * HISTOGRAM_STEPS)
        return v < 0 ? 0 : (size_t)v;
    int power = 63 - __builtin_clzll((uint64_t)v);
    int shift = power - 6; /* keeps 7 bits: 64..127 */
    size_t b = (size_t)shift * HISTOGRAM_STEPS + (size_t)(v >> shift);
    return b < HISTOGRAM_BUCKETS ? b : HISTOGRAM_BUCKETS - 1;
}

/* The largest value that falls into the bucket. */
static int64_t top_of(size_t b)
{
    if (b < 2 * HISTOGRAM_STEPS)
        return (int64_t)b;
    size_t shift = b / HISTOGRAM_STEPS - 1;
    int64_t step = (int64_t)(b % HISTOGRAM_STEPS) + HISTOGRAM_STEPS;
    return ((step + 1) << shift) - 1;
}

void histogram_add(struct histogram *h, int64_t value_us)
{
    if (value_us < 0)
        value_us = 0;
    h->bucket[bucket_of(value_us)]++;
    h->count++;
    h->sum_us += (uint64_t)value_us;
    if (value_us > h->max_us)
        h->max_us = value_us;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        into->bucket[i] += from->bucket[i];
    into->count += from->count;
    into->sum_us += from->sum_us;
    if (from->max_us > into->max_us)
        into->max_us = from->max_us;
}

int64_t histogram_quantile(const struct histogram *h, double q)
{
    if (h->count == 0)
        return 0;
    double want = q * (double)h->count;
    uint64_t seen = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->bucket[i];
        if (h->bucket[i] == 0 || (double)seen < want)
            continue;
        int64_t top = top_of(i);
        return top < h->max_us ? top : h->max_us;
    }
    return h->max_us;
}

/* Half of the points up to the median and its surroundings, half into the tail. */
static double share_of(int i)
{
    if (i == CDF_POINTS)
        return 1;
    return i <= CDF_POINTS / 2 ? 0.045 * i : 1.0 - 0.1 / (double)(1 << ((i - 20) / 2));
}

/* A value that several shares have stands once, with the largest of them: so many don't exceed it.
 * Returns the length. */
static int put_cdf(const struct histogram *h, char *dst, size_t cap)
{
    int len = 0;
    bool first = true;
    for (int i = 1; h->count > 0 && i <= CDF_POINTS; i++) {
        int64_t v = histogram_quantile(h, share_of(i));
        if (i < CDF_POINTS && histogram_quantile(h, share_of(i + 1)) == v)
            continue;
        int n = snprintf(dst + len, cap - (size_t)len, "%s[%" PRId64 ",%.5f]", first ? "" : ",", v,
                         share_of(i));
        if (n < 0 || (size_t)n >= cap - (size_t)len)
            return ERR_TOO_LARGE;
        len += n;
        first = false;
    }
    return len;
}

int histogram_json(const struct histogram *h, char *dst, size_t cap)
{
    int len = snprintf(dst, cap,
                       "{\"count\":%" PRIu64 ",\"mean\":%.1f,\"p50\":%" PRId64 ",\"p90\":%" PRId64
                       ",\"p99\":%" PRId64 ",\"p99.9\":%" PRId64 ",\"max\":%" PRId64 ",\"cdf\":[",
                       h->count, h->count ? (double)h->sum_us / (double)h->count : 0.0,
                       histogram_quantile(h, 0.5), histogram_quantile(h, 0.9),
                       histogram_quantile(h, 0.99), histogram_quantile(h, 0.999), h->max_us);
    if (len < 0 || (size_t)len >= cap)
        return ERR_TOO_LARGE;
    int points = put_cdf(h, dst + len, cap - (size_t)len);
    if (points < 0)
        return points;
    len += points;
    int n = snprintf(dst + len, cap - (size_t)len, "]}");
    if (n < 0 || (size_t)n >= cap - (size_t)len)
        return ERR_TOO_LARGE;
    return len + n;
}
