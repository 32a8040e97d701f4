/* Nodes' ends over loopback: they find each other, frames pass, one is restarted, one has several
 * peers over its port, strangers are nobody. Time is an argument; sockets are real. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/err.h"
#include "lib/proto/relay_frame.h"
#include "sfu/core/relay_session.h"
#include "sfu/shell/relay_udp.h"

#define SECRET "a secret that both nodes know"

struct side {
    struct relay_udp *udp;
    int ups, downs, frames;
    uint32_t last_peer;
    uint8_t last[2048];
    size_t last_len;
};

static void on_up(void *arg, uint32_t peer)
{
    ((struct side *)arg)->ups++;
    ((struct side *)arg)->last_peer = peer;
}

static void on_down(void *arg, uint32_t peer)
{
    ((struct side *)arg)->downs++;
    ((struct side *)arg)->last_peer = peer;
}

static void on_frame(void *arg, uint32_t peer, const uint8_t *data, size_t len)
{
    struct side *s = arg;
    struct relay_frame f;
    if (relay_frame_read(&f, data, len) == OK && f.type == RELAY_PING) {
        return;
    }
    s->last_peer = peer;
    memcpy(s->last, data, len);
    s->last_len = len;
    s->frames++;
}

static void open_side(struct side *s, const char *secret)
{
    static const struct relay_udp_handlers handlers = {on_up, on_down, on_frame};
    memset(s, 0, sizeof *s);
    assert_int_equal(relay_udp_open(&s->udp, "127.0.0.1", 0, secret, strlen(secret)), OK);
    relay_udp_handle(s->udp, &handlers, s);
}

/* b is a's peer of that number. */
static void know(struct side *a, uint32_t peer, struct side *b)
{
    assert_int_equal(relay_udp_peer(a->udp, peer, "127.0.0.1", relay_udp_port(b->udp)), OK);
}

static int send_text(struct side *s, uint32_t peer, const char *text)
{
    int err = relay_udp_send(s->udp, peer, text, strlen(text), NULL, 0);
    relay_udp_flush(s->udp);
    return err;
}

static void introduce(struct side *a, struct side *b)
{
    know(a, 0, b);
    know(b, 0, a);
}

/* Both read until nothing comes for 20 ms. */
static void settle(struct side *a, struct side *b, int64_t now_us)
{
    struct pollfd f[] = {{.fd = relay_udp_fd(a->udp), .events = POLLIN},
                         {.fd = relay_udp_fd(b->udp), .events = POLLIN}};
    while (poll(f, 2, 20) > 0) {
        relay_udp_receive(a->udp, now_us);
        relay_udp_receive(b->udp, now_us);
    }
}

static void meet(struct side *a, struct side *b, int64_t now_us)
{
    relay_udp_tick(a->udp, now_us);
    relay_udp_tick(b->udp, now_us);
    settle(a, b, now_us);
}

static void test_frames_pass(void **state)
{
    (void)state;
    struct side a, b;
    uint8_t body[1500];
    memset(body, 7, sizeof body);
    open_side(&a, SECRET);
    open_side(&b, SECRET);
    assert_int_equal(send_text(&a, 0, "x"), ERR_STATE);
    introduce(&a, &b);
    meet(&a, &b, 1000);
    assert_int_equal(a.ups, 1);
    assert_int_equal(b.ups, 1);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(relay_udp_send(a.udp, 0, "head", 4, body, (size_t)i * 30), OK);
    }
    relay_udp_flush(a.udp);
    settle(&a, &b, 2000);
    assert_int_equal(b.frames, 50);
    assert_int_equal(b.last_len, 4 + 49 * 30);
    assert_memory_equal(b.last, "head\7\7", 6);
    assert_int_equal(send_text(&b, 0, "back"), OK);
    settle(&a, &b, 2000);
    assert_int_equal(a.last_len, 4);
    assert_int_equal(relay_udp_send(a.udp, 0, "head", 4, body, 2000), ERR_TOO_LARGE);
    assert_int_equal(relay_udp_counts(a.udp)->sent, 50);
    assert_int_equal(relay_udp_counts(b.udp)->received, 50);
    relay_udp_close(a.udp);
    relay_udp_close(b.udp);
}

static void test_one_goes_and_comes_back(void **state)
{
    (void)state;
    struct side a, b;
    int64_t now_us = 1000;
    open_side(&a, SECRET);
    open_side(&b, SECRET);
    introduce(&a, &b);
    meet(&a, &b, now_us);
    for (int i = 0; i < 20; i++) { /* pings keep it */
        now_us += 1000000;
        meet(&a, &b, now_us);
    }
    assert_int_equal(a.ups + b.ups, 2);
    assert_int_equal(a.downs + b.downs, 0);
    relay_udp_close(b.udp);
    for (int i = 0; i < 7; i++) {
        now_us += 1000000;
        relay_udp_tick(a.udp, now_us);
        relay_udp_receive(a.udp, now_us);
    }
    assert_int_equal(a.downs, 1);
    assert_int_equal(send_text(&a, 0, "x"), ERR_STATE);
    open_side(&b, SECRET);
    introduce(&a, &b);
    now_us += 1000000;
    meet(&a, &b, now_us);
    assert_int_equal(a.ups, 2);
    assert_int_equal(b.ups, 1);
    relay_udp_close(a.udp);
    relay_udp_close(b.udp);
}

static void test_strangers(void **state)
{
    (void)state;
    struct side a, b, c;
    open_side(&a, SECRET);
    open_side(&b, SECRET);
    open_side(&c, "another secret, as long as it");
    introduce(&a, &b);
    meet(&a, &b, 1000);
    know(&c, 0, &a);
    uint64_t refused = relay_udp_counts(a.udp)->refused;
    meet(&a, &c, 2000);
    assert_int_equal(c.ups, 0);
    assert_int_equal(relay_udp_counts(a.udp)->refused, refused + 1);
    know(&a, 1, &c);
    meet(&a, &c, 1000000); /* the right address doesn't help without the secret */
    assert_int_equal(c.ups, 0);
    assert_int_equal(a.ups, 1);
    assert_true(relay_udp_is_up(a.udp, 0)); /* nor does it hurt whom we know */
    assert_false(relay_udp_is_up(a.udp, 1));
    assert_int_equal(relay_udp_peer(a.udp, 1, "localhost", 1), ERR_INVALID);
    assert_int_equal(relay_udp_peer(a.udp, 1, "127.0.0.1", 0), ERR_INVALID);
    assert_int_equal(relay_udp_peer(a.udp, RELAY_UDP_PEERS, "127.0.0.1", 1), ERR_INVALID);
    struct relay_udp *u;
    assert_int_equal(relay_udp_open(&u, "127.0.0.1", 0, "short", 5), ERR_INVALID);
    relay_udp_close(a.udp);
    relay_udp_close(b.udp);
    relay_udp_close(c.udp);
    relay_udp_close(NULL);
}

/* One port, two peers: each has a session of its own, and who is forgotten is a stranger. */
/* What comes from a peer's address and isn't his: refused, counted, and not answered but by a hello
 * to what is a hello. */
static void test_forged_from_a_peers_address(void **state)
{
    (void)state;
    struct side a, b;
    struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET};
    socklen_t len = sizeof from;
    uint8_t data[200] = {0x53, 0x52, 1, 1}, answer[300];
    static const size_t lengths[] = {1, 3, 4, 101, 200};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    open_side(&a, SECRET);
    open_side(&b, SECRET);
    from.sin_addr.s_addr = to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons((uint16_t)relay_udp_port(a.udp));
    assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&from, &len), 0);
    introduce(&a, &b);
    meet(&a, &b, 1000);
    assert_int_equal(relay_udp_peer(a.udp, 1, "127.0.0.1", ntohs(from.sin_port)), OK);
    uint64_t refused = relay_udp_counts(a.udp)->refused;
    for (uint8_t kind = 0; kind < 3; kind++) { /* hello, data, neither */
        data[3] = (uint8_t)(kind + 1);
        for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
            ssize_t n = sendto(fd, data, lengths[i], 0, (struct sockaddr *)&to, sizeof to);
            assert_int_equal(n, lengths[i]);
        }
    }
    settle(&a, &b, 2000);
    assert_int_equal(relay_udp_counts(a.udp)->refused, refused + 15);
    assert_int_equal(recv(fd, answer, sizeof answer, MSG_DONTWAIT), -1);
    assert_false(relay_udp_is_up(a.udp, 1));
    assert_int_equal(send_text(&a, 0, "still there"), OK);
    settle(&a, &b, 3000);
    assert_memory_equal(b.last, "still there", 11);
    close(fd);
    relay_udp_close(a.udp);
    relay_udp_close(b.udp);
}

static void test_several_peers(void **state)
{
    (void)state;
    struct side a, b, c;
    open_side(&a, SECRET);
    open_side(&b, SECRET);
    open_side(&c, SECRET);
    know(&a, 3, &b);
    know(&a, 15, &c);
    know(&b, 0, &a);
    know(&c, 0, &a);
    meet(&a, &b, 1000);
    meet(&a, &c, 1000);
    assert_int_equal(a.ups, 2);
    assert_int_equal(send_text(&b, 0, "of b"), OK);
    settle(&a, &b, 2000);
    assert_int_equal(a.last_peer, 3);
    assert_int_equal(send_text(&c, 0, "of c"), OK);
    settle(&a, &c, 2000);
    assert_int_equal(a.last_peer, 15);
    assert_int_equal(send_text(&a, 15, "to c"), OK);
    settle(&a, &c, 2000);
    settle(&a, &b, 2000);
    assert_int_equal(b.frames, 0);
    assert_int_equal(c.frames, 1);
    know(&a, 15, &c); /* nothing new */
    assert_true(relay_udp_is_up(a.udp, 15));
    relay_udp_forget(a.udp, 15);
    assert_int_equal(send_text(&a, 15, "x"), ERR_STATE);
    uint64_t refused = relay_udp_counts(a.udp)->refused;
    assert_int_equal(send_text(&c, 0, "still here"), OK);
    settle(&a, &c, 3000);
    assert_int_equal(relay_udp_counts(a.udp)->refused, refused + 1);
    assert_int_equal(a.frames, 2);
    know(&a, 3, &c); /* another node has taken b's place */
    assert_false(relay_udp_is_up(a.udp, 3));
    meet(&a, &c, 4000);
    assert_true(relay_udp_is_up(a.udp, 3));
    assert_int_equal(c.ups, 2);
    relay_udp_close(a.udp);
    relay_udp_close(b.udp);
    relay_udp_close(c.udp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_pass),
        cmocka_unit_test(test_one_goes_and_comes_back),
        cmocka_unit_test(test_forged_from_a_peers_address),
        cmocka_unit_test(test_several_peers),
        cmocka_unit_test(test_strangers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
