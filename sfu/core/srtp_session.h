/* Keyed state of one direction of SRTP over OpenSSL EVP, for srtp_writer and srtp_reader: session
 * keys, initialisation vectors, HMAC-SHA1 (RFC 3711 section 4, RFC 7714 section 8). Not for use by
 * several threads. */
#ifndef SOTTO_SFU_CORE_SRTP_SESSION_H
#define SOTTO_SFU_CORE_SRTP_SESSION_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "sfu/core/srtp_hmac.h"
#include "sfu/core/srtp_keys.h"
#include "sfu/core/srtp_writer.h"
#include <openssl/evp.h>

#define SRTP_AEAD_IV_LEN  12
#define SRTP_AEAD_TAG_LEN 16
#define SRTP_CM_IV_LEN    16
#define SRTP_CM_TAG_LEN   SRTP_HMAC_TAG_LEN

struct srtp_session {
    EVP_CIPHER_CTX *cipher;
    const void *state; /* the cipher's, for evp_fetch */
    enum srtp_profile profile;
    uint8_t salt[SRTP_SALT_LEN];
    struct srtp_hmac hmac; /* of AES-CM */
};

/* s is zero. Derives the session keys (RFC 3711 section 4.3, key derivation rate 0).
 * ERR_UNSUPPORTED (profile), ERR_NOMEM, ERR_IO (OpenSSL); close it in any case. */
int srtp_session_open(struct srtp_session *s, enum srtp_profile profile, bool encrypt,
                      const uint8_t *master_key, const uint8_t *master_salt);
/* Wipes it. */
void srtp_session_close(struct srtp_session *s);

/* RFC 7714 section 8.1: 16 zero bits, SSRC, ROC, SEQ, XOR salt. Made of two words: written byte by
 * byte and read as words, it would wait until all that was written before has left the processor's
 * store buffer, which is the packet. */
static inline void srtp_session_aead_iv(const struct srtp_session *s, const uint8_t *packet,
                                        uint32_t roc, uint8_t iv[SRTP_AEAD_IV_LEN])
{
    uint32_t ssrc, seq = (uint32_t)packet[2] << 8 | packet[3], salt_low;
    uint64_t salt_high;
    memcpy(&ssrc, packet + 8, sizeof ssrc);
    memcpy(&salt_high, s->salt, sizeof salt_high);
    memcpy(&salt_low, s->salt + sizeof salt_high, sizeof salt_low);
    uint64_t high = htobe64((uint64_t)be32toh(ssrc) << 16 | roc >> 16) ^ salt_high;
    uint32_t low = htobe32(roc << 16 | seq) ^ salt_low;
    memcpy(iv, &high, sizeof high);
    memcpy(iv + sizeof high, &low, sizeof low);
}

/* RFC 3711 section 4.1.1: (salt * 2^16) XOR (SSRC * 2^64) XOR (index * 2^16). */
static inline void srtp_session_cm_iv(const struct srtp_session *s, const uint8_t *packet,
                                      uint32_t roc, uint8_t iv[SRTP_CM_IV_LEN])
{
    memset(iv, 0, SRTP_CM_IV_LEN);
    memcpy(iv, s->salt, SRTP_SALT_LEN);
    for (size_t i = 0; i < 4; i++) {
        iv[4 + i] ^= packet[8 + i];
        iv[8 + i] ^= (uint8_t)(roc >> (24 - 8 * i));
    }
    iv[12] ^= packet[2];
    iv[13] ^= packet[3];
}

#endif
