#include "sfu/shell/rtcp_wait.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/fetch.h"
#include "lib/proto/rtcp.h"

#define WORDS_FIXED 5  /* of a transport-wide feedback: header, SSRCs, base, count, time, number */
#define GCM_BYTES   20 /* that SRTCP adds: tag and index (RFC 7714 section 9), or */
#define CM_BYTES    14 /* index and tag (RFC 3711 section 3.4) */

/* A subscriber's, from his oldest packet on. */
struct turn {
    struct rtcp_queue *queue; /* NULL: it was opened before its time */
    int64_t at_us;
};

struct rtcp_wait {
    _Alignas(FETCH_LINE) struct rtcp_waiting place[RTCP_WAIT_ALL];
    uint16_t spare;      /* places that are free, the one freed last first: place + 1 */
    uint16_t used;       /* places that ever were */
    uint32_t first, end; /* turns that there are, modulo their number */
    struct turn turn[RTCP_WAIT_ALL];
};

struct rtcp_wait *rtcp_wait_new(void)
{
    struct rtcp_wait *w = aligned_alloc(FETCH_LINE, sizeof *w);
    if (w) { /* the rest is touched when it is needed */
        w->spare = w->used = 0;
        w->first = w->end = 0;
    }
    return w;
}

void rtcp_wait_free(struct rtcp_wait *w)
{
    free(w);
}

/* The lengths that SRTCP adds differ by what no RTCP packet has, so that it needn't be known which
 * it is. */
bool rtcp_wait_is_feedback(const uint8_t *data, size_t len)
{
    if (len > RTCP_WAIT_BYTES || len < 4 * WORDS_FIXED + CM_BYTES) {
        return false;
    }
    size_t first = 4 * ((size_t)(data[2] << 8 | data[3]) + 1);
    bool twcc = (data[0] & 0xdf) == (0x80 | RTCP_FMT_TWCC) && data[1] == RTCP_RTPFB;
    return twcc && first >= 4 * WORDS_FIXED &&
           (len == first + GCM_BYTES || len == first + CM_BYTES);
}

/* ---- turns ---- */

static struct turn *turn_of(struct rtcp_wait *w, uint32_t n)
{
    return &w->turn[n % RTCP_WAIT_ALL];
}

/* False: too many were opened before their time. */
static bool begin_turn(struct rtcp_wait *w, struct rtcp_queue *q, int64_t now_us)
{
    if (w->end - w->first == RTCP_WAIT_ALL) {
        return false;
    }
    q->turn = w->end++;
    *turn_of(w, q->turn) = (struct turn){q, now_us};
    return true;
}

static void end_turn(struct rtcp_wait *w, const struct rtcp_queue *q)
{
    turn_of(w, q->turn)->queue = NULL;
    while (w->first != w->end && !turn_of(w, w->first)->queue) {
        w->first++;
    }
}

size_t rtcp_wait_due(struct rtcp_wait *w, struct rtcp_queue **out, size_t cap, int64_t now_us)
{
    size_t n = 0;
    int64_t before_us = now_us - (RTCP_WAIT_US - RTCP_WAIT_EARLY_US);
    for (uint32_t i = w->first; i != w->end && n < cap && turn_of(w, i)->at_us <= before_us; i++) {
        if (turn_of(w, i)->queue) {
            out[n++] = turn_of(w, i)->queue;
        }
    }
    return n;
}

/* ---- places ---- */

static uint16_t find_place(struct rtcp_wait *w)
{
    uint16_t at = w->spare;
    if (at == 0) {
        return ++w->used;
    }
    w->spare = w->place[at - 1].next;
    return at;
}

bool rtcp_wait_put(struct rtcp_wait *w, struct rtcp_queue *q, const uint8_t *data, size_t len,
                   int64_t now_us)
{
    bool full = q->n == RTCP_WAIT_EACH || (w->spare == 0 && w->used == RTCP_WAIT_ALL);
    if (len > RTCP_WAIT_BYTES || full || (q->n == 0 && !begin_turn(w, q, now_us))) {
        return false;
    }
    uint16_t at = find_place(w);
    struct rtcp_waiting *p = &w->place[at - 1];
    p->at_us = now_us;
    p->len = (uint16_t)len;
    memcpy(p->data, data, len);
    q->place[q->n++] = at;
    return true;
}

/* What was read last is written next: it is still in the cache. */
size_t rtcp_wait_take(struct rtcp_wait *w, struct rtcp_queue *q,
                      struct rtcp_waiting *out[RTCP_WAIT_EACH])
{
    size_t n = q->n;
    for (size_t i = 0; i < n; i++) {
        out[i] = &w->place[q->place[i] - 1];
        out[i]->next = w->spare;
        w->spare = q->place[i];
    }
    if (n > 0) {
        end_turn(w, q);
        q->n = 0;
    }
    return n;
}

void rtcp_wait_prefetch(const struct rtcp_wait *w, const struct rtcp_queue *q)
{
    for (size_t i = 0; i < q->n; i++) {
        const char *p = (const char *)&w->place[q->place[i] - 1];
        fetch_write(p);
        fetch_write(p + FETCH_LINE);
    }
}

void rtcp_wait_forget(struct rtcp_wait *w, struct rtcp_queue *q)
{
    struct rtcp_waiting *gone[RTCP_WAIT_EACH];
    rtcp_wait_take(w, q, gone);
    q->open = false;
}
