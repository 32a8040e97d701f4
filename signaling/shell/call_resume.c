/* After a start: the calls that were open when the server went are loaded and go on. Whoever was
 * joined has the grace to come back; what rang too long ends as missed at once. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/log.h"
#include "signaling/shell/call_shell.h"

#define RETRY_US 500000

static const char *text_of(const cJSON *o, const char *field)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, field);
    return cJSON_IsString(v) ? v->valuestring : "";
}

static int64_t us_of(const cJSON *o, const char *field)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, field);
    return cJSON_IsNumber(v) ? (int64_t)v->valuedouble : 0;
}

static enum call_policy policy_of(const char *word)
{
    if (strcmp(word, "p2p") == 0) {
        return CALL_POLICY_P2P;
    }
    return strcmp(word, "sfu") == 0 ? CALL_POLICY_SFU : CALL_POLICY_AUTO;
}

static struct call *call_of(struct calls *s, const struct id *id, const cJSON *o)
{
    struct call *c = call_new(id, &s->limits);
    id_parse(&c->conversation_id, text_of(o, "conversationId"));
    id_parse(&c->initiator_id, text_of(o, "initiatorId"));
    id_parse(&c->initiator_device, text_of(o, "initiatorDevice"));
    c->video = strcmp(text_of(o, "media"), "video") == 0;
    c->policy = policy_of(text_of(o, "policy"));
    c->mode = strcmp(text_of(o, "mode"), "sfu") == 0 ? CALL_SFU : CALL_P2P;
    c->path = call_path_of(text_of(o, "path"));
    c->group = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "group"));
    c->started_at_us = us_of(o, "startedUs");
    c->expires_at_us = us_of(o, "expiresUs");
    return c;
}

static void resume_one(struct calls *s, const cJSON *o)
{
    struct id id;
    if (id_parse(&id, text_of(o, "callId")) != OK || call_entry_find(s, id.s) != NULL) {
        return;
    }
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(o, "participants");
    int cap = cJSON_GetArraySize(list);
    struct call_participant *parties = calloc((size_t)cap + 1, sizeof(*parties));
    if (parties == NULL) {
        abort();
    }
    struct call_entry *en = call_entry_add(s, call_of(s, &id, o));
    str_copy(en->node, sizeof(en->node), text_of(o, "sfuNode"));
    en->answered_wall_us = us_of(o, "answeredUs");
    bool active = strcmp(text_of(o, "status"), "active") == 0;
    struct call_event ev = {.type = CALL_RESTORE,
                            .restored_state = active ? CALL_ACTIVE : CALL_RINGING,
                            .connected = en->node[0] != '\0',
                            .parties = parties};
    ev.n_parties = call_parties_read(parties, cap, list, clock_mono_us());
    for (int i = 0; i < ev.n_parties; i++) {
        parties[i].audio = true;
        parties[i].video = en->call->video;
    }
    call_entry_step(en, &ev);
    free(parties);
    /* Devices that were faster than the load. */
    for (int i = 0; i < en->call->n_parties; i++) {
        const struct call_participant *p = &en->call->parties[i];
        if (p->state == PARTY_RINGING) { /* all of the user's */
            call_entry_step(en,
                            &(struct call_event){.type = CALL_SOCKET_BACK, .user_id = p->user_id});
        } else if (p->state == PARTY_JOINED && hub_device_online(s->o.hub, p->device_id.s)) {
            call_entry_step(en, &(struct call_event){.type = CALL_SOCKET_BACK,
                                                     .user_id = p->user_id,
                                                     .device_id = p->device_id});
        }
    }
}

static void on_open_calls(void *arg, int err, const struct pg_result *res)
{
    struct calls *s = arg;
    if (!calls_unref(s)) {
        return;
    }
    if (err != OK) {
        loop_timer_start(s->load_timer, RETRY_US, 0);
        return;
    }
    int n = pg_rows(res);
    for (int i = 0; i < n; i++) {
        const char *text = pg_text(res, i, 0);
        cJSON *o = text != NULL ? cJSON_Parse(text) : NULL;
        if (o != NULL) {
            resume_one(s, o);
        }
        cJSON_Delete(o);
    }
    s->loaded = true;
    LOG_I("calls_resumed", "calls=%d", n);
    call_sfu_loaded(s);
}

static void load(void *arg)
{
    struct calls *s = arg;
    calls_ref(s);
    int err = pg_query(s->o.pg, "call_sweep_open", "SELECT call_sweep_open()", 0, NULL, CALL_LANE,
                       on_open_calls, s);
    if (err != OK) {
        calls_unref(s);
        loop_timer_start(s->load_timer, RETRY_US, 0);
    }
}

void call_resume_start(struct calls *s)
{
    s->load_timer = loop_timer_new(s->o.loop, load, s);
    load(s);
}
