/* The JSON that clients see: events and replies of calls (docs/asyncapi.yaml). */
#include "lib/base/buf.h"
#include "signaling/shell/call_shell.h"

static const char *media_name(bool video)
{
    return video ? "video" : "audio";
}

static const char *state_name(const struct call_participant *p)
{
    return p->state == PARTY_JOINED && !p->online ? "reconnecting"
                                                  : call_party_state_name(p->state);
}

static void put_id(cJSON *o, const char *field, const struct id *id)
{
    json_put_str(o, field, id->s[0] != '\0' ? id->s : NULL);
}

static void put_raw(cJSON *o, const char *field, const char *json_text)
{
    if (json_text != NULL) {
        json_put(o, field, cJSON_CreateRaw(json_text));
    }
}

cJSON *call_render_participant(const struct call_participant *p)
{
    cJSON *o = json_new();
    put_id(o, "participantId", &p->participant_id);
    if (p->number > 0) {
        json_put_int(o, "number", p->number);
    }
    put_id(o, "userId", &p->user_id);
    json_put_str(o, "username", p->username);
    json_put_str(o, "displayName", p->display_name);
    put_id(o, "deviceId", &p->device_id);
    json_put_bool(o, "audio", p->state == PARTY_JOINED && p->audio);
    json_put_bool(o, "video", p->state == PARTY_JOINED && p->video);
    json_put_str(o, "state", state_name(p));
    return o;
}

static cJSON *participants(const struct call *c)
{
    cJSON *list = cJSON_CreateArray();
    for (int i = 0; i < c->n_parties; i++) {
        cJSON_AddItemToArray(list, call_render_participant(&c->parties[i]));
    }
    return list;
}

cJSON *call_ice_servers(const struct calls *s, const char *user_id, const char *call_id,
                        const char *device_id)
{
    if (s->o.turn == NULL) {
        return cJSON_CreateArray();
    }
    return turn_ice_servers(s->o.turn, user_id, call_id, device_id, clock_wall_us());
}

/* What starting, accepting and ringing share. */
static void put_call(cJSON *o, const struct call_entry *en)
{
    const struct call *c = en->call;
    put_id(o, "callId", &c->id);
    put_id(o, "conversationId", &c->conversation_id);
    json_put_str(o, "media", media_name(c->video));
    json_put_str(o, "mode", call_mode_name(c->mode));
    json_put_bool(o, "group", c->group);
    json_put_bool(o, "mayFallBack", c->mode == CALL_P2P && c->policy == CALL_POLICY_AUTO);
    json_put_int(o, "fallbackAfterMs", en->s->o.fallback_after_us / 1000);
    json_put_time(o, "expiresAt", c->expires_at_us);
}

static void put_from(cJSON *o, const struct call_participant *p, const struct id *device)
{
    cJSON *from = json_new();
    put_id(from, "userId", &p->user_id);
    put_id(from, "deviceId", device);
    json_put(o, "from", from);
}

/* When this participant's ring runs out: later than the call's for those invited later. */
static void put_ring_end(cJSON *o, const struct call_participant *p)
{
    if (p != NULL && p->ring_deadline_us > 0) {
        cJSON_DeleteItemFromObjectCaseSensitive(o, "expiresAt");
        json_put_time(o, "expiresAt", clock_wall_us() + p->ring_deadline_us - clock_mono_us());
    }
}

static void put_incoming(cJSON *o, struct call_entry *en, const struct call_effect *fx)
{
    const struct call *c = en->call;
    const struct call_participant *me = call_party(c, &fx->user_id);
    bool invited = me != NULL && me->invited_by.s[0] != '\0';
    const struct id *by = invited ? &me->invited_by : &c->initiator_id;
    const struct call_participant *caller = call_party(c, by);
    put_call(o, en);
    put_ring_end(o, me);
    cJSON *from = json_new();
    put_id(from, "userId", by);
    if (caller != NULL) {
        json_put_str(from, "username", caller->username);
        json_put_str(from, "displayName", caller->display_name);
    }
    put_id(from, "deviceId", invited && caller != NULL ? &caller->device_id : &c->initiator_device);
    json_put(o, "from", from);
    json_put(o, "participants", participants(c));
    json_put(o, "iceServers", call_ice_servers(en->s, fx->user_id.s, c->id.s, fx->device_id.s));
    put_raw(o, "description", fx->payload);
}

cJSON *call_render_message(struct call_entry *en, const struct call_effect *fx)
{
    const struct call *c = en->call;
    const struct call_participant *p = fx->party >= 0 ? &c->parties[fx->party] : NULL;
    cJSON *o = json_new();
    if (fx->message == MSG_INCOMING_CALL) {
        put_incoming(o, en, fx);
        return o;
    }
    put_id(o, "callId", &c->id);
    if (p == NULL) {
        return o;
    }
    switch (fx->message) {
    case MSG_CALL_RINGING:
        put_id(o, "userId", &p->user_id);
        put_id(o, "deviceId", &fx->from_device);
        break;
    case MSG_CALL_ACCEPTED:
        put_id(o, "userId", &p->user_id);
        put_id(o, "deviceId", &p->device_id);
        json_put_str(o, "media", media_name(fx->video));
        json_put_str(o, "mode", call_mode_name(c->mode));
        json_put(o, "participant", call_render_participant(p));
        put_raw(o, "description", c->mode == CALL_P2P ? fx->payload : NULL);
        break;
    case MSG_CALL_DESCRIPTION:
        put_from(o, p, &fx->from_device);
        put_raw(o, "description", fx->payload);
        break;
    case MSG_ICE_CANDIDATE:
        put_from(o, p, &fx->from_device);
        put_raw(o, "candidate", fx->payload);
        break;
    case MSG_CALL_FALLBACK:
        json_put_str(o, "mode", call_mode_name(CALL_SFU));
        json_put_str(o, "reason", call_fallback_name(fx->fallback));
        break;
    default:
        json_put(o, "participant", call_render_participant(p));
        break;
    }
    return o;
}

static cJSON *joined_reply(struct call_entry *en, const struct call_effect *fx, bool start)
{
    struct call *c = en->call;
    cJSON *o = json_new();
    put_call(o, en);
    const struct call_participant *me = call_party(c, &fx->user_id);
    if (me != NULL) {
        put_id(o, "participantId", &me->participant_id);
        json_put_int(o, "participant", me->number);
    }
    json_put(o, "participants", participants(c));
    json_put(o, "iceServers", call_ice_servers(en->s, fx->user_id.s, c->id.s, fx->device_id.s));
    if (start) {
        json_put_bool(o, "joined", fx->asked != CALL_START);
    }
    if (fx->asked != CALL_START && c->mode == CALL_P2P) {
        put_raw(o, "description", c->offer);
    }
    return o;
}

cJSON *call_render_reply(struct call_entry *en, const struct call_effect *fx,
                         const struct call_request *rq)
{
    const struct call *c = en->call;
    switch (fx->asked) {
    case CALL_START:
    case CALL_ACCEPT:
    case CALL_ACCEPT_COMMITTED:
    case CALL_JOIN:
        return joined_reply(en, fx, rq->starts);
    case CALL_INVITED: {
        cJSON *o = json_new();
        json_put_str(o, "mode", call_mode_name(c->mode));
        json_put(o, "participants", participants(c));
        return o;
    }
    case CALL_FALLBACK: {
        cJSON *o = json_new();
        json_put_str(o, "mode", call_mode_name(c->mode));
        return o;
    }
    case CALL_DEVICE_RINGING: {
        cJSON *o = json_new();
        json_put_time(o, "expiresAt", c->expires_at_us);
        put_ring_end(o, call_party(c, &fx->user_id));
        return o;
    }
    default:
        return NULL;
    }
}
