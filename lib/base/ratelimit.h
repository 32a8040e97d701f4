/* Sliding-window rate limits, in memory, pure: time is an argument. The count of the window before
 * is weighted by the share of it that still overlaps (the usual two-bucket estimate). Bounded in
 * keys: past max_keys the stalest are dropped. */
#ifndef SOTTO_BASE_RATELIMIT_H
#define SOTTO_BASE_RATELIMIT_H

#include <stddef.h>
#include <stdint.h>

struct ratelimit;

struct ratelimit_result {
    int64_t limit;     /* hits a window */
    int64_t remaining; /* after this hit, >= 0 */
    int64_t reset_us;  /* until the window has room again */
};

/* `limit` hits in `window_us`; 0 as limit means unlimited. NULL when out of memory. */
struct ratelimit *ratelimit_new(int64_t limit, int64_t window_us, size_t max_keys);
void ratelimit_free(struct ratelimit *r);
/* Counts one hit for key (at most 128 bytes are regarded). OK or ERR_LIMIT; out may be NULL. */
int ratelimit_hit(struct ratelimit *r, const char *key, int64_t now_us,
                  struct ratelimit_result *out);

#endif
