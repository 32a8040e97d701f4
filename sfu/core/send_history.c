#include "sfu/core/send_history.h"

#include <string.h>

static struct sent_packet *place(struct send_history *h, int64_t n)
{
    return &h->ring[(size_t)n & (SEND_HISTORY - 1)];
}

void send_history_init(struct send_history *h)
{
    memset(h, 0, sizeof *h);
    h->next = h->first = 1;
    h->last_us = INT64_MIN;
}

uint16_t send_history_add(struct send_history *h, size_t bytes, uint8_t cluster, int64_t now_us)
{
    if (now_us < h->last_us) {
        now_us = h->last_us;
    } else if (h->last_us != INT64_MIN && now_us - h->last_us > SEND_HISTORY_IDLE_US) {
        h->first = h->next;
    }
    h->last_us = now_us;
    *place(h, h->next) = (struct sent_packet){
        .at_us = (uint32_t)now_us,
        .bytes = bytes > UINT16_MAX ? UINT16_MAX : (uint16_t)bytes,
        .cluster = cluster,
        .state = SENT_FLYING,
    };
    return (uint16_t)h->next++;
}

bool send_history_take(struct send_history *h, uint16_t seq, bool received, struct sent_news *out)
{
    int64_t newest = h->next - 1;
    int64_t n = newest + (int16_t)(uint16_t)(seq - (uint16_t)newest);

    if (n > newest || n < h->first || n <= newest - SEND_HISTORY) {
        return false;
    }
    struct sent_packet *p = place(h, n);
    if (p->state == SENT_ACKED || (p->state == SENT_LOST && !received)) {
        return false;
    }
    out->sent_us = h->last_us - (int64_t)(uint32_t)((uint32_t)h->last_us - p->at_us);
    out->bytes = p->bytes;
    out->cluster = p->cluster;
    out->received = received;
    out->late = p->state == SENT_LOST;
    p->state = received ? SENT_ACKED : SENT_LOST;
    return true;
}
