#include "ctl/probe.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "lib/base/crypto.h"
#include "lib/base/err.h"

static const char *reachable(const char *address)
{
    if (!*address || strcmp(address, "0.0.0.0") == 0) {
        return "127.0.0.1";
    }
    return strcmp(address, "::") == 0 ? "::1" : address;
}

/* A connected socket, or -1. */
static int dial(const char *address, int port, int type)
{
    struct addrinfo hints = {.ai_socktype = type}, *found = NULL;
    struct timeval limit = {.tv_sec = 2};
    char service[8];
    int fd = -1;

    snprintf(service, sizeof service, "%d", port);
    if (getaddrinfo(reachable(address), service, &hints, &found) != 0) {
        return -1;
    }
    for (struct addrinfo *a = found; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
        if (fd < 0) {
            continue;
        }
        /* On Linux the send timeout bounds connect too. */
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        if (connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    return fd;
}

bool probe_tcp(const char *address, int port)
{
    int fd = dial(address, port, SOCK_STREAM);

    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0;
}

/* Reads until the other side closes or out is full; 0-ended. */
static void read_answer(int fd, char *out, size_t cap)
{
    size_t n = 0;

    while (n + 1 < cap) {
        ssize_t got = recv(fd, out + n, cap - 1 - n, 0);
        if (got <= 0) {
            break;
        }
        n += (size_t)got;
    }
    out[n] = 0;
}

int probe_http(const char *address, int port, const char *path, char *body, size_t cap)
{
    char request[256], answer[4096];
    int fd = dial(address, port, SOCK_STREAM);

    body[0] = 0;
    if (fd < 0) {
        return 0;
    }
    int n = snprintf(request, sizeof request,
                     "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path);
    answer[0] = 0;
    if (n > 0 && send(fd, request, (size_t)n, MSG_NOSIGNAL) == n) {
        read_answer(fd, answer, sizeof answer);
    }
    close(fd);
    const char *text = strstr(answer, "\r\n\r\n");
    if (strncmp(answer, "HTTP/1.", 7) != 0 || strlen(answer) < 12) {
        return 0;
    }
    snprintf(body, cap, "%s", text ? text + 4 : "");
    return (int)strtol(answer + 9, NULL, 10);
}

/* The value of Content-Length in a 0-ended head, or -1. */
static long long length_told(const char *head)
{
    const char *at = strcasestr(head, "\r\ncontent-length:");
    return at ? strtoll(at + strlen("\r\ncontent-length:"), NULL, 10) : -1;
}

/* Everything that comes; a length told that didn't come whole is no answer. */
static int read_whole(int fd, struct buf *answer)
{
    char block[16384];
    ssize_t got;

    while ((got = recv(fd, block, sizeof block, 0)) > 0) {
        if (buf_append(answer, block, (size_t)got) != OK) {
            return 0;
        }
    }
    if (answer->len == 0 || !*buf_cstr(answer)) { /* which ends it by a 0 */
        return 0;
    }
    char *head = (char *)answer->data, *end = strstr(head, "\r\n\r\n");
    if (!end || strncmp(head, "HTTP/1.", 7) != 0 || end - head < 12) {
        return 0;
    }
    *end = 0;
    int status = (int)strtol(head + 9, NULL, 10);
    long long told = length_told(head);
    buf_consume(answer, (size_t)(end - head) + 4);
    return told >= 0 && (size_t)told != answer->len ? 0 : status;
}

int probe_get(const char *address, int port, const char *path, const char *key, struct buf *body)
{
    char request[1024];
    int fd = dial(address, port, SOCK_STREAM), status = 0;

    if (fd < 0) {
        return 0;
    }
    int n = snprintf(request, sizeof request,
                     "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                     "X-Internal-Api-Key: %s\r\n\r\n",
                     path, key);
    if (n > 0 && (size_t)n < sizeof request && send(fd, request, (size_t)n, MSG_NOSIGNAL) == n) {
        status = read_whole(fd, body);
    }
    explicit_bzero(request, sizeof request);
    close(fd);
    return status;
}

bool probe_stun(const char *address, int port)
{
    /* Binding request, no attributes, the magic cookie, a transaction id. */
    unsigned char request[20] = {0x00, 0x01, 0x00, 0x00, 0x21, 0x12, 0xa4, 0x42}, answer[512];
    int fd = dial(address, port, SOCK_DGRAM);
    ssize_t n = -1;

    if (fd < 0) {
        return false;
    }
    random_bytes(request + 8, 12);
    for (int tries = 0; n < 0 && tries < 2; tries++) { /* a datagram may be lost */
        if (send(fd, request, sizeof request, MSG_NOSIGNAL) == (ssize_t)sizeof request) {
            n = recv(fd, answer, sizeof answer, 0);
        }
    }
    close(fd);
    return n >= 20 && answer[0] == 0x01 && answer[1] == 0x01 &&
           memcmp(answer + 4, request + 4, 16) == 0;
}
