#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "lib/base/err.h"
#include "lib/proto/stun.h"

#define UFRAG "srvU"
#define PWD   "srvpwdsrvpwdsrvpwdsrvpwd"

static const uint8_t transaction[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

static size_t request(uint8_t *p, size_t cap, const char *pwd, bool nominate)
{
    int n = ice_check_build(p, cap, transaction, UFRAG ":cliU", pwd, 12345, nominate, 0x1122334455);
    assert_true(n > 0);
    return (size_t)n;
}

static void good_check_is_verified(void **state)
{
    uint8_t p[256];
    struct ice_check c;
    char local[ICE_MAX_CREDENTIAL + 1], remote[ICE_MAX_CREDENTIAL + 1];
    size_t n = request(p, sizeof p, PWD, true);

    (void)state;
    assert_true(stun_is_request(p, n));
    assert_int_equal(ice_check_username(local, remote, p, n), OK);
    assert_string_equal(local, UFRAG);
    assert_string_equal(remote, "cliU");
    assert_int_equal(ice_check_verify(&c, p, n, UFRAG, PWD), OK);
    assert_string_equal(c.remote_ufrag, "cliU");
    assert_int_equal(c.priority, 12345);
    assert_true(c.use_candidate);
    assert_true(c.controlling);
    assert_int_equal(c.tie_breaker, 0x1122334455);
    n = request(p, sizeof p, PWD, false);
    assert_int_equal(ice_check_verify(&c, p, n, UFRAG, PWD), OK);
    assert_false(c.use_candidate);
}

static void bad_integrity_or_user_is_refused(void **state)
{
    uint8_t p[256];
    struct ice_check c;
    size_t n = request(p, sizeof p, "another-password-of-22-c", false);

    (void)state;
    assert_int_equal(ice_check_verify(&c, p, n, UFRAG, PWD), ERR_AUTH);
    n = request(p, sizeof p, PWD, false);
    assert_int_equal(ice_check_verify(&c, p, n, "srvX", PWD), ERR_AUTH);
    assert_int_equal(ice_check_verify(&c, p, n, "srv", PWD), ERR_AUTH);
}

/* No single flipped byte passes. */
static void any_flipped_byte_is_refused(void **state)
{
    uint8_t p[256];
    struct ice_check c;
    size_t n = request(p, sizeof p, PWD, true);

    (void)state;
    for (size_t i = 0; i < n; i++) {
        p[i] ^= 0x10;
        assert_int_not_equal(ice_check_verify(&c, p, n, UFRAG, PWD), OK);
        p[i] ^= 0x10;
    }
    assert_int_equal(ice_check_verify(&c, p, n, UFRAG, PWD), OK);
}

static void every_truncation_is_refused(void **state)
{
    uint8_t p[256];
    struct ice_check c;
    char local[ICE_MAX_CREDENTIAL + 1], remote[ICE_MAX_CREDENTIAL + 1];
    size_t n = request(p, sizeof p, PWD, true);

    (void)state;
    for (size_t k = 0; k < n; k++) {
        uint8_t *copy = malloc(k ? k : 1);
        memcpy(copy, p, k);
        if (k >= 20) { /* also with a length that fits the cut */
            copy[2] = (uint8_t)((k - 20) >> 8);
            copy[3] = (uint8_t)(k - 20);
        }
        int r = ice_check_verify(&c, copy, k, UFRAG, PWD);
        (void)ice_check_username(local, remote, copy, k);
        free(copy);
        assert_true(r < 0);
    }
}

static void check_answer(const struct sockaddr *from, socklen_t from_len)
{
    uint8_t p[256], a[STUN_MAX_RESPONSE];
    size_t n = request(p, sizeof p, PWD, true);
    struct sockaddr_storage mapped;
    socklen_t mapped_len = sizeof mapped;
    int code = 0, len = ice_check_success(a, sizeof a, p, n, PWD, from, from_len);

    assert_true(len > 0 && (size_t)len <= n); /* no amplification */
    assert_int_equal(
        ice_check_read_response(&mapped, &mapped_len, &code, a, (size_t)len, transaction, PWD), OK);
    assert_int_equal(mapped_len, from_len);
    if (from->sa_family == AF_INET) {
        const struct sockaddr_in *x = (const struct sockaddr_in *)from;
        const struct sockaddr_in *y = (const struct sockaddr_in *)&mapped;
        assert_int_equal(x->sin_port, y->sin_port);
        assert_int_equal(x->sin_addr.s_addr, y->sin_addr.s_addr);
    } else {
        const struct sockaddr_in6 *x = (const struct sockaddr_in6 *)from;
        const struct sockaddr_in6 *y = (const struct sockaddr_in6 *)&mapped;
        assert_int_equal(x->sin6_port, y->sin6_port);
        assert_memory_equal(&x->sin6_addr, &y->sin6_addr, 16);
    }
    mapped_len = sizeof mapped;
    assert_int_equal(ice_check_read_response(&mapped, &mapped_len, &code, a, (size_t)len,
                                             transaction, "wrong-password-wrong-pwd"),
                     ERR_AUTH);
    for (size_t cap = 0; cap < (size_t)len; cap++) {
        assert_true(ice_check_success(a, cap, p, n, PWD, from, from_len) < 0);
    }
}

static void success_carries_the_address(void **state)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(4711)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(53)};

    (void)state;
    inet_pton(AF_INET, "192.0.2.7", &v4.sin_addr);
    inet_pton(AF_INET6, "2001:db8::7", &v6.sin6_addr);
    check_answer((struct sockaddr *)&v4, sizeof v4);
    check_answer((struct sockaddr *)&v6, sizeof v6);
}

static void error_response_reads_back(void **state)
{
    uint8_t p[256], a[STUN_MAX_RESPONSE];
    size_t n = request(p, sizeof p, PWD, true);
    struct sockaddr_storage mapped;
    socklen_t mapped_len = sizeof mapped;
    int code = 0, len = ice_check_error(a, sizeof a, p, n, PWD, 487);

    (void)state;
    assert_true(len > 0);
    assert_int_equal(
        ice_check_read_response(&mapped, &mapped_len, &code, a, (size_t)len, transaction, PWD),
        ERR_STATE);
    assert_int_equal(code, 487);
    assert_int_equal(ice_check_error(a, sizeof a, p, n, PWD, 200), ERR_INVALID);
    assert_int_equal(ice_check_error(a, sizeof a, a, (size_t)len, PWD, 400), ERR_INVALID);
}

static void strangers_are_no_checks(void **state)
{
    static const uint8_t bare[20] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42};
    static const uint8_t indication[20] = {0, 0x11, 0, 0, 0x21, 0x12, 0xa4, 0x42};
    char local[ICE_MAX_CREDENTIAL + 1], remote[ICE_MAX_CREDENTIAL + 1];
    struct ice_check c;
    uint8_t p[256];

    (void)state;
    assert_int_equal(ice_check_username(local, remote, bare, 20), ERR_NOT_FOUND);
    assert_int_equal(ice_check_verify(&c, bare, 20, UFRAG, PWD), ERR_INVALID);
    assert_int_equal(ice_check_username(local, remote, indication, 20), ERR_UNSUPPORTED);
    assert_int_equal(ice_check_verify(&c, indication, 20, UFRAG, PWD), ERR_INVALID);
    assert_false(stun_is_request(indication, 20));
    int n = ice_check_build(p, sizeof p, transaction, "nocolon", PWD, 1, false, 1);
    assert_int_equal(ice_check_username(local, remote, p, (size_t)n), ERR_INVALID);
    n = ice_check_build(p, sizeof p, transaction, UFRAG ":\n", PWD, 1, false, 1);
    assert_int_equal(ice_check_username(local, remote, p, (size_t)n), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_check_is_verified),
        cmocka_unit_test(bad_integrity_or_user_is_refused),
        cmocka_unit_test(any_flipped_byte_is_refused),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(success_carries_the_address),
        cmocka_unit_test(error_response_reads_back),
        cmocka_unit_test(strangers_are_no_checks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
