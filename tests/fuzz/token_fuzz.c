/* Token verification: whatever comes, only what our key signed is OK. The input is a token as text;
 * with a first byte of 1 its payload is signed by our key first, so that the claims are reached. */
#include <jwt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "accounts/token.h"
#include "lib/base/err.h"

#define NOW_US INT64_C(1795262165000000)

static struct keys *keys;

static void make_keys(void)
{
    char dir[] = "/var/tmp/sotto-fuzz-XXXXXX", path[64];

    if (!mkdtemp(dir) || keys_generate(dir, "k1") || keys_load(&keys, dir)) {
        abort();
    }
    snprintf(path, sizeof path, "%s/k1.pem", dir);
    unlink(path);
    rmdir(dir);
}

/* A token of ours with the input as its claims, or NULL when libjwt won't have them. */
static char *sign_claims(const char *json)
{
    const char *pem = keys->signer->private_pem;
    char *token = NULL;
    jwt_t *jwt = NULL;

    if (jwt_new(&jwt)) {
        return NULL;
    }
    if (!jwt_add_grants_json(jwt, json) && !jwt_add_header(jwt, "kid", "k1") &&
        !jwt_set_alg(jwt, JWT_ALG_ES256, (const unsigned char *)pem, (int)strlen(pem))) {
        token = jwt_encode_str(jwt);
    }
    jwt_free(jwt);
    return token;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct token_policy policy = {.issuer = "sotto", .audience = "app"};
    struct token_claims out;
    char *text;
    int err;

    if (!keys) {
        make_keys();
    }
    text = calloc(1, size + 1);
    if (!text) {
        return 0;
    }
    memcpy(text, data, size);
    if (size && text[0] == 1) {
        char *token = sign_claims(text + 1);

        if (token && token_verify(&out, keys, &policy, TOKEN_ACCESS, token, NOW_US) == OK &&
            (!id_is_valid(out.who.user_id.s) || !id_is_valid(out.jti.s) ||
             out.expires_us <= NOW_US || !out.who.login[0])) {
            abort(); /* verified, yet unsound */
        }
        free(token);
    }
    err = token_verify(&out, keys, &policy, TOKEN_TICKET, text, NOW_US);
    if (err == OK) {
        abort(); /* nobody signs by chance */
    }
    free(text);
    return 0;
}
