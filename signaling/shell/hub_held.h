/* A bounded queue of frame texts for a device that has no live socket: the oldest go first when it
 * is full. Pure. */
#ifndef SOTTO_SIGNALING_SHELL_HUB_HELD_H
#define SOTTO_SIGNALING_SHELL_HUB_HELD_H

#include <stddef.h>

#include "lib/io/http.h"

struct held_frame {
    struct held_frame *prev, *next;
    enum ws_class cls;
    size_t len;
    char text[]; /* 0-ended */
};

struct held_queue {
    struct held_frame *head;
    size_t frames, bytes;
    size_t dropped; /* since the last clear */
};

/* Copies a frame to the end. Drops the oldest while there are more than max_frames or max_bytes.
 * ERR_TOO_LARGE when the frame alone is over max_bytes (nothing changes), ERR_NOMEM. */
int held_push(struct held_queue *q, enum ws_class cls, const char *text, size_t len,
              size_t max_frames, size_t max_bytes);
/* Takes the oldest out, to be freed with free(); NULL when empty. */
struct held_frame *held_pop(struct held_queue *q);
void held_clear(struct held_queue *q);

#endif
