/* Calls and SFUs: which node has a call's room, what clients ask of it, what it tells. The SFU
 * knows participants by number only; clients know them by participantId. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/log.h"
#include "signaling/shell/call_shell.h"
#include "signaling/shell/whip.h"

bool call_sfu_available(const struct calls *s)
{
    return s->o.sfu != NULL && sfu_nodes(s->o.sfu) > 0;
}

static const char *text_of(const cJSON *o, const char *field)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, field);
    return cJSON_IsString(v) ? v->valuestring : "";
}

static int number_of(const cJSON *o, const char *field)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, field);
    return cJSON_IsNumber(v) ? v->valueint : 0;
}

/* ---- requests ---- */

static cJSON *room_frame(const char *type, const char *room, int participant)
{
    cJSON *o = json_new();
    json_put_str(o, "t", type);
    json_put_str(o, "room", room);
    if (participant > 0) {
        json_put_int(o, "participant", participant);
    }
    return o;
}

static cJSON *view_list(const struct call *c, const struct call_frame *f)
{
    cJSON *list = cJSON_CreateArray();
    for (int i = 0; i < f->n_view; i++) {
        const struct call_frame_view *v = &f->view[i];
        int number = 0;
        for (int k = 0; v->participant_id.s[0] != '\0' && k < c->n_parties; k++) {
            if (id_equal(&c->parties[k].participant_id, &v->participant_id)) {
                number = c->parties[k].number;
            }
        }
        cJSON *o = json_new();
        json_put_int(o, "slot", v->slot);
        if (number > 0) {
            json_put_int(o, "participant", number);
        } else {
            json_put_null(o, "participant");
        }
        json_put_str(o, "source", v->source);
        json_put_int(o, "maxHeight", v->max_height);
        json_put_int(o, "priority", v->priority);
        cJSON_AddItemToArray(list, o);
    }
    return list;
}

static cJSON *frame_of(const struct call *c, const struct call_frame *f, int participant)
{
    static const char *const types[FRAME_TYPES] = {
        [FRAME_SFU_PUBLISH] = "publish",     [FRAME_SFU_SUBSCRIBE] = "subscribe",
        [FRAME_SFU_ANSWER] = "answer",       [FRAME_SFU_VIEW] = "view",
        [FRAME_SFU_ICE_RESTART] = "restart",
    };
    cJSON *o = room_frame(types[f->type], c->id.s, participant);
    json_put_str(o, "sdp", f->sdp);
    json_put_str(o, "which", f->which);
    if (f->type == FRAME_SFU_SUBSCRIBE) {
        json_put_int(o, "audioSlots", f->audio_slots);
        json_put_int(o, "videoSlots", f->video_slots);
    } else if (f->type == FRAME_SFU_VIEW) {
        json_put(o, "video", view_list(c, f));
    }
    return o;
}

/* Of a WHIP or WHEP request. */
static cJSON *op_frame(const struct call *c, const struct whip_op *op, int participant)
{
    cJSON *o = room_frame(op->type, c->id.s, participant);
    json_put_str(o, "sdp", op->sdp);
    json_put_str(o, "which", op->which);
    return o;
}

/* What the SFU's own codes (sfu/shell/worker_requests.c) mean for a client; what is none of them,
 * or no answer at all, may be tried again. */
static enum call_error error_of(int err, const char *code)
{
    static const struct {
        const char *code;
        enum call_error error;
    } codes[] = {
        {"bad_request", CALL_E_BAD_REQUEST},  {"too_large", CALL_E_TOO_LARGE},
        {"overloaded", CALL_E_OVERLOADED},    {"conflict", CALL_E_CONFLICT},
        {"not_participant", CALL_E_CONFLICT}, /* it was silent for too long: publish anew */
    };
    bool answered = err != ERR_UNAVAILABLE && err != ERR_TIMEOUT && err != ERR_CLOSED;
    for (size_t i = 0; answered && code != NULL && i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (strcmp(code, codes[i].code) == 0) {
            return codes[i].error;
        }
    }
    return CALL_E_SFU_UNAVAILABLE;
}

static void on_reply(void *arg, int err, const cJSON *data, const char *code)
{
    struct call_request *rq = arg;
    if (!calls_unref(rq->s)) {
        call_request_error(rq, CALL_E_SFU_UNAVAILABLE);
        return;
    }
    if (rq->op != NULL) {
        call_request_answered(rq, err, data, code);
        return;
    }
    if (err != OK) {
        LOG_W("sfu_request", "call=%s type=%s code=%s", rq->call_id.s,
              call_frame_name(rq->frame.type), code != NULL ? code : err_name(err));
        enum call_error e = error_of(err, code);
        if (e == CALL_E_BAD_REQUEST) {
            call_request_fail(rq, "bad_request", "The media server refused that description.");
        } else {
            call_request_error(rq, e);
        }
        return;
    }
    whip_displace(rq);
    cJSON *o = json_new();
    const char *sdp = text_of(data, "sdp");
    json_put_str(o, "sdp", sdp[0] != '\0' ? sdp : NULL);
    if (rq->frame.type == FRAME_SFU_PUBLISH) {
        json_put_int(o, "participant", rq->number);
        json_put_str(o, "participantId", rq->participant_id.s);
    }
    call_request_reply(rq, o);
}

/* The node of the call's room; placed now if it has none. NULL: none is available. */
static const char *node_of(struct call_entry *en)
{
    struct calls *s = en->s;
    if (s->o.sfu == NULL) {
        return NULL;
    }
    if (en->node[0] != '\0') {
        return sfu_node_is_up(s->o.sfu, en->node) ? en->node : NULL;
    }
    const char *node = sfu_pick(s->o.sfu);
    if (node == NULL || str_copy(en->node, sizeof(en->node), node) != OK) {
        return NULL;
    }
    const char *params[] = {en->call->id.s, NULL, NULL, en->node};
    call_write(en, "call_set_mode", "SELECT call_set_mode($1,$2,$3,$4)", 4, params, NULL, false);
    call_entry_step(en, &(struct call_event){.type = CALL_SFU_PLACED});
    LOG_I("call_placed", "call=%s node=%s", en->call->id.s, en->node);
    return en->node;
}

void call_sfu_forward(struct call_entry *en, struct call_request *rq,
                      const struct call_participant *p)
{
    rq->number = p->number;
    rq->participant_id = p->participant_id;
    const char *node = node_of(en);
    if (node == NULL) {
        call_request_error(rq, CALL_E_SFU_UNAVAILABLE);
        return;
    }
    calls_ref(en->s);
    cJSON *frame = rq->op != NULL ? op_frame(en->call, rq->op, rq->number)
                                  : frame_of(en->call, &rq->frame, rq->number);
    sfu_request(en->s->o.sfu, node, frame, on_reply, rq);
}

bool call_sfu_ready(const struct call_entry *en)
{
    return en->s->o.sfu != NULL && en->node[0] != '\0' ? sfu_node_is_up(en->s->o.sfu, en->node)
                                                       : call_sfu_available(en->s);
}

void call_sfu_leave_one(struct call_entry *en, int number, const char *which)
{
    if (en->s->o.sfu != NULL && en->node[0] != '\0' && number > 0) {
        cJSON *o = room_frame("leave", en->call->id.s, number);
        json_put_str(o, "which", which);
        sfu_request(en->s->o.sfu, en->node, o, NULL, NULL);
    }
}

void call_sfu_leave(struct call_entry *en, int number)
{
    if (en->s->o.sfu != NULL && en->node[0] != '\0' && number > 0) {
        sfu_request(en->s->o.sfu, en->node, room_frame("leave", en->call->id.s, number), NULL,
                    NULL);
    }
}

void call_sfu_close(struct call_entry *en)
{
    if (en->s->o.sfu != NULL && en->node[0] != '\0') {
        sfu_request(en->s->o.sfu, en->node, room_frame("close", en->call->id.s, 0), NULL, NULL);
    }
}

/* ---- nodes come and go ---- */

static void lost_room(struct call_entry *en)
{
    en->node[0] = '\0';
    call_entry_step(en, &(struct call_event){.type = CALL_SFU_UP, .kept = false});
    whip_room_gone(en);
}

void call_sfu_replace(struct call_entry *en)
{
    if (call_sfu_available(en->s)) {
        lost_room(en);
    }
}

static const cJSON *room_in(const cJSON *rooms, const char *call_id)
{
    const cJSON *room;
    cJSON_ArrayForEach(room, rooms)
    {
        if (strcmp(text_of(room, "room"), call_id) == 0) {
            return room;
        }
    }
    return NULL;
}

/* Rooms of calls that ended, or that moved, while we couldn't tell the node. */
static void close_strays(struct calls *s, const char *node, const cJSON *rooms)
{
    const cJSON *room;
    cJSON_ArrayForEach(room, rooms)
    {
        const char *id = text_of(room, "room");
        const struct call_entry *en = call_entry_find(s, id);
        if (id[0] != '\0' &&
            (en == NULL || en->call->state == CALL_ENDED || strcmp(en->node, node) != 0)) {
            sfu_request(s->o.sfu, node, room_frame("close", id, 0), NULL, NULL);
        }
    }
}

static void node_up(struct calls *s, const char *node, const cJSON *rooms)
{
    struct call_entry *en, *next;
    HASH_ITER(hh, s->by_id, en, next)
    {
        if (en->call->state == CALL_ENDED || en->node[0] == '\0') {
            continue;
        }
        bool mine = strcmp(en->node, node) == 0;
        const cJSON *room = mine ? room_in(rooms, en->call->id.s) : NULL;
        if (room != NULL) {
            call_entry_step(en, &(struct call_event){.type = CALL_SFU_UP, .kept = true});
            whip_room_kept(en, cJSON_GetObjectItemCaseSensitive(room, "participants"));
        } else if (mine || (en->call->sfu_away && en->call->sfu_deadline_us == 0)) {
            lost_room(en); /* its process is another one, or it stays away: placed anew */
        }
    }
    close_strays(s, node, rooms);
}

static void on_node_up(void *arg, const char *node, const char *instance, const cJSON *rooms)
{
    struct calls *s = arg;
    LOG_I("sfu_up", "node=%s instance=%s rooms=%d", node, instance, cJSON_GetArraySize(rooms));
    if (s->loaded) {
        node_up(s, node, rooms);
        return;
    }
    struct call_hello *h = calloc(1, sizeof(*h));
    if (h == NULL) {
        abort();
    }
    str_copy(h->node, sizeof(h->node), node);
    h->rooms = cJSON_Duplicate(rooms, true);
    h->next = s->hellos;
    s->hellos = h;
}

static void drop_hellos(struct calls *s, bool use)
{
    struct call_hello *h = s->hellos, *next;
    s->hellos = NULL;
    for (; h != NULL; h = next) {
        next = h->next;
        if (use && sfu_node_is_up(s->o.sfu, h->node)) {
            node_up(s, h->node, h->rooms);
        }
        cJSON_Delete(h->rooms);
        free(h);
    }
}

void call_sfu_loaded(struct calls *s)
{
    drop_hellos(s, true);
}

static void on_node_down(void *arg, const char *node)
{
    struct calls *s = arg;
    struct call_entry *en, *next;
    HASH_ITER(hh, s->by_id, en, next)
    {
        if (strcmp(en->node, node) == 0) {
            call_entry_step(en, &(struct call_event){.type = CALL_SFU_DOWN});
        }
    }
}

/* ---- events ---- */

static void put_participant(const struct call *c, cJSON *o, int number)
{
    const struct call_participant *p = call_party_numbered(c, number);
    if (p != NULL) {
        json_put_str(o, "participantId", p->participant_id.s);
    } else {
        json_put_null(o, "participantId");
    }
}

/* The SFU's list with numbers turned into ids. */
static cJSON *with_ids(const struct call *c, const cJSON *list)
{
    cJSON *out = cJSON_CreateArray();
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        cJSON *o = cJSON_Duplicate(item, true);
        int number = number_of(o, "participant");
        cJSON_DeleteItemFromObjectCaseSensitive(o, "participant");
        put_participant(c, o, number);
        cJSON_AddItemToArray(out, o);
    }
    return out;
}

static void on_slots(struct call_entry *en, const cJSON *frame)
{
    const struct call_participant *p =
        call_party_numbered(en->call, number_of(frame, "participant"));
    if (p == NULL || p->state != PARTY_JOINED) {
        return;
    }
    cJSON *o = json_new();
    json_put_str(o, "callId", en->call->id.s);
    json_put(o, "audio", with_ids(en->call, cJSON_GetObjectItemCaseSensitive(frame, "audio")));
    json_put(o, "video", with_ids(en->call, cJSON_GetObjectItemCaseSensitive(frame, "video")));
    hub_send_device(en->s->o.hub, p->user_id.s, p->device_id.s, WS_CONTROL, "sfu_slots", o);
}

static void on_speakers(struct call_entry *en, const cJSON *frame)
{
    const struct call *c = en->call;
    for (int i = 0; i < c->n_parties; i++) {
        const struct call_participant *p = &c->parties[i];
        if (p->state != PARTY_JOINED || !hub_device_online(en->s->o.hub, p->device_id.s)) {
            continue; /* in grace, or here by WHIP or WHEP alone */
        }
        cJSON *o = json_new();
        json_put_str(o, "callId", c->id.s);
        json_put(o, "speakers", with_ids(c, cJSON_GetObjectItemCaseSensitive(frame, "speakers")));
        hub_send_device(en->s->o.hub, p->user_id.s, p->device_id.s, WS_EPHEMERAL, "active_speakers",
                        o);
    }
}

static void on_event(void *arg, const char *node, const char *type, const cJSON *frame)
{
    struct calls *s = arg;
    struct call_entry *en = call_entry_find(s, text_of(frame, "room"));
    if (en == NULL || strcmp(en->node, node) != 0) {
        return; /* of a room that isn't (any more) this node's */
    }
    if (strcmp(type, "slots") == 0) {
        on_slots(en, frame);
    } else if (strcmp(type, "speakers") == 0) {
        on_speakers(en, frame);
    } else if (strcmp(type, "stats") == 0) {
        call_sfu_stats(en, frame);
    } else if (strcmp(type, "connected") == 0 || strcmp(type, "disconnected") == 0) {
        call_entry_step(en, &(struct call_event){.type = CALL_MEDIA_CONNECTED,
                                                 .number = number_of(frame, "participant"),
                                                 .connected = type[0] == 'c'});
        if (type[0] == 'd') {
            whip_media_gone(en, number_of(frame, "participant"), text_of(frame, "which"));
        }
    }
}

void call_sfu_start(struct calls *s)
{
    static const struct sfu_handlers handlers = {
        .on_node_up = on_node_up, .on_node_down = on_node_down, .on_event = on_event};
    if (s->o.sfu != NULL) {
        sfu_pool_handle(s->o.sfu, &handlers, s);
    }
}

void call_sfu_stop(struct calls *s)
{
    drop_hellos(s, false);
    if (s->o.sfu != NULL) {
        sfu_pool_handle(s->o.sfu, NULL, NULL);
    }
}
