/* The probe against a STUN server that this file plays, on real sockets. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/io/udp_probe.h"

#define EVERY_US   INT64_C(10000)
#define LOOK_US    INT64_C(2000)
#define GIVE_UP_US INT64_C(10000000)

enum answer { SILENT, PROPER, OTHER_TRANSACTION, AN_ERROR, SHORT };

static struct loop *loop;
static struct udp_probe *probe;
static int fd, questions;
static enum answer answer;
static bool wanted;
static int questions_wanted;
static int64_t left_us;

static void serve(void)
{
    uint8_t p[64];
    struct sockaddr_in from;
    socklen_t from_len = sizeof(from);
    while (recvfrom(fd, p, sizeof(p), MSG_DONTWAIT, (struct sockaddr *)&from, &from_len) == 20) {
        questions++;
        assert_memory_equal(p, "\x00\x01\x00\x00\x21\x12\xa4\x42", 8);
        p[0] = 1; /* success */
        p[1] = answer == AN_ERROR ? 0x11 : 0x01;
        if (answer == OTHER_TRANSACTION)
            p[19] ^= 1;
        if (answer != SILENT)
            sendto(fd, p, answer == SHORT ? 19 : 20, 0, (struct sockaddr *)&from, from_len);
        from_len = sizeof(from);
    }
}

static void on_look(void *arg)
{
    (void)arg;
    serve();
    left_us -= LOOK_US;
    if (left_us <= 0 || (questions >= questions_wanted && udp_probe_alive(probe) == wanted))
        loop_stop(loop);
}

/* Runs until n questions were asked and the probe says what is wanted. */
static void run_until(bool alive, int n)
{
    struct loop_timer *t = loop_timer_new(loop, on_look, NULL);
    wanted = alive;
    questions = 0;
    questions_wanted = n;
    left_us = GIVE_UP_US;
    loop_timer_start(t, 0, LOOK_US);
    loop_run(loop);
    loop_timer_free(t);
    assert_true(left_us > 0);
}

static int set_up(void **state)
{
    (void)state;
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t len = sizeof(a);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) != 0)
        return -1;
    loop = loop_new();
    probe = udp_probe_new(loop, "127.0.0.1", ntohs(a.sin_port), EVERY_US);
    return probe ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    udp_probe_free(probe);
    loop_free(loop);
    close(fd);
    return 0;
}

static void alive_dead_alive(void **state)
{
    (void)state;
    assert_false(udp_probe_alive(probe));
    answer = PROPER;
    run_until(true, 1);
    run_until(true, 5);
    answer = SILENT;
    run_until(false, 2);
    answer = PROPER;
    run_until(true, 1);
}

static void wrong_answers_are_none(void **state)
{
    (void)state;
    for (answer = OTHER_TRANSACTION; answer <= SHORT; answer++)
        run_until(false, 3);
}

static void freed_while_it_asks(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct udp_probe *p = udp_probe_new(loop, "localhost", 9, EVERY_US);
        assert_non_null(p);
        answer = PROPER;
        run_until(udp_probe_alive(probe), 1);
        udp_probe_free(p);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(alive_dead_alive),
        T(wrong_answers_are_none),
        T(freed_while_it_asks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
