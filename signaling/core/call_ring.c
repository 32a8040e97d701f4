/* Starting, ringing, answering: everything until somebody is joined. */
#include <stdlib.h>
#include <string.h>

#include "signaling/core/call_private.h"

static void ring(struct call_ctx *x, struct call_participant *p)
{
    call_send(x, MSG_INCOMING_CALL, &p->user_id, NULL, p)->payload = x->c->offer;
}

static void add_parties(struct call_ctx *x)
{
    for (int i = 0; i < x->ev->n_parties; i++) {
        struct call_participant *p = call_party_add(x->c, &x->ev->parties[i]);
        int64_t longest = x->now_us + x->c->limits.ring_timeout_us;
        if (p->state == PARTY_RINGING &&
            (p->ring_deadline_us == 0 || p->ring_deadline_us > longest)) {
            p->ring_deadline_us = longest; /* another clock may have set it */
        }
    }
}

static void keep_offer(struct call *c, const char *payload)
{
    if (payload != NULL && c->mode == CALL_P2P) {
        c->offer = strdup(payload);
    }
}

void call_rule_start(struct call_ctx *x)
{
    struct call *c = x->c;
    const struct call_event *ev = x->ev;
    c->state = CALL_RINGING;
    c->video = ev->video;
    c->policy = ev->policy;
    c->mode = c->group || ev->policy == CALL_POLICY_SFU ? CALL_SFU : CALL_P2P;
    add_parties(x);
    keep_offer(c, ev->payload);
    struct call_participant *caller = call_party(c, &ev->user_id);
    if (caller == NULL || caller->state != PARTY_JOINED) {
        call_reply_error(x, CALL_E_CONFLICT);
        call_end(x, CALL_FAILED);
        return;
    }
    caller->online = ev->online;
    caller->grace_deadline_us = ev->online ? 0 : x->now_us + c->limits.grace_us;
    call_fx_device(x, CALL_HOLD, &caller->user_id, &caller->device_id);
    if (c->mode == CALL_SFU && !ev->sfu_available) {
        call_reply_error(x, CALL_E_SFU_UNAVAILABLE);
        call_end(x, CALL_FAILED);
        return;
    }
    call_reply_ok(x);
    for (int i = 0; i < c->n_parties; i++) {
        if (c->parties[i].state == PARTY_RINGING) {
            ring(x, &c->parties[i]);
        }
    }
    call_end_if_over(x, CALL_COMPLETED);
}

/* Back after a restart: nobody has a socket yet, so everybody joined has the grace to return. */
void call_rule_restore(struct call_ctx *x)
{
    struct call *c = x->c;
    c->state = x->ev->restored_state == CALL_ACTIVE ? CALL_ACTIVE : CALL_RINGING;
    add_parties(x);
    int joined = 0;
    for (int i = 0; i < c->n_parties; i++) {
        struct call_participant *p = &c->parties[i];
        if (p->state == PARTY_JOINED) {
            joined++;
            p->online = false;
            p->grace_deadline_us = x->now_us + c->limits.grace_us;
            call_fx_device(x, CALL_HOLD, &p->user_id, &p->device_id);
        }
    }
    if (x->ev->connected) {
        c->sfu_placed = true;
        c->sfu_away = true;
        c->sfu_deadline_us = x->now_us + c->limits.sfu_wait_us;
    }
    if (joined == 0) {
        call_end(x, CALL_FAILED);
    } else {
        call_end_if_over(x, CALL_FAILED);
    }
}

static bool add_device(struct call_participant *p, const struct id *device)
{
    for (int i = 0; i < p->n_devices; i++) {
        if (id_equal(&p->devices[i], device)) {
            return false;
        }
    }
    if (p->n_devices == CALL_MAX_DEVICES) {
        return false;
    }
    p->devices[p->n_devices++] = *device;
    return true;
}

void call_rule_device_rings(struct call_ctx *x)
{
    struct call_participant *p = call_sender(x, CALL_E_NOT_FOUND);
    if (p == NULL) {
        return;
    }
    if (p->state != PARTY_RINGING) {
        call_reply_error(x, CALL_E_CONFLICT); /* answered meanwhile: stop ringing */
        return;
    }
    call_reply_ok(x);
    if (add_device(p, &x->ev->device_id)) {
        call_fx_device(x, CALL_WRITE_DEVICE, &p->user_id, &x->ev->device_id);
        call_send_joined(x, MSG_CALL_RINGING, p, p);
    }
}

/* Asks the database; several devices may ask at once, one wins there. */
static void ask_to_join(struct call_ctx *x, struct call_participant *p)
{
    p->accepts_pending++;
    p->accept_device = x->ev->device_id;
    struct call_effect *e = call_fx(x, CALL_WRITE_ACCEPT);
    e->request = x->ev->request;
    e->asked = x->ev->type;
    e->user_id = p->user_id;
    e->device_id = x->ev->device_id;
    e->party = call_index(x->c, p);
    e->stay = p->stay;
    e->video = x->ev->video;
    e->payload = x->ev->payload;
}

void call_rule_accept(struct call_ctx *x)
{
    struct call_participant *p = call_sender(x, CALL_E_NOT_FOUND);
    if (p == NULL) {
        return;
    }
    if (p->state == PARTY_RINGING) {
        ask_to_join(x, p);
    } else if (p->state == PARTY_JOINED && id_equal(&p->device_id, &x->ev->device_id)) {
        call_reply_ok(x); /* a repeat */
    } else if (p->state != PARTY_JOINED && x->c->group && x->c->state == CALL_ACTIVE) {
        ask_to_join(x, p); /* too late for the ring, in time for the call */
    } else {
        call_reply_error(x, CALL_E_CONFLICT);
    }
}

/* Rejoining, or joining a group call that runs already. */
void call_rule_join(struct call_ctx *x)
{
    struct call_participant *p = call_sender(x, CALL_E_FORBIDDEN);
    if (p != NULL) {
        call_rule_accept(x);
    }
}

static void flush_early(struct call_ctx *x, const struct call_participant *to)
{
    struct call *c = x->c;
    const struct call_participant *caller = call_party(c, &c->initiator_id);
    for (int i = 0; i < c->n_early && caller != NULL; i++) {
        enum call_message m = c->early[i].description ? MSG_CALL_DESCRIPTION : MSG_ICE_CANDIDATE;
        struct call_effect *e = call_send(x, m, &to->user_id, &to->device_id, caller);
        e->from_device = caller->device_id;
        e->payload = c->early[i].payload;
    }
}

void call_take_back(struct call_ctx *x, struct call_participant *p)
{
    if (p->accepts_pending > 0 && id_equal(&p->accept_device, &x->ev->device_id)) {
        p->stay++;
        p->accept_device.s[0] = '\0';
    }
}

/* The last answer to what he took back: where the row took him in all the same, he leaves it. */
static void settle_row(struct call_ctx *x, struct call_participant *p)
{
    if (p->accepts_pending == 0 && p->row_device.s[0] != '\0') {
        p->state = PARTY_LEFT;
        call_write_party(x, p, &p->row_device);
        p->row_device.s[0] = '\0';
    }
}

static void set_joined(struct call_ctx *x, struct call_participant *p)
{
    p->state = PARTY_JOINED;
    p->row_device.s[0] = '\0';
    p->device_id = x->ev->device_id;
    p->number = x->ev->number;
    p->audio = true;
    p->video = x->ev->video;
    p->candidates = 0;
    p->media_connected = false;
    p->online = x->ev->online;
    p->grace_deadline_us = p->online ? 0 : x->now_us + x->c->limits.grace_us;
    call_fx_device(x, CALL_HOLD, &p->user_id, &p->device_id);
}

void call_rule_accept_won(struct call_ctx *x)
{
    struct call *c = x->c;
    struct call_participant *p = call_sender(x, CALL_E_NOT_FOUND);
    if (p == NULL) {
        return;
    }
    p->accepts_pending -= p->accepts_pending > 0;
    if (p->state == PARTY_JOINED && id_equal(&p->device_id, &x->ev->device_id)) {
        call_reply_ok(x); /* asked twice */
        return;
    }
    if (p->state == PARTY_JOINED || p->stay != x->ev->stay) {
        call_reply_error(x, CALL_E_CONFLICT); /* he has left since; the row says so too, or will */
        if (p->state != PARTY_JOINED && x->ev->stay >= p->left_stay) {
            p->row_device = x->ev->device_id;
        }
        settle_row(x, p);
        call_end_if_over(x, CALL_COMPLETED);
        return;
    }
    bool answered = p->state == PARTY_RINGING;
    set_joined(x, p);
    if (c->state == CALL_RINGING) {
        c->state = CALL_ACTIVE;
        c->path = c->mode == CALL_SFU ? CALL_PATH_SFU : c->path;
    }
    call_reply_ok(x);
    if (c->mode == CALL_P2P) {
        flush_early(x, p);
    }
    if (answered) {
        call_send_joined(x, MSG_CALL_ACCEPTED, p, p);
    }
    call_send_joined(x, MSG_PARTICIPANT_JOINED, p, p);
    call_end_if_over(x, CALL_COMPLETED); /* the others may have left while this was decided */
}

void call_rule_accept_refused(struct call_ctx *x)
{
    struct call_participant *p = call_sender(x, CALL_E_NOT_FOUND);
    if (p == NULL) {
        return;
    }
    p->accepts_pending -= p->accepts_pending > 0;
    call_reply_error(x, x->ev->error == CALL_OK ? CALL_E_CONFLICT : x->ev->error);
    settle_row(x, p);
    if (x->c->group && x->ev->error == CALL_E_UNAVAILABLE && p->accepts_pending == 0 &&
        p->state != PARTY_JOINED) {
        /* It may be committed all the same. In a group he can come again from there. */
        call_write_party(x, p, &x->ev->device_id);
        x->fx->v[x->fx->n - 1].party_state = PARTY_LEFT;
    }
    call_end_if_over(x, CALL_COMPLETED);
}

void call_rule_decline(struct call_ctx *x)
{
    struct call_participant *p = call_sender(x, CALL_E_NOT_FOUND);
    if (p == NULL) {
        return;
    }
    bool taken_back = p->accepts_pending > 0 && id_equal(&p->accept_device, &x->ev->device_id);
    if (p->state == PARTY_DECLINED) {
        call_take_back(x, p);
        call_reply_ok(x); /* a repeat, or a second device */
        return;
    }
    if (p->state != PARTY_RINGING || (p->accepts_pending > 0 && !taken_back)) {
        call_reply_error(x, CALL_E_CONFLICT);
        return;
    }
    call_take_back(x, p);
    p->state = PARTY_DECLINED;
    call_reply_ok(x);
    call_write_party(x, p, &x->ev->device_id);
    call_send_joined(x, MSG_PARTICIPANT_UPDATED, p, p);
    call_end_if_over(x, CALL_COMPLETED);
}

/* Those whose ring ran out. An accept that is being decided gets the time for it. */
void call_rule_ring_timer(struct call_ctx *x)
{
    struct call *c = x->c;
    bool missed = false;
    for (int i = 0; i < c->n_parties; i++) {
        struct call_participant *p = &c->parties[i];
        if (p->state != PARTY_RINGING || p->ring_deadline_us > x->now_us) {
            continue;
        }
        if (p->accepts_pending > 0) {
            p->ring_deadline_us = x->now_us + CALL_ACCEPT_PATIENCE_US;
            continue;
        }
        p->state = PARTY_MISSED;
        call_write_party(x, p, NULL);
        call_send(x, MSG_PARTICIPANT_UPDATED, &p->user_id, NULL, p); /* stop ringing */
        call_send_joined(x, MSG_PARTICIPANT_UPDATED, p, p);
        missed = true;
    }
    if (missed) {
        call_end_if_over(x, CALL_COMPLETED);
    }
}
