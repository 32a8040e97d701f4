#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "signaling/shell/hub_held.h"

static void expect_next(struct held_queue *q, const char *text)
{
    struct held_frame *f = held_pop(q);
    assert_non_null(f);
    assert_string_equal(f->text, text);
    assert_int_equal(f->len, strlen(text));
    free(f);
}

static void in_order(void **state)
{
    (void)state;
    struct held_queue q = {0};
    assert_null(held_pop(&q));
    assert_int_equal(held_push(&q, WS_CONTROL, "one", 3, 4, 100), OK);
    assert_int_equal(held_push(&q, WS_EPHEMERAL, "three", 5, 4, 100), OK);
    assert_int_equal(q.frames, 2);
    assert_int_equal(q.bytes, 8);
    expect_next(&q, "one");
    expect_next(&q, "three");
    assert_null(held_pop(&q));
    assert_int_equal(q.bytes, 0);
}

static void oldest_goes_first(void **state)
{
    (void)state;
    struct held_queue q = {0};
    for (int i = 0; i < 5; i++)
        held_push(&q, WS_CONTROL, (char[]){(char)('a' + i), 0}, 1, 3, 100);
    assert_int_equal(q.frames, 3);
    assert_int_equal(q.dropped, 2);
    expect_next(&q, "c");
    held_clear(&q);
    assert_int_equal(q.frames, 0);
    assert_int_equal(q.dropped, 0);
}

static void bytes_are_bounded(void **state)
{
    (void)state;
    struct held_queue q = {0};
    held_push(&q, WS_CONTROL, "aaaa", 4, 10, 10);
    held_push(&q, WS_CONTROL, "bbbb", 4, 10, 10);
    assert_int_equal(held_push(&q, WS_CONTROL, "ccccccccccc", 11, 10, 10), ERR_TOO_LARGE);
    assert_int_equal(q.frames, 2);
    assert_int_equal(held_push(&q, WS_CONTROL, "dddddddddd", 10, 10, 10), OK);
    assert_int_equal(q.frames, 1);
    expect_next(&q, "dddddddddd");
    assert_int_equal(held_push(&q, WS_CONTROL, "x", 1, 0, 10), ERR_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order),
        cmocka_unit_test(oldest_goes_first),
        cmocka_unit_test(bytes_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
