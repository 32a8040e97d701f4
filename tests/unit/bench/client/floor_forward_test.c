#include "bench/client/floor_forward.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <srtp2/srtp.h>

#include "lib/base/err.h"
#include "lib/proto/rtp.h"

#define PUBLISHER_PORT 5000
#define HOLD_US        1000
#define VIDEO_IN       0x11111111u
#define AUDIO_IN       0x22222222u
#define VIDEO_OUT(i)   (0x33330000u + (uint32_t)(i))
#define AUDIO_OUT(i)   (0x44440000u + (uint32_t)(i))
#define SUBSCRIBERS    5

static struct floor_forward *f;
static enum srtp_profile profile;
static srtp_t publisher, subscriber[SUBSCRIBERS];
static uint8_t keys[1 + SUBSCRIBERS][46];
static size_t key_len;

static const char *name(int i)
{
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    return names[i];
}

static srtp_t make_session(uint8_t *key, srtp_ssrc_type_t direction)
{
    srtp_policy_t policy;
    srtp_t s;
    memset(&policy, 0, sizeof(policy));
    if (profile == SRTP_AES128_CM_SHA1_80) {
        srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&policy.rtp);
        srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&policy.rtcp);
    } else {
        srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtp);
        srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtcp);
    }
    policy.key = key;
    policy.ssrc.type = direction;
    policy.window_size = 1024;
    assert_int_equal(srtp_create(&s, &policy), srtp_err_status_ok);
    return s;
}

static void set_up(enum srtp_profile p, bool segment)
{
    struct floor_forward_config config = {.profile = p, .segment = segment, .hold_us = HOLD_US};
    profile = p;
    assert_int_equal(floor_forward_new(&f, &config), OK);
    key_len = srtp_profile_key_len(p) + srtp_profile_salt_len(p);
    for (size_t i = 0; i < 1 + SUBSCRIBERS; i++)
        for (size_t k = 0; k < key_len; k++)
            keys[i][k] = (uint8_t)(7 * i + 3 * k + 1);
    publisher = make_session(keys[0], ssrc_any_outbound);
    assert_int_equal(floor_forward_publisher(f, "pub", keys[0], key_len), OK);
    assert_int_equal(floor_forward_stream(f, "pub", VIDEO_IN, true), OK);
    assert_int_equal(floor_forward_stream(f, "pub", AUDIO_IN, false), OK);
    assert_int_equal(floor_forward_port(f, "pub", PUBLISHER_PORT), OK);
    for (int i = 0; i < SUBSCRIBERS; i++) {
        subscriber[i] = make_session(keys[1 + i], ssrc_any_inbound);
        assert_int_equal(floor_forward_subscriber(f, name(i), keys[1 + i], key_len), OK);
        assert_int_equal(floor_forward_leg(f, name(i), "pub", VIDEO_IN, VIDEO_OUT(i)), OK);
        assert_int_equal(floor_forward_leg(f, name(i), "pub", AUDIO_IN, AUDIO_OUT(i)), OK);
        assert_int_equal(floor_forward_port(f, name(i), (uint16_t)(6000 + i)), OK);
    }
}

static void tear_down(void)
{
    floor_forward_free(f);
    srtp_dealloc(publisher);
    for (int i = 0; i < SUBSCRIBERS; i++)
        srtp_dealloc(subscriber[i]);
}

/* What a payload of this packet looks like. */
static void fill(uint8_t *payload, size_t len, uint16_t seq)
{
    for (size_t i = 0; i < len; i++)
        payload[i] = (uint8_t)(seq * 13 + i);
}

/* Plain RTP with a one-byte extension. */
static size_t make_rtp(uint8_t *packet, uint32_t ssrc, uint16_t seq, uint32_t ts, bool marker,
                       size_t payload_len)
{
    const uint8_t wide[2] = {0xab, 0xcd};
    struct rtp_out o = {.marker = marker, .pt = 96, .seq = seq, .ts = ts, .ssrc = ssrc, .n_ext = 1};
    o.ext[0] = (struct rtp_out_ext){.id = 3, .len = 2, .data = wide};
    int n = rtp_out_write(&o, packet, 64);
    assert_true(n > 0);
    fill(packet + n, payload_len, seq);
    return (size_t)n + payload_len;
}

/* A packet that has padding already, its count byte included. */
static int give_padded(uint16_t seq, bool marker, size_t payload_len, uint8_t padding)
{
    uint8_t packet[2048];
    size_t n = make_rtp(packet, VIDEO_IN, seq, 3000, marker, payload_len);
    memset(packet + n, 0, padding);
    packet[n + padding - 1] = padding;
    packet[0] |= 0x20;
    int len = (int)n + padding;
    assert_int_equal(srtp_protect(publisher, packet, &len), srtp_err_status_ok);
    return floor_forward_input(f, PUBLISHER_PORT, packet, (size_t)len, 0);
}

static int give(uint32_t ssrc, uint16_t seq, uint32_t ts, bool marker, size_t payload_len,
                int64_t now)
{
    uint8_t packet[2048];
    int len = (int)make_rtp(packet, ssrc, seq, ts, marker, payload_len);
    assert_int_equal(srtp_protect(publisher, packet, &len), srtp_err_status_ok);
    return floor_forward_input(f, PUBLISHER_PORT, packet, (size_t)len, now);
}

/* Numbers are moved by a constant a stream of a subscriber: the first packet tells which. */
static void check_offset(const struct rtp_header *h, uint16_t seq)
{
    static struct {
        uint32_t ssrc;
        uint16_t offset;
    } known[64];
    size_t i = 0;
    while (known[i].ssrc && known[i].ssrc != h->ssrc)
        i++;
    assert_true(i < 63);
    if (!known[i].ssrc) {
        known[i].ssrc = h->ssrc;
        known[i].offset = (uint16_t)(h->seq - seq);
        assert_int_not_equal(known[i].offset, 0);
    }
    assert_int_equal((uint16_t)(h->seq - seq), known[i].offset);
}

/* Decrypts a packet that went to a subscriber by libsrtp2 and proves it whole. */
static void check(int i, const uint8_t *data, size_t len, uint32_t ssrc, uint16_t seq,
                  size_t payload_len)
{
    uint8_t packet[2048], want[2048];
    struct rtp_header h;
    int n = (int)len;
    memcpy(packet, data, len);
    assert_int_equal(srtp_unprotect(subscriber[i], packet, &n), srtp_err_status_ok);
    assert_int_equal(rtp_parse(&h, packet, (size_t)n), OK);
    assert_int_equal(h.ssrc, ssrc);
    check_offset(&h, seq);
    assert_int_not_equal(h.ts % 120, 0); /* moved: all that go in are multiples */
    assert_int_equal(h.pt, 96);
    assert_int_equal(h.payload_len, payload_len);
    fill(want, payload_len, seq);
    assert_memory_equal(packet + h.payload_off, want, payload_len);
    uint16_t wide;
    assert_true(rtp_transport_seq(&h, packet, 3, &wide));
    assert_int_equal(wide, 0xabcd);
}

static void train_of_frame(enum srtp_profile p)
{
    static const size_t sizes[] = {1100, 1101, 1100, 1101, 1040, 1099};
    struct floor_message m[FLOOR_POLL_MAX];
    set_up(p, true);
    size_t header = 20, tag = srtp_profile_tag_len(p);
    for (uint16_t k = 0; k < 6; k++) {
        assert_int_equal(floor_forward_poll(f, m, FLOOR_POLL_MAX, 5), 0);
        assert_int_equal(give(VIDEO_IN, (uint16_t)(65533 + k), 3000, k == 5, sizes[k], 5), OK);
    }
    assert_int_equal(floor_forward_poll(f, m, FLOOR_POLL_MAX, 6), SUBSCRIBERS);
    for (int i = 0; i < SUBSCRIBERS; i++) {
        assert_int_equal(m[i].port, 6000 + i);
        assert_int_equal(m[i].packets, 6);
        assert_int_equal(m[i].segment, 1101 + header + tag);
        assert_int_equal(m[i].len, 5u * m[i].segment + 1099 + header + tag);
        for (uint16_t k = 0; k < 6; k++)
            check(i, m[i].data + k * m[i].segment, k < 5 ? m[i].segment : 1099 + header + tag,
                  VIDEO_OUT(i), (uint16_t)(65533 + k), sizes[k]);
    }
    assert_int_equal(floor_forward_poll(f, m, FLOOR_POLL_MAX, 7), 0);
    struct floor_forward_stats s;
    floor_forward_stats(f, &s);
    assert_int_equal(s.in, 6);
    assert_int_equal(s.out, 6 * SUBSCRIBERS);
    assert_int_equal(s.padded, 1 + 0 + 1 + 0 + 61);
    tear_down();
}

static void test_a_frame_is_one_train_gcm(void **state)
{
    (void)state;
    train_of_frame(SRTP_AEAD_AES_128_GCM);
}

static void test_a_frame_is_one_train_cm(void **state)
{
    (void)state;
    train_of_frame(SRTP_AES128_CM_SHA1_80);
}

static void test_audio_goes_at_once_and_alone(void **state)
{
    (void)state;
    struct floor_message m[FLOOR_POLL_MAX];
    set_up(SRTP_AEAD_AES_128_GCM, true);
    assert_int_equal(give(VIDEO_IN, 1, 3000, false, 900, 0), OK); /* held */
    assert_int_equal(give(AUDIO_IN, 77, 960, false, 80, 0), OK);
    assert_int_equal(floor_forward_poll(f, m, FLOOR_POLL_MAX, 1), SUBSCRIBERS);
    for (int i = 0; i < SUBSCRIBERS; i++) {
        assert_int_equal(m[i].segment, 0);
        check(i, m[i].data, m[i].len, AUDIO_OUT(i), 77, 80);
    }
    tear_down();
}

static void test_a_frame_without_end_is_held_for_its_time(void **state)
{
    (void)state;
    struct floor_message m[FLOOR_POLL_MAX];
    set_up(SRTP_AEAD_AES_128_GCM, true);
    assert_true(floor_forward_deadline(f) == INT64_MAX);
    assert_int_equal(give(VIDEO_IN, 1, 3000, false, 900, 50), OK);
    assert_int_equal(give(VIDEO_IN, 2, 3000, false, 900, 60), OK);
    assert_int_equal(floor_forward_deadline(f), 50 + HOLD_US);
    assert_int_equal(floor_forward_poll(f, m, FLOOR_POLL_MAX, 49 + HOLD_US), 0);
    assert_int_equal(floor_forward_poll(f, m, FLOOR_POLL_MAX, 50 + HOLD_US), SUBSCRIBERS);
    assert_int_equal(m[0].packets, 2);
    assert_int_equal(floor_forward_poll(f, m, FLOOR_POLL_MAX, 50 + HOLD_US), 0);
    assert_true(floor_forward_deadline(f) == INT64_MAX);
    tear_down();
}

/* A new timestamp, a size too different, and a frame that isn't polled end a train; ERR_AGAIN gives
 * the packet back as it was. */
static void ends_train(uint32_t ts, size_t payload_len)
{
    struct floor_message m[FLOOR_POLL_MAX];
    uint8_t packet[2048];
    set_up(SRTP_AEAD_AES_128_GCM, true);
    assert_int_equal(give(VIDEO_IN, 1, 3000, false, 900, 0), OK);
    int len = (int)make_rtp(packet, VIDEO_IN, 2, ts, true, payload_len);
    assert_int_equal(srtp_protect(publisher, packet, &len), srtp_err_status_ok);
    size_t n = (size_t)len;
    assert_int_equal(floor_forward_input(f, PUBLISHER_PORT, packet, n, 1), ERR_AGAIN);
    assert_int_equal(floor_forward_poll(f, m, FLOOR_POLL_MAX, 1), SUBSCRIBERS);
    check(0, m[0].data, m[0].len, VIDEO_OUT(0), 1, 900);
    assert_int_equal(floor_forward_poll(f, m, FLOOR_POLL_MAX, 1), 0);
    assert_int_equal(floor_forward_input(f, PUBLISHER_PORT, packet, n, 1), OK);
    assert_int_equal(floor_forward_poll(f, m, FLOOR_POLL_MAX, 1), SUBSCRIBERS);
    check(0, m[0].data, m[0].len, VIDEO_OUT(0), 2, payload_len);
    tear_down();
}

static void test_what_ends_a_train(void **state)
{
    (void)state;
    ends_train(6000, 900);
    ends_train(3000, 900 + FLOOR_PAD_MAX + 1);
}

static void test_a_much_shorter_packet_is_the_last_of_a_train(void **state)
{
    (void)state;
    struct floor_message m[FLOOR_POLL_MAX];
    set_up(SRTP_AEAD_AES_128_GCM, true);
    assert_int_equal(give(VIDEO_IN, 1, 3000, false, 900, 0), OK);
    assert_int_equal(give(VIDEO_IN, 2, 3000, false, 100, 0), OK);
    assert_int_equal(give(VIDEO_IN, 3, 3000, false, 900, 0), ERR_AGAIN);
    assert_int_equal(floor_forward_poll(f, m, FLOOR_POLL_MAX, 1), SUBSCRIBERS);
    assert_int_equal(m[0].packets, 2);
    check(0, m[0].data, m[0].segment, VIDEO_OUT(0), 1, 900);
    check(0, m[0].data + m[0].segment, m[0].len - m[0].segment, VIDEO_OUT(0), 2, 100);
    tear_down();
}

static void test_padding_is_added_to_padding(void **state)
{
    (void)state;
    struct floor_message m[FLOOR_POLL_MAX];
    set_up(SRTP_AEAD_AES_128_GCM, true);
    assert_int_equal(give_padded(1, false, 800, 20), OK);
    assert_int_equal(give(VIDEO_IN, 2, 3000, false, 850, 0), OK);
    assert_int_equal(give_padded(3, true, 600, 250), OK);
    assert_int_equal(floor_forward_poll(f, m, FLOOR_POLL_MAX, 1), SUBSCRIBERS);
    assert_int_equal(m[0].packets, 3);
    check(0, m[0].data, m[0].segment, VIDEO_OUT(0), 1, 800);
    check(0, m[0].data + m[0].segment, m[0].segment, VIDEO_OUT(0), 2, 850);
    check(0, m[0].data + (size_t)2 * m[0].segment, m[0].len - (size_t)2 * m[0].segment,
          VIDEO_OUT(0), 3, 600);
    tear_down();
}

static void test_longer_than_any_packet(void **state)
{
    (void)state;
    struct floor_message m[FLOOR_POLL_MAX];
    set_up(SRTP_AEAD_AES_128_GCM, true);
    assert_int_equal(give(AUDIO_IN, 1, 960, false, FLOOR_MTU, 0), OK);
    assert_int_equal(give(VIDEO_IN, 1, 960, true, FLOOR_MTU, 0), OK);
    assert_int_equal(floor_forward_poll(f, m, FLOOR_POLL_MAX, 1), 0);
    size_t most = FLOOR_MTU - 20 - 16; /* with header and tag */
    assert_int_equal(give(AUDIO_IN, 2, 960, false, most, 0), OK);
    assert_int_equal(floor_forward_poll(f, m, FLOOR_POLL_MAX, 1), SUBSCRIBERS);
    check(1, m[1].data, m[1].len, AUDIO_OUT(1), 2, most);
    tear_down();
}

static void test_long_trains_are_cut(void **state)
{
    (void)state;
    struct floor_message m[FLOOR_POLL_MAX];
    size_t packets = 0;
    set_up(SRTP_AEAD_AES_128_GCM, true);
    for (uint16_t k = 0; k < 100; k++) {
        int err = give(VIDEO_IN, k, 3000, k == 99, 1350, 0);
        assert_true(err == OK || err == ERR_AGAIN);
        if (err == OK && k != 99)
            continue;
        size_t n;
        while ((n = floor_forward_poll(f, m, 2, 0)) > 0)
            for (size_t i = 0; i < n; i++) {
                assert_true(m[i].len <= 65507 && m[i].packets <= FLOOR_TRAIN_MAX);
                packets += m[i].packets;
            }
    }
    struct floor_forward_stats s;
    floor_forward_stats(f, &s);
    assert_int_equal(packets, s.out);
    assert_int_equal(s.out, s.in * SUBSCRIBERS);
    assert_true(s.in >= 96); /* those given back by ERR_AGAIN were not given again here */
    tear_down();
}

static void test_no_segments_when_segmenting_is_off(void **state)
{
    (void)state;
    struct floor_message m[FLOOR_POLL_MAX];
    set_up(SRTP_AEAD_AES_128_GCM, false);
    for (uint16_t k = 0; k < 3; k++) {
        assert_int_equal(give(VIDEO_IN, k, 3000, k == 2, 1000, 0), OK);
        assert_int_equal(floor_forward_poll(f, m, FLOOR_POLL_MAX, 0), SUBSCRIBERS);
        assert_int_equal(m[0].segment, 0);
        check(0, m[0].data, m[0].len, VIDEO_OUT(0), k, 1000);
        assert_int_equal(floor_forward_poll(f, m, FLOOR_POLL_MAX, 0), 0);
    }
    tear_down();
}

static void test_hostile_datagrams_change_nothing(void **state)
{
    (void)state;
    struct floor_message m[FLOOR_POLL_MAX];
    struct floor_forward_stats s;
    uint8_t packet[2048], copy[2048];
    set_up(SRTP_AEAD_AES_128_GCM, true);
    int len = (int)make_rtp(packet, AUDIO_IN, 9, 960, false, 80);
    assert_int_equal(srtp_protect(publisher, packet, &len), srtp_err_status_ok);
    size_t n = (size_t)len;
    memcpy(copy, packet, n);
    /* From another port, cut anywhere, changed anywhere, for an unknown SSRC. */
    assert_int_equal(floor_forward_input(f, 7000, packet, n, 0), OK);
    assert_int_equal(floor_forward_input(f, 6000, packet, n, 0), OK); /* a subscriber's */
    for (size_t cut = 0; cut < n; cut++) {
        memcpy(packet, copy, n);
        assert_int_equal(floor_forward_input(f, PUBLISHER_PORT, packet, cut, 0), OK);
    }
    for (size_t i = 0; i < n; i++) {
        memcpy(packet, copy, n);
        packet[i] ^= 0x40;
        assert_int_equal(floor_forward_input(f, PUBLISHER_PORT, packet, n, 0), OK);
    }
    memset(packet, 0x80, sizeof(packet));
    assert_int_equal(floor_forward_input(f, PUBLISHER_PORT, packet, sizeof(packet), 0), OK);
    floor_forward_stats(f, &s);
    assert_int_equal(s.in, 0);
    assert_true(s.bad > n);
    assert_int_equal(floor_forward_poll(f, m, FLOOR_POLL_MAX, HOLD_US), 0);
    /* The packet itself still passes, once. */
    memcpy(packet, copy, n);
    assert_int_equal(floor_forward_input(f, PUBLISHER_PORT, packet, n, 0), OK);
    assert_int_equal(floor_forward_poll(f, m, FLOOR_POLL_MAX, 0), SUBSCRIBERS);
    assert_int_equal(floor_forward_poll(f, m, FLOOR_POLL_MAX, 0), 0);
    memcpy(packet, copy, n);
    assert_int_equal(floor_forward_input(f, PUBLISHER_PORT, packet, n, 0), OK);
    assert_int_equal(floor_forward_poll(f, m, FLOOR_POLL_MAX, 0), 0);
    tear_down();
}

static void test_faults_of_set_up(void **state)
{
    (void)state;
    struct floor_forward *g;
    struct floor_forward_config config = {.profile = (enum srtp_profile)99};
    assert_int_equal(floor_forward_new(&g, &config), ERR_UNSUPPORTED);
    set_up(SRTP_AEAD_AES_128_GCM, true);
    assert_int_equal(floor_forward_publisher(f, "pub", keys[0], key_len), ERR_CONFLICT);
    assert_int_equal(floor_forward_publisher(f, "", keys[0], key_len), ERR_INVALID);
    assert_int_equal(floor_forward_publisher(f, "x", keys[0], key_len - 1), ERR_INVALID);
    assert_int_equal(floor_forward_subscriber(f, "x", keys[0], 46), ERR_INVALID);
    assert_int_equal(floor_forward_stream(f, "a", 1, true), ERR_NOT_FOUND);
    assert_int_equal(floor_forward_stream(f, "", 1, true), ERR_NOT_FOUND);
    assert_int_equal(floor_forward_stream(f, "pub", VIDEO_IN, true), ERR_CONFLICT);
    assert_int_equal(floor_forward_leg(f, "pub", "pub", VIDEO_IN, 1), ERR_NOT_FOUND);
    assert_int_equal(floor_forward_leg(f, "a", "pub", 12345, 1), ERR_NOT_FOUND);
    assert_int_equal(floor_forward_leg(f, "a", "pub", VIDEO_IN, 1), ERR_CONFLICT);
    assert_int_equal(floor_forward_leave(f, "nobody"), ERR_NOT_FOUND);
    assert_int_equal(floor_forward_leave(f, ""), ERR_NOT_FOUND);
    assert_int_equal(floor_forward_port(f, "", 1), ERR_NOT_FOUND);
    assert_int_equal(floor_forward_port(f, "nobody", 1), ERR_NOT_FOUND);
    tear_down();
}

static void test_leaving_with_frames_under_way(void **state)
{
    (void)state;
    struct floor_message m[FLOOR_POLL_MAX];
    set_up(SRTP_AEAD_AES_128_GCM, true);
    assert_int_equal(give(VIDEO_IN, 1, 3000, true, 900, 0), OK);
    assert_int_equal(give(AUDIO_IN, 1, 960, false, 80, 0), OK);
    assert_int_equal(floor_forward_poll(f, m, 2, 0), 2); /* to a and b */
    assert_int_equal(floor_forward_leave(f, "a"), OK);
    assert_int_equal(floor_forward_leave(f, "c"), OK);
    assert_int_equal(floor_forward_poll(f, m, FLOOR_POLL_MAX, 0), 2 + 3);
    check(3, m[0].data, m[0].len, VIDEO_OUT(3), 1, 900);
    assert_int_equal(give(VIDEO_IN, 2, 6000, true, 900, 0), OK);
    assert_int_equal(give(VIDEO_IN, 3, 9000, false, 900, 0), ERR_AGAIN);
    assert_int_equal(floor_forward_leave(f, "pub"), OK);
    assert_int_equal(floor_forward_poll(f, m, FLOOR_POLL_MAX, HOLD_US), 0);
    assert_true(floor_forward_deadline(f) == INT64_MAX);
    /* The place of one that left is used anew. */
    assert_int_equal(floor_forward_publisher(f, "pub", keys[0], key_len), OK);
    assert_int_equal(floor_forward_stream(f, "pub", AUDIO_IN, false), OK);
    assert_int_equal(floor_forward_leg(f, "b", "pub", AUDIO_IN, AUDIO_OUT(1)), OK);
    assert_int_equal(floor_forward_port(f, "pub", PUBLISHER_PORT), OK);
    assert_int_equal(give(AUDIO_IN, 2, 1920, false, 80, 0), OK);
    assert_int_equal(floor_forward_poll(f, m, FLOOR_POLL_MAX, 0), 1);
    assert_int_equal(m[0].port, 6001);
    tear_down();
}

static void test_a_peer_may_move(void **state)
{
    (void)state;
    struct floor_message m[FLOOR_POLL_MAX];
    set_up(SRTP_AEAD_AES_128_GCM, true);
    assert_int_equal(floor_forward_port(f, "a", 6100), OK);
    assert_int_equal(give(AUDIO_IN, 2, 1920, false, 80, 0), OK);
    assert_int_equal(floor_forward_poll(f, m, FLOOR_POLL_MAX, 0), SUBSCRIBERS);
    assert_int_equal(m[0].port, 6100);
    /* A port has one owner: b's is c's now, and b is nowhere. */
    assert_int_equal(floor_forward_port(f, "c", 6001), OK);
    assert_int_equal(give(AUDIO_IN, 3, 2880, false, 80, 0), OK);
    assert_int_equal(floor_forward_poll(f, m, FLOOR_POLL_MAX, 0), SUBSCRIBERS - 1);
    assert_int_equal(m[1].port, 6001);
    check(2, m[1].data, m[1].len, AUDIO_OUT(2), 3, 80);
    tear_down();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_frame_is_one_train_gcm),
        cmocka_unit_test(test_a_frame_is_one_train_cm),
        cmocka_unit_test(test_audio_goes_at_once_and_alone),
        cmocka_unit_test(test_a_frame_without_end_is_held_for_its_time),
        cmocka_unit_test(test_what_ends_a_train),
        cmocka_unit_test(test_a_much_shorter_packet_is_the_last_of_a_train),
        cmocka_unit_test(test_padding_is_added_to_padding),
        cmocka_unit_test(test_longer_than_any_packet),
        cmocka_unit_test(test_long_trains_are_cut),
        cmocka_unit_test(test_no_segments_when_segmenting_is_off),
        cmocka_unit_test(test_hostile_datagrams_change_nothing),
        cmocka_unit_test(test_faults_of_set_up),
        cmocka_unit_test(test_leaving_with_frames_under_way),
        cmocka_unit_test(test_a_peer_may_move),
    };
    if (srtp_init() != srtp_err_status_ok) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
