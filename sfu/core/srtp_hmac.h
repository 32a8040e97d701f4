/* HMAC-SHA1 (RFC 2104) cut to 80 bits, keyed once (RFC 3711 section 4.2). SHA-1 is used by its own
 * context rather than by EVP: a keyed inner and outer state is a plain struct copy a packet, where
 * OpenSSL 3's EVP_MAC and HMAC() allocate each time they start anew. */
#ifndef SOTTO_SFU_CORE_SRTP_HMAC_H
#define SOTTO_SFU_CORE_SRTP_HMAC_H

#define OPENSSL_SUPPRESS_DEPRECATED
#include <stddef.h>
#include <stdint.h>

#include <openssl/sha.h>

#define SRTP_HMAC_KEY_LEN 20
#define SRTP_HMAC_TAG_LEN 10

/* Wipe it (OPENSSL_cleanse) when it is done. */
struct srtp_hmac {
    SHA_CTX inner, outer; /* states after the key block */
};

void srtp_hmac_key(struct srtp_hmac *h, const uint8_t key[SRTP_HMAC_KEY_LEN]);
/* Over the n bytes and four more: the rollover counter that isn't sent, or SRTCP's index. */
void srtp_hmac_tag(const struct srtp_hmac *h, const uint8_t *data, size_t n, uint32_t last,
                   uint8_t tag[SRTP_HMAC_TAG_LEN]);

#endif
