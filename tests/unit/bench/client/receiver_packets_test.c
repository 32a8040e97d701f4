/* The receiver with packets made one by one. */
#include "bench/client/receiver.h"

#include "tests/unit/bench/client/pair.h"

static struct receiver *r;
static struct receiver_stats st;
static struct media_track track[4];
static int64_t now;

static int end(void **state)
{
    (void)state;
    receiver_free(r);
    r = NULL;
    return 0;
}

static int make_opus(void **state)
{
    (void)state;
    return media_opus_make(&pair_opus);
}

static void start(struct receiver_config c, size_t tracks)
{
    c.ssrc = 0x99;
    now = START_US;
    pair_tracks(track);
    pair_tracks(track + 2);
    assert_int_equal(receiver_new(&r, &c, &pair_opus, track, tracks), 0);
}

/* What a frame's packet looks like when decrypted. */
struct made {
    uint32_t ssrc;
    uint8_t pt;
    uint16_t seq, picture;
    bool first, last, key;
    int64_t due_us;
    int osn; /* of RTX; -1: it is none */
};

static void give(struct made m)
{
    uint8_t packet[300] = {0};
    struct rtp_out o = {.marker = m.last,
                        .pt = m.pt,
                        .seq = m.seq,
                        .ts = m.picture * 3000U,
                        .ssrc = m.ssrc,
                        .rtx = m.osn >= 0,
                        .osn = (uint16_t)m.osn};
    int off = rtp_out_write(&o, packet, sizeof packet);
    uint8_t *p = packet + off;
    size_t len = 200, header = m.first ? (m.key ? 14 : 7) : 4;

    assert_true(off > 0);
    p[0] = m.first ? 0x90 : 0x80;
    p[1] = 0x80;
    p[2] = (uint8_t)(0x80 | m.picture >> 8);
    p[3] = (uint8_t)m.picture;
    p[4] = m.key ? 0x10 : 0x11;
    media_stamp_write(p, header, len, &(struct media_stamp){1, m.seq, m.due_us});
    len += (size_t)off;
    if (receiver_input(r, packet, len + TAG, now))
        receiver_sample(r, packet, len, now);
}

static void video(uint16_t seq)
{
    give((struct made){VIDEO_SSRC, 96, seq, (uint16_t)(seq & 0x7fff), true, true, true, now, -1});
}

/* Not a keyframe: one that is seen makes older gaps matter no more. */
static void inter(uint16_t seq)
{
    give((struct made){VIDEO_SSRC, 96, seq, (uint16_t)(seq & 0x7fff), true, true, false, now, -1});
}

/* Lets time pass and gives away what would be sent; how many packets that were. */
static size_t pass(int64_t us)
{
    uint8_t out[1200];
    size_t n = 0;

    for (int64_t until = now + us; now < until; now += 5000)
        while (receiver_poll(r, out, sizeof out, now) > 0)
            n++;
    receiver_stats(r, &st);
    return n;
}

static void test_duplicates(void **state)
{
    (void)state;
    start((struct receiver_config){.nack = true}, 2);
    for (uint16_t i = 0; i < 10; i++) {
        video(i);
        video(i);
    }
    pass(3000000);
    assert_int_equal(st.duplicates, 10);
    assert_int_equal(st.media_packets, 20);
    assert_true(st.expected == 10 && st.lost == 0 && st.late == 0);
}

static void test_too_late_stays_lost(void **state)
{
    (void)state;
    start((struct receiver_config){.nack = false}, 2);
    video(1);
    video(3);
    pass(500000);
    video(4);
    assert_int_equal(st.expected, 0); /* nothing is settled yet */
    pass(2500000);
    assert_true(st.expected == 4 && st.lost == 1);
    video(2);
    pass(2000000);
    assert_true(st.expected == 4 && st.lost == 1 && st.late == 1 && st.duplicates == 0);
}

/* Just in time: the same 0.9 s later is not lost. */
static void test_late_but_in_time(void **state)
{
    (void)state;
    start((struct receiver_config){.nack = false}, 2);
    video(1);
    video(3);
    pass(130000);
    video(4);
    pass(770000);
    video(5);
    video(2);
    pass(3000000);
    assert_true(st.expected == 5 && st.lost == 0 && st.late == 1);
}

/* The kernel's time of arrival lies before the time of the last look. */
static void test_arrivals_before_the_last_poll(void **state)
{
    (void)state;
    start((struct receiver_config){.nack = true}, 2);
    video(1);
    for (uint16_t i = 3; i < 300; i += 3) {
        pass(20000);
        now -= 4000;
        inter(i);
        inter((uint16_t)(i + 1));
        now += 4000;
        pass(20000);
        assert_int_equal(st.nacks, i / 3);
        now -= 15000;
        inter((uint16_t)(i - 1));
        now += 15000;
    }
    pass(3000000);
    assert_true(st.expected == 298 && st.lost == 0 && st.late == 99 && st.nacks == 99);
}

static void test_jumps(void **state)
{
    (void)state;
    start((struct receiver_config){.nack = true}, 2);
    video(60000);
    video(60001);
    video((uint16_t)(60001 + 5000)); /* more than the window, over the end of 16 bits */
    video((uint16_t)(60001 + 5001));
    pass(3000000);
    assert_true(st.expected == 5003 && st.lost == 4999 && st.duplicates == 0);
    assert_true(st.plis > 0); /* nobody asks for 4999 packets */
    video((uint16_t)(60001 + 5001 + 2047));
    video((uint16_t)(60001 + 5001 + 2047 + 2048));
    pass(3000000);
    assert_true(st.expected == 5003 + 2047 + 2048 && st.lost == 4999 + 2046 + 2047);
}

/* What is whole by 400 ms after it was due, and what isn't. */
static void test_frames(void **state)
{
    (void)state;
    struct made m = {VIDEO_SSRC, 96, 100, 0x7ffe, true, false, true, 0, -1};

    start((struct receiver_config){.decrypt_all = true}, 2);
    for (int frame = 0; frame < 10; frame++, m.picture = (m.picture + 1) & 0x7fff) {
        m.due_us = now - 1000;
        for (int i = 0; i < 4; i++, m.seq++) {
            m.first = i == 0;
            m.last = i == 3;
            if (frame == 4) /* nothing of it comes */
                continue;
            if ((frame == 1 && i == 0) || (frame == 2 && i == 2) || (frame == 3 && i == 3) ||
                (frame == 6 && i == 1))
                continue;
            give(m);
        }
        pass(30000);
    }
    receiver_stats(r, &st);
    assert_int_equal(st.frames_broken, 0); /* none is 400 ms old */
    m.first = m.last = false;
    struct made repaired = m;
    repaired.seq = 125;
    repaired.picture = 4; /* the 7th of 0x7ffe, 0x7fff, 0, 1, … */
    repaired.due_us = now - 120000 - 1000;
    give(repaired);
    pass(1500000);
    assert_int_equal(st.frames_broken, 4);
    assert_int_equal(st.frames, 6);
    assert_int_equal(st.sample_bad_payload, 0);
}

static void test_frames_that_come_too_late(void **state)
{
    (void)state;
    struct made m = {VIDEO_SSRC, 96, 1, 1, true, true, true, 0, -1};

    start((struct receiver_config){.decrypt_all = true}, 2);
    m.due_us = now - 399000;
    give(m);
    m.seq = m.picture = 2;
    m.due_us = now - 401000;
    give(m);
    m.seq = 3;
    m.picture = 1000; /* somebody else's numbering: what is between was never made */
    m.due_us = now;
    give(m);
    pass(1500000);
    assert_true(st.frames == 2 && st.frames_broken == 1);
}

/* Two of each kind, of which SDP told no SSRC. */
static void start_untold(void)
{
    struct receiver_config c = {.ssrc = 0x99, .nack = true};

    now = START_US;
    pair_tracks(track);
    pair_tracks(track + 2);
    for (int i = 0; i < 4; i++)
        track[i].ssrc = track[i].rtx_ssrc = 0;
    assert_int_equal(receiver_new(&r, &c, &pair_opus, track, 4), 0);
}

/* RTX whose SSRC nobody told belongs to the stream that misses what it repeats. */
static void test_rtx_finds_its_stream(void **state)
{
    (void)state;
    struct made a = {1000, 96, 100, 1, true, true, true, 0, -1};
    struct made b = {2000, 96, 500, 1, true, true, true, 0, -1};
    struct made rtx = {3000, 97, 9, 2, true, true, true, 0, 501};

    start_untold();
    give(a);
    give(b);
    give(rtx); /* nobody misses it: nobody's */
    b.seq = 502;
    give(b);
    a.seq = 101;
    give(a);
    assert_true(pass(50000) > 0);
    assert_int_equal(st.repaired, 0);
    give(rtx);
    rtx.seq++;
    give(rtx);
    pass(3000000);
    assert_true(st.repaired == 1 && st.duplicates == 1 && st.lost == 0 && st.expected == 5);
    /* The other stream's has an SSRC of its own. */
    a.seq = 103;
    give(a);
    pass(50000);
    give((struct made){4000, 97, 1, 2, true, true, true, 0, 102});
    pass(3000000);
    assert_true(st.repaired == 2 && st.lost == 0 && st.expected == 7);
}

/* Two streams miss the same number: it is nobody's until only one of them, without RTX yet, does.
 */
static void test_rtx_that_could_be_of_two(void **state)
{
    (void)state;
    struct made a = {1000, 96, 100, 1, true, true, true, 0, -1}, b = a;
    struct made rtx = {3000, 97, 9, 2, true, true, true, 0, 101};

    start_untold();
    b.ssrc = 2000;
    give(a);
    give(b);
    a.seq = b.seq = 102;
    give(a);
    give(b);
    pass(50000);
    give(rtx);
    receiver_stats(r, &st);
    assert_int_equal(st.repaired, 0);
    b.seq = 101;
    give(b);
    rtx.seq++;
    give(rtx);
    receiver_stats(r, &st);
    assert_int_equal(st.repaired, 1);
    a.seq = b.seq = 104;
    give(a);
    give(b);
    pass(50000);
    rtx.ssrc = 4000;
    rtx.osn = 103;
    give(rtx);
    receiver_stats(r, &st);
    assert_int_equal(st.repaired, 2);
    rtx.ssrc = 3000;
    rtx.seq++;
    give(rtx);
    pass(3000000);
    assert_true(st.repaired == 3 && st.lost == 0 && st.expected == 10);
}

/* NACK and PLI stand behind a report about the stream they are of (RFC 3550 section 6.1), with
 * SDES: Janus 1.1.2 drops a PLI without. */
static void test_feedback_is_compound(void **state)
{
    (void)state;
    uint8_t out[1200];
    size_t len, nacks = 0, plis = 0;
    struct made m = {VIDEO_SSRC, 96, 1, 1, true, true, false, 0, -1};

    start((struct receiver_config){.nack = true}, 2);
    give((struct made){AUDIO_SSRC, 111, 1, 0, true, true, false, 0, -1});
    give(m);
    m.seq = 3;
    give(m);
    for (int64_t until = now + 400000; now < until; now += 5000)
        while ((len = receiver_poll(r, out, sizeof out, now)) > 0) {
            struct rtcp_iter it;
            struct rtcp_packet p;
            struct rtcp_feedback fb;
            struct rtcp_rr rr;
            uint16_t seqs[8];
            rtcp_iter_init(&it, out, len);
            assert_int_equal(rtcp_next(&it, &p), 1);
            assert_int_equal(rtcp_parse_rr(&rr, &p), 0);
            assert_true(rr.ssrc == 0x99 && rr.n_reports == 1);
            assert_int_equal(rr.report[0].ssrc, VIDEO_SSRC);
            assert_int_equal(rtcp_next(&it, &p), 1);
            assert_int_equal(p.type, RTCP_SDES);
            while (rtcp_next(&it, &p) == 1) {
                bool pli = rtcp_parse_pli(&fb, &p) == 0;
                plis += pli;
                nacks += !pli && rtcp_parse_nack(&fb, seqs, 8, &p) == 1 && seqs[0] == 2;
                assert_true(fb.media_ssrc == VIDEO_SSRC && fb.sender_ssrc == 0x99);
            }
        }
    assert_true(nacks >= 2 && plis >= 1);
}

static void test_bye_while_a_keyframe_is_missing(void **state)
{
    (void)state;
    struct made m = {VIDEO_SSRC, 96, 1, 1, true, true, false, 0, -1};
    uint8_t bye[64];
    struct writer w;
    uint32_t ssrc = VIDEO_SSRC;

    start((struct receiver_config){.nack = true}, 2);
    give(m);
    pass(1000000);
    uint64_t plis = st.plis;
    assert_true(plis >= 2 && plis <= 3);
    writer_init(&w, bye, sizeof bye);
    rtcp_write_bye(&w, &ssrc, 1);
    receiver_rtcp(r, bye, w.len, now);
    pass(2000000);
    assert_int_equal(st.plis, plis);
    m.seq = m.picture = 2;
    give(m); /* it goes on all the same */
    pass(1000000);
    assert_true(st.plis > plis);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_duplicates, end),
        cmocka_unit_test_teardown(test_too_late_stays_lost, end),
        cmocka_unit_test_teardown(test_late_but_in_time, end),
        cmocka_unit_test_teardown(test_arrivals_before_the_last_poll, end),
        cmocka_unit_test_teardown(test_jumps, end),
        cmocka_unit_test_teardown(test_frames, end),
        cmocka_unit_test_teardown(test_frames_that_come_too_late, end),
        cmocka_unit_test_teardown(test_rtx_finds_its_stream, end),
        cmocka_unit_test_teardown(test_rtx_that_could_be_of_two, end),
        cmocka_unit_test_teardown(test_feedback_is_compound, end),
        cmocka_unit_test_teardown(test_bye_while_a_keyframe_is_missing, end),
    };
    return cmocka_run_group_tests(tests, make_opus, NULL);
}
