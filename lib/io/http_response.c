/* Answers: headers that every response has, the body in chunks, the access log line. */
#include "lib/io/http_internal.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/ids.h"
#include "lib/base/log.h"

struct out {
    struct lws *wsi;
    unsigned char *p, *end;
    bool bad;
};

static void put(struct out *o, const char *name_colon, const char *value)
{
    if (!o->bad && lws_add_http_header_by_name(o->wsi, (const unsigned char *)name_colon,
                                               (const unsigned char *)value, (int)strlen(value),
                                               &o->p, o->end))
        o->bad = true;
}

/* Only a host of plain characters goes into the policy. */
static bool plain_host(const char *h)
{
    return h && h[0] &&
           strspn(h, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]") ==
               strlen(h);
}

static void put_csp(struct out *o, const struct http_request *r)
{
    const char *host = r->header[HTTP_H_HOST], *more = r->server->o.csp_connect;
    char sockets[600] = "", csp[1400];
    if (plain_host(host))
        snprintf(sockets, sizeof(sockets), " ws://%s wss://%s", host, host);
    snprintf(csp, sizeof(csp),
             "default-src 'self'; connect-src 'self'%s%s%.400s; img-src 'self' data: blob:; "
             "media-src 'self' blob: mediastream:; worker-src 'self' blob:; object-src 'none'; "
             "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
             sockets, more && more[0] ? " " : "", more ? more : "");
    put(o, "content-security-policy:", csp);
}

static void put_security(struct out *o, const struct http_request *r)
{
    put_csp(o, r);
    put(o, "x-content-type-options:", "nosniff");
    put(o, "referrer-policy:", "no-referrer");
    put(o, "x-frame-options:", "DENY");
    put(o, "cross-origin-opener-policy:", "same-origin");
    put(o, "permissions-policy:",
        "camera=(self), microphone=(self), display-capture=(self), geolocation=(), payment=()");
    if (r->port->kind == HTTP_PORT_TLS)
        put(o, "strict-transport-security:", "max-age=31536000");
}

/* CORS (Fetch standard): only for pages of listed origins; our own need none. */
static void put_cors(struct out *o, const struct http_request *r)
{
    const char *origin = r->header[HTTP_H_ORIGIN];
    put(o, "vary:", "origin");
    if (!origin || http_origin_own(origin, r->header[HTTP_H_HOST]) ||
        !http_origin_allowed(r->server, origin, r->header[HTTP_H_HOST]))
        return;
    put(o, "access-control-allow-origin:", origin);
    put(o, "access-control-expose-headers:",
        "x-request-id, retry-after, ratelimit-limit, ratelimit-remaining, ratelimit-reset, etag, "
        "location, link, accept-post, accept-patch");
    if (!r->options)
        return;
    char allow[64];
    http_allow_text(r->match.allowed, allow, sizeof(allow));
    put(o, "access-control-allow-methods:", allow);
    put(o, "access-control-allow-headers:",
        "authorization, content-type, idempotency-key, x-request-id, traceparent, if-match, "
        "if-none-match");
    put(o, "access-control-max-age:", "600");
}

static void put_extra(struct out *o, const struct http_request *r)
{
    const char *p = (const char *)r->extra.data, *end = p + r->extra.len;
    while (p && p < end) {
        const char *value = p + strlen(p) + 1;
        put(o, p, value);
        p = value + strlen(value) + 1;
    }
}

static bool bodiless(const struct http_request *r)
{
    return r->head || r->out_len == 0 || r->status == 204 || r->status == 304;
}

static int write_headers(struct http_request *r)
{
    static unsigned char
        room[LWS_PRE + HTTP_HEADER_ROOM]; /* one loop thread; used within this call */
    unsigned char *start = room + LWS_PRE;
    struct out o = {.wsi = r->wsi, .p = start, .end = room + sizeof(room) - 1};
    if (lws_add_http_header_status(r->wsi, (unsigned)r->status | LWSAHH_FLAG_NO_SERVER_NAME, &o.p,
                                   o.end))
        return -1;
    put(&o, "x-request-id:", r->request_id);
    if (r->header[HTTP_H_TRACEPARENT])
        put(&o, "traceparent:", r->header[HTTP_H_TRACEPARENT]);
    put_security(&o, r);
    put_cors(&o, r);
    put_extra(&o, r);
    if (!r->body_here) /* refused before it came: lws would read the rest as the next request */
        r->close_after = true;
    if (r->content_type && r->status != 304)
        put(&o, "content-type:", r->content_type);
    if (r->close_after)
        put(&o, "connection:", "close");
    if (r->status != 204 && r->status != 304 &&
        lws_add_http_header_content_length(r->wsi, r->out_len, &o.p, o.end))
        return -1;
    if (o.bad || lws_finalize_http_header(r->wsi, &o.p, o.end))
        return -1;
    size_t len = (size_t)(o.p - start);
    if (lws_write(r->wsi, start, len, LWS_WRITE_HTTP_HEADERS) < (int)len)
        return -1;
    r->headers_sent = true;
    return 0;
}

static int write_chunk(struct http_request *r)
{
    static unsigned char room[LWS_PRE + HTTP_CHUNK];
    size_t n = r->out_len - r->out_sent;
    if (n > HTTP_CHUNK)
        n = HTTP_CHUNK;
    memcpy(room + LWS_PRE, r->out + r->out_sent, n);
    bool last = r->out_sent + n == r->out_len;
    if (lws_write(r->wsi, room + LWS_PRE, n, last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) < (int)n)
        return -1;
    r->out_sent += n;
    return 0;
}

static int complete(struct http_request *r)
{
    struct lws *wsi = r->wsi;
    bool close_after = r->close_after;
    lws_set_opaque_user_data(wsi, NULL);
    http_request_free(r);
    if (close_after)
        return -1;
    return lws_http_transaction_completed(wsi) ? -1 : 0;
}

int http_request_writable(struct http_request *r)
{
    if (r->state != HTTP_ANSWERED || r->idem_held)
        return 0;
    if (!r->headers_sent) {
        if (write_headers(r) != 0)
            return -1;
        if (bodiless(r))
            return complete(r);
    } else if (write_chunk(r) != 0) {
        return -1;
    } else if (r->out_sent == r->out_len) {
        return complete(r);
    }
    lws_set_timeout(r->wsi, PENDING_TIMEOUT_HTTP_CONTENT, 20);
    lws_callback_on_writable(r->wsi);
    return 0;
}

/* ---- answering ---- */

static void log_access(const struct http_request *r)
{
    char path[200];
    size_t i = 0;
    for (; r->path[i] && i < sizeof(path) - 1; i++)
        path[i] = r->path[i] > ' ' && r->path[i] < 127 && r->path[i] != '"' ? r->path[i] : '?';
    path[i] = 0;
    const char *outer = log_request_id();
    char saved[sizeof(r->request_id)];
    (void)str_copy(saved, sizeof(saved), outer);
    log_set_request_id(r->request_id);
    bool probe = r->match.route && (r->match.route->flags & HTTP_PUBLIC_OPS);
    log_event(probe ? LOG_DEBUG : LOG_INFO, "request",
              "method=%s path=%s status=%d ms=%.1f bytes=%zu",
              r->options ? "OPTIONS" : http_method_name(r->method), path, r->status,
              (double)(clock_mono_us() - r->start_us) / 1000.0, r->out_len);
    log_set_request_id(saved[0] ? saved : NULL);
}

void http_answer_send(struct http_request *r)
{
    if (!r->server) {
        http_request_free(r);
        return;
    }
    r->idem_held = false;
    log_access(r);
    http_metrics_request(r);
    if (!r->wsi) {
        http_request_free(r);
        return;
    }
    lws_rx_flow_control(r->wsi, 1); /* or lws wouldn't call for writing either */
    lws_callback_on_writable(r->wsi);
}

void http_answer(struct http_request *r, int status, const char *type, char *out, size_t len)
{
    if (r->state == HTTP_ANSWERED) { /* a bug of the handler: the first answer stands */
        LOG_E("answered_twice", "rid=%s", r->request_id);
        if (!r->file)
            free(out);
        return;
    }
    if (len > HTTP_MAX_RESPONSE) {
        LOG_E("response_too_large", "rid=%s bytes=%zu", r->request_id, len);
        if (!r->file)
            free(out);
        out = NULL;
        len = 0;
        status = 500;
    }
    r->state = HTTP_ANSWERED;
    r->status = status;
    r->content_type = type;
    r->out = out;
    r->out_len = out ? len : 0;
    if (r->idem_held && r->server)
        http_idempotency_finish(r);
    else
        http_answer_send(r);
}

void http_reply(struct http_request *r, int status, cJSON *body)
{
    char *text = body ? json_print(body) : NULL;
    cJSON_Delete(body);
    http_answer(r, status, body ? "application/json" : NULL, text, text ? strlen(text) : 0);
}

void http_reply_text(struct http_request *r, int status, const char *type, const char *body)
{
    char *copy = strdup(body ? body : "");
    http_answer(r, status, type, copy, copy ? strlen(copy) : 0);
}

int http_set_header(struct http_request *r, const char *name, const char *value)
{
    char lower[64];
    size_t n = strlen(name);
    if (n + 2 > sizeof(lower) || strpbrk(value, "\r\n"))
        return ERR_INVALID;
    for (size_t i = 0; i < n; i++)
        lower[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + 32) : name[i];
    lower[n] = ':';
    lower[n + 1] = 0;
    if (r->extra.len + n + 2 + strlen(value) + 1 > HTTP_EXTRA_HEADERS)
        return ERR_TOO_LARGE;
    int rc = buf_append(&r->extra, lower, n + 2);
    return rc == OK ? buf_append(&r->extra, value, strlen(value) + 1) : rc;
}
