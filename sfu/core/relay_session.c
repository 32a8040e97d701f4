#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "sfu/core/relay_session.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/crypto.h"
#include "lib/base/err.h"

#define MAGIC_HELLO 0x53520101u /* "SR", version 1, and which of the two */
#define MAGIC_DATA  0x53520102u
#define NONCE       32
#define KEY         16
#define SALT        12
#define TAG         16
#define HEAD        12   /* magic and number, in front of what is encrypted */
#define WINDOW      1024 /* numbers of which is known whether they came; a multiple of 64 */
#define AT_FLAGS    4
#define AT_NONCE    5
#define AT_ECHO     (AT_NONCE + NONCE)
#define AT_MAC      (AT_ECHO + NONCE)
#define FLAG_UP     1 /* the sender has this session already and needs no answer */

struct direction {
    EVP_CIPHER_CTX *ctx; /* keyed once a session */
    uint8_t salt[SALT];
};

struct relay_session {
    uint8_t *secret;
    size_t secret_len;
    uint8_t hello_key[SHA256_LEN];
    uint8_t seed[RELAY_SESSION_SEED];
    uint64_t n_nonces;
    uint8_t mine[NONCE]; /* of the next session */

    bool up;
    uint8_t used[NONCE], peer[NONCE]; /* the nonces of this session */
    bool has_used;
    struct direction out, in;
    uint64_t sent; /* the number of the datagram sent last */
    uint64_t highest;
    uint64_t seen[WINDOW / 64];
    int64_t heard_us, hello_us;
};

/* ---- keys ---- */

static int derive(const struct relay_session *s, const void *salt, size_t salt_len,
                  const char *info, uint8_t *out, size_t len)
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, s->secret, s->secret_len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)salt, salt_len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)info,
                                          strlen(info)),
        OSSL_PARAM_construct_end()};
    bool good = ctx && EVP_KDF_derive(ctx, out, len, params) > 0;
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    return good ? OK : ERR_NOMEM;
}

static int key_direction(const struct relay_session *s, struct direction *d, const uint8_t *nonces,
                         const char *info, bool encrypts)
{
    uint8_t material[KEY + SALT];
    int err = derive(s, nonces, (size_t)2 * NONCE, info, material, sizeof material);
    if (!err && EVP_CipherInit_ex(d->ctx, EVP_aes_128_gcm(), NULL, material, NULL, encrypts) != 1) {
        err = ERR_NOMEM;
    }
    memcpy(d->salt, material + KEY, SALT);
    explicit_bzero(material, sizeof material);
    return err;
}

/* Both sides put the nonces in one order, and know by it which direction is theirs. */
static int key_session(struct relay_session *s)
{
    uint8_t nonces[2 * NONCE];
    bool low = memcmp(s->used, s->peer, NONCE) < 0;
    memcpy(nonces, low ? s->used : s->peer, NONCE);
    memcpy(nonces + NONCE, low ? s->peer : s->used, NONCE);
    static const char of_low[] = "sotto relay 1 low", of_high[] = "sotto relay 1 high";
    int err = key_direction(s, &s->out, nonces, low ? of_low : of_high, true);
    return err ? err : key_direction(s, &s->in, nonces, low ? of_high : of_low, false);
}

/* ---- lives ---- */

static void next_nonce(struct relay_session *s)
{
    s->n_nonces++;
    hmac_sha256(s->mine, s->seed, sizeof s->seed, &s->n_nonces, sizeof s->n_nonces);
}

/* What RFC 5869 takes where there is none. */
static const uint8_t no_salt[SHA256_LEN];

int relay_session_new(struct relay_session **out, const void *secret, size_t secret_len,
                      const uint8_t seed[RELAY_SESSION_SEED])
{
    if (secret_len < RELAY_SESSION_SECRET) {
        return ERR_INVALID;
    }
    struct relay_session *s = calloc(1, sizeof *s);
    if (!s) {
        return ERR_NOMEM;
    }
    s->secret = malloc(secret_len);
    s->out.ctx = EVP_CIPHER_CTX_new();
    s->in.ctx = EVP_CIPHER_CTX_new();
    s->hello_us = INT64_MIN / 2;
    if (!s->secret || !s->out.ctx || !s->in.ctx) {
        relay_session_free(s);
        return ERR_NOMEM;
    }
    memcpy(s->secret, secret, secret_len);
    s->secret_len = secret_len;
    memcpy(s->seed, seed, sizeof s->seed);
    next_nonce(s);
    if (derive(s, no_salt, sizeof no_salt, "sotto relay 1 hello", s->hello_key,
               sizeof s->hello_key)) {
        relay_session_free(s);
        return ERR_NOMEM;
    }
    *out = s;
    return OK;
}

void relay_session_free(struct relay_session *s)
{
    if (s) {
        if (s->secret) {
            explicit_bzero(s->secret, s->secret_len);
        }
        free(s->secret);
        EVP_CIPHER_CTX_free(s->out.ctx);
        EVP_CIPHER_CTX_free(s->in.ctx);
        explicit_bzero(s, sizeof *s);
        free(s);
    }
}

bool relay_session_is_up(const struct relay_session *s)
{
    return s->up;
}

/* ---- hellos ---- */

static void write_hello(const struct relay_session *s, uint8_t *out, const uint8_t *nonce,
                        const uint8_t *echo, uint8_t flags)
{
    struct writer w;
    static const uint8_t none[NONCE];
    writer_init(&w, out, RELAY_SESSION_HELLO);
    writer_u32(&w, MAGIC_HELLO);
    writer_u8(&w, flags);
    writer_bytes(&w, nonce, NONCE);
    writer_bytes(&w, echo ? echo : none, NONCE);
    hmac_sha256(out + AT_MAC, s->hello_key, sizeof s->hello_key, out, AT_MAC);
}

static bool is_own(const struct relay_session *s, const uint8_t *nonce)
{
    return memcmp(nonce, s->mine, NONCE) == 0 ||
           (s->has_used && memcmp(nonce, s->used, NONCE) == 0);
}

static int begin(struct relay_session *s, const uint8_t *peer, int64_t now_us)
{
    memcpy(s->used, s->mine, NONCE);
    memcpy(s->peer, peer, NONCE);
    s->has_used = true;
    next_nonce(s);
    s->sent = s->highest = 0;
    memset(s->seen, 0, sizeof s->seen);
    s->heard_us = now_us;
    int err = key_session(s);
    s->up = err == OK;
    return err;
}

static int take_hello(struct relay_session *s, const uint8_t *data, size_t len, int64_t now_us,
                      uint8_t *answer, bool *answers)
{
    uint8_t mac[SHA256_LEN];
    if (len != RELAY_SESSION_HELLO) {
        return ERR_TRUNCATED;
    }
    hmac_sha256(mac, s->hello_key, sizeof s->hello_key, data, AT_MAC);
    const uint8_t *nonce = data + AT_NONCE, *echo = data + AT_ECHO;
    if (!equal_constant_time(mac, data + AT_MAC, sizeof mac) || is_own(s, nonce)) {
        return ERR_AUTH; /* or our own, sent back to us */
    }
    bool settled = data[AT_FLAGS] & FLAG_UP;
    if (s->up && memcmp(nonce, s->peer, NONCE) == 0) { /* it may have missed our answer */
        *answers = !settled;
        write_hello(s, answer, s->used, nonce, FLAG_UP);
        return RELAY_SESSION_NOTHING;
    }
    if (memcmp(echo, s->mine, NONCE) != 0) { /* it may be old: what does it say to our nonce? */
        *answers = true;
        write_hello(s, answer, s->mine, nonce, 0);
        return RELAY_SESSION_NOTHING;
    }
    int err = begin(s, nonce, now_us);
    *answers = !err && !settled;
    write_hello(s, answer, s->used, nonce, FLAG_UP);
    return err ? err : RELAY_SESSION_UP;
}

/* ---- frames ---- */

static void make_iv(uint8_t iv[SALT], const struct direction *d, uint64_t number)
{
    memcpy(iv, d->salt, SALT);
    for (int i = 0; i < 8; i++) {
        iv[SALT - 1 - i] ^= (uint8_t)(number >> (8 * i));
    }
}

int relay_session_seal(struct relay_session *s, const uint8_t *frame, size_t len, uint8_t *out,
                       size_t cap)
{
    struct writer w;
    uint8_t iv[SALT];
    int n, unused;
    if (!s->up) {
        return ERR_WRONG_STATE;
    }
    if (cap < RELAY_SESSION_OVERHEAD || len > cap - RELAY_SESSION_OVERHEAD || len > INT32_MAX) {
        return ERR_TOO_LARGE;
    }
    writer_init(&w, out, cap);
    writer_u32(&w, MAGIC_DATA);
    writer_u64(&w, ++s->sent);
    make_iv(iv, &s->out, s->sent);
    bool good = EVP_CipherInit_ex(s->out.ctx, NULL, NULL, NULL, iv, 1) == 1 &&
                EVP_EncryptUpdate(s->out.ctx, NULL, &unused, out, HEAD) == 1 &&
                EVP_EncryptUpdate(s->out.ctx, out + HEAD, &n, frame, (int)len) == 1 &&
                EVP_EncryptFinal_ex(s->out.ctx, out + HEAD + n, &unused) == 1 &&
                EVP_CIPHER_CTX_ctrl(s->out.ctx, EVP_CTRL_AEAD_GET_TAG, TAG, out + HEAD + len) == 1;
    return good ? (int)len + RELAY_SESSION_OVERHEAD : ERR_NOMEM;
}

static bool came_before(const struct relay_session *s, uint64_t number)
{
    if (number > s->highest) {
        return false;
    }
    return s->highest - number >= WINDOW || (s->seen[number % WINDOW / 64] >> (number % 64) & 1);
}

static void note(struct relay_session *s, uint64_t number)
{
    if (number > s->highest + WINDOW) {
        memset(s->seen, 0, sizeof s->seen);
    } else {
        for (uint64_t n = s->highest + 1; n <= number; n++) { /* these places held older numbers */
            s->seen[n % WINDOW / 64] &= ~(UINT64_C(1) << (n % 64));
        }
    }
    s->seen[number % WINDOW / 64] |= UINT64_C(1) << (number % 64);
    s->highest = number > s->highest ? number : s->highest;
}

static bool open_frame(struct relay_session *s, uint64_t number, const uint8_t *data, size_t len,
                       uint8_t *out)
{
    uint8_t iv[SALT], tag[TAG];
    int n, unused;
    size_t text = len - RELAY_SESSION_OVERHEAD;
    make_iv(iv, &s->in, number);
    memcpy(tag, data + HEAD + text, TAG);
    return EVP_CipherInit_ex(s->in.ctx, NULL, NULL, NULL, iv, 0) == 1 &&
           EVP_DecryptUpdate(s->in.ctx, NULL, &unused, data, HEAD) == 1 &&
           EVP_DecryptUpdate(s->in.ctx, out, &n, data + HEAD, (int)text) == 1 &&
           EVP_CIPHER_CTX_ctrl(s->in.ctx, EVP_CTRL_AEAD_SET_TAG, TAG, tag) == 1 &&
           EVP_DecryptFinal_ex(s->in.ctx, out + n, &unused) == 1;
}

static int take_data(struct relay_session *s, const uint8_t *data, size_t len, int64_t now_us,
                     uint8_t *out, size_t *out_len)
{
    struct cursor c;
    if (!s->up) {
        return ERR_WRONG_STATE;
    }
    if (len <= RELAY_SESSION_OVERHEAD || len > INT32_MAX) {
        return ERR_TRUNCATED;
    }
    cursor_init(&c, data, len);
    cursor_skip(&c, 4);
    uint64_t number = cursor_u64(&c);
    if (came_before(s, number)) {
        return ERR_CONFLICT;
    }
    if (!open_frame(s, number, data, len, out)) {
        return ERR_AUTH;
    }
    note(s, number);
    s->heard_us = now_us;
    *out_len = len - RELAY_SESSION_OVERHEAD;
    return RELAY_SESSION_FRAME;
}

int relay_session_input(struct relay_session *s, const uint8_t *data, size_t len, int64_t now_us,
                        uint8_t *out, size_t *out_len, uint8_t answer[RELAY_SESSION_HELLO],
                        bool *answers)
{
    struct cursor c;
    *answers = false;
    *out_len = 0;
    cursor_init(&c, data, len);
    uint32_t magic = cursor_u32(&c);
    if (magic == MAGIC_HELLO) {
        return take_hello(s, data, len, now_us, answer, answers);
    }
    return magic == MAGIC_DATA ? take_data(s, data, len, now_us, out, out_len) : ERR_INVALID;
}

bool relay_session_tick(struct relay_session *s, int64_t now_us, uint8_t out[RELAY_SESSION_HELLO])
{
    if (s->up && now_us - s->heard_us > RELAY_SESSION_SILENT_US) {
        s->up = false;
    }
    if (s->up || now_us - s->hello_us < RELAY_SESSION_HELLO_US) {
        return false;
    }
    s->hello_us = now_us;
    write_hello(s, out, s->mine, NULL, 0);
    return true;
}
