/* ICE connectivity checks for an ICE-lite end (RFC 8445 section 7, RFC 8489), over libnice's STUN
 * library. Stateless: who the password belongs to is the caller's to find by ice_check_username. */
#ifndef SOTTO_PROTO_STUN_H
#define SOTTO_PROTO_STUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define STUN_HEADER_LEN    20
#define STUN_MAX_MESSAGE   1280 /* larger ones are refused */
#define STUN_MAX_RESPONSE  128  /* enough for any answer that ice_check_… builds */
#define ICE_MAX_CREDENTIAL 256

/* The class of a message's header (RFC 8489 section 5). */
bool stun_is_request(const uint8_t *data, size_t len);

/* Reads USERNAME = "local-ufrag:remote-ufrag" of a binding request *without verifying anything*, to
 * find the transport it is meant for. Both parts are 0-ended; each cap is ICE_MAX_CREDENTIAL + 1.
 * ERR_INVALID, ERR_TRUNCATED, ERR_NOT_FOUND (no username), ERR_UNSUPPORTED (not a binding request).
 */
int ice_check_username(char *local_ufrag, char *remote_ufrag, const uint8_t *data, size_t len);

struct ice_check {
    char remote_ufrag[ICE_MAX_CREDENTIAL + 1];
    uint32_t priority;
    bool use_candidate;
    bool controlling;     /* ICE-CONTROLLING was there; else ICE-CONTROLLED or nothing */
    uint64_t tie_breaker; /* 0 when neither was */
};

/* Verifies MESSAGE-INTEGRITY with our password (short-term credentials), FINGERPRINT (a check must
 * have one, RFC 8445 section 7.1), and that the username begins with our ufrag. Only OK may be
 * answered at length: ERR_AUTH (wrong integrity or user: drop, answer nothing), ERR_INVALID and
 * ERR_TRUNCATED (no STUN, broken or no fingerprint, no integrity or username: drop),
 * ERR_UNSUPPORTED (verified, but an unknown comprehension-required attribute: answer
 * ice_check_error 420). */
int ice_check_verify(struct ice_check *out, const uint8_t *data, size_t len,
                     const char *local_ufrag, const char *local_pwd);

/* The success response to a verified request: XOR-MAPPED-ADDRESS of `from`, MESSAGE-INTEGRITY,
 * FINGERPRINT. Returns the bytes written to out (at most STUN_MAX_RESPONSE) or ERR_INVALID,
 * ERR_TOO_LARGE. */
int ice_check_success(uint8_t *out, size_t cap, const uint8_t *request, size_t len,
                      const char *local_pwd, const struct sockaddr *from, socklen_t from_len);
/* An error response (400, 420, 487, …) to a verified request, with integrity and fingerprint. */
int ice_check_error(uint8_t *out, size_t cap, const uint8_t *request, size_t len,
                    const char *local_pwd, int code);

/* Client side, for tests and probes: a binding request from the controlling end. username is
 * "peer-ufrag:own-ufrag", pwd the peer's. transaction is 12 bytes that come back in the answer. */
int ice_check_build(uint8_t *out, size_t cap, const uint8_t transaction[12], const char *username,
                    const char *pwd, uint32_t priority, bool use_candidate, uint64_t tie_breaker);
/* The same in either role (RFC 8445 section 7.1.3): only the controlling end nominates. */
int ice_check_build_as(bool controlling, uint8_t *out, size_t cap, const uint8_t transaction[12],
                       const char *username, const char *pwd, uint32_t priority, bool use_candidate,
                       uint64_t tie_breaker);
/* Reads the answer to it: OK and the mapped address, ERR_AUTH (integrity), ERR_INVALID (not an
 * answer to this transaction), ERR_STATE with *code set (an error response, integrity verified
 * where present). mapped_len is in: capacity, out: length. */
int ice_check_read_response(struct sockaddr_storage *mapped, socklen_t *mapped_len, int *code,
                            const uint8_t *data, size_t len, const uint8_t transaction[12],
                            const char *pwd);

#endif
