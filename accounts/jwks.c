#include "accounts/jwks.h"

#include "lib/base/crypto.h"
#include "lib/base/json.h"

#define COORD_TEXT 43 /* base64url of 32 bytes */

static cJSON *jwk(const struct key *k)
{
    cJSON *o = json_new();
    char text[COORD_TEXT + 1];

    json_put_str(o, "kty", "EC");
    json_put_str(o, "crv", "P-256");
    base64url_encode(text, k->x, sizeof k->x);
    json_put_str(o, "x", text);
    base64url_encode(text, k->y, sizeof k->y);
    json_put_str(o, "y", text);
    json_put_str(o, "kid", k->kid);
    json_put_str(o, "use", "sig");
    json_put_str(o, "alg", "ES256");
    return o;
}

cJSON *jwks_build(const struct keys *k)
{
    cJSON *set = json_new();
    cJSON *list = cJSON_AddArrayToObject(set, "keys");

    for (size_t i = 0; i < k->n; i++) {
        cJSON_AddItemToArray(list, jwk(&k->item[i]));
    }
    return set;
}
