/* Against what the server opens and seals with, which is checked against libsrtp2. */
#include "bench/client/srtp_gcm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/crypto.h"
#include "lib/base/err.h"
#include "sfu/core/srtp_writer.h"
#include "sfu/shell/srtp_peer.h"

static struct srtp_gcm *ours;
static struct srtp_peer *theirs;
static struct srtp_writer *writer;

static void make(enum dtls_srtp_profile profile)
{
    struct dtls_keys a = {.profile = profile, .salt_len = 12}, b;
    a.key_len = profile == DTLS_AEAD_AES_256_GCM ? 32 : 16;
    random_bytes(a.local_key, sizeof a.local_key);
    random_bytes(a.remote_key, sizeof a.remote_key);
    random_bytes(a.local_salt, sizeof a.local_salt);
    random_bytes(a.remote_salt, sizeof a.remote_salt);
    b = a;
    memcpy(b.local_key, a.remote_key, sizeof a.local_key);
    memcpy(b.remote_key, a.local_key, sizeof a.local_key);
    memcpy(b.local_salt, a.remote_salt, sizeof a.local_salt);
    memcpy(b.remote_salt, a.local_salt, sizeof a.local_salt);
    assert_int_equal(srtp_gcm_new(&ours, &a), OK);
    assert_int_equal(srtp_peer_new(&theirs, &b), OK);
    assert_int_equal(
        srtp_writer_new(&writer, (enum srtp_profile)profile, b.local_key, b.local_salt), OK);
}

static int end(void **state)
{
    (void)state;
    srtp_gcm_free(ours);
    srtp_peer_free(theirs);
    srtp_writer_free(writer);
    ours = NULL;
    theirs = NULL;
    writer = NULL;
    return 0;
}

static void fill(uint8_t *data, size_t len, uint8_t type)
{
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(i * 7);
    data[0] = 0x80;
    data[1] = type;
}

static const enum dtls_srtp_profile both[] = {DTLS_AEAD_AES_128_GCM, DTLS_AEAD_AES_256_GCM};

static void test_rtcp_to_the_server_and_back(void **state)
{
    uint8_t data[300], plain[300];
    (void)state;
    for (int p = 0; p < 2; p++) {
        make(both[p]);
        for (size_t size = 8; size < 200; size += 4) {
            size_t len = size;
            fill(plain, size, 201);
            memcpy(data, plain, size);
            assert_int_equal(srtp_gcm_seal_rtcp(ours, data, &len), OK);
            assert_int_equal(len, size + SRTP_GCM_OVERHEAD);
            assert_true(size == 8 || memcmp(data + 8, plain + 8, size - 8) != 0);
            assert_int_equal(srtp_peer_unprotect_rtcp(theirs, data, &len), OK);
            assert_int_equal(len, size);
            assert_memory_equal(data, plain, size);
            assert_int_equal(srtp_peer_protect_rtcp(theirs, data, &len), OK);
            assert_int_equal(srtp_gcm_open_rtcp(ours, data, &len), OK);
            assert_int_equal(len, size);
            assert_memory_equal(data, plain, size);
        }
        end(state);
    }
}

/* Samples over two rollovers, with gaps and some of the past. */
static void test_rtp_of_the_writer(void **state)
{
    uint8_t data[300], plain[300];
    struct srtp_stream stream = {0};
    (void)state;
    for (int p = 0; p < 2; p++) {
        make(both[p]);
        memset(&stream, 0, sizeof stream);
        for (uint32_t seq = 65000; seq < 65000 + 150000; seq++) {
            fill(plain, 100, 96);
            plain[2] = (uint8_t)(seq >> 8);
            plain[3] = (uint8_t)seq;
            memcpy(data, plain, 100);
            int n = srtp_writer_protect(writer, &stream, data, 100, 12, sizeof data);
            assert_int_equal(n, 116);
            if (seq % 20001 != 3 && seq > 65003 && seq % 64 != 0)
                continue;
            size_t len = (size_t)n;
            assert_int_equal(srtp_gcm_open_rtp(ours, data, &len), OK);
            assert_int_equal(len, 100);
            assert_memory_equal(data, plain, 100);
        }
        end(state);
    }
}

static void test_late_packets_across_the_rollover(void **state)
{
    uint8_t sealed[4][116];
    static const uint16_t seqs[4] = {65534, 65535, 0, 1};
    static const int order[4] = {0, 2, 1, 3};
    struct srtp_stream stream = {0};
    (void)state;
    make(DTLS_AEAD_AES_128_GCM);
    for (int i = 0; i < 4; i++) {
        fill(sealed[i], 100, 96);
        sealed[i][2] = (uint8_t)(seqs[i] >> 8);
        sealed[i][3] = (uint8_t)seqs[i];
        assert_int_equal(srtp_writer_protect(writer, &stream, sealed[i], 100, 12, sizeof sealed[i]),
                         116);
    }
    for (int i = 0; i < 4; i++) {
        size_t len = 116;
        assert_int_equal(srtp_gcm_open_rtp(ours, sealed[order[i]], &len), OK);
    }
}

static void test_every_byte_counts(void **state)
{
    uint8_t good[200], data[200];
    struct srtp_stream stream = {0};
    (void)state;
    make(DTLS_AEAD_AES_128_GCM);
    fill(good, 60, 96);
    assert_int_equal(srtp_writer_protect(writer, &stream, good, 60, 12, sizeof good), 76);
    for (size_t i = 0; i < 76; i++) {
        size_t len = 76;
        memcpy(data, good, 76);
        data[i] ^= 1;
        assert_true(srtp_gcm_open_rtp(ours, data, &len) < 0);
        len = i;
        memcpy(data, good, 76);
        assert_true(srtp_gcm_open_rtp(ours, data, &len) < 0);
    }
    size_t rtcp_len = 32;
    fill(good, 32, 201);
    assert_int_equal(srtp_peer_protect_rtcp(theirs, good, &rtcp_len), OK);
    for (size_t i = 0; i < rtcp_len; i++) {
        size_t len = rtcp_len;
        memcpy(data, good, rtcp_len);
        data[i] ^= 1;
        assert_true(srtp_gcm_open_rtcp(ours, data, &len) < 0);
        len = i;
        memcpy(data, good, rtcp_len);
        assert_true(srtp_gcm_open_rtcp(ours, data, &len) < 0);
    }
    rtcp_len = 4;
    assert_int_equal(srtp_gcm_seal_rtcp(ours, data, &rtcp_len), ERR_INVALID);
}

static void test_only_gcm(void **state)
{
    struct dtls_keys k = {.profile = DTLS_AES128_CM_SHA1_80, .key_len = 16, .salt_len = 14};
    struct srtp_gcm *g = NULL;
    (void)state;
    assert_int_equal(srtp_gcm_new(&g, &k), ERR_UNSUPPORTED);
    assert_null(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_rtcp_to_the_server_and_back, end),
        cmocka_unit_test_teardown(test_rtp_of_the_writer, end),
        cmocka_unit_test_teardown(test_late_packets_across_the_rollover, end),
        cmocka_unit_test_teardown(test_every_byte_counts, end),
        cmocka_unit_test(test_only_gcm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
