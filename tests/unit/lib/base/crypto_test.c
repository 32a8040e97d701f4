#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "lib/base/crypto.h"
#include "lib/base/err.h"
#include "tests/unit/lib/base/alloc.h"

static void assert_hex(const uint8_t *got, size_t n, const char *want)
{
    char hex[129];

    hex_encode(hex, got, n);
    assert_string_equal(hex, want);
}

/* FIPS 180-4's examples. */
static void sha256_vectors(void **state)
{
    uint8_t h[SHA256_LEN];

    (void)state;
    sha256(h, "abc", 3);
    assert_hex(h, sizeof h, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha256(h, NULL, 0);
    assert_hex(h, sizeof h, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sha256(h, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56);
    assert_hex(h, sizeof h, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

/* RFC 4231 sections 4.2, 4.3, 4.7. */
static void hmac_sha256_vectors(void **state)
{
    uint8_t h[SHA256_LEN], key[131];

    (void)state;
    memset(key, 0x0b, 20);
    hmac_sha256(h, key, 20, "Hi There", 8);
    assert_hex(h, sizeof h, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    hmac_sha256(h, "Jefe", 4, "what do ya want for nothing?", 28);
    assert_hex(h, sizeof h, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    hmac_sha256(h, key, sizeof key, "Test Using Larger Than Block-Size Key - Hash Key First", 54);
    assert_hex(h, sizeof h, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

/* RFC 2202 section 3, cases 1 and 2. */
static void hmac_sha1_vectors(void **state)
{
    uint8_t h[SHA1_LEN], key[20];

    (void)state;
    memset(key, 0x0b, sizeof key);
    hmac_sha1(h, key, sizeof key, "Hi There", 8);
    assert_hex(h, sizeof h, "b617318655057264e28bc0b6fb378c8ef146be00");
    hmac_sha1(h, "Jefe", 4, "what do ya want for nothing?", 28);
    assert_hex(h, sizeof h, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
    hmac_sha1(h, NULL, 0, NULL, 0);
    assert_hex(h, sizeof h, "fbdb1d1b18aa6c08324b7d64b71fb76370690e1d");
}

static void compares(void **state)
{
    (void)state;
    assert_true(equal_constant_time("abc", "abc", 3));
    assert_false(equal_constant_time("abc", "abd", 3));
    assert_true(equal_constant_time("abc", "abd", 2));
    assert_true(equal_constant_time("a", "b", 0));
}

static void random_is_not_constant(void **state)
{
    uint8_t a[600] = {0}, b[600] = {0};
    unsigned seen[256] = {0}, values = 0;

    (void)state;
    random_bytes(a, sizeof a);
    random_bytes(b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
    assert_memory_not_equal(a + 512, b + 512, 88); /* past getrandom's 256 at once */
    for (size_t i = 0; i < sizeof a; i++) {
        values += seen[a[i]]++ == 0;
    }
    assert_true(values > 150);
}

static void tokens_have_their_length_and_alphabet(void **state)
{
    static const char url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    static const size_t sizes[] = {0, 1, 9, 16, 32, 48, 49, 100};
    char token[160];

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        random_token(token, sizes[i]);
        assert_int_equal(strlen(token), base64url_len(sizes[i]));
        assert_int_equal(strspn(token, url), strlen(token));
    }
}

static void bcrypt_hashes_what_it_verifies(void **state)
{
    char hash[64], again[64];

    (void)state;
    assert_int_equal(bcrypt_hash(hash, "correct horse", 4), OK);
    assert_memory_equal(hash, "$2b$04$", 7);
    assert_int_equal(strlen(hash), 60);
    assert_int_equal(bcrypt_hash(again, "correct horse", 4), OK);
    assert_string_not_equal(hash, again);
    assert_int_equal(bcrypt_verify("correct horse", hash), OK);
    assert_int_equal(bcrypt_verify("correct horsf", hash), ERR_AUTH);
    assert_int_equal(bcrypt_verify("", hash), ERR_AUTH);
}

/* From the test vectors that crypt_blowfish ships. */
static void bcrypt_known_answers(void **state)
{
    (void)state;
    assert_int_equal(
        bcrypt_verify("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"), OK);
    assert_int_equal(
        bcrypt_verify("U*U*", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK"), OK);
    assert_int_equal(
        bcrypt_verify("U*U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK"),
        ERR_AUTH);
}

static void bcrypt_refuses_what_it_would_cut_or_misread(void **state)
{
    char hash[64] = "untouched", longest[74];

    (void)state;
    memset(longest, 'x', 73);
    longest[73] = 0;
    assert_int_equal(bcrypt_hash(hash, longest, 4), ERR_INVALID);
    assert_int_equal(bcrypt_hash(hash, "x", 3), ERR_INVALID);
    assert_int_equal(bcrypt_hash(hash, "x", 21), ERR_INVALID);
    assert_string_equal(hash, "untouched");
    longest[72] = 0;
    assert_int_equal(bcrypt_hash(hash, longest, 4), OK);
    assert_int_equal(bcrypt_verify(longest, hash), OK);
    longest[72] = 'x';
    assert_int_equal(bcrypt_verify(longest, hash), ERR_AUTH); /* not its first 72 bytes */
    assert_int_equal(bcrypt_verify("x", ""), ERR_AUTH);
    assert_int_equal(bcrypt_verify("*0", "*0"), ERR_AUTH);
    assert_int_equal(bcrypt_verify("x", "$1$abcdefgh$AAAAAAAAAAAAAAAAAAAAAA"), ERR_AUTH);
}

static void bcrypt_says_when_memory_is_out(void **state)
{
    char hash[64];

    (void)state;
    if (!ALLOC_CAN_FAIL) {
        skip();
    }
    assert_int_equal(bcrypt_hash(hash, "x", 4), OK);
    alloc_fail_at(0);
    int hashed = bcrypt_hash(hash, "x", 4);
    int verified = bcrypt_verify("x", hash);
    alloc_fail_at(-1);
    assert_int_equal(hashed, ERR_NOMEM);
    assert_int_equal(verified, ERR_NOMEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_vectors),
        cmocka_unit_test(hmac_sha256_vectors),
        cmocka_unit_test(hmac_sha1_vectors),
        cmocka_unit_test(compares),
        cmocka_unit_test(random_is_not_constant),
        cmocka_unit_test(tokens_have_their_length_and_alphabet),
        cmocka_unit_test(bcrypt_hashes_what_it_verifies),
        cmocka_unit_test(bcrypt_known_answers),
        cmocka_unit_test(bcrypt_refuses_what_it_would_cut_or_misread),
        cmocka_unit_test(bcrypt_says_when_memory_is_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
