/* The control frames between signald and sfud: one JSON object a frame {"t": TYPE, …}, carried by
 * lib/io/link. Requests have an id that the reply repeats; events have none. A flat struct holds
 * any of them: which members matter is said at each type. Participants are numbers (1..65535) that
 * are unique in a room; a room is a call's UUID. */
#ifndef SOTTO_PROTO_CONTROL_H
#define SOTTO_PROTO_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/ids.h"
#include "lib/base/json.h"

#define CONTROL_MAX_BYTES        ((size_t)256 * 1024)
#define CONTROL_MAX_ID           INT64_C(9007199254740991) /* exact in JSON numbers */
#define CONTROL_MAX_SLOTS        64
#define CONTROL_MAX_AUDIO_SLOTS  16
#define CONTROL_MAX_SPEAKERS     16
#define CONTROL_MAX_ROOMS        4096
#define CONTROL_MAX_PARTICIPANTS 4096
#define CONTROL_MAX_PARTICIPANT  65535
#define CONTROL_MAX_SDP          65536
#define CONTROL_MAX_ADDRESS      45 /* of an IPv6 address in text */

enum control_type {
    /* sfud to signald, first: node, instance, region, n_rooms + control_room_at, data = load */
    CONTROL_HELLO,
    /* signald to sfud, all with id and room, and participant but for close */
    CONTROL_PUBLISH,   /* sdp (offer); reply: sdp (answer) */
    CONTROL_SUBSCRIBE, /* audio_slots, video_slots; reply: sdp (offer) */
    CONTROL_WATCH,     /* sdp (the client's recvonly offer); reply: sdp (answer) */
    CONTROL_ANSWER,    /* sdp */
    CONTROL_VIEW,      /* n_video, video[] (slot, participant, source, max_height, priority) */
    CONTROL_RESTART,   /* which, sdp or NULL; reply: sdp. With an sdp (publish, watch) it is the
                          client's offer with its new ICE credentials, and the reply an answer */
    CONTROL_LEAVE,     /* has_which, which: only that transport; else all of the participant's */
    CONTROL_CLOSE,
    /* The room is shared with another node: node (its name), port and address (of its relay end, in
       numbers; port 0: not known yet, the room only gets its place here), branch (the room's home
       is over there). To be told again after each hello, within a minute. Reply: port (of the end
       here, which the other node is to be told). */
    CONTROL_RELAY,
    CONTROL_UNRELAY, /* room, node: no longer; also when it never was */
    CONTROL_REPLY,   /* id, ok, sdp or NULL and port or 0 (of data), data or NULL; error_code,
                        error_message */
    /* sfud to signald, events */
    CONTROL_CONNECTED,    /* room, participant, which */
    CONTROL_DISCONNECTED, /* room, participant, which */
    CONTROL_SLOTS,        /* room, participant, n_audio, audio[], n_video, video[] */
    CONTROL_SPEAKERS,     /* room, n_speakers, speaker[] */
    CONTROL_LOAD,         /* rooms, transports, packets_per_second, cpu */
    CONTROL_STATS,        /* room, data = the participants array, entries opaque objects */
};
/* "hello", "publish", …; static storage. */
const char *control_type_name(enum control_type t);
/* Whether signald asks it of sfud. */
bool control_is_request(enum control_type t);

enum control_which { CONTROL_WHICH_PUBLISH, CONTROL_WHICH_SUBSCRIBE };

struct control_slot {
    uint32_t slot;
    uint32_t participant;   /* 0: null, nobody */
    uint32_t csrc;          /* slots event; 0 for nobody */
    const char *mid;        /* slots event; borrowed */
    const char *source;     /* video: "camera" or "screen"; "camera" where not said */
    uint32_t max_height;    /* view; 0: any */
    int32_t priority;       /* view; larger is dearer, -100..100, 0 where not said */
    bool paused;            /* slots event, video */
    uint32_t width, height; /* slots event, video; 0: not known */
};

struct control_speaker {
    uint32_t participant;
    uint32_t level; /* 0 (loudest) .. 127, -dBov */
};

struct control_frame {
    enum control_type type;
    int64_t id; /* requests and replies: 1.. */
    struct id room;
    uint32_t participant;
    const char *sdp; /* or NULL */
    enum control_which which;
    bool has_which; /* leave */
    uint32_t audio_slots, video_slots;
    size_t n_audio, n_video, n_speakers, n_rooms;
    struct control_slot audio[CONTROL_MAX_AUDIO_SLOTS];
    struct control_slot video[CONTROL_MAX_SLOTS];
    struct control_speaker speaker[CONTROL_MAX_SPEAKERS];
    bool ok;
    const char *error_code, *error_message; /* of a failed reply */
    const char *node, *instance, *region;
    const char *address; /* relay; "" where the port is 0 */
    uint32_t port;       /* relay, and the reply to it */
    bool branch;         /* relay */
    int64_t rooms, transports, packets_per_second;
    double cpu;        /* 0..1 of one core, summed over workers */
    const cJSON *data; /* borrowed from root; or NULL */
    cJSON *root;       /* owned; all borrowed strings live in it */
};

/* Reads one frame. ERR_TOO_LARGE (any bound), ERR_INVALID (JSON, types, ranges, missing members),
 * ERR_UNSUPPORTED (unknown "t": to be ignored for events). Where an id can be found in what is
 * refused, f->id is set, so that the caller can say so; else it is 0. why (or NULL) takes a short
 * reason. Free after OK with control_free. The struct is large (about 5 KiB): keep one a
 * connection. */
int control_parse(struct control_frame *f, const char *text, size_t len, char *why, size_t why_cap);
void control_free(struct control_frame *f);
/* The outermost object's first "id", of a text that may be anything; 0: none, or no such number. */
int64_t control_find_id(const char *text, size_t len);

/* The i-th room of a hello (i < n_rooms): its id and its participants (at most cap of them are
 * written); returns their number or ERR_INVALID. */
int control_room_at(const struct control_frame *f, size_t i, struct id *room,
                    uint32_t *participants, size_t cap);

/* Builders: the frame's text, to be freed with free(); NULL when out of memory. */
char *control_make_publish(int64_t id, const char *room, uint32_t participant, const char *sdp);
char *control_make_subscribe(int64_t id, const char *room, uint32_t participant,
                             uint32_t audio_slots, uint32_t video_slots);
char *control_make_watch(int64_t id, const char *room, uint32_t participant, const char *sdp);
char *control_make_answer(int64_t id, const char *room, uint32_t participant, const char *sdp);
char *control_make_view(int64_t id, const char *room, uint32_t participant,
                        const struct control_slot *video, size_t n);
char *control_make_restart(int64_t id, const char *room, uint32_t participant,
                           enum control_which which, const char *sdp); /* sdp may be NULL */
char *control_make_leave(int64_t id, const char *room, uint32_t participant);
/* Only one of the participant's two transports. */
char *control_make_leave_one(int64_t id, const char *room, uint32_t participant,
                             enum control_which which);
char *control_make_close(int64_t id, const char *room);
/* address may be NULL where the port is 0. */
char *control_make_relay(int64_t id, const char *room, const char *node, const char *address,
                         uint32_t port, bool branch);
char *control_make_unrelay(int64_t id, const char *room, const char *node);
/* data takes {"port": port}: where this node's end of the relay is. */
char *control_make_relay_reply(int64_t id, uint32_t port);
/* data takes {"sdp": sdp} or {} when sdp is NULL. */
char *control_make_reply(int64_t id, const char *sdp);
char *control_make_error(int64_t id, const char *code, const char *message);

struct control_hello_room {
    const char *room;
    const uint32_t *participants;
    size_t n;
};
char *control_make_hello(const char *node, const char *instance, const char *region,
                         const struct control_hello_room *rooms, size_t n);
/* connected or disconnected */
char *control_make_transport(bool connected, const char *room, uint32_t participant,
                             enum control_which which);
char *control_make_slots(const char *room, uint32_t participant, const struct control_slot *audio,
                         size_t n_audio, const struct control_slot *video, size_t n_video);
char *control_make_speakers(const char *room, const struct control_speaker *s, size_t n);
char *control_make_load(int64_t rooms, int64_t transports, int64_t packets_per_second,
                        int64_t forwarded_packets, double cpu);
/* Takes ownership of `participants` (a JSON array of objects, each with "participant"). */
char *control_make_stats(const char *room, cJSON *participants);

#endif
