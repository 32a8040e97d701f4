#include "accounts/accounts.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accounts/internal.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/ids.h"
#include "lib/base/json.h"
#include "lib/base/log.h"

#define SECOND_US    INT64_C(1000000)
#define MINUTE_US    (60 * SECOND_US)
#define HOUR_US      (60 * MINUTE_US)
#define SWEEP_US     (5 * MINUTE_US)
#define RECALL_US    (SECOND_US / 2) /* after the database could not be asked */
#define LIMITED_KEYS 100000          /* addresses or users remembered by each limit */

const struct http_route accounts_routes[] = {
    {HTTP_POST, "/v1/auth/register", route_register, HTTP_IDEMPOTENT, 0, NULL},
    {HTTP_POST, "/v1/auth/login", route_login, 0, 0, NULL},
    {HTTP_POST, "/v1/auth/refresh", route_refresh, 0, 0, NULL},
    {HTTP_POST, "/v1/auth/logout", route_logout, HTTP_AUTH | HTTP_OPTIONAL_BODY, 0, NULL},
    {HTTP_POST, "/v1/auth/logout-all", route_logout_all, HTTP_AUTH | HTTP_OPTIONAL_BODY, 0, NULL},
    {HTTP_POST, "/v1/ws-ticket", route_ticket, HTTP_AUTH | HTTP_OPTIONAL_BODY, 0, NULL},
    {HTTP_GET, "/v1/ws-ticket", route_ticket, HTTP_AUTH, 0, NULL},
    {HTTP_GET, "/v1/users/me", route_get_me, HTTP_AUTH, 0, NULL},
    {HTTP_PATCH, "/v1/users/me", route_update_me, HTTP_AUTH, 0, NULL},
    {HTTP_GET, "/v1/users/{id}", route_get_user, HTTP_AUTH, 0, NULL},
    {HTTP_GET, "/v1/users", route_find_users, HTTP_AUTH, 0, NULL},
    {HTTP_GET, "/v1/devices", route_list_devices, HTTP_AUTH, 0, NULL},
    {HTTP_DELETE, "/v1/devices/{id}", route_revoke_device, HTTP_AUTH | HTTP_OPTIONAL_BODY, 0, NULL},
    {HTTP_GET, "/.well-known/jwks.json", route_jwks, 0, 0, NULL},
    {HTTP_GET, NULL, NULL, 0, 0, NULL},
};

void accounts_options_load(struct accounts_options *o, const struct config *c)
{
    o->issuer = config_str(c, "auth.issuer");
    o->audience = config_str(c, "auth.audience");
    o->key_dir = config_str(c, "auth.key_dir");
    o->access_ttl_us = config_duration_us(c, "auth.access_ttl");
    o->refresh_ttl_us = config_duration_us(c, "auth.refresh_ttl");
    o->ticket_ttl_us = config_duration_us(c, "auth.ticket_ttl");
    o->bcrypt_cost = (int)config_int(c, "auth.bcrypt_cost");
    o->max_hashing = (int)config_int(c, "auth.max_hashing");
    o->max_devices = (int)config_int(c, "auth.max_devices");
    o->register_per_hour = config_int(c, "auth.register_per_hour");
    o->login_per_minute = config_int(c, "auth.login_per_minute");
    o->login_account_per_minute = config_int(c, "auth.login_account_per_minute");
    o->refresh_per_minute = config_int(c, "auth.refresh_per_minute");
    o->ticket_per_minute = config_int(c, "auth.ticket_per_minute");
    o->lookup_per_minute = config_int(c, "auth.lookup_per_minute");
    o->change_per_minute = config_int(c, "auth.change_per_minute");
}

static void swept(void *arg, int err, const struct pg_result *res)
{
    if (!err && pg_rows(res) > 0) {
        accounts_sessions_ended(arg, pg_text(res, 0, 0));
    }
}

static void sweep(void *arg)
{
    struct accounts *a = arg;

    pg_query(a->pg, "account_sweep", "SELECT account_sweep()", 0, NULL, NULL, swept, a);
}

/* ---- what ended before this process began ---- */

static void recalled(void *arg, int err, const struct pg_result *res)
{
    struct accounts *a = arg;
    struct id session;

    if (err) {
        if (err != ERR_CLOSED) {
            loop_timer_start(a->recall, RECALL_US, 0);
        }
        return;
    }
    for (int i = pg_rows(res) - 1; i >= 0; i--) { /* the oldest first, as they are forgotten */
        const char *text = pg_text(res, i, 0);
        if (text && id_parse(&session, text) == OK) {
            revoked_add(a->revoked, &session, clock_mono_us());
        }
    }
}

/* Access tokens of sessions that ended a moment before a restart aren't good again after it. */
static void recall(void *arg)
{
    struct accounts *a = arg;
    char seconds[24], most[12];

    snprintf(seconds, sizeof seconds, "%lld", (long long)(a->access_ttl_us / SECOND_US + 1));
    snprintf(most, sizeof most, "%d", REVOKED_MAX);
    const char *params[] = {seconds, most};
    if (pg_query(
            a->pg, "sessions_recall",
            "SELECT id FROM sessions WHERE revoked_at > now() - make_interval(secs => $1::bigint)"
            " ORDER BY revoked_at DESC LIMIT $2::int",
            2, params, NULL, recalled, a)) {
        loop_timer_start(a->recall, RECALL_US, 0);
    }
}

static int make_limits(struct accounts *a, const struct accounts_options *o)
{
    a->registers = ratelimit_new(o->register_per_hour, HOUR_US, LIMITED_KEYS);
    a->logins = ratelimit_new(o->login_per_minute, MINUTE_US, LIMITED_KEYS);
    a->login_accounts = ratelimit_new(o->login_account_per_minute, MINUTE_US, LIMITED_KEYS);
    a->refreshes = ratelimit_new(o->refresh_per_minute, MINUTE_US, LIMITED_KEYS);
    a->tickets = ratelimit_new(o->ticket_per_minute, MINUTE_US, LIMITED_KEYS);
    a->lookups = ratelimit_new(o->lookup_per_minute, MINUTE_US, LIMITED_KEYS);
    a->changes = ratelimit_new(o->change_per_minute, MINUTE_US, LIMITED_KEYS);
    return a->registers && a->logins && a->login_accounts && a->refreshes && a->tickets &&
                   a->lookups && a->changes
               ? OK
               : ERR_NOMEM;
}

static int fill(struct accounts *a, const struct accounts_options *o)
{
    a->loop = o->loop;
    a->pg = o->pg;
    a->access_ttl_us = o->access_ttl_us;
    a->refresh_ttl_us = o->refresh_ttl_us;
    a->ticket_ttl_us = o->ticket_ttl_us;
    a->max_devices = o->max_devices;
    a->on_session_revoked = o->on_session_revoked;
    a->on_session_revoked_arg = o->on_session_revoked_arg;
    if (str_copy(a->issuer, sizeof a->issuer, o->issuer) ||
        str_copy(a->audience, sizeof a->audience, o->audience)) {
        return ERR_TOO_LARGE;
    }
    a->policy.issuer = a->issuer;
    a->policy.audience = a->audience;
    a->key_dir = strdup(o->key_dir);
    a->revoked = revoked_new(o->access_ttl_us);
    a->passwords = passwords_new(o->loop, o->bcrypt_cost, o->max_hashing);
    a->sweep = loop_timer_new(o->loop, sweep, a);
    a->recall = loop_timer_new(o->loop, recall, a);
    if (!a->key_dir || !a->revoked || !a->passwords || !a->sweep || !a->recall) {
        return ERR_NOMEM;
    }
    return make_limits(a, o);
}

struct accounts *accounts_new(const struct accounts_options *o, int *err)
{
    struct accounts *a = calloc(1, sizeof *a);
    int failed = a ? fill(a, o) : ERR_NOMEM;

    if (!failed) {
        failed = keys_load(&a->keys, a->key_dir);
    }
    if (failed) {
        accounts_free(a);
        if (err) {
            *err = failed;
        }
        return NULL;
    }
    loop_timer_start(a->sweep, SWEEP_US, SWEEP_US);
    recall(a);
    return a;
}

void accounts_free(struct accounts *a)
{
    if (!a) {
        return;
    }
    if (a->sweep) {
        loop_timer_free(a->sweep);
    }
    if (a->recall) {
        loop_timer_free(a->recall);
    }
    ratelimit_free(a->registers);
    ratelimit_free(a->logins);
    ratelimit_free(a->login_accounts);
    ratelimit_free(a->refreshes);
    ratelimit_free(a->tickets);
    ratelimit_free(a->lookups);
    ratelimit_free(a->changes);
    revoked_free(a->revoked);
    passwords_free(a->passwords);
    keys_free(a->keys);
    free(a->key_dir);
    free(a);
}

int accounts_reload_keys(struct accounts *a)
{
    struct keys *fresh = NULL;
    int err = keys_load(&fresh, a->key_dir);

    if (err) {
        return err;
    }
    keys_free(a->keys);
    a->keys = fresh;
    log_event(LOG_INFO, "signing_keys_loaded", "keys=%zu signer=%s", fresh->n, fresh->signer->kid);
    return OK;
}

int accounts_authenticate(void *arg, const char *token, struct http_principal *out)
{
    struct accounts *a = arg;
    struct token_claims c;

    if (!token || token_verify(&c, a->keys, &a->policy, TOKEN_ACCESS, token, clock_wall_us()) ||
        revoked_has(a->revoked, &c.who.session_id, clock_mono_us())) {
        return ERR_AUTH;
    }
    *out = c.who;
    return OK;
}

int accounts_issue(struct accounts *a, enum token_kind kind, const struct http_principal *who,
                   char **out)
{
    int64_t now_us = clock_wall_us();
    struct token_claims c = {
        .who = *who,
        .jti = id_new(now_us),
        .issued_us = now_us,
        .expires_us = now_us + (kind == TOKEN_TICKET ? a->ticket_ttl_us : a->access_ttl_us),
    };

    return token_sign(out, a->keys, &a->policy, kind, &c);
}

static void session_ended(struct accounts *a, const cJSON *item)
{
    struct id session, device, user;
    const char *reason = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "reason"));

    if (id_parse(&session, json_id(item, "sessionId", JSON_REQUIRED, NULL)) ||
        id_parse(&device, json_id(item, "deviceId", JSON_REQUIRED, NULL)) ||
        id_parse(&user, json_id(item, "userId", JSON_REQUIRED, NULL))) {
        log_event(LOG_ERROR, "session_end_unreadable", NULL);
        return;
    }
    if (revoked_add(a->revoked, &session, clock_mono_us())) {
        log_event(LOG_ERROR, "session_end_forgotten", "session=%s", session.s);
    }
    log_event(LOG_INFO, "session_ended", "session=%s device=%s user=%s reason=%s", session.s,
              device.s, user.s, reason ? reason : "");
    if (a->on_session_revoked) {
        a->on_session_revoked(a->on_session_revoked_arg, &user, &device, &session,
                              reason ? reason : "");
    }
}

void accounts_sessions_ended(struct accounts *a, const char *json)
{
    cJSON *list = NULL;
    const cJSON *item;

    if (!json || json_parse(&list, json, strlen(json))) {
        return;
    }
    cJSON_ArrayForEach(item, list)
    {
        session_ended(a, item);
    }
    cJSON_Delete(list);
}

bool accounts_limited(struct ratelimit *rl, struct http_request *r, const char *key)
{
    struct ratelimit_result result;

    if (ratelimit_hit(rl, key, clock_mono_us(), &result) == OK) {
        return false;
    }
    http_problem_limited(r, &result);
    return true;
}

bool accounts_limited_by_address(struct ratelimit *rl, struct http_request *r)
{
    const char *address = http_address(r);
    struct in6_addr v6;
    char key[INET6_ADDRSTRLEN];

    if (inet_pton(AF_INET6, address, &v6) == 1 && !IN6_IS_ADDR_V4MAPPED(&v6)) {
        memset(&v6.s6_addr[8], 0, 8);
        if (inet_ntop(AF_INET6, &v6, key, sizeof key)) {
            address = key;
        }
    }
    return accounts_limited(rl, r, address);
}

void refresh_token_new(char token[REFRESH_TOKEN_LEN + 1])
{
    random_token(token, 32);
}

void refresh_token_hash(char hex[HASH_HEX_LEN + 1], const char *token)
{
    uint8_t hash[SHA256_LEN];

    sha256(hash, token, strlen(token));
    hex_encode(hex, hash, sizeof hash);
}

void accounts_problem(struct http_request *r, int err)
{
    http_problem_err(r, err);
}

struct pending *pending_new(struct accounts *a, struct http_request *r)
{
    struct pending *p = calloc(1, sizeof *p);

    if (!p) {
        accounts_problem(r, ERR_NOMEM);
        return NULL;
    }
    p->a = a;
    p->r = r;
    return p;
}

struct http_request *pending_end(struct pending *p)
{
    struct http_request *r = p->r;

    free(p);
    return r;
}

void pending_query(struct pending *p, const char *name, const char *sql, int n,
                   const char *const *params, pg_fn fn)
{
    int err = pg_query(p->a->pg, name, sql, n, params, NULL, fn, p);

    if (err) {
        accounts_problem(pending_end(p), err);
    }
}

void accounts_touch(struct accounts *a, const struct http_principal *who)
{
    const char *params[] = {who->user_id.s, who->device_id.s};

    pg_query(a->pg, "user_seen", "SELECT user_seen($1::uuid, $2::uuid)", 2, params, NULL, NULL,
             NULL);
}
