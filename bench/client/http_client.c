#include "bench/client/http_client.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <utlist.h>

#include "bench/client/lws_host.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"

enum { AT_ONCE = 512, BEGIN_A_TURN = 64, CHUNK = 4096, TOKEN_ROOM = 2100, KEEP_WARM_S = 20 };

struct request {
    struct http_client *client;
    struct request *prev, *next;
    struct lws *wsi;
    int lane; /* -1: a connection of its own */
    char *method, *path, *bearer, *body;
    http_client_fn fn;
    void *arg;
    int status;
    struct buf answer;
    bool beginning, over;
};

struct http_client {
    struct http_client_options o;
    struct lws_host host;
    struct lws_vhost *lane[HTTP_CLIENT_LANES];
    bool busy[HTTP_CLIENT_LANES];
    in_port_t port[HTTP_CLIENT_LANES]; /* ours, of the lane's last connection */
    struct lws_url url;
    char *source;
    struct loop_timer *pump;
    struct request *waiting, *running;
    size_t n_waiting, n_running;
    uint64_t connections;
    bool stopping;
};

/* ---- the end of a request ---- */

static void request_free(struct request *q)
{
    free(q->method);
    free(q->path);
    free(q->bearer);
    free(q->body);
    buf_free(&q->answer);
    free(q);
}

static void finish(struct request *q, int status)
{
    struct http_client *c = q->client;
    if (q->beginning) { /* begin() goes on */
        q->over = true;
        return;
    }
    if (q->wsi)
        lws_set_opaque_user_data(q->wsi, NULL);
    DL_DELETE(c->running, q);
    c->n_running--;
    if (q->lane >= 0)
        c->busy[q->lane] = false;
    q->fn(q->arg, status, (const char *)q->answer.data, q->answer.len);
    request_free(q);
    if (c->waiting && !c->stopping)
        loop_timer_start(c->pump, 0, 0);
}

/* ---- the library's callback ---- */

static int add_headers(struct request *q, void *in, size_t len)
{
    unsigned char **p = in, *end = *p + len;
    struct lws *wsi = q->wsi;
    if (q->bearer) {
        char value[TOKEN_ROOM];
        int n = snprintf(value, sizeof(value), "Bearer %s", q->bearer);
        if (n < 0 || (size_t)n >= sizeof(value) ||
            lws_add_http_header_by_token(wsi, WSI_TOKEN_HTTP_AUTHORIZATION, (unsigned char *)value,
                                         n, p, end))
            return -1;
    }
    if (q->lane < 0 && lws_add_http_header_by_token(wsi, WSI_TOKEN_CONNECTION,
                                                    (const unsigned char *)"close", 5, p, end))
        return -1;
    if (!q->body && strcmp(q->method, "POST") != 0)
        return 0;
    char size[24];
    int n = snprintf(size, sizeof(size), "%zu", q->body ? strlen(q->body) : 0);
    static const unsigned char json[] = "application/json";
    if (lws_add_http_header_by_token(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH, (unsigned char *)size, n,
                                     p, end) ||
        (q->body && lws_add_http_header_by_token(wsi, WSI_TOKEN_HTTP_CONTENT_TYPE, json,
                                                 sizeof(json) - 1, p, end)))
        return -1;
    if (q->body) {
        lws_client_http_body_pending(wsi, 1);
        lws_callback_on_writable(wsi);
    }
    return 0;
}

static int write_body(struct request *q)
{
    size_t n = strlen(q->body);
    unsigned char *room = malloc(LWS_PRE + n);
    if (!room)
        return -1;
    memcpy(room + LWS_PRE, q->body, n);
    lws_client_http_body_pending(q->wsi, 0);
    int rc = lws_write(q->wsi, room + LWS_PRE, n, LWS_WRITE_HTTP_FINAL);
    free(room);
    return rc < (int)n ? -1 : 0;
}

/* The library reads the body into our room and hands it back by …_HTTP_READ. */
static int read_body(struct lws *wsi)
{
    char room[LWS_PRE + CHUNK], *p = room + LWS_PRE;
    int n = CHUNK;
    return lws_http_client_read(wsi, &p, &n) < 0 ? -1 : 0;
}

/* A request on a connection with another port of ours than the lane's last: a new connection. */
static void count_connection(struct request *q)
{
    struct http_client *c = q->client;
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } a = {0};
    socklen_t n = sizeof(a);
    if (q->lane < 0 || getsockname(lws_get_socket_fd(q->wsi), &a.any, &n) != 0) {
        c->connections++;
        return;
    }
    in_port_t port = a.in.sin_port; /* at the same place in both families */
    if (c->port[q->lane] != port)
        c->connections++;
    c->port[q->lane] = port;
}

static int on_lws(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                  size_t len)
{
    struct request *q = wsi ? lws_get_opaque_user_data(wsi) : NULL;
    (void)user;
    if (!q || q->over)
        return 0;
    q->wsi = wsi;
    switch ((int)reason) {
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
        return add_headers(q, in, len);
    case LWS_CALLBACK_CLIENT_HTTP_WRITEABLE:
        return q->body ? write_body(q) : 0;
    case LWS_CALLBACK_ESTABLISHED_CLIENT_HTTP:
        q->status = (int)lws_http_client_http_response(wsi);
        count_connection(q);
        return 0;
    case LWS_CALLBACK_RECEIVE_CLIENT_HTTP:
        return read_body(wsi);
    case LWS_CALLBACK_RECEIVE_CLIENT_HTTP_READ:
        return buf_append(&q->answer, in, len) == OK ? 0 : -1;
    case LWS_CALLBACK_COMPLETED_CLIENT_HTTP:
        finish(q, q->status);
        return 0;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
    case LWS_CALLBACK_CLOSED_CLIENT_HTTP:
    case LWS_CALLBACK_WSI_DESTROY: /* all that is told of some lost connections */
        finish(q, 0);
        return 0;
    default:
        return 0;
    }
}

static const struct lws_protocols protocols[] = {
    {"http", on_lws, 0, CHUNK, 0, NULL, 0},
    {NULL, NULL, 0, 0, 0, NULL, 0},
};

/* ---- beginning ---- */

static struct lws *connect_now(struct request *q)
{
    struct http_client *c = q->client;
    char host[160];
    struct lws_client_connect_info info = {0};
    snprintf(host, sizeof(host), "%s:%d", c->url.host, c->url.port);
    info.context = c->host.ctx;
    info.vhost = q->lane < 0 ? c->host.vhost : c->lane[q->lane];
    info.address = c->url.host;
    /* The library finds a kept connection only where Host and address are the same text. */
    info.host = q->lane < 0 ? host : c->url.host;
    info.port = c->url.port;
    info.path = q->path;
    info.method = q->method;
    info.protocol = "http";
    info.iface = c->source;
    info.alpn = "http/1.1";
    info.ssl_connection = LCCSCF_HTTP_NO_FOLLOW_REDIRECT | (q->lane < 0 ? 0 : LCCSCF_PIPELINE);
    info.keep_warm_secs = KEEP_WARM_S;
    if (c->url.tls)
        info.ssl_connection |= LCCSCF_USE_SSL | LCCSCF_ALLOW_SELFSIGNED |
                               LCCSCF_SKIP_SERVER_CERT_HOSTNAME_CHECK | LCCSCF_ALLOW_INSECURE;
    info.opaque_user_data = q;
    return lws_client_connect_via_info(&info);
}

static void begin(struct request *q, int lane)
{
    struct http_client *c = q->client;
    DL_DELETE(c->waiting, q);
    c->n_waiting--;
    DL_APPEND(c->running, q);
    c->n_running++;
    q->lane = lane;
    if (lane >= 0)
        c->busy[lane] = true;
    q->beginning = true;
    struct lws *wsi = connect_now(q);
    q->beginning = false;
    q->wsi = wsi;
    if (!wsi || q->over) {
        q->wsi = NULL;
        finish(q, 0);
    }
}

/* A free lane; -1: its own connection; -2: none now. */
static int next_lane(const struct http_client *c)
{
    if (c->o.lanes <= 0)
        return c->n_running < (size_t)c->o.at_once ? -1 : -2;
    for (int i = 0; i < c->o.lanes; i++) {
        if (!c->busy[i])
            return i;
    }
    return -2;
}

static void pump(void *arg)
{
    struct http_client *c = arg;
    int lane = -1;
    for (int i = 0; i < BEGIN_A_TURN && c->waiting && (lane = next_lane(c)) >= -1; i++)
        begin(c->waiting, lane);
    if (c->waiting && lane >= -1)
        loop_timer_start(c->pump, 0, 0);
}

/* ---- the interface ---- */

/* The library shares a kept connection among a vhost's requests, so a lane is a vhost. */
static int add_lanes(struct http_client *c)
{
    struct lws_context_creation_info info = {0};
    char name[16];
    for (int i = 0; i < c->o.lanes; i++) {
        snprintf(name, sizeof(name), "lane%d", i);
        info.port = CONTEXT_PORT_NO_LISTEN;
        info.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS;
        info.vhost_name = name;
        info.protocols = protocols;
        info.user = c;
        c->lane[i] = lws_create_vhost(c->host.ctx, &info);
        if (!c->lane[i])
            return ERR_IO;
    }
    return OK;
}

struct http_client *http_client_new(const struct http_client_options *o)
{
    struct http_client *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->o = *o;
    if (c->o.at_once <= 0)
        c->o.at_once = AT_ONCE;
    if (c->o.lanes > HTTP_CLIENT_LANES)
        c->o.lanes = HTTP_CLIENT_LANES;
    c->source = o->source ? strdup(o->source) : NULL;
    c->pump = loop_timer_new(o->loop, pump, c);
    if (c->pump && lws_url_parse(&c->url, o->url) == OK &&
        lws_host_start(&c->host, o->loop, protocols, c) == OK && add_lanes(c) == OK)
        return c;
    http_client_free(c);
    return NULL;
}

void http_client_free(struct http_client *c)
{
    if (!c)
        return;
    c->stopping = true;
    struct request *q, *tmp;
    DL_FOREACH_SAFE(c->waiting, q, tmp)
    {
        DL_DELETE(c->waiting, q);
        q->fn(q->arg, 0, NULL, 0);
        request_free(q);
    }
    lws_host_stop(&c->host);
    while (c->running) {
        c->running->wsi = NULL;
        finish(c->running, 0);
    }
    if (c->pump)
        loop_timer_free(c->pump);
    free(c->source);
    free(c);
}

int http_client_ask(struct http_client *c, const struct http_ask *ask, http_client_fn fn, void *arg)
{
    if (c->stopping)
        return ERR_CLOSED;
    if (!ask->method || !ask->path || ask->path[0] != '/')
        return ERR_INVALID;
    struct request *q = calloc(1, sizeof(*q));
    if (!q)
        return ERR_NOMEM;
    q->client = c;
    q->fn = fn;
    q->arg = arg;
    q->method = strdup(ask->method);
    q->path = strdup(ask->path);
    q->bearer = ask->bearer ? strdup(ask->bearer) : NULL;
    q->body = ask->body ? strdup(ask->body) : NULL;
    buf_init(&q->answer, HTTP_CLIENT_BODY);
    if (!q->method || !q->path || (ask->bearer && !q->bearer) || (ask->body && !q->body)) {
        request_free(q);
        return ERR_NOMEM;
    }
    DL_APPEND(c->waiting, q);
    if (c->n_waiting++ == 0)
        loop_timer_start(c->pump, 0, 0);
    return OK;
}

size_t http_client_waiting(const struct http_client *c)
{
    return c->n_waiting;
}

size_t http_client_under_way(const struct http_client *c)
{
    return c->n_running;
}

uint64_t http_client_connections(const struct http_client *c)
{
    return c->connections;
}
