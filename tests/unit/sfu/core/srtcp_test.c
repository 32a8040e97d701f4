/* SRTCP against libsrtp2: what we make it would have made, what it makes we read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <srtp2/srtp.h>

#include "lib/base/err.h"
#include "sfu/core/srtcp.h"

#define PACKETS 20000
#define CAP     1600

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

struct ends {
    struct srtcp *ours;
    srtp_t to_us, from_us; /* libsrtp2's: sends to us; does what we do */
};

static srtp_t session(enum srtp_profile profile, uint8_t *key_and_salt, srtp_ssrc_type_t type)
{
    srtp_policy_t policy;
    srtp_t s = NULL;
    memset(&policy, 0, sizeof policy);
    if (profile == SRTP_AEAD_AES_128_GCM) {
        srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtp);
        srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtcp);
    } else if (profile == SRTP_AES128_CM_SHA1_80) {
        srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&policy.rtp);
        srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&policy.rtcp);
    } else {
        srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy.rtp);
        srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy.rtcp);
    }
    policy.ssrc.type = type;
    policy.key = key_and_salt;
    policy.window_size = 1024;
    assert_int_equal(srtp_create(&s, &policy), srtp_err_status_ok);
    return s;
}

static struct ends open_ends(enum srtp_profile profile)
{
    uint8_t local[64], remote[64];
    size_t n = srtp_profile_key_len(profile);
    struct ends e;
    fill(local, sizeof local);
    fill(remote, sizeof remote);
    assert_int_equal(srtcp_new(&e.ours, profile, local, local + n, remote, remote + n), OK);
    e.from_us = session(profile, local, ssrc_any_outbound);
    e.to_us = session(profile, remote, ssrc_any_outbound);
    return e;
}

static void close_ends(struct ends *e)
{
    srtcp_free(e->ours);
    srtp_dealloc(e->from_us);
    srtp_dealloc(e->to_us);
}

static size_t random_packet(uint8_t *p, uint32_t ssrc)
{
    size_t words = 2 + rng() % 200;
    fill(p, words * 4);
    p[0] = 0x80;
    p[1] = 201;
    p[2] = (uint8_t)((words - 1) >> 8);
    p[3] = (uint8_t)(words - 1);
    for (int i = 0; i < 4; i++) {
        p[4 + i] = (uint8_t)(ssrc >> (24 - 8 * i));
    }
    return words * 4;
}

static void check_profile(enum srtp_profile profile)
{
    struct ends e = open_ends(profile);
    uint8_t plain[CAP], ours[CAP], theirs[CAP];
    for (int i = 0; i < PACKETS; i++) {
        size_t len = random_packet(plain, 0x1234), n = len;
        int m = (int)len;
        memcpy(ours, plain, len);
        memcpy(theirs, plain, len);
        assert_int_equal(srtcp_protect(e.ours, ours, &n), OK);
        assert_int_equal(srtp_protect_rtcp(e.from_us, theirs, &m), srtp_err_status_ok);
        assert_int_equal(n, m);
        assert_in_range(n, len + 14, len + SRTCP_OVERHEAD);
        assert_memory_equal(ours, theirs, n);

        uint32_t sender = 1 + rng() % 5;
        len = random_packet(plain, sender);
        memcpy(theirs, plain, len);
        m = (int)len;
        assert_int_equal(srtp_protect_rtcp(e.to_us, theirs, &m), srtp_err_status_ok);
        n = (size_t)m;
        assert_int_equal(srtcp_unprotect(e.ours, theirs, &n), OK);
        assert_int_equal(n, len);
        assert_memory_equal(theirs, plain, len);
    }
    close_ends(&e);
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

static void cm_equals_libsrtp(void **state)
{
    (void)state;
    check_profile(SRTP_AES128_CM_SHA1_80);
}

/* Any byte of it, or one less. */
static void cm_proves_all_of_it(void **state)
{
    struct ends e = open_ends(SRTP_AES128_CM_SHA1_80);
    uint8_t plain[CAP], sent[CAP], p[CAP];
    size_t len = random_packet(plain, 7), n = 0;
    int m = (int)len;
    (void)state;
    memcpy(sent, plain, len);
    assert_int_equal(srtp_protect_rtcp(e.to_us, sent, &m), srtp_err_status_ok);
    for (size_t i = 0; i < (size_t)m; i++) {
        memcpy(p, sent, (size_t)m);
        p[i] ^= 1;
        n = (size_t)m;
        assert_int_equal(srtcp_unprotect(e.ours, p, &n), ERR_AUTH);
        memcpy(p, sent, (size_t)m);
        n = i;
        assert_true(srtcp_unprotect(e.ours, p, &n) < 0);
    }
    n = (size_t)m;
    assert_int_equal(srtcp_unprotect(e.ours, sent, &n), OK);
    assert_int_equal(n, len);
    assert_memory_equal(sent, plain, len);
    close_ends(&e);
}

#define KEPT 100

static void replays_and_what_is_old_are_refused(void **state)
{
    struct ends e = open_ends(SRTP_AEAD_AES_128_GCM);
    static uint8_t kept[KEPT][CAP];
    size_t len[KEPT];
    uint8_t copy[CAP];
    (void)state;
    for (int i = 0; i < KEPT; i++) {
        int m = (int)random_packet(kept[i], 7);
        assert_int_equal(srtp_protect_rtcp(e.to_us, kept[i], &m), srtp_err_status_ok);
        len[i] = (size_t)m;
    }
    static const struct {
        int packet, err;
    } order[] = {{1, OK},
                 {1, ERR_CONFLICT},
                 {0, OK},
                 {0, ERR_CONFLICT},
                 {70, OK},
                 {6, ERR_CONFLICT},
                 {7, OK},
                 {7, ERR_CONFLICT},
                 {99, OK},
                 {70, ERR_CONFLICT},
                 {35, ERR_CONFLICT},
                 {36, OK},
                 {98, OK}};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        size_t n = len[order[i].packet];
        memcpy(copy, kept[order[i].packet], n);
        assert_int_equal(srtcp_unprotect(e.ours, copy, &n), order[i].err);
    }
    close_ends(&e);
}

/* Forged, cut and short packets change nothing. */
static void what_is_not_authentic_is_refused(void **state)
{
    struct ends e = open_ends(SRTP_AEAD_AES_128_GCM);
    uint8_t good[CAP], copy[CAP];
    (void)state;
    int m = (int)random_packet(good, 7);
    assert_int_equal(srtp_protect_rtcp(e.to_us, good, &m), srtp_err_status_ok);
    size_t len = (size_t)m, n;
    for (size_t i = 0; i < len; i++) { /* each byte counts: header, text, tag, E flag, index */
        memcpy(copy, good, len);
        copy[i] ^= 1;
        n = len;
        assert_int_equal(srtcp_unprotect(e.ours, copy, &n), ERR_AUTH);
        assert_int_equal(n, len);
    }
    for (n = 0; n < 28; n++) {
        size_t cut = n;
        memcpy(copy, good, len);
        assert_int_equal(srtcp_unprotect(e.ours, copy, &cut), ERR_INVALID);
    }
    n = len;
    assert_int_equal(srtcp_unprotect(e.ours, good, &n), OK);
    close_ends(&e);
}

static void senders_are_bounded(void **state)
{
    struct ends e = open_ends(SRTP_AEAD_AES_128_GCM);
    uint8_t p[CAP];
    (void)state;
    for (uint32_t i = 0; i <= SRTCP_MAX_SENDERS; i++) {
        int m = (int)random_packet(p, 100 + i);
        assert_int_equal(srtp_protect_rtcp(e.to_us, p, &m), srtp_err_status_ok);
        size_t n = (size_t)m;
        assert_int_equal(srtcp_unprotect(e.ours, p, &n), i < SRTCP_MAX_SENDERS ? OK : ERR_LIMIT);
    }
    close_ends(&e);
}

static void other_profiles_are_refused(void **state)
{
    struct srtcp *s = NULL;
    uint8_t key[64] = {0};
    (void)state;
    assert_int_equal(srtcp_new(&s, (enum srtp_profile)2, key, key, key, key), ERR_UNSUPPORTED);
    assert_null(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gcm128_equals_libsrtp),
        cmocka_unit_test(gcm256_equals_libsrtp),
        cmocka_unit_test(replays_and_what_is_old_are_refused),
        cmocka_unit_test(what_is_not_authentic_is_refused),
        cmocka_unit_test(senders_are_bounded),
        cmocka_unit_test(other_profiles_are_refused),
        cmocka_unit_test(cm_equals_libsrtp),
        cmocka_unit_test(cm_proves_all_of_it),
    };
    if (srtp_init() != srtp_err_status_ok) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
