/* Passwords: bcrypt on the thread pool, a bounded number at a time, and as long for an unknown
 * account as for a known one. */
#ifndef SOTTO_ACCOUNTS_PASSWORD_H
#define SOTTO_ACCOUNTS_PASSWORD_H

#include <stdbool.h>

#include "lib/io/loop.h"

#define PASSWORD_MIN 8  /* characters (NIST SP 800-63B section 5.1.1) */
#define PASSWORD_MAX 72 /* bytes: what bcrypt regards */

struct passwords;

/* err: OK, ERR_INVALID, ERR_NOMEM, ERR_CLOSED. hash: valid inside the callback, NULL on failure. */
typedef void (*password_hashed_fn)(void *arg, int err, const char *hash);
/* err: OK when the password is right, else ERR_AUTH; ERR_CLOSED. */
typedef void (*password_verified_fn)(void *arg, int err);

/* Makes the pool's state; hashes once, so it takes as long as one login. At most max_jobs are under
 * way. NULL when out of memory or the cost is out of bounds. */
struct passwords *passwords_new(struct loop *l, int cost, int max_jobs);
/* Jobs that are under way end with ERR_CLOSED, as the loop runs or is freed. NULL is fine. */
void passwords_free(struct passwords *p);
/* No further job would be taken now: the moment to refuse early. */
bool passwords_busy(const struct passwords *p);

/* Hashes a copy of the password, wiped after. ERR_LIMIT when busy, ERR_NOMEM: then fn isn't called;
 * else it is, later, on the loop. */
int password_hash(struct passwords *p, const char *password, password_hashed_fn fn, void *arg);
/* Verifies; hash NULL stands for an account that doesn't exist: takes the time all the same and
 * ends in ERR_AUTH. Errors as password_hash. */
int password_verify(struct passwords *p, const char *password, const char *hash,
                    password_verified_fn fn, void *arg);

#endif
