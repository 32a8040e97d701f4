#include "sfu/core/srtp_hmac.h"

#include <endian.h>
#include <string.h>

#include <openssl/crypto.h>

#define BLOCK 64

void srtp_hmac_key(struct srtp_hmac *h, const uint8_t key[SRTP_HMAC_KEY_LEN])
{
    uint8_t block[BLOCK];

    for (size_t i = 0; i < BLOCK; i++) {
        block[i] = 0x36 ^ (i < SRTP_HMAC_KEY_LEN ? key[i] : 0);
    }
    SHA1_Init(&h->inner);
    SHA1_Update(&h->inner, block, sizeof block);
    for (size_t i = 0; i < BLOCK; i++) {
        block[i] ^= 0x36 ^ 0x5c;
    }
    SHA1_Init(&h->outer);
    SHA1_Update(&h->outer, block, sizeof block);
    OPENSSL_cleanse(block, sizeof block);
}

void srtp_hmac_tag(const struct srtp_hmac *h, const uint8_t *data, size_t n, uint32_t last,
                   uint8_t tag[SRTP_HMAC_TAG_LEN])
{
    uint8_t digest[SHA_DIGEST_LENGTH];
    uint32_t bytes = htobe32(last);

    SHA_CTX sha = h->inner;
    SHA1_Update(&sha, data, n);
    SHA1_Update(&sha, &bytes, sizeof bytes);
    SHA1_Final(digest, &sha);
    sha = h->outer;
    SHA1_Update(&sha, digest, sizeof digest);
    SHA1_Final(digest, &sha);
    memcpy(tag, digest, SRTP_HMAC_TAG_LEN);
}
