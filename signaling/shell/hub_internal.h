/* What hub.c, hub_send.c, hub_request.c, socket.c and inbox.c share. */
#ifndef SOTTO_SIGNALING_SHELL_HUB_INTERNAL_H
#define SOTTO_SIGNALING_SHELL_HUB_INTERNAL_H

#include <uthash.h>

#include "lib/base/metrics.h"
#include "lib/proto/envelope.h"
#include "signaling/shell/hub.h"
#include "signaling/shell/hub_held.h"

#define SOCKET_EARLY_FRAMES    32 /* frames that may come before `connected` */
#define SOCKET_EARLY_BYTES     (64 * 1024)
#define SOCKET_MAX_REQUESTS    64          /* frames of one socket that wait for their reply */
#define SOCKET_PROTOCOL_ERRORS 20          /* then close 4004 */
#define SOCKET_SYNC_LOW        (32 * 1024) /* a syncing socket gets its next page below this */
#define HUB_PRESENCE_MAX       8

/* A socket's way: TICKET (its ticket is being spent) → STARTING (its cursor is being read) →
 * SYNCING (connected; missed events are being sent) → LIVE; OVERFLOW (too slow: waits for an ack) →
 * SYNCING; CLOSING from any of them. From SYNCING on it is its device's socket. */
enum socket_state {
    SOCKET_TICKET,
    SOCKET_STARTING,
    SOCKET_SYNCING,
    SOCKET_LIVE,
    SOCKET_OVERFLOW,
    SOCKET_CLOSING,
};

struct hub_user {
    char user_id[ID_LEN + 1];
    struct hub *hub;
    struct hub_device *devices;
    int guard;    /* see hub_user_enter */
    bool pulling; /* a live pull is under way, from cursor `since` */
    bool again;   /* and another is due after it */
    int64_t since;
    UT_hash_handle hh;
};

struct hub_device {
    char device_id[ID_LEN + 1];
    struct hub_user *user;
    struct socket *socket; /* or NULL */
    bool hold;
    struct held_queue held; /* frames for after `synced` */
    struct hub_device *prev, *next;
    UT_hash_handle hh;
};

struct socket {
    struct hub *hub;
    struct ws *w; /* NULL once gone */
    struct http_principal who;
    struct hub_device *device; /* from SYNCING until CLOSING */
    enum socket_state state;
    int refs;                /* the ws, each query under way, each request */
    int64_t since;           /* asked for; -1: nothing */
    int64_t pushed;          /* every durable event up to here was queued on it */
    bool truncated;          /* rows after its start were purged */
    bool reading;            /* its own catch-up read is under way */
    bool waiting;            /* for its queue to drain, before the next page */
    int64_t acked, ack_sent; /* newest ack, and the one being written (0: none) */
    struct held_queue early; /* client frames before `connected` */
    int errors, requests;
    struct socket *prev, *next; /* in hub->sockets */
};

struct hub_handler {
    const char *type;
    hub_handler_fn fn;
    void *arg;
    UT_hash_handle hh;
};

struct hub_request {
    struct socket *socket;
    struct envelope frame;
};

struct hub {
    struct hub_options o;
    struct hub_user *users;
    struct hub_device *devices;
    struct hub_handler *handlers;
    struct socket *sockets; /* all, from the first on */
    size_t connected;
    struct {
        hub_presence_fn fn;
        void *arg;
    } presence[HUB_PRESENCE_MAX];
    size_t n_presence;
    hub_connected_fn extra;
    void *extra_arg;
    struct loop_timer *drain_timer; /* looks at sockets that wait for their queue */
    struct loop_timer *retry_timer; /* reads that failed, again */
    struct loop_timer *purge_timer;
    bool draining;
};

/* ---- hub.c: the registry ---- */
/* The device's record, made when there is none. NULL when out of memory. */
struct hub_device *hub_device_get(struct hub *h, const char *user_id, const char *device_id);
struct hub_device *hub_device_find(const struct hub *h, const char *device_id);
struct hub_user *hub_user_find(const struct hub *h, const char *user_id);
/* Frees the record, and the user's, when nothing needs it any more. */
void hub_device_drop(struct hub_device *d);
void hub_user_drop(struct hub_user *u);
/* Between them neither the user nor his devices are freed, whatever handlers do; leaving frees what
 * nothing needs (maybe u). They nest. */
void hub_user_enter(struct hub_user *u);
void hub_user_leave(struct hub_user *u);
void hub_tell_presence(struct hub *h, const struct http_principal *who, bool online);

/* ---- hub_send.c ---- */
/* The text {"type", "data"}; takes ownership of data; free() it. NULL when out of memory. */
char *hub_event_text(const char *type, cJSON *data);
/* Everything that waited for the device's `synced`. */
void hub_flush_held(struct hub_device *d);

/* ---- hub_request.c: client frames ---- */
/* A frame of a connected client: reply or handler. */
void hub_on_frame(struct socket *s, const char *text, size_t len);

/* ---- socket.c ---- */
extern const struct ws_handlers hub_ws_handlers;
void socket_unref(struct socket *s);
/* Sends an event or reply as WS_CONTROL; takes ownership of data. A reader so slow that not even
 * that fits is closed with 1013. */
void socket_send(struct socket *s, const char *type, cJSON *data);
void socket_send_text(struct socket *s, const char *text, size_t len);
/* Takes the socket out of the registry at once and closes it. replaced: another one of the device
 * is about to take its place, so nobody is told that the device is offline. */
void socket_close(struct socket *s, int code, const char *reason, bool replaced);
/* The `ack` frame. */
void socket_ack(struct socket *s, int64_t cursor);

/* ---- inbox.c: durable events ---- */
/* Reads on for a socket in SYNCING; at the end it's told `synced` and goes LIVE. */
void inbox_sync_socket(struct socket *s);
/* Pulls what is new for the user's LIVE sockets. */
void inbox_pull_user(struct hub_user *u);
/* The timer that goes on with sockets whose queue has drained. */
void inbox_drain_tick(void *arg);
/* … and with reads that failed. */
void inbox_retry_tick(void *arg);
/* The routes of GET /v1/sync; argument: the hub. */
extern const struct http_route inbox_routes[];

extern struct metric hub_metric_sockets, hub_metric_frames_in, hub_metric_events_out,
    hub_metric_dropped, hub_metric_protocol_errors, hub_metric_resyncs;

#endif
