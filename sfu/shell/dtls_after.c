#include "sfu/shell/dtls_after.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/ssl.h>

#include "lib/base/err.h"

/* A record (RFC 6347 section 4.1): type, version, epoch, number, length; with AES-GCM (RFC 5288)
 * then 8 bytes of the nonce, what is encrypted, and the tag. */
#define HEADER_LEN  13
#define VERSION_AT  1
#define EPOCH_AT    3
#define LENGTH_AT   11
#define SEQUENCE    8 /* epoch and number together */
#define KEY_LEN     16
#define FIXED_IV    4
#define EXPLICIT_IV 8
#define TAG_LEN     16
#define RANDOM_LEN  32

#define RECORD_ALERT     21
#define RECORD_HANDSHAKE 22
#define MESSAGE_FINISHED 20
#define ALERT_FATAL      2
#define CLOSE_NOTIFY     0
#define MOST_PLAIN       64 /* a Finished is 24 bytes, an alert 2 */

struct dtls_after {
    uint8_t key[KEY_LEN], iv[FIXED_IV]; /* what the peer writes with */
    unsigned repeats;                   /* of the flight, so far */
    size_t n_parts;
    size_t part[DTLS_AFTER_PARTS];
    size_t farewell_len;
    uint8_t farewell[DTLS_AFTER_FAREWELL];
    uint8_t flight[]; /* the parts behind each other */
};

/* ---- what was sent ---- */

void dtls_flight_clear(struct dtls_flight *f)
{
    f->n = f->len = 0;
    f->too_large = false;
}

void dtls_flight_add(struct dtls_flight *f, const uint8_t *data, size_t len)
{
    if (f->too_large || f->n == DTLS_AFTER_PARTS || len > sizeof f->bytes - f->len) {
        f->too_large = true;
        return;
    }
    memcpy(f->bytes + f->len, data, len);
    f->len += len;
    f->part[f->n++] = len;
}

/* ---- keys ---- */

/* RFC 5246 section 6.3: PRF(master secret, "key expansion", server random + client random). */
static bool expand(uint8_t *out, size_t len, const uint8_t *master, size_t master_len,
                   const uint8_t *server, const uint8_t *client)
{
    static char label[] = "key expansion", digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, (void *)(uintptr_t)master,
                                          master_len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, label, sizeof label - 1),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, (void *)(uintptr_t)server,
                                          RANDOM_LEN),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, (void *)(uintptr_t)client,
                                          RANDOM_LEN),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "TLS1-PRF", NULL);
    EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    bool ok = ctx && EVP_KDF_derive(ctx, out, len, params) == 1;
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    return ok;
}

/* The key block is client key, server key, client IV, server IV: an AEAD has no MAC keys. */
static bool take_keys(struct dtls_after *a, SSL *ssl, bool client)
{
    uint8_t server_random[RANDOM_LEN], client_random[RANDOM_LEN], master[SSL_MAX_MASTER_KEY_LENGTH];
    uint8_t block[2 * (KEY_LEN + FIXED_IV)];
    size_t n = SSL_SESSION_get_master_key(SSL_get_session(ssl), master, sizeof master);
    bool ok = n > 0 && SSL_get_server_random(ssl, server_random, RANDOM_LEN) == RANDOM_LEN &&
              SSL_get_client_random(ssl, client_random, RANDOM_LEN) == RANDOM_LEN &&
              expand(block, sizeof block, master, n, server_random, client_random);
    size_t theirs = client ? 1 : 0; /* we are the client: the server's */
    if (ok) {
        memcpy(a->key, block + theirs * KEY_LEN, KEY_LEN);
        memcpy(a->iv, block + 2 * (size_t)KEY_LEN + theirs * FIXED_IV, FIXED_IV);
    }
    OPENSSL_cleanse(master, sizeof master);
    OPENSSL_cleanse(block, sizeof block);
    return ok;
}

bool dtls_after_supports(const SSL *ssl)
{
    const SSL_CIPHER *suite = SSL_get_current_cipher(ssl);
    return SSL_version(ssl) == DTLS1_2_VERSION && suite &&
           SSL_CIPHER_get_id(suite) == TLS1_CK_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;
}

int dtls_after_new(struct dtls_after **out, SSL *ssl, bool client, const struct dtls_flight *flight,
                   const struct dtls_flight *farewell)
{
    if (!dtls_after_supports(ssl) || flight->too_large || farewell->too_large || farewell->n != 1 ||
        farewell->len > DTLS_AFTER_FAREWELL) {
        return ERR_UNSUPPORTED;
    }
    struct dtls_after *a = calloc(1, sizeof *a + flight->len);
    if (!a || !take_keys(a, ssl, client)) {
        dtls_after_free(a);
        return ERR_NOMEM;
    }
    a->n_parts = flight->n;
    memcpy(a->part, flight->part, sizeof a->part);
    memcpy(a->flight, flight->bytes, flight->len);
    a->farewell_len = farewell->len;
    memcpy(a->farewell, farewell->bytes, farewell->len);
    *out = a;
    return OK;
}

void dtls_after_free(struct dtls_after *a)
{
    if (a) {
        OPENSSL_cleanse(a->key, sizeof a->key);
        free(a);
    }
}

/* ---- records ---- */

static size_t get_u16(const uint8_t *p)
{
    return (size_t)p[0] << 8 | p[1];
}

/* RFC 5246 section 6.2.3.3: the associated data is number, type, version and length of the plain
 * text. Returns that length, or ERR_AUTH. */
static int decrypt(const struct dtls_after *a, uint8_t *out, const uint8_t *record, size_t plain)
{
    uint8_t nonce[FIXED_IV + EXPLICIT_IV], aad[SEQUENCE + 5], rest[16], tag[TAG_LEN];
    const uint8_t *body = record + HEADER_LEN;
    int n;
    memcpy(nonce, a->iv, FIXED_IV);
    memcpy(nonce + FIXED_IV, body, EXPLICIT_IV);
    memcpy(aad, record + EPOCH_AT, SEQUENCE);
    aad[SEQUENCE] = record[0];
    memcpy(aad + SEQUENCE + 1, record + VERSION_AT, 2);
    aad[SEQUENCE + 3] = (uint8_t)(plain >> 8);
    aad[SEQUENCE + 4] = (uint8_t)plain;
    memcpy(tag, body + EXPLICIT_IV + plain, TAG_LEN);
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    bool ok = c && EVP_DecryptInit_ex(c, EVP_aes_128_gcm(), NULL, a->key, nonce) == 1 &&
              EVP_DecryptUpdate(c, NULL, &n, aad, sizeof aad) == 1 &&
              EVP_DecryptUpdate(c, out, &n, body + EXPLICIT_IV, (int)plain) == 1 &&
              EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag) == 1 &&
              EVP_DecryptFinal_ex(c, rest, &n) == 1;
    EVP_CIPHER_CTX_free(c);
    return ok ? (int)plain : ERR_AUTH;
}

/* One record of epoch 1. A Finished that comes again, as it was or numbered anew, is the sign that
 * ours was lost; a record played back by somebody else gets the peer no more than our flight, a few
 * times. */
static enum dtls_after_event look(const struct dtls_after *a, const uint8_t *record, size_t len)
{
    uint8_t plain[MOST_PLAIN];
    bool alert = record[0] == RECORD_ALERT;
    if ((!alert && record[0] != RECORD_HANDSHAKE) || len <= EXPLICIT_IV + TAG_LEN ||
        len > EXPLICIT_IV + TAG_LEN + MOST_PLAIN) {
        return DTLS_AFTER_NOTHING;
    }
    int n = decrypt(a, plain, record, len - EXPLICIT_IV - TAG_LEN);
    if (alert) {
        bool over = n == 2 && (plain[0] == ALERT_FATAL || plain[1] == CLOSE_NOTIFY);
        return over ? DTLS_AFTER_CLOSED : DTLS_AFTER_NOTHING;
    }
    return n > 0 && plain[0] == MESSAGE_FINISHED ? DTLS_AFTER_REPEAT : DTLS_AFTER_NOTHING;
}

/* What the authentic records of a datagram say: the end, if one of them is it. */
static enum dtls_after_event look_at_all(const struct dtls_after *a, const uint8_t *data,
                                         size_t len)
{
    enum dtls_after_event event = DTLS_AFTER_NOTHING;
    int looked = 0;
    while (len > HEADER_LEN && event != DTLS_AFTER_CLOSED) {
        size_t n = get_u16(data + LENGTH_AT);
        if (n > len - HEADER_LEN || looked == DTLS_AFTER_RECORDS) {
            break;
        }
        if (get_u16(data + EPOCH_AT) == 1) {
            enum dtls_after_event one = look(a, data, n);
            event = one == DTLS_AFTER_NOTHING ? event : one;
            looked++;
        }
        data += HEADER_LEN + n;
        len -= HEADER_LEN + n;
    }
    return event;
}

enum dtls_after_event dtls_after_input(struct dtls_after *a, const uint8_t *data, size_t len)
{
    enum dtls_after_event event = look_at_all(a, data, len);
    if (event == DTLS_AFTER_REPEAT && a->repeats++ >= DTLS_AFTER_REPEATS) {
        a->repeats = DTLS_AFTER_REPEATS;
        return DTLS_AFTER_NOTHING;
    }
    return event;
}

size_t dtls_after_flight(const struct dtls_after *a, size_t i, const uint8_t **data)
{
    *data = a->flight;
    for (size_t k = 0; k < i && k < a->n_parts; k++) {
        *data += a->part[k];
    }
    return i < a->n_parts ? a->part[i] : 0;
}

size_t dtls_after_farewell(const struct dtls_after *a, const uint8_t **data)
{
    *data = a->farewell;
    return a->farewell_len;
}
