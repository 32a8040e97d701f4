#include "bench/load/turn_streams.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/err.h"
#include "lib/base/ids.h"

#define BUFFER_BYTES (1 << 20)
#define BATCH        32
#define EVENTS       64
#define STAMP_LEN    32
#define MAGIC        0x50e77011u

/* What a packet begins with, in the order of this machine: both ends are this process. */
struct stamp {
    uint32_t magic, pair;
    uint32_t from; /* enum end */
    uint32_t check;
    uint64_t number;
    int64_t due_us;
};
_Static_assert(sizeof(struct stamp) == STAMP_LEN, "no holes");

static int open_end(struct streams *s, size_t i, enum end end)
{
    int bytes = BUFFER_BYTES;
    struct pair *p = &s->pairs[i];
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t len = sizeof(a);
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = i * ENDS + end};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = p->fd[end] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) != 0)
        return ERR_IO;
    p->port[end] = ntohs(a.sin_port);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)); /* a wish */
    if (end == CLIENT_END &&
        connect(fd, (const struct sockaddr *)&s->server, sizeof(s->server)) != 0)
        return ERR_IO;
    return epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &e) == 0 ? OK : ERR_IO;
}

int streams_open(struct streams *s, const struct sockaddr_in *server, size_t n, int also_fd)
{
    struct epoll_event also = {.events = EPOLLIN, .data.u64 = UINT64_MAX};
    int err = OK;
    memset(s, 0, sizeof(*s));
    s->server = *server;
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    s->pairs = calloc(n, sizeof(*s->pairs));
    if (!s->pairs)
        return ERR_NOMEM;
    for (size_t i = 0; i < n; i++)
        s->pairs[i].fd[CLIENT_END] = s->pairs[i].fd[PEER_END] = -1;
    s->n = n;
    if (s->epoll < 0 || epoll_ctl(s->epoll, EPOLL_CTL_ADD, also_fd, &also) != 0)
        return ERR_IO;
    for (size_t i = 0; err == OK && i < n; i++) {
        err = open_end(s, i, CLIENT_END);
        err = err ? err : open_end(s, i, PEER_END);
    }
    return err;
}

void streams_close(struct streams *s)
{
    for (size_t i = 0; i < s->n; i++) {
        turn_client_free(s->pairs[i].turn);
        for (int end = 0; end < ENDS; end++)
            if (s->pairs[i].fd[end] >= 0)
                close(s->pairs[i].fd[end]);
    }
    free(s->pairs);
    if (s->epoll > 0)
        close(s->epoll);
    memset(s, 0, sizeof(*s));
}

int streams_connect_peer(struct streams *s, size_t i, const struct sockaddr_in *to)
{
    struct pair *p = &s->pairs[i];
    p->peer_connected = connect(p->fd[PEER_END], (const struct sockaddr *)to, sizeof(*to)) == 0;
    return p->peer_connected ? OK : ERR_IO;
}

void streams_turn_poll(struct streams *s, int64_t now_us)
{
    uint8_t out[TURN_MAX_MESSAGE];
    size_t len;
    for (size_t i = 0; i < s->n; i++) {
        struct pair *p = &s->pairs[i];
        if (!p->turn || turn_client_deadline(p->turn) > now_us)
            continue;
        while ((len = turn_client_poll(p->turn, out, sizeof(out), now_us)) > 0)
            if (send(p->fd[CLIENT_END], out, len, 0) < 0)
                s->refused++; /* it is sent again */
    }
}

/* ---- out ---- */
void streams_send(struct streams *s, double packets_per_s, int bytes, int burst, int64_t now_us)
{
    double interval_us = burst * 1e6 / packets_per_s;
    s->schedule = (struct schedule){.on = s->n > 0,
                                    .burst = burst,
                                    .bytes = bytes,
                                    .start_us = now_us,
                                    .step_us = interval_us / (double)(ENDS * s->n)};
}

static int64_t due_of(const struct schedule *c)
{
    return c->start_us + (int64_t)((double)c->next * c->step_us);
}

int64_t streams_deadline(const struct streams *s)
{
    return s->schedule.on ? due_of(&s->schedule) : INT64_MAX;
}

static uint32_t check_of(const struct stamp *t)
{
    uint64_t mix = (t->number ^ (uint64_t)t->due_us) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(mix >> 32) ^ t->pair * 31 ^ t->from;
}

static void send_burst(struct streams *s, size_t i, enum end from, int64_t due_us)
{
    static uint8_t packet[STREAMS_BURST][TURN_CHANNEL_LEN + PACKET_MAX];
    struct mmsghdr m[STREAMS_BURST] = {0};
    struct iovec iov[STREAMS_BURST];
    struct pair *p = &s->pairs[i];
    size_t len = (size_t)s->schedule.bytes, at = from == CLIENT_END ? 0 : TURN_CHANNEL_LEN;
    for (int k = 0; k < s->schedule.burst; k++) {
        struct stamp t = {.magic = MAGIC,
                          .pair = (uint32_t)i,
                          .from = from,
                          .number = p->sent[from]++,
                          .due_us = due_us};
        t.check = check_of(&t);
        turn_channel_header(packet[k], (uint16_t)len);
        memcpy(packet[k] + TURN_CHANNEL_LEN, &t, sizeof(t));
        iov[k] = (struct iovec){packet[k] + at, len + TURN_CHANNEL_LEN - at};
        m[k].msg_hdr = (struct msghdr){.msg_iov = &iov[k], .msg_iovlen = 1};
    }
    for (int done = 0; done < s->schedule.burst;) {
        int sent = sendmmsg(p->fd[from], m + done, (unsigned)(s->schedule.burst - done), 0);
        s->refused += sent < 0 && errno != EINTR;
        done += sent > 0 ? sent : errno != EINTR;
    }
    s->sent += (uint64_t)s->schedule.burst;
}

void streams_send_due(struct streams *s, int64_t now_us)
{
    struct schedule *c = &s->schedule;
    while (c->on && due_of(c) <= now_us) {
        int64_t due = due_of(c);
        uint64_t stream = c->next++ % (ENDS * s->n);
        if (now_us - due > s->late_max_us)
            s->late_max_us = now_us - due;
        send_burst(s, stream / ENDS, (enum end)(stream % ENDS), due);
    }
}

/* ---- in ---- */
static void on_packet(struct streams *s, size_t i, enum end at, const uint8_t *data, size_t len,
                      int64_t now_us)
{
    struct stamp t;
    struct arrival *a = &s->pairs[i].arrival[at];
    if (len != (size_t)s->schedule.bytes || len < sizeof(t)) {
        s->bad++;
        return;
    }
    memcpy(&t, data, sizeof(t));
    if (t.magic != MAGIC || t.pair != i || t.from == at || t.check != check_of(&t)) {
        s->bad++;
        return;
    }
    s->received++;
    s->bytes += len;
    a->received++;
    if (t.number >= a->highest)
        a->highest = t.number + 1;
    histogram_add(&s->latency, now_us - t.due_us);
}

/* What a client's end got: through TURN by its client, from the plain forwarder without one. */
static void on_datagram(struct streams *s, size_t i, enum end at, const uint8_t *data, size_t len,
                        int64_t now_us)
{
    const uint8_t *payload = data;
    struct pair *p = &s->pairs[i];
    if (at == CLIENT_END && p->turn) {
        len = turn_client_input(p->turn, data, len, now_us, &payload);
        if (len == 0)
            return;
    } else if (at == CLIENT_END) {
        if (len < TURN_CHANNEL_LEN)
            return;
        payload += TURN_CHANNEL_LEN;
        len -= TURN_CHANNEL_LEN;
    }
    on_packet(s, i, at, payload, len, now_us);
}

static void read_end(struct streams *s, size_t i, enum end at)
{
    static uint8_t data[BATCH][2048];
    struct mmsghdr m[BATCH] = {0};
    struct iovec iov[BATCH];
    int n;
    for (int k = 0; k < BATCH; k++) {
        iov[k] = (struct iovec){data[k], sizeof(data[k])};
        m[k].msg_hdr = (struct msghdr){.msg_iov = &iov[k], .msg_iovlen = 1};
    }
    do
        n = recvmmsg(s->pairs[i].fd[at], m, BATCH, 0, NULL);
    while (n < 0 && (errno == EINTR || errno == ECONNREFUSED)); /* ICMP of a former send */
    int64_t now = clock_mono_us();
    for (int k = 0; k < n; k++)
        on_datagram(s, i, at, data[k], m[k].msg_len, now);
}

int streams_receive(struct streams *s, int64_t wait_us, bool *also)
{
    struct epoll_event e[EVENTS];
    struct timespec t = {wait_us / 1000000, wait_us % 1000000 * 1000};
    int n = epoll_pwait2(s->epoll, e, EVENTS, &t, NULL);
    if (n < 0)
        return errno == EINTR ? OK : ERR_IO;
    for (int k = 0; k < n; k++) {
        if (e[k].data.u64 == UINT64_MAX)
            *also = true;
        else
            read_end(s, e[k].data.u64 / ENDS, (enum end)(e[k].data.u64 % ENDS));
    }
    return OK;
}

void streams_mark(struct streams *s, int64_t now_us)
{
    memset(&s->latency, 0, sizeof(s->latency));
    s->sent = s->received = s->bytes = s->bad = s->refused = 0;
    s->late_max_us = 0;
    s->mark_us = now_us;
    for (size_t i = 0; i < s->n * ENDS; i++) {
        struct arrival *a = &s->pairs[i / ENDS].arrival[i % ENDS];
        a->base_highest = a->highest;
        a->base_received = a->received;
    }
}

void streams_loss(const struct streams *s, uint64_t *expected, uint64_t *lost)
{
    *expected = *lost = 0;
    for (size_t i = 0; i < s->n * ENDS; i++) {
        const struct arrival *a = &s->pairs[i / ENDS].arrival[i % ENDS];
        uint64_t should = a->highest - a->base_highest, did = a->received - a->base_received;
        *expected += should;
        *lost += should > did ? should - did : 0;
    }
}
