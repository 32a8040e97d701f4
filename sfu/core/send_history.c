#include "sfu/core/send_history.h"

#include <string.h>

#define SENT_STATES   3 /* a mask */
#define CLUSTER_SHIFT 2
#define BYTES_SHIFT   5

static size_t place(int64_t n)
{
    return (size_t)n & (SEND_HISTORY - 1);
}

static uint16_t pack(size_t bytes, uint8_t cluster, enum sent_state state)
{
    bytes = bytes < SEND_HISTORY_BYTES ? bytes : SEND_HISTORY_BYTES;
    return (uint16_t)(bytes << BYTES_SHIFT | (cluster & SEND_HISTORY_CLUSTER) << CLUSTER_SHIFT |
                      state);
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
    h->sent[place(h->next)] =
        (struct sent_packet){(uint32_t)now_us, pack(bytes, cluster, SENT_FLYING)};
    return (uint16_t)h->next++;
}

/* The number nearest to the newest one. */
static int64_t unwrap(const struct send_history *h, uint16_t seq)
{
    int64_t newest = h->next - 1;

    return newest + (int16_t)(uint16_t)(seq - (uint16_t)newest);
}

static bool is_remembered(const struct send_history *h, int64_t n)
{
    return n < h->next && n >= h->first && n >= h->next - SEND_HISTORY;
}

bool send_history_forgot(const struct send_history *h, uint16_t seq)
{
    int64_t n = unwrap(h, seq);

    return n > 0 && n < h->next && !is_remembered(h, n);
}

bool send_history_take(struct send_history *h, uint16_t seq, bool received, struct sent_news *out)
{
    int64_t n = unwrap(h, seq);

    if (!is_remembered(h, n)) {
        return false;
    }
    struct sent_packet *s = &h->sent[place(n)];
    enum sent_state state = s->what & SENT_STATES;
    if (state == SENT_ACKED || (state == SENT_LOST && !received)) {
        return false;
    }
    out->sent_us = h->last_us - (int64_t)(uint32_t)((uint32_t)h->last_us - s->at_us);
    out->bytes = s->what >> BYTES_SHIFT;
    out->cluster = s->what >> CLUSTER_SHIFT & SEND_HISTORY_CLUSTER;
    out->received = received;
    out->late = state == SENT_LOST;
    s->what = (uint16_t)((s->what & ~SENT_STATES) | (received ? SENT_ACKED : SENT_LOST));
    return true;
}
