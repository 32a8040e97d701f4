#include "messaging/messaging.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "messaging/messaging_internal.h"

struct messaging *messaging_new(const struct messaging_options *o)
{
    struct messaging *m = calloc(1, sizeof(*m));
    if (!m)
        return NULL;
    m->pg = o->pg;
    m->announce = o->announce;
    m->announce_arg = o->announce_arg;
    return m;
}

void messaging_free(struct messaging *m)
{
    free(m);
}

static const struct http_route messaging_routes[] = {
    {HTTP_POST, "/v1/conversations", conversations_post, HTTP_AUTH | HTTP_IDEMPOTENT, 0, NULL},
    {HTTP_GET, "/v1/conversations", conversations_list, HTTP_AUTH, 0, NULL},
    {HTTP_GET, "/v1/conversations/{id}", conversations_get, HTTP_AUTH, 0, NULL},
    {.path = NULL},
};

void messaging_add_routes(struct messaging *m, struct http_server *s)
{
    http_add_routes(s, messaging_routes, m);
}

/* ---- conversations for other parts ---- */
struct members_query {
    conversation_fn fn;
    void *arg;
};

static void member_read(struct conversation_member *m, const struct pg_result *res, int row)
{
    id_parse(&m->user_id, pg_text(res, row, 3));
    str_copy(m->username, sizeof(m->username), pg_text(res, row, 4));
    str_copy(m->display_name, sizeof(m->display_name), pg_text(res, row, 5));
    str_copy(m->role, sizeof(m->role), pg_text(res, row, 6));
}

static void members_done(void *arg, int err, const struct pg_result *res)
{
    struct members_query *q = arg;
    int n = err == OK ? pg_rows(res) : 0;
    struct conversation c = {.n_members = (size_t)n};
    struct conversation_member *members = NULL;
    if (err == OK && n == 0)
        err = ERR_NOT_FOUND;
    if (err == OK && !(members = calloc((size_t)n, sizeof(*members))))
        err = ERR_NOMEM;
    if (err == OK) {
        for (int i = 0; i < n; i++)
            member_read(&members[i], res, i);
        id_parse(&c.id, pg_text(res, 0, 0));
        str_copy(c.type, sizeof(c.type), pg_text(res, 0, 1));
        str_copy(c.name, sizeof(c.name), pg_text(res, 0, 2) ? pg_text(res, 0, 2) : "");
        c.members = members;
    }
    q->fn(q->arg, err, err == OK ? &c : NULL);
    free(members);
    free(q);
}

#define MEMBERS_OF                                                                                 \
    "SELECT c.id, c.type, c.name, m.user_id, u.username, u.display_name, m.role "                  \
    "FROM conversations c JOIN conversation_members m ON m.conversation_id = c.id "                \
    "JOIN users u ON u.id = m.user_id "

static int members_query(struct messaging *m, const char *name, const char *sql, const char *a,
                         const char *b, conversation_fn fn, void *arg)
{
    struct members_query *q = calloc(1, sizeof(*q));
    if (!q)
        return ERR_NOMEM;
    q->fn = fn;
    q->arg = arg;
    const char *params[] = {a, b};
    int err = pg_query(m->pg, name, sql, 2, params, NULL, members_done, q);
    if (err)
        free(q);
    return err;
}

int conversation_members(struct messaging *m, const char *conversation_id, const char *user_id,
                         conversation_fn fn, void *arg)
{
    return members_query(m, "conversation_members",
                         MEMBERS_OF "WHERE c.id = $1::uuid AND EXISTS (SELECT 1 FROM "
                                    "conversation_members me WHERE me.conversation_id = c.id AND "
                                    "me.user_id = $2::uuid) ORDER BY m.joined_at, m.user_id",
                         conversation_id, user_id, fn, arg);
}

/* Rows that the SQL function has just made are outside the outer statement's snapshot, so it reads
 * them itself. */
int conversation_direct(struct messaging *m, const char *user_id, const char *other_id,
                        conversation_fn fn, void *arg)
{
    return members_query(m, "conversation_direct",
                         "SELECT id, type, name, user_id, username, display_name, role "
                         "FROM conversation_direct_members($1::uuid, $2::uuid)",
                         user_id, other_id, fn, arg);
}

/* ---- pure helpers ---- */
void conversation_cursor_format(char out[CONVERSATION_CURSOR_LEN], int64_t at_us, const char *id)
{
    snprintf(out, CONVERSATION_CURSOR_LEN, "%lld_%s", (long long)at_us, id);
}

int conversation_cursor_parse(const char *text, int64_t *at_us, struct id *id)
{
    const char *sep = strchr(text, '_');
    int64_t v = 0;
    if (!sep || sep == text || sep - text > 17 || !id_is_valid(sep + 1))
        return ERR_INVALID;
    for (const char *p = text; p < sep; p++) {
        if (*p < '0' || *p > '9')
            return ERR_INVALID;
        v = v * 10 + (*p - '0');
    }
    *at_us = v;
    return id_parse(id, sep + 1);
}

void uuid_array_each(const char *text, messaging_announce_fn each, void *arg)
{
    for (const char *p = text; p && (*p == '{' || *p == ',');) {
        struct id one;
        char item[ID_LEN + 1] = {0};
        memcpy(item, p + 1, strnlen(p + 1, ID_LEN));
        if (id_parse(&one, item) != OK)
            return;
        each(arg, one.s);
        p += 1 + ID_LEN;
    }
}

int uuid_array_write(struct buf *b, const cJSON *ids)
{
    const cJSON *item;
    int err = buf_append_str(b, "{");
    cJSON_ArrayForEach(item, ids)
    {
        if (err == OK)
            err = buf_printf(b, "%s%s", item == ids->child ? "" : ",", item->valuestring);
    }
    return err ? err : buf_append_str(b, "}");
}
