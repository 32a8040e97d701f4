#include "bench/client/media.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <opus.h>

#include "lib/base/err.h"
#include "lib/proto/opus.h"

static struct media_opus opus;

static int make_opus(void **state)
{
    (void)state;
    return media_opus_make(&opus);
}

/* A payload of some packet of a frame: descriptor with picture id, then the frame's header. Returns
 * where the stamp goes. */
static size_t head(uint8_t *p, bool first, bool key)
{
    p[0] = first ? 0x90 : 0x80;
    p[1] = 0x80;
    p[2] = 0x81;
    p[3] = 0x23;
    if (!first)
        return 4;
    p[4] = key ? 0x10 : 0x11;
    return key ? 14 : 7;
}

static void test_stamp_comes_back(void **state)
{
    (void)state;
    uint8_t p[1300];
    struct media_stamp in = {0xdeadbeef, 0xfffffffe, INT64_C(0x123456789abcdef)}, out;

    for (int kind = 0; kind < 3; kind++) {
        size_t off = head(p, kind > 0, kind == 2);
        for (size_t len = off + MEDIA_STAMP_LEN; len <= sizeof p; len += 7) {
            memset(&out, 0, sizeof out);
            media_stamp_write(p, off, len, &in);
            assert_int_equal(media_stamp_read(&out, p, len), OK);
            assert_int_equal(out.source, in.source);
            assert_int_equal(out.counter, in.counter);
            assert_int_equal(out.due_us, in.due_us);
        }
        media_stamp_write(p, off, sizeof p, &in);
        for (size_t len = 0; len < off + MEDIA_STAMP_LEN; len++)
            assert_true(media_stamp_read(&out, p, len) == ERR_TRUNCATED);
        for (size_t len = off + MEDIA_STAMP_LEN; len < sizeof p; len++)
            assert_int_equal(media_stamp_read(&out, p, len), ERR_INVALID);
    }
}

static void test_every_flipped_bit_shows(void **state)
{
    (void)state;
    uint8_t p[1100];
    struct media_stamp in = {1, 2, 3}, out = {9, 9, 9};
    size_t off = head(p, true, true);

    media_stamp_write(p, off, sizeof p, &in);
    for (size_t bit = off * 8; bit < sizeof p * 8; bit++) {
        p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(media_stamp_read(&out, p, sizeof p), ERR_INVALID);
        p[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(out.source, 9);
    /* The highest bits of two words that follow each other, and words that changed places. */
    for (size_t at = off + MEDIA_STAMP_LEN; at + 16 <= sizeof p; at += 8) {
        uint8_t was[16];
        memcpy(was, p + at, sizeof was);
        p[at + 7] ^= 0x80;
        p[at + 15] ^= 0x80;
        assert_int_equal(media_stamp_read(&out, p, sizeof p), ERR_INVALID);
        memcpy(p + at, was + 8, 8);
        memcpy(p + at + 8, was, 8);
        assert_int_equal(media_stamp_read(&out, p, sizeof p), ERR_INVALID);
        memcpy(p + at, was, sizeof was);
    }
}

/* A server numbers pictures anew: the stamp is none of its business. */
static void test_descriptor_may_change(void **state)
{
    (void)state;
    uint8_t p[500];
    struct media_stamp in = {1, 2, 3}, out;

    media_stamp_write(p, head(p, true, false), sizeof p, &in);
    p[2] = 0xff;
    p[3] = 0xee;
    assert_int_equal(media_stamp_read(&out, p, sizeof p), OK);
}

static void test_payloads_differ(void **state)
{
    (void)state;
    uint8_t a[300], b[300];

    media_stamp_write(a, head(a, false, false), sizeof a, &(struct media_stamp){1, 1, 5});
    media_stamp_write(b, head(b, false, false), sizeof b, &(struct media_stamp){1, 2, 5});
    assert_memory_not_equal(a + 40, b + 40, sizeof a - 40);
}

static void test_opus_is_opus(void **state)
{
    (void)state;
    size_t bytes = 0, voice = 0;
    int error;
    OpusDecoder *d = opus_decoder_create(48000, 1, &error);

    assert_non_null(d);
    for (int i = 0; i < MEDIA_OPUS_PACKETS; i++) {
        const struct media_opus_packet *p = &opus.packet[i];
        opus_int16 pcm[960];
        assert_int_equal(opus_packet_samples(p->data, p->len), 960);
        assert_int_equal(opus_decode(d, p->data, p->len, pcm, 960, 0), 960);
        double sum = 0;
        for (int k = 0; k < 960; k++)
            sum += (double)pcm[k] * pcm[k];
        if (p->voice && i % 50 > 2)
            assert_true(sqrt(sum / 960) > 20);
        assert_true(p->level <= 127 && p->voice == (p->level < 60));
        bytes += p->len;
        voice += p->voice;
    }
    opus_decoder_destroy(d);
    /* Two seconds: 32 kbit/s while it speaks, less while it pauses. */
    assert_true(bytes * 8 / 2 > 20000 && bytes * 8 / 2 < 36000);
    assert_true(voice >= 60 && voice <= 75);
}

static void test_opus_packets_are_known(void **state)
{
    (void)state;
    uint8_t p[256];

    for (int i = 0; i < MEDIA_OPUS_PACKETS; i++) {
        size_t len = opus.packet[i].len;
        memcpy(p, opus.packet[i].data, len);
        assert_true(media_opus_known(&opus, p, len));
        assert_false(media_opus_known(&opus, p, len - 1) && len > 4);
        if (opus.packet[i].voice) {
            p[len / 2] ^= 1;
            assert_false(media_opus_known(&opus, p, len));
        }
    }
    assert_false(media_opus_known(&opus, p, 0));
}

static void test_opus_is_made_the_same_again(void **state)
{
    (void)state;
    static struct media_opus again;

    assert_int_equal(media_opus_make(&again), OK);
    assert_memory_equal(&again, &opus, sizeof opus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stamp_comes_back),
        cmocka_unit_test(test_every_flipped_bit_shows),
        cmocka_unit_test(test_descriptor_may_change),
        cmocka_unit_test(test_payloads_differ),
        cmocka_unit_test(test_opus_is_opus),
        cmocka_unit_test(test_opus_packets_are_known),
        cmocka_unit_test(test_opus_is_made_the_same_again),
    };
    return cmocka_run_group_tests(tests, make_opus, NULL);
}
