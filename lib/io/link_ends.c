/* The two ends of control links: the listener, and the client that never gives up. */
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/io/backoff.h"
#include "lib/io/link_internal.h"

enum { BACKLOG = 16, BACKOFF_MIN_US = 100000, BACKOFF_MAX_US = 2000000, MAX_LINKS = 256 };

/* ---- the listener ---- */

struct link_server {
    uv_tcp_t tcp; /* first: freed by its close callback */
    struct loop *loop;
    char *secret;
    struct link_handlers handlers;
    void *arg;
    struct link *links;
    int n_links, port;
};

static void on_server_link_end(struct link *k, void *owner)
{
    struct link_server *s = owner;
    DL_DELETE(s->links, k);
    s->n_links--;
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct link_server *s = (struct link_server *)listener;
    if (status < 0)
        return;
    struct link *k = link_new(s->loop, true, s->secret, &s->handlers, s->arg);
    if (!k)
        return;
    k->on_end = on_server_link_end;
    k->owner = s;
    DL_APPEND(s->links, k);
    s->n_links++;
    if (uv_accept(listener, (uv_stream_t *)&k->tcp) != 0)
        link_end(k, "not accepted");
    else if (s->n_links > MAX_LINKS)
        link_end(k, "too many");
    else
        link_begin(k);
}

static int parse_address(struct sockaddr_storage *out, const char *address, int port)
{
    if (port < 0 || port > 65535)
        return ERR_INVALID;
    if (uv_ip4_addr(address, port, (struct sockaddr_in *)out) == 0 ||
        uv_ip6_addr(address, port, (struct sockaddr_in6 *)out) == 0)
        return OK;
    return ERR_INVALID;
}

static int listener_port(uv_tcp_t *tcp)
{
    struct sockaddr_storage a;
    int n = sizeof(a);
    if (uv_tcp_getsockname(tcp, (struct sockaddr *)&a, &n) != 0)
        return 0;
    return ntohs(a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&a)->sin6_port
                                         : ((struct sockaddr_in *)&a)->sin_port);
}

static void on_server_closed(uv_handle_t *h)
{
    struct link_server *s = (struct link_server *)h;
    free(s->secret);
    free(s);
}

int link_listen(struct link_server **out, struct loop *l, const char *address, int port,
                const char *secret, const struct link_handlers *h, void *arg)
{
    struct sockaddr_storage a;
    if (parse_address(&a, address, port) != OK)
        return ERR_INVALID;
    struct link_server *s = calloc(1, sizeof(*s));
    if (!s)
        return ERR_NOMEM;
    s->loop = l;
    s->handlers = *h;
    s->arg = arg;
    s->secret = strdup(secret);
    if (!s->secret || uv_tcp_init(loop_uv(l), &s->tcp) != 0) {
        free(s->secret);
        free(s);
        return ERR_NOMEM;
    }
    if (uv_tcp_bind(&s->tcp, (const struct sockaddr *)&a, 0) != 0 ||
        uv_listen((uv_stream_t *)&s->tcp, BACKLOG, on_connection) != 0) {
        LOG_E("link_listen_failed", "address=%s port=%d", address, port);
        uv_close((uv_handle_t *)&s->tcp, on_server_closed);
        return ERR_IO;
    }
    s->port = listener_port(&s->tcp);
    *out = s;
    return OK;
}

int link_server_port(const struct link_server *s)
{
    return s->port;
}

void link_server_free(struct link_server *s)
{
    if (!s)
        return;
    while (s->links)
        link_end(s->links, "server closes");
    uv_close((uv_handle_t *)&s->tcp, on_server_closed);
}

/* ---- the client ---- */

struct link_client {
    struct loop *loop;
    char *secret;
    struct sockaddr_storage address;
    struct link_handlers handlers; /* those given, but for on_up */
    struct link_handlers given;
    void *arg;
    struct link *link;
    struct loop_timer *timer;
    int failures;
    bool closing;
};

struct connect {
    uv_connect_t req; /* first */
    struct link *link;
};

static void retry(struct link_client *c)
{
    loop_timer_start(c->timer, backoff_next_us(c->failures++, BACKOFF_MIN_US, BACKOFF_MAX_US), 0);
}

static void on_client_link_end(struct link *k, void *owner)
{
    struct link_client *c = owner;
    (void)k;
    c->link = NULL;
    if (!c->closing)
        retry(c);
}

static void on_client_up(struct link *k, void *arg)
{
    struct link_client *c = k->owner;
    c->failures = 0;
    if (c->given.on_up)
        c->given.on_up(k, arg);
}

static void on_connected(uv_connect_t *req, int status)
{
    struct link *k = ((struct connect *)req)->link;
    free(req);
    if (status == UV_ECANCELED || k->state == LINK_DOWN)
        return; /* ended meanwhile; its close is what cancels */
    if (status < 0)
        link_end(k, "connect failed");
    else
        link_begin(k);
}

static void connect_now(void *arg)
{
    struct link_client *c = arg;
    struct connect *req = malloc(sizeof(*req));
    struct link *k = req ? link_new(c->loop, false, c->secret, &c->handlers, c->arg) : NULL;
    if (!k) {
        free(req);
        retry(c);
        return;
    }
    k->on_end = on_client_link_end;
    k->owner = c;
    c->link = k;
    req->link = k;
    if (uv_tcp_connect(&req->req, &k->tcp, (const struct sockaddr *)&c->address, on_connected) !=
        0) {
        free(req);
        link_end(k, "connect failed");
    }
}

int link_connect(struct link_client **out, struct loop *l, const char *address, int port,
                 const char *secret, const struct link_handlers *h, void *arg)
{
    struct link_client *c = calloc(1, sizeof(*c));
    if (!c)
        return ERR_NOMEM;
    if (parse_address(&c->address, address, port) != OK) {
        free(c);
        return ERR_INVALID;
    }
    c->loop = l;
    c->given = c->handlers = *h;
    c->handlers.on_up = on_client_up;
    c->arg = arg;
    c->secret = strdup(secret);
    c->timer = loop_timer_new(l, connect_now, c);
    if (!c->secret || !c->timer) {
        loop_timer_free(c->timer);
        free(c->secret);
        free(c);
        return ERR_NOMEM;
    }
    loop_timer_start(c->timer, 0, 0);
    *out = c;
    return OK;
}

void link_client_free(struct link_client *c)
{
    if (!c)
        return;
    c->closing = true;
    if (c->link)
        link_end(c->link, "client closes");
    loop_timer_free(c->timer);
    free(c->secret);
    free(c);
}
