/* ICE-TCP: a connection is one more address of a transport (RFC 6544). */
#include <stddef.h>

#include "lib/base/err.h"
#include "lib/proto/demux.h"
#include "sfu/shell/tcp_listener.h"
#include "sfu/shell/worker_private.h"

/* ---- in ---- */

/* Who hasn't passed a check has nothing to say but checks. */
static void on_packet(void *arg, struct tcp_conn *c, uint8_t *data, size_t len)
{
    struct worker *w = arg;
    struct peer_path from = {.addr = tcp_conn_peer(c), .local = tcp_conn_local(c), .tcp = c};
    if (!tcp_conn_user(c) && demux_packet(data, len) != PACKET_STUN) {
        worker_count(w, SFU_DROP_UNKNOWN_ADDRESS, 1);
        tcp_conn_drop(c);
        return;
    }
    worker_receive(w, &from, data, len);
}

static void on_end(void *arg, struct tcp_conn *c)
{
    struct worker *w = arg;
    transport_lost_address(w->table, tcp_conn_user(c));
}

int worker_tcp_open(struct worker *w)
{
    struct tcp_listener_options o = {.address = w->o.address,
                                     .port = udp_port(w->udp),
                                     .connections = w->o.tcp_connections,
                                     .per_prefix = w->o.tcp_per_prefix,
                                     .on_packet = on_packet,
                                     .on_end = on_end,
                                     .arg = w};
    return w->o.tcp ? tcp_listener_open(&w->tcp, &o) : OK;
}

/* ---- out ---- */

static const struct peer_address *address_of(const struct udp_message *m)
{
    return (const struct peer_address *)(const void *)((const char *)m->peer -
                                                       offsetof(struct peer_address, addr));
}

/* Sound is what a slow reader loses last. */
static bool is_audio(const struct transport *t, const uint8_t *data, size_t len)
{
    uint32_t ssrc;
    if (!t->subscriber || len < 12) {
        return true;
    }
    ssrc = (uint32_t)data[8] << 24 | (uint32_t)data[9] << 16 | (uint32_t)data[10] << 8 | data[11];
    for (uint32_t i = 0; i < t->subscriber->n_audio; i++) {
        if (subscriber_audio(t->subscriber, i)->ssrc == ssrc) {
            return true;
        }
    }
    return false;
}

/* The packets of one message; how many went. */
static int send_message(struct worker *w, const struct peer_address *to,
                        const struct udp_message *m)
{
    struct tcp_conn *c = to->tcp;
    size_t step = m->segment ? m->segment : m->len;
    int taken = 0;
    tcp_conn_cork(c);
    for (size_t at = 0; at < m->len; at += step) {
        size_t len = m->len - at < step ? m->len - at : step;
        bool dear = is_audio(to->transport, m->data + at, len);
        taken += tcp_conn_send(c, m->data + at, len, dear, w->now_us);
    }
    tcp_conn_uncork(c, w->now_us);
    return taken;
}

int worker_tcp_messages(struct worker *w, const struct udp_message *m, int n)
{
    int taken = 0, at = 0;
    if (tcp_listener_count(w->tcp) == 0) {
        return udp_send_messages(w->udp, m, n);
    }
    while (at < n) {
        int by_udp = 0;
        while (at + by_udp < n && !address_of(&m[at + by_udp])->tcp) {
            by_udp++;
        }
        if (by_udp > 0) {
            taken += udp_send_messages(w->udp, m + at, by_udp);
            at += by_udp;
            continue;
        }
        taken += send_message(w, address_of(&m[at]), &m[at]);
        at++;
    }
    return taken;
}

/* ---- time ---- */

void worker_tcp_tick(struct worker *w)
{
    struct tcp_counts c;
    if (!w->tcp) {
        return;
    }
    tcp_listener_tick(w->tcp, w->now_us);
    tcp_listener_take_counts(w->tcp, &c);
    sfu_gauge(SFU_TCP_CONNECTIONS, (int64_t)tcp_listener_count(w->tcp));
    worker_count(w, SFU_TCP_ACCEPTED, (int64_t)c.accepted);
    worker_count(w, SFU_TCP_REFUSED, (int64_t)c.refused);
    worker_count(w, SFU_TCP_UNPROVEN, (int64_t)c.unproven);
    worker_count(w, SFU_TCP_SLOW, (int64_t)c.slow);
    worker_count(w, SFU_DROP_TCP, (int64_t)c.dropped);
}

bool worker_tcp_waits(const struct worker *w)
{
    return w->tcp && !tcp_listener_is_idle(w->tcp);
}
