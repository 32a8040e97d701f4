/* signald: accounts, conversations, sockets and calls on one event loop. Here the parts are wired
 * together; none of them knows another but by what stands here. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accounts/accounts.h"
#include "lib/base/config.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/io/http.h"
#include "lib/io/loop.h"
#include "lib/io/pg.h"
#include "messaging/messaging.h"
#include "signaling/shell/call_service.h"
#include "signaling/shell/hub.h"
#include "signaling/shell/ops.h"
#include "signaling/shell/sfu_link.h"
#include "turn/turn.h"

#define DRAIN_TIME_US                                                                              \
    INT64_C(2500000)                  /* sockets close and requests finish within it, or are cut   \
                                       */
#define DRAIN_LOOK_US INT64_C(100000) /* it's looked this often whether they have */
#define MAX_ORIGINS   64

struct app {
    struct config *config;
    struct loop *loop;
    struct pg *pg;
    struct accounts *accounts;
    struct http_server *http;
    struct messaging *messaging;
    struct hub *hub;
    struct turn *turn;
    struct sfu_pool *sfu;
    struct calls *calls;
    struct ops *ops;
    struct loop_timer *stop_timer;
    int64_t drain_left_us;
    const char *origins[MAX_ORIGINS + 1];
    char internal_key[256];
};

static int fail(const char *what)
{
    fprintf(stderr, "signald: %s\n", what);
    return EXIT_FAILURE;
}

/* ---- wires ---- */
static int authenticate(void *arg, const char *token, struct http_principal *out)
{
    struct app *a = arg;
    return accounts_authenticate(a->accounts, token, out);
}

static void on_session_revoked(void *arg, const struct id *user_id, const struct id *device_id,
                               const struct id *session_id, const char *reason)
{
    struct app *a = arg;
    /* A device that signs in again goes on with its call under the new session. */
    if (a->calls && strcmp(reason, "replaced") != 0)
        calls_device_gone(a->calls, user_id, device_id);
    if (a->hub)
        hub_close_session(a->hub, user_id->s, session_id->s, reason);
}

static void on_inbox_written(void *arg, const char *user_id)
{
    struct app *a = arg;
    hub_announce(a->hub, user_id);
}

static bool calls_are_ready(const void *calls)
{
    return calls_ready(calls);
}

static void on_offline(void *arg, const struct http_principal *who, bool online)
{
    struct app *a = arg;
    if (!online)
        accounts_touch(a->accounts, who);
}

/* ---- signals ---- */
static void on_drain_look(void *arg)
{
    struct app *a = arg;
    a->drain_left_us -= DRAIN_LOOK_US;
    if (a->drain_left_us <= 0 || hub_is_empty(a->hub))
        loop_stop(a->loop);
}

static void on_terminate(void *arg)
{
    struct app *a = arg;
    if (a->stop_timer) { /* a second signal doesn't wait */
        loop_stop(a->loop);
        return;
    }
    LOG_I("draining", NULL);
    ops_drain(a->ops);
    hub_drain(a->hub);
    http_drain(a->http);
    a->drain_left_us = DRAIN_TIME_US;
    a->stop_timer = loop_timer_new(a->loop, on_drain_look, a);
    if (a->stop_timer)
        loop_timer_start(a->stop_timer, DRAIN_LOOK_US, DRAIN_LOOK_US);
    else
        loop_stop(a->loop);
}

static void on_reload(void *arg)
{
    struct app *a = arg;
    int err = accounts_reload_keys(a->accounts);
    if (err == OK)
        LOG_I("keys_reloaded", NULL);
    else
        LOG_E("keys_not_reloaded", "err=%s", err_name(err));
}

/* ---- start ---- */
static void start_log(const struct config *c)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    enum log_level level = LOG_INFO;
    for (int i = 0; i < 4; i++) {
        if (strcmp(config_str(c, "log.level"), levels[i]) == 0)
            level = (enum log_level)i;
    }
    log_init("signald", level, strcmp(config_str(c, "log.format"), "json") == 0);
}

static int open_database(struct app *a)
{
    const struct config *c = a->config;
    struct pg_options o = {
        .conninfo = config_str(c, "postgres.conninfo"),
        .connections = (int)config_int(c, "postgres.connections"),
        .query_timeout_us = config_duration_us(c, "postgres.query_timeout"),
        .max_queued = (size_t)config_int(c, "postgres.max_queued"),
    };
    if (!o.conninfo[0])
        return fail("[postgres] conninfo is not set");
    a->pg = pg_open(a->loop, &o);
    return a->pg ? EXIT_SUCCESS : fail("[postgres] conninfo is no libpq connection string");
}

static int open_accounts(struct app *a)
{
    int err = OK;
    struct accounts_options o = {
        .loop = a->loop,
        .pg = a->pg,
        .on_session_revoked = on_session_revoked,
        .on_session_revoked_arg = a,
    };
    accounts_options_load(&o, a->config);
    a->accounts = accounts_new(&o, &err);
    if (a->accounts)
        return EXIT_SUCCESS;
    fprintf(stderr, "signald: [auth] key_dir %s: %s (make keys: sottoctl keys init)\n", o.key_dir,
            err_name(err));
    return EXIT_FAILURE;
}

static int read_internal_key(struct app *a)
{
    const char *path = config_str(a->config, "http.internal_key_file");
    int err = path[0] ? config_read_secret(a->internal_key, sizeof(a->internal_key), path) : OK;
    if (err == OK)
        return EXIT_SUCCESS;
    fprintf(stderr, "signald: [http] internal_key_file %s: %s (make it: sottoctl secrets init)\n",
            path, err_name(err));
    return EXIT_FAILURE;
}

static int open_http(struct app *a)
{
    const struct config *c = a->config;
    if (read_internal_key(a) != EXIT_SUCCESS)
        return EXIT_FAILURE;
    for (size_t i = 0; i < MAX_ORIGINS && config_item(c, "http.origins", i); i++)
        a->origins[i] = config_item(c, "http.origins", i);
    const char *root = config_str(c, "http.web_root");
    struct http_options o = {
        .name = "signald",
        .tls_address = config_str(c, "http.public_address"),
        .tls_port = (int)config_int(c, "http.tls_port"),
        .cert_file = config_str(c, "http.cert_file"),
        .key_file = config_str(c, "http.key_file"),
        .plain_address = config_str(c, "http.plain_address"),
        .plain_port = (int)config_int(c, "http.plain_port"),
        .internal_address = config_str(c, "http.internal_address"),
        .internal_port = (int)config_int(c, "http.internal_port"),
        .internal_key = a->internal_key,
        .web_root = root[0] ? root : NULL,
        .origins = a->origins,
        .user_limit = config_int(c, "http.user_requests_per_minute"),
        .address_limit = config_int(c, "http.address_requests_per_minute"),
        .trust_forwarded = config_bool(c, "http.trust_forwarded"),
        .authenticate = authenticate,
        .authenticate_arg = a,
        .pg = a->pg,
        .max_connections = (size_t)config_int(c, "http.max_connections"),
    };
    a->http = http_new(a->loop, &o);
    if (!a->http)
        return fail("could not make the HTTP server");
    http_add_routes(a->http, accounts_routes, a->accounts);
    return EXIT_SUCCESS;
}

static int open_hub(struct app *a)
{
    const struct config *c = a->config;
    struct messaging_options m = {a->pg, on_inbox_written, a};
    struct hub_options h = {
        .loop = a->loop,
        .http = a->http,
        .pg = a->pg,
        .accounts = a->accounts,
        .heartbeat_us = config_duration_us(c, "socket.heartbeat"),
        .queue_frames = (size_t)config_int(c, "socket.queue_frames"),
        .queue_bytes = (size_t)config_int(c, "socket.queue_bytes"),
        .frames_per_second = (double)config_int(c, "socket.frames_per_second"),
        .burst = (int)config_int(c, "socket.burst"),
        .retention_us = config_duration_us(c, "socket.inbox_retention"),
    };
    a->messaging = messaging_new(&m);
    a->hub = hub_new(&h);
    if (!a->messaging || !a->hub)
        return fail("out of memory");
    messaging_add_routes(a->messaging, a->http);
    hub_on_presence(a->hub, on_offline, a);
    return EXIT_SUCCESS;
}

static int open_turn(struct app *a)
{
    char why[512] = "out of memory";
    if (turn_new(&a->turn, a->config, why, sizeof(why)) != OK)
        return fail(why);
    turn_add_routes(a->turn, a->http);
    return EXIT_SUCCESS;
}

static int open_sfu(struct app *a)
{
    const struct config *c = a->config;
    char secret[256];
    int port = (int)config_int(c, "sfu_link.port");
    const char *path = config_str(c, "sfu_link.secret_file");
    if (port == 0)
        return EXIT_SUCCESS;
    int err = config_read_secret(secret, sizeof(secret), path);
    if (err != OK) {
        fprintf(stderr, "signald: [sfu_link] secret_file %s: %s (make it: sottoctl secrets init)\n",
                path, err_name(err));
        return EXIT_FAILURE;
    }
    err = sfu_pool_open(&a->sfu, a->loop, config_str(c, "sfu_link.address"), port, secret);
    explicit_bzero(secret, sizeof(secret));
    return err == OK ? EXIT_SUCCESS : fail("[sfu_link] can't listen: see the line above");
}

static int open_calls(struct app *a)
{
    const struct config *c = a->config;
    struct calls_options o = {
        .loop = a->loop,
        .http = a->http,
        .pg = a->pg,
        .hub = a->hub,
        .sfu = a->sfu,
        .turn = a->turn,
        .ring_timeout_us = config_duration_us(c, "calls.ring_timeout"),
        .grace_us = config_duration_us(c, "calls.grace"),
        .fallback_after_us = config_duration_us(c, "calls.fallback_after"),
        .max_participants = (int)config_int(c, "calls.max_participants"),
        .start_per_minute = config_int(c, "calls.start_per_minute"),
    };
    a->calls = calls_new(&o);
    return a->calls ? EXIT_SUCCESS : fail("out of memory");
}

static int open_ops(struct app *a)
{
    struct ops_options o = {
        .loop = a->loop,
        .http = a->http,
        .pg = a->pg,
        .sfu = a->sfu,
        .config = a->config,
        .calls_ready = calls_are_ready,
        .calls = a->calls,
    };
    a->ops = ops_new(&o);
    return a->ops ? EXIT_SUCCESS : fail("out of memory");
}

static void say_ready(const struct app *a)
{
    const struct config *c = a->config;
    int tls = (int)config_int(c, "http.tls_port"), plain = (int)config_int(c, "http.plain_port");
    int internal = (int)config_int(c, "http.internal_port");
    char urls[1024] = "";
    size_t n = 0;
    if (tls)
        n += (size_t)snprintf(urls + n, sizeof(urls) - n, " https=https://%s:%d",
                              config_str(c, "http.public_address"), tls);
    if (plain)
        n += (size_t)snprintf(urls + n, sizeof(urls) - n, " http=http://%s:%d",
                              config_str(c, "http.plain_address"), plain);
    if (internal)
        snprintf(urls + n, sizeof(urls) - n, " internal=http://%s:%d",
                 config_str(c, "http.internal_address"), internal);
    LOG_I("ready", "%s", urls[0] ? urls + 1 : "");
}

/* Parts in the order in which they need each other. */
static int open_all(struct app *a)
{
    static int (*const steps[])(struct app *) = {
        open_database, open_accounts, open_http,  open_hub,
        open_turn,     open_sfu,      open_calls, open_ops,
    };
    a->loop = loop_new();
    if (!a->loop)
        return fail("out of memory");
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        if (steps[i](a) != EXIT_SUCCESS)
            return EXIT_FAILURE;
    }
    if (loop_on_signal(a->loop, SIGTERM, on_terminate, a) != OK ||
        loop_on_signal(a->loop, SIGINT, on_terminate, a) != OK ||
        loop_on_signal(a->loop, SIGHUP, on_reload, a) != OK)
        return fail("can't watch signals");
    if (http_start(a->http) != OK)
        return fail("[http] can't listen: see the line above");
    return EXIT_SUCCESS;
}

/* The server's sockets go first, while everything that they tell is still there; the database goes
 * before what waits for its answers, so that each of those hears ERR_CLOSED. */
static void close_all(struct app *a)
{
    http_free(a->http);
    calls_free(a->calls);
    sfu_pool_free(a->sfu);
    if (a->pg)
        pg_close(a->pg);
    ops_free(a->ops);
    hub_free(a->hub);
    messaging_free(a->messaging);
    turn_free(a->turn);
    accounts_free(a->accounts);
    if (a->stop_timer)
        loop_timer_free(a->stop_timer);
    if (a->loop)
        loop_free(a->loop);
    config_free(a->config);
    explicit_bzero(a->internal_key, sizeof(a->internal_key));
}

/* `--config PATH`; NULL: defaults and environment. -1 after a message. */
static int read_arguments(int argc, char **argv, const char **path)
{
    *path = getenv("SOTTO_CONFIG");
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--config") == 0 && i + 1 < argc) {
            *path = argv[++i];
        } else {
            fprintf(stderr, "usage: signald [--config FILE]\n");
            return -1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    static struct app app;
    const char *path;
    char why[512];
    if (read_arguments(argc, argv, &path) != 0)
        return 2;
    if (config_load(&app.config, path, why, sizeof(why)) != OK)
        return fail(why);
    start_log(app.config);
    signal(SIGPIPE, SIG_IGN);
    int rc = open_all(&app);
    if (rc == EXIT_SUCCESS) {
        say_ready(&app);
        loop_run(app.loop);
        LOG_I("stopped", NULL);
    }
    close_all(&app);
    return rc;
}
