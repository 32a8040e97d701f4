#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/err.h"
#include "lib/io/udp.h"

static uint8_t room[UDP_BATCH][UDP_MTU];

static int receive(struct udp *u, struct udp_packet *p, int want)
{
    int got = 0;
    while (got < want) {
        struct pollfd f = {.fd = udp_fd(u), .events = POLLIN};
        if (poll(&f, 1, 5000) <= 0)
            return got;
        for (int i = got; i < UDP_BATCH; i++)
            p[i].data = room[i];
        int n = udp_recv(u, p + got, UDP_BATCH - got);
        if (n < 0)
            return n;
        got += n;
    }
    return got;
}

static struct sockaddr_in6 loopback(int port)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    static const uint8_t mapped[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1};
    memcpy(&a.sin6_addr, mapped, sizeof(mapped));
    return a;
}

static void batches_go_and_come(void **state)
{
    struct udp *a = NULL, *b = NULL;
    struct udp_packet out[100] = {0}, in[UDP_BATCH] = {0};
    uint8_t bytes[100];
    (void)state;
    assert_int_equal(udp_open(&a, "", 0, 1 << 20), OK);
    assert_int_equal(udp_open(&b, "127.0.0.1", 0, 1 << 20), OK);
    for (int i = 0; i < 100; i++) {
        bytes[i] = (uint8_t)i;
        out[i] = (struct udp_packet){.data = &bytes[i], .len = 1, .peer = loopback(udp_port(b))};
    }
    assert_int_equal(udp_send(a, out, 60), 60);
    assert_int_equal(receive(b, in, 60), 60);
    for (int i = 0; i < 60; i++) {
        assert_int_equal(in[i].len, 1);
        assert_int_equal(in[i].data[0], i);
        assert_int_equal(ntohs(in[i].peer.sin6_port), udp_port(a));
        assert_true(IN6_IS_ADDR_V4MAPPED(&in[i].peer.sin6_addr));
    }
    assert_int_equal(udp_recv(b, in, UDP_BATCH), 0);
    assert_int_equal(udp_send(a, out, 100), 100); /* more than one batch */
    udp_close(a);
    udp_close(b);
}

static void a_truncated_datagram_has_no_length(void **state)
{
    struct udp *a = NULL, *b = NULL;
    static uint8_t big[UDP_MTU + 1];
    struct udp_packet in[UDP_BATCH] = {0};
    (void)state;
    assert_int_equal(udp_open(&a, "127.0.0.1", 0, 0), OK);
    assert_int_equal(udp_open(&b, "127.0.0.1", 0, 0), OK);
    struct udp_packet out[2] = {{.data = big, .len = UDP_MTU + 1, .peer = loopback(udp_port(b))},
                                {.data = big, .len = UDP_MTU, .peer = loopback(udp_port(b))}};
    assert_int_equal(udp_send(a, out, 2), 2);
    assert_int_equal(receive(b, in, 2), 2);
    assert_int_equal(in[0].len, 0);
    assert_int_equal(in[1].len, UDP_MTU);
    udp_close(a);
    udp_close(b);
}

static void a_taken_port_is_an_error(void **state)
{
    struct udp *a = NULL, *b = NULL;
    (void)state;
    assert_int_equal(udp_open(&a, "127.0.0.1", 0, 0), OK);
    assert_int_equal(udp_open(&b, "127.0.0.1", udp_port(a), 0), ERR_IO);
    assert_null(b);
    assert_int_equal(udp_open(&b, "not an address", 0, 0), ERR_INVALID);
    udp_close(a);
}

static void one_unsendable_datagram_does_not_stop_the_rest(void **state)
{
    struct udp *a = NULL, *b = NULL;
    struct udp_packet in[UDP_BATCH] = {0};
    uint8_t byte = 9;
    (void)state;
    assert_int_equal(udp_open(&a, "127.0.0.1", 0, 0), OK);
    assert_int_equal(udp_open(&b, "127.0.0.1", 0, 0), OK);
    struct udp_packet out[3] = {{.data = &byte, .len = 1, .peer = loopback(udp_port(b))},
                                {.data = &byte, .len = 1, .peer = loopback(0)}, /* no such port */
                                {.data = &byte, .len = 1, .peer = loopback(udp_port(b))}};
    assert_int_equal(udp_send(a, out, 3), 2);
    assert_int_equal(receive(b, in, 2), 2);
    udp_close(a);
    udp_close(b);
}

/* On a host with several addresses the kernel's choice may be another than the peer knows. */
static void answers_come_from_the_address_asked(void **state)
{
    struct udp *a = NULL;
    struct udp_packet in[UDP_BATCH] = {0};
    struct sockaddr_in to = {.sin_family = AF_INET};
    uint8_t byte = 7;
    (void)state;
    assert_int_equal(udp_open(&a, "", 0, 0), OK);
    to.sin_port = htons((uint16_t)udp_port(a));
    to.sin_addr.s_addr = htonl(0x7f000007); /* 127.0.0.7 */
    int peer = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(connect(peer, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(send(peer, &byte, 1, 0), 1);
    assert_int_equal(receive(a, in, 1), 1);
    assert_memory_equal(&in[0].local.s6_addr[12], &to.sin_addr, 4);
    assert_int_equal(in[0].local.s6_addr[11], 0xff);

    struct udp_packet out[3] = {in[0], in[0], in[0]};
    static const uint8_t foreign[4] = {203, 0, 113, 9}; /* none of this host's: it alone is lost */
    memcpy(&out[1].local.s6_addr[12], foreign, 4);
    assert_int_equal(udp_send(a, out, 3), 2);
    for (int i = 0; i < 2; i++) { /* connected: hears that one address only */
        struct pollfd f = {.fd = peer, .events = POLLIN};
        assert_int_equal(poll(&f, 1, 5000), 1);
        assert_int_equal(recv(peer, &byte, 1, 0), 1);
    }
    close(peer);
    udp_close(a);
}

static struct in6_addr mapped(uint8_t last)
{
    return (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = last}};
}

/* As often as it is asked, of either family in turn. */
static void what_the_kernel_would_send_from(void **state)
{
    struct udp *any = NULL, *bound = NULL;
    struct sockaddr_in6 v4 = loopback(9), v6 = {.sin6_family = AF_INET6, .sin6_port = htons(9)};
    struct sockaddr_in6 nobody = {.sin6_family = AF_UNSPEC};
    struct in6_addr first = mapped(1), seventh = mapped(7);
    (void)state;
    v6.sin6_addr = in6addr_loopback;
    assert_int_equal(udp_open(&any, "", 0, 0), OK);
    assert_int_equal(udp_open(&bound, "127.0.0.1", 0, 0), OK);
    bool has_v6 = udp_is_source(any, &v6, &in6addr_loopback);
    for (int i = 0; i < 3; i++) {
        assert_true(udp_is_source(any, &v4, &first));
        assert_false(udp_is_source(any, &v4, &seventh));
        assert_false(udp_is_source(any, &v4, &in6addr_loopback));
        assert_int_equal(udp_is_source(any, &v6, &in6addr_loopback), has_v6);
        assert_false(udp_is_source(any, &v6, &first));
        assert_false(udp_is_source(any, &nobody, &first));
        v4.sin6_port = htons((uint16_t)(10 + i));
    }
    assert_false(udp_is_source(bound, &v4, &first)); /* there is nothing to be named */
    udp_close(any);
    udp_close(bound);
}

static void answers_by_ipv6_too(void **state)
{
    struct udp *a = NULL;
    struct udp_packet in[UDP_BATCH] = {0};
    struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    uint8_t byte = 7;
    (void)state;
    assert_int_equal(udp_open(&a, "::", 0, 0), OK);
    to.sin6_port = htons((uint16_t)udp_port(a));
    int peer = socket(AF_INET6, SOCK_DGRAM, 0);
    if (peer < 0 || connect(peer, (struct sockaddr *)&to, sizeof(to)) != 0) {
        udp_close(a); /* a host without IPv6 */
        skip();
    }
    assert_int_equal(send(peer, &byte, 1, 0), 1);
    assert_int_equal(receive(a, in, 1), 1);
    assert_memory_equal(&in[0].local, &to.sin6_addr, sizeof(in[0].local));
    assert_int_equal(udp_send(a, in, 1), 1);
    struct pollfd f = {.fd = peer, .events = POLLIN};
    assert_int_equal(poll(&f, 1, 5000), 1);
    close(peer);
    udp_close(a);
}

static void a_bound_address_is_the_only_one(void **state)
{
    struct udp *a = NULL, *b = NULL;
    struct udp_packet in[UDP_BATCH] = {0};
    uint8_t byte = 7;
    (void)state;
    assert_int_equal(udp_open(&a, "127.0.0.1", 0, 0), OK);
    assert_int_equal(udp_open(&b, "127.0.0.1", 0, 0), OK);
    struct udp_packet out = {.data = &byte, .len = 1, .peer = loopback(udp_port(b))};
    memset(&in[0].local, 9, sizeof(in[0].local));
    assert_int_equal(udp_send(a, &out, 1), 1);
    assert_int_equal(receive(b, in, 1), 1);
    assert_true(IN6_IS_ADDR_UNSPECIFIED(&in[0].local));
    udp_close(a);
    udp_close(b);
}

/* Whoever may has the buffer that he asked for; what doesn't fit is counted. */
static void what_finds_no_room_is_counted(void **state)
{
    struct udp *a = NULL, *b = NULL;
    uint8_t bytes[1200] = {0};
    struct udp_packet out[UDP_BATCH] = {0}, in[UDP_BATCH] = {0};
    int sent = 0, got = 0, n;
    (void)state;
    assert_int_equal(udp_open(&a, "127.0.0.1", 0, 1 << 20), OK);
    assert_int_equal(udp_open(&b, "127.0.0.1", 0, 65536), OK);
    for (int i = 0; i < UDP_BATCH; i++)
        out[i] =
            (struct udp_packet){.data = bytes, .len = sizeof(bytes), .peer = loopback(udp_port(b))};
    assert_int_equal(udp_dropped(b), 0);
    for (int i = 0; i < 8; i++)
        sent += udp_send(a, out, UDP_BATCH);
    do {
        n = receive(b, in, 1);
        got += n;
    } while (n > 0 && got + (int)udp_dropped(b) < sent);
    assert_true(udp_dropped(b) > 0);
    assert_int_equal(got + (int)udp_dropped(b), sent);
    udp_close(a);
    udp_close(b);
}

static void buffers_are_as_asked_for(void **state)
{
    struct udp *u = NULL;
    int got = 0, want = 8 << 20;
    socklen_t n = sizeof(got);
    (void)state;
    assert_int_equal(udp_open(&u, "127.0.0.1", 0, want), OK);
    if (setsockopt(udp_fd(u), SOL_SOCKET, SO_RCVBUFFORCE, &want, sizeof(want)) != 0) {
        udp_close(u);
        skip(); /* we may not */
    }
    udp_close(u);
    assert_int_equal(udp_open(&u, "127.0.0.1", 0, want), OK);
    assert_int_equal(getsockopt(udp_fd(u), SOL_SOCKET, SO_RCVBUF, &got, &n), 0);
    assert_int_equal(got, 2 * want);
    udp_close(u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_go_and_come),
        cmocka_unit_test(a_truncated_datagram_has_no_length),
        cmocka_unit_test(a_taken_port_is_an_error),
        cmocka_unit_test(one_unsendable_datagram_does_not_stop_the_rest),
        cmocka_unit_test(answers_come_from_the_address_asked),
        cmocka_unit_test(what_the_kernel_would_send_from),
        cmocka_unit_test(answers_by_ipv6_too),
        cmocka_unit_test(a_bound_address_is_the_only_one),
        cmocka_unit_test(what_finds_no_room_is_counted),
        cmocka_unit_test(buffers_are_as_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
