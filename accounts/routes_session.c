/* POST /v1/auth/refresh, /logout, /logout-all. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accounts/internal.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/ids.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/metrics.h"

#define SECOND_US         INT64_C(1000000)
#define REFRESH_TOKEN_MAX 256 /* characters that are looked at all */

METRIC_COUNTER_DEF(refreshed, "sotto_refreshes_total", "result=\"ok\"",
                   "token refreshes by result");
METRIC_COUNTER_DEF(reused, "sotto_refreshes_total", "result=\"reused\"",
                   "token refreshes by result");
METRIC_COUNTER_DEF(refused, "sotto_refreshes_total", "result=\"refused\"",
                   "token refreshes by result");

struct refresh {
    struct accounts *a;
    struct http_request *r;
    char next[REFRESH_TOKEN_LEN + 1];
};

static struct http_request *end(struct refresh *f)
{
    struct http_request *r = f->r;

    explicit_bzero(f, sizeof *f);
    free(f);
    return r;
}

static int principal_of(struct http_principal *who, const struct pg_result *res)
{
    const char *text[5];

    for (int i = 0; i < 5; i++) {
        text[i] = pg_text(res, 0, 1 + i);
        if (!text[i]) {
            return ERR_INVALID;
        }
    }
    return id_parse(&who->user_id, text[0]) || id_parse(&who->device_id, text[1]) ||
                   id_parse(&who->session_id, text[2]) ||
                   str_copy(who->login, sizeof who->login, text[3]) ||
                   str_copy(who->role, sizeof who->role, text[4])
               ? ERR_INVALID
               : OK;
}

/* The same 401 whether the token is unknown, old, or was spent before. */
static void refuse(struct refresh *f, const struct pg_result *res, bool was_reused)
{
    if (was_reused) {
        log_event(LOG_WARN, "refresh_token_reused", "user=%s session=%s", pg_text(res, 0, 1),
                  pg_text(res, 0, 3));
        accounts_sessions_ended(f->a, pg_text(res, 0, 6));
    }
    metric_add(was_reused ? &reused : &refused, 1);
    http_problem(end(f), 401, "invalid_refresh_token", "Sign in again.");
}

static void answer(struct refresh *f, const struct http_principal *who)
{
    char *token = NULL;
    cJSON *body;
    int err = accounts_issue(f->a, TOKEN_ACCESS, who, &token);

    if (err) {
        accounts_problem(end(f), err);
        return;
    }
    body = json_new();
    json_put_str(body, "accessToken", token);
    json_put_int(body, "expiresIn", f->a->access_ttl_us / SECOND_US);
    json_put_str(body, "refreshToken", f->next);
    json_put_str(body, "deviceId", who->device_id.s);
    free(token);
    metric_add(&refreshed, 1);
    http_set_header(f->r, "cache-control", "no-store");
    http_reply(end(f), 200, body);
}

static void rotated(void *arg, int err, const struct pg_result *res)
{
    struct refresh *f = arg;
    struct http_principal who = {0};
    const char *outcome = err ? NULL : pg_text(res, 0, 0);

    if (!err && (!outcome || strcmp(outcome, "ok") != 0)) {
        refuse(f, res, outcome && strcmp(outcome, "reused") == 0);
        return;
    }
    if (!err) {
        err = principal_of(&who, res);
    }
    if (err) {
        accounts_problem(end(f), err);
        return;
    }
    answer(f, &who);
}

void route_refresh(struct http_request *r, void *arg)
{
    struct accounts *a = arg;
    struct json_errors e = {0};
    char old_hash[HASH_HEX_LEN + 1], next_hash[HASH_HEX_LEN + 1], ttl[24];
    struct refresh *f;
    const char *token;
    int err;

    token = json_str(http_body(r), "refreshToken", JSON_REQUIRED, 1, REFRESH_TOKEN_MAX, &e);
    if (!token) {
        http_problem_fields(r, &e);
        return;
    }
    if (accounts_limited_by_address(a->refreshes, r)) {
        return;
    }
    f = calloc(1, sizeof *f);
    if (!f) {
        accounts_problem(r, ERR_NOMEM);
        return;
    }
    f->a = a;
    f->r = r;
    refresh_token_new(f->next);
    refresh_token_hash(old_hash, token);
    refresh_token_hash(next_hash, f->next);
    snprintf(ttl, sizeof ttl, "%lld", (long long)(a->refresh_ttl_us / SECOND_US));
    const char *params[] = {old_hash, next_hash, ttl};
    err = pg_query(a->pg, "account_refresh",
                   "SELECT outcome, user_id, device_id, session_id, username, role, revoked"
                   " FROM account_refresh(decode($1, 'hex'), decode($2, 'hex'), $3::bigint)",
                   3, params, NULL, rotated, f);
    if (err) {
        accounts_problem(end(f), err);
    }
}

static void signed_out(void *arg, int err, const struct pg_result *res)
{
    struct pending *p = arg;

    if (err) {
        accounts_problem(pending_end(p), err);
        return;
    }
    accounts_sessions_ended(p->a, pg_rows(res) > 0 ? pg_text(res, 0, 0) : NULL);
    http_reply(pending_end(p), 204, NULL);
}

void route_logout(struct http_request *r, void *arg)
{
    struct accounts *a = arg;
    const struct http_principal *who = http_who(r);
    const char *params[] = {who->user_id.s, who->session_id.s};
    struct pending *p;

    if (!accounts_limited(a->changes, r, who->user_id.s) && (p = pending_new(a, r))) {
        pending_query(p, "account_logout", "SELECT account_logout($1::uuid, $2::uuid)", 2, params,
                      signed_out);
    }
}

void route_logout_all(struct http_request *r, void *arg)
{
    struct accounts *a = arg;
    const struct http_principal *who = http_who(r);
    const char *params[] = {who->user_id.s};
    struct pending *p;

    if (!accounts_limited(a->changes, r, who->user_id.s) && (p = pending_new(a, r))) {
        pending_query(p, "account_logout_all", "SELECT account_logout_all($1::uuid)", 1, params,
                      signed_out);
    }
}
