#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/err.h"
#include "lib/base/ids.h"
#include "lib/io/link.h"
#include "lib/io/link_frame.h"
#include "lib/io/loop.h"

/* One loop, a server and a client on it; the handlers count and stop the loop when what a test
 * waits for is there. */
static struct {
    struct loop *l;
    struct link_server *server;
    struct link_client *client;
    struct link *server_link, *client_link;
    int ups, downs, frames;
    size_t bytes;
    char last[64];
    bool timed_out;
    bool (*until)(void);
} t;

static void check(void)
{
    if (t.until && t.until())
        loop_stop(t.l);
}

static void on_up(struct link *k, void *arg)
{
    *(struct link **)arg = k;
    link_set_user(k, arg);
    t.ups++;
    check();
}

static void on_frame(struct link *k, void *arg, const uint8_t *data, size_t len)
{
    assert_ptr_equal(link_user(k), arg);
    t.frames++;
    t.bytes += len;
    snprintf(t.last, sizeof(t.last), "%.*s", (int)(len < 60 ? len : 60), (const char *)data);
    check();
}

static void on_down(struct link *k, void *arg)
{
    assert_ptr_equal(link_user(k), arg);
    *(struct link **)arg = NULL;
    t.downs++;
    check();
}

static const struct link_handlers handlers = {on_up, on_frame, on_down};

static void time_out(void *arg)
{
    (void)arg;
    t.timed_out = true;
    loop_stop(t.l);
}

/* Turns the loop until the condition holds; false when it doesn't within the time. */
static bool wait_for(bool (*until)(void), int64_t us)
{
    struct loop_timer *timer = loop_timer_new(t.l, time_out, NULL);
    t.timed_out = false;
    t.until = until;
    loop_timer_start(timer, us, 0);
    if (!until || !until())
        loop_run(t.l);
    loop_timer_free(timer);
    t.until = NULL;
    return !t.timed_out;
}

static bool both_up(void)
{
    return t.server_link && t.client_link;
}

static void start_server(int port, const char *secret)
{
    assert_int_equal(
        link_listen(&t.server, t.l, "127.0.0.1", port, secret, &handlers, &t.server_link), OK);
}

static int set_up(void **state)
{
    (void)state;
    memset(&t, 0, sizeof(t));
    t.l = loop_new();
    start_server(0, "the secret");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    link_client_free(t.client);
    link_server_free(t.server);
    loop_free(t.l);
    return 0;
}

static void start_client(const char *secret)
{
    assert_int_equal(link_connect(&t.client, t.l, "127.0.0.1", link_server_port(t.server), secret,
                                  &handlers, &t.client_link),
                     OK);
}

static bool one_frame(void)
{
    return t.frames == 1;
}

static bool two_frames(void)
{
    return t.frames == 2;
}

static void frames_go_both_ways(void **state)
{
    (void)state;
    start_client("the secret");
    assert_true(wait_for(both_up, 5000000));
    assert_int_equal(link_send(t.client_link, "hello", 5), OK);
    assert_true(wait_for(one_frame, 5000000));
    assert_string_equal(t.last, "hello");
    assert_int_equal(link_send(t.server_link, "welcome", 7), OK);
    assert_true(wait_for(two_frames, 5000000));
    assert_string_equal(t.last, "welcome");
}

static void the_largest_frame_goes_and_a_larger_one_does_not(void **state)
{
    char *data = calloc(1, LINK_MAX_FRAME + 1);
    (void)state;
    start_client("the secret");
    assert_true(wait_for(both_up, 5000000));
    assert_int_equal(link_send(t.client_link, data, LINK_MAX_FRAME + 1), ERR_TOO_LARGE);
    assert_int_equal(link_send(t.client_link, data, 0), ERR_INVALID);
    assert_int_equal(link_send(t.client_link, data, LINK_MAX_FRAME), OK);
    assert_int_equal(link_send(t.client_link, "x", 1), OK);
    assert_true(wait_for(two_frames, 5000000));
    assert_int_equal(t.bytes, LINK_MAX_FRAME + 1);
    free(data);
}

static void a_wrong_secret_never_comes_up(void **state)
{
    (void)state;
    start_client("another secret");
    assert_false(wait_for(both_up, 400000));
    assert_int_equal(t.ups, 0);
    assert_int_equal(t.downs, 0);
}

static bool one_down_each(void)
{
    return t.downs == 2;
}

static void the_client_comes_back_when_the_server_does(void **state)
{
    (void)state;
    start_client("the secret");
    assert_true(wait_for(both_up, 5000000));
    int port = link_server_port(t.server);
    link_server_free(t.server);
    t.server = NULL;
    assert_true(wait_for(one_down_each, 5000000));
    assert_null(t.client_link);
    start_server(port, "the secret");
    assert_true(wait_for(both_up, 10000000));
    assert_int_equal(t.ups, 4);
}

static void a_queue_that_only_grows_drops_the_link(void **state)
{
    char *data = calloc(1, LINK_MAX_FRAME);
    int sent = 0, rc;
    (void)state;
    start_client("the secret");
    assert_true(wait_for(both_up, 5000000));
    /* nothing is read while we are here */
    while ((rc = link_send(t.client_link, data, LINK_MAX_FRAME)) == OK && sent < 100)
        sent++;
    free(data);
    assert_int_equal(rc, ERR_LIMIT);
    assert_in_range(sent, 7, 16);
    assert_true(wait_for(one_down_each, 5000000));
}

static bool dropped(void)
{
    return t.downs >= 1;
}

static void a_dropped_link_is_told_later(void **state)
{
    (void)state;
    start_client("the secret");
    assert_true(wait_for(both_up, 5000000));
    link_drop(t.server_link);
    assert_int_equal(t.downs, 0);
    assert_true(wait_for(dropped, 5000000));
}

/* ---- a peer that isn't ours, by hand ---- */

static int raw_connect(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)link_server_port(t.server))};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, "127.0.0.1", &a.sin_addr);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

static bool server_up(void)
{
    return t.server_link != NULL;
}

static bool server_down(void)
{
    return t.downs == 1;
}

static void an_oversize_frame_drops_the_link(void **state)
{
    uint8_t theirs[LINK_NONCE], ours[LINK_NONCE] = {7}, proof[SHA256_LEN];
    static const uint8_t head[4] = {0x7f, 0xff, 0xff, 0xff};
    (void)state;
    int fd = raw_connect();
    assert_int_equal(write(fd, ours, sizeof(ours)), sizeof(ours));
    assert_false(wait_for(NULL, 50000)); /* the server sends its nonce first */
    assert_int_equal(recv(fd, theirs, sizeof(theirs), MSG_WAITALL), sizeof(theirs));
    link_proof(proof, "the secret", "client", ours, theirs);
    assert_int_equal(write(fd, proof, sizeof(proof)), sizeof(proof));
    assert_true(wait_for(server_up, 5000000));
    assert_int_equal(write(fd, head, sizeof(head)), sizeof(head));
    assert_true(wait_for(server_down, 5000000));
    close(fd);
}

static void our_own_proof_sent_back_is_refused(void **state)
{
    uint8_t nonce[LINK_NONCE], proof[SHA256_LEN], rest[64];
    (void)state;
    int fd = raw_connect();
    assert_false(wait_for(NULL, 50000));
    assert_int_equal(recv(fd, nonce, sizeof(nonce), MSG_WAITALL), sizeof(nonce));
    assert_int_equal(write(fd, nonce, sizeof(nonce)), sizeof(nonce)); /* reflected */
    link_proof(proof, "the secret", "server", nonce, nonce);
    assert_int_equal(write(fd, proof, sizeof(proof)), sizeof(proof));
    assert_false(wait_for(server_up, 200000));
    assert_int_equal(recv(fd, rest, sizeof(rest), MSG_DONTWAIT), 0); /* closed, nothing said */
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(frames_go_both_ways, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_largest_frame_goes_and_a_larger_one_does_not, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_wrong_secret_never_comes_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_client_comes_back_when_the_server_does, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_queue_that_only_grows_drops_the_link, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_dropped_link_is_told_later, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_oversize_frame_drops_the_link, set_up, tear_down),
        cmocka_unit_test_setup_teardown(our_own_proof_sent_back_is_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
