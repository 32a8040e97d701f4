/* Sessions that were revoked a moment ago: their access tokens are good until they run out, so this
 * set is asked until then. In memory, pure: time is an argument. Bounded: past REVOKED_MAX the
 * oldest are forgotten. */
#ifndef SOTTO_ACCOUNTS_REVOKED_H
#define SOTTO_ACCOUNTS_REVOKED_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/ids.h"

#define REVOKED_MAX 100000

struct revoked;

/* Entries live `ttl_us`: the life of an access token. NULL when out of memory. */
struct revoked *revoked_new(int64_t ttl_us);
void revoked_free(struct revoked *r);
/* Remembers a session. ERR_NOMEM. Times must not go back. */
int revoked_add(struct revoked *r, const struct id *session, int64_t now_us);
bool revoked_has(struct revoked *r, const struct id *session, int64_t now_us);

#endif
