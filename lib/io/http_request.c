/* A request from its headers to its handler: routing, limits, authentication, body. Whatever is
 * wrong is answered as early as it is known, before anything of the body is kept. */
#include "lib/io/http_internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <utlist.h>

#include "lib/base/crypto.h"
#include "lib/base/err.h"
#include "lib/base/ids.h"
#include "lib/base/log.h"

/* ---- limits and who it is ---- */

static void put_limit_headers(struct http_request *r, const struct ratelimit_result *rl)
{
    char v[24];
    snprintf(v, sizeof(v), "%lld", (long long)rl->limit);
    (void)http_set_header(r, "ratelimit-limit", v);
    snprintf(v, sizeof(v), "%lld", (long long)rl->remaining);
    (void)http_set_header(r, "ratelimit-remaining", v);
    snprintf(v, sizeof(v), "%lld", (long long)((rl->reset_us + 999999) / 1000000));
    (void)http_set_header(r, "ratelimit-reset", v);
}

/* Counts the request against its address, its user and its route; the headers tell the limit that
 * has the least left. */
static bool within_limits(struct http_request *r)
{
    struct {
        struct ratelimit *limit;
        const char *key;
    } all[] = {
        {r->server->address_limit, r->address},
        {r->has_who ? r->server->user_limit : NULL, r->who.user_id.s},
        {r->match.route->limit, r->address},
    };
    struct ratelimit_result least = {0}, one = {0};
    bool any = false;
    int64_t now = clock_mono_us();
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (!all[i].limit)
            continue;
        if (ratelimit_hit(all[i].limit, all[i].key, now, &one) == ERR_LIMIT) {
            put_limit_headers(r, &one);
            http_problem_limited(r, &one);
            return false;
        }
        if (one.limit > 0 && (!any || one.remaining < least.remaining)) {
            least = one;
            any = true;
        }
    }
    if (any)
        put_limit_headers(r, &least);
    return true;
}

static bool authenticated(struct http_request *r)
{
    unsigned flags = r->match.route->flags;
    if (!(flags & (HTTP_AUTH | HTTP_AUTH_OPTIONAL)))
        return true;
    const char *h = r->header[HTTP_H_AUTHORIZATION];
    if (h && strncasecmp(h, "Bearer ", 7) == 0 && r->server->o.authenticate &&
        r->server->o.authenticate(r->server->o.authenticate_arg, h + 7 + strspn(h + 7, " "),
                                  &r->who) == OK) {
        r->has_who = true;
        return true;
    }
    if (!(flags & HTTP_AUTH))
        return true;
    (void)http_set_header(r, "www-authenticate", "Bearer");
    http_problem(r, 401, "unauthorized", h ? "Invalid or expired token" : "Token required");
    return false;
}

static bool internal_allowed(struct http_request *r)
{
    const char *want = r->server->o.internal_key;
    unsigned flags = r->match.route->flags;
    if (!(flags & HTTP_INTERNAL) || (flags & HTTP_PUBLIC_OPS) || !want || !want[0])
        return true;
    const char *have = r->header[HTTP_H_INTERNAL_KEY];
    uint8_t a[SHA256_LEN], b[SHA256_LEN];
    sha256(a, want, strlen(want));
    sha256(b, have ? have : "", have ? strlen(have) : 0);
    if (have && equal_constant_time(a, b, sizeof(a)))
        return true;
    http_problem(r, 401, "unauthorized", "X-Internal-Api-Key required");
    return false;
}

/* ---- routing ---- */

static bool below_v1(const char *path)
{
    return strncmp(path, "/v1", 3) == 0 && (path[3] == 0 || path[3] == '/');
}

static void no_route(struct http_request *r)
{
    bool page = r->method == HTTP_GET && r->server->o.web_root &&
                r->port->kind != HTTP_PORT_INTERNAL && !below_v1(r->path) && !r->match.allowed;
    if (page) {
        http_static_serve(r);
    } else if (r->match.allowed) {
        char allow[64];
        http_allow_text(r->match.allowed, allow, sizeof(allow));
        (void)http_set_header(r, "allow", allow);
        http_problem(r, 405, "method_not_allowed", NULL);
    } else {
        http_problem(r, 404, "not_found", NULL);
    }
}

/* True: a route goes on with it. */
static bool admit_options(struct http_request *r)
{
    char allow[64];
    if (!r->match.allowed && below_v1(r->path)) {
        http_problem(r, 404, "not_found", NULL);
        return false;
    }
    http_allow_text(r->match.allowed ? r->match.allowed : 1u << HTTP_GET, allow, sizeof(allow));
    (void)http_set_header(r, "allow", allow);
    if (r->match.route)
        return true;
    http_answer(r, 204, NULL, NULL, 0);
    return false;
}

static size_t body_limit(const struct http_request *r)
{
    return r->match.route && r->match.route->max_body ? r->match.route->max_body
                                                      : HTTP_DEFAULT_BODY;
}

/* Everything that can be decided by the head alone. True: go on. */
static bool admit(struct http_request *r)
{
    if (r->options && !admit_options(r))
        return false;
    if (!r->match.route) {
        no_route(r);
        return false;
    }
    if (!internal_allowed(r))
        return false;
    if (r->header[HTTP_H_TRANSFER_ENCODING]) {
        http_problem(r, 411, "length_required", "Bodies need a Content-Length");
        return false;
    }
    if (!authenticated(r) || !within_limits(r))
        return false;
    if (r->content_length > (int64_t)body_limit(r)) {
        http_problem(r, 413, "too_large", "The body is too large");
        return false;
    }
    return true;
}

static int read_method(struct http_request *r)
{
    static const struct {
        enum lws_token_indexes token;
        enum http_method method;
    } methods[] = {
        {WSI_TOKEN_GET_URI, HTTP_GET},     {WSI_TOKEN_HEAD_URI, HTTP_GET},
        {WSI_TOKEN_POST_URI, HTTP_POST},   {WSI_TOKEN_PUT_URI, HTTP_PUT},
        {WSI_TOKEN_PATCH_URI, HTTP_PATCH}, {WSI_TOKEN_DELETE_URI, HTTP_DELETE},
        {WSI_TOKEN_OPTIONS_URI, HTTP_GET},
    };
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (!lws_hdr_total_length(r->wsi, methods[i].token))
            continue;
        r->method = methods[i].method;
        r->head = methods[i].token == WSI_TOKEN_HEAD_URI;
        r->options = methods[i].token == WSI_TOKEN_OPTIONS_URI;
        return OK;
    }
    return ERR_UNSUPPORTED;
}

static int read_path(struct http_request *r, const char *path)
{
    size_t n = strlen(path);
    if (n > HTTP_MAX_PATH || !utf8_is_valid(path, n))
        return ERR_INVALID;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)path[i] < 0x20 || path[i] == 0x7f)
            return ERR_INVALID;
    return str_copy(r->path, sizeof(r->path), path);
}

int http_request_begin(struct http_port *port, struct lws *wsi, const char *path)
{
    struct http_request *r = calloc(1, sizeof(*r));
    if (!r)
        return -1;
    r->owner = HTTP_OWNER_REQUEST;
    r->server = port->server;
    r->port = port;
    r->wsi = wsi;
    r->start_us = clock_mono_us();
    r->close_after = r->server->draining;
    buf_init(&r->query, 8192);
    buf_init(&r->extra, HTTP_EXTRA_HEADERS);
    DL_APPEND(r->server->requests, r);
    lws_set_opaque_user_data(wsi, r);
    int rc = read_method(r);
    if (rc == OK)
        rc = http_read_headers(r);
    if (rc == OK)
        rc = read_path(r, path);
    if (rc != OK) {
        r->close_after = true;
        http_problem(r, 400, "bad_request", "The request line or headers are malformed");
        return 0;
    }
    http_route_find(r->server->sets, port->kind == HTTP_PORT_INTERNAL,
                    r->options ? HTTP_OPTIONS : r->method, r->path, &r->match);
    /* lws takes a request with these methods and no length for one with an endless body. */
    if (r->content_length < 0 && r->method != HTTP_GET && r->method != HTTP_DELETE)
        r->close_after = true;
    if (r->header[HTTP_H_TRANSFER_ENCODING])
        r->close_after = true; /* where its body ends is not for us to find out */
    buf_init(&r->body, body_limit(r));
    r->body_here = r->content_length <= 0;
    if (admit(r) && r->body_here)
        return http_request_body_done(r);
    return 0;
}

/* ---- the body ---- */

int http_request_body(struct http_request *r, const void *data, size_t len)
{
    if (r->state != HTTP_READING || len == 0)
        return 0;
    if (clock_mono_us() - r->start_us > HTTP_BODY_TIME_US) {
        r->close_after = true;
        http_problem(r, 408, "timeout", "The body came too slowly");
        return 0;
    }
    int rc = buf_append(&r->body, data, len);
    if (rc == OK)
        return 0;
    r->close_after = true;
    if (rc == ERR_TOO_LARGE)
        http_problem(r, 413, "too_large", "The body is too large");
    else
        http_problem(r, 503, "overloaded", NULL);
    return 0;
}

static bool json_type(const char *type)
{
    if (!type)
        return false;
    size_t n = strcspn(type, "; \t");
    return (n == 16 && strncasecmp(type, "application/json", n) == 0) ||
           (n > 17 && strncasecmp(type, "application/", 12) == 0 &&
            strncasecmp(type + n - 5, "+json", 5) == 0);
}

/* The body as an object, or an answer that says what is wrong with it. */
static bool parse_body(struct http_request *r)
{
    if (r->match.route->flags & HTTP_RAW_BODY)
        return true;
    bool wanted = r->method != HTTP_GET && r->method != HTTP_DELETE &&
                  !(r->match.route->flags & HTTP_OPTIONAL_BODY);
    if (r->body.len == 0 && !wanted) {
        r->json = json_new();
        return true;
    }
    if (r->body.len > 0 && !json_type(r->header[HTTP_H_CONTENT_TYPE])) {
        http_problem(r, 415, "unsupported_media_type", "Content-Type must be application/json");
        return false;
    }
    if (json_parse(&r->json, (const char *)r->body.data, r->body.len) != OK) {
        http_problem(r, 400, "invalid_json", "The body is not valid JSON");
        return false;
    }
    if (!cJSON_IsObject(r->json)) {
        http_problem(r, 400, "invalid_json", "The body must be a JSON object");
        return false;
    }
    return true;
}

void http_request_run(struct http_request *r)
{
    log_set_request_id(r->request_id);
    r->match.route->handler(r, r->match.arg);
    log_set_request_id(NULL);
}

int http_request_body_done(struct http_request *r)
{
    r->body_here = true;
    if (r->state != HTTP_READING)
        return 0;
    lws_set_timeout(r->wsi, NO_PENDING_TIMEOUT, 0); /* from here on the time is ours */
    if (!parse_body(r))
        return 0;
    r->state = HTTP_RUNNING;
    lws_rx_flow_control(r->wsi, 0); /* nothing more is read before the answer */
    if (!http_idempotency_begin(r))
        http_request_run(r);
    return 0;
}

/* ---- the end ---- */

void http_request_gone(struct http_request *r)
{
    r->wsi = NULL;
    if (r->state == HTTP_READING || (r->state == HTTP_ANSWERED && !r->idem_held))
        http_request_free(r);
}

void http_request_orphan(struct http_request *r)
{
    r->wsi = NULL;
    if (r->state == HTTP_RUNNING || r->idem_held) {
        DL_DELETE(r->server->requests, r);
        r->server = NULL;
    } else {
        http_request_free(r);
    }
}

void http_request_free(struct http_request *r)
{
    if (r->server)
        DL_DELETE(r->server->requests, r);
    if (r->wsi)
        lws_set_opaque_user_data(r->wsi, NULL);
    for (int h = 0; h < HTTP_HEADERS; h++)
        free(r->header[h]);
    buf_free(&r->query);
    buf_free(&r->body);
    buf_free(&r->extra);
    cJSON_Delete(r->json);
    if (r->file)
        http_file_release(r->file);
    else
        free(r->out);
    free(r);
}

/* ---- what handlers ask ---- */

const struct http_principal *http_who(const struct http_request *r)
{
    return r->has_who ? &r->who : NULL;
}

const char *http_path_arg(const struct http_request *r, const char *name)
{
    const struct http_path_args *a = &r->match.args;
    for (int i = 0; i < a->n; i++)
        if (strlen(name) == a->item[i].name_len &&
            strncmp(name, a->item[i].name, a->item[i].name_len) == 0)
            return a->item[i].value;
    return "";
}

const char *http_query(const struct http_request *r, const char *name)
{
    return http_query_find(&r->query, name);
}

const char *http_header(const struct http_request *r, const char *name)
{
    static const struct {
        const char *name;
        enum http_header h;
    } names[] = {
        {"authorization", HTTP_H_AUTHORIZATION},
        {"user-agent", HTTP_H_USER_AGENT},
        {"content-type", HTTP_H_CONTENT_TYPE},
        {"if-match", HTTP_H_IF_MATCH},
        {"if-none-match", HTTP_H_IF_NONE_MATCH},
        {"origin", HTTP_H_ORIGIN},
        {"traceparent", HTTP_H_TRACEPARENT},
        {"x-internal-api-key", HTTP_H_INTERNAL_KEY},
        {"host", HTTP_H_HOST},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(names[i].name, name) == 0)
            return r->header[names[i].h];
    return NULL;
}

const char *http_address(const struct http_request *r)
{
    return r->address;
}

const char *http_request_id(const struct http_request *r)
{
    return r->request_id;
}

const cJSON *http_body(const struct http_request *r)
{
    return r->json;
}

const char *http_raw_body(const struct http_request *r, size_t *len)
{
    *len = r->body.len;
    return r->body.data ? (const char *)r->body.data : "";
}
