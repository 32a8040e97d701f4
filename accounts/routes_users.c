/* GET and PATCH /v1/users/me, GET /v1/users/{id}, GET /v1/users?username= and ?query=. */
#include <string.h>

#include "accounts/internal.h"
#include "accounts/profile.h"
#include "accounts/validate.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/ids.h"
#include "lib/base/json.h"

#define SEARCH_MIN   2 /* bytes */
#define SEARCH_MAX   (DISPLAY_NAME_MAX * 4)
#define SEARCH_LIMIT "20"

#define OWN_COLUMNS                                                                                \
    "id, username, display_name, avatar_media_id, status_text, epoch_us(last_seen_at), email, "    \
    "role,"                                                                                        \
    " show_last_seen, epoch_us(created_at)"
#define PUBLIC_COLUMNS                                                                             \
    "id, username, display_name, avatar_media_id, status_text, epoch_us(last_seen_at)"

static void read_public(struct profile *p, const struct pg_result *res, int row)
{
    *p = (struct profile){.id = pg_text(res, row, 0),
                          .username = pg_text(res, row, 1),
                          .display_name = pg_text(res, row, 2),
                          .avatar_media_id = pg_text(res, row, 3),
                          .status_text = pg_text(res, row, 4),
                          .last_seen_us = pg_int(res, row, 5)};
}

static void answer_own(void *arg, int err, const struct pg_result *res)
{
    struct pending *p = arg;
    struct profile profile;

    if (!err && pg_rows(res) != 1) {
        err = ERR_NOT_FOUND; /* suspended or gone since the token was made */
    }
    if (err) {
        accounts_problem(pending_end(p), err);
        return;
    }
    read_public(&profile, res, 0);
    profile.email = pg_text(res, 0, 6);
    profile.role = pg_text(res, 0, 7);
    profile.show_last_seen = pg_bool(res, 0, 8);
    profile.created_us = pg_int(res, 0, 9);
    http_reply(pending_end(p), 200, profile_own(&profile));
}

void route_get_me(struct http_request *r, void *arg)
{
    const char *params[] = {http_who(r)->user_id.s};
    struct pending *p = pending_new(arg, r);

    if (p) {
        pending_query(p, "user_own",
                      "SELECT " OWN_COLUMNS
                      " FROM users WHERE id = $1::uuid AND suspended_at IS NULL",
                      1, params, answer_own);
    }
}

/* What account_update takes: a text or NULL, and for what may be cleared whether it is set at all.
 */
struct update {
    const char *display_name, *status, *avatar, *show_last_seen;
    bool set_status, set_avatar;
};

static bool has(const cJSON *o, const char *field)
{
    return cJSON_GetObjectItemCaseSensitive(o, field) != NULL;
}

static void read_update(struct update *u, const cJSON *body, struct json_errors *e)
{
    const cJSON *status = cJSON_GetObjectItemCaseSensitive(body, "statusText");
    bool clears = cJSON_IsString(status) && !status->valuestring[0];

    u->display_name = validate_label(body, "displayName", JSON_OPTIONAL, DISPLAY_NAME_MAX, e);
    u->set_status = has(body, "statusText");
    u->status =
        clears ? NULL : validate_label(body, "statusText", JSON_OPTIONAL, STATUS_TEXT_MAX, e);
    u->set_avatar = has(body, "avatarMediaId");
    u->avatar = json_id(body, "avatarMediaId", JSON_OPTIONAL, e);
    if (has(body, "showLastSeen")) {
        u->show_last_seen =
            json_bool(body, "showLastSeen", JSON_REQUIRED, true, e) ? "true" : "false";
    }
    if (cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(body, "displayName"))) {
        json_error(e, "displayName", "can't be cleared");
    }
}

void route_update_me(struct http_request *r, void *arg)
{
    struct accounts *a = arg;
    const char *me = http_who(r)->user_id.s;
    struct json_errors e = {0};
    struct update u = {0};
    struct pending *p;

    if (accounts_limited(a->changes, r, me)) {
        return;
    }
    read_update(&u, http_body(r), &e);
    if (e.n) {
        http_problem_fields(r, &e);
        return;
    }
    p = pending_new(a, r);
    if (p) {
        const char *params[] = {me,
                                u.display_name,
                                u.set_status ? "true" : "false",
                                u.status,
                                u.set_avatar ? "true" : "false",
                                u.avatar,
                                u.show_last_seen};
        pending_query(p, "account_update",
                      "SELECT " OWN_COLUMNS " FROM account_update($1::uuid, $2, $3::boolean, $4,"
                      " $5::boolean, $6::uuid, $7::boolean)",
                      7, params, answer_own);
    }
}

static void answer_one(void *arg, int err, const struct pg_result *res)
{
    struct pending *p = arg;
    struct profile profile;

    if (!err && pg_rows(res) != 1) {
        err = ERR_NOT_FOUND;
    }
    if (err) {
        accounts_problem(pending_end(p), err);
        return;
    }
    read_public(&profile, res, 0);
    http_reply(pending_end(p), 200, profile_public(&profile));
}

void route_get_user(struct http_request *r, void *arg)
{
    struct accounts *a = arg;
    const char *id = http_path_arg(r, "id");
    const char *params[] = {id};
    struct pending *p;

    if (accounts_limited(a->lookups, r, http_who(r)->user_id.s)) {
        return;
    }
    if (!id_is_valid(id)) {
        accounts_problem(r, ERR_NOT_FOUND);
        return;
    }
    p = pending_new(a, r);
    if (p) {
        pending_query(p, "user_public",
                      "SELECT " PUBLIC_COLUMNS " FROM user_public WHERE id = $1::uuid", 1, params,
                      answer_one);
    }
}

static void answer_list(void *arg, int err, const struct pg_result *res)
{
    struct pending *p = arg;
    struct profile profile;
    cJSON *body, *items;

    if (err) {
        accounts_problem(pending_end(p), err);
        return;
    }
    body = json_new();
    items = cJSON_CreateArray();
    for (int i = 0; i < pg_rows(res); i++) {
        read_public(&profile, res, i);
        cJSON_AddItemToArray(items, profile_public(&profile));
    }
    json_put(body, "items", items);
    json_put_null(body, "nextCursor");
    http_reply(pending_end(p), 200, body);
}

static void find(struct accounts *a, struct http_request *r, const char *username,
                 const char *query)
{
    const char *exact[] = {username};
    const char *search[] = {query, http_who(r)->user_id.s, SEARCH_LIMIT};
    struct pending *p = pending_new(a, r);

    if (!p) {
        return;
    }
    if (username) {
        pending_query(p, "user_by_name",
                      "SELECT " PUBLIC_COLUMNS " FROM user_public WHERE username = lower($1)", 1,
                      exact, answer_list);
    } else {
        pending_query(p, "user_search",
                      "SELECT " PUBLIC_COLUMNS " FROM user_search($1, $2::uuid, $3::int)", 3,
                      search, answer_list);
    }
}

void route_find_users(struct http_request *r, void *arg)
{
    struct accounts *a = arg;
    const char *username = http_query(r, "username"), *query = http_query(r, "query");
    struct json_errors e = {0};

    if (accounts_limited(a->lookups, r, http_who(r)->user_id.s)) {
        return;
    }
    if (!username == !query) {
        json_error(&e, "username", "give either username or query");
    } else if (username && strlen(username) > USERNAME_MAX) {
        json_error(&e, "username", "must be at most %d bytes long", USERNAME_MAX);
    } else if (query && (strlen(query) < SEARCH_MIN || strlen(query) > SEARCH_MAX)) {
        json_error(&e, "query", "must be %d to %d bytes long", SEARCH_MIN, SEARCH_MAX);
    }
    /* a decoded query may hold any bytes; PostgreSQL takes UTF-8 only */
    if (!e.n && !utf8_is_valid(username ? username : query, strlen(username ? username : query))) {
        json_error(&e, username ? "username" : "query", "must be UTF-8");
    }
    if (e.n) {
        http_problem_fields(r, &e);
        return;
    }
    find(a, r, username, query);
}
