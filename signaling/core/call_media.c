/* What happens inside a call: relays, invitations, the way of the media, its state and its SFU. */
#include <stdlib.h>
#include <string.h>

#include "signaling/core/call_private.h"

/* ---- descriptions and candidates ---- */

/* Whom a relay goes to: who was named, or the only other one. NULL: *error says why not, CALL_OK
 * when there is nobody yet. */
static struct call_participant *relay_target(struct call_ctx *x, const struct call_participant *me,
                                             enum call_error *error)
{
    struct call *c = x->c;
    struct call_participant *found = NULL;
    if (x->ev->to_user.s[0] != '\0') {
        found = call_party(c, &x->ev->to_user);
        bool named =
            found != NULL && found != me && found->state == PARTY_JOINED &&
            (x->ev->to_device.s[0] == '\0' || id_equal(&x->ev->to_device, &found->device_id));
        *error = found == NULL ? CALL_E_NOT_PARTICIPANT : CALL_E_CONFLICT;
        return named ? found : NULL;
    }
    *error = CALL_OK;
    for (int i = 0; i < c->n_parties; i++) {
        struct call_participant *p = &c->parties[i];
        if (p == me || p->state != PARTY_JOINED) {
            continue;
        }
        if (found != NULL) {
            *error = CALL_E_BAD_REQUEST;
            return NULL;
        }
        found = p;
    }
    return found;
}

/* The caller's, while it rings: for whoever accepts. */
static void keep_early(struct call_ctx *x)
{
    struct call *c = x->c;
    if (c->state != CALL_RINGING) {
        call_reply_error(x, CALL_E_CONFLICT);
    } else if (c->n_early == CALL_MAX_EARLY || x->ev->payload == NULL) {
        call_reply_error(x, CALL_E_RATE_LIMITED);
    } else {
        struct call_early *e = &c->early[c->n_early++];
        e->description = x->ev->type == CALL_DESCRIPTION;
        e->payload = strdup(x->ev->payload);
        call_reply_ok(x);
    }
}

void call_rule_relay(struct call_ctx *x)
{
    struct call_participant *p = call_joined_sender(x, CALL_E_NOT_FOUND);
    if (p == NULL) {
        return;
    }
    if (x->c->state == CALL_ACTIVE) {
        call_drop_offer(x->c); /* delivered with the accept, of no more use */
    }
    if (x->c->mode == CALL_SFU) {
        call_reply_ok(x); /* trickled late, while both move to the SFU: of no use to anybody */
        return;
    }
    enum call_error error;
    struct call_participant *to = relay_target(x, p, &error);
    if (to == NULL && error != CALL_OK) {
        call_reply_error(x, error);
        return;
    }
    if (x->ev->type == CALL_DESCRIPTION) {
        p->candidates = 0;
    } else if (++p->candidates > CALL_MAX_CANDIDATES) {
        call_reply_error(x, CALL_E_RATE_LIMITED);
        return;
    }
    if (to == NULL) {
        keep_early(x);
        return;
    }
    call_reply_ok(x);
    enum call_message m =
        x->ev->type == CALL_DESCRIPTION ? MSG_CALL_DESCRIPTION : MSG_ICE_CANDIDATE;
    struct call_effect *e = call_send(x, m, &to->user_id, &to->device_id, p);
    e->from_device = p->device_id;
    e->payload = x->ev->payload;
}

/* ---- P2P → SFU ---- */

static void tell_fallback(struct call_ctx *x, enum call_fallback_reason why)
{
    for (int i = 0; i < x->c->n_parties; i++) {
        struct call_participant *p = &x->c->parties[i];
        if (p->state == PARTY_JOINED) {
            p->media_connected = false;
            call_send(x, MSG_CALL_FALLBACK, &p->user_id, &p->device_id, p)->fallback = why;
        }
    }
}

void call_to_sfu(struct call_ctx *x, enum call_fallback_reason why)
{
    struct call *c = x->c;
    c->mode = CALL_SFU;
    if (c->state == CALL_ACTIVE) {
        c->path = CALL_PATH_SFU;
    }
    call_drop_offer(c);
    call_fx(x, CALL_WRITE_MODE);
    tell_fallback(x, why);
}

void call_rule_fallback(struct call_ctx *x)
{
    if (call_joined_sender(x, CALL_E_NOT_FOUND) == NULL) {
        return;
    }
    if (x->c->mode == CALL_SFU) {
        call_reply_ok(x); /* both sides ask at about the same time */
    } else if (x->c->policy == CALL_POLICY_P2P) {
        call_reply_error(x, CALL_E_CONFLICT);
    } else if (!x->ev->sfu_available) {
        call_reply_error(x, CALL_E_SFU_UNAVAILABLE);
    } else {
        call_reply_ok(x);
        call_to_sfu(x, x->ev->fallback);
    }
}

/* ---- invitations ---- */

static enum call_error may_invite(const struct call_ctx *x)
{
    if (x->c->policy == CALL_POLICY_P2P) {
        return CALL_E_CONFLICT;
    }
    return x->ev->sfu_available ? CALL_OK : CALL_E_SFU_UNAVAILABLE;
}

void call_rule_invite(struct call_ctx *x)
{
    struct call_participant *p = call_joined_sender(x, CALL_E_NOT_FOUND);
    if (p == NULL) {
        return;
    }
    enum call_error e = may_invite(x);
    if (e != CALL_OK) {
        call_reply_error(x, e);
        return;
    }
    struct call_effect *w = call_fx(x, CALL_WRITE_INVITE);
    w->request = x->ev->request;
    w->asked = x->ev->type;
    w->user_id = p->user_id;
    w->device_id = p->device_id;
}

/* A new participant, or one who rings again; NULL for one who is in the call already. */
static struct call_participant *invite_one(struct call_ctx *x, const struct call_participant *from)
{
    struct call_participant *p = call_party(x->c, &from->user_id);
    if (p == NULL) {
        p = call_party_add(x->c, from);
    } else if (p->state == PARTY_JOINED || p->state == PARTY_RINGING) {
        return NULL;
    } else {
        p->state = from->state;
        p->n_devices = 0;
    }
    p->ring_deadline_us = x->now_us + x->c->limits.ring_timeout_us;
    p->invited_by = x->ev->user_id;
    return p;
}

void call_rule_invited(struct call_ctx *x)
{
    struct call *c = x->c;
    call_reply_ok(x);
    c->group = true;
    if (c->mode == CALL_P2P) {
        call_to_sfu(x, FALLBACK_THIRD_PARTY);
    }
    for (int i = 0; i < x->ev->n_parties; i++) {
        struct call_participant *p = invite_one(x, &x->ev->parties[i]);
        if (p == NULL) {
            continue;
        }
        if (p->state == PARTY_RINGING) {
            call_send(x, MSG_INCOMING_CALL, &p->user_id, NULL, p);
        }
        call_send_joined(x, MSG_PARTICIPANT_UPDATED, p, p);
    }
    call_end_if_over(x, CALL_COMPLETED);
}

/* ---- state of the media ---- */

void call_rule_update(struct call_ctx *x)
{
    struct call_participant *p = call_joined_sender(x, CALL_E_NOT_FOUND);
    if (p == NULL) {
        return;
    }
    bool audio = x->ev->set_audio < 0 ? p->audio : x->ev->set_audio > 0;
    bool video = x->ev->set_video < 0 ? p->video : x->ev->set_video > 0;
    bool changed = audio != p->audio || video != p->video;
    p->audio = audio;
    p->video = video;
    call_reply_ok(x);
    if (changed) {
        call_send_joined(x, MSG_PARTICIPANT_UPDATED, p, p);
    }
}

static void add_quality(struct call_quality *q, const struct call_event *ev)
{
    q->samples++;
    if (ev->rtt_ms >= 0) {
        q->rtt_samples++;
        q->rtt_ms_sum += ev->rtt_ms;
    }
    if (ev->loss_percent >= 0) {
        q->loss_samples++;
        q->loss_percent_sum += ev->loss_percent;
    }
}

void call_rule_stats(struct call_ctx *x)
{
    struct call *c = x->c;
    if (call_joined_sender(x, CALL_E_NOT_FOUND) == NULL) {
        return;
    }
    call_reply_ok(x);
    add_quality(&c->quality, x->ev);
    /* A client can't claim the SFU for a call that isn't there. */
    bool plausible = (x->ev->path == CALL_PATH_SFU) == (c->mode == CALL_SFU);
    if (x->ev->path > c->path && plausible) {
        c->path = x->ev->path;
        call_fx(x, CALL_WRITE_MODE);
    }
}

void call_rule_media(struct call_ctx *x)
{
    struct call_participant *p = call_party_numbered(x->c, x->ev->number);
    if (p != NULL && p->state == PARTY_JOINED) {
        p->media_connected = x->ev->connected;
    }
}

/* ---- the SFU ---- */

void call_rule_sfu_request(struct call_ctx *x)
{
    struct call_participant *p = call_joined_sender(x, CALL_E_FORBIDDEN);
    if (p == NULL) {
        return;
    }
    if (x->c->mode != CALL_SFU) {
        call_reply_error(x, CALL_E_CONFLICT);
        return;
    }
    struct call_effect *e = call_fx(x, CALL_SFU_FORWARD);
    e->request = x->ev->request;
    e->asked = x->ev->type;
    e->user_id = p->user_id;
    e->device_id = p->device_id;
    e->party = call_index(x->c, p);
}

void call_rule_sfu_placed(struct call_ctx *x)
{
    x->c->sfu_placed = true;
    x->c->sfu_away = false;
    x->c->sfu_deadline_us = 0;
}

void call_rule_sfu_down(struct call_ctx *x)
{
    if (x->c->sfu_placed && !x->c->sfu_away) {
        x->c->sfu_away = true;
        x->c->sfu_deadline_us = x->now_us + x->c->limits.sfu_wait_us;
    }
}

/* A link that broke and came back changes nothing; a room that is gone has to be made again by
 * everybody's publishing anew. */
void call_rule_sfu_up(struct call_ctx *x)
{
    struct call *c = x->c;
    if (!c->sfu_placed) {
        return;
    }
    c->sfu_away = false;
    c->sfu_deadline_us = 0;
    if (!x->ev->kept) {
        c->sfu_placed = false;
        tell_fallback(x, FALLBACK_SFU_RESTARTED);
    }
}

void call_rule_sfu_timer(struct call_ctx *x)
{
    x->c->sfu_deadline_us = 0;
    if (x->c->sfu_away) {
        call_fx(x, CALL_SFU_REPLACE);
    }
}
