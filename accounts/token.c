#include "accounts/token.h"

#include <errno.h>
#include <jwt.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/crypto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"

#define SECOND_US INT64_C(1000000)
/* How far ahead the issuer's clock may be (another node's). Expiry has no leeway. */
#define CLOCK_SKEW_US (60 * SECOND_US)
#define HEADER_MAX    512 /* characters of the encoded header */
#define SIGNATURE_LEN 86  /* characters: 64 bytes in base64url */
#define BASE64URL     "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

static int add_claims(jwt_t *jwt, const struct token_policy *policy, enum token_kind kind,
                      const struct token_claims *c)
{
    int bad = jwt_add_grant(jwt, "iss", policy->issuer) |
              jwt_add_grant(jwt, "aud", policy->audience) |
              jwt_add_grant(jwt, "sub", c->who.user_id.s) |
              jwt_add_grant(jwt, "did", c->who.device_id.s) |
              jwt_add_grant(jwt, "sid", c->who.session_id.s) |
              jwt_add_grant(jwt, "role", c->who.role) | jwt_add_grant(jwt, "login", c->who.login) |
              jwt_add_grant_int(jwt, "iat", (long)(c->issued_us / SECOND_US)) |
              jwt_add_grant_int(jwt, "exp", (long)(c->expires_us / SECOND_US)) |
              jwt_add_grant(jwt, "jti", c->jti.s);

    if (kind == TOKEN_TICKET) {
        bad |= jwt_add_grant(jwt, "type", TOKEN_TYPE_WS);
    }
    return bad ? ERR_NOMEM : OK;
}

static bool claims_are_sound(const struct token_policy *policy, const struct token_claims *c)
{
    return id_is_valid(c->who.user_id.s) && id_is_valid(c->who.device_id.s) &&
           id_is_valid(c->who.session_id.s) && id_is_valid(c->jti.s) && c->who.role[0] &&
           c->who.login[0] && c->expires_us > c->issued_us && c->issued_us >= 0 &&
           strlen(policy->issuer) <= TOKEN_CLAIM_MAX && strlen(policy->audience) <= TOKEN_CLAIM_MAX;
}

int token_sign(char **out, const struct keys *keys, const struct token_policy *policy,
               enum token_kind kind, const struct token_claims *claims)
{
    const struct key *key = keys->signer;
    jwt_t *jwt = NULL;
    char *text = NULL;
    int err;

    if (!claims_are_sound(policy, claims)) {
        return ERR_INVALID;
    }
    if (jwt_new(&jwt)) {
        return ERR_NOMEM;
    }
    err = add_claims(jwt, policy, kind, claims);
    if (!err && (jwt_add_header(jwt, "kid", key->kid) ||
                 jwt_set_alg(jwt, JWT_ALG_ES256, (const unsigned char *)key->private_pem,
                             (int)strlen(key->private_pem)))) {
        err = ERR_NOMEM;
    }
    if (!err && !(text = jwt_encode_str(jwt))) {
        err = ERR_NOMEM;
    }
    jwt_free(jwt);
    if (!err) {
        *out = text;
    }
    return err;
}

/* header.payload.signature in strict base64url (RFC 7515 section 3.1); *header_len is its first
 * part. libjwt would take more than this. */
static int check_form(const char *token, size_t *header_len)
{
    size_t n = strnlen(token, TOKEN_MAX + 1);
    size_t header = strspn(token, BASE64URL), payload, signature;

    if (n > TOKEN_MAX || !header || header > HEADER_MAX || token[header] != '.') {
        return ERR_AUTH;
    }
    payload = strspn(token + header + 1, BASE64URL);
    if (!payload || token[header + 1 + payload] != '.') {
        return ERR_AUTH;
    }
    signature = strspn(token + header + payload + 2, BASE64URL);
    if (signature != SIGNATURE_LEN || header + payload + 2 + signature != n) {
        return ERR_AUTH;
    }
    /* the last character carries four bits that don't count: one spelling only */
    if (!strchr("AQgw", token[n - 1])) {
        return ERR_AUTH;
    }
    *header_len = header;
    return OK;
}

/* The key that the header names; NULL for another algorithm, extensions, or a foreign key. */
static const struct key *key_of(const struct keys *keys, const char *token, size_t header_len)
{
    char text[HEADER_MAX + 1];
    uint8_t raw[HEADER_MAX];
    size_t n = sizeof raw;
    const struct key *found = NULL;
    const cJSON *alg, *kid;
    cJSON *o = NULL;

    memcpy(text, token, header_len);
    text[header_len] = 0;
    if (base64_decode(raw, &n, text) || json_parse(&o, (const char *)raw, n)) {
        return NULL;
    }
    alg = cJSON_GetObjectItemCaseSensitive(o, "alg");
    kid = cJSON_GetObjectItemCaseSensitive(o, "kid");
    if (cJSON_IsString(alg) && strcmp(alg->valuestring, "ES256") == 0 && cJSON_IsString(kid) &&
        !cJSON_GetObjectItemCaseSensitive(o, "crit")) {
        found = keys_find(keys, kid->valuestring);
    }
    cJSON_Delete(o);
    return found;
}

static bool grant_is(jwt_t *jwt, const char *name, const char *value)
{
    const char *got = jwt_get_grant(jwt, name);

    return got && strcmp(got, value) == 0;
}

static int grant_text(char *dst, size_t cap, jwt_t *jwt, const char *name)
{
    const char *got = jwt_get_grant(jwt, name);

    return got && got[0] && str_copy(dst, cap, got) == OK ? OK : ERR_AUTH;
}

static int grant_id(struct id *dst, jwt_t *jwt, const char *name)
{
    const char *got = jwt_get_grant(jwt, name);

    return got && id_parse(dst, got) == OK ? OK : ERR_AUTH;
}

static int grant_time(int64_t *dst, jwt_t *jwt, const char *name)
{
    int64_t seconds;

    errno = 0;
    seconds = jwt_get_grant_int(jwt, name);
    /* libjwt reads a claim that is no integer as 0, without an error */
    if (errno || seconds <= 0 || seconds > INT64_MAX / SECOND_US) {
        return ERR_AUTH;
    }
    *dst = seconds * SECOND_US;
    return OK;
}

static int read_claims(struct token_claims *c, jwt_t *jwt)
{
    bool bad = grant_id(&c->who.user_id, jwt, "sub") || grant_id(&c->who.device_id, jwt, "did") ||
               grant_id(&c->who.session_id, jwt, "sid") || grant_id(&c->jti, jwt, "jti") ||
               grant_text(c->who.role, sizeof c->who.role, jwt, "role") ||
               grant_text(c->who.login, sizeof c->who.login, jwt, "login") ||
               grant_time(&c->issued_us, jwt, "iat") || grant_time(&c->expires_us, jwt, "exp");

    return bad ? ERR_AUTH : OK;
}

static bool kind_matches(jwt_t *jwt, enum token_kind kind)
{
    char *type;
    bool present;

    if (kind == TOKEN_TICKET) {
        return grant_is(jwt, "type", TOKEN_TYPE_WS);
    }
    /* jwt_get_grant sees strings only: a `type` of any other JSON type is a type too */
    type = jwt_get_grants_json(jwt, "type");
    present = type != NULL;
    free(type);
    return !present;
}

int token_verify(struct token_claims *out, const struct keys *keys,
                 const struct token_policy *policy, enum token_kind kind, const char *token,
                 int64_t now_us)
{
    struct token_claims c = {0};
    const struct key *key;
    size_t header_len = 0;
    jwt_t *jwt = NULL;
    int err = check_form(token, &header_len);

    key = err ? NULL : key_of(keys, token, header_len);
    if (!key || jwt_decode(&jwt, token, (const unsigned char *)key->public_pem,
                           (int)strlen(key->public_pem))) {
        return ERR_AUTH;
    }
    if (jwt_get_alg(jwt) != JWT_ALG_ES256 || !grant_is(jwt, "iss", policy->issuer) ||
        !grant_is(jwt, "aud", policy->audience) || read_claims(&c, jwt) || now_us >= c.expires_us ||
        c.issued_us > now_us + CLOCK_SKEW_US) {
        err = ERR_AUTH;
    } else if (!kind_matches(jwt, kind)) {
        err = ERR_STATE;
    } else {
        *out = c;
    }
    jwt_free(jwt);
    return err;
}
