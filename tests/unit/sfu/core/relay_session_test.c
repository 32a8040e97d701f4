/* Two nodes find each other, speak, lose each other; and whoever stands between them can't do more
 * than lose datagrams. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "sfu/core/relay_session.h"

#define SECRET   "a secret that both nodes know"
#define DATAGRAM 2048

struct datagram {
    size_t len;
    uint8_t data[DATAGRAM];
};

static struct relay_session *make(const char *secret, uint8_t seed)
{
    struct relay_session *s;
    uint8_t bytes[RELAY_SESSION_SEED];
    memset(bytes, seed, sizeof bytes);
    assert_int_equal(relay_session_new(&s, secret, strlen(secret), bytes), OK);
    return s;
}

/* Gives it to s; what it answers is put into d (len 0: nothing). */
static int give(struct relay_session *s, struct datagram *d, int64_t now_us, struct datagram *frame)
{
    uint8_t answer[RELAY_SESSION_HELLO], out[DATAGRAM];
    size_t len;
    bool answers;
    int r = relay_session_input(s, d->data, d->len, now_us, out, &len, answer, &answers);
    assert_true(!answers || d->len >= sizeof answer); /* never longer than what it answers */
    d->len = 0;
    if (answers) {
        d->len = sizeof answer;
        memcpy(d->data, answer, sizeof answer);
    }
    if (frame) {
        frame->len = len;
        memcpy(frame->data, out, len);
    }
    return r;
}

static struct datagram hello_of(struct relay_session *s, int64_t now_us)
{
    struct datagram d = {.len = RELAY_SESSION_HELLO};
    assert_true(relay_session_tick(s, now_us, d.data));
    return d;
}

/* Passes d and its answers to and fro until nobody answers. */
static void talk(struct relay_session *to, struct relay_session *from, struct datagram d,
                 int64_t now_us)
{
    for (int i = 0; d.len; i++) {
        assert_true(i < 6); /* it ends */
        (void)give(i % 2 ? from : to, &d, now_us, NULL);
    }
}

static struct datagram sealed(struct relay_session *s, const char *text)
{
    struct datagram d;
    int n = relay_session_seal(s, (const uint8_t *)text, strlen(text), d.data, sizeof d.data);
    assert_int_equal(n, strlen(text) + RELAY_SESSION_OVERHEAD);
    d.len = (size_t)n;
    return d;
}

static void passes(struct relay_session *from, struct relay_session *to, const char *text,
                   int64_t now_us)
{
    struct datagram d = sealed(from, text), frame;
    assert_int_equal(give(to, &d, now_us, &frame), RELAY_SESSION_FRAME);
    assert_int_equal(frame.len, strlen(text));
    assert_memory_equal(frame.data, text, frame.len);
}

static void connect(struct relay_session *a, struct relay_session *b, int64_t now_us)
{
    talk(b, a, hello_of(a, now_us), now_us);
    assert_true(relay_session_is_up(a));
    assert_true(relay_session_is_up(b));
}

static void test_they_find_each_other(void **state)
{
    (void)state;
    struct relay_session *a = make(SECRET, 1), *b = make(SECRET, 2);
    uint8_t out[DATAGRAM];
    assert_int_equal(relay_session_seal(a, out, 1, out, sizeof out), ERR_WRONG_STATE);
    connect(a, b, 0);
    for (int i = 0; i < 100; i++) {
        passes(a, b, "from a to b", i);
        passes(b, a, "and back", i);
    }
    assert_int_equal(relay_session_seal(a, out, 100, out, 100), ERR_TOO_LARGE);
    assert_false(relay_session_tick(a, 1000000, out)); /* no hellos while it is up */
    relay_session_free(a);
    relay_session_free(b);
    relay_session_free(NULL);
}

static void test_both_begin_at_once(void **state)
{
    (void)state;
    struct relay_session *a = make(SECRET, 1), *b = make(SECRET, 2);
    struct datagram from_a = hello_of(a, 0), from_b = hello_of(b, 0);
    assert_int_equal(give(a, &from_b, 0, NULL), RELAY_SESSION_NOTHING);
    assert_int_equal(give(b, &from_a, 0, NULL), RELAY_SESSION_NOTHING);
    /* from_b holds a's answer now, and from_a b's. */
    talk(b, a, from_b, 0);
    talk(a, b, from_a, 0);
    passes(a, b, "x", 0);
    passes(b, a, "y", 0);
    relay_session_free(a);
    relay_session_free(b);
}

/* Whichever datagram of the beginning is lost, hellos are repeated until it works. */
static void test_lost_hellos(void **state)
{
    (void)state;
    for (int lost = 0; lost < 4; lost++) {
        struct relay_session *a = make(SECRET, 1), *b = make(SECRET, 2);
        int64_t now_us = 0;
        struct datagram d = hello_of(a, now_us);
        for (int i = 0; d.len && i < lost; i++) {
            (void)give(i % 2 ? a : b, &d, now_us, NULL);
        }
        for (int i = 0; i < 4; i++) { /* d is lost; and so it goes on */
            now_us += RELAY_SESSION_HELLO_US;
            for (int side = 0; side < 2; side++) {
                struct datagram again = {.len = RELAY_SESSION_HELLO};
                if (relay_session_tick(side ? b : a, now_us, again.data)) {
                    talk(side ? a : b, side ? b : a, again, now_us);
                }
            }
        }
        passes(a, b, "x", now_us);
        passes(b, a, "y", now_us);
        relay_session_free(a);
        relay_session_free(b);
    }
}

static void test_one_begins_anew(void **state)
{
    (void)state;
    struct relay_session *a = make(SECRET, 1), *b = make(SECRET, 2);
    connect(a, b, 0);
    passes(a, b, "x", 0);
    struct datagram old = sealed(a, "of the former session");
    relay_session_free(a);
    a = make(SECRET, 3); /* it was restarted */
    struct datagram d = hello_of(a, 1000);
    assert_int_equal(give(b, &d, 1000, NULL), RELAY_SESSION_NOTHING);
    assert_true(relay_session_is_up(b)); /* until the new one has shown that it is there now */
    assert_int_equal(give(a, &d, 1000, NULL), RELAY_SESSION_UP);
    assert_int_equal(give(b, &d, 1000, NULL), RELAY_SESSION_UP);
    passes(a, b, "x", 1000);
    passes(b, a, "y", 1000);
    assert_int_equal(give(b, &old, 1000, NULL), ERR_AUTH);
    relay_session_free(a);
    relay_session_free(b);
}

static void test_silence_ends_it(void **state)
{
    (void)state;
    struct relay_session *a = make(SECRET, 1), *b = make(SECRET, 2);
    uint8_t out[RELAY_SESSION_HELLO];
    connect(a, b, 0);
    int64_t now_us = RELAY_SESSION_SILENT_US;
    passes(a, b, "x", now_us);
    now_us++;
    assert_true(relay_session_tick(a, now_us, out)); /* b said nothing */
    assert_false(relay_session_is_up(a));
    assert_false(relay_session_tick(b, now_us, out));
    assert_true(relay_session_is_up(b));
    struct datagram d = {.len = sizeof out};
    memcpy(d.data, out, sizeof out);
    talk(b, a, d, now_us);
    passes(a, b, "x", now_us);
    passes(b, a, "y", now_us);
    relay_session_free(a);
    relay_session_free(b);
}

static void test_replays(void **state)
{
    (void)state;
    struct relay_session *a = make(SECRET, 1), *b = make(SECRET, 2);
    connect(a, b, 0);
    struct datagram first = sealed(a, "first"), copy = first, kept[5];
    for (int i = 0; i < 5; i++) {
        kept[i] = sealed(a, "more");
    }
    struct datagram d = kept[4];
    assert_int_equal(give(b, &d, 0, NULL), RELAY_SESSION_FRAME);
    assert_int_equal(give(b, &first, 0, NULL), RELAY_SESSION_FRAME); /* late is fine, once */
    assert_int_equal(give(b, &copy, 0, NULL), ERR_CONFLICT);
    d = kept[4];
    assert_int_equal(give(b, &d, 0, NULL), ERR_CONFLICT);
    for (int i = 0; i < 1100; i++) {
        passes(a, b, "x", 0);
    }
    d = kept[2]; /* never came, but is older than the window */
    assert_int_equal(give(b, &d, 0, NULL), ERR_CONFLICT);
    for (int i = 0; i < 3000; i++) { /* a long gap */
        (void)sealed(a, "lost");
    }
    passes(a, b, "x", 0);
    relay_session_free(a);
    relay_session_free(b);
}

/* An old session's hellos, word for word, don't bring its keys back. */
static void test_replayed_hellos(void **state)
{
    (void)state;
    struct relay_session *a = make(SECRET, 1), *b = make(SECRET, 2);
    struct datagram recorded[3], d = hello_of(a, 0);
    for (int i = 0; i < 3; i++) {
        recorded[i] = d;
        (void)give(i % 2 ? a : b, &d, 0, NULL);
    }
    assert_true(relay_session_is_up(b));
    relay_session_free(a);
    a = make(SECRET, 3);
    connect(a, b, 1000);
    passes(a, b, "x", 1000);
    for (int i = 0; i < 3; i++) {
        for (int side = 0; side < 2; side++) {
            d = recorded[i];
            assert_int_not_equal(give(side ? b : a, &d, 1000, NULL), RELAY_SESSION_UP);
        }
    }
    passes(a, b, "still", 1000);
    passes(b, a, "there", 1000);
    relay_session_free(a);
    relay_session_free(b);
}

/* What one says, sent back to it, is no peer. */
/* Numbers behind the window are never taken, also where a place in it was never filled. */
static void test_older_than_the_window(void **state)
{
    (void)state;
    static struct datagram kept[3000];
    struct relay_session *a = make(SECRET, 1), *b = make(SECRET, 2);
    connect(a, b, 0);
    for (int i = 0; i < 3000; i++) {
        kept[i] = sealed(a, "frame");
        struct datagram d = kept[i];
        if (i % 2) {
            assert_int_equal(give(b, &d, 0, NULL), RELAY_SESSION_FRAME);
        }
    }
    for (int i = 0; i < 1970; i += 2) {
        assert_int_equal(give(b, &kept[i], 0, NULL), ERR_CONFLICT);
    }
    assert_int_equal(give(b, &kept[2990], 0, NULL), RELAY_SESSION_FRAME); /* only late */
    relay_session_free(a);
    relay_session_free(b);
}

static void test_reflected(void **state)
{
    (void)state;
    struct relay_session *a = make(SECRET, 1), *b = make(SECRET, 2);
    struct datagram d = hello_of(a, 0);
    assert_int_equal(give(a, &d, 0, NULL), ERR_AUTH);
    assert_int_equal(d.len, 0);
    connect(a, b, RELAY_SESSION_HELLO_US);
    d = sealed(a, "x");
    assert_int_equal(give(a, &d, 0, NULL), ERR_AUTH);
    relay_session_free(a);
    relay_session_free(b);
}

static void test_another_secret(void **state)
{
    (void)state;
    struct relay_session *a = make(SECRET, 1), *b = make("another secret, as long", 2), *s;
    struct datagram d = hello_of(a, 0);
    assert_int_equal(give(b, &d, 0, NULL), ERR_AUTH);
    assert_int_equal(d.len, 0); /* not a word to strangers */
    uint8_t seed[RELAY_SESSION_SEED] = {0};
    assert_int_equal(relay_session_new(&s, "short", 5, seed), ERR_INVALID);
    relay_session_free(a);
    relay_session_free(b);
}

static void test_every_bit_counts(void **state)
{
    (void)state;
    struct relay_session *a = make(SECRET, 1), *b = make(SECRET, 2);
    struct datagram hello = hello_of(a, 0), d;
    for (size_t i = 0; i < hello.len * 8; i++) {
        d = hello;
        d.data[i / 8] ^= (uint8_t)(1 << (i % 8));
        assert_true(give(b, &d, 0, NULL) < 0);
        assert_int_equal(d.len, 0);
    }
    connect(a, b, RELAY_SESSION_HELLO_US);
    struct datagram frame = sealed(a, "a frame");
    for (size_t i = 0; i < frame.len * 8; i++) {
        d = frame;
        d.data[i / 8] ^= (uint8_t)(1 << (i % 8));
        assert_true(give(b, &d, 0, NULL) < 0);
    }
    for (size_t len = 0; len < frame.len; len++) {
        d = frame;
        d.len = len;
        assert_true(give(b, &d, 0, NULL) < 0);
        d = hello;
        d.len = len < hello.len ? len : 0;
        assert_true(give(b, &d, 0, NULL) < 0);
    }
    assert_int_equal(give(b, &frame, 0, NULL), RELAY_SESSION_FRAME);
    relay_session_free(a);
    relay_session_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_they_find_each_other),  cmocka_unit_test(test_both_begin_at_once),
        cmocka_unit_test(test_lost_hellos),           cmocka_unit_test(test_one_begins_anew),
        cmocka_unit_test(test_silence_ends_it),       cmocka_unit_test(test_replays),
        cmocka_unit_test(test_replayed_hellos),       cmocka_unit_test(test_reflected),
        cmocka_unit_test(test_older_than_the_window), cmocka_unit_test(test_another_secret),
        cmocka_unit_test(test_every_bit_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
