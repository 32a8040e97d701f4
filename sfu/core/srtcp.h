/* SRTCP over OpenSSL, both ways (RFC 7714 sections 9 to 11, RFC 3711 sections 3.3.2 and 3.4):
 * libsrtp2 as Debian builds it looks its AES keys up in tables that grow with the
 * process' transports. One a transport; checked against libsrtp2 in tests. Not for use by several
 * threads. */
#ifndef SOTTO_SFU_CORE_SRTCP_H
#define SOTTO_SFU_CORE_SRTCP_H

#include <stddef.h>
#include <stdint.h>

#include "sfu/core/srtp_writer.h"

#define SRTCP_OVERHEAD    20  /* bytes that srtcp_protect adds at most: tag, E flag and index */
#define SRTCP_MAX_SENDERS 128 /* SSRCs of the peer's that replay is known of */

struct srtcp;

/* Master keys and salts as the profile wants them. ERR_UNSUPPORTED (profile),
 * ERR_NOMEM, ERR_IO (OpenSSL). */
int srtcp_new(struct srtcp **out, enum srtp_profile profile, const uint8_t *local_key,
              const uint8_t *local_salt, const uint8_t *remote_key, const uint8_t *remote_salt);
void srtcp_free(struct srtcp *s);

/* Encrypts a compound in place; SRTCP_OVERHEAD bytes of room behind *len. One index counts for all
 * of our SSRCs. ERR_INVALID (shorter than a header), ERR_LIMIT (2^31 packets), ERR_IO (OpenSSL). */
int srtcp_protect(struct srtcp *s, uint8_t *data, size_t *len);
/* Proves and decrypts in place; *len becomes the shorter length. ERR_AUTH, ERR_CONFLICT (replayed,
 * or older than 64 packets), ERR_LIMIT (one SSRC too many), ERR_INVALID (no such packet). */
int srtcp_unprotect(struct srtcp *s, uint8_t *data, size_t *len);

/* Something will be opened soon: fetches what that takes into the cache. First far (s itself must
 * not be touched yet), then near (what it points to). */
void srtcp_prefetch_far(const struct srtcp *s);
void srtcp_prefetch_near(const struct srtcp *s);

#endif
