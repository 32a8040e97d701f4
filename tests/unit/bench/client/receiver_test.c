#include "bench/client/receiver.h"

#include "tests/unit/bench/client/pair.h"

static const struct receiver_config plain = {.nack = true, .twcc = true};
static const struct receiver_config all = {.nack = true, .twcc = true, .decrypt_all = true};
static struct receiver_stats st;

static int make_opus(void **state)
{
    (void)state;
    return media_opus_make(&pair_opus);
}

/* What must hold on any link: the receiver's books are the truth. */
static void check_books(const struct pair *p)
{
    uint64_t span = (uint64_t)(p->audio.last - p->audio.first + p->video.last - p->video.first + 2);

    receiver_stats(p->receiver, &st);
    assert_int_equal(st.packets, p->packets);
    assert_int_equal(st.bytes, p->bytes);
    assert_int_equal(st.media_packets, p->audio.media + p->video.media);
    assert_int_equal(st.audio_packets, p->audio.media);
    assert_int_equal(st.video_packets, p->video.media);
    assert_int_equal(st.rtx_packets, p->rtx);
    assert_int_equal(st.repaired, p->video.repaired);
    assert_int_equal(st.duplicates, p->audio.duplicates + p->video.duplicates);
    assert_int_equal(st.late, p->audio.late + p->video.late);
    assert_int_equal(st.expected, span);
    assert_int_equal(st.lost, truth_lost(&p->audio) + truth_lost(&p->video));
    assert_int_equal(st.nacks, p->nacks);
    assert_int_equal(st.plis, p->plis);
    assert_int_equal(st.sample_bad_payload + st.sample_bad_tag, 0);
}

static void test_clean_link(void **state)
{
    (void)state;
    struct source_stats ss;
    struct pair *p = pair_new(pair_source_config(), all, (struct impair_config){.delay_us = 20000});

    pair_run(p, 10000000);
    pair_settle(p);
    check_books(p);
    source_stats(p->source, &ss);
    assert_int_equal(st.media_packets, ss.audio_packets + ss.video_packets);
    assert_int_equal(st.expected, st.media_packets);
    assert_int_equal(st.lost + st.late + st.nacks + st.plis + st.rtx_packets + st.duplicates, 0);
    assert_int_equal(st.frames, ss.frames);
    assert_int_equal(st.frames_broken, 0);
    assert_int_equal(st.sampled, st.media_packets);
    assert_int_equal(p->told, p->packets);
    assert_int_equal(p->told_lost, 0);
    assert_true(p->reports >= 9);
    assert_int_equal(st.streams, 2);
    assert_true(st.first_us[MEDIA_AUDIO] >= START_US + 20000 &&
                st.first_us[MEDIA_VIDEO] <= START_US + 25000);
    const struct histogram *h = receiver_latency(p->receiver);
    assert_int_equal(h->count, ss.video_packets);
    assert_true(histogram_quantile(h, 0.01) >= 20000 && h->max_us <= 21100);
    pair_free(p);
}

static void test_loss_without_repair(void **state)
{
    (void)state;
    struct pair *p = pair_new(pair_source_config(), (struct receiver_config){.twcc = true},
                              (struct impair_config){.loss = 0.05, .delay_us = 5000, .seed = 3});

    pair_run(p, 20000000);
    pair_settle(p);
    check_books(p);
    struct impair_stats is;
    impair_stats(p->up, &is);
    assert_true(st.lost > 150 && st.lost + 20 > is.lost && st.lost <= is.lost);
    assert_int_equal(st.nacks + st.rtx_packets, 0);
    assert_true(p->told_lost > 0 && p->told_lost <= is.lost);
    assert_int_equal(p->last_report[1].cumulative_lost + p->last_report[0].cumulative_lost,
                     st.lost);
    assert_true(p->last_report[1].lsr != 0 && p->last_report[1].dlsr < 2 * 65536);
    pair_free(p);
}

/* Nearly everything is repaired within its second; what stays lost is audio, which isn't asked
 * for. */
static void repaired_on(struct impair_config link, uint64_t video_lost_max)
{
    struct source_stats ss;
    struct pair *p = pair_new(pair_source_config(), all, link);

    pair_run(p, 20000000);
    pair_settle(p);
    check_books(p);
    source_stats(p->source, &ss);
    assert_true(st.repaired > 0 && truth_lost(&p->video) <= video_lost_max);
    assert_true(st.frames + st.frames_broken >= ss.frames - 20 &&
                st.frames + st.frames_broken <= ss.frames);
    assert_true(st.frames_broken <= ss.frames / 20);
    pair_free(p);
}

static void test_loss_with_repair(void **state)
{
    (void)state;
    repaired_on((struct impair_config){.loss = 0.05, .delay_us = 20000, .seed = 1}, 0);
}

static void test_bursts(void **state)
{
    (void)state;
    repaired_on((struct impair_config){.loss = 0.05, .burst = 8, .delay_us = 20000, .seed = 2}, 0);
}

static void test_everything_at_once(void **state)
{
    (void)state;
    repaired_on((struct impair_config){.loss = 0.03,
                                       .burst = 3,
                                       .delay_us = 40000,
                                       .jitter_us = 10000,
                                       .reorder = 0.05,
                                       .rate_bps = 3000000,
                                       .queue_us = 200000,
                                       .seed = 5},
                0);
}

static void test_reordering(void **state)
{
    (void)state;
    struct pair *p = pair_new(pair_source_config(), all,
                              (struct impair_config){.reorder = 0.1, .delay_us = 10000, .seed = 4});

    pair_run(p, 10000000);
    pair_settle(p);
    check_books(p);
    assert_true(st.late > 50);
    assert_int_equal(st.lost, 0);
    assert_int_equal(st.frames_broken, 0);
    pair_free(p);
}

/* A bottleneck below the rate: the queue fills, latency is the queue's, the tail is dropped. */
static void test_bottleneck(void **state)
{
    (void)state;
    struct impair_stats is;
    struct pair *p =
        pair_new(pair_source_config(), (struct receiver_config){.twcc = true},
                 (struct impair_config){.rate_bps = 1000000, .queue_us = 300000, .seed = 4});

    pair_run(p, 10000000);
    pair_settle(p);
    check_books(p);
    impair_stats(p->up, &is);
    assert_true(is.queue_full > 300 && st.lost > 300);
    int64_t median = histogram_quantile(receiver_latency(p->receiver), 0.5);
    assert_true(median > 200000 && median < 330000);
    pair_free(p);
}

static void test_numbers_wrap(void **state)
{
    (void)state;
    struct source_config sc = pair_source_config();
    sc.video_kbps = 20000;
    struct pair *p =
        pair_new(sc, plain, (struct impair_config){.loss = 0.02, .delay_us = 5000, .seed = 8});

    pair_run(p, 60000000);
    pair_settle(p);
    check_books(p);
    assert_true(p->video.last - p->video.first > 2 * 65536);
    assert_int_equal(truth_lost(&p->video), 0);
    assert_int_equal(p->last_report[1].highest_seq, p->video.last - 65536);
    pair_free(p);
}

static void test_nobody_repairs(void **state)
{
    (void)state;
    struct pair *p =
        pair_new(pair_source_config(), plain, (struct impair_config){.loss = 0.05, .seed = 11});

    p->deaf = true;
    pair_run(p, 10000000);
    pair_settle(p);
    check_books(p);
    assert_true(truth_lost(&p->video) > 50);
    /* Ten tries at most each, and keyframes are asked for in the end, but not in a storm. */
    assert_true(st.nacks > 5 * truth_lost(&p->video) &&
                st.nacks <= 10 * truth_lost(&p->video) + 99);
    assert_true(st.plis > 10 && st.plis <= 45);
    pair_free(p);
}

static void test_keyframe_is_asked_for(void **state)
{
    (void)state;
    struct source_stats ss;
    struct pair *p = pair_new(pair_source_config(), plain, (struct impair_config){.loss = 1});

    pair_run(p, 2000000); /* the first keyframe is lost with everything */
    impair_free(p->up);
    struct impair_config clean = {.delay_us = 1000};
    assert_int_equal(impair_new(&p->up, &clean), 0);
    pair_run(p, 150000);
    receiver_stats(p->receiver, &st);
    assert_int_equal(st.plis, 0);
    pair_run(p, 1000000);
    receiver_stats(p->receiver, &st);
    source_stats(p->source, &ss);
    assert_int_equal(st.plis, 1);
    assert_int_equal(ss.keyframes, 2);
    p->deaf = true;
    pair_free(p);
}

static void test_samples_are_a_share(void **state)
{
    (void)state;
    struct pair *p =
        pair_new(pair_source_config(), plain, (struct impair_config){.delay_us = 1000});

    pair_run(p, 1000000);
    receiver_stats_reset(p->receiver);
    pair_run(p, 60000000);
    receiver_stats(p->receiver, &st);
    double share = (double)st.sampled / (double)st.media_packets;
    assert_true(share > 0.9 / RECEIVER_SAMPLE && share < 1.1 / RECEIVER_SAMPLE);
    share = (double)receiver_latency(p->receiver)->count / (double)st.video_packets;
    assert_true(share > 0.9 / RECEIVER_SAMPLE && share < 1.1 / RECEIVER_SAMPLE);
    pair_free(p);
}

static double measured_share(const struct pair *p)
{
    receiver_stats(p->receiver, &st);
    return (double)receiver_latency(p->receiver)->count / (double)(st.video_packets + st.repaired);
}

/* What is decrypted for another reason must not weigh more in the latencies: repairs, and whatever
 * comes while a keyframe is missing. */
static void test_latencies_are_not_biased(void **state)
{
    (void)state;
    struct pair *p = pair_new(pair_source_config(), plain,
                              (struct impair_config){.loss = 0.1, .delay_us = 5000, .seed = 13});

    pair_run(p, 60000000);
    double share = measured_share(p);
    assert_true(share > 0.8 / RECEIVER_SAMPLE && share < 1.2 / RECEIVER_SAMPLE);
    pair_free(p);
    p = pair_new(pair_source_config(), plain, (struct impair_config){.loss = 1});
    p->deaf = true;
    pair_run(p, 500000);
    impair_free(p->up);
    struct impair_config clean = {.delay_us = 1000};
    assert_int_equal(impair_new(&p->up, &clean), 0);
    pair_run(p, 60000000);
    share = measured_share(p);
    assert_true(st.sampled > st.video_packets * 9 / 10);
    assert_true(share > 0.8 / RECEIVER_SAMPLE && share < 1.2 / RECEIVER_SAMPLE);
    pair_free(p);
}

/* Over a long way packets are asked for once a round trip, not every 100 ms. */
static void test_round_trips_are_learned(void **state)
{
    (void)state;
    struct pair *p = pair_new(pair_source_config(), plain,
                              (struct impair_config){.loss = 0.02, .delay_us = 150000, .seed = 14});

    pair_run(p, 30000000);
    pair_settle(p);
    check_books(p);
    assert_true(st.repaired > 50 && st.nacks < st.repaired * 13 / 10);
    pair_free(p);
}

static void test_reset_keeps_what_is_known(void **state)
{
    (void)state;
    struct pair *p = pair_new(pair_source_config(), plain,
                              (struct impair_config){.loss = 0.02, .delay_us = 1000, .seed = 6});
    struct receiver_stats before;

    pair_run(p, 3000000);
    receiver_stats(p->receiver, &before);
    receiver_stats_reset(p->receiver);
    receiver_stats(p->receiver, &st);
    assert_int_equal(st.packets + st.expected + st.lost + st.nacks, 0);
    assert_int_equal(st.first_us[0], before.first_us[0]);
    assert_int_equal(st.streams, before.streams);
    pair_run(p, 3000000);
    pair_settle(p);
    receiver_stats(p->receiver, &st);
    uint64_t span = (uint64_t)(p->audio.last - p->audio.first + p->video.last - p->video.first + 2);
    assert_int_equal(before.expected + st.expected, span);
    assert_int_equal(before.lost + st.lost, truth_lost(&p->audio) + truth_lost(&p->video));
    pair_free(p);
}

/* SSRCs that SDP didn't tell are learned from payload types, and RTX's from what is missing. */
static void test_ssrcs_are_learned(void **state)
{
    (void)state;
    struct pair *p = pair_new(pair_source_config(), plain,
                              (struct impair_config){.loss = 0.05, .delay_us = 5000, .seed = 12});
    struct media_track t[2];

    pair_tracks(t);
    t[0].ssrc = t[1].ssrc = t[1].rtx_ssrc = 0;
    receiver_free(p->receiver);
    struct receiver_config rc = plain;
    assert_int_equal(receiver_new(&p->receiver, &rc, &pair_opus, t, 2), 0);
    pair_run(p, 10000000);
    pair_settle(p);
    check_books(p);
    assert_true(st.repaired > 0);
    assert_int_equal(truth_lost(&p->video), 0);
    pair_free(p);
}

/* Decrypted, but not what the source sent. */
static void test_foreign_payload_and_bad_tags(void **state)
{
    (void)state;
    struct receiver *r;
    struct media_track t[2];
    struct receiver_config rc = all;
    uint8_t packet[200] = {0x80, 96};

    pair_tracks(t);
    assert_int_equal(receiver_new(&r, &rc, &pair_opus, t, 2), 0);
    rtp_set_ssrc(packet, VIDEO_SSRC);
    assert_true(receiver_input(r, packet, sizeof packet, START_US));
    receiver_sample(r, packet, sizeof packet - TAG, START_US);
    rtp_set_seq(packet, 1);
    assert_true(receiver_input(r, packet, sizeof packet, START_US));
    receiver_sample(r, packet, 0, START_US);
    rtp_set_ssrc(packet, AUDIO_SSRC);
    rtp_set_pt(packet, 111);
    assert_true(receiver_input(r, packet, sizeof packet, START_US));
    receiver_sample(r, packet, sizeof packet - TAG, START_US);
    receiver_stats(r, &st);
    assert_int_equal(st.sample_bad_payload, 2);
    assert_int_equal(st.sample_bad_tag, 1);
    assert_int_equal(st.lost, 0);
    receiver_free(r);
}

static void test_padding_is_no_media(void **state)
{
    (void)state;
    struct receiver *r;
    struct media_track t[2];
    struct receiver_config rc = plain;
    uint8_t packet[12 + 20 + TAG] = {0xa0, 96};

    pair_tracks(t);
    assert_int_equal(receiver_new(&r, &rc, &pair_opus, t, 2), 0);
    packet[31] = 20;
    for (uint16_t i = 0; i < 100; i++) {
        rtp_set_ssrc(packet, VIDEO_SSRC);
        rtp_set_seq(packet, i);
        rtp_set_pt(packet, 96);
        assert_true(receiver_input(r, packet, sizeof packet, START_US));
        receiver_sample(r, packet, 32, START_US);
        rtp_set_ssrc(packet, RTX_SSRC); /* a probe of padding only */
        rtp_set_pt(packet, 97);
        assert_true(receiver_input(r, packet, sizeof packet, START_US));
        receiver_sample(r, packet, 32, START_US);
    }
    receiver_stats(r, &st);
    assert_int_equal(st.packets, 200);
    assert_int_equal(st.media_packets + st.video_packets + st.sampled, 0);
    assert_int_equal(st.rtx_packets, 0);
    assert_int_equal(st.probes, 100);
    receiver_free(r);
}

static void test_garbage_is_ignored(void **state)
{
    (void)state;
    struct receiver *r;
    struct media_track t[2];
    struct receiver_config rc = all;
    uint8_t packet[RTP_MAX_PACKET + 8], out[1200];
    uint32_t x = 1;

    pair_tracks(t);
    assert_int_equal(receiver_new(&r, &rc, &pair_opus, t, 2), 0);
    for (size_t len = 0; len < 12; len++) {
        memset(packet, 0x80, sizeof packet);
        assert_false(receiver_input(r, packet, len, START_US));
    }
    packet[0] = 0x40;
    assert_false(receiver_input(r, packet, 100, START_US));
    packet[0] = 0x80;
    assert_false(receiver_input(r, packet, sizeof packet, START_US));
    receiver_stats(r, &st);
    assert_int_equal(st.packets, 0);
    for (int i = 0; i < 200000; i++) {
        size_t len = 1 + x % 300;
        for (size_t k = 0; k < len; k++)
            packet[k] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
        packet[0] = (uint8_t)(0x80 | (packet[0] & 0x3f));
        packet[1] = (uint8_t)(i % 3 == 0 ? 96 : i % 3 == 1 ? 97 : 111);
        if (len >= 12 && i % 2)
            rtp_set_ssrc(packet, i % 3 == 1 ? RTX_SSRC : VIDEO_SSRC);
        int64_t now = START_US + i * 100;
        if (receiver_input(r, packet, len, now))
            receiver_sample(r, packet, len > TAG ? len - TAG : 0, now);
        receiver_rtcp(r, packet, len, now);
        for (int k = 0; k < 50 && receiver_poll(r, out, sizeof out, now) > 0; k++)
            ;
    }
    receiver_stats(r, &st);
    assert_true(st.streams <= RECEIVER_MAX_STREAMS);
    receiver_free(r);
}

static void test_floods_of_ssrcs_are_bounded(void **state)
{
    (void)state;
    struct receiver *r;
    struct media_track t[2];
    struct receiver_config rc = plain;
    uint8_t packet[60] = {0x80, 111};

    pair_tracks(t);
    assert_int_equal(receiver_new(&r, &rc, &pair_opus, t, 2), 0);
    for (uint32_t i = 0; i < 5000; i++) {
        rtp_set_ssrc(packet, 1000 + i);
        receiver_input(r, packet, sizeof packet, START_US + i);
    }
    receiver_stats(r, &st);
    assert_int_equal(st.streams, RECEIVER_MAX_STREAMS);
    assert_int_equal(st.media_packets, RECEIVER_MAX_STREAMS);
    assert_int_equal(st.packets, 5000);
    /* What falls silent makes room: the SSRC that SDP told comes through. */
    rtp_set_ssrc(packet, AUDIO_SSRC);
    receiver_input(r, packet, sizeof packet, START_US + 6000000);
    receiver_stats(r, &st);
    assert_int_equal(st.streams, RECEIVER_MAX_STREAMS);
    assert_int_equal(st.media_packets, RECEIVER_MAX_STREAMS + 1);
    /* Unknown payload types make none. */
    rtp_set_ssrc(packet, 5);
    rtp_set_pt(packet, 50);
    assert_false(receiver_input(r, packet, sizeof packet, START_US + 6000000));
    receiver_free(r);
}

static void test_reports_of_many_streams(void **state)
{
    (void)state;
    struct receiver *r;
    struct media_track t[2];
    struct receiver_config rc = plain;
    uint8_t packet[60] = {0x80, 111}, out[1200];
    size_t told = 0, len;
    int64_t now = START_US;

    pair_tracks(t);
    assert_int_equal(receiver_new(&r, &rc, &pair_opus, t, 2), 0);
    for (uint32_t i = 0; i < 100; i++) {
        rtp_set_ssrc(packet, 1000 + i);
        receiver_input(r, packet, sizeof packet, now);
    }
    for (; now < START_US + 1600000; now += 1000) {
        while ((len = receiver_poll(r, out, sizeof out, now)) > 0) {
            struct rtcp_iter it;
            struct rtcp_packet p;
            struct rtcp_rr rr;
            rtcp_iter_init(&it, out, len);
            while (rtcp_next(&it, &p) == 1)
                told += rtcp_parse_rr(&rr, &p) == 0 ? rr.n_reports : 0;
        }
    }
    assert_true(told == 100 || told == 200);
    receiver_free(r);
}

static void test_bye_ends_asking(void **state)
{
    (void)state;
    struct pair *p = pair_new(pair_source_config(), plain, (struct impair_config){.loss = 0});
    uint8_t bye[64];
    struct writer w;
    uint32_t ssrc = VIDEO_SSRC;

    pair_run(p, 500000);
    impair_free(p->up);
    struct impair_config bad = {.loss = 0.5, .seed = 3};
    assert_int_equal(impair_new(&p->up, &bad), 0);
    p->deaf = true;
    pair_run(p, 500000);
    writer_init(&w, bye, sizeof bye);
    rtcp_write_bye(&w, &ssrc, 1);
    receiver_rtcp(p->receiver, bye, w.len, p->now_us);
    uint64_t nacks = p->nacks, plis = p->plis;
    assert_true(nacks > 0);
    pair_settle(p);
    assert_int_equal(p->nacks, nacks);
    assert_int_equal(p->plis, plis);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clean_link),
        cmocka_unit_test(test_loss_without_repair),
        cmocka_unit_test(test_loss_with_repair),
        cmocka_unit_test(test_bursts),
        cmocka_unit_test(test_everything_at_once),
        cmocka_unit_test(test_reordering),
        cmocka_unit_test(test_bottleneck),
        cmocka_unit_test(test_numbers_wrap),
        cmocka_unit_test(test_nobody_repairs),
        cmocka_unit_test(test_keyframe_is_asked_for),
        cmocka_unit_test(test_samples_are_a_share),
        cmocka_unit_test(test_latencies_are_not_biased),
        cmocka_unit_test(test_round_trips_are_learned),
        cmocka_unit_test(test_reset_keeps_what_is_known),
        cmocka_unit_test(test_ssrcs_are_learned),
        cmocka_unit_test(test_foreign_payload_and_bad_tags),
        cmocka_unit_test(test_padding_is_no_media),
        cmocka_unit_test(test_garbage_is_ignored),
        cmocka_unit_test(test_floods_of_ssrcs_are_bounded),
        cmocka_unit_test(test_reports_of_many_streams),
        cmocka_unit_test(test_bye_ends_asking),
    };
    return cmocka_run_group_tests(tests, make_opus, NULL);
}
