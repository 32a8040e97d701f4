#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "tests/unit/lib/base/alloc.h"

static void starts_empty_without_allocating(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 10);
    assert_null(b.data);
    assert_string_equal(buf_cstr(&b), "");
    buf_free(&b);
}

static void grows_to_its_bound_and_no_further(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 10);
    assert_int_equal(buf_append(&b, "12345", 5), OK);
    assert_int_equal(buf_append(&b, "67890", 5), OK);
    assert_int_equal(buf_append(&b, "x", 1), ERR_TOO_LARGE);
    assert_int_equal(buf_append(&b, NULL, 0), OK);
    assert_int_equal(buf_append(&b, "x", SIZE_MAX), ERR_TOO_LARGE);
    assert_int_equal(b.len, 10);
    assert_string_equal(buf_cstr(&b), "1234567890");
    buf_free(&b);
}

static void zero_as_bound_is_a_mebibyte(void **state)
{
    static const uint8_t block[4096];
    struct buf b;

    (void)state;
    buf_init(&b, 0);
    for (int i = 0; i < 256; i++) {
        assert_int_equal(buf_append(&b, block, sizeof block), OK);
    }
    assert_int_equal(buf_append(&b, block, 1), ERR_TOO_LARGE);
    buf_free(&b);
}

static void prints_whole_or_not_at_all(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 8);
    assert_int_equal(buf_printf(&b, "%d-%s", 12, "ab"), OK);
    assert_int_equal(buf_printf(&b, "%s", "cdef"), ERR_TOO_LARGE);
    assert_string_equal(buf_cstr(&b), "12-ab");
    assert_int_equal(buf_append_str(&b, "cde"), OK);
    assert_string_equal(buf_cstr(&b), "12-abcde");
    buf_free(&b);
}

static void consumes_from_the_front(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 0);
    assert_int_equal(buf_append_str(&b, "abcdef"), OK);
    buf_consume(&b, 2);
    assert_string_equal(buf_cstr(&b), "cdef");
    buf_consume(&b, 4);
    assert_int_equal(b.len, 0);
    assert_string_equal(buf_cstr(&b), "");
    buf_clear(&b);
    buf_free(&b);
    assert_int_equal(buf_append_str(&b, "again"), OK);
    buf_free(&b);
}

static void keeps_its_content_without_memory(void **state)
{
    struct buf b;

    (void)state;
    if (!ALLOC_CAN_FAIL) {
        skip();
    }
    buf_init(&b, 0);
    assert_int_equal(buf_append_str(&b, "here"), OK);
    char more[4000] = {0};
    alloc_fail_at(0);
    int rc = buf_append(&b, more, sizeof more);
    alloc_fail_at(-1);
    assert_int_equal(rc, ERR_NOMEM);
    assert_string_equal(buf_cstr(&b), "here");
    buf_free(&b);
}

static void cursor_reads_big_endian(void **state)
{
    static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18};
    struct cursor c;

    (void)state;
    cursor_init(&c, bytes, sizeof bytes);
    assert_int_equal(cursor_u8(&c), 1);
    assert_int_equal(cursor_u16(&c), 0x0203);
    assert_int_equal(cursor_u24(&c), 0x040506);
    assert_int_equal(cursor_u32(&c), 0x0708090a);
    assert_true(cursor_u64(&c) == UINT64_C(0x0b0c0d0e0f101112));
    assert_int_equal(cursor_left(&c), 0);
    assert_false(c.bad);
}

static void cursor_stays_bad_after_a_short_read(void **state)
{
    static const uint8_t bytes[] = {1, 2, 3};
    struct cursor c;

    (void)state;
    cursor_init(&c, bytes, sizeof bytes);
    assert_int_equal(cursor_u32(&c), 0);
    assert_true(c.bad);
    assert_int_equal(cursor_u8(&c), 0); /* there would be a byte, but the input is bad */
    assert_int_equal(cursor_left(&c), 0);
    assert_null(cursor_bytes(&c, 0));
}

static void cursor_never_passes_the_end(void **state)
{
    static const uint8_t bytes[] = {1, 2, 3};
    struct cursor c;

    (void)state;
    cursor_init(&c, bytes, sizeof bytes);
    cursor_skip(&c, 1);
    assert_null(cursor_bytes(&c, SIZE_MAX));
    assert_true(c.bad);
    cursor_init(&c, NULL, 0);
    assert_non_null(cursor_bytes(&c, 0));
    assert_false(c.bad);
}

static void writer_writes_what_the_cursor_reads(void **state)
{
    uint8_t bytes[18];
    struct writer w;
    struct cursor c;

    (void)state;
    writer_init(&w, bytes, sizeof bytes);
    writer_u8(&w, 0xfe);
    writer_u16(&w, 0xfedc);
    writer_u24(&w, 0xfedcba);
    writer_u32(&w, 0xfedcba98);
    writer_u64(&w, UINT64_C(0xfedcba9876543210));
    assert_false(w.bad);
    assert_int_equal(w.len, sizeof bytes);
    cursor_init(&c, bytes, w.len);
    assert_int_equal(cursor_u8(&c), 0xfe);
    assert_int_equal(cursor_u16(&c), 0xfedc);
    assert_int_equal(cursor_u24(&c), 0xfedcba);
    assert_true(cursor_u32(&c) == 0xfedcba98);
    assert_true(cursor_u64(&c) == UINT64_C(0xfedcba9876543210));
}

static void writer_stops_at_its_end(void **state)
{
    uint8_t bytes[4] = {9, 9, 9, 9};
    struct writer w;

    (void)state;
    writer_init(&w, bytes, 3);
    writer_u16(&w, 0x0102);
    writer_u16(&w, 0x0304);
    assert_true(w.bad);
    writer_u8(&w, 5); /* would fit, but the output is bad */
    assert_int_equal(w.len, 2);
    assert_int_equal(bytes[2], 9);
    assert_int_equal(bytes[3], 9);
}

static void str_copy_copies_whole_or_nothing(void **state)
{
    char out[4] = "xyz";

    (void)state;
    assert_int_equal(str_copy(out, sizeof out, "abc"), OK);
    assert_string_equal(out, "abc");
    assert_int_equal(str_copy(out, sizeof out, "abcd"), ERR_TOO_LARGE);
    assert_string_equal(out, "");
    assert_int_equal(str_copy(out, 0, ""), ERR_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_empty_without_allocating),
        cmocka_unit_test(grows_to_its_bound_and_no_further),
        cmocka_unit_test(zero_as_bound_is_a_mebibyte),
        cmocka_unit_test(prints_whole_or_not_at_all),
        cmocka_unit_test(consumes_from_the_front),
        cmocka_unit_test(keeps_its_content_without_memory),
        cmocka_unit_test(cursor_reads_big_endian),
        cmocka_unit_test(cursor_stays_bad_after_a_short_read),
        cmocka_unit_test(cursor_never_passes_the_end),
        cmocka_unit_test(writer_writes_what_the_cursor_reads),
        cmocka_unit_test(writer_stops_at_its_end),
        cmocka_unit_test(str_copy_copies_whole_or_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
