#include "signaling/core/call_frames.h"

#include <stdlib.h>
#include <string.h>

#define MAX_MID        64
#define MAX_UFRAG      256
#define MAX_LINE_INDEX 1023

static const char *const names[FRAME_TYPES] = {
    [FRAME_CALL_START] = "call_start",
    [FRAME_CALL_RINGING] = "call_ringing",
    [FRAME_ACCEPT_CALL] = "accept_call",
    [FRAME_DECLINE_CALL] = "decline_call",
    [FRAME_HANG_UP] = "hang_up",
    [FRAME_CALL_INVITE] = "call_invite",
    [FRAME_CALL_JOIN] = "call_join",
    [FRAME_CALL_DESCRIPTION] = "call_description",
    [FRAME_ICE_CANDIDATE] = "ice_candidate",
    [FRAME_CALL_FALLBACK] = "call_fallback",
    [FRAME_CALL_UPDATE] = "call_update",
    [FRAME_CALL_STATS] = "call_stats",
    [FRAME_SFU_PUBLISH] = "sfu_publish",
    [FRAME_SFU_SUBSCRIBE] = "sfu_subscribe",
    [FRAME_SFU_ANSWER] = "sfu_answer",
    [FRAME_SFU_VIEW] = "sfu_view",
    [FRAME_SFU_ICE_RESTART] = "sfu_ice_restart",
};

static const char *const media_words[] = {"audio", "video", NULL};
static const char *const policy_words[] = {"auto", "p2p", "sfu", NULL};
static const char *const description_words[] = {"offer", "answer", "pranswer", "rollback", NULL};
static const char *const fallback_words[] = {"ice_failed", "timeout", "policy", NULL};
static const char *const path_words[] = {"p2p", "turn", "sfu", NULL};
static const char *const which_words[] = {"publish", "subscribe", NULL};
static const char *const source_words[] = {"camera", "screen", NULL};

struct reader {
    struct call_frame *f;
    const cJSON *data;
    struct json_errors *e;
    bool too_large;
};

const char *call_frame_name(enum call_frame_type t)
{
    return names[t];
}

static struct id read_id(struct reader *r, const cJSON *o, const char *field, int required)
{
    struct id id = {""};
    const char *s = json_id(o, field, required, r->e);
    if (s != NULL) {
        id_parse(&id, s);
    }
    return id;
}

/* A text over its bound is too_large, not bad_request: checked before json_str would say so. */
static bool fits(struct reader *r, const cJSON *o, const char *field, size_t max)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, field);
    if (cJSON_IsString(v) && strlen(v->valuestring) > max) {
        r->too_large = true;
        return false;
    }
    return true;
}

/* RFC 8866 section 5: every description begins with its version. What more it must be is for those
 * who use it: the peer's browser, or the SFU. */
static const char *read_sdp(struct reader *r, const cJSON *o, int required)
{
    if (!fits(r, o, "sdp", CALL_MAX_SDP)) {
        return NULL;
    }
    const char *sdp = json_str(o, "sdp", required, 1, CALL_MAX_SDP, r->e);
    if (sdp != NULL && strncmp(sdp, "v=0\r\n", 5) != 0 && strncmp(sdp, "v=0\n", 4) != 0) {
        json_error(r->e, "sdp", "is no session description");
        return NULL;
    }
    return sdp;
}

static void keep(struct reader *r, cJSON *v)
{
    free(r->f->payload);
    r->f->payload = json_print(v);
    cJSON_Delete(v);
}

static void read_description(struct reader *r, int required)
{
    const cJSON *d = json_obj(r->data, "description", required, r->e);
    if (d == NULL) {
        return;
    }
    int type = json_enum(d, "type", JSON_REQUIRED, description_words, r->e);
    bool rollback = type == 3;
    const char *sdp = rollback ? "" : read_sdp(r, d, JSON_REQUIRED);
    if (type < 0 || sdp == NULL) {
        return;
    }
    cJSON *v = json_new();
    json_put_str(v, "type", description_words[type]);
    json_put_str(v, "sdp", sdp);
    keep(r, v);
}

/* RTCIceCandidateInit, or null at the end of candidates. */
static void read_candidate(struct reader *r)
{
    const cJSON *c = cJSON_GetObjectItemCaseSensitive(r->data, "candidate");
    if (cJSON_IsNull(c)) {
        keep(r, cJSON_CreateNull());
        return;
    }
    if (!cJSON_IsObject(c)) {
        json_error(r->e, "candidate", "must be an object or null");
        return;
    }
    if (!fits(r, c, "candidate", CALL_MAX_CANDIDATE)) {
        return;
    }
    const char *text = json_str(c, "candidate", JSON_REQUIRED, 0, CALL_MAX_CANDIDATE, r->e);
    if (text != NULL && text[0] != '\0' && strncmp(text, "candidate:", 10) != 0 &&
        strncmp(text, "a=candidate:", 12) != 0) {
        json_error(r->e, "candidate", "is no ICE candidate");
    }
    const char *mid = json_str(c, "sdpMid", JSON_OPTIONAL, 0, MAX_MID, r->e);
    int64_t line = json_int(c, "sdpMLineIndex", JSON_OPTIONAL, 0, MAX_LINE_INDEX, -1, r->e);
    const char *ufrag = json_str(c, "usernameFragment", JSON_OPTIONAL, 0, MAX_UFRAG, r->e);
    cJSON *v = json_new();
    json_put_str(v, "candidate", text);
    json_put_str(v, "sdpMid", mid);
    if (line >= 0) {
        json_put_int(v, "sdpMLineIndex", line);
    }
    json_put_str(v, "usernameFragment", ufrag);
    keep(r, v);
}

static void read_media(struct reader *r)
{
    int media = json_enum(r->data, "media", JSON_OPTIONAL, media_words, r->e);
    r->f->has_media = media >= 0;
    r->f->video = media == 1;
}

static void read_start(struct reader *r)
{
    struct call_frame *f = r->f;
    f->conversation_id = read_id(r, r->data, "conversationId", JSON_OPTIONAL);
    f->other_id = read_id(r, r->data, "userId", JSON_OPTIONAL);
    if (r->e->n == 0 && (f->conversation_id.s[0] == '\0') == (f->other_id.s[0] == '\0')) {
        json_error(r->e, "conversationId", "give either conversationId or userId");
    }
    read_media(r);
    int policy = json_enum(r->data, "mode", JSON_OPTIONAL, policy_words, r->e);
    f->policy = policy < 0 ? CALL_POLICY_AUTO : (enum call_policy)policy;
    read_description(r, JSON_OPTIONAL);
}

static void read_users(struct reader *r)
{
    const cJSON *list = json_arr(r->data, "userIds", JSON_REQUIRED, CALL_FRAME_MAX_USERS, r->e);
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsString(item) || r->f->n_users == CALL_FRAME_MAX_USERS ||
            id_parse(&r->f->users[r->f->n_users], item->valuestring) != OK) {
            json_error(r->e, "userIds", "must be ids of users");
            return;
        }
        r->f->n_users++;
    }
    if (list != NULL && r->f->n_users == 0) {
        json_error(r->e, "userIds", "must not be empty");
    }
}

static void read_to(struct reader *r)
{
    const cJSON *to = json_obj(r->data, "to", JSON_OPTIONAL, r->e);
    if (to != NULL) {
        r->f->to_user = read_id(r, to, "userId", JSON_REQUIRED);
        r->f->to_device = read_id(r, to, "deviceId", JSON_OPTIONAL);
    }
}

static int read_flag(struct reader *r, const char *field)
{
    if (cJSON_GetObjectItemCaseSensitive(r->data, field) == NULL) {
        return -1;
    }
    return json_bool(r->data, field, JSON_OPTIONAL, false, r->e) ? 1 : 0;
}

static double read_number(struct reader *r, const char *field, double max)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(r->data, field);
    if (v == NULL || cJSON_IsNull(v)) {
        return -1;
    }
    if (!cJSON_IsNumber(v) || !(v->valuedouble >= 0 && v->valuedouble <= max)) {
        json_error(r->e, field, "must be a number from 0 to %g", max);
        return -1;
    }
    return v->valuedouble;
}

static void read_stats(struct reader *r)
{
    int path = json_enum(r->data, "path", JSON_OPTIONAL, path_words, r->e);
    r->f->path = path < 0 ? CALL_PATH_NONE : (enum call_path)(path + CALL_PATH_P2P);
    r->f->rtt_ms = (int)read_number(r, "rttMs", 600000);
    r->f->loss_percent = read_number(r, "lossPercent", 100);
}

static void read_view_item(struct reader *r, const cJSON *item)
{
    struct call_frame_view *v = &r->f->view[r->f->n_view++];
    v->slot = (int)json_int(item, "slot", JSON_REQUIRED, 0, CALL_FRAME_MAX_VIDEO - 1, 0, r->e);
    v->participant_id = read_id(r, item, "participantId", JSON_OPTIONAL);
    int source = json_enum(item, "source", JSON_OPTIONAL, source_words, r->e);
    v->source = source_words[source < 0 ? 0 : source];
    v->max_height =
        (int)json_int(item, "maxHeight", JSON_OPTIONAL, 0, CALL_FRAME_MAX_HEIGHT, 0, r->e);
    v->priority = (int)json_int(item, "priority", JSON_OPTIONAL, -100, 100, 0, r->e);
}

static void read_view(struct reader *r)
{
    const cJSON *list = json_arr(r->data, "video", JSON_REQUIRED, CALL_FRAME_MAX_VIDEO, r->e);
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsObject(item) || r->f->n_view == CALL_FRAME_MAX_VIDEO) {
            json_error(r->e, "video", "must be objects");
            return;
        }
        read_view_item(r, item);
    }
}

static void read_slots(struct reader *r)
{
    r->f->audio_slots =
        (int)json_int(r->data, "audioSlots", JSON_OPTIONAL, 0, CALL_FRAME_MAX_AUDIO, 3, r->e);
    r->f->video_slots =
        (int)json_int(r->data, "videoSlots", JSON_OPTIONAL, 0, CALL_FRAME_MAX_VIDEO, 9, r->e);
    if (r->f->audio_slots + r->f->video_slots == 0) {
        json_error(r->e, "audioSlots", "there must be at least one slot");
    }
}

static void read_restart(struct reader *r)
{
    int which = json_enum(r->data, "which", JSON_REQUIRED, which_words, r->e);
    if (which >= 0) {
        r->f->which = which_words[which];
        /* The client offers for what it publishes, the server for what it sends. */
        r->f->sdp = read_sdp(r, r->data, which == 0 ? JSON_REQUIRED : JSON_OPTIONAL);
    }
}

static void read_fields(struct reader *r)
{
    struct call_frame *f = r->f;
    switch (f->type) {
    case FRAME_CALL_START:
        read_start(r);
        break;
    case FRAME_ACCEPT_CALL:
        read_media(r);
        read_description(r, JSON_OPTIONAL);
        break;
    case FRAME_CALL_INVITE:
        read_users(r);
        break;
    case FRAME_CALL_JOIN:
        read_media(r);
        break;
    case FRAME_CALL_DESCRIPTION:
        read_to(r);
        read_description(r, JSON_REQUIRED);
        break;
    case FRAME_ICE_CANDIDATE:
        read_to(r);
        read_candidate(r);
        break;
    case FRAME_CALL_FALLBACK: {
        int why = json_enum(r->data, "reason", JSON_OPTIONAL, fallback_words, r->e);
        f->fallback = why < 0 ? FALLBACK_ICE_FAILED : (enum call_fallback_reason)why;
        break;
    }
    case FRAME_CALL_UPDATE:
        f->set_audio = read_flag(r, "audio");
        f->set_video = read_flag(r, "video");
        break;
    case FRAME_CALL_STATS:
        read_stats(r);
        break;
    case FRAME_SFU_PUBLISH:
    case FRAME_SFU_ANSWER:
        f->sdp = read_sdp(r, r->data, JSON_REQUIRED);
        break;
    case FRAME_SFU_SUBSCRIBE:
        read_slots(r);
        break;
    case FRAME_SFU_VIEW:
        read_view(r);
        break;
    case FRAME_SFU_ICE_RESTART:
        read_restart(r);
        break;
    default:
        break;
    }
}

int call_frame_parse(struct call_frame *f, enum call_frame_type t, const cJSON *data,
                     struct json_errors *e)
{
    memset(f, 0, sizeof(*f));
    f->type = t;
    f->rtt_ms = -1;
    f->loss_percent = -1;
    f->set_audio = f->set_video = -1;
    struct reader r = {.f = f, .data = data, .e = e};
    if (t != FRAME_CALL_START) {
        f->call_id = read_id(&r, data, "callId", JSON_REQUIRED);
    }
    read_fields(&r);
    if (r.too_large || e->n > 0) {
        call_frame_free(f);
        return r.too_large ? ERR_TOO_LARGE : ERR_INVALID;
    }
    return OK;
}

void call_frame_free(struct call_frame *f)
{
    free(f->payload);
    f->payload = NULL;
}
