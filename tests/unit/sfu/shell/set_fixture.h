/* Several workers as control has them, and peers in C who are placed on them. */
#ifndef SOTTO_TEST_SET_FIXTURE_H
#define SOTTO_TEST_SET_FIXTURE_H

#include "tests/unit/sfu/shell/peer_fixture.h"

#include "sfu/shell/worker_set.h"

#define OTHER_ROOM "01890a5d-ac96-774b-bcce-b302099a8058"

struct set_end {
    struct worker_set *set;
    struct dtls_context *dtls;
    int64_t next_id;
};

static inline void set_open_with(struct set_end *c, const struct worker_set_options *options)
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
    assert_int_equal(dtls_context_new(&c->dtls), OK);
    o.dtls = c->dtls;
    c->next_id = 1;
    assert_int_equal(worker_set_start(&c->set, &o, options), OK);
}

static inline void set_open(struct set_end *c, size_t workers, size_t max_rooms)
{
    struct worker_set_options options = {
        .workers = workers, .pin = true, .max_rooms = max_rooms, .room_workers = 1};
    set_open_with(c, &options);
}

static inline void set_shut(struct set_end *c)
{
    worker_set_stop(c->set);
    dtls_context_free(c->dtls);
}

static inline int set_send(struct set_end *c, char *text)
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
static inline size_t set_await(struct set_end *c, enum control_type type, struct control_frame *out)
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

/* Publishes to the room and connects to the port that the answer names; which worker it was. */
static inline size_t publish(struct set_end *c, struct peer *p, const char *room, uint32_t number)
{
    struct control_frame f;
    uint8_t fingerprint[DTLS_FINGERPRINT_LEN];
    peer_open(p, 9);
    assert_int_equal(
        set_send(c, control_make_publish(c->next_id++, room, number,
                                         peer_describe(p, "0", "sendonly", "actpass"))),
        OK);
    size_t worker = set_await(c, CONTROL_REPLY, &f);
    assert_true(f.ok);
    assert_int_equal(peer_candidate_port(f.sdp), worker_port(worker_set_at(c->set, worker)));
    peer_aim(p, peer_candidate_port(f.sdp));
    peer_take_server(p, f.sdp, fingerprint);
    control_free(&f);
    assert_true(peer_check(p, "abcd"));
    assert_true(peer_handshake(p, fingerprint));
    set_await(c, CONTROL_CONNECTED, &f);
    control_free(&f);
    return worker;
}

static inline size_t subscribe(struct set_end *c, struct peer *p, const char *room, uint32_t number)
{
    struct control_frame f;
    uint8_t fingerprint[DTLS_FINGERPRINT_LEN];
    peer_open(p, 9);
    assert_int_equal(set_send(c, control_make_subscribe(c->next_id++, room, number, 1, 0)), OK);
    size_t worker = set_await(c, CONTROL_REPLY, &f);
    assert_true(f.ok);
    peer_aim(p, peer_candidate_port(f.sdp));
    peer_take_server(p, f.sdp, fingerprint);
    control_free(&f);
    assert_int_equal(set_send(c, control_make_answer(c->next_id++, room, number,
                                                     peer_describe(p, "a0", "recvonly", "active"))),
                     OK);
    assert_int_equal(set_await(c, CONTROL_REPLY, &f), worker);
    assert_true(f.ok);
    control_free(&f);
    assert_true(peer_check(p, "abcd"));
    assert_true(peer_handshake(p, fingerprint));
    return worker;
}

static inline void expect_reply(struct set_end *c, char *request, bool ok)
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

/* Sends until the first packet arrives (slots are filled at their own time) and ten more, each of
 * which arrives with the sender's number. */
static inline void pass_sound(struct peer *from, struct peer *to, uint32_t number)
{
    _Alignas(16) uint8_t in[2048];
    struct srtp_stream stream = {0};
    struct rtp_header h;
    int arrived = 0;
    int64_t end_us = clock_mono_us() + WAIT_US;
    for (uint16_t seq = 100; arrived < 10 && clock_mono_us() < end_us; seq++) {
        peer_send_sound(from, &stream, seq);
        if (peer_take_sound(to, &h, in, sizeof in, 1)) {
            assert_int_equal(rtp_csrc(&h, in, 0), number);
            arrived++;
        }
    }
    assert_int_equal(arrived, 10);
}

#endif
