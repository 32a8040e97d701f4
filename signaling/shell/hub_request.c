/* Client frames: each is answered exactly once, by a handler or by an error. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/log.h"
#include "signaling/shell/hub_internal.h"

#define MAX_CURSOR ((INT64_C(1) << 53) - 1) /* what JSON numbers hold exactly */

void hub_on(struct hub *h, const char *type, hub_handler_fn fn, void *arg)
{
    struct hub_handler *x = calloc(1, sizeof(*x));
    if (!x)
        abort(); /* wiring, at start */
    x->type = type;
    x->fn = fn;
    x->arg = arg;
    HASH_ADD_KEYPTR(hh, h->handlers, x->type, strlen(x->type), x);
}

const struct http_principal *hub_who(const struct hub_request *q)
{
    return &q->socket->who;
}

/* ---- replies ---- */
/* The id goes back as it came: a number stays a number. */
static void put_id(cJSON *reply, const struct envelope *frame)
{
    if (frame->id_is_number)
        json_put_int(reply, "id", strtoll(frame->id, NULL, 10));
    else if (frame->id[0])
        json_put_str(reply, "id", frame->id);
    else
        json_put_null(reply, "id");
}

/* Takes ownership of body, which goes under `key`. */
static void send_reply(struct socket *s, const struct envelope *frame, bool ok, const char *key,
                       cJSON *body)
{
    cJSON *reply = json_new();
    json_put_str(reply, "type", "reply");
    put_id(reply, frame);
    json_put_bool(reply, "ok", ok);
    json_put(reply, key, body);
    char *text = json_print(reply);
    if (text)
        socket_send_text(s, text, strlen(text));
    free(text);
    cJSON_Delete(reply);
}

static void send_error(struct socket *s, const struct envelope *frame, const char *code,
                       const char *message, int64_t retry_after_ms)
{
    cJSON *error = json_new();
    json_put_str(error, "code", code);
    json_put_str(error, "message", message);
    if (retry_after_ms > 0)
        json_put_int(error, "retryAfterMs", retry_after_ms);
    send_reply(s, frame, false, "error", error);
}

static void request_free(struct hub_request *q)
{
    struct socket *s = q->socket;
    s->requests--;
    envelope_free(&q->frame);
    free(q);
    socket_unref(s);
}

void hub_reply(struct hub_request *q, cJSON *data)
{
    send_reply(q->socket, &q->frame, true, "data", data ? data : json_new());
    request_free(q);
}

void hub_reply_error(struct hub_request *q, const char *code, const char *message,
                     int64_t retry_after_ms)
{
    send_error(q->socket, &q->frame, code, message, retry_after_ms);
    request_free(q);
}

void hub_reply_fields(struct hub_request *q, const struct json_errors *e)
{
    char message[160];
    snprintf(message, sizeof(message), "%s: %s", e->n ? e->item[0].field : "data",
             e->n ? e->item[0].message : "is not valid");
    hub_reply_error(q, "bad_request", message, 0);
}

void hub_reply_err(struct hub_request *q, int err)
{
    switch (err) {
    case ERR_INVALID:
        hub_reply_error(q, "bad_request", "The request is not valid", 0);
        break;
    case ERR_AUTH:
        hub_reply_error(q, "unauthorized", "Not signed in", 0);
        break;
    case ERR_FORBIDDEN:
        hub_reply_error(q, "forbidden", "Not allowed", 0);
        break;
    case ERR_NOT_FOUND:
        hub_reply_error(q, "not_found", "No such thing", 0);
        break;
    case ERR_CONFLICT:
    case ERR_WRONG_STATE:
        hub_reply_error(q, "conflict", "Not possible in this state", 0);
        break;
    case ERR_TOO_LARGE:
        hub_reply_error(q, "too_large", "Too large", 0);
        break;
    case ERR_LIMIT:
        hub_reply_error(q, "rate_limited", "Too many requests", 1000);
        break;
    default:
        hub_reply_error(q, "unavailable", "Not available now, try again", 1000);
    }
}

/* ---- frames ---- */
/* A frame that breaks the protocol: answered, and counted against the socket. */
static void protocol_error(struct socket *s, const struct envelope *frame, const char *code,
                           const char *message)
{
    metric_add(&hub_metric_protocol_errors, 1);
    send_error(s, frame, code, message, 0);
    if (++s->errors >= SOCKET_PROTOCOL_ERRORS)
        socket_close(s, 4004, "too many protocol errors", false);
}

static void on_ack(struct hub_request *q)
{
    struct json_errors e = {0};
    int64_t cursor = json_int(q->frame.data, "cursor", JSON_REQUIRED, 0, MAX_CURSOR, 0, &e);
    if (e.n) {
        hub_reply_fields(q, &e);
        return;
    }
    socket_ack(q->socket, cursor);
    hub_reply(q, NULL);
}

static void dispatch(struct socket *s, struct envelope *frame)
{
    struct hub_handler *x = NULL;
    struct hub_request *q = calloc(1, sizeof(*q));
    if (!q) {
        send_error(s, frame, "unavailable", "Not available now, try again", 1000);
        envelope_free(frame);
        return;
    }
    q->socket = s;
    q->frame = *frame;
    s->refs++;
    s->requests++;
    HASH_FIND_STR(s->hub->handlers, frame->type, x);
    if (s->requests > SOCKET_MAX_REQUESTS)
        hub_reply_error(q, "rate_limited", "Too many requests wait for their reply", 1000);
    else if (strcmp(frame->type, "ping") == 0)
        hub_reply(q, NULL);
    else if (strcmp(frame->type, "ack") == 0)
        on_ack(q);
    else
        x->fn(q, q->frame.data, x->arg);
}

static bool is_known(const struct hub *h, const char *type)
{
    struct hub_handler *x = NULL;
    HASH_FIND_STR(h->handlers, type, x);
    return x || strcmp(type, "ping") == 0 || strcmp(type, "ack") == 0;
}

void hub_on_frame(struct socket *s, const char *text, size_t len)
{
    struct envelope frame;
    metric_add(&hub_metric_frames_in, 1);
    int err = envelope_parse(&frame, text, len);
    if (err != OK) {
        protocol_error(s, &frame, err == ERR_TOO_LARGE ? "too_large" : "bad_request",
                       "The frame is not {type, id, data}");
    } else if (!frame.id[0]) {
        protocol_error(s, &frame, "bad_request", "id is missing");
        envelope_free(&frame);
    } else if (!is_known(s->hub, frame.type)) {
        protocol_error(s, &frame, "unknown_type", "No such type of frame");
        envelope_free(&frame);
    } else {
        dispatch(s, &frame);
    }
}
