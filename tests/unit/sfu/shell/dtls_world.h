/* DTLS associations of ours against OpenSSL's own, over memory. */
#ifndef SOTTO_TEST_DTLS_WORLD_H
#define SOTTO_TEST_DTLS_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "lib/base/err.h"
#include "sfu/shell/dtls.h"

#define DATAGRAMS 32

/* Datagrams under way in one direction. */
struct wire {
    size_t n;
    size_t len[DATAGRAMS];
    uint8_t data[DATAGRAMS][2048];
};

/* Our end, and the other, which is OpenSSL over memory. */
struct world {
    struct dtls_context *context;
    SSL_CTX *other;
    uint8_t fingerprint[DTLS_FINGERPRINT_LEN];
    bool we_are_client;
    bool late; /* the fingerprint comes after the handshake */
    struct dtls *ours;
    SSL *theirs;
    struct wire from_us;
};

static inline void on_send(void *arg, const uint8_t *data, size_t len)
{
    struct wire *w = arg;
    assert_true(w->n < DATAGRAMS && len <= sizeof w->data[0]);
    memcpy(w->data[w->n], data, len);
    w->len[w->n++] = len;
}

static inline int any_certificate(int ok, X509_STORE_CTX *ctx)
{
    (void)ok;
    (void)ctx;
    return 1;
}

static inline unsigned soon(SSL *ssl, unsigned before_us)
{
    (void)ssl;
    (void)before_us;
    return 100000;
}

static inline X509 *certificate(EVP_PKEY *key)
{
    X509 *x = X509_new();
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -60);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key);
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    return x;
}

static inline SSL_CTX *other_context(const char *suites, uint8_t fingerprint[DTLS_FINGERPRINT_LEN])
{
    unsigned n = DTLS_FINGERPRINT_LEN;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = certificate(key);
    SSL_CTX *c = SSL_CTX_new(DTLS_method());
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER, any_certificate);
    assert_int_equal(SSL_CTX_use_certificate(c, x), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(c, key), 1);
    assert_int_equal(SSL_CTX_set_cipher_list(c, suites), 1);
    assert_int_equal(SSL_CTX_set_tlsext_use_srtp(c, "SRTP_AEAD_AES_128_GCM"), 0);
    assert_int_equal(X509_digest(x, EVP_sha256(), fingerprint, &n), 1);
    X509_free(x);
    EVP_PKEY_free(key);
    return c;
}

static inline void open_ends(struct world *w)
{
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(in, -1);
    BIO_set_mem_eof_return(out, -1);
    w->theirs = SSL_new(w->other);
    SSL_set_options(w->theirs, SSL_OP_NO_QUERY_MTU);
    SSL_set_mtu(w->theirs, 1400); /* each flight is one datagram of a memory BIO's */
    SSL_set_bio(w->theirs, in, out);
    DTLS_set_timer_cb(w->theirs, soon);
    if (w->we_are_client) {
        SSL_set_accept_state(w->theirs);
    } else {
        SSL_set_connect_state(w->theirs);
    }
    assert_int_equal(dtls_new(&w->ours, w->context, w->we_are_client, on_send, &w->from_us), OK);
    if (!w->late) {
        dtls_set_fingerprint(w->ours, w->fingerprint);
    }
}

static inline void close_ends(struct world *w)
{
    dtls_free(w->ours);
    SSL_free(w->theirs);
    w->ours = NULL;
    w->theirs = NULL;
}

static inline void open_world_as(struct world *w, const char *suites, bool we_are_client, bool late)
{
    memset(w, 0, sizeof *w);
    w->we_are_client = we_are_client;
    w->late = late;
    assert_int_equal(dtls_context_new(&w->context), OK);
    w->other = other_context(suites, w->fingerprint);
    open_ends(w);
}

static inline void open_world(struct world *w, const char *suites, bool we_are_client)
{
    open_world_as(w, suites, we_are_client, false);
}

static inline void close_world(struct world *w)
{
    close_ends(w);
    SSL_CTX_free(w->other);
    dtls_context_free(w->context);
}

/* What they have to say, all of it as one datagram. Returns its length. */
static inline size_t hear(struct world *w, uint8_t *data, size_t cap)
{
    int n = BIO_read(SSL_get_wbio(w->theirs), data, (int)cap);
    return n > 0 ? (size_t)n : 0;
}

static inline void tell(struct world *w)
{
    for (size_t i = 0; i < w->from_us.n; i++) {
        BIO_write(SSL_get_rbio(w->theirs), w->from_us.data[i], (int)w->from_us.len[i]);
        ERR_clear_error();
        (void)SSL_do_handshake(w->theirs);
    }
    w->from_us.n = 0;
}

/* Until our end has finished; what it said last has not been delivered. */
static inline void shake_hands(struct world *w)
{
    uint8_t data[8192];
    for (int i = 0; i < 10 && dtls_state(w->ours) == DTLS_HANDSHAKE; i++) {
        tell(w);
        ERR_clear_error();
        (void)SSL_do_handshake(w->theirs);
        size_t n = hear(w, data, sizeof data);
        if (n > 0) {
            dtls_input(w->ours, data, n);
        }
    }
    assert_int_equal(dtls_state(w->ours), w->late ? DTLS_UNVERIFIED : DTLS_READY);
}

/* What we said last arrives: they have finished, too. */
static inline void finish(struct world *w)
{
    tell(w);
    assert_true(SSL_is_init_finished(w->theirs));
}

static inline void settle(struct world *w)
{
    struct dtls_keys keys;
    assert_int_equal(dtls_export_keys(w->ours, &keys), OK);
    dtls_settle(w->ours);
}

static const char *const suites[] = {"ECDHE-ECDSA-AES128-GCM-SHA256",
                                     "ECDHE-ECDSA-AES256-GCM-SHA384",
                                     "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-SHA"};
#define SUITES (sizeof suites / sizeof suites[0])

#endif
