#include "bench/client/relay.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "lib/base/err.h"
#include "lib/io/udp.h"

#define BUFFER_BYTES (1 << 20)

/* One way: read from `from`, held by the impair, written to `to`. */
struct way {
    struct impair_relay *relay;
    struct udp *from, *to;
    struct sockaddr_in6 *target; /* port 0: nobody yet */
    struct impair *impair;
    uv_poll_t *poll; /* on from's socket */
};

struct impair_relay {
    struct loop *loop;
    struct loop_timer *timer;
    int64_t timer_us;         /* when it is to go off; INT64_MAX: not running */
    struct udp *front, *back; /* towards the client, towards the server */
    struct sockaddr_in6 client, server;
    struct way up, down;
    struct udp_packet in[UDP_BATCH], out[UDP_BATCH];
    uint8_t in_room[UDP_BATCH][UDP_MTU], out_room[UDP_BATCH][IMPAIR_MAX_PACKET];
};

static int64_t clock_us(void)
{
    return (int64_t)(uv_hrtime() / 1000);
}

/* Sends what is due. With nobody to send to it is lost, as on a link whose other end is away. */
static void drain(struct way *w, int64_t now_us)
{
    struct impair_relay *r = w->relay;
    int n;

    do {
        for (n = 0; n < UDP_BATCH; n++) {
            size_t len = impair_poll(w->impair, r->out_room[n], now_us);
            if (len == 0)
                break;
            r->out[n] = (struct udp_packet){r->out_room[n], len, *w->target, {{{0}}}};
        }
        if (n > 0 && w->target->sin6_port != 0)
            udp_send(w->to, r->out, n);
    } while (n == UDP_BATCH);
}

static void run(struct impair_relay *r)
{
    int64_t now_us = clock_us();

    drain(&r->up, now_us);
    drain(&r->down, now_us);
    int64_t up = impair_deadline(r->up.impair), down = impair_deadline(r->down.impair);
    int64_t at = up < down ? up : down;
    if (at == r->timer_us)
        return;
    r->timer_us = at;
    if (at == INT64_MAX)
        loop_timer_stop(r->timer);
    else
        loop_timer_start(r->timer, at > now_us ? at - now_us : 0, 0);
}

static void on_timer(void *arg)
{
    struct impair_relay *r = arg;

    r->timer_us = INT64_MAX;
    run(r);
}

static bool is_server(const struct impair_relay *r, const struct sockaddr_in6 *peer)
{
    return peer->sin6_port == r->server.sin6_port &&
           memcmp(&peer->sin6_addr, &r->server.sin6_addr, sizeof peer->sin6_addr) == 0;
}

static void take(struct way *w, const struct udp_packet *p, int64_t now_us)
{
    struct impair_relay *r = w->relay;

    if (p->len == 0 || (w == &r->down && !is_server(r, &p->peer)))
        return;
    if (w == &r->up)
        r->client = p->peer; /* whoever sent last: that's how it may move */
    impair_input(w->impair, p->data, p->len, now_us);
}

static void on_readable(uv_poll_t *h, int status, int events)
{
    struct way *w = h->data;
    struct impair_relay *r = w->relay;
    int n;

    (void)status; /* an error shows in the read */
    (void)events;
    do {
        n = udp_recv(w->from, r->in, UDP_BATCH);
        int64_t now_us = clock_us();
        for (int i = 0; i < n; i++)
            take(w, &r->in[i], now_us);
    } while (n == UDP_BATCH);
    run(r);
}

static int open_way(struct way *w, struct impair_relay *r, struct udp *from, struct udp *to,
                    struct sockaddr_in6 *target, const struct impair_config *c)
{
    *w = (struct way){.relay = r, .from = from, .to = to, .target = target};
    int e = impair_new(&w->impair, c);
    if (e < 0)
        return e;
    w->poll = calloc(1, sizeof *w->poll);
    if (!w->poll)
        return ERR_NOMEM;
    if (uv_poll_init(loop_uv(r->loop), w->poll, udp_fd(from)) != 0) {
        free(w->poll);
        w->poll = NULL;
        return ERR_IO;
    }
    w->poll->data = w;
    return uv_poll_start(w->poll, UV_READABLE, on_readable) == 0 ? OK : ERR_IO;
}

static int open_all(struct impair_relay *r, const struct impair_config *up,
                    const struct impair_config *down)
{
    const struct in6_addr *to = &r->server.sin6_addr;
    bool local = IN6_IS_ADDR_LOOPBACK(to) || (IN6_IS_ADDR_V4MAPPED(to) && to->s6_addr[12] == 127);
    const char *back = !local ? "" : IN6_IS_ADDR_LOOPBACK(to) ? "::1" : "127.0.0.1";
    int e = udp_open(&r->front, "127.0.0.1", 0, BUFFER_BYTES);

    if (e == OK)
        e = udp_open(&r->back, back, 0, BUFFER_BYTES);
    if (e == OK)
        e = open_way(&r->up, r, r->front, r->back, &r->server, up);
    if (e == OK)
        e = open_way(&r->down, r, r->back, r->front, &r->client, down);
    if (e != OK)
        return e;
    r->timer = loop_timer_new(r->loop, on_timer, r);
    return r->timer ? OK : ERR_NOMEM;
}

int impair_relay_new(struct impair_relay **out, struct loop *loop,
                     const struct sockaddr_in6 *server, const struct impair_config *up,
                     const struct impair_config *down)
{
    struct impair_relay *r = calloc(1, sizeof *r);

    if (!r)
        return ERR_NOMEM;
    r->loop = loop;
    r->server = *server;
    r->timer_us = INT64_MAX;
    for (int i = 0; i < UDP_BATCH; i++)
        r->in[i].data = r->in_room[i];
    int e = open_all(r, up, down);
    if (e != OK) {
        impair_relay_free(r);
        return e;
    }
    *out = r;
    return OK;
}

static void free_poll(uv_handle_t *h)
{
    free(h);
}

static void close_way(struct way *w)
{
    if (w->poll)
        uv_close((uv_handle_t *)w->poll, free_poll);
    impair_free(w->impair);
}

void impair_relay_free(struct impair_relay *r)
{
    if (!r)
        return;
    close_way(&r->up);
    close_way(&r->down);
    if (r->timer)
        loop_timer_free(r->timer);
    if (r->front)
        udp_close(r->front);
    if (r->back)
        udp_close(r->back);
    free(r);
}

int impair_relay_port(const struct impair_relay *r)
{
    return udp_port(r->front);
}

void impair_relay_stats(const struct impair_relay *r, struct impair_stats *up,
                        struct impair_stats *down)
{
    impair_stats(r->up.impair, up);
    impair_stats(r->down.impair, down);
}
