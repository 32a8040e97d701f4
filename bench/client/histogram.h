/* Latencies in microseconds, log-linear: 64 steps a power of two (values are kept to 1.6 %), up to
 * about 19 hours. Fixed size, no allocation, mergeable; the idea is Gil Tene's HdrHistogram. */
#ifndef SOTTO_BENCH_CLIENT_HISTOGRAM_H
#define SOTTO_BENCH_CLIENT_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_STEPS   64
#define HISTOGRAM_POWERS  31
#define HISTOGRAM_BUCKETS (HISTOGRAM_STEPS * HISTOGRAM_POWERS)

/* Zero-initialise. */
struct histogram {
    uint64_t count, sum_us;
    int64_t max_us;
    uint32_t bucket[HISTOGRAM_BUCKETS];
};

/* Negative values count as 0, too large ones as the largest. */
void histogram_add(struct histogram *h, int64_t value_us);
void histogram_merge(struct histogram *into, const struct histogram *from);
/* The value that the share q (0..1) of all doesn't exceed; 0 when empty. */
int64_t histogram_quantile(const struct histogram *h, double q);
/* Appends {"count":…,"mean":…,"p50":…,"p90":…,"p99":…,"p99.9":…,"max":…,"cdf":[[us,share],…]} to
 * dst (0-ended; at most 40 points of the CDF, the last one [max,1]); returns the length, or
 * ERR_TOO_LARGE. */
int histogram_json(const struct histogram *h, char *dst, size_t cap);

#endif
