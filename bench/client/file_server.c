#include "bench/client/file_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/err.h"

#define HEAD_MAX      8192
#define FILE_NAME_MAX 128
#define CHUNK         (256 * 1024)
#define EVENTS        64

enum phase { READ_HEAD, READ_BODY, WRITE_HEAD, WRITE_BODY };

struct connection {
    struct connection *prev, *next;
    enum phase phase;
    uint32_t events;  /* that epoll waits for */
    int fd, file;     /* file: -1 when none is open */
    bool close_after; /* the client asked for it, or the request was past understanding */
    off_t left, at;   /* of the file's bytes */
    size_t head_len;  /* bytes in head while reading */
    size_t out_len, out_at;
    char name[FILE_NAME_MAX], temp[FILE_NAME_MAX + 32];
    char head[HEAD_MAX + 1];
    char out[256];
};

struct file_server {
    int dir, listener, epoll, port;
    uint64_t next_temp;
    struct connection *connections;
    struct file_server_stats stats;
    uint8_t chunk[CHUNK]; /* between socket and file; nothing is kept in it */
};

static int listen_on(struct file_server *s, int port)
{
    int on = 1;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t len = sizeof(a);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->listener < 0)
        return ERR_IO;
    setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(s->listener, (struct sockaddr *)&a, sizeof(a)) != 0 ||
        listen(s->listener, 1024) != 0 ||
        getsockname(s->listener, (struct sockaddr *)&a, &len) != 0)
        return ERR_IO;
    s->port = ntohs(a.sin_port);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    return epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->listener, &e) == 0 ? OK : ERR_IO;
}

int file_server_new(struct file_server **out, const char *dir, int port)
{
    struct file_server *s = calloc(1, sizeof(*s));
    if (!s)
        return ERR_NOMEM;
    s->listener = -1;
    s->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (s->dir < 0 || s->epoll < 0 || listen_on(s, port) != OK) {
        file_server_free(s);
        return ERR_IO;
    }
    *out = s;
    return OK;
}

/* A file that was being written when the connection went leaves nothing behind. */
static void close_file(struct file_server *s, struct connection *c)
{
    if (c->file >= 0)
        close(c->file);
    c->file = -1;
    if (c->temp[0])
        unlinkat(s->dir, c->temp, 0);
    c->temp[0] = '\0';
}

static void drop(struct file_server *s, struct connection *c)
{
    close_file(s, c);
    close(c->fd);
    if (c->prev)
        c->prev->next = c->next;
    else
        s->connections = c->next;
    if (c->next)
        c->next->prev = c->prev;
    free(c);
}

void file_server_free(struct file_server *s)
{
    if (!s)
        return;
    while (s->connections)
        drop(s, s->connections);
    if (s->listener >= 0)
        close(s->listener);
    if (s->epoll >= 0)
        close(s->epoll);
    if (s->dir >= 0)
        close(s->dir);
    free(s);
}

int file_server_port(const struct file_server *s)
{
    return s->port;
}

void file_server_stats(const struct file_server *s, struct file_server_stats *out)
{
    *out = s->stats;
}

static void accept_all(struct file_server *s)
{
    int fd, on = 1;
    while ((fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct connection *c = calloc(1, sizeof(*c));
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
        if (!c || epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &e) != 0) {
            free(c);
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        c->fd = fd;
        c->file = -1;
        c->events = EPOLLIN;
        c->next = s->connections;
        if (c->next)
            c->next->prev = c;
        s->connections = c;
    }
}

static void wait_for(struct file_server *s, struct connection *c, uint32_t events)
{
    if (c->events == events)
        return;
    c->events = events;
    struct epoll_event e = {.events = events, .data.ptr = c};
    epoll_ctl(s->epoll, EPOLL_CTL_MOD, c->fd, &e);
}

static void answer(struct file_server *s, struct connection *c, const char *status, int64_t length)
{
    s->stats.refused += status[0] >= '4';
    int n = snprintf(c->out, sizeof(c->out), "HTTP/1.1 %s\r\ncontent-length: %" PRId64 "\r\n%s\r\n",
                     status, length, c->close_after ? "connection: close\r\n" : "");
    c->out_len = (size_t)n;
    c->out_at = 0;
    c->phase = WRITE_HEAD;
}

static void refuse(struct file_server *s, struct connection *c, const char *status)
{
    close_file(s, c);
    c->left = 0;
    c->close_after = true; /* what follows of a body is not read */
    answer(s, c, status, 0);
}

/* The value of a header, lower or upper case, or NULL; ends at CR. */
static const char *header_of(const char *head, const char *name)
{
    size_t len = strlen(name);
    for (const char *p = strstr(head, "\r\n"); p; p = strstr(p + 2, "\r\n"))
        if (strncasecmp(p + 2, name, len) == 0 && p[2 + len] == ':')
            return p + 3 + len + strspn(p + 3 + len, " \t");
    return NULL;
}

static bool name_of(const char *path, char name[FILE_NAME_MAX])
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    if (path[0] != '/')
        return false;
    size_t n = strspn(path + 1, allowed);
    if (n == 0 || n >= FILE_NAME_MAX || path[1] == '.' ||
        (path[1 + n] != ' ' && path[1 + n] != '?'))
        return false;
    memcpy(name, path + 1, n);
    name[n] = '\0';
    return true;
}

static void start_get(struct file_server *s, struct connection *c)
{
    struct stat st;
    c->file = openat(s->dir, c->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (c->file < 0 || fstat(c->file, &st) != 0 || !S_ISREG(st.st_mode)) {
        refuse(s, c, "404 Not Found");
        return;
    }
    c->left = st.st_size;
    c->at = 0;
    s->stats.gets++;
    answer(s, c, "200 OK", st.st_size);
}

static bool length_of(const char *head, off_t *out)
{
    const char *value = header_of(head, "content-length");
    char *end;
    if (!value || value[0] < '0' || value[0] > '9' || header_of(head, "transfer-encoding"))
        return false;
    errno = 0;
    long long v = strtoll(value, &end, 10);
    *out = (off_t)v;
    return errno == 0 && v >= 0 && *end == '\r';
}

static void start_put(struct file_server *s, struct connection *c)
{
    if (!length_of(c->head, &c->left)) {
        refuse(s, c, "411 Length Required");
        return;
    }
    snprintf(c->temp, sizeof(c->temp), ".put-%" PRIu64, s->next_temp++);
    c->file = openat(s->dir, c->temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (c->file < 0) {
        c->temp[0] = '\0';
        refuse(s, c, "500 Internal Server Error");
        return;
    }
    c->phase = READ_BODY;
    const char *expect = header_of(c->head, "expect");
    if (expect && strncasecmp(expect, "100-continue", 12) == 0) {
        static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
        if (send(c->fd, go_on, sizeof(go_on) - 1, MSG_NOSIGNAL) != sizeof(go_on) - 1)
            refuse(s, c, "500 Internal Server Error");
    }
}

/* Whole and lasting before it is answered: the file, then its name. */
static void finish_put(struct file_server *s, struct connection *c)
{
    bool ok = fsync(c->file) == 0 && renameat(s->dir, c->temp, s->dir, c->name) == 0 &&
              fsync(s->dir) == 0;
    if (!ok) {
        refuse(s, c, "500 Internal Server Error");
        return;
    }
    c->temp[0] = '\0';
    close_file(s, c);
    s->stats.puts++;
    answer(s, c, "201 Created", 0);
}

static bool write_all(int fd, const void *data, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = write(fd, (const uint8_t *)data + at, len - at);
        if (n < 0 && errno != EINTR)
            return false;
        at += n > 0 ? (size_t)n : 0;
    }
    return true;
}

static void take_body(struct file_server *s, struct connection *c, const void *data, size_t len)
{
    if (!write_all(c->file, data, len)) {
        refuse(s, c, "507 Insufficient Storage");
        return;
    }
    c->left -= (off_t)len;
    s->stats.bytes_in += len;
}

/* Acts on a whole head; what came behind it moves to the front or into the file. */
static void on_head(struct file_server *s, struct connection *c, size_t head_len)
{
    const char *connection;
    size_t behind = c->head_len - head_len;
    char *rest = c->head + head_len, saved = *rest;
    *rest = '\0';
    connection = header_of(c->head, "connection");
    c->close_after = (connection && strncasecmp(connection, "close", 5) == 0) ||
                     !strstr(c->head, " HTTP/1.1\r\n");
    bool get = strncmp(c->head, "GET ", 4) == 0, put = strncmp(c->head, "PUT ", 4) == 0;
    c->left = 0;
    if (!get && !put)
        refuse(s, c, "405 Method Not Allowed");
    else if (!name_of(c->head + 4, c->name))
        refuse(s, c, "404 Not Found");
    else if (get)
        start_get(s, c);
    else
        start_put(s, c);
    *rest = saved;
    size_t body = 0;
    if (c->phase == READ_BODY) {
        body = (off_t)behind < c->left ? behind : (size_t)c->left;
        take_body(s, c, rest, body);
    }
    memmove(c->head, rest + body, behind - body);
    c->head_len = behind - body;
    c->head[c->head_len] = '\0';
}

/* Each step returns false when it must wait for the socket or the connection is over. */
static bool read_head(struct file_server *s, struct connection *c)
{
    char *end = strstr(c->head, "\r\n\r\n");
    if (end) {
        on_head(s, c, (size_t)(end - c->head) + 4);
        return true;
    }
    if (c->head_len == HEAD_MAX) {
        refuse(s, c, "431 Request Header Fields Too Large");
        return true;
    }
    ssize_t n = recv(c->fd, c->head + c->head_len, HEAD_MAX - c->head_len, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        drop(s, c);
    if (n <= 0)
        return false;
    c->head_len += (size_t)n;
    c->head[c->head_len] = '\0';
    return true;
}

static bool read_body(struct file_server *s, struct connection *c)
{
    if (c->left == 0) {
        finish_put(s, c);
        return true;
    }
    size_t want = c->left < CHUNK ? (size_t)c->left : CHUNK;
    ssize_t n = recv(c->fd, s->chunk, want, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        drop(s, c);
    if (n <= 0)
        return false;
    take_body(s, c, s->chunk, (size_t)n);
    return true;
}

static void next_request(struct file_server *s, struct connection *c)
{
    close_file(s, c);
    c->phase = READ_HEAD;
    wait_for(s, c, EPOLLIN);
}

static bool write_head(struct file_server *s, struct connection *c)
{
    /* MSG_MORE: the head leaves in the first segment of the file. */
    ssize_t n = send(c->fd, c->out + c->out_at, c->out_len - c->out_at,
                     MSG_NOSIGNAL | (c->left > 0 ? MSG_MORE : 0));
    if (n < 0) {
        if (errno == EAGAIN || errno == EINTR)
            wait_for(s, c, EPOLLOUT);
        else
            drop(s, c);
        return false;
    }
    c->out_at += (size_t)n;
    if (c->out_at == c->out_len)
        c->phase = WRITE_BODY;
    return true;
}

static bool write_body(struct file_server *s, struct connection *c)
{
    if (c->left == 0 && c->close_after) {
        drop(s, c);
        return false;
    }
    if (c->left == 0) {
        next_request(s, c);
        return true;
    }
    ssize_t n = sendfile(c->fd, c->file, &c->at, (size_t)c->left);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        wait_for(s, c, EPOLLOUT);
        return false;
    }
    if (n <= 0) { /* gone, or the file became shorter: the promised length can't be kept */
        drop(s, c);
        return false;
    }
    c->left -= n;
    s->stats.bytes_out += (uint64_t)n;
    return true;
}

static void go_on(struct file_server *s, struct connection *c)
{
    bool more = true;
    while (more) {
        switch (c->phase) {
        case READ_HEAD:
            more = read_head(s, c);
            break;
        case READ_BODY:
            more = read_body(s, c);
            break;
        case WRITE_HEAD:
            more = write_head(s, c);
            break;
        case WRITE_BODY:
            more = write_body(s, c);
            break;
        }
    }
}

int file_server_turn(struct file_server *s, int timeout_ms)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(s->epoll, events, EVENTS, timeout_ms);
    if (n < 0)
        return errno == EINTR ? OK : ERR_IO;
    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr)
            go_on(s, events[i].data.ptr);
        else
            accept_all(s);
    }
    return OK;
}
