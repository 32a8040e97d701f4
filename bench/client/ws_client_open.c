/* Opening sockets: the queue, the pace, and the handshake's beginning. */
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "bench/client/ws_client_private.h"
#include "lib/base/err.h"
#include "lib/base/ids.h"

enum {
    BEGIN_A_TURN = 64, /* handshakes begun before the loop may read answers again */
    PACE_US = 2000,
};

void ws_open_free(struct ws_open *o)
{
    if (!o)
        return;
    free((char *)o->url);
    free((char *)o->protocols);
    free((char *)o->source);
    free(o);
}

/* ---- beginning handshakes ---- */

static const lws_retry_bo_t no_keepalive = {.secs_since_valid_hangup = 0};

static struct lws *connect_now(struct ws_socket *s, const struct lws_url *u)
{
    char host[160];
    struct lws_client_connect_info info = {0};
    snprintf(host, sizeof(host), "%s:%d", u->host, u->port);
    info.context = s->client->host.ctx;
    info.vhost = s->client->host.vhost;
    info.address = u->host;
    info.host = host;
    info.port = u->port;
    info.path = u->path;
    info.protocol = s->open->protocols;
    info.local_protocol_name = "load";
    info.ietf_version_or_minus_one = -1;
    info.iface = s->open->source;
    info.ssl_connection = LCCSCF_HTTP_NO_FOLLOW_REDIRECT;
    if (u->tls)
        info.ssl_connection |= LCCSCF_USE_SSL | LCCSCF_ALLOW_SELFSIGNED |
                               LCCSCF_SKIP_SERVER_CERT_HOSTNAME_CHECK | LCCSCF_ALLOW_INSECURE;
    info.opaque_user_data = s;
    info.retry_and_idle_policy = &no_keepalive;
    return lws_client_connect_via_info(&info);
}

static void begin(struct ws_socket *s)
{
    struct ws_client *c = s->client;
    struct lws_url u;
    DL_DELETE(c->waiting, s);
    c->n_waiting--;
    DL_APPEND(c->sockets, s);
    c->n_connecting++;
    s->state = CONNECTING;
    s->begun_us = clock_mono_us();
    s->beginning = true;
    (void)lws_url_parse(&u, s->open->url); /* was good when it was queued */
    struct lws *wsi = connect_now(s, &u);
    s->beginning = false;
    ws_open_free(s->open);
    s->open = NULL;
    if (wsi && !s->over) {
        s->wsi = wsi;
        return;
    }
    s->wsi = NULL;
    ws_socket_ended(s, WS_CLOSED_CONNECT, "no connection", 13);
    ws_socket_finish(s);
}

/* How many may be begun now. */
static size_t allowance(struct ws_client *c)
{
    size_t limit = (size_t)(c->o.in_flight > 0 ? c->o.in_flight : WS_CLIENT_IN_FLIGHT);
    size_t n = c->n_connecting < limit ? limit - c->n_connecting : 0;
    if (n > BEGIN_A_TURN)
        n = BEGIN_A_TURN;
    if (c->o.per_second <= 0)
        return n;
    int64_t now = clock_mono_us();
    c->credit += (double)(now - c->credit_us) / 1e6 * c->o.per_second;
    c->credit_us = now;
    double most = c->o.per_second / 20 + 1; /* a late loop catches up 50 ms, no more */
    if (c->credit > most)
        c->credit = most;
    return n < (size_t)c->credit ? n : (size_t)c->credit;
}

void ws_client_pump(void *arg)
{
    struct ws_client *c = arg;
    size_t n = allowance(c);
    for (; n > 0 && c->waiting; n--) {
        if (c->o.per_second > 0)
            c->credit -= 1;
        begin(c->waiting);
    }
    if (c->waiting)
        loop_timer_start(c->pump, c->o.per_second > 0 || n == 0 ? PACE_US : 0, 0);
}

/* ---- the interface ---- */

void ws_client_pace(struct ws_client *c, double per_second, int in_flight)
{
    c->o.per_second = per_second;
    c->o.in_flight = in_flight;
    c->credit = 0;
    c->credit_us = clock_mono_us();
    if (c->waiting)
        loop_timer_start(c->pump, 0, 0);
}

static struct ws_open *open_copy(const struct ws_open *o)
{
    struct ws_open *n = calloc(1, sizeof(*n));
    if (!n)
        return NULL;
    n->url = strdup(o->url);
    n->protocols = o->protocols ? strdup(o->protocols) : NULL;
    n->source = o->source ? strdup(o->source) : NULL;
    if (n->url && (n->protocols || !o->protocols) && (n->source || !o->source))
        return n;
    ws_open_free(n);
    return NULL;
}

int ws_client_open(struct ws_socket **out, struct ws_client *c, const struct ws_open *o,
                   const struct ws_client_handlers *h, void *arg)
{
    struct lws_url u;
    if (c->stopping)
        return ERR_CLOSED;
    if (lws_url_parse(&u, o->url) != OK)
        return ERR_INVALID;
    if (c->n_waiting + c->n_connecting + c->n_open >= WS_CLIENT_SOCKETS)
        return ERR_LIMIT;
    struct ws_socket *s = calloc(1, sizeof(*s));
    struct ws_open *copy = open_copy(o);
    if (!s || !copy) {
        free(s);
        ws_open_free(copy);
        return ERR_NOMEM;
    }
    *s = (struct ws_socket){.client = c, .h = h, .arg = arg, .open = copy, .state = WAITING};
    buf_init(&s->rx, c->o.max_message);
    DL_APPEND(c->waiting, s);
    if (c->n_waiting++ == 0)
        loop_timer_start(c->pump, 0, 0);
    *out = s;
    return OK;
}
