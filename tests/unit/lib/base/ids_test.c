#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "lib/base/err.h"
#include "lib/base/ids.h"

static void has_the_shape_of_a_version_7_uuid(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++) {
        struct id id = id_new(INT64_C(1700000000000000) + i * 997);
        assert_true(id_is_valid(id.s));
        assert_int_equal(strlen(id.s), ID_LEN);
        assert_int_equal(id.s[14], '7');
        assert_non_null(strchr("89ab", id.s[19]));
    }
}

/* RFC 9562 appendix A.6: 2022-02-22T19:22:22.000Z */
static void holds_the_time_of_the_rfc_example(void **state)
{
    struct id id = id_new(INT64_C(1645557742000) * 1000);

    (void)state;
    assert_memory_equal(id.s, "017f22e2-79b0-7000", 18);
}

static void sorts_by_time_also_within_a_millisecond(void **state)
{
    const int64_t start_us = INT64_C(1700000000000000);

    (void)state;
    for (int64_t us = 0; us < 3000; us++) {
        struct id a = id_new(start_us + us), b = id_new(start_us + us + 1);
        assert_true(strcmp(a.s, b.s) < 0);
    }
}

static void differs_each_time(void **state)
{
    struct id a = id_new(5), b = id_new(5);

    (void)state;
    assert_false(id_equal(&a, &b));
    assert_true(id_equal(&a, &a));
    assert_true(id_is_valid(id_new(-1).s));
    assert_true(id_is_valid(id_new(INT64_MAX).s));
}

static void takes_only_canonical_text(void **state)
{
    static const char *const bad[] = {
        "",
        "017f22e2-79b0-7000-8000-00000000000",
        "017f22e2-79b0-7000-8000-0000000000000",
        "017F22e2-79b0-7000-8000-000000000000",
        "017f22e2079b0-7000-8000-000000000000",
        "017f22e2-79b0-7000-8000-00000000000g",
        "{17f22e2-79b0-7000-8000-00000000000}",
        "017f22e2-79b0-7000-8000-000000000000 ",
        "017f22e279b070008000000000000000",
    };
    struct id id = {"untouched"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(id_is_valid(bad[i]));
        assert_int_equal(id_parse(&id, bad[i]), ERR_INVALID);
    }
    assert_false(id_is_valid(NULL));
    assert_int_equal(id_parse(&id, NULL), ERR_INVALID);
    assert_string_equal(id.s, "untouched");
    assert_int_equal(id_parse(&id, "017f22e2-79b0-7000-8000-0000000000af"), OK);
    assert_string_equal(id.s, "017f22e2-79b0-7000-8000-0000000000af");
}

static void formats_times(void **state)
{
    static const struct {
        int64_t us;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {-1000000, "1969-12-31T23:59:59.000Z"},
        {999999, "1970-01-01T00:00:00.999Z"},
        {INT64_C(951782400000000), "2000-02-29T00:00:00.000Z"},
        {INT64_C(1645557742123456), "2022-02-22T19:22:22.123Z"},
        {INT64_MIN, "0000-01-01T00:00:00.000Z"},
        {INT64_MAX, "9999-12-31T23:59:59.999Z"},
    };
    char out[RFC3339_LEN + 1];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rfc3339_format(out, cases[i].us);
        assert_string_equal(out, cases[i].text);
    }
}

static void the_monotonic_clock_never_goes_back(void **state)
{
    int64_t last = clock_mono_us();

    (void)state;
    for (int i = 0; i < 1000; i++) {
        int64_t now = clock_mono_us();
        assert_true(now >= last);
        last = now;
    }
    assert_true(clock_wall_us() > INT64_C(1700000000000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_the_shape_of_a_version_7_uuid),
        cmocka_unit_test(holds_the_time_of_the_rfc_example),
        cmocka_unit_test(sorts_by_time_also_within_a_millisecond),
        cmocka_unit_test(differs_each_time),
        cmocka_unit_test(takes_only_canonical_text),
        cmocka_unit_test(formats_times),
        cmocka_unit_test(the_monotonic_clock_never_goes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
