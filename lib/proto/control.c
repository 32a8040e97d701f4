/* Reading of control frames; control_make.c builds. */
#include "lib/proto/control.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"

#define MAX_MID      32
#define MAX_SOURCE   32
#define MAX_TEXT     256
#define MAX_HEIGHT   16384
#define MAX_COUNTER  INT64_C(1000000000000)
#define MAX_PRIORITY 100
#define MAX_PORT     65535

static const char *const type_names[] = {
    [CONTROL_HELLO] = "hello",
    [CONTROL_PUBLISH] = "publish",
    [CONTROL_SUBSCRIBE] = "subscribe",
    [CONTROL_WATCH] = "watch",
    [CONTROL_ANSWER] = "answer",
    [CONTROL_VIEW] = "view",
    [CONTROL_RESTART] = "restart",
    [CONTROL_LEAVE] = "leave",
    [CONTROL_CLOSE] = "close",
    [CONTROL_RELAY] = "relay",
    [CONTROL_UNRELAY] = "unrelay",
    [CONTROL_REPLY] = "reply",
    [CONTROL_CONNECTED] = "connected",
    [CONTROL_DISCONNECTED] = "disconnected",
    [CONTROL_SLOTS] = "slots",
    [CONTROL_SPEAKERS] = "speakers",
    [CONTROL_LOAD] = "load",
    [CONTROL_STATS] = "stats",
    NULL,
};
static const char *const which_names[] = {"publish", "subscribe", NULL};

const char *control_type_name(enum control_type t)
{
    return (unsigned)t <= CONTROL_STATS ? type_names[t] : "";
}

bool control_is_request(enum control_type t)
{
    return t >= CONTROL_PUBLISH && t <= CONTROL_UNRELAY;
}

static void read_room(struct control_frame *f, struct json_errors *e)
{
    const char *room = json_id(f->root, "room", JSON_REQUIRED, e);
    if (room) {
        (void)id_parse(&f->room, room);
    }
}

static uint32_t read_number(const cJSON *o, const char *field, int required, int64_t min,
                            int64_t max, int64_t dflt, struct json_errors *e)
{
    return (uint32_t)json_int(o, field, required, min, max, dflt, e);
}

static void read_participant(struct control_frame *f, struct json_errors *e)
{
    f->participant =
        read_number(f->root, "participant", JSON_REQUIRED, 1, CONTROL_MAX_PARTICIPANT, 0, e);
}

static const char *read_sdp(const cJSON *o, int required, struct json_errors *e)
{
    return json_str(o, "sdp", required, 1, CONTROL_MAX_SDP, e);
}

static void read_which(struct control_frame *f, struct json_errors *e)
{
    int w = json_enum(f->root, "which", JSON_REQUIRED, which_names, e);
    f->which = w == 1 ? CONTROL_WHICH_SUBSCRIBE : CONTROL_WHICH_PUBLISH;
}

/* Members of a slot in both directions; what doesn't belong to the frame's type stays 0. */
static void read_slot(struct control_slot *s, const cJSON *o, enum control_type t, bool video,
                      struct json_errors *e)
{
    memset(s, 0, sizeof *s);
    s->slot = read_number(o, "slot", JSON_REQUIRED, 0, CONTROL_MAX_SLOTS - 1, 0, e);
    s->participant = read_number(o, "participant", JSON_OPTIONAL, 1, CONTROL_MAX_PARTICIPANT, 0, e);
    if (video) {
        s->source = json_str(o, "source", JSON_OPTIONAL, 1, MAX_SOURCE, e);
        if (!s->source) {
            s->source = "camera";
        }
    }
    if (t == CONTROL_VIEW) {
        s->max_height = read_number(o, "maxHeight", JSON_OPTIONAL, 0, MAX_HEIGHT, 0, e);
        s->priority =
            (int32_t)json_int(o, "priority", JSON_OPTIONAL, -MAX_PRIORITY, MAX_PRIORITY, 0, e);
        return;
    }
    s->mid = json_str(o, "mid", JSON_REQUIRED, 1, MAX_MID, e);
    s->csrc = read_number(o, "csrc", JSON_OPTIONAL, 0, UINT32_MAX, 0, e);
    if (video) {
        s->paused = json_bool(o, "paused", JSON_OPTIONAL, false, e);
        s->width = read_number(o, "width", JSON_OPTIONAL, 0, MAX_HEIGHT, 0, e);
        s->height = read_number(o, "height", JSON_OPTIONAL, 0, MAX_HEIGHT, 0, e);
    }
}

static size_t read_slots(struct control_slot *out, size_t max, const struct control_frame *f,
                         const char *field, bool video, struct json_errors *e)
{
    size_t n = 0;
    const cJSON *arr = json_arr(f->root, field, JSON_REQUIRED, (int)max, e), *o;

    cJSON_ArrayForEach(o, arr)
    {
        if (!cJSON_IsObject(o)) {
            json_error(e, field, "must hold objects");
            return 0;
        }
        if (n == max) {
            return n;
        }
        read_slot(&out[n++], o, f->type, video, e);
    }
    return n;
}

static void read_speakers(struct control_frame *f, struct json_errors *e)
{
    const cJSON *arr = json_arr(f->root, "speakers", JSON_REQUIRED, CONTROL_MAX_SPEAKERS, e), *o;

    cJSON_ArrayForEach(o, arr)
    {
        if (!cJSON_IsObject(o) || f->n_speakers == CONTROL_MAX_SPEAKERS) {
            json_error(e, "speakers", "must hold objects");
            return;
        }
        struct control_speaker *s = &f->speaker[f->n_speakers++];
        s->participant =
            read_number(o, "participant", JSON_REQUIRED, 1, CONTROL_MAX_PARTICIPANT, 0, e);
        s->level = read_number(o, "level", JSON_REQUIRED, 0, 127, 127, e);
    }
}

static void read_hello(struct control_frame *f, struct json_errors *e)
{
    uint32_t unused[1];
    struct id room;

    f->node = json_str(f->root, "node", JSON_REQUIRED, 1, MAX_TEXT, e);
    f->instance = json_id(f->root, "instance", JSON_REQUIRED, e);
    f->region = json_str(f->root, "region", JSON_REQUIRED, 0, MAX_TEXT, e);
    f->data = json_obj(f->root, "load", JSON_OPTIONAL, e);
    const cJSON *rooms = json_arr(f->root, "rooms", JSON_REQUIRED, CONTROL_MAX_ROOMS, e);
    f->n_rooms = rooms ? (size_t)cJSON_GetArraySize(rooms) : 0;
    if (f->n_rooms > CONTROL_MAX_ROOMS) {
        return;
    }
    const cJSON *o = rooms ? rooms->child : NULL;
    for (; o; o = o->next) {
        struct control_frame one = {.n_rooms = 1, .data = o, .type = CONTROL_STATS};
        if (control_room_at(&one, 0, &room, unused, 0) < 0) {
            json_error(e, "rooms", "must hold {room, participants}");
            return;
        }
    }
}

static const cJSON *room_object(const struct control_frame *f, size_t i)
{
    if (i >= f->n_rooms) {
        return NULL;
    }
    if (!f->root) { /* a single entry on its own, while a hello is being checked */
        return f->data;
    }
    return cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(f->root, "rooms"), (int)i);
}

int control_room_at(const struct control_frame *f, size_t i, struct id *room,
                    uint32_t *participants, size_t cap)
{
    struct json_errors e = {0};
    const cJSON *o = room_object(f, i), *p;
    size_t n = 0;

    if (!cJSON_IsObject(o)) {
        return ERR_INVALID;
    }
    const char *id = json_id(o, "room", JSON_REQUIRED, &e);
    const cJSON *arr = json_arr(o, "participants", JSON_REQUIRED, CONTROL_MAX_PARTICIPANTS, &e);
    if (e.n > 0 || !id) {
        return ERR_INVALID;
    }
    cJSON_ArrayForEach(p, arr)
    {
        double v = p->valuedouble;
        if (!cJSON_IsNumber(p) || !(v >= 1 && v <= CONTROL_MAX_PARTICIPANT) ||
            v != (double)(uint32_t)v) {
            return ERR_INVALID;
        }
        if (n < cap) {
            participants[n++] = (uint32_t)v;
        }
    }
    return id_parse(room, id) < 0 ? ERR_INVALID : (int)n;
}

static void read_reply(struct control_frame *f, struct json_errors *e)
{
    const cJSON *ok = cJSON_GetObjectItemCaseSensitive(f->root, "ok");

    if (!cJSON_IsBool(ok)) {
        json_error(e, "ok", "must be true or false");
        return;
    }
    f->ok = cJSON_IsTrue(ok);
    if (f->ok) {
        f->data = json_obj(f->root, "data", JSON_OPTIONAL, e);
        f->sdp = f->data ? read_sdp(f->data, JSON_OPTIONAL, e) : NULL;
        f->port = f->data ? read_number(f->data, "port", JSON_OPTIONAL, 0, MAX_PORT, 0, e) : 0;
        return;
    }
    const cJSON *err = json_obj(f->root, "error", JSON_REQUIRED, e);
    f->error_code = err ? json_str(err, "code", JSON_REQUIRED, 1, MAX_TEXT, e) : NULL;
    f->error_message = err ? json_str(err, "message", JSON_OPTIONAL, 0, 1024, e) : NULL;
    if (err && !f->error_message) {
        f->error_message = "";
    }
}

static void read_relay(struct control_frame *f, struct json_errors *e)
{
    f->node = json_str(f->root, "node", JSON_REQUIRED, 1, MAX_TEXT, e);
    if (f->type == CONTROL_UNRELAY) {
        return;
    }
    f->port = read_number(f->root, "port", JSON_OPTIONAL, 0, MAX_PORT, 0, e);
    int required = f->port ? JSON_REQUIRED : JSON_OPTIONAL;
    f->address = json_str(f->root, "address", required, 1, CONTROL_MAX_ADDRESS, e);
    f->address = f->address ? f->address : "";
    f->branch = json_bool(f->root, "branch", JSON_OPTIONAL, false, e);
}

static void read_load(struct control_frame *f, struct json_errors *e)
{
    const cJSON *cpu = cJSON_GetObjectItemCaseSensitive(f->root, "cpu");

    f->rooms = json_int(f->root, "rooms", JSON_REQUIRED, 0, MAX_COUNTER, 0, e);
    f->transports = json_int(f->root, "transports", JSON_REQUIRED, 0, MAX_COUNTER, 0, e);
    f->packets_per_second =
        json_int(f->root, "packetsPerSecond", JSON_REQUIRED, 0, MAX_COUNTER, 0, e);
    if (!cJSON_IsNumber(cpu) || !(cpu->valuedouble >= 0 && cpu->valuedouble <= 4096)) {
        json_error(e, "cpu", "must be a number from 0 on");
    } else {
        f->cpu = cpu->valuedouble;
    }
}

static void read_stats(struct control_frame *f, struct json_errors *e)
{
    const cJSON *o;

    f->data = json_arr(f->root, "participants", JSON_REQUIRED, CONTROL_MAX_PARTICIPANTS, e);
    cJSON_ArrayForEach(o, f->data)
    {
        if (!cJSON_IsObject(o)) {
            json_error(e, "participants", "must hold objects");
            return;
        }
        (void)read_number(o, "participant", JSON_REQUIRED, 1, CONTROL_MAX_PARTICIPANT, 0, e);
    }
}

static void read_body(struct control_frame *f, struct json_errors *e)
{
    switch (f->type) {
    case CONTROL_HELLO:
        read_hello(f, e);
        break;
    case CONTROL_PUBLISH:
    case CONTROL_WATCH:
    case CONTROL_ANSWER:
        f->sdp = read_sdp(f->root, JSON_REQUIRED, e);
        break;
    case CONTROL_SUBSCRIBE:
        f->audio_slots =
            read_number(f->root, "audioSlots", JSON_REQUIRED, 0, CONTROL_MAX_AUDIO_SLOTS, 0, e);
        f->video_slots =
            read_number(f->root, "videoSlots", JSON_REQUIRED, 0, CONTROL_MAX_SLOTS, 0, e);
        if (f->audio_slots + f->video_slots == 0) {
            json_error(e, "videoSlots", "at least one slot is needed");
        }
        break;
    case CONTROL_VIEW:
        f->n_video = read_slots(f->video, CONTROL_MAX_SLOTS, f, "video", true, e);
        break;
    case CONTROL_RESTART:
        read_which(f, e);
        f->sdp = read_sdp(f->root, JSON_OPTIONAL, e);
        break;
    case CONTROL_REPLY:
        read_reply(f, e);
        break;
    case CONTROL_CONNECTED:
    case CONTROL_DISCONNECTED:
        read_which(f, e);
        break;
    case CONTROL_SLOTS:
        f->n_audio = read_slots(f->audio, CONTROL_MAX_AUDIO_SLOTS, f, "audio", false, e);
        f->n_video = read_slots(f->video, CONTROL_MAX_SLOTS, f, "video", true, e);
        break;
    case CONTROL_SPEAKERS:
        read_speakers(f, e);
        break;
    case CONTROL_LOAD:
        read_load(f, e);
        break;
    case CONTROL_STATS:
        read_stats(f, e);
        break;
    case CONTROL_LEAVE:
        f->has_which = cJSON_GetObjectItemCaseSensitive(f->root, "which") != NULL;
        if (f->has_which) {
            read_which(f, e);
        }
        break;
    case CONTROL_RELAY:
    case CONTROL_UNRELAY:
        read_relay(f, e);
        break;
    case CONTROL_CLOSE:
        break;
    }
}

static bool has_room(enum control_type t)
{
    return t != CONTROL_HELLO && t != CONTROL_REPLY && t != CONTROL_LOAD;
}

static bool has_participant(enum control_type t)
{
    return has_room(t) && t != CONTROL_CLOSE && t != CONTROL_RELAY && t != CONTROL_UNRELAY &&
           t != CONTROL_SPEAKERS && t != CONTROL_STATS;
}

static int read_frame(struct control_frame *f, struct json_errors *e)
{
    if (!cJSON_IsObject(f->root)) {
        json_error(e, "", "must be an object");
        return ERR_INVALID;
    }
    const cJSON *t = cJSON_GetObjectItemCaseSensitive(f->root, "t");
    if (!cJSON_IsString(t)) {
        json_error(e, "t", "must be a string");
        return ERR_INVALID;
    }
    int type = -1;
    for (int i = 0; type_names[i] && type < 0; i++) {
        if (strcmp(type_names[i], t->valuestring) == 0) {
            type = i;
        }
    }
    bool needs_id =
        type >= 0 && (control_is_request((enum control_type)type) || type == CONTROL_REPLY);
    f->id =
        json_int(f->root, "id", needs_id ? JSON_REQUIRED : JSON_OPTIONAL, 1, CONTROL_MAX_ID, 0, e);
    if (type < 0) {
        json_error(e, "t", "is not known");
        return ERR_UNSUPPORTED;
    }
    f->type = (enum control_type)type;
    if (has_room(f->type)) {
        read_room(f, e);
    }
    if (has_participant(f->type)) {
        read_participant(f, e);
    }
    read_body(f, e);
    return e->n > 0 ? ERR_INVALID : OK;
}

static void say(char *why, size_t cap, const char *what, const char *more)
{
    if (why && cap > 0) {
        snprintf(why, cap, "%s%s%s", what, *more ? " " : "", more);
    }
}

int control_parse(struct control_frame *f, const char *text, size_t len, char *why, size_t why_cap)
{
    struct json_errors e = {0};

    memset(f, 0, sizeof *f);
    say(why, why_cap, "", "");
    int r = len > CONTROL_MAX_BYTES ? ERR_TOO_LARGE : json_parse(&f->root, text, len);
    if (r < 0) {
        f->root = NULL;
        f->id = control_find_id(text, len);
        say(why, why_cap, r == ERR_TOO_LARGE ? "frame is too large" : "is not JSON", "");
        return r;
    }
    r = read_frame(f, &e);
    if (r < 0) {
        say(why, why_cap, e.n > 0 ? e.item[0].field : "", e.n > 0 ? e.item[0].message : "");
        int64_t id = f->id;
        control_free(f);
        f->id = id;
    }
    return r;
}

void control_free(struct control_frame *f)
{
    cJSON_Delete(f->root);
    memset(f, 0, sizeof *f);
}
