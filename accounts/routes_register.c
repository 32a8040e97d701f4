/* POST /v1/auth/register. */
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

METRIC_COUNTER_DEF(registered, "sotto_registrations_total", NULL, "accounts made");

struct registration {
    struct accounts *a;
    struct http_request *r;
    struct id id;
    char email[EMAIL_MAX + 1], username[USERNAME_MAX + 1];
    char display_name[DISPLAY_NAME_MAX * 4 + 1];
};

static struct http_request *end(struct registration *g)
{
    struct http_request *r = g->r;

    free(g);
    return r;
}

/* 409, one answer for a taken address and a taken username; only usernames, which anyone can look
 * up, are named. */
static void answer_taken(struct http_request *r, bool username)
{
    cJSON *o, *list, *item;
    char *text;

    if (!username) {
        http_problem(r, 409, "account_exists", "An account with these details exists.");
        return;
    }
    o = json_new();
    list = cJSON_CreateArray();
    item = json_new();
    json_put_str(o, "type", "urn:sotto:error:account_exists");
    json_put_str(o, "title", "Conflict");
    json_put_int(o, "status", 409);
    json_put_str(o, "code", "account_exists");
    json_put_str(o, "detail", "An account with these details exists.");
    json_put_str(o, "requestId", http_request_id(r));
    json_put_str(item, "field", "username");
    json_put_str(item, "message", "is taken");
    cJSON_AddItemToArray(list, item);
    json_put(o, "errors", list);
    text = json_print(o);
    cJSON_Delete(o);
    if (text) {
        http_reply_text(r, 409, "application/problem+json", text);
    } else {
        accounts_problem(r, ERR_NOMEM);
    }
    free(text);
}

static void inserted(void *arg, int err, const struct pg_result *res)
{
    struct registration *g = arg;
    const char *outcome = err ? NULL : pg_text(res, 0, 0);
    struct profile p = {.id = g->id.s,
                        .username = g->username,
                        .display_name = g->display_name,
                        .email = g->email,
                        .role = "user",
                        .show_last_seen = true};
    cJSON *body;

    if (err) {
        accounts_problem(end(g), err);
        return;
    }
    if (!outcome || strcmp(outcome, "created") != 0) {
        answer_taken(end(g), outcome && strcmp(outcome, "username_taken") == 0);
        return;
    }
    p.created_us = pg_int(res, 0, 1);
    metric_add(&registered, 1);
    log_event(LOG_INFO, "registered", "user=%s", g->id.s);
    body = json_new();
    json_put(body, "user", profile_own(&p));
    http_reply(end(g), 201, body);
}

static void hashed(void *arg, int err, const char *hash)
{
    struct registration *g = arg;

    if (!err) {
        const char *params[] = {g->id.s, g->email, g->username, g->display_name, hash};

        err = pg_query(
            g->a->pg, "account_register",
            "SELECT outcome, created_at_us FROM account_register($1::uuid, $2, $3, $4, $5)", 5,
            params, NULL, inserted, g);
    }
    if (err) {
        accounts_problem(end(g), err);
    }
}

static const char *read_body(struct registration *g, const cJSON *body, struct json_errors *e)
{
    const char *email = validate_email(body, "email", e);
    const char *username = validate_username(body, "username", g->username, e);
    const char *name = validate_label(body, "displayName", JSON_OPTIONAL, DISPLAY_NAME_MAX, e);
    const char *password = validate_new_password(body, "password", username, email, e);

    if (e->n) {
        return NULL;
    }
    if (str_copy(g->email, sizeof g->email, email) ||
        str_copy(g->display_name, sizeof g->display_name, name ? name : username)) {
        return NULL;
    }
    return password;
}

void route_register(struct http_request *r, void *arg)
{
    struct accounts *a = arg;
    struct json_errors e = {0};
    struct registration *g;
    const char *password;
    int err;

    g = calloc(1, sizeof *g);
    if (!g) {
        accounts_problem(r, ERR_NOMEM);
        return;
    }
    g->a = a;
    g->r = r;
    g->id = id_new(clock_wall_us());
    password = read_body(g, http_body(r), &e);
    if (!password) {
        http_problem_fields(end(g), &e);
        return;
    }
    if (accounts_limited_by_address(a->registers, r)) { /* slips of the pen aren't counted */
        end(g);
        return;
    }
    err = password_hash(a->passwords, password, hashed, g);
    if (err) {
        accounts_problem(end(g), err);
    }
}
