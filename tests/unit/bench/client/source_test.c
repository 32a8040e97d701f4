#include "bench/client/source.h"

#include <math.h>

#include "lib/base/err.h"
#include "lib/proto/vp8.h"
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

/* What is told of all packets, in order. */
struct seen {
    uint64_t audio, video, frames, keyframes, video_bytes, in_frame;
    uint16_t transport, audio_seq, video_seq, picture;
    uint32_t audio_ts, video_ts, counter;
    size_t smallest, largest; /* payloads of a frame */
    uint64_t frame_bytes;
    double sum, sum_squares, key_bytes; /* of frames' sizes; the last keyframe's */
    bool key, started;
    int64_t due_us;
};

static void see_audio(struct seen *e, const struct rtp_header *h, const struct source_packet *p)
{
    uint8_t level;
    bool voice;

    assert_true(rtp_audio_level(h, p->data, 1, &level, &voice));
    const struct media_opus_packet *want = &pair_opus.packet[e->audio % MEDIA_OPUS_PACKETS];
    assert_int_equal(h->payload_len, want->len);
    assert_memory_equal(p->data + h->payload_off, want->data, want->len);
    assert_true(level == want->level && voice == want->voice && h->pt == 111);
    if (e->audio > 0) {
        assert_int_equal(h->seq, (uint16_t)(e->audio_seq + 1));
        assert_int_equal(h->ts, e->audio_ts + 960);
    }
    assert_int_equal(p->due_us, START_US + (int64_t)e->audio * 20000);
    e->audio_seq = h->seq;
    e->audio_ts = h->ts;
    e->audio++;
}

static void frame_begins(struct seen *e, const struct rtp_header *h, const struct vp8_descriptor *d)
{
    assert_int_equal(e->in_frame, 0);
    if (e->frames > 0) {
        assert_int_equal(d->picture_id, (e->picture + 1) & 0x7fff);
        assert_int_equal(h->ts, e->video_ts + 3000);
    }
    e->picture = d->picture_id;
    e->video_ts = h->ts;
    e->key = d->keyframe;
    e->keyframes += d->keyframe;
    e->smallest = SIZE_MAX;
    e->largest = 0;
    e->frame_bytes = 0;
    if (d->keyframe)
        assert_true(d->width == 640 && d->height == 360);
}

static void frame_ends(struct seen *e)
{
    assert_true(e->largest - e->smallest <= 1);
    e->in_frame = 0;
    e->frames++;
    if (e->key) {
        e->key_bytes = (double)e->frame_bytes;
        return;
    }
    e->sum += (double)e->frame_bytes;
    e->sum_squares += (double)e->frame_bytes * (double)e->frame_bytes;
}

static void see_video(struct seen *e, const struct rtp_header *h, const struct source_packet *p)
{
    const uint8_t *payload = p->data + h->payload_off;
    struct vp8_descriptor d;
    struct media_stamp stamp;

    assert_int_equal(vp8_parse(&d, payload, h->payload_len), OK);
    assert_int_equal(d.picture_bits, 15);
    assert_int_equal(d.frame_start, e->in_frame == 0);
    if (d.frame_start)
        frame_begins(e, h, &d);
    assert_true(h->ts == e->video_ts && d.picture_id == e->picture && h->pt == 96);
    assert_int_equal(media_stamp_read(&stamp, payload, h->payload_len), OK);
    assert_true(stamp.source == 7 && stamp.counter == e->video && stamp.due_us == p->due_us);
    assert_int_equal(p->due_us, START_US + (int64_t)e->frames * 1000000 / 30);
    if (e->video > 0)
        assert_int_equal(h->seq, (uint16_t)(e->video_seq + 1));
    e->video_seq = h->seq;
    e->video++;
    e->in_frame++;
    e->video_bytes += h->payload_len;
    e->frame_bytes += h->payload_len;
    if (h->payload_len < e->smallest)
        e->smallest = h->payload_len;
    if (h->payload_len > e->largest)
        e->largest = h->payload_len;
    if (h->marker)
        frame_ends(e);
}

static void see(struct seen *e, const struct source_packet *p, int64_t now_us)
{
    struct rtp_header h;
    uint16_t transport;
    size_t len;

    assert_int_equal(rtp_parse(&h, p->data, p->len), OK);
    assert_int_equal(h.payload_off, p->header_len);
    assert_int_equal(h.ssrc, p->ssrc);
    assert_true(p->len <= MEDIA_MAX_PACKET && h.payload_len <= 1100 && !p->rtx);
    assert_true(rtp_transport_seq(&h, p->data, 3, &transport));
    if (e->started)
        assert_int_equal(transport, (uint16_t)(e->transport + 1));
    e->transport = transport;
    const uint8_t *at = rtp_ext_find(&h, p->data, 2, &len);
    assert_non_null(at);
    assert_int_equal((uint32_t)at[0] << 16 | at[1] << 8 | at[2], rtp_abs_send_time(now_us));
    assert_true(!e->started || p->due_us >= e->due_us);
    e->started = true;
    e->due_us = p->due_us;
    if (h.ssrc == AUDIO_SSRC)
        see_audio(e, &h, p);
    else
        see_video(e, &h, p);
}

/* Everything until a time, polled when it is due. */
static void see_until(struct seen *e, int64_t until_us)
{
    struct source_packet out[7];
    uint8_t rtcp[200];
    int64_t now;
    size_t n;

    while ((now = source_deadline(s)) < until_us) {
        while ((n = source_poll(s, out, 7, now)) > 0)
            for (size_t i = 0; i < n; i++)
                see(e, &out[i], now);
        source_report(s, rtcp, sizeof rtcp, now);
        assert_true(source_deadline(s) > now);
    }
}

static void test_rate_and_shape(void **state)
{
    (void)state;
    struct seen e = {0};
    struct source_stats st;

    start(pair_source_config());
    see_until(&e, START_US + 10000000);
    assert_int_equal(e.audio, 500);
    assert_int_equal(e.frames, 300);
    assert_int_equal(e.keyframes, 1);
    double rate = (double)e.video_bytes * 8 / 10;
    assert_true(rate > 1500000 * 0.98 && rate < 1500000 * 1.03);
    assert_true(e.video >= 300 * 5.5 && e.video <= 300 * 6.8);
    double mean = e.sum / 299, deviation = sqrt(e.sum_squares / 299 - mean * mean);
    assert_true(deviation > mean * 0.05 && deviation < mean * 0.3);
    assert_true(e.key_bytes > 2.8 * 6250 && e.key_bytes < 5.3 * 6250);
    source_stats(s, &st);
    assert_true(st.audio_packets == 500 && st.video_packets == e.video && st.rtx_packets == 0);
    assert_true(st.frames == 300 && st.keyframes == 1 && st.late_max_us == 0);
    source_stats_reset(s);
    source_stats(s, &st);
    assert_int_equal(st.frames + st.bytes, 0);
}

/* Two hours: numbers and picture ids wrap many times, no time is lost, the rate is what was asked.
 */
static void test_no_drift(void **state)
{
    (void)state;
    struct seen e = {0};

    start(pair_source_config());
    see_until(&e, START_US + INT64_C(7200) * 1000000);
    assert_int_equal(e.audio, 7200 * 50);
    assert_int_equal(e.frames, 7200 * 30);
    assert_true(e.video > 10 * 65536);
    double rate = (double)e.video_bytes * 8 / 7200;
    assert_true(rate > 1500000 * 0.995 && rate < 1500000 * 1.01);
}

static void test_rates_that_may_be_asked(void **state)
{
    (void)state;
    const struct {
        uint32_t kbps, fps, packet, packets_a_frame;
    } at[] = {{100, 15, 1100, 1}, {300, 30, 1100, 2}, {4000, 30, 1200, 15}, {8000, 60, 1000, 17}};

    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
        struct source_config c = pair_source_config();
        struct source_packet out[SOURCE_BATCH];
        uint64_t bytes = 0;
        size_t n;
        c.video_kbps = at[i].kbps;
        c.fps = at[i].fps;
        c.packet_bytes = at[i].packet;
        c.audio = false;
        start(c);
        for (int64_t now = START_US; now < START_US + 20000000; now += 1000)
            while ((n = source_poll(s, out, 99, now)) > 0)
                for (size_t k = 0; k < n; k++)
                    bytes += out[k].len - out[k].header_len;
        double rate = (double)bytes * 8 / 20000, want = at[i].kbps;
        assert_true(rate > want * 0.97 && rate < want * 1.05);
        struct source_stats st;
        source_stats(s, &st);
        assert_int_equal(st.audio_packets, 0);
        assert_true(st.video_packets / st.frames + 1 >= at[i].packets_a_frame &&
                    st.video_packets / st.frames <= at[i].packets_a_frame + 1);
        end(NULL);
    }
}

static void test_nonsense_is_refused(void **state)
{
    (void)state;
    struct source_config c = pair_source_config();

    pair_tracks(track);
    c.fps = 0;
    assert_int_equal(source_new(&s, &c, &pair_opus, NULL, &track[1], 0), ERR_INVALID);
    c = pair_source_config();
    c.packet_bytes = 20;
    assert_int_equal(source_new(&s, &c, &pair_opus, NULL, &track[1], 0), ERR_INVALID);
    c.packet_bytes = MEDIA_MAX_PACKET;
    assert_int_equal(source_new(&s, &c, &pair_opus, NULL, &track[1], 0), ERR_INVALID);
    c = pair_source_config();
    c.video_kbps = UINT32_MAX; /* a keyframe that the cache can't hold */
    assert_int_equal(source_new(&s, &c, &pair_opus, NULL, &track[1], 0), ERR_INVALID);
    c = pair_source_config();
    assert_int_equal(source_new(&s, &c, NULL, &track[0], NULL, 0), ERR_INVALID);
    c.audio = false; /* nothing to send is no mistake */
    assert_int_equal(source_new(&s, &c, NULL, &track[0], NULL, 0), OK);
    struct source_packet out[4];
    assert_int_equal(source_poll(s, out, 4, 10000000), 0);
}

/* The time of the next keyframe from now on, polled a millisecond at a time. */
static int64_t next_keyframe(int64_t *now, int64_t until)
{
    struct source_packet out[8];
    struct rtp_header h;
    struct vp8_descriptor d;
    int64_t found = 0;
    size_t n;

    for (; *now < until && found == 0; *now += 1000)
        while ((n = source_poll(s, out, 8, *now)) > 0)
            for (size_t i = 0; i < n; i++) {
                assert_int_equal(rtp_parse(&h, out[i].data, out[i].len), OK);
                if (h.ssrc != VIDEO_SSRC)
                    continue;
                assert_int_equal(vp8_parse(&d, out[i].data + h.payload_off, h.payload_len), OK);
                if (d.keyframe && found == 0)
                    found = out[i].due_us;
            }
    return found;
}

static void test_keyframes_when_asked(void **state)
{
    (void)state;
    int64_t now = START_US;

    start(pair_source_config());
    assert_int_equal(next_keyframe(&now, now + 100000), START_US);
    assert_int_equal(next_keyframe(&now, START_US + 2000000), 0);
    source_on_pli(s, now);
    int64_t first = next_keyframe(&now, now + 1000000);
    assert_true(first - START_US >= 2000000 && first - START_US <= 2034000);
    for (int i = 0; i < 50; i++) /* a storm of them makes one, and not before 300 ms */
        source_on_pli(s, now);
    int64_t second = next_keyframe(&now, now + 1000000);
    assert_true(second - first >= 300000 && second - first <= 334000);
    assert_int_equal(next_keyframe(&now, now + 2000000), 0);
}

static void test_keyframes_by_interval(void **state)
{
    (void)state;
    struct source_config c = pair_source_config();
    struct seen e = {0};

    c.keyframe_interval_ms = 1000;
    start(c);
    see_until(&e, START_US + 10000000);
    assert_int_equal(e.keyframes, 10);
    assert_int_equal(e.frames, 300);
    double rate = (double)e.video_bytes * 8 / 10; /* keyframes are paid back by the others */
    assert_true(rate > 1500000 * 0.97 && rate < 1500000 * 1.08);
}

/* A generator that sleeps a second sends all it owes, stamped with when it was due. */
static void test_lateness(void **state)
{
    (void)state;
    struct seen e = {0};
    struct source_packet out[SOURCE_BATCH];
    struct source_stats st;
    int64_t late = START_US + 1000000;
    size_t n;

    start(pair_source_config());
    while ((n = source_poll(s, out, SOURCE_BATCH, late)) > 0)
        for (size_t i = 0; i < n; i++)
            see(&e, &out[i], late);
    assert_true(e.audio == 51 && e.frames == 31);
    source_stats(s, &st);
    assert_int_equal(st.late_max_us, 1000000);
}

static void test_sender_reports(void **state)
{
    (void)state;
    uint8_t data[300];
    struct seen e = {0};
    size_t reports = 0, len;
    struct rtcp_iter it;
    struct rtcp_packet p;
    struct rtcp_sr sr;
    char cname[64];
    uint32_t ssrc;

    start(pair_source_config());
    for (int64_t now = START_US; now < START_US + 10000000; now += 1000) {
        struct source_packet out[8];
        size_t n;
        while ((n = source_poll(s, out, 8, now)) > 0)
            for (size_t i = 0; i < n; i++)
                see(&e, &out[i], now);
        if ((len = source_report(s, data, sizeof data, now)) == 0)
            continue;
        reports++;
        rtcp_iter_init(&it, data, len);
        size_t parts = 0;
        for (; rtcp_next(&it, &p) == 1; parts++) {
            if (p.type == RTCP_SDES) {
                assert_int_equal(rtcp_parse_cname(&ssrc, cname, sizeof cname, &p), OK);
                assert_string_equal(cname, "sotto-load-7");
                continue;
            }
            assert_int_equal(rtcp_parse_sr(&sr, &p), OK);
            bool audio = sr.ssrc == AUDIO_SSRC;
            assert_int_equal(sr.info.packets, audio ? e.audio : e.video);
            assert_int_equal(sr.info.ntp, rtcp_ntp_from_wall(now));
            /* The clock of the stream reads now what it would on a packet of now. */
            int32_t ahead = rtp_ts_diff(sr.info.rtp_ts, audio ? e.audio_ts : e.video_ts);
            assert_true(ahead >= -1 && ahead <= (audio ? 960 : 3001));
            if (!audio)
                assert_int_equal(sr.info.octets, e.video_bytes);
        }
        assert_int_equal(parts, 4);
        assert_int_equal(source_report(s, data, sizeof data, now), 0);
    }
    assert_true(reports == 9 || reports == 10);
}

/* A new source for the same tracks goes on in every numbering, also over a time without video. */
static void test_goes_on_after_another(void **state)
{
    (void)state;
    struct source *before;
    struct seen e = {0}, was;
    struct source_config silent = pair_source_config(), c = silent;
    struct source_packet out[8];
    struct rtp_header h;
    struct vp8_descriptor d;
    struct media_stamp stamp;
    uint16_t transport;

    start(silent);
    see_until(&e, START_US + 2000000);
    was = e;
    source_on_nack(s, &was.video_seq, 1, START_US + 1999999);
    assert_int_equal(source_poll(s, out, 1, START_US + 1999999), 1);
    assert_int_equal(rtp_parse(&h, out[0].data, out[0].len), OK);
    assert_true(h.ssrc == RTX_SSRC);
    uint16_t rtx_seq = h.seq;
    before = s;
    silent.video_kbps = 0;
    silent.audio = false;
    assert_int_equal(source_new(&s, &silent, &pair_opus, &track[0], &track[1], START_US + 2000000),
                     OK);
    source_continue(s, before);
    struct source_stats then, now;
    source_stats(before, &then);
    source_stats(s, &now);
    assert_true(then.video_packets > 0);
    assert_memory_equal(&then, &now, sizeof then); /* silence doesn't undo what was sent */
    source_free(before);
    before = s;
    assert_int_equal(source_new(&s, &c, &pair_opus, &track[0], &track[1], START_US + 2500000), OK);
    source_continue(s, before);
    source_free(before);
    assert_int_equal(source_poll(s, out, 1, START_US + 2500000), 1);
    assert_int_equal(rtp_parse(&h, out[0].data, out[0].len), OK);
    assert_int_equal(vp8_parse(&d, out[0].data + h.payload_off, h.payload_len), OK);
    assert_true(d.keyframe && h.seq == (uint16_t)(was.video_seq + 1));
    assert_int_equal(d.picture_id, (was.picture + 1) & 0x7fff);
    assert_int_equal(h.ts, was.video_ts + 3000 + 45000); /* half a second later */
    assert_true(rtp_transport_seq(&h, out[0].data, 3, &transport));
    assert_int_equal(transport, (uint16_t)(was.transport + 2)); /* one was the RTX packet's */
    assert_int_equal(media_stamp_read(&stamp, out[0].data + h.payload_off, h.payload_len), OK);
    assert_int_equal(stamp.counter, was.video);
    source_on_nack(s, &h.seq, 1, START_US + 2500000);
    assert_int_equal(source_poll(s, out, 1, START_US + 2500000), 1);
    assert_int_equal(rtp_parse(&h, out[0].data, out[0].len), OK);
    assert_true(h.ssrc == RTX_SSRC && h.seq == (uint16_t)(rtx_seq + 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_rate_and_shape, end),
        cmocka_unit_test_teardown(test_no_drift, end),
        cmocka_unit_test_teardown(test_rates_that_may_be_asked, end),
        cmocka_unit_test_teardown(test_nonsense_is_refused, end),
        cmocka_unit_test_teardown(test_keyframes_when_asked, end),
        cmocka_unit_test_teardown(test_keyframes_by_interval, end),
        cmocka_unit_test_teardown(test_lateness, end),
        cmocka_unit_test_teardown(test_sender_reports, end),
        cmocka_unit_test_teardown(test_goes_on_after_another, end),
    };
    return cmocka_run_group_tests(tests, make_opus, NULL);
}
