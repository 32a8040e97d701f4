/* The signalling server's side of the control link to its SFUs (the frames are in
 * lib/proto/control.h and docs/asyncapi.yaml). SFUs connect to us; each says `hello` first and is
 * then a node of the pool until its link goes. Everything runs on the loop's thread. */
#ifndef SOTTO_SIGNALING_SHELL_SFU_LINK_H
#define SOTTO_SIGNALING_SHELL_SFU_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/json.h"
#include "lib/io/loop.h"

#define SFU_REQUEST_TIMEOUT_US 5000000

struct sfu_pool;

/* Strings and trees are borrowed for the call. */
struct sfu_handlers {
    /* A node said hello. `instance` is new for each run of its process: another one than before
     * means that all its rooms are gone. rooms: array of {room, participants: [n]} it still has. */
    void (*on_node_up)(void *arg, const char *node, const char *instance, const cJSON *rooms);
    /* Its link went; its media may go on. Requests under way fail with ERR_UNAVAILABLE before it.
     */
    void (*on_node_down)(void *arg, const char *node);
    /* An event of it: connected, disconnected, slots, speakers, stats (`load` is kept here). type
     * is the frame's "t". */
    void (*on_event)(void *arg, const char *node, const char *type, const cJSON *frame);
};

/* Listens for SFUs. ERR_IO (logged), ERR_NOMEM. `secret` is copied. Port 0 takes any. */
int sfu_pool_open(struct sfu_pool **out, struct loop *l, const char *address, int port,
                  const char *secret);
/* One set of handlers a pool; NULL takes them away. Borrowed. Nodes that are up are not told again.
 */
void sfu_pool_handle(struct sfu_pool *p, const struct sfu_handlers *h, void *arg);
void sfu_pool_free(struct sfu_pool *p);
int sfu_pool_port(const struct sfu_pool *p);

/* The node with the least load that is up (by transports, then rooms, then name; what was placed
 * since its last report counts), or NULL when there is none. Borrowed until the node goes. */
const char *sfu_pick(struct sfu_pool *p);
/* The node is up. */
bool sfu_node_is_up(const struct sfu_pool *p, const char *node);
/* The instance of a node that is up, or NULL. */
const char *sfu_node_instance(const struct sfu_pool *p, const char *node);
/* How many nodes are up. */
size_t sfu_nodes(const struct sfu_pool *p);

/* The answer. err is OK (data: the reply's data, an object, borrowed), or an error: then `code` is
 * the SFU's own error code ("room_not_found", …) with `message`, or err_name(err) when the reply
 * never came: ERR_UNAVAILABLE (node away, or its link went), ERR_TIMEOUT, ERR_INVALID (no proper
 * reply). */
typedef void (*sfu_reply_fn)(void *arg, int err, const cJSON *data, const char *code);
/* Sends a request: frame has "t" and its fields; "id" is added. Takes ownership of the frame. fn
 * (may be NULL) is always called later, exactly once, never from inside, also when the node isn't
 * up or the pool is freed. */
void sfu_request(struct sfu_pool *p, const char *node, cJSON *frame, sfu_reply_fn fn, void *arg);

#endif
