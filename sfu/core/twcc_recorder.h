/* Arrivals on one publisher's transport, and the transport-wide feedback made of them every 50..100
 * ms (lib/proto/twcc.h). */
#ifndef SOTTO_SFU_CORE_TWCC_RECORDER_H
#define SOTTO_SFU_CORE_TWCC_RECORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TWCC_WINDOW      1024  /* numbers remembered; power of two */
#define TWCC_INTERVAL_US 50000 /* between feedbacks */

/* Zero-initialise, then twcc_recorder_init. */
struct twcc_recorder {
    bool started;
    uint8_t feedback_count;
    uint32_t sender_ssrc;
    int64_t next;    /* first unwrapped number not yet told */
    int64_t highest; /* newest that came */
    int64_t due_us;
    size_t fresh; /* arrivals not yet told */
    int64_t at_us[TWCC_WINDOW];
    int64_t seq_at[TWCC_WINDOW]; /* which unwrapped number the place holds */
};

void twcc_recorder_init(struct twcc_recorder *t, uint32_t sender_ssrc);
/* A packet with this transport-wide number came. Duplicates and numbers already told are ignored.
 */
void twcc_recorder_input(struct twcc_recorder *t, uint16_t seq, int64_t now_us);
/* When feedback is due; INT64_MAX when there is nothing to tell. */
int64_t twcc_recorder_deadline(const struct twcc_recorder *t);
/* One feedback packet (RTCP, header included) about `media_ssrc` when due, at most cap bytes (1200
 * is right). Returns its bytes, 0 when nothing is due; call until 0. */
size_t twcc_recorder_poll(struct twcc_recorder *t, uint32_t media_ssrc, uint8_t *out, size_t cap,
                          int64_t now_us);

#endif
