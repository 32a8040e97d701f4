/* Who gets which packet, under which header. */
#include "tests/unit/sfu/core/room_fixture.h"

#include "lib/proto/rtcp.h"

static void test_one_to_another(void **state)
{
    (void)state;
    struct router *r = fixture_router(64);
    struct publisher *p = fixture_publisher(r, 1);
    struct subscriber *own = fixture_subscriber(r, 1, 3, 3);
    struct subscriber *s = fixture_subscriber(r, 2, 3, 3);
    struct forward f;
    assert_null(subscriber_audio(own, 0)->track); /* never one's own */
    assert_null(subscriber_video(own, 0)->track);

    assert_int_equal(fixture_route(r, p, fixture_audio(r, 1, 10, 30, START_US), &f), 1);
    assert_ptr_equal(f.slot, subscriber_audio(s, 0));
    assert_int_equal(fixture_route(r, p, fixture_video(r, 1, 20, false, START_US), &f), 0);
    assert_int_equal(fixture_route(r, p, fixture_video(r, 1, 21, true, START_US), &f), 1);
    assert_ptr_equal(f.slot, subscriber_video(s, 0));
    assert_int_equal(fixture_route(r, p, fixture_video(r, 1, 22, false, START_US), &f), 1);
    router_free(r);
}

static void test_header_of_what_leaves(void **state)
{
    (void)state;
    struct router *r = fixture_router(64);
    struct publisher *p = fixture_publisher(r, 7);
    struct subscriber *s = fixture_subscriber(r, 2, 1, 1);
    size_t n, header_len;
    struct track *t;
    uint8_t out[1500];
    struct rtp_header h;
    char mid[8];
    uint8_t level;
    bool voice;

    struct packet *k = fixture_audio(r, 7, 10, 33, START_US);
    const struct forward *f = router_packet(r, p, k, &n, &t);
    assert_int_equal(n, 1);
    int len = slot_written(f->slot, k, &f->to, false, out, sizeof out, &header_len);
    assert_true(len > 0);
    assert_int_equal(rtp_parse(&h, out, (size_t)len), OK);
    assert_int_equal(h.payload_off, header_len);
    assert_int_equal(h.payload_len, 40);
    assert_int_equal(h.pt, SDP_OPUS_PT);
    assert_int_equal(h.ssrc, subscriber_audio(s, 0)->ssrc);
    assert_int_equal(h.seq, f->to.seq);
    assert_int_equal(h.n_csrc, 1);
    assert_int_equal(rtp_csrc(&h, out, 0), 7);
    assert_true(rtp_ext_text(&h, out, SDP_SLOT_EXT_MID, mid, sizeof mid));
    assert_string_equal(mid, "a0");
    assert_true(rtp_audio_level(&h, out, SDP_SLOT_EXT_AUDIO_LEVEL, &level, &voice));
    assert_int_equal(level, 33);
    assert_memory_equal(out + header_len, packet_data(k) + k->header.payload_off, 40);
    packet_unref(k);
    router_free(r);
}

static void test_nack_is_answered_from_the_cache(void **state)
{
    (void)state;
    struct router *r = fixture_router(64);
    struct publisher *p = fixture_publisher(r, 1);
    struct subscriber *s = fixture_subscriber(r, 2, 0, 1);
    struct forward sent[3];
    for (uint16_t i = 0; i < 3; i++) {
        assert_int_equal(
            fixture_route(r, p, fixture_video(r, 1, 50 + i, i == 0, START_US), &sent[i]), 1);
    }
    uint8_t rtcp[64], out[1500];
    struct writer w;
    writer_init(&w, rtcp, sizeof rtcp);
    uint16_t asked = sent[1].to.seq;
    rtcp_write_nack(&w, 1, sent[1].slot->ssrc, &asked, 1);
    struct resend again[4];
    struct subscriber_requests count = {0};
    bool bad;
    size_t n = subscriber_rtcp(s, rtcp, w.len, START_US + 1000, START_US, again, 4, &count, &bad);
    assert_false(bad);
    assert_int_equal(n, 1);
    assert_int_equal(count.nacked, 1);
    size_t header_len;
    int len = slot_written(again[0].slot, again[0].packet, &again[0].to, true, out, sizeof out,
                           &header_len);
    struct rtp_header h;
    assert_int_equal(rtp_parse(&h, out, (size_t)len), OK);
    assert_int_equal(h.pt, SDP_VP8_RTX_PT);
    assert_int_equal(h.ssrc, subscriber_video(s, 0)->rtx_ssrc);
    assert_int_equal(out[h.payload_off] << 8 | out[h.payload_off + 1], asked);
    assert_int_equal(h.payload_off, header_len);

    /* Too late: the cache has let go of it. */
    n = subscriber_rtcp(s, rtcp, w.len, START_US + 3000000, START_US, again, 4, &count, &bad);
    assert_int_equal(n, 0);
    router_free(r);
}

/* What a frame's packets have in common is copied from one to the next. */
static void test_a_repeated_header_is_the_same(void **state)
{
    (void)state;
    struct router *r = fixture_router(64);
    struct publisher *p = fixture_publisher(r, 1);
    struct subscriber *s = fixture_subscriber(r, 2, 0, 1);
    struct packet *k[2] = {fixture_video(r, 1, 50, true, START_US),
                           fixture_video(r, 1, 51, false, START_US)};
    uint8_t before[SLOT_HEADER], whole[SLOT_HEADER], repeated[SLOT_HEADER];
    struct forward f;
    int len = 0;
    subscriber_stamped(s);
    for (int i = 0; i < 2; i++) {
        packet_ref(k[i]); /* fixture_route gives one back */
        assert_int_equal(fixture_route(r, p, k[i], &f), 1);
        f.to.marker = i == 0;
        len = slot_write_header(f.slot, k[i], &f.to, false, i ? whole : before, SLOT_HEADER);
        assert_true(len > 12);
    }
    assert_true(slot_repeats(k[0], k[1]));
    slot_repeat_header(&f.to, before, (size_t)len, repeated);
    assert_memory_equal(repeated, whole, (size_t)len);
    k[1]->n_passed = 1; /* it has an extension that the one before it may not have had */
    assert_false(slot_repeats(k[0], k[1]));
    assert_false(slot_repeats(k[1], k[0]));
    packet_unref(k[0]);
    packet_unref(k[1]);
    router_free(r);
}

static void test_nack_storm_is_bounded(void **state)
{
    (void)state;
    struct router *r = fixture_router(64);
    struct publisher *p = fixture_publisher(r, 1);
    struct subscriber *s = fixture_subscriber(r, 2, 0, 1);
    struct forward f;
    assert_int_equal(fixture_route(r, p, fixture_video(r, 1, 50, true, START_US), &f), 1);
    uint8_t rtcp[64];
    struct writer w;
    writer_init(&w, rtcp, sizeof rtcp);
    rtcp_write_nack(&w, 1, f.slot->ssrc, &f.to.seq, 1);
    size_t all = 0;
    for (int i = 0; i < 10000; i++) {
        struct resend again[4];
        struct subscriber_requests count = {0};
        bool bad;
        all += subscriber_rtcp(s, rtcp, w.len, START_US + i, START_US, again, 4, &count, &bad);
    }
    assert_true(all >= 1);
    assert_true(all <= SUBSCRIBER_RESENDS_BURST + SUBSCRIBER_RESENDS_SECOND / 10);
    router_free(r);
}

static void test_duplicates_go_nowhere(void **state)
{
    (void)state;
    struct router *r = fixture_router(64);
    struct publisher *p = fixture_publisher(r, 1);
    fixture_subscriber(r, 2, 1, 1);
    int64_t late_us = START_US + 5000000; /* long after the cache has forgotten */
    assert_int_equal(fixture_route(r, p, fixture_video(r, 1, 50, true, START_US), NULL), 1);
    assert_int_equal(fixture_route(r, p, fixture_video(r, 1, 51, false, START_US), NULL), 1);
    assert_int_equal(fixture_route(r, p, fixture_video(r, 1, 51, false, START_US), NULL), 0);
    assert_int_equal(fixture_route(r, p, fixture_video(r, 1, 51, false, late_us), NULL), 0);
    assert_int_equal(fixture_route(r, p, fixture_video(r, 1, 53, false, late_us), NULL), 1);
    assert_int_equal(fixture_route(r, p, fixture_video(r, 1, 52, false, late_us), NULL), 1);
    assert_int_equal(fixture_route(r, p, fixture_video(r, 1, 52, false, late_us), NULL), 0);
    assert_int_equal(fixture_route(r, p, fixture_audio(r, 1, 7, 20, START_US), NULL), 1);
    assert_int_equal(fixture_route(r, p, fixture_audio(r, 1, 7, 20, late_us), NULL), 0);
    /* Beyond the window nothing is known of, so nothing is taken. */
    assert_int_equal(
        fixture_route(r, p, fixture_video(r, 1, 53 + TRACK_WINDOW, true, late_us), NULL), 1);
    assert_int_equal(fixture_route(r, p, fixture_video(r, 1, 53, false, late_us), NULL), 0);
    assert_int_equal(fixture_route(r, p, fixture_video(r, 1, 55, false, late_us), NULL), 1);
    assert_int_equal(fixture_route(r, p, fixture_video(r, 1, 55, false, late_us), NULL), 0);
    router_free(r);
}

static void test_retransmission_of_the_publisher(void **state)
{
    (void)state;
    struct router *r = fixture_router(64);
    struct publisher *p = fixture_publisher(r, 1);
    struct subscriber *s = fixture_subscriber(r, 2, 0, 1);
    struct forward a, b, c;
    assert_int_equal(fixture_route(r, p, fixture_video(r, 1, 50, true, START_US), &a), 1);
    assert_int_equal(fixture_route(r, p, fixture_video(r, 1, 52, false, START_US), &b), 1);
    uint8_t out[1500];
    struct publisher_feedback count = {0};
    p->report_us = INT64_MAX; /* only what was lost is of interest */
    pli_keyframe(&p->track[1]->stream[0].pli, START_US);
    assert_true(publisher_poll(p, out, sizeof out, START_US + 50000, &count) > 0);
    assert_int_equal(count.nacked, 1);

    uint8_t payload[40] = {0, 51, 0x90, 0xe0, 0x80, 51, 51, 0x20, 0x11};
    struct rtp_out o = {.pt = RTX_PT, .seq = 900, .ts = 51 * 3000, .ssrc = RTX_SSRC(1)};
    struct packet *k = fixture_parsed(r, &o, payload, sizeof payload, START_US + 60000);
    assert_int_equal(fixture_route(r, p, k, &c), 1);
    assert_ptr_equal(c.slot, subscriber_video(s, 0));
    assert_int_equal((uint16_t)(a.to.seq + 1), c.to.seq); /* it fits into its gap */
    assert_int_equal((uint16_t)(a.to.seq + 2), b.to.seq);
    assert_int_equal(p->track[1]->stream[0].counters.n[COUNTER_RETRANSMITS], 1);
    router_free(r);
}

static void test_padding_closes_up(void **state)
{
    (void)state;
    struct router *r = fixture_router(64);
    struct publisher *p = fixture_publisher(r, 1);
    fixture_subscriber(r, 2, 0, 1);
    struct forward a, b;
    assert_int_equal(fixture_route(r, p, fixture_video(r, 1, 50, true, START_US), &a), 1);
    struct rtp_out o = {.pt = VIDEO_PT, .seq = 51, .ts = 150000, .ssrc = VIDEO_SSRC(1)};
    assert_int_equal(fixture_route(r, p, fixture_parsed(r, &o, NULL, 0, START_US), NULL), 0);
    assert_int_equal(fixture_route(r, p, fixture_video(r, 1, 52, false, START_US), &b), 1);
    assert_int_equal((uint16_t)(a.to.seq + 1), b.to.seq);
    router_free(r);
}

static void test_unknown_streams(void **state)
{
    (void)state;
    struct router *r = fixture_router(64);
    struct publisher *p = fixture_publisher(r, 1);
    fixture_subscriber(r, 2, 1, 1);
    struct track *t;
    size_t n;
    uint8_t payload[20] = {0x90};
    struct rtp_out o = {.pt = 33, .seq = 5, .ssrc = 0xdeadbeef};
    struct packet *k = fixture_parsed(r, &o, payload, sizeof payload, START_US);
    router_packet(r, p, k, &n, &t); /* nobody's payload type */
    assert_null(t);
    assert_int_equal(n, 0);
    packet_unref(k);

    o.pt = AUDIO_PT; /* an SSRC that nobody named, but the payload type is one track's alone */
    k = fixture_parsed(r, &o, payload, sizeof payload, START_US);
    router_packet(r, p, k, &n, &t);
    assert_ptr_equal(t, p->track[0]);
    packet_unref(k);
    router_free(r);
}

static void test_keyframe_is_asked_for_once(void **state)
{
    (void)state;
    struct router *r = fixture_router(64);
    struct publisher *p = fixture_publisher(r, 1);
    for (uint32_t i = 2; i < 12; i++) {
        fixture_subscriber(r, i, 0, 1);
    }
    struct publisher_feedback count = {0};
    uint8_t out[1500];
    p->track[1]->stream[0].stats.ssrc = VIDEO_SSRC(1);
    while (publisher_poll(p, out, sizeof out, START_US + 10, &count) > 0) {
    }
    assert_int_equal(count.plis, 1);
    router_free(r);
}

static void test_replacement_and_leaving(void **state)
{
    (void)state;
    struct router *r = fixture_router(64);
    struct publisher *p = fixture_publisher(r, 1);
    struct subscriber *s = fixture_subscriber(r, 2, 1, 1);
    struct forward a, b;
    assert_int_equal(fixture_route(r, p, fixture_video(r, 1, 50, true, START_US), &a), 1);
    p = fixture_publisher(r, 1); /* the same participant comes again */
    assert_ptr_equal(subscriber_video(s, 0)->track, p->track[1]);
    assert_int_equal(fixture_route(r, p, fixture_video(r, 1, 9000, false, START_US), NULL), 0);
    assert_int_equal(fixture_route(r, p, fixture_video(r, 1, 9001, true, START_US + 40000), &b), 1);
    assert_int_equal((uint16_t)(a.to.seq + 1), b.to.seq);
    assert_true(rtp_ts_diff(b.to.ts, a.to.ts) > 0);

    router_unpublish(r, p, START_US);
    assert_null(subscriber_video(s, 0)->track);
    assert_int_equal(router_room_count(r), 1);
    router_unsubscribe(r, s, START_US);
    assert_int_equal(router_room_count(r), 0);
    assert_int_equal(packet_pool_available(router_pool(r)), 64);
    router_free(r);
}

static void test_republish_keeps_what_stays(void **state)
{
    (void)state;
    struct router *r = fixture_router(64);
    struct sdp_publish sdp = fixture_sdp(1);
    struct publisher *p = fixture_publisher(r, 1);
    struct subscriber *s = fixture_subscriber(r, 2, 1, 1);
    struct track *audio = p->track[0];
    sdp.track[1].sending = false;
    assert_int_equal(router_republish(r, p, &sdp, START_US), OK);
    assert_ptr_equal(p->track[0], audio);
    assert_ptr_equal(subscriber_audio(s, 0)->track, audio);
    assert_null(subscriber_video(s, 0)->track); /* a camera turned off leaves the slot */
    sdp.track[1].sending = true;
    assert_int_equal(router_republish(r, p, &sdp, START_US), OK);
    assert_ptr_equal(subscriber_video(s, 0)->track, p->track[1]);
    sdp.n_tracks = 1;
    assert_int_equal(router_republish(r, p, &sdp, START_US), OK);
    assert_int_equal(p->n_tracks, 1);
    assert_null(subscriber_video(s, 0)->track);
    router_free(r);
}

static void test_a_dry_pool_costs_the_sender(void **state)
{
    (void)state;
    struct router *r = fixture_router(8);
    struct publisher *p = fixture_publisher(r, 1);
    fixture_subscriber(r, 2, 1, 1);
    for (uint16_t i = 0; i < 8; i++) { /* all of them stay in the cache */
        assert_int_equal(fixture_route(r, p, fixture_video(r, 1, 50 + i, i == 0, START_US), NULL),
                         1);
    }
    assert_int_equal(packet_pool_available(router_pool(r)), 0);
    struct packet *k = router_alloc(r);
    assert_non_null(k);
    assert_int_equal(rtx_cache_count(p->track[1]->stream[0].cache), 6);
    packet_unref(k);
    router_free(r);
}

/* One who fills the pool starves nobody: what he hoards goes, not what the others need. */
static void test_a_hoarder_does_not_starve_others(void **state)
{
    (void)state;
    struct router *r = fixture_router(64);
    struct publisher *hoarder = fixture_publisher(r, 1), *modest = fixture_publisher(r, 2);
    fixture_subscriber(r, 9, 3, 3);
    for (uint16_t i = 0; i < 8; i++) {
        fixture_route(r, modest, fixture_video(r, 2, 50 + i, i == 0, START_US), NULL);
    }
    for (uint16_t i = 0; i < 56; i++) {
        fixture_route(r, hoarder, fixture_video(r, 1, 50 + i, i == 0, START_US), NULL);
    }
    assert_int_equal(packet_pool_available(router_pool(r)), 0);
    struct packet *k = router_alloc(r); /* for a voice, which has no cache to give from */
    assert_non_null(k);
    packet_unref(k);
    assert_int_equal(rtx_cache_count(modest->track[1]->stream[0].cache), 8);
    assert_true(rtx_cache_count(hoarder->track[1]->stream[0].cache) < 56);
    router_free(r);
}

/* Who joined while the camera was off gets his keyframe when it is on, not when the last retry of
 * many is due. */
static void test_a_waking_camera_is_asked_for_a_keyframe(void **state)
{
    (void)state;
    struct router *r = fixture_router(16);
    struct publisher *p = fixture_publisher(r, 1);
    fixture_subscriber(r, 2, 0, 1);
    struct publisher_feedback count = {0};
    uint8_t out[1200];
    int64_t now_us = START_US;
    for (; now_us < START_US + 60000000; now_us += 10000) {
        while (publisher_poll(p, out, sizeof out, now_us, &count) > 0) {
        }
    }
    uint32_t before = count.plis;
    now_us = p->track[1]->stream[0].pli.sent_us + PLI_MIN_INTERVAL_US;
    fixture_route(r, p, fixture_video(r, 1, 5, false, now_us), NULL);
    while (publisher_poll(p, out, sizeof out, now_us, &count) > 0) {
    }
    assert_int_equal(count.plis, before + 1);
    router_free(r);
}

static void test_limits(void **state)
{
    (void)state;
    struct router_limits limits = {.max_rooms = 1, .pool_packets = 4, .cache_us = 1000};
    struct router *r = router_new(&limits);
    struct sdp_publish sdp = fixture_sdp(1);
    struct id other = {"01890a5d-ac96-774b-bcce-b302099a8058"};
    struct publisher *p;
    struct subscriber *s;
    assert_int_equal(router_publish(r, &fixture_room, 1, &sdp, 1, START_US, &p), OK);
    assert_int_equal(router_publish(r, &other, 1, &sdp, 1, START_US, &p), ERR_LIMIT);
    assert_int_equal(router_subscribe(r, &fixture_room, 5, 17, 0, 1, START_US, &s), ERR_INVALID);
    assert_int_equal(router_subscribe(r, &fixture_room, 5, 0, 0, 1, START_US, &s), ERR_INVALID);
    assert_null(router_find(r, &fixture_room, 5)); /* a refused one leaves nobody behind */
    router_free(r);
}

static void test_broken_rtcp(void **state)
{
    (void)state;
    struct router *r = fixture_router(64);
    struct publisher *p = fixture_publisher(r, 1);
    struct subscriber *s = fixture_subscriber(r, 2, 1, 1);
    struct subscriber_requests count = {0};
    struct resend again[4];
    bool bad;
    uint8_t rtcp[64];
    struct writer w;
    writer_init(&w, rtcp, sizeof rtcp);
    rtcp_write_pli(&w, 1, subscriber_video(s, 0)->ssrc);
    size_t whole = w.len;
    rtcp_write_pli(&w, 1, subscriber_video(s, 0)->ssrc);
    assert_int_equal(
        subscriber_rtcp(s, rtcp, w.len - 3, START_US, START_US, again, 4, &count, &bad), 0);
    assert_true(bad);
    assert_int_equal(count.plis, 1); /* what came before the break was heard */
    assert_true(publisher_rtcp(p, rtcp, whole - 1, START_US, START_US) < 0);
    router_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_to_another),
        cmocka_unit_test(test_header_of_what_leaves),
        cmocka_unit_test(test_nack_is_answered_from_the_cache),
        cmocka_unit_test(test_a_repeated_header_is_the_same),
        cmocka_unit_test(test_nack_storm_is_bounded),
        cmocka_unit_test(test_duplicates_go_nowhere),
        cmocka_unit_test(test_retransmission_of_the_publisher),
        cmocka_unit_test(test_padding_closes_up),
        cmocka_unit_test(test_unknown_streams),
        cmocka_unit_test(test_keyframe_is_asked_for_once),
        cmocka_unit_test(test_replacement_and_leaving),
        cmocka_unit_test(test_republish_keeps_what_stays),
        cmocka_unit_test(test_a_dry_pool_costs_the_sender),
        cmocka_unit_test(test_a_hoarder_does_not_starve_others),
        cmocka_unit_test(test_a_waking_camera_is_asked_for_a_keyframe),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_broken_rtcp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
