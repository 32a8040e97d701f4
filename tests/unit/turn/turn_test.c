#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/crypto.h"
#include "lib/base/err.h"
#include "turn/turn.h"

#define USER   "01900000-0000-7000-8000-000000000001"
#define CALL   "01900000-0000-7000-8000-000000000002"
#define DEVICE "01900000-0000-7000-8000-000000000003"
#define SECRET "a secret of some length"

static void credential_is_hmac_sha1_of_the_username(void **state)
{
    (void)state;
    char user[TURN_USERNAME_LEN], credential[TURN_CREDENTIAL_LEN];
    turn_credentials(SECRET, USER, CALL, DEVICE, 1900000000, user, credential);
    uint8_t mac[SHA1_LEN];
    char want[64];
    hmac_sha1(mac, SECRET, strlen(SECRET), user, strlen(user));
    base64_encode(want, mac, sizeof(mac));
    assert_string_equal(credential, want);
    assert_int_equal(strncmp(user, "1900000000:", 11), 0);
    assert_int_equal(strlen(user), 11 + 20);
}

static void pseudonym_is_stable_and_names_nobody(void **state)
{
    (void)state;
    char a[TURN_USERNAME_LEN], b[TURN_USERNAME_LEN], c[TURN_CREDENTIAL_LEN];
    turn_credentials(SECRET, USER, CALL, DEVICE, 1, a, c);
    turn_credentials(SECRET, USER, CALL, DEVICE, 2, b, c);
    assert_string_equal(a + 2, b + 2);
    assert_null(strstr(a, "01900000"));
    const char *const others[][3] = {
        {CALL, CALL, DEVICE}, {USER, USER, DEVICE}, {USER, NULL, DEVICE}, {USER, CALL, USER}};
    for (size_t i = 0; i < 4; i++) {
        turn_credentials(SECRET, others[i][0], others[i][1], others[i][2], 1, b, c);
        assert_string_not_equal(a, b);
    }
    turn_credentials("another secret, also long", USER, CALL, DEVICE, 1, b, c);
    assert_string_not_equal(a, b);
}

static void longest_texts_fit(void **state)
{
    (void)state;
    char user[TURN_USERNAME_LEN], credential[TURN_CREDENTIAL_LEN], ids[200];
    memset(ids, 'f', sizeof(ids));
    ids[199] = 0;
    turn_credentials(SECRET, ids, ids, ids, INT64_MAX, user, credential);
    assert_true(strlen(user) < sizeof(user));
    assert_int_equal(strlen(credential), 28);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(credential_is_hmac_sha1_of_the_username),
        cmocka_unit_test(pseudonym_is_stable_and_names_nobody),
        cmocka_unit_test(longest_texts_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
