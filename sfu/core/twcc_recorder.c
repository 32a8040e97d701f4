#include "sfu/core/twcc_recorder.h"

#include <string.h>

#include "lib/proto/rtp.h"
#include "lib/proto/twcc.h"

static size_t place(int64_t seq)
{
    return (size_t)((uint64_t)seq & (TWCC_WINDOW - 1));
}

void twcc_recorder_init(struct twcc_recorder *t, uint32_t sender_ssrc)
{
    memset(t, 0, sizeof *t);
    t->sender_ssrc = sender_ssrc;
    for (size_t i = 0; i < TWCC_WINDOW; i++) {
        t->seq_at[i] = -1;
    }
}

static bool has(const struct twcc_recorder *t, int64_t seq)
{
    return t->seq_at[place(seq)] == seq;
}

void twcc_recorder_input(struct twcc_recorder *t, uint16_t seq, int64_t now_us)
{
    int64_t n = (int64_t)65536 + seq;

    if (t->started) {
        n = t->highest + rtp_seq_diff(seq, (uint16_t)t->highest);
    }
    if (!t->started) {
        t->started = true;
        t->next = t->highest = n;
    }
    if (n < t->next || has(t, n)) {
        return;
    }
    if (n > t->highest) {
        t->highest = n;
    }
    if (t->highest - t->next >= TWCC_WINDOW) { /* never told in time: forgotten, not lost */
        t->next = t->highest - TWCC_WINDOW + 1;
    }
    t->seq_at[place(n)] = n;
    t->at_us[place(n)] = now_us;
    if (t->fresh++ == 0) {
        t->due_us = now_us + TWCC_INTERVAL_US;
    }
}

int64_t twcc_recorder_deadline(const struct twcc_recorder *t)
{
    return t->fresh > 0 ? t->due_us : INT64_MAX;
}

/* The statuses from the first arrival not told yet up to the newest. */
static size_t collect(struct twcc_recorder *t, int64_t *arrival_us)
{
    size_t n = 0;

    for (int64_t s = t->next; s <= t->highest && n < TWCC_MAX_PACKETS; s++) {
        arrival_us[n++] = has(t, s) ? t->at_us[place(s)] : TWCC_LOST;
    }
    while (n > 0 && arrival_us[n - 1] == TWCC_LOST) { /* a gap cut off here: tell it next time */
        n--;
    }
    return n;
}

size_t twcc_recorder_poll(struct twcc_recorder *t, uint32_t media_ssrc, uint8_t *out, size_t cap,
                          int64_t now_us)
{
    int64_t arrival_us[TWCC_MAX_PACKETS];
    size_t covered = 0; /* at most n */

    if (t->fresh == 0 || now_us < t->due_us) {
        return 0;
    }
    int64_t first = t->next;
    while (first <= t->highest && !has(t, first)) {
        first++;
    }
    if (first - t->next > TWCC_MAX_PACKETS / 2) { /* too long a gap to be told one by one */
        t->next = first;
    }
    size_t n = first <= t->highest ? collect(t, arrival_us) : 0;
    int len = n > 0 ? twcc_build(out, cap, t->sender_ssrc, media_ssrc, (uint16_t)t->next,
                                 t->feedback_count, arrival_us, n, &covered)
                    : 0;
    if (len <= 0) {
        t->fresh = 0;
        return 0;
    }
    t->feedback_count++;
    for (size_t i = 0; i < covered && i < n; i++) {
        if (arrival_us[i] != TWCC_LOST && t->fresh > 0) {
            t->fresh--;
        }
    }
    t->next += (int64_t)covered;
    return (size_t)len;
}
