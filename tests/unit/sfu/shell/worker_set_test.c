/* Two workers with real sockets: rooms go to both, each to its own port, and what is asked of a
 * room reaches the worker that has it. Run by ThreadSanitizer too. */
#include "tests/unit/sfu/shell/peer_fixture.h"

#include "sfu/shell/worker_set.h"

#define OTHER_ROOM "01890a5d-ac96-774b-bcce-b302099a8058"
#define OFFER                                                                                      \
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"                      \
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:%s\r\na=%s\r\n"                  \
    "a=rtcp-mux\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=setup:%s\r\n"         \
    "a=rtpmap:111 opus/48000/2\r\na=ssrc:4242 cname:x\r\na=fingerprint:sha-256 %s\r\n"

struct set_end {
    struct worker_set *set;
    struct dtls_context *dtls;
    int64_t next_id;
};

static void set_open_with(struct set_end *c, const struct worker_set_options *options)
{
    struct worker_options o = {.node = "test",
                               .instance = ROOM,
                               .region = "here",
                               .address = "127.0.0.1",
                               .connect_us = 400000,
                               .buffer_bytes = 1 << 20,
                               .max_rooms = 4,
                               .max_transports = 8,
                               .pool_packets = 4096, /* a ring between two takes 512 */
                               .cache_us = 1000000,
                               .n_candidates = 1,
                               .candidate = {{.address = "127.0.0.1"}},
                               .on_report = no_report};
    assert_int_equal(srtp_peer_library_init(), OK);
    assert_int_equal(dtls_context_new(&c->dtls), OK);
    o.dtls = c->dtls;
    c->next_id = 1;
    assert_int_equal(worker_set_start(&c->set, &o, options), OK);
}

static void set_open(struct set_end *c, size_t workers, size_t max_rooms)
{
    struct worker_set_options options = {
        .workers = workers, .pin = true, .max_rooms = max_rooms, .room_workers = 1};
    set_open_with(c, &options);
}

static void set_shut(struct set_end *c)
{
    worker_set_stop(c->set);
    dtls_context_free(c->dtls);
}

static int set_send(struct set_end *c, char *text)
{
    struct control_frame *f = calloc(1, sizeof *f);
    assert_non_null(f);
    assert_int_equal(control_parse(f, text, strlen(text), NULL, 0), OK);
    free(text);
    int err = worker_set_request(c->set, f);
    if (err) {
        control_free(f);
        free(f);
    }
    return err;
}

/* The next report of that type from any worker, whose index is returned. Inventories are taken. */
static size_t set_await(struct set_end *c, enum control_type type, struct control_frame *out)
{
    int64_t end_us = clock_mono_us() + WAIT_US;
    while (clock_mono_us() < end_us) {
        for (size_t i = 0; i < worker_set_count(c->set); i++) {
            struct worker_report *r = worker_take(worker_set_at(c->set, i));
            if (!r) {
                continue;
            }
            if (r->is_inventory) {
                worker_set_take_inventory(c->set, i, r->inventory);
                worker_report_free(r);
                continue;
            }
            assert_int_equal(control_parse(out, r->text, strlen(r->text), NULL, 0), OK);
            worker_report_free(r);
            if (out->type == type) {
                return i;
            }
            control_free(out);
        }
        poll(NULL, 0, 1);
    }
    fail_msg("no %s in time", control_type_name(type));
    return 0;
}

static char *describe(const struct peer *p, const char *mid, const char *direction,
                      const char *setup)
{
    static char text[2048];
    char fingerprint[96];
    fingerprint_text(fingerprint, dtls_context_fingerprint(p->context));
    snprintf(text, sizeof text, OFFER, mid, direction, setup, fingerprint);
    return text;
}

/* The port in the description's candidate. */
static int candidate_port(const char *sdp)
{
    const char *at = strstr(sdp, " 127.0.0.1 ");
    while (at && strncmp(at - 5, "IP4", 3) == 0) {
        at = strstr(at + 1, " 127.0.0.1 ");
    }
    assert_non_null(at);
    return (int)strtol(at + strlen(" 127.0.0.1 "), NULL, 10);
}

static void aim(struct peer *p, int port)
{
    p->server.sin_port = htons((uint16_t)port);
    assert_int_equal(connect(p->fd, (struct sockaddr *)&p->server, sizeof p->server), 0);
}

/* Publishes to the room and connects to the port that the answer names; which worker it was. */
static size_t publish(struct set_end *c, struct peer *p, const char *room, uint32_t number)
{
    struct control_frame f;
    uint8_t fingerprint[DTLS_FINGERPRINT_LEN];
    peer_open(p, 9);
    assert_int_equal(set_send(c, control_make_publish(c->next_id++, room, number,
                                                      describe(p, "0", "sendonly", "actpass"))),
                     OK);
    size_t worker = set_await(c, CONTROL_REPLY, &f);
    assert_true(f.ok);
    assert_int_equal(candidate_port(f.sdp), worker_port(worker_set_at(c->set, worker)));
    aim(p, candidate_port(f.sdp));
    peer_take_server(p, f.sdp, fingerprint);
    control_free(&f);
    assert_true(peer_check(p, "abcd"));
    assert_true(peer_handshake(p, fingerprint));
    set_await(c, CONTROL_CONNECTED, &f);
    control_free(&f);
    return worker;
}

static size_t subscribe(struct set_end *c, struct peer *p, const char *room, uint32_t number)
{
    struct control_frame f;
    uint8_t fingerprint[DTLS_FINGERPRINT_LEN];
    peer_open(p, 9);
    assert_int_equal(set_send(c, control_make_subscribe(c->next_id++, room, number, 1, 0)), OK);
    size_t worker = set_await(c, CONTROL_REPLY, &f);
    assert_true(f.ok);
    aim(p, candidate_port(f.sdp));
    peer_take_server(p, f.sdp, fingerprint);
    control_free(&f);
    assert_int_equal(set_send(c, control_make_answer(c->next_id++, room, number,
                                                     describe(p, "a0", "recvonly", "active"))),
                     OK);
    assert_int_equal(set_await(c, CONTROL_REPLY, &f), worker);
    assert_true(f.ok);
    control_free(&f);
    assert_true(peer_check(p, "abcd"));
    assert_true(peer_handshake(p, fingerprint));
    return worker;
}

/* Sends until the first packet arrives (slots are filled at their own time) and ten more, each of
 * which arrives with the sender's number. */
static void pass_sound(struct peer *from, struct peer *to, uint32_t number)
{
    _Alignas(16) uint8_t in[2048];
    struct srtp_stream stream = {0};
    struct rtp_header h;
    int arrived = 0;
    int64_t end_us = clock_mono_us() + WAIT_US;
    for (uint16_t seq = 100; arrived < 10 && clock_mono_us() < end_us; seq++) {
        uint8_t out[300] = {0};
        struct rtp_out o = {.pt = 111, .seq = seq, .ts = seq * 960u, .ssrc = 4242};
        int n = rtp_out_write(&o, out, sizeof out);
        memset(out + n, seq, 100);
        int len =
            srtp_writer_protect(from->writer, &stream, out, (size_t)n + 100, (size_t)n, sizeof out);
        peer_send(from, out, (size_t)len);
        size_t got = peer_receive(to, in, sizeof in);
        if (got && demux_packet(in, got) == PACKET_RTP) {
            assert_int_equal(srtp_peer_unprotect_rtp(to->srtp, in, &got), OK);
            assert_int_equal(rtp_parse(&h, in, got), OK);
            assert_int_equal(rtp_csrc(&h, in, 0), number);
            arrived++;
        }
    }
    assert_int_equal(arrived, 10);
}

static void test_two_rooms_two_workers(void **state)
{
    (void)state;
    struct set_end c;
    struct peer ann, ben, cleo, dora;
    set_open(&c, 2, 4);
    size_t first = publish(&c, &ann, ROOM, 1);
    size_t second = publish(&c, &cleo, OTHER_ROOM, 3);
    assert_int_not_equal(first, second);
    assert_int_not_equal(ann.server.sin_port, cleo.server.sin_port);
    assert_int_equal(subscribe(&c, &ben, ROOM, 2), first);
    assert_int_equal(subscribe(&c, &dora, OTHER_ROOM, 4), second);
    pass_sound(&ann, &ben, 1);
    pass_sound(&cleo, &dora, 3);
    peer_shut(&ann);
    peer_shut(&ben);
    peer_shut(&cleo);
    peer_shut(&dora);
    set_shut(&c);
}

static void expect_reply(struct set_end *c, char *request, bool ok)
{
    struct control_frame f;
    assert_int_equal(set_send(c, request), OK);
    set_await(c, CONTROL_REPLY, &f);
    assert_int_equal(f.ok, ok);
    if (!ok) {
        assert_string_equal(f.error_code, "not_participant");
    }
    control_free(&f);
}

static void test_rooms_that_nobody_has(void **state)
{
    (void)state;
    struct set_end c;
    set_open(&c, 3, 4);
    expect_reply(&c, control_make_leave(c.next_id++, ROOM, 1), true);
    expect_reply(&c, control_make_close(c.next_id++, ROOM), true);
    expect_reply(&c, control_make_view(c.next_id++, ROOM, 1, NULL, 0), false);
    set_shut(&c);
}

static void test_leave_and_close_make_place(void **state)
{
    (void)state;
    struct set_end c;
    struct control_slot none = {0};
    set_open(&c, 2, 1);
    expect_reply(&c, control_make_subscribe(c.next_id++, ROOM, 1, 1, 1), true);
    char *text = control_make_subscribe(c.next_id++, OTHER_ROOM, 1, 1, 1);
    assert_int_equal(set_send(&c, text), ERR_LIMIT);
    expect_reply(&c, control_make_leave(c.next_id++, ROOM, 1), true);
    expect_reply(&c, control_make_subscribe(c.next_id++, OTHER_ROOM, 1, 1, 1), true);
    expect_reply(&c, control_make_view(c.next_id++, OTHER_ROOM, 1, &none, 0), true);
    expect_reply(&c, control_make_close(c.next_id++, OTHER_ROOM), true);
    expect_reply(&c, control_make_view(c.next_id++, OTHER_ROOM, 1, &none, 0), false);
    assert_int_equal(placement_room_count(worker_set_placement(c.set)), 0);
    set_shut(&c);
}

/* A transport that never connects goes on its own; what it held of its worker is free again once
 * that one was asked. */
static void test_what_ends_on_its_own_is_forgotten(void **state)
{
    (void)state;
    struct set_end c;
    struct control_frame f;
    set_open(&c, 2, 4);
    expect_reply(&c, control_make_subscribe(c.next_id++, ROOM, 1, 1, 1), true);
    worker_set_measure(c.set, clock_mono_us());
    set_await(&c, CONTROL_DISCONNECTED, &f);
    control_free(&f);
    assert_int_equal(placement_room_count(worker_set_placement(c.set)), 1);
    worker_set_measure(c.set, clock_mono_us());
    expect_reply(&c, control_make_leave(c.next_id++, OTHER_ROOM, 1), true);
    int64_t end_us = clock_mono_us() + WAIT_US;
    while (placement_room_count(worker_set_placement(c.set)) && clock_mono_us() < end_us) {
        expect_reply(&c, control_make_leave(c.next_id++, OTHER_ROOM, 1), true);
        worker_set_measure(c.set, clock_mono_us());
    }
    assert_int_equal(placement_room_count(worker_set_placement(c.set)), 0);
    set_shut(&c);
}

static void test_a_worker_that_works_is_measured(void **state)
{
    (void)state;
    struct set_end c;
    set_open(&c, 2, 4);
    int64_t before_us = worker_cpu_us(worker_set_at(c.set, 0));
    for (int i = 0; i < 200; i++) { /* to worker 0, which has no such room */
        expect_reply(&c, control_make_leave(c.next_id++, ROOM, 1), true);
    }
    assert_true(worker_cpu_us(worker_set_at(c.set, 0)) > before_us);
    set_shut(&c);
}

/* Each worker takes one participant of a room: the others are elsewhere, and hear him all the same.
 */
static void test_a_room_on_three_workers(void **state)
{
    (void)state;
    struct set_end c;
    struct peer ann, ben, cleo;
    struct worker_set_options options = {
        .workers = 3, .max_rooms = 4, .room_workers = 3, .participants = 1};
    int64_t relayed = sfu_metric_value(SFU_RELAYED_PACKETS);
    set_open_with(&c, &options);
    size_t home = publish(&c, &ann, ROOM, 1);
    size_t second = subscribe(&c, &ben, ROOM, 2);
    assert_int_not_equal(second, home);
    pass_sound(&ann, &ben, 1);
    assert_true(sfu_metric_value(SFU_RELAYED_PACKETS) >= relayed + 10);
    size_t third = publish(&c, &cleo, ROOM, 3);
    assert_int_not_equal(third, home);
    assert_int_not_equal(third, second);
    expect_reply(&c, control_make_leave(c.next_id++, ROOM, 1), true);
    pass_sound(&cleo, &ben, 3); /* from branch to branch, by a home that has nobody left */
    peer_shut(&ann);
    peer_shut(&ben);
    peer_shut(&cleo);
    set_shut(&c); /* in the midst of it */
}

/* With the branch's last one the link of the room ends, and with it what it brought. */
static void test_a_branch_ends(void **state)
{
    (void)state;
    struct set_end c;
    struct peer ann, ben;
    struct worker_set_options options = {
        .workers = 2, .max_rooms = 4, .room_workers = 2, .participants = 1};
    int64_t rooms = sfu_metric_value(SFU_ROOMS); /* what former tests left */
    set_open_with(&c, &options);
    publish(&c, &ann, ROOM, 1);
    subscribe(&c, &ben, ROOM, 2);
    pass_sound(&ann, &ben, 1);
    expect_reply(&c, control_make_leave(c.next_id++, ROOM, 2), true);
    worker_set_measure(c.set, clock_mono_us());
    int64_t end_us = clock_mono_us() + WAIT_US;
    while (sfu_metric_value(SFU_ROOMS) != rooms + 1 && clock_mono_us() < end_us) {
        poll(NULL, 0, 1); /* the branch has no room any more, the home has */
    }
    assert_int_equal(sfu_metric_value(SFU_ROOMS), rooms + 1);
    expect_reply(&c, control_make_close(c.next_id++, ROOM), true);
    worker_set_measure(c.set, clock_mono_us());
    peer_shut(&ann);
    peer_shut(&ben);
    set_shut(&c);
}

static void test_bounds(void **state)
{
    (void)state;
    struct worker_set *s;
    struct worker_options o = {.port = 65530, .on_report = no_report};
    struct worker_set_options options = {.workers = 10, .max_rooms = 1, .room_workers = 1};
    assert_int_equal(worker_set_start(&s, &o, &options), ERR_INVALID);
    options.workers = PLACEMENT_MAX_WORKERS + 1;
    o.port = 0;
    assert_int_equal(worker_set_start(&s, &o, &options), ERR_INVALID);
    worker_set_stop(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_rooms_two_workers),
        cmocka_unit_test(test_rooms_that_nobody_has),
        cmocka_unit_test(test_leave_and_close_make_place),
        cmocka_unit_test(test_what_ends_on_its_own_is_forgotten),
        cmocka_unit_test(test_a_worker_that_works_is_measured),
        cmocka_unit_test(test_a_room_on_three_workers),
        cmocka_unit_test(test_a_branch_ends),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
