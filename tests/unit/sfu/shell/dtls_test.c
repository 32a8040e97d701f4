/* DTLS associations of ours against OpenSSL's own, and what is left of them once SRTP has its keys:
 * a lost last flight, alerts, close_notify, and very little memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <malloc.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "lib/base/crypto.h"
#include "lib/base/err.h"
#include "sfu/shell/dtls.h"

#define DATAGRAMS 32
#define MANY      40

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
    struct dtls *ours;
    SSL *theirs;
    struct wire from_us;
};

static void on_send(void *arg, const uint8_t *data, size_t len)
{
    struct wire *w = arg;
    assert_true(w->n < DATAGRAMS && len <= sizeof w->data[0]);
    memcpy(w->data[w->n], data, len);
    w->len[w->n++] = len;
}

static int any_certificate(int ok, X509_STORE_CTX *ctx)
{
    (void)ok;
    (void)ctx;
    return 1;
}

static unsigned soon(SSL *ssl, unsigned before_us)
{
    (void)ssl;
    (void)before_us;
    return 100000;
}

static X509 *certificate(EVP_PKEY *key)
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

static SSL_CTX *other_context(const char *suites, uint8_t fingerprint[DTLS_FINGERPRINT_LEN])
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

static void open_ends(struct world *w)
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
    dtls_set_fingerprint(w->ours, w->fingerprint);
}

static void close_ends(struct world *w)
{
    dtls_free(w->ours);
    SSL_free(w->theirs);
    w->ours = NULL;
    w->theirs = NULL;
}

static void open_world(struct world *w, const char *suites, bool we_are_client)
{
    memset(w, 0, sizeof *w);
    w->we_are_client = we_are_client;
    assert_int_equal(dtls_context_new(&w->context), OK);
    w->other = other_context(suites, w->fingerprint);
    open_ends(w);
}

static void close_world(struct world *w)
{
    close_ends(w);
    SSL_CTX_free(w->other);
    dtls_context_free(w->context);
}

/* What they have to say, all of it as one datagram. Returns its length. */
static size_t hear(struct world *w, uint8_t *data, size_t cap)
{
    int n = BIO_read(SSL_get_wbio(w->theirs), data, (int)cap);
    return n > 0 ? (size_t)n : 0;
}

static void tell(struct world *w)
{
    for (size_t i = 0; i < w->from_us.n; i++) {
        BIO_write(SSL_get_rbio(w->theirs), w->from_us.data[i], (int)w->from_us.len[i]);
        ERR_clear_error();
        (void)SSL_do_handshake(w->theirs);
    }
    w->from_us.n = 0;
}

/* Until our end is ready; what it said last has not been delivered. */
static void shake_hands(struct world *w)
{
    uint8_t data[8192];
    for (int i = 0; i < 10 && dtls_state(w->ours) != DTLS_READY; i++) {
        tell(w);
        ERR_clear_error();
        (void)SSL_do_handshake(w->theirs);
        size_t n = hear(w, data, sizeof data);
        if (n > 0) {
            dtls_input(w->ours, data, n);
        }
    }
    assert_int_equal(dtls_state(w->ours), DTLS_READY);
}

static void settle(struct world *w)
{
    struct dtls_keys keys;
    assert_int_equal(dtls_export_keys(w->ours, &keys), OK);
    dtls_settle(w->ours);
}

static const char *const suites[] = {"ECDHE-ECDSA-AES128-GCM-SHA256",
                                     "ECDHE-ECDSA-AES256-GCM-SHA384",
                                     "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-SHA"};
#define SUITES (sizeof suites / sizeof suites[0])

static void a_lost_last_flight_is_repeated(void **state)
{
    struct world w;
    uint8_t data[8192];
    (void)state;
    for (size_t i = 0; i < SUITES; i++) {
        open_world(&w, suites[i], false);
        shake_hands(&w);
        settle(&w);
        assert_true(w.from_us.n > 0);
        w.from_us.n = 0; /* lost */
        int r;
        while ((r = DTLSv1_handle_timeout(w.theirs)) == 0) { /* its time hasn't come */
        }
        assert_int_equal(r, 1);
        size_t n = hear(&w, data, sizeof data);
        assert_true(n > 0);
        dtls_input(w.ours, data, n);
        assert_true(w.from_us.n > 0);
        tell(&w);
        assert_true(SSL_is_init_finished(w.theirs));
        close_world(&w);
    }
}

static void the_same_flight_once_more_is_answered_too(void **state)
{
    struct world w;
    uint8_t data[8192];
    (void)state;
    open_world(&w, suites[0], false);
    size_t n = 0;
    while (dtls_state(w.ours) != DTLS_READY) {
        tell(&w);
        (void)SSL_do_handshake(w.theirs);
        n = hear(&w, data, sizeof data);
        dtls_input(w.ours, data, n);
    }
    settle(&w);
    w.from_us.n = 0;
    dtls_input(w.ours, data, n);
    assert_true(w.from_us.n > 0 && w.from_us.n <= 2);
    tell(&w);
    assert_true(SSL_is_init_finished(w.theirs));
    close_world(&w);
}

static void hello_again(struct world *w)
{
    tell(w);
    assert_true(SSL_is_init_finished(w->theirs));
}

static void their_close_notify_closes(void **state)
{
    struct world w;
    uint8_t data[256];
    (void)state;
    for (size_t i = 0; i < 2 * SUITES; i++) {
        open_world(&w, suites[i / 2], i % 2);
        shake_hands(&w);
        settle(&w);
        hello_again(&w);
        (void)hear(&w, data, sizeof data);
        (void)SSL_shutdown(w.theirs);
        size_t n = hear(&w, data, sizeof data);
        assert_true(n > 0);
        if (i / 2 < SUITES - 1) { /* OpenSSL's CBC hears nothing any more after one */
            data[n - 1] ^= 1;
            dtls_input(w.ours, data, n); /* not authentic */
            assert_int_equal(dtls_state(w.ours), DTLS_READY);
            data[n - 1] ^= 1;
        }
        dtls_input(w.ours, data, n);
        assert_int_equal(dtls_state(w.ours), DTLS_CLOSED);
        close_world(&w);
    }
}

static void our_close_notify_is_understood(void **state)
{
    struct world w;
    uint8_t sink[64];
    (void)state;
    for (size_t i = 0; i < 4 * SUITES; i++) {
        open_world(&w, suites[i / 4], i % 2);
        shake_hands(&w);
        if (i % 4 < 2) {
            settle(&w);
        }
        hello_again(&w);
        dtls_close(w.ours);
        assert_int_equal(dtls_state(w.ours), DTLS_CLOSED);
        assert_int_equal(w.from_us.n, 1);
        BIO_write(SSL_get_rbio(w.theirs), w.from_us.data[0], (int)w.from_us.len[0]);
        assert_true(SSL_read(w.theirs, sink, sizeof sink) <= 0);
        assert_true(SSL_get_shutdown(w.theirs) & SSL_RECEIVED_SHUTDOWN);
        close_world(&w);
    }
}

static void application_data_and_junk_are_nothing(void **state)
{
    struct world w;
    uint8_t data[512];
    (void)state;
    open_world(&w, suites[0], false);
    shake_hands(&w);
    settle(&w);
    hello_again(&w);
    assert_int_equal(SSL_write(w.theirs, "hello", 5), 5);
    size_t n = hear(&w, data, sizeof data);
    dtls_input(w.ours, data, n);
    assert_int_equal(dtls_state(w.ours), DTLS_READY);
    for (int i = 0; i < 20000; i++) {
        uint8_t junk[96];
        random_bytes(junk, sizeof junk);
        junk[0] = i % 2 ? 21 : 22;
        junk[3] = 0;
        junk[4] = 1;
        junk[11] = 0;
        size_t len = (size_t)i % sizeof junk;
        dtls_input(w.ours, junk, len);
    }
    assert_int_equal(dtls_state(w.ours), DTLS_READY);
    assert_int_equal(w.from_us.n, 0);
    close_world(&w);
}

static void keys_are_exported_before_only(void **state)
{
    struct world w;
    struct dtls_keys keys;
    (void)state;
    open_world(&w, suites[0], false);
    dtls_settle(w.ours); /* too early: nothing */
    shake_hands(&w);
    settle(&w);
    dtls_settle(w.ours);
    assert_int_equal(dtls_export_keys(w.ours, &keys), ERR_WRONG_STATE);
    assert_int_equal(dtls_timeout_us(w.ours), -1);
    close_world(&w);
}

/* It was 70 KiB. */
static void a_settled_association_is_small(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    (void)state;
    skip(); /* mallinfo2 knows nothing of a sanitizer's heap */
#else
    struct world w;
    struct dtls *many[MANY];
    (void)state;
    open_world(&w, suites[0], false);
    shake_hands(&w);
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < MANY; i++) {
        close_ends(&w);
        w.from_us.n = 0;
        open_ends(&w);
        shake_hands(&w);
        settle(&w);
        many[i] = w.ours;
        w.ours = NULL;
    }
    SSL_free(w.theirs);
    w.theirs = NULL;
    size_t after = mallinfo2().uordblks;
    assert_true(after < before + MANY * 1024);
    for (int i = 0; i < MANY; i++) {
        dtls_free(many[i]);
    }
    close_world(&w);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lost_last_flight_is_repeated),
        cmocka_unit_test(the_same_flight_once_more_is_answered_too),
        cmocka_unit_test(their_close_notify_closes),
        cmocka_unit_test(our_close_notify_is_understood),
        cmocka_unit_test(application_data_and_junk_are_nothing),
        cmocka_unit_test(keys_are_exported_before_only),
        cmocka_unit_test(a_settled_association_is_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
