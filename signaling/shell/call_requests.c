/* The client frames of calls and POST /v1/calls: read, checked, handed to the call machine, and
 * answered once. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "signaling/shell/call_shell.h"
#include "signaling/shell/whip.h"

/* ---- answers ---- */

static void request_free(struct call_request *rq)
{
    if (rq->has_frame) {
        call_frame_free(&rq->frame);
    }
    free(rq);
}

void call_request_reply(struct call_request *rq, cJSON *data)
{
    if (rq->op != NULL) {
        cJSON_Delete(data);
        whip_op_told(rq->op, CALL_OK);
    } else if (rq->q != NULL) {
        hub_reply(rq->q, data);
    } else {
        http_reply(rq->r, 201, data != NULL ? data : json_new());
    }
    request_free(rq);
}

static int status_of(enum call_error e)
{
    switch (e) {
    case CALL_E_BAD_REQUEST:
        return 400;
    case CALL_E_FORBIDDEN:
    case CALL_E_NOT_PARTICIPANT:
        return 403;
    case CALL_E_NOT_FOUND:
        return 404;
    case CALL_E_TOO_LARGE:
        return 413;
    case CALL_E_RATE_LIMITED:
        return 429;
    case CALL_E_UNAVAILABLE:
    case CALL_E_SFU_UNAVAILABLE:
    case CALL_E_OVERLOADED:
        return 503;
    default:
        return 409;
    }
}

static bool is_passing(enum call_error e)
{
    return e == CALL_E_UNAVAILABLE || e == CALL_E_SFU_UNAVAILABLE || e == CALL_E_OVERLOADED;
}

void call_http_error(struct http_request *r, enum call_error e)
{
    if (is_passing(e)) {
        http_set_header(r, "Retry-After", "1");
    }
    http_problem(r, status_of(e), call_error_name(e), call_error_text(e));
}

void call_request_error(struct call_request *rq, enum call_error e)
{
    if (rq->op != NULL) {
        whip_op_told(rq->op, e);
    } else if (rq->q != NULL) {
        hub_reply_error(rq->q, call_error_name(e), call_error_text(e), is_passing(e) ? 1000 : 0);
    } else {
        call_http_error(rq->r, e);
    }
    request_free(rq);
}

void call_request_answered(struct call_request *rq, int err, const cJSON *data, const char *code)
{
    whip_op_answered(rq->op, err, data, code);
    request_free(rq);
}

void call_request_fail(struct call_request *rq, const char *code, const char *message)
{
    if (rq->op != NULL) {
        whip_op_told(rq->op, CALL_E_BAD_REQUEST);
    } else if (rq->q != NULL) {
        hub_reply_error(rq->q, code, message, 0);
    } else {
        http_problem(rq->r, strcmp(code, "not_found") == 0 ? 404 : 400, code, message);
    }
    request_free(rq);
}

/* ---- into the call machine ---- */

void call_request_step(struct call_request *rq, struct call_entry *en, struct call_event *ev)
{
    /* The reply frees the request while later effects of the step still show its payload. */
    char *payload = rq->frame.payload;
    rq->frame.payload = NULL;
    ev->request = (uintptr_t)rq;
    ev->user_id = rq->user_id;
    ev->device_id = rq->device_id;
    ev->payload = payload;
    ev->sfu_available = call_sfu_available(rq->s);
    call_entry_step(en, ev);
    free(payload);
}

static const enum call_event_type event_of[FRAME_TYPES] = {
    [FRAME_CALL_START] = CALL_ACCEPT, /* of a call that is there already */
    [FRAME_CALL_RINGING] = CALL_DEVICE_RINGING,
    [FRAME_ACCEPT_CALL] = CALL_ACCEPT,
    [FRAME_DECLINE_CALL] = CALL_DECLINE,
    [FRAME_HANG_UP] = CALL_HANG_UP,
    [FRAME_CALL_INVITE] = CALL_INVITE,
    [FRAME_CALL_JOIN] = CALL_JOIN,
    [FRAME_CALL_DESCRIPTION] = CALL_DESCRIPTION,
    [FRAME_ICE_CANDIDATE] = CALL_CANDIDATE,
    [FRAME_CALL_FALLBACK] = CALL_FALLBACK,
    [FRAME_CALL_UPDATE] = CALL_UPDATE,
    [FRAME_CALL_STATS] = CALL_STATS,
    [FRAME_SFU_PUBLISH] = CALL_SFU_REQUEST,
    [FRAME_SFU_SUBSCRIBE] = CALL_SFU_REQUEST,
    [FRAME_SFU_ANSWER] = CALL_SFU_REQUEST,
    [FRAME_SFU_VIEW] = CALL_SFU_REQUEST,
    [FRAME_SFU_ICE_RESTART] = CALL_SFU_REQUEST,
};

static void dispatch(struct call_request *rq, struct call_entry *en)
{
    const struct call_frame *f = &rq->frame;
    struct call_event ev = {
        .type = event_of[f->type],
        .video = f->has_media ? f->video : en->call->video,
        .set_audio = f->set_audio,
        .set_video = f->set_video,
        .rtt_ms = f->rtt_ms,
        .loss_percent = f->loss_percent,
        .path = f->path,
        .fallback = f->fallback,
        .to_user = f->to_user,
        .to_device = f->to_device,
    };
    call_request_step(rq, en, &ev);
}

void call_request_join(struct call_request *rq, struct call_entry *en)
{
    rq->call_id = en->call->id;
    /* Its description is an offer, and the call that is there has one already. */
    free(rq->frame.payload);
    rq->frame.payload = NULL;
    dispatch(rq, en);
}

/* ---- in ---- */

static bool limited(struct calls *s, const struct http_principal *who, struct ratelimit_result *out)
{
    return s->starts != NULL &&
           ratelimit_hit(s->starts, who->user_id.s, clock_mono_us(), out) == ERR_LIMIT;
}

static struct call_request *request_new(struct calls *s, const struct http_principal *who,
                                        struct hub_request *q, struct http_request *r)
{
    struct call_request *rq = calloc(1, sizeof(*rq));
    if (rq == NULL) {
        abort();
    }
    rq->s = s;
    rq->q = q;
    rq->r = r;
    rq->user_id = who->user_id;
    rq->device_id = who->device_id;
    rq->received_us = clock_mono_us();
    return rq;
}

struct call_request *call_request_for(struct whip_op *op)
{
    struct http_principal who = {.user_id = op->user_id, .device_id = op->device_id};
    struct call_request *rq = request_new(op->s, &who, NULL, NULL);
    rq->op = op;
    rq->call_id = op->call_id;
    rq->frame.type = FRAME_SFU_PUBLISH; /* what a stranger is told goes by it */
    return rq;
}

static void on_frame(struct hub_request *q, const cJSON *data, void *arg)
{
    const struct call_handler *h = arg;
    struct calls *s = h->s;
    struct call_request *rq = request_new(s, hub_who(q), q, NULL);
    struct json_errors e = {0};
    int err = call_frame_parse(&rq->frame, h->type, data, &e);
    if (err == ERR_TOO_LARGE) {
        call_request_error(rq, CALL_E_TOO_LARGE);
        return;
    }
    if (err != OK) {
        hub_reply_fields(q, &e);
        request_free(rq);
        return;
    }
    rq->has_frame = true;
    rq->call_id = rq->frame.call_id;
    if (!s->loaded) {
        call_request_error(rq, CALL_E_UNAVAILABLE);
        return;
    }
    struct ratelimit_result rl = {0};
    bool rings = h->type == FRAME_CALL_START || h->type == FRAME_CALL_INVITE;
    if (rings && limited(s, hub_who(q), &rl)) {
        hub_reply_error(q, "rate_limited", "Too many calls.", rl.reset_us / 1000 + 1);
        request_free(rq);
        return;
    }
    if (h->type == FRAME_CALL_START) {
        rq->starts = true;
        call_ask_create(rq);
        return;
    }
    struct call_entry *en = call_entry_find(s, rq->call_id.s);
    if (en == NULL) {
        call_ask_tombstone(rq);
    } else {
        dispatch(rq, en);
    }
}

void call_frames_register(struct calls *s)
{
    for (int t = 0; t < FRAME_TYPES; t++) {
        s->handlers[t] = (struct call_handler){.s = s, .type = (enum call_frame_type)t};
        hub_on(s->o.hub, call_frame_name((enum call_frame_type)t), on_frame, &s->handlers[t]);
    }
}

/* POST /v1/calls */
void call_http_start(struct http_request *r, void *arg)
{
    struct calls *s = arg;
    struct ratelimit_result rl = {0};
    if (limited(s, http_who(r), &rl)) {
        http_problem_limited(r, &rl);
        return;
    }
    struct call_request *rq = request_new(s, http_who(r), NULL, r);
    struct json_errors e = {0};
    int err = call_frame_parse(&rq->frame, FRAME_CALL_START, http_body(r), &e);
    if (err == ERR_TOO_LARGE) {
        call_request_error(rq, CALL_E_TOO_LARGE);
        return;
    }
    if (err != OK) {
        http_problem_fields(r, &e);
        request_free(rq);
        return;
    }
    rq->has_frame = true;
    rq->starts = true;
    if (!s->loaded) {
        call_request_error(rq, CALL_E_UNAVAILABLE);
    } else {
        call_ask_create(rq);
    }
}
