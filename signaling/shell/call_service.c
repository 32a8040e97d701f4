#include "signaling/shell/call_service.h"

#include <stdlib.h>

#include "signaling/shell/call_shell.h"
#include "signaling/shell/whip.h"

#define MAX_LIMITED_USERS 100000

void calls_ref(struct calls *s)
{
    s->refs++;
}

bool calls_unref(struct calls *s)
{
    bool open = !s->closed;
    if (--s->refs == 0) {
        free(s);
    }
    return open;
}

/* A device came or went: told to every call of its user. */
static void on_presence(void *arg, const struct http_principal *who, bool online)
{
    struct calls *s = arg;
    const struct call_user *u = call_user_find(s, who->user_id.s);
    for (int i = 0; u != NULL && i < u->n; i++) {
        if (!online && whip_holds(u->entries[i], &who->device_id)) {
            continue; /* it is there by WHIP or WHEP still */
        }
        struct call_event ev = {.type = online ? CALL_SOCKET_BACK : CALL_SOCKET_LOST,
                                .user_id = who->user_id,
                                .device_id = who->device_id};
        call_entry_step(u->entries[i], &ev);
    }
}

/* The next call that this device of the user is in, or NULL. */
static struct call_entry *joined_entry(struct calls *s, const struct id *user_id,
                                       const struct id *device_id)
{
    const struct call_user *u = call_user_find(s, user_id->s);
    for (int i = 0; u != NULL && i < u->n; i++) {
        const struct call *c = u->entries[i]->call;
        const struct call_participant *p = call_party(c, user_id);
        if (c->state != CALL_ENDED && p != NULL && p->state == PARTY_JOINED &&
            id_equal(&p->device_id, device_id)) {
            return u->entries[i];
        }
    }
    return NULL;
}

void calls_device_gone(struct calls *s, const struct id *user_id, const struct id *device_id)
{
    struct call_entry *en = joined_entry(s, user_id, device_id);
    if (en != NULL) { /* a user is joined in one call at a time */
        struct call_event ev = {.type = CALL_HANG_UP, .user_id = *user_id, .device_id = *device_id};
        call_entry_step(en, &ev);
    }
}

/* `calls` of `connected`: those that this device is in, so that it can resume them. */
static void on_connected(void *arg, const struct http_principal *who, cJSON *data)
{
    struct calls *s = arg;
    cJSON *list = cJSON_AddArrayToObject(data, "calls");
    const struct call_user *u = call_user_find(s, who->user_id.s);
    for (int i = 0; u != NULL && i < u->n; i++) {
        const struct call *c = u->entries[i]->call;
        const struct call_participant *p = call_party(c, &who->user_id);
        if (p == NULL || p->state != PARTY_JOINED || !id_equal(&p->device_id, &who->device_id)) {
            continue;
        }
        cJSON *o = json_new();
        json_put_str(o, "callId", c->id.s);
        json_put_str(o, "mode", call_mode_name(c->mode));
        json_put_str(o, "status", call_state_name(c->state));
        cJSON_AddItemToArray(list, o);
    }
}

struct calls *calls_new(const struct calls_options *o)
{
    struct calls *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return NULL;
    }
    s->o = *o;
    s->refs = 1;
    s->limits = (struct call_limits){.ring_timeout_us = o->ring_timeout_us,
                                     .grace_us = o->grace_us,
                                     .sfu_wait_us = CALL_SFU_WAIT_US,
                                     .max_participants = o->max_participants};
    if (o->start_per_minute > 0) {
        s->starts = ratelimit_new(o->start_per_minute, 60000000, MAX_LIMITED_USERS);
    }
    call_metrics_register();
    call_wheel_start(s);
    call_frames_register(s);
    call_routes_add(s);
    whip_routes_add(s);
    hub_on_presence(o->hub, on_presence, s);
    hub_set_connected_extra(o->hub, on_connected, s);
    call_sfu_start(s);
    call_resume_start(s);
    return s;
}

void calls_free(struct calls *s)
{
    if (s == NULL) {
        return;
    }
    s->closed = true;
    hub_set_connected_extra(s->o.hub, NULL, NULL);
    call_sfu_stop(s);
    call_writes_free(s);
    call_registry_free(s);
    loop_timer_free(s->load_timer);
    if (s->starts != NULL) {
        ratelimit_free(s->starts);
    }
    calls_unref(s);
}

bool calls_ready(const struct calls *s)
{
    return s->loaded;
}
