/* The wheel of call timers, with the effects of a step replaced by what a slow socket does: sending
 * to it closes it, and its device's other calls are stepped in the middle of this one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "lib/io/loop.h"
#include "signaling/shell/call_shell.h"

#define CALLS  4
#define DUE_US INT64_C(100000)

static struct call_entry *entries[CALLS];
static struct loop *loop;
static struct id callee;
static int missed;

void call_effects_run(struct call_entry *en, const struct call_effects *fx)
{
    bool told = false;
    for (int i = 0; i < fx->n; i++) {
        told |= fx->v[i].type == CALL_SEND && fx->v[i].message == MSG_PARTICIPANT_UPDATED;
    }
    if (!told || en->call->state != CALL_ENDED) {
        return;
    }
    en->ended_mono_us = clock_mono_us();
    en->end_written = true;
    for (int i = 0; i < CALLS; i++) {
        if (entries[i] != en) {
            call_entry_step(entries[i],
                            &(struct call_event){.type = CALL_SOCKET_LOST, .user_id = callee});
        }
    }
    if (++missed == CALLS) {
        loop_stop(loop);
    }
}

void call_tell_end(struct call_entry *en)
{
    en->end_told = true;
}

static struct call_participant party(const struct id *user, enum call_party_state state)
{
    struct call_participant p = {.state = state, .user_id = *user};
    p.participant_id = id_new(clock_wall_us());
    p.device_id = id_new(clock_wall_us());
    p.ring_deadline_us = clock_mono_us() + DUE_US;
    p.number = state == PARTY_JOINED;
    return p;
}

static struct call_entry *ringing_call(struct calls *s)
{
    struct id id = id_new(clock_wall_us()), caller = id_new(clock_wall_us());
    struct call_participant parties[] = {party(&caller, PARTY_JOINED),
                                         party(&callee, PARTY_RINGING)};
    struct call *c = call_new(&id, &s->limits);
    c->initiator_id = caller;
    c->initiator_device = parties[0].device_id;
    struct call_entry *en = call_entry_add(s, c);
    call_entry_step(en, &(struct call_event){.type = CALL_START,
                                             .user_id = caller,
                                             .device_id = parties[0].device_id,
                                             .online = true,
                                             .parties = parties,
                                             .n_parties = 2});
    return en;
}

static void gave_up(void *arg)
{
    (void)arg;
    fail_msg("%d of %d rings ran out", missed, CALLS);
}

static void calls_that_are_due_together_may_move_each_other(void **state)
{
    (void)state;
    loop = loop_new();
    struct calls s = {.o.loop = loop, .limits = {.ring_timeout_us = DUE_US, .grace_us = 60000000}};
    struct loop_timer *patience = loop_timer_new(loop, gave_up, NULL);
    callee = id_new(clock_wall_us());
    call_wheel_start(&s);
    for (int i = 0; i < CALLS; i++) {
        entries[i] = ringing_call(&s);
        assert_true(entries[i]->wheel_slot >= 0);
    }
    loop_timer_start(patience, 5000000, 0);
    loop_run(loop);
    assert_int_equal(missed, CALLS);
    call_registry_free(&s); /* takes each out of the list in which it thinks it is */
    for (int i = 0; i < CALL_WHEEL_SLOTS; i++) {
        assert_null(s.wheel[i]);
    }
    loop_timer_free(patience);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_that_are_due_together_may_move_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
