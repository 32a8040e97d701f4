/* sfud: configuration, one control thread (this one), workers. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/config.h"
#include "lib/base/err.h"
#include "lib/base/ids.h"
#include "lib/base/log.h"
#include "lib/io/http.h"
#include "sfu/shell/addresses.h"
#include "sfu/shell/limits.h"
#include "sfu/shell/observer.h"
#include "sfu/shell/sfu_metrics.h"
#include "sfu/shell/signald_link.h"

/* Of each worker: 28 MiB of buffers, a second of some 70 video publishers. */
#define POOL_PACKETS 16384
#define SECRET_TEXT  512

struct sfud {
    struct config *config;
    struct loop *loop;
    struct dtls_context *dtls;
    struct signald_link *link;
    struct worker_set *workers;
    struct http_server *http;
    struct observer *observer;
    char internal_key[SECRET_TEXT]; /* "": what needs it is refused */
    struct id instance;
    char (*address)[ADDRESS_TEXT];
};

static int fail(const char *what, int err)
{
    LOG_E("start_failed", "what=%s error=%s", log_quote(what), err_name(err));
    return err;
}

/* ---- operations ---- */

static void on_healthz(struct http_request *r, void *arg)
{
    (void)arg;
    cJSON *body = json_new();
    json_put_bool(body, "alive", true);
    http_reply(r, 200, body);
}

static void on_readyz(struct http_request *r, void *arg)
{
    const struct sfud *s = arg;
    bool up = signald_link_is_up(s->link);
    cJSON *body = json_new(), *parts = json_new();
    json_put_bool(parts, "signald", up);
    json_put_bool(body, "ready", up);
    json_put(body, "parts", parts);
    http_reply(r, up ? 200 : 503, body);
}

static const struct http_route ops_routes[] = {
    {.method = HTTP_GET, .path = "/healthz", .handler = on_healthz, .flags = HTTP_PUBLIC_OPS},
    {.method = HTTP_GET, .path = "/readyz", .handler = on_readyz, .flags = HTTP_PUBLIC_OPS},
    {.method = HTTP_GET,
     .path = "/metrics",
     .handler = http_metrics_handler,
     .flags = HTTP_INTERNAL | HTTP_PUBLIC_OPS},
    {.path = NULL},
};

static int start_http(struct sfud *s)
{
    int port = (int)config_int(s->config, "sfu.metrics_port");
    if (port == 0) {
        return OK;
    }
    struct http_options o = {
        .name = "sfud",
        .tls_address = "",
        .plain_address = "",
        .internal_address = config_str(s->config, "sfu.metrics_address"),
        .internal_port = port,
        .internal_key = s->internal_key,
        .max_connections = 64,
    };
    s->http = http_new(s->loop, &o);
    if (!s->http) {
        return ERR_NOMEM;
    }
    http_add_routes(s->http, ops_routes, s);
    observer_routes(s->observer, s->http);
    return http_start(s->http);
}

/* ---- the workers ---- */

static bool is_any(const char *address)
{
    return address[0] == '\0' || strcmp(address, "0.0.0.0") == 0 || strcmp(address, "::") == 0;
}

static int add_host_addresses(struct sfud *s, struct worker_options *o)
{
    bool loopback = config_bool(s->config, "sfu.allow_loopback");
    s->address = calloc(SDP_MAX_CANDIDATES, sizeof *s->address);
    if (!s->address) {
        return ERR_NOMEM;
    }
    int n = host_addresses(s->address, SDP_MAX_CANDIDATES, loopback);
    for (int i = 0; i < n; i++) {
        o->candidate[o->n_candidates++].address = s->address[i];
    }
    return n > 0 ? OK : n < 0 ? n : ERR_NOT_FOUND;
}

/* What clients are told: the addresses of the configuration; else the one that the port is bound
 * to; else all of this host's. */
static int add_candidates(struct sfud *s, struct worker_options *o)
{
    const char *named;
    while (o->n_candidates < SDP_MAX_CANDIDATES - 1 &&
           (named = config_item(s->config, "sfu.public_addresses", o->n_candidates))) {
        o->candidate[o->n_candidates++].address = named;
    }
    if (o->n_candidates == 0 && is_any(o->address)) {
        return add_host_addresses(s, o);
    }
    if (o->n_candidates == 0) {
        o->candidate[o->n_candidates++].address = o->address;
    } else if (config_bool(s->config, "sfu.allow_loopback")) {
        o->candidate[o->n_candidates++].address = "127.0.0.1";
    }
    return OK;
}

/* What other nodes are to know; empty: there are none. */
static int read_relay_secret(const struct config *c, char *secret, size_t cap)
{
    const char *path = config_str(c, "sfu.relay_secret_file");
    secret[0] = '\0';
    int err = path[0] ? config_read_secret(secret, cap, path) : OK;
    return err ? fail(path, err) : OK;
}

static int start_workers(struct sfud *s)
{
    const struct config *c = s->config;
    char secret[SECRET_TEXT];
    struct worker_options o = {
        .node = config_str(c, "sfu.node"),
        .instance = s->instance.s,
        .region = config_str(c, "sfu.region"),
        .address = config_str(c, "sfu.address"),
        .port = (int)config_int(c, "sfu.port"),
        .buffer_bytes = (int)config_int(c, "sfu.buffer_bytes"),
        .max_rooms = (size_t)config_int(c, "sfu.max_rooms"),
        .max_transports = (size_t)config_int(c, "sfu.max_transports"),
        .pool_packets = POOL_PACKETS,
        .cache_us = config_int(c, "sfu.cache_ms") * 1000,
        .dtls = s->dtls,
        .on_report = signald_link_on_report,
        .arg = s->link,
    };
    struct worker_set_options set = {
        .workers = (size_t)config_int(c, "sfu.workers"),
        .pin = config_bool(c, "sfu.pin_workers"),
        .max_rooms = o.max_rooms,
        .room_workers = (size_t)config_int(c, "sfu.room_workers"),
        .participants = (uint32_t)config_int(c, "sfu.room_participants"),
        .busy_per_mille = (uint32_t)config_int(c, "sfu.room_busy_percent") * 10,
        .nodes = {.address = config_str(c, "sfu.relay_address"),
                  .port = (int)config_int(c, "sfu.relay_port")},
    };
    limits_read(&o, c);
    int err = add_candidates(s, &o);
    if (err) {
        return fail("no address to offer: set [sfu] public_addresses or allow_loopback", err);
    }
    err = read_relay_secret(c, secret, sizeof secret);
    if (err) {
        return err;
    }
    set.nodes.secret = secret[0] ? secret : NULL;
    set.nodes.secret_len = strlen(secret);
    err = worker_set_start(&s->workers, &o, &set);
    explicit_bzero(secret, sizeof secret);
    if (err) {
        return fail("the media or relay ports", err);
    }
    for (size_t i = 0; i < o.n_candidates; i++) {
        LOG_I("candidate", "address=%s", o.candidate[i].address);
    }
    return OK;
}

/* An admin's requests ask for the key that internal routes of signald ask for. sfud runs without it
 * too, on a machine of its own say. */
static int start_observer(struct sfud *s)
{
    const char *path = config_str(s->config, "http.internal_key_file");
    int err = path[0] ? config_read_secret(s->internal_key, sizeof s->internal_key, path) : OK;
    if (err) {
        s->internal_key[0] = '\0';
        LOG_I("debug_routes_off", "file=%s error=%s", log_quote(path), err_name(err));
    }
    struct debug_options o = {
        .workers = s->workers,
        .capture_dir = config_str(s->config, "sfu.capture_dir"),
        .full_addresses = config_bool(s->config, "sfu.debug_addresses"),
        .has_key = s->internal_key[0] != '\0',
    };
    return observer_new(&s->observer, s->loop, s->link, &o);
}

static int connect_link(struct sfud *s)
{
    char secret[SECRET_TEXT];
    const char *path = config_str(s->config, "sfu_link.secret_file");
    int err = config_read_secret(secret, sizeof secret, path);
    if (err) {
        return fail(path, err);
    }
    err = signald_link_connect(s->link, s->workers, config_str(s->config, "sfu_link.address"),
                               (int)config_int(s->config, "sfu_link.port"), secret);
    explicit_bzero(secret, sizeof secret);
    return err ? fail("the link to signald", err) : OK;
}

/* ---- life ---- */

static void on_signal(void *arg)
{
    struct sfud *s = arg;
    LOG_I("stopping", NULL);
    loop_stop(s->loop);
}

static int start(struct sfud *s)
{
    sfu_metrics_register();
    s->instance = id_new(clock_wall_us());
    s->loop = loop_new();
    if (!s->loop) {
        return fail("the loop", ERR_NOMEM);
    }
    int err = dtls_context_new(&s->dtls);
    err = err ? err : signald_link_new(&s->link, s->loop);
    if (err) {
        return fail("DTLS or the link", err);
    }
    err = start_workers(s);
    err = err ? err : start_observer(s);
    err = err ? err : connect_link(s);
    if (err) {
        return err;
    }
    err = start_http(s);
    if (err) {
        return fail("the metrics port", err);
    }
    loop_on_signal(s->loop, SIGTERM, on_signal, s);
    loop_on_signal(s->loop, SIGINT, on_signal, s);
    return OK;
}

static void stop(struct sfud *s)
{
    observer_free(s->observer);
    worker_set_stop(s->workers);
    signald_link_free(s->link);
    http_free(s->http);
    dtls_context_free(s->dtls);
    if (s->loop) {
        loop_free(s->loop);
    }
    config_free(s->config);
    explicit_bzero(s->internal_key, sizeof s->internal_key);
    free(s->address);
}

static void open_log(const struct config *c)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    enum log_level level = LOG_INFO;
    for (int i = 0; i < 4; i++) {
        if (strcmp(config_str(c, "log.level"), names[i]) == 0) {
            level = (enum log_level)i;
        }
    }
    log_init("sfud", level, strcmp(config_str(c, "log.format"), "json") == 0);
}

static int usage(const char *program)
{
    fprintf(stderr, "usage: %s [--config FILE]\n", program);
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {NULL, 0, NULL, 0}};
    const char *path = NULL;
    char why[512];
    struct sfud s = {0};
    int option;
    while ((option = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
        if (option != 'c') {
            return usage(argv[0]);
        }
        path = optarg;
    }
    if (optind < argc) {
        return usage(argv[0]);
    }
    if (config_load(&s.config, path, why, sizeof why)) {
        fprintf(stderr, "sfud: %s\n", why);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    open_log(s.config);
    int err = start(&s);
    if (!err) {
        LOG_I("started", "node=%s instance=%s workers=%zu port=%d",
              config_str(s.config, "sfu.node"), s.instance.s, worker_set_count(s.workers),
              worker_port(worker_set_at(s.workers, 0)));
        loop_run(s.loop);
    }
    stop(&s);
    return err ? 1 : 0;
}
