/* The HTTP client against servers of bare sockets: kept connections, bodies, and what goes wrong.
 */
#include "tests/unit/bench/client/ws_fake.h"

#include "bench/client/http_client.h"
#include "lib/base/err.h"

/* The library's own leak, see http_client.h. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libwebsockets";
}

static struct {
    struct loop *l;
    struct http_client *c;
    int answers, status, good;
    size_t len;
    char body[HTTP_CLIENT_BODY + 1];
} t;

static void on_answer(void *arg, int status, const char *body, size_t len)
{
    assert_ptr_equal(arg, &t);
    t.answers++;
    t.good += status == 200;
    t.status = status;
    t.len = len;
    if (len > 0)
        memcpy(t.body, body, len);
    t.body[len] = 0;
}

static void new_client(int port, int lanes)
{
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%d", port);
    struct http_client_options o = {.loop = t.l, .url = url, .lanes = lanes};
    t.c = http_client_new(&o);
    assert_non_null(t.c);
}

static void ask(const char *method, const char *body)
{
    struct http_ask a = {.method = method, .path = "/v1/x", .bearer = "TOKEN", .body = body};
    assert_int_equal(http_client_ask(t.c, &a, on_answer, &t), OK);
}

static int set_up(void **state)
{
    (void)state;
    memset(&t, 0, sizeof(t));
    t.l = loop_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    http_client_free(t.c);
    loop_free(t.l);
    return 0;
}

/* ---- servers ---- */

/* Says the request back (its head and body) as long as the connection lasts. */
static void say_back(int fd, void *arg)
{
    char head[FAKE_TEXT], body[FAKE_TEXT] = "", answer[2 * FAKE_TEXT + 200];
    (void)arg;
    while (fake_read_head(fd, head, sizeof(head))) {
        const char *at = strcasestr(head, "content-length: ");
        size_t len = at ? strtoul(at + 16, NULL, 10) : 0;
        if (len >= sizeof(body) || (len > 0 && recv(fd, body, len, MSG_WAITALL) != (ssize_t)len))
            return;
        body[len] = 0;
        int n = snprintf(answer, sizeof(answer),
                         "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                         "Content-Length: %zu\r\n\r\n%s%s",
                         strlen(head) + len, head, body);
        fake_put(fd, answer, (size_t)n);
        if (strcasestr(head, "connection: close")) {
            shutdown(fd, SHUT_WR);
            return;
        }
    }
}

static void say(int fd, void *arg)
{
    char head[FAKE_TEXT];
    if (fake_read_head(fd, head, sizeof(head)))
        fake_say(fd, arg);
    shutdown(fd, SHUT_WR);
}

static void end_at_once(int fd, void *arg)
{
    (void)arg;
    shutdown(fd, SHUT_RDWR);
}

static void say_much(int fd, void *arg)
{
    char head[FAKE_TEXT], part[1000];
    (void)arg;
    if (!fake_read_head(fd, head, sizeof(head)))
        return;
    memset(part, 'x', sizeof(part));
    fake_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n");
    for (int i = 0; i < 300; i++)
        fake_put(fd, part, sizeof(part));
}

/* ---- tests ---- */

static void a_request_carries_token_and_body(void **state)
{
    (void)state;
    fake_start(say_back, NULL);
    new_client(fake.port, 0);
    ask("POST", "{\"a\":1}");
    turn_until(t.l, &t.answers, 1);
    fake_stop();
    assert_int_equal(t.status, 200);
    assert_memory_equal(t.body, "POST /v1/x HTTP/1.1\r\n", 21);
    assert_non_null(strcasestr(t.body, "authorization: Bearer TOKEN\r\n"));
    assert_non_null(strcasestr(t.body, "content-type: application/json\r\n"));
    assert_non_null(strstr(t.body, "\r\n\r\n{\"a\":1}"));
    assert_int_equal(http_client_connections(t.c), 1);
}

static void a_post_without_a_body_says_so(void **state)
{
    (void)state;
    fake_start(say_back, NULL);
    new_client(fake.port, 0);
    ask("POST", NULL);
    turn_until(t.l, &t.answers, 1);
    ask("GET", NULL);
    turn_until(t.l, &t.answers, 2);
    fake_stop();
    assert_int_equal(t.good, 2);
    assert_null(strcasestr(t.body, "content-length"));
}

static void a_lane_keeps_its_connection(void **state)
{
    (void)state;
    fake_start(say_back, NULL);
    new_client(fake.port, 1);
    for (int i = 1; i <= 8; i++) { /* one after the other, and from the fifth on all at once */
        ask("POST", "{}");
        if (i < 5)
            turn_until(t.l, &t.answers, i);
    }
    turn_until(t.l, &t.answers, 8);
    assert_int_equal(t.good, 8);
    assert_int_equal(http_client_connections(t.c), 1);
    assert_int_equal(fake.accepted, 1);
    http_client_free(t.c);
    t.c = NULL;
    fake_stop();
}

static void nobody_listens(void **state)
{
    (void)state;
    fake_start(end_at_once, NULL);
    int port = fake.port;
    fake_stop();
    new_client(port, 0);
    ask("POST", "{}");
    turn_until(t.l, &t.answers, 1);
    assert_int_equal(t.status, 0);
    assert_int_equal(http_client_under_way(t.c) + http_client_waiting(t.c), 0);
}

static void servers_that_do_wrong_give_one_answer_each(void **state)
{
    static const struct {
        char *answer;
        int status;
    } all[] = {
        {"garbage\r\n\r\n", 0},
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", 0}, /* cut off */
        {"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\n{}", 503},
        {"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 204},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        fake_start(say, all[i].answer);
        new_client(fake.port, 0);
        t.answers = 0;
        t.status = -1;
        ask("POST", "{}");
        turn_until(t.l, &t.answers, 1);
        turn_for(t.l, 5000);
        fake_stop();
        assert_int_equal(t.answers, 1);
        assert_int_equal(t.status, all[i].status);
        http_client_free(t.c);
        t.c = NULL;
    }
    fake_start(end_at_once, NULL);
    new_client(fake.port, 0);
    ask("POST", "{}");
    turn_until(t.l, &t.answers, 2);
    fake_stop();
    assert_int_equal(t.status, 0);
}

static void an_answer_past_the_bound_is_none(void **state)
{
    (void)state;
    fake_start(say_much, NULL);
    new_client(fake.port, 0);
    ask("GET", NULL);
    turn_until(t.l, &t.answers, 1);
    http_client_free(t.c);
    t.c = NULL;
    fake_stop();
    assert_int_equal(t.status, 0);
}

static void freeing_answers_what_waits(void **state)
{
    (void)state;
    fake_start(say_back, NULL);
    new_client(fake.port, 1);
    for (int i = 0; i < 5; i++)
        ask("POST", "{}");
    http_client_free(t.c);
    t.c = NULL;
    fake_stop();
    assert_int_equal(t.answers, 5);
    assert_int_equal(t.good, 0);
}

static void bad_requests_are_refused(void **state)
{
    struct http_client_options o = {.loop = t.l, .url = "nowhere"};
    struct http_ask no_path = {.method = "GET", .path = "x"}, no_method = {.path = "/"};
    (void)state;
    assert_null(http_client_new(&o));
    new_client(1, 0);
    assert_int_equal(http_client_ask(t.c, &no_path, on_answer, &t), ERR_INVALID);
    assert_int_equal(http_client_ask(t.c, &no_method, on_answer, &t), ERR_INVALID);
    assert_int_equal(t.answers, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_request_carries_token_and_body),
        T(a_post_without_a_body_says_so),
        T(a_lane_keeps_its_connection),
        T(nobody_listens),
        T(servers_that_do_wrong_give_one_answer_each),
        T(an_answer_past_the_bound_is_none),
        T(freeing_answers_what_waits),
        T(bad_requests_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
