/* GET /v1/calls, GET /v1/calls/{id}; POST /v1/calls is in call_requests.c. */
#include <stdio.h>
#include <stdlib.h>

#include "signaling/shell/call_shell.h"

#define DEFAULT_LIMIT 50
#define MAX_LIMIT     100

struct page {
    struct calls *s;
    struct http_request *r;
    int limit;
};

/* A user whose call has just ended reads behind that write; others don't wait for it. */
static const char *read_lane(struct calls *s, const struct http_request *r)
{
    const struct call_user *u = call_user_find(s, http_who(r)->user_id.s);
    for (int i = 0; u != NULL && i < u->n; i++) {
        if (u->entries[i]->call->state == CALL_ENDED && !u->entries[i]->end_written) {
            return CALL_LANE;
        }
    }
    return NULL;
}

static void on_history(void *arg, int err, const struct pg_result *res)
{
    struct page *p = arg;
    struct http_request *r = p->r;
    int limit = p->limit;
    calls_unref(p->s);
    free(p);
    if (err != OK) {
        http_problem_err(r, err);
        return;
    }
    int rows = pg_rows(res);
    cJSON *body = json_new();
    cJSON *items = cJSON_AddArrayToObject(body, "items");
    const char *last = NULL;
    for (int i = 0; i < rows && i < limit; i++) {
        cJSON_AddItemToArray(items, cJSON_CreateRaw(pg_text(res, i, 0)));
        last = pg_text(res, i, 1);
    }
    if (rows > limit) {
        json_put_str(body, "nextCursor", last);
    } else {
        json_put_null(body, "nextCursor");
    }
    http_reply(r, 200, body);
}

static bool read_limit(const char *text, int *out)
{
    if (text == NULL) {
        return true;
    }
    char *end;
    long v = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || v < 1 || v > MAX_LIMIT) {
        return false;
    }
    *out = (int)v;
    return true;
}

static void on_list(struct http_request *r, void *arg)
{
    struct calls *s = arg;
    struct json_errors e = {0};
    int limit = DEFAULT_LIMIT;
    const char *cursor = http_query(r, "cursor");
    if (!read_limit(http_query(r, "limit"), &limit)) {
        json_error(&e, "limit", "must be a number from 1 to %d", MAX_LIMIT);
    }
    if (cursor != NULL && !id_is_valid(cursor)) {
        json_error(&e, "cursor", "isn't one of ours");
    }
    if (e.n > 0) {
        http_problem_fields(r, &e);
        return;
    }
    struct page *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        abort();
    }
    *p = (struct page){.s = s, .r = r, .limit = limit};
    char count[12];
    snprintf(count, sizeof(count), "%d", limit + 1);
    const char *params[] = {http_who(r)->user_id.s, cursor, count};
    calls_ref(s);
    int err =
        pg_query(s->o.pg, "call_history", "SELECT h, h->>'callId' FROM call_history($1,$2,$3) AS h",
                 3, params, read_lane(s, r), on_history, p);
    if (err != OK) {
        calls_unref(s);
        free(p);
        http_problem_err(r, err);
    }
}

static void on_record(void *arg, int err, const struct pg_result *res)
{
    struct page *p = arg;
    struct http_request *r = p->r;
    calls_unref(p->s);
    free(p);
    const char *text = err == OK && pg_rows(res) > 0 ? pg_text(res, 0, 0) : NULL;
    if (err == ERR_NOT_FOUND || (err == OK && text == NULL)) {
        /* The same for a call that isn't there and one that isn't his: the answer tells nothing. */
        http_problem(r, 403, "forbidden", call_error_text(CALL_E_FORBIDDEN));
    } else if (err != OK) {
        http_problem_err(r, err);
    } else {
        http_reply(r, 200, cJSON_CreateRaw(text));
    }
}

static void on_one(struct http_request *r, void *arg)
{
    struct calls *s = arg;
    const char *id = http_path_arg(r, "id");
    if (!id_is_valid(id)) {
        http_problem(r, 404, "call_not_found", call_error_text(CALL_E_NOT_FOUND));
        return;
    }
    struct page *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        abort();
    }
    *p = (struct page){.s = s, .r = r};
    const char *params[] = {id, http_who(r)->user_id.s};
    calls_ref(s);
    int err = pg_query(s->o.pg, "call_get", "SELECT call_get($1,$2)", 2, params, read_lane(s, r),
                       on_record, p);
    if (err != OK) {
        calls_unref(s);
        free(p);
        http_problem_err(r, err);
    }
}

void call_routes_add(struct calls *s)
{
    static const struct http_route routes[] = {
        {HTTP_POST, "/v1/calls", call_http_start, HTTP_AUTH | HTTP_IDEMPOTENT, 0, NULL},
        {HTTP_GET, "/v1/calls", on_list, HTTP_AUTH, 0, NULL},
        {HTTP_GET, "/v1/calls/{id}", on_one, HTTP_AUTH, 0, NULL},
        {.path = NULL},
    };
    if (s->o.http != NULL) {
        http_add_routes(s->o.http, routes, s);
    }
}
