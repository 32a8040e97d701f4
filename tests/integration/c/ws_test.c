/* WebSockets of lib/io over real sockets: how they open, what closes them, what they may send. */
#include "tests/integration/c/server.h"

#include <fcntl.h>

#include "lib/base/err.h"
#include "lib/base/log.h"

#define UPGRADE                                                                                    \
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"                   \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

enum { TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };

static _Atomic int last_code, closed, overflows;

/* ---- the server's side ---- */

static int on_upgrade(void *arg, const char *token, struct http_principal *out, const char **why)
{
    (void)arg;
    (void)out;
    *why = token ? "Invalid or expired token" : "Token required";
    return token && strncmp(token, "good", 4) == 0 ? OK : ERR_AUTH;
}

static void on_open(struct ws *w, void *arg, const char *token, const char *since)
{
    char text[256];
    (void)arg;
    int n = snprintf(text, sizeof(text), "hello %zu %s", strlen(token), since ? since : "-");
    assert_int_equal(ws_send(w, WS_CONTROL, text, (size_t)n), OK);
}

/* Says back what it hears; "flood" fills the queue with durable frames, "close" closes. */
static void on_text(struct ws *w, void *arg, const char *text, size_t len)
{
    (void)arg;
    if (strcmp(text, "close") == 0) {
        ws_close(w, 4001, "Session revoked");
    } else if (strcmp(text, "flood") == 0) {
        char frame[1000] = {0};
        memset(frame, 'd', sizeof(frame) - 1);
        while (ws_send(w, WS_DURABLE, frame, sizeof(frame) - 1) == OK)
            ;
        ws_send(w, WS_CONTROL, "resync", 6);
        ws_resume(w);
    } else {
        ws_send(w, WS_CONTROL, text, len);
    }
}

static void on_overflow(struct ws *w, void *arg)
{
    (void)w;
    (void)arg;
    overflows++;
}

static void on_close(struct ws *w, void *arg, int code)
{
    (void)w;
    (void)arg;
    last_code = code;
    closed++;
}

static const struct ws_handlers handlers = {on_upgrade, on_open, on_text, on_overflow, on_close};
static const struct http_route routes[] = {{0, NULL, NULL, 0, 0, NULL}};

static int set_up(void **state)
{
    static const char *const origins[] = {"https://app.example", NULL};
    const struct ws_options ws = {.path = "/v1/ws",
                                  .max_frame = 65536,
                                  .queue_frames = 50,
                                  .queue_bytes = 40000,
                                  .ping_us = 300000,
                                  .frames_per_second = 20,
                                  .burst = 40,
                                  .handlers = &handlers};
    struct http_options o = {
        .name = "test", .origins = origins, .address_limit = 10000, .max_connections = 100};
    (void)state;
    closed = overflows = last_code = 0;
    srv.l = loop_new();
    srv_start(&o, routes, NULL, &ws);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    srv_join();
    http_free(srv.s);
    loop_free(srv.l);
    return 0;
}

/* ---- the client's side ---- */

static struct reply upgrade(int *fd, const char *target, const char *head)
{
    static struct reply r;
    char text[8192];
    *fd = dial(srv.plain_port);
    int n = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: test.local\r\n" UPGRADE "%s\r\n",
                     target, head ? head : "");
    put(*fd, text, (size_t)n);
    read_reply(*fd, &r);
    return r;
}

static void put_frame(int fd, int op, bool fin, const void *data, size_t len)
{
    static uint8_t out[80000];
    static const uint8_t mask[4] = {1, 2, 3, 4};
    size_t n = 0;
    out[n++] = (uint8_t)((fin ? 0x80 : 0) | op);
    if (len < 126) {
        out[n++] = (uint8_t)(0x80 | len);
    } else if (len < 65536) {
        out[n++] = 0x80 | 126;
        out[n++] = (uint8_t)(len >> 8);
        out[n++] = (uint8_t)len;
    } else {
        out[n++] = 0x80 | 127;
        for (int i = 7; i >= 0; i--)
            out[n++] = (uint8_t)((uint64_t)len >> (8 * i));
    }
    memcpy(out + n, mask, 4);
    n += 4;
    for (size_t i = 0; i < len; i++)
        out[n + i] = ((const uint8_t *)data)[i] ^ mask[i % 4];
    put(fd, out, n + len);
}

static void say(int fd, const char *text)
{
    put_frame(fd, TEXT, true, text, strlen(text));
}

struct frame {
    int op; /* -1: the connection has ended */
    size_t len;
    char data[70000];
};

static struct frame *next_any(int fd)
{
    static struct frame f;
    uint8_t head[2], more[8];
    f.op = -1;
    f.len = 0;
    if (recv(fd, head, 2, MSG_WAITALL) != 2)
        return &f;
    f.len = head[1];
    if (f.len >= 126) {
        size_t k = f.len == 126 ? 2 : 8;
        assert_int_equal(recv(fd, more, k, MSG_WAITALL), k);
        f.len = 0;
        for (size_t i = 0; i < k; i++)
            f.len = f.len << 8 | more[i];
    }
    assert_true(f.len < sizeof(f.data));
    if (f.len)
        assert_int_equal(recv(fd, f.data, f.len, MSG_WAITALL), f.len);
    f.data[f.len] = 0;
    f.op = head[0] & 15;
    return &f;
}

/* The next frame that isn't a ping; pings are answered. */
static struct frame *next(int fd)
{
    struct frame *f = next_any(fd);
    while (f->op == PING) {
        put_frame(fd, PONG, true, f->data, f->len);
        f = next_any(fd);
    }
    return f;
}

static int open_socket(void)
{
    int fd;
    assert_int_equal(upgrade(&fd, "/v1/ws?token=good&since=12", NULL).status, 101);
    assert_string_equal(next(fd)->data, "hello 4 12");
    return fd;
}

static void assert_closed_with(int fd, int code)
{
    struct frame *f = next(fd);
    while (f->op == TEXT)
        f = next(fd);
    assert_int_equal(f->op, CLOSE);
    assert_int_equal((uint8_t)f->data[0] << 8 | (uint8_t)f->data[1], code);
    put_frame(fd, CLOSE, true, f->data, 2);
    while (next(fd)->op >= 0)
        ;
    close(fd);
}

static void wait_closed(int n)
{
    for (int i = 0; closed < n && i < 2000; i++)
        usleep(5000);
    assert_int_equal(closed, n);
}

/* ---- tests ---- */

static void refusals_are_problems_with_401(void **state)
{
    int fd;
    (void)state;
    struct reply r = upgrade(&fd, "/v1/ws", NULL);
    assert_int_equal(r.status, 401);
    assert_non_null(strstr(r.body, "\"detail\":\"Token required\""));
    assert_string_equal(reply_header(&r, "content-type"), "application/problem+json");
    close(fd);
    r = upgrade(&fd, "/v1/ws?token=bad", NULL);
    assert_int_equal(r.status, 401);
    assert_non_null(strstr(r.body, "\"detail\":\"Invalid or expired token\""));
    close(fd);
    assert_int_equal(upgrade(&fd, "/v1/other?token=good", NULL).status, 404);
    close(fd);
}

static void what_comes_behind_a_refused_upgrade_is_not_run(void **state)
{
    static const char before[] = "GET /v1/none HTTP/1.1\r\nHost: x\r\n\r\n",
                      text[] = "GET /v1/ws HTTP/1.1\r\nHost: x\r\n" UPGRADE "\r\n"
                               "POST /v1/none HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
    struct reply r;
    char rest;
    (void)state;
    int fd = dial(srv.plain_port);
    put(fd, before, sizeof(before) - 1); /* a connection that lws would keep */
    read_reply(fd, &r);
    assert_int_equal(r.status, 404);
    put(fd, text, sizeof(text) - 1);
    read_reply(fd, &r);
    assert_int_equal(r.status, 401);
    assert_int_equal(recv(fd, &rest, 1, 0), 0);
    close(fd);
    assert_int_equal(upgrade(&fd, "/v1/ws?token=good", NULL).status, 101); /* it is alive */
    close(fd);
}

static void a_frame_may_come_with_the_upgrade(void **state)
{
    static const char text[] =
        "GET /v1/ws?token=good HTTP/1.1\r\nHost: x\r\n" UPGRADE "\r\n\x81\x82\0\0\0\0hi";
    struct reply r;
    (void)state;
    int fd = dial(srv.plain_port);
    put(fd, text, sizeof(text) - 1);
    read_reply(fd, &r);
    assert_int_equal(r.status, 101);
    assert_string_equal(next(fd)->data, "hello 4 -");
    assert_string_equal(next(fd)->data, "hi");
    close(fd);
}

static void origins_are_checked(void **state)
{
    static const struct {
        const char *head;
        int status;
    } all[] = {
        {"Origin: https://evil.example\r\n", 403},   {"Origin: null\r\n", 403},
        {"Origin: http://test.local.evil\r\n", 403}, {"Origin: http://test.local\r\n", 101},
        {"Origin: https://app.example\r\n", 101},    {"", 101},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        int fd;
        assert_int_equal(upgrade(&fd, "/v1/ws?token=good", all[i].head).status, all[i].status);
        close(fd);
    }
}

static void the_ticket_may_be_a_subprotocol_and_is_never_logged(void **state)
{
    char head[1200], ticket[801], log[4096] = {0};
    int fd, pipes[2], keep = dup(STDERR_FILENO);
    (void)state;
    memset(ticket, 'S', 800);
    memcpy(ticket, "good", 4);
    ticket[800] = 0;
    assert_int_equal(pipe2(pipes, O_NONBLOCK), 0);
    dup2(pipes[1], STDERR_FILENO);
    log_set_level(LOG_DEBUG);
    snprintf(head, sizeof(head), "Sec-WebSocket-Protocol: sotto.v1, ticket.%s\r\n", ticket);
    struct reply r = upgrade(&fd, "/v1/ws", head);
    char *first = strdup(next(fd)->data);
    close(fd);
    struct reply q = upgrade(&fd, "/v1/ws?token=badSSSSSSSSSSSSSS", NULL);
    close(fd);
    upgrade(&fd, "/x%20code=forged", NULL); /* nor can a path say more than a path */
    close(fd);
    wait_closed(1);
    log_set_level(LOG_ERROR);
    dup2(keep, STDERR_FILENO);
    close(keep);
    ssize_t n = read(pipes[0], log, sizeof(log) - 1);
    close(pipes[0]);
    close(pipes[1]);
    assert_int_equal(r.status, 101);
    assert_string_equal(reply_header(&r, "sec-websocket-protocol"), "sotto.v1");
    assert_string_equal(first, "hello 800 -");
    free(first);
    assert_int_equal(q.status, 401);
    assert_true(n > 0);
    assert_non_null(strstr(log, "ws_upgrade_refused"));
    assert_null(strstr(log, "SSSSSSSS"));
    assert_non_null(strstr(log, "path=\"/x code=forged\""));
}

static void an_unknown_subprotocol_is_refused(void **state)
{
    int fd;
    (void)state;
    assert_int_equal(
        upgrade(&fd, "/v1/ws?token=good", "Sec-WebSocket-Protocol: chat, other\r\n").status, 400);
    close(fd);
}

static void frames_and_fragments_become_texts(void **state)
{
    char *large = calloc(1, 60001);
    (void)state;
    int fd = open_socket();
    say(fd, "hello");
    assert_string_equal(next(fd)->data, "hello");
    put_frame(fd, TEXT, false, "\xc3", 1); /* a character cut by the fragments */
    put_frame(fd, PING, true, "x", 1);
    put_frame(fd, 0, false, "\xbc", 1);
    put_frame(fd, 0, true, "!", 1);
    struct frame *f = next(fd);
    if (f->op == PONG)
        f = next(fd);
    assert_string_equal(f->data, "\xc3\xbc!");
    memset(large, 'a', 60000);
    say(fd, large);
    f = next(fd);
    if (f->op == PONG)
        f = next(fd);
    assert_int_equal(f->len, 60000);
    free(large);
    put_frame(fd, CLOSE, true, "\x03\xe8", 2);
    assert_int_equal(next(fd)->op, CLOSE);
    close(fd);
    wait_closed(1);
    assert_int_equal(last_code, 1000);
}

static void bad_frames_close_with_their_code(void **state)
{
    char *large = calloc(1, 70001);
    (void)state;
    memset(large, 'a', 70000);
    int fd = open_socket();
    put_frame(fd, BINARY, true, "x", 1);
    assert_closed_with(fd, 1003);
    fd = open_socket();
    put_frame(fd, TEXT, true, "\xff\xfe", 2);
    assert_closed_with(fd, 1007);
    fd = open_socket();
    put_frame(fd, TEXT, true, "a\0b", 3);
    assert_closed_with(fd, 1007);
    fd = open_socket();
    put_frame(fd, TEXT, true, large, 70000);
    assert_closed_with(fd, 1009);
    fd = open_socket(); /* many small fragments that grow too large together */
    for (int i = 0; i < 7; i++)
        put_frame(fd, i ? 0 : TEXT, false, large, 10000);
    assert_closed_with(fd, 1009);
    free(large);
    wait_closed(5);
}

static void too_many_frames_close_with_4003(void **state)
{
    (void)state;
    int fd = open_socket();
    for (int i = 0; i < 60; i++)
        say(fd, "x");
    assert_closed_with(fd, 4003);
}

static void the_server_closes_with_code_and_reason(void **state)
{
    (void)state;
    int fd = open_socket();
    say(fd, "close");
    struct frame *f = next(fd);
    assert_int_equal(f->op, CLOSE);
    assert_memory_equal(f->data, "\x0f\xa1Session revoked", 17);
    put_frame(fd, CLOSE, true, f->data, 2);
    assert_int_equal(next(fd)->op, -1);
    close(fd);
    wait_closed(1);
    assert_int_equal(last_code, 4001);
}

static void a_client_that_never_answers_the_close_is_dropped(void **state)
{
    (void)state;
    int fd = open_socket();
    say(fd, "close");
    wait_closed(1); /* by its deadline */
    assert_int_equal(last_code, 4001);
    close(fd);
}

static void a_full_queue_overflows_once_and_control_still_comes(void **state)
{
    int durable = 0;
    (void)state;
    int fd = open_socket();
    say(fd, "flood");
    struct frame *f = next(fd);
    for (; f->op == TEXT && f->data[0] == 'd'; f = next(fd))
        durable++;
    assert_string_equal(f->data, "resync");
    assert_int_equal(durable, 40); /* 40,000 bytes of 999 */
    assert_int_equal(overflows, 1);
    say(fd, "still here");
    assert_string_equal(next(fd)->data, "still here");
    close(fd);
}

static void a_silent_client_is_pinged_and_then_dead(void **state)
{
    int pings = 0;
    (void)state;
    int fd = open_socket();
    while (next_any(fd)->op == PING)
        pings++;
    assert_int_equal(pings, 2);
    wait_closed(1);
    assert_int_equal(last_code, 1006);
    close(fd);
}

static void a_client_that_answers_pings_lives(void **state)
{
    (void)state;
    int fd = open_socket();
    for (int pings = 0; pings < 5; pings++) {
        struct frame *f = next_any(fd);
        assert_int_equal(f->op, PING);
        put_frame(fd, PONG, true, f->data, f->len);
    }
    say(fd, "alive");
    assert_string_equal(next(fd)->data, "alive");
    close(fd);
}

static void drain(void *arg)
{
    (void)arg;
    http_drain(srv.s);
}

static void draining_closes_with_1012_and_takes_no_more(void **state)
{
    (void)state;
    int fd = open_socket();
    loop_post(srv.l, drain, NULL);
    assert_closed_with(fd, 1012);
    wait_closed(1);
}

int main(void)
{
    log_init("test", LOG_ERROR, false);
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(refusals_are_problems_with_401),
        T(what_comes_behind_a_refused_upgrade_is_not_run),
        T(a_frame_may_come_with_the_upgrade),
        T(origins_are_checked),
        T(the_ticket_may_be_a_subprotocol_and_is_never_logged),
        T(an_unknown_subprotocol_is_refused),
        T(frames_and_fragments_become_texts),
        T(bad_frames_close_with_their_code),
        T(too_many_frames_close_with_4003),
        T(the_server_closes_with_code_and_reason),
        T(a_client_that_never_answers_the_close_is_dropped),
        T(a_full_queue_overflows_once_and_control_still_comes),
        T(a_silent_client_is_pinged_and_then_dead),
        T(a_client_that_answers_pings_lives),
        T(draining_closes_with_1012_and_takes_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
