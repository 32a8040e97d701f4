/* The client frames of calls, read into one typed struct: sizes and shapes are checked here and
 * nowhere else. Pure. docs/asyncapi.yaml is what a client sees. */
#ifndef SOTTO_SIGNALING_CORE_CALL_FRAMES_H
#define SOTTO_SIGNALING_CORE_CALL_FRAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/err.h"
#include "lib/base/ids.h"
#include "lib/base/json.h"
#include "signaling/core/call.h"

#define CALL_FRAME_MAX_USERS  32 /* invited at once */
#define CALL_FRAME_MAX_AUDIO  16 /* slots */
#define CALL_FRAME_MAX_VIDEO  64
#define CALL_FRAME_MAX_HEIGHT 4320

enum call_frame_type {
    FRAME_CALL_START, /* conversation_id or other_id, video, policy, payload (description) */
    FRAME_CALL_RINGING,
    FRAME_ACCEPT_CALL, /* video, has_media, payload (description) */
    FRAME_DECLINE_CALL,
    FRAME_HANG_UP,
    FRAME_CALL_INVITE, /* users */
    FRAME_CALL_JOIN,
    FRAME_CALL_DESCRIPTION, /* payload, to_user, to_device */
    FRAME_ICE_CANDIDATE,    /* payload (may be the JSON null), to_user, to_device */
    FRAME_CALL_FALLBACK,    /* fallback */
    FRAME_CALL_UPDATE,      /* set_audio, set_video */
    FRAME_CALL_STATS,       /* path, rtt_ms, loss_percent */
    FRAME_SFU_PUBLISH,      /* sdp */
    FRAME_SFU_SUBSCRIBE,    /* audio_slots, video_slots */
    FRAME_SFU_ANSWER,       /* sdp */
    FRAME_SFU_VIEW,         /* view */
    FRAME_SFU_ICE_RESTART,  /* which, sdp or NULL */
    FRAME_TYPES,
};

struct call_frame_view {
    int slot;
    struct id participant_id; /* "" for nobody */
    const char *source;       /* "camera" or "screen" */
    int max_height, priority;
};

/* Texts but payload are borrowed from the frame's JSON. */
struct call_frame {
    enum call_frame_type type;
    struct id call_id;
    struct id conversation_id, other_id; /* one of both is "" */
    struct id to_user, to_device;
    bool video, has_media;
    enum call_policy policy;
    char *payload; /* compact JSON of a description or candidate, known members only; owned */
    enum call_fallback_reason fallback;
    int set_audio, set_video; /* 1, 0, -1 */
    enum call_path path;
    int rtt_ms; /* -1: not told */
    double loss_percent;
    const char *sdp;
    const char *which; /* "publish" or "subscribe" */
    int audio_slots, video_slots;
    int n_view;
    struct call_frame_view view[CALL_FRAME_MAX_VIDEO];
    int n_users;
    struct id users[CALL_FRAME_MAX_USERS];
};

/* "call_start", …; static storage. */
const char *call_frame_name(enum call_frame_type t);

/* Reads the data of a frame of this type (for POST /v1/calls: the body, as FRAME_CALL_START). OK;
 * ERR_INVALID with the fields in e; ERR_TOO_LARGE (an SDP or candidate over its bound). Free after
 * OK with call_frame_free. */
int call_frame_parse(struct call_frame *f, enum call_frame_type t, const cJSON *data,
                     struct json_errors *e);
void call_frame_free(struct call_frame *f);

#endif
