/* A worker's thread with real sockets: a publisher and a subscriber in C, from offer to decrypted
 * packet, and the ways in which a peer can go wrong. */
#include "tests/unit/sfu/shell/peer_fixture.h"

#include "lib/proto/sdp_subscribe.h"

/* Offers and takes the answer's credentials; the server's fingerprint comes out. */
static void publish(struct control_end *c, struct peer *p, uint32_t number, uint8_t *fingerprint)
{
    struct control_frame f;
    peer_open(p, worker_port(c->worker));
    control_send(c, control_make_publish(c->next_id++, ROOM, number,
                                         peer_describe(p, "0", "sendonly", "actpass")));
    control_await(c, CONTROL_REPLY, &f);
    assert_true(f.ok);
    peer_take_server(p, f.sdp, fingerprint);
    control_free(&f);
}

static void connect_publisher(struct control_end *c, struct peer *p, uint32_t number)
{
    struct control_frame f;
    uint8_t fingerprint[DTLS_FINGERPRINT_LEN];
    publish(c, p, number, fingerprint);
    assert_true(peer_check(p, "abcd"));
    assert_true(peer_handshake(p, fingerprint));
    control_await(c, CONTROL_CONNECTED, &f);
    assert_int_equal(f.participant, number);
    assert_int_equal(f.which, CONTROL_WHICH_PUBLISH);
    control_free(&f);
}

/* answer_late: the DTLS handshake is over before the answer's fingerprint comes. */
static void connect_subscriber(struct control_end *c, struct peer *p, uint32_t number,
                               bool answer_late)
{
    struct control_frame f;
    uint8_t fingerprint[DTLS_FINGERPRINT_LEN];
    peer_open(p, worker_port(c->worker));
    control_send(c, control_make_subscribe(c->next_id++, ROOM, number, 1, 0));
    control_await(c, CONTROL_REPLY, &f);
    assert_true(f.ok);
    peer_take_server(p, f.sdp, fingerprint);
    control_free(&f);
    for (int step = 0; step < 2; step++) {
        if ((step == 0) == answer_late) {
            assert_true(peer_check(p, "abcd"));
            assert_true(peer_handshake(p, fingerprint));
        } else {
            control_send(c, control_make_answer(c->next_id++, ROOM, number,
                                                peer_describe(p, "a0", "recvonly", "active")));
            control_await(c, CONTROL_REPLY, &f);
            assert_true(f.ok);
            control_free(&f);
        }
    }
}

static void pass_sound(struct peer *from, struct peer *to, uint32_t number)
{
    _Alignas(16) uint8_t data[2048];
    struct srtp_stream stream = {0};
    struct rtp_header h;
    uint16_t first = 0;
    for (uint16_t i = 0; i < 20; i++) {
        peer_send_sound(from, &stream, (uint16_t)(100 + i));
        assert_true(peer_take_sound(to, &h, data, sizeof data, 50));
        assert_int_equal(h.payload_len, 100);
        assert_int_equal(data[h.payload_off], 100 + i);
        assert_int_equal(h.n_csrc, 1);
        assert_int_equal(rtp_csrc(&h, data, 0), number);
        first = i ? first : h.seq;
        assert_int_equal((uint16_t)(first + i), h.seq);
    }
}

static void test_from_offer_to_sound(void **state)
{
    (void)state;
    struct control_end c;
    struct peer ann, ben;
    struct control_frame f;
    control_open(&c);
    connect_publisher(&c, &ann, 1);
    connect_subscriber(&c, &ben, 2, false);
    control_await(&c, CONTROL_SLOTS, &f);
    assert_int_equal(f.n_audio, 1);
    assert_int_equal(f.audio[0].participant, 1);
    control_free(&f);
    pass_sound(&ann, &ben, 1);
    peer_shut(&ann);
    peer_shut(&ben);
    control_shut(&c);
}

static void test_the_answer_comes_after_the_handshake(void **state)
{
    (void)state;
    struct control_end c;
    struct peer ann, ben;
    struct control_frame f;
    control_open(&c);
    connect_publisher(&c, &ann, 1);
    connect_subscriber(&c, &ben, 2, true);
    control_await(&c, CONTROL_SLOTS, &f);
    control_free(&f);
    pass_sound(&ann, &ben, 1);
    peer_shut(&ann);
    peer_shut(&ben);
    control_shut(&c);
}

static void test_the_address_moves(void **state)
{
    (void)state;
    struct control_end c;
    struct peer ann, ben;
    struct control_frame f;
    control_open(&c);
    connect_publisher(&c, &ann, 1);
    connect_subscriber(&c, &ben, 2, false);
    control_await(&c, CONTROL_SLOTS, &f);
    control_free(&f);
    int moved = socket(AF_INET, SOCK_DGRAM, 0); /* from Wi-Fi to mobile, say */
    assert_int_equal(connect(moved, (struct sockaddr *)&ben.server, sizeof ben.server), 0);
    close(ben.fd);
    ben.fd = moved;
    assert_true(peer_check(&ben, "abcd"));
    pass_sound(&ann, &ben, 1);
    peer_shut(&ann);
    peer_shut(&ben);
    control_shut(&c);
}

/* Bound to all addresses: what is sent to one of them is answered from that one. */
static void test_each_of_our_addresses(void **state)
{
    (void)state;
    struct control_end c;
    struct peer p;
    struct control_frame f;
    uint8_t fingerprint[DTLS_FINGERPRINT_LEN];
    control_open_with(&c, "", 0);
    publish(&c, &p, 1, fingerprint);
    p.server.sin_addr.s_addr = htonl(0x7f000009); /* the socket hears 127.0.0.9 only */
    assert_int_equal(connect(p.fd, (struct sockaddr *)&p.server, sizeof p.server), 0);
    assert_true(peer_check(&p, "abcd"));
    assert_true(peer_handshake(&p, fingerprint));
    control_await(&c, CONTROL_CONNECTED, &f);
    control_free(&f);
    peer_shut(&p);
    control_shut(&c);
}

/* Checks alone keep nobody's place: who doesn't finish the handshake goes. */
static void test_a_handshake_that_never_ends(void **state)
{
    (void)state;
    struct control_end c;
    struct peer p;
    struct control_frame f = {.type = CONTROL_HELLO};
    uint8_t fingerprint[DTLS_FINGERPRINT_LEN];
    control_open_with(&c, "127.0.0.1", 300000);
    publish(&c, &p, 1, fingerprint);
    bool answered = true;
    for (int i = 0; i < 200 && answered; i++) { /* checks are answered until the transport goes */
        answered = peer_check(&p, "abcd");
        poll(NULL, 0, 10);
    }
    assert_false(answered);
    control_await(&c, CONTROL_DISCONNECTED, &f);
    assert_int_equal(f.participant, 1);
    control_free(&f);
    peer_shut(&p);
    control_shut(&c);
}

static void test_a_finished_handshake_stays(void **state)
{
    (void)state;
    struct control_end c;
    struct peer ann, ben;
    control_open_with(&c, "127.0.0.1", 300000);
    connect_publisher(&c, &ann, 1);
    connect_subscriber(&c, &ben, 2, false);
    int64_t end_us = clock_mono_us() + 600000;
    while (clock_mono_us() < end_us) {
        assert_true(peer_check(&ann, "abcd"));
    }
    pass_sound(&ann, &ben, 1);
    peer_shut(&ann);
    peer_shut(&ben);
    control_shut(&c);
}

static void test_another_fingerprint(void **state)
{
    (void)state;
    struct control_end c;
    struct peer p, other;
    struct control_frame f;
    uint8_t fingerprint[DTLS_FINGERPRINT_LEN];
    control_open(&c);
    int64_t failures = sfu_metric_value(SFU_DTLS_FAILURES);
    publish(&c, &p, 1, fingerprint);
    peer_open(&other, worker_port(c.worker)); /* a certificate that the offer didn't name */
    memcpy(other.ufrag, p.ufrag, sizeof p.ufrag);
    memcpy(other.pwd, p.pwd, sizeof p.pwd);
    assert_true(peer_check(&other, "abcd"));
    (void)peer_handshake(&other, fingerprint);
    control_await(&c, CONTROL_DISCONNECTED, &f);
    assert_int_equal(f.participant, 1);
    control_free(&f);
    assert_int_equal(sfu_metric_value(SFU_DTLS_FAILURES), failures + 1);
    peer_shut(&p);
    peer_shut(&other);
    control_shut(&c);
}

/* Every digit counts, the last one too. */
static void test_a_fingerprint_that_is_nearly_right(void **state)
{
    (void)state;
    struct control_end c;
    struct peer p;
    struct control_frame f;
    uint8_t fingerprint[DTLS_FINGERPRINT_LEN];
    control_open(&c);
    peer_open(&p, worker_port(c.worker));
    char *offer = peer_describe(&p, "0", "sendonly", "actpass");
    char *last = offer + strlen(offer) - 3; /* before the end of the line */
    *last = *last == '0' ? '1' : '0';
    control_send(&c, control_make_publish(c.next_id++, ROOM, 1, offer));
    control_await(&c, CONTROL_REPLY, &f);
    assert_true(f.ok);
    peer_take_server(&p, f.sdp, fingerprint);
    control_free(&f);
    assert_true(peer_check(&p, "abcd"));
    (void)peer_handshake(&p, fingerprint);
    control_await(&c, CONTROL_DISCONNECTED, &f);
    assert_int_equal(f.participant, 1);
    control_free(&f);
    peer_shut(&p);
    control_shut(&c);
}

/* A server whose certificate isn't the promised one is no server of ours. */
static void test_the_client_checks_too(void **state)
{
    (void)state;
    struct control_end c;
    struct peer p;
    uint8_t fingerprint[DTLS_FINGERPRINT_LEN];
    control_open(&c);
    publish(&c, &p, 1, fingerprint);
    assert_true(peer_check(&p, "abcd"));
    fingerprint[3] ^= 1;
    assert_false(peer_handshake(&p, fingerprint));
    peer_shut(&p);
    control_shut(&c);
}

static void test_no_handshake_without_a_check(void **state)
{
    (void)state;
    struct control_end c;
    struct peer p;
    uint8_t fingerprint[DTLS_FINGERPRINT_LEN], in[2048];
    control_open(&c);
    publish(&c, &p, 1, fingerprint);
    int64_t dropped = sfu_metric_value(SFU_DROP_UNKNOWN_ADDRESS);
    assert_int_equal(dtls_new(&p.dtls, p.context, true, peer_send, &p), OK);
    for (int i = 0; i < 50 && sfu_metric_value(SFU_DROP_UNKNOWN_ADDRESS) == dropped; i++) {
        assert_int_equal(peer_receive(&p, in, sizeof in), 0);
    }
    assert_true(sfu_metric_value(SFU_DROP_UNKNOWN_ADDRESS) > dropped);
    memcpy(p.pwd, "another password, as long as that", 33);
    assert_false(peer_check(&p, "abcd"));
    peer_shut(&p);
    control_shut(&c);
}

static void await_metric(enum sfu_metric m, int64_t above)
{
    for (int i = 0; i < 5000 && sfu_metric_value(m) <= above; i++) {
        poll(NULL, 0, 1);
    }
    assert_true(sfu_metric_value(m) > above);
}

static void test_bad_media_is_counted(void **state)
{
    (void)state;
    struct control_end c;
    struct peer ann, ben;
    struct control_frame f;
    uint8_t junk[100];
    control_open(&c);
    connect_publisher(&c, &ann, 1);
    connect_subscriber(&c, &ben, 2, false);
    control_await(&c, CONTROL_SLOTS, &f);
    control_free(&f);

    random_bytes(junk, sizeof junk);
    junk[0] = 0x80;
    junk[1] = 111;
    int64_t before = sfu_metric_value(SFU_DROP_SRTP_AUTH);
    peer_send(&ann, junk, sizeof junk);
    await_metric(SFU_DROP_SRTP_AUTH, before);

    /* RTCP whose length says more than there is, well encrypted. */
    uint8_t rtcp[64 + SRTP_PEER_OVERHEAD] = {0x81, 201, 0, 7, 0, 0, 0, 1};
    size_t len = 32;
    assert_int_equal(srtp_peer_protect_rtcp(ben.srtp, rtcp, &len), OK);
    int64_t malformed = sfu_metric_value(SFU_DROP_MALFORMED);
    peer_send(&ben, rtcp, len); /* a whole one is fine */
    memset(rtcp, 0, sizeof rtcp);
    rtcp[0] = 0x81;
    rtcp[1] = 205;
    rtcp[3] = 200;
    len = 32;
    assert_int_equal(srtp_peer_protect_rtcp(ben.srtp, rtcp, &len), OK);
    peer_send(&ben, rtcp, len);
    await_metric(SFU_DROP_MALFORMED, malformed);
    pass_sound(&ann, &ben, 1);
    peer_shut(&ann);
    peer_shut(&ben);
    control_shut(&c);
}

static void test_hello_tells_the_rooms(void **state)
{
    (void)state;
    struct control_end c;
    struct peer p;
    struct control_frame f;
    struct id room;
    uint32_t numbers[4];
    control_open(&c);
    connect_publisher(&c, &p, 5);
    assert_int_equal(worker_ask_hello(c.worker), OK);
    control_await(&c, CONTROL_HELLO, &f);
    assert_int_equal(f.n_rooms, 1);
    assert_int_equal(control_room_at(&f, 0, &room, numbers, 4), 1);
    assert_string_equal(room.s, ROOM);
    assert_int_equal(numbers[0], 5);
    control_free(&f);
    control_await(&c, CONTROL_CONNECTED, &f);
    control_free(&f);
    control_send(&c, control_make_close(c.next_id++, ROOM));
    control_await(&c, CONTROL_REPLY, &f);
    assert_true(f.ok);
    control_free(&f);
    assert_int_equal(worker_ask_hello(c.worker), OK);
    control_await(&c, CONTROL_HELLO, &f);
    assert_int_equal(f.n_rooms, 0);
    control_free(&f);
    peer_shut(&p);
    control_shut(&c);
}

static void test_too_many_transports(void **state)
{
    (void)state;
    struct control_end c;
    struct control_frame f;
    control_open(&c);
    for (uint32_t i = 1; i <= 9; i++) {
        control_send(&c, control_make_subscribe(c.next_id++, ROOM, i, 1, 1));
        control_await(&c, CONTROL_REPLY, &f);
        assert_int_equal(f.ok, i <= 8);
        control_free(&f);
    }
    control_send(&c, control_make_subscribe(c.next_id++, ROOM, 3, 1, 1)); /* takes his old place */
    control_await(&c, CONTROL_REPLY, &f);
    assert_true(f.ok);
    control_free(&f);
    control_shut(&c);
}

/* Reports that found no room are gone; control hears of it, once, and asks for everything anew. */
static void test_reports_that_found_no_room(void **state)
{
    (void)state;
    struct control_end c;
    struct worker_report *r;
    int64_t dropped = sfu_metric_value(SFU_CONTROL_DROPPED);
    control_open(&c);
    assert_false(worker_lost_reports(c.worker));
    while (sfu_metric_value(SFU_CONTROL_DROPPED) == dropped) { /* nobody takes the replies */
        struct control_frame *f = calloc(1, sizeof *f);
        char *text = control_make_leave(c.next_id++, ROOM, 1);
        assert_non_null(f);
        assert_int_equal(control_parse(f, text, strlen(text), NULL, 0), OK);
        free(text);
        if (worker_request(c.worker, f) != OK) { /* its ring is full: it comes to it */
            control_free(f);
            free(f);
            poll(NULL, 0, 1);
        }
    }
    while ((r = worker_take(c.worker))) {
        worker_report_free(r);
    }
    assert_true(worker_lost_reports(c.worker));
    while ((r = worker_take(c.worker))) {
        worker_report_free(r);
    }
    control_shut(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_from_offer_to_sound),
        cmocka_unit_test(test_the_answer_comes_after_the_handshake),
        cmocka_unit_test(test_the_address_moves),
        cmocka_unit_test(test_each_of_our_addresses),
        cmocka_unit_test(test_a_handshake_that_never_ends),
        cmocka_unit_test(test_a_finished_handshake_stays),
        cmocka_unit_test(test_another_fingerprint),
        cmocka_unit_test(test_a_fingerprint_that_is_nearly_right),
        cmocka_unit_test(test_the_client_checks_too),
        cmocka_unit_test(test_no_handshake_without_a_check),
        cmocka_unit_test(test_bad_media_is_counted),
        cmocka_unit_test(test_hello_tells_the_rooms),
        cmocka_unit_test(test_too_many_transports),
        cmocka_unit_test(test_reports_that_found_no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
