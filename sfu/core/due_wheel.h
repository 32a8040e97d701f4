/* When each of many things is to be looked at again: a timer wheel of tenths of a second. Setting,
 * moving and taking cost the same whatever their number; what isn't due costs nothing. The entry is
 * a member of the thing. Nothing is allocated; time is an argument. */
#ifndef SOTTO_SFU_CORE_DUE_WHEEL_H
#define SOTTO_SFU_CORE_DUE_WHEEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DUE_TICK_US 100000
#define DUE_SLOTS   512 /* so many ticks ahead; what is due later comes after them, too early */

/* Zero-initialise. */
struct due_entry {
    struct due_entry *prev, *next; /* utlist of its slot */
    size_t slot;
    bool waits;
};

/* Zero-initialise. */
struct due_wheel {
    int64_t tick; /* what was due before it has been taken */
    int64_t now;  /* of the last due_take, in ticks */
    struct due_entry *slot[DUE_SLOTS];
};

/* The entry is due at at_us, or at the next tick if that has passed; not any more when it was due
 * before. It comes up to a tick late, and early if it is more than DUE_SLOTS ticks ahead. */
void due_set(struct due_wheel *w, struct due_entry *e, int64_t at_us);
void due_cancel(struct due_wheel *w, struct due_entry *e);
/* Takes an entry whose time has come out of the wheel; NULL when there is none. Call until then:
 * those that are set meanwhile come with a later tick. */
struct due_entry *due_take(struct due_wheel *w, int64_t now_us);

#endif
