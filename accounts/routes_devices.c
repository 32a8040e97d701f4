/* GET /v1/devices, DELETE /v1/devices/{id}, GET /.well-known/jwks.json. */
#include <stdlib.h>
#include <string.h>

#include "accounts/internal.h"
#include "accounts/jwks.h"
#include "lib/base/err.h"
#include "lib/base/ids.h"
#include "lib/base/json.h"

static cJSON *device_json(const struct pg_result *res, int row, const struct http_principal *who)
{
    cJSON *o = json_new();
    const char *id = pg_text(res, row, 0);

    json_put_str(o, "id", id);
    json_put_str(o, "name", pg_text(res, row, 1));
    json_put_str(o, "platform", pg_text(res, row, 2));
    json_put_time(o, "createdAt", pg_int(res, row, 3));
    json_put_time(o, "lastActiveAt", pg_int(res, row, 4));
    json_put_bool(o, "current", id && strcmp(id, who->device_id.s) == 0);
    return o;
}

static void listed(void *arg, int err, const struct pg_result *res)
{
    struct pending *p = arg;
    cJSON *body, *items;

    if (err) {
        accounts_problem(pending_end(p), err);
        return;
    }
    body = json_new();
    items = cJSON_CreateArray();
    for (int i = 0; i < pg_rows(res); i++) {
        cJSON_AddItemToArray(items, device_json(res, i, http_who(p->r)));
    }
    json_put(body, "items", items);
    json_put_null(body, "nextCursor");
    http_reply(pending_end(p), 200, body);
}

void route_list_devices(struct http_request *r, void *arg)
{
    const char *params[] = {http_who(r)->user_id.s};
    struct pending *p = pending_new(arg, r);

    if (p) {
        pending_query(p, "device_list",
                      "SELECT id, name, platform, created_at_us, last_active_at_us"
                      " FROM device_list($1::uuid)",
                      1, params, listed);
    }
}

static void revoked(void *arg, int err, const struct pg_result *res)
{
    struct pending *p = arg;

    if (err) {
        accounts_problem(pending_end(p), err);
        return;
    }
    accounts_sessions_ended(p->a, pg_text(res, 0, 0));
    http_reply(pending_end(p), 204, NULL);
}

void route_revoke_device(struct http_request *r, void *arg)
{
    struct accounts *a = arg;
    const struct http_principal *who = http_who(r);
    const char *id = http_path_arg(r, "id");
    const char *params[] = {who->user_id.s, id};
    struct pending *p;

    if (accounts_limited(a->changes, r, who->user_id.s)) {
        return;
    }
    if (!id_is_valid(id)) {
        accounts_problem(r, ERR_NOT_FOUND);
        return;
    }
    p = pending_new(a, r);
    if (p) {
        pending_query(p, "device_revoke", "SELECT device_revoke($1::uuid, $2::uuid)", 2, params,
                      revoked);
    }
}

void route_jwks(struct http_request *r, void *arg)
{
    struct accounts *a = arg;
    cJSON *set = jwks_build(a->keys);
    char *text = json_print(set);

    cJSON_Delete(set);
    if (!text) {
        accounts_problem(r, ERR_NOMEM);
        return;
    }
    http_set_header(r, "cache-control", "public, max-age=300");
    http_reply_text(r, 200, "application/jwk-set+json", text);
    free(text);
}
