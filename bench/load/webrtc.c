/* sotto-load-webrtc: thousands of WebRTC endpoints, driven by JSON lines on stdin, telling by JSON
 * lines on stdout (bench/README.md; bench/lib/load.mjs speaks it). Logs go to stderr. Everything is
 * on one thread but libnice's agents. Events are written blocking: who doesn't read them stops the
 * load, which sent.late_max_ms then shows. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include "bench/load/webrtc_private.h"
#include "lib/base/err.h"
#include "lib/base/ids.h"
#include "lib/base/log.h"

/* ---- stdout ---- */

static void write_all(const char *data, size_t n)
{
    while (n > 0) {
        ssize_t done = write(STDOUT_FILENO, data, n);
        if (done < 0 && errno != EINTR && errno != EAGAIN)
            return; /* nobody listens any more: stdin ends too */
        if (done > 0) {
            data += done;
            n -= (size_t)done;
        }
    }
}

void load_emit(cJSON *event)
{
    char *text = json_print(event);
    cJSON_Delete(event);
    if (!text)
        return;
    size_t n = strlen(text);
    text[n] = '\n'; /* in the place of its 0 */
    write_all(text, n + 1);
    free(text);
}

cJSON *load_event(const char *name)
{
    cJSON *event = json_new();
    json_put_str(event, "ev", name);
    return event;
}

void load_error(const char *op, const char *fmt, ...)
{
    char why[300];
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, sizeof why, fmt, args);
    va_end(args);
    cJSON *event = load_event("error");
    json_put_str(event, "why", why);
    json_put_str(event, "op", op);
    load_emit(event);
}

/* ---- stdin ---- */

static void take_line(struct load *l)
{
    if (l->skipping)
        load_error(NULL, "the line is over 1 MiB");
    else if (l->line.len > 0)
        load_command(l, (const char *)l->line.data, l->line.len);
    l->skipping = false;
    buf_clear(&l->line);
}

static void take_input(struct load *l, const char *data, size_t n)
{
    while (n > 0 && !l->quitting) {
        const char *end = memchr(data, '\n', n);
        size_t part = end ? (size_t)(end - data) : n;
        if (!l->skipping && buf_append(&l->line, data, part) != OK)
            l->skipping = true;
        if (!end)
            return;
        take_line(l);
        data += part + 1;
        n -= part + 1;
    }
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *out)
{
    static char room[65536];
    (void)h;
    (void)suggested;
    *out = uv_buf_init(room, sizeof room);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    struct load *l = s->data;
    if (n > 0)
        take_input(l, b->base, (size_t)n);
    if (n < 0 || l->quitting) {
        uv_read_stop(s);
        loop_stop(l->loop);
    }
}

/* A file is read as a whole, a pipe as it comes. */
static bool read_file(struct load *l)
{
    char room[4096];
    ssize_t n;
    while ((n = read(STDIN_FILENO, room, sizeof room)) > 0 && !l->quitting)
        take_input(l, room, (size_t)n);
    return false;
}

static bool open_stdin(struct load *l, uv_pipe_t *in)
{
    if (uv_guess_handle(STDIN_FILENO) != UV_NAMED_PIPE)
        return read_file(l);
    if (uv_pipe_init(loop_uv(l->loop), in, 0) != 0)
        return false;
    in->data = l;
    if (uv_pipe_open(in, STDIN_FILENO) != 0 ||
        uv_read_start((uv_stream_t *)in, on_alloc, on_read) != 0) {
        uv_close((uv_handle_t *)in, NULL);
        return false;
    }
    return true;
}

/* ---- life ---- */

static void on_signal(void *arg)
{
    loop_stop(arg);
}

/* A socket an endpoint. */
static void raise_limits(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
}

static void run(struct load *l, bool report)
{
    uv_pipe_t in;
    load_mark(l);
    load_emit(load_event("ready"));
    bool open = open_stdin(l, &in);
    if (open) {
        loop_run(l->loop);
        uv_close((uv_handle_t *)&in, NULL);
    }
    load_close_all(l);
    buf_free(&l->line);
    endpoint_host_free(l->host);
    loop_free(l->loop); /* `in` is closed for good in here */
    if (report)
        fprintf(stderr, "cpu_s=%.3f\n", (double)load_cpu_us() / 1e6);
}

int main(int argc, char **argv)
{
    static struct load l;
    bool report = argc == 2 && strcmp(argv[1], "--cpu-report") == 0;
    if (argc > 1 && !report) {
        fprintf(stderr, "usage: %s [--cpu-report] <commands >events\n", argv[0]);
        return 2;
    }
    log_init("load", LOG_INFO, false);
    raise_limits();
    buf_init(&l.line, LOAD_MAX_LINE);
    l.loop = loop_new();
    int r = l.loop ? endpoint_host_new(&l.host, l.loop) : ERR_NOMEM;
    if (r != OK) {
        fprintf(stderr, "%s: cannot start: %s\n", argv[0], err_name(r));
        loop_free(l.loop);
        return 1;
    }
    loop_on_signal(l.loop, SIGTERM, on_signal, l.loop);
    loop_on_signal(l.loop, SIGINT, on_signal, l.loop);
    run(&l, report);
    return 0;
}
