/* One peer behind bounds: replay, and how many streams one peer may open. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "lib/proto/rtp.h"
#include "sfu/core/srtp_writer.h"
#include "sfu/shell/srtp_peer.h"

struct pair {
    struct srtp_peer *here, *there;
    struct srtp_writer *writer; /* of the other end's RTP */
};

static int setup(void **state)
{
    static struct pair p;
    struct dtls_keys keys = {.profile = DTLS_AEAD_AES_128_GCM, .key_len = 16, .salt_len = 12};
    memset(keys.local_key, 1, sizeof keys.local_key);
    memset(keys.remote_key, 2, sizeof keys.remote_key);
    struct dtls_keys theirs = keys;
    memcpy(theirs.local_key, keys.remote_key, sizeof keys.remote_key);
    memcpy(theirs.remote_key, keys.local_key, sizeof keys.local_key);
    assert_int_equal(srtp_peer_new(&p.here, &keys), OK);
    assert_int_equal(srtp_peer_new(&p.there, &theirs), OK);
    assert_int_equal(
        srtp_writer_new(&p.writer, SRTP_AEAD_AES_128_GCM, keys.remote_key, keys.remote_salt), OK);
    *state = &p;
    return 0;
}

static int teardown(void **state)
{
    struct pair *p = *state;
    srtp_peer_free(p->here);
    srtp_peer_free(p->there);
    srtp_writer_free(p->writer);
    return 0;
}

static int pass_rtp(struct pair *p, uint32_t ssrc, uint16_t seq)
{
    _Alignas(16) uint8_t data[200] = {0};
    struct srtp_stream stream = {0};
    struct rtp_out o = {.pt = 111, .seq = seq, .ts = 1, .ssrc = ssrc};
    int n = rtp_out_write(&o, data, sizeof data);
    int len = srtp_writer_protect(p->writer, &stream, data, (size_t)n + 20, (size_t)n, sizeof data);
    assert_true(len > 0);
    size_t size = (size_t)len;
    return srtp_peer_unprotect_rtp(p->here, data, &size);
}

static int pass_rtcp(struct pair *p, uint32_t ssrc)
{
    _Alignas(16) uint8_t data[8 + SRTP_PEER_OVERHEAD] = {0x80, 201, 0, 1};
    for (int i = 0; i < 4; i++) {
        data[4 + i] = (uint8_t)(ssrc >> (24 - 8 * i));
    }
    size_t size = 8;
    assert_int_equal(srtp_peer_protect_rtcp(p->there, data, &size), OK);
    return srtp_peer_unprotect_rtcp(p->here, data, &size);
}

static void a_replayed_packet_is_refused(void **state)
{
    assert_int_equal(pass_rtp(*state, 7, 100), OK);
    assert_int_equal(pass_rtp(*state, 7, 100), ERR_CONFLICT);
    assert_int_equal(pass_rtp(*state, 7, 101), OK);
}

/* Each new SSRC takes memory and time for as long as the transport lives. */
static void streams_are_bounded(void **state)
{
    for (uint32_t i = 0; i < SRTP_PEER_MAX_STREAMS - 1; i++) {
        assert_int_equal(pass_rtp(*state, 1000 + i, 5), OK);
    }
    assert_int_equal(pass_rtcp(*state, 77), OK);
    assert_int_equal(pass_rtp(*state, 99999, 5), ERR_LIMIT);
    assert_int_equal(pass_rtcp(*state, 99999), ERR_LIMIT);
    assert_int_equal(pass_rtp(*state, 1000, 6), OK); /* those that are known go on */
    assert_int_equal(pass_rtcp(*state, 77), OK);
    assert_int_equal(pass_rtcp(*state, 1001), OK);
}

/* What doesn't authenticate takes no place. */
static void forged_packets_take_no_place(void **state)
{
    struct pair *p = *state;
    for (uint32_t i = 0; i < 2 * SRTP_PEER_MAX_STREAMS; i++) {
        _Alignas(16) uint8_t data[60] = {0x80, 111, 0, 1};
        data[9] = (uint8_t)(i >> 8);
        data[10] = (uint8_t)i;
        size_t size = sizeof data;
        assert_int_equal(srtp_peer_unprotect_rtp(p->here, data, &size), ERR_AUTH);
    }
    uint8_t little[7] = {0x80, 111};
    size_t size = sizeof little;
    assert_int_equal(srtp_peer_unprotect_rtp(p->here, little, &size), ERR_INVALID);
    assert_int_equal(srtp_peer_unprotect_rtcp(p->here, little, &size), ERR_INVALID);
    assert_int_equal(pass_rtp(*state, 7, 100), OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_replayed_packet_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(streams_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(forged_packets_take_no_place, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
