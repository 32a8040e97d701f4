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

#define BUFFER_BYTES (1 << 20)
#define PING_US      1000000
#define ROUNDS       16 /* batches read at a time */

struct relay_udp {
    struct udp *udp;
    struct relay_session *session;
    struct relay_udp_handlers h;
    void *arg;
    bool has_peer, was_up;
    struct sockaddr_in6 peer;
    int64_t ping_us;
    struct relay_udp_counts count;
    struct udp_packet packet[UDP_BATCH];
    uint8_t data[UDP_BATCH][UDP_MTU];
};

/* ---- lives ---- */

int relay_udp_open(struct relay_udp **out, const char *address, int port, const void *secret,
                   size_t secret_len, const struct relay_udp_handlers *h, void *arg)
{
    uint8_t seed[RELAY_SESSION_SEED];
    struct relay_udp *u = calloc(1, sizeof *u);
    if (!u) {
        return ERR_NOMEM;
    }
    u->h = *h;
    u->arg = arg;
    for (int i = 0; i < UDP_BATCH; i++) {
        u->packet[i].data = u->data[i];
    }
    random_bytes(seed, sizeof seed);
    int err = relay_session_new(&u->session, secret, secret_len, seed);
    explicit_bzero(seed, sizeof seed);
    err = err ? err : udp_open(&u->udp, address, port, BUFFER_BYTES);
    if (err) {
        relay_udp_close(u);
        return err;
    }
    *out = u;
    return OK;
}

int relay_udp_peer(struct relay_udp *u, const char *address, int port)
{
    struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    struct in_addr v4;
    if (inet_pton(AF_INET, address, &v4) == 1) {
        to.sin6_addr.s6_addr[10] = to.sin6_addr.s6_addr[11] = 0xff;
        memcpy(&to.sin6_addr.s6_addr[12], &v4, sizeof v4);
    } else if (inet_pton(AF_INET6, address, &to.sin6_addr) != 1) {
        return ERR_INVALID;
    }
    u->peer = to;
    u->has_peer = true;
    return OK;
}

void relay_udp_close(struct relay_udp *u)
{
    if (u) {
        if (u->udp) {
            udp_close(u->udp);
        }
        relay_session_free(u->session);
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

/* ---- out ---- */

static int send_datagram(struct relay_udp *u, uint8_t *data, size_t len)
{
    struct udp_packet p = {.data = data, .len = len, .peer = u->peer};
    return u->has_peer && udp_send(u->udp, &p, 1) == 1 ? OK : ERR_IO;
}

int relay_udp_send(struct relay_udp *u, const void *head, size_t head_len, const void *body,
                   size_t body_len)
{
    uint8_t frame[RELAY_MAX_FRAME], out[RELAY_MAX_FRAME + RELAY_SESSION_OVERHEAD];
    if (head_len > sizeof frame || body_len > sizeof frame - head_len) {
        return ERR_TOO_LARGE;
    }
    memcpy(frame, head, head_len);
    if (body_len > 0) {
        memcpy(frame + head_len, body, body_len);
    }
    int n = relay_session_seal(u->session, frame, head_len + body_len, out, sizeof out);
    int err = n < 0 ? n : send_datagram(u, out, (size_t)n);
    u->count.sent += err == OK;
    u->count.lost += err == ERR_IO;
    return err;
}

/* ---- in ---- */

static void tell_up(struct relay_udp *u)
{
    LOG_I("relay_up", "port=%d", udp_port(u->udp));
    u->was_up = true;
    u->ping_us = 0;
    u->h.on_up(u->arg);
}

static bool is_peer(const struct relay_udp *u, const struct sockaddr_in6 *from)
{
    return u->has_peer && from->sin6_port == u->peer.sin6_port &&
           memcmp(&from->sin6_addr, &u->peer.sin6_addr, sizeof from->sin6_addr) == 0;
}

static void take(struct relay_udp *u, struct udp_packet *p, int64_t now_us)
{
    uint8_t answer[RELAY_SESSION_HELLO], frame[UDP_MTU];
    size_t len;
    bool answers;
    if (!is_peer(u, &p->peer)) {
        u->count.refused++;
        return;
    }
    int r = relay_session_input(u->session, p->data, p->len, now_us, frame, &len, answer, &answers);
    if (answers) {
        (void)send_datagram(u, answer, sizeof answer);
    }
    if (r == RELAY_SESSION_UP) {
        tell_up(u);
    } else if (r == RELAY_SESSION_FRAME) {
        u->count.received++;
        u->h.on_frame(u->arg, frame, len);
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
        if (n < UDP_BATCH) {
            return;
        }
    }
}

/* ---- time ---- */

static void ping(struct relay_udp *u, int64_t now_us)
{
    uint8_t out[16];
    struct relay_frame f = {.type = RELAY_PING};
    int n = relay_frame_write(&f, out, sizeof out);
    if (n > 0 && now_us >= u->ping_us) {
        u->ping_us = now_us + PING_US;
        (void)relay_udp_send(u, out, (size_t)n, NULL, 0);
    }
}

void relay_udp_tick(struct relay_udp *u, int64_t now_us)
{
    uint8_t hello[RELAY_SESSION_HELLO];
    bool due = relay_session_tick(u->session, now_us, hello);
    if (u->was_up && !relay_session_is_up(u->session)) {
        LOG_W("relay_down", "port=%d", udp_port(u->udp));
        u->was_up = false;
        u->h.on_down(u->arg);
    }
    if (due) {
        (void)send_datagram(u, hello, sizeof hello);
    } else if (u->was_up) {
        ping(u, now_us);
    }
}
