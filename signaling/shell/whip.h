/* WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep): a participant of a call on the SFU publishes, or
 * watches, by HTTP alone. POST joins the call as the token's device where it isn't in yet, and
 * makes a session; PATCH trickles and restarts ICE; DELETE ends it.
 *
 * A session keeps its device in the call as a socket does: while there is one (or a socket), the
 * call machine sees the device online. The last one's DELETE is a hang-up, unless the device has a
 * socket; a session whose media is lost for good starts the grace. One of each kind a participant:
 * a further POST takes the place of the one before, as a second sfu_publish does.
 *
 * Sessions live in memory: after a restart of the server their URLs are 404, media goes on until
 * the grace of their device is over, and a POST within it goes on in the same call.
 *
 * Private to signaling/shell/whip*.c and the files of calls that call them. */
#ifndef SOTTO_SIGNALING_SHELL_WHIP_H
#define SOTTO_SIGNALING_SHELL_WHIP_H

#include "lib/proto/sdpfrag.h"
#include "signaling/shell/call_shell.h"

#define WHIP_SDP_TYPE  "application/sdp"
#define WHIP_FRAG_TYPE SDPFRAG_TYPE

enum whip_kind { WHIP_PUBLISH, WHIP_WATCH, WHIP_KINDS };

enum whip_state {
    WHIP_OPENING, /* its POST isn't answered yet */
    WHIP_OPEN,
    WHIP_LOST, /* the SFU gave its transport up: only DELETE is left */
};

struct whip_session {
    struct id id, user_id, device_id;
    enum whip_kind kind;
    enum whip_state state;
    int number;           /* the participant's, once open */
    unsigned ice_session; /* counts ICE sessions: its ETag */
    bool restarting;      /* a PATCH waits for the SFU */
    char *offer;          /* as the SFU has it; owned */
    char ufrag[SDPFRAG_MAX_CREDENTIAL + 1], pwd[SDPFRAG_MAX_CREDENTIAL + 1]; /* the client's */
    struct whip_session *prev, *next;
};

enum whip_step { WHIP_JOINING, WHIP_NEGOTIATING, WHIP_RESTARTING };

/* A request on its way: POST, or a PATCH that restarts. Ends with its one HTTP answer. */
struct whip_op {
    struct calls *s; /* held (calls_ref) */
    struct http_request *r;
    enum whip_step step;
    enum whip_kind kind;
    enum call_error error; /* of the step that is over */
    struct id call_id, user_id, device_id, session_id;
    /* The SFU's frame. */
    const char *type;   /* "publish", "watch", "restart" */
    const char *which;  /* of a restart, else NULL */
    char *sdp;          /* owned */
    struct sdpfrag ice; /* the client's credentials in sdp */
    bool audio, video;  /* sdp sends it */
    bool joins;         /* he wasn't in the call before */
};

/* ---- routes (whip.c) ---- */
void whip_routes_add(struct calls *s);
/* "publish" or "subscribe": the SFU's word for the transport of that kind. */
const char *whip_which(enum whip_kind k);
/* How a step ended that the call machine decides (CALL_OK: joined), or that the SFU was never asked
 * for. From inside a step of the call too: what follows comes later. */
void whip_op_told(struct whip_op *op, enum call_error e);
/* What the SFU said (sfu_reply_fn). */
void whip_op_answered(struct whip_op *op, int err, const cJSON *data, const char *code);
/* Asks the call for the next step. */
void whip_op_step(struct whip_op *op, struct call_entry *en, enum call_event_type type);
struct whip_op *whip_op_new(struct calls *s, struct http_request *r, enum whip_kind kind);
void whip_op_free(struct whip_op *op);
/* The media type of the request's body is this one (parameters don't matter). */
bool whip_is_type(const struct http_request *r, const char *type);
void whip_put_etag(struct http_request *r, const struct whip_session *w);
/* The problem for an error that the SFU answered; bad_status is that of a description that it
 * refused. */
void whip_sfu_problem(struct http_request *r, int err, const char *code, int bad_status);

/* ---- PATCH, DELETE (whip_patch.c) ---- */
void whip_patch(struct http_request *r, struct calls *s, enum whip_kind kind);
void whip_delete(struct http_request *r, struct calls *s, enum whip_kind kind);
void whip_restarted(struct whip_op *op, int err, const cJSON *data, const char *code);
void whip_restart_refused(struct whip_op *op);

/* ---- sessions (whip_sessions.c) ---- */
struct whip_session *whip_session_add(struct call_entry *en, const struct whip_op *op);
struct whip_session *whip_session_find(const struct call_entry *en, const char *id);
/* The user's of that kind in that state, or NULL. */
struct whip_session *whip_session_of(const struct call_entry *en, const struct id *user_id,
                                     enum whip_kind kind, enum whip_state state);
/* Makes it the user's only one of its kind. */
void whip_session_open(struct call_entry *en, struct whip_session *w, int number);
void whip_session_remove(struct call_entry *en, struct whip_session *w);
/* Nothing holds this device in the call any more? Then CALL_HANG_UP or CALL_SOCKET_LOST is fed. */
void whip_let_go(struct call_entry *en, const struct id *user_id, const struct id *device_id,
                 enum call_event_type type);
/* What he says that he sends, told to the others. */
void whip_says(struct call_entry *en, const struct id *user_id, const struct id *device_id,
               bool audio, bool video);

/* ---- what the calls tell (whip_sessions.c) ---- */
/* The device is in this call by a session, or about to. */
bool whip_holds(const struct call_entry *en, const struct id *device_id);
/* After each step: the sessions of those who aren't in the call any more are gone. */
void whip_settle(struct call_entry *en);
void whip_entry_free(struct call_entry *en);
/* The SFU has given up that transport of that participant. */
void whip_media_gone(struct call_entry *en, int number, const char *which);
/* The room is no more; it is there with these participants (numbers). */
void whip_room_gone(struct call_entry *en);
void whip_room_kept(struct call_entry *en, const cJSON *numbers);
/* A socket published or subscribed: its transport took the place of a session's. */
void whip_displace(const struct call_request *rq);

#endif
