/* What an admin may ask of sfud, by HTTP on the internal port and with the internal key: the state
 * of rooms, and captures of decrypted RTP. Control's thread. Routes:
 *   GET /debug/rooms                 all rooms, in short
 *   GET /debug/rooms/{id}            one: ?from= goes on where `next` of a part says, ?worker= asks
 *                                    one worker only
 *   POST, DELETE /debug/rooms/{id}/capture   {seconds, maxBytes}: begins or ends one
 * Workers answer by messages; one that doesn't within seconds is left out with 503. */
#ifndef SOTTO_SFU_DEBUG_ADMIN_H
#define SOTTO_SFU_DEBUG_ADMIN_H

#include <stdbool.h>

#include "lib/io/http.h"
#include "sfu/shell/debug_dump.h"
#include "sfu/shell/worker_set.h"

struct debug_admin;

struct debug_options {
    struct worker_set *workers; /* borrowed */
    const char *capture_dir;    /* borrowed; "": captures are forbidden */
    bool full_addresses;
    bool has_key; /* the server asks for an internal key; without one everything is refused */
};

/* NULL when out of memory. */
struct debug_admin *debug_admin_new(const struct debug_options *o);
/* Answers what waits, ends a capture. Before the workers stop. NULL is fine. */
void debug_admin_free(struct debug_admin *a);
void debug_admin_routes(struct debug_admin *a, struct http_server *s);
/* A worker's answer; taken over. */
void debug_admin_take(struct debug_admin *a, size_t worker, struct worker_data *data);
/* Call about once a second: questions that took too long, captures that have ended. */
void debug_admin_tick(struct debug_admin *a, int64_t now_us);

#endif
