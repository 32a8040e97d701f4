/* DTLS 1.2 for SRTP keying (RFC 5764) over OpenSSL with a datagram BIO of our own. One
 * `struct dtls` is one association; it does no I/O, keeps no clock of ours and calls nothing but
 * the send function it was given. The caller must not make one for an address that has not passed
 * an ICE check. */
#ifndef SOTTO_SFU_DTLS_H
#define SOTTO_SFU_DTLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DTLS_FINGERPRINT_LEN 32 /* SHA-256 */
#define DTLS_LINK_MTU        1200

struct dtls_context; /* our certificate, for the life of the process */
struct dtls;

enum dtls_state {
    DTLS_HANDSHAKE,  /* under way, or waiting for the first flight */
    DTLS_UNVERIFIED, /* done, but the peer's fingerprint isn't known yet: no keys */
    DTLS_READY,      /* done and the certificate is the one that the SDP promised */
    DTLS_FAILED,     /* handshake error or another fingerprint */
    DTLS_CLOSED,     /* the peer said close_notify */
};

/* SRTP protection profiles by their IANA numbers (RFC 5764 section 4.1.2, RFC 7714 section 14.2).
 */
enum dtls_srtp_profile {
    DTLS_AES128_CM_SHA1_80 = 0x0001,
    DTLS_AEAD_AES_128_GCM = 0x0007,
    DTLS_AEAD_AES_256_GCM = 0x0008,
};

/* Master keys and salts of both directions; local is what we send with. */
struct dtls_keys {
    enum dtls_srtp_profile profile;
    size_t key_len, salt_len;
    uint8_t local_key[32], local_salt[14];
    uint8_t remote_key[32], remote_salt[14];
};

/* One datagram to the peer; bytes are borrowed for the call. */
typedef void (*dtls_send_fn)(void *arg, const uint8_t *data, size_t len);

/* Makes an ECDSA P-256 key and a self-signed certificate. Profiles are chosen in the order
 * AEAD_AES_128_GCM, AEAD_AES_256_GCM, AES128_CM_SHA1_80. ERR_NOMEM. */
int dtls_context_new(struct dtls_context **out);
void dtls_context_free(struct dtls_context *c);
/* Only this profile from here on, for new associations (a load client that measures one suite).
 * ERR_UNSUPPORTED. */
int dtls_context_only(struct dtls_context *c, enum dtls_srtp_profile profile);
/* New associations retransmit after 50 ms first, as Chromium's do, instead of after 1 s (RFC 6347
 * section 4.2.4.1): for clients that stand for browsers. */
void dtls_context_hurry(struct dtls_context *c);
/* SHA-256 of the certificate, DTLS_FINGERPRINT_LEN bytes. */
const uint8_t *dtls_context_fingerprint(const struct dtls_context *c);

/* ERR_NOMEM. `client`: we start the handshake (at once); else we wait for the peer. */
int dtls_new(struct dtls **out, struct dtls_context *c, bool client, dtls_send_fn send, void *arg);
void dtls_free(struct dtls *d);
/* What the SDP says the peer's certificate hashes to (SHA-256). May come before, during or after
 * the handshake; DTLS_READY is reached only with it. */
void dtls_set_fingerprint(struct dtls *d, const uint8_t fingerprint[DTLS_FINGERPRINT_LEN]);
/* One datagram from the peer. */
void dtls_input(struct dtls *d, const uint8_t *data, size_t len);
enum dtls_state dtls_state(const struct dtls *d);
bool dtls_is_client(const struct dtls *d);
/* Microseconds until dtls_timeout wants to be called, or -1. */
int64_t dtls_timeout_us(struct dtls *d);
/* Retransmits the last flight if its time has come. */
void dtls_timeout(struct dtls *d);
/* The keys of a DTLS_READY association. ERR_STATE; ERR_UNSUPPORTED when no profile was agreed. */
int dtls_export_keys(struct dtls *d, struct dtls_keys *out);
/* The keys are taken: lets go of all that only the handshake needed, which is nearly all (see
 * dtls_after.h). Retransmitted flights are answered and alerts understood as before. Does nothing
 * before DTLS_READY; once settled, there are no keys to be exported any more. */
void dtls_settle(struct dtls *d);
/* Says close_notify, if there is somebody to say it to. */
void dtls_close(struct dtls *d);

#endif
