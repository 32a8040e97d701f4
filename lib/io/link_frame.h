/* The pure parts of the control link: its frames and its handshake proofs. */
#ifndef SOTTO_IO_LINK_FRAME_H
#define SOTTO_IO_LINK_FRAME_H

#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/crypto.h"

enum {
    LINK_NONCE = 32,
    LINK_MAX_FRAME = 1024 * 1024,
    LINK_MAX_QUEUED = 8 * 1024 * 1024,
};

/* Looks for a whole frame at the start of b: OK with *data (borrowed, behind the 4-byte length) and
 * *len; drop it with buf_consume(b, 4 + *len). ERR_AGAIN when more bytes are needed; ERR_TOO_LARGE
 * when the length that was told passes LINK_MAX_FRAME: the stream is then worthless. */
int link_frame_next(const struct buf *b, const uint8_t **data, size_t *len);

/* HMAC-SHA256(secret, role || client's nonce || server's nonce); role is "client" or "server", so
 * that neither side can be made to answer with the other's proof. */
void link_proof(uint8_t out[SHA256_LEN], const char *secret, const char *role,
                const uint8_t client_nonce[LINK_NONCE], const uint8_t server_nonce[LINK_NONCE]);

#endif
