/* Conversations and their members: direct ones (exactly one per pair of users) and groups. What
 * must be atomic is an SQL function of schema/030_conversations.sql; other parts that need a
 * conversation inside their own transaction call these from SQL: conversation_direct(user_a,
 * user_b) → uuid        finds or makes it; ST404 user_not_found
 *   conversation_require_member(conversation, user)   ST404 conversation_not_found for non-members
 *   conversation_member_ids(conversation) → uuid[]    ascending
 * Inbox rows likewise: see messaging/inbox.h. */
#ifndef SOTTO_MESSAGING_MESSAGING_H
#define SOTTO_MESSAGING_MESSAGING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/ids.h"
#include "lib/base/json.h"
#include "lib/io/http.h"
#include "lib/io/pg.h"

#define CONVERSATION_MAX_MEMBERS 64 /* of a group, the owner counted */
#define CONVERSATION_MAX_NAME    80 /* characters */

struct messaging;

/* Rows were committed to this user's inbox (the hub's hub_announce, wired by main.c). */
typedef void (*messaging_announce_fn)(void *arg, const char *user_id);

struct messaging_options {
    struct pg *pg;
    messaging_announce_fn announce; /* may be NULL */
    void *announce_arg;
};

struct messaging *messaging_new(const struct messaging_options *o);
void messaging_free(struct messaging *m);
/* POST/GET /v1/conversations, GET /v1/conversations/{id}. */
void messaging_add_routes(struct messaging *m, struct http_server *s);

struct conversation_member {
    struct id user_id;
    char username[64];
    char display_name[260]; /* "" when not set */
    char role[8];           /* "owner", "admin", "member" */
};

struct conversation {
    struct id id;
    char type[8]; /* "direct", "group", "room" */
    char name[CONVERSATION_MAX_NAME * 4 + 1];
    size_t n_members;
    const struct conversation_member *members; /* in order of joining */
};

/* c is borrowed for the call, NULL unless err is OK. ERR_NOT_FOUND: no such conversation, user not
 * a member of it, or (direct) no such user or one who blocked him: told apart by nobody. */
typedef void (*conversation_fn)(void *arg, int err, const struct conversation *c);
/* The members of a conversation that user_id is a member of. fn is called later unless an error is
 * returned (that of pg_query). */
int conversation_members(struct messaging *m, const char *conversation_id, const char *user_id,
                         conversation_fn fn, void *arg);
/* The direct conversation of two users; made if there is none. Returns likewise. */
int conversation_direct(struct messaging *m, const char *user_id, const char *other_id,
                        conversation_fn fn, void *arg);

#endif
