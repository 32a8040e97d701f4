#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "lib/base/err.h"
#include "lib/io/ws_queue.h"

static int push(struct ws_queue *q, enum ws_class cls, const char *text)
{
    return ws_queue_push(q, cls, text, strlen(text), NULL);
}

static void assert_next(struct ws_queue *q, const char *text)
{
    size_t len = 0;
    unsigned char *p = ws_queue_peek(q, &len);
    assert_non_null(p);
    assert_int_equal(len, strlen(text));
    assert_memory_equal(p, text, len);
    p[-16] = 1; /* the headroom is ours to write */
    p[-1] = 1;
    ws_queue_pop(q);
}

static void order_is_kept_over_classes(void **state)
{
    struct ws_queue *q = ws_queue_new(4, 100, 16);
    (void)state;
    assert_int_equal(push(q, WS_EPHEMERAL, "one"), OK);
    assert_int_equal(push(q, WS_CONTROL, "two"), OK);
    assert_int_equal(push(q, WS_DURABLE, "three"), OK);
    assert_int_equal(ws_queue_bytes(q), 11);
    assert_next(q, "one");
    assert_next(q, "two");
    assert_next(q, "three");
    assert_int_equal(ws_queue_bytes(q), 0);
    assert_int_equal(ws_queue_frames(q), 0);
    ws_queue_free(q);
}

static void a_full_queue_refuses_ephemeral_frames(void **state)
{
    struct ws_queue *q = ws_queue_new(2, 100, 16);
    int dropped = 7;
    (void)state;
    push(q, WS_DURABLE, "a");
    push(q, WS_EPHEMERAL, "b");
    assert_int_equal(ws_queue_push(q, WS_EPHEMERAL, "c", 1, &dropped), ERR_LIMIT);
    assert_int_equal(dropped, 1);
    assert_false(ws_queue_overflowed(q));
    ws_queue_free(q);
}

static void a_durable_frame_drives_out_the_oldest_ephemeral_ones(void **state)
{
    struct ws_queue *q = ws_queue_new(3, 100, 16);
    int dropped = 7;
    (void)state;
    push(q, WS_EPHEMERAL, "a");
    push(q, WS_DURABLE, "b");
    push(q, WS_EPHEMERAL, "c");
    assert_int_equal(ws_queue_push(q, WS_DURABLE, "d", 1, &dropped), OK);
    assert_int_equal(dropped, 1);
    assert_next(q, "b");
    assert_next(q, "c");
    assert_next(q, "d");
    ws_queue_free(q);
}

static void bytes_are_bounded_too(void **state)
{
    struct ws_queue *q = ws_queue_new(100, 10, 16);
    int dropped = 0;
    (void)state;
    assert_int_equal(push(q, WS_EPHEMERAL, "1234"), OK);
    assert_int_equal(push(q, WS_EPHEMERAL, "56"), OK);
    assert_int_equal(push(q, WS_EPHEMERAL, "78901"), ERR_LIMIT);
    assert_int_equal(ws_queue_push(q, WS_DURABLE, "12345678", 8, &dropped), OK);
    assert_int_equal(dropped, 1);
    assert_int_equal(ws_queue_bytes(q), 10);
    ws_queue_free(q);
}

static void overflow_is_told_once_and_lasts_until_resumed(void **state)
{
    struct ws_queue *q = ws_queue_new(2, 100, 16);
    (void)state;
    push(q, WS_DURABLE, "a");
    push(q, WS_DURABLE, "b");
    assert_int_equal(push(q, WS_DURABLE, "c"), ERR_WRONG_STATE);
    assert_true(ws_queue_overflowed(q));
    assert_next(q, "a");
    assert_next(q, "b");
    /* there is room again, but a durable frame after the gap would be a lie */
    assert_int_equal(push(q, WS_DURABLE, "d"), ERR_LIMIT);
    assert_int_equal(push(q, WS_EPHEMERAL, "e"), ERR_LIMIT);
    assert_int_equal(push(q, WS_CONTROL, "resync"), OK);
    ws_queue_resume(q);
    assert_int_equal(push(q, WS_DURABLE, "f"), OK);
    assert_next(q, "resync");
    assert_next(q, "f");
    ws_queue_free(q);
}

static void control_frames_have_twice_the_room_and_no_more(void **state)
{
    struct ws_queue *q = ws_queue_new(2, 100, 16);
    (void)state;
    push(q, WS_DURABLE, "a");
    push(q, WS_DURABLE, "b");
    assert_int_equal(push(q, WS_CONTROL, "c"), OK);
    assert_int_equal(push(q, WS_CONTROL, "d"), OK);
    assert_int_equal(push(q, WS_CONTROL, "e"), ERR_LIMIT);
    assert_int_equal(ws_queue_frames(q), 4);
    ws_queue_free(q);
}

static void a_frame_larger_than_the_queue_never_fits(void **state)
{
    struct ws_queue *q = ws_queue_new(2, 4, 16);
    (void)state;
    assert_int_equal(push(q, WS_EPHEMERAL, "12345"), ERR_LIMIT);
    assert_int_equal(push(q, WS_CONTROL, "123456789"), ERR_LIMIT);
    assert_int_equal(push(q, WS_DURABLE, "12345"), ERR_WRONG_STATE);
    ws_queue_free(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_is_kept_over_classes),
        cmocka_unit_test(a_full_queue_refuses_ephemeral_frames),
        cmocka_unit_test(a_durable_frame_drives_out_the_oldest_ephemeral_ones),
        cmocka_unit_test(bytes_are_bounded_too),
        cmocka_unit_test(overflow_is_told_once_and_lasts_until_resumed),
        cmocka_unit_test(control_frames_have_twice_the_room_and_no_more),
        cmocka_unit_test(a_frame_larger_than_the_queue_never_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
