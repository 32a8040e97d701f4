#include "sfu/core/nack.h"

#include <string.h>

#define RTT_UNKNOWN_US 100000

static size_t find(const struct nack *n, int64_t seq)
{
    size_t lo = 0, hi = n->n;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (n->missing[mid].ext_seq < seq) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

static void drop_first(struct nack *n, size_t k)
{
    memmove(n->missing, n->missing + k, (n->n - k) * sizeof n->missing[0]);
    n->n -= k;
}

/* Notes the gap before seq. Too wide a gap, or too many in all: the oldest are given up, and only a
 * keyframe can mend that. */
static void note_gap(struct nack *n, int64_t seq, int64_t now_us)
{
    int64_t width = seq - n->highest - 1;

    if (width > NACK_MAX_MISSING) {
        n->given_up += n->n + (uint64_t)width;
        n->n = 0;
        n->keyframe_wanted = true;
        return;
    }
    if (n->n + (size_t)width > NACK_MAX_MISSING) {
        size_t over = n->n + (size_t)width - NACK_MAX_MISSING;
        drop_first(n, over);
        n->given_up += over;
        n->keyframe_wanted = true;
    }
    for (int64_t s = n->highest + 1; s < seq; s++) {
        n->missing[n->n++] = (struct nack_entry){s, now_us, now_us + NACK_FIRST_US, 0};
    }
}

void nack_received(struct nack *n, int64_t ext_seq, int64_t now_us)
{
    if (!n->started) {
        n->started = true;
        n->highest = ext_seq;
        return;
    }
    if (ext_seq > n->highest) {
        if (ext_seq > n->highest + 1) {
            note_gap(n, ext_seq, now_us);
        }
        n->highest = ext_seq;
        return;
    }
    size_t i = find(n, ext_seq);
    if (i == n->n || n->missing[i].ext_seq != ext_seq) {
        return;
    }
    if (n->missing[i].tries > 0) {
        n->recovered++;
    }
    memmove(&n->missing[i], &n->missing[i + 1], (n->n - i - 1) * sizeof n->missing[0]);
    n->n--;
}

void nack_keyframe(struct nack *n, int64_t ext_seq)
{
    drop_first(n, find(n, ext_seq));
}

size_t nack_poll(struct nack *n, uint16_t *seqs, size_t cap, int64_t now_us, int64_t rtt_us)
{
    size_t asked = 0, kept = 0;
    int64_t gap_us = rtt_us > 0 ? rtt_us : RTT_UNKNOWN_US;

    if (gap_us < NACK_MIN_GAP_US) {
        gap_us = NACK_MIN_GAP_US;
    }
    for (size_t i = 0; i < n->n; i++) {
        struct nack_entry e = n->missing[i];
        bool due = now_us >= e.next_us;
        if (now_us - e.since_us > NACK_MAX_AGE_US || (due && e.tries == NACK_MAX_TRIES)) {
            n->given_up++;
            n->keyframe_wanted = true;
            continue;
        }
        if (due && asked < cap) {
            seqs[asked++] = (uint16_t)e.ext_seq;
            e.tries++;
            e.next_us = now_us + gap_us;
        }
        n->missing[kept++] = e;
    }
    n->n = kept;
    n->asked += asked;
    return asked;
}

int64_t nack_deadline(const struct nack *n)
{
    int64_t at = INT64_MAX;

    for (size_t i = 0; i < n->n; i++) {
        if (n->missing[i].next_us < at) {
            at = n->missing[i].next_us;
        }
    }
    return at;
}
