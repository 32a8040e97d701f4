/* Trains of datagrams: out by UDP_SEGMENT, singly where the kernel refuses, in by UDP_GRO. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/io/udp_internal.h"

#define TRAIN   20
#define SEGMENT 1000
#define END     300 /* bytes of the last */

static struct udp *a, *b;
static uint8_t bytes[TRAIN * SEGMENT];
static uint8_t room[UDP_BATCH][UDP_MTU];
static struct sockaddr_in6 to;
static const struct in6_addr nowhere; /* the kernel's choice */
static int refuse_with, refusals, calls, full_after;

static int refusing(int fd, struct mmsghdr *msgs, unsigned n, int flags)
{
    calls++;
    for (unsigned i = 0; i < n; i++) {
        struct msghdr *h = &msgs[i].msg_hdr;
        bool train = false;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c))
            train |= c->cmsg_level == IPPROTO_UDP;
        if (refuse_with && train && i == 0) {
            refusals++;
            errno = refuse_with;
            return -1;
        }
        if (refuse_with && train)
            return sendmmsg(fd, msgs, i, flags);
    }
    return sendmmsg(fd, msgs, n, flags);
}

static int filling(int fd, struct mmsghdr *msgs, unsigned n, int flags)
{
    if (full_after == 0) {
        errno = EAGAIN;
        return -1;
    }
    unsigned part = n < (unsigned)full_after ? n : (unsigned)full_after;
    full_after -= (int)part;
    return sendmmsg(fd, msgs, part, flags);
}

static int setup(void **state)
{
    static const uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff, 127, 0, 0, 1};
    (void)state;
    assert_int_equal(udp_open(&a, "127.0.0.1", 0, 1 << 20), OK);
    assert_int_equal(udp_open(&b, "127.0.0.1", 0, 1 << 20), OK);
    to = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)udp_port(b))};
    memcpy(&to.sin6_addr, mapped, sizeof(mapped));
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i / SEGMENT * 7 + i);
    refuse_with = refusals = calls = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    udp_close(a);
    udp_close(b);
    return 0;
}

static struct udp_message train(void)
{
    return (struct udp_message){.data = bytes,
                                .len = (size_t)(TRAIN - 1) * SEGMENT + END,
                                .segment = SEGMENT,
                                .peer = &to,
                                .local = &nowhere};
}

static struct udp_message single(void)
{
    return (struct udp_message){.data = bytes, .len = 77, .peer = &to, .local = &nowhere};
}

static bool wait_for(struct udp *u)
{
    struct pollfd f = {.fd = udp_fd(u), .events = POLLIN};
    return poll(&f, 1, 5000) > 0;
}

/* The train's datagrams come in their order, whole. */
static void receive_train(void)
{
    struct udp_packet in[UDP_BATCH];
    for (int i = 0; i < UDP_BATCH; i++)
        in[i].data = room[i];
    for (int got = 0; got < TRAIN;) {
        assert_true(wait_for(b));
        int n = udp_recv(b, in, TRAIN - got);
        assert_true(n > 0);
        for (int i = 0; i < n; i++, got++) {
            assert_int_equal(in[i].len, got == TRAIN - 1 ? END : SEGMENT);
            assert_memory_equal(in[i].data, bytes + got * SEGMENT, in[i].len);
        }
    }
}

static void receive_single(void)
{
    struct udp_packet in = {.data = room[0]};
    assert_true(wait_for(b));
    assert_int_equal(udp_recv(b, &in, 1), 1);
    assert_int_equal(in.len, 77);
}

static void a_train_is_one_message(void **state)
{
    struct udp_message m[3] = {single(), train(), single()};
    (void)state;
    a->sendmmsg = refusing; /* counts only */
    assert_int_equal(udp_send_messages(a, m, 3), TRAIN + 2);
    receive_single();
    receive_train();
    receive_single();
    assert_int_equal(calls, 1);
    assert_int_equal(udp_segments(a), UDP_SEGMENTS_ON);
}

/* The kernel can't: nothing is lost, the order stays, and it isn't asked again. */
static void a_refusal_at_first_is_for_good(void **state)
{
    static const int why[] = {EIO, EINVAL, EOPNOTSUPP, ENOPROTOOPT};
    struct udp_message m[3] = {single(), train(), single()};
    (void)state;
    for (size_t i = 0; i < sizeof(why) / sizeof(why[0]); i++) {
        a->segments = UDP_SEGMENTS_ON;
        a->sendmmsg = refusing;
        refuse_with = why[i];
        refusals = 0;
        for (int round = 0; round < 3; round++) {
            assert_int_equal(udp_send_messages(a, m, 3), TRAIN + 2);
            receive_single();
            receive_train();
            receive_single();
        }
        assert_int_equal(refusals, 1);
        assert_int_equal(udp_segments(a), UDP_SEGMENTS_OFF);
    }
}

/* One peer's narrow route is no reason for the others. */
static void a_refusal_later_is_for_that_train(void **state)
{
    struct udp_message m = train();
    (void)state;
    a->sendmmsg = refusing;
    assert_int_equal(udp_send_messages(a, &m, 1), TRAIN);
    receive_train();
    refuse_with = EINVAL;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(udp_send_messages(a, &m, 1), TRAIN);
        receive_train();
    }
    assert_int_equal(udp_segments(a), UDP_SEGMENTS_ON);
    for (int i = 0; i < 60; i++) { /* but when all are refused, it is the kernel */
        assert_int_equal(udp_send_messages(a, &m, 1), TRAIN);
        receive_train();
    }
    assert_int_equal(udp_segments(a), UDP_SEGMENTS_OFF);
    assert_int_equal(refusals, 64);
}

static void full_buffers_end_the_attempt(void **state)
{
    struct udp_message m[4] = {single(), train(), single(), train()};
    (void)state;
    a->sendmmsg = filling;
    full_after = 2;
    assert_int_equal(udp_send_messages(a, m, 4), 1 + TRAIN);
    receive_single();
    receive_train();
    full_after = 100;
    assert_int_equal(udp_send_messages(a, m, 4), 2 * TRAIN + 2);
}

static void more_messages_than_one_call_takes(void **state)
{
    static struct udp_message m[UDP_SEND_MAX + 500];
    (void)state;
    for (size_t i = 0; i < UDP_SEND_MAX + 500; i++) {
        m[i] = single();
        m[i].len = 1;
    }
    a->sendmmsg = refusing;
    assert_int_equal(udp_send_messages(a, m, UDP_SEND_MAX + 500), UDP_SEND_MAX + 500);
    assert_in_range(calls, 2, 3);
}

/* What came joined is given out one by one, also when there is room for a few only. */
static void joined_datagrams_come_apart(void **state)
{
    struct udp_message m[2] = {train(), single()};
    struct udp_packet in[7];
    int got = 0;
    (void)state;
    assert_int_equal(udp_recv_joined(b, in, 7), ERR_STATE);
    if (udp_gro(b) != OK)
        skip(); /* before Linux 5.0 */
    assert_int_equal(udp_recv_joined(b, in, 7), 0);
    assert_int_equal(udp_send_messages(a, m, 2), TRAIN + 1);
    while (got < TRAIN + 1) {
        assert_true(got % 7 != 0 || got > 0 || wait_for(b));
        int n = udp_recv_joined(b, in, 7);
        assert_in_range(n, 1, 7);
        for (int i = 0; i < n; i++, got++) {
            size_t len = got < TRAIN - 1 ? SEGMENT : got == TRAIN - 1 ? END : 77;
            assert_int_equal(in[i].len, len);
            assert_memory_equal(in[i].data, got < TRAIN ? bytes + got * SEGMENT : bytes, len);
            assert_int_equal(ntohs(in[i].peer.sin6_port), udp_port(a));
        }
    }
    assert_int_equal(udp_recv_joined(b, in, 7), 0);
    assert_int_equal(udp_recv(b, in, 7), ERR_STATE);
}

static void a_joined_one_too_long_has_no_length(void **state)
{
    struct udp_message m = {.data = bytes, .len = UDP_MTU + 1, .peer = &to, .local = &nowhere};
    struct udp_packet in;
    (void)state;
    if (udp_gro(b) != OK)
        skip();
    assert_int_equal(udp_send_messages(a, &m, 1), 1);
    assert_true(wait_for(b));
    assert_int_equal(udp_recv_joined(b, &in, 1), 1);
    assert_int_equal(in.len, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_train_is_one_message),
        TEST(a_refusal_at_first_is_for_good),
        TEST(a_refusal_later_is_for_that_train),
        TEST(full_buffers_end_the_attempt),
        TEST(more_messages_than_one_call_takes),
        TEST(joined_datagrams_come_apart),
        TEST(a_joined_one_too_long_has_no_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
