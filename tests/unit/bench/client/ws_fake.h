/* A WebSocket server of bare sockets on a thread, that does what a test tells it to, mostly wrong;
 * and a loop that turns until something has happened. Included by one test each; everything is
 * static. */
#ifndef SOTTO_TESTS_BENCH_WS_FAKE_H
#define SOTTO_TESTS_BENCH_WS_FAKE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "lib/base/ids.h"
#include "lib/io/loop.h"

enum { FAKE_CONNECTIONS = 32, FAKE_TEXT = 8192, WAIT_US = 20000000 };

/* What it does with a connection; it ends it (or not) and returns. */
typedef void (*fake_fn)(int fd, void *arg);

static struct fake {
    int fd, port;
    pthread_t thread;
    fake_fn serve;
    void *arg;
    int held[FAKE_CONNECTIONS]; /* closed at the end */
    _Atomic int accepted;
} fake;

static void *fake_run(void *arg)
{
    for (;;) {
        int fd = accept(fake.fd, NULL, NULL);
        if (fd < 0 || fake.accepted >= FAKE_CONNECTIONS)
            return arg;
        fake.held[fake.accepted++] = fd;
        fake.serve(fd, fake.arg);
    }
}

static inline void fake_start(fake_fn serve, void *arg)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    fake.fd = socket(AF_INET, SOCK_STREAM, 0);
    fake.serve = serve;
    fake.arg = arg;
    fake.accepted = 0;
    assert_int_equal(bind(fake.fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(fake.fd, 64), 0);
    assert_int_equal(getsockname(fake.fd, (struct sockaddr *)&a, &n), 0);
    fake.port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&fake.thread, NULL, fake_run, NULL), 0);
}

static inline void fake_stop(void)
{
    shutdown(fake.fd, SHUT_RDWR);
    for (int i = 0; i < fake.accepted; i++)
        shutdown(fake.held[i], SHUT_RDWR); /* wakes a thread that reads */
    pthread_join(fake.thread, NULL);
    for (int i = 0; i < fake.accepted; i++)
        close(fake.held[i]);
    close(fake.fd);
}

/* Reads a request's head (0-ended, cut to what fits); false when the connection ends first. */
static inline bool fake_read_head(int fd, char *head, size_t cap)
{
    size_t n = 0;
    head[0] = 0;
    while (n + 1 < cap && recv(fd, head + n, 1, 0) == 1) {
        head[++n] = 0;
        if (strstr(head, "\r\n\r\n"))
            return true;
    }
    return false;
}

static inline void fake_put(int fd, const void *data, size_t len)
{
    (void)!send(fd, data, len, MSG_NOSIGNAL);
}

static inline void fake_say(int fd, const char *text)
{
    fake_put(fd, text, strlen(text));
}

/* Sec-WebSocket-Accept of RFC 6455 section 4.2.2. */
static inline void fake_accept_key(const char *head, char out[32])
{
    char key[128] = "";
    unsigned char digest[SHA_DIGEST_LENGTH];
    const char *at = strcasestr(head, "sec-websocket-key: ");
    snprintf(key, sizeof(key), "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", at ? at + 19 : "");
    SHA1((unsigned char *)key, strlen(key), digest);
    EVP_EncodeBlock((unsigned char *)out, digest, sizeof(digest));
}

static inline bool fake_upgrade(int fd, const char *protocol)
{
    char head[FAKE_TEXT], accept_key[32], answer[512];
    if (!fake_read_head(fd, head, sizeof(head)))
        return false;
    fake_accept_key(head, accept_key);
    snprintf(answer, sizeof(answer),
             "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: %s\r\n\r\n",
             accept_key, protocol);
    fake_say(fd, answer);
    return true;
}

static inline void fake_frame(int fd, int op, const char *text, size_t len)
{
    uint8_t head[4] = {(uint8_t)(0x80 | op), (uint8_t)len};
    size_t n = 2;
    if (len >= 126) {
        head[1] = 126;
        head[2] = (uint8_t)(len >> 8);
        head[3] = (uint8_t)len;
        n = 4;
    }
    fake_put(fd, head, n);
    fake_put(fd, text, len);
}

/* The client's next frame (masked), 0-ended; its opcode, or -1 when the connection has ended. */
static inline int fake_read_frame(int fd, char *text, size_t cap)
{
    uint8_t head[2], more[2], mask[4];
    if (recv(fd, head, 2, MSG_WAITALL) != 2)
        return -1;
    size_t len = head[1] & 127;
    if (len == 126) {
        if (recv(fd, more, 2, MSG_WAITALL) != 2)
            return -1;
        len = (size_t)more[0] << 8 | more[1];
    }
    if (len >= cap || recv(fd, mask, 4, MSG_WAITALL) != 4 ||
        (len > 0 && recv(fd, text, len, MSG_WAITALL) != (ssize_t)len))
        return -1;
    for (size_t i = 0; i < len; i++)
        text[i] = (char)((uint8_t)text[i] ^ mask[i % 4]);
    text[len] = 0;
    return head[0] & 15;
}

/* Reads until the client closes, answers that, and ends the connection. */
static inline void fake_wait_close(int fd)
{
    char text[FAKE_TEXT];
    int op;
    while ((op = fake_read_frame(fd, text, sizeof(text))) >= 0 && op != 8)
        ;
    if (op == 8)
        fake_frame(fd, 8, text, 2);
    shutdown(fd, SHUT_RDWR);
}

/* ---- the client's loop ---- */

static inline void nothing(void *arg)
{
    (void)arg;
}

/* Turns the loop until *n is at least `want`; fails after WAIT_US. */
static inline void turn_until(struct loop *l, const int *n, int want)
{
    struct loop_timer *tick = loop_timer_new(l, nothing, NULL);
    int64_t end = clock_mono_us() + WAIT_US;
    loop_timer_start(tick, 1000, 1000);
    while (*n < want && clock_mono_us() < end)
        uv_run(loop_uv(l), UV_RUN_ONCE);
    loop_timer_free(tick);
    assert_true(*n >= want);
}

/* Turns the loop for a while: where a test is about what does not happen. */
static inline void turn_for(struct loop *l, int64_t us)
{
    struct loop_timer *tick = loop_timer_new(l, nothing, NULL);
    int64_t end = clock_mono_us() + us;
    loop_timer_start(tick, 1000, 1000);
    while (clock_mono_us() < end)
        uv_run(loop_uv(l), UV_RUN_ONCE);
    loop_timer_free(tick);
}

#endif
