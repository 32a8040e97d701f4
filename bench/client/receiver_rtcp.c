#include <string.h>

#include "bench/client/receiver_internal.h"
#include "lib/base/buf.h"
#include "lib/proto/rtcp.h"

#define CNAME         "sotto-load"
#define NACKS_AT_ONCE 64 /* numbers in one NACK packet: 268 bytes at worst */
/* One stream a report, as browsers send them (each of their receivers has its own RTCP): Janus
 * takes a report for that of the first stream in it, and keeps video for retransmission only once
 * it knows the round trip of the video. */
#define REPORTS 1

static void take_sender_report(struct receiver *r, const struct rtcp_packet *p, int64_t now_us)
{
    struct rtcp_sr sr;

    if (rtcp_parse_sr(&sr, p) < 0)
        return;
    struct stream *st = stream_find(r, sr.ssrc);
    if (st && !st->rtx)
        rtp_stats_sender_report(&st->stats, sr.info.ntp, now_us);
}

/* Who left is asked for nothing more; if it goes on all the same, its stream does too. */
static void take_bye(struct receiver *r, const struct rtcp_packet *p)
{
    uint32_t ssrc[RTCP_MAX_SSRCS];
    int n = rtcp_parse_bye(ssrc, p);

    for (int i = 0; i < n; i++) {
        struct stream *st = stream_find(r, ssrc[i]);
        if (!st)
            continue;
        st->closed = true;
        if (st->nack)
            st->nack->n = 0;
    }
}

void receiver_rtcp(struct receiver *r, const uint8_t *rtcp, size_t len, int64_t now_us)
{
    struct rtcp_iter it;
    struct rtcp_packet p;

    rtcp_iter_init(&it, rtcp, len);
    while (rtcp_next(&it, &p) == 1) {
        if (p.type == RTCP_SR)
            take_sender_report(r, &p, now_us);
        else if (p.type == RTCP_BYE)
            take_bye(r, &p);
    }
}

/* A time is noted for one packet at once, so that a round trip is known after the first repair. */
static void start_probe(struct receiver *r, const struct stream *st, uint16_t seq, int64_t now_us)
{
    if (r->probe_us != 0 && now_us - r->probe_us < NACK_MAX_AGE_US)
        return;
    for (size_t i = 0; i < st->nack->n; i++) {
        const struct nack_entry *e = &st->nack->missing[i];
        if ((uint16_t)e->ext_seq != seq)
            continue;
        if (e->tries == 1) {
            r->probe_ssrc = st->ssrc;
            r->probe_seq = e->ext_seq;
            r->probe_us = now_us;
        }
        return;
    }
}

/* Feedback goes behind a report of its stream, as RFC 4585 section 3.1 has it where reduced size
 * was not agreed on; Janus drops a PLI that comes alone, because it looks for the stream in the
 * report. */
static void begin_feedback(struct receiver *r, struct stream *st, struct writer *w, int64_t now_us)
{
    struct rtcp_report report;
    size_t n = rtp_stats_report(&st->stats, &report, now_us) ? 1 : 0;

    rtcp_write_rr(w, r->config.ssrc, &report, n);
    rtcp_write_sdes_cname(w, r->config.ssrc, CNAME);
}

static void poll_nack(struct receiver *r, struct stream *st, struct writer *w, int64_t now_us)
{
    uint16_t seqs[NACKS_AT_ONCE];
    size_t n = nack_poll(st->nack, seqs, NACKS_AT_ONCE, now_us, r->rtt_us);

    if (st->nack->keyframe_wanted) { /* gaps were given up: only a keyframe mends the picture */
        st->nack->keyframe_wanted = false;
        if (!st->keyframe_wanted)
            st->keyframe_us = now_us;
        st->keyframe_wanted = true;
    }
    if (n == 0)
        return;
    begin_feedback(r, st, w, now_us);
    rtcp_write_nack(w, r->config.ssrc, st->ssrc, seqs, n);
    r->stats.nacks += n;
    start_probe(r, st, seqs[0], now_us);
}

static size_t poll_stream(struct receiver *r, struct stream *st, uint8_t *out, size_t cap,
                          int64_t now_us)
{
    struct writer w;

    writer_init(&w, out, cap);
    if (st->nack && (st->nack->n > 0 || st->nack->keyframe_wanted))
        poll_nack(r, st, &w, now_us);
    if (w.len == 0 && st->keyframe_wanted && !st->closed && now_us >= st->keyframe_us) {
        st->keyframe_us = now_us + KEYFRAME_AGAIN_US;
        if (st->track->pli) {
            begin_feedback(r, st, &w, now_us);
            rtcp_write_pli(&w, r->config.ssrc, st->ssrc);
            r->stats.plis++;
        }
    }
    return w.bad ? 0 : w.len;
}

/* A receiver report of the next streams, with SDES. A round takes as many as there are streams. */
static size_t poll_report(struct receiver *r, uint8_t *out, size_t cap, int64_t now_us)
{
    struct rtcp_report report[REPORTS];
    struct writer w;
    size_t n = 0;

    if (now_us < r->report_us)
        return 0;
    for (; r->report_next < r->n_streams && n < REPORTS; r->report_next++) {
        struct stream *st = r->streams[r->report_next];
        window_settle(&st->window, now_us, &r->stats.expected, &r->stats.lost);
        if (st->frames)
            frames_settle(st->frames, now_us, &r->stats.frames, &r->stats.frames_broken);
        if (!st->rtx && !st->closed && rtp_stats_report(&st->stats, &report[n], now_us))
            n++;
    }
    if (r->report_next == r->n_streams) {
        r->report_next = 0;
        while (r->report_us <= now_us)
            r->report_us += REPORT_US;
    }
    if (n == 0) /* only RTX and streams that ended were left */
        return 0;
    writer_init(&w, out, cap);
    rtcp_write_rr(&w, r->config.ssrc, report, n);
    rtcp_write_sdes_cname(&w, r->config.ssrc, CNAME);
    return w.bad ? 0 : w.len;
}

/* Everything was looked at and nothing is due: when will it be? */
static void find_deadline(struct receiver *r)
{
    r->deadline_us = r->report_us;
    if (r->twcc)
        receiver_due_by(r, twcc_recorder_deadline(r->twcc));
    for (size_t i = 0; i < r->n_streams; i++) {
        const struct stream *st = r->streams[i];
        if (st->nack && st->nack->n > 0)
            receiver_due_by(r, nack_deadline(st->nack));
        if (st->keyframe_wanted && !st->closed)
            receiver_due_by(r, st->keyframe_us);
    }
}

int64_t receiver_deadline(const struct receiver *r)
{
    return r->deadline_us;
}

size_t receiver_poll(struct receiver *r, uint8_t *out, size_t cap, int64_t now_us)
{
    if (now_us < r->deadline_us)
        return 0;
    for (size_t i = 0; i < r->n_streams; i++) {
        size_t n = poll_stream(r, r->streams[i], out, cap, now_us);
        if (n > 0)
            return n;
    }
    size_t n = r->twcc ? twcc_recorder_poll(r->twcc, r->last_ssrc, out, cap, now_us) : 0;
    if (n > 0) {
        r->stats.feedbacks++;
        return n;
    }
    n = poll_report(r, out, cap, now_us);
    if (n == 0)
        find_deadline(r);
    return n;
}
