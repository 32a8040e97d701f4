#include "lib/io/link_frame.h"

#include <string.h>

#include "lib/base/err.h"

int link_frame_next(const struct buf *b, const uint8_t **data, size_t *len)
{
    struct cursor c;
    cursor_init(&c, b->data, b->len);
    uint32_t told = cursor_u32(&c);
    if (c.bad)
        return ERR_AGAIN;
    if (told > LINK_MAX_FRAME)
        return ERR_TOO_LARGE;
    const uint8_t *p = cursor_bytes(&c, told);
    if (c.bad)
        return ERR_AGAIN;
    *data = p;
    *len = told;
    return OK;
}

void link_proof(uint8_t out[SHA256_LEN], const char *secret, const char *role,
                const uint8_t client_nonce[LINK_NONCE], const uint8_t server_nonce[LINK_NONCE])
{
    uint8_t text[16 + 2 * LINK_NONCE];
    size_t n = strnlen(role, 16);
    memcpy(text, role, n);
    memcpy(text + n, client_nonce, LINK_NONCE);
    memcpy(text + n + LINK_NONCE, server_nonce, LINK_NONCE);
    hmac_sha256(out, secret, strlen(secret), text, n + 2 * LINK_NONCE);
}
