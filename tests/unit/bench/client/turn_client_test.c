#include "bench/client/turn_client.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/err.h"

#define SECOND INT64_C(1000000)

static struct sockaddr_in peer_address = {.sin_family = AF_INET};

static struct turn_client *make_client(const char *password)
{
    struct turn_client *c = NULL;
    assert_int_equal(turn_client_new(&c, "user", password, &peer_address), OK);
    return c;
}

/* ---- answers made by hand ---- */
struct answer {
    size_t len;
    uint8_t data[256];
};

static void add(struct answer *a, uint16_t type, const void *value, size_t len)
{
    uint8_t *p = a->data + a->len;
    p[0] = (uint8_t)(type >> 8);
    p[1] = (uint8_t)type;
    p[2] = (uint8_t)(len >> 8);
    p[3] = (uint8_t)len;
    memset(p + 4, 0, (len + 3) / 4 * 4);
    memcpy(p + 4, value, len);
    a->len += 4 + (len + 3) / 4 * 4;
    a->data[2] = (uint8_t)((a->len - 20) >> 8);
    a->data[3] = (uint8_t)(a->len - 20);
}

/* An answer of a class (1: success, 2: error in C1 C0) to a request. */
static struct answer answer_to(const uint8_t *request, bool error)
{
    struct answer a = {.len = 20};
    memcpy(a.data, request, 20);
    a.data[0] |= 1;
    a.data[1] |= error ? 0x10 : 0;
    a.data[2] = a.data[3] = 0;
    return a;
}

static struct answer refuse(const uint8_t *request, int code)
{
    struct answer a = answer_to(request, true);
    const uint8_t text[] = {0, 0, (uint8_t)(code / 100), (uint8_t)(code % 100), 'n', 'o'};
    add(&a, 0x0009, text, sizeof(text));
    return a;
}

static struct answer challenge(const uint8_t *request, int code, const char *nonce)
{
    struct answer a = refuse(request, code);
    add(&a, 0x0014, "realm", 5);
    add(&a, 0x0015, nonce, strlen(nonce));
    return a;
}

/* Has the message this attribute? Its value. */
static const uint8_t *find(const uint8_t *message, size_t len, uint16_t type, size_t *value_len)
{
    for (size_t at = 20; at + 4 <= len;) {
        *value_len = (size_t)message[at + 2] << 8 | message[at + 3];
        if ((message[at] << 8 | message[at + 1]) == type)
            return message + at + 4;
        at += 4 + (*value_len + 3) / 4 * 4;
    }
    return NULL;
}

static void input(struct turn_client *c, const struct answer *a)
{
    const uint8_t *payload;
    assert_int_equal(turn_client_input(c, a->data, a->len, 0, &payload), 0);
}

static void test_a_request_is_repeated_and_given_up(void **state)
{
    (void)state;
    static const int64_t at_ms[] = {0, 500, 1500, 3500, 7500, 15500, 31500};
    uint8_t first[TURN_MAX_MESSAGE], again[TURN_MAX_MESSAGE];
    struct turn_client *c = make_client("secret");
    size_t len = 0;
    for (size_t i = 0; i < sizeof(at_ms) / sizeof(at_ms[0]); i++) {
        int64_t due = at_ms[i] * 1000;
        if (i > 0) {
            assert_int_equal(turn_client_deadline(c), due);
            assert_int_equal(turn_client_poll(c, again, sizeof(again), due - 1), 0);
        }
        size_t n = turn_client_poll(c, i ? again : first, sizeof(first), due);
        assert_true(n >= 20);
        if (i > 0)
            assert_memory_equal(first, again, len);
        len = n;
    }
    assert_int_equal(turn_client_poll(c, again, sizeof(again), 39499999), 0);
    assert_int_equal(turn_client_state(c), TURN_ALLOCATING);
    assert_int_equal(turn_client_poll(c, again, sizeof(again), 39500000), 0);
    assert_int_equal(turn_client_state(c), TURN_FAILED);
    assert_int_equal(turn_client_error(c), 408);
    assert_true(turn_client_deadline(c) == INT64_MAX);
    turn_client_free(c);
}

static void test_challenges_are_answered_once_each(void **state)
{
    (void)state;
    uint8_t out[TURN_MAX_MESSAGE];
    size_t n;
    struct turn_client *c = make_client("secret");
    size_t len = turn_client_poll(c, out, sizeof(out), 0);
    assert_null(find(out, len, 0x0006, &n)); /* no user name before it is asked for */
    struct answer a = challenge(out, 401, "nonce-1");
    input(c, &a);
    for (int i = 0; i < 2; i++) {
        char nonce[24];
        len = turn_client_poll(c, out, sizeof(out), 0);
        snprintf(nonce, sizeof(nonce), "nonce-%d", i + 1);
        assert_memory_equal(find(out, len, 0x0006, &n), "user", 4);
        assert_memory_equal(find(out, len, 0x0014, &n), "realm", 5);
        assert_memory_equal(find(out, len, 0x0015, &n), nonce, 7);
        assert_non_null(find(out, len, 0x0008, &n));
        assert_int_equal(turn_client_poll(c, out, sizeof(out), 0), 0);
        snprintf(nonce, sizeof(nonce), "nonce-%d", i + 2);
        a = challenge(out, 438, nonce); /* stale */
        input(c, &a);
    }
    /* The credentials themselves are wrong. */
    assert_true(turn_client_poll(c, out, sizeof(out), 0) > 0);
    a = challenge(out, 401, "nonce-9");
    input(c, &a);
    assert_int_equal(turn_client_state(c), TURN_FAILED);
    assert_int_equal(turn_client_error(c), 401);
    turn_client_free(c);
}

static void test_a_server_that_always_wants_a_new_nonce(void **state)
{
    (void)state;
    uint8_t out[TURN_MAX_MESSAGE];
    struct turn_client *c = make_client("secret");
    int requests = 0;
    while (requests < 20 && turn_client_poll(c, out, sizeof(out), 0) > 0) {
        struct answer a = challenge(out, requests++ ? 438 : 401, "nonce");
        input(c, &a);
    }
    assert_int_equal(turn_client_state(c), TURN_FAILED);
    assert_int_equal(turn_client_error(c), 438);
    assert_true(requests < 6);
    turn_client_free(c);
}

static void test_refused(void **state)
{
    (void)state;
    uint8_t out[TURN_MAX_MESSAGE];
    struct turn_client *c = make_client("secret");
    assert_true(turn_client_poll(c, out, sizeof(out), 0) > 0);
    struct answer a = refuse(out, 486); /* quota */
    input(c, &a);
    assert_int_equal(turn_client_state(c), TURN_FAILED);
    assert_int_equal(turn_client_error(c), 486);
    turn_client_free(c);
}

static void test_forged_and_broken_answers_are_dropped(void **state)
{
    (void)state;
    static const uint8_t relayed[] = {0, 1, 0x12, 0x34, 1, 2, 3, 4}, lifetime[] = {0, 0, 2, 0};
    static const uint8_t integrity[20] = {1};
    const uint8_t *payload;
    uint8_t out[TURN_MAX_MESSAGE];
    struct turn_client *c = make_client("secret");
    assert_true(turn_client_poll(c, out, sizeof(out), 0) > 0);
    struct answer ok = answer_to(out, false);
    add(&ok, 0x0016, relayed, sizeof(relayed));
    add(&ok, 0x0020, relayed, sizeof(relayed));
    add(&ok, 0x000d, lifetime, sizeof(lifetime));
    input(c, &ok); /* a success without a question for credentials */
    assert_int_equal(turn_client_state(c), TURN_ALLOCATING);
    struct answer a = challenge(out, 401, "nonce");
    for (size_t cut = 0; cut < a.len; cut++)
        turn_client_input(c, a.data, cut, 0, &payload);
    struct answer other = a;
    other.data[9] ^= 1; /* another transaction */
    input(c, &other);
    assert_int_equal(turn_client_poll(c, out, sizeof(out), 0), 0); /* nothing came of those */
    input(c, &a);
    assert_true(turn_client_poll(c, out, sizeof(out), 0) > 0);
    memcpy(ok.data + 4, out + 4, 16);
    input(c, &ok); /* no MESSAGE-INTEGRITY */
    assert_int_equal(turn_client_state(c), TURN_ALLOCATING);
    add(&ok, 0x0008, integrity, sizeof(integrity));
    input(c, &ok); /* a wrong one */
    assert_int_equal(turn_client_state(c), TURN_ALLOCATING);
    for (unsigned i = 0; i < 20000; i++) { /* whatever comes */
        uint8_t junk[64];
        size_t len = (size_t)rand() % sizeof(junk);
        for (size_t k = 0; k < len; k++)
            junk[k] = (uint8_t)rand();
        if (i % 2 && len >= 20) {
            junk[0] = 1;
            memcpy(junk + 4, out + 4, 16);
        }
        turn_client_input(c, junk, len, 0, &payload);
        if (turn_client_state(c) == TURN_FAILED)
            break; /* an error that was made by chance: it's not authenticated (RFC 8489 9.2.5) */
    }
    assert_true(turn_client_state(c) == TURN_ALLOCATING || turn_client_state(c) == TURN_FAILED);
    turn_client_free(c);
}

static void test_bad_credentials(void **state)
{
    (void)state;
    char text[600];
    struct turn_client *c = NULL;
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(turn_client_new(&c, "", "p", &peer_address), ERR_INVALID);
    assert_int_equal(turn_client_new(&c, "u", "", &peer_address), ERR_INVALID);
    assert_int_equal(turn_client_new(&c, text, "p", &peer_address), ERR_INVALID);
    assert_int_equal(turn_client_new(&c, "u", text, &peer_address), ERR_INVALID);
}

/* ---- a real coturn ---- */
static struct {
    pid_t pid;
    int port, fd, peer;
    char dir[64];
} server;

static int udp_socket(struct sockaddr_in *a)
{
    socklen_t len = sizeof(*a);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    memset(a, 0, sizeof(*a));
    a->sin_family = AF_INET;
    a->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)a, sizeof(*a)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)a, &len), 0);
    return fd;
}

static void run_coturn(const char *program)
{
    char port[8], db[80], pid[80];
    snprintf(port, sizeof(port), "%d", server.port);
    snprintf(db, sizeof(db), "%s/db", server.dir);
    snprintf(pid, sizeof(pid), "%s/pid", server.dir);
    int null = open("/dev/null", O_RDWR);
    dup2(null, 1);
    dup2(null, 2);
    execl(program, program, "-n", "--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1",
          "--listening-port", port, "--lt-cred-mech", "--realm=realm", "--user=user:secret",
          "--allow-loopback-peers", "--no-cli", "--no-tls", "--no-dtls", "--no-tcp",
          "--fingerprint", "--userdb", db, "--pidfile", pid, "--log-file=stdout", (char *)NULL);
    _exit(127);
}

static int start_coturn(void **state)
{
    static const char program[] = "/usr/bin/turnserver";
    struct sockaddr_in a;
    (void)state;
    if (access(program, X_OK) != 0)
        return 0; /* the tests skip */
    snprintf(server.dir, sizeof(server.dir), "/tmp/sotto-turn-client-XXXXXX");
    assert_non_null(mkdtemp(server.dir));
    int probe = udp_socket(&a); /* a port that is free */
    close(probe);
    server.port = ntohs(a.sin_port);
    server.pid = fork();
    if (server.pid == 0)
        run_coturn(program);
    server.peer = udp_socket(&peer_address);
    server.fd = udp_socket(&a);
    a.sin_port = htons((uint16_t)server.port);
    return connect(server.fd, (struct sockaddr *)&a, sizeof(a));
}

static int stop_coturn(void **state)
{
    (void)state;
    if (server.pid > 0) {
        kill(server.pid, SIGKILL);
        waitpid(server.pid, NULL, 0);
        close(server.fd);
        close(server.peer);
        static const char *const names[] = {"db", "pid"};
        for (size_t i = 0; i < 2; i++) {
            char path[96];
            snprintf(path, sizeof(path), "%s/%s", server.dir, names[i]);
            unlink(path);
        }
        rmdir(server.dir);
    }
    return 0;
}

/* Sends what the client wants to and gives it what comes, until it has reached a state. */
static void drive(struct turn_client *c, enum turn_state until, int64_t now)
{
    uint8_t data[TURN_MAX_MESSAGE];
    const uint8_t *payload;
    /* coturn may not listen yet: its time is the client's tries, made to come quickly. */
    for (int turns = 0; turns < 600 && turn_client_state(c) != until; turns++) {
        size_t n = turn_client_poll(c, data, sizeof(data), now);
        if (n > 0)
            (void)!send(server.fd, data, n, 0);
        struct pollfd p = {.fd = server.fd, .events = POLLIN};
        if (poll(&p, 1, 100) > 0) {
            ssize_t got = recv(server.fd, data, sizeof(data), MSG_DONTWAIT);
            if (got > 0)
                turn_client_input(c, data, (size_t)got, now, &payload);
            else
                nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL); /* ICMP: not there yet */
        }
        bool waits = turn_client_state(c) == TURN_ALLOCATING && turn_client_deadline(c) > now;
        if (waits && turns % 3 == 2 && until == TURN_READY) {
            turn_client_close(c, now); /* nothing was allocated */
            return;
        }
    }
}

static struct turn_client *ready_client(int64_t now)
{
    for (int tries = 0; tries < 50; tries++) {
        struct turn_client *c = make_client("secret");
        drive(c, TURN_READY, now);
        if (turn_client_state(c) == TURN_READY)
            return c;
        turn_client_free(c);
    }
    fail_msg("coturn gave no allocation");
    return NULL;
}

/* Whether the peer's datagram reaches the client through the channel, whole. */
static bool comes_back(struct turn_client *c, const char *text, int64_t now)
{
    uint8_t data[TURN_MAX_MESSAGE];
    const uint8_t *payload;
    struct pollfd p = {.fd = server.fd, .events = POLLIN};
    if (poll(&p, 1, 1000) <= 0)
        return false;
    ssize_t got = recv(server.fd, data, sizeof(data), 0);
    assert_true(got > 0);
    for (size_t cut = 0; cut < (size_t)got; cut++) /* a cut one gives nothing */
        assert_int_equal(turn_client_input(c, data, cut, now, &payload), 0);
    size_t n = turn_client_input(c, data, (size_t)got, now, &payload);
    return n == strlen(text) && memcmp(payload, text, n) == 0;
}

static void relay_both_ways(struct turn_client *c, int64_t now)
{
    uint8_t data[TURN_MAX_MESSAGE];
    struct sockaddr_in from;
    socklen_t len = sizeof(from);
    turn_channel_header(data, 5);
    memcpy(data + TURN_CHANNEL_LEN, "there", 5);
    assert_int_equal(send(server.fd, data, TURN_CHANNEL_LEN + 5, 0), TURN_CHANNEL_LEN + 5);
    struct pollfd p = {.fd = server.peer, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 2000), 1);
    ssize_t got = recvfrom(server.peer, data, sizeof(data), 0, (struct sockaddr *)&from, &len);
    assert_int_equal(got, 5);
    assert_memory_equal(data, "there", 5);
    assert_int_equal(from.sin_port, turn_client_relayed(c)->sin_port);
    assert_int_equal(from.sin_addr.s_addr, turn_client_relayed(c)->sin_addr.s_addr);
    assert_int_equal(sendto(server.peer, "and back", 8, 0, (struct sockaddr *)&from, len), 8);
    assert_true(comes_back(c, "and back", now));
}

/* Whether what is sent to the relayed address soon stops coming: coturn deletes an allocation one
 * second after it was given back. */
static bool is_gone(const struct sockaddr_in *relayed)
{
    uint8_t data[TURN_MAX_MESSAGE];
    struct pollfd p = {.fd = server.fd, .events = POLLIN};
    for (int tries = 0; tries < 100; tries++) {
        sendto(server.peer, "late", 4, 0, (const struct sockaddr *)relayed, sizeof(*relayed));
        if (poll(&p, 1, 200) == 0)
            return true;
        (void)!recv(server.fd, data, sizeof(data), 0);
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    }
    return false;
}

static void test_relays_through_coturn(void **state)
{
    (void)state;
    if (server.pid <= 0)
        skip();
    int64_t now = 5 * SECOND;
    struct turn_client *c = ready_client(now);
    relay_both_ways(c, now);
    /* Ten minutes later channel and allocation are asked for anew. */
    for (int i = 0; i < 2; i++) {
        uint8_t data[TURN_MAX_MESSAGE];
        const uint8_t *payload;
        now += 400 * SECOND;
        assert_true(turn_client_deadline(c) <= now);
        for (int requests = 0; requests < 2; requests++) {
            size_t n = turn_client_poll(c, data, sizeof(data), now);
            if (n == 0)
                break;
            assert_int_equal(send(server.fd, data, n, 0), n);
            ssize_t got = recv(server.fd, data, sizeof(data), 0);
            assert_int_equal(turn_client_input(c, data, (size_t)got, now, &payload), 0);
        }
        assert_int_equal(turn_client_state(c), TURN_READY);
        assert_true(turn_client_deadline(c) > now);
    }
    relay_both_ways(c, now);
    turn_client_close(c, now);
    drive(c, TURN_CLOSED, now);
    assert_int_equal(turn_client_state(c), TURN_CLOSED);
    assert_true(is_gone(turn_client_relayed(c)));
    turn_client_free(c);
}

static void test_coturn_refuses_a_wrong_password(void **state)
{
    (void)state;
    if (server.pid <= 0)
        skip();
    struct turn_client *c = make_client("not the secret");
    drive(c, TURN_FAILED, 0);
    assert_int_equal(turn_client_state(c), TURN_FAILED);
    assert_int_equal(turn_client_error(c), 401);
    turn_client_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request_is_repeated_and_given_up),
        cmocka_unit_test(test_challenges_are_answered_once_each),
        cmocka_unit_test(test_a_server_that_always_wants_a_new_nonce),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_forged_and_broken_answers_are_dropped),
        cmocka_unit_test(test_bad_credentials),
        cmocka_unit_test(test_relays_through_coturn),
        cmocka_unit_test(test_coturn_refuses_a_wrong_password),
    };
    return cmocka_run_group_tests(tests, start_coturn, stop_coturn);
}
