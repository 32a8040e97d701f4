#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "lib/base/err.h"

static void every_code_has_its_own_name(void **state)
{
    (void)state;
    assert_string_equal(err_name(OK), "ok");
    assert_string_equal(err_name(ERR_TOO_LARGE), "too_large");
    for (int a = OK; a >= ERR_WRONG_STATE; a--) {
        assert_string_not_equal(err_name(a), "unknown");
        for (int b = a - 1; b >= ERR_WRONG_STATE; b--) {
            assert_string_not_equal(err_name(a), err_name(b));
        }
    }
}

static void others_are_unknown(void **state)
{
    (void)state;
    assert_string_equal(err_name(1), "unknown");
    assert_string_equal(err_name(ERR_WRONG_STATE - 1), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_its_own_name),
        cmocka_unit_test(others_are_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
