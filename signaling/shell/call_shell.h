/* What the files of calls in the shell share: the registry, requests, writes. Private to
 * signaling/shell/call_*.c. */
#ifndef SOTTO_SIGNALING_SHELL_CALL_SHELL_H
#define SOTTO_SIGNALING_SHELL_CALL_SHELL_H

#include <uthash.h>

#include "lib/base/err.h"
#include "lib/base/ratelimit.h"
#include "signaling/core/call.h"
#include "signaling/core/call_frames.h"
#include "signaling/shell/call_service.h"

#define CALL_NODE_LEN         64
#define CALL_WHEEL_SLOTS      1024
#define CALL_WHEEL_TICK_US    50000
#define CALL_TOMBSTONE_US     60000000 /* an ended call stays in memory this long */
#define CALL_UNTOLD_US        500000 /* an end that isn't committed by then is told all the same */
#define CALL_MAX_UNWRITTEN    100000
#define CALL_SFU_WAIT_US      5000000
#define CALL_LANE             "calls" /* all writes in the order in which they were decided */
#define CALL_WRITE_MAX_PARAMS 5

/* A call in memory, with what only the shell knows of it. */
struct call_entry {
    struct calls *s;
    struct call *call;
    char node[CALL_NODE_LEN];   /* of the SFU, or "" */
    struct whip_session *whips; /* WHIP and WHEP sessions of its participants (whip.h) */
    int indexed;                /* participants that are in by_user */
    bool counted;               /* in the gauges */
    enum call_state shown;      /* as the gauges have it */
    bool end_emitted, end_written, end_told;
    int64_t answered_wall_us, ended_wall_us; /* 0: not yet */
    int64_t ended_mono_us;
    int64_t deadline_us; /* of the wheel; INT64_MAX: none */
    struct call_entry *wheel_prev, *wheel_next;
    int wheel_slot; /* -1: not in the wheel */
    UT_hash_handle hh;
};

/* The calls of one user. */
struct call_user {
    char user_id[ID_LEN + 1];
    struct call_entry **entries;
    int n, cap;
    UT_hash_handle hh;
};

/* A frame or HTTP request that waits for its one answer. */
struct call_request {
    struct calls *s;
    struct hub_request *q;  /* or */
    struct http_request *r; /* or */
    struct whip_op *op;     /* a step of a WHIP or WHEP request (whip.h): one of the three */
    struct id user_id, device_id, call_id;
    struct call_frame frame;
    bool has_frame;
    bool starts; /* call_start and POST /v1/calls: a joined one is told as such */
    int64_t received_us;
    int number; /* of the asking participant, for SFU replies */
    struct id participant_id;
};

/* A write that nobody waits for: kept until the database has taken it. */
struct call_write {
    struct calls *s;
    const char *name, *sql;
    struct id call_id;
    struct id user_id; /* whose inbox it fills; "" : see `end` */
    bool end;
    int n, refused; /* parameters; how often the database itself refused it */
    char *params[CALL_WRITE_MAX_PARAMS];
    int64_t order;
    struct call_write *prev, *next;
};

/* A node that said hello before the open calls were loaded. */
struct call_hello {
    char node[CALL_NODE_LEN];
    cJSON *rooms;
    struct call_hello *next;
};

struct call_handler {
    struct calls *s;
    enum call_frame_type type;
};

struct calls {
    struct calls_options o;
    struct call_limits limits;
    struct call_handler handlers[FRAME_TYPES];
    struct ratelimit *starts;
    bool loaded;
    struct call_entry *by_id;
    struct call_user *by_user;
    struct call_entry *wheel[CALL_WHEEL_SLOTS + 1]; /* the last: of the slot that is run now */
    int64_t wheel_tick;                             /* the last one done */
    struct loop_timer *wheel_timer;
    struct call_write *waiting; /* writes to try again, in order */
    size_t n_waiting, n_flying;
    int64_t write_order;
    struct loop_timer *write_timer, *load_timer;
    int64_t write_backoff_us;
    struct call_hello *hellos;
    /* Callbacks that are under way hold it; freed when the last one is back. */
    int refs;
    bool closed;
};

void calls_ref(struct calls *s);
/* Returns false (and lets go) when the service was freed meanwhile: the callback then only frees
 * what is its own. */
bool calls_unref(struct calls *s);

/* ---- registry (call_registry.c) ---- */
struct call_entry *call_entry_add(struct calls *s, struct call *c); /* takes c */
struct call_entry *call_entry_find(struct calls *s, const char *call_id);
struct call_user *call_user_find(struct calls *s, const char *user_id);
/* Feeds an event and carries out what follows; then index, timers, gauges. */
void call_entry_step(struct call_entry *en, const struct call_event *ev);
void call_wheel_start(struct calls *s);
void call_registry_free(struct calls *s);
/* Sets the entry's next time: of the machine, of an end not told yet, or of the tombstone. */
void call_entry_schedule(struct call_entry *en);

/* ---- effects (call_effects.c) ---- */
void call_effects_run(struct call_entry *en, const struct call_effects *fx);
/* Tells call_ended directly to everybody, where the inbox can't (yet). Once. */
void call_tell_end(struct call_entry *en);

/* ---- writes (call_writes.c) ---- */
void call_write(struct call_entry *en, const char *name, const char *sql, int n,
                const char *const *params, const struct id *user, bool end);
/* Ends, as failed, a row that is or may be open although no call in memory goes with it. */
void call_write_stray_end(struct calls *s, const struct id *call_id);
/* Sends the writes that wait, so that what is asked next in the lane is decided behind them. False:
 * they still wait, and nothing may be asked. */
bool call_writes_first(struct calls *s);
void call_writes_free(struct calls *s);

/* ---- questions to the database (call_ask.c) ---- */
/* Their answers are fed back to the call. */
void call_ask_accept(struct call_entry *en, const struct call_effect *fx);
void call_ask_invite(struct call_entry *en, const struct call_effect *fx);
/* Makes the call of a request (a FRAME_CALL_START). */
void call_ask_create(struct call_request *rq);
/* A call that isn't in memory: over, or nothing to the asker. */
void call_ask_tombstone(struct call_request *rq);
/* Fills participants from call_parties_json; returns how many (at most cap). */
int call_parties_read(struct call_participant *out, int cap, const cJSON *list, int64_t now_us);

/* ---- after a start (call_resume.c) ---- */
void call_resume_start(struct calls *s);

/* ---- requests (call_requests.c, call_routes.c) ---- */
void call_frames_register(struct calls *s);
void call_http_start(struct http_request *r, void *arg); /* POST /v1/calls; arg: the calls */
void call_routes_add(struct calls *s);
/* The one answer; the request is gone after. */
void call_request_reply(struct call_request *rq, cJSON *data);
void call_request_error(struct call_request *rq, enum call_error e);
void call_request_fail(struct call_request *rq, const char *code, const char *message);
/* Feeds an event of this request (and its payload) to the call; rq may be gone after. */
void call_request_step(struct call_request *rq, struct call_entry *en, struct call_event *ev);
/* The question of a WHIP or WHEP request: whip_op_told or whip_op_answered hears the answer. */
struct call_request *call_request_for(struct whip_op *op);
/* What the SFU answered to such a one. */
void call_request_answered(struct call_request *rq, int err, const cJSON *data, const char *code);
/* The problem that goes with an error of the call machine. */
void call_http_error(struct http_request *r, enum call_error e);
/* A call_start whose conversation has an open call: joins that one. */
void call_request_join(struct call_request *rq, struct call_entry *en);

/* ---- rendering (call_render.c) ---- */
cJSON *call_render_message(struct call_entry *en, const struct call_effect *fx);
cJSON *call_render_reply(struct call_entry *en, const struct call_effect *fx,
                         const struct call_request *rq);
cJSON *call_render_participant(const struct call_participant *p);
cJSON *call_ice_servers(const struct calls *s, const char *user_id, const char *call_id,
                        const char *device_id);

/* ---- SFU (call_sfu.c) ---- */
void call_sfu_start(struct calls *s);
void call_sfu_stop(struct calls *s);
bool call_sfu_available(const struct calls *s);
void call_sfu_forward(struct call_entry *en, struct call_request *rq,
                      const struct call_participant *p);
/* A node has the room, or could take it. */
bool call_sfu_ready(const struct call_entry *en);
void call_sfu_leave(struct call_entry *en, int number);
/* Only its transport `which`: "publish" or "subscribe". */
void call_sfu_leave_one(struct call_entry *en, int number, const char *which);
void call_sfu_close(struct call_entry *en);
void call_sfu_replace(struct call_entry *en);
/* The open calls are loaded: compares them with the nodes that came before. */
void call_sfu_loaded(struct calls *s);

/* A stats event of the room: clients are told of their own media (call_sfu_stats.c). */
void call_sfu_stats(struct call_entry *en, const cJSON *frame);

/* ---- metrics (call_metrics.c) ---- */
void call_metrics_register(void);
void call_metrics_started(void);
void call_metrics_ended(const struct call *c);
void call_metrics_rung(int64_t us);
void call_metrics_gauges(struct call_entry *en);
void call_metrics_unwritten(size_t n);

#endif
