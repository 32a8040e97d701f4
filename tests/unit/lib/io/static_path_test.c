#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/io/static_path.h"

static void paths_that_climb_are_unsafe(void **state)
{
    static const char *const bad[] = {"",        "a",      "/..",          "/../etc/passwd",
                                      "/a/../b", "/a/..",  "/.git/config", "/.env",
                                      "/a//b",   "/a/./b", "/a\\..\\b",    "//etc/passwd"};
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(static_path_safe(bad[i]));
}

static void plain_paths_are_safe(void **state)
{
    static const char *const good[] = {"/", "/index.html", "/assets/a-b_c.1.js", "/a/b/c", "/a..b"};
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(static_path_safe(good[i]));
}

static void a_page_has_no_extension(void **state)
{
    (void)state;
    assert_true(static_path_is_page("/"));
    assert_true(static_path_is_page("/calls/12"));
    assert_true(static_path_is_page("/v2.0/calls"));
    assert_false(static_path_is_page("/app.js"));
}

static void hashed_names_are_known(void **state)
{
    (void)state;
    assert_true(static_path_is_hashed("/assets/index-BX3k9a0Q.js"));
    assert_true(static_path_is_hashed("/assets/index-DiwrgTda.css"));
    assert_true(static_path_is_hashed("/assets/app.0f3a77b2c1.js"));
    assert_false(static_path_is_hashed("/index.html"));
    assert_false(static_path_is_hashed("/sw.js"));
    assert_false(static_path_is_hashed("/service-worker.js"));
    assert_false(static_path_is_hashed("/manifest.webmanifest"));
    assert_false(static_path_is_hashed("/assets/BX3k9a0Q")); /* no extension */
}

static void types_go_by_extension(void **state)
{
    (void)state;
    assert_string_equal(static_path_type("/index.html"), "text/html; charset=utf-8");
    assert_string_equal(static_path_type("/a/b.JS"), "text/javascript; charset=utf-8");
    assert_string_equal(static_path_type("/a.tar.gz"), "application/octet-stream");
    assert_string_equal(static_path_type("/a"), "application/octet-stream");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_that_climb_are_unsafe), cmocka_unit_test(plain_paths_are_safe),
        cmocka_unit_test(a_page_has_no_extension),     cmocka_unit_test(hashed_names_are_known),
        cmocka_unit_test(types_go_by_extension),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
