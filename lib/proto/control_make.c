/* Building of control frames. */
#include "lib/proto/control.h"

static cJSON *start(enum control_type t, int64_t id, const char *room, uint32_t participant)
{
    cJSON *o = json_new();

    json_put_str(o, "t", control_type_name(t));
    if (id > 0) {
        json_put_int(o, "id", id);
    }
    json_put_str(o, "room", room);
    if (participant > 0) {
        json_put_int(o, "participant", participant);
    }
    return o;
}

static char *finish(cJSON *o)
{
    char *text = json_print(o);
    cJSON_Delete(o);
    return text;
}

char *control_make_publish(int64_t id, const char *room, uint32_t participant, const char *sdp)
{
    cJSON *o = start(CONTROL_PUBLISH, id, room, participant);
    json_put_str(o, "sdp", sdp);
    return finish(o);
}

char *control_make_subscribe(int64_t id, const char *room, uint32_t participant,
                             uint32_t audio_slots, uint32_t video_slots)
{
    cJSON *o = start(CONTROL_SUBSCRIBE, id, room, participant);
    json_put_int(o, "audioSlots", audio_slots);
    json_put_int(o, "videoSlots", video_slots);
    return finish(o);
}

char *control_make_watch(int64_t id, const char *room, uint32_t participant, const char *sdp)
{
    cJSON *o = start(CONTROL_WATCH, id, room, participant);
    json_put_str(o, "sdp", sdp);
    return finish(o);
}

char *control_make_answer(int64_t id, const char *room, uint32_t participant, const char *sdp)
{
    cJSON *o = start(CONTROL_ANSWER, id, room, participant);
    json_put_str(o, "sdp", sdp);
    return finish(o);
}

static void put_participant(cJSON *o, uint32_t participant)
{
    if (participant > 0) {
        json_put_int(o, "participant", participant);
    } else {
        json_put_null(o, "participant");
    }
}

char *control_make_view(int64_t id, const char *room, uint32_t participant,
                        const struct control_slot *video, size_t n)
{
    cJSON *o = start(CONTROL_VIEW, id, room, participant), *arr = cJSON_CreateArray();

    for (size_t i = 0; i < n; i++) {
        cJSON *s = json_new();
        json_put_int(s, "slot", video[i].slot);
        put_participant(s, video[i].participant);
        json_put_str(s, "source", video[i].source);
        json_put_int(s, "maxHeight", video[i].max_height);
        json_put_int(s, "priority", video[i].priority);
        cJSON_AddItemToArray(arr, s);
    }
    json_put(o, "video", arr);
    return finish(o);
}

static const char *which_name(enum control_which w)
{
    return w == CONTROL_WHICH_SUBSCRIBE ? "subscribe" : "publish";
}

char *control_make_restart(int64_t id, const char *room, uint32_t participant,
                           enum control_which which, const char *sdp)
{
    cJSON *o = start(CONTROL_RESTART, id, room, participant);
    json_put_str(o, "which", which_name(which));
    json_put_str(o, "sdp", sdp);
    return finish(o);
}

char *control_make_leave(int64_t id, const char *room, uint32_t participant)
{
    return finish(start(CONTROL_LEAVE, id, room, participant));
}

char *control_make_leave_one(int64_t id, const char *room, uint32_t participant,
                             enum control_which which)
{
    cJSON *o = start(CONTROL_LEAVE, id, room, participant);
    json_put_str(o, "which", which_name(which));
    return finish(o);
}

char *control_make_close(int64_t id, const char *room)
{
    return finish(start(CONTROL_CLOSE, id, room, 0));
}

char *control_make_relay(int64_t id, const char *room, const char *node, const char *address,
                         uint32_t port, bool branch)
{
    cJSON *o = start(CONTROL_RELAY, id, room, 0);
    json_put_str(o, "node", node);
    if (port > 0) {
        json_put_str(o, "address", address);
        json_put_int(o, "port", port);
    }
    json_put_bool(o, "branch", branch);
    return finish(o);
}

char *control_make_unrelay(int64_t id, const char *room, const char *node)
{
    cJSON *o = start(CONTROL_UNRELAY, id, room, 0);
    json_put_str(o, "node", node);
    return finish(o);
}

static char *make_ok(int64_t id, cJSON *data)
{
    cJSON *o = start(CONTROL_REPLY, id, NULL, 0);
    json_put_bool(o, "ok", true);
    json_put(o, "data", data);
    return finish(o);
}

char *control_make_relay_reply(int64_t id, uint32_t port)
{
    cJSON *data = json_new();
    json_put_int(data, "port", port);
    return make_ok(id, data);
}

char *control_make_reply(int64_t id, const char *sdp)
{
    cJSON *data = json_new();
    json_put_str(data, "sdp", sdp);
    return make_ok(id, data);
}

char *control_make_error(int64_t id, const char *code, const char *message)
{
    cJSON *o = start(CONTROL_REPLY, id, NULL, 0), *err = json_new();
    json_put_bool(o, "ok", false);
    json_put_str(err, "code", code);
    json_put_str(err, "message", message);
    json_put(o, "error", err);
    return finish(o);
}

char *control_make_hello(const char *node, const char *instance, const char *region,
                         const struct control_hello_room *rooms, size_t n)
{
    cJSON *o = start(CONTROL_HELLO, 0, NULL, 0), *arr = cJSON_CreateArray();

    json_put_str(o, "node", node);
    json_put_str(o, "instance", instance);
    json_put_str(o, "region", region);
    for (size_t i = 0; i < n; i++) {
        cJSON *r = json_new(), *list = cJSON_CreateArray();
        json_put_str(r, "room", rooms[i].room);
        for (size_t k = 0; k < rooms[i].n; k++) {
            cJSON_AddItemToArray(list, cJSON_CreateNumber(rooms[i].participants[k]));
        }
        json_put(r, "participants", list);
        cJSON_AddItemToArray(arr, r);
    }
    json_put(o, "rooms", arr);
    json_put(o, "load", json_new());
    return finish(o);
}

char *control_make_transport(bool connected, const char *room, uint32_t participant,
                             enum control_which which)
{
    cJSON *o = start(connected ? CONTROL_CONNECTED : CONTROL_DISCONNECTED, 0, room, participant);
    json_put_str(o, "which", which_name(which));
    return finish(o);
}

static cJSON *slot_array(const struct control_slot *slots, size_t n, bool video)
{
    cJSON *arr = cJSON_CreateArray();

    for (size_t i = 0; i < n; i++) {
        cJSON *s = json_new();
        json_put_int(s, "slot", slots[i].slot);
        json_put_str(s, "mid", slots[i].mid);
        put_participant(s, slots[i].participant);
        if (video) {
            json_put_str(s, "source", slots[i].source);
        }
        json_put_int(s, "csrc", slots[i].csrc);
        if (video) {
            json_put_bool(s, "paused", slots[i].paused);
            if (slots[i].width > 0 && slots[i].height > 0) {
                json_put_int(s, "width", slots[i].width);
                json_put_int(s, "height", slots[i].height);
            }
        }
        cJSON_AddItemToArray(arr, s);
    }
    return arr;
}

char *control_make_slots(const char *room, uint32_t participant, const struct control_slot *audio,
                         size_t n_audio, const struct control_slot *video, size_t n_video)
{
    cJSON *o = start(CONTROL_SLOTS, 0, room, participant);
    json_put(o, "audio", slot_array(audio, n_audio, false));
    json_put(o, "video", slot_array(video, n_video, true));
    return finish(o);
}

char *control_make_speakers(const char *room, const struct control_speaker *s, size_t n)
{
    cJSON *o = start(CONTROL_SPEAKERS, 0, room, 0), *arr = cJSON_CreateArray();

    for (size_t i = 0; i < n; i++) {
        cJSON *e = json_new();
        json_put_int(e, "participant", s[i].participant);
        json_put_int(e, "level", s[i].level);
        cJSON_AddItemToArray(arr, e);
    }
    json_put(o, "speakers", arr);
    return finish(o);
}

char *control_make_load(int64_t rooms, int64_t transports, int64_t packets_per_second,
                        int64_t forwarded_packets, double cpu)
{
    cJSON *o = start(CONTROL_LOAD, 0, NULL, 0);
    json_put_int(o, "rooms", rooms);
    json_put_int(o, "transports", transports);
    json_put_int(o, "packetsPerSecond", packets_per_second);
    json_put_int(o, "forwardedPackets", forwarded_packets);
    json_put(o, "cpu", cJSON_CreateNumber(cpu));
    return finish(o);
}

char *control_make_stats(const char *room, cJSON *participants)
{
    cJSON *o = start(CONTROL_STATS, 0, room, 0);
    json_put(o, "participants", participants);
    return finish(o);
}
