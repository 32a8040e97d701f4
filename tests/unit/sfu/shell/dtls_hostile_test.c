/* What a DTLS association goes through that it shouldn't have to: a fingerprint that comes late,
 * flights that are lost or played back, renegotiation, alerts, records that lie, ends at any time.
 */
#include "tests/unit/sfu/shell/dtls_world.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "sfu/shell/dtls_after.h"

#define ALERT        21
#define HANDSHAKE    22
#define FINISHED_LEN 24
#define MANY         200

/* ---- records as the other end would write them ---- */

struct forge {
    uint8_t key[16], iv[4];
    uint64_t number;
};

/* RFC 5246 section 6.3, with TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256. */
static void forge_open(struct forge *f, const struct world *w)
{
    uint8_t master[48], seed[13 + 64] = "key expansion", block[40];
    char digest[] = "SHA256";
    SSL_get_server_random(w->theirs, seed + 13, 32);
    SSL_get_client_random(w->theirs, seed + 45, 32);
    assert_int_equal(SSL_SESSION_get_master_key(SSL_get_session(w->theirs), master, 48), 48);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, master, sizeof master),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, seed, sizeof seed),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "TLS1-PRF", NULL);
    EVP_KDF_CTX *c = EVP_KDF_CTX_new(kdf);
    assert_int_equal(EVP_KDF_derive(c, block, sizeof block, params), 1);
    EVP_KDF_CTX_free(c);
    EVP_KDF_free(kdf);
    memcpy(f->key, block + (w->we_are_client ? 16 : 0), 16);
    memcpy(f->iv, block + (w->we_are_client ? 36 : 32), 4);
    f->number = 100;
}

/* An authentic record of epoch 1; its length. */
static size_t forge_record(struct forge *f, uint8_t *out, uint8_t type, const uint8_t *plain,
                           size_t len)
{
    uint8_t nonce[12], aad[13];
    int n;
    memset(out, 0, 21);
    out[0] = type;
    out[1] = 0xfe;
    out[2] = 0xfd;
    out[4] = 1;
    out[9] = (uint8_t)(f->number >> 8);
    out[10] = (uint8_t)f->number++;
    out[11] = (uint8_t)((len + 24) >> 8);
    out[12] = (uint8_t)(len + 24);
    memcpy(out + 13, out + 3, 8);
    memcpy(nonce, f->iv, 4);
    memcpy(nonce + 4, out + 13, 8);
    memcpy(aad, out + 3, 8);
    memcpy(aad + 8, out, 3);
    aad[11] = (uint8_t)(len >> 8);
    aad[12] = (uint8_t)len;
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    assert_int_equal(EVP_EncryptInit_ex(c, EVP_aes_128_gcm(), NULL, f->key, nonce), 1);
    assert_int_equal(EVP_EncryptUpdate(c, NULL, &n, aad, sizeof aad), 1);
    assert_int_equal(EVP_EncryptUpdate(c, out + 21, &n, plain, (int)len), 1);
    assert_int_equal(EVP_EncryptFinal_ex(c, out + 21 + len, &n), 1);
    assert_int_equal(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, 16, out + 21 + len), 1);
    EVP_CIPHER_CTX_free(c);
    return 13 + 24 + len;
}

static void forge_input(struct world *w, struct forge *f, uint8_t type, const uint8_t *plain,
                        size_t len)
{
    uint8_t out[512];
    size_t n = forge_record(f, out, type, plain, len);
    dtls_input(w->ours, out, n);
}

/* ---- a fingerprint that comes late ---- */

/* The SDP may take longer than the handshake, and packets come meanwhile. */
static void datagrams_before_the_fingerprint(void **state)
{
    static const uint8_t junk[] = {23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 9, 0, 1, 7};
    (void)state;
    for (size_t i = 0; i < 2 * SUITES; i++) {
        struct world w;
        uint8_t data[512], sink[64];
        open_world_as(&w, suites[i / 2], i % 2, true);
        shake_hands(&w);
        finish(&w);
        dtls_input(w.ours, junk, sizeof junk);
        dtls_input(w.ours, junk, 1);
        (void)hear(&w, data, sizeof data);
        assert_int_equal(SSL_write(w.theirs, "hello", 5), 5);
        size_t n = hear(&w, data, sizeof data);
        dtls_input(w.ours, data, n);
        assert_int_equal(dtls_state(w.ours), DTLS_UNVERIFIED);

        dtls_set_fingerprint(w.ours, w.fingerprint);
        assert_int_equal(dtls_state(w.ours), DTLS_READY);
        settle(&w);
        dtls_input(w.ours, junk, sizeof junk);
        assert_int_equal(w.from_us.n, 0);
        dtls_close(w.ours);
        assert_int_equal(w.from_us.n, 1);
        BIO_write(SSL_get_rbio(w.theirs), w.from_us.data[0], (int)w.from_us.len[0]);
        assert_true(SSL_read(w.theirs, sink, sizeof sink) <= 0);
        assert_true(SSL_get_shutdown(w.theirs) & SSL_RECEIVED_SHUTDOWN);
        close_world(&w);
    }
}

static size_t bytes_from_us(const struct world *w)
{
    size_t sum = 0;
    for (size_t i = 0; i < w->from_us.n; i++) {
        sum += w->from_us.len[i];
    }
    return sum;
}

/* Their last flight once more, because ours doesn't come. */
static void ask_again(struct world *w)
{
    uint8_t data[8192];
    int r;
    w->from_us.n = 0;
    while ((r = DTLSv1_handle_timeout(w->theirs)) == 0) { /* its time hasn't come */
    }
    assert_int_equal(r, 1);
    size_t n = hear(w, data, sizeof data);
    assert_true(n > 0);
    dtls_input(w->ours, data, n);
}

/* What OpenSSL repeats before the association is settled is no part of the flight. */
static void a_flight_is_kept_once(void **state)
{
    struct world w;
    (void)state;
    open_world_as(&w, suites[0], false, true);
    shake_hands(&w);
    size_t flight = bytes_from_us(&w);
    assert_true(flight > 0);
    ask_again(&w);
    assert_int_equal(bytes_from_us(&w), flight);
    ask_again(&w);
    dtls_set_fingerprint(w.ours, w.fingerprint);
    settle(&w);
    ask_again(&w);
    assert_int_equal(bytes_from_us(&w), flight);
    finish(&w);
    close_world(&w);
}

/* ---- what is lost, and what is played back ---- */

/* Each flight of ours is lost once; OpenSSL's timer sends it again. */
static void every_flight_is_lost_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * SUITES; i++) {
        struct world w;
        uint8_t data[8192];
        memset(&w, 0, sizeof w);
        w.we_are_client = i % 2;
        assert_int_equal(dtls_context_new(&w.context), OK);
        dtls_context_hurry(w.context);
        w.other = other_context(suites[i / 2], w.fingerprint);
        open_ends(&w);
        for (int k = 0; k < 10 && dtls_state(w.ours) == DTLS_HANDSHAKE; k++) {
            if (w.from_us.n > 0) {
                w.from_us.n = 0;
                while (w.from_us.n == 0) {
                    dtls_timeout(w.ours);
                }
            }
            tell(&w);
            (void)SSL_do_handshake(w.theirs);
            size_t n = hear(&w, data, sizeof data);
            dtls_input(w.ours, data, n);
        }
        assert_int_equal(dtls_state(w.ours), DTLS_READY);
        settle(&w);
        dtls_timeout(w.ours); /* nothing any more */
        finish(&w);
        close_world(&w);
    }
}

/* Whoever recorded it sends it a thousand times from the peer's address. */
static void a_replayed_flight_is_answered_a_few_times(void **state)
{
    (void)state;
    for (size_t i = 0; i < SUITES; i++) {
        struct world w;
        uint8_t data[8192];
        size_t n = 0, answers = 0, flight;
        open_world(&w, suites[i], false);
        while (dtls_state(w.ours) != DTLS_READY) {
            tell(&w);
            (void)SSL_do_handshake(w.theirs);
            n = hear(&w, data, sizeof data);
            dtls_input(w.ours, data, n);
        }
        settle(&w);
        flight = w.from_us.n;
        for (int k = 0; k < 1000; k++) {
            w.from_us.n = 0;
            dtls_input(w.ours, data, n);
            answers += w.from_us.n;
        }
        assert_true(answers <= DTLS_AFTER_REPEATS * flight);
        assert_int_equal(dtls_state(w.ours), DTLS_READY);
        close_world(&w);
    }
}

/* One who has the keys may number it anew each time. */
static void nor_is_a_new_one(void **state)
{
    static const uint8_t finished[FINISHED_LEN] = {20, 0, 0, 12, 0, 3, 0, 0, 0, 0, 0, 12};
    struct world w;
    struct forge f;
    size_t answers = 0;
    (void)state;
    open_world(&w, suites[0], false);
    shake_hands(&w);
    size_t flight = w.from_us.n;
    settle(&w);
    finish(&w);
    forge_open(&f, &w);
    for (int k = 0; k < 1000; k++) {
        w.from_us.n = 0;
        forge_input(&w, &f, HANDSHAKE, finished, sizeof finished);
        answers += w.from_us.n;
    }
    assert_int_equal(answers, DTLS_AFTER_REPEATS * flight);
    close_world(&w);
}

/* ---- another handshake ---- */

/* Neither from inside (a ClientHello, a HelloRequest) nor from outside. */
static void another_handshake_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * SUITES; i++) {
        struct world w;
        uint8_t data[8192];
        open_world(&w, suites[i / 2], i % 2);
        shake_hands(&w);
        settle(&w);
        finish(&w);
        (void)hear(&w, data, sizeof data);
        assert_int_equal(SSL_renegotiate(w.theirs), 1);
        (void)SSL_do_handshake(w.theirs);
        size_t n = hear(&w, data, sizeof data);
        assert_true(n > 0);
        for (int k = 0; k < 100; k++) {
            dtls_input(w.ours, data, n);
        }
        assert_true(w.from_us.n <= 1); /* OpenSSL's says no_renegotiation */
        assert_int_equal(dtls_state(w.ours), DTLS_READY);
        w.from_us.n = 0;

        SSL_free(w.theirs); /* it has forgotten all, and begins anew from the same address */
        w.theirs = SSL_new(w.other);
        SSL_set_options(w.theirs, SSL_OP_NO_QUERY_MTU);
        SSL_set_mtu(w.theirs, 1400);
        SSL_set_bio(w.theirs, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
        SSL_set_connect_state(w.theirs);
        (void)SSL_do_handshake(w.theirs);
        n = hear(&w, data, sizeof data);
        assert_true(n > 0);
        for (int k = 0; k < 100; k++) {
            dtls_input(w.ours, data, n);
        }
        assert_true(w.from_us.n <= 1);
        assert_int_equal(dtls_state(w.ours), DTLS_READY);
        dtls_close(w.ours);
        close_world(&w);
    }
}

/* ---- alerts and records ---- */

static void alerts_that_end_it(void **state)
{
    static const uint8_t ends[][2] = {{1, 0}, {2, 0}, {2, 40}, {2, 80}};
    (void)state;
    for (size_t i = 0; i < 2 * sizeof ends / sizeof ends[0]; i++) {
        struct world w;
        struct forge f;
        open_world(&w, suites[0], i % 2);
        shake_hands(&w);
        settle(&w);
        finish(&w);
        forge_open(&f, &w);
        forge_input(&w, &f, ALERT, ends[i / 2], 2);
        assert_int_equal(dtls_state(w.ours), DTLS_CLOSED);
        assert_int_equal(w.from_us.n, 0);
        dtls_close(w.ours); /* it knows */
        assert_int_equal(w.from_us.n, 0);
        close_world(&w);
    }
}

/* Not encrypted: anybody could have sent it. */
static void alerts_of_strangers(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * SUITES; i++) {
        struct world w;
        open_world(&w, suites[i / 2], i % 2);
        shake_hands(&w);
        settle(&w);
        for (int epoch = 0; epoch < 3; epoch++) {
            uint8_t alert[15] = {ALERT, 0xfe, 0xfd, 0, (uint8_t)epoch, 0, 0, 0, 0, 1, 0,
                                 0,     2,    2,    40};
            dtls_input(w.ours, alert, sizeof alert);
        }
        finish(&w);
        assert_int_equal(dtls_state(w.ours), DTLS_READY);
        close_world(&w);
    }
}

static void records_that_say_nothing(void **state)
{
    static const uint8_t warning[] = {1, 90}, odd[] = {2, 40, 0}, one[] = {20};
    uint8_t big[200] = {20}, out[1024];
    struct world w;
    struct forge f;
    (void)state;
    open_world(&w, suites[0], false);
    shake_hands(&w);
    settle(&w);
    finish(&w);
    forge_open(&f, &w);
    forge_input(&w, &f, ALERT, warning, 2);
    forge_input(&w, &f, ALERT, odd, 3);
    forge_input(&w, &f, ALERT, odd, 1);
    forge_input(&w, &f, ALERT, odd, 0);
    forge_input(&w, &f, 23, odd, 2);
    forge_input(&w, &f, 20, one, 1);
    forge_input(&w, &f, HANDSHAKE, big, 65);
    forge_input(&w, &f, HANDSHAKE, big, sizeof big);
    for (uint8_t message = 0; message < 20; message++) {
        forge_input(&w, &f, HANDSHAKE, &message, 1);
    }
    size_t n = 0; /* what comes behind so much junk isn't looked at */
    for (int i = 0; i < DTLS_AFTER_RECORDS; i++) {
        n += forge_record(&f, out + n, HANDSHAKE, big + 1, 8);
    }
    n += forge_record(&f, out + n, HANDSHAKE, one, 1);
    dtls_input(w.ours, out, n);
    for (size_t len = 0; len < n; len++) { /* cut off anywhere */
        dtls_input(w.ours, out, len);
    }
    assert_int_equal(w.from_us.n, 0);
    assert_int_equal(dtls_state(w.ours), DTLS_READY);
    forge_input(&w, &f, HANDSHAKE, one, 1);
    assert_true(w.from_us.n > 0);
    close_world(&w);
}

/* ---- ends ---- */

/* Whenever it ends, nothing leaks and nothing is touched any more (AddressSanitizer sees it). */
static void ends_at_any_time(void **state)
{
    (void)state;
    for (size_t i = 0; i < MANY; i++) {
        struct world w;
        uint8_t data[8192] = {0};
        size_t stage = i / (2 * SUITES) % 6;
        open_world_as(&w, suites[i / 2 % SUITES], i % 2, stage == 1);
        if (stage == 0) { /* in the middle */
            (void)SSL_do_handshake(w.theirs);
            size_t n = hear(&w, data, sizeof data);
            dtls_input(w.ours, data, n);
            dtls_timeout(w.ours);
            dtls_close(w.ours);
            close_world(&w);
            continue;
        }
        shake_hands(&w);
        if (stage >= 3) {
            settle(&w);
        }
        if (stage == 1 || stage == 4) {
            dtls_close(w.ours);
            dtls_close(w.ours);
            dtls_input(w.ours, data, sizeof data);
        }
        if (stage == 5) {
            finish(&w);
            (void)hear(&w, data, sizeof data);
            (void)SSL_shutdown(w.theirs);
            size_t n = hear(&w, data, sizeof data);
            dtls_input(w.ours, data, n);
            assert_int_equal(dtls_state(w.ours), DTLS_CLOSED);
        }
        close_world(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(datagrams_before_the_fingerprint),
        cmocka_unit_test(a_flight_is_kept_once),
        cmocka_unit_test(every_flight_is_lost_once),
        cmocka_unit_test(a_replayed_flight_is_answered_a_few_times),
        cmocka_unit_test(nor_is_a_new_one),
        cmocka_unit_test(another_handshake_is_refused),
        cmocka_unit_test(alerts_that_end_it),
        cmocka_unit_test(alerts_of_strangers),
        cmocka_unit_test(records_that_say_nothing),
        cmocka_unit_test(ends_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
