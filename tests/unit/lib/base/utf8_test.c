#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "lib/base/json.h"

static void takes_every_character(void **state)
{
    char text[4];

    (void)state;
    for (uint32_t c = 1; c <= 0x10ffff; c++) {
        size_t n;
        if (c < 0x80) {
            text[0] = (char)c;
            n = 1;
        } else if (c < 0x800) {
            text[0] = (char)(0xc0 | c >> 6);
            text[1] = (char)(0x80 | (c & 63));
            n = 2;
        } else if (c < 0x10000) {
            text[0] = (char)(0xe0 | c >> 12);
            text[1] = (char)(0x80 | (c >> 6 & 63));
            text[2] = (char)(0x80 | (c & 63));
            n = 3;
        } else {
            text[0] = (char)(0xf0 | c >> 18);
            text[1] = (char)(0x80 | (c >> 12 & 63));
            text[2] = (char)(0x80 | (c >> 6 & 63));
            text[3] = (char)(0x80 | (c & 63));
            n = 4;
        }
        bool surrogate = c >= 0xd800 && c <= 0xdfff;
        if (utf8_is_valid(text, n) == surrogate || utf8_is_valid(text, n - 1) != (n == 1)) {
            fail_msg("U+%04X", c);
        }
    }
}

static void refuses_what_is_none(void **state)
{
    static const char *const bad[] = {
        "\x80",
        "\xbf",
        "\xc0\x80",
        "\xc1\xbf",
        "\xc3",
        "\xc3(",
        "\xe0\x80\x80",
        "\xe0\x9f\xbf",
        "\xe2\x28\xa1",
        "\xe2\x82",
        "\xe2\x82(",
        "\xed\xa0\x80",
        "\xf0\x80\x80\x80",
        "\xf0\x8f\xbf\xbf",
        "\xf0\x9f\x98",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xff",
        "\xfe",
        "ok\xc3\xa4\xff",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (utf8_is_valid(bad[i], strlen(bad[i]))) {
            fail_msg("case %zu", i);
        }
    }
    assert_false(utf8_is_valid("a\0b", 3));
    assert_true(utf8_is_valid("", 0));
    assert_true(utf8_is_valid(NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_every_character),
        cmocka_unit_test(refuses_what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
