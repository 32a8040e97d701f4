/* Packets come out of a stream as they went in, however it is cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "lib/io/tcp_frames.h"

#define PACKETS 40

static uint8_t stream[PACKETS * (TCP_FRAME_HEADER + TCP_FRAME_MAX)];
static size_t stream_len;

/* Of all sizes, the empty one and the largest among them. */
static size_t size_of(size_t i)
{
    return i % 7 == 3 ? 0 : i == 20 ? TCP_FRAME_MAX : i * 53 % 1500 + 1;
}

static void make_stream(void)
{
    stream_len = 0;
    for (size_t i = 0; i < PACKETS; i++) {
        size_t n = size_of(i);
        tcp_frames_header(stream + stream_len, n);
        memset(stream + stream_len + TCP_FRAME_HEADER, (int)i, n);
        stream_len += TCP_FRAME_HEADER + n;
    }
}

/* The packets that come out of it in reads of `step` bytes are those that went in. */
static void read_by(size_t step)
{
    struct tcp_frames f = {0};
    size_t next = 0;
    for (size_t at = 0; at < stream_len; at += step) {
        const uint8_t *data = stream + at, *frame;
        size_t len = stream_len - at < step ? stream_len - at : step;
        int n;
        while ((n = tcp_frames_next(&f, &data, &len, &frame)) > 0) {
            next += size_of(next) == 0;
            assert_int_equal(n, size_of(next));
            assert_int_equal(frame[0], next);
            assert_int_equal(frame[n - 1], next);
            next++;
        }
        assert_int_equal(n, 0);
        assert_int_equal(len, 0);
    }
    assert_int_equal(next + (size_of(PACKETS - 1) == 0), PACKETS);
    assert_true(tcp_frames_is_clean(&f));
}

static void test_however_it_is_cut(void **state)
{
    (void)state;
    make_stream();
    for (size_t step = 1; step < 60; step++) {
        read_by(step);
    }
    read_by(1500);
    read_by(2049);
    read_by(2050);
    read_by(4096);
    read_by(stream_len);
}

static void test_more_than_a_packet_may_have(void **state)
{
    (void)state;
    uint8_t bad[] = {0, 1, 'x', (TCP_FRAME_MAX + 1) >> 8, (TCP_FRAME_MAX + 1) & 255, 1, 2, 3};
    for (size_t first = 1; first <= sizeof bad; first++) {
        struct tcp_frames f = {0};
        const uint8_t *data = bad, *frame;
        size_t len = first;
        int n, packets = 0;
        while ((n = tcp_frames_next(&f, &data, &len, &frame)) > 0) {
            packets++;
        }
        if (n == 0) {
            data = bad + first;
            len = sizeof bad - first;
            while ((n = tcp_frames_next(&f, &data, &len, &frame)) > 0) {
                packets++;
            }
        }
        assert_int_equal(n, ERR_TOO_LARGE);
        assert_int_equal(packets, 1);
    }
}

static void test_a_half_packet_waits(void **state)
{
    (void)state;
    struct tcp_frames f = {0};
    uint8_t half[] = {0, 5, 'a', 'b'}, rest[] = {'c', 'd', 'e', 0};
    const uint8_t *data = half, *frame;
    size_t len = sizeof half;
    assert_int_equal(tcp_frames_next(&f, &data, &len, &frame), 0);
    assert_false(tcp_frames_is_clean(&f));
    data = rest;
    len = sizeof rest;
    assert_int_equal(tcp_frames_next(&f, &data, &len, &frame), 5);
    assert_memory_equal(frame, "abcde", 5);
    assert_int_equal(tcp_frames_next(&f, &data, &len, &frame), 0);
    assert_false(tcp_frames_is_clean(&f)); /* half a header */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_however_it_is_cut),
        cmocka_unit_test(test_more_than_a_packet_may_have),
        cmocka_unit_test(test_a_half_packet_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
