/* What is left of a DTLS association once SRTP has its keys: a lost last flight, alerts,
 * close_notify, and very little memory. */
#include "tests/unit/sfu/shell/dtls_world.h"

#include <malloc.h>

#include "lib/base/crypto.h"

#define MANY 40

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

static void their_close_notify_closes(void **state)
{
    struct world w;
    uint8_t data[256];
    (void)state;
    for (size_t i = 0; i < 2 * SUITES; i++) {
        open_world(&w, suites[i / 2], i % 2);
        shake_hands(&w);
        settle(&w);
        finish(&w);
        (void)hear(&w, data, sizeof data);
        (void)SSL_shutdown(w.theirs);
        size_t n = hear(&w, data, sizeof data);
        assert_true(n > 0);
        data[n - 1] ^= 1;
        dtls_input(w.ours, data, n); /* not authentic */
        assert_int_equal(dtls_state(w.ours), DTLS_READY);
        data[n - 1] ^= 1;
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
        finish(&w);
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
    finish(&w);
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

/* OpenSSL's clients (GStreamer's, aiortc's) name AES-256 first, phones ChaCha20: with theirs 70 KiB
 * would be kept of each. */
static void our_order_of_suites_counts(void **state)
{
    static const char *const orders[] = {
        "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256", "DEFAULT"};
    (void)state;
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        struct world w;
        open_world(&w, orders[i], false);
        shake_hands(&w);
        assert_string_equal(SSL_get_cipher_name(w.theirs), suites[0]);
        close_world(&w);
    }
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
        cmocka_unit_test(our_order_of_suites_counts),
        cmocka_unit_test(a_settled_association_is_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
