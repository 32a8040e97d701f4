#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/proto/bits.h"

static void fields_across_bytes(void **state)
{
    static const uint8_t data[] = {0xb5, 0x3c, 0xff, 0x00, 0x81};
    struct bits b;

    (void)state;
    bits_init(&b, data, sizeof data);
    assert_true(bits_flag(&b));               /* 1 */
    assert_int_equal(bits_read(&b, 3), 3);    /* 011 */
    assert_int_equal(bits_read(&b, 9), 0xa7); /* 0101 00111 */
    assert_int_equal(bits_read(&b, 0), 0);
    bits_skip(&b, 3); /* 100 */
    assert_int_equal(bits_read(&b, 24), 0xff0081);
    assert_false(b.bad);
    assert_int_equal(bits_read(&b, 1), 0);
    assert_true(b.bad);
}

static void thirty_two_at_once(void **state)
{
    static const uint8_t data[] = {0x6f, 0xff, 0xff, 0xff, 0xf0};
    struct bits b;

    (void)state;
    bits_init(&b, data, sizeof data);
    bits_skip(&b, 3);
    assert_int_equal(bits_read(&b, 32), 0x7fffffff);
    assert_int_equal(bits_read(&b, 6), 0); /* 5 are left: nothing of them is given */
    assert_true(b.bad);
    assert_int_equal(bits_read(&b, 1), 0); /* and it stays so */
}

/* The table of the AV1 RTP specification, A.8.2: five values in two and three bits. */
static void non_symmetric(void **state)
{
    static const uint8_t data[] = {0x1b, 0x78}; /* 00 01 10 110 111 1000 */
    struct bits b;

    (void)state;
    bits_init(&b, data, sizeof data);
    for (uint32_t v = 0; v < 5; v++) {
        assert_int_equal(bits_read_ns(&b, 5), v);
    }
    assert_int_equal(b.pos, 12);
    assert_int_equal(bits_read_ns(&b, 1), 0); /* one value needs no bits */
    assert_int_equal(b.pos, 12);
    assert_int_equal(bits_read_ns(&b, 2), 1);
}

static void exp_golomb(void **state)
{
    /* 1 010 011 00100 00111 | as signed: 010 = 1, 011 = -1 */
    static const uint8_t data[] = {0xa6, 0x42, 0x98}, zeros[] = {0, 0, 0, 0, 0, 0, 0, 0, 0};
    static const uint8_t largest[] = {0, 0, 0, 1, 0xff, 0xff, 0xff, 0xfe};
    struct bits b;

    (void)state;
    bits_init(&b, data, sizeof data);
    for (uint32_t v = 0; v < 4; v++) {
        assert_int_equal(bits_read_ue(&b), v);
    }
    bits_init(&b, data, sizeof data);
    bits_skip(&b, 1);
    assert_int_equal(bits_read_se(&b), 1);
    assert_int_equal(bits_read_se(&b), -1);
    assert_int_equal(bits_read_se(&b), 2);
    bits_init(&b, largest, sizeof largest); /* 31 zeros, a 1, 31 ones */
    assert_true(bits_read_ue(&b) == UINT32_MAX - 1);
    bits_init(&b, zeros, sizeof zeros);
    assert_int_equal(bits_read_ue(&b), 0);
    assert_true(b.bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_across_bytes),
        cmocka_unit_test(thirty_two_at_once),
        cmocka_unit_test(non_symmetric),
        cmocka_unit_test(exp_golomb),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
