/* SHA-1 is used by its own context rather than by EVP: a keyed inner and outer state is a plain
 * struct copy a packet, where OpenSSL 3's EVP_MAC allocates each time it starts anew. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "sfu/core/srtp_writer.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include "lib/base/err.h"
#include "sfu/core/evp_fetch.h"
#include "sfu/core/srtp_keys.h"

#define AEAD_IV_LEN  12
#define CM_TAG_LEN   10
#define AEAD_TAG_LEN 16
#define HMAC_BLOCK   64

struct srtp_writer {
    _Alignas(EVP_FETCH_LINE) EVP_CIPHER_CTX *cipher;
    const void *state; /* the cipher's, for evp_fetch */
    enum srtp_profile profile;
    uint8_t salt[SRTP_SALT_LEN];
    SHA_CTX inner, outer; /* HMAC-SHA1 states after the key block (RFC 2104) */
};

size_t srtp_profile_key_len(enum srtp_profile p)
{
    switch (p) {
    case SRTP_AES128_CM_SHA1_80:
    case SRTP_AEAD_AES_128_GCM:
        return 16;
    case SRTP_AEAD_AES_256_GCM:
        return 32;
    }
    return 0;
}

size_t srtp_profile_salt_len(enum srtp_profile p)
{
    if (srtp_profile_key_len(p) == 0) {
        return 0;
    }
    return p == SRTP_AES128_CM_SHA1_80 ? SRTP_SALT_LEN : AEAD_IV_LEN;
}

size_t srtp_profile_tag_len(enum srtp_profile p)
{
    if (srtp_profile_key_len(p) == 0) {
        return 0;
    }
    return p == SRTP_AES128_CM_SHA1_80 ? CM_TAG_LEN : AEAD_TAG_LEN;
}

static void key_hmac(struct srtp_writer *w, const uint8_t key[SHA_DIGEST_LENGTH])
{
    uint8_t block[HMAC_BLOCK];

    for (size_t i = 0; i < HMAC_BLOCK; i++) {
        block[i] = 0x36 ^ (i < SHA_DIGEST_LENGTH ? key[i] : 0);
    }
    SHA1_Init(&w->inner);
    SHA1_Update(&w->inner, block, sizeof block);
    for (size_t i = 0; i < HMAC_BLOCK; i++) {
        block[i] ^= 0x36 ^ 0x5c;
    }
    SHA1_Init(&w->outer);
    SHA1_Update(&w->outer, block, sizeof block);
    OPENSSL_cleanse(block, sizeof block);
}

static const EVP_CIPHER *cipher_of(enum srtp_profile p)
{
    if (p == SRTP_AES128_CM_SHA1_80) {
        return EVP_aes_128_ctr();
    }
    return p == SRTP_AEAD_AES_128_GCM ? EVP_aes_128_gcm() : EVP_aes_256_gcm();
}

static int key_writer(struct srtp_writer *w, const uint8_t *master_key, const uint8_t *master_salt)
{
    uint8_t salt[SRTP_SALT_LEN] = {0}, key[32], auth[SHA_DIGEST_LENGTH];
    size_t key_len = srtp_profile_key_len(w->profile), salt_len = srtp_profile_salt_len(w->profile);

    memcpy(salt, master_salt, salt_len);
    int r = srtp_derive(key, key_len, SRTP_LABEL_ENCRYPTION, master_key, key_len, salt);
    if (r == OK) {
        r = srtp_derive(w->salt, salt_len, SRTP_LABEL_SALT, master_key, key_len, salt);
    }
    if (r == OK && w->profile == SRTP_AES128_CM_SHA1_80) {
        r = srtp_derive(auth, sizeof auth, SRTP_LABEL_AUTHENTICATION, master_key, key_len, salt);
        if (r == OK) {
            key_hmac(w, auth);
        }
    }
    if (r == OK && EVP_EncryptInit_ex(w->cipher, cipher_of(w->profile), NULL, key, NULL) != 1) {
        r = ERR_IO;
    }
    OPENSSL_cleanse(key, sizeof key);
    OPENSSL_cleanse(auth, sizeof auth);
    OPENSSL_cleanse(salt, sizeof salt);
    return r;
}

int srtp_writer_new(struct srtp_writer **out, enum srtp_profile profile, const uint8_t *master_key,
                    const uint8_t *master_salt)
{
    if (srtp_profile_key_len(profile) == 0) {
        return ERR_UNSUPPORTED;
    }
    struct srtp_writer *w = aligned_alloc(_Alignof(struct srtp_writer), sizeof *w);
    if (!w) {
        return ERR_NOMEM;
    }
    memset(w, 0, sizeof *w);
    w->profile = profile;
    w->cipher = EVP_CIPHER_CTX_new();
    int r = w->cipher ? key_writer(w, master_key, master_salt) : ERR_NOMEM;
    if (r < 0) {
        srtp_writer_free(w);
        return r;
    }
    w->state = evp_fetch_state(w->cipher);
    *out = w;
    return OK;
}

void srtp_writer_free(struct srtp_writer *w)
{
    if (!w) {
        return;
    }
    EVP_CIPHER_CTX_free(w->cipher); /* wipes its key */
    OPENSSL_cleanse(w, sizeof *w);
    free(w);
}

size_t srtp_writer_tag_len(const struct srtp_writer *w)
{
    return w->profile == SRTP_AES128_CM_SHA1_80 ? CM_TAG_LEN : AEAD_TAG_LEN;
}

void srtp_writer_prefetch_far(const struct srtp_writer *w)
{
    __builtin_prefetch(w);
}

void srtp_writer_prefetch_near(const struct srtp_writer *w)
{
    evp_fetch(w->cipher, w->state);
}

/* The packet's rollover counter by RFC 3711 section 3.3.1, and the stream moved on. A number that
 * would lie before index 0 is taken as newer, as libsrtp2 does. */
static int next_roc(struct srtp_stream *s, uint16_t seq, uint32_t *roc)
{
    if (!s->started) {
        s->started = true;
        s->seq = seq;
        *roc = s->roc;
        return OK;
    }
    int diff = (int)seq - (int)s->seq;
    *roc = s->roc;
    if (diff > 32768 && s->roc > 0) {
        *roc = s->roc - 1;
        return OK;
    }
    if (diff < -32768) {
        if (s->roc == UINT32_MAX) {
            return ERR_LIMIT;
        }
        *roc = ++s->roc;
        s->seq = seq;
    } else if (diff > 0) {
        s->seq = seq;
    }
    return OK;
}

static void put_u32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

/* RFC 7714 section 8.1: 16 zero bits, SSRC, ROC, SEQ, XOR salt. Made of two words: written byte by
 * byte and read as words, it would wait until all that was written before has left the processor's
 * store buffer, which is the packet. */
static void aead_iv(const struct srtp_writer *w, const uint8_t *packet, uint32_t roc,
                    uint8_t iv[AEAD_IV_LEN])
{
    uint32_t ssrc, seq = (uint32_t)packet[2] << 8 | packet[3], salt_low;
    uint64_t salt_high;
    memcpy(&ssrc, packet + 8, sizeof ssrc);
    memcpy(&salt_high, w->salt, sizeof salt_high);
    memcpy(&salt_low, w->salt + sizeof salt_high, sizeof salt_low);
    uint64_t high = htobe64((uint64_t)be32toh(ssrc) << 16 | roc >> 16) ^ salt_high;
    uint32_t low = htobe32(roc << 16 | seq) ^ salt_low;
    memcpy(iv, &high, sizeof high);
    memcpy(iv + sizeof high, &low, sizeof low);
}

/* The header is associated data. */
static int protect_aead(struct srtp_writer *w, uint8_t *packet, size_t len, size_t header_len,
                        uint32_t roc)
{
    uint8_t iv[AEAD_IV_LEN];
    int n = 0;

    aead_iv(w, packet, roc, iv);
    uint8_t *payload = packet + header_len;
    int payload_len = (int)(len - header_len);
    bool ok = EVP_EncryptInit_ex(w->cipher, NULL, NULL, NULL, iv) == 1 &&
              EVP_EncryptUpdate(w->cipher, NULL, &n, packet, (int)header_len) == 1;
    if (ok && payload_len > 0) {
        ok = EVP_EncryptUpdate(w->cipher, payload, &n, payload, payload_len) == 1;
    }
    ok = ok && EVP_EncryptFinal_ex(w->cipher, packet + len, &n) == 1 &&
         EVP_CIPHER_CTX_ctrl(w->cipher, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_LEN, packet + len) == 1;
    return ok ? (int)(len + AEAD_TAG_LEN) : ERR_IO;
}

/* RFC 3711 sections 4.1.1 and 4.2: AES-CM from (salt * 2^16) XOR (SSRC * 2^64) XOR (index * 2^16),
 * then HMAC-SHA1 over the packet and the ROC. */
static int protect_cm(struct srtp_writer *w, uint8_t *packet, size_t len, size_t header_len,
                      uint32_t roc)
{
    uint8_t iv[16] = {0}, roc_bytes[4], digest[SHA_DIGEST_LENGTH];
    int n = 0;

    memcpy(iv, w->salt, SRTP_SALT_LEN);
    put_u32(roc_bytes, roc);
    for (size_t i = 0; i < 4; i++) {
        iv[4 + i] ^= packet[8 + i];
        iv[8 + i] ^= roc_bytes[i];
    }
    iv[12] ^= packet[2];
    iv[13] ^= packet[3];
    uint8_t *payload = packet + header_len;
    bool ok = EVP_EncryptInit_ex(w->cipher, NULL, NULL, NULL, iv) == 1;
    if (ok && len > header_len) {
        ok = EVP_EncryptUpdate(w->cipher, payload, &n, payload, (int)(len - header_len)) == 1;
    }
    if (!ok) {
        return ERR_IO;
    }
    SHA_CTX sha = w->inner;
    SHA1_Update(&sha, packet, len);
    SHA1_Update(&sha, roc_bytes, sizeof roc_bytes);
    SHA1_Final(digest, &sha);
    sha = w->outer;
    SHA1_Update(&sha, digest, sizeof digest);
    SHA1_Final(digest, &sha);
    memcpy(packet + len, digest, CM_TAG_LEN);
    return (int)(len + CM_TAG_LEN);
}

int srtp_writer_protect(struct srtp_writer *w, struct srtp_stream *s, uint8_t *packet, size_t len,
                        size_t header_len, size_t cap)
{
    uint32_t roc;

    if (header_len < 12 || header_len > len) {
        return ERR_INVALID;
    }
    if (len > 65535 || cap < len + srtp_writer_tag_len(w)) {
        return ERR_TOO_LARGE;
    }
    int r = next_roc(s, (uint16_t)(packet[2] << 8 | packet[3]), &roc);
    if (r < 0) {
        return r;
    }
    if (w->profile == SRTP_AES128_CM_SHA1_80) {
        return protect_cm(w, packet, len, header_len, roc);
    }
    return protect_aead(w, packet, len, header_len, roc);
}
