/* Two ends of checks over a network of a test's making, on a clock of its making. */
#include "bench/client/ice_lean.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "lib/proto/stun.h"

#define START_US 1000000000
#define STEP_US  10000

static struct ice_lean a, b;
static struct sockaddr_in a_at, b_at;
static int64_t now_us;
static int lose; /* so many datagrams from here on */
static int passed;

static struct sockaddr_in address(const char *host, uint16_t port)
{
    struct sockaddr_in out = {.sin_family = AF_INET, .sin_port = htons(port)};
    assert_int_equal(inet_pton(AF_INET, host, &out.sin_addr), 1);
    return out;
}

static int begin(void **state)
{
    (void)state;
    a_at = address("127.0.0.1", 1111);
    b_at = address("127.0.0.1", 2222);
    now_us = START_US;
    lose = passed = 0;
    ice_lean_init(&a);
    ice_lean_init(&b);
    return 0;
}

static int end(void **state)
{
    (void)state;
    ice_lean_free(&a);
    ice_lean_free(&b);
    return 0;
}

static int describe(struct ice_lean *to, const struct ice_lean *from, const char *pwd,
                    const struct sockaddr_in *at, bool lite, bool controlling)
{
    struct ice_lean_candidate c = {.address = *at, .priority = 1, .type = 'h'};
    return ice_lean_remote(to, from->ufrag, pwd, lite, controlling, &c, 1, now_us);
}

/* What one sends comes to the other at once, and its answer back, unless it is lost. */
static void deliver(struct ice_lean *to, struct ice_lean *back, const uint8_t *data, size_t len,
                    const struct sockaddr_in *from, const struct sockaddr_in *at)
{
    uint8_t answer[ICE_LEAN_MAX_OUT], none[ICE_LEAN_MAX_OUT];
    if (lose > 0) {
        lose--;
        return;
    }
    passed++;
    size_t n = ice_lean_input(to, data, len, from, answer, now_us);
    if (n > 0)
        assert_int_equal(ice_lean_input(back, answer, n, at, none, now_us), 0);
}

static void turn(struct ice_lean *i, struct ice_lean *other, const struct sockaddr_in *i_at,
                 const struct sockaddr_in *other_at)
{
    uint8_t out[ICE_LEAN_MAX_OUT];
    struct sockaddr_in to;
    size_t n;
    while ((n = ice_lean_poll(i, out, &to, now_us)) > 0) {
        if (to.sin_port == other_at->sin_port)
            deliver(other, i, out, n, i_at, other_at);
    }
}

static void run(int64_t for_us)
{
    for (int64_t end_us = now_us + for_us; now_us < end_us; now_us += STEP_US) {
        turn(&a, &b, &a_at, &b_at);
        turn(&b, &a, &b_at, &a_at);
    }
}

static void assert_both_connected(void)
{
    assert_int_equal(a.state, ICE_LEAN_CONNECTED);
    assert_int_equal(b.state, ICE_LEAN_CONNECTED);
    assert_int_equal(ice_lean_selected(&a)->address.sin_port, b_at.sin_port);
    assert_int_equal(ice_lean_selected(&b)->address.sin_port, a_at.sin_port);
}

static void test_two_full_ends(void **state)
{
    (void)state;
    assert_null(ice_lean_selected(&a));
    assert_int_equal(describe(&a, &b, b.pwd, &b_at, false, true), OK);
    assert_int_equal(describe(&b, &a, a.pwd, &a_at, false, false), OK);
    run(100000);
    assert_both_connected();
    assert_true(a.controlling);
    assert_false(b.controlling);
}

/* The answerer checks before the offerer has its description, as in every call. */
static void test_checks_come_early(void **state)
{
    (void)state;
    assert_int_equal(describe(&b, &a, a.pwd, &a_at, false, false), OK);
    run(300000);
    assert_int_equal(a.state, ICE_LEAN_NEW);
    assert_int_equal(b.state, ICE_LEAN_CHECKING);
    assert_int_equal(describe(&a, &b, b.pwd, &b_at, false, true), OK);
    run(50000);
    assert_both_connected();
}

static void test_an_address_that_nobody_told(void **state)
{
    (void)state;
    struct sockaddr_in nobody = address("192.0.2.9", 9);
    assert_int_equal(describe(&a, &b, b.pwd, &nobody, false, true), OK);
    assert_int_equal(describe(&b, &a, a.pwd, &a_at, false, false), OK);
    run(1000000);
    assert_both_connected();
    assert_int_equal(ice_lean_selected(&a)->type, 'p');
}

static void test_lost_checks_go_again(void **state)
{
    (void)state;
    lose = 5;
    assert_int_equal(describe(&a, &b, b.pwd, &b_at, false, true), OK);
    assert_int_equal(describe(&b, &a, a.pwd, &a_at, false, false), OK);
    run(3000000);
    assert_both_connected();
}

static void test_both_think_that_they_control(void **state)
{
    (void)state;
    for (int controlling = 0; controlling < 2; controlling++) {
        begin(state);
        assert_int_equal(describe(&a, &b, b.pwd, &b_at, false, controlling), OK);
        assert_int_equal(describe(&b, &a, a.pwd, &a_at, false, controlling), OK);
        run(3000000);
        assert_both_connected();
        assert_int_not_equal(a.controlling, b.controlling);
        assert_int_equal(a.controlling, a.tie_breaker >= b.tie_breaker);
        end(state);
    }
}

static void test_a_wrong_password_never_connects(void **state)
{
    (void)state;
    assert_int_equal(describe(&a, &b, "not the password, but as long", &b_at, false, true), OK);
    assert_int_equal(describe(&b, &a, "neither is this one, I'm afraid", &a_at, false, false), OK);
    run(ICE_LEAN_GIVE_UP_US - STEP_US);
    assert_int_equal(a.state, ICE_LEAN_CHECKING);
    assert_true(passed > 10 && passed < 60); /* backing off */
    run(2 * STEP_US);
    assert_int_equal(a.state, ICE_LEAN_FAILED);
    assert_int_equal(b.state, ICE_LEAN_FAILED);
    assert_string_equal(a.why, "no ICE check was answered");
    assert_int_equal(ice_lean_deadline(&a), INT64_MAX);
}

/* A lite end answers and does nothing else. */
static size_t lite_answers(const uint8_t *check, size_t len, uint8_t *out, bool *nominated)
{
    struct ice_check c;
    if (ice_check_verify(&c, check, len, "lite", "a password of a lite end") != OK)
        return 0;
    assert_true(c.controlling);
    *nominated = c.use_candidate;
    int n = ice_check_success(out, ICE_LEAN_MAX_OUT, check, len, "a password of a lite end",
                              (struct sockaddr *)&a_at, sizeof a_at);
    assert_true(n > 0);
    return (size_t)n;
}

static void connect_to_lite(void)
{
    uint8_t out[ICE_LEAN_MAX_OUT], answer[ICE_LEAN_MAX_OUT], none[ICE_LEAN_MAX_OUT];
    struct sockaddr_in to;
    bool nominated = false;
    struct ice_lean_candidate c = {.address = b_at, .type = 'h'};
    assert_int_equal(
        ice_lean_remote(&a, "lite", "a password of a lite end", true, false, &c, 1, now_us), OK);
    for (int round = 0; round < 2; round++) { /* a check, and the nomination */
        size_t n = ice_lean_poll(&a, out, &to, now_us);
        assert_true(n > 0);
        n = lite_answers(out, n, answer, &nominated);
        assert_int_equal(nominated, round);
        assert_int_equal(a.state, ICE_LEAN_CHECKING);
        assert_int_equal(ice_lean_input(&a, answer, n, &b_at, none, now_us), 0);
    }
    assert_int_equal(a.state, ICE_LEAN_CONNECTED);
}

/* A slow lite end answers on two addresses; it may be told of one only (one that is told of two
 * sends to the one that it heard of last). */
static void test_one_nomination(void **state)
{
    uint8_t out[2][ICE_LEAN_MAX_OUT], answer[ICE_LEAN_MAX_OUT], none[ICE_LEAN_MAX_OUT];
    struct sockaddr_in to[2], other = address("192.0.2.2", 2222);
    struct ice_lean_candidate c[2] = {{.address = b_at, .type = 'h'},
                                      {.address = other, .type = 'h'}};
    size_t n[2];
    bool nominated;
    int nominations = 0;
    (void)state;
    assert_int_equal(
        ice_lean_remote(&a, "lite", "a password of a lite end", true, true, c, 2, now_us), OK);
    now_us += 150000; /* both are out before the first is answered */
    for (int i = 0; i < 2; i++)
        assert_true((n[i] = ice_lean_poll(&a, out[i], &to[i], now_us)) > 0);
    for (int i = 0; i < 2; i++) {
        size_t len = lite_answers(out[i], n[i], answer, &nominated);
        assert_false(nominated);
        assert_int_equal(ice_lean_input(&a, answer, len, &to[i], none, now_us), 0);
    }
    while ((n[0] = ice_lean_poll(&a, out[0], &to[0], now_us)) > 0) {
        size_t len = lite_answers(out[0], n[0], answer, &nominated);
        nominations += nominated;
        assert_int_equal(ice_lean_input(&a, answer, len, &to[0], none, now_us), 0);
    }
    assert_int_equal(nominations, 1);
    assert_int_equal(a.state, ICE_LEAN_CONNECTED);
    assert_int_equal(ice_lean_selected(&a)->address.sin_addr.s_addr, b_at.sin_addr.s_addr);
}

static void test_a_lite_end(void **state)
{
    (void)state;
    connect_to_lite();
    assert_true(a.controlling); /* whatever was asked for */
    assert_int_equal(ice_lean_deadline(&a), now_us + ICE_LEAN_CONSENT_US);
}

static void test_consent_is_asked_for_and_lost(void **state)
{
    uint8_t out[ICE_LEAN_MAX_OUT], answer[ICE_LEAN_MAX_OUT], none[ICE_LEAN_MAX_OUT];
    struct sockaddr_in to;
    bool nominated;
    int asked = 0;
    (void)state;
    connect_to_lite();
    for (int64_t end_us = now_us + 60000000; now_us < end_us; now_us += 1000000) {
        size_t n = ice_lean_poll(&a, out, &to, now_us);
        if (n > 0 && (n = lite_answers(out, n, answer, &nominated)) > 0)
            asked += ice_lean_input(&a, answer, n, &b_at, none, now_us) == 0;
    }
    assert_in_range(asked, 10, 13);
    assert_int_equal(a.state, ICE_LEAN_CONNECTED);
    for (int64_t end_us = now_us + 40000000; now_us < end_us; now_us += 1000000)
        (void)ice_lean_poll(&a, out, &to, now_us);
    assert_int_equal(a.state, ICE_LEAN_FAILED);
    assert_string_equal(a.why, "ICE consent lost");
}

static void test_answers_of_others_count_nothing(void **state)
{
    uint8_t out[ICE_LEAN_MAX_OUT], answer[ICE_LEAN_MAX_OUT], none[ICE_LEAN_MAX_OUT];
    struct sockaddr_in to;
    struct ice_lean_candidate c = {.address = b_at, .type = 'h'};
    bool nominated;
    (void)state;
    assert_int_equal(
        ice_lean_remote(&a, "lite", "a password of a lite end", true, true, &c, 1, now_us), OK);
    size_t n = ice_lean_poll(&a, out, &to, now_us);
    n = lite_answers(out, n, answer, &nominated);
    for (size_t i = 0; i < n; i++) {
        answer[i] ^= 1; /* the transaction, the integrity, the fingerprint… */
        assert_int_equal(ice_lean_input(&a, answer, n, &b_at, none, now_us), 0);
        assert_false(a.pair[0].valid);
        answer[i] ^= 1;
        assert_int_equal(ice_lean_input(&a, answer, i, &b_at, none, now_us), 0);
        assert_false(a.pair[0].valid);
    }
    assert_int_equal(ice_lean_input(&a, answer, n, &b_at, none, now_us), 0);
    assert_true(a.pair[0].valid);
}

static void test_what_cannot_be(void **state)
{
    char huge[400];
    struct ice_lean_candidate c = {.address = b_at, .type = 'h'};
    (void)state;
    memset(huge, 'x', sizeof huge - 1);
    huge[sizeof huge - 1] = 0;
    assert_int_equal(ice_lean_remote(&a, "u", "p", false, true, &c, 0, now_us), ERR_INVALID);
    assert_int_equal(ice_lean_remote(&a, huge, "p", false, true, &c, 1, now_us), ERR_INVALID);
    assert_int_equal(ice_lean_remote(&a, "u", huge, false, true, &c, 1, now_us), ERR_INVALID);
    assert_int_equal(a.state, ICE_LEAN_NEW);
    assert_int_equal(strlen(a.ufrag), ICE_LEAN_UFRAG);
    assert_int_equal(strlen(a.pwd), ICE_LEAN_PWD);
    assert_int_equal(strspn(a.pwd, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                   "+/"),
                     ICE_LEAN_PWD);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_two_full_ends),
        TEST(test_checks_come_early),
        TEST(test_an_address_that_nobody_told),
        TEST(test_lost_checks_go_again),
        TEST(test_both_think_that_they_control),
        TEST(test_a_wrong_password_never_connects),
        TEST(test_a_lite_end),
        TEST(test_one_nomination),
        TEST(test_consent_is_asked_for_and_lost),
        TEST(test_answers_of_others_count_nothing),
        TEST(test_what_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
