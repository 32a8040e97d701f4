#include "sfu/core/srtcp.h"

#include <endian.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "lib/base/err.h"
#include "lib/base/fetch.h"
#include "sfu/core/evp_fetch.h"
#include "sfu/core/evp_gcm.h"
#include "sfu/core/srtp_hmac.h"
#include "sfu/core/srtp_keys.h"

#define HEADER_LEN 8 /* fixed part of the first RTCP packet: stays clear */
#define INDEX_LEN  4
#define IV_LEN     EVP_GCM_IV_LEN
#define TAG_LEN    EVP_GCM_TAG_LEN
#define E_FLAG     UINT32_C(0x80000000)
#define MAX_INDEX  (E_FLAG - 1)
#define WINDOW     64
#define CM_TAG_LEN SRTP_HMAC_TAG_LEN

struct direction {
    EVP_CIPHER_CTX *cipher;
    const void *state; /* the cipher's, for evp_fetch */
    uint8_t salt[SRTP_SALT_LEN];
    struct srtp_hmac *hmac; /* of AES-CM, else NULL */
};

struct sender {
    uint32_t ssrc, highest;
    uint64_t seen; /* bit i: highest - i came */
};

/* What opening one needs stands on two lines at the top. */
struct srtcp {
    _Alignas(FETCH_LINE) struct direction in;
    struct sender *sender; /* `only`, until there is another */
    struct sender only;
    uint32_t n_senders, cap_senders;
    bool cm;        /* AES-CM and HMAC-SHA1: index before the tag; else AEAD: behind it */
    uint32_t index; /* of the last one sent; the first has 1, as libsrtp2 has it */
    struct direction out;
};

static int key_hmac(struct direction *d, const uint8_t *master_key, size_t key_len,
                    const uint8_t salt[SRTP_SALT_LEN])
{
    uint8_t auth[SRTP_HMAC_KEY_LEN];
    d->hmac = malloc(sizeof *d->hmac);
    int err = d->hmac ? OK : ERR_NOMEM;
    err =
        err ? err
            : srtp_derive(auth, sizeof auth, SRTCP_LABEL_AUTHENTICATION, master_key, key_len, salt);
    if (!err) {
        srtp_hmac_key(d->hmac, auth);
    }
    OPENSSL_cleanse(auth, sizeof auth);
    return err;
}

static int open_direction(struct direction *d, bool encrypt, enum srtp_profile profile,
                          const uint8_t *master_key, const uint8_t *master_salt)
{
    uint8_t key[32], salt[SRTP_SALT_LEN] = {0};
    size_t key_len = srtp_profile_key_len(profile);
    bool cm = profile == SRTP_AES128_CM_SHA1_80;
    const EVP_CIPHER *aes = cm              ? EVP_aes_128_ctr()
                            : key_len == 32 ? EVP_aes_256_gcm()
                                            : EVP_aes_128_gcm();
    memcpy(salt, master_salt, srtp_profile_salt_len(profile));
    d->cipher = EVP_CIPHER_CTX_new();
    int err = d->cipher ? OK : ERR_NOMEM;
    err = err ? err : srtp_derive(key, key_len, SRTCP_LABEL_ENCRYPTION, master_key, key_len, salt);
    err = err ? err
              : srtp_derive(d->salt, srtp_profile_salt_len(profile), SRTCP_LABEL_SALT, master_key,
                            key_len, salt);
    if (!err && cm) {
        err = key_hmac(d, master_key, key_len, salt);
    }
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
    if (srtp_profile_key_len(profile) == 0) {
        return ERR_UNSUPPORTED;
    }
    struct srtcp *s = aligned_alloc(_Alignof(struct srtcp), sizeof *s);
    if (!s) {
        return ERR_NOMEM;
    }
    memset(s, 0, sizeof *s);
    s->sender = &s->only;
    s->cap_senders = 1;
    s->cm = profile == SRTP_AES128_CM_SHA1_80;
    int err = open_direction(&s->out, true, profile, local_key, local_salt);
    err = err ? err : open_direction(&s->in, false, profile, remote_key, remote_salt);
    if (err) {
        srtcp_free(s);
        return err;
    }
    *out = s;
    return OK;
}

static void close_direction(struct direction *d)
{
    EVP_CIPHER_CTX_free(d->cipher); /* wipes its key */
    if (d->hmac) {
        OPENSSL_cleanse(d->hmac, sizeof *d->hmac);
        free(d->hmac);
    }
}

void srtcp_free(struct srtcp *s)
{
    if (s) {
        close_direction(&s->in);
        close_direction(&s->out);
        if (s->sender != &s->only) {
            free(s->sender);
        }
        OPENSSL_cleanse(s, sizeof *s);
        free(s);
    }
}

void srtcp_prefetch_far(const struct srtcp *s)
{
    fetch_write(s);
    fetch_write((const char *)s + FETCH_LINE);
}

void srtcp_prefetch_near(const struct srtcp *s)
{
    evp_fetch(s->in.cipher, s->in.state);
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

/* RFC 7714 section 9.1: 16 zero bits, SSRC, 17 zero bits, index, XOR salt. Made of two words, as
 * the writer's is. */
static void aead_iv(const struct direction *d, uint32_t ssrc, uint32_t index, uint8_t iv[IV_LEN])
{
    uint64_t high;
    uint32_t low;
    memcpy(&high, d->salt, sizeof high);
    memcpy(&low, d->salt + sizeof high, sizeof low);
    high ^= htobe64((uint64_t)ssrc << 16);
    low ^= htobe32(index);
    memcpy(iv, &high, sizeof high);
    memcpy(iv + sizeof high, &low, sizeof low);
}

/* The associated data is what stays clear, then E flag and index (sections 9.2 and 9.3): in one
 * piece, where that is short. */
static bool associate(struct direction *d, const uint8_t *packet, size_t clear,
                      const uint8_t trailer[INDEX_LEN])
{
    uint8_t both[HEADER_LEN + INDEX_LEN];
    int n;
    if (clear != HEADER_LEN) {
        return EVP_CipherUpdate(d->cipher, NULL, &n, packet, (int)clear) == 1 &&
               EVP_CipherUpdate(d->cipher, NULL, &n, trailer, INDEX_LEN) == 1;
    }
    memcpy(both, packet, HEADER_LEN);
    memcpy(both + HEADER_LEN, trailer, INDEX_LEN);
    return EVP_CipherUpdate(d->cipher, NULL, &n, both, sizeof both) == 1;
}

/* The nonce only; to open, with the tag that is to come out, or NULL. */
static bool begin(struct direction *d, const uint8_t *packet, const uint8_t trailer[INDEX_LEN],
                  uint8_t *tag)
{
    uint8_t iv[IV_LEN];
    aead_iv(d, get_u32(packet + 4), get_u32(trailer) & ~E_FLAG, iv);
    return evp_gcm_begin(d->cipher, iv, tag);
}

static bool crypt_rest(struct direction *d, uint8_t *data, size_t len)
{
    int n;
    return len == 0 || EVP_CipherUpdate(d->cipher, data, &n, data, (int)len) == 1;
}

/* ---- AES-CM and HMAC-SHA1 (RFC 3711 sections 3.4, 4.1.1 and 4.2) ---- */

/* What isn't clear, by the key stream from (salt * 2^16) XOR (SSRC * 2^64) XOR (index * 2^16). */
static bool crypt_cm(struct direction *d, uint8_t *data, size_t len, uint32_t index)
{
    uint8_t iv[16] = {0}, number[INDEX_LEN];
    memcpy(iv, d->salt, SRTP_SALT_LEN);
    put_u32(number, index);
    for (size_t i = 0; i < INDEX_LEN; i++) {
        iv[4 + i] ^= data[4 + i];
        iv[10 + i] ^= number[i];
    }
    return EVP_CipherInit_ex(d->cipher, NULL, NULL, NULL, iv, -1) == 1 &&
           crypt_rest(d, data + HEADER_LEN, len - HEADER_LEN);
}

static int protect_cm(struct direction *d, uint8_t *data, size_t *len, uint32_t index)
{
    if (!crypt_cm(d, data, *len, index)) {
        return ERR_IO;
    }
    put_u32(data + *len, index | E_FLAG);
    srtp_hmac_tag(d->hmac, data, *len, index | E_FLAG, data + *len + INDEX_LEN);
    *len += INDEX_LEN + CM_TAG_LEN;
    return OK;
}

/* As prove. */
static int prove_cm(struct direction *d, uint8_t *data, size_t n, const uint8_t trailer[INDEX_LEN])
{
    uint8_t tag[CM_TAG_LEN];
    uint32_t index = get_u32(trailer);
    srtp_hmac_tag(d->hmac, data, n, index, tag);
    if (CRYPTO_memcmp(tag, data + n + INDEX_LEN, CM_TAG_LEN) != 0) {
        return ERR_AUTH;
    }
    return !(index & E_FLAG) || crypt_cm(d, data, n, index & ~E_FLAG) ? OK : ERR_IO;
}

/* ---- out ---- */

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
    if (s->cm) {
        return protect_cm(&s->out, data, len, s->index);
    }
    if (!begin(&s->out, data, trailer, NULL) || !associate(&s->out, data, HEADER_LEN, trailer) ||
        !crypt_rest(&s->out, data + HEADER_LEN, *len - HEADER_LEN) ||
        EVP_CipherFinal_ex(s->out.cipher, rest, &n) != 1 ||
        !evp_gcm_tag(s->out.cipher, data + *len)) {
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
        uint32_t cap = 4 * s->cap_senders;
        bool first = s->sender == &s->only;
        struct sender *more = realloc(first ? NULL : s->sender, cap * sizeof *more);
        if (!more) {
            return ERR_NOMEM;
        }
        if (first) {
            more[0] = s->only;
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
    if (!begin(d, data, trailer, data + n) || !associate(d, data, clear, trailer) ||
        !crypt_rest(d, data + clear, n - clear)) {
        return ERR_INVALID;
    }
    return EVP_DecryptFinal_ex(d->cipher, rest, &out) == 1 ? OK : ERR_AUTH;
}

int srtcp_unprotect(struct srtcp *s, uint8_t *data, size_t *len)
{
    size_t overhead = s->cm ? INDEX_LEN + CM_TAG_LEN : SRTCP_OVERHEAD;
    if (*len < HEADER_LEN + overhead || *len > 65535) {
        return ERR_INVALID;
    }
    size_t n = *len - overhead;
    uint8_t trailer[INDEX_LEN];
    memcpy(trailer, data + n + (s->cm ? 0 : TAG_LEN), INDEX_LEN);
    uint32_t ssrc = get_u32(data + 4), index = get_u32(trailer) & ~E_FLAG;
    struct sender *r = find(s, ssrc);
    if (is_replayed(r, index)) {
        return ERR_CONFLICT;
    }
    if (!r && s->n_senders == SRTCP_MAX_SENDERS) {
        return ERR_LIMIT;
    }
    int err = s->cm ? prove_cm(&s->in, data, n, trailer) : prove(&s->in, data, n, trailer);
    if (!err && r) {
        note(r, index);
    } else if (!err) {
        err = add_sender(s, ssrc, index);
    }
    *len = err ? *len : n;
    return err;
}
