/* What a source sends again, and what it leaves out once it is known. */
#include "bench/client/source.h"

#include "lib/base/err.h"
#include "tests/unit/bench/client/pair.h"

static struct media_track track[2];
static struct source *s;

static int make_opus(void **state)
{
    (void)state;
    return media_opus_make(&pair_opus);
}

static int end(void **state)
{
    (void)state;
    source_free(s);
    s = NULL;
    return 0;
}

static void start(struct source_config c)
{
    pair_tracks(track);
    assert_int_equal(source_new(&s, &c, &pair_opus, &track[0], &track[1], START_US), OK);
}

/* The first `want` video packets, by themselves; returns the first one's number. */
static uint16_t record(uint8_t (*data)[MEDIA_MAX_PACKET], size_t *len, size_t want, int64_t *now)
{
    struct source_packet out[8];
    struct rtp_header h;
    uint16_t first = 0;
    size_t got = 0, n;

    for (; got < want; *now += 1000)
        while ((n = source_poll(s, out, 8, *now)) > 0)
            for (size_t i = 0; i < n; i++) {
                assert_int_equal(rtp_parse(&h, out[i].data, out[i].len), OK);
                if (h.ssrc != VIDEO_SSRC)
                    continue;
                if (got == 0)
                    first = h.seq;
                if (got < want) {
                    memcpy(data[got], out[i].data, out[i].len);
                    len[got] = out[i].len;
                }
                got++;
            }
    return first;
}

static uint8_t sent[700][MEDIA_MAX_PACKET];
static size_t sent_len[700];

static void test_retransmission(void **state)
{
    (void)state;
    struct source_packet out[16];
    struct rtp_header h, was;
    int64_t now = START_US;
    uint16_t transport_before, transport;

    start(pair_source_config());
    uint16_t first = record(sent, sent_len, 100, &now);
    uint16_t want[4] = {first, (uint16_t)(first + 1), (uint16_t)(first + 50),
                        (uint16_t)(first - 5)};
    source_on_nack(s, want, 4, now);
    source_on_nack(s, want, 4, now); /* said twice, sent once */
    assert_true(source_deadline(s) <= now);
    size_t n = source_poll(s, out, 16, now);
    assert_true(n >= 3);
    for (size_t i = 0; i < 3; i++) {
        size_t len = out[i].len, at = (uint16_t)(want[i] - first);
        assert_true(out[i].rtx && out[i].ssrc == RTX_SSRC);
        assert_int_equal(rtp_parse(&h, out[i].data, len), OK);
        assert_int_equal(h.payload_off, out[i].header_len);
        assert_int_equal(h.pt, 97);
        assert_true(rtp_transport_seq(&h, out[i].data, 3, &transport));
        assert_true(i == 0 || transport == (uint16_t)(transport_before + 1));
        transport_before = transport;
        assert_int_equal(rtp_rtx_unwrap(&h, out[i].data, &len, VIDEO_SSRC, 96), OK);
        assert_int_equal(rtp_parse(&was, sent[at], sent_len[at]), OK);
        assert_true(h.seq == want[i] && h.ts == was.ts && h.marker == was.marker);
        assert_int_equal(h.payload_len, was.payload_len);
        assert_memory_equal(out[i].data + 2 + h.payload_off, sent[at] + was.payload_off,
                            was.payload_len);
    }
    assert_true(n == 3 || !out[3].rtx);
    struct source_stats st;
    source_stats(s, &st);
    assert_int_equal(st.rtx_packets, 3);
    source_on_nack(s, want, 1, now + 19000);
    source_stats(s, &st);
    n = source_poll(s, out, 16, now + 19000);
    assert_true(n == 0 || !out[0].rtx);
    source_on_nack(s, want, 1, now + 20000);
    assert_true(source_poll(s, out, 16, now + 20000) >= 1 && out[0].rtx);
}

static void test_what_left_the_cache_is_gone(void **state)
{
    (void)state;
    struct source_packet out[4];
    int64_t now = START_US;

    start(pair_source_config());
    uint16_t first = record(sent, sent_len, 700, &now), all[700];
    for (uint16_t i = 0; i < 700; i++)
        all[i] = (uint16_t)(first + i);
    source_on_nack(s, all, 700, now);
    size_t again = 0;
    while (source_poll(s, out, 1, now) == 1 && out[0].rtx)
        again++;
    assert_true(again <= SOURCE_CACHE && again > SOURCE_CACHE - 20);
}

static void test_without_rtx_it_goes_as_it_was(void **state)
{
    (void)state;
    struct source_packet out[4];
    struct source_config c = pair_source_config();
    struct rtp_header h;
    int64_t now = START_US;

    pair_tracks(track);
    track[1].rtx_ssrc = 0;
    assert_int_equal(source_new(&s, &c, &pair_opus, NULL, &track[1], START_US), OK);
    uint16_t first = record(sent, sent_len, 10, &now);
    source_on_nack(s, &first, 1, now);
    assert_true(source_poll(s, out, 4, now) >= 1 && out[0].rtx);
    assert_int_equal(rtp_parse(&h, out[0].data, out[0].len), OK);
    assert_true(h.seq == first && h.ssrc == VIDEO_SSRC && h.pt == 96);
    assert_int_equal(h.payload_off, out[0].header_len);
}

/* Of the next packet of that SSRC. */
static bool has_mid(uint32_t ssrc, const char *want, int64_t *now)
{
    struct source_packet out[8];
    struct rtp_header h;
    char mid[33];

    for (;; *now += 1000) {
        size_t n = source_poll(s, out, 8, *now);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(rtp_parse(&h, out[i].data, out[i].len), OK);
            if (h.ssrc == ssrc)
                return rtp_ext_text(&h, out[i].data, 4, mid, sizeof mid) && strcmp(mid, want) == 0;
        }
    }
}

/* The number of the last video packet that was due, all of them being sent. */
static uint16_t newest_video(int64_t now)
{
    struct source_packet out[8];
    struct rtp_header h = {0};
    uint16_t seq = 0;
    size_t n;

    for (now += 40000; (n = source_poll(s, out, 8, now)) > 0;)
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(rtp_parse(&h, out[i].data, out[i].len), OK);
            if (h.ssrc == VIDEO_SSRC)
                seq = h.seq;
        }
    return seq;
}

static void test_mid_until_acknowledged(void **state)
{
    (void)state;
    int64_t now = START_US;

    start(pair_source_config());
    for (int i = 0; i < 50; i++)
        assert_true(has_mid(AUDIO_SSRC, "0", &now) && has_mid(VIDEO_SSRC, "1", &now));
    source_acknowledged(s, 12345);
    source_acknowledged(s, VIDEO_SSRC);
    assert_true(has_mid(AUDIO_SSRC, "0", &now));
    assert_false(has_mid(VIDEO_SSRC, "1", &now));
    source_acknowledged(s, AUDIO_SSRC);
    assert_false(has_mid(AUDIO_SSRC, "0", &now));
    uint16_t seq = newest_video(now);
    source_on_nack(s, &seq, 1, now + 1000); /* RTX is acknowledged by itself */
    assert_true(has_mid(RTX_SSRC, "1", &now));
    source_acknowledged(s, RTX_SSRC);
    source_on_nack(s, &seq, 1, now + 50000);
    assert_false(has_mid(RTX_SSRC, "1", &now));
}

static void test_same_seed_same_packets(void **state)
{
    (void)state;
    static uint8_t again[100][MEDIA_MAX_PACKET];
    static size_t again_len[100];
    struct source_config c = pair_source_config();
    int64_t now = START_US;

    start(c);
    record(sent, sent_len, 100, &now);
    end(NULL);
    start(c);
    now = START_US;
    record(again, again_len, 100, &now);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(again_len[i], sent_len[i]);
        assert_memory_equal(again[i], sent[i], sent_len[i]);
    }
    end(NULL);
    c.number = 8;
    start(c);
    now = START_US;
    record(again, again_len, 100, &now);
    assert_memory_not_equal(again[0], sent[0], 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_retransmission, end),
        cmocka_unit_test_teardown(test_what_left_the_cache_is_gone, end),
        cmocka_unit_test_teardown(test_without_rtx_it_goes_as_it_was, end),
        cmocka_unit_test_teardown(test_mid_until_acknowledged, end),
        cmocka_unit_test_teardown(test_same_seed_same_packets, end),
    };
    return cmocka_run_group_tests(tests, make_opus, NULL);
}
