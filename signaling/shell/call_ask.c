/* Questions to the database that a client waits for: create, accept, invite, tombstone. Their
 * answers go back into the call machine. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "signaling/shell/call_shell.h"
#include "signaling/shell/whip.h"

static const char *nullable(const struct id *id)
{
    return id->s[0] != '\0' ? id->s : NULL;
}

static enum call_error error_of(int err)
{
    switch (err) {
    case ERR_INVALID:
        return CALL_E_BAD_REQUEST;
    case ERR_FORBIDDEN:
        return CALL_E_FORBIDDEN;
    case ERR_CONFLICT:
        return CALL_E_BUSY;
    case ERR_STATE:
        return CALL_E_ENDED;
    case ERR_LIMIT:
        return CALL_E_RATE_LIMITED;
    default:
        return CALL_E_UNAVAILABLE;
    }
}

/* ---- create ---- */

static int64_t number_of(const cJSON *o, const char *field)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, field);
    return cJSON_IsNumber(v) ? (int64_t)v->valuedouble : 0;
}

static const char *text_of(const cJSON *o, const char *field)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, field);
    return cJSON_IsString(v) ? v->valuestring : "";
}

/* Members of the JSON that our own SQL made; ring times become those of our clock. */
int call_parties_read(struct call_participant *out, int cap, const cJSON *list, int64_t now_us)
{
    int64_t offset_us = now_us - clock_wall_us();
    const cJSON *item;
    int n = 0;
    cJSON_ArrayForEach(item, list)
    {
        if (n == cap) {
            break;
        }
        struct call_participant *p = &out[n];
        memset(p, 0, sizeof(*p));
        if (id_parse(&p->participant_id, text_of(item, "participantId")) != OK ||
            id_parse(&p->user_id, text_of(item, "userId")) != OK) {
            continue;
        }
        id_parse(&p->device_id, text_of(item, "deviceId"));
        str_copy(p->username, sizeof(p->username), text_of(item, "username"));
        str_copy(p->display_name, sizeof(p->display_name), text_of(item, "displayName"));
        p->state = call_party_state_of(text_of(item, "state"), PARTY_MISSED);
        p->number = (int)number_of(item, "number");
        int64_t ring_us = number_of(item, "ringExpiresUs");
        p->ring_deadline_us = ring_us == 0 ? 0 : ring_us + offset_us;
        if (p->ring_deadline_us < 1) {
            p->ring_deadline_us = 1; /* ran out while nobody looked; 0 would mean: none */
        }
        n++;
    }
    return n;
}

static void start_call(struct call_request *rq, const cJSON *made)
{
    struct calls *s = rq->s;
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(made, "participants");
    int cap = cJSON_GetArraySize(list);
    struct call_participant *parties = calloc((size_t)cap + 1, sizeof(*parties));
    if (parties == NULL) {
        abort();
    }
    struct call *c = call_new(&rq->call_id, &s->limits);
    id_parse(&c->conversation_id, text_of(made, "conversationId"));
    c->initiator_id = rq->user_id;
    c->initiator_device = rq->device_id;
    c->group = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(made, "group"));
    c->started_at_us = number_of(made, "startedUs");
    c->expires_at_us = number_of(made, "expiresUs");
    struct call_event ev = {.type = CALL_START,
                            .request = (uintptr_t)rq,
                            .user_id = rq->user_id,
                            .device_id = rq->device_id,
                            .online = hub_device_online(s->o.hub, rq->device_id.s),
                            .sfu_available = call_sfu_available(s),
                            .video = rq->frame.video,
                            .policy = rq->frame.policy,
                            .parties = parties};
    ev.n_parties = call_parties_read(parties, cap, list, clock_mono_us());
    for (int i = 0; i < ev.n_parties; i++) {
        parties[i].ring_deadline_us = 0; /* it rings by our clock, not by the database's */
        if (id_equal(&parties[i].user_id, &rq->user_id)) {
            parties[i].audio = true;
            parties[i].video = rq->frame.video;
        }
    }
    int64_t received_us = rq->received_us;
    call_metrics_started();
    call_request_step(rq, call_entry_add(s, c), &ev);
    call_metrics_rung(clock_mono_us() - received_us);
    free(parties);
}

static void on_created(void *arg, int err, const struct pg_result *res)
{
    struct call_request *rq = arg;
    if (!calls_unref(rq->s)) {
        call_request_error(rq, CALL_E_UNAVAILABLE);
        return;
    }
    if (err == ERR_NOT_FOUND) {
        call_request_fail(rq, "not_found", "There is no such conversation or user.");
        return;
    }
    if (err == ERR_UNAVAILABLE || err == ERR_TIMEOUT) {
        /* It may be committed all the same, now or in a moment. The same lane: this comes after. */
        call_write_stray_end(rq->s, &rq->call_id);
    }
    const char *text = err == OK && pg_rows(res) > 0 ? pg_text(res, 0, 0) : NULL;
    cJSON *made = text != NULL ? cJSON_Parse(text) : NULL;
    if (made == NULL) {
        call_request_error(rq, error_of(err == OK ? ERR_UNAVAILABLE : err));
        return;
    }
    const char *existing = text_of(made, "existing");
    if (existing[0] == '\0') {
        start_call(rq, made);
    } else {
        struct call_entry *en = call_entry_find(rq->s, existing);
        struct id stray;
        if (en == NULL && id_parse(&stray, existing) == OK) {
            call_write_stray_end(rq->s, &stray);
        }
        if (en == NULL || en->call->state == CALL_ENDED) {
            call_request_error(rq, CALL_E_UNAVAILABLE); /* its end is still to be written */
        } else {
            call_request_join(rq, en);
        }
    }
    cJSON_Delete(made);
}

void call_ask_create(struct call_request *rq)
{
    static const char *const media[] = {"audio", "video"};
    static const char *const policies[] = {"auto", "p2p", "sfu"};
    struct calls *s = rq->s;
    char ring_us[24], max[12];
    snprintf(ring_us, sizeof(ring_us), "%lld", (long long)s->limits.ring_timeout_us);
    snprintf(max, sizeof(max), "%d", s->limits.max_participants);
    rq->call_id = id_new(clock_wall_us());
    const char *params[] = {rq->call_id.s,
                            rq->user_id.s,
                            rq->device_id.s,
                            nullable(&rq->frame.conversation_id),
                            nullable(&rq->frame.other_id),
                            media[rq->frame.video],
                            policies[rq->frame.policy],
                            ring_us,
                            max};
    calls_ref(s);
    int err = call_writes_first(s) ? pg_query(s->o.pg, "call_create",
                                              "SELECT call_create($1,$2,$3,$4,$5,$6,$7,$8,$9)", 9,
                                              params, CALL_LANE, on_created, rq)
                                   : ERR_UNAVAILABLE;
    if (err != OK) {
        calls_unref(s);
        call_request_error(rq, CALL_E_UNAVAILABLE);
    }
}

/* ---- accept and invite ---- */

struct ask {
    struct calls *s;
    struct id call_id, user_id, device_id;
    struct call_request *rq; /* NULL: nobody waits */
    bool video;
    unsigned stay;
    char *payload;
};

static struct ask *ask_new(struct call_entry *en, const struct call_effect *fx)
{
    struct ask *a = calloc(1, sizeof(*a));
    if (a == NULL) {
        abort();
    }
    *a = (struct ask){.s = en->s,
                      .call_id = en->call->id,
                      .user_id = fx->user_id,
                      .device_id = fx->device_id,
                      .rq = (struct call_request *)fx->request,
                      .video = fx->video,
                      .stay = fx->stay,
                      .payload = fx->payload != NULL ? strdup(fx->payload) : NULL};
    calls_ref(en->s);
    return a;
}

static void ask_free(struct ask *a)
{
    free(a->payload);
    free(a);
}

static void accept_answer(struct ask *a, int err, const char *outcome, int number)
{
    struct call_entry *en = call_entry_find(a->s, a->call_id.s);
    if (en == NULL) {
        if (a->rq != NULL) {
            call_request_error(a->rq, CALL_E_ENDED);
        }
        return;
    }
    struct call_event ev = {.type = CALL_ACCEPT_REFUSED,
                            .request = (uintptr_t)a->rq,
                            .user_id = a->user_id,
                            .device_id = a->device_id,
                            .video = a->video,
                            .number = number,
                            .stay = a->stay,
                            .payload = a->payload};
    if (err != OK) {
        ev.error = error_of(err);
    } else if (strcmp(outcome, "joined") == 0) {
        ev.type = CALL_ACCEPT_COMMITTED;
        ev.online = hub_device_online(a->s->o.hub, a->device_id.s) || whip_holds(en, &a->device_id);
    } else if (strcmp(outcome, "busy") == 0) {
        ev.error = CALL_E_BUSY;
    } else {
        ev.error = strcmp(outcome, "ended") == 0 ? CALL_E_ENDED : CALL_E_CONFLICT;
    }
    call_entry_step(en, &ev);
}

static void on_accepted(void *arg, int err, const struct pg_result *res)
{
    struct ask *a = arg;
    if (calls_unref(a->s)) {
        bool row = err == OK && pg_rows(res) > 0;
        const char *outcome = row ? pg_text(res, 0, 0) : NULL;
        accept_answer(a, err, outcome != NULL ? outcome : "lost", row ? (int)pg_int(res, 0, 1) : 0);
        hub_announce(a->s->o.hub, a->user_id.s);
    } else if (a->rq != NULL) {
        call_request_error(a->rq, CALL_E_UNAVAILABLE);
    }
    ask_free(a);
}

/* Not sent at all: answered later by the same way, as the step that asks isn't over yet. */
static void accept_unsent(void *arg)
{
    on_accepted(arg, ERR_UNAVAILABLE, NULL);
}

void call_ask_accept(struct call_entry *en, const struct call_effect *fx)
{
    struct ask *a = ask_new(en, fx);
    const char *params[] = {a->call_id.s, a->user_id.s, a->device_id.s};
    int err = call_writes_first(en->s)
                  ? pg_query(en->s->o.pg, "call_accept", "SELECT * FROM call_accept($1,$2,$3)", 3,
                             params, CALL_LANE, on_accepted, a)
                  : ERR_UNAVAILABLE;
    if (err != OK && loop_post(en->s->o.loop, accept_unsent, a) != OK) {
        abort();
    }
}

static void on_invited(void *arg, int err, const struct pg_result *res)
{
    struct ask *a = arg;
    if (!calls_unref(a->s)) {
        if (a->rq != NULL) {
            call_request_error(a->rq, CALL_E_UNAVAILABLE);
        }
        ask_free(a);
        return;
    }
    struct call_entry *en = call_entry_find(a->s, a->call_id.s);
    const char *text = err == OK && pg_rows(res) > 0 ? pg_text(res, 0, 0) : NULL;
    cJSON *list = text != NULL ? cJSON_Parse(text) : NULL;
    if (list == NULL || en == NULL) {
        if (a->rq != NULL && err == ERR_NOT_FOUND) {
            call_request_fail(a->rq, "not_found", "There is no such user.");
        } else if (a->rq != NULL) {
            call_request_error(a->rq, error_of(err == OK ? ERR_STATE : err));
        }
    } else {
        int cap = cJSON_GetArraySize(list);
        struct call_participant *parties = calloc((size_t)cap + 1, sizeof(*parties));
        if (parties == NULL) {
            abort();
        }
        struct call_event ev = {.type = CALL_INVITED,
                                .request = (uintptr_t)a->rq,
                                .user_id = a->user_id,
                                .device_id = a->device_id,
                                .parties = parties};
        ev.n_parties = call_parties_read(parties, cap, list, clock_mono_us());
        call_entry_step(en, &ev);
        free(parties);
    }
    cJSON_Delete(list);
    ask_free(a);
}

static void invite_unsent(void *arg)
{
    on_invited(arg, ERR_UNAVAILABLE, NULL);
}

void call_ask_invite(struct call_entry *en, const struct call_effect *fx)
{
    struct call_request *rq = (struct call_request *)fx->request;
    struct calls *s = en->s;
    char users[CALL_FRAME_MAX_USERS * (ID_LEN + 1) + 3] = "{";
    size_t at = 1;
    for (int i = 0; i < rq->frame.n_users; i++) {
        at += (size_t)snprintf(users + at, sizeof(users) - at, "%s%s", i > 0 ? "," : "",
                               rq->frame.users[i].s);
    }
    snprintf(users + at, sizeof(users) - at, "}");
    char ring_us[24], max[12];
    snprintf(ring_us, sizeof(ring_us), "%lld", (long long)s->limits.ring_timeout_us);
    snprintf(max, sizeof(max), "%d", s->limits.max_participants);
    struct ask *a = ask_new(en, fx);
    const char *params[] = {en->call->id.s, users, ring_us, max};
    int err = call_writes_first(s)
                  ? pg_query(s->o.pg, "call_invite", "SELECT call_invite($1,$2,$3,$4)", 4, params,
                             CALL_LANE, on_invited, a)
                  : ERR_UNAVAILABLE;
    if (err != OK && loop_post(s->o.loop, invite_unsent, a) != OK) {
        abort();
    }
}

/* ---- tombstones ---- */

static void on_tombstone(void *arg, int err, const struct pg_result *res)
{
    struct call_request *rq = arg;
    if (!calls_unref(rq->s)) {
        call_request_error(rq, CALL_E_UNAVAILABLE);
        return;
    }
    enum call_frame_type t = rq->frame.type;
    bool hidden = t == FRAME_CALL_JOIN || t >= FRAME_SFU_PUBLISH;
    const char *status = err == OK && pg_rows(res) > 0 ? pg_text(res, 0, 0) : NULL;
    if (err != OK) {
        call_request_error(rq, CALL_E_UNAVAILABLE);
    } else if (status == NULL) {
        call_request_error(rq, hidden ? CALL_E_FORBIDDEN : CALL_E_NOT_FOUND);
    } else if (strcmp(status, "ended") != 0) {
        call_request_error(rq, CALL_E_UNAVAILABLE);
    } else if (t == FRAME_HANG_UP) {
        call_request_reply(rq, NULL);
    } else {
        call_request_error(rq, CALL_E_ENDED);
    }
}

void call_ask_tombstone(struct call_request *rq)
{
    const char *params[] = {rq->call_id.s, rq->user_id.s};
    calls_ref(rq->s);
    int err = pg_query(rq->s->o.pg, "call_tombstone", "SELECT call_tombstone($1,$2)", 2, params,
                       NULL, on_tombstone, rq);
    if (err != OK) {
        calls_unref(rq->s);
        call_request_error(rq, CALL_E_UNAVAILABLE);
    }
}
