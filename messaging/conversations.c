/* The routes of conversations: typed arguments in, one statement, the answer out. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "messaging/messaging_internal.h"

struct conversation_query {
    struct messaging *m;
    struct http_request *r;
    int limit;
};

static struct conversation_query *query_new(struct messaging *m, struct http_request *r)
{
    struct conversation_query *q = calloc(1, sizeof(*q));
    if (!q) {
        http_problem_err(r, ERR_NOMEM);
        return NULL;
    }
    q->m = m;
    q->r = r;
    return q;
}

/* JSON text of our own database; NULL never comes but from a broken one. */
static cJSON *parse_own(const char *text)
{
    cJSON *v = NULL;
    if (!text || json_parse(&v, text, strlen(text)) != OK)
        return NULL;
    return v;
}

static void reply_json(struct http_request *r, int status, const char *text)
{
    cJSON *body = parse_own(text);
    if (body)
        http_reply(r, status, body);
    else
        http_problem_err(r, ERR_IO);
}

/* ---- POST /v1/conversations ---- */
struct new_conversation {
    const char *type, *name;
    const cJSON *members;
};

static void read_members(struct new_conversation *n, const cJSON *body, const char *me,
                         struct json_errors *e)
{
    const cJSON *item;
    n->members = json_arr(body, "memberIds", JSON_REQUIRED, CONVERSATION_MAX_MEMBERS - 1, e);
    if (!n->members)
        return;
    if (cJSON_GetArraySize(n->members) < 1)
        json_error(e, "memberIds", "must name at least one other user");
    cJSON_ArrayForEach(item, n->members)
    {
        if (!cJSON_IsString(item) || !id_is_valid(item->valuestring)) {
            json_error(e, "memberIds", "must hold user ids only");
            return;
        }
    }
    if (n->type && strcmp(n->type, "direct") == 0) {
        if (cJSON_GetArraySize(n->members) > 1)
            json_error(e, "memberIds", "a direct conversation has one other member");
        else if (n->members->child && strcmp(n->members->child->valuestring, me) == 0)
            json_error(e, "memberIds", "must name another user than yourself");
    }
}

/* Counts characters (RFC 3629: every byte that doesn't continue one begins one). */
static size_t characters(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static void read_new(struct new_conversation *n, const cJSON *body, const char *me,
                     struct json_errors *e)
{
    static const char *const types[] = {"direct", "group", NULL};
    static const char *const encryptions[] = {"e2ee", NULL};
    int type = json_enum(body, "type", JSON_REQUIRED, types, e);
    n->type = type < 0 ? NULL : types[type];
    n->name = json_str(body, "name", JSON_OPTIONAL, 1, (size_t)CONVERSATION_MAX_NAME * 4, e);
    if (n->name && characters(n->name) > CONVERSATION_MAX_NAME)
        json_error(e, "name", "must have at most %d characters", CONVERSATION_MAX_NAME);
    if (n->name && type == 0)
        json_error(e, "name", "a direct conversation has no name");
    json_enum(body, "encryption", JSON_OPTIONAL, encryptions, e);
    read_members(n, body, me, e);
}

static void post_done(void *arg, int err, const struct pg_result *res)
{
    struct conversation_query *q = arg;
    if (err == ERR_NOT_FOUND)
        http_problem(q->r, 404, "user_not_found", "memberIds names a user that doesn't exist");
    else if (err != OK || pg_rows(res) != 1)
        http_problem_err(q->r, err ? err : ERR_IO);
    else {
        if (q->m->announce)
            uuid_array_each(pg_text(res, 0, 2), q->m->announce, q->m->announce_arg);
        reply_json(q->r, pg_bool(res, 0, 1) ? 201 : 200, pg_text(res, 0, 0));
    }
    free(q);
}

void conversations_post(struct http_request *r, void *arg)
{
    struct json_errors e = {0};
    struct new_conversation n = {0};
    const char *me = http_who(r)->user_id.s;
    read_new(&n, http_body(r), me, &e);
    if (e.n) {
        http_problem_fields(r, &e);
        return;
    }
    struct conversation_query *q = query_new(arg, r);
    if (!q)
        return;
    struct id fresh = id_new(clock_wall_us());
    struct buf members;
    buf_init(&members, 0);
    int err = uuid_array_write(&members, n.members);
    const char *params[] = {fresh.s, me, n.type, n.name, buf_cstr(&members)};
    if (err == OK)
        err = pg_query(q->m->pg, "conversation_post",
                       "SELECT body, created, told FROM conversation_post($1::uuid, $2::uuid, "
                       "$3::text, $4::text, $5::uuid[])",
                       5, params, NULL, post_done, q);
    buf_free(&members);
    if (err) {
        http_problem_err(r, err);
        free(q);
    }
}

/* ---- GET /v1/conversations ---- */
static void list_done(void *arg, int err, const struct pg_result *res)
{
    struct conversation_query *q = arg;
    if (err != OK) {
        http_problem_err(q->r, err);
        free(q);
        return;
    }
    cJSON *body = json_new(), *items = cJSON_CreateArray();
    int n = pg_rows(res), shown = n > q->limit ? q->limit : n;
    for (int i = 0; i < shown; i++)
        cJSON_AddItemToArray(items, parse_own(pg_text(res, i, 0)));
    json_put(body, "items", items);
    if (n > q->limit) { /* one more was asked for than is shown: there is a next page */
        char next[CONVERSATION_CURSOR_LEN];
        conversation_cursor_format(next, pg_int(res, shown - 1, 1), pg_text(res, shown - 1, 2));
        json_put_str(body, "nextCursor", next);
    } else {
        json_put_null(body, "nextCursor");
    }
    http_reply(q->r, 200, body);
    free(q);
}

static int read_limit(struct http_request *r, struct json_errors *e)
{
    const char *text = http_query(r, "limit");
    if (!text)
        return 50;
    char *end = NULL;
    long v = strtol(text, &end, 10);
    if (end == text || *end || v < 1 || v > 100) {
        json_error(e, "limit", "must be a number from 1 to 100");
        return 50;
    }
    return (int)v;
}

void conversations_list(struct http_request *r, void *arg)
{
    struct json_errors e = {0};
    int limit = read_limit(r, &e);
    const char *cursor = http_query(r, "cursor");
    int64_t at_us = 0;
    struct id before;
    if (cursor && conversation_cursor_parse(cursor, &at_us, &before) != OK)
        json_error(&e, "cursor", "must be the nextCursor of a page before");
    if (e.n) {
        http_problem_fields(r, &e);
        return;
    }
    struct conversation_query *q = query_new(arg, r);
    if (!q)
        return;
    q->limit = limit;
    char at[24], page[16];
    snprintf(at, sizeof(at), "%" PRId64, at_us);
    snprintf(page, sizeof(page), "%d", limit + 1);
    const char *params[] = {http_who(r)->user_id.s, cursor ? at : NULL, cursor ? before.s : NULL,
                            page};
    int err = pg_query(q->m->pg, "conversation_list",
                       "SELECT body, at_us, id FROM conversation_list($1::uuid, $2::bigint, "
                       "$3::uuid, $4::int)",
                       4, params, NULL, list_done, q);
    if (err) {
        http_problem_err(r, err);
        free(q);
    }
}

/* ---- GET /v1/conversations/{id} ---- */
static void get_done(void *arg, int err, const struct pg_result *res)
{
    struct conversation_query *q = arg;
    const char *text = err == OK && pg_rows(res) == 1 ? pg_text(res, 0, 0) : NULL;
    if (text)
        reply_json(q->r, 200, text);
    else if (err == OK || err == ERR_NOT_FOUND)
        http_problem(q->r, 404, "conversation_not_found", NULL);
    else
        http_problem_err(q->r, err);
    free(q);
}

void conversations_get(struct http_request *r, void *arg)
{
    const char *id = http_path_arg(r, "id");
    if (!id_is_valid(id)) {
        http_problem(r, 404, "conversation_not_found", NULL);
        return;
    }
    struct conversation_query *q = query_new(arg, r);
    if (!q)
        return;
    const char *params[] = {id, http_who(r)->user_id.s};
    int err = pg_query(q->m->pg, "conversation_get", "SELECT conversation_json($1::uuid, $2::uuid)",
                       2, params, NULL, get_done, q);
    if (err) {
        http_problem_err(r, err);
        free(q);
    }
}
