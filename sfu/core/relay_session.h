/* A relay link over UDP between two nodes: who may speak, and what is said, encrypted. Both know
 * one secret. Each tells a nonce in hellos that the secret authenticates; who is told his own nonce
 * back knows that the other one is there now, and both derive the keys of this session (HKDF, RFC
 * 5869) from the secret and both nonces. A nonce is good for one session, so that no old hello
 * brings old keys back. Frames then pass as AEAD_AES_128_GCM (RFC 5116) with a number a datagram,
 * which is taken once (a window of 1024). An answer is never longer than what it answers. Pure:
 * datagrams and time are arguments, randomness is a seed. */
#ifndef SOTTO_SFU_CORE_RELAY_SESSION_H
#define SOTTO_SFU_CORE_RELAY_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RELAY_SESSION_SEED      32
#define RELAY_SESSION_SECRET    16      /* bytes that a secret has at least */
#define RELAY_SESSION_HELLO     101     /* bytes of a hello */
#define RELAY_SESSION_OVERHEAD  28      /* bytes that a frame grows by */
#define RELAY_SESSION_HELLO_US  500000  /* between two hellos while there is no session */
#define RELAY_SESSION_SILENT_US 5000000 /* without a datagram for so long, the session is over */

struct relay_session;

/* seed: random, another for each. ERR_INVALID (secret too short), ERR_NOMEM. */
int relay_session_new(struct relay_session **out, const void *secret, size_t secret_len,
                      const uint8_t seed[RELAY_SESSION_SEED]);
void relay_session_free(struct relay_session *s); /* NULL is fine */
bool relay_session_is_up(const struct relay_session *s);

enum relay_session_result {
    RELAY_SESSION_NOTHING, /* for the session itself */
    RELAY_SESSION_FRAME,   /* *len bytes of a frame are at out */
    RELAY_SESSION_UP,      /* a new session began: what the former one brought is void */
};
/* One datagram. Puts an answer of RELAY_SESSION_HELLO bytes into answer when *answers is set true,
 * to be sent back where it came from. out has place for len bytes. ERR_INVALID, ERR_TRUNCATED,
 * ERR_AUTH, ERR_CONFLICT (a replay), ERR_STATE (no session): to be counted and dropped. */
int relay_session_input(struct relay_session *s, const uint8_t *data, size_t len, int64_t now_us,
                        uint8_t *out, size_t *out_len, uint8_t answer[RELAY_SESSION_HELLO],
                        bool *answers);
/* Encrypts a frame; returns its bytes at out, RELAY_SESSION_OVERHEAD more. ERR_STATE (no session),
 * ERR_TOO_LARGE. */
int relay_session_seal(struct relay_session *s, const uint8_t *frame, size_t len, uint8_t *out,
                       size_t cap);
/* Call often. True when a hello is due: it is at out then. Ends a session that fell silent; ask
 * relay_session_is_up. */
bool relay_session_tick(struct relay_session *s, int64_t now_us, uint8_t out[RELAY_SESSION_HELLO]);

#endif
