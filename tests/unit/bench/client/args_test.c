#include "bench/client/args.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lib/base/err.h"

static const char *const names[] = {"--port", "--dir", NULL};
static char *argv[] = {"program", "--port", "8080", "--dir", "/tmp", NULL};

static void test_known_arguments(void **state)
{
    (void)state;
    int64_t v;
    assert_int_equal(args_check(5, argv, names), OK);
    assert_int_equal(args_check(1, argv, names), OK);
    assert_int_equal(args_int(&v, 5, argv, "--port", 1, 0, 65535), OK);
    assert_int_equal(v, 8080);
    assert_int_equal(args_int(&v, 1, argv, "--port", 7, 0, 65535), OK);
    assert_int_equal(v, 7);
    assert_string_equal(args_text(5, argv, "--dir", "."), "/tmp");
    assert_string_equal(args_text(3, argv, "--dir", "."), ".");
}

static void test_faults(void **state)
{
    (void)state;
    int64_t v;
    assert_int_equal(args_check(4, argv, names), ERR_INVALID); /* --dir without a value */
    char *unknown[] = {"program", "--prot", "1", NULL};
    assert_int_equal(args_check(3, unknown, names), ERR_INVALID);
    static char *const bad[] = {"", "x", "80x", "-1", "65536", "99999999999999999999"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char *given[] = {"program", "--port", bad[i], NULL};
        assert_int_equal(args_int(&v, 3, given, "--port", 1, 0, 65535), ERR_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_arguments),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
