#include <string.h>

#include "bench/client/receiver_internal.h"
#include "lib/proto/vp8.h"

static struct frame *place(struct frames *f, int64_t id)
{
    return &f->frame[(uint64_t)id % FRAMES];
}

static void open_frame(struct frames *f, int64_t id, int64_t due_us)
{
    *place(f, id) = (struct frame){.id = id, .due_us = due_us, .first = -1, .last = -1};
}

/* Judged in order: whole, or broken when its time is over. A frame of which nothing came has the
 * time of the next one. */
void frames_settle(struct frames *f, int64_t now_us, uint64_t *whole, uint64_t *broken)
{
    for (; f->started && f->next <= f->highest; f->next++) {
        const struct frame *e = place(f, f->next);
        if (e->whole)
            ++*whole;
        else if (now_us - e->due_us > FRAME_DEADLINE_US)
            ++*broken;
        else
            return;
    }
}

/* Goes on to a new frame. A jump that can't be a gap is another picture's numbering: what was not
 * whole is broken, what was jumped over was never made. */
static void advance(struct frames *f, int64_t id, int64_t due_us, uint64_t *whole, uint64_t *broken)
{
    if (id - f->highest >= FRAMES) {
        frames_settle(f, INT64_MAX, whole, broken);
        f->next = id;
        f->highest = id - 1;
    }
    while (f->next <= id - FRAMES) {
        *(place(f, f->next)->whole ? whole : broken) += 1;
        f->next++;
    }
    while (f->highest < id)
        open_frame(f, ++f->highest, due_us);
}

/* The unwrapped id; numbering that went far back counts as having gone on. */
static int64_t unwrap(struct frames *f, const struct frame_packet *p)
{
    int64_t size = (int64_t)1 << p->bits;

    if (!f->started || f->bits != p->bits) {
        frames_settle(f, INT64_MAX, &(uint64_t){0}, &(uint64_t){0});
        memset(f, 0, sizeof *f);
        f->started = true;
        f->bits = p->bits;
        f->next = size + p->picture;
        f->highest = f->next - 1;
        return f->next;
    }
    int64_t diff = vp8_picture_diff(p->picture, (uint16_t)(f->highest & (size - 1)), p->bits);
    return f->highest + (diff < -FRAMES ? diff + size : diff);
}

void frames_input(struct frames *f, const struct frame_packet *p, uint64_t *whole, uint64_t *broken)
{
    if (p->bits == 0)
        return;
    int64_t id = unwrap(f, p);
    if (id > f->highest)
        advance(f, id, p->due_us, whole, broken);
    if (id < f->next) /* judged */
        return;
    struct frame *e = place(f, id);
    e->due_us = p->due_us;
    e->packets++;
    if (p->first)
        e->first = p->seq;
    if (p->last)
        e->last = p->seq;
    if (e->first >= 0 && e->last >= e->first && e->packets == e->last - e->first + 1 &&
        p->now_us - p->due_us <= FRAME_DEADLINE_US)
        e->whole = true;
    frames_settle(f, p->now_us, whole, broken);
}
