#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "lib/base/crypto.h"
#include "lib/base/err.h"

/* RFC 4648 section 10. */
static const struct {
    const char *bytes, *text, *url;
} vectors[] = {
    {"", "", ""},
    {"f", "Zg==", "Zg"},
    {"fo", "Zm8=", "Zm8"},
    {"foo", "Zm9v", "Zm9v"},
    {"foob", "Zm9vYg==", "Zm9vYg"},
    {"fooba", "Zm9vYmE=", "Zm9vYmE"},
    {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
    {"\xfb\xff\xfe", "+//+", "-__-"},
};

static void encodes_the_rfc_vectors(void **state)
{
    char out[16];

    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        size_t n = strlen(vectors[i].bytes);
        base64_encode(out, vectors[i].bytes, n);
        assert_string_equal(out, vectors[i].text);
        assert_int_equal(base64_len(n), strlen(out));
        base64url_encode(out, vectors[i].bytes, n);
        assert_string_equal(out, vectors[i].url);
        assert_int_equal(base64url_len(n), strlen(out));
    }
}

static void decodes_both_alphabets_padded_or_not(void **state)
{
    char out[16];

    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        size_t n = sizeof out;
        assert_int_equal(base64_decode(out, &n, vectors[i].text), OK);
        assert_int_equal(n, strlen(vectors[i].bytes));
        assert_memory_equal(out, vectors[i].bytes, n);
        n = sizeof out;
        assert_int_equal(base64_decode(out, &n, vectors[i].url), OK);
        assert_int_equal(n, strlen(vectors[i].bytes));
        assert_memory_equal(out, vectors[i].bytes, n);
    }
}

static void every_length_comes_back(void **state)
{
    uint8_t in[100], back[100];
    char text[160];

    (void)state;
    random_bytes(in, sizeof in);
    for (size_t n = 0; n <= sizeof in; n++) {
        size_t len = n;
        base64url_encode(text, in, n);
        assert_int_equal(base64_decode(back, &len, text), OK);
        assert_int_equal(len, n);
        assert_memory_equal(back, in, n);
    }
}

static void refuses_bad_text(void **state)
{
    static const char *const bad[] = {
        "Z",
        "Zg=",
        "=",
        "==",
        "====",
        "Zg===",
        "Z===",
        "Zm9v=",
        "Zm9vYg=",
        "Zm 9v",
        "Zm9v\n",
        "Zm9.",
        "Zh==" /* left-over bits */,
        "Zm9=" /* likewise */,
        "+_+_",
        "Zg==Zg==",
        "\xc3\xa4gg",
    };
    char out[16];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        size_t n = sizeof out;
        assert_int_equal(base64_decode(out, &n, bad[i]), ERR_INVALID);
    }
}

static void stays_in_its_room(void **state)
{
    char out[4] = {1, 1, 1, 7};
    size_t n = 2;

    (void)state;
    assert_int_equal(base64_decode(out, &n, "Zm9v"), ERR_TOO_LARGE);
    n = 3;
    assert_int_equal(base64_decode(out, &n, "Zm9v"), OK);
    assert_int_equal(n, 3);
    assert_int_equal(out[3], 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodes_the_rfc_vectors),
        cmocka_unit_test(decodes_both_alphabets_padded_or_not),
        cmocka_unit_test(every_length_comes_back),
        cmocka_unit_test(refuses_bad_text),
        cmocka_unit_test(stays_in_its_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
