/* HTTP/1.1 and WebSockets by libwebsockets on our loop (no HTTP/2: see listen_on in http_server.c).
 * Routes are a table; handlers get a request that lives until it is answered, exactly once, now or
 * later, on the loop's thread. Request bodies need a Content-Length (411 otherwise).
 *
 * Given to every request without the handler's doing: request id (X-Request-Id in and out,
 * traceparent passed on), body limit (413), JSON content type and syntax (400/415), authentication
 * where the route asks (401), per-user and per-address limits (429 with RateLimit-* and
 * Retry-After), Idempotency-Key on routes that ask for it, CORS for allowed origins, security
 * headers, one access log line, metrics by route. A client that goes away leaves the request valid
 * until answered. */
#ifndef SOTTO_IO_HTTP_H
#define SOTTO_IO_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/ids.h"
#include "lib/base/json.h"
#include "lib/base/ratelimit.h"
#include "lib/io/loop.h"
#include "lib/io/pg.h"

struct http_server;
struct http_request;

/* OPTIONS is answered without a handler (Allow, CORS) where no route of that method adds to it. */
enum http_method { HTTP_GET, HTTP_POST, HTTP_PUT, HTTP_PATCH, HTTP_DELETE, HTTP_OPTIONS };

/* Who a request or socket is, as the access token or ticket says. */
struct http_principal {
    struct id user_id, device_id, session_id;
    char login[64]; /* username */
    char role[16];  /* "user", "admin" */
};

typedef void (*http_handler_fn)(struct http_request *r, void *arg);

enum http_route_flags {
    HTTP_AUTH = 1,          /* Bearer access token required */
    HTTP_INTERNAL = 2,      /* only on the internal port, with X-Internal-Api-Key where set */
    HTTP_IDEMPOTENT = 4,    /* honours Idempotency-Key (POST that creates) */
    HTTP_OPTIONAL_BODY = 8, /* an absent body is {} */
    HTTP_RAW_BODY = 16,     /* the body isn't JSON; see http_raw_body */
    HTTP_PUBLIC_OPS =
        32, /* also on the internal port (healthz, readyz); together with HTTP_INTERNAL:
               on the internal port only, and without the key (metrics) */
    HTTP_AUTH_OPTIONAL = 64, /* a good token is taken, none or a bad one is no error */
};

struct http_route {
    enum http_method method;
    const char *path; /* "/v1/calls/{id}": the names of openapi.yaml */
    http_handler_fn handler;
    unsigned flags;
    size_t max_body;         /* 0: 64 KiB */
    struct ratelimit *limit; /* a further limit, by address, or NULL; not owned */
};

/* Checks a Bearer token. OK fills out; ERR_AUTH. Synchronous, no I/O. */
typedef int (*http_authenticate_fn)(void *arg, const char *token, struct http_principal *out);

/* ---- the server ---- */
struct http_options {
    const char *name;        /* for logs and metrics */
    const char *tls_address; /* "0.0.0.0" or ""; "" with port 0: no TLS listener */
    int tls_port;
    const char *cert_file, *key_file;
    const char *plain_address; /* plain HTTP listener, e.g. 127.0.0.1; port 0: none */
    int plain_port;
    const char *internal_address; /* /metrics, internal routes; port 0: none */
    int internal_port;
    const char *internal_key;   /* X-Internal-Api-Key for HTTP_INTERNAL routes; "" = none needed */
    const char *web_root;       /* static files for GET outside /v1 (index.html for unknown pages),
                                   with ETag and long caching for hashed names; NULL: none */
    const char *const *origins; /* allowed Origin values besides the server's own; NULL-ended */
    const char *csp_connect;    /* further connect-src values, or NULL */
    int64_t user_limit, address_limit; /* requests a minute */
    bool trust_forwarded;              /* take the address from X-Forwarded-For (behind a proxy) */
    http_authenticate_fn authenticate;
    void *authenticate_arg;
    struct pg *pg; /* for Idempotency-Key; NULL: the header is ignored */
    size_t max_connections;
};

/* Makes the server; it listens after http_start, so that routes can be added between. */
struct http_server *http_new(struct loop *l, const struct http_options *o);
/* Adds routes (an array ended by a NULL path); `arg` goes to every handler. Borrowed. */
void http_add_routes(struct http_server *s, const struct http_route *routes, void *arg);
/* Binds and serves. ERR_IO with a log line that names the port. */
int http_start(struct http_server *s);
/* Stops accepting; closes sockets with 1012 and the reconnect hint. */
void http_drain(struct http_server *s);
/* Closes everything at once. A request that a handler still holds stays valid until the handler
 * answers it, which then goes nowhere. */
void http_free(struct http_server *s);

/* ---- a request ---- */
const struct http_principal *http_who(const struct http_request *r); /* NULL without a token */
const char *http_path_arg(const struct http_request *r, const char *name); /* "id" of "{id}"; "" */
const char *http_query(const struct http_request *r,
                       const char *name); /* decoded; NULL if absent */
const char *http_header(const struct http_request *r,
                        const char *name);              /* lower-case name; NULL.
Available: authorization user-agent content-type if-match if-none-match origin x-internal-api-key */
const char *http_address(const struct http_request *r); /* of the client, text */
const char *http_request_id(const struct http_request *r);
const cJSON *http_body(const struct http_request *r); /* an object; never NULL on JSON routes */
const char *http_raw_body(const struct http_request *r, size_t *len);

/* Answers; each takes ownership of the JSON. After it, r is gone. */
void http_reply(struct http_request *r, int status, cJSON *body); /* body NULL: none (204) */
void http_reply_text(struct http_request *r, int status, const char *type, const char *body);
/* type is a static string; body is copied */
/* problem+json (RFC 9457) with `code`; detail may be NULL. */
void http_problem(struct http_request *r, int status, const char *code, const char *detail);
/* 400 `invalid_request` with the collected field errors. */
void http_problem_fields(struct http_request *r, const struct json_errors *e);
/* 429 `rate_limited` with Retry-After. */
void http_problem_limited(struct http_request *r, const struct ratelimit_result *rl);
/* The usual answer for an error code (ERR_NOT_FOUND → 404 not_found, ERR_FORBIDDEN → 403,
 * ERR_CONFLICT/ERR_WRONG_STATE → 409, ERR_UNAVAILABLE/ERR_TIMEOUT → 503 with Retry-After, …). */
void http_problem_err(struct http_request *r, int err);
/* A response header, before the answer; twice the same name makes two. ERR_TOO_LARGE past 4 KiB in
 * all. Kept with the answer of an Idempotency-Key, but for the RateLimit ones. */
int http_set_header(struct http_request *r, const char *name, const char *value);

/* A handler that shows all metrics in Prometheus' text format; for a route {HTTP_GET, "/metrics",
 * http_metrics_handler, HTTP_INTERNAL | HTTP_PUBLIC_OPS}. arg is not used. */
void http_metrics_handler(struct http_request *r, void *arg);

/* ---- WebSockets ---- */
struct ws;

/* Origin is checked at the upgrade: our own host and those of http_options pass; a client without
 * one is a native one and passes too, since a browser's page can't leave it out. */

/* Ephemeral frames are dropped first when a queue is full; durable ones then raise on_overflow. */
enum ws_class { WS_CONTROL, WS_DURABLE, WS_EPHEMERAL };

struct ws_handlers {
    /* At the upgrade: checks the ticket that came by `?token=` or by Sec-WebSocket-Protocol
     * ("sotto.v1, ticket.X"). Returns OK, or answers 401 with *why as detail ("Token required",
     * "Invalid or expired token", "Invalid token type"). No I/O. token is NULL when none came. */
    int (*on_upgrade)(void *arg, const char *token, struct http_principal *out, const char **why);
    /* The socket is open. Sets the session pointer by ws_set_user. `since` is the query value or
     * NULL. */
    void (*on_open)(struct ws *w, void *arg, const char *token, const char *since);
    /* One whole text frame, valid UTF-8, 0-ended. */
    void (*on_text)(struct ws *w, void *arg, const char *text, size_t len);
    /* The durable queue is full; everything queued after is dropped until ws_resume. */
    void (*on_overflow)(struct ws *w, void *arg);
    /* Gone, for whatever reason. The ws is freed after. */
    void (*on_close)(struct ws *w, void *arg, int code);
};

struct ws_options {
    const char *path;                 /* "/v1/ws" */
    size_t max_frame;                 /* of text received, 64 KiB; larger closes 1009 */
    size_t queue_frames, queue_bytes; /* bound of the send queue */
    int64_t ping_us;                  /* a ping each; dead after two without a pong */
    double frames_per_second;         /* received, token bucket with `burst`; past it close 4003 */
    int burst;
    const struct ws_handlers *handlers;
    void *arg;
};
void http_add_ws(struct http_server *s, const struct ws_options *o);

const struct http_principal *ws_who(const struct ws *w);
const char *ws_address(const struct ws *w);
void ws_set_user(struct ws *w, void *user);
void *ws_user(const struct ws *w);
/* Queues a text frame (copied). OK; ERR_LIMIT when it was dropped; ERR_CLOSED. */
int ws_send(struct ws *w, enum ws_class cls, const char *text, size_t len);
/* Frames may be queued again after an overflow. */
void ws_resume(struct ws *w);
/* Closes after the queue was written (at most 2 s). reason up to 120 bytes. */
void ws_close(struct ws *w, int code, const char *reason);
size_t ws_queued_bytes(const struct ws *w);

#endif
