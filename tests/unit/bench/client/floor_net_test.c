#include "bench/client/floor_net.h"

#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/err.h"

#define SEGMENT 1000
#define PACKETS 5
#define LAST    300

static struct floor_net *net;
static int receiver;
static uint16_t receiver_port;
static uint8_t train[SEGMENT * PACKETS];

static int set_up(enum floor_net_mode mode)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t len = sizeof(a);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    receiver = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(receiver, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(getsockname(receiver, (struct sockaddr *)&a, &len), 0);
    receiver_port = ntohs(a.sin_port);
    for (size_t i = 0; i < sizeof(train); i++)
        train[i] = (uint8_t)(i / SEGMENT + i);
    return floor_net_open(&net, 0, mode);
}

static void tear_down(void)
{
    floor_net_close(net);
    close(receiver);
}

static struct floor_message message(void)
{
    return (struct floor_message){.port = receiver_port,
                                  .packets = PACKETS,
                                  .segment = SEGMENT,
                                  .len = SEGMENT * (PACKETS - 1) + LAST,
                                  .data = train};
}

static void assert_train_arrives(void)
{
    uint8_t data[2048];
    for (int i = 0; i < PACKETS; i++) {
        struct pollfd p = {.fd = receiver, .events = POLLIN};
        assert_int_equal(poll(&p, 1, 2000), 1);
        ssize_t n = recv(receiver, data, sizeof(data), 0);
        assert_int_equal(n, i < PACKETS - 1 ? SEGMENT : LAST);
        assert_memory_equal(data, train + i * SEGMENT, n);
    }
    struct pollfd p = {.fd = receiver, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 0), 0);
}

static void sends(enum floor_net_mode mode, bool refuse_segments, uint64_t calls)
{
    struct floor_message m[2];
    struct floor_net_stats s;
    int on = 1;
    assert_int_equal(set_up(mode), OK);
    m[0] = m[1] = message();
    if (refuse_segments) /* the kernel doesn't segment what has no checksum: EIO */
        setsockopt(floor_net_fd(net), SOL_SOCKET, SO_NO_CHECK, &on, sizeof(on));
    for (int i = 0; i < 2; i++) {
        floor_net_send(net, &m[i], 1);
        assert_train_arrives();
    }
    floor_net_stats(net, &s);
    assert_int_equal(s.messages, 2);
    assert_int_equal(s.refused, 0);
    assert_int_equal(s.send_calls, calls);
    assert_int_equal(floor_net_fell_back(net), refuse_segments);
    tear_down();
}

static void test_a_train_is_one_call(void **state)
{
    (void)state;
    sends(NET_TRAIN, false, 2);
}

static void test_refused_trains_go_singly(void **state)
{
    (void)state;
    sends(NET_TRAIN, true, 1 + 2 * PACKETS);
}

static void test_sendto(void **state)
{
    (void)state;
    sends(NET_SENDTO, false, 2 * PACKETS);
}

static void test_a_batch_is_one_call(void **state)
{
    (void)state;
    struct floor_message m[NET_BATCH + 1];
    struct floor_net_stats s;
    uint8_t data[16];
    assert_int_equal(set_up(NET_SENDMMSG), OK);
    for (size_t i = 0; i < NET_BATCH + 1; i++)
        m[i] = (struct floor_message){
            .port = receiver_port, .packets = 1, .len = 1 + i % 8, .data = train};
    floor_net_send(net, m, NET_BATCH + 1);
    for (size_t i = 0; i < NET_BATCH + 1; i++)
        assert_int_equal(recv(receiver, data, sizeof(data), 0), 1 + i % 8);
    floor_net_stats(net, &s);
    assert_int_equal(s.send_calls, 2);
    tear_down();
}

static void test_one_that_is_refused_does_not_hold_the_others_up(void **state)
{
    (void)state;
    struct floor_message m[3];
    struct floor_net_stats s;
    uint8_t data[16];
    assert_int_equal(set_up(NET_SENDMMSG), OK);
    for (size_t i = 0; i < 3; i++)
        m[i] = (struct floor_message){
            .port = receiver_port, .packets = 1, .len = 1 + i, .data = train};
    m[1].port = 0; /* EINVAL */
    floor_net_send(net, m, 3);
    assert_int_equal(recv(receiver, data, sizeof(data), 0), 1);
    assert_int_equal(recv(receiver, data, sizeof(data), 0), 3);
    floor_net_stats(net, &s);
    assert_int_equal(s.refused, 1);
    tear_down();
}

static void test_receives_with_the_port(void **state)
{
    (void)state;
    struct floor_datagram *d;
    struct sockaddr_in to = {.sin_family = AF_INET};
    assert_int_equal(set_up(NET_TRAIN), OK);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons((uint16_t)floor_net_port(net));
    assert_int_equal(floor_net_receive(net, &d), 0);
    for (int i = 0; i < 3; i++)
        sendto(receiver, train, 2000 + (i == 1 ? 1000 : i), 0, (struct sockaddr *)&to, sizeof(to));
    assert_int_equal(floor_net_receive(net, &d), 3);
    assert_int_equal(d[0].len, 2000);
    assert_int_equal(d[1].len, 0); /* longer than any packet */
    assert_int_equal(d[2].len, 2002);
    assert_int_equal(d[2].port, receiver_port);
    tear_down();
}

static void test_a_port_that_is_taken(void **state)
{
    (void)state;
    struct floor_net *other = NULL;
    assert_int_equal(set_up(NET_TRAIN), OK);
    assert_int_equal(floor_net_open(&other, receiver_port, NET_TRAIN), ERR_IO);
    assert_null(other);
    tear_down();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_train_is_one_call),
        cmocka_unit_test(test_refused_trains_go_singly),
        cmocka_unit_test(test_sendto),
        cmocka_unit_test(test_a_batch_is_one_call),
        cmocka_unit_test(test_one_that_is_refused_does_not_hold_the_others_up),
        cmocka_unit_test(test_receives_with_the_port),
        cmocka_unit_test(test_a_port_that_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
