/* Calls as signald serves them: the call machine (signaling/core/call.h) with its effects carried
 * out. Registers the client frames of calls and of the SFU with the hub, listens to presence and to
 * the SFU pool, adds the `calls` member to `connected`, and the HTTP routes of calls. Everything
 * runs on the loop's thread.
 *
 * After a start the open calls are loaded from PostgreSQL; until then calls are answered
 * `unavailable`. When PostgreSQL goes away, calls go on and can be left and ended: what was to be
 * written is kept (bounded) and written when it is back. */
#ifndef SOTTO_SIGNALING_SHELL_CALL_SERVICE_H
#define SOTTO_SIGNALING_SHELL_CALL_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/io/http.h"
#include "lib/io/loop.h"
#include "lib/io/pg.h"
#include "signaling/shell/hub.h"
#include "signaling/shell/sfu_link.h"
#include "turn/turn.h"

struct calls;

struct calls_options {
    struct loop *loop;
    struct http_server *http; /* gets POST/GET /v1/calls and GET /v1/calls/{id}; may be NULL */
    struct pg *pg;
    struct hub *hub;
    struct sfu_pool *sfu;    /* may be NULL: no SFU */
    const struct turn *turn; /* may be NULL: no ICE servers */
    int64_t ring_timeout_us, grace_us;
    int64_t fallback_after_us; /* told to clients: how long they try peer to peer */
    int max_participants;
    int64_t start_per_minute; /* a user; 0: no limit */
};

/* Everything is borrowed and must outlive it. Starts loading the open calls. */
struct calls *calls_new(const struct calls_options *o);
/* To be called before the hub, the pool and the database go. Rows stay as they are: the next start
 * resumes the calls. */
void calls_free(struct calls *s);
/* The user was signed out on this device: whatever call it is in, it leaves now, without the grace.
 */
void calls_device_gone(struct calls *s, const struct id *user_id, const struct id *device_id);
/* The open calls are loaded; for /readyz. */
bool calls_ready(const struct calls *s);

#endif
