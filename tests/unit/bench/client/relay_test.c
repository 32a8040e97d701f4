#include "bench/client/relay.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

#include "lib/base/err.h"

/* Blocking sockets of a client and a server on a loop that turns one round at a time. */

static struct loop *loop;
static struct impair_relay *relay;
static int client, server, mover;

static int udp_socket(struct sockaddr_in *a)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    socklen_t n = sizeof *a;

    *a = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)a, n), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)a, &n), 0);
    return fd;
}

static void start(struct impair_config up, struct impair_config down)
{
    struct sockaddr_in a;
    struct sockaddr_in6 to = {.sin6_family = AF_INET6};

    client = udp_socket(&a);
    mover = udp_socket(&a);
    server = udp_socket(&a);
    to.sin6_port = a.sin_port;
    to.sin6_addr.s6_addr[10] = to.sin6_addr.s6_addr[11] = 0xff;
    memcpy(&to.sin6_addr.s6_addr[12], &a.sin_addr, 4);
    loop = loop_new();
    assert_non_null(loop);
    assert_int_equal(impair_relay_new(&relay, loop, &to, &up, &down), OK);
    struct sockaddr_in port = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)impair_relay_port(relay)),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(client, (struct sockaddr *)&port, sizeof port), 0);
    assert_int_equal(connect(mover, (struct sockaddr *)&port, sizeof port), 0);
}

static int end(void **state)
{
    (void)state;
    impair_relay_free(relay);
    relay = NULL;
    loop_free(loop);
    close(client);
    close(mover);
    close(server);
    return 0;
}

/* Turns the loop until the socket has something, at most five seconds; its length. */
static ssize_t wait_for(int fd, char *data, size_t cap, struct sockaddr_in *from)
{
    uint64_t stop = uv_hrtime() + UINT64_C(5000000000);
    socklen_t n = sizeof *from;
    ssize_t got = -1;

    while (got < 0 && uv_hrtime() < stop) {
        got = recvfrom(fd, data, cap, 0, (struct sockaddr *)from, &n);
        if (got < 0) {
            uv_run(loop_uv(loop), UV_RUN_NOWAIT);
            usleep(100);
        }
    }
    return got;
}

static void expect(int fd, const char *want, struct sockaddr_in *from)
{
    char data[2048];
    struct sockaddr_in unused;
    ssize_t n = wait_for(fd, data, sizeof data, from ? from : &unused);

    assert_int_equal(n, strlen(want));
    assert_memory_equal(data, want, strlen(want));
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), 0), strlen(text));
}

static void answer(const struct sockaddr_in *to, const char *text)
{
    assert_int_equal(sendto(server, text, strlen(text), 0, (const struct sockaddr *)to, sizeof *to),
                     strlen(text));
}

static void test_both_directions(void **state)
{
    (void)state;
    struct sockaddr_in from;
    struct impair_stats up, down;

    start((struct impair_config){0}, (struct impair_config){0});
    say(client, "one");
    expect(server, "one", &from);
    assert_true(ntohs(from.sin_port) != impair_relay_port(relay));
    answer(&from, "two");
    answer(&from, "three");
    expect(client, "two", NULL);
    expect(client, "three", NULL);
    impair_relay_stats(relay, &up, &down);
    assert_true(up.in == 1 && up.out == 1 && down.in == 2 && down.out == 2);
}

static void test_a_client_that_moves(void **state)
{
    (void)state;
    struct sockaddr_in first, second;

    start((struct impair_config){0}, (struct impair_config){0});
    say(client, "here");
    expect(server, "here", &first);
    say(mover, "there");
    expect(server, "there", &second);
    assert_int_equal(first.sin_port, second.sin_port); /* the server sees nothing of it */
    answer(&second, "found");
    expect(mover, "found", NULL);
}

static void test_strangers_are_not_the_server(void **state)
{
    (void)state;
    struct sockaddr_in from, unused;
    struct impair_stats up, down;
    int stranger = udp_socket(&unused);

    start((struct impair_config){0}, (struct impair_config){0});
    say(client, "one");
    expect(server, "one", &from);
    assert_int_equal(sendto(stranger, "x", 1, 0, (struct sockaddr *)&from, sizeof from), 1);
    answer(&from, "two");
    expect(client, "two", NULL);
    impair_relay_stats(relay, &up, &down);
    assert_int_equal(down.in, 1);
    close(stranger);
}

static void test_delay_is_kept(void **state)
{
    (void)state;
    struct sockaddr_in from;

    start((struct impair_config){.delay_us = 40000}, (struct impair_config){.delay_us = 20000});
    uint64_t sent = uv_hrtime();
    say(client, "one");
    say(client, "two");
    expect(server, "one", &from);
    expect(server, "two", &from);
    uint64_t came = uv_hrtime();
    assert_true(came - sent >= 40000000);
    answer(&from, "three");
    expect(client, "three", NULL);
    assert_true(uv_hrtime() - came >= 20000000);
}

static void test_loss(void **state)
{
    (void)state;
    struct sockaddr_in from;
    struct impair_stats up, down;

    start((struct impair_config){.loss = 0.5, .seed = 3}, (struct impair_config){0});
    uint64_t got = 0, stop = uv_hrtime() + UINT64_C(10000000000);
    char data[16];
    do {
        say(client, "packet");
        uv_run(loop_uv(loop), UV_RUN_NOWAIT);
        socklen_t n = sizeof from;
        while (recvfrom(server, data, sizeof data, 0, (struct sockaddr *)&from, &n) > 0)
            got++;
        impair_relay_stats(relay, &up, &down);
    } while (up.in < 1000 && uv_hrtime() < stop);
    while (got < up.out && wait_for(server, data, sizeof data, &from) > 0)
        got++;
    assert_true(up.in >= 1000 && up.lost > 400 && up.lost < 600);
    assert_int_equal(got, up.out);
    assert_int_equal(up.in, up.out + up.lost);
}

static void test_nobody_to_answer(void **state)
{
    (void)state;
    struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct impair_config bad = {.loss = 2}, none = {0};
    struct impair_relay *other;

    start(none, none);
    assert_int_equal(impair_relay_new(&other, loop, &to, &bad, &none), ERR_INVALID);
    assert_int_equal(impair_relay_new(&other, loop, &to, &none, &bad), ERR_INVALID);
    uv_run(loop_uv(loop), UV_RUN_NOWAIT); /* what was begun of them is closed */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_both_directions, end),
        cmocka_unit_test_teardown(test_a_client_that_moves, end),
        cmocka_unit_test_teardown(test_strangers_are_not_the_server, end),
        cmocka_unit_test_teardown(test_delay_is_kept, end),
        cmocka_unit_test_teardown(test_loss, end),
        cmocka_unit_test_teardown(test_nobody_to_answer, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
