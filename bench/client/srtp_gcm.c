#include "bench/client/srtp_gcm.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/proto/rtp.h"

#define SALT_LEN 12
#define TAG_LEN  16
#define E_BIT    0x80000000u

/* Labels of the key derivation (RFC 3711 section 4.3.2). */
enum { RTP_KEY = 0, RTCP_KEY = 3 }; /* the salts are two further */

/* One session key with its salt. */
struct session {
    EVP_CIPHER_CTX *cipher;
    uint8_t salt[SALT_LEN];
};

struct counter {
    uint32_t ssrc, roc;
    uint16_t seq;
};

struct srtp_gcm {
    struct session rtp_in, rtcp_in, rtcp_out;
    uint32_t index; /* of SRTCP that we send */
    struct counter *streams;
    size_t n, cap;
};

/* RFC 3711 section 4.3.1 with key derivation rate 0 and the salt as in RFC 7714 section 11. */
static bool derive(uint8_t *out, size_t n, uint8_t label, const uint8_t *key, size_t key_len,
                   const uint8_t *salt)
{
    uint8_t iv[16] = {0}, zeros[32] = {0};
    int len;
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    memcpy(iv, salt, SALT_LEN);
    iv[7] ^= label;
    const EVP_CIPHER *aes = key_len == 32 ? EVP_aes_256_ctr() : EVP_aes_128_ctr();
    bool ok = c && EVP_EncryptInit_ex(c, aes, NULL, key, iv) == 1 &&
              EVP_EncryptUpdate(c, out, &len, zeros, (int)n) == 1;
    EVP_CIPHER_CTX_free(c);
    return ok;
}

static bool session_open(struct session *s, bool seals, const uint8_t *key, size_t key_len,
                         const uint8_t *salt, uint8_t key_label)
{
    uint8_t session_key[32];
    const EVP_CIPHER *aes = key_len == 32 ? EVP_aes_256_gcm() : EVP_aes_128_gcm();
    s->cipher = EVP_CIPHER_CTX_new();
    bool ok = s->cipher && derive(session_key, key_len, key_label, key, key_len, salt) &&
              derive(s->salt, SALT_LEN, (uint8_t)(key_label + 2), key, key_len, salt) &&
              EVP_CipherInit_ex(s->cipher, aes, NULL, session_key, NULL, seals) == 1;
    OPENSSL_cleanse(session_key, sizeof session_key);
    return ok;
}

int srtp_gcm_new(struct srtp_gcm **out, const struct dtls_keys *k)
{
    if (k->profile != DTLS_AEAD_AES_128_GCM && k->profile != DTLS_AEAD_AES_256_GCM)
        return ERR_UNSUPPORTED;
    struct srtp_gcm *g = calloc(1, sizeof *g);
    if (!g)
        return ERR_NOMEM;
    if (!session_open(&g->rtp_in, false, k->remote_key, k->key_len, k->remote_salt, RTP_KEY) ||
        !session_open(&g->rtcp_in, false, k->remote_key, k->key_len, k->remote_salt, RTCP_KEY) ||
        !session_open(&g->rtcp_out, true, k->local_key, k->key_len, k->local_salt, RTCP_KEY)) {
        srtp_gcm_free(g);
        return ERR_NOMEM;
    }
    *out = g;
    return OK;
}

void srtp_gcm_free(struct srtp_gcm *g)
{
    if (!g)
        return;
    EVP_CIPHER_CTX_free(g->rtp_in.cipher);
    EVP_CIPHER_CTX_free(g->rtcp_in.cipher);
    EVP_CIPHER_CTX_free(g->rtcp_out.cipher);
    free(g->streams);
    free(g);
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

/* iv holds the packet's part already. */
static bool start(struct session *s, uint8_t iv[SALT_LEN])
{
    for (size_t i = 0; i < SALT_LEN; i++)
        iv[i] ^= s->salt[i];
    return EVP_CipherInit_ex(s->cipher, NULL, NULL, NULL, iv, -1) == 1;
}

static bool update(struct session *s, uint8_t *out, const uint8_t *in, size_t n)
{
    int len;
    return n == 0 || EVP_CipherUpdate(s->cipher, out, &len, in, (int)n) == 1;
}

/* The tag stands behind the n bytes at `data`. */
static int finish_open(struct session *s, uint8_t *data, size_t n)
{
    uint8_t rest[16];
    int len;
    if (EVP_CIPHER_CTX_ctrl(s->cipher, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, data + n) != 1 ||
        EVP_CipherFinal_ex(s->cipher, rest, &len) != 1)
        return ERR_AUTH;
    return OK;
}

static struct counter *find(struct srtp_gcm *g, uint32_t ssrc)
{
    for (size_t i = 0; i < g->n; i++) {
        if (g->streams[i].ssrc == ssrc)
            return &g->streams[i];
    }
    return NULL;
}

/* RFC 3711 appendix A. */
static uint32_t guess_roc(const struct counter *c, uint16_t seq)
{
    if (!c)
        return 0;
    if (c->seq < 0x8000)
        return seq - (int)c->seq > 0x8000 && c->roc > 0 ? c->roc - 1 : c->roc;
    return (int)c->seq - 0x8000 > seq ? c->roc + 1 : c->roc;
}

/* An SSRC takes its place only when its first packet proved authentic. */
static int remember(struct srtp_gcm *g, struct counter *c, uint32_t ssrc, uint16_t seq,
                    uint32_t roc)
{
    if (!c && g->n == g->cap) {
        size_t cap = g->cap ? 2 * g->cap : 4;
        struct counter *streams = realloc(g->streams, cap * sizeof *streams);
        if (!streams)
            return ERR_NOMEM;
        g->streams = streams;
        g->cap = cap;
    }
    if (!c) {
        g->streams[g->n++] = (struct counter){.ssrc = ssrc, .seq = seq, .roc = roc};
    } else if (roc > c->roc || (roc == c->roc && seq > c->seq)) {
        c->roc = roc;
        c->seq = seq;
    }
    return OK;
}

int srtp_gcm_open_rtp(struct srtp_gcm *g, uint8_t *data, size_t *len)
{
    struct rtp_header h;
    uint8_t iv[SALT_LEN] = {0};
    if (*len < RTP_HEADER_MIN + TAG_LEN || rtp_parse_encrypted(&h, data, *len - TAG_LEN) != OK)
        return ERR_INVALID;
    size_t n = *len - TAG_LEN, off = h.payload_off;
    struct counter *c = find(g, h.ssrc);
    uint32_t roc = guess_roc(c, h.seq);
    memcpy(iv + 2, data + 8, 4);
    put_u32(iv + 6, roc);
    memcpy(iv + 10, data + 2, 2);
    if (!start(&g->rtp_in, iv) || !update(&g->rtp_in, NULL, data, off) ||
        !update(&g->rtp_in, data + off, data + off, n - off))
        return ERR_INVALID;
    int r = finish_open(&g->rtp_in, data, n);
    if (r != OK)
        return r;
    *len = n;
    return remember(g, c, h.ssrc, h.seq, roc);
}

/* RFC 7714 section 9.1: SSRC and index. */
static void rtcp_iv(uint8_t iv[SALT_LEN], const uint8_t *data, uint32_t index)
{
    memset(iv, 0, SALT_LEN);
    memcpy(iv + 2, data + 4, 4);
    put_u32(iv + 8, index);
}

int srtp_gcm_open_rtcp(struct srtp_gcm *g, uint8_t *data, size_t *len)
{
    struct session *s = &g->rtcp_in;
    uint8_t iv[SALT_LEN];
    if (*len < 8 + TAG_LEN + 4)
        return ERR_INVALID;
    const uint8_t *trailer = data + *len - 4;
    size_t n = *len - 4 - TAG_LEN;
    bool encrypted = get_u32(trailer) & E_BIT;
    size_t clear = encrypted ? 8 : n; /* section 9.2 and 9.3 */
    rtcp_iv(iv, data, get_u32(trailer) & ~E_BIT);
    if (!start(s, iv) || !update(s, NULL, data, clear) || !update(s, NULL, trailer, 4) ||
        !update(s, data + clear, data + clear, n - clear))
        return ERR_INVALID;
    int r = finish_open(s, data, n);
    *len = r == OK ? n : *len;
    return r;
}

int srtp_gcm_seal_rtcp(struct srtp_gcm *g, uint8_t *data, size_t *len)
{
    struct session *s = &g->rtcp_out;
    uint8_t iv[SALT_LEN], trailer[4], rest[16];
    int n;
    if (*len < 8)
        return ERR_INVALID;
    if (g->index == E_BIT - 1)
        return ERR_LIMIT;
    put_u32(trailer, ++g->index | E_BIT);
    rtcp_iv(iv, data, g->index);
    if (!start(s, iv) || !update(s, NULL, data, 8) || !update(s, NULL, trailer, 4) ||
        !update(s, data + 8, data + 8, *len - 8) || EVP_CipherFinal_ex(s->cipher, rest, &n) != 1 ||
        EVP_CIPHER_CTX_ctrl(s->cipher, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, data + *len) != 1)
        return ERR_IO;
    memcpy(data + *len + TAG_LEN, trailer, 4);
    *len += SRTP_GCM_OVERHEAD;
    return OK;
}
