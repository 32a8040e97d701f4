#include "sfu/shell/relay_udp.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/crypto.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/io/udp.h"
#include "lib/proto/relay_frame.h"
#include "sfu/core/relay_session.h"

#define BUFFER_BYTES (4 << 20)
#define PING_US      1000000
#define ROUNDS       8 /* batches read at a time */
#define SECRET_MAX   512
#define OUT_BATCH    32
#define OUT_DATAGRAM (RELAY_MAX_FRAME + RELAY_SESSION_OVERHEAD)

struct udp_peer {
    struct relay_session *session; /* NULL: nobody */
    struct sockaddr_in6 address;
    bool was_up;
    int64_t ping_us;
};

struct relay_udp {
    struct udp *udp;
    const struct relay_udp_handlers *h;
    void *arg;
    uint8_t secret[SECRET_MAX];
    size_t secret_len;
    struct udp_peer peer[RELAY_UDP_PEERS];
    struct relay_udp_counts count;
    size_t n_out;
    struct udp_packet out[OUT_BATCH];
    uint8_t out_data[OUT_BATCH][OUT_DATAGRAM];
    struct udp_packet packet[UDP_BATCH];
    uint8_t data[UDP_BATCH][UDP_MTU];
};

/* ---- lives ---- */

int relay_udp_open(struct relay_udp **out, const char *address, int port, const void *secret,
                   size_t secret_len)
{
    if (secret_len < RELAY_SESSION_SECRET || secret_len > SECRET_MAX) {
        return ERR_INVALID;
    }
    struct relay_udp *u = calloc(1, sizeof *u);
    if (!u) {
        return ERR_NOMEM;
    }
    memcpy(u->secret, secret, secret_len);
    u->secret_len = secret_len;
    for (int i = 0; i < UDP_BATCH; i++) {
        u->packet[i].data = u->data[i];
    }
    int err = udp_open(&u->udp, address, port, BUFFER_BYTES);
    if (err) {
        relay_udp_close(u);
        return err;
    }
    *out = u;
    return OK;
}

void relay_udp_handle(struct relay_udp *u, const struct relay_udp_handlers *h, void *arg)
{
    u->h = h;
    u->arg = arg;
}

void relay_udp_close(struct relay_udp *u)
{
    if (u) {
        for (uint32_t i = 0; i < RELAY_UDP_PEERS; i++) {
            relay_udp_forget(u, i);
        }
        if (u->udp) {
            udp_close(u->udp);
        }
        explicit_bzero(u->secret, sizeof u->secret);
        free(u);
    }
}

int relay_udp_fd(const struct relay_udp *u)
{
    return udp_fd(u->udp);
}

int relay_udp_port(const struct relay_udp *u)
{
    return udp_port(u->udp);
}

const struct relay_udp_counts *relay_udp_counts(const struct relay_udp *u)
{
    return &u->count;
}

/* ---- peers ---- */

/* IPv4 as v4-mapped, as all addresses of lib/io/udp. */
static int read_address(struct sockaddr_in6 *to, const char *address, int port)
{
    struct in_addr v4;
    *to = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    if (port < 1 || port > UINT16_MAX) {
        return ERR_INVALID;
    }
    if (inet_pton(AF_INET, address, &v4) == 1) {
        to->sin6_addr.s6_addr[10] = to->sin6_addr.s6_addr[11] = 0xff;
        memcpy(&to->sin6_addr.s6_addr[12], &v4, sizeof v4);
        return OK;
    }
    return inet_pton(AF_INET6, address, &to->sin6_addr) == 1 ? OK : ERR_INVALID;
}

bool relay_udp_is_address(const char *address, int port)
{
    struct sockaddr_in6 unused;
    return read_address(&unused, address, port) == OK;
}

static bool same_address(const struct sockaddr_in6 *a, const struct sockaddr_in6 *b)
{
    return a->sin6_port == b->sin6_port &&
           memcmp(&a->sin6_addr, &b->sin6_addr, sizeof a->sin6_addr) == 0;
}

static int begin(const struct relay_udp *u, struct udp_peer *p)
{
    uint8_t seed[RELAY_SESSION_SEED];
    random_bytes(seed, sizeof seed);
    int err = relay_session_new(&p->session, u->secret, u->secret_len, seed);
    explicit_bzero(seed, sizeof seed);
    return err;
}

int relay_udp_peer(struct relay_udp *u, uint32_t peer, const char *address, int port)
{
    struct sockaddr_in6 to;
    if (peer >= RELAY_UDP_PEERS || read_address(&to, address, port)) {
        return ERR_INVALID;
    }
    struct udp_peer *p = &u->peer[peer];
    if (p->session && same_address(&p->address, &to)) {
        return OK;
    }
    relay_udp_forget(u, peer);
    p->address = to;
    return begin(u, p);
}

void relay_udp_forget(struct relay_udp *u, uint32_t peer)
{
    relay_udp_flush(u); /* what waits has been numbered */
    relay_session_free(u->peer[peer].session);
    u->peer[peer] = (struct udp_peer){0};
}

bool relay_udp_is_up(const struct relay_udp *u, uint32_t peer)
{
    const struct relay_session *s = u->peer[peer].session;
    return s && relay_session_is_up(s);
}

/* ---- out ---- */

void relay_udp_flush(struct relay_udp *u)
{
    if (u->n_out > 0) {
        int sent = udp_send(u->udp, u->out, (int)u->n_out);
        u->count.lost += u->n_out - (sent > 0 ? (size_t)sent : 0);
        u->n_out = 0;
    }
}

/* Place for one datagram, to be filled and then sent by `commit`. */
static uint8_t *place(struct relay_udp *u)
{
    if (u->n_out == OUT_BATCH) {
        relay_udp_flush(u);
    }
    return u->out_data[u->n_out];
}

static void commit(struct relay_udp *u, const struct udp_peer *p, size_t len)
{
    u->out[u->n_out] =
        (struct udp_packet){.data = u->out_data[u->n_out], .len = len, .peer = p->address};
    u->n_out++;
}

int relay_udp_send(struct relay_udp *u, uint32_t peer, const void *head, size_t head_len,
                   const void *body, size_t body_len)
{
    uint8_t frame[RELAY_MAX_FRAME];
    struct udp_peer *p = &u->peer[peer];
    if (!relay_udp_is_up(u, peer)) {
        return ERR_STATE;
    }
    if (head_len > sizeof frame || body_len > sizeof frame - head_len) {
        return ERR_TOO_LARGE;
    }
    memcpy(frame, head, head_len);
    if (body_len > 0) {
        memcpy(frame + head_len, body, body_len);
    }
    int n = relay_session_seal(p->session, frame, head_len + body_len, place(u), OUT_DATAGRAM);
    if (n < 0) {
        return n;
    }
    commit(u, p, (size_t)n);
    u->count.sent++;
    return OK;
}

/* ---- in ---- */

static struct udp_peer *find_peer(struct relay_udp *u, const struct sockaddr_in6 *from)
{
    for (uint32_t i = 0; i < RELAY_UDP_PEERS; i++) {
        if (u->peer[i].session && same_address(&u->peer[i].address, from)) {
            return &u->peer[i];
        }
    }
    return NULL;
}

static uint32_t number_of(const struct relay_udp *u, const struct udp_peer *p)
{
    return (uint32_t)(p - u->peer);
}

static void tell_up(struct relay_udp *u, struct udp_peer *p)
{
    LOG_I("relay_up", "port=%d peer=%u", udp_port(u->udp), number_of(u, p));
    p->was_up = true;
    p->ping_us = 0;
    u->h->on_up(u->arg, number_of(u, p));
}

static void take(struct relay_udp *u, const struct udp_packet *d, int64_t now_us)
{
    uint8_t answer[RELAY_SESSION_HELLO], frame[UDP_MTU];
    size_t len;
    bool answers;
    struct udp_peer *p = find_peer(u, &d->peer);
    if (!p) {
        u->count.refused++;
        return;
    }
    int r = relay_session_input(p->session, d->data, d->len, now_us, frame, &len, answer, &answers);
    if (answers) {
        memcpy(place(u), answer, sizeof answer);
        commit(u, p, sizeof answer);
    }
    if (r == RELAY_SESSION_UP) {
        tell_up(u, p);
    } else if (r == RELAY_SESSION_FRAME) {
        u->count.received++;
        u->h->on_frame(u->arg, number_of(u, p), frame, len);
    } else if (r < 0) {
        u->count.refused++;
    }
}

void relay_udp_receive(struct relay_udp *u, int64_t now_us)
{
    for (int round = 0; round < ROUNDS; round++) {
        int n = udp_recv(u->udp, u->packet, UDP_BATCH);
        for (int i = 0; i < n; i++) {
            take(u, &u->packet[i], now_us);
        }
        relay_udp_flush(u);
        if (n < UDP_BATCH) {
            return;
        }
    }
}

/* ---- time ---- */

static void ping(struct relay_udp *u, struct udp_peer *p, int64_t now_us)
{
    uint8_t out[16];
    struct relay_frame f = {.type = RELAY_PING};
    int n = relay_frame_write(&f, out, sizeof out);
    if (n > 0 && now_us >= p->ping_us) {
        p->ping_us = now_us + PING_US;
        (void)relay_udp_send(u, number_of(u, p), out, (size_t)n, NULL, 0);
    }
}

static void tick_peer(struct relay_udp *u, struct udp_peer *p, int64_t now_us)
{
    uint8_t hello[RELAY_SESSION_HELLO];
    bool due = relay_session_tick(p->session, now_us, hello);
    if (p->was_up && !relay_session_is_up(p->session)) {
        LOG_W("relay_down", "port=%d peer=%u", udp_port(u->udp), number_of(u, p));
        p->was_up = false;
        u->h->on_down(u->arg, number_of(u, p));
    }
    if (due) {
        memcpy(place(u), hello, sizeof hello);
        commit(u, p, sizeof hello);
    } else if (p->was_up) {
        ping(u, p, now_us);
    }
}

void relay_udp_tick(struct relay_udp *u, int64_t now_us)
{
    for (uint32_t i = 0; i < RELAY_UDP_PEERS; i++) {
        if (u->peer[i].session) {
            tick_peer(u, &u->peer[i], now_us);
        }
    }
    relay_udp_flush(u);
}
