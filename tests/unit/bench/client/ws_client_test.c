/* The WebSocket client against lib/io's real server, in a process of its own (its replaced
 * functions of libwebsockets are not for a process that has a client, too), and against servers
 * that do wrong. */
#include "tests/unit/bench/client/ws_fake.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "bench/client/ws_client.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/io/http.h"

/* ---- the real server ---- */

static int on_upgrade(void *arg, const char *token, struct http_principal *out, const char **why)
{
    (void)arg;
    (void)out;
    *why = "Invalid or expired token";
    return token && strncmp(token, "good", 4) == 0 ? OK : ERR_AUTH;
}

static int server_gone, server_last;

static void server_open(struct ws *w, void *arg, const char *token, const char *since)
{
    char text[128];
    (void)arg;
    int n = snprintf(text, sizeof(text), "hello %zu %s %d %d", strlen(token), since ? since : "-",
                     server_gone, server_last);
    (void)ws_send(w, WS_CONTROL, text, (size_t)n);
}

static void server_text(struct ws *w, void *arg, const char *text, size_t len)
{
    (void)arg;
    if (strcmp(text, "close") == 0)
        ws_close(w, 4001, "Session revoked");
    else
        (void)ws_send(w, WS_CONTROL, text, len);
}

static void server_close(struct ws *w, void *arg, int code)
{
    (void)w;
    (void)arg;
    server_gone++;
    server_last = code;
}

static pid_t server_pid;
static int server_port;

static void serve(int ready)
{
    static const struct ws_handlers h = {on_upgrade, server_open, server_text, NULL, server_close};
    static const struct ws_options ws = {.path = "/v1/ws",
                                         .max_frame = 65536,
                                         .queue_frames = 100,
                                         .queue_bytes = 200000,
                                         .ping_us = 30000000,
                                         .handlers = &h};
    struct http_options o = {.name = "test",
                             .plain_address = "127.0.0.1",
                             .plain_port = server_port,
                             .max_connections = 1000};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct loop *l = loop_new();
    struct http_server *s = http_new(l, &o);
    http_add_ws(s, &ws);
    char done = http_start(s) == OK ? 'y' : 'n';
    (void)!write(ready, &done, 1);
    loop_run(l);
    _exit(0);
}

static int free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    close(fd);
    return ntohs(a.sin_port);
}

static int start_server(void **state)
{
    int pipes[2];
    char done = 0;
    (void)state;
    server_port = free_port();
    assert_int_equal(pipe(pipes), 0);
    server_pid = fork();
    assert_true(server_pid >= 0);
    if (server_pid == 0)
        serve(pipes[1]);
    assert_int_equal(read(pipes[0], &done, 1), 1);
    close(pipes[0]);
    close(pipes[1]);
    assert_int_equal(done, 'y');
    return 0;
}

static int stop_server(void **state)
{
    (void)state;
    kill(server_pid, SIGKILL);
    waitpid(server_pid, NULL, 0);
    return 0;
}

/* ---- the client ---- */

static struct {
    struct loop *l;
    struct ws_client *c;
    int opened, texts, pongs, closed, code;
    char text[70000], reason[200];
    const char *on_open_say; /* sent by on_open */
} t;

static void on_open(struct ws_socket *s, void *arg)
{
    (void)arg;
    t.opened++;
    if (t.on_open_say)
        assert_int_equal(ws_socket_send(s, t.on_open_say, strlen(t.on_open_say)), OK);
}

static void on_text(struct ws_socket *s, void *arg, const char *text, size_t len)
{
    (void)s;
    (void)arg;
    assert_true(len < sizeof(t.text));
    memcpy(t.text, text, len);
    t.text[len] = 0;
    t.texts++;
}

static void on_pong(struct ws_socket *s, void *arg, int64_t rtt_us)
{
    (void)s;
    (void)arg;
    assert_true(rtt_us >= 0 && rtt_us < WAIT_US);
    t.pongs++;
}

static void on_closed(struct ws_socket *s, void *arg, int code, const char *reason)
{
    assert_non_null(s);
    if (arg)
        *(struct ws_socket **)arg = NULL;
    t.closed++;
    t.code = code;
    snprintf(t.reason, sizeof(t.reason), "%s", reason);
}

static const struct ws_client_handlers handlers = {on_open, on_text, on_pong, on_closed};

static void new_client(double per_second, int in_flight, size_t max_message)
{
    struct ws_client_options o = {
        .loop = t.l, .per_second = per_second, .in_flight = in_flight, .max_message = max_message};
    ws_client_free(t.c);
    t.c = ws_client_new(&o);
    assert_non_null(t.c);
}

static int set_up(void **state)
{
    (void)state;
    memset(&t, 0, sizeof(t));
    t.l = loop_new();
    new_client(0, 0, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    ws_client_free(t.c);
    loop_free(t.l);
    return 0;
}

static struct ws_socket *open_at(int port, const char *query, const char *protocols)
{
    struct ws_socket *s = NULL;
    char url[128];
    snprintf(url, sizeof(url), "ws://127.0.0.1:%d/v1/ws%s", port, query);
    struct ws_open o = {.url = url, .protocols = protocols};
    assert_int_equal(ws_client_open(&s, t.c, &o, &handlers, NULL), OK);
    return s;
}

static struct ws_socket *open_good(void)
{
    return open_at(server_port, "?since=12", "sotto.v1, ticket.good");
}

/* ---- with the real server ---- */

static void texts_go_both_ways_in_parts_too(void **state)
{
    static char large[60001];
    (void)state;
    struct ws_socket *s = open_good();
    assert_int_equal(ws_socket_send(s, "x", 1), ERR_WRONG_STATE);
    turn_until(t.l, &t.texts, 1);
    assert_int_equal(t.opened, 1);
    assert_memory_equal(t.text, "hello 4 12 ", 11);
    assert_int_equal(ws_socket_send(s, "echo", 4), OK);
    turn_until(t.l, &t.texts, 2);
    assert_string_equal(t.text, "echo");
    for (size_t i = 0; i < sizeof(large) - 1; i++)
        large[i] = (char)('a' + i % 26);
    assert_int_equal(ws_socket_send(s, large, sizeof(large) - 1), OK);
    turn_until(t.l, &t.texts, 3);
    assert_string_equal(t.text, large);
    assert_int_equal(ws_client_open_count(t.c), 1);
    assert_int_equal(ws_client_pending(t.c), 0);
}

static void a_long_ticket_passes_and_the_server_hears_all_of_it(void **state)
{
    char offer[900];
    (void)state;
    int n = snprintf(offer, sizeof(offer), "sotto.v1, ticket.good");
    memset(offer + n, 'T', 800);
    offer[n + 800] = 0;
    open_at(server_port, "", offer);
    turn_until(t.l, &t.texts, 1);
    assert_memory_equal(t.text, "hello 804 - ", 12);
}

static void many_texts_come_in_their_order(void **state)
{
    (void)state;
    struct ws_socket *s = open_good();
    turn_until(t.l, &t.texts, 1);
    for (int i = 0; i < 60; i++) {
        char text[16];
        int n = snprintf(text, sizeof(text), "%d", i);
        assert_int_equal(ws_socket_send(s, text, (size_t)n), OK);
    }
    for (int i = 0; i < 60; i++) {
        turn_until(t.l, &t.texts, i + 2);
        char text[16];
        snprintf(text, sizeof(text), "%d", i);
        if (t.texts == i + 2)
            assert_string_equal(t.text, text);
    }
}

static void pings_are_answered(void **state)
{
    (void)state;
    struct ws_socket *s = open_good();
    assert_int_equal(ws_socket_ping(s), ERR_WRONG_STATE);
    turn_until(t.l, &t.texts, 1);
    assert_int_equal(ws_socket_ping(s), OK);
    turn_until(t.l, &t.pongs, 1);
}

static void a_close_of_ours_is_told_once_with_its_code(void **state)
{
    (void)state;
    struct ws_socket *s = open_good();
    turn_until(t.l, &t.texts, 1);
    ws_socket_close(s, 1000, "bye");
    assert_int_equal(ws_socket_send(s, "x", 1), ERR_CLOSED);
    turn_until(t.l, &t.closed, 1);
    turn_for(t.l, 20000);
    assert_int_equal(t.closed, 1);
    assert_int_equal(t.code, 1000);
    assert_int_equal(ws_client_open_count(t.c), 0);
}

static void the_servers_close_comes_with_code_and_reason(void **state)
{
    (void)state;
    t.on_open_say = "close";
    open_good();
    turn_until(t.l, &t.closed, 1);
    assert_int_equal(t.code, 4001);
    assert_string_equal(t.reason, "Session revoked");
}

static void a_refused_ticket_is_told_by_its_status(void **state)
{
    (void)state;
    open_at(server_port, "", "sotto.v1, ticket.bad");
    turn_until(t.l, &t.closed, 1);
    assert_int_equal(t.code, 401);
    assert_int_equal(t.opened, 0);
    assert_int_equal(ws_client_pending(t.c), 0);
}

static void a_drop_is_a_lost_connection_for_the_server(void **state)
{
    (void)state;
    struct ws_socket *s = open_good();
    turn_until(t.l, &t.texts, 1);
    ws_socket_drop(s);
    ws_socket_drop(s);             /* once is enough */
    assert_int_equal(t.closed, 0); /* from the loop only */
    turn_until(t.l, &t.closed, 1);
    assert_int_equal(t.code, WS_CLOSED_DROPPED);
    for (int i = 0; i < 200 && !strstr(t.text, " 1006"); i++) { /* the next greeting says it */
        int before = t.texts;
        open_good();
        turn_until(t.l, &t.texts, before + 1);
    }
    assert_non_null(strstr(t.text, " 1 1006"));
}

static void a_drop_before_it_is_open_ends_it_as_well(void **state)
{
    (void)state;
    new_client(1, 0, 0); /* the second waits for its turn */
    open_good();
    struct ws_socket *waiting = open_good();
    ws_socket_drop(waiting);
    turn_until(t.l, &t.closed, 1);
    assert_int_equal(t.code, WS_CLOSED_DROPPED);
    turn_until(t.l, &t.texts, 1);
    assert_int_equal(ws_client_pending(t.c), 0);
}

static void a_message_past_the_bound_ends_the_socket(void **state)
{
    static char large[20000];
    (void)state;
    new_client(0, 0, 4000);
    struct ws_socket *s = open_good();
    turn_until(t.l, &t.texts, 1);
    memset(large, 'x', sizeof(large));
    assert_int_equal(ws_socket_send(s, large, sizeof(large)), OK);
    turn_until(t.l, &t.closed, 1);
    assert_int_equal(t.code, WS_CLOSED_TOO_LARGE);
    assert_int_equal(t.texts, 1);
}

static void the_pace_is_kept(void **state)
{
    (void)state;
    new_client(100, 0, 0);
    int64_t begun = clock_mono_us();
    for (int i = 0; i < 20; i++)
        open_good();
    turn_until(t.l, &t.opened, 20);
    assert_true(clock_mono_us() - begun >= 120000); /* 20 at 100 a second, some at once */
    begun = clock_mono_us();
    ws_client_pace(t.c, 0, 0);
    for (int i = 0; i < 20; i++)
        open_good();
    turn_until(t.l, &t.opened, 40);
    assert_int_equal(ws_client_open_count(t.c), 40);
}

static void freeing_the_client_ends_every_socket(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++)
        open_good();
    turn_until(t.l, &t.texts, 10);
    open_good(); /* waits */
    ws_client_free(t.c);
    t.c = NULL;
    assert_int_equal(t.closed, 11);
}

/* ---- with servers that do wrong ---- */

static void end_at_once(int fd, void *arg)
{
    (void)arg;
    shutdown(fd, SHUT_RDWR);
}

static void say_garbage(int fd, void *arg)
{
    char head[FAKE_TEXT];
    if (fake_read_head(fd, head, sizeof(head)))
        fake_say(fd, arg);
    shutdown(fd, SHUT_WR);
}

static void upgrade_then_garbage(int fd, void *arg)
{
    if (fake_upgrade(fd, "sotto.v1"))
        fake_put(fd, arg, strlen(arg));
    shutdown(fd, SHUT_WR);
}

static void stay_silent(int fd, void *arg)
{
    (void)fd;
    (void)arg;
}

static void upgrade_and_stop_amid_a_frame(int fd, void *arg)
{
    (void)arg;
    if (fake_upgrade(fd, "sotto.v1"))
        fake_put(fd, "\x81\x05he", 4);
    shutdown(fd, SHUT_RDWR);
}

static void upgrade_and_never_close(int fd, void *arg)
{
    (void)arg;
    (void)fake_upgrade(fd, "sotto.v1");
}

static void a_server_that_never_answers_a_close_is_left(void **state)
{
    (void)state;
    fake_start(upgrade_and_never_close, NULL);
    struct ws_socket *s = open_at(fake.port, "", "sotto.v1, ticket.good");
    turn_until(t.l, &t.opened, 1);
    ws_socket_close(s, 4000, "enough");
    turn_until(t.l, &t.closed, 1);
    fake_stop();
    assert_int_equal(t.code, 4000);
}

static void nobody_listens(void **state)
{
    (void)state;
    open_at(free_port(), "", NULL);
    turn_until(t.l, &t.closed, 1);
    assert_int_equal(t.code, WS_CLOSED_CONNECT);
}

/* The socket must end, once, and never open (or have opened first, where the upgrade was right). */
static void against(fake_fn serve_fn, void *arg, int opened)
{
    int closed = t.closed;
    t.opened = 0;
    fake_start(serve_fn, arg);
    open_at(fake.port, "", "sotto.v1, ticket.good");
    turn_until(t.l, &t.closed, closed + 1);
    turn_for(t.l, 5000);
    fake_stop();
    assert_int_equal(t.closed, closed + 1);
    assert_int_equal(t.opened, opened);
    assert_int_equal(t.texts, 0);
    assert_int_equal(ws_client_open_count(t.c) + ws_client_pending(t.c), 0);
}

static void servers_that_do_wrong_end_the_socket_once(void **state)
{
    static char *const answers[] = {
        "garbage\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    };
    (void)state;
    against(end_at_once, NULL, 0);
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
        against(say_garbage, answers[i], 0);
    against(upgrade_then_garbage, "\xf3\x05xxxxx", 1); /* reserved bits */
    against(upgrade_and_stop_amid_a_frame, NULL, 1);
}

static void a_status_is_told(void **state)
{
    (void)state;
    against(say_garbage, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", 0);
    assert_int_equal(t.code, 503);
}

static void no_more_than_in_flight_connect_at_once(void **state)
{
    (void)state;
    new_client(0, 3, 0);
    fake_start(stay_silent, NULL);
    for (int i = 0; i < 10; i++)
        open_at(fake.port, "", NULL);
    turn_for(t.l, 100000);
    assert_int_equal(fake.accepted, 3);
    assert_int_equal(ws_client_pending(t.c), 10);
    ws_client_free(t.c);
    t.c = NULL;
    fake_stop();
    assert_int_equal(t.closed, 10);
}

static void bad_urls_are_refused(void **state)
{
    static const char *const bad[] = {"",      "127.0.0.1", "ftp://127.0.0.1/",
                                      "ws://", "ws://h:0/", "ws://h:70000/"};
    struct ws_socket *s = NULL;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct ws_open o = {.url = bad[i]};
        assert_int_equal(ws_client_open(&s, t.c, &o, &handlers, NULL), ERR_INVALID);
    }
    assert_null(s);
}

int main(void)
{
    log_init("test", LOG_ERROR, false);
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_drop_is_a_lost_connection_for_the_server), /* first: the server counts from 0 */
        T(texts_go_both_ways_in_parts_too),
        T(a_long_ticket_passes_and_the_server_hears_all_of_it),
        T(many_texts_come_in_their_order),
        T(pings_are_answered),
        T(a_close_of_ours_is_told_once_with_its_code),
        T(the_servers_close_comes_with_code_and_reason),
        T(a_refused_ticket_is_told_by_its_status),
        T(a_drop_before_it_is_open_ends_it_as_well),
        T(a_message_past_the_bound_ends_the_socket),
        T(the_pace_is_kept),
        T(freeing_the_client_ends_every_socket),
        T(a_server_that_never_answers_a_close_is_left),
        T(nobody_listens),
        T(servers_that_do_wrong_end_the_socket_once),
        T(a_status_is_told),
        T(no_more_than_in_flight_connect_at_once),
        T(bad_urls_are_refused),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
