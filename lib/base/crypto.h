/* The few primitives that every part needs, over OpenSSL. */
#ifndef SOTTO_BASE_CRYPTO_H
#define SOTTO_BASE_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHA256_LEN 32
#define SHA1_LEN   20

/* Fills with cryptographically secure random bytes; aborts the process if the system has none. */
void random_bytes(void *out, size_t n);
/* n random bytes as base64url without padding; out must hold base64url_len(n)+1. */
void random_token(char *out, size_t n);
void sha256(uint8_t out[SHA256_LEN], const void *data, size_t n);
void hmac_sha256(uint8_t out[SHA256_LEN], const void *key, size_t key_len, const void *data,
                 size_t n);
void hmac_sha1(uint8_t out[SHA1_LEN], const void *key, size_t key_len, const void *data, size_t n);
/* Equal in time that depends on n alone. */
bool equal_constant_time(const void *a, const void *b, size_t n);
/* Lower-case hex; out holds 2n+1. */
void hex_encode(char *out, const void *data, size_t n);
size_t base64_len(size_t n);    /* with padding, without the 0 */
size_t base64url_len(size_t n); /* without padding, without the 0 */
void base64_encode(char *out, const void *data, size_t n);
void base64url_encode(char *out, const void *data, size_t n);
/* Decodes standard or url alphabet, padding optional; *out_len in: capacity, out: bytes.
 * ERR_INVALID, ERR_TOO_LARGE. */
int base64_decode(void *out, size_t *out_len, const char *text);

/* bcrypt ($2b$, libxcrypt). Takes 2^cost rounds: hundreds of milliseconds, so thread pool only.
 * out holds 64 bytes. ERR_INVALID for a cost outside 4..20 or a password over 72 bytes. */
int bcrypt_hash(char out[64], const char *password, int cost);
/* OK, or ERR_AUTH when the password doesn't match the hash. */
int bcrypt_verify(const char *password, const char *hash);

#endif
