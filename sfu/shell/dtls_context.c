#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "lib/base/crypto.h"
#include "lib/base/err.h"
#include "sfu/shell/dtls_private.h"

#define CERT_LIFE_S   (30L * 24 * 3600)
#define CERT_LIST_MAX 16384L /* and of a handshake message: fragments are kept up to that */

#define HURRY_FIRST_US 50000u
#define HURRY_LAST_US  60000000u

/* ---- the certificate ---- */

static int verify_later(int ok, X509_STORE_CTX *ctx)
{
    /* The certificate is self-signed by design; its hash is compared to the SDP's after. */
    (void)ok;
    (void)ctx;
    return 1;
}

static X509 *make_certificate(EVP_PKEY *key)
{
    uint8_t serial[8];
    random_bytes(serial, sizeof serial);
    uint64_t number = 0;
    memcpy(&number, serial, sizeof number);

    X509 *x = X509_new();
    if (!x) {
        return NULL;
    }
    X509_NAME *name = X509_get_subject_name(x);
    bool ok = X509_set_version(x, X509_VERSION_3) == 1 &&
              ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), number >> 1) == 1 &&
              X509_gmtime_adj(X509_getm_notBefore(x), -3600) != NULL &&
              X509_gmtime_adj(X509_getm_notAfter(x), CERT_LIFE_S) != NULL &&
              X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)"sfu", -1, -1,
                                         0) == 1 &&
              X509_set_issuer_name(x, name) == 1 && X509_set_pubkey(x, key) == 1 &&
              X509_sign(x, key, EVP_sha256()) > 0;
    if (!ok) {
        X509_free(x);
        return NULL;
    }
    return x;
}

static int context_setup(struct dtls_context *c)
{
    int err = ERR_NOMEM;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = key ? make_certificate(key) : NULL;
    unsigned len = sizeof c->fingerprint;
    c->method = dtls_bio_method();
    c->ssl = SSL_CTX_new(DTLS_method());
    if (!cert || !c->method || !c->ssl) {
        goto out;
    }
    /* Our order of suites counts: the first is the one of which little is kept (dtls_after.h).
     * Encrypt-then-MAC (RFC 7366) is for CBC only, and with it OpenSSL 3.0 takes any record that is
     * too short for a fault of the peer's and ends the association, whoever sent it. */
    SSL_CTX_set_options(c->ssl, SSL_OP_NO_QUERY_MTU | SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
                                    SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                    SSL_OP_NO_ENCRYPT_THEN_MAC);
    SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(c->ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, verify_later);
    SSL_CTX_set_read_ahead(c->ssl, 1);
    SSL_CTX_set_max_cert_list(c->ssl, CERT_LIST_MAX);
    /* SSL_CTX_set_tlsext_use_srtp answers 0 when it worked. */
    bool ok =
        SSL_CTX_set_min_proto_version(c->ssl, DTLS1_2_VERSION) == 1 &&
        SSL_CTX_set_max_proto_version(c->ssl, DTLS1_2_VERSION) == 1 && /* 1.3 has other records */
        SSL_CTX_set_cipher_list(c->ssl, "ECDHE-ECDSA-AES128-GCM-SHA256:"
                                        "ECDHE-ECDSA-CHACHA20-POLY1305:"
                                        "ECDHE-ECDSA-AES256-GCM-SHA384:"
                                        "ECDHE-ECDSA-AES128-SHA") == 1 &&
        SSL_CTX_set_tlsext_use_srtp(
            c->ssl, "SRTP_AEAD_AES_128_GCM:SRTP_AEAD_AES_256_GCM:SRTP_AES128_CM_SHA1_80") == 0 &&
        SSL_CTX_use_certificate(c->ssl, cert) == 1 && SSL_CTX_use_PrivateKey(c->ssl, key) == 1 &&
        X509_digest(cert, EVP_sha256(), c->fingerprint, &len) == 1;
    err = ok ? OK : ERR_NOMEM;
out:
    X509_free(cert);
    EVP_PKEY_free(key);
    return err;
}

int dtls_context_new(struct dtls_context **out)
{
    struct dtls_context *c = calloc(1, sizeof *c);
    int err = c ? context_setup(c) : ERR_NOMEM;
    if (err) {
        dtls_context_free(c);
        return err;
    }
    *out = c;
    return OK;
}

void dtls_context_free(struct dtls_context *c)
{
    if (c) {
        SSL_CTX_free(c->ssl);
        BIO_meth_free(c->method);
        free(c);
    }
}

int dtls_context_only(struct dtls_context *c, enum dtls_srtp_profile profile)
{
    const char *name = NULL;
    switch (profile) {
    case DTLS_AEAD_AES_128_GCM:
        name = "SRTP_AEAD_AES_128_GCM";
        break;
    case DTLS_AEAD_AES_256_GCM:
        name = "SRTP_AEAD_AES_256_GCM";
        break;
    case DTLS_AES128_CM_SHA1_80:
        name = "SRTP_AES128_CM_SHA1_80";
        break;
    }
    /* SSL_CTX_set_tlsext_use_srtp answers 0 when it worked. */
    return name && SSL_CTX_set_tlsext_use_srtp(c->ssl, name) == 0 ? OK : ERR_UNSUPPORTED;
}

unsigned dtls_hurried(SSL *ssl, unsigned before_us)
{
    (void)ssl;
    if (before_us == 0) {
        return HURRY_FIRST_US;
    }
    return before_us < HURRY_LAST_US / 2 ? 2 * before_us : HURRY_LAST_US;
}

void dtls_context_hurry(struct dtls_context *c)
{
    c->hurry = true;
}

const uint8_t *dtls_context_fingerprint(const struct dtls_context *c)
{
    return c->fingerprint;
}
