/* Fetching a keyed cipher of OpenSSL's into the cache before its turn: between two packets of a
 * viewer among hundreds its kilobyte has left it, and is asked for line by line else. */
#ifndef SOTTO_SFU_CORE_EVP_FETCH_H
#define SOTTO_SFU_CORE_EVP_FETCH_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>

#include "lib/base/fetch.h"

#define EVP_FETCH_CONTEXT 192 /* bytes of OpenSSL 3's EVP_CIPHER_CTX */
#define EVP_FETCH_STATE   960 /* and of what its AES-GCM keeps a key */

/* Where the cipher that this context was keyed for keeps its own state, as far as that can be told
 * from outside: only to be fetched, never read. NULL: not known. */
const void *evp_fetch_state(const EVP_CIPHER_CTX *c);

/* All lines of so many bytes: malloc's blocks begin and end within lines. */
static inline void evp_fetch_lines(const void *p, size_t n)
{
    const char *at = (const char *)p - (uintptr_t)p % FETCH_LINE;
    for (; at < (const char *)p + n; at += FETCH_LINE) {
        fetch_write(at);
    }
}

/* Both will be used soon. A NULL or a wrong guess costs nothing. */
static inline void evp_fetch(const EVP_CIPHER_CTX *c, const void *state)
{
    evp_fetch_lines(c, EVP_FETCH_CONTEXT);
    if (state) {
        evp_fetch_lines(state, EVP_FETCH_STATE);
    }
}

#endif
