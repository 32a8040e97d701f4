/* The loss-based bound. Loss comes with the link (radio) or from sending too much; the two are told
 * apart by how well a rate explains what was lost at which sending rate, in the spirit of
 * libwebrtc's loss-based estimator of 2021 in place of draft-ietf-rmcat-gcc-02 section 6, whose 10
 * % step turns random loss into collapse. */
#ifndef SOTTO_SFU_CORE_BWE_LOSS_H
#define SOTTO_SFU_CORE_BWE_LOSS_H

#include <stdbool.h>
#include <stdint.h>

#include "sfu/core/send_history.h"

#define BWE_LOSS_WINDOWS 20

struct bwe_loss_window {
    float packets, lost;
    float sent_bps;
};

struct bwe_loss {
    double limit_bps; /* INFINITY: loss bounds nothing */
    double average;   /* recent share of packets lost */
    double inherent;  /* the share that the link loses anyway, as believed */
    bool queued;      /* a queue stands: what is lost is lost there */
    unsigned windows; /* filled, at most BWE_LOSS_WINDOWS */
    unsigned next;
    struct bwe_loss_window window[BWE_LOSS_WINDOWS];
    /* the window that fills */
    uint32_t packets, lost, bytes;
    int64_t first_us, last_us; /* of sending */
};

void bwe_loss_init(struct bwe_loss *l);
void bwe_loss_input(struct bwe_loss *l, const struct sent_news *news);
/* Once a feedback: moves the limit when a window is full. delay_bps is what the delay-based part
 * allows, acked_bps what arrives (under 0: not known), queue_ms the queue that stands on the way.
 */
void bwe_loss_update(struct bwe_loss *l, double delay_bps, double acked_bps, double queue_ms);

#endif
