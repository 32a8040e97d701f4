/* Connections come and go, within their bounds; who reads slowly loses what matters less first, and
 * never a part of a packet. The clock is the test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/err.h"
#include "lib/io/tcp_frames.h"
#include "sfu/shell/tcp_listener.h"

#define SECOND INT64_C(1000000)

static struct tcp_conn *spoke; /* who spoke last */
static int packets, ends;
static bool drop_next, answer_next;
static uint8_t last[TCP_FRAME_MAX];
static size_t last_len;
static int64_t now = 1000 * SECOND;

static void on_packet(void *arg, struct tcp_conn *c, uint8_t *data, size_t len)
{
    (void)arg;
    spoke = c;
    packets++;
    last_len = len;
    memcpy(last, data, len);
    if (answer_next) { /* as the worker does with a check: the answer, then the user */
        answer_next = false;
        (void)tcp_conn_send(c, data, len, true, now);
        tcp_conn_prove(c);
        tcp_conn_set_user(c, arg);
    }
    if (drop_next) {
        drop_next = false;
        tcp_conn_drop(c);
    }
}

static void on_end(void *arg, struct tcp_conn *c)
{
    assert_ptr_equal(tcp_conn_user(c), arg);
    ends++;
}

static struct tcp_listener *open_listener(size_t connections, size_t per_prefix)
{
    struct tcp_listener *l;
    struct tcp_listener_options o = {.address = "127.0.0.1",
                                     .connections = connections,
                                     .per_prefix = per_prefix,
                                     .on_packet = on_packet,
                                     .on_end = on_end,
                                     .arg = &ends};
    assert_int_equal(tcp_listener_open(&l, &o), OK);
    packets = ends = 0;
    spoke = NULL;
    return l;
}

/* From 127.<net>.0.1, which is another /24 for each. */
static int client_of(struct tcp_listener *l, uint32_t net)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    a.sin_addr.s_addr = htonl(0x7f000001 | net << 16);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a.sin_port = htons((uint16_t)tcp_listener_port(l));
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

/* Turns until nothing is to be done any more. */
static void settle(struct tcp_listener *l)
{
    struct pollfd f = {.fd = tcp_listener_fd(l), .events = POLLIN};
    for (int i = 0; i < 2000 && poll(&f, 1, 20) > 0; i++) {
        tcp_listener_turn(l, now);
    }
}

static void say(int fd, const char *text)
{
    uint8_t out[100];
    size_t n = strlen(text);
    tcp_frames_header(out, n);
    memcpy(out + TCP_FRAME_HEADER, text, n);
    assert_int_equal(send(fd, out, TCP_FRAME_HEADER + n, 0), (ssize_t)(TCP_FRAME_HEADER + n));
}

static bool is_closed(int fd)
{
    uint8_t byte;
    struct pollfd f = {.fd = fd, .events = POLLIN};
    return poll(&f, 1, 1000) > 0 && recv(fd, &byte, 1, MSG_DONTWAIT) <= 0;
}

static struct tcp_conn *proven(struct tcp_listener *l, int fd)
{
    say(fd, "check");
    settle(l);
    assert_non_null(spoke);
    tcp_conn_prove(spoke);
    tcp_conn_set_user(spoke, &ends);
    return spoke;
}

static void test_packets_both_ways(void **state)
{
    (void)state;
    struct tcp_listener *l = open_listener(10, 10);
    uint8_t in[32];
    int fd = client_of(l, 0);
    say(fd, "hello");
    say(fd, "again");
    settle(l);
    assert_int_equal(packets, 2);
    assert_memory_equal(last, "again", 5);
    assert_int_equal(tcp_listener_count(l), 1);
    assert_true(IN6_IS_ADDR_V4MAPPED(&tcp_conn_peer(spoke)->sin6_addr));
    assert_true(tcp_conn_send(spoke, (const uint8_t *)"one", 3, true, now));
    tcp_conn_cork(spoke);
    assert_true(tcp_conn_send(spoke, (const uint8_t *)"two", 3, true, now));
    assert_int_equal(recv(fd, in, sizeof in, 0), 5);
    assert_memory_equal(in, "\0\3one", 5);
    tcp_conn_uncork(spoke, now);
    assert_int_equal(recv(fd, in, sizeof in, 0), 5);
    assert_memory_equal(in, "\0\3two", 5);
    drop_next = true;
    say(fd, "bye");
    say(fd, "and more");
    settle(l);
    assert_int_equal(packets, 3); /* nothing is heard of one that was dropped */
    assert_true(is_closed(fd));
    assert_int_equal(tcp_listener_count(l), 0);
    close(fd);
    tcp_listener_close(l);
}

static void test_proof_in_time_or_closed(void **state)
{
    (void)state;
    struct tcp_listener *l = open_listener(10, 10);
    struct tcp_counts counts;
    int good = client_of(l, 0);
    (void)proven(l, good);
    int silent = client_of(l, 0), talking = client_of(l, 0);
    settle(l);
    now += TCP_PROOF_US;
    say(talking, "still no check");
    settle(l);
    tcp_listener_tick(l, now);
    assert_int_equal(tcp_listener_count(l), 3);
    now++;
    tcp_listener_tick(l, now);
    assert_int_equal(tcp_listener_count(l), 1);
    assert_true(is_closed(silent) && is_closed(talking));
    assert_true(tcp_listener_is_idle(l));
    tcp_listener_take_counts(l, &counts);
    assert_int_equal(counts.accepted, 3);
    assert_int_equal(counts.unproven, 2);
    assert_int_equal(ends, 0); /* they were nobody's */
    close(silent);
    close(talking);
    close(good);
    settle(l);
    assert_int_equal(ends, 1); /* that one was somebody's */
    assert_int_equal(tcp_listener_count(l), 0);
    tcp_listener_close(l);
}

static void test_what_is_no_frame(void **state)
{
    (void)state;
    struct tcp_listener *l = open_listener(10, 10);
    int fd = client_of(l, 0);
    assert_true(send(fd, "GET / HTTP/1.1\r\n\r\n", 18, 0) == 18);
    settle(l);
    assert_true(is_closed(fd));
    assert_int_equal(packets, 0);
    close(fd);
    tcp_listener_close(l);
}

static void test_bounds(void **state)
{
    (void)state;
    enum { ALL = 8, EACH = 3 };
    struct tcp_listener *l = open_listener(ALL, EACH);
    struct tcp_counts counts;
    int greedy[5], fd[ALL];
    for (int i = 0; i < 5; i++) { /* one network gets so many, and no more */
        greedy[i] = client_of(l, 1);
        settle(l);
    }
    assert_int_equal(tcp_listener_count(l), EACH);
    assert_true(is_closed(greedy[3]) && is_closed(greedy[4]));
    for (int i = 0; i < ALL; i++) { /* others push the unproven out, oldest first, and stay */
        fd[i] = client_of(l, 10 + (uint32_t)i);
        settle(l);
        (void)proven(l, fd[i]);
        assert_true(tcp_listener_count(l) <= ALL);
    }
    assert_true(is_closed(greedy[0]) && is_closed(greedy[1]) && is_closed(greedy[2]));
    int late = client_of(l, 2); /* the proven ones keep their places */
    settle(l);
    assert_true(is_closed(late));
    assert_int_equal(tcp_listener_count(l), ALL);
    tcp_listener_take_counts(l, &counts);
    assert_int_equal(counts.refused, 2 + EACH + 1);
    close(fd[0]);
    settle(l);
    close(late);
    late = client_of(l, 2); /* and one that goes makes place */
    settle(l);
    assert_int_equal(tcp_listener_count(l), ALL);
    for (int i = 0; i < 5; i++) {
        close(greedy[i]);
    }
    for (int i = 1; i < ALL; i++) {
        close(fd[i]);
    }
    close(late);
    tcp_listener_close(l);
}

/* ---- a slow reader ---- */

/* Packets that say of themselves what they are: kind, number, and the same byte to the end. */
static bool send_packet(struct tcp_conn *c, char kind, uint32_t number)
{
    uint8_t out[1000];
    memset(out, (int)(number & 0xff), sizeof out);
    out[0] = (uint8_t)kind;
    memcpy(out + 1, &number, sizeof number);
    return tcp_conn_send(c, out, sizeof out, kind == 'a', now);
}

static void fill(struct tcp_conn *c, bool *got, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        got[i] = send_packet(c, i % 10 == 0 ? 'a' : 'v', i);
    }
}

static void test_a_slow_reader_loses_video_first(void **state)
{
    (void)state;
    enum { N = 8000 };
    static bool taken[N];
    struct tcp_listener *l = open_listener(10, 10);
    struct tcp_counts counts;
    int fd = client_of(l, 0);
    struct tcp_conn *c = proven(l, fd);
    uint32_t sent = 0;
    while (send_packet(c, 'v', sent)) { /* until the first one is dropped */
        assert_true(++sent < 100000);
    }
    assert_false(tcp_listener_is_idle(l));
    fill(c, taken, 200); /* sound is taken while there is room for it; no picture is */
    int sound = 0, pictures = 0;
    for (int i = 0; i < 200; i++) {
        sound += taken[i] && i % 10 == 0;
        pictures += taken[i] && i % 10 != 0;
    }
    assert_int_equal(sound, 20);
    assert_int_equal(pictures, 0);
    fill(c, taken, N); /* and in the end there is room for nothing */
    assert_false(taken[N - 10]);
    tcp_listener_take_counts(l, &counts);
    assert_true(counts.dropped > N / 2);

    /* What arrives is whole packets: those of before, then the sound. */
    struct tcp_frames frames = {0};
    uint8_t in[3000];
    uint32_t next = 0, sounds = 0;
    struct pollfd f = {.fd = fd, .events = POLLIN};
    bool ended = false;
    for (;;) {
        tcp_listener_turn(l, now);
        if (tcp_listener_is_idle(l) && !ended) { /* all of it has left */
            ended = true;
            assert_true(send_packet(c, 'v', sent)); /* it has caught up */
            tcp_conn_drop(c);
        }
        if (poll(&f, 1, 10) <= 0) {
            continue;
        }
        ssize_t got = recv(fd, in, sizeof in, 0);
        assert_true(got >= 0);
        if (got == 0) {
            break;
        }
        const uint8_t *data = in, *frame;
        size_t len = (size_t)got;
        int n;
        while ((n = tcp_frames_next(&frames, &data, &len, &frame)) > 0) {
            uint32_t number;
            assert_int_equal(n, 1000);
            memcpy(&number, frame + 1, sizeof number);
            assert_int_equal(frame[500], number & 0xff);
            assert_int_equal(frame[999], number & 0xff);
            assert_true(frame[0] == 'a' || number == next);
            next += frame[0] == 'v';
            sounds += frame[0] == 'a';
        }
        assert_int_equal(n, 0);
    }
    assert_int_equal(next, sent + 1);
    assert_true(sounds > 100 && tcp_frames_is_clean(&frames));
    assert_int_equal(ends, 0);
    close(fd);
    tcp_listener_close(l);
}

static void test_too_far_behind_is_closed(void **state)
{
    (void)state;
    struct tcp_listener *l = open_listener(10, 10);
    struct tcp_counts counts;
    uint8_t in[4096];
    int fd = client_of(l, 0);
    struct tcp_conn *c = proven(l, fd);
    while (send_packet(c, 'v', 0)) {
    }
    for (int i = 0; i < 20; i++) { /* slow, but it goes on: all that waited leaves in a second */
        now += TCP_BEHIND_US / 2;
        for (int k = 0; k < 40; k++) {
            struct pollfd f = {.fd = fd, .events = POLLIN};
            tcp_listener_turn(l, now);
            if (poll(&f, 1, 1) > 0) {
                assert_true(recv(fd, in, sizeof in, MSG_DONTWAIT) > 0);
            }
        }
        while (send_packet(c, 'v', 0)) {
        }
        tcp_listener_tick(l, now);
        assert_int_equal(tcp_listener_count(l), 1);
    }
    now += 2 * TCP_BEHIND_US + 1; /* nothing is read any more */
    tcp_listener_tick(l, now);
    assert_int_equal(tcp_listener_count(l), 0);
    assert_int_equal(ends, 1);
    tcp_listener_take_counts(l, &counts);
    assert_int_equal(counts.slow, 1);
    close(fd);
    tcp_listener_close(l);
}

/* It is reset before its packet is answered: who takes the connection for his own then is told that
 * it ended, before it is freed. */
static void test_reset_before_the_answer(void **state)
{
    (void)state;
    struct tcp_listener *l = open_listener(10, 10);
    struct linger none = {.l_onoff = 1};
    int fd = client_of(l, 0);
    tcp_listener_turn(l, now); /* accepts */
    say(fd, "check");
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none), 0);
    close(fd);
    answer_next = true;
    settle(l);
    assert_int_equal(packets, 1);
    assert_int_equal(ends, 1);
    assert_int_equal(tcp_listener_count(l), 0);
    tcp_listener_close(l);
}

static void test_where_the_port_is_taken(void **state)
{
    (void)state;
    struct tcp_listener *l = open_listener(1, 1), *other;
    struct tcp_listener_options o = {.address = "127.0.0.1",
                                     .port = tcp_listener_port(l),
                                     .connections = 1,
                                     .per_prefix = 1,
                                     .on_packet = on_packet,
                                     .on_end = on_end};
    assert_int_equal(tcp_listener_open(&other, &o), OK);
    assert_int_not_equal(tcp_listener_port(other), tcp_listener_port(l));
    tcp_listener_close(other);
    o.address = "nowhere";
    assert_int_equal(tcp_listener_open(&other, &o), ERR_INVALID);
    tcp_listener_close(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packets_both_ways),
        cmocka_unit_test(test_proof_in_time_or_closed),
        cmocka_unit_test(test_what_is_no_frame),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_a_slow_reader_loses_video_first),
        cmocka_unit_test(test_too_far_behind_is_closed),
        cmocka_unit_test(test_reset_before_the_answer),
        cmocka_unit_test(test_where_the_port_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
