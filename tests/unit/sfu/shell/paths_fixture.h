/* Peers in C on every way to a worker: UDP or TCP, IPv4 or IPv6, DTLS client or server. */
#ifndef SOTTO_TEST_PATHS_FIXTURE_H
#define SOTTO_TEST_PATHS_FIXTURE_H

#include "tests/unit/sfu/shell/peer_fixture.h"

struct way {
    int family;
    bool tcp;
    bool serves; /* the DTLS server is the client: a=setup:passive */
};

static const struct way udp4 = {.family = AF_INET}, tcp4 = {.family = AF_INET, .tcp = true},
                        udp6 = {.family = AF_INET6}, tcp6 = {.family = AF_INET6, .tcp = true};

static inline bool has_ipv6(void)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_DGRAM, 0);
    bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

/* The port of the first candidate of that protocol ("udp", "tcp"). */
static inline int candidate_port(const char *sdp, const char *protocol)
{
    char before[16];
    unsigned long priority;
    char address[64];
    int port = 0;
    snprintf(before, sizeof before, " 1 %s ", protocol);
    const char *at = strstr(sdp, before);
    assert_non_null(at);
    assert_int_equal(sscanf(at + strlen(before), "%lu %63s %d", &priority, address, &port), 3);
    return port;
}

/* Takes the reply's credentials and goes that way with another socket. */
static inline void go(struct peer *p, const char *sdp, const struct way *way)
{
    close(p->fd);
    peer_connect(p, candidate_port(sdp, way->tcp ? "tcp" : "udp"), way->family, way->tcp);
}

static inline void await_reply(struct control_end *c, struct control_frame *f)
{
    control_await(c, CONTROL_REPLY, f);
    assert_true(f->ok);
}

static inline void offer(struct control_end *c, struct peer *p, uint32_t number,
                         const struct way *way, uint8_t *fingerprint)
{
    struct control_frame f;
    peer_open(p, 9);
    control_send(c, control_make_publish(
                        c->next_id++, ROOM, number,
                        peer_describe(p, "0", "sendonly", way->serves ? "passive" : "actpass")));
    await_reply(c, &f);
    assert_non_null(strstr(f.sdp, way->serves ? "a=setup:active" : "a=setup:passive"));
    peer_take_server(p, f.sdp, fingerprint);
    go(p, f.sdp, way);
    control_free(&f);
}

static inline void connect_publisher(struct control_end *c, struct peer *p, uint32_t number,
                                     const struct way *way)
{
    struct control_frame f;
    uint8_t fingerprint[DTLS_FINGERPRINT_LEN];
    offer(c, p, number, way, fingerprint);
    assert_true(peer_check(p, "abcd"));
    assert_true(peer_handshake_as(p, fingerprint, !way->serves));
    control_await(c, CONTROL_CONNECTED, &f);
    assert_int_equal(f.participant, number);
    control_free(&f);
}

/* One slot of sound. */
static inline void connect_subscriber(struct control_end *c, struct peer *p, uint32_t number,
                                      const struct way *way)
{
    struct control_frame f;
    uint8_t fingerprint[DTLS_FINGERPRINT_LEN];
    peer_open(p, 9);
    control_send(c, control_make_subscribe(c->next_id++, ROOM, number, 1, 0));
    await_reply(c, &f);
    peer_take_server(p, f.sdp, fingerprint);
    go(p, f.sdp, way);
    control_free(&f);
    control_send(c, control_make_answer(
                        c->next_id++, ROOM, number,
                        peer_describe(p, "a0", "recvonly", way->serves ? "passive" : "active")));
    await_reply(c, &f);
    control_free(&f);
    assert_true(peer_check(p, "abcd"));
    assert_true(peer_handshake_as(p, fingerprint, !way->serves));
    control_await(c, CONTROL_SLOTS, &f);
    control_free(&f);
}

/* A flow of sound, whose every packet is to arrive, in order, without a gap. */
struct flow {
    struct srtp_stream stream;
    uint16_t sent, got; /* packets */
    uint16_t first;     /* number of the first that came */
};

static inline void flow_send(struct flow *flow, struct peer *from)
{
    peer_send_sound(from, &flow->stream, (uint16_t)(100 + flow->sent++));
}

static inline bool flow_take(struct flow *flow, struct peer *to)
{
    _Alignas(16) uint8_t data[2048];
    struct rtp_header h;
    if (!peer_take_sound(to, &h, data, sizeof data, 50)) {
        return false;
    }
    flow->first = flow->got ? flow->first : h.seq;
    assert_int_equal((uint16_t)(flow->first + flow->got), h.seq);
    assert_int_equal(data[h.payload_off], (uint8_t)(100 + flow->got));
    flow->got++;
    return true;
}

static inline void flow_pass(struct flow *flow, struct peer *from, struct peer *to, int packets)
{
    for (int i = 0; i < packets; i++) {
        flow_send(flow, from);
        assert_true(flow_take(flow, to));
    }
}

static inline void await_metric(enum sfu_metric m, int64_t above)
{
    for (int i = 0; i < 5000 && sfu_metric_value(m) <= above; i++) {
        poll(NULL, 0, 1);
    }
    assert_true(sfu_metric_value(m) > above);
}

#endif
