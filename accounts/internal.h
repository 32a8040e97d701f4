/* Private to accounts/: the state that the routes share. */
#ifndef SOTTO_ACCOUNTS_INTERNAL_H
#define SOTTO_ACCOUNTS_INTERNAL_H

#include "accounts/accounts.h"
#include "accounts/keys.h"
#include "accounts/password.h"
#include "accounts/revoked.h"
#include "accounts/token.h"
#include "lib/base/crypto.h"
#include "lib/base/ratelimit.h"

/* A refresh token: 32 random bytes as text; the database has its SHA-256 in hex for decode(…,
 * 'hex'). */
#define REFRESH_TOKEN_LEN 43
#define HASH_HEX_LEN      (2 * SHA256_LEN)

struct accounts {
    struct loop *loop;
    struct pg *pg;
    char issuer[TOKEN_CLAIM_MAX + 1], audience[TOKEN_CLAIM_MAX + 1];
    char *key_dir;
    struct token_policy policy; /* points to issuer and audience */
    struct keys *keys;
    struct passwords *passwords;
    struct revoked *revoked;
    struct loop_timer *sweep, *recall;
    int64_t access_ttl_us, refresh_ttl_us, ticket_ttl_us;
    int max_devices;
    struct ratelimit *registers, *logins, *login_accounts, *refreshes, *tickets, *lookups, *changes;
    accounts_session_revoked_fn on_session_revoked;
    void *on_session_revoked_arg;
};

/* Signs a token of the kind for `who`, to be freed by the caller; jti is new, times are from now.
 */
int accounts_issue(struct accounts *a, enum token_kind kind, const struct http_principal *who,
                   char **out);

/* Takes what an SQL function said of ended sessions ([{sessionId, deviceId, userId, reason}]):
 * refuses their access tokens from now on and tells the hook. */
void accounts_sessions_ended(struct accounts *a, const char *json);

/* Counts a hit; true when it is over the limit and the request was answered 429. */
bool accounts_limited(struct ratelimit *rl, struct http_request *r, const char *key);
/* The client's address as a key: an IPv6 address by its /64, since a host has all of one. */
bool accounts_limited_by_address(struct ratelimit *rl, struct http_request *r);

/* A fresh refresh token, and a token's hash as it is stored. */
void refresh_token_new(char token[REFRESH_TOKEN_LEN + 1]);
void refresh_token_hash(char hex[HASH_HEX_LEN + 1], const char *token);

/* Answers an error as http_problem_err does. Also when the process is ending: a request outlives
 * its server until it is answered. */
void accounts_problem(struct http_request *r, int err);

/* A request between its query and the answer. */
struct pending {
    struct accounts *a;
    struct http_request *r;
};
/* NULL when out of memory: the request was answered then. */
struct pending *pending_new(struct accounts *a, struct http_request *r);
/* Frees p and gives its request. */
struct http_request *pending_end(struct pending *p);
/* Runs a query with p as its argument; when it can't even be queued, answers and frees p. */
void pending_query(struct pending *p, const char *name, const char *sql, int n,
                   const char *const *params, pg_fn fn);

/* ---- the handlers of the route table ---- */
void route_register(struct http_request *r, void *arg);
void route_login(struct http_request *r, void *arg);
void route_refresh(struct http_request *r, void *arg);
void route_logout(struct http_request *r, void *arg);
void route_logout_all(struct http_request *r, void *arg);
void route_ticket(struct http_request *r, void *arg);
void route_get_me(struct http_request *r, void *arg);
void route_update_me(struct http_request *r, void *arg);
void route_get_user(struct http_request *r, void *arg);
void route_find_users(struct http_request *r, void *arg);
void route_list_devices(struct http_request *r, void *arg);
void route_revoke_device(struct http_request *r, void *arg);
void route_jwks(struct http_request *r, void *arg);

#endif
