/* What a client may do with his ICE-TCP connection at the wrong moment, against a real worker: the
 * pair beside him hears every packet. */
#include "tests/unit/sfu/shell/paths_fixture.h"

#define ROUNDS 40

/* A good check of his, and the connection reset behind it before anybody could answer. */
static void check_and_reset(struct control_end *c, struct peer *p, const char *sdp)
{
    struct linger none = {.l_onoff = 1};
    uint8_t transaction[12];
    (void)c;
    go(p, sdp, &tcp4);
    peer_ask(p, "abcd", true, transaction);
    assert_int_equal(setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none), 0);
    close(p->fd);
    p->fd = socket(AF_INET, SOCK_DGRAM, 0); /* there is one to be closed */
}

/* The transport must not hold on to a connection that is gone: neither when something leaves for it
 * (we are the DTLS client, which speaks first and again each second) nor when it goes itself. */
static void test_reset_behind_a_check(void **state)
{
    (void)state;
    struct control_end c;
    struct peer ann, ben;
    struct flow flow = {0};
    control_open(&c);
    connect_publisher(&c, &ann, 1, &udp4);
    connect_subscriber(&c, &ben, 2, &tcp4);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        struct control_frame f;
        struct peer p;
        uint8_t fingerprint[DTLS_FINGERPRINT_LEN];
        peer_open(&p, 9);
        control_send(&c, control_make_publish(
                             c.next_id++, ROOM, 3,
                             peer_describe(&p, "0", "sendonly", i % 2 ? "passive" : "actpass")));
        await_reply(&c, &f);
        peer_take_server(&p, f.sdp, fingerprint);
        check_and_reset(&c, &p, f.sdp);
        check_and_reset(&c, &p, f.sdp);
        flow_pass(&flow, &ann, &ben, 3);
        control_free(&f);
        if (i % 4 == 3) {
            control_send(&c, control_make_leave(c.next_id++, ROOM, 3));
            await_reply(&c, &f);
            control_free(&f);
        }
        peer_shut(&p);
    }
    flow_pass(&flow, &ann, &ben, 70); /* DTLS timers have run out meanwhile */
    peer_shut(&ann);
    peer_shut(&ben);
    control_shut(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reset_behind_a_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
