#include "sfu/core/due_wheel.h"

#include <utlist.h>

void due_cancel(struct due_wheel *w, struct due_entry *e)
{
    if (e->waits) {
        DL_DELETE(w->slot[e->slot], e);
        e->waits = false;
    }
}

void due_set(struct due_wheel *w, struct due_entry *e, int64_t at_us)
{
    int64_t at = at_us <= 0 ? 0 : (at_us - 1) / DUE_TICK_US + 1;
    int64_t last = w->tick + DUE_SLOTS - 1; /* the slot of w->tick itself may still be taken from */
    at = at <= w->now ? w->now + 1 : at;
    at = at > last ? last : at;
    due_cancel(w, e);
    e->slot = (size_t)(at % DUE_SLOTS);
    e->waits = true;
    DL_APPEND(w->slot[e->slot], e);
}

struct due_entry *due_take(struct due_wheel *w, int64_t now_us)
{
    int64_t now = now_us / DUE_TICK_US;
    if (now - w->tick > DUE_SLOTS) { /* each slot once is enough */
        w->tick = now - DUE_SLOTS;
    }
    struct due_entry **slot = &w->slot[w->tick % DUE_SLOTS];
    w->now = now;
    while (!*slot && w->tick < now) {
        w->tick++;
        slot = &w->slot[w->tick % DUE_SLOTS];
    }
    struct due_entry *e = *slot;
    if (e && w->tick <= now) {
        due_cancel(w, e);
        return e;
    }
    return NULL;
}
