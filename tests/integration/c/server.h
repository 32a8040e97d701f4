/* A real HTTP server on its own thread, and a client of bare sockets, for http_test.c and
 * ws_test.c. Included by one file each; everything is static. */
#ifndef SOTTO_TESTS_SERVER_H
#define SOTTO_TESTS_SERVER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "lib/io/http.h"
#include "lib/io/loop.h"

static struct {
    struct loop *l;
    struct http_server *s;
    pthread_t thread;
    int plain_port, internal_port;
} srv;

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

static void *srv_run(void *arg)
{
    loop_run(srv.l);
    return arg;
}

/* Call with srv.l made; adds the ports to o, then starts the server on its thread. */
static void srv_start(struct http_options *o, const struct http_route *routes, void *arg,
                      const struct ws_options *ws)
{
    srv.plain_port = free_port();
    srv.internal_port = free_port();
    o->plain_address = o->internal_address = "127.0.0.1";
    o->plain_port = srv.plain_port;
    o->internal_port = srv.internal_port;
    srv.s = http_new(srv.l, o);
    assert_non_null(srv.s);
    http_add_routes(srv.s, routes, arg);
    if (ws)
        http_add_ws(srv.s, ws);
    assert_int_equal(http_start(srv.s), 0);
    assert_int_equal(pthread_create(&srv.thread, NULL, srv_run, NULL), 0);
}

static void srv_stop_now(void *arg)
{
    (void)arg;
    loop_stop(srv.l);
}

/* Ends the thread; the loop and the server are then the caller's to free. */
static void srv_join(void)
{
    loop_post(srv.l, srv_stop_now, NULL);
    pthread_join(srv.thread, NULL);
}

/* ---- the client ---- */

static int dial(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = 20};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

static void put(int fd, const void *data, size_t n)
{
    const char *p = data;
    while (n > 0) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
        if (k <= 0)
            return; /* the server may have refused already */
        p += k;
        n -= (size_t)k;
    }
}

struct reply {
    int status;
    char head[8192];
    char body[65536];
    size_t len;
};

/* The value of a header of the reply (lower-case name), or NULL; valid until the next call. */
static inline const char *reply_header(const struct reply *r, const char *name)
{
    static char value[2048];
    char key[64];
    snprintf(key, sizeof(key), "\r\n%s: ", name);
    const char *p = strcasestr(r->head, key);
    if (!p)
        return NULL;
    p += strlen(key);
    snprintf(value, sizeof(value), "%.*s", (int)strcspn(p, "\r"), p);
    return value;
}

/* Reads one response with its Content-Length; status 0 when the connection just ended. */
static inline void read_reply_of(int fd, struct reply *r, bool head_only)
{
    size_t n = 0;
    memset(r, 0, sizeof(*r));
    while (n < sizeof(r->head) - 1 && !strstr(r->head, "\r\n\r\n")) {
        if (recv(fd, r->head + n, 1, 0) != 1)
            return;
        n++;
    }
    assert_int_equal(sscanf(r->head, "HTTP/1.1 %d", &r->status), 1);
    const char *length = reply_header(r, "content-length");
    r->len = length && !head_only ? strtoul(length, NULL, 10) : 0;
    assert_true(r->len < sizeof(r->body));
    if (r->len > 0)
        assert_int_equal(recv(fd, r->body, r->len, MSG_WAITALL), r->len);
}

static inline void read_reply(int fd, struct reply *r)
{
    read_reply_of(fd, r, false);
}

/* One request on a connection of its own. `head` is the lines after the first, each with \r\n. */
static inline struct reply ask_port(int port, const char *line, const char *head, const char *body)
{
    static struct reply r;
    char text[16384];
    int fd = dial(port);
    int n = snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: test.local:1\r\n%s", line,
                     head ? head : "");
    if (body)
        n += snprintf(text + n, sizeof(text) - (size_t)n, "Content-Length: %zu\r\n", strlen(body));
    n += snprintf(text + n, sizeof(text) - (size_t)n, "\r\n%s", body ? body : "");
    put(fd, text, (size_t)n);
    read_reply_of(fd, &r, strncmp(line, "HEAD ", 5) == 0);
    close(fd);
    return r;
}

#endif
