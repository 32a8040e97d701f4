/* What comes into one transport, and the SRTCP that goes out. RTP that comes in is
 * sfu/core/srtp_reader.h's, SRTCP sfu/core/srtcp.h's, and RTP that goes out
 * sfu/core/srtp_writer.h's. */
#ifndef SOTTO_SFU_SRTP_PEER_H
#define SOTTO_SFU_SRTP_PEER_H

#include <stddef.h>
#include <stdint.h>

#include "sfu/shell/dtls.h"

#define SRTP_PEER_OVERHEAD    32  /* bytes that srtp_peer_protect_rtcp may add */
#define SRTP_PEER_MAX_STREAMS 128 /* SSRCs that a peer may use while the transport lives */

struct srtp_peer;

/* ERR_UNSUPPORTED (profile), ERR_NOMEM. */
int srtp_peer_new(struct srtp_peer **out, const struct dtls_keys *keys);
void srtp_peer_free(struct srtp_peer *p);
/* Decrypt in place; *len becomes the shorter length. ERR_AUTH (tag), ERR_CONFLICT (replayed or
 * older than the window), ERR_LIMIT (one SSRC too many), ERR_INVALID (no such packet). */
int srtp_peer_unprotect_rtp(struct srtp_peer *p, uint8_t *data, size_t *len);
int srtp_peer_unprotect_rtcp(struct srtp_peer *p, uint8_t *data, size_t *len);
/* Encrypts in place; data must have SRTP_PEER_OVERHEAD bytes of room after *len. ERR_INVALID. */
int srtp_peer_protect_rtcp(struct srtp_peer *p, uint8_t *data, size_t *len);

/* RTCP of this peer will be opened soon: each step fetches by what the one before it has fetched.
 */
enum srtp_peer_step { SRTP_PEER_FAR, SRTP_PEER_NEAR, SRTP_PEER_KEYS };
void srtp_peer_prefetch(const struct srtp_peer *p, enum srtp_peer_step step);

#endif
