/* Carries out what a step of the call machine asks for, in order. */
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/log.h"
#include "signaling/shell/call_shell.h"

static void send_message(struct call_entry *en, const struct call_effect *fx)
{
    struct hub *hub = en->s->o.hub;
    const char *type = call_message_name(fx->message);
    cJSON *data = call_render_message(en, fx);
    if (fx->device_id.s[0] != '\0') {
        hub_send_device(hub, fx->user_id.s, fx->device_id.s, WS_CONTROL, type, data);
    } else {
        hub_send_user(hub, fx->user_id.s, NULL, WS_CONTROL, type, data);
    }
}

static void us_text(char out[24], int64_t us)
{
    snprintf(out, 24, "%lld", (long long)us);
}

static void write_party(struct call_entry *en, const struct call_effect *fx)
{
    char at[24];
    us_text(at, clock_wall_us());
    const char *params[] = {en->call->id.s, fx->user_id.s,
                            fx->device_id.s[0] != '\0' ? fx->device_id.s : NULL,
                            call_party_state_name(fx->party_state), at};
    call_write(en, "call_party_set", "SELECT call_party_set($1,$2,$3,$4,$5)", 5, params,
               fx->party_state == PARTY_DECLINED ? &fx->user_id : NULL, false);
}

static void write_device(struct call_entry *en, const struct call_effect *fx)
{
    const char *params[] = {en->call->id.s, fx->user_id.s, fx->device_id.s};
    call_write(en, "call_device_rings", "SELECT call_device_rings($1,$2,$3)", 3, params, NULL,
               false);
}

static void write_mode(struct call_entry *en)
{
    const struct call *c = en->call;
    const char *params[] = {c->id.s, call_mode_name(c->mode), call_path_name(c->path),
                            en->node[0] != '\0' ? en->node : NULL};
    call_write(en, "call_set_mode", "SELECT call_set_mode($1,$2,$3,$4)", 4, params, NULL, false);
}

static char *quality_text(const struct call_quality *q)
{
    if (q->samples == 0) {
        return NULL;
    }
    cJSON *o = json_new();
    json_put_int(o, "samples", q->samples);
    if (q->rtt_samples > 0) {
        json_put_int(o, "rttMs", q->rtt_ms_sum / q->rtt_samples);
    }
    if (q->loss_samples > 0) {
        double loss = q->loss_percent_sum / (double)q->loss_samples;
        json_put(o, "lossPercent", cJSON_CreateNumber((double)(int64_t)(loss * 100 + 0.5) / 100));
    }
    char *text = json_print(o);
    cJSON_Delete(o);
    return text;
}

static void write_end(struct call_entry *en)
{
    const struct call *c = en->call;
    en->ended_mono_us = clock_mono_us();
    en->ended_wall_us = clock_wall_us();
    char at[24];
    us_text(at, en->ended_wall_us);
    char *quality = quality_text(&c->quality);
    const char *params[] = {c->id.s, call_reason_name(c->reason), call_path_name(c->path), quality,
                            at};
    LOG_I("call_ended", "call=%s reason=%s", c->id.s, call_reason_name(c->reason));
    call_metrics_ended(c);
    call_write(en, "call_end", "SELECT call_end($1,$2,$3,$4,$5)", 5, params, NULL, true);
    free(quality);
}

void call_tell_end(struct call_entry *en)
{
    const struct call *c = en->call;
    if (en->end_told) {
        return;
    }
    en->end_told = true;
    bool counts = c->reason == CALL_COMPLETED || c->reason == CALL_FAILED;
    int64_t us = counts && en->answered_wall_us != 0 ? en->ended_wall_us - en->answered_wall_us : 0;
    for (int i = 0; i < c->n_parties; i++) {
        cJSON *o = json_new();
        json_put_str(o, "callId", c->id.s);
        json_put_str(o, "conversationId", c->conversation_id.s);
        json_put_str(o, "reason", call_reason_name(c->reason));
        json_put_int(o, "durationSeconds", us > 0 ? us / 1000000 : 0);
        hub_send_user(en->s->o.hub, c->parties[i].user_id.s, NULL, WS_CONTROL, "call_ended", o);
    }
}

static void hold(struct call_entry *en, const struct call_effect *fx)
{
    int err = hub_hold(en->s->o.hub, fx->user_id.s, fx->device_id.s, fx->type == CALL_HOLD);
    if (err != OK) {
        LOG_W("call_hold", "call=%s err=%s", en->call->id.s, err_name(err));
    }
}

static struct call_request *request_of(const struct call_effect *fx)
{
    return (struct call_request *)fx->request;
}

void call_effects_run(struct call_entry *en, const struct call_effects *fxs)
{
    struct call *c = en->call;
    const struct call_effect *forward = NULL;
    bool replace = false;
    if (c->state == CALL_ACTIVE && en->answered_wall_us == 0) {
        en->answered_wall_us = clock_wall_us();
    }
    for (int i = 0; i < fxs->n; i++) {
        const struct call_effect *fx = &fxs->v[i];
        switch (fx->type) {
        case CALL_REPLY_OK:
            call_request_reply(request_of(fx), call_render_reply(en, fx, request_of(fx)));
            break;
        case CALL_REPLY_ERROR:
            call_request_error(request_of(fx), fx->error);
            break;
        case CALL_SEND:
            send_message(en, fx);
            break;
        case CALL_HOLD:
        case CALL_RELEASE:
            hold(en, fx);
            break;
        case CALL_WRITE_ACCEPT:
            call_ask_accept(en, fx);
            break;
        case CALL_WRITE_PARTY:
            write_party(en, fx);
            break;
        case CALL_WRITE_DEVICE:
            write_device(en, fx);
            break;
        case CALL_WRITE_INVITE:
            call_ask_invite(en, fx);
            break;
        case CALL_WRITE_MODE:
            write_mode(en);
            break;
        case CALL_WRITE_END:
            write_end(en);
            break;
        case CALL_SFU_FORWARD:
            forward = fx;
            break;
        case CALL_SFU_LEAVE:
            call_sfu_leave(en, c->parties[fx->party].number);
            break;
        case CALL_SFU_CLOSE:
            call_sfu_close(en);
            break;
        case CALL_SFU_REPLACE:
            replace = true;
            break;
        }
    }
    /* These two may step the call again, so they come when nothing of this step is used any more.
     */
    if (forward != NULL) {
        call_sfu_forward(en, request_of(forward), &c->parties[forward->party]);
    }
    if (replace) {
        call_sfu_replace(en);
    }
}
