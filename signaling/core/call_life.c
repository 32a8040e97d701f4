/* How a call ends, who leaves, and what a lost connection does. */
#include <stdlib.h>

#include "signaling/core/call_private.h"

void call_drop_offer(struct call *c)
{
    free(c->offer);
    c->offer = NULL;
    for (int i = 0; i < c->n_early; i++) {
        free(c->early[i].payload);
    }
    c->n_early = 0;
}

void call_end(struct call_ctx *x, enum call_reason reason)
{
    struct call *c = x->c;
    c->state = CALL_ENDED;
    c->reason = reason;
    c->sfu_deadline_us = 0;
    call_drop_offer(c);
    for (int i = 0; i < c->n_parties; i++) {
        struct call_participant *p = &c->parties[i];
        if (p->state == PARTY_JOINED) {
            p->state = PARTY_LEFT;
            p->grace_deadline_us = 0;
            call_fx_device(x, CALL_RELEASE, &p->user_id, &p->device_id);
        } else if (p->state == PARTY_RINGING) {
            p->state = PARTY_MISSED;
        }
    }
    if (c->sfu_placed) {
        call_fx(x, CALL_SFU_CLOSE);
    }
    call_fx(x, CALL_WRITE_END);
}

/* Why nobody answered, when nobody rings any more: the most telling of what the callees did. */
static enum call_reason unanswered(const struct call *c)
{
    if (call_count(c, PARTY_DECLINED) + call_count(c, PARTY_LEFT) > 0) { /* left: took it back */
        return CALL_DECLINED;
    }
    if (call_count(c, PARTY_MISSED) > 0) {
        return CALL_MISSED;
    }
    return call_count(c, PARTY_BUSY) > 0 ? CALL_BUSY : CALL_UNREACHABLE;
}

static int coming(const struct call *c)
{
    int n = 0;
    for (int i = 0; i < c->n_parties; i++) {
        const struct call_participant *p = &c->parties[i];
        n += p->state == PARTY_RINGING || p->accepts_pending > 0;
    }
    return n;
}

void call_end_if_over(struct call_ctx *x, enum call_reason reason)
{
    struct call *c = x->c;
    if (c->state == CALL_ENDED || coming(c) > 0) {
        return;
    }
    if (c->state == CALL_RINGING) {
        call_end(x, unanswered(c));
    } else if (call_count(c, PARTY_JOINED) <= 1) {
        call_end(x, reason);
    }
}

void call_leave(struct call_ctx *x, struct call_participant *p, enum call_party_state state)
{
    p->state = state;
    p->left_stay = ++p->stay;
    p->row_device.s[0] = '\0';
    p->grace_deadline_us = 0;
    p->media_connected = false;
    call_fx_device(x, CALL_RELEASE, &p->user_id, &p->device_id);
    if (x->c->sfu_placed) {
        call_fx(x, CALL_SFU_LEAVE)->party = call_index(x->c, p);
    }
    call_write_party(x, p, &p->device_id);
    call_send_joined(x, MSG_PARTICIPANT_LEFT, p, p);
}

/* A ringing callee hangs up: the same as a decline. A caller hangs up before anybody answered:
 * cancelled, for a group too. One of two hangs up: over. One of many: the others go on. */
void call_rule_hang_up(struct call_ctx *x)
{
    struct call_participant *p = call_sender(x, CALL_E_NOT_FOUND);
    if (p == NULL) {
        return;
    }
    if (p->state == PARTY_RINGING) {
        call_rule_decline(x);
        return;
    }
    if (p->state != PARTY_JOINED) {
        call_take_back(x, p);
        call_reply_ok(x); /* has left already: a repeat */
        return;
    }
    if (!id_equal(&p->device_id, &x->ev->device_id)) {
        call_reply_error(x, CALL_E_NOT_PARTICIPANT);
        return;
    }
    call_reply_ok(x);
    if (x->c->state == CALL_RINGING) {
        call_end(x, CALL_CANCELLED);
    } else if (!x->c->group) {
        call_end(x, CALL_COMPLETED);
    } else {
        call_leave(x, p, PARTY_LEFT);
        call_end_if_over(x, CALL_COMPLETED);
    }
}

void call_rule_socket_lost(struct call_ctx *x)
{
    struct call_participant *p = call_party(x->c, &x->ev->user_id);
    if (p == NULL || p->state != PARTY_JOINED || !p->online ||
        !id_equal(&p->device_id, &x->ev->device_id)) {
        return;
    }
    p->online = false;
    p->grace_deadline_us = x->now_us + x->c->limits.grace_us;
    call_send_joined(x, MSG_PARTICIPANT_UPDATED, p, p);
}

/* A device of somebody who still rings is told so, whenever it comes. */
void call_rule_socket_back(struct call_ctx *x)
{
    struct call_participant *p = call_party(x->c, &x->ev->user_id);
    if (p == NULL) {
        return;
    }
    if (p->state == PARTY_RINGING) {
        call_send(x, MSG_INCOMING_CALL, &p->user_id, &x->ev->device_id, p)->payload = x->c->offer;
        return;
    }
    if (p->state == PARTY_JOINED && !p->online && id_equal(&p->device_id, &x->ev->device_id)) {
        p->online = true;
        p->grace_deadline_us = 0;
        call_send_joined(x, MSG_PARTICIPANT_UPDATED, p, p);
    }
}

void call_rule_grace_timer(struct call_ctx *x)
{
    struct call *c = x->c;
    bool lost = false;
    for (int i = 0; i < c->n_parties; i++) {
        struct call_participant *p = &c->parties[i];
        if (p->state == PARTY_JOINED && p->grace_deadline_us != 0 &&
            p->grace_deadline_us <= x->now_us) {
            call_leave(x, p, PARTY_FAILED);
            lost = true;
        }
    }
    if (!lost) {
        return;
    }
    if (c->state == CALL_RINGING || !c->group) {
        call_end(x, CALL_FAILED);
    } else {
        call_end_if_over(x, CALL_FAILED);
    }
}

/* ---- a call that is over: its tombstone ---- */

void call_rule_gone(struct call_ctx *x)
{
    if (call_sender(x, CALL_E_NOT_FOUND) != NULL) {
        call_reply_error(x, CALL_E_ENDED);
    }
}

void call_rule_gone_hidden(struct call_ctx *x)
{
    if (call_sender(x, CALL_E_FORBIDDEN) != NULL) {
        call_reply_error(x, CALL_E_ENDED);
    }
}

/* Hanging up twice, or both at once, is no error. */
void call_rule_gone_hang_up(struct call_ctx *x)
{
    if (call_sender(x, CALL_E_NOT_FOUND) != NULL) {
        call_reply_ok(x);
    }
}

/* Nothing can be asked of a call that hasn't started. */
void call_rule_early(struct call_ctx *x)
{
    call_reply_error(x, CALL_E_NOT_FOUND);
}

/* The same for what must not tell whether there is a call. */
void call_rule_hidden(struct call_ctx *x)
{
    call_reply_error(x, CALL_E_FORBIDDEN);
}

/* The call ended while a node was being asked for its room. */
void call_rule_close_room(struct call_ctx *x)
{
    call_fx(x, CALL_SFU_CLOSE);
}

/* Nothing to do; somebody who waits all the same is told that it conflicts. */
void call_rule_none(struct call_ctx *x)
{
    call_reply_error(x, CALL_E_CONFLICT);
}
