#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "lib/io/pg_state.h"

static void our_own_states_have_their_errors(void **state)
{
    (void)state;
    assert_int_equal(pg_err_of_state("ST400"), ERR_INVALID);
    assert_int_equal(pg_err_of_state("ST401"), ERR_AUTH);
    assert_int_equal(pg_err_of_state("ST403"), ERR_FORBIDDEN);
    assert_int_equal(pg_err_of_state("ST404"), ERR_NOT_FOUND);
    assert_int_equal(pg_err_of_state("ST409"), ERR_CONFLICT);
    assert_int_equal(pg_err_of_state("ST410"), ERR_WRONG_STATE);
    assert_int_equal(pg_err_of_state("ST429"), ERR_LIMIT);
}

static void postgres_states_are_grouped(void **state)
{
    (void)state;
    assert_int_equal(pg_err_of_state("23505"), ERR_CONFLICT);
    assert_int_equal(pg_err_of_state("23503"), ERR_CONFLICT);
    assert_int_equal(pg_err_of_state("40001"), ERR_CONFLICT);
    assert_int_equal(pg_err_of_state("40P01"), ERR_CONFLICT);
    assert_int_equal(pg_err_of_state("57014"), ERR_TIMEOUT);
    assert_int_equal(pg_err_of_state("57P01"), ERR_UNAVAILABLE);
    assert_int_equal(pg_err_of_state("08006"), ERR_UNAVAILABLE);
    assert_int_equal(pg_err_of_state("53300"), ERR_UNAVAILABLE);
}

static void anything_else_is_io(void **state)
{
    (void)state;
    assert_int_equal(pg_err_of_state("42601"), ERR_IO);
    assert_int_equal(pg_err_of_state("ST999"), ERR_IO);
    assert_int_equal(pg_err_of_state(""), ERR_IO);
    assert_int_equal(pg_err_of_state("08"), ERR_IO);
    assert_int_equal(pg_err_of_state("ST4040"), ERR_IO);
    assert_int_equal(pg_err_of_state(NULL), ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_own_states_have_their_errors),
        cmocka_unit_test(postgres_states_are_grouped),
        cmocka_unit_test(anything_else_is_io),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
