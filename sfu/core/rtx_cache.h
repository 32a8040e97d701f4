/* The last packets of one source (an incoming SSRC), by sequence number, for retransmission to any
 * subscriber. Bounded in packets and in age; holds a reference on each. */
#ifndef SOTTO_SFU_CORE_RTX_CACHE_H
#define SOTTO_SFU_CORE_RTX_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "sfu/core/pool.h"

struct rtx_cache;

/* slots is rounded up to a power of two (at most 32768). NULL when out of memory. */
struct rtx_cache *rtx_cache_new(size_t slots, int64_t max_age_us);
void rtx_cache_free(struct rtx_cache *c); /* gives all references back; NULL is fine */
/* Takes a reference on k, under k->ext_seq; what was in its place or is too old goes. A packet
 * older than the whole window is not taken. */
void rtx_cache_put(struct rtx_cache *c, struct packet *k);
/* Borrowed, or NULL when absent or older than max_age_us at now_us. */
struct packet *rtx_cache_get(const struct rtx_cache *c, int64_t ext_seq, int64_t now_us);
/* The same by the 16-bit number nearest to the newest one put in. */
struct packet *rtx_cache_get_seq(const struct rtx_cache *c, uint16_t seq, int64_t now_us);
/* Gives back what is older than max_age_us; call about every 100 ms. Returns how many went. */
size_t rtx_cache_expire(struct rtx_cache *c, int64_t now_us);
/* Gives back the oldest packet (when the pool runs dry); 0 when empty. */
size_t rtx_cache_evict_oldest(struct rtx_cache *c);
size_t rtx_cache_count(const struct rtx_cache *c);

#endif
