/* A small stage for tests of the call machine: users "a"…, their devices 1…, a call, and what the
 * last step asked for. Header only, as each test file is a program of its own. */
#ifndef SOTTO_TESTS_CALL_FIXTURE_H
#define SOTTO_TESTS_CALL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "signaling/core/call.h"

#define SECOND INT64_C(1000000)

struct stage {
    struct call *c;
    struct call_effects fx;
    int64_t now_us;
    uintptr_t request;
    int next_number;
};

static const struct call_limits stage_limits = {.ring_timeout_us = 60 * SECOND,
                                                .grace_us = 30 * SECOND,
                                                .sfu_wait_us = 5 * SECOND,
                                                .max_participants = 64};

/* User u (0 is the caller), device d: 0 for the user himself. */
static inline struct id stage_id(int u, int d)
{
    struct id id;
    snprintf(id.s, sizeof(id.s), "00000000-0000-7000-8%03x-%012x", (unsigned)u & 0xfff,
             (unsigned)d & 0xffff);
    return id;
}

static inline struct call_participant stage_party(int u, enum call_party_state state)
{
    struct call_participant p = {.state = state};
    p.user_id = stage_id(u, 0);
    p.participant_id = stage_id(u, 0xfff);
    snprintf(p.username, sizeof(p.username), "user%d", u);
    if (state == PARTY_JOINED) {
        p.number = u + 1;
        p.device_id = stage_id(u, 1);
        p.audio = true;
    }
    return p;
}

static inline void stage_step(struct stage *s, struct call_event ev)
{
    s->fx.n = 0;
    call_step(s->c, &ev, s->now_us, &s->fx);
}

/* An event from device d of user u, as a request. */
static inline void stage_ask(struct stage *s, enum call_event_type type, int u, int d)
{
    stage_step(s, (struct call_event){.type = type,
                                      .request = ++s->request,
                                      .user_id = stage_id(u, 0),
                                      .device_id = stage_id(u, d),
                                      .set_audio = -1,
                                      .set_video = -1,
                                      .rtt_ms = -1,
                                      .loss_percent = -1,
                                      .sfu_available = true});
}

static inline void stage_open(struct stage *s, bool group)
{
    struct id id = stage_id(0xabc, 1);
    memset(s, 0, sizeof(*s));
    s->now_us = 1000 * SECOND;
    s->c = call_new(&id, &stage_limits);
    s->c->group = group;
    s->c->initiator_id = stage_id(0, 0);
    s->c->initiator_device = stage_id(0, 1);
    s->next_number = 2;
}

/* A call of user 0, device 1, to the users 1…n, all in the given state. */
static inline void stage_start_as(struct stage *s, int n, enum call_policy policy,
                                  enum call_party_state callees)
{
    struct call_participant parties[8];
    parties[0] = stage_party(0, PARTY_JOINED);
    for (int i = 1; i <= n; i++) {
        parties[i] = stage_party(i, callees);
    }
    stage_open(s, n > 1);
    stage_step(s, (struct call_event){.type = CALL_START,
                                      .request = ++s->request,
                                      .user_id = stage_id(0, 0),
                                      .device_id = stage_id(0, 1),
                                      .online = true,
                                      .sfu_available = true,
                                      .policy = policy,
                                      .parties = parties,
                                      .n_parties = n + 1});
}

static inline void stage_start(struct stage *s, int n)
{
    stage_start_as(s, n, CALL_POLICY_AUTO, PARTY_RINGING);
}

/* The database's answer to an accept of device d of user u. */
static inline void stage_committed(struct stage *s, int u, int d)
{
    struct id user = stage_id(u, 0);
    const struct call_participant *p = call_party(s->c, &user);
    stage_step(s, (struct call_event){.type = CALL_ACCEPT_COMMITTED,
                                      .stay = p != NULL ? p->stay : 0,
                                      .request = ++s->request,
                                      .user_id = stage_id(u, 0),
                                      .device_id = stage_id(u, d),
                                      .online = true,
                                      .number = s->next_number++});
}

static inline void stage_accept(struct stage *s, int u, int d)
{
    stage_ask(s, CALL_ACCEPT, u, d);
    stage_committed(s, u, d);
}

static inline void stage_event(struct stage *s, enum call_event_type type, int u, int d)
{
    stage_step(s, (struct call_event){
                      .type = type, .user_id = stage_id(u, 0), .device_id = stage_id(u, d)});
}

static inline void stage_tick(struct stage *s, int64_t later_us)
{
    s->now_us += later_us;
    s->fx.n = 0;
    call_tick(s->c, s->now_us, &s->fx);
}

static inline void stage_close(struct stage *s)
{
    call_free(s->c);
    call_effects_free(&s->fx);
}

/* ---- what the last step asked for ---- */

static inline int stage_count(const struct stage *s, enum call_effect_type type)
{
    int n = 0;
    for (int i = 0; i < s->fx.n; i++) {
        n += s->fx.v[i].type == type;
    }
    return n;
}

static inline const struct call_effect *stage_effect(const struct stage *s,
                                                     enum call_effect_type type)
{
    for (int i = 0; i < s->fx.n; i++) {
        if (s->fx.v[i].type == type) {
            return &s->fx.v[i];
        }
    }
    fail_msg("no such effect: %d", (int)type);
    return NULL;
}

/* How many of this message went to user u (d > 0: to that device). */
static inline int stage_sent(const struct stage *s, enum call_message m, int u, int d)
{
    struct id user = stage_id(u, 0), device = stage_id(u, d);
    int n = 0;
    for (int i = 0; i < s->fx.n; i++) {
        const struct call_effect *e = &s->fx.v[i];
        n += e->type == CALL_SEND && e->message == m && id_equal(&e->user_id, &user) &&
             (d == 0 || id_equal(&e->device_id, &device));
    }
    return n;
}

static inline int stage_messages(const struct stage *s, enum call_message m)
{
    int n = 0;
    for (int i = 0; i < s->fx.n; i++) {
        n += s->fx.v[i].type == CALL_SEND && s->fx.v[i].message == m;
    }
    return n;
}

#define assert_ok(s)                                                                               \
    do {                                                                                           \
        assert_int_equal(stage_count((s), CALL_REPLY_OK), 1);                                      \
        assert_int_equal(stage_count((s), CALL_REPLY_ERROR), 0);                                   \
    } while (0)

#define assert_error(s, code)                                                                      \
    do {                                                                                           \
        assert_int_equal(stage_count((s), CALL_REPLY_OK), 0);                                      \
        assert_int_equal(stage_effect((s), CALL_REPLY_ERROR)->error, code);                        \
    } while (0)

#define assert_ended(s, why)                                                                       \
    do {                                                                                           \
        assert_int_equal((s)->c->state, CALL_ENDED);                                               \
        assert_string_equal(call_reason_name((s)->c->reason), call_reason_name(why));              \
        assert_int_equal(stage_count((s), CALL_WRITE_END), 1);                                     \
        assert_true(call_deadline((s)->c) == INT64_MAX);                                           \
    } while (0)

#endif
