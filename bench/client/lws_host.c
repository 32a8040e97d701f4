#include "bench/client/lws_host.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"

enum { HANDSHAKE_S = 30, TURNS_TO_CLOSE = 100 };

int lws_host_start(struct lws_host *h, struct loop *l, const struct lws_protocols *protocols,
                   void *user)
{
    struct lws_context_creation_info info = {0};
    void *loops[1] = {loop_uv(l)};
    lws_set_log_level(0, NULL);
    h->loop = l;
    info.port = CONTEXT_PORT_NO_LISTEN;
    info.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
                   LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT |
                   LWS_SERVER_OPTION_UV_NO_SIGSEGV_SIGFPE_SPIN |
                   LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS;
    info.foreign_loops = loops;
    info.gid = info.uid = -1;
    info.pcontext = &h->ctx;
    info.timeout_secs = HANDSHAKE_S;
    h->ctx = lws_create_context(&info);
    if (!h->ctx)
        return ERR_IO;
    info.vhost_name = "client";
    info.protocols = protocols;
    info.user = user;
    info.timeout_secs = HANDSHAKE_S;
    h->vhost = lws_create_vhost(h->ctx, &info);
    return h->vhost ? OK : ERR_IO;
}

/* As lib/io/http_server.c does it: on a foreign loop it takes turns of the loop to close. */
void lws_host_stop(struct lws_host *h)
{
    if (!h->ctx)
        return;
    lws_context_destroy(h->ctx);
    for (int i = 0; h->ctx && i < TURNS_TO_CLOSE; i++)
        uv_run(loop_uv(h->loop), UV_RUN_NOWAIT);
    if (h->ctx)
        lws_context_destroy(h->ctx);
}

int lws_url_parse(struct lws_url *u, const char *url)
{
    char text[LWS_URL_MAX];
    const char *scheme, *host, *path;
    int port = 0;
    if (!url || !strstr(url, "://"))
        return ERR_INVALID;
    if (str_copy(text, sizeof(text), url) != OK)
        return ERR_TOO_LARGE;
    if (lws_parse_uri(text, &scheme, &host, &port, &path) != 0 || !host[0] || port <= 0 ||
        port > 65535)
        return ERR_INVALID;
    u->tls = strcmp(scheme, "wss") == 0 || strcmp(scheme, "https") == 0;
    if (!u->tls && strcmp(scheme, "ws") != 0 && strcmp(scheme, "http") != 0)
        return ERR_INVALID;
    u->port = port;
    u->path[0] = '/'; /* lws leaves it out */
    if (str_copy(u->host, sizeof(u->host), host) != OK ||
        str_copy(u->path + 1, sizeof(u->path) - 1, path[0] == '/' ? path + 1 : path) != OK)
        return ERR_TOO_LARGE;
    return OK;
}
