/* Finding a cipher's own state from outside: right where OpenSSL has its memory of malloc, given up
 * where it has it of somebody else's. OpenSSL takes an allocator before its first use only: each
 * case is a process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "sfu/core/evp_fetch.h"

#define HEADER 64

/* Memory of an allocator of its own: a header before it that says nothing to malloc. */
static void *own_malloc(size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    char *p = malloc(n + HEADER);
    if (!p) {
        return NULL;
    }
    memset(p, 0xf8, HEADER);
    memcpy(p, &n, sizeof n);
    return p + HEADER;
}

static void own_free(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    free(p ? (char *)p - HEADER : NULL);
}

static void *own_realloc(void *p, size_t n, const char *file, int line)
{
    size_t old = 0;
    void *more = own_malloc(n, file, line);
    if (p && more) {
        memcpy(&old, (char *)p - HEADER, sizeof old);
        memcpy(more, p, old < n ? old : n);
        own_free(p, file, line);
    }
    return more;
}

static EVP_CIPHER_CTX *keyed(const EVP_CIPHER *cipher)
{
    static const uint8_t key[32] = {1, 2, 3};
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();

    return c && EVP_CipherInit_ex(c, cipher, NULL, key, NULL, 1) == 1 ? c : NULL;
}

static int with_an_allocator_of_its_own(const EVP_CIPHER *cipher)
{
    if (CRYPTO_set_mem_functions(own_malloc, own_realloc, own_free) != 1) {
        return 2;
    }
    EVP_CIPHER_CTX *c = keyed(cipher);
    const void *state = c ? evp_fetch_state(c) : c;
    EVP_CIPHER_CTX_free(c);
    return c && !state ? 0 : 1;
}

static int with_malloc(const EVP_CIPHER *cipher)
{
    EVP_CIPHER_CTX *c = keyed(cipher);
    const void *state = c ? evp_fetch_state(c) : NULL;
    /* The next keying of the context keeps it. */
    bool found = state && (uintptr_t)state % sizeof(void *) == 0;
    found = found &&
            EVP_CipherInit_ex(c, NULL, NULL, (const uint8_t *)"0123456789abcdef0123456789abcdef",
                              NULL, 1) == 1;
    found = found && evp_fetch_state(c) == state;
    EVP_CIPHER_CTX_free(c);
    return found ? 0 : 1;
}

static int in_a_process(int (*what)(const EVP_CIPHER *), const EVP_CIPHER *cipher)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        signal(SIGSEGV, SIG_DFL); /* cmocka's would go on with the tests */
        _exit(what(cipher));
    }
    assert_true(child > 0 && waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void memory_of_others_is_left_alone(void **state)
{
    (void)state;
    assert_int_equal(in_a_process(with_an_allocator_of_its_own, EVP_aes_128_gcm()), 0);
    assert_int_equal(in_a_process(with_an_allocator_of_its_own, EVP_aes_256_gcm()), 0);
    assert_int_equal(in_a_process(with_an_allocator_of_its_own, EVP_aes_128_ctr()), 0);
}

static void the_state_is_found(void **state)
{
    (void)state;
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
    skip(); /* their malloc gives sizes of unlike kinds far from each other */
#endif
    assert_int_equal(in_a_process(with_malloc, EVP_aes_128_gcm()), 0);
    assert_int_equal(in_a_process(with_malloc, EVP_aes_256_gcm()), 0);
    assert_int_equal(in_a_process(with_malloc, EVP_aes_128_ctr()), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_of_others_is_left_alone),
        cmocka_unit_test(the_state_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
