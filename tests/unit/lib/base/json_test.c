#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "tests/unit/lib/base/alloc.h"

static int parse(cJSON **v, const char *text)
{
    return json_parse(v, text, strlen(text));
}

static void takes_json(void **state)
{
    static const char *const good[] = {
        "{}",
        "[]",
        "0",
        "-0",
        "-1.5e+3",
        "1E2",
        "0.25",
        "true",
        "false",
        "null",
        "\"\"",
        " \t\r\n[ 1 , 2 ]\n",
        "{\"a\":{\"b\":[{\"c\":null}]},\"d\":[[],{}]}",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\ud83d\\ude00\"",
        "\"\xc3\xa4\xf0\x9f\x98\x80\"",
        "{\"\":1}",
        "{\"a\":1,\"A\":2}",
        "\"\x7f\"",
        "123456789012345678901234567890123456789012345678901234567890.5",
    };

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        cJSON *v = NULL;
        if (parse(&v, good[i]) != OK) {
            fail_msg("refused: %s", good[i]);
        }
        assert_non_null(v);
        cJSON_Delete(v);
    }
}

static void refuses_what_is_not_json(void **state)
{
    static const char *const bad[] = {
        "",
        " ",
        "{",
        "}",
        "[",
        "]",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{a:1}",
        "{1:1}",
        "{'a':1}",
        "[1 2]",
        "[1}",
        "{\"a\":1]",
        "01",
        "-",
        "+1",
        ".5",
        "1.",
        "1.e2",
        "1e",
        "1e+",
        "0x10",
        "- 1",
        "NaN",
        "Infinity",
        "-Infinity",
        "tru",
        "True",
        "nul",
        "nullx",
        "truefalse",
        "\"",
        "\"a",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\",
        "\"\n\"",
        "\"\t\"",
        "\"\x01\"",
        "{} {}",
        "[] x",
        "1 2",
        "{}\x0b",
        "\xef\xbb\xbf{}",
        "/* */ {}",
        "// x\n1",
        "\v1",
        /* our own bounds */
        "\"\\u0000\"",
        "{\"a\\u0000b\":1}",
        "\"\\ud800\"",
        "\"\\ud800x\"",
        "\"\\ud800\\u0041\"",
        "\"\\udc00\"",
        "\"\\ud83d\\ud83d\"",
        "{\"a\":1,\"a\":2}",
        "{\"a\":1,\"\\u0061\":2}",
        "[{\"x\":{\"b\":1,\"c\":2,\"b\":3}}]",
        "1e999",
        "[-1e309]",
        "1234567890123456789012345678901234567890123456789012345678901234",
        "\"\xff\"",
        "\"\xed\xa0\x80\"",
        "\"\xc0\x80\"",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cJSON *v = NULL;
        int rc = parse(&v, bad[i]);
        if (rc != ERR_INVALID || v) {
            fail_msg("case %zu: %s gave %d", i, bad[i], rc);
        }
    }
}

static void a_zero_byte_is_no_end(void **state)
{
    cJSON *v = NULL;

    (void)state;
    assert_int_equal(json_parse(&v, "{}\0", 3), ERR_INVALID);
    assert_int_equal(json_parse(&v, "\"a\0b\"", 5), ERR_INVALID);
    assert_null(v);
}

static void reads_no_byte_past_the_end(void **state)
{
    static const char text[] = "{\"key\":[true,-12.5e3,\"\\u00e4\\ud83d\\ude00\"]}";

    (void)state;
    for (size_t n = 0; n < sizeof text - 1; n++) {
        char *copy = malloc(n + 1); /* of its exact size but one: the sanitizer watches the rest */
        cJSON *v = NULL;
        memcpy(copy, text, n);
        copy[n] = 'x';
        if (n > 0) {
            assert_int_equal(json_parse(&v, copy, n), ERR_INVALID);
        }
        free(copy);
    }
}

static void nests(char *out, int depth, const char *open, const char *close)
{
    out[0] = 0;
    size_t n = 0;
    for (int i = 0; i < depth; i++) {
        n += (size_t)snprintf(out + n, 1024 - n, "%s", open);
    }
    n += (size_t)snprintf(out + n, 1024 - n, "1");
    for (int i = 0; i < depth; i++) {
        n += (size_t)snprintf(out + n, 1024 - n, "%s", close);
    }
}

static void nests_to_its_bound(void **state)
{
    char text[1024];
    cJSON *v = NULL;

    (void)state;
    nests(text, JSON_MAX_DEPTH, "[", "]");
    assert_int_equal(parse(&v, text), OK);
    cJSON_Delete(v);
    nests(text, JSON_MAX_DEPTH, "{\"a\":", "}");
    assert_int_equal(parse(&v, text), OK);
    cJSON_Delete(v);
    v = NULL;
    nests(text, JSON_MAX_DEPTH + 1, "[", "]");
    assert_int_equal(parse(&v, text), ERR_INVALID);
    nests(text, JSON_MAX_DEPTH + 1, "{\"a\":", "}");
    assert_int_equal(parse(&v, text), ERR_INVALID);
    assert_null(v);
}

/* CPU time to parse an object of n different keys that share a long beginning. */
static double seconds_for(size_t n)
{
    char *text = malloc(n * 32 + 48);
    size_t len = 0;
    cJSON *v = NULL;

    text[len++] = '{';
    for (size_t i = 0; i < n; i++) {
        len += (size_t)snprintf(text + len, 40, "%s\"samebeginning%08zx\":1", i ? "," : "", n - i);
    }
    text[len++] = '}';
    clock_t start = clock();
    assert_int_equal(json_parse(&v, text, len), OK);
    double took = (double)(clock() - start) / CLOCKS_PER_SEC;
    cJSON_Delete(v);
    free(text);
    return took;
}

/* 32 times as many keys would take 1024 times as long if each were compared with each. */
static void takes_time_in_proportion(void **state)
{
    double few = seconds_for(2000);

    (void)state;
    assert_true(seconds_for(64000) < 0.01 + few * 32 * 8);
}

static cJSON *object(const char *text)
{
    cJSON *v = NULL;

    assert_int_equal(parse(&v, text), OK);
    return v;
}

static void gives_members_by_type(void **state)
{
    static const char *const words[] = {"audio", "video", NULL};
    cJSON *o = object("{\"s\":\"h\xc3\xa4\",\"i\":42,\"n\":-7,\"b\":true,\"e\":\"video\",\"o\":{},"
                      "\"a\":[1,2],\"z\":null,\"id\":\"017f22e2-79b0-7000-8000-0000000000af\"}");
    struct json_errors e = {0};

    (void)state;
    assert_string_equal(json_str(o, "s", JSON_REQUIRED, 3, 3, &e), "h\xc3\xa4");
    assert_int_equal(json_int(o, "i", JSON_REQUIRED, 42, 42, 0, &e), 42);
    assert_int_equal(json_int(o, "n", JSON_REQUIRED, -10, 0, 0, &e), -7);
    assert_true(json_bool(o, "b", JSON_REQUIRED, false, &e));
    assert_int_equal(json_enum(o, "e", JSON_REQUIRED, words, &e), 1);
    assert_non_null(json_obj(o, "o", JSON_REQUIRED, &e));
    assert_int_equal(cJSON_GetArraySize(json_arr(o, "a", JSON_REQUIRED, 2, &e)), 2);
    assert_non_null(json_id(o, "id", JSON_REQUIRED, &e));
    assert_int_equal(e.n, 0);
    cJSON_Delete(o);
}

static void missing_optional_members_leave_the_default(void **state)
{
    static const char *const words[] = {"a", NULL};
    cJSON *o = object("{\"z\":null}");
    struct json_errors e = {0};

    (void)state;
    assert_null(json_str(o, "z", JSON_OPTIONAL, 1, 2, &e));
    assert_null(json_id(o, "x", JSON_OPTIONAL, &e));
    assert_int_equal(json_int(o, "z", JSON_OPTIONAL, 1, 2, 9, &e), 9);
    assert_true(json_bool(o, "x", JSON_OPTIONAL, true, &e));
    assert_int_equal(json_enum(o, "x", JSON_OPTIONAL, words, &e), -1);
    assert_null(json_obj(o, "x", JSON_OPTIONAL, &e));
    assert_null(json_arr(o, "x", JSON_OPTIONAL, 1, &e));
    assert_int_equal(e.n, 0);
    assert_null(json_str(o, "z", JSON_REQUIRED, 1, 2, &e));
    assert_int_equal(e.n, 1);
    assert_string_equal(e.item[0].field, "z");
    assert_string_equal(e.item[0].message, "is required");
    cJSON_Delete(o);
}

static void wrong_members_are_said(void **state)
{
    static const char *const words[] = {"audio", "video", NULL};
    cJSON *o =
        object("{\"s\":5,\"t\":\"toolong\",\"i\":1.5,\"h\":1e17,\"r\":11,\"b\":1,\"e\":\"x\","
               "\"a\":{}}");
    struct json_errors e = {0};

    (void)state;
    assert_null(json_str(o, "s", JSON_OPTIONAL, 0, 9, &e));
    assert_null(json_str(o, "t", JSON_OPTIONAL, 0, 6, &e));
    assert_int_equal(json_int(o, "i", JSON_OPTIONAL, 0, 9, 3, &e), 3);
    assert_int_equal(json_int(o, "h", JSON_OPTIONAL, 0, INT64_MAX, 3, &e), 3);
    assert_int_equal(json_int(o, "r", JSON_OPTIONAL, 0, 10, 3, &e), 3);
    assert_false(json_bool(o, "b", JSON_OPTIONAL, false, &e));
    assert_int_equal(json_enum(o, "e", JSON_OPTIONAL, words, &e), -1);
    assert_null(json_arr(o, "a", JSON_OPTIONAL, 5, &e));
    assert_int_equal(e.n, 8);
    assert_string_equal(e.item[1].message, "must be 0 to 6 bytes long");
    assert_string_equal(e.item[4].message, "must be 0 to 10");
    assert_string_equal(e.item[6].message, "must be one of audio, video");
    assert_null(json_obj(o, "s", JSON_OPTIONAL, &e)); /* a ninth finds no room and does no harm */
    assert_null(json_id(o, "t", JSON_OPTIONAL, NULL));
    assert_int_equal(e.n, JSON_MAX_ERRORS);
    cJSON_Delete(o);
}

static void names_differ_by_case(void **state)
{
    cJSON *o = object("{\"callID\":1}");
    struct json_errors e = {0};

    (void)state;
    assert_int_equal(json_int(o, "callId", JSON_OPTIONAL, 0, 9, 7, &e), 7);
    cJSON_Delete(o);
}

static void builds_and_prints(void **state)
{
    cJSON *o = json_new();

    (void)state;
    json_put_str(o, "s", "\"\xc3\xa4\n");
    json_put_str(o, "left out", NULL);
    json_put_int(o, "i", -3);
    json_put_int(o, "big", INT64_MAX);
    json_put_int(o, "us", INT64_C(1732190000000001));
    json_put_bool(o, "b", false);
    json_put_null(o, "n");
    json_put_time(o, "t", 0);
    json_put(o, "none", NULL);
    cJSON *inner = json_new();
    json_put_int(inner, "x", 1);
    json_put(o, "o", inner);
    char *text = json_print(o);
    assert_string_equal(text, "{\"s\":\"\\\"\xc3\xa4\\n\",\"i\":-3,\"big\":9223372036854775807,"
                              "\"us\":1732190000000001,\"b\":false,\"n\":null,"
                              "\"t\":\"1970-01-01T00:00:00.000Z\",\"o\":{\"x\":1}}");
    free(text);
    cJSON_Delete(o);
}

static void says_when_memory_is_out(void **state)
{
    static const char text[] =
        "{\"a\":[1,{\"b\":\"c\"}],\"1\":1,\"2\":1,\"3\":1,\"4\":1,\"5\":1,\"6\":1,"
        "\"7\":1,\"8\":1,\"9\":1,\"10\":1,\"11\":1,\"12\":1,\"13\":1,\"14\":1,"
        "\"15\":1,\"16\":1,\"17\":1}";
    cJSON_Hooks ours = {malloc, free}, theirs = {NULL, NULL};
    int rc = ERR_NOMEM;
    cJSON *v = NULL;

    (void)state;
    if (!ALLOC_CAN_FAIL) {
        skip();
    }
    cJSON_InitHooks(&ours);
    long before = ALLOC_LIVE(), fail = 0;
    for (; rc != OK && fail < 200; fail++) {
        alloc_fail_at(fail);
        rc = json_parse(&v, text, sizeof text - 1);
        alloc_fail_at(-1);
        if (rc != OK) {
            assert_int_equal(rc, ERR_NOMEM);
            assert_null(v);
            assert_int_equal(ALLOC_LIVE(), before);
        }
    }
    assert_true(fail > 20 && rc == OK);
    cJSON_Delete(v);
    assert_int_equal(ALLOC_LIVE(), before);
    cJSON_InitHooks(&theirs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_json),
        cmocka_unit_test(refuses_what_is_not_json),
        cmocka_unit_test(a_zero_byte_is_no_end),
        cmocka_unit_test(reads_no_byte_past_the_end),
        cmocka_unit_test(nests_to_its_bound),
        cmocka_unit_test(takes_time_in_proportion),
        cmocka_unit_test(gives_members_by_type),
        cmocka_unit_test(missing_optional_members_leave_the_default),
        cmocka_unit_test(wrong_members_are_said),
        cmocka_unit_test(names_differ_by_case),
        cmocka_unit_test(builds_and_prints),
        cmocka_unit_test(says_when_memory_is_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
