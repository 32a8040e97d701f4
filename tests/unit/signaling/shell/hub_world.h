/* The world around a hub, played: accounts, PostgreSQL with an inbox, the server's sockets, timers.
 * Everything that would come later from the loop waits in a queue that the test turns. Its
 * definitions of lib/io and accounts functions take the place of the real ones at link time, so
 * it's included by one file of a program only. */
#ifndef SOTTO_TESTS_HUB_WORLD_H
#define SOTTO_TESTS_HUB_WORLD_H

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "accounts/accounts.h"
#include "lib/base/json.h"
#include "signaling/shell/hub.h"

#define ALICE  "01900000-0000-7000-8000-00000000000a"
#define BOB    "01900000-0000-7000-8000-00000000000b"
#define PHONE  "01900000-0000-7000-8000-00000000000d"
#define LAPTOP "01900000-0000-7000-8000-00000000000e"

enum { WORLD_EVENTS = 1000, WORLD_CLIENTS = 16, WORLD_ROWS = 256 };

/* A client, which is also the server's `struct ws`. */
struct client {
    void *user; /* the hub's socket */
    struct http_principal who;
    bool gone;
    char seen[16384]; /* "type:cursor-or-id " or "type#n " of every frame it got */
    int durable, errors;
    int disorder; /* durable frames that didn't come after a lower cursor */
    int64_t last;
    size_t queued;  /* what ws_queued_bytes says */
    int room;       /* durable frames that still fit */
    bool overflown; /* until ws_resume */
    bool stuck;     /* refuses everything */
    int close_code;
    char close_reason[128];
};

struct pg_result {
    int n;
    char text[WORLD_ROWS][5][64];
    bool null[WORLD_ROWS][5];
};

struct world {
    struct client clients[WORLD_CLIENTS];
    int n_clients;
    struct {
        char user[ID_LEN + 1], device[ID_LEN + 1], type[32];
        int64_t cursor;
    } events[WORLD_EVENTS];
    int n_events;
    struct pending *pending; /* in order */
    int queries, ticket_err, query_err;
};

/* Something that the loop would bring later. */
struct pending {
    struct pending *prev, *next;
    accounts_ticket_fn ticket; /* or: */
    pg_fn fn;
    void *arg;
    char name[32], param[4][64];
    struct pg_result *res; /* once it was read */
};

struct loop_timer {
    loop_fn fn;
    void *arg;
    bool on;
    struct loop_timer *prev, *next;
};

static struct world *world;
static struct ws_options world_ws;
static struct loop_timer *world_all_timers;

/* ---- PostgreSQL ---- */
static void put(struct pg_result *res, int row, int col, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(res->text[row][col], sizeof(res->text[row][col]), fmt, ap);
    va_end(ap);
    res->null[row][col] = false;
}

static int64_t newest(const char *user)
{
    int64_t last = 0;
    for (int i = 0; i < world->n_events; i++) {
        if (strcmp(world->events[i].user, user) == 0)
            last = world->events[i].cursor;
    }
    return last;
}

static void read_inbox(struct pg_result *res, const struct pending *p)
{
    int limit = (int)strtol(p->param[3], NULL, 10);
    int64_t since = strtoll(p->param[2], NULL, 10);
    for (int i = 0; i < world->n_events && res->n < limit; i++) {
        const char *device = world->events[i].device;
        if (strcmp(world->events[i].user, p->param[0]) != 0 || world->events[i].cursor <= since)
            continue;
        if (p->param[1][0] && device[0] && strcmp(device, p->param[1]) != 0)
            continue;
        put(res, res->n, 0, "%" PRId64, newest(p->param[0]));
        put(res, res->n, 1, "%" PRId64, world->events[i].cursor);
        if (device[0])
            put(res, res->n, 2, "%s", device);
        put(res, res->n, 3, "%s", world->events[i].type);
        put(res, res->n, 4, "{}");
        res->n++;
    }
    if (res->n == 0)
        put(res, res->n++, 0, "%" PRId64, newest(p->param[0]));
}

static void read_now(struct pending *p)
{
    if (p->ticket || p->res)
        return;
    p->res = calloc(1, sizeof(*p->res));
    memset(p->res->null, 1, sizeof(p->res->null));
    int64_t last = newest(p->param[0]), asked = strtoll(p->param[2], NULL, 10);
    if (strcmp(p->name, "inbox_read") == 0) {
        read_inbox(p->res, p);
        return;
    }
    p->res->n = 1;
    if (strcmp(p->name, "inbox_start") == 0) {
        put(p->res, 0, 0, "%" PRId64, asked < 0 ? 0 : asked > last ? last : asked);
        put(p->res, 0, 1, "%" PRId64, last);
        put(p->res, 0, 2, "f");
    } else if (strcmp(p->name, "inbox_ack") == 0) {
        put(p->res, 0, 0, "%" PRId64, asked > last ? last : asked);
    }
}

int pg_query(struct pg *pg, const char *name, const char *sql, int n_params,
             const char *const *params, const char *lane, pg_fn fn, void *arg)
{
    (void)pg, (void)sql, (void)lane;
    struct pending *p = calloc(1, sizeof(*p));
    p->fn = fn;
    p->arg = arg;
    str_copy(p->name, sizeof(p->name), name);
    for (int i = 0; i < n_params; i++)
        str_copy(p->param[i], sizeof(p->param[i]), params[i] ? params[i] : "");
    world->queries++;
    DL_APPEND(world->pending, p);
    return OK;
}

int pg_rows(const struct pg_result *r)
{
    return r->n;
}

const char *pg_text(const struct pg_result *r, int row, int col)
{
    return r->null[row][col] ? NULL : r->text[row][col];
}

int64_t pg_int(const struct pg_result *r, int row, int col)
{
    return r->null[row][col] ? 0 : strtoll(r->text[row][col], NULL, 10);
}

bool pg_bool(const struct pg_result *r, int row, int col)
{
    return r->text[row][col][0] == 't';
}

/* ---- accounts ---- */
int accounts_check_ticket(struct accounts *a, const char *token, struct http_principal *out,
                          const char **why)
{
    (void)a, (void)token, (void)out, (void)why;
    return OK;
}

int accounts_spend_ticket(struct accounts *a, const char *token, accounts_ticket_fn fn, void *arg)
{
    (void)a, (void)token;
    struct pending *p = calloc(1, sizeof(*p));
    p->ticket = fn;
    p->arg = arg;
    DL_APPEND(world->pending, p);
    return OK;
}

void accounts_touch(struct accounts *a, const struct http_principal *who)
{
    (void)a, (void)who;
}

/* ---- timers ---- */
struct loop_timer *loop_timer_new(struct loop *l, loop_fn fn, void *arg)
{
    (void)l;
    struct loop_timer *t = calloc(1, sizeof(*t));
    t->fn = fn;
    t->arg = arg;
    DL_APPEND(world_all_timers, t);
    return t;
}

void loop_timer_start(struct loop_timer *t, int64_t delay_us, int64_t repeat_us)
{
    (void)delay_us, (void)repeat_us;
    t->on = true;
}

void loop_timer_stop(struct loop_timer *t)
{
    t->on = false;
}

void loop_timer_free(struct loop_timer *t)
{
    DL_DELETE(world_all_timers, t);
    free(t);
}

/* ---- the server ---- */
void http_add_ws(struct http_server *s, const struct ws_options *o)
{
    (void)s;
    world_ws = *o;
}

void http_add_routes(struct http_server *s, const struct http_route *routes, void *arg)
{
    (void)s, (void)routes, (void)arg;
}

const struct http_principal *http_who(const struct http_request *r)
{
    (void)r;
    return NULL;
}

const char *http_query(const struct http_request *r, const char *name)
{
    (void)r, (void)name;
    return NULL;
}

void http_reply(struct http_request *r, int status, cJSON *body)
{
    (void)r, (void)status;
    cJSON_Delete(body);
}

void http_problem_fields(struct http_request *r, const struct json_errors *e)
{
    (void)r, (void)e;
}

void http_problem_err(struct http_request *r, int err)
{
    (void)r, (void)err;
}

static struct client *client_of(struct ws *ws)
{
    return (struct client *)ws;
}

static void client_take(struct client *c, const char *text, size_t len)
{
    cJSON *f = cJSON_ParseWithLength(text, len);
    assert_non_null(f);
    const char *type = cJSON_GetStringValue(cJSON_GetObjectItem(f, "type"));
    const cJSON *data = cJSON_GetObjectItem(f, "data"), *cursor = cJSON_GetObjectItem(f, "cursor");
    const cJSON *id = cJSON_GetObjectItem(f, "id"), *n = cJSON_GetObjectItem(data, "n");
    size_t at = strlen(c->seen), room = sizeof(c->seen) - at;
    char *end = c->seen + at;
    if (cursor) {
        c->durable++;
        c->disorder += (int64_t)cursor->valuedouble <= c->last;
        c->last = (int64_t)cursor->valuedouble;
    } else {
        cursor = cJSON_GetObjectItem(data, "cursor");
    }
    if (cJSON_IsFalse(cJSON_GetObjectItem(f, "ok")))
        c->errors++;
    if (cursor)
        snprintf(end, room, "%s:%" PRId64 " ", type, (int64_t)cursor->valuedouble);
    else if (cJSON_IsString(id))
        snprintf(end, room, "%s:\"%s\" ", type, id->valuestring);
    else if (cJSON_IsNumber(id))
        snprintf(end, room, "%s:%d ", type, id->valueint);
    else if (n)
        snprintf(end, room, "%s#%d ", type, n->valueint);
    else
        snprintf(end, room, "%s ", type);
    cJSON_Delete(f);
}

int ws_send(struct ws *ws, enum ws_class cls, const char *text, size_t len)
{
    struct client *c = client_of(ws);
    if (c->close_code || c->gone)
        return ERR_CLOSED;
    if (c->stuck || (c->overflown && cls != WS_CONTROL))
        return ERR_LIMIT;
    if (cls == WS_DURABLE && c->room-- == 0) {
        c->overflown = true;
        world_ws.handlers->on_overflow(ws, world_ws.arg);
        return ERR_LIMIT;
    }
    client_take(c, text, len);
    return OK;
}

void ws_close(struct ws *ws, int code, const char *reason)
{
    struct client *c = client_of(ws);
    if (c->close_code)
        return;
    c->close_code = code;
    assert_int_equal(str_copy(c->close_reason, sizeof(c->close_reason), reason), OK);
}

void ws_resume(struct ws *ws)
{
    client_of(ws)->overflown = false;
}

void ws_set_user(struct ws *ws, void *user)
{
    client_of(ws)->user = user;
}

void *ws_user(const struct ws *ws)
{
    return ((const struct client *)ws)->user;
}

const struct http_principal *ws_who(const struct ws *ws)
{
    return &((const struct client *)ws)->who;
}

size_t ws_queued_bytes(const struct ws *ws)
{
    return ((const struct client *)ws)->queued;
}

/* ---- the test's side ---- */
static struct hub *world_start(struct world *w)
{
    struct hub_options o = {.heartbeat_us = 30000000, .retention_us = 1};
    memset(w, 0, sizeof(*w));
    world = w;
    return hub_new(&o);
}

/* Answers the oldest thing that waits. */
static bool world_step(struct world *w)
{
    struct pending *p = w->pending;
    if (!p)
        return false;
    DL_DELETE(w->pending, p);
    if (p->ticket) {
        p->ticket(p->arg, w->ticket_err);
    } else if (w->query_err == OK) {
        read_now(p);
        p->fn(p->arg, OK, p->res);
    } else {
        p->fn(p->arg, w->query_err, NULL);
    }
    free(p->res);
    free(p);
    return true;
}

/* … until nothing waits. */
static void world_run(struct world *w)
{
    for (int i = 0; world_step(w); i++)
        assert_true(i < 1000);
}

/* What waits is read now and answered later: events written in between don't show in it. */
static void world_read(struct world *w)
{
    struct pending *p;
    DL_FOREACH(w->pending, p)
    read_now(p);
}

/* Fires every timer that is started. */
static void world_timers(void)
{
    struct loop_timer *t, *tmp;
    DL_FOREACH_SAFE(world_all_timers, t, tmp)
    {
        bool on = t->on;
        t->on = false;
        if (on)
            t->fn(t->arg);
    }
}

/* A row in the user's inbox. device NULL: for all. */
static void world_event(struct world *w, const char *user, const char *device, const char *type)
{
    int i = w->n_events;
    assert_true(i < WORLD_EVENTS);
    w->events[i].cursor = newest(user) + 1;
    str_copy(w->events[i].user, sizeof(w->events[i].user), user);
    str_copy(w->events[i].device, sizeof(w->events[i].device), device ? device : "");
    str_copy(w->events[i].type, sizeof(w->events[i].type), type);
    w->n_events++;
}

static struct client *world_connect(struct world *w, const char *user, const char *device,
                                    const char *since)
{
    assert_true(w->n_clients < WORLD_CLIENTS);
    struct client *c = &w->clients[w->n_clients++];
    c->room = 100000;
    id_parse(&c->who.user_id, user);
    id_parse(&c->who.device_id, device);
    id_parse(&c->who.session_id, user);
    world_ws.handlers->on_open((struct ws *)c, world_ws.arg, "ticket", since);
    return c;
}

static void client_send(struct client *c, const char *text)
{
    if (!c->close_code)
        world_ws.handlers->on_text((struct ws *)c, world_ws.arg, text, strlen(text));
}

/* The connection breaks. */
static void client_drop(struct client *c)
{
    c->gone = true;
    world_ws.handlers->on_close((struct ws *)c, world_ws.arg, 1006);
}

/* Everybody goes, what is pending hears ERR_CLOSED, the hub is freed. */
static void world_stop(struct world *w, struct hub *hub)
{
    for (int i = 0; i < w->n_clients; i++) {
        if (!w->clients[i].gone)
            client_drop(&w->clients[i]);
    }
    w->ticket_err = w->query_err = ERR_CLOSED;
    world_run(w);
    hub_free(hub);
    assert_null(world_all_timers);
}

#endif
