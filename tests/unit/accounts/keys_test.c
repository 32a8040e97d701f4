/* The key folder: what is taken, what stops the start. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "accounts/keys.h"
#include "lib/base/err.h"

static char dir[64];

static int setup(void **state)
{
    const char *base = getenv("TMPDIR");

    (void)state;
    snprintf(dir, sizeof dir, "%s/sotto-keys-XXXXXX", base ? base : "/var/tmp");
    return mkdtemp(dir) ? 0 : -1;
}

static void path_of(char out[160], const char *file)
{
    snprintf(out, 160, "%s/%s", dir, file);
}

static int teardown(void **state)
{
    static const char *const files[] = {"a.pem",    "b.pem",   "c.pem",       "rsa.pem",
                                        "p384.pem", "bad.pem", "bad kid.pem", "note.txt"};
    char path[160];

    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        path_of(path, files[i]);
        unlink(path);
    }
    return rmdir(dir);
}

static void write_text(const char *file, const char *text)
{
    char path[160];
    FILE *f;

    path_of(path, file);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    chmod(path, 0600);
}

static void write_key(const char *file, EVP_PKEY *key)
{
    char path[160];
    FILE *f;

    path_of(path, file);
    f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(f);
    chmod(path, 0600);
    EVP_PKEY_free(key);
}

static void test_generate(void **state)
{
    struct keys *k = NULL;
    struct stat st;
    char path[160];

    (void)state;
    assert_int_equal(keys_generate(dir, "a"), OK);
    path_of(path, "a.pem");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(keys_generate(dir, "a"), ERR_CONFLICT);
    assert_int_equal(keys_generate(dir, "../a"), ERR_INVALID);
    assert_int_equal(keys_generate(dir, ""), ERR_INVALID);
    assert_int_equal(keys_generate("/nonexistent", "a"), ERR_IO);
    assert_int_equal(keys_load(&k, dir), OK);
    assert_ptr_equal(keys_find(k, "a"), k->signer);
    assert_null(keys_find(k, "b"));
    keys_free(k);
}

static void test_empty_and_missing(void **state)
{
    struct keys *k = NULL;

    (void)state;
    assert_int_equal(keys_load(&k, dir), ERR_NOT_FOUND);
    assert_int_equal(keys_load(&k, "/nonexistent"), ERR_IO);
    assert_null(k);
}

/* A public key verifies and never signs, though it sorts last. */
static void test_public_only(void **state)
{
    struct keys *k = NULL;

    (void)state;
    assert_int_equal(keys_generate(dir, "a"), OK);
    assert_int_equal(keys_load(&k, dir), OK);
    write_text("c.pem", k->signer->public_pem);
    keys_free(k);
    assert_int_equal(keys_load(&k, dir), OK);
    assert_int_equal(k->n, 2);
    assert_string_equal(k->signer->kid, "a");
    assert_null(keys_find(k, "c")->private_pem);
    keys_free(k);
}

static void test_readable_by_others(void **state)
{
    struct keys *k = NULL;
    char path[160];

    (void)state;
    assert_int_equal(keys_generate(dir, "a"), OK);
    path_of(path, "a.pem");
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(keys_load(&k, dir), ERR_FORBIDDEN);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(keys_load(&k, dir), OK);
    keys_free(k);
}

static void test_other_keys_refused(void **state)
{
    struct keys *k = NULL;
    char path[160];

    (void)state;
    assert_int_equal(keys_generate(dir, "a"), OK);
    write_key("rsa.pem", EVP_RSA_gen(2048));
    assert_int_equal(keys_load(&k, dir), ERR_INVALID);
    path_of(path, "rsa.pem");
    unlink(path);
    write_key("p384.pem", EVP_EC_gen("P-384"));
    assert_int_equal(keys_load(&k, dir), ERR_INVALID);
    path_of(path, "p384.pem");
    unlink(path);
    write_text("bad.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    assert_int_equal(keys_load(&k, dir), ERR_INVALID);
    path_of(path, "bad.pem");
    unlink(path);
    write_text("bad kid.pem", "");
    assert_int_equal(keys_load(&k, dir), ERR_INVALID);
    path_of(path, "bad kid.pem");
    unlink(path);
    write_text("note.txt", "not a key, and not asked to be");
    assert_int_equal(keys_load(&k, dir), OK);
    keys_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_generate, setup, teardown),
        cmocka_unit_test_setup_teardown(test_empty_and_missing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_public_only, setup, teardown),
        cmocka_unit_test_setup_teardown(test_readable_by_others, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_keys_refused, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
