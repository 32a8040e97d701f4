/* Metrics of the server, and the handler that shows all metrics. */
#include "lib/io/http_internal.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/ids.h"
#include "lib/base/log.h"

METRIC_HIST_DEF(duration, "sotto_http_request_seconds", NULL,
                "Time from a request's headers to its answer");
METRIC_GAUGE_DEF(sockets, "sotto_ws_sockets", NULL, "Open WebSockets");
METRIC_COUNTER_DEF(dropped, "sotto_ws_dropped_frames_total", NULL,
                   "Frames to clients that were dropped because their queue was full");

/* One counter a route and class of status. Metrics live as long as the process, so this table does
 * too; its size is bounded by the route tables, which are static. */
struct route_metric {
    char *key;
    struct metric metric;
    UT_hash_handle hh;
};
static struct route_metric *route_metrics;

void http_metrics_init(void)
{
    metric_hist_register(&duration);
    metric_register(&sockets);
    metric_register(&dropped);
}

void http_metrics_socket(int change)
{
    metric_add(&sockets, change);
}

void http_metrics_dropped(int64_t n)
{
    metric_add(&dropped, n);
}

static struct route_metric *route_metric_new(const char *labels)
{
    struct route_metric *m = calloc(1, sizeof(*m));
    char *key = m ? strdup(labels) : NULL;
    if (!key) {
        free(m);
        return NULL;
    }
    m->key = key;
    m->metric.name = "sotto_http_requests_total";
    m->metric.help = "Requests by route and class of status";
    m->metric.labels = key;
    m->metric.kind = METRIC_COUNTER;
    HASH_ADD_KEYPTR(hh, route_metrics, m->key, strlen(m->key), m);
    return m;
}

void http_metrics_request(struct http_request *r)
{
    char labels[200];
    const struct http_route *route = r->match.route;
    snprintf(labels, sizeof(labels), "route=\"%s\",method=\"%s\",status=\"%dxx\"",
             route ? route->path : "other", route ? http_method_name(route->method) : "other",
             r->status / 100);
    struct route_metric *m;
    HASH_FIND_STR(route_metrics, labels, m);
    if (!m)
        m = route_metric_new(labels);
    if (m)
        metric_add(&m->metric, 1);
    metric_observe_us(&duration, clock_mono_us() - r->start_us);
}

void http_metrics_handler(struct http_request *r, void *arg)
{
    (void)arg;
    struct buf text;
    buf_init(&text, 4 * 1024 * 1024);
    int rc = metrics_render(&text);
    if (rc != OK)
        http_problem_err(r, rc);
    else
        http_reply_text(r, 200, "text/plain; version=0.0.4; charset=utf-8", buf_cstr(&text));
    buf_free(&text);
}
