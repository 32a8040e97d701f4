/* AEAD_AES_128_GCM and _256_GCM over OpenSSL (RFC 7714) for what the load client opens and for its
 * SRTCP: Debian's libsrtp2 takes 6 to 15 us a packet here (its AES is NSS's, which looks each key
 * up in tables that grow with the endpoints of the process), so that feedback alone would cost more
 * than all that is received. No replay window: what comes twice is for the receiver's books.
 * Checked against the server's SRTP in tests, which is checked against libsrtp2. */
#ifndef SOTTO_BENCH_CLIENT_SRTP_GCM_H
#define SOTTO_BENCH_CLIENT_SRTP_GCM_H

#include <stddef.h>
#include <stdint.h>

#include "sfu/shell/dtls.h"

#define SRTP_GCM_OVERHEAD 20 /* bytes that srtp_gcm_seal_rtcp adds */

struct srtp_gcm;

/* ERR_UNSUPPORTED (another profile), ERR_NOMEM. */
int srtp_gcm_new(struct srtp_gcm **out, const struct dtls_keys *keys);
void srtp_gcm_free(struct srtp_gcm *g);
/* Opens in place; *len becomes the shorter length. The rollover counter is guessed from what was
 * opened of the SSRC before (RFC 3711 section 3.3.1): one packet in 2^15 is enough. ERR_AUTH,
 * ERR_INVALID (no such packet), ERR_NOMEM. */
int srtp_gcm_open_rtp(struct srtp_gcm *g, uint8_t *data, size_t *len);
int srtp_gcm_open_rtcp(struct srtp_gcm *g, uint8_t *data, size_t *len);
/* In place; data has SRTP_GCM_OVERHEAD bytes of room after *len. ERR_INVALID, ERR_LIMIT (2^31
 * packets), ERR_IO (OpenSSL). */
int srtp_gcm_seal_rtcp(struct srtp_gcm *g, uint8_t *data, size_t *len);

#endif
