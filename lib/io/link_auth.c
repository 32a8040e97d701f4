/* The control link's handshake and framing: see link_auth.h. */
#include "lib/io/link_auth.h"

#include <string.h>

#include "lib/base/err.h"

void link_auth_init(struct link_auth *a, enum link_role role, const uint8_t nonce[LINK_NONCE_LEN])
{
    memset(a, 0, sizeof(*a));
    a->role = role;
    memcpy(a->mine, nonce, LINK_NONCE_LEN);
}

/* What `role` has to show. Its name is part of it, so that a proof can't be sent back as an answer.
 */
static void proof_of(const struct link_auth *a, enum link_role role, const char *secret,
                     uint8_t out[SHA256_LEN])
{
    static const char names[2][17] = {"sotto-link-client", "sotto-link-server"};
    uint8_t text[sizeof(names[0]) + 2 * LINK_NONCE_LEN];
    const uint8_t *client = a->role == LINK_CLIENT ? a->mine : a->theirs;
    const uint8_t *server = a->role == LINK_CLIENT ? a->theirs : a->mine;
    memcpy(text, names[role], sizeof(names[0]));
    memcpy(text + sizeof(names[0]), client, LINK_NONCE_LEN);
    memcpy(text + sizeof(names[0]) + LINK_NONCE_LEN, server, LINK_NONCE_LEN);
    hmac_sha256(out, secret, strlen(secret), text, sizeof(text));
}

int link_auth_nonce(struct link_auth *a, struct buf *rx, const char *secret,
                    uint8_t proof[SHA256_LEN])
{
    if (rx->len < LINK_NONCE_LEN)
        return ERR_AGAIN;
    if (memcmp(rx->data, a->mine, LINK_NONCE_LEN) == 0)
        return ERR_AUTH;
    memcpy(a->theirs, rx->data, LINK_NONCE_LEN);
    buf_consume(rx, LINK_NONCE_LEN);
    a->have_nonce = true;
    proof_of(a, a->role, secret, proof);
    return OK;
}

int link_auth_proof(struct link_auth *a, struct buf *rx, const char *secret)
{
    uint8_t expected[SHA256_LEN];
    if (rx->len < SHA256_LEN)
        return ERR_AGAIN;
    proof_of(a, a->role == LINK_CLIENT ? LINK_SERVER : LINK_CLIENT, secret, expected);
    if (!equal_constant_time(expected, rx->data, SHA256_LEN))
        return ERR_AUTH;
    buf_consume(rx, SHA256_LEN);
    a->proven = true;
    return OK;
}

int link_next_frame(const struct buf *rx, size_t *pos, const uint8_t **data, size_t *len)
{
    if (rx->len - *pos < LINK_LENGTH)
        return ERR_AGAIN;
    const uint8_t *p = rx->data + *pos;
    size_t n = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    if (n > LINK_MAX_FRAME)
        return ERR_TOO_LARGE;
    if (rx->len - *pos - LINK_LENGTH < n)
        return ERR_AGAIN;
    *data = p + LINK_LENGTH;
    *len = n;
    *pos += LINK_LENGTH + n;
    return OK;
}

void link_length_write(uint8_t out[LINK_LENGTH], size_t len)
{
    out[0] = (uint8_t)(len >> 24);
    out[1] = (uint8_t)(len >> 16);
    out[2] = (uint8_t)(len >> 8);
    out[3] = (uint8_t)len;
}
