#include "signaling/shell/ops.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/metrics.h"
#include "lib/io/udp_probe.h"

#define PROBE_EVERY_US INT64_C(2000000)

METRIC_GAUGE_DEF(metric_database, "sotto_ready", "part=\"database\"", "1 while the part is there.");
METRIC_GAUGE_DEF(metric_sfu, "sotto_ready", "part=\"sfu\"", "1 while the part is there.");
METRIC_GAUGE_DEF(metric_turn, "sotto_ready", "part=\"turn\"", "1 while the part is there.");

struct ops {
    struct ops_options o;
    struct udp_probe *probe; /* NULL: no STUN and no TURN */
    bool draining;
};

static void on_healthz(struct http_request *r, void *arg)
{
    (void)arg;
    cJSON *body = json_new();
    json_put_bool(body, "alive", true);
    http_reply(r, 200, body);
}

static void put_part(cJSON *parts, const char *name, bool is_there, struct metric *m, bool *ready)
{
    json_put_bool(parts, name, is_there);
    if (m)
        metric_set(m, is_there);
    *ready = *ready && is_there;
}

static bool read_parts(struct ops *o, cJSON *parts)
{
    bool ready = !o->draining;
    put_part(parts, "database", pg_ready(o->o.pg), &metric_database, &ready);
    put_part(parts, "bus", true, NULL, &ready); /* in-process: it's there when we are */
    if (o->o.sfu)
        put_part(parts, "sfu", sfu_nodes(o->o.sfu) > 0, &metric_sfu, &ready);
    if (o->probe)
        put_part(parts, "turn", udp_probe_alive(o->probe), &metric_turn, &ready);
    if (o->o.calls_ready)
        put_part(parts, "calls", o->o.calls_ready(o->o.calls), NULL, &ready);
    return ready;
}

static void on_readyz(struct http_request *r, void *arg)
{
    cJSON *body = json_new(), *parts = json_new();
    bool ready = read_parts(arg, parts);
    json_put_bool(body, "ready", ready);
    json_put(body, "parts", parts);
    http_reply(r, ready ? 200 : 503, body);
}

static void on_metrics(struct http_request *r, void *arg)
{
    cJSON *parts = json_new();
    read_parts(arg, parts); /* sets the gauges */
    cJSON_Delete(parts);
    http_metrics_handler(r, NULL);
}

static const struct http_route ops_routes[] = {
    {HTTP_GET, "/healthz", on_healthz, HTTP_PUBLIC_OPS, 0, NULL},
    {HTTP_GET, "/readyz", on_readyz, HTTP_PUBLIC_OPS, 0, NULL},
    {HTTP_GET, "/metrics", on_metrics, HTTP_INTERNAL | HTTP_PUBLIC_OPS, 0, NULL},
    {.path = NULL},
};

/* ---- the STUN server ---- */
int ops_stun_address(const char *url, char host[256], int *port)
{
    const char *at = strchr(url, ':');
    bool tls = at && at > url && at[-1] == 's';
    if (!at)
        return ERR_INVALID;
    at++;
    const char *end = at;
    if (*at == '[') { /* an IPv6 address */
        end = strchr(++at, ']');
        if (!end)
            return ERR_INVALID;
    } else {
        end = at + strcspn(at, ":?");
    }
    size_t n = (size_t)(end - at);
    if (n == 0 || n > 255)
        return ERR_INVALID;
    memcpy(host, at, n);
    host[n] = 0;
    end += *end == ']';
    *port = tls ? 5349 : 3478;
    if (*end == ':') {
        char *rest = NULL;
        long v = strtol(end + 1, &rest, 10);
        if (v < 1 || v > 65535 || rest == end + 1 || (*rest && *rest != '?'))
            return ERR_INVALID;
        *port = (int)v;
    }
    return OK;
}

static struct udp_probe *probe_new(const struct ops_options *o)
{
    char host[256];
    int port;
    const char *url = config_item(o->config, "turn.stun_urls", 0);
    if (!url)
        url = config_item(o->config, "turn.urls", 0);
    if (!url || ops_stun_address(url, host, &port) != OK)
        return NULL;
    return udp_probe_new(o->loop, host, port, PROBE_EVERY_US);
}

struct ops *ops_new(const struct ops_options *o)
{
    struct ops *out = calloc(1, sizeof(*out));
    if (!out)
        return NULL;
    out->o = *o;
    out->probe = probe_new(o);
    metric_register(&metric_database);
    http_add_routes(o->http, ops_routes, out);
    return out;
}

void ops_free(struct ops *o)
{
    if (!o)
        return;
    udp_probe_free(o->probe);
    free(o);
}

void ops_drain(struct ops *o)
{
    o->draining = true;
}
