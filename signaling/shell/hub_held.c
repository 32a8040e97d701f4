#include "signaling/shell/hub_held.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "lib/base/err.h"

int held_push(struct held_queue *q, enum ws_class cls, const char *text, size_t len,
              size_t max_frames, size_t max_bytes)
{
    if (len > max_bytes || max_frames == 0)
        return ERR_TOO_LARGE;
    struct held_frame *f = malloc(sizeof(*f) + len + 1);
    if (!f)
        return ERR_NOMEM;
    f->cls = cls;
    f->len = len;
    memcpy(f->text, text, len);
    f->text[len] = 0;
    while (q->frames >= max_frames || q->bytes + len > max_bytes) {
        free(held_pop(q));
        q->dropped++;
    }
    DL_APPEND(q->head, f);
    q->frames++;
    q->bytes += len;
    return OK;
}

struct held_frame *held_pop(struct held_queue *q)
{
    struct held_frame *f = q->head;
    if (!f)
        return NULL;
    DL_DELETE(q->head, f);
    q->frames--;
    q->bytes -= f->len;
    return f;
}

void held_clear(struct held_queue *q)
{
    struct held_frame *f;
    while ((f = held_pop(q)))
        free(f);
    q->dropped = 0;
}
