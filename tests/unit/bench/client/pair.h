/* A source and a receiver with a bad link between them, in made time, and the truth beside them:
 * which packets went over the link and came. "Encryption" is a tag of zeros. */
#ifndef SOTTO_TESTS_UNIT_BENCH_CLIENT_PAIR_H
#define SOTTO_TESTS_UNIT_BENCH_CLIENT_PAIR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/client/impair.h"
#include "bench/client/receiver.h"
#include "bench/client/source.h"
#include "lib/proto/rtcp.h"
#include "lib/proto/twcc.h"

#define TAG        16
#define START_US   1000000000
#define STEP_US    1000
#define NUMBERS    (1 << 18) /* of a stream that the truth can hold */
#define AUDIO_SSRC 0x11111111
#define VIDEO_SSRC 0x22222222
#define RTX_SSRC   0x33333333

struct truth {
    struct rtp_unwrap unwrap;
    int64_t base, first, last; /* first and last that came */
    uint64_t media, repaired, duplicates, late;
    bool came[NUMBERS];
};

struct pair {
    struct source *source;
    struct receiver *receiver;
    struct impair *up, *down;
    int64_t now_us;
    bool deaf; /* the source hears no feedback */
    struct truth audio, video;
    uint64_t rtx, packets, bytes, told, told_lost, nacks, plis, reports;
    struct rtp_unwrap transport_unwrap;
    int64_t transport_at[NUMBERS]; /* arrivals by transport-wide number - 65536; 0: not yet */
    struct rtcp_report last_report[2];
};

static struct media_opus pair_opus;

static inline void pair_tracks(struct media_track t[2])
{
    memset(t, 0, 2 * sizeof *t);
    t[0] = (struct media_track){
        .kind = MEDIA_AUDIO, .mid = "0", .ssrc = AUDIO_SSRC, .pt = 111, .transport_cc = true};
    t[1] = (struct media_track){.kind = MEDIA_VIDEO,
                                .mid = "1",
                                .ssrc = VIDEO_SSRC,
                                .rtx_ssrc = RTX_SSRC,
                                .pt = 96,
                                .rtx_pt = 97,
                                .nack = true,
                                .pli = true,
                                .transport_cc = true};
    for (int i = 0; i < 2; i++) {
        t[i].ext.id[RTP_EXT_AUDIO_LEVEL] = i == 0 ? 1 : 0;
        t[i].ext.id[RTP_EXT_ABS_SEND_TIME] = 2;
        t[i].ext.id[RTP_EXT_TRANSPORT_CC] = 3;
        t[i].ext.id[RTP_EXT_MID] = 4;
    }
}

static inline struct source_config pair_source_config(void)
{
    return (struct source_config){.number = 7,
                                  .video_kbps = 1500,
                                  .fps = 30,
                                  .packet_bytes = 1100,
                                  .audio = true,
                                  .width = 640,
                                  .height = 360};
}

/* rc.ssrc is set here. */
static inline struct pair *pair_new(struct source_config sc, struct receiver_config rc,
                                    struct impair_config link)
{
    struct pair *p = calloc(1, sizeof *p);
    struct media_track t[2];
    struct impair_config back = {.delay_us = link.delay_us, .seed = link.seed + 1};

    assert_non_null(p);
    pair_tracks(t);
    rc.ssrc = 0x99;
    p->now_us = START_US;
    assert_int_equal(source_new(&p->source, &sc, &pair_opus, &t[0], &t[1], START_US), 0);
    assert_int_equal(receiver_new(&p->receiver, &rc, &pair_opus, t, 2), 0);
    assert_int_equal(impair_new(&p->up, &link), 0);
    assert_int_equal(impair_new(&p->down, &back), 0);
    return p;
}

static inline void pair_free(struct pair *p)
{
    source_free(p->source);
    receiver_free(p->receiver);
    impair_free(p->up);
    impair_free(p->down);
    free(p);
}

static inline void truth_note(struct truth *t, uint16_t number, bool rtx)
{
    int64_t seq = rtx ? rtp_unwrap_peek(&t->unwrap, number) : rtp_unwrap_seq(&t->unwrap, number);

    if (t->base == 0) {
        t->base = seq - 1000;
        t->first = t->last = seq;
    }
    assert_true(seq >= t->base && seq - t->base < NUMBERS);
    bool *came = &t->came[seq - t->base];
    t->media += !rtx;
    t->duplicates += *came;
    t->repaired += rtx && !*came;
    t->late += !rtx && !*came && seq < t->last;
    *came = true;
    if (seq > t->last)
        t->last = seq;
    if (seq < t->first)
        t->first = seq;
}

static inline uint64_t truth_lost(const struct truth *t)
{
    uint64_t lost = 0;

    for (int64_t s = t->first; s <= t->last; s++)
        lost += !t->came[s - t->base];
    return lost;
}

static inline void pair_arrival(struct pair *p, uint8_t *packet, size_t len)
{
    struct rtp_header h;
    uint16_t number;

    assert_int_equal(rtp_parse(&h, packet, len - TAG), 0);
    p->packets++;
    p->bytes += len;
    assert_true(rtp_transport_seq(&h, packet, 3, &number));
    int64_t at = rtp_unwrap_seq(&p->transport_unwrap, number) - 65536;
    assert_true(at >= 0 && at < NUMBERS);
    p->transport_at[at] = p->now_us;
    if (h.ssrc == AUDIO_SSRC)
        truth_note(&p->audio, h.seq, false);
    else if (h.ssrc == VIDEO_SSRC)
        truth_note(&p->video, h.seq, false);
    else
        truth_note(&p->video, (uint16_t)(packet[h.payload_off] << 8 | packet[h.payload_off + 1]),
                   true);
    p->rtx += h.ssrc == RTX_SSRC;
    if (receiver_input(p->receiver, packet, len, p->now_us))
        receiver_sample(p->receiver, packet, len - TAG, p->now_us);
}

/* Every status told must be what happened. */
static inline void pair_check_twcc(struct pair *p, const struct rtcp_packet *packet)
{
    static struct twcc_status status[2048];
    struct twcc_feedback fb;
    int n = twcc_parse(&fb, status, 2048, packet);

    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        int64_t at = rtp_unwrap_peek(&p->transport_unwrap, status[i].seq) - 65536;
        assert_true(at >= 0 && at < NUMBERS);
        p->told += status[i].received;
        p->told_lost += !status[i].received;
        if (!status[i].received)
            continue;
        assert_true(p->transport_at[at] != 0);
        assert_true(llabs(status[i].at_us - p->transport_at[at]) <= 250);
    }
}

static inline void pair_feedback(struct pair *p, const uint8_t *data, size_t len, bool at_source)
{
    struct rtcp_iter it;
    struct rtcp_packet packet;
    struct rtcp_feedback fb;
    struct rtcp_rr rr;
    uint16_t seqs[256];

    rtcp_iter_init(&it, data, len);
    while (rtcp_next(&it, &packet) == 1) {
        int n = rtcp_parse_nack(&fb, seqs, 256, &packet);
        if (packet.type == RTCP_RTPFB && packet.count == RTCP_FMT_NACK) {
            assert_true(n > 0 && fb.media_ssrc == VIDEO_SSRC);
            p->nacks += at_source ? 0 : (uint64_t)n;
            if (at_source)
                source_on_nack(p->source, seqs, (size_t)n, p->now_us);
        } else if (packet.type == RTCP_RTPFB && packet.count == RTCP_FMT_TWCC) {
            if (!at_source)
                pair_check_twcc(p, &packet);
        } else if (rtcp_parse_pli(&fb, &packet) == 0) {
            assert_int_equal(fb.media_ssrc, VIDEO_SSRC);
            p->plis += !at_source;
            if (at_source)
                source_on_pli(p->source, p->now_us);
        } else if (rtcp_parse_rr(&rr, &packet) == 0 && at_source) {
            p->reports++;
            for (size_t i = 0; i < rr.n_reports; i++) {
                p->last_report[rr.report[i].ssrc == VIDEO_SSRC] = rr.report[i];
                source_acknowledged(p->source, rr.report[i].ssrc);
            }
        }
    }
}

static inline void pair_step(struct pair *p, bool sending)
{
    struct source_packet out[8];
    uint8_t data[IMPAIR_MAX_PACKET];
    size_t n = 0, len;

    do {
        n = sending || source_deadline(p->source) == START_US
                ? source_poll(p->source, out, 8, p->now_us)
                : 0;
        for (size_t i = 0; i < n; i++) {
            memset(out[i].data + out[i].len, 0, TAG);
            assert_int_equal(impair_input(p->up, out[i].data, out[i].len + TAG, p->now_us), 0);
        }
    } while (n > 0);
    while ((len = impair_poll(p->up, data, p->now_us)) > 0)
        pair_arrival(p, data, len);
    if ((len = source_report(p->source, data, sizeof data, p->now_us)) > 0)
        receiver_rtcp(p->receiver, data, len, p->now_us);
    while ((len = receiver_poll(p->receiver, data, 1200, p->now_us)) > 0) {
        pair_feedback(p, data, len, false);
        assert_int_equal(impair_input(p->down, data, len, p->now_us), 0);
    }
    assert_true(receiver_deadline(p->receiver) > p->now_us);
    while ((len = impair_poll(p->down, data, p->now_us)) > 0)
        if (!p->deaf)
            pair_feedback(p, data, len, true);
    p->now_us += STEP_US;
}

static inline void pair_run(struct pair *p, int64_t us)
{
    for (int64_t end = p->now_us + us; p->now_us < end;)
        pair_step(p, true);
}

/* The source falls silent (but still repairs), and all numbers settle. */
static inline void pair_settle(struct pair *p)
{
    for (int64_t end = p->now_us + 4000000; p->now_us < end;)
        pair_step(p, false);
}

#endif
