#include "lib/io/udp_probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "lib/base/buf.h"
#include "lib/base/crypto.h"
#include "lib/base/err.h"

enum {
    STUN_HEADER = 20,
    STUN_TRANSACTION = 12,
    STUN_BINDING_REQUEST = 0x0001,
    STUN_BINDING_SUCCESS = 0x0101,
    STUN_COOKIE = 0x2112A442,
    REPLY_ROOM = 576,
    MISSES_ALLOWED = 1,
};

struct udp_probe {
    struct loop *loop;
    struct loop_timer *timer;
    uv_udp_t *udp; /* freed by its close callback; data: the probe, NULL once it is gone */
    char host[256], port[8];
    uint8_t transaction[STUN_TRANSACTION];
    char reply[REPLY_ROOM];
    bool answered_once;
    int misses; /* questions since the last answer */
    uv_getaddrinfo_t *lookup;
};

static void on_room(uv_handle_t *h, size_t want, uv_buf_t *out)
{
    struct udp_probe *p = h->data;
    (void)want;
    *out = p ? uv_buf_init(p->reply, sizeof(p->reply)) : uv_buf_init(NULL, 0);
}

static void on_datagram(uv_udp_t *h, ssize_t n, const uv_buf_t *b, const struct sockaddr *from,
                        unsigned flags)
{
    struct udp_probe *p = h->data;
    struct cursor c;
    if (!p || n < STUN_HEADER || !from || (flags & UV_UDP_PARTIAL))
        return;
    cursor_init(&c, b->base, (size_t)n);
    bool ours = cursor_u16(&c) == STUN_BINDING_SUCCESS;
    cursor_skip(&c, 2);
    ours = ours && cursor_u32(&c) == STUN_COOKIE;
    const uint8_t *transaction = cursor_bytes(&c, STUN_TRANSACTION);
    if (!ours || !transaction || memcmp(transaction, p->transaction, STUN_TRANSACTION) != 0)
        return;
    p->answered_once = true;
    p->misses = 0;
}

static void ask(struct udp_probe *p, const struct sockaddr *to)
{
    uint8_t question[STUN_HEADER];
    struct writer w;
    random_bytes(p->transaction, sizeof(p->transaction));
    writer_init(&w, question, sizeof(question));
    writer_u16(&w, STUN_BINDING_REQUEST);
    writer_u16(&w, 0);
    writer_u32(&w, STUN_COOKIE);
    writer_bytes(&w, p->transaction, sizeof(p->transaction));
    uv_buf_t b = uv_buf_init((char *)question, sizeof(question));
    uv_udp_try_send(p->udp, &b, 1, to); /* a failure is a question without an answer */
}

static void on_lookup(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    struct udp_probe *p = req->data;
    if (p) {
        p->lookup = NULL;
        if (status == 0 && found)
            ask(p, found->ai_addr);
    }
    uv_freeaddrinfo(found);
    free(req);
}

static void on_timer(void *arg)
{
    struct udp_probe *p = arg;
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_family = AF_INET};
    if (p->misses < 1000)
        p->misses++;
    if (p->lookup)
        return;
    uv_getaddrinfo_t *req = calloc(1, sizeof(*req));
    if (!req)
        return;
    req->data = p;
    if (uv_getaddrinfo(loop_uv(p->loop), req, on_lookup, p->host, p->port, &hints) == 0)
        p->lookup = req;
    else
        free(req);
}

static void on_closed(uv_handle_t *h)
{
    free(h);
}

struct udp_probe *udp_probe_new(struct loop *l, const char *host, int port, int64_t every_us)
{
    struct udp_probe *p = calloc(1, sizeof(*p));
    if (!p || str_copy(p->host, sizeof(p->host), host) != OK) {
        free(p);
        return NULL;
    }
    p->loop = l;
    snprintf(p->port, sizeof(p->port), "%d", port);
    p->udp = calloc(1, sizeof(*p->udp));
    if (!p->udp || uv_udp_init_ex(loop_uv(l), p->udp, AF_INET) != 0) {
        free(p->udp);
        free(p);
        return NULL;
    }
    p->udp->data = p;
    p->timer = loop_timer_new(l, on_timer, p);
    if (!p->timer || uv_udp_recv_start(p->udp, on_room, on_datagram) != 0) {
        udp_probe_free(p);
        return NULL;
    }
    loop_timer_start(p->timer, 0, every_us);
    return p;
}

void udp_probe_free(struct udp_probe *p)
{
    if (!p)
        return;
    if (p->lookup) { /* its callback comes all the same, and finds nobody */
        p->lookup->data = NULL;
        uv_cancel((uv_req_t *)p->lookup);
    }
    loop_timer_free(p->timer);
    p->udp->data = NULL;
    uv_close((uv_handle_t *)p->udp, on_closed);
    free(p);
}

bool udp_probe_alive(const struct udp_probe *p)
{
    return p->answered_once && p->misses <= MISSES_ALLOWED + 1;
}
