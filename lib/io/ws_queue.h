/* The bounded send queue of one WebSocket. Pure.
 *
 * What fits is kept in order. When the queue is full an ephemeral frame is refused; a durable one
 * first drives out the oldest ephemeral ones, and if there is still no room the queue has
 * overflowed: from then on durable and ephemeral frames are refused until ws_queue_resume, so that
 * a reader never sees a durable frame after a gap. Control frames (replies) may use as much again.
 */
#ifndef SOTTO_IO_WS_QUEUE_H
#define SOTTO_IO_WS_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/io/http.h"

struct ws_queue;

/* Bounds of frames and of their bytes. `headroom` bytes stay free before each frame's text. NULL
 * when out of memory. */
struct ws_queue *ws_queue_new(size_t max_frames, size_t max_bytes, size_t headroom);
void ws_queue_free(struct ws_queue *q);

/* Copies a frame in. OK; ERR_LIMIT when it was refused; ERR_WRONG_STATE when it is the durable
 * frame that made the queue overflow just now; ERR_NOMEM. *dropped (may be NULL) is the number of
 * frames that were lost by it, this one included. */
int ws_queue_push(struct ws_queue *q, enum ws_class cls, const char *text, size_t len,
                  int *dropped);
/* The oldest frame's text (writable; headroom bytes before it are the caller's to use), or NULL. */
unsigned char *ws_queue_peek(struct ws_queue *q, size_t *len);
void ws_queue_pop(struct ws_queue *q);
/* Ends the overflow. */
void ws_queue_resume(struct ws_queue *q);
bool ws_queue_overflowed(const struct ws_queue *q);
size_t ws_queue_bytes(const struct ws_queue *q);
size_t ws_queue_frames(const struct ws_queue *q);

#endif
