/* Accounts: who may come in. Registration, login, tokens and their rotation, devices, tickets for
 * WebSockets, profiles. What must be atomic is one SQL function each (schema/010 … 012); here are
 * the routes, the tokens, and the limits.
 *
 * A part of `signald`: main.c makes one, adds `accounts_routes` to the HTTP server with it as the
 * argument, gives `accounts_authenticate` to the server, and listens to `on_session_revoked`. */
#ifndef SOTTO_ACCOUNTS_ACCOUNTS_H
#define SOTTO_ACCOUNTS_ACCOUNTS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/config.h"
#include "lib/io/http.h"
#include "lib/io/loop.h"
#include "lib/io/pg.h"

struct accounts;

/* A session has ended for good: its sockets are to be sent `session_revoked` and closed with 4001.
 * Only sockets whose principal has this session_id: the device may be signed in anew already.
 * reason: "logout", "logout_all", "device_revoked", "device_limit", "replaced", "token_reused",
 * "expired". Called on the loop, possibly several times in a row, after the database committed. */
typedef void (*accounts_session_revoked_fn)(void *arg, const struct id *user_id,
                                            const struct id *device_id, const struct id *session_id,
                                            const char *reason);

struct accounts_options {
    struct loop *loop;
    struct pg *pg;
    const char *issuer, *audience; /* claims `iss` and `aud`; copied */
    const char *key_dir;           /* folder of <kid>.pem; copied. See accounts/keys.h */
    int64_t access_ttl_us, refresh_ttl_us, ticket_ttl_us;
    int bcrypt_cost; /* 4..16 */
    int max_hashing; /* bcrypt jobs queued or running; past it 503 `overloaded` */
    int max_devices; /* signed in a user; the least recently used make room */
    /* Sliding windows; 0 = unlimited. */
    int64_t register_per_hour;        /* an address */
    int64_t login_per_minute;         /* an address */
    int64_t login_account_per_minute; /* tries at one e-mail or username, whoever tries */
    int64_t refresh_per_minute;       /* an address */
    int64_t ticket_per_minute;        /* a user */
    int64_t lookup_per_minute;        /* GET /v1/users…, a user */
    int64_t change_per_minute;        /* profile, devices, logout, a user */
    accounts_session_revoked_fn on_session_revoked; /* or NULL */
    void *on_session_revoked_arg;
};

/* Fills what comes from the configuration ([auth] …); loop, pg and the hook stay as they are.
 * Strings are borrowed from c. */
void accounts_options_load(struct accounts_options *o, const struct config *c);

/* Makes the module. ERR_NOT_FOUND when key_dir holds no private key to sign with, ERR_INVALID for a
 * key that isn't P-256, ERR_FORBIDDEN for one that others may read (each with a log line),
 * ERR_NOMEM. NULL on failure, the reason in *err when err isn't NULL. */
struct accounts *accounts_new(const struct accounts_options *o, int *err);
/* After the server was freed and the database closed. Logins whose password is being checked end
 * without an answer when the loop is freed. NULL is fine. */
void accounts_free(struct accounts *a);

/* Every route of accounts, ended by a NULL path; the argument of the handlers is the struct
 * accounts. */
extern const struct http_route accounts_routes[];

/* The http_authenticate_fn; arg is the struct accounts. OK and fills out; ERR_AUTH for anything but
 * a valid access token of a session that wasn't revoked here within the life of an access token. */
int accounts_authenticate(void *arg, const char *token, struct http_principal *out);

/* Reads key_dir anew (SIGHUP). On failure the keys stay as they were: same errors as accounts_new.
 */
int accounts_reload_keys(struct accounts *a);

/* ---- tickets ---- */
/* The check at the WebSocket upgrade: signature, time and type, without I/O. OK fills out; ERR_AUTH
 * sets *why to "Token required" (token NULL or empty), "Invalid or expired token", or "Invalid
 * token type" (a valid access token, say). A ticket that passes is not yet spent. */
int accounts_check_ticket(struct accounts *a, const char *token, struct http_principal *out,
                          const char **why);

/* err: OK (the socket may go on); ERR_AUTH (spent before, or its session was revoked: close with
 * 4001 or 1008); ERR_UNAVAILABLE, ERR_TIMEOUT (the database is away: close with 1013). */
typedef void (*accounts_ticket_fn)(void *arg, int err);
/* Spends a ticket that passed accounts_check_ticket: exactly one call ever gets OK for it, on any
 * node. `fn` is called later, never from inside. Returns OK, or the error (fn isn't called then).
 */
int accounts_spend_ticket(struct accounts *a, const char *token, accounts_ticket_fn fn, void *arg);

/* ---- presence ---- */
/* Writes that the user was seen now on the device (devices.last_active_at, users.last_seen_at). */
void accounts_touch(struct accounts *a, const struct http_principal *who);

#endif
