/* What one peer may cost a worker, and that the others notice nothing. */
#include "tests/unit/sfu/shell/paths_fixture.h"

#include "sfu/shell/worker_private.h"

/* ---- handshakes ---- */

/* A ClientHello that says it goes on, and never does: it holds a place until its transport goes.
 * Who comes meanwhile isn't answered, and gets in then. */
static void test_handshakes_are_bounded(void **state)
{
    (void)state;
    struct control_end c;
    struct peer mallory, ann;
    struct control_frame f;
    uint8_t fingerprint[DTLS_FINGERPRINT_LEN];
    struct admission_limits limits = {.most = {[ADMISSION_HANDSHAKES] = 1}};
    static const uint8_t fragment[] = {
        22,   0xfe, 0xfd, 0,   0, 0, 0, 0, 0, 0, 0, 0, 20, /* record */
        1,    0,    0,    200, 0, 0, 0, 0, 0, 0, 0, 8,     /* of 200, 8 */
        0xfe, 0xfd, 1,    2,   3, 4, 5, 6};
    int64_t refused = sfu_metric_value(SFU_REFUSED_HANDSHAKES);
    control_open_limited(&c, "127.0.0.1", 0, &limits);
    offer(&c, &mallory, 1, &udp4, fingerprint);
    assert_true(peer_check(&mallory, "abcd"));
    peer_send(&mallory, fragment, sizeof fragment);
    assert_true(peer_check(&mallory, "abcd")); /* behind it: it was read */

    offer(&c, &ann, 2, &udp4, fingerprint);
    assert_true(peer_check(&ann, "abcd"));
    assert_int_equal(dtls_new(&ann.dtls, ann.context, true, peer_send, &ann), OK);
    await_metric(SFU_REFUSED_HANDSHAKES, refused);
    dtls_free(ann.dtls);
    control_send(&c, control_make_leave(c.next_id++, ROOM, 1));
    await_reply(&c, &f);
    control_free(&f);
    assert_true(peer_handshake(&ann, fingerprint));
    control_await(&c, CONTROL_CONNECTED, &f);
    assert_int_equal(f.participant, 2);
    control_free(&f);
    peer_shut(&ann);
    peer_shut(&mallory);
    control_shut(&c);
}

/* Also where we are the client: the next check begins it. */
static void test_a_finished_handshake_makes_place(void **state)
{
    (void)state;
    struct control_end c;
    struct peer p[3];
    struct admission_limits limits = {.most = {[ADMISSION_HANDSHAKES] = 1}};
    struct way ways[3] = {udp4, tcp4, udp4};
    ways[2].serves = true;
    control_open_limited(&c, "127.0.0.1", 0, &limits);
    for (uint32_t i = 0; i < 3; i++) {
        connect_publisher(&c, &p[i], i + 1, &ways[i]);
    }
    for (int i = 0; i < 3; i++) {
        peer_shut(&p[i]);
    }
    control_shut(&c);
}

/* ---- packets ---- */

static void test_a_publisher_who_floods(void **state)
{
    (void)state;
    struct control_end c;
    struct peer ann, ben, mallory;
    struct flow flow = {0}, flood = {0};
    struct admission_limits limits = {.packets = {.per_second = 100, .burst = 100}};
    control_open_limited(&c, "127.0.0.1", 0, &limits);
    connect_publisher(&c, &ann, 1, &udp4);
    connect_subscriber(&c, &ben, 2, &udp4);
    int64_t dropped = sfu_metric_value(SFU_DROP_RATE);
    flow_pass(&flow, &ann, &ben, 10); /* in the one slot from now on */
    connect_publisher(&c, &mallory, 3, &udp4);
    for (int i = 0; i < 40; i++) {
        for (int k = 0; k < 20; k++) {
            flow_send(&flood, &mallory);
        }
        flow_pass(&flow, &ann, &ben, 1);
    }
    await_metric(SFU_DROP_RATE, dropped + 300);
    peer_shut(&ann);
    peer_shut(&ben);
    peer_shut(&mallory);
    control_shut(&c);
}

/* ---- checks ---- */

/* Who has one transport's name may not have all the worker's time. His address is verified by a
 * good check, and from then on has its own. */
static void test_checks_of_strangers(void **state)
{
    (void)state;
    struct control_end c;
    struct peer ann, mallory;
    uint8_t fingerprint[DTLS_FINGERPRINT_LEN], transaction[12];
    struct admission_limits limits = {.stun_prefix = {.per_second = 10, .burst = 10},
                                      .stun_all = {.per_second = 1000, .burst = 1000}};
    control_open_limited(&c, "127.0.0.1", 0, &limits);
    offer(&c, &ann, 1, &udp4, fingerprint);
    assert_true(peer_check(&ann, "abcd"));
    int64_t refused = sfu_metric_value(SFU_REFUSED_STUN);
    peer_open(&mallory, ntohs(ann.server.sin_port));
    memcpy(mallory.ufrag, ann.ufrag, sizeof ann.ufrag);
    memcpy(mallory.pwd, "another password, as long as that", 33);
    for (int i = 0; i < 100; i++) {
        peer_ask(&mallory, "abcd", true, transaction);
    }
    for (int i = 0; i < 50; i++) {
        assert_true(peer_check(&ann, "abcd"));
    }
    await_metric(SFU_REFUSED_STUN, refused + 50);
    peer_shut(&mallory);
    peer_shut(&ann);
    control_shut(&c);
}

/* ---- places ---- */

static void expect_refusal(struct control_end *c, char *text, const char *code)
{
    struct control_frame f;
    control_send(c, text);
    control_await(c, CONTROL_REPLY, &f);
    assert_false(f.ok);
    assert_string_equal(f.error_code, code);
    control_free(&f);
}

static void test_tracks_are_bounded(void **state)
{
    (void)state;
    struct control_end c;
    struct peer p[4];
    struct control_frame f;
    uint8_t fingerprint[DTLS_FINGERPRINT_LEN];
    struct admission_limits limits = {.most = {[ADMISSION_TRACKS] = 2}};
    control_open_limited(&c, "127.0.0.1", 0, &limits);
    offer(&c, &p[0], 1, &udp4, fingerprint);
    offer(&c, &p[1], 2, &udp4, fingerprint);
    peer_open(&p[2], 9);
    expect_refusal(&c,
                   control_make_publish(c.next_id++, ROOM, 3,
                                        peer_describe(&p[2], "0", "sendonly", "actpass")),
                   "overloaded");
    control_send(&c, control_make_leave(c.next_id++, ROOM, 1));
    await_reply(&c, &f);
    control_free(&f);
    offer(&c, &p[3], 3, &udp4, fingerprint);
    for (int i = 0; i < 4; i++) {
        peer_shut(&p[i]);
    }
    control_shut(&c);
}

static void test_transports_are_bounded(void **state)
{
    (void)state;
    struct control_end c;
    struct control_frame f;
    control_open(&c);
    for (uint32_t i = 1; i <= 8; i++) {
        control_send(&c, control_make_subscribe(c.next_id++, ROOM, i, 1, 1));
        await_reply(&c, &f);
        control_free(&f);
    }
    expect_refusal(&c, control_make_subscribe(c.next_id++, ROOM, 9, 1, 1), "overloaded");
    control_shut(&c);
}

/* ---- overload ---- */

#define TENTH 100000

/* For so long: of each hundred microseconds the loop worked so many, and others had the core for so
 * many. */
static void work_beside(struct worker *w, int percent, int others, int tenths)
{
    for (int i = 0; i < tenths; i++) {
        w->now_us += TENTH;
        w->waited_us += TENTH / 100 * (100 - percent - others);
        worker_measure(w, w->cpu_us + TENTH / 100 * percent);
    }
}

static void work(struct worker *w, int percent, int tenths)
{
    work_beside(w, percent, 0, tenths);
}

/* More work than time: video first, then nobody joins; and back again when it is over. */
static void test_overload(void **state)
{
    (void)state;
    struct worker *w = calloc(1, sizeof *w);
    struct admission_limits limits = {.busy_percent = 90};
    assert_non_null(w);
    admission_init(&w->admission, &limits, 1);
    w->now_us = w->measured_us = 5000000000;
    work(w, 85, 100);
    assert_int_equal(w->shed, 0);
    assert_int_equal(worker_join(w), OK);
    work(w, 99, 20);
    assert_true(w->shed > 0);
    assert_int_equal(worker_join(w), OK); /* shedding may be enough */
    work(w, 99, 100);
    assert_true(w->shed > 4);
    assert_int_equal(worker_join(w), ERR_LIMIT);
    work(w, 10, 3000);
    assert_int_equal(w->shed, 0);
    assert_int_equal(worker_join(w), OK);

    work_beside(w, 40, 45, 1000); /* a loaded host: there is time left, though less */
    assert_int_equal(w->shed, 0);
    work_beside(w, 45, 54, 100); /* half a core is all there is */
    assert_true(w->shed > 0);
    work(w, 10, 3000);

    limits.busy_percent = 0; /* switched off */
    admission_init(&w->admission, &limits, 1);
    work(w, 100, 1000);
    assert_int_equal(w->shed, 0);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handshakes_are_bounded),
        cmocka_unit_test(test_a_finished_handshake_makes_place),
        cmocka_unit_test(test_a_publisher_who_floods),
        cmocka_unit_test(test_checks_of_strangers),
        cmocka_unit_test(test_tracks_are_bounded),
        cmocka_unit_test(test_transports_are_bounded),
        cmocka_unit_test(test_overload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
