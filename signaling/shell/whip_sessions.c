/* WHIP and WHEP sessions of a call, and how they hold their device in it. */
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "lib/base/log.h"
#include "lib/base/metrics.h"
#include "signaling/shell/whip.h"

METRIC_GAUGE_DEF(metric_whip, "sotto_whip_sessions", "kind=\"whip\"",
                 "Sessions by WHIP and WHEP, those that are being made included.");
METRIC_GAUGE_DEF(metric_whep, "sotto_whip_sessions", "kind=\"whep\"",
                 "Sessions by WHIP and WHEP, those that are being made included.");

static void count(enum whip_kind k, int n)
{
    metric_add(k == WHIP_PUBLISH ? &metric_whip : &metric_whep, n);
}

struct whip_session *whip_session_add(struct call_entry *en, const struct whip_op *op)
{
    struct whip_session *w = calloc(1, sizeof(*w));
    if (w == NULL) {
        abort(); /* control plane, as in json.h */
    }
    w->id = id_new(clock_wall_us());
    w->user_id = op->user_id;
    w->device_id = op->device_id;
    w->kind = op->kind;
    DL_APPEND(en->whips, w);
    count(w->kind, 1);
    return w;
}

struct whip_session *whip_session_find(const struct call_entry *en, const char *id)
{
    struct whip_session *w;
    DL_FOREACH(en->whips, w)
    {
        if (strcmp(w->id.s, id) == 0) {
            return w;
        }
    }
    return NULL;
}

struct whip_session *whip_session_of(const struct call_entry *en, const struct id *user_id,
                                     enum whip_kind kind, enum whip_state state)
{
    struct whip_session *w;
    DL_FOREACH(en->whips, w)
    {
        if (w->kind == kind && w->state == state && id_equal(&w->user_id, user_id)) {
            return w;
        }
    }
    return NULL;
}

void whip_session_remove(struct call_entry *en, struct whip_session *w)
{
    DL_DELETE(en->whips, w);
    count(w->kind, -1);
    free(w->offer);
    free(w);
}

/* Those of the user and kind in that state. */
static void remove_all(struct call_entry *en, const struct id *user_id, enum whip_kind kind,
                       enum whip_state state)
{
    struct whip_session *w;
    while ((w = whip_session_of(en, user_id, kind, state)) != NULL) {
        whip_session_remove(en, w);
    }
}

void whip_session_open(struct call_entry *en, struct whip_session *w, int number)
{
    remove_all(en, &w->user_id, w->kind, WHIP_OPEN);
    remove_all(en, &w->user_id, w->kind, WHIP_LOST);
    w->state = WHIP_OPEN;
    w->number = number;
    w->ice_session = 1;
    LOG_I("whip_open", "call=%s session=%s kind=%s participant=%d", en->call->id.s, w->id.s,
          whip_which(w->kind), number);
}

/* ---- presence ---- */

bool whip_holds(const struct call_entry *en, const struct id *device_id)
{
    const struct whip_session *w;
    DL_FOREACH(en->whips, w)
    {
        if (w->state != WHIP_LOST && id_equal(&w->device_id, device_id)) {
            return true;
        }
    }
    return false;
}

static bool is_joined(const struct call_entry *en, const struct id *user_id,
                      const struct id *device_id)
{
    const struct call_participant *p = call_party(en->call, user_id);
    return p != NULL && p->state == PARTY_JOINED && id_equal(&p->device_id, device_id);
}

void whip_let_go(struct call_entry *en, const struct id *user_id, const struct id *device_id,
                 enum call_event_type type)
{
    if (is_joined(en, user_id, device_id) && !whip_holds(en, device_id) &&
        !hub_device_online(en->s->o.hub, device_id->s)) {
        call_entry_step(
            en, &(struct call_event){.type = type, .user_id = *user_id, .device_id = *device_id});
    }
}

void whip_says(struct call_entry *en, const struct id *user_id, const struct id *device_id,
               bool audio, bool video)
{
    call_entry_step(en, &(struct call_event){.type = CALL_UPDATE,
                                             .user_id = *user_id,
                                             .device_id = *device_id,
                                             .set_audio = audio,
                                             .set_video = video});
}

void whip_settle(struct call_entry *en)
{
    struct whip_session *w, *next;
    DL_FOREACH_SAFE(en->whips, w, next)
    {
        /* One that opens finds out by itself. */
        if (w->state != WHIP_OPENING && !is_joined(en, &w->user_id, &w->device_id)) {
            LOG_I("whip_over", "call=%s session=%s", en->call->id.s, w->id.s);
            whip_session_remove(en, w);
        }
    }
}

void whip_entry_free(struct call_entry *en)
{
    while (en->whips != NULL) {
        whip_session_remove(en, en->whips);
    }
}

/* ---- media ---- */

static void lose(struct call_entry *en, struct whip_session *w)
{
    struct id user_id = w->user_id, device_id = w->device_id;
    LOG_I("whip_lost", "call=%s session=%s", en->call->id.s, w->id.s);
    w->state = WHIP_LOST;
    whip_let_go(en, &user_id, &device_id, CALL_SOCKET_LOST); /* w may be gone now */
}

void whip_media_gone(struct call_entry *en, int number, const char *which)
{
    struct whip_session *w;
    DL_FOREACH(en->whips, w)
    {
        if (w->state == WHIP_OPEN && w->number == number &&
            strcmp(whip_which(w->kind), which) == 0) {
            lose(en, w);
            return;
        }
    }
}

static bool holds_number(const cJSON *numbers, int number)
{
    const cJSON *n;
    cJSON_ArrayForEach(n, numbers)
    {
        if (cJSON_IsNumber(n) && n->valueint == number) {
            return true;
        }
    }
    return false;
}

/* An open session whose participant isn't among `numbers` (NULL: nobody is). */
static struct whip_session *first_without(const struct call_entry *en, const cJSON *numbers)
{
    struct whip_session *w;
    DL_FOREACH(en->whips, w)
    {
        if (w->state == WHIP_OPEN && !holds_number(numbers, w->number)) {
            return w;
        }
    }
    return NULL;
}

void whip_room_kept(struct call_entry *en, const cJSON *numbers)
{
    struct whip_session *w;
    while ((w = first_without(en, numbers)) != NULL) { /* from the start: a step may remove some */
        lose(en, w);
    }
}

void whip_room_gone(struct call_entry *en)
{
    whip_room_kept(en, NULL);
}

void whip_displace(const struct call_request *rq)
{
    struct call_entry *en = call_entry_find(rq->s, rq->call_id.s);
    enum call_frame_type t = rq->frame.type;
    if (en != NULL && (t == FRAME_SFU_PUBLISH || t == FRAME_SFU_SUBSCRIBE)) {
        remove_all(en, &rq->user_id, t == FRAME_SFU_PUBLISH ? WHIP_PUBLISH : WHIP_WATCH, WHIP_OPEN);
    }
}
