#include "sfu/shell/out_pace.h"

#include "sfu/core/pool.h"

void out_pace_init(struct out_pace *p, struct transport *t)
{
    pacer_init(&p->pacer);
    p->transport = t;
    p->due_us = INT64_MAX;
}

/* ---- lists ---- */

static void put(struct out_list *l, struct out_item *i)
{
    i->next = NULL;
    if (l->last) {
        l->last->next = i;
    } else {
        l->first = i;
    }
    l->last = i;
    l->n++;
    l->bytes += out_item_bytes(i);
}

static struct out_item *pop(struct out_list *l)
{
    struct out_item *i = l->first;
    l->first = i->next;
    if (!l->first) {
        l->last = NULL;
    }
    l->n--;
    l->bytes -= out_item_bytes(i);
    return i;
}

/* ---- the pacer ---- */

static void move(struct out_pace *p, struct out_list *from, struct out_list *out,
                 enum pacer_kind kind, int64_t now_us)
{
    while (from->first && pacer_budget(&p->pacer, kind, now_us) > 0) {
        struct out_item *i = pop(from);
        pacer_sent(&p->pacer, out_item_bytes(i), now_us);
        put(out, i);
    }
}

static void tell_pacer(struct out_pace *p, int64_t now_us)
{
    int64_t oldest_us = p->rtx.first ? p->rtx_us : now_us;
    if (p->video.first && p->video.first->packet->arrival_us < oldest_us) {
        oldest_us = p->video.first->packet->arrival_us;
    }
    pacer_queued(&p->pacer, p->rtx.bytes + p->video.bytes, oldest_us, now_us);
}

static void release(struct out_pace *p, struct out_list *out, int64_t now_us)
{
    move(p, &p->rtx, out, PACER_RTX, now_us);
    if (!p->rtx.first) {
        move(p, &p->video, out, PACER_VIDEO, now_us);
    }
    if (out_pace_held(p) > OUT_PACE_MAX) { /* the source is faster than anybody can be told to be */
        move(p, &p->rtx, out, PACER_AUDIO, now_us);
        move(p, &p->video, out, PACER_AUDIO, now_us);
    }
    tell_pacer(p, now_us);
}

struct out_item *out_pace_take(struct out_pace *p, struct out_item *first, int64_t now_us)
{
    struct out_list out = {0};
    struct out_item *next;
    size_t before = out_pace_held(p);
    for (struct out_item *i = first; i; i = next) {
        next = i->next;
        if (i->slot->kind == SDP_AUDIO) {
            pacer_sent(&p->pacer, out_item_bytes(i), now_us);
            put(&out, i);
        } else if (i->rtx) {
            p->rtx_us = p->rtx.first ? p->rtx_us : now_us;
            put(&p->rtx, i);
        } else {
            put(&p->video, i);
        }
    }
    release(p, &out, now_us);
    p->held += out_pace_held(p) > before ? out_pace_held(p) - before : 0;
    return out.first;
}

struct out_item *out_pace_release(struct out_pace *p, int64_t now_us)
{
    struct out_list out = {0};
    release(p, &out, now_us);
    return out.first;
}

struct out_item *out_pace_drop(struct out_pace *p)
{
    struct out_list out = {0};
    while (p->rtx.first) {
        put(&out, pop(&p->rtx));
    }
    while (p->video.first) {
        put(&out, pop(&p->video));
    }
    tell_pacer(p, 0);
    return out.first;
}

int64_t out_pace_due(const struct out_pace *p, int64_t now_us)
{
    if (out_pace_held(p) == 0) {
        return INT64_MAX;
    }
    int64_t next = pacer_next(&p->pacer, now_us), soon = now_us + OUT_PACE_STEP_US;
    return next > soon ? next : soon;
}
