/* The public keys as a JSON Web Key Set (RFC 7517, EC parameters of RFC 7518 section 6.2). */
#ifndef SOTTO_ACCOUNTS_JWKS_H
#define SOTTO_ACCOUNTS_JWKS_H

#include <cjson/cJSON.h>

#include "accounts/keys.h"

/* `{"keys": [{kty, crv, x, y, kid, use, alg}]}`; the caller owns it. Never NULL. */
cJSON *jwks_build(const struct keys *k);

#endif
