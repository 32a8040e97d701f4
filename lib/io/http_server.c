/* The server: lws context on our loop, a vhost a listener, and lws's callback. */
#include "lib/io/http_internal.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>
#include <uv.h>

#include "lib/base/err.h"
#include "lib/base/ids.h"
#include "lib/base/log.h"

enum { TIMEOUT_S = 10, KEEPALIVE_S = 30, MAX_LIMIT_KEYS = 200000, MINUTE_US = 60000000 };

/* The second is what lws answers in Sec-WebSocket-Protocol when a client offers it. */
static const struct lws_protocols protocols[] = {
    {"http", http_callback, 0, 16384, 0, NULL, 0},
    {"sotto.v1", http_callback, 0, 16384, 0, NULL, 0},
    {NULL, NULL, 0, 0, 0, NULL, 0},
};

struct http_port *http_port_of(struct lws *wsi)
{
    struct lws_vhost *vh = wsi ? lws_get_vhost(wsi) : NULL;
    return vh ? lws_vhost_user(vh) : NULL;
}

/* ---- connections ---- */

static void conn_add(struct http_server *s, struct lws *wsi)
{
    struct http_conn *c;
    HASH_FIND_PTR(s->conns, &wsi, c);
    if (c || !(c = calloc(1, sizeof(*c))))
        return;
    c->wsi = wsi;
    HASH_ADD_PTR(s->conns, wsi, c);
}

static void conn_remove(struct http_server *s, struct lws *wsi)
{
    struct http_conn *c;
    HASH_FIND_PTR(s->conns, &wsi, c);
    if (!c)
        return;
    HASH_DEL(s->conns, c);
    free(c);
}

static void owner_gone(struct lws *wsi)
{
    enum http_owner *owner = lws_get_opaque_user_data(wsi);
    if (!owner)
        return;
    lws_set_opaque_user_data(wsi, NULL);
    if (*owner == HTTP_OWNER_REQUEST)
        http_request_gone((struct http_request *)owner);
    else
        ws_gone((struct ws *)owner);
}

/* ---- lws's callback ---- */

static struct http_request *request_of(struct lws *wsi)
{
    enum http_owner *owner = lws_get_opaque_user_data(wsi);
    return owner && *owner == HTTP_OWNER_REQUEST ? (struct http_request *)owner : NULL;
}

static struct ws *ws_of(struct lws *wsi)
{
    enum http_owner *owner = lws_get_opaque_user_data(wsi);
    return owner && *owner == HTTP_OWNER_WS ? (struct ws *)owner : NULL;
}

static int on_http(struct lws *wsi, enum lws_callback_reasons reason, void *in, size_t len)
{
    struct http_request *r = request_of(wsi);
    struct http_port *port = http_port_of(wsi);
    if (reason == LWS_CALLBACK_HTTP) {
        int rc = r || !port ? -1 : http_request_begin(port, wsi, in);
        http_lws_reading(rc == 0 ? request_of(wsi) : NULL);
        return rc;
    }
    if (reason == LWS_CALLBACK_HTTP_CONFIRM_UPGRADE)
        return r || !port || strcasecmp(in, "websocket") != 0 ? -1 : ws_upgrade(port, wsi);
    if (!r)
        return 0;
    switch ((int)reason) {
    case LWS_CALLBACK_HTTP_BODY:
        http_lws_reading(r);
        return http_request_body(r, in, len);
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        http_lws_reading(r);
        return http_request_body_done(r);
    default: /* LWS_CALLBACK_HTTP_WRITEABLE */
        return http_request_writable(r);
    }
}

static int on_ws(struct lws *wsi, enum lws_callback_reasons reason, void *in, size_t len)
{
    struct ws *w = ws_of(wsi);
    if (!w)
        return -1;
    switch ((int)reason) {
    case LWS_CALLBACK_ESTABLISHED:
        return ws_established(w);
    case LWS_CALLBACK_RECEIVE:
        return ws_receive(w, in, len);
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return ws_writable(w);
    case LWS_CALLBACK_RECEIVE_PONG:
        ws_pong(w);
        return 0;
    default: /* LWS_CALLBACK_WS_PEER_INITIATED_CLOSE */
        return ws_peer_close(w, in, len);
    }
}

static int on_connection(struct lws *wsi, enum lws_callback_reasons reason)
{
    struct http_port *port = http_port_of(wsi);
    if (!port)
        return 0;
    struct http_server *s = port->server;
    if (reason == LWS_CALLBACK_FILTER_NETWORK_CONNECTION)
        return s->draining ||
               (port->kind != HTTP_PORT_INTERNAL && HASH_COUNT(s->conns) >= s->o.max_connections);
    if (reason == LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED) {
        conn_add(s, wsi);
    } else {
        owner_gone(wsi);
        conn_remove(s, wsi);
    }
    return 0;
}

int http_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                  size_t len)
{
    (void)user;
    http_lws_reading(NULL);
    switch ((int)reason) {
    case LWS_CALLBACK_HTTP:
    case LWS_CALLBACK_HTTP_BODY:
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
    case LWS_CALLBACK_HTTP_WRITEABLE:
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return on_http(wsi, reason, in, len);
    case LWS_CALLBACK_ESTABLISHED:
    case LWS_CALLBACK_RECEIVE:
    case LWS_CALLBACK_SERVER_WRITEABLE:
    case LWS_CALLBACK_RECEIVE_PONG:
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        return on_ws(wsi, reason, in, len);
    case LWS_CALLBACK_CLOSED_HTTP:
    case LWS_CALLBACK_CLOSED:
        owner_gone(wsi);
        return 0;
    case LWS_CALLBACK_FILTER_NETWORK_CONNECTION:
    case LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED:
    case LWS_CALLBACK_WSI_DESTROY:
        return on_connection(wsi, reason);
    default:
        return 0; /* lws's own defaults (CGI, proxies, directory pages) are not for us */
    }
}

static void on_lws_log(int level, const char *line)
{
    char text[300];
    size_t n = strcspn(line, "\n");
    snprintf(text, sizeof(text), "%.*s", (int)(n < 280 ? n : 280), line);
    /* lws's warnings are about what clients do; they may quote what a client sent, so they stay at
     * debug, which is never on in production. */
    if (level & LLL_ERR)
        LOG_D("lws_error", "text=\"%s\"", text);
    else
        LOG_D("lws", "text=\"%s\"", text);
}

/* ---- construction ---- */

static char *copy(const char *s)
{
    return s ? strdup(s) : NULL;
}

static void copy_options(struct http_server *s, const struct http_options *o)
{
    s->o = *o;
    s->o.name = copy(o->name ? o->name : "server");
    s->o.tls_address = copy(o->tls_address);
    s->o.cert_file = copy(o->cert_file);
    s->o.key_file = copy(o->key_file);
    s->o.plain_address = copy(o->plain_address);
    s->o.internal_address = copy(o->internal_address);
    s->o.internal_key = copy(o->internal_key);
    s->o.web_root = copy(o->web_root);
    s->o.csp_connect = copy(o->csp_connect);
    if (s->o.max_connections == 0)
        s->o.max_connections = 1000;
    size_t n = 0;
    while (o->origins && o->origins[n])
        n++;
    s->origins = calloc(n + 1, sizeof(char *));
    for (size_t i = 0; s->origins && i < n; i++)
        s->origins[i] = copy(o->origins[i]);
}

struct http_server *http_new(struct loop *l, const struct http_options *o)
{
    struct http_server *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->loop = l;
    copy_options(s, o);
    s->user_limit = ratelimit_new(o->user_limit, MINUTE_US, MAX_LIMIT_KEYS);
    s->address_limit = ratelimit_new(o->address_limit, MINUTE_US, MAX_LIMIT_KEYS);
    for (int k = 0; k < HTTP_PORTS; k++) {
        s->port[k].server = s;
        s->port[k].kind = (enum http_port_kind)k;
    }
    http_metrics_init();
    return s;
}

void http_add_routes(struct http_server *s, const struct http_route *routes, void *arg)
{
    struct http_route_set *set = calloc(1, sizeof(*set));
    if (!set)
        return;
    set->routes = routes;
    set->arg = arg;
    LL_APPEND(s->sets, set);
}

void http_add_ws(struct http_server *s, const struct ws_options *o)
{
    struct ws_endpoint *e = calloc(1, sizeof(*e));
    if (!e)
        return;
    e->o = *o;
    LL_APPEND(s->endpoints, e);
}

static int context_new(struct http_server *s)
{
    struct lws_context_creation_info info = {0};
    void *loops[1] = {loop_uv(s->loop)};
    lws_set_log_level(LLL_ERR | LLL_WARN, on_lws_log);
    info.port = CONTEXT_PORT_NO_LISTEN;
    info.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
                   LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT |
                   LWS_SERVER_OPTION_UV_NO_SIGSEGV_SIGFPE_SPIN |
                   LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS;
    info.foreign_loops = loops;
    info.gid = info.uid = -1;
    info.timeout_secs = TIMEOUT_S;
    info.pcontext = &s->ctx;
    info.max_http_header_data = 8192;
    info.pt_serv_buf_size = 16384;
    s->ctx = lws_create_context(&info);
    return s->ctx ? OK : ERR_IO;
}

/* The library's own idle pings are off: ws.c has its own, and lws 4.1 keeps the due times of all
 * sockets in one sorted list that it walks from its head at each connect and pong. */
static const lws_retry_bo_t no_idle_pings = {.secs_since_valid_hangup = 0};

static int listen_on(struct http_server *s, enum http_port_kind kind, const char *address, int port)
{
    static const char *const names[] = {"tls", "plain", "internal"};
    if (port <= 0 || !address)
        return OK;
    struct lws_context_creation_info info = {0};
    info.vhost_name = names[kind];
    info.protocols = protocols;
    info.port = port;
    info.iface = address[0] && strcmp(address, "::") != 0 ? address : NULL;
    info.options =
        LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND | LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS;
    if (info.iface && !strchr(address, ':'))
        info.options |= LWS_SERVER_OPTION_DISABLE_IPV6;
    info.timeout_secs = TIMEOUT_S;
    info.timeout_secs_ah_idle = TIMEOUT_S;
    info.keepalive_timeout = KEEPALIVE_S;
    info.user = &s->port[kind];
    info.retry_and_idle_policy = &no_idle_pings;
    /* No HTTP/2: lws 4.1 loses headers it has no token for (Idempotency-Key, X-Request-Id) there,
     * and with them its HPACK table goes out of step, which ends the connection of a client that
     * sends requests side by side. */
    info.alpn = "http/1.1";
    if (kind == HTTP_PORT_TLS) {
        info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
        info.ssl_cert_filepath = s->o.cert_file;
        info.ssl_private_key_filepath = s->o.key_file;
        info.ssl_options_set = SSL_OP_NO_SSLv3 | SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1;
        info.ssl_cipher_list = "ECDHE+AESGCM:ECDHE+CHACHA20";
    }
    s->port[kind].vhost = lws_create_vhost(s->ctx, &info);
    if (!s->port[kind].vhost) {
        LOG_E("listen_failed", "server=%s kind=%s address=%s port=%d", s->o.name, names[kind],
              address[0] ? address : "*", port);
        return ERR_IO;
    }
    LOG_I("listening", "server=%s kind=%s address=%s port=%d", s->o.name, names[kind],
          address[0] ? address : "*", port);
    return OK;
}

int http_start(struct http_server *s)
{
    if (!s->user_limit || !s->address_limit || !s->origins)
        return ERR_NOMEM;
    int rc = context_new(s);
    if (rc != OK) {
        LOG_E("lws_failed", "server=%s", s->o.name);
        return rc;
    }
    if (rc == OK && (s->o.tls_port > 0))
        rc = listen_on(s, HTTP_PORT_TLS, s->o.tls_address, s->o.tls_port);
    if (rc == OK)
        rc = listen_on(s, HTTP_PORT_PLAIN, s->o.plain_address, s->o.plain_port);
    if (rc == OK)
        rc = listen_on(s, HTTP_PORT_INTERNAL, s->o.internal_address, s->o.internal_port);
    return rc == OK ? http_idempotency_start(s) : rc;
}

void http_drain(struct http_server *s)
{
    s->draining = true;
    struct ws *w, *tmp;
    DL_FOREACH_SAFE(s->sockets, w, tmp)
    ws_close(w, 1012, "{\"retryAfterMs\":1000}");
}

/* ---- destruction ---- */

/* On a foreign loop lws is destroyed in two steps: the first call closes its handles, for which the
 * loop has to turn; the second, when they are closed, frees. It may get there by itself, and then
 * clears s->ctx (pcontext). */
static void context_free(struct http_server *s)
{
    uv_loop_t *uv = loop_uv(s->loop);
    if (!s->ctx)
        return;
    lws_context_destroy(s->ctx);
    for (int i = 0; s->ctx && i < 100; i++)
        uv_run(uv, UV_RUN_NOWAIT);
    if (s->ctx)
        lws_context_destroy(s->ctx);
}

void http_free(struct http_server *s)
{
    if (!s)
        return;
    loop_timer_free(s->sweep);
    context_free(s);
    struct http_request *r, *tmp;
    DL_FOREACH_SAFE(s->requests, r, tmp)
    http_request_orphan(r);
    struct http_route_set *set, *set_tmp;
    LL_FOREACH_SAFE(s->sets, set, set_tmp)
    free(set);
    struct ws_endpoint *e, *e_tmp;
    LL_FOREACH_SAFE(s->endpoints, e, e_tmp)
    free(e);
    http_static_free(s);
    ratelimit_free(s->user_limit);
    ratelimit_free(s->address_limit);
    const char *own[] = {s->o.name,         s->o.tls_address,   s->o.cert_file,
                         s->o.key_file,     s->o.plain_address, s->o.internal_address,
                         s->o.internal_key, s->o.web_root,      s->o.csp_connect};
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        free((void *)own[i]);
    for (char **o = s->origins; o && *o; o++)
        free(*o);
    free(s->origins);
    free(s);
}
