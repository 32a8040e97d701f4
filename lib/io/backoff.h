/* Exponential backoff with full jitter: a random delay between nothing and a bound that doubles
 * with each failure, so that a thousand clients of a server that restarted don't come back in the
 * same instant. Pure: randomness is an argument. */
#ifndef SOTTO_IO_BACKOFF_H
#define SOTTO_IO_BACKOFF_H

#include <stdint.h>

/* The delay before attempt number `failures` + 1: uniform in [0, min(max_us, base_us << failures)].
 * `random` is any uniformly random number. */
int64_t backoff_delay_us(int failures, int64_t base_us, int64_t max_us, uint64_t random);
/* The same with fresh randomness. */
int64_t backoff_next_us(int failures, int64_t base_us, int64_t max_us);

#endif
