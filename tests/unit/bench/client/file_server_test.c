#include "bench/client/file_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/err.h"

#define BIG 3000000

static struct file_server *server;
static char dir[64];
static char *big, *got;

static int set_up(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/sotto-file-server-XXXXXX");
    assert_non_null(mkdtemp(dir));
    assert_int_equal(file_server_new(&server, dir, 0), OK);
    big = malloc(BIG + 1);
    got = calloc(1, BIG + 4096);
    assert_true(big && got);
    for (size_t i = 0; i < BIG; i++)
        big[i] = (char)(i * 31 + i / 255);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    file_server_free(server);
    const char *const names[] = {"a", "b.bin", "link"};
    for (size_t i = 0; i < 3; i++) {
        char path[96];
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        unlink(path);
    }
    int left = rmdir(dir); /* fails when a temporary file was left behind */
    free(big);
    free(got);
    return left;
}

static int dial(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)file_server_port(server))};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

/* Sends all of it while the server, on this same thread, takes it. */
static void say(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) {
            data += n;
            len -= (size_t)n;
        }
        assert_int_equal(file_server_turn(server, n > 0 ? 0 : 100), OK);
    }
}

/* Reads until `want` bytes came or the server closed; 0-ended in `got`. */
static size_t hear(int fd, size_t want)
{
    size_t len = 0;
    for (int turns = 0; turns < 20000 && len < want; turns++) {
        assert_int_equal(file_server_turn(server, len == 0 ? 10 : 0), OK);
        ssize_t n = recv(fd, got + len, BIG + 4095 - len, MSG_DONTWAIT);
        if (n == 0)
            break;
        len += n > 0 ? (size_t)n : 0;
    }
    got[len] = '\0';
    return len;
}

static void put_file(const char *name, const char *data, size_t len)
{
    char head[128];
    int fd = dial();
    snprintf(head, sizeof(head), "PUT /%s HTTP/1.1\r\nContent-Length: %zu\r\n\r\n", name, len);
    say(fd, head, strlen(head));
    say(fd, data, len);
    hear(fd, strlen("HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n"));
    assert_non_null(strstr(got, "HTTP/1.1 201 Created\r\n"));
    close(fd);
}

static void test_put_then_get_on_one_connection_twice(void **state)
{
    (void)state;
    static const char request[] = "GET /b.bin HTTP/1.1\r\nhost: x\r\n\r\n";
    static const char head[] = "HTTP/1.1 200 OK\r\ncontent-length: 3000000\r\n\r\n";
    put_file("b.bin", big, BIG);
    int fd = dial();
    for (int i = 0; i < 2; i++) {
        say(fd, request, strlen(request));
        assert_int_equal(hear(fd, strlen(head) + BIG), strlen(head) + BIG);
        assert_memory_equal(got, head, strlen(head));
        assert_memory_equal(got + strlen(head), big, BIG);
    }
    close(fd);
    struct file_server_stats s;
    file_server_stats(server, &s);
    assert_int_equal(s.puts, 1);
    assert_int_equal(s.gets, 2);
    assert_int_equal(s.bytes_in, BIG);
    assert_int_equal(s.bytes_out, 2 * BIG);
}

static void test_pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    static const char requests[] = "PUT /a HTTP/1.1\r\ncontent-length: 3\r\n\r\none"
                                   "GET /a HTTP/1.1\r\n\r\n"
                                   "GET /a HTTP/1.1\r\nconnection: close\r\n\r\n";
    static const char answers[] = "HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n"
                                  "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none"
                                  "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n"
                                  "connection: close\r\n\r\none";
    int fd = dial();
    say(fd, requests, strlen(requests));
    hear(fd, SIZE_MAX);
    assert_string_equal(got, answers);
    close(fd);
}

static void test_half_a_file_is_no_file(void **state)
{
    (void)state;
    static const char head[] = "PUT /a HTTP/1.1\r\ncontent-length: 1000\r\n\r\nhalf";
    int fd = dial();
    say(fd, head, strlen(head));
    close(fd);
    for (int i = 0; i < 3; i++)
        assert_int_equal(file_server_turn(server, 20), OK);
    fd = dial();
    say(fd, "GET /a HTTP/1.1\r\n\r\n", 19);
    hear(fd, SIZE_MAX);
    assert_non_null(strstr(got, "404 Not Found"));
    close(fd); /* tear_down sees that the temporary file is gone */
}

static void test_bad_requests(void **state)
{
    (void)state;
    static const struct {
        const char *request, *answer;
    } cases[] = {
        {"GET /../etc/passwd HTTP/1.1\r\n\r\n", "404"},
        {"GET /.put-0 HTTP/1.1\r\n\r\n", "404"},
        {"GET / HTTP/1.1\r\n\r\n", "404"},
        {"GET a HTTP/1.1\r\n\r\n", "404"},
        {"GET /link HTTP/1.1\r\n\r\n", "404"},
        {"PUT /a HTTP/1.1\r\n\r\n", "411"},
        {"PUT /a HTTP/1.1\r\ncontent-length: -1\r\n\r\n", "411"},
        {"PUT /a HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\n", "411"},
        {"PUT /a HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n", "411"},
        {"DELETE /a HTTP/1.1\r\n\r\n", "405"},
        {"\r\n\r\n", "405"},
    };
    char link[96];
    snprintf(link, sizeof(link), "%s/link", dir);
    assert_int_equal(symlink("/etc/passwd", link), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int fd = dial();
        say(fd, cases[i].request, strlen(cases[i].request));
        hear(fd, SIZE_MAX);
        assert_memory_equal(got + strlen("HTTP/1.1 "), cases[i].answer, 3);
        close(fd);
    }
}

static void test_a_head_without_end_is_refused(void **state)
{
    (void)state;
    int fd = dial();
    memset(big, 'x', 10000);
    memcpy(big, "GET /a HTTP/1.1\r\nx: ", 20);
    say(fd, big, 8192);
    hear(fd, SIZE_MAX);
    assert_non_null(strstr(got, "431"));
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_put_then_get_on_one_connection_twice, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_pipelined_requests_are_answered_in_order, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_half_a_file_is_no_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_requests, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_head_without_end_is_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
