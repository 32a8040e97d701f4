/* One direction of a bad link: loss, delay, jitter, reordering, a bottleneck with a queue. Pure:
 * the clock is an argument and randomness comes from a seed, so that a run can be repeated. */
#ifndef SOTTO_BENCH_CLIENT_IMPAIR_H
#define SOTTO_BENCH_CLIENT_IMPAIR_H

#include <stddef.h>
#include <stdint.h>

#define IMPAIR_MAX_PACKET 2048

struct impair_config {
    double loss;        /* 0..1, each packet by itself */
    double burst;       /* mean packets lost together (Gilbert); 0 or 1: no bursts */
    int64_t delay_us;   /* one way */
    int64_t jitter_us;  /* uniform in 0..jitter on top; order is kept */
    double reorder;     /* 0..1: share that comes 5..15 ms after its turn: others overtake it */
    int64_t rate_bps;   /* bottleneck, in bits of the packets given here; 0: none */
    int64_t queue_us;   /* of the bottleneck, in time at that rate; beyond it the tail is dropped */
    size_t max_packets; /* held at once, 0: 4096 */
    uint64_t seed;
};

struct impair;

/* ERR_INVALID (a share outside 0..1, something negative), ERR_NOMEM. A packet is lost before it
 * comes to the bottleneck, passes that, and is delayed then. */
int impair_new(struct impair **out, const struct impair_config *c);
void impair_free(struct impair *im);
/* Takes a packet (copied). OK, also when the link loses it; ERR_TOO_LARGE over IMPAIR_MAX_PACKET.
 */
int impair_input(struct impair *im, const uint8_t *data, size_t len, int64_t now_us);
/* The next packet whose time has come: its bytes into out (IMPAIR_MAX_PACKET), its length returned;
 * 0: none. */
size_t impair_poll(struct impair *im, uint8_t *out, int64_t now_us);
/* When impair_poll has something; INT64_MAX: nothing held. */
int64_t impair_deadline(const struct impair *im);

/* in = out + lost + queue_full + what is held. */
struct impair_stats {
    uint64_t in, out, lost, queue_full, reordered;
};
void impair_stats(const struct impair *im, struct impair_stats *out);

#endif
