/* Private to lib/io/http*.c and ws*.c. */
#ifndef SOTTO_IO_HTTP_INTERNAL_H
#define SOTTO_IO_HTTP_INTERNAL_H

#include <libwebsockets.h>
#include <uthash.h>

#include "lib/base/buf.h"
#include "lib/base/metrics.h"
#include "lib/io/http.h"
#include "lib/io/http_router.h"
#include "lib/io/ws_queue.h"

enum {
    HTTP_MAX_PATH = 1024,
    HTTP_DEFAULT_BODY = 64 * 1024,
    HTTP_MAX_RESPONSE = 16 * 1024 * 1024,
    HTTP_CHUNK = 8 * 1024,       /* of a response body, a write */
    HTTP_HEADER_ROOM = 8 * 1024, /* of a response's headers */
    HTTP_EXTRA_HEADERS = 4096,
    HTTP_BODY_TIME_US = 30000000, /* a request's body must be here by then */
    HTTP_DISCARD_MAX =
        1024 * 1024, /* of a refused body we read on; past it the connection closes */
};

enum http_port_kind { HTTP_PORT_TLS, HTTP_PORT_PLAIN, HTTP_PORT_INTERNAL, HTTP_PORTS };

struct http_port {
    struct http_server *server;
    enum http_port_kind kind;
    struct lws_vhost *vhost;
};

/* A network connection, for max_connections. */
struct http_conn {
    struct lws *wsi;
    UT_hash_handle hh;
};

struct http_file; /* http_static.c */

struct ws_endpoint {
    struct ws_options o;
    struct ws_endpoint *next;
};

struct http_server {
    struct loop *loop;
    struct http_options o; /* strings are our own copies */
    char **origins;
    struct lws_context *ctx;
    struct http_port port[HTTP_PORTS];
    struct http_route_set *sets;
    struct ws_endpoint *endpoints;
    struct ratelimit *user_limit, *address_limit;
    struct http_conn *conns;
    struct http_request *requests; /* unanswered ones and those being written */
    struct ws *sockets;
    struct http_file *files;
    size_t files_bytes;
    struct loop_timer *sweep; /* of kept answers, or NULL */
    bool draining;
};

/* What a wsi's opaque user data points to begins with its kind. */
enum http_owner { HTTP_OWNER_REQUEST, HTTP_OWNER_WS };

enum http_header {
    HTTP_H_AUTHORIZATION,
    HTTP_H_USER_AGENT,
    HTTP_H_CONTENT_TYPE,
    HTTP_H_IF_MATCH,
    HTTP_H_IF_NONE_MATCH,
    HTTP_H_ORIGIN,
    HTTP_H_HOST,
    HTTP_H_FORWARDED_FOR,
    HTTP_H_AC_REQUEST_HEADERS,
    HTTP_H_TRANSFER_ENCODING,
    HTTP_H_CONTENT_LENGTH,
    HTTP_H_REQUEST_ID,
    HTTP_H_TRACEPARENT,
    HTTP_H_IDEMPOTENCY_KEY,
    HTTP_H_INTERNAL_KEY,
    HTTP_HEADERS
};

enum http_state { HTTP_READING, HTTP_RUNNING, HTTP_ANSWERED };

struct http_request {
    enum http_owner owner;      /* first */
    struct http_server *server; /* NULL once it was freed */
    struct http_port *port;
    struct lws *wsi; /* NULL once the client has gone */
    enum http_state state;
    enum http_method method;
    bool head, options;
    char path[HTTP_MAX_PATH + 1];
    struct buf query; /* "name=value" texts, each with its 0 */
    char *header[HTTP_HEADERS];
    char request_id[65];
    char address[64];
    struct http_match match;
    bool has_who;
    struct http_principal who;
    int64_t start_us;
    /* the body */
    int64_t content_length; /* -1: none told */
    struct buf body;
    cJSON *json;
    /* the answer */
    int status;
    struct buf extra; /* "name:" 0 "value" 0 … */
    const char *content_type;
    char kept_type[64];     /* content_type of an answer that was kept */
    char *out;              /* owned, or of `file` */
    struct http_file *file; /* whose content `out` borrows, or NULL */
    size_t out_len, out_sent;
    bool body_here; /* all of it, or there is none: the connection may go on after the answer */
    bool headers_sent, close_after;
    /* idempotency */
    bool idem_held; /* the answer is to be stored before it is sent */
    struct http_request *prev, *next;
};

struct ws {
    enum http_owner owner; /* first */
    struct http_server *server;
    struct ws_endpoint *endpoint;
    struct lws *wsi;
    bool open, closing, close_sent;
    struct http_principal who;
    char address[64];
    char *token, *since;
    void *user;
    struct ws_queue *queue;
    struct buf rx;
    double bucket;
    int64_t bucket_us;
    int64_t ping_due_us;
    int pings_unanswered;
    bool ping_pending;
    int close_code;
    char close_reason[124];
    int64_t close_deadline_us;
    struct loop_timer *timer;
    struct ws *prev, *next;
};

/* ---- http_server.c ---- */
int http_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                  size_t len);
struct http_port *http_port_of(struct lws *wsi);

/* ---- http_request.c: reading ---- */
/* The request whose headers have just come. 0, or -1 to close the connection. */
int http_request_begin(struct http_port *port, struct lws *wsi, const char *path);
int http_request_body(struct http_request *r, const void *data, size_t len);
int http_request_body_done(struct http_request *r);
/* The connection or stream is gone. */
void http_request_gone(struct http_request *r);
/* The server goes: a request that is still being worked on lives on without it until answered. */
void http_request_orphan(struct http_request *r);
void http_request_free(struct http_request *r);
/* Runs the route's handler on a request whose body is here. */
void http_request_run(struct http_request *r);

/* ---- http_headers.c ---- */
/* The client's address as text, from the socket or (when trusted) X-Forwarded-For. */
void http_read_address(const struct http_server *s, struct lws *wsi, char *out, size_t cap);
/* A header's value as an allocated text, or NULL. */
char *http_read_header(struct lws *wsi, enum http_header h);
/* Fills header[], query, ids. ERR_INVALID when something isn't UTF-8 or is malformed. */
int http_read_headers(struct http_request *r);
/* The value of a query argument in "a=b" 0 "c=d" 0 …, or NULL. */
const char *http_query_find(const struct buf *query, const char *name);
int http_read_query(struct lws *wsi, struct buf *out);
/* Whether a page of this Origin may use us: our own host, or listed. NULL (no browser) may. */
bool http_origin_allowed(const struct http_server *s, const char *origin, const char *host);
bool http_origin_own(const char *origin, const char *host);

/* ---- http_response.c: answering ---- */
/* Takes `out` (allocated) as the body and hands the answer to the connection. */
void http_answer(struct http_request *r, int status, const char *type, char *out, size_t len);
/* Continues an answer that idempotency held back. */
void http_answer_send(struct http_request *r);
/* Writes what can be written. 0, or -1 to close the connection (or stream). */
int http_request_writable(struct http_request *r);

/* ---- http_problem.c ---- */
/* A problem document; NULL when out of memory. Free with free(). */
char *http_problem_text(int status, const char *code, const char *detail, const char *request_id,
                        const struct json_errors *errors);
const char *http_status_title(int status);

/* ---- http_idempotency.c ---- */
/* True when the request was taken over (its key is looked up first); the handler runs later or the
 * stored answer is sent. */
bool http_idempotency_begin(struct http_request *r);
/* Forgets old answers from time to time. */
int http_idempotency_start(struct http_server *s);
/* Stores the answer, then sends it. */
void http_idempotency_finish(struct http_request *r);

/* ---- http_static.c ---- */
/* Answers a GET outside /v1 with a file. */
void http_static_serve(struct http_request *r);
void http_static_free(struct http_server *s);
void http_file_release(struct http_file *f);

/* ---- http_ops.c ---- */
void http_metrics_request(struct http_request *r);
void http_metrics_init(void);
void http_metrics_socket(int change);
void http_metrics_dropped(int64_t n);

/* ---- ws_upgrade.c, ws.c ---- */
/* At the upgrade. 0: go on; -1: refused (the answer was written), close. */
int ws_upgrade(struct http_port *port, struct lws *wsi);
int ws_established(struct ws *w);
int ws_receive(struct ws *w, const char *data, size_t len);
int ws_writable(struct ws *w);
void ws_pong(struct ws *w);
void ws_gone(struct ws *w);
int ws_peer_close(struct ws *w, const void *data, size_t len);

/* ---- http_lws_fix.c ---- */
/* Whose head or body lws has just handed over (NULL: nobody's): what it has read beyond that is
 * left out, and the connection closes after the answer. */
void http_lws_reading(struct http_request *r);

#endif
