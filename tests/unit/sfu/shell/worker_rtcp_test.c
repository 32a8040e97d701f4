/* A subscriber's feedback that may wait: opened in its order, at the latest after 100 ms, as if it
 * had been opened when it came. */
#include "sfu/shell/worker_private.h"

#include "tests/unit/sfu/shell/rate_world.h"

static const double one_stream[WORLD_LAYERS + 1] = {800000};
static struct worker k;
static struct srtp_peer *client;
static int64_t before; /* feedbacks */
static uint16_t told;  /* packets, from the newest one back */

static int64_t feedbacks(void)
{
    return (int64_t)w.rate->pace.bwe->stats.feedbacks - before;
}

static int open_all_of_it(void **state)
{
    struct dtls_keys keys = {.profile = DTLS_AEAD_AES_128_GCM, .key_len = 16, .salt_len = 12};
    struct dtls_keys theirs = keys;
    (void)state;
    memset(keys.local_key, 1, sizeof keys.local_key);
    memset(keys.remote_key, 2, sizeof keys.remote_key);
    memcpy(theirs.local_key, keys.remote_key, sizeof keys.remote_key);
    memcpy(theirs.remote_key, keys.local_key, sizeof keys.local_key);
    world_open(one_stream, true);
    world_run(2);
    assert_int_equal(srtp_peer_new(&w.t.srtp, &keys), OK);
    assert_int_equal(srtp_peer_new(&client, &theirs), OK);
    memset(&k, 0, sizeof k);
    world_measure();
    k.waits = rtcp_wait_new();
    k.queue = w.q;
    k.now_us = w.now_us;
    w.t.connected = true;
    w.t.rtcp.open = true;
    before = 0;
    before = feedbacks();
    told = 0;
    return k.waits ? 0 : -1;
}

static int close_all_of_it(void **state)
{
    (void)state;
    rtcp_wait_forget(k.waits, &w.t.rtcp);
    rtcp_wait_free(k.waits);
    srtp_peer_free(w.t.srtp);
    srtp_peer_free(client);
    world_close();
    return 0;
}

struct datagram {
    size_t len;
    uint8_t data[300];
};

/* The next of what a client says: the newest packet that it hasn't told yet came, some words of
 * nothing behind it. */
static struct datagram next_feedback(size_t extra)
{
    struct datagram d;
    size_t covered;
    int64_t at_us = w.now_us + 77000000;
    int n = twcc_build(d.data, 100, 1, 2, (uint16_t)(w.next_seq - ++told), 0, &at_us, 1, &covered);
    assert_true(n > 0);
    d.len = (size_t)n + extra;
    memset(d.data + n, 0, extra);
    return d;
}

static struct datagram sealed(struct datagram d)
{
    assert_int_equal(srtp_peer_protect_rtcp(client, d.data, &d.len), OK);
    return d;
}

static void comes(struct datagram d)
{
    worker_rtcp(&k, &w.t, d.data, d.len);
}

static void passes(int64_t us)
{
    k.now_us += us;
    worker_rtcp_due(&k);
}

static void opened_together_as_it_came(void **state)
{
    int64_t from_us = k.now_us, rtt_us = w.rate->pace.bwe->rtt_us;
    (void)state;
    comes(sealed(next_feedback(0)));
    passes(50000);
    comes(sealed(next_feedback(0)));
    passes(30000);
    assert_int_equal(w.t.rtcp.n, 2);
    assert_int_equal(feedbacks(), 0);
    passes(104000);
    assert_int_equal(w.t.rtcp.n, 2);
    passes(10000);
    assert_int_equal(w.t.rtcp.n, 0);
    assert_int_equal(feedbacks(), 2);
    assert_int_equal(w.rate->pace.bwe->feedback_us, from_us + 50000);
    assert_int_equal(w.t.heard_us, from_us + 50000);
    assert_true(w.rate->pace.bwe->rtt_us < rtt_us + 10000);
    w.t.rtcp.open = false;
    comes(sealed(next_feedback(0)));
    assert_int_equal(feedbacks(), 3);
}

/* It is found when it is opened, and counted as ever. */
static void forged_and_repeated(void **state)
{
    struct datagram good = sealed(next_feedback(0)), forged = sealed(next_feedback(0));
    (void)state;
    forged.data[20] ^= 1;
    comes(forged);
    comes(good);
    comes(good);
    forged = good;
    forged.data[5] ^= 1; /* in the clear, and proved all the same */
    comes(forged);
    assert_int_equal(w.t.rtcp.n, 4);
    passes(RTCP_WAIT_US);
    assert_int_equal(feedbacks(), 1);
    assert_int_equal(k.count[SFU_DROP_SRTP_AUTH], 2);
    assert_int_equal(k.count[SFU_DROP_SRTP_REPLAY], 1);
}

static void who_sends_more_is_opened_at_once(void **state)
{
    (void)state;
    for (int i = 0; i < RTCP_WAIT_EACH; i++) {
        comes(sealed(next_feedback(0)));
    }
    assert_int_equal(feedbacks(), 0);
    comes(sealed(next_feedback(0)));
    assert_int_equal(feedbacks(), RTCP_WAIT_EACH + 1);
    assert_int_equal(w.t.rtcp.n, 0);
    assert_int_equal(k.count[SFU_DROP_SRTP_REPLAY], 0);
}

/* Before his shares are looked at, and gone with him. */
static void no_look_without_it(void **state)
{
    (void)state;
    comes(sealed(next_feedback(0)));
    worker_rate_look(&k, &w.t);
    k.now_us += DUE_TICK_US;
    w.t.subscriber = w.s;
    worker_rates(&k);
    assert_int_equal(feedbacks(), 1);
    w.t.rtcp.open = true;
    comes(sealed(next_feedback(0)));
    due_cancel(&k.rates, &w.t.rate_due);
    rtcp_wait_forget(k.waits, &w.t.rtcp);
    passes(RTCP_WAIT_US);
    assert_int_equal(feedbacks(), 1);
}

/* Anything else isn't held up, and comes behind what came before. */
static void other_rtcp_passes_in_order(void **state)
{
    struct datagram report = {.len = 8, .data = {0x80, RTCP_RR, 0, 1, 0, 0, 0, 1}};
    (void)state;
    comes(sealed(next_feedback(0)));
    comes(sealed(report));
    assert_int_equal(feedbacks(), 1);
    w.t.rtcp.open = true;
    struct datagram two = next_feedback(8);
    memcpy(two.data + two.len - 8, report.data, 8);
    comes(sealed(two));
    assert_int_equal(feedbacks(), 2);
    assert_int_equal(w.t.rtcp.n, 0);
}

/* What RFC 3711 leaves in the clear says what may wait. */
static void only_lone_feedback_waits(void **state)
{
    struct datagram d = sealed(next_feedback(0));
    (void)state;
    assert_true(rtcp_wait_is_feedback(d.data, d.len));
    for (size_t len = 0; len < sizeof d.data; len++) { /* 14: that of AES-CM */
        bool whole = len == d.len || len == d.len - 20 + 14;
        assert_int_equal(rtcp_wait_is_feedback(d.data, len), whole);
    }
    static const uint8_t bad[][2] = {{0x8e, RTCP_RTPFB}, {0x8f, RTCP_PSFB}, {0x4f, RTCP_RTPFB},
                                     {0x81, RTCP_RTPFB}, {0x8f, RTCP_RR},   {0x0f, RTCP_RTPFB}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        memcpy(d.data, bad[i], 2);
        assert_false(rtcp_wait_is_feedback(d.data, d.len));
    }
    memset(d.data, 0xff, sizeof d.data);
    assert_false(rtcp_wait_is_feedback(d.data, sizeof d.data));
}

/* A worker's places end; what is taken or forgotten is free again. */
static void places_are_bounded(void **state)
{
    static struct rtcp_queue q[RTCP_WAIT_ALL / RTCP_WAIT_EACH + 1];
    struct datagram d = sealed(next_feedback(0));
    const size_t n = RTCP_WAIT_ALL / RTCP_WAIT_EACH;
    struct rtcp_queue *due[8];
    struct rtcp_waiting *gone[RTCP_WAIT_EACH];
    (void)state;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < RTCP_WAIT_ALL; i++) {
            assert_true(rtcp_wait_put(k.waits, &q[i % n], d.data, d.len, k.now_us + (int64_t)i));
        }
        assert_false(rtcp_wait_put(k.waits, &q[n], d.data, d.len, k.now_us));
        assert_int_equal(rtcp_wait_due(k.waits, due, 8, k.now_us), 0);
        assert_int_equal(rtcp_wait_due(k.waits, due, 8, k.now_us + RTCP_WAIT_US), 8);
        assert_ptr_equal(due[7], &q[7]);
        assert_int_equal(rtcp_wait_take(k.waits, &q[0], gone), RTCP_WAIT_EACH);
        assert_int_equal(gone[0]->at_us, k.now_us);
        assert_int_equal(gone[1]->at_us, k.now_us + (int64_t)n);
        assert_true(rtcp_wait_put(k.waits, &q[n], d.data, d.len, k.now_us));
        for (size_t i = 0; i <= n; i++) {
            rtcp_wait_forget(k.waits, &q[i]);
        }
        assert_int_equal(rtcp_wait_due(k.waits, due, 8, INT64_MAX), 0);
    }
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, open_all_of_it, close_all_of_it)
    const struct CMUnitTest tests[] = {
        CASE(opened_together_as_it_came),
        CASE(forged_and_repeated),
        CASE(who_sends_more_is_opened_at_once),
        CASE(no_look_without_it),
        CASE(other_rtcp_passes_in_order),
        CASE(only_lone_feedback_waits),
        CASE(places_are_bounded),
    };
    if (srtp_init() != srtp_err_status_ok) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
