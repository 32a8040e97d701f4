/* The RTCP of a publisher: his sender reports in; receiver reports, requests, transport-wide
 * feedback and REMB out. */
#include "lib/base/err.h"
#include "lib/proto/rtcp.h"
#include "sfu/core/publisher.h"

#define NACK_BATCH    64
#define REQUESTS_ROOM 320 /* bytes that the NACK and the picture request of a stream may take */

static const struct publisher_stream *find_media(const struct publisher *p, uint32_t ssrc)
{
    for (size_t i = 0; i < p->n_streams; i++) {
        if (p->stream[i].ssrc == ssrc && !p->stream[i].rtx) {
            return &p->stream[i];
        }
    }
    return NULL;
}

/* ---- RTCP in ---- */

static void take_sender_report(struct publisher *p, const struct rtcp_packet *r, int64_t now_us,
                               int64_t wall_us)
{
    struct rtcp_sr sr;
    if (rtcp_parse_sr(&sr, r)) {
        return;
    }
    const struct publisher_stream *s = find_media(p, sr.ssrc);
    if (s) {
        struct track_stream *of = &s->track->stream[s->at];
        rtp_stats_sender_report(&of->stats, sr.info.ntp, now_us);
        sr_input(&of->sr, &p->clock, &sr.info, wall_us);
    }
}

int publisher_rtcp(struct publisher *p, const uint8_t *data, size_t len, int64_t now_us,
                   int64_t wall_us)
{
    struct rtcp_iter it;
    struct rtcp_packet r;
    int n;
    rtcp_iter_init(&it, data, len);
    while ((n = rtcp_next(&it, &r)) == 1) {
        if (r.type == RTCP_SR) {
            take_sender_report(p, &r, now_us, wall_us);
        }
    }
    return n;
}

/* ---- RTCP out ---- */

/* RFC 4585 section 6.3.1, or RFC 5104 section 4.3.1 where only that was agreed. */
static void write_picture_request(const struct publisher *p, const struct track *t,
                                  struct track_stream *s, struct writer *w)
{
    if (t->sdp.fir && !t->sdp.pli) {
        rtcp_write_fir(w, p->ssrc, s->stats.ssrc, ++s->fir_seq);
    } else {
        rtcp_write_pli(w, p->ssrc, s->stats.ssrc);
    }
}

static void poll_stream(const struct publisher *p, struct track *t, uint8_t at, struct writer *w,
                        int64_t now_us, struct publisher_feedback *count)
{
    struct track_stream *s = &t->stream[at];
    uint16_t seqs[NACK_BATCH];
    size_t n =
        t->sdp.nack && s->stats.started ? nack_poll(&s->nack, seqs, NACK_BATCH, now_us, 0) : 0;
    if (n > 0) {
        rtcp_write_nack(w, p->ssrc, s->stats.ssrc, seqs, n);
        count->nacked += (uint32_t)n;
    }
    if (s->nack.keyframe_wanted && t->sdp.kind == SDP_VIDEO) {
        pli_request(&s->pli, now_us);
    }
    s->nack.keyframe_wanted = false;
    if (s->stats.ssrc && now_us >= pli_deadline(&s->pli) && track_is_watched(t, at) &&
        pli_poll(&s->pli, now_us)) {
        write_picture_request(p, t, s, w);
        count->plis++;
    }
}

static size_t poll_requests(const struct publisher *p, struct writer *w, int64_t now_us,
                            struct publisher_feedback *count)
{
    for (size_t i = 0; i < p->n_tracks; i++) {
        for (uint8_t at = 0; at < p->track[i]->n_streams; at++) {
            if (w->cap - w->len >= REQUESTS_ROOM) { /* else the next time */
                poll_stream(p, p->track[i], at, w, now_us, count);
            }
        }
    }
    return w->bad ? 0 : w->len;
}

/* Those whose bandwidth nothing but REMB bounds take silence for a bad network. */
static size_t poll_remb(struct publisher *p, struct writer *w, int64_t now_us)
{
    uint32_t ssrc[PUBLISHER_SOURCES];
    size_t n = 0;
    if (now_us < p->remb_us) {
        return 0;
    }
    p->remb_us = now_us + PUBLISHER_REPORT_US;
    for (size_t i = 0; i < p->n_tracks; i++) {
        const struct track *t = p->track[i];
        bool bounded = t->sdp.remb && !t->sdp.transport_cc;
        for (uint8_t at = 0; bounded && at < t->n_streams; at++) {
            if (t->stream[at].stats.started) {
                ssrc[n++] = t->stream[at].stats.ssrc;
            }
        }
    }
    if (n > 0) {
        rtcp_write_remb(w, p->ssrc, (uint64_t)p->remb_bps, ssrc, n);
    }
    return w->bad ? 0 : w->len;
}

static size_t poll_report(struct publisher *p, struct writer *w, int64_t now_us)
{
    if (now_us < p->report_us) {
        return 0;
    }
    p->report_us = now_us + PUBLISHER_REPORT_US;
    struct rtcp_report blocks[PUBLISHER_SOURCES];
    size_t n = 0;
    for (size_t i = 0; i < p->n_tracks; i++) {
        for (uint8_t at = 0; at < p->track[i]->n_streams; at++) {
            n += rtp_stats_report(&p->track[i]->stream[at].stats, &blocks[n], now_us);
        }
    }
    if (n > 0) {
        rtcp_write_rr(w, p->ssrc, blocks, n);
    }
    return w->bad ? 0 : w->len;
}

/* Any of theirs: the numbers are the transport's. */
static uint32_t media_ssrc(const struct publisher *p)
{
    const struct publisher_stream *s = p->n_streams ? &p->stream[0] : NULL;
    return s ? s->ssrc : 0;
}

size_t publisher_poll(struct publisher *p, uint8_t *out, size_t cap, int64_t now_us,
                      struct publisher_feedback *count)
{
    struct writer w;
    writer_init(&w, out, cap);
    size_t n = poll_report(p, &w, now_us);
    if (n == 0) {
        n = poll_remb(p, &w, now_us);
    }
    if (n == 0) {
        n = poll_requests(p, &w, now_us, count);
    }
    if (n == 0 && p->n_tracks > 0) {
        n = twcc_recorder_poll(&p->twcc, media_ssrc(p), out, cap, now_us);
    }
    return n;
}
