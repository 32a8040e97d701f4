/* Fetching a keyed cipher of OpenSSL's into the cache before its turn: between two packets of a
 * viewer among hundreds its kilobyte has left it, and is asked for line by line else. */
#ifndef SOTTO_SFU_CORE_EVP_FETCH_H
#define SOTTO_SFU_CORE_EVP_FETCH_H

#include <stddef.h>

#include <openssl/evp.h>

#define EVP_FETCH_LINE    64
#define EVP_FETCH_CONTEXT 192 /* bytes of OpenSSL 3's EVP_CIPHER_CTX */
#define EVP_FETCH_STATE   960 /* and of what its AES-GCM keeps a key */

/* Where the cipher that this context was keyed for keeps its own state, as far as that can be told
 * from outside: only to be fetched, never read. NULL: not known. */
const void *evp_fetch_state(const EVP_CIPHER_CTX *c);

/* Both will be used soon. A NULL or a wrong guess costs nothing. */
static inline void evp_fetch(const EVP_CIPHER_CTX *c, const void *state)
{
    for (size_t at = 0; at < EVP_FETCH_CONTEXT; at += EVP_FETCH_LINE) {
        __builtin_prefetch((const char *)c + at, 1);
    }
    for (size_t at = 0; state && at < EVP_FETCH_STATE; at += EVP_FETCH_LINE) {
        __builtin_prefetch((const char *)state + at, 1);
    }
}

#endif
