/* The control link's handshake and framing, pure: bytes in, frames out (see link.h).
 *   both → 32-byte nonce
 *   both → HMAC-SHA256(secret, "sotto-link-client" or "sotto-link-server", client nonce, server
 * nonce) then frames: 4 bytes of length (big endian), that many bytes; length 0 is a ping. */
#ifndef SOTTO_IO_LINK_AUTH_H
#define SOTTO_IO_LINK_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/crypto.h"

#define LINK_NONCE_LEN 32
#define LINK_MAX_FRAME (1024 * 1024)
#define LINK_LENGTH    4

enum link_role { LINK_CLIENT, LINK_SERVER };

struct link_auth {
    enum link_role role;
    uint8_t mine[LINK_NONCE_LEN], theirs[LINK_NONCE_LEN];
    bool have_nonce, proven;
};

/* `nonce` is fresh random of the caller. */
void link_auth_init(struct link_auth *a, enum link_role role, const uint8_t nonce[LINK_NONCE_LEN]);
/* Takes the peer's nonce from the front of rx and writes our proof. ERR_AGAIN while it is not
 * whole; ERR_AUTH for our own nonce come back (reflection). */
int link_auth_nonce(struct link_auth *a, struct buf *rx, const char *secret,
                    uint8_t proof[SHA256_LEN]);
/* Takes the peer's proof and compares it in constant time. ERR_AGAIN, ERR_AUTH. */
int link_auth_proof(struct link_auth *a, struct buf *rx, const char *secret);

/* The next whole frame in rx from *pos on; borrowed from rx, *pos is moved past it. ERR_AGAIN while
 * it is not whole, ERR_TOO_LARGE past LINK_MAX_FRAME. */
int link_next_frame(const struct buf *rx, size_t *pos, const uint8_t **data, size_t *len);
void link_length_write(uint8_t out[LINK_LENGTH], size_t len);

#endif
