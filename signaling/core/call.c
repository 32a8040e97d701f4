#include "signaling/core/call.h"

#include <stdlib.h>
#include <string.h>

#include "signaling/core/call_private.h"

/* Control-plane memory only; like the JSON builders, there is no way on without it. */
static void *must(void *p)
{
    if (p == NULL) {
        abort();
    }
    return p;
}

struct call *call_new(const struct id *id, const struct call_limits *limits)
{
    struct call *c = must(calloc(1, sizeof(*c)));
    c->id = *id;
    c->limits = *limits;
    return c;
}

void call_free(struct call *c)
{
    if (c == NULL) {
        return;
    }
    call_drop_offer(c);
    free(c->parties);
    free(c);
}

void call_effects_free(struct call_effects *fx)
{
    free(fx->v);
    memset(fx, 0, sizeof(*fx));
}

void call_step(struct call *c, const struct call_event *ev, int64_t now_us, struct call_effects *fx)
{
    struct call_ctx x = {.c = c, .ev = ev, .now_us = now_us, .fx = fx};
    call_rules[c->state][ev->type].fn(&x);
}

struct call_participant *call_party(const struct call *c, const struct id *user_id)
{
    for (int i = 0; i < c->n_parties; i++) {
        if (id_equal(&c->parties[i].user_id, user_id)) {
            return &c->parties[i];
        }
    }
    return NULL;
}

struct call_participant *call_party_numbered(const struct call *c, int number)
{
    for (int i = 0; number > 0 && i < c->n_parties; i++) {
        if (c->parties[i].number == number) {
            return &c->parties[i];
        }
    }
    return NULL;
}

int call_count(const struct call *c, enum call_party_state s)
{
    int n = 0;
    for (int i = 0; i < c->n_parties; i++) {
        n += c->parties[i].state == s;
    }
    return n;
}

int call_index(const struct call *c, const struct call_participant *p)
{
    return p == NULL ? -1 : (int)(p - c->parties);
}

struct call_participant *call_party_add(struct call *c, const struct call_participant *from)
{
    if (c->n_parties == c->cap_parties) {
        c->cap_parties = c->cap_parties == 0 ? 2 : c->cap_parties * 2;
        c->parties = must(realloc(c->parties, (size_t)c->cap_parties * sizeof(*c->parties)));
    }
    struct call_participant *p = &c->parties[c->n_parties++];
    *p = *from;
    return p;
}

/* ---- timers ---- */

static int64_t sooner(int64_t a, int64_t b)
{
    return b != 0 && b < a ? b : a;
}

static int64_t ring_deadline(const struct call *c)
{
    int64_t t = INT64_MAX;
    for (int i = 0; i < c->n_parties; i++) {
        if (c->parties[i].state == PARTY_RINGING) {
            t = sooner(t, c->parties[i].ring_deadline_us);
        }
    }
    return t;
}

static int64_t grace_deadline(const struct call *c)
{
    int64_t t = INT64_MAX;
    for (int i = 0; i < c->n_parties; i++) {
        if (c->parties[i].state == PARTY_JOINED) {
            t = sooner(t, c->parties[i].grace_deadline_us);
        }
    }
    return t;
}

int64_t call_deadline(const struct call *c)
{
    if (c->state != CALL_RINGING && c->state != CALL_ACTIVE) {
        return INT64_MAX;
    }
    int64_t t = sooner(ring_deadline(c), grace_deadline(c));
    return sooner(t, c->sfu_deadline_us);
}

void call_tick(struct call *c, int64_t now_us, struct call_effects *fx)
{
    if (call_deadline(c) > now_us) {
        return;
    }
    /* Grace before ring: a caller who is gone for good must not turn into a missed call. */
    if (grace_deadline(c) <= now_us) {
        call_step(c, &(struct call_event){.type = CALL_GRACE_TIMER}, now_us, fx);
    }
    if (ring_deadline(c) <= now_us) {
        call_step(c, &(struct call_event){.type = CALL_RING_TIMER}, now_us, fx);
    }
    if (c->sfu_deadline_us != 0 && c->sfu_deadline_us <= now_us) {
        call_step(c, &(struct call_event){.type = CALL_SFU_TIMER}, now_us, fx);
    }
}

/* ---- effects ---- */

struct call_effect *call_fx(struct call_ctx *x, enum call_effect_type type)
{
    struct call_effects *fx = x->fx;
    if (fx->n == fx->cap) {
        fx->cap = fx->cap == 0 ? 16 : fx->cap * 2;
        fx->v = must(realloc(fx->v, (size_t)fx->cap * sizeof(*fx->v)));
    }
    struct call_effect *e = &fx->v[fx->n++];
    memset(e, 0, sizeof(*e));
    e->type = type;
    e->party = -1;
    return e;
}

void call_reply_ok(struct call_ctx *x)
{
    if (x->ev->request != 0) {
        struct call_effect *e = call_fx(x, CALL_REPLY_OK);
        e->request = x->ev->request;
        e->asked = x->ev->type;
        e->user_id = x->ev->user_id;
        e->device_id = x->ev->device_id;
    }
}

void call_reply_error(struct call_ctx *x, enum call_error error)
{
    if (x->ev->request != 0) {
        struct call_effect *e = call_fx(x, CALL_REPLY_ERROR);
        e->request = x->ev->request;
        e->asked = x->ev->type;
        e->error = error;
    }
}

struct call_effect *call_send(struct call_ctx *x, enum call_message m, const struct id *user,
                              const struct id *device, const struct call_participant *about)
{
    struct call_effect *e = call_fx(x, CALL_SEND);
    e->message = m;
    e->user_id = *user;
    if (device != NULL) {
        e->device_id = *device;
    }
    e->party = call_index(x->c, about);
    return e;
}

void call_send_joined(struct call_ctx *x, enum call_message m, const struct call_participant *about,
                      const struct call_participant *except)
{
    for (int i = 0; i < x->c->n_parties; i++) {
        const struct call_participant *p = &x->c->parties[i];
        if (p->state == PARTY_JOINED && p != except) {
            struct call_effect *e = call_send(x, m, &p->user_id, &p->device_id, about);
            e->from_device = x->ev->device_id;
            e->video = x->ev->video;
            e->payload = x->ev->payload;
        }
    }
}

void call_fx_device(struct call_ctx *x, enum call_effect_type type, const struct id *user,
                    const struct id *device)
{
    struct call_effect *e = call_fx(x, type);
    e->user_id = *user;
    e->device_id = *device;
}

void call_write_party(struct call_ctx *x, const struct call_participant *p, const struct id *device)
{
    struct call_effect *e = call_fx(x, CALL_WRITE_PARTY);
    e->user_id = p->user_id;
    if (device != NULL) {
        e->device_id = *device;
    }
    e->party = call_index(x->c, p);
    e->party_state = p->state;
}

/* ---- who asks ---- */

struct call_participant *call_sender(struct call_ctx *x, enum call_error stranger)
{
    struct call_participant *p = call_party(x->c, &x->ev->user_id);
    if (p == NULL) {
        call_reply_error(x, stranger);
    }
    return p;
}

struct call_participant *call_joined_sender(struct call_ctx *x, enum call_error stranger)
{
    struct call_participant *p = call_sender(x, stranger);
    if (p != NULL && (p->state != PARTY_JOINED || !id_equal(&p->device_id, &x->ev->device_id))) {
        call_reply_error(x, CALL_E_NOT_PARTICIPANT);
        return NULL;
    }
    return p;
}
