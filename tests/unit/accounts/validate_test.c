/* What an account may consist of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "accounts/validate.h"
#include "lib/base/err.h"

static void test_email(void **state)
{
    static const char *const good[] = {"a@b", "alice@example.org", "Alice.B+tag@mail.example.org",
                                       "o'hara@example.org",
                                       "j\xc3\xb6rg@b\xc3\xbc"
                                       "cher.example"};
    static const char *const bad[] = {
        "",       "@",      "a@",     "@b",    "a b@c",       "a@b@c",   ".a@b",
        "a.@b",   "a..b@c", "a@b..c", "a@.b",  "a@b.",        "a@-b",    "a@b-",
        "a@b-.c", "a\n@b",  "<a>@b",  "a@b c", "a@[1.2.3.4]", "\"a\"@b", "a@b\r\nBcc: x"};
    char longest[300];

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(email_is_valid(good[i]));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(email_is_valid(bad[i]));
    }
    memset(longest, 'a', sizeof longest);
    longest[64] = '@';
    longest[66] = 0;
    assert_true(email_is_valid(longest));
    memset(longest, 'a', sizeof longest);
    longest[65] = '@';
    longest[67] = 0;
    assert_false(email_is_valid(longest)); /* a local part of 65 */
    memset(longest, 'a', sizeof longest);
    longest[1] = '@';
    longest[2 + 64] = 0;
    assert_false(email_is_valid(longest)); /* a label of 64 */
}

static void test_username(void **state)
{
    (void)state;
    assert_true(username_is_valid("abc"));
    assert_true(username_is_valid("a_b.c-1"));
    assert_true(username_is_valid("abcdefghijklmnopqrstuvwxyz012345"));
    assert_false(username_is_valid("abcdefghijklmnopqrstuvwxyz0123456"));
    assert_false(username_is_valid("ab"));
    assert_false(username_is_valid("Abc"));
    assert_false(username_is_valid("a b"));
    assert_false(username_is_valid("a@b"));
    assert_false(username_is_valid("\xd0\xb0lice")); /* a Cyrillic a */
}

static void test_label(void **state)
{
    (void)state;
    assert_true(label_is_valid("Alice B.", 80));
    assert_true(label_is_valid("\xf0\x9f\x91\xa9\xf0\x9f\x8f\xbd", 2)); /* two code points */
    assert_false(label_is_valid("\xf0\x9f\x91\xa9\xf0\x9f\x8f\xbd", 1));
    assert_false(label_is_valid("", 80));
    assert_false(label_is_valid("   ", 80));
    assert_false(label_is_valid("\xe2\x80\x8b\xc2\xa0", 80)); /* zero width and no-break space */
    assert_false(label_is_valid("a\nb", 80));
    assert_false(label_is_valid("a\x7f", 80));
    assert_false(label_is_valid("a\xc2\x85", 80));     /* C1 */
    assert_false(label_is_valid("a\xe2\x80\xae", 80)); /* right-to-left override */
}

/* Field errors of one function over a body's text. */
static int count_errors(const char *json, struct json_errors *e, const char **username)
{
    static char name[USERNAME_MAX + 1];
    cJSON *o = NULL;
    const char *email;

    memset(e, 0, sizeof *e);
    assert_int_equal(json_parse(&o, json, strlen(json)), OK);
    email = validate_email(o, "email", e);
    *username = validate_username(o, "username", name, e);
    validate_new_password(o, "password", *username, email, e);
    validate_label(o, "displayName", JSON_OPTIONAL, DISPLAY_NAME_MAX, e);
    cJSON_Delete(o);
    return e->n;
}

static void test_body(void **state)
{
    struct json_errors e;
    const char *username;

    (void)state;
    assert_int_equal(count_errors("{\"email\":\"a@b.c\",\"username\":\"AliCe\",\"password\":"
                                  "\"correct horse\"}",
                                  &e, &username),
                     0);
    assert_string_equal(username, "alice");
    assert_int_equal(count_errors("{}", &e, &username), 3);
    assert_string_equal(e.item[0].field, "email");
    assert_string_equal(e.item[1].field, "username");
    assert_string_equal(e.item[2].field, "password");
    assert_int_equal(count_errors("{\"email\":1,\"username\":[],\"password\":{},"
                                  "\"displayName\":true}",
                                  &e, &username),
                     4);
    assert_int_equal(count_errors("{\"email\":\"a@b.c\",\"username\":\"alice.the.first\","
                                  "\"password\":\"ALICE.the.first\"}",
                                  &e, &username),
                     1);
    assert_string_equal(e.item[0].field, "password");
    assert_int_equal(count_errors("{\"email\":\"alice@b.c\",\"username\":\"alice\","
                                  "\"password\":\"alice@B.c\"}",
                                  &e, &username),
                     1);
}

static void test_password_length(void **state)
{
    struct json_errors e = {0};
    cJSON *o = cJSON_CreateObject();
    char text[80];

    (void)state;
    memset(text, 'x', sizeof text);
    text[72] = 0;
    cJSON_AddStringToObject(o, "p", text);
    assert_non_null(validate_new_password(o, "p", NULL, NULL, &e));
    text[72] = 'x';
    text[73] = 0;
    cJSON_ReplaceItemInObject(o, "p", cJSON_CreateString(text));
    assert_null(validate_new_password(o, "p", NULL, NULL, &e));
    cJSON_ReplaceItemInObject(o, "p", cJSON_CreateString("1234567"));
    assert_null(validate_new_password(o, "p", NULL, NULL, &e));
    /* eight bytes that are four characters */
    cJSON_ReplaceItemInObject(o, "p", cJSON_CreateString("\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"));
    assert_null(validate_new_password(o, "p", NULL, NULL, &e));
    assert_int_equal(e.n, 3);
    cJSON_Delete(o);
}

static void test_platform(void **state)
{
    struct json_errors e = {0};
    cJSON *o = cJSON_CreateObject();

    (void)state;
    assert_null(validate_platform(o, "platform", &e));
    assert_int_equal(e.n, 0);
    cJSON_AddStringToObject(o, "platform", "web");
    assert_string_equal(validate_platform(o, "platform", &e), "web");
    cJSON_ReplaceItemInObject(o, "platform", cJSON_CreateString("Web!"));
    assert_null(validate_platform(o, "platform", &e));
    assert_int_equal(e.n, 1);
    cJSON_Delete(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_email),           cmocka_unit_test(test_username),
        cmocka_unit_test(test_label),           cmocka_unit_test(test_body),
        cmocka_unit_test(test_password_length), cmocka_unit_test(test_platform),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
