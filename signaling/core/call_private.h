/* What the files of the call machine share; nobody else includes it. */
#ifndef SOTTO_SIGNALING_CORE_CALL_PRIVATE_H
#define SOTTO_SIGNALING_CORE_CALL_PRIVATE_H

#include "signaling/core/call.h"

/* One step's context, handed to every rule. */
struct call_ctx {
    struct call *c;
    const struct call_event *ev;
    int64_t now_us;
    struct call_effects *fx;
};

typedef void (*call_rule_fn)(struct call_ctx *x);

struct call_rule {
    const char *name;
    call_rule_fn fn;
};

extern const struct call_rule call_rules[CALL_STATES][CALL_EVENTS];

/* ---- effects (call.c) ---- */
/* A new effect at the end of the list, cleared, with party = -1. Good until the next one. */
struct call_effect *call_fx(struct call_ctx *x, enum call_effect_type type);
void call_reply_ok(struct call_ctx *x);
void call_reply_error(struct call_ctx *x, enum call_error e);
/* `message` about p to one device ("" in device: all of the user's). */
struct call_effect *call_send(struct call_ctx *x, enum call_message m, const struct id *user,
                              const struct id *device, const struct call_participant *about);
/* The same to every joined device but that of `except` (may be NULL). */
void call_send_joined(struct call_ctx *x, enum call_message m, const struct call_participant *about,
                      const struct call_participant *except);
void call_fx_device(struct call_ctx *x, enum call_effect_type type, const struct id *user,
                    const struct id *device);
void call_write_party(struct call_ctx *x, const struct call_participant *p,
                      const struct id *device);
int call_index(const struct call *c, const struct call_participant *p);
struct call_participant *call_party_add(struct call *c, const struct call_participant *from);

/* ---- who asks ---- */
/* The event's sender; answers the request and gives NULL when he is no participant. Strangers get
 * `stranger`, which says the same as for a call that doesn't exist. */
struct call_participant *call_sender(struct call_ctx *x, enum call_error stranger);
/* The same, and joined with this very device; else not_participant. */
struct call_participant *call_joined_sender(struct call_ctx *x, enum call_error stranger);

/* ---- life (call_life.c) ---- */
void call_end(struct call_ctx *x, enum call_reason reason);
/* Ends an unanswered call that rings nobody any more, or an answered one that is over. `reason` is
 * that of an answered call. */
void call_end_if_over(struct call_ctx *x, enum call_reason reason);
/* A joined participant goes; the call may go on. */
void call_leave(struct call_ctx *x, struct call_participant *p, enum call_party_state state);
/* Makes the accept (or join) that the event's device has under way for p void. */
void call_take_back(struct call_ctx *x, struct call_participant *p);
/* Media goes through the SFU from now on: told to everybody joined. */
void call_to_sfu(struct call_ctx *x, enum call_fallback_reason why);
void call_drop_offer(struct call *c);

/* ---- rules, by file ---- */
#define CALL_RULE(name) void name(struct call_ctx *x)
/* call_ring.c */
CALL_RULE(call_rule_start);
CALL_RULE(call_rule_restore);
CALL_RULE(call_rule_device_rings);
CALL_RULE(call_rule_accept);
CALL_RULE(call_rule_accept_won);
CALL_RULE(call_rule_accept_refused);
CALL_RULE(call_rule_decline);
CALL_RULE(call_rule_ring_timer);
CALL_RULE(call_rule_join);
/* call_life.c */
CALL_RULE(call_rule_hang_up);
CALL_RULE(call_rule_socket_lost);
CALL_RULE(call_rule_socket_back);
CALL_RULE(call_rule_grace_timer);
CALL_RULE(call_rule_gone);
CALL_RULE(call_rule_gone_hidden);
CALL_RULE(call_rule_gone_hang_up);
CALL_RULE(call_rule_early);
CALL_RULE(call_rule_hidden);
CALL_RULE(call_rule_close_room);
CALL_RULE(call_rule_none);
/* call_media.c */
CALL_RULE(call_rule_relay);
CALL_RULE(call_rule_invite);
CALL_RULE(call_rule_invited);
CALL_RULE(call_rule_fallback);
CALL_RULE(call_rule_sfu_request);
CALL_RULE(call_rule_update);
CALL_RULE(call_rule_stats);
CALL_RULE(call_rule_media);
CALL_RULE(call_rule_sfu_placed);
CALL_RULE(call_rule_sfu_down);
CALL_RULE(call_rule_sfu_up);
CALL_RULE(call_rule_sfu_timer);

#endif
