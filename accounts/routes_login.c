/* POST /v1/auth/login: find the account, verify the password off the loop, open the session.
 * Unknown accounts go the same way with a hash that fits nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accounts/internal.h"
#include "accounts/profile.h"
#include "accounts/validate.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/ids.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/metrics.h"

#define SECOND_US     INT64_C(1000000)
#define PASSWORD_READ 1024 /* bytes a login may send; longer than any real one */
#define NAME_BYTES    (DEVICE_NAME_MAX * 4)

METRIC_COUNTER_DEF(logins_ok, "sotto_logins_total", "result=\"ok\"", "logins by result");
METRIC_COUNTER_DEF(logins_refused, "sotto_logins_total", "result=\"refused\"", "logins by result");

struct login {
    struct accounts *a;
    struct http_request *r;
    char name[EMAIL_MAX + 1]; /* e-mail or username */
    char password[PASSWORD_READ + 1];
    char device_name[NAME_BYTES + 1], platform[PLATFORM_MAX + 1];
    struct id device;                   /* one to use again; "" for none */
    char user_id[ID_LEN + 1], hash[64]; /* of the account; "" where there is none */
    char refresh[REFRESH_TOKEN_LEN + 1];
    struct id new_device, session;
};

static struct http_request *end(struct login *l)
{
    struct http_request *r = l->r;

    explicit_bzero(l, sizeof *l);
    free(l);
    return r;
}

static void refuse(struct login *l)
{
    metric_add(&logins_refused, 1);
    http_problem(end(l), 401, "invalid_credentials", "The name or the password is wrong.");
}

/* The columns after device_id and revoked, see account_login_finish. */
static cJSON *own_profile(const struct pg_result *res, const char *user_id)
{
    struct profile p = {.id = user_id,
                        .email = pg_text(res, 0, 2),
                        .username = pg_text(res, 0, 3),
                        .display_name = pg_text(res, 0, 4),
                        .avatar_media_id = pg_text(res, 0, 5),
                        .status_text = pg_text(res, 0, 6),
                        .role = pg_text(res, 0, 7),
                        .show_last_seen = pg_bool(res, 0, 8),
                        .last_seen_us = pg_int(res, 0, 9),
                        .created_us = pg_int(res, 0, 10)};

    return profile_own(&p);
}

static int principal_of(struct http_principal *who, const struct login *l,
                        const struct pg_result *res)
{
    const char *device = pg_text(res, 0, 0), *username = pg_text(res, 0, 3);
    const char *role = pg_text(res, 0, 7);

    who->session_id = l->session;
    if (!device || !username || !role || id_parse(&who->user_id, l->user_id) ||
        id_parse(&who->device_id, device) || str_copy(who->login, sizeof who->login, username) ||
        str_copy(who->role, sizeof who->role, role)) {
        return ERR_INVALID;
    }
    return OK;
}

static void opened(void *arg, int err, const struct pg_result *res)
{
    struct login *l = arg;
    struct http_principal who = {0};
    char *token = NULL;
    cJSON *body;

    if (!err && pg_rows(res) != 1) {
        refuse(l);
        return;
    }
    if (!err) {
        accounts_sessions_ended(l->a, pg_text(res, 0, 1));
        err = principal_of(&who, l, res);
    }
    if (!err) {
        err = accounts_issue(l->a, TOKEN_ACCESS, &who, &token);
    }
    if (err) {
        accounts_problem(end(l), err);
        return;
    }
    body = json_new();
    json_put_str(body, "accessToken", token);
    json_put_int(body, "expiresIn", l->a->access_ttl_us / SECOND_US);
    json_put_str(body, "refreshToken", l->refresh);
    json_put(body, "user", own_profile(res, l->user_id));
    json_put_str(body, "deviceId", who.device_id.s);
    free(token);
    metric_add(&logins_ok, 1);
    log_event(LOG_INFO, "login", "user=%s device=%s session=%s", l->user_id, who.device_id.s,
              who.session_id.s);
    http_set_header(l->r, "cache-control", "no-store");
    http_reply(end(l), 200, body);
}

static void open_session(struct login *l)
{
    int64_t now_us = clock_wall_us();
    char hash[HASH_HEX_LEN + 1], ttl[24], most[12];
    int err;

    l->new_device = id_new(now_us);
    l->session = id_new(now_us);
    refresh_token_new(l->refresh);
    refresh_token_hash(hash, l->refresh);
    snprintf(ttl, sizeof ttl, "%lld", (long long)(l->a->refresh_ttl_us / SECOND_US));
    snprintf(most, sizeof most, "%d", l->a->max_devices);
    const char *params[] = {l->user_id,
                            l->hash,
                            l->device.s[0] ? l->device.s : NULL,
                            l->new_device.s,
                            l->device_name,
                            l->platform,
                            l->session.s,
                            hash,
                            ttl,
                            most};
    err = pg_query(l->a->pg, "account_login_finish",
                   "SELECT device_id, revoked, email, username, display_name, avatar_media_id,"
                   " status_text, role, show_last_seen, last_seen_at_us, created_at_us"
                   " FROM account_login_finish($1::uuid, $2, $3::uuid, $4::uuid, $5, $6, $7::uuid,"
                   " decode($8, 'hex'), $9::bigint, $10::int)",
                   10, params, NULL, opened, l);
    if (err) {
        accounts_problem(end(l), err);
    }
}

static void verified(void *arg, int err)
{
    struct login *l = arg;

    explicit_bzero(l->password, sizeof l->password);
    if (err == ERR_CLOSED) {
        accounts_problem(end(l), err);
    } else if (err) {
        refuse(l);
    } else {
        open_session(l);
    }
}

static void found(void *arg, int err, const struct pg_result *res)
{
    struct login *l = arg;
    bool known = !err && pg_rows(res) == 1;

    if (known && (str_copy(l->user_id, sizeof l->user_id, pg_text(res, 0, 0)) ||
                  str_copy(l->hash, sizeof l->hash, pg_text(res, 0, 1)))) {
        err = ERR_INVALID;
    }
    if (!err) {
        err = password_verify(l->a->passwords, l->password, known ? l->hash : NULL, verified, l);
    }
    if (err) {
        accounts_problem(end(l), err);
    }
}

static void read_device(struct login *l, const cJSON *body, struct json_errors *e)
{
    const cJSON *device = json_obj(body, "device", JSON_REQUIRED, e);
    const char *name, *platform, *id;

    if (!device) {
        return;
    }
    name = validate_label(device, "name", JSON_REQUIRED, DEVICE_NAME_MAX, e);
    platform = validate_platform(device, "platform", e);
    id = json_id(device, "id", JSON_OPTIONAL, e);
    if (!e->n) {
        str_copy(l->device_name, sizeof l->device_name, name);
        str_copy(l->platform, sizeof l->platform, platform ? platform : "unknown");
        if (id) {
            id_parse(&l->device, id);
        }
    }
}

static void read_body(struct login *l, const cJSON *body, struct json_errors *e)
{
    const char *email = json_str(body, "email", JSON_OPTIONAL, 1, EMAIL_MAX, e);
    const char *username = json_str(body, "username", JSON_OPTIONAL, 1, EMAIL_MAX, e);
    const char *name = email ? email : username;
    const char *password;

    if (!name && !e->n) {
        json_error(e, "username", "is required, or an email");
    } else if (email && username) {
        json_error(e, "username", "goes without an email");
    }
    password = json_str(body, "password", JSON_REQUIRED, 1, PASSWORD_READ, e);
    read_device(l, body, e);
    if (!e->n) {
        str_copy(l->name, sizeof l->name, name);
        str_copy(l->password, sizeof l->password, password);
    }
}

/* One account under every spelling of its name, and no names kept in memory. */
static bool account_limited(struct login *l)
{
    char folded[EMAIL_MAX + 1], key[HASH_HEX_LEN + 1];
    size_t n = strlen(l->name);

    for (size_t i = 0; i <= n; i++) {
        folded[i] = l->name[i] >= 'A' && l->name[i] <= 'Z' ? (char)(l->name[i] + 32) : l->name[i];
    }
    refresh_token_hash(key, folded);
    return accounts_limited(l->a->login_accounts, l->r, key);
}

void route_login(struct http_request *r, void *arg)
{
    struct accounts *a = arg;
    struct json_errors e = {0};
    struct login *l;
    int err;

    l = calloc(1, sizeof *l);
    if (!l) {
        accounts_problem(r, ERR_NOMEM);
        return;
    }
    l->a = a;
    l->r = r;
    read_body(l, http_body(r), &e);
    if (e.n) {
        http_problem_fields(end(l), &e);
        return;
    }
    if (accounts_limited_by_address(a->logins, r) || account_limited(l)) {
        end(l);
        return;
    }
    if (passwords_busy(a->passwords)) {
        accounts_problem(end(l), ERR_LIMIT);
        return;
    }
    const char *params[] = {l->name};
    err =
        pg_query(a->pg, "account_find_login",
                 "SELECT id, password_hash FROM account_find_login($1)", 1, params, NULL, found, l);
    if (err) {
        accounts_problem(end(l), err);
    }
}
