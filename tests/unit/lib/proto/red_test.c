/* RED payloads (RFC 2198): where the own block is, names of blocks, lying lengths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/proto/red.h"

static void test_primary(void **state)
{
    (void)state;
    static const uint8_t alone[] = {111, 1, 2, 3};
    static const uint8_t two[] = {0x80 | 111, 0x0f, 0x00, 2, 0x80 | 111, 0x07, 0x80,
                                  1,          111,  1,    2, 3,          4,    5};
    uint8_t large[4 + 1 + 0x3ff + 1] = {0x80 | 111, 0, 0x03, 0xff, 111};
    assert_int_equal(red_primary(alone, sizeof alone), 1);
    assert_int_equal(red_primary(two, sizeof two), 9 + 3);
    assert_int_equal(red_primary(large, sizeof large), 5 + 0x3ff); /* ten bits of length */
}

static void test_lying_lengths(void **state)
{
    (void)state;
    static const uint8_t two[] = {0x80 | 111, 0x0f, 0x00, 2, 111, 1, 2, 3};
    for (size_t len = 0; len < sizeof two; len++) {
        assert_int_equal(red_primary(two, len), 0);
    }
    static const uint8_t endless[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    assert_int_equal(red_primary(endless, sizeof endless), 0);
    static const uint8_t beyond[] = {0x80 | 111, 0x0f, 0x03, 0xff, 111, 1, 2, 3};
    assert_int_equal(red_primary(beyond, sizeof beyond), 0);
}

static void test_retype(void **state)
{
    (void)state;
    uint8_t two[] = {0x80 | 109, 0x0f, 0x00, 1, 109, 109, 0x80 | 109};
    static const uint8_t after[] = {0x80 | 111, 0x0f, 0x00, 1, 111, 109, 0x80 | 109};
    red_retype(two, sizeof two, 111);
    assert_memory_equal(two, after, sizeof after);
    uint8_t cut[] = {0x80 | 109, 0x0f};
    red_retype(cut, sizeof cut, 111); /* nothing beyond its end is touched */
    assert_int_equal(cut[0], 0x80 | 111);
    assert_int_equal(cut[1], 0x0f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_primary),
        cmocka_unit_test(test_lying_lengths),
        cmocka_unit_test(test_retype),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
