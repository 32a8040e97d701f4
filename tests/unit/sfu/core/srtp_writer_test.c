/* Every byte of the SRTP writer against libsrtp2, which is what browsers' SRTP is tested with too.
 * SOTTO_SRTP_PACKETS is how many of a profile are compared: 1000000 takes some seconds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <srtp2/srtp.h>

#include "lib/base/err.h"
#include "lib/proto/rtp.h"
#include "sfu/core/srtp_writer.h"

#define PACKETS 334000 /* a profile, a million in all: several rollovers of the number */
#define LEAST   70000  /* that have two of them, as every other number is used */
#define CAP     1600

static long packets(void)
{
    const char *asked = getenv("SOTTO_SRTP_PACKETS");
    long n = asked ? strtol(asked, NULL, 10) : PACKETS;
    return n < LEAST ? LEAST : n;
}

static uint64_t rng_state = 0x9e3779b97f4a7c15u;

static uint32_t rng(void)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return (uint32_t)(rng_state >> 32);
}

static void fill(uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        p[i] = (uint8_t)rng();
    }
}

static srtp_t reference(enum srtp_profile profile, uint8_t *key_and_salt, uint32_t ssrc)
{
    srtp_policy_t policy;
    srtp_t s = NULL;

    memset(&policy, 0, sizeof policy);
    switch (profile) {
    case SRTP_AES128_CM_SHA1_80:
        srtp_crypto_policy_set_rtp_default(&policy.rtp);
        srtp_crypto_policy_set_rtcp_default(&policy.rtcp);
        break;
    case SRTP_AEAD_AES_128_GCM:
        srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtp);
        srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtcp);
        break;
    case SRTP_AEAD_AES_256_GCM:
        srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy.rtp);
        srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy.rtcp);
        break;
    }
    policy.ssrc.type = ssrc_specific;
    policy.ssrc.value = ssrc;
    policy.key = key_and_salt;
    policy.window_size = 1024;
    assert_int_equal(srtp_create(&s, &policy), srtp_err_status_ok);
    return s;
}

/* A packet of random shape: CSRCs, one- or two-byte extension, padding or not. Returns its length.
 */
static size_t random_packet(uint8_t *p, size_t *header_len, uint16_t seq, uint32_t ssrc)
{
    uint8_t ext_data[40];
    struct rtp_out o = {.pt = 96, .seq = seq, .ts = rng(), .ssrc = ssrc, .marker = rng() & 1};

    fill(ext_data, sizeof ext_data);
    o.n_csrc = (uint8_t)(rng() % 4 == 0 ? rng() % 16 : 0);
    for (size_t i = 0; i < o.n_csrc; i++) {
        o.csrc[i] = rng();
    }
    o.n_ext = (uint8_t)(rng() % 4);
    for (size_t i = 0; i < o.n_ext; i++) {
        o.ext[i] =
            (struct rtp_out_ext){(uint8_t)(1 + rng() % 14), (uint8_t)(1 + rng() % 20), ext_data};
    }
    size_t payload = rng() % 8 == 0 ? rng() % 3 : rng() % 1200;
    o.padding = payload > 0 && rng() % 4 == 0;
    int n = rtp_out_write(&o, p, CAP);
    assert_true(n >= 12);
    fill(p + n, payload);
    if (o.padding) { /* encrypted with the rest (RFC 3711 section 3.1) */
        p[(size_t)n + payload - 1] = (uint8_t)(1 + rng() % (payload < 255 ? payload : 255));
    }
    *header_len = (size_t)n;
    return (size_t)n + payload;
}

static void check_profile(enum srtp_profile profile)
{
    uint8_t key[64], ours[CAP], theirs[CAP];
    size_t key_len = srtp_profile_key_len(profile);
    struct srtp_writer *w = NULL;
    struct srtp_stream stream = {0};
    uint32_t ssrc = rng();
    uint16_t seq = (uint16_t)(rng() & 0x7fff);

    fill(key, sizeof key);
    srtp_t ref = reference(profile, key, ssrc);
    assert_int_equal(srtp_writer_new(&w, profile, key, key + key_len), OK);
    long n_packets = packets();
    for (long i = 0; i < n_packets; i++) {
        size_t header_len;
        seq = (uint16_t)(seq + 2); /* every other number is free for one that comes late */
        uint16_t this_seq = i > 100 && rng() % 64 == 0 ? (uint16_t)(seq - 3) : seq;
        size_t len = random_packet(ours, &header_len, this_seq, ssrc);
        memcpy(theirs, ours, len);
        int n = (int)len;
        assert_int_equal(srtp_protect(ref, theirs, &n), srtp_err_status_ok);
        int r = srtp_writer_protect(w, &stream, ours, len, header_len, sizeof ours);
        assert_int_equal(r, n);
        assert_memory_equal(ours, theirs, (size_t)n);
    }
    assert_true(stream.roc >= 2);
    print_message("%ld packets are equal, across %u rollovers\n", n_packets, stream.roc);
    srtp_writer_free(w);
    srtp_dealloc(ref);
}

static void cm_equals_libsrtp(void **state)
{
    (void)state;
    check_profile(SRTP_AES128_CM_SHA1_80);
}

static void gcm128_equals_libsrtp(void **state)
{
    (void)state;
    check_profile(SRTP_AEAD_AES_128_GCM);
}

static void gcm256_equals_libsrtp(void **state)
{
    (void)state;
    check_profile(SRTP_AEAD_AES_256_GCM);
}

/* A retransmission from before the rollover after it: its index is the older one. */
static void late_packet_across_the_rollover(void **state)
{
    static const uint16_t order[] = {65534, 0, 65535, 1, 65533, 2};
    uint8_t key[64], ours[CAP], theirs[CAP];
    struct srtp_writer *w;
    struct srtp_stream s = {0};

    (void)state;
    fill(key, sizeof key);
    srtp_t ref = reference(SRTP_AEAD_AES_128_GCM, key, 1);
    assert_int_equal(srtp_writer_new(&w, SRTP_AEAD_AES_128_GCM, key, key + 16), OK);
    for (size_t i = 0; i < 6; i++) {
        size_t header_len, len = random_packet(ours, &header_len, order[i], 1);
        int n = (int)len;
        memcpy(theirs, ours, len);
        assert_int_equal(srtp_protect(ref, theirs, &n), srtp_err_status_ok);
        assert_int_equal(srtp_writer_protect(w, &s, ours, len, header_len, CAP), n);
        assert_memory_equal(ours, theirs, (size_t)n);
    }
    assert_int_equal(s.roc, 1);
    assert_int_equal(s.seq, 2);
    srtp_writer_free(w);
    srtp_dealloc(ref);
}

/* Several SSRCs by one writer, each with its own rollover, as libsrtp2's outbound wildcard does. */
static void streams_roll_over_apart(void **state)
{
    uint8_t key[64], ours[CAP], theirs[CAP];
    struct srtp_writer *w;
    struct srtp_stream a = {0}, b = {0};

    (void)state;
    fill(key, sizeof key);
    srtp_t ref_a = reference(SRTP_AEAD_AES_128_GCM, key, 1);
    srtp_t ref_b = reference(SRTP_AEAD_AES_128_GCM, key, 2);
    assert_int_equal(srtp_writer_new(&w, SRTP_AEAD_AES_128_GCM, key, key + 16), OK);
    for (uint32_t i = 0; i < 6; i++) {
        size_t header_len, len;
        int n;
        len = random_packet(ours, &header_len, (uint16_t)(65533 + i), 1);
        memcpy(theirs, ours, len);
        n = (int)len;
        assert_int_equal(srtp_protect(ref_a, theirs, &n), srtp_err_status_ok);
        assert_int_equal(srtp_writer_protect(w, &a, ours, len, header_len, CAP), n);
        assert_memory_equal(ours, theirs, (size_t)n);
        len = random_packet(ours, &header_len, (uint16_t)(10 + i), 2);
        memcpy(theirs, ours, len);
        n = (int)len;
        assert_int_equal(srtp_protect(ref_b, theirs, &n), srtp_err_status_ok);
        assert_int_equal(srtp_writer_protect(w, &b, ours, len, header_len, CAP), n);
        assert_memory_equal(ours, theirs, (size_t)n);
    }
    assert_int_equal(a.roc, 1);
    assert_int_equal(b.roc, 0);
    srtp_writer_free(w);
    srtp_dealloc(ref_a);
    srtp_dealloc(ref_b);
}

static void refuses_bad_arguments(void **state)
{
    uint8_t key[64] = {0}, p[64] = {0x80};
    struct srtp_writer *w = NULL;
    struct srtp_stream s = {0};

    (void)state;
    assert_int_equal(srtp_writer_new(&w, (enum srtp_profile)2, key, key), ERR_UNSUPPORTED);
    assert_null(w);
    assert_int_equal(srtp_writer_new(&w, SRTP_AES128_CM_SHA1_80, key, key + 16), OK);
    assert_int_equal(srtp_writer_protect(w, &s, p, 20, 11, sizeof p), ERR_INVALID);
    assert_int_equal(srtp_writer_protect(w, &s, p, 20, 21, sizeof p), ERR_INVALID);
    assert_int_equal(srtp_writer_protect(w, &s, p, 55, 12, sizeof p), ERR_TOO_LARGE);
    assert_false(s.started); /* a refused packet moves nothing */
    assert_int_equal(srtp_writer_protect(w, &s, p, 54, 12, sizeof p), 64);
    s.roc = UINT32_MAX;
    s.seq = 65535;
    p[2] = p[3] = 0;
    assert_int_equal(srtp_writer_protect(w, &s, p, 20, 12, sizeof p), ERR_LIMIT);
    srtp_writer_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cm_equals_libsrtp),
        cmocka_unit_test(gcm128_equals_libsrtp),
        cmocka_unit_test(gcm256_equals_libsrtp),
        cmocka_unit_test(streams_roll_over_apart),
        cmocka_unit_test(late_packet_across_the_rollover),
        cmocka_unit_test(refuses_bad_arguments),
    };
    if (srtp_init() != srtp_err_status_ok) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
