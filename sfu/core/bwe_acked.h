/* The rate at which a subscriber receives, from acknowledged packets: a short window smoothed by
 * how far a sample lies from what is believed (as libwebrtc's acknowledged bitrate estimator does).
 */
#ifndef SOTTO_SFU_CORE_BWE_ACKED_H
#define SOTTO_SFU_CORE_BWE_ACKED_H

#include <stdint.h>

struct bwe_acked {
    int64_t last_us; /* arrival of the newest packet, receiver's clock */
    int64_t span_us; /* of the window so far */
    double bytes;    /* in the window */
    double bps;      /* under 0: not known yet */
    double var;      /* kbit/s squared, how unsure */
    int started;
};

void bwe_acked_init(struct bwe_acked *a);
void bwe_acked_input(struct bwe_acked *a, int64_t arrived_us, uint16_t bytes);
/* The rate is about to change (a probe succeeded, an idle time ended): believe samples more. */
void bwe_acked_expect_change(struct bwe_acked *a);

#endif
