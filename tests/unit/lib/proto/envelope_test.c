#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdlib.h>

#include "lib/base/err.h"
#include "lib/proto/envelope.h"

static int parse(struct envelope *e, const char *text)
{
    return envelope_parse(e, text, strlen(text));
}

static void reads_a_frame(void **state)
{
    struct envelope e;

    (void)state;
    assert_int_equal(
        parse(&e, "{\"type\":\"call_start\",\"id\":\"7a\",\"data\":{\"x\":1},\"z\":2}"), OK);
    assert_string_equal(e.type, "call_start");
    assert_string_equal(e.id, "7a");
    assert_int_equal(cJSON_GetObjectItem(e.data, "x")->valueint, 1);
    envelope_free(&e);
    assert_int_equal(parse(&e, "{\"type\":\"ping\",\"id\":9007199254740991}"), OK);
    assert_string_equal(e.id, "9007199254740991");
    assert_true(cJSON_IsObject(e.data));
    assert_null(e.data->child);
    envelope_free(&e);
    assert_int_equal(parse(&e, "{\"type\":\"ping\",\"data\":null,\"id\":null}"), OK);
    assert_string_equal(e.id, "");
    assert_true(cJSON_IsObject(e.data));
    envelope_free(&e);
}

static void refuses(void **state)
{
    static const char *const bad[] = {
        "",
        "[]",
        "1",
        "{",
        "{}",
        "{\"type\":1}",
        "{\"type\":\"\"}",
        "{\"type\":\"A b\"}",
        "{\"type\":\"a\",\"id\":{}}",
        "{\"type\":\"a\",\"id\":1.5}",
        "{\"type\":\"a\",\"id\":-1}",
        "{\"type\":\"a\",\"id\":1e300}",
        "{\"type\":\"a\",\"id\":\"\\u0007\"}",
        "{\"type\":\"a\",\"id\":\"\xc3\xa9\"}",
        "{\"type\":\"a\",\"data\":[]}",
        "{\"type\":\"a\",\"data\":\"x\"}",
        "{\"type\":\"a\"}x",
        "{\"type\":\"a\",\"type\":\"b\"}",
        "{\"type\":\"a\",\"id\":"
        "\"0123456789012345678901234567890123456789012345678901234567890123456\"}",
        "{\"type\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}",
    };
    struct envelope e;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (parse(&e, bad[i]) != ERR_INVALID) {
            fail_msg("taken: %s", bad[i]);
        }
        assert_null(e.root);
        assert_null(e.data);
    }
}

static void keeps_what_the_error_reply_needs(void **state)
{
    struct envelope e;

    (void)state;
    assert_int_equal(parse(&e, "{\"type\":\"call_start\",\"id\":\"9\",\"data\":3}"), ERR_INVALID);
    assert_string_equal(e.type, "call_start");
    assert_string_equal(e.id, "9");
    assert_int_equal(parse(&e, "{\"type\":5,\"id\":\"9\"}"), ERR_INVALID);
    assert_string_equal(e.id, "9");
}

static void bounds(void **state)
{
    static char big[ENVELOPE_MAX_BYTES + 1];
    struct envelope e;

    (void)state;
    memset(big, ' ', sizeof big);
    assert_int_equal(envelope_parse(&e, big, sizeof big), ERR_TOO_LARGE);
    memcpy(big, "{\"type\":\"a\"}", 12);
    assert_int_equal(envelope_parse(&e, big, ENVELOPE_MAX_BYTES), OK);
    envelope_free(&e);
}

static void every_truncation(void **state)
{
    static const char text[] = "{\"type\":\"call_start\",\"id\":\"7\",\"data\":{\"x\":[1,{}]}}";
    struct envelope e;

    (void)state;
    for (size_t n = 0; n < sizeof text - 1; n++) {
        char *copy = malloc(n ? n : 1);
        memcpy(copy, text, n);
        assert_int_equal(envelope_parse(&e, copy, n), ERR_INVALID);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_frame),
        cmocka_unit_test(refuses),
        cmocka_unit_test(keeps_what_the_error_reply_needs),
        cmocka_unit_test(bounds),
        cmocka_unit_test(every_truncation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
