/* Our JSON Web Tokens (RFC 7519), ES256 (RFC 7518 section 3.4) by libjwt. Pure: keys and time are
 * arguments.
 *
 * Two kinds that never stand for each other: access tokens have no claim `type`; tickets for one
 * WebSocket connect have `type: "ws-connect"`. Claims of both: iss aud sub (user) did (device)
 * sid (session) role login iat exp jti. Only ES256 with a `kid` of ours is ever verified, whatever
 * the token's header asks for (RFC 8725 sections 3.1 and 3.11). */
#ifndef SOTTO_ACCOUNTS_TOKEN_H
#define SOTTO_ACCOUNTS_TOKEN_H

#include <stdint.h>

#include "accounts/keys.h"
#include "lib/base/ids.h"
#include "lib/io/http.h"

#define TOKEN_MAX       2048 /* characters; longer ones are refused unread */
#define TOKEN_TYPE_WS   "ws-connect"
#define TOKEN_CLAIM_MAX 128 /* characters of issuer and audience */

enum token_kind { TOKEN_ACCESS, TOKEN_TICKET };

/* Who issues and for whom; borrowed. */
struct token_policy {
    const char *issuer, *audience;
};

struct token_claims {
    struct http_principal who;
    struct id jti;
    int64_t issued_us, expires_us; /* wall clock; whole seconds on the wire */
};

/* A signed token as text, to be freed with free(). ERR_INVALID for claims that wouldn't verify,
 * ERR_NOMEM. */
int token_sign(char **out, const struct keys *keys, const struct token_policy *policy,
               enum token_kind kind, const struct token_claims *claims);

/* Checks form, algorithm, signature, issuer, audience and time, in this order, then the kind. OK
 * fills out; ERR_AUTH when it isn't ours, isn't whole, or has run out; ERR_STATE when it is a valid
 * token of another kind. */
int token_verify(struct token_claims *out, const struct keys *keys,
                 const struct token_policy *policy, enum token_kind kind, const char *token,
                 int64_t now_us);

#endif
