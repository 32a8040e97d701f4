#include <string.h>

#include "bench/client/receiver_internal.h"

static bool has(const struct window *w, int64_t seq)
{
    uint64_t place = (uint64_t)seq % WINDOW_BITS;
    return w->bits[place / 64] >> place % 64 & 1;
}

static void put(struct window *w, int64_t seq, bool came)
{
    uint64_t place = (uint64_t)seq % WINDOW_BITS, bit = (uint64_t)1 << place % 64;

    if (came)
        w->bits[place / 64] |= bit;
    else
        w->bits[place / 64] &= ~bit;
}

/* Counts all numbers below `end`. Those above the highest never came: a jump passed them. */
static void settle_to(struct window *w, int64_t end, uint64_t *expected, uint64_t *lost)
{
    if (end <= w->settled)
        return;
    *expected += (uint64_t)(end - w->settled);
    for (; w->settled < end && w->settled <= w->highest; w->settled++)
        *lost += !has(w, w->settled);
    *lost += (uint64_t)(end - w->settled);
    w->settled = end;
}

/* What was the highest number a second ago bounds what is settled: a gap below it is a second old
 * at least. */
void window_settle(struct window *w, int64_t now_us, uint64_t *expected, uint64_t *lost)
{
    while (w->mark_n > 0 && now_us - w->mark[w->mark_head].at_us >= SETTLE_US) {
        settle_to(w, w->mark[w->mark_head].highest + 1, expected, lost);
        w->mark_head = (w->mark_head + 1) % MARKS;
        w->mark_n--;
    }
    const struct window_mark *last =
        w->mark_n > 0 ? &w->mark[(w->mark_head + w->mark_n - 1) % MARKS] : NULL;
    int64_t noted = last ? last->highest : w->settled - 1;
    if (!w->started || noted >= w->highest || (last && now_us - last->at_us < MARK_US) ||
        w->mark_n == MARKS)
        return;
    w->mark[(w->mark_head + w->mark_n++) % MARKS] = (struct window_mark){now_us, w->highest};
}

static void advance(struct window *w, int64_t seq, uint64_t *expected, uint64_t *lost)
{
    settle_to(w, seq - WINDOW_BITS + 1, expected, lost);
    if (seq - w->highest >= WINDOW_BITS)
        memset(w->bits, 0, sizeof w->bits);
    else
        for (int64_t s = w->highest + 1; s < seq; s++)
            put(w, s, false);
    put(w, seq, true);
    w->highest = seq;
}

enum window_result window_input(struct window *w, int64_t seq, int64_t now_us, uint64_t *expected,
                                uint64_t *lost)
{
    enum window_result result = WINDOW_NEW;

    if (!w->started) {
        w->started = true;
        w->highest = w->settled = seq;
        put(w, seq, true);
    } else if (seq > w->highest) {
        advance(w, seq, expected, lost);
    } else if (seq < w->settled) {
        return WINDOW_TOO_LATE;
    } else {
        result = has(w, seq) ? WINDOW_DUPLICATE : WINDOW_OLD;
        put(w, seq, true);
    }
    window_settle(w, now_us, expected, lost);
    return result;
}
