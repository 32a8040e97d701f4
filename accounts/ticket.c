/* Tickets for one WebSocket connect: made by a route, checked at the upgrade, spent in PostgreSQL.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "accounts/internal.h"
#include "lib/base/err.h"
#include "lib/base/ids.h"
#include "lib/base/json.h"

#define SECOND_US INT64_C(1000000)

void route_ticket(struct http_request *r, void *arg)
{
    struct accounts *a = arg;
    const struct http_principal *who = http_who(r);
    char *token = NULL;
    cJSON *body;
    int err;

    if (accounts_limited(a->tickets, r, who->user_id.s)) {
        return;
    }
    err = accounts_issue(a, TOKEN_TICKET, who, &token);
    if (err) {
        accounts_problem(r, err);
        return;
    }
    body = json_new();
    json_put_bool(body, "success", true);
    json_put_str(body, "token", token);
    json_put_int(body, "expiresIn", a->ticket_ttl_us / SECOND_US);
    free(token);
    http_set_header(r, "cache-control", "no-store");
    http_reply(r, 200, body);
}

static int check(struct accounts *a, const char *token, struct token_claims *out, const char **why)
{
    int err;

    if (!token || !token[0]) {
        *why = "Token required";
        return ERR_AUTH;
    }
    err = token_verify(out, a->keys, &a->policy, TOKEN_TICKET, token, clock_wall_us());
    if (err == ERR_STATE) {
        *why = "Invalid token type";
        return ERR_AUTH;
    }
    if (err || revoked_has(a->revoked, &out->who.session_id, clock_mono_us())) {
        *why = "Invalid or expired token";
        return ERR_AUTH;
    }
    return OK;
}

int accounts_check_ticket(struct accounts *a, const char *token, struct http_principal *out,
                          const char **why)
{
    struct token_claims c;
    int err = check(a, token, &c, why);

    if (!err) {
        *out = c.who;
    }
    return err;
}

struct spending {
    accounts_ticket_fn fn;
    void *arg;
};

static void spent(void *arg, int err, const struct pg_result *res)
{
    struct spending s = *(struct spending *)arg;

    free(arg);
    if (!err && (pg_rows(res) != 1 || !pg_bool(res, 0, 0))) {
        err = ERR_AUTH;
    }
    s.fn(s.arg, err);
}

int accounts_spend_ticket(struct accounts *a, const char *token, accounts_ticket_fn fn, void *arg)
{
    struct token_claims c;
    const char *why;
    char expires[24];
    struct spending *s;
    int err = check(a, token, &c, &why);

    if (err) {
        return err;
    }
    s = malloc(sizeof *s);
    if (!s) {
        return ERR_NOMEM;
    }
    *s = (struct spending){fn, arg};
    snprintf(expires, sizeof expires, "%" PRId64, c.expires_us);
    const char *params[] = {c.jti.s, expires, c.who.user_id.s, c.who.session_id.s};
    err = pg_query(a->pg, "ticket_spend",
                   "SELECT ticket_spend($1::uuid, $2::bigint, $3::uuid, $4::uuid)", 4, params, NULL,
                   spent, s);
    if (err) {
        free(s);
    }
    return err;
}
