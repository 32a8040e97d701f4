#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "messaging/messaging_internal.h"

#define A "01900000-0000-7000-8000-00000000000a"
#define B "01900000-0000-7000-8000-00000000000b"

static void cursor_there_and_back(void **state)
{
    (void)state;
    char text[CONVERSATION_CURSOR_LEN];
    int64_t at = 0;
    struct id id;
    conversation_cursor_format(text, INT64_C(1795262560885891), A);
    assert_int_equal(conversation_cursor_parse(text, &at, &id), OK);
    assert_true(at == INT64_C(1795262560885891));
    assert_string_equal(id.s, A);
}

static void bad_cursors(void **state)
{
    (void)state;
    int64_t at = 7;
    struct id id;
    const char *const bad[] = {"",      "_",     "1_",       "_" A,   A,
                               "-1_" A, "1x_" A, "1_" A "x", " 1_" A, "1_1_" A,
                               "+1_" A, "1" A,   "1_nope",   "1__" A, "123456789012345678_" A};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (conversation_cursor_parse(bad[i], &at, &id) != ERR_INVALID)
            fail_msg("taken: %s", bad[i]);
    }
    assert_true(at == 7);
}

static void append(void *arg, const char *id)
{
    char *all = arg;
    strncat(all, id + ID_LEN - 1, 2);
}

static void arrays_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"{" A "," B "}", "ab"},
        {"{" A "}", "a"},
        {"{}", ""},
        {"", ""},
        {NULL, ""},
        {"{" A ",", "a"},
        {"{short}", ""},
        {"x", ""},
        {"{" A "," B, "ab"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char all[64] = "";
        uuid_array_each(cases[i].text, append, all);
        assert_string_equal(all, cases[i].want);
    }
}

static void arrays_are_written(void **state)
{
    (void)state;
    struct buf b;
    cJSON *ids = cJSON_CreateArray();
    buf_init(&b, 0);
    assert_int_equal(uuid_array_write(&b, ids), OK);
    assert_string_equal(buf_cstr(&b), "{}");
    buf_clear(&b);
    cJSON_AddItemToArray(ids, cJSON_CreateString(A));
    cJSON_AddItemToArray(ids, cJSON_CreateString(B));
    assert_int_equal(uuid_array_write(&b, ids), OK);
    assert_string_equal(buf_cstr(&b), "{" A "," B "}");
    buf_free(&b);
    buf_init(&b, 50);
    assert_int_equal(uuid_array_write(&b, ids), ERR_TOO_LARGE);
    buf_free(&b);
    cJSON_Delete(ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cursor_there_and_back),
        cmocka_unit_test(bad_cursors),
        cmocka_unit_test(arrays_are_read),
        cmocka_unit_test(arrays_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
