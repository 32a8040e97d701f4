#include "bench/load/ws.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/ids.h"

enum { LINE = 64 * 1024, HISTOGRAM_TEXT = 16 * 1024, TELL_US = 500000 };

static const struct mode *const modes[] = {&mode_idle, &mode_storm, &mode_churn, &mode_login, NULL};

static struct {
    uv_pipe_t in;
    struct buf line;
    struct run run;
    bool ended;
} prog;

/* ---- events ---- */

cJSON *run_event(const char *ev)
{
    cJSON *e = json_new();
    json_put_str(e, "ev", ev);
    return e;
}

void run_tell(struct run *r, cJSON *event)
{
    char *text = json_print(event);
    (void)r;
    cJSON_Delete(event);
    if (!text)
        abort();
    puts(text);
    fflush(stdout);
    free(text);
}

void run_error(struct run *r, const char *why)
{
    cJSON *e = run_event("error");
    json_put_str(e, "why", why);
    run_tell(r, e);
}

double run_number(const cJSON *o, const char *name, double dflt)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);
    return cJSON_IsNumber(v) ? v->valuedouble : dflt;
}

const char *run_text(const cJSON *o, const char *name, const char *dflt)
{
    const char *v = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, name));
    return v ? v : dflt;
}

void run_put_histogram(struct run *r, cJSON *into, const char *name, const struct histogram *h)
{
    if (histogram_json(h, r->json, HISTOGRAM_TEXT) > 0)
        json_put(into, name, cJSON_CreateRaw(r->json));
}

/* ---- figures ---- */

static double own_cpu(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

void run_mark(struct run *r)
{
    r->mark_us = clock_mono_us();
    r->mark_cpu = own_cpu();
    r->rtt = (struct histogram){0};
    r->pings_sent = r->pings_lost = r->frames = 0;
    r->late_max_us = 0;
    if (r->mode->on_mark)
        r->mode->on_mark(r);
}

void run_stats(struct run *r, const char *ev)
{
    cJSON *e = run_event(ev), *latency = json_new();
    double window = (double)(clock_mono_us() - r->mark_us) / 1e6, cpu = own_cpu() - r->mark_cpu;
    cJSON_AddNumberToObject(e, "window_s", window);
    cJSON_AddNumberToObject(e, "cpu_s", cpu);
    cJSON_AddNumberToObject(e, "busy", window > 0 ? cpu / window : 0);
    json_put_int(e, "open", r->ready);
    json_put_int(e, "failed", r->failed);
    json_put_int(e, "refused", r->refused);
    json_put_int(e, "resumed", r->resumed);
    json_put_int(e, "pings", (int64_t)r->pings_sent);
    json_put_int(e, "pings_lost", (int64_t)r->pings_lost);
    json_put_int(e, "frames", (int64_t)r->frames);
    cJSON_AddNumberToObject(e, "late_ms", (double)r->late_max_us / 1000);
    run_put_histogram(r, latency, "connect", &r->connect);
    run_put_histogram(r, latency, "ping", &r->rtt);
    json_put(e, "latency", latency);
    if (r->mode->on_stats)
        r->mode->on_stats(r, e);
    run_tell(r, e);
}

/* Twice a second while the sockets open, and once when each is open or has failed. */
static void tell_progress(void *arg)
{
    struct run *r = arg;
    bool done = r->ready + r->failed >= r->n;
    cJSON *e = run_event(done ? "open" : "progress");
    json_put_int(e, "open", r->ready);
    json_put_int(e, "pending", (int64_t)ws_client_pending(r->ws));
    json_put_int(e, "failed", r->failed);
    cJSON_AddNumberToObject(e, "seconds", (double)(clock_mono_us() - r->begun_us) / 1e6);
    if (done) {
        r->all_open = true;
        run_put_histogram(r, e, "connect", &r->connect);
        loop_timer_stop(r->teller);
    }
    run_tell(r, e);
}

/* ---- start and end ---- */

void run_stop(struct run *r)
{
    prog.ended = true;
    loop_stop(r->loop);
}

static const struct mode *find_mode(const char *name)
{
    for (int i = 0; modes[i]; i++) {
        if (strcmp(modes[i]->name, name) == 0)
            return modes[i];
    }
    return NULL;
}

static int open_all(struct run *r)
{
    r->begun_us = clock_mono_us();
    for (int i = 0; i < r->n; i++) {
        int err = peer_connect(&r->peers[i], false);
        if (err != OK)
            return err;
    }
    r->teller = loop_timer_new(r->loop, tell_progress, r);
    if (!r->teller)
        return ERR_NOMEM;
    loop_timer_start(r->teller, TELL_US, TELL_US);
    return OK;
}

static int begin(struct run *r)
{
    const cJSON *c = r->config;
    r->mode = find_mode(run_text(c, "mode", ""));
    if (!r->mode)
        return ERR_INVALID;
    r->xmpp = strcmp(run_text(c, "kind", "sotto"), "xmpp") == 0;
    r->url = run_text(c, "url", "");
    r->domain = run_text(c, "domain", "localhost");
    struct ws_client_options o = {.loop = r->loop,
                                  .per_second = run_number(c, "per_second", 0),
                                  .in_flight = (int)run_number(c, "in_flight", 0)};
    struct http_client_options h = {.loop = r->loop,
                                    .url = run_text(c, "http", ""),
                                    .lanes = (int)run_number(c, "lanes", 0),
                                    .at_once = (int)run_number(c, "at_once", 0)};
    r->ws = ws_client_new(&o);
    r->http = h.url[0] ? http_client_new(&h) : NULL;
    if (!r->ws || (h.url[0] && !r->http))
        return ERR_NOMEM;
    int err = peers_load(r);
    if (err == OK && r->mode->start)
        err = r->mode->start(r);
    if (err == OK && r->mode->opens)
        err = open_all(r);
    run_mark(r);
    return err;
}

static void configure(struct run *r, cJSON *config)
{
    char why[96];
    r->config = config;
    int err = begin(r);
    if (err == OK) {
        run_tell(r, run_event("ready"));
        return;
    }
    snprintf(why, sizeof(why), "configuration: %s", err_name(err));
    run_error(r, why);
    run_stop(r);
}

static void command(struct run *r, const cJSON *c)
{
    const char *op = run_text(c, "op", "");
    if (strcmp(op, "mark") == 0) {
        run_mark(r);
        run_tell(r, run_event("marked"));
    } else if (strcmp(op, "stats") == 0) {
        run_stats(r, "stats");
    } else if (strcmp(op, "pace") == 0) {
        ws_client_pace(r->ws, run_number(c, "per_second", 0), (int)run_number(c, "in_flight", 0));
    } else if (strcmp(op, "stop") == 0) {
        run_stats(r, "result");
        run_stop(r);
    } else if (!r->mode->on_command || !r->mode->on_command(r, op, c)) {
        run_error(r, "unknown op");
    }
}

/* ---- stdin ---- */

static void on_line(const char *text, size_t len)
{
    struct run *r = &prog.run;
    cJSON *o = NULL;
    if (len == 0 || prog.ended)
        return;
    if (json_parse(&o, text, len) != OK || !cJSON_IsObject(o)) {
        run_error(r, "a line that is no JSON object");
        cJSON_Delete(o);
        return;
    }
    if (!r->config) {
        configure(r, o);
        return;
    }
    command(r, o);
    cJSON_Delete(o);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    (void)s;
    if (n < 0) { /* the driver has gone */
        run_stop(&prog.run);
    } else if (buf_append(&prog.line, b->base, (size_t)n) != OK) {
        run_error(&prog.run, "a line that is too long");
        run_stop(&prog.run);
    }
    free(b->base);
    uint8_t *end;
    while (!prog.ended && prog.line.len > 0 &&
           (end = memchr(prog.line.data, '\n', prog.line.len)) != NULL) {
        size_t len = (size_t)(end - prog.line.data);
        on_line((const char *)prog.line.data, len);
        buf_consume(&prog.line, len + 1);
    }
}

static void on_alloc(uv_handle_t *h, size_t n, uv_buf_t *b)
{
    (void)h;
    b->base = malloc(n);
    b->len = b->base ? n : 0;
}

static void end(struct run *r)
{
    r->ending = true;
    ws_client_free(r->ws);
    http_client_free(r->http);
    if (r->pinger)
        loop_timer_free(r->pinger);
    if (r->teller)
        loop_timer_free(r->teller);
    if (r->mode && r->mode->stop)
        r->mode->stop(r);
    peers_free(r);
    free(r->json);
    cJSON_Delete(r->config);
    buf_free(&prog.line);
    uv_close((uv_handle_t *)&prog.in, NULL);
    loop_free(r->loop);
}

int main(void)
{
    struct run *r = &prog.run;
    r->loop = loop_new();
    r->json = malloc(HISTOGRAM_TEXT);
    if (!r->loop || !r->json)
        return 1;
    buf_init(&prog.line, LINE);
    if (uv_pipe_init(loop_uv(r->loop), &prog.in, 0) != 0 ||
        uv_pipe_open(&prog.in, STDIN_FILENO) != 0 ||
        uv_read_start((uv_stream_t *)&prog.in, on_alloc, on_read) != 0) {
        fputs("sotto-load-ws: commands come by a pipe on stdin, see bench/load/ws.h\n", stderr);
        return 2;
    }
    loop_run(r->loop);
    end(r);
    return 0;
}
