#include "sfu/core/evp_fetch.h"

#include <malloc.h>
#include <stdint.h>
#include <string.h>

#define NEAR (64 << 20) /* bytes: what was allocated soon after the context is not further away */

/* The context is opaque, but memory of this process all the same. Its first word leads to the
 * cipher's description, which all contexts share; the one other word in it that looks like a
 * pointer into the heap leads to the state. */
const void *evp_fetch_state(const EVP_CIPHER_CTX *c)
{
    const char *bytes = (const char *)c;
    size_t n = malloc_usable_size((void *)(uintptr_t)bytes);
    uintptr_t shared, word, self = (uintptr_t)bytes;
    if (n < sizeof shared) {
        return NULL;
    }
    memcpy(&shared, bytes, sizeof shared);
    for (size_t at = sizeof word; at + sizeof word <= n; at += sizeof word) {
        memcpy(&word, bytes + at, sizeof word);
        uintptr_t apart = word > self ? word - self : self - word;
        if (word != shared && word != self && word % sizeof word == 0 && apart < NEAR) {
            return (const void *)word;
        }
    }
    return NULL;
}
