/* Incoming SRTP over OpenSSL EVP, opened in place (RFC 3711, RFC 7714). One reader a transport, for
 * all SSRCs of its peer. No MKI, no encrypted header extensions. Its verdicts and what it gives are
 * checked against libsrtp2's in tests. Not for use by several threads. */
#ifndef SOTTO_SFU_CORE_SRTP_READER_H
#define SOTTO_SFU_CORE_SRTP_READER_H

#include <stddef.h>
#include <stdint.h>

#include "sfu/core/srtp_writer.h"

#define SRTP_READER_WINDOW      1024 /* packets of an SSRC that replay is known of */
#define SRTP_READER_MAX_STREAMS 128  /* SSRCs of the peer's: none is given up for another */

struct srtp_reader;

/* Master key and salt as the profile wants them; copied. ERR_UNSUPPORTED (profile), ERR_NOMEM,
 * ERR_IO (OpenSSL). The keys are wiped when freed. */
int srtp_reader_new(struct srtp_reader **out, enum srtp_profile profile, const uint8_t *master_key,
                    const uint8_t *master_salt);
void srtp_reader_free(struct srtp_reader *r);

/* Proves and decrypts a whole packet in place; *len becomes the shorter length. ERR_INVALID (no
 * such packet: its header, or no room for a tag), ERR_CONFLICT (replayed, or older than
 * the window), ERR_AUTH (tag), ERR_LIMIT (one SSRC too many, or 2^48 packets), ERR_NOMEM, ERR_IO
 * (OpenSSL). Only what proved authentic changes what is known of an SSRC, or makes one known. What
 * failed keeps its length, but not its payload. */
int srtp_reader_open(struct srtp_reader *r, uint8_t *packet, size_t *len);

#endif
