/* What the WebSocket and the HTTP client share: a libwebsockets context on our loop, and URLs. */
#ifndef SOTTO_BENCH_CLIENT_LWS_HOST_H
#define SOTTO_BENCH_CLIENT_LWS_HOST_H

#include <libwebsockets.h>
#include <stdbool.h>

#include "lib/io/loop.h"

struct lws_host {
    struct lws_context *ctx; /* NULL once it destroyed itself */
    struct lws_vhost *vhost;
    struct loop *loop;
};

/* A context without listeners; protocols are borrowed, the callback finds `user` by
 * lws_vhost_user(lws_get_vhost(wsi)). ERR_IO. */
int lws_host_start(struct lws_host *h, struct loop *l, const struct lws_protocols *protocols,
                   void *user);
/* Ends all connections: their callbacks run. */
void lws_host_stop(struct lws_host *h);

#define LWS_URL_MAX 1024
struct lws_url {
    bool tls;
    int port;
    char host[128];
    char path[LWS_URL_MAX]; /* with the query, from '/' on */
};
/* "scheme://host[:port][/path]" with scheme ws, wss, http or https. ERR_INVALID, ERR_TOO_LARGE. */
int lws_url_parse(struct lws_url *u, const char *url);

#endif
