#include "sfu/core/srtcp.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "lib/base/err.h"
#include "sfu/core/evp_fetch.h"
#include "sfu/core/srtp_keys.h"

#define HEADER_LEN 8 /* fixed part of the first RTCP packet: stays clear */
#define INDEX_LEN  4
#define IV_LEN     12
#define TAG_LEN    16
#define E_FLAG     UINT32_C(0x80000000)
#define MAX_INDEX  (E_FLAG - 1)
#define WINDOW     64

struct direction {
    EVP_CIPHER_CTX *cipher;
    const void *state; /* the cipher's, for evp_fetch */
    uint8_t salt[IV_LEN];
};

struct sender {
    uint32_t ssrc, highest;
    uint64_t seen; /* bit i: highest - i came */
};

struct srtcp {
    struct direction in, out;
    uint32_t index; /* of the last one sent; the first has 1, as libsrtp2 has it */
    size_t n_senders, cap_senders;
    struct sender *sender;
};

static int open_direction(struct direction *d, bool encrypt, enum srtp_profile profile,
                          const uint8_t *master_key, const uint8_t *master_salt)
{
    uint8_t key[32], salt[SRTP_SALT_LEN] = {0};
    size_t key_len = srtp_profile_key_len(profile);
    const EVP_CIPHER *aes = key_len == 32 ? EVP_aes_256_gcm() : EVP_aes_128_gcm();
    memcpy(salt, master_salt, IV_LEN);
    d->cipher = EVP_CIPHER_CTX_new();
    int err = d->cipher ? OK : ERR_NOMEM;
    err = err ? err : srtp_derive(key, key_len, SRTCP_LABEL_ENCRYPTION, master_key, key_len, salt);
    err = err ? err : srtp_derive(d->salt, IV_LEN, SRTCP_LABEL_SALT, master_key, key_len, salt);
    if (!err && EVP_CipherInit_ex(d->cipher, aes, NULL, key, NULL, encrypt) != 1) {
        err = ERR_IO;
    }
    d->state = err ? NULL : evp_fetch_state(d->cipher);
    OPENSSL_cleanse(key, sizeof key);
    OPENSSL_cleanse(salt, sizeof salt);
    return err;
}

int srtcp_new(struct srtcp **out, enum srtp_profile profile, const uint8_t *local_key,
              const uint8_t *local_salt, const uint8_t *remote_key, const uint8_t *remote_salt)
{
    if (profile != SRTP_AEAD_AES_128_GCM && profile != SRTP_AEAD_AES_256_GCM) {
        return ERR_UNSUPPORTED;
    }
    struct srtcp *s = calloc(1, sizeof *s);
    if (!s) {
        return ERR_NOMEM;
    }
    int err = open_direction(&s->out, true, profile, local_key, local_salt);
    err = err ? err : open_direction(&s->in, false, profile, remote_key, remote_salt);
    if (err) {
        srtcp_free(s);
        return err;
    }
    *out = s;
    return OK;
}

void srtcp_free(struct srtcp *s)
{
    if (s) {
        EVP_CIPHER_CTX_free(s->in.cipher); /* wipes its key */
        EVP_CIPHER_CTX_free(s->out.cipher);
        free(s->sender);
        OPENSSL_cleanse(s, sizeof *s);
        free(s);
    }
}

void srtcp_prefetch_far(const struct srtcp *s)
{
    __builtin_prefetch(s, 1);
    __builtin_prefetch((const char *)s + EVP_FETCH_LINE, 1);
}

void srtcp_prefetch_near(const struct srtcp *s)
{
    evp_fetch(s->in.cipher, s->in.state);
    __builtin_prefetch(s->sender, 1);
}

static void put_u32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

static uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* RFC 7714 section 9.1: 16 zero bits, SSRC, 17 zero bits, index, XOR salt; the associated data is
 * what stays clear, then E flag and index (sections 9.2 and 9.3). */
static bool begin(struct direction *d, const uint8_t *packet, size_t clear,
                  const uint8_t trailer[INDEX_LEN])
{
    uint8_t iv[IV_LEN] = {0};
    int n;
    memcpy(iv + 2, packet + 4, 4);
    put_u32(iv + 8, get_u32(trailer) & ~E_FLAG);
    for (size_t i = 0; i < IV_LEN; i++) {
        iv[i] ^= d->salt[i];
    }
    return EVP_CipherInit_ex(d->cipher, NULL, NULL, NULL, iv, -1) == 1 &&
           EVP_CipherUpdate(d->cipher, NULL, &n, packet, (int)clear) == 1 &&
           EVP_CipherUpdate(d->cipher, NULL, &n, trailer, INDEX_LEN) == 1;
}

static bool crypt_rest(struct direction *d, uint8_t *data, size_t len)
{
    int n;
    return len == 0 || EVP_CipherUpdate(d->cipher, data, &n, data, (int)len) == 1;
}

int srtcp_protect(struct srtcp *s, uint8_t *data, size_t *len)
{
    uint8_t trailer[INDEX_LEN], rest[16];
    int n;
    if (*len < HEADER_LEN || *len > 65535) {
        return ERR_INVALID;
    }
    if (s->index == MAX_INDEX) {
        return ERR_LIMIT;
    }
    put_u32(trailer, ++s->index | E_FLAG);
    if (!begin(&s->out, data, HEADER_LEN, trailer) ||
        !crypt_rest(&s->out, data + HEADER_LEN, *len - HEADER_LEN) ||
        EVP_CipherFinal_ex(s->out.cipher, rest, &n) != 1 ||
        EVP_CIPHER_CTX_ctrl(s->out.cipher, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, data + *len) != 1) {
        return ERR_IO;
    }
    memcpy(data + *len + TAG_LEN, trailer, INDEX_LEN);
    *len += SRTCP_OVERHEAD;
    return OK;
}

/* ---- in ---- */

static struct sender *find(const struct srtcp *s, uint32_t ssrc)
{
    for (size_t i = 0; i < s->n_senders; i++) {
        if (s->sender[i].ssrc == ssrc) {
            return &s->sender[i];
        }
    }
    return NULL;
}

static bool is_replayed(const struct sender *r, uint32_t index)
{
    if (!r || index > r->highest) {
        return false;
    }
    uint32_t age = r->highest - index;
    return age >= WINDOW || (r->seen >> age & 1);
}

static void note(struct sender *r, uint32_t index)
{
    if (index > r->highest) {
        uint32_t step = index - r->highest;
        r->seen = step >= WINDOW ? 0 : r->seen << step;
        r->highest = index;
    }
    r->seen |= UINT64_C(1) << (r->highest - index);
}

/* An SSRC takes its place only when its first packet proved authentic. */
static int add_sender(struct srtcp *s, uint32_t ssrc, uint32_t index)
{
    if (s->n_senders == s->cap_senders) {
        size_t cap = s->cap_senders ? 2 * s->cap_senders : 2;
        struct sender *more = realloc(s->sender, cap * sizeof *more);
        if (!more) {
            return ERR_NOMEM;
        }
        s->sender = more;
        s->cap_senders = cap;
    }
    s->sender[s->n_senders++] = (struct sender){.ssrc = ssrc, .highest = index, .seen = 1};
    return OK;
}

/* Proves the n bytes and the tag behind them; what was not clear is decrypted. */
static int prove(struct direction *d, uint8_t *data, size_t n, const uint8_t trailer[INDEX_LEN])
{
    size_t clear = get_u32(trailer) & E_FLAG ? HEADER_LEN : n;
    uint8_t rest[16];
    int out;
    if (!begin(d, data, clear, trailer) || !crypt_rest(d, data + clear, n - clear)) {
        return ERR_INVALID;
    }
    bool good = EVP_CIPHER_CTX_ctrl(d->cipher, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, data + n) == 1 &&
                EVP_CipherFinal_ex(d->cipher, rest, &out) == 1;
    return good ? OK : ERR_AUTH;
}

int srtcp_unprotect(struct srtcp *s, uint8_t *data, size_t *len)
{
    if (*len < HEADER_LEN + SRTCP_OVERHEAD || *len > 65535) {
        return ERR_INVALID;
    }
    size_t n = *len - SRTCP_OVERHEAD;
    uint8_t trailer[INDEX_LEN];
    memcpy(trailer, data + n + TAG_LEN, INDEX_LEN);
    uint32_t ssrc = get_u32(data + 4), index = get_u32(trailer) & ~E_FLAG;
    struct sender *r = find(s, ssrc);
    if (is_replayed(r, index)) {
        return ERR_CONFLICT;
    }
    if (!r && s->n_senders == SRTCP_MAX_SENDERS) {
        return ERR_LIMIT;
    }
    int err = prove(&s->in, data, n, trailer);
    if (!err && r) {
        note(r, index);
    } else if (!err) {
        err = add_sender(s, ssrc, index);
    }
    *len = err ? *len : n;
    return err;
}
