#include "sfu/core/subscriber.h"

#include <math.h>
#include <stdlib.h>

#include "lib/base/err.h"
#include "lib/proto/rtcp.h"
#include "sfu/core/publisher.h"

#define NACK_MAX_SEQS   512
#define SSRC_VIDEO      0x40u /* SSRCs of a subscriber: base | index, | this for video, */
#define SSRC_RTX        0x80u /* and | this for the RTX stream of a video slot */
#define SSRC_LOW        0xffu
#define REPORT_ROOM     80 /* bytes that one slot's SR and SDES may take */
#define REPORT_FRESH_US 5000000
#define RESENDS_FEW     10

/* One step of splitmix64: spreads one seed over many numbers. */
static uint64_t spread(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

int subscriber_new(struct subscriber **out, struct room *room, uint32_t number, uint32_t n_audio,
                   uint32_t n_video, uint64_t random)
{
    if (n_audio > SDP_MAX_AUDIO_SLOTS || n_video > SDP_MAX_VIDEO_SLOTS || n_audio + n_video == 0) {
        return ERR_INVALID;
    }
    struct subscriber *s = calloc(1, sizeof *s);
    struct slot *slots = aligned_alloc(_Alignof(struct slot), (n_audio + n_video) * sizeof *slots);
    if (!s || !slots) {
        free(s);
        free(slots);
        return ERR_NOMEM;
    }
    s->room = room;
    s->number = number;
    s->n_audio = n_audio;
    s->n_video = n_video;
    s->slot = slots;
    s->resend_left = s->resends_burst = SUBSCRIBER_RESENDS_BURST;
    s->resends_second = SUBSCRIBER_RESENDS_SECOND;
    s->ssrc_base = ((uint32_t)spread(&random) | 0x100u) & ~SSRC_LOW;
    for (uint32_t i = 0; i < n_audio; i++) {
        slot_init(&slots[i], s, SDP_AUDIO, i, s->ssrc_base | i, 0, spread(&random));
    }
    for (uint32_t i = 0; i < n_video; i++) {
        uint32_t ssrc = s->ssrc_base | SSRC_VIDEO | i;
        slot_init(&slots[n_audio + i], s, SDP_VIDEO, i, ssrc, ssrc | SSRC_RTX, spread(&random));
    }
    *out = s;
    return OK;
}

void subscriber_free(struct subscriber *s)
{
    if (s) {
        for (uint32_t i = 0; i < s->n_audio + s->n_video; i++) {
            slot_set_track(&s->slot[i], NULL, 0);
            slot_end(&s->slot[i]);
        }
        free(s->slot);
        free(s);
    }
}

void subscriber_describe(const struct subscriber *s, struct sdp_slots *out)
{
    *out =
        (struct sdp_slots){.n_audio = s->n_audio, .n_video = s->n_video, .codecs = SDP_ALL_CODECS};
    for (uint32_t i = 0; i < s->n_audio; i++) {
        out->audio[i].ssrc = s->slot[i].ssrc;
    }
    for (uint32_t i = 0; i < s->n_video; i++) {
        const struct slot *v = &s->slot[s->n_audio + i];
        out->video[i] = (struct sdp_slot){.ssrc = v->ssrc, .rtx_ssrc = v->rtx_ssrc};
    }
}

struct slot *subscriber_audio(const struct subscriber *s, uint32_t i)
{
    return &s->slot[i];
}

struct slot *subscriber_video(const struct subscriber *s, uint32_t i)
{
    return &s->slot[s->n_audio + i];
}

struct slot *subscriber_slot(const struct subscriber *s, uint32_t ssrc)
{
    if ((ssrc & ~SSRC_LOW) != s->ssrc_base) {
        return NULL;
    }
    uint32_t i = ssrc & (SSRC_VIDEO - 1);
    if (ssrc & SSRC_VIDEO) {
        return i < s->n_video ? subscriber_video(s, i) : NULL;
    }
    return i < s->n_audio && !(ssrc & SSRC_RTX) ? subscriber_audio(s, i) : NULL;
}

/* ---- RTCP in ---- */

void subscriber_bound_resends(struct subscriber *s, double second, double burst)
{
    s->resends_second = (float)fmin(fmax(second, RESENDS_FEW), SUBSCRIBER_RESENDS_SECOND);
    s->resends_burst = (float)fmin(fmax(burst, RESENDS_FEW), SUBSCRIBER_RESENDS_BURST);
}

static void refill(struct subscriber *s, int64_t now_us)
{
    s->resend_left += (double)(now_us - s->resend_us) * s->resends_second / 1e6;
    if (s->resend_left > s->resends_burst) {
        s->resend_left = s->resends_burst;
    }
    s->resend_us = now_us;
}

static bool find_resend(struct slot *slot, uint16_t seq, int64_t now_us, struct resend *out)
{
    uint32_t source;
    int64_t ext_seq;
    const struct track *t = slot->track;
    if (rewriter_unmap(&slot->rewriter, seq, &source, &ext_seq) ||
        source - t->source >= t->n_streams) {
        return false;
    }
    struct packet *k = rtx_cache_get(t->stream[source - t->source].cache, ext_seq, now_us);
    if (!k || !slot_map_again(slot, k, seq, &out->to)) {
        return false;
    }
    out->slot = slot;
    out->packet = k;
    return true;
}

static size_t take_nack(struct subscriber *s, const struct rtcp_packet *r, int64_t now_us,
                        struct resend *out, size_t cap, struct subscriber_requests *count)
{
    uint16_t seqs[NACK_MAX_SEQS];
    struct rtcp_feedback fb;
    int n = rtcp_parse_nack(&fb, seqs, NACK_MAX_SEQS, r);
    struct slot *slot = n > 0 ? subscriber_slot(s, fb.media_ssrc) : NULL;
    if (!slot || !slot->rtx || !slot->track || slot->kind != SDP_VIDEO) {
        return 0;
    }
    count->nacked += (uint32_t)n;
    counters_add(&slot->counters, COUNTER_NACKS, (uint64_t)n);
    size_t found = 0;
    for (int i = 0; i < n && found < cap && s->resend_left >= 1; i++) {
        if (find_resend(slot, seqs[i], now_us, &out[found])) {
            found++;
            s->resend_left -= 1;
        }
    }
    return found;
}

static void want_picture(struct subscriber *s, uint32_t ssrc, int64_t now_us,
                         struct subscriber_requests *count)
{
    struct slot *slot = subscriber_slot(s, ssrc);
    if (slot && slot->track) {
        count->plis++;
        counters_add(&slot->counters, COUNTER_PLIS, 1);
        slot_request_keyframe(slot, now_us);
    }
}

static void take_payload_feedback(struct subscriber *s, const struct rtcp_packet *r, int64_t now_us,
                                  struct subscriber_requests *count)
{
    struct rtcp_feedback fb;
    struct rtcp_fir fir[8];
    if (r->count == RTCP_FMT_PLI && rtcp_parse_pli(&fb, r) == OK) {
        want_picture(s, fb.media_ssrc, now_us, count);
    } else if (r->count == RTCP_FMT_FIR) {
        int n = rtcp_parse_fir(&fb, fir, 8, r);
        for (int i = 0; i < n; i++) {
            want_picture(s, fir[i].ssrc, now_us, count);
        }
    }
}

static void take_report(struct slot *slot, const struct rtcp_report *report, uint32_t now_middle)
{
    int64_t rtt_us = rtcp_rtt_us(now_middle, report->lsr, report->dlsr);
    int64_t jitter_us = (int64_t)report->jitter * 1000000 / slot->rewriter.clock_rate;
    slot->fraction_lost = report->fraction_lost;
    slot->rtt_us = rtt_us >= 0 ? rtt_us : slot->rtt_us;
    counters_report(&slot->counters, report->fraction_lost, report->cumulative_lost, jitter_us,
                    rtt_us);
}

static void take_reports(struct subscriber *s, const struct rtcp_report *report, size_t n,
                         int64_t wall_us)
{
    uint32_t now_middle = rtcp_ntp_middle(rtcp_ntp_from_wall(wall_us));
    for (size_t i = 0; i < n; i++) {
        struct slot *slot = subscriber_slot(s, report[i].ssrc);
        if (slot && report[i].ssrc == slot->ssrc) {
            take_report(slot, &report[i], now_middle);
        }
    }
}

static void take_rr(struct subscriber *s, const struct rtcp_packet *r, int64_t wall_us)
{
    struct rtcp_rr rr;
    struct rtcp_sr sr;
    if (r->type == RTCP_RR && rtcp_parse_rr(&rr, r) == OK) {
        take_reports(s, rr.report, rr.n_reports, wall_us);
    } else if (r->type == RTCP_SR && rtcp_parse_sr(&sr, r) == OK) {
        take_reports(s, sr.report, sr.n_reports, wall_us);
    }
}

size_t subscriber_rtcp(struct subscriber *s, const uint8_t *data, size_t len, int64_t now_us,
                       int64_t wall_us, struct resend *out, size_t cap,
                       struct subscriber_requests *count, bool *bad)
{
    struct rtcp_iter it;
    struct rtcp_packet r;
    size_t found = 0;
    int more;
    refill(s, now_us);
    rtcp_iter_init(&it, data, len);
    while ((more = rtcp_next(&it, &r)) == 1) {
        if (r.type == RTCP_RTPFB && r.count == RTCP_FMT_NACK) {
            found += take_nack(s, &r, now_us, out + found, cap - found, count);
        } else if (r.type == RTCP_PSFB) {
            take_payload_feedback(s, &r, now_us, count);
        } else {
            take_rr(s, &r, wall_us);
        }
    }
    *bad = more < 0;
    return found;
}

/* ---- RTCP out ---- */

static void write_report(const struct slot *slot, struct writer *w, const char *cname,
                         int64_t now_us, int64_t wall_us)
{
    struct rtcp_sender_info info;
    uint32_t offset;
    const struct track *t = slot->track;
    uint32_t at = t ? slot->last_source - t->source : 0; /* the stream that is shown */
    if (!t || at >= t->n_streams ||
        !rewriter_ts_offset(&slot->rewriter, slot->last_source, &offset) ||
        !sr_translate(&t->stream[at].sr, &t->publisher->clock, slot->rewriter.clock_rate, offset,
                      wall_us, &info)) {
        sr_guess(slot->last_ts, now_us - slot->last_us, slot->rewriter.clock_rate, wall_us, &info);
    }
    info.packets = (uint32_t)slot->packets;
    info.octets = (uint32_t)slot->octets;
    rtcp_write_sr(w, slot->ssrc, &info, NULL, 0);
    rtcp_write_sdes_cname(w, slot->ssrc, cname);
}

size_t subscriber_poll(struct subscriber *s, uint8_t *out, size_t cap, const char *cname,
                       int64_t now_us, int64_t wall_us)
{
    struct writer w;
    size_t n = (size_t)s->n_audio + s->n_video;
    if (!s->ready || now_us < s->report_us) {
        return 0;
    }
    writer_init(&w, out, cap);
    for (; s->report_next < n && w.len + REPORT_ROOM <= cap; s->report_next++) {
        const struct slot *slot = &s->slot[s->report_next];
        if (slot->last_us && now_us - slot->last_us < REPORT_FRESH_US) {
            write_report(slot, &w, cname, now_us, wall_us);
        }
    }
    if (s->report_next == n) {
        s->report_next = 0;
        s->report_us = now_us + SUBSCRIBER_REPORT_US;
    }
    return w.bad ? 0 : w.len;
}
