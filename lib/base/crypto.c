#include "lib/base/crypto.h"

#include <crypt.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lib/base/err.h"

void random_bytes(void *out, size_t n)
{
    uint8_t *p = out;

    while (n > 0) {
        ssize_t got = getrandom(p, n > 256 ? 256 : n, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            abort(); /* going on without randomness would be worse than not going on */
        }
        p += got;
        n -= (size_t)got;
    }
}

void random_token(char *out, size_t n)
{
    uint8_t chunk[48]; /* a multiple of 3, so that chunks join without padding */

    out[0] = 0;
    while (n > 0) {
        size_t take = n < sizeof chunk ? n : sizeof chunk;
        random_bytes(chunk, take);
        base64url_encode(out, chunk, take);
        out += base64url_len(take);
        n -= take;
    }
    OPENSSL_cleanse(chunk, sizeof chunk);
}

void sha256(uint8_t out[SHA256_LEN], const void *data, size_t n)
{
    if (!EVP_Digest(n ? data : "", n, out, NULL, EVP_sha256(), NULL)) {
        abort(); /* OpenSSL fails here only without memory or without its default provider */
    }
}

static void hmac(const EVP_MD *md, uint8_t *out, const void *key, size_t key_len, const void *data,
                 size_t n)
{
    if (key_len > INT32_MAX ||
        !HMAC(md, key_len ? key : "", (int)key_len, n ? data : "", n, out, NULL)) {
        abort();
    }
}

void hmac_sha256(uint8_t out[SHA256_LEN], const void *key, size_t key_len, const void *data,
                 size_t n)
{
    hmac(EVP_sha256(), out, key, key_len, data, n);
}

void hmac_sha1(uint8_t out[SHA1_LEN], const void *key, size_t key_len, const void *data, size_t n)
{
    hmac(EVP_sha1(), out, key, key_len, data, n);
}

bool equal_constant_time(const void *a, const void *b, size_t n)
{
    return CRYPTO_memcmp(a, b, n) == 0;
}

void hex_encode(char *out, const void *data, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *p = data;

    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
    out[2 * n] = 0;
}

/* bcrypt looks at 72 bytes and no further: a longer password would be checked in part only. */
#define BCRYPT_MAX_PASSWORD 72

int bcrypt_hash(char out[64], const char *password, int cost)
{
    char salt[CRYPT_GENSALT_OUTPUT_SIZE];
    char seed[16];

    if (cost < 4 || cost > 20 || strlen(password) > BCRYPT_MAX_PASSWORD) {
        return ERR_INVALID;
    }
    struct crypt_data *work = calloc(1, sizeof *work); /* 32 KiB: too much for a pool's stack */
    if (!work) {
        return ERR_NOMEM;
    }
    random_bytes(seed, sizeof seed);
    int rc = ERR_UNSUPPORTED;
    if (crypt_gensalt_rn("$2b$", (unsigned long)cost, seed, sizeof seed, salt, sizeof salt)) {
        const char *hash = crypt_r(password, salt, work);
        if (hash && strncmp(hash, "$2b$", 4) == 0 && strlen(hash) < 64) {
            memcpy(out, hash, strlen(hash) + 1);
            rc = OK;
        }
    }
    OPENSSL_cleanse(work, sizeof *work);
    free(work);
    return rc;
}

int bcrypt_verify(const char *password, const char *hash)
{
    size_t n = strlen(hash);

    /* Only bcrypt: crypt_r would take any scheme, and a failure token must never match itself. */
    if (n != 60 || strncmp(hash, "$2", 2) != 0 || strlen(password) > BCRYPT_MAX_PASSWORD) {
        return ERR_AUTH;
    }
    struct crypt_data *work = calloc(1, sizeof *work);
    if (!work) {
        return ERR_NOMEM;
    }
    const char *got = crypt_r(password, hash, work);
    bool same = got && strlen(got) == n && equal_constant_time(got, hash, n);
    OPENSSL_cleanse(work, sizeof *work);
    free(work);
    return same ? OK : ERR_AUTH;
}
