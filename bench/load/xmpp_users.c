/* The sessions of sotto-load-xmpp: they sign in, and join their rooms. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/xmpp_load.h"
#include "lib/base/err.h"

static void user_is_ready(struct user *u)
{
    struct load *l = u->load;
    if (u->ready)
        return;
    u->ready = true;
    if (++l->ready < l->clients)
        return;
    l->phase = LOAD_IDLE;
    cJSON *e = json_new();
    json_put_str(e, "ev", "ready");
    json_put_int(e, "sessions", l->ready);
    load_tell(e);
}

static void on_ready(struct xmpp *x, void *arg, bool resumed)
{
    struct user *u = arg;
    struct load *l = u->load;
    char room[256], nick[32];
    (void)resumed;
    if (l->mode != LOAD_ROOM) {
        user_is_ready(u);
        return;
    }
    snprintf(room, sizeof(room), "r%d@%s", u->index / l->members, l->room_service);
    snprintf(nick, sizeof(nick), "n%d", u->index);
    if (xmpp_join(x, room, nick) != OK)
        load_fail(l, "could not join");
}

static void on_joined(struct xmpp *x, void *arg, const char *room)
{
    (void)x;
    (void)room;
    user_is_ready(arg);
}

static void on_message(struct xmpp *x, void *arg, const struct xmpp_message *m)
{
    struct user *u = arg;
    (void)x;
    if (u->load->mode == LOAD_RECOVERY)
        recovery_message(u, m);
    else
        send_arrived(u, m);
}

/* Ids: "p<seq>" is the ping behind a message, "a…" a page of the archive. */
static void on_result(struct xmpp *x, void *arg, const char *id, bool ok, bool complete,
                      const char *last)
{
    struct user *u = arg;
    (void)x;
    if (id[0] == 'p')
        send_acked(u, strtoull(id + 1, NULL, 10));
    else if (id[0] == 'a')
        recovery_page(u, ok, complete, last);
}

static void on_closed(struct xmpp *x, void *arg, int err, const char *why, const char *resume,
                      uint32_t heard)
{
    struct user *u = arg;
    char text[256];
    (void)x;
    (void)resume;
    (void)heard;
    u->xmpp = NULL;
    if (u->load->over)
        return;
    snprintf(text, sizeof(text), "session u%d ended: %s: %s", u->load->first + u->index,
             err_name(err), why ? why : "");
    load_fail(u->load, text);
}

static const struct xmpp_handlers handlers = {
    .on_ready = on_ready,
    .on_message = on_message,
    .on_result = on_result,
    .on_joined = on_joined,
    .on_closed = on_closed,
};

static int open_one(struct load *l, int i)
{
    struct user *u = &l->users[i];
    char name[32];
    snprintf(name, sizeof(name), "u%d", l->first + i);
    u->load = l;
    u->index = i;
    struct xmpp_options o = {
        .url = l->url,
        .domain = l->domain,
        .user = name,
        .password = l->password,
        .resource = "load",
        .presence = l->mode != LOAD_RECOVERY,
        .managed = l->managed,
    };
    return xmpp_open(&u->xmpp, l->ws, &o, &handlers, u);
}

int users_open(struct load *l)
{
    l->users = calloc((size_t)l->clients, sizeof(*l->users));
    if (!l->users)
        return ERR_NOMEM;
    for (int i = 0; i < l->clients; i++) {
        int err = open_one(l, i);
        if (err != OK)
            return err;
    }
    return OK;
}

void users_free(struct load *l)
{
    free(l->users);
    l->users = NULL;
}
