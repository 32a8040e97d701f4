/* The pool of SFUs: who is up, how loaded, and which requests wait for an answer. */
#include "signaling/shell/sfu_link.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "lib/base/err.h"
#include "lib/base/ids.h"
#include "lib/base/log.h"
#include "lib/base/metrics.h"
#include "lib/io/link.h"
#include "signaling/shell/sfu_link_internal.h"

METRIC_COUNTER_DEF(metric_forwarded, "sotto_media_forwarded_packets_total", NULL,
                   "Media packets that the SFUs forwarded, as they report it.");
METRIC_GAUGE_DEF(metric_nodes, "sotto_sfu_nodes", NULL, "SFUs whose control link is up.");
METRIC_COUNTER_DEF(metric_requests_ok, "sotto_sfu_requests_total", "result=\"ok\"",
                   "Requests to SFUs.");
METRIC_COUNTER_DEF(metric_requests_failed, "sotto_sfu_requests_total", "result=\"error\"",
                   "Requests to SFUs.");
METRIC_HIST_DEF(metric_latency, "sotto_sfu_request_seconds", NULL,
                "Time of an SFU's answer to a request.");

struct sfu_request {
    int64_t id;
    struct sfu_pool *pool;
    struct sfu_node *node; /* NULL: it wasn't up, the failure is told by the timer */
    sfu_reply_fn fn;
    void *arg;
    int64_t sent_us;
    struct loop_timer *timer;
    struct sfu_request *prev, *next;
};

struct sfu_pool {
    struct loop *loop;
    struct link_server *server;
    const struct sfu_handlers *handlers;
    void *arg;
    struct sfu_node *nodes;
    struct sfu_request *requests;
    int64_t next_id;
};

/* ---- requests ---- */
static void request_end(struct sfu_request *q, int err, const cJSON *data, const char *code)
{
    /* Unlinked and stopped before the handler hears of it: it may send the next one. */
    DL_DELETE(q->pool->requests, q);
    loop_timer_free(q->timer);
    metric_add(err == OK ? &metric_requests_ok : &metric_requests_failed, 1);
    metric_observe_us(&metric_latency, clock_mono_us() - q->sent_us);
    if (q->fn)
        q->fn(q->arg, err, data, code ? code : err_name(err));
    free(q);
}

static void on_request_timer(void *arg)
{
    struct sfu_request *q = arg;
    int err = q->node ? ERR_TIMEOUT : ERR_UNAVAILABLE;
    if (q->node)
        LOG_W("sfu_request_timeout", "node=%s id=%lld", q->node->name, (long long)q->id);
    request_end(q, err, NULL, NULL);
}

static struct sfu_node *node_find(const struct sfu_pool *p, const char *name)
{
    struct sfu_node *n = NULL;
    if (name)
        HASH_FIND_STR(p->nodes, name, n);
    return n;
}

static int send_frame(struct sfu_node *n, cJSON *frame, int64_t id)
{
    json_put_int(frame, "id", id);
    char *text = json_print(frame);
    int err = text ? link_send(n->link, text, strlen(text)) : ERR_NOMEM;
    free(text);
    return err;
}

static bool adds_transport(const cJSON *frame)
{
    const char *t = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(frame, "t"));
    return t &&
           (strcmp(t, "publish") == 0 || strcmp(t, "subscribe") == 0 || strcmp(t, "watch") == 0);
}

void sfu_request(struct sfu_pool *p, const char *node, cJSON *frame, sfu_reply_fn fn, void *arg)
{
    struct sfu_request *q = calloc(1, sizeof(*q));
    if (!q || !(q->timer = loop_timer_new(p->loop, on_request_timer, q)))
        abort(); /* control plane, as in json.h */
    q->id = ++p->next_id;
    q->pool = p;
    q->fn = fn;
    q->arg = arg;
    q->sent_us = clock_mono_us();
    q->node = node_find(p, node);
    bool adds = adds_transport(frame);
    if (q->node && send_frame(q->node, frame, q->id) != OK)
        q->node = NULL;
    cJSON_Delete(frame);
    DL_APPEND(p->requests, q);
    loop_timer_start(q->timer, q->node ? SFU_REQUEST_TIMEOUT_US : 0, 0);
    if (q->node && adds)
        sfu_node_placed(q->node);
}

static struct sfu_request *request_of(struct sfu_pool *p, const struct sfu_node *n)
{
    struct sfu_request *q;
    DL_FOREACH(p->requests, q)
    {
        if (q->node == n)
            return q;
    }
    return NULL;
}

static void fail_requests_of(struct sfu_pool *p, const struct sfu_node *n)
{
    struct sfu_request *q;
    while ((q = request_of(p, n))) /* from the start each time: a handler may add or end others */
        request_end(q, ERR_UNAVAILABLE, NULL, NULL);
}

/* ---- frames ---- */
static void on_reply(struct sfu_pool *p, struct sfu_node *n, const cJSON *frame)
{
    struct sfu_request *q;
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(frame, "id");
    DL_FOREACH(p->requests, q)
    {
        if (q->node == n && cJSON_IsNumber(id) && (int64_t)id->valuedouble == q->id)
            break;
    }
    if (!q)
        return; /* answered after its timeout */
    const cJSON *data = cJSON_GetObjectItemCaseSensitive(frame, "data");
    if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(frame, "ok")) &&
        (!data || cJSON_IsObject(data))) {
        cJSON *empty = data ? NULL : json_new();
        request_end(q, OK, data ? data : empty, "ok");
        cJSON_Delete(empty);
        return;
    }
    struct json_errors e = {0};
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(frame, "error");
    const char *code =
        cJSON_IsObject(error) ? json_str(error, "code", JSON_REQUIRED, 1, 64, &e) : NULL;
    request_end(q, code ? sfu_code_to_err(code) : ERR_INVALID, NULL, code);
}

static void on_hello(struct sfu_pool *p, struct link *k, const cJSON *frame)
{
    struct json_errors e = {0};
    const char *name = json_str(frame, "node", JSON_REQUIRED, 1, SFU_NODE_NAME - 1, &e);
    const char *instance = json_id(frame, "instance", JSON_REQUIRED, &e);
    const cJSON *rooms = json_arr(frame, "rooms", JSON_OPTIONAL, 100000, &e);
    if (e.n) {
        LOG_W("sfu_hello_bad", "field=%s", e.item[0].field);
        link_drop(k);
        return;
    }
    struct sfu_node *old = node_find(p, name);
    if (old) { /* its former link isn't known to be dead yet */
        struct link *former = old->link;
        sfu_link_down(p, former);
        link_drop(former);
    }
    struct sfu_node *n = calloc(1, sizeof(*n));
    if (!n || str_copy(n->name, sizeof(n->name), name) != OK ||
        str_copy(n->instance, sizeof(n->instance), instance) != OK)
        abort();
    n->link = k;
    n->forwarded = -1;
    sfu_node_load(n, cJSON_GetObjectItemCaseSensitive(frame, "load"));
    link_set_user(k, n);
    HASH_ADD_STR(p->nodes, name, n);
    metric_set(&metric_nodes, (int64_t)HASH_COUNT(p->nodes));
    LOG_I("sfu_up", "node=%s instance=%s rooms=%d", n->name, n->instance,
          rooms ? cJSON_GetArraySize(rooms) : 0);
    cJSON *none = rooms ? NULL : cJSON_CreateArray();
    if (p->handlers && p->handlers->on_node_up)
        p->handlers->on_node_up(p->arg, n->name, n->instance, rooms ? rooms : none);
    cJSON_Delete(none);
}

static void on_frame(struct link *k, void *arg, const uint8_t *data, size_t len)
{
    struct sfu_pool *p = arg;
    struct sfu_node *n = link_user(k);
    cJSON *frame = NULL;
    const char *type = NULL;
    struct json_errors e = {0};
    if (json_parse(&frame, (const char *)data, len) == OK && cJSON_IsObject(frame))
        type = json_str(frame, "t", JSON_REQUIRED, 1, 32, &e);
    if (!type || (!n && strcmp(type, "hello") != 0)) {
        LOG_W("sfu_frame_bad", "node=%s bytes=%zu", n ? n->name : "", len);
        link_drop(k);
    } else if (!n) {
        on_hello(p, k, frame);
    } else if (strcmp(type, "reply") == 0) {
        on_reply(p, n, frame);
    } else if (strcmp(type, "load") == 0) {
        sfu_node_load(n, frame);
        metric_add(&metric_forwarded, sfu_node_forwarded(n, frame));
    } else if (p->handlers && p->handlers->on_event) {
        p->handlers->on_event(p->arg, n->name, type, frame);
    }
    cJSON_Delete(frame);
}

void sfu_link_down(struct sfu_pool *p, struct link *k)
{
    struct sfu_node *n = link_user(k);
    if (!n)
        return;
    link_set_user(k, NULL);
    HASH_DEL(p->nodes, n);
    metric_set(&metric_nodes, (int64_t)HASH_COUNT(p->nodes));
    LOG_W("sfu_down", "node=%s", n->name);
    fail_requests_of(p, n);
    if (p->handlers && p->handlers->on_node_down)
        p->handlers->on_node_down(p->arg, n->name);
    free(n);
}

static void on_down(struct link *k, void *arg)
{
    sfu_link_down(arg, k);
}

/* An authenticated peer is a node once it has said hello. */
static void on_up(struct link *k, void *arg)
{
    (void)arg;
    link_set_user(k, NULL);
}

static const struct link_handlers sfu_link_handlers = {
    .on_up = on_up,
    .on_frame = on_frame,
    .on_down = on_down,
};

/* ---- the pool ---- */
int sfu_pool_open(struct sfu_pool **out, struct loop *l, const char *address, int port,
                  const char *secret)
{
    struct sfu_pool *p = calloc(1, sizeof(*p));
    if (!p)
        return ERR_NOMEM;
    p->loop = l;
    metric_register(&metric_nodes);
    metric_register(&metric_forwarded);
    metric_register(&metric_requests_ok);
    metric_register(&metric_requests_failed);
    metric_hist_register(&metric_latency);
    int err = link_listen(&p->server, l, address, port, secret, &sfu_link_handlers, p);
    if (err != OK) {
        LOG_E("sfu_link_listen_failed", "address=%s port=%d err=%s", address, port, err_name(err));
        free(p);
        return err;
    }
    *out = p;
    return OK;
}

void sfu_pool_handle(struct sfu_pool *p, const struct sfu_handlers *h, void *arg)
{
    p->handlers = h;
    p->arg = arg;
}

void sfu_pool_free(struct sfu_pool *p)
{
    if (!p)
        return;
    p->handlers = NULL;
    link_server_free(p->server); /* takes its links down, and with them the nodes */
    struct sfu_node *n, *next_node;
    HASH_ITER(hh, p->nodes, n, next_node)
    {
        HASH_DEL(p->nodes, n);
        fail_requests_of(p, n);
        free(n);
    }
    while (p->requests)
        request_end(p->requests, ERR_CLOSED, NULL, NULL);
    free(p);
}

int sfu_pool_port(const struct sfu_pool *p)
{
    return link_server_port(p->server);
}

const char *sfu_pick(struct sfu_pool *p)
{
    struct sfu_node *n, *tmp;
    const struct sfu_node *best = NULL;
    HASH_ITER(hh, p->nodes, n, tmp)
    {
        if (!best || sfu_node_less(n, best))
            best = n;
    }
    return best ? best->name : NULL;
}

bool sfu_node_is_up(const struct sfu_pool *p, const char *node)
{
    return node_find(p, node) != NULL;
}

const char *sfu_node_instance(const struct sfu_pool *p, const char *node)
{
    const struct sfu_node *n = node_find(p, node);
    return n ? n->instance : NULL;
}

size_t sfu_nodes(const struct sfu_pool *p)
{
    return HASH_COUNT(p->nodes);
}
