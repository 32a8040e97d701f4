/* sotto-load-relay: a bad link in user space between one client and one server
 * (bench/client/relay.h). sotto-load-relay --to A.B.C.D --port P [--loss-permille N] [--delay-ms N]
 * [--rate-kbps N]
 *                    [--queue-ms N] [--seed N]
 * Each way has these, with losses of its own. JSON lines; it ends when stdin does.
 * ← {"ev":"ready","port":N}   on 127.0.0.1, for the client to send to
 * → {"op":"stats"}            ← {"ev":"stats","up":{…},"down":{…}} */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "bench/client/args.h"
#include "bench/client/line_reader.h"
#include "bench/client/relay.h"
#include "lib/base/err.h"

struct link {
    struct loop *loop;
    struct impair_relay *relay;
    struct line_reader lines;
    uv_poll_t in;
};

static void print_way(const char *name, const struct impair_stats *s)
{
    printf(",\"%s\":{\"in\":%" PRIu64 ",\"out\":%" PRIu64 ",\"lost\":%" PRIu64
           ",\"queue_full\":%" PRIu64 "}",
           name, s->in, s->out, s->lost, s->queue_full);
}

static void on_line(void *arg, const char *line, size_t len)
{
    struct impair_stats up, down;
    struct link *l = arg;
    if (!memmem(line, len, "\"stats\"", 7)) {
        puts("{\"ev\":\"error\",\"why\":\"no such op\"}");
    } else {
        impair_relay_stats(l->relay, &up, &down);
        printf("{\"ev\":\"stats\"");
        print_way("up", &up);
        print_way("down", &down);
        puts("}");
    }
    fflush(stdout);
}

static void on_input(uv_poll_t *h, int status, int events)
{
    struct link *l = h->data;
    (void)events;
    int r = status < 0 ? ERR_IO : line_reader_read(&l->lines, STDIN_FILENO, on_line, l);
    if (r != OK && r != ERR_TOO_LARGE) {
        uv_poll_stop(h);
        loop_stop(l->loop);
    }
}

static int read_server(struct sockaddr_in6 *out, int argc, char **argv)
{
    struct in_addr to;
    int64_t port;
    if (args_int(&port, argc, argv, "--port", 0, 1, 65535) != OK ||
        inet_pton(AF_INET, args_text(argc, argv, "--to", ""), &to) != 1)
        return ERR_INVALID;
    *out = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    out->sin6_addr.s6_addr[10] = out->sin6_addr.s6_addr[11] = 0xff;
    memcpy(&out->sin6_addr.s6_addr[12], &to, 4);
    return OK;
}

static int read_way(struct impair_config *out, int argc, char **argv)
{
    int64_t loss, delay_ms, kbps, queue_ms, seed;
    if (args_int(&loss, argc, argv, "--loss-permille", 0, 0, 1000) != OK ||
        args_int(&delay_ms, argc, argv, "--delay-ms", 0, 0, 10000) != OK ||
        args_int(&kbps, argc, argv, "--rate-kbps", 0, 0, 10000000) != OK ||
        args_int(&queue_ms, argc, argv, "--queue-ms", 300, 0, 10000) != OK ||
        args_int(&seed, argc, argv, "--seed", 1, 0, INT32_MAX) != OK)
        return ERR_INVALID;
    *out = (struct impair_config){.loss = (double)loss / 1000,
                                  .delay_us = delay_ms * 1000,
                                  .rate_bps = kbps * 1000,
                                  .queue_us = queue_ms * 1000,
                                  .seed = (uint64_t)seed};
    return OK;
}

static int run(struct link *l, const struct sockaddr_in6 *server, const struct impair_config *up)
{
    struct impair_config down = *up;
    down.seed += 1000000007u;
    l->loop = loop_new();
    int r = l->loop ? impair_relay_new(&l->relay, l->loop, server, up, &down) : ERR_NOMEM;
    if (r != OK)
        return r;
    l->in.data = l;
    if (uv_poll_init(loop_uv(l->loop), &l->in, STDIN_FILENO) != 0)
        return ERR_IO;
    if (uv_poll_start(&l->in, UV_READABLE, on_input) != 0)
        return ERR_IO;
    printf("{\"ev\":\"ready\",\"port\":%d}\n", impair_relay_port(l->relay));
    fflush(stdout);
    loop_run(l->loop);
    uv_close((uv_handle_t *)&l->in, NULL);
    return OK;
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"--to",       "--port",      "--loss-permille",
                                        "--delay-ms", "--rate-kbps", "--queue-ms",
                                        "--seed",     NULL};
    static struct link l;
    struct sockaddr_in6 server;
    struct impair_config way;
    if (args_check(argc, argv, names) != OK || read_way(&way, argc, argv) != OK)
        return 2;
    if (read_server(&server, argc, argv) != OK) {
        fprintf(stderr, "%s: --to needs an IPv4 address, and --port its port\n", argv[0]);
        return 2;
    }
    int r = run(&l, &server, &way);
    if (r != OK)
        fprintf(stderr, "%s: %s\n", argv[0], err_name(r));
    impair_relay_free(l.relay);
    loop_free(l.loop);
    return r == OK ? 0 : 1;
}
