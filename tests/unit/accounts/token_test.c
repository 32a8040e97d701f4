/* Tokens: what verifies, and everything that must not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jwt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "accounts/jwks.h"
#include "accounts/token.h"
#include "lib/base/buf.h"
#include "lib/base/crypto.h"
#include "lib/base/err.h"

#define NOW_US  INT64_C(1795262165000000)
#define HOUR_US INT64_C(3600000000)

static const struct token_policy policy = {.issuer = "sotto", .audience = "app"};
static const struct token_policy others = {.issuer = "other", .audience = "app"};
static const struct token_policy elsewhere = {.issuer = "sotto", .audience = "other"};

struct fixture {
    char ours[64], foreign[64]; /* folders */
    struct keys *keys, *foreign_keys;
    struct token_claims claims;
};

static void make_dir(char out[64])
{
    const char *base = getenv("TMPDIR");

    snprintf(out, 64, "%s/sotto-token-XXXXXX", base ? base : "/var/tmp");
    assert_non_null(mkdtemp(out));
}

static void remove_key(const char *dir, const char *kid)
{
    char path[160];

    snprintf(path, sizeof path, "%s/%s.pem", dir, kid);
    unlink(path);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    make_dir(f->ours);
    make_dir(f->foreign);
    assert_int_equal(keys_generate(f->ours, "k1"), OK);
    assert_int_equal(keys_generate(f->foreign, "k1"), OK);
    assert_int_equal(keys_load(&f->keys, f->ours), OK);
    assert_int_equal(keys_load(&f->foreign_keys, f->foreign), OK);
    f->claims.who.user_id = id_new(NOW_US);
    f->claims.who.device_id = id_new(NOW_US);
    f->claims.who.session_id = id_new(NOW_US);
    f->claims.jti = id_new(NOW_US);
    str_copy(f->claims.who.login, sizeof f->claims.who.login, "alice");
    str_copy(f->claims.who.role, sizeof f->claims.who.role, "user");
    f->claims.issued_us = NOW_US;
    f->claims.expires_us = NOW_US + HOUR_US;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    static const char *const kids[] = {"k0", "k1", "k2"};

    for (size_t i = 0; i < 3; i++) {
        remove_key(f->ours, kids[i]);
        remove_key(f->foreign, kids[i]);
    }
    rmdir(f->ours);
    rmdir(f->foreign);
    keys_free(f->keys);
    keys_free(f->foreign_keys);
    free(f);
    return 0;
}

static char *sign(const struct fixture *f, enum token_kind kind)
{
    char *token = NULL;

    assert_int_equal(token_sign(&token, f->keys, &policy, kind, &f->claims), OK);
    return token;
}

static int verify(const struct fixture *f, enum token_kind kind, const char *token)
{
    struct token_claims out;

    return token_verify(&out, f->keys, &policy, kind, token, NOW_US + 1);
}

static void test_round_trip(void **state)
{
    struct fixture *f = *state;
    char *token = sign(f, TOKEN_ACCESS);
    struct token_claims out = {0};

    assert_int_equal(token_verify(&out, f->keys, &policy, TOKEN_ACCESS, token, NOW_US), OK);
    assert_string_equal(out.who.user_id.s, f->claims.who.user_id.s);
    assert_string_equal(out.who.device_id.s, f->claims.who.device_id.s);
    assert_string_equal(out.who.session_id.s, f->claims.who.session_id.s);
    assert_string_equal(out.jti.s, f->claims.jti.s);
    assert_string_equal(out.who.login, "alice");
    assert_string_equal(out.who.role, "user");
    assert_int_equal(out.issued_us, NOW_US);
    assert_int_equal(out.expires_us, NOW_US + HOUR_US);
    free(token);
}

static void test_expiry_is_exact(void **state)
{
    struct fixture *f = *state;
    char *token = sign(f, TOKEN_ACCESS);
    struct token_claims out;

    assert_int_equal(
        token_verify(&out, f->keys, &policy, TOKEN_ACCESS, token, NOW_US + HOUR_US - 1), OK);
    assert_int_equal(token_verify(&out, f->keys, &policy, TOKEN_ACCESS, token, NOW_US + HOUR_US),
                     ERR_AUTH);
    /* issued ahead of our clock: a minute is another node's clock, an hour is a forgery or a fault
     */
    assert_int_equal(token_verify(&out, f->keys, &policy, TOKEN_ACCESS, token, NOW_US - 59000000),
                     OK);
    assert_int_equal(token_verify(&out, f->keys, &policy, TOKEN_ACCESS, token, NOW_US - HOUR_US),
                     ERR_AUTH);
    free(token);
}

static void test_kinds_never_mix(void **state)
{
    struct fixture *f = *state;
    char *access = sign(f, TOKEN_ACCESS), *ticket = sign(f, TOKEN_TICKET);

    assert_int_equal(verify(f, TOKEN_TICKET, ticket), OK);
    assert_int_equal(verify(f, TOKEN_ACCESS, ticket), ERR_STATE);
    assert_int_equal(verify(f, TOKEN_TICKET, access), ERR_STATE);
    free(access);
    free(ticket);
}

/* An expired ticket is expired before it is of the wrong type. */
static void test_expired_before_type(void **state)
{
    struct fixture *f = *state;
    char *ticket = sign(f, TOKEN_TICKET);
    struct token_claims out;

    assert_int_equal(
        token_verify(&out, f->keys, &policy, TOKEN_ACCESS, ticket, NOW_US + 2 * HOUR_US), ERR_AUTH);
    free(ticket);
}

static void test_policy(void **state)
{
    struct fixture *f = *state;
    char *token = sign(f, TOKEN_ACCESS);
    struct token_claims out;

    assert_int_equal(token_verify(&out, f->keys, &others, TOKEN_ACCESS, token, NOW_US), ERR_AUTH);
    assert_int_equal(token_verify(&out, f->keys, &elsewhere, TOKEN_ACCESS, token, NOW_US),
                     ERR_AUTH);
    free(token);
}

static void test_foreign_key(void **state)
{
    struct fixture *f = *state;
    char *token = NULL;

    assert_int_equal(token_sign(&token, f->foreign_keys, &policy, TOKEN_ACCESS, &f->claims), OK);
    assert_int_equal(verify(f, TOKEN_ACCESS, token), ERR_AUTH); /* same kid, another key */
    free(token);
}

/* Every single character changed to another one: none may pass. */
static void test_tampered(void **state)
{
    struct fixture *f = *state;
    char *token = sign(f, TOKEN_ACCESS);
    size_t n = strlen(token);

    for (size_t i = 0; i < n; i++) {
        char was = token[i];

        token[i] = was == 'A' ? 'B' : was == '.' ? '_' : 'A';
        assert_int_equal(verify(f, TOKEN_ACCESS, token), ERR_AUTH);
        token[i] = (char)(was ^ 1);
        assert_int_equal(verify(f, TOKEN_ACCESS, token), ERR_AUTH);
        token[i] = was;
    }
    assert_int_equal(verify(f, TOKEN_ACCESS, token), OK);
    free(token);
}

static void test_truncated_and_extended(void **state)
{
    struct fixture *f = *state;
    char *token = sign(f, TOKEN_ACCESS);
    char longer[TOKEN_MAX + 1];
    size_t n = strlen(token);

    snprintf(longer, sizeof longer, "%sA", token);
    assert_int_equal(verify(f, TOKEN_ACCESS, longer), ERR_AUTH);
    snprintf(longer, sizeof longer, "%s.", token);
    assert_int_equal(verify(f, TOKEN_ACCESS, longer), ERR_AUTH);
    snprintf(longer, sizeof longer, " %s", token);
    assert_int_equal(verify(f, TOKEN_ACCESS, longer), ERR_AUTH);
    while (n-- > 0) {
        token[n] = 0;
        assert_int_equal(verify(f, TOKEN_ACCESS, token), ERR_AUTH);
    }
    free(token);
}

static void test_garbage(void **state)
{
    struct fixture *f = *state;
    char *huge = malloc(1 << 20);

    memset(huge, 'A', (1 << 20) - 1);
    huge[(1 << 20) - 1] = 0;
    assert_int_equal(verify(f, TOKEN_ACCESS, huge), ERR_AUTH);
    free(huge);
    assert_int_equal(verify(f, TOKEN_ACCESS, ""), ERR_AUTH);
    assert_int_equal(verify(f, TOKEN_ACCESS, ".."), ERR_AUTH);
    assert_int_equal(verify(f, TOKEN_ACCESS, "\xff\xfe.a.b"), ERR_AUTH);
}

/* A header of our choice before the payload and signature of a good token. */
static void with_header(char out[TOKEN_MAX + 1], const char *json, const char *token)
{
    char header[TOKEN_MAX];

    assert_true(base64url_len(strlen(json)) < sizeof header);
    base64url_encode(header, json, strlen(json));
    snprintf(out, TOKEN_MAX + 1, "%s%s", header, strchr(token, '.'));
}

static void test_headers(void **state)
{
    static const char *const headers[] = {
        "{\"alg\":\"none\",\"kid\":\"k1\"}",
        "{\"alg\":\"None\",\"kid\":\"k1\"}",
        "{\"alg\":\"HS256\",\"kid\":\"k1\"}",
        "{\"alg\":\"RS256\",\"kid\":\"k1\"}",
        "{\"alg\":\"es256\",\"kid\":\"k1\"}",
        "{\"alg\":\"ES256\"}",
        "{\"alg\":\"ES256\",\"kid\":\"k9\"}",
        "{\"alg\":\"ES256\",\"kid\":\"../k1\"}",
        "{\"alg\":\"ES256\",\"kid\":1}",
        "{\"alg\":\"ES256\",\"kid\":\"k1\",\"alg\":\"none\"}",
        "{\"alg\":\"ES256\",\"kid\":\"k1\",\"crit\":[\"exp\"]}",
        "[]",
        "null",
        "{",
    };
    struct fixture *f = *state;
    char *token = sign(f, TOKEN_ACCESS);
    char made[TOKEN_MAX + 1];

    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        with_header(made, headers[i], token);
        assert_int_equal(verify(f, TOKEN_ACCESS, made), ERR_AUTH);
    }
    free(token);
}

/* The payload of a good token under another algorithm, by libjwt: "none", and HMAC keyed with our
 * public key, the classic confusion. */
static void test_algorithm_confusion(void **state)
{
    static const jwt_alg_t algs[] = {JWT_ALG_NONE, JWT_ALG_HS256};
    struct fixture *f = *state;
    const struct key *key = f->keys->signer;

    for (size_t i = 0; i < 2; i++) {
        char *token = sign(f, TOKEN_ACCESS), *forged;
        jwt_t *jwt = NULL;

        assert_int_equal(jwt_decode(&jwt, token, (const unsigned char *)key->public_pem,
                                    (int)strlen(key->public_pem)),
                         0);
        assert_int_equal(algs[i] == JWT_ALG_NONE
                             ? jwt_set_alg(jwt, JWT_ALG_NONE, NULL, 0)
                             : jwt_set_alg(jwt, algs[i], (const unsigned char *)key->public_pem,
                                           (int)strlen(key->public_pem)),
                         0);
        forged = jwt_encode_str(jwt);
        assert_non_null(forged);
        assert_int_equal(verify(f, TOKEN_ACCESS, forged), ERR_AUTH);
        free(forged);
        free(token);
        jwt_free(jwt);
    }
}

/* A token of our own key whose claims are changed by `json` (merged over the good ones). */
static char *sign_with(const struct fixture *f, const char *without, const char *json)
{
    const struct key *key = f->keys->signer;
    char *token = sign(f, TOKEN_ACCESS), *made;
    jwt_t *jwt = NULL;

    assert_int_equal(jwt_decode(&jwt, token, (const unsigned char *)key->public_pem,
                                (int)strlen(key->public_pem)),
                     0);
    if (without) {
        assert_int_equal(jwt_del_grants(jwt, without), 0);
    }
    assert_int_equal(jwt_add_grants_json(jwt, json), 0);
    assert_int_equal(jwt_set_alg(jwt, JWT_ALG_ES256, (const unsigned char *)key->private_pem,
                                 (int)strlen(key->private_pem)),
                     0);
    made = jwt_encode_str(jwt);
    assert_non_null(made);
    jwt_free(jwt);
    free(token);
    return made;
}

static void test_claims_are_required(void **state)
{
    static const char *const names[] = {"iss",  "aud",   "sub", "did", "sid",
                                        "role", "login", "iat", "exp", "jti"};
    struct fixture *f = *state;
    char *token;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char number[64];

        token = sign_with(f, names[i], "{}");
        assert_int_equal(verify(f, TOKEN_ACCESS, token), ERR_AUTH);
        free(token);
        snprintf(number, sizeof number, "{\"%s\": true}", names[i]);
        token = sign_with(f, names[i], number);
        assert_int_equal(verify(f, TOKEN_ACCESS, token), ERR_AUTH);
        free(token);
    }
    token = sign_with(f, NULL, "{}");
    assert_int_equal(verify(f, TOKEN_ACCESS, token), OK);
    free(token);
}

static void test_claims_are_strict(void **state)
{
    static const char *const bad[] = {
        "{\"sub\": \"' OR 1=1\"}",
        "{\"sub\": \"00000000-0000-0000-0000-00000000000G\"}",
        "{\"exp\": -1}",
        "{\"exp\": 9223372036854775807}",
        "{\"exp\": \"9999999999\"}",
        "{\"exp\": 9999999999.5}",
        "{\"aud\": [\"app\"]}",
        "{\"role\": \"abcdefghijklmnopqrstuvwxyz\"}",
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char *token = sign_with(f, NULL, bad[i]);

        assert_int_equal(verify(f, TOKEN_ACCESS, token), ERR_AUTH);
        free(token);
    }
}

/* Whatever `type` says or is, an access token has none; a ticket has exactly ours. */
static void test_type_of_any_kind(void **state)
{
    static const char *const types[] = {"{\"type\": \"\"}", "{\"type\": \"access\"}",
                                        "{\"type\": 1}", "{\"type\": null}",
                                        "{\"type\": [\"ws-connect\"]}"};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        char *token = sign_with(f, NULL, types[i]);

        assert_int_equal(verify(f, TOKEN_ACCESS, token), ERR_STATE);
        assert_int_equal(verify(f, TOKEN_TICKET, token), ERR_STATE);
        free(token);
    }
}

static void test_rotation(void **state)
{
    struct fixture *f = *state;
    char *old = sign(f, TOKEN_ACCESS), *new = NULL;
    struct keys *rotated = NULL;
    struct token_claims out;

    assert_int_equal(keys_generate(f->ours, "k2"), OK);
    assert_int_equal(keys_generate(f->ours, "k0"), OK);
    assert_int_equal(keys_load(&rotated, f->ours), OK);
    assert_int_equal(rotated->n, 3);
    assert_string_equal(rotated->signer->kid, "k2");
    assert_int_equal(token_sign(&new, rotated, &policy, TOKEN_ACCESS, &f->claims), OK);
    assert_int_equal(token_verify(&out, rotated, &policy, TOKEN_ACCESS, old, NOW_US), OK);
    assert_int_equal(token_verify(&out, rotated, &policy, TOKEN_ACCESS, new, NOW_US), OK);
    assert_int_equal(verify(f, TOKEN_ACCESS, new), ERR_AUTH); /* not loaded there yet */
    keys_free(rotated);
    remove_key(f->ours, "k1");
    assert_int_equal(keys_load(&rotated, f->ours), OK);
    assert_int_equal(token_verify(&out, rotated, &policy, TOKEN_ACCESS, old, NOW_US), ERR_AUTH);
    keys_free(rotated);
    free(old);
    free(new);
}

static void test_sign_refuses_unsound_claims(void **state)
{
    struct fixture *f = *state;
    struct token_claims c = f->claims;
    char *token = NULL;

    c.who.user_id.s[0] = 'X';
    assert_int_equal(token_sign(&token, f->keys, &policy, TOKEN_ACCESS, &c), ERR_INVALID);
    c = f->claims;
    c.expires_us = c.issued_us;
    assert_int_equal(token_sign(&token, f->keys, &policy, TOKEN_ACCESS, &c), ERR_INVALID);
    assert_null(token);
}

static void test_jwks(void **state)
{
    struct fixture *f = *state;
    cJSON *set = jwks_build(f->keys);
    const cJSON *key = cJSON_GetArrayItem(cJSON_GetObjectItem(set, "keys"), 0);
    char *text = cJSON_PrintUnformatted(set);
    uint8_t x[KEY_COORD_LEN];
    size_t n = sizeof x;

    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(set, "keys")), 1);
    assert_string_equal(cJSON_GetObjectItem(key, "kid")->valuestring, "k1");
    assert_string_equal(cJSON_GetObjectItem(key, "crv")->valuestring, "P-256");
    assert_int_equal(base64_decode(x, &n, cJSON_GetObjectItem(key, "x")->valuestring), OK);
    assert_int_equal(n, KEY_COORD_LEN);
    assert_memory_equal(x, f->keys->item[0].x, n);
    assert_null(cJSON_GetObjectItem(key, "d")); /* the private part stays here */
    free(text);
    cJSON_Delete(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_expiry_is_exact, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kinds_never_mix, setup, teardown),
        cmocka_unit_test_setup_teardown(test_expired_before_type, setup, teardown),
        cmocka_unit_test_setup_teardown(test_policy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_foreign_key, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tampered, setup, teardown),
        cmocka_unit_test_setup_teardown(test_truncated_and_extended, setup, teardown),
        cmocka_unit_test_setup_teardown(test_garbage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_headers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_algorithm_confusion, setup, teardown),
        cmocka_unit_test_setup_teardown(test_claims_are_required, setup, teardown),
        cmocka_unit_test_setup_teardown(test_claims_are_strict, setup, teardown),
        cmocka_unit_test_setup_teardown(test_type_of_any_kind, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rotation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sign_refuses_unsound_claims, setup, teardown),
        cmocka_unit_test_setup_teardown(test_jwks, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
