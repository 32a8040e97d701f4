/* sotto-load-xmpp; see bench/load/xmpp_load.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "bench/client/args.h"
#include "bench/load/xmpp_load.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"

enum { LINE = 4096, TICK_US = 1000 };

static struct {
    uv_pipe_t in;
    struct buf line;
    struct load load;
} prog;

void load_tell(cJSON *event)
{
    char *text = json_print(event);
    cJSON_Delete(event);
    if (!text)
        abort();
    puts(text);
    fflush(stdout);
    free(text);
}

static void quit(struct load *l, int err)
{
    if (l->over)
        return;
    l->over = true;
    l->err = err;
    loop_stop(l->loop);
}

void load_fail(struct load *l, const char *why)
{
    if (l->over)
        return;
    cJSON *e = json_new();
    json_put_str(e, "ev", "error");
    json_put_str(e, "why", why);
    load_tell(e);
    quit(l, ERR_IO);
}

static void on_line(const char *text, size_t len)
{
    struct load *l = &prog.load;
    cJSON *o = NULL;
    if (json_parse(&o, text, len) != OK) {
        load_fail(l, "a command that is no JSON");
        return;
    }
    const char *op = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "op"));
    if (op && strcmp(op, "quit") == 0)
        quit(l, OK);
    else if (!op || strcmp(op, "run") != 0 || run_begin(l, o) != OK)
        load_fail(l, "a command that is unknown, wrong, or too early");
    cJSON_Delete(o);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    (void)s;
    if (n < 0) { /* whoever gave commands is gone */
        quit(&prog.load, OK);
    } else if (buf_append(&prog.line, b->base, (size_t)n) != OK) {
        load_fail(&prog.load, "a line that is too long");
    }
    free(b->base);
    uint8_t *end;
    while (!prog.load.over && prog.line.len > 0 &&
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

static int read_mode(struct load *l, const char *name)
{
    static const char *const modes[] = {"direct", "room", "recovery"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(name, modes[i]) != 0)
            continue;
        l->mode = (enum load_mode)i;
        return OK;
    }
    return ERR_INVALID;
}

static int read_numbers(struct load *l, int argc, char **argv)
{
    int64_t clients, first, members, bytes, managed, page, expect;
    if (args_int(&clients, argc, argv, "--clients", 200, 1, WS_CLIENT_SOCKETS) != OK ||
        args_int(&first, argc, argv, "--first", 0, 0, 10000000) != OK ||
        args_int(&members, argc, argv, "--members", 50, 1, WS_CLIENT_SOCKETS) != OK ||
        args_int(&bytes, argc, argv, "--bytes", 300, 1, LOAD_BODY_MAX) != OK ||
        args_int(&managed, argc, argv, "--managed", 1, 0, 1) != OK ||
        args_int(&page, argc, argv, "--page", 250, 1, 10000) != OK ||
        args_int(&expect, argc, argv, "--expect", 0, 0, 10000000) != OK)
        return ERR_INVALID;
    l->clients = (int)clients;
    l->first = (int)first;
    l->members = (int)members;
    l->managed = managed == 1;
    l->page = (int)page;
    l->expect = (int)expect;
    memset(l->body, 'x', (size_t)bytes);
    return OK;
}

static int read_options(struct load *l, int argc, char **argv)
{
    static const char *const names[] = {
        "--mode",         "--url",   "--domain",  "--password", "--clients", "--first", "--members",
        "--room-service", "--bytes", "--managed", "--page",     "--expect",  NULL};
    if (args_check(argc, argv, names) != OK || read_numbers(l, argc, argv) != OK)
        return ERR_INVALID;
    l->url = args_text(argc, argv, "--url", NULL);
    l->domain = args_text(argc, argv, "--domain", NULL);
    l->password = args_text(argc, argv, "--password", NULL);
    l->room_service = args_text(argc, argv, "--room-service", "");
    bool known = read_mode(l, args_text(argc, argv, "--mode", "direct")) == OK;
    bool whole = (l->mode != LOAD_DIRECT || l->clients % 2 == 0) &&
                 (l->mode != LOAD_ROOM || l->clients % l->members == 0);
    if (!known || !whole || !l->url || !l->domain || !l->password) {
        fprintf(stderr, "%s: see bench/load/xmpp_load.h\n", argv[0]);
        return ERR_INVALID;
    }
    return OK;
}

static int set_up(struct load *l)
{
    l->loop = loop_new();
    if (!l->loop)
        return ERR_NOMEM;
    struct ws_client_options o = {.loop = l->loop, .in_flight = 64};
    l->ws = ws_client_new(&o);
    l->clock = loop_timer_new(l->loop, run_tick, l);
    if (!l->ws || !l->clock)
        return ERR_NOMEM;
    buf_init(&prog.line, LINE);
    if (uv_pipe_init(loop_uv(l->loop), &prog.in, 0) != 0 ||
        uv_pipe_open(&prog.in, STDIN_FILENO) != 0 ||
        uv_read_start((uv_stream_t *)&prog.in, on_alloc, on_read) != 0)
        return ERR_IO;
    int err = pace_open(l);
    if (err != OK)
        return err;
    loop_timer_start(l->clock, TICK_US, TICK_US);
    return users_open(l);
}

int main(int argc, char **argv)
{
    struct load *l = &prog.load;
    if (read_options(l, argc, argv) != OK)
        return 2;
    int err = set_up(l);
    if (err != OK) {
        fprintf(stderr, "%s: %s (commands come by a pipe on stdin)\n", argv[0], err_name(err));
        return 1;
    }
    loop_run(l->loop);
    ws_client_free(l->ws);
    loop_timer_free(l->clock);
    pace_close(l);
    uv_close((uv_handle_t *)&prog.in, NULL);
    loop_free(l->loop);
    users_free(l);
    buf_free(&prog.line);
    return l->err == OK ? 0 : 1;
}
