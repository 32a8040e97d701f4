/* Every way to a worker carries a call; peers move between them and restart ICE while sound flows,
 * and no packet is lost. */
#include "tests/unit/sfu/shell/paths_fixture.h"

static void call_by(const struct way *from, const struct way *to)
{
    struct control_end c;
    struct peer ann, ben;
    struct flow flow = {0};
    control_open_with(&c, "", 0);
    connect_publisher(&c, &ann, 1, from);
    connect_subscriber(&c, &ben, 2, to);
    flow_pass(&flow, &ann, &ben, 20);
    peer_shut(&ann);
    peer_shut(&ben);
    control_shut(&c);
}

static void test_tcp(void **state)
{
    (void)state;
    call_by(&tcp4, &tcp4);
}

static void test_tcp_and_udp_in_one_room(void **state)
{
    (void)state;
    call_by(&tcp4, &udp4);
    call_by(&udp4, &tcp4);
}

static void test_ipv6(void **state)
{
    (void)state;
    if (!has_ipv6()) {
        skip();
    }
    call_by(&udp6, &udp6);
    call_by(&tcp6, &tcp6);
    call_by(&udp6, &tcp4);
}

/* The client offers or answers a=setup:passive: the server begins the handshake. */
static void test_the_server_is_the_dtls_client(void **state)
{
    (void)state;
    struct way udp = udp4, tcp = tcp4;
    udp.serves = tcp.serves = true;
    call_by(&udp, &udp4);
    call_by(&udp4, &udp);
    call_by(&tcp, &tcp);
}

/* ---- moves ---- */

struct scene {
    struct control_end c;
    struct peer ann, ben;
    int udp, tcp; /* ports */
    struct flow flow;
};

static void open_scene(struct scene *s)
{
    memset(s, 0, sizeof *s);
    control_open_with(&s->c, "", 0);
    connect_publisher(&s->c, &s->ann, 1, &tcp4);
    s->tcp = ntohs(s->ann.server.sin_port);
    connect_subscriber(&s->c, &s->ben, 2, &udp4);
    s->udp = ntohs(s->ben.server.sin_port);
    flow_pass(&s->flow, &s->ann, &s->ben, 3);
}

static void close_scene(struct scene *s)
{
    peer_shut(&s->ann);
    peer_shut(&s->ben);
    control_shut(&s->c);
}

/* The peer as he was: the same keys, the former socket. */
static struct peer move_to(struct peer *p, int port, int family, bool tcp)
{
    struct peer former = *p;
    peer_connect(p, port, family, tcp);
    return former;
}

/* What is sent meanwhile comes by the former address until the check, and by the new one from then
 * on. */
static void move_subscriber(struct scene *s, int port, int family, bool tcp)
{
    struct peer former = move_to(&s->ben, port, family, tcp);
    for (int i = 0; i < 5; i++) {
        flow_send(&s->flow, &s->ann);
        assert_true(flow_take(&s->flow, &former));
    }
    uint8_t transaction[12];
    peer_ask(&s->ben, "abcd", true, transaction);
    for (int i = 0; i < 5; i++) {
        flow_send(&s->flow, &s->ann);
    }
    while (s->flow.got < s->flow.sent) { /* those behind the check come by the new address */
        struct pollfd f[2] = {{.fd = former.fd, .events = POLLIN},
                              {.fd = s->ben.fd, .events = POLLIN}};
        assert_true(s->ben.chunk_len > 0 || poll(f, 2, 5000) > 0);
        assert_true(flow_take(&s->flow, f[0].revents ? &former : &s->ben));
    }
    close(former.fd);
    flow_pass(&s->flow, &s->ann, &s->ben, 5);
}

static void test_the_subscriber_moves(void **state)
{
    (void)state;
    struct scene s;
    open_scene(&s);
    move_subscriber(&s, s.udp, AF_INET, false); /* another port: a NAT's rebinding */
    move_subscriber(&s, s.tcp, AF_INET, true);
    move_subscriber(&s, s.tcp, AF_INET, true);
    move_subscriber(&s, s.udp, AF_INET, false);
    if (has_ipv6()) {
        move_subscriber(&s, s.udp, AF_INET6, false);
    }
    close_scene(&s);
}

/* The first packet behind the check counts, although its answer isn't here yet. */
static void test_the_publisher_moves(void **state)
{
    (void)state;
    struct scene s;
    uint8_t transaction[12];
    open_scene(&s);
    for (int i = 0; i < 4; i++) {
        bool tcp = i % 2 == 1;
        struct peer former = move_to(&s.ann, tcp ? s.tcp : s.udp, AF_INET, tcp);
        peer_ask(&s.ann, "abcd", true, transaction);
        flow_pass(&s.flow, &s.ann, &s.ben, 5);
        close(former.fd);
        flow_pass(&s.flow, &s.ann, &s.ben, 5);
    }
    close_scene(&s);
}

/* Who has nominated once only goes on checking from where his NAT puts him now; where he was is
 * silent. Before the former address is stale it stays. */
static void test_a_check_that_nominates_nothing(void **state)
{
    (void)state;
    struct scene s;
    uint8_t transaction[12];
    open_scene(&s);
    struct peer former = move_to(&s.ben, s.udp, AF_INET, false);
    peer_ask(&s.ben, "abcd", false, transaction);
    flow_send(&s.flow, &s.ann);
    assert_true(flow_take(&s.flow, &former));
    close(former.fd);
    close_scene(&s);
}

/* The connection breaks: what leaves goes to the address that was there before. */
static void test_a_connection_that_breaks(void **state)
{
    (void)state;
    struct scene s;
    open_scene(&s);
    struct peer udp = move_to(&s.ben, s.tcp, AF_INET, true);
    assert_true(peer_check(&s.ben, "abcd"));
    flow_pass(&s.flow, &s.ann, &s.ben, 5);
    close(s.ben.fd);
    s.ben.fd = udp.fd;
    s.ben.tcp = false;
    assert_true(peer_check(&s.ann, "abcd")); /* a turn of the worker: it has seen the end */
    flow_pass(&s.flow, &s.ann, &s.ben, 5);
    close_scene(&s);
}

/* ---- ICE restart ---- */

static void restart(struct scene *s, struct peer *p, uint32_t number, enum control_which which)
{
    struct control_frame f;
    uint8_t fingerprint[DTLS_FINGERPRINT_LEN];
    char ufrag[64];
    memcpy(ufrag, p->ufrag, sizeof ufrag);
    control_send(&s->c, control_make_restart(s->c.next_id++, ROOM, number, which,
                                             which == CONTROL_WHICH_PUBLISH
                                                 ? peer_describe(p, "0", "sendonly", "actpass")
                                                 : NULL));
    await_reply(&s->c, &f);
    peer_take_server(p, f.sdp, fingerprint);
    assert_string_not_equal(ufrag, p->ufrag);
    control_free(&f);
}

/* Sound goes on before, during and after, by the former pair and by the new one; and a late check
 * with the former credentials takes nothing back. */
static void test_restart_while_sound_flows(void **state)
{
    (void)state;
    struct scene s;
    uint8_t transaction[12];
    open_scene(&s);
    for (int i = 0; i < 3; i++) {
        struct peer before = s.ben;
        restart(&s, &s.ben, 2, CONTROL_WHICH_SUBSCRIBE);
        flow_pass(&s.flow, &s.ann, &s.ben, 3);
        restart(&s, &s.ann, 1, CONTROL_WHICH_PUBLISH);
        flow_pass(&s.flow, &s.ann, &s.ben, 3);
        assert_true(peer_check(&s.ann, "abcd"));
        (void)move_to(&s.ben, s.udp, AF_INET, false);
        assert_true(peer_check(&s.ben, "abcd"));
        flow_pass(&s.flow, &s.ann, &s.ben, 3);
        peer_ask(&before, "abcd", true, transaction);
        flow_pass(&s.flow, &s.ann, &s.ben, 3);
        close(before.fd);
    }
    close_scene(&s);
}

/* A client is gone without a word, and its port is another's: soon he is heard. */
static void test_a_port_that_fell_silent_is_anothers(void **state)
{
    (void)state;
    struct control_end c;
    struct peer former, next;
    struct control_frame f;
    uint8_t fingerprint[DTLS_FINGERPRINT_LEN], in[2048], transaction[12];
    bool answered = false;
    control_open(&c);
    connect_publisher(&c, &former, 1, &udp4);
    offer(&c, &next, 2, &udp4, fingerprint);
    close(next.fd);
    next.fd = dup(former.fd);
    int64_t end_us = clock_mono_us() + WAIT_US;
    while (!answered && clock_mono_us() < end_us) {
        peer_ask(&next, "abcd", true, transaction);
        size_t len = peer_receive(&next, in, sizeof in);
        answered = len && demux_packet(in, len) == PACKET_STUN;
    }
    assert_true(answered);
    assert_true(peer_handshake(&next, fingerprint));
    control_await(&c, CONTROL_CONNECTED, &f);
    assert_int_equal(f.participant, 2);
    control_free(&f);
    peer_shut(&former);
    peer_shut(&next);
    control_shut(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tcp),
        cmocka_unit_test(test_tcp_and_udp_in_one_room),
        cmocka_unit_test(test_ipv6),
        cmocka_unit_test(test_the_server_is_the_dtls_client),
        cmocka_unit_test(test_the_subscriber_moves),
        cmocka_unit_test(test_the_publisher_moves),
        cmocka_unit_test(test_a_check_that_nominates_nothing),
        cmocka_unit_test(test_a_connection_that_breaks),
        cmocka_unit_test(test_restart_while_sound_flows),
        cmocka_unit_test(test_a_port_that_fell_silent_is_anothers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
