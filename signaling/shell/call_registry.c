/* The calls in memory, by id and by user, and the one timer that moves them: a wheel of
 * CALL_WHEEL_SLOTS buckets of CALL_WHEEL_TICK_US each; a deadline further away than a turn is
 * looked at once a turn. */
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "lib/base/buf.h"
#include "lib/base/log.h"
#include "signaling/shell/call_shell.h"
#include "signaling/shell/whip.h"

static void *must(void *p)
{
    if (p == NULL) {
        abort(); /* small control-plane memory, as with the JSON builders */
    }
    return p;
}

struct call_entry *call_entry_find(struct calls *s, const char *call_id)
{
    struct call_entry *en = NULL;
    HASH_FIND(hh, s->by_id, call_id, strlen(call_id), en);
    return en;
}

struct call_user *call_user_find(struct calls *s, const char *user_id)
{
    struct call_user *u = NULL;
    HASH_FIND_STR(s->by_user, user_id, u);
    return u;
}

static void user_add(struct calls *s, const char *user_id, struct call_entry *en)
{
    struct call_user *u = call_user_find(s, user_id);
    if (u == NULL) {
        u = must(calloc(1, sizeof(*u)));
        str_copy(u->user_id, sizeof(u->user_id), user_id);
        HASH_ADD_STR(s->by_user, user_id, u);
    }
    if (u->n == u->cap) {
        u->cap = u->cap == 0 ? 2 : u->cap * 2;
        u->entries = must(realloc(u->entries, (size_t)u->cap * sizeof(struct call_entry *)));
    }
    u->entries[u->n++] = en;
}

static void user_remove(struct calls *s, const char *user_id, const struct call_entry *en)
{
    struct call_user *u = call_user_find(s, user_id);
    if (u == NULL) {
        return;
    }
    for (int i = 0; i < u->n; i++) {
        if (u->entries[i] == en) {
            u->entries[i] = u->entries[--u->n];
            break;
        }
    }
    if (u->n == 0) {
        HASH_DEL(s->by_user, u);
        free(u->entries);
        free(u);
    }
}

static void index_users(struct call_entry *en)
{
    for (; en->indexed < en->call->n_parties; en->indexed++) {
        user_add(en->s, en->call->parties[en->indexed].user_id.s, en);
    }
}

struct call_entry *call_entry_add(struct calls *s, struct call *c)
{
    struct call_entry *en = must(calloc(1, sizeof(*en)));
    en->s = s;
    en->call = c;
    en->wheel_slot = -1;
    en->deadline_us = INT64_MAX;
    en->shown = CALL_NEW;
    HASH_ADD_KEYPTR(hh, s->by_id, en->call->id.s, ID_LEN, en);
    return en;
}

/* ---- the wheel ---- */

static void wheel_out(struct call_entry *en)
{
    if (en->wheel_slot >= 0) {
        DL_DELETE2(en->s->wheel[en->wheel_slot], en, wheel_prev, wheel_next);
        en->wheel_slot = -1;
    }
}

static void wheel_in(struct call_entry *en, int64_t deadline_us)
{
    struct calls *s = en->s;
    wheel_out(en);
    en->deadline_us = deadline_us;
    if (deadline_us == INT64_MAX) {
        return;
    }
    int64_t tick = deadline_us / CALL_WHEEL_TICK_US + 1; /* never before its time */
    tick = tick <= s->wheel_tick ? s->wheel_tick + 1 : tick;
    en->wheel_slot = (int)(tick % CALL_WHEEL_SLOTS);
    DL_APPEND2(s->wheel[en->wheel_slot], en, wheel_prev, wheel_next);
}

static void entry_free(struct call_entry *en)
{
    struct calls *s = en->s;
    wheel_out(en);
    for (int i = 0; i < en->indexed; i++) {
        user_remove(s, en->call->parties[i].user_id.s, en);
    }
    HASH_DEL(s->by_id, en);
    whip_entry_free(en);
    call_free(en->call);
    free(en);
}

void call_entry_schedule(struct call_entry *en)
{
    if (en->call->state != CALL_ENDED) {
        wheel_in(en, call_deadline(en->call));
    } else if (!en->end_written && !en->end_told) {
        wheel_in(en, en->ended_mono_us + CALL_UNTOLD_US);
    } else {
        wheel_in(en, en->ended_mono_us + CALL_TOMBSTONE_US);
    }
}

static void entry_settle(struct call_entry *en, struct call_effects *fx)
{
    call_effects_run(en, fx);
    call_effects_free(fx);
    whip_settle(en);
    index_users(en);
    call_metrics_gauges(en);
    call_entry_schedule(en);
}

void call_entry_step(struct call_entry *en, const struct call_event *ev)
{
    struct call_effects fx = {0};
    call_step(en->call, ev, clock_mono_us(), &fx);
    LOG_D("call_step", "call=%s event=%s state=%s effects=%d", en->call->id.s,
          call_event_name(ev->type), call_state_name(en->call->state), fx.n);
    entry_settle(en, &fx);
}

static void entry_due(struct call_entry *en, int64_t now_us)
{
    if (en->call->state != CALL_ENDED) {
        struct call_effects fx = {0};
        call_tick(en->call, now_us, &fx);
        entry_settle(en, &fx);
        return;
    }
    if (!en->end_written && !en->end_told) {
        call_tell_end(en);
    } else if (now_us >= en->ended_mono_us + CALL_TOMBSTONE_US) {
        entry_free(en);
        return;
    }
    call_entry_schedule(en);
}

/* Moves the slot's list away first: what is due again goes to a later tick. An entry that is due
 * may move others of it (it sends to a socket that is too slow and goes: its user's other calls
 * hear of it), so each is taken from the head. */
static void wheel_slot_run(struct calls *s, int slot, int64_t now_us)
{
    struct call_entry *en;
    s->wheel[CALL_WHEEL_SLOTS] = s->wheel[slot];
    s->wheel[slot] = NULL;
    DL_FOREACH2(s->wheel[CALL_WHEEL_SLOTS], en, wheel_next)
    {
        en->wheel_slot = CALL_WHEEL_SLOTS;
    }
    while ((en = s->wheel[CALL_WHEEL_SLOTS]) != NULL) {
        wheel_out(en);
        if (en->deadline_us <= now_us) {
            entry_due(en, now_us);
        } else {
            wheel_in(en, en->deadline_us);
        }
    }
}

static void on_wheel(void *arg)
{
    struct calls *s = arg;
    int64_t now_us = clock_mono_us();
    int64_t tick = now_us / CALL_WHEEL_TICK_US;
    if (tick - s->wheel_tick > CALL_WHEEL_SLOTS) {
        s->wheel_tick = tick - CALL_WHEEL_SLOTS; /* a suspended machine: each slot once */
    }
    while (s->wheel_tick < tick) {
        s->wheel_tick++;
        wheel_slot_run(s, (int)(s->wheel_tick % CALL_WHEEL_SLOTS), now_us);
    }
}

void call_wheel_start(struct calls *s)
{
    s->wheel_tick = clock_mono_us() / CALL_WHEEL_TICK_US;
    s->wheel_timer = loop_timer_new(s->o.loop, on_wheel, s);
    loop_timer_start(s->wheel_timer, CALL_WHEEL_TICK_US, CALL_WHEEL_TICK_US);
}

void call_registry_free(struct calls *s)
{
    struct call_entry *en, *next;
    loop_timer_free(s->wheel_timer);
    HASH_ITER(hh, s->by_id, en, next)
    {
        entry_free(en);
    }
}
