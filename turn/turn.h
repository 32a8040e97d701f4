/* ICE server lists with credentials that expire, after draft-uberti-behave-turn-rest-00 as coturn's
 * `use-auth-secret` checks it: username = "expiry:pseudonym", credential =
 * base64(HMAC-SHA1(secret, username)). The pseudonym is a truncated HMAC-SHA256 over user, call and
 * device, so that coturn's logs and quotas see a stable name for one call and device, and nobody
 * who reads them sees a user id. */
#ifndef SOTTO_TURN_TURN_H
#define SOTTO_TURN_TURN_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/config.h"
#include "lib/base/json.h"
#include "lib/io/http.h"

#define TURN_USERNAME_LEN   64 /* with the 0: "4294967295:" and 22 characters at most */
#define TURN_CREDENTIAL_LEN 32 /* base64 of 20 bytes and the 0 */

struct turn;

/* From [turn] of the config: reads the secret, copies urls. On failure `why` says the reason in one
 * line. ERR_INVALID, ERR_NOT_FOUND, ERR_FORBIDDEN, ERR_NOMEM. */
int turn_new(struct turn **out, const struct config *c, char *why, size_t why_cap);
void turn_free(struct turn *t);

/* Pure. Writes username and credential for these ids, good until expiry_s (seconds since 1970).
 * call_id may be NULL (credentials for no call in particular). */
void turn_credentials(const char *secret, const char *user_id, const char *call_id,
                      const char *device_id, int64_t expiry_s, char username[TURN_USERNAME_LEN],
                      char credential[TURN_CREDENTIAL_LEN]);

/* `[{urls: [stun…]}, {urls: [turn…], username, credential}]` as RTCPeerConnection takes it; now_us
 * is wall-clock time. To be freed or handed on by the caller; never NULL. */
cJSON *turn_ice_servers(const struct turn *t, const char *user_id, const char *call_id,
                        const char *device_id, int64_t now_us);
/* How long credentials of turn_ice_servers are good, microseconds: renew at half of it. */
int64_t turn_ttl_us(const struct turn *t);

/* GET /v1/ice-servers → {iceServers, ttlSeconds, expiresAt}. */
void turn_add_routes(struct turn *t, struct http_server *s);

#endif
