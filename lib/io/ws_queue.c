#include "lib/io/ws_queue.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "lib/base/err.h"

struct frame {
    enum ws_class cls;
    size_t len;
    struct frame *prev, *next;
    unsigned char room[]; /* headroom, then the text */
};

struct ws_queue {
    size_t max_frames, max_bytes, headroom;
    size_t frames, bytes;
    bool overflowed;
    struct frame *head;
};

struct ws_queue *ws_queue_new(size_t max_frames, size_t max_bytes, size_t headroom)
{
    struct ws_queue *q = calloc(1, sizeof(*q));
    if (!q)
        return NULL;
    q->max_frames = max_frames;
    q->max_bytes = max_bytes;
    q->headroom = headroom;
    return q;
}

static void drop(struct ws_queue *q, struct frame *f)
{
    DL_DELETE(q->head, f);
    q->frames--;
    q->bytes -= f->len;
    free(f);
}

void ws_queue_free(struct ws_queue *q)
{
    if (!q)
        return;
    while (q->head)
        drop(q, q->head);
    free(q);
}

static bool fits(const struct ws_queue *q, size_t len, size_t times)
{
    return q->frames < q->max_frames * times && len <= q->max_bytes * times &&
           q->bytes <= q->max_bytes * times - len;
}

/* Drives out ephemeral frames, oldest first, until len more bytes fit. */
static int make_room(struct ws_queue *q, size_t len)
{
    int n = 0;
    struct frame *f, *tmp;
    DL_FOREACH_SAFE(q->head, f, tmp)
    {
        if (fits(q, len, 1))
            break;
        if (f->cls != WS_EPHEMERAL)
            continue;
        drop(q, f);
        n++;
    }
    return n;
}

int ws_queue_push(struct ws_queue *q, enum ws_class cls, const char *text, size_t len, int *dropped)
{
    int lost = 0, rc = OK;
    if (cls == WS_CONTROL) {
        rc = fits(q, len, 2) ? OK : ERR_LIMIT;
    } else if (q->overflowed) {
        rc = ERR_LIMIT;
    } else if (!fits(q, len, 1)) {
        if (cls == WS_DURABLE)
            lost = make_room(q, len);
        if (!fits(q, len, 1)) {
            rc = cls == WS_DURABLE ? ERR_WRONG_STATE : ERR_LIMIT;
            q->overflowed = cls == WS_DURABLE;
        }
    }
    struct frame *f = rc == OK ? malloc(sizeof(*f) + q->headroom + len + 1) : NULL;
    if (rc == OK && !f)
        rc = ERR_NOMEM;
    if (dropped)
        *dropped = lost + (rc != OK);
    if (rc != OK)
        return rc;
    f->cls = cls;
    f->len = len;
    memcpy(f->room + q->headroom, text, len);
    f->room[q->headroom + len] = 0;
    DL_APPEND(q->head, f);
    q->frames++;
    q->bytes += len;
    return OK;
}

unsigned char *ws_queue_peek(struct ws_queue *q, size_t *len)
{
    if (!q->head)
        return NULL;
    *len = q->head->len;
    return q->head->room + q->headroom;
}

void ws_queue_pop(struct ws_queue *q)
{
    if (q->head)
        drop(q, q->head);
}

void ws_queue_resume(struct ws_queue *q)
{
    q->overflowed = false;
}

bool ws_queue_overflowed(const struct ws_queue *q)
{
    return q->overflowed;
}

size_t ws_queue_bytes(const struct ws_queue *q)
{
    return q->bytes;
}

size_t ws_queue_frames(const struct ws_queue *q)
{
    return q->frames;
}
