/* The hub: every open client socket of this node, by user and device. Parts register handlers for
 * client frames (hub_on) and send events to devices and users; the socket's life itself (ticket,
 * `connected`, missed events, `synced`, close) is private to hub.c, socket.c and inbox.c.
 * Everything runs on the loop's thread. Ids are canonical UUID texts. docs/asyncapi.yaml is what a
 * client sees of it.
 *
 * Kinds of events:
 *  - durable: rows of the inbox, written by SQL in the transaction that caused them and then made
 *    known by hub_announce; they carry a cursor and reach each socket in cursor order, once;
 *  - all others (hub_send_*): handed to the sockets that are there now, or to the bounded queue of
 * a device that is held (hub_hold) or is still between `connected` and `synced`. A cJSON passed as
 * `data` is owned by the callee from the call on, whatever the outcome. */
#ifndef SOTTO_SIGNALING_SHELL_HUB_H
#define SOTTO_SIGNALING_SHELL_HUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/json.h"
#include "lib/io/http.h"
#include "lib/io/loop.h"
#include "lib/io/pg.h"

#define HUB_HELD_FRAMES 256          /* frames kept for a device that is away */
#define HUB_HELD_BYTES  (256 * 1024) /* and their bytes */

struct hub;
struct hub_request; /* one client frame that waits for its reply */
struct accounts;

struct hub_options {
    struct loop *loop;
    struct http_server *http; /* gets /v1/ws and GET /v1/sync */
    struct pg *pg;
    struct accounts *accounts;        /* tickets */
    int64_t heartbeat_us;             /* a WebSocket ping each; told to clients in `connected` */
    size_t queue_frames, queue_bytes; /* bound of each socket's send queue */
    double frames_per_second;         /* received, with `burst`; past it close 4003 */
    int burst;
    int64_t retention_us; /* inbox rows older than this are purged */
};

/* Makes the hub and adds its routes and its socket path to the server. NULL when out of memory. */
struct hub *hub_new(const struct hub_options *o);
void hub_free(struct hub *h);
/* No further sockets are taken; each open one is closed with 1012, the reason
 * {"retryAfterMs": n} with its own random share of five seconds. */
void hub_drain(struct hub *h);

/* ---- client frames ---- */
/* `data` is the frame's data object, {} when absent; it and q live until the reply. Handlers answer
 * exactly once, now or later; a request whose socket has gone is answered all the same (the reply
 * is dropped). Types are registered once, before the server starts; `type` is borrowed. */
typedef void (*hub_handler_fn)(struct hub_request *q, const cJSON *data, void *arg);
void hub_on(struct hub *h, const char *type, hub_handler_fn fn, void *arg);

/* Who sent it. Valid until the reply. */
const struct http_principal *hub_who(const struct hub_request *q);
/* Answers `ok: true`; data NULL means {}. q is gone after. */
void hub_reply(struct hub_request *q, cJSON *data);
/* Answers `ok: false`. retry_after_ms <= 0 leaves `retryAfterMs` out. Codes: bad_request,
 * unknown_type, unauthorized, forbidden, call_not_found, call_ended, not_participant, busy,
 * conflict, rate_limited, unavailable, sfu_unavailable, too_large. Texts are copied. */
void hub_reply_error(struct hub_request *q, const char *code, const char *message,
                     int64_t retry_after_ms);
/* `bad_request` that names the first bad field, as json.h collected it. */
void hub_reply_fields(struct hub_request *q, const struct json_errors *e);
/* The usual reply for an error code (ERR_FORBIDDEN → forbidden, ERR_LIMIT → rate_limited,
 * ERR_UNAVAILABLE/ERR_TIMEOUT → unavailable with retryAfterMs 1000, ERR_CONFLICT/ERR_WRONG_STATE →
 * conflict, ERR_NOT_FOUND → not_found, ERR_INVALID → bad_request, else unavailable). */
void hub_reply_err(struct hub_request *q, int err);

/* ---- events ---- */
/* Sends to one device of a user. Returns 1 when it has a live socket (or one that is syncing: the
 * frame follows its `synced`), else 0; a held device keeps the frame and still counts as 0.
 * cls: WS_CONTROL for call signalling, WS_EPHEMERAL for what may be dropped first (typing,
 * speakers). WS_DURABLE is the inbox's own: use hub_announce. */
int hub_send_device(struct hub *h, const char *user_id, const char *device_id, enum ws_class cls,
                    const char *type, cJSON *data);
/* Sends to every device of the user, but for except_device (NULL: all). Returns how many have a
 * live socket; held devices keep the frame. */
int hub_send_user(struct hub *h, const char *user_id, const char *except_device, enum ws_class cls,
                  const char *type, cJSON *data);
/* Durable rows of this user were committed to the inbox: pull them and push them to his sockets in
 * cursor order. Cheap, coalesced, never too often; does nothing for a user without sockets. */
void hub_announce(struct hub *h, const char *user_id);

/* ---- presence ---- */
bool hub_device_online(const struct hub *h, const char *device_id);
/* How many devices of the user have a socket. */
int hub_user_online(const struct hub *h, const char *user_id);
/* Called with online = true right after a device's `connected` went out (what is sent to it from
 * inside arrives after `synced` and after the held frames), and with false when its socket went and
 * none replaced it. A replaced socket gives another true without a false between. Up to 8
 * listeners. who is borrowed. */
typedef void (*hub_presence_fn)(void *arg, const struct http_principal *who, bool online);
void hub_on_presence(struct hub *h, hub_presence_fn fn, void *arg);
/* Adds members to the data of `connected`. One function a hub; NULL takes it away. */
typedef void (*hub_connected_fn)(void *arg, const struct http_principal *who, cJSON *data);
void hub_set_connected_extra(struct hub *h, hub_connected_fn fn, void *arg);

/* While on, frames for this device that find no socket are kept (HUB_HELD_FRAMES, HUB_HELD_BYTES:
 * past them the oldest go) and flushed in order after `synced` of its next connect. Off drops what
 * is kept, unless the device is connected. Idempotent; ERR_NOMEM. */
int hub_hold(struct hub *h, const char *user_id, const char *device_id, bool on);

/* Closes the device's socket, if any. With code 4001 it's told `session_revoked {reason}` first. */
void hub_close_device(struct hub *h, const char *device_id, int code, const char *reason);
/* Closes every socket of the user whose session is session_id (NULL: all of them), with 4001. */
void hub_close_session(struct hub *h, const char *user_id, const char *session_id,
                       const char *reason);

/* Sockets that are connected, for /metrics and tests. */
size_t hub_sockets(const struct hub *h);
/* No socket is left, not even one that is closing. */
bool hub_is_empty(const struct hub *h);

#endif
