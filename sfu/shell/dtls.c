#include "sfu/shell/dtls_private.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "lib/base/crypto.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "sfu/shell/dtls_after.h"

#define UDP_IP6_BYTES 48 /* what IPv6 and UDP take of the link's MTU */

struct dtls {
    SSL *ssl;                 /* NULL once settled, and then */
    struct dtls_after *after; /* does all there is left to do */
    struct dtls_flight *sent; /* of the handshake, since the peer's last datagram; in the end, our
                                 last flight. NULL once settled */
    bool keep;                /* what is written is kept there and not sent */
    enum dtls_state state;
    bool client;
    bool has_fingerprint;
    uint8_t fingerprint[DTLS_FINGERPRINT_LEN];
    dtls_send_fn send;
    void *arg;
    const uint8_t *in; /* the datagram being read, borrowed; NULL when read */
    size_t in_len;
};

/* ---- the BIO: one read is one datagram, one write is one datagram ---- */

static int bio_read(BIO *b, char *out, int cap)
{
    struct dtls *d = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    if (!d->in || cap <= 0) {
        BIO_set_retry_read(b);
        return -1;
    }
    size_t n = d->in_len < (size_t)cap ? d->in_len : (size_t)cap;
    memcpy(out, d->in, n);
    d->in = NULL;
    return (int)n;
}

static int bio_write(BIO *b, const char *data, int len)
{
    struct dtls *d = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    if (len > 0 && d->sent && (d->state == DTLS_HANDSHAKE || d->keep)) {
        dtls_flight_add(d->sent, (const uint8_t *)data, (size_t)len);
    }
    if (len > 0 && !d->keep) {
        d->send(d->arg, (const uint8_t *)data, (size_t)len);
    }
    return len;
}

/* Everything unknown is answered 0: OpenSSL asks about kernel TLS, and a 1 would be believed. */
static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
    (void)b;
    (void)num;
    (void)ptr;
    switch (cmd) {
    case BIO_CTRL_FLUSH:
        return 1;
    case BIO_CTRL_DGRAM_QUERY_MTU:
    case BIO_CTRL_DGRAM_GET_FALLBACK_MTU:
        return DTLS_LINK_MTU;
    case BIO_CTRL_DGRAM_GET_MTU_OVERHEAD:
        return UDP_IP6_BYTES;
    default:
        return 0;
    }
}

BIO_METHOD *dtls_bio_method(void)
{
    int index = BIO_get_new_index();
    BIO_METHOD *m = index < 0 ? NULL : BIO_meth_new(index | BIO_TYPE_SOURCE_SINK, "datagram");
    if (m) {
        BIO_meth_set_read(m, bio_read);
        BIO_meth_set_write(m, bio_write);
        BIO_meth_set_ctrl(m, bio_ctrl);
    }
    return m;
}

/* ---- an association ---- */

static void check_fingerprint(struct dtls *d)
{
    X509 *peer = SSL_get1_peer_certificate(d->ssl);
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    bool same = peer && X509_digest(peer, EVP_sha256(), digest, &len) == 1 &&
                len == DTLS_FINGERPRINT_LEN &&
                equal_constant_time(digest, d->fingerprint, DTLS_FINGERPRINT_LEN);
    X509_free(peer);
    d->state = same ? DTLS_READY : DTLS_FAILED;
}

static void handshake(struct dtls *d)
{
    int n = SSL_do_handshake(d->ssl);
    if (n == 1) {
        d->state = DTLS_UNVERIFIED;
        if (d->has_fingerprint) {
            check_fingerprint(d);
        }
        return;
    }
    int why = SSL_get_error(d->ssl, n);
    if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
        unsigned long code = ERR_peek_last_error();
        const char *reason = ERR_reason_error_string(code);
        LOG_D("dtls_failed", "reason=\"%s\"", reason ? reason : "");
        d->state = DTLS_FAILED;
    }
}

/* After the handshake: retransmitted flights are answered inside SSL_read, alerts end it, and
 * application data (there is none in this use) is thrown away. */
static void read_on(struct dtls *d)
{
    uint8_t sink[256];
    while (SSL_read(d->ssl, sink, sizeof sink) > 0) {
    }
    if (!d->sent) {
        (void)SSL_free_buffers(d->ssl); /* 33 KiB; a read makes them anew, a write doesn't */
    }
    if (SSL_get_shutdown(d->ssl) & SSL_RECEIVED_SHUTDOWN) {
        d->state = DTLS_CLOSED;
    }
}

int dtls_new(struct dtls **out, struct dtls_context *c, bool client, dtls_send_fn send, void *arg)
{
    struct dtls *d = calloc(1, sizeof *d);
    struct dtls_flight *sent = d ? calloc(1, sizeof *sent) : NULL;
    BIO *bio = sent ? BIO_new(c->method) : NULL;
    SSL *ssl = bio ? SSL_new(c->ssl) : NULL;
    if (!ssl) {
        BIO_free(bio);
        free(sent);
        free(d);
        return ERR_NOMEM;
    }
    d->sent = sent;
    d->ssl = ssl;
    d->client = client;
    d->send = send;
    d->arg = arg;
    BIO_set_data(bio, d);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    DTLS_set_link_mtu(ssl, DTLS_LINK_MTU);
    if (c->hurry) {
        DTLS_set_timer_cb(ssl, dtls_hurried);
    }
    *out = d;
    if (client) {
        SSL_set_connect_state(ssl);
        ERR_clear_error();
        handshake(d);
    } else {
        SSL_set_accept_state(ssl);
    }
    return OK;
}

void dtls_free(struct dtls *d)
{
    if (d) {
        SSL_free(d->ssl);
        dtls_after_free(d->after);
        free(d->sent);
        free(d);
    }
}

void dtls_set_fingerprint(struct dtls *d, const uint8_t fingerprint[DTLS_FINGERPRINT_LEN])
{
    memcpy(d->fingerprint, fingerprint, DTLS_FINGERPRINT_LEN);
    d->has_fingerprint = true;
    if (d->state == DTLS_UNVERIFIED) {
        check_fingerprint(d);
    }
}

static void input_after(struct dtls *d, const uint8_t *data, size_t len)
{
    const uint8_t *part;
    size_t n;
    switch (dtls_after_input(d->after, data, len)) {
    case DTLS_AFTER_NOTHING:
        break;
    case DTLS_AFTER_REPEAT:
        for (size_t i = 0; (n = dtls_after_flight(d->after, i, &part)) > 0; i++) {
            d->send(d->arg, part, n);
        }
        break;
    case DTLS_AFTER_CLOSED:
        d->state = DTLS_CLOSED;
        break;
    }
}

void dtls_input(struct dtls *d, const uint8_t *data, size_t len)
{
    if (d->state == DTLS_FAILED || d->state == DTLS_CLOSED || len == 0) {
        return;
    }
    if (d->after) {
        input_after(d, data, len);
        return;
    }
    ERR_clear_error();
    d->in = data;
    d->in_len = len;
    if (d->state == DTLS_HANDSHAKE) {
        dtls_flight_clear(d->sent);
        handshake(d);
    } else {
        read_on(d);
    }
    d->in = NULL;
}

enum dtls_state dtls_state(const struct dtls *d)
{
    return d->state;
}

bool dtls_is_client(const struct dtls *d)
{
    return d->client;
}

int64_t dtls_timeout_us(struct dtls *d)
{
    struct timeval tv;
    if (d->state != DTLS_HANDSHAKE || !DTLSv1_get_timeout(d->ssl, &tv)) {
        return -1;
    }
    return (int64_t)tv.tv_sec * 1000000 + tv.tv_usec;
}

void dtls_timeout(struct dtls *d)
{
    if (d->state == DTLS_HANDSHAKE) {
        ERR_clear_error();
        if (DTLSv1_handle_timeout(d->ssl) < 0) {
            d->state = DTLS_FAILED;
        }
    }
}

int dtls_export_keys(struct dtls *d, struct dtls_keys *out)
{
    if (d->state != DTLS_READY || !d->ssl) {
        return ERR_WRONG_STATE;
    }
    const SRTP_PROTECTION_PROFILE *p = SSL_get_selected_srtp_profile(d->ssl);
    if (!p) {
        return ERR_UNSUPPORTED;
    }
    struct dtls_keys k = {.profile = (enum dtls_srtp_profile)p->id};
    k.key_len = k.profile == DTLS_AEAD_AES_256_GCM ? 32 : 16;
    k.salt_len = k.profile == DTLS_AES128_CM_SHA1_80 ? 14 : 12;

    static const char label[] = "EXTRACTOR-dtls_srtp";
    uint8_t m[2 * (32 + 14)];
    size_t n = 2 * (k.key_len + k.salt_len);
    if (SSL_export_keying_material(d->ssl, m, n, label, sizeof label - 1, NULL, 0, 0) != 1) {
        return ERR_UNSUPPORTED;
    }
    /* client key, server key, client salt, server salt (RFC 5764 section 4.2) */
    const uint8_t *key[2] = {m, m + k.key_len};
    const uint8_t *salt[2] = {m + 2 * k.key_len, m + 2 * k.key_len + k.salt_len};
    int us = d->client ? 0 : 1;
    memcpy(k.local_key, key[us], k.key_len);
    memcpy(k.local_salt, salt[us], k.salt_len);
    memcpy(k.remote_key, key[!us], k.key_len);
    memcpy(k.remote_salt, salt[!us], k.salt_len);
    *out = k;
    OPENSSL_cleanse(m, sizeof m);
    OPENSSL_cleanse(&k, sizeof k);
    return OK;
}

/* OpenSSL's reads make the record buffers anew that SSL_free_buffers took, its writes go to NULL
 * without them: so they are made before. */
static void write_close_notify(SSL *ssl)
{
    ERR_clear_error();
    if (SSL_alloc_buffers(ssl) == 1) {
        (void)SSL_shutdown(ssl);
    }
}

/* Our close_notify is the next record that this association would write; none comes before it, as a
 * last flight is repeated as it was. So it is made now, and said when the time comes. */
static void take_farewell(struct dtls *d, struct dtls_flight *out)
{
    struct dtls_flight *sent = d->sent;
    d->sent = out;
    d->keep = true;
    write_close_notify(d->ssl);
    d->keep = false;
    d->sent = sent;
}

void dtls_settle(struct dtls *d)
{
    struct dtls_flight farewell = {0};
    if (d->state != DTLS_READY || !d->ssl || !d->sent) {
        return;
    }
    if (d->client) { /* the server has finished, so it has all of ours */
        dtls_flight_clear(d->sent);
    }
    bool fits = dtls_after_supports(d->ssl) && !d->sent->too_large && !SSL_has_pending(d->ssl);
    if (fits) {
        take_farewell(d, &farewell);
        fits = dtls_after_new(&d->after, d->ssl, d->client, d->sent, &farewell) == OK;
    }
    if (fits) {
        SSL_free(d->ssl);
        d->ssl = NULL;
    } else {
        (void)SSL_free_buffers(d->ssl);
    }
    free(d->sent);
    d->sent = NULL;
}

static void say_farewell(struct dtls *d)
{
    const uint8_t *data;
    if (d->after) {
        size_t n = dtls_after_farewell(d->after, &data);
        d->send(d->arg, data, n);
    } else {
        write_close_notify(d->ssl);
    }
}

void dtls_close(struct dtls *d)
{
    if (d->state == DTLS_READY || d->state == DTLS_UNVERIFIED) {
        say_farewell(d);
        d->state = DTLS_CLOSED;
    }
}
