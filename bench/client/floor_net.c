#include "bench/client/floor_net.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/err.h"

#define BUFFER_BYTES (8 << 20)

union control {
    struct cmsghdr align;
    uint8_t room[CMSG_SPACE(sizeof(uint16_t))];
};

struct floor_net {
    int fd, port;
    enum floor_net_mode mode;
    bool fell_back;
    struct floor_net_stats stats;
    struct mmsghdr in[NET_BATCH], out[NET_BATCH];
    struct iovec in_iov[NET_BATCH], out_iov[NET_BATCH];
    struct sockaddr_in from[NET_BATCH], to[NET_BATCH];
    union control control[NET_BATCH];
    struct floor_datagram datagrams[NET_BATCH];
};

static int bind_loopback(struct floor_net *n, int port)
{
    int bytes = BUFFER_BYTES;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t len = sizeof(a);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    n->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (n->fd < 0 || bind(n->fd, (struct sockaddr *)&a, sizeof(a)) != 0 ||
        getsockname(n->fd, (struct sockaddr *)&a, &len) != 0)
        return ERR_IO;
    setsockopt(n->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)); /* a wish */
    setsockopt(n->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    n->port = ntohs(a.sin_port);
    return OK;
}

int floor_net_open(struct floor_net **out, int port, enum floor_net_mode mode)
{
    struct floor_net *n = calloc(1, sizeof(*n));
    if (!n)
        return ERR_NOMEM;
    n->mode = mode;
    if (bind_loopback(n, port) != OK) {
        floor_net_close(n);
        return ERR_IO;
    }
    for (size_t i = 0; i < NET_BATCH; i++) {
        n->in_iov[i] = (struct iovec){n->datagrams[i].data, sizeof(n->datagrams[i].data)};
        n->in[i].msg_hdr = (struct msghdr){.msg_name = &n->from[i],
                                           .msg_namelen = sizeof(n->from[i]),
                                           .msg_iov = &n->in_iov[i],
                                           .msg_iovlen = 1};
    }
    *out = n;
    return OK;
}

void floor_net_close(struct floor_net *n)
{
    if (!n)
        return;
    if (n->fd >= 0)
        close(n->fd);
    free(n);
}

int floor_net_fd(const struct floor_net *n)
{
    return n->fd;
}

int floor_net_port(const struct floor_net *n)
{
    return n->port;
}

bool floor_net_fell_back(const struct floor_net *n)
{
    return n->fell_back;
}

void floor_net_stats(const struct floor_net *n, struct floor_net_stats *out)
{
    *out = n->stats;
}

int floor_net_receive(struct floor_net *n, struct floor_datagram **out)
{
    int got = recvmmsg(n->fd, n->in, NET_BATCH, 0, NULL);
    n->stats.recv_calls++;
    if (got < 0)
        return errno == EAGAIN || errno == EINTR || errno == ECONNREFUSED ? 0 : ERR_IO;
    for (int i = 0; i < got; i++) {
        n->datagrams[i].len = n->in[i].msg_hdr.msg_flags & MSG_TRUNC ? 0 : n->in[i].msg_len;
        n->datagrams[i].port = ntohs(n->from[i].sin_port);
        n->in[i].msg_hdr.msg_namelen = sizeof(n->from[i]);
    }
    *out = n->datagrams;
    return got;
}

static void ask_segments(struct msghdr *h, union control *room, uint16_t segment)
{
    memset(room, 0, sizeof(*room));
    h->msg_control = room;
    h->msg_controllen = sizeof(room->room);
    struct cmsghdr *c = CMSG_FIRSTHDR(h);
    c->cmsg_level = SOL_UDP;
    c->cmsg_type = UDP_SEGMENT;
    c->cmsg_len = CMSG_LEN(sizeof(segment));
    memcpy(CMSG_DATA(c), &segment, sizeof(segment));
}

static void address(struct floor_net *n, size_t i, uint16_t port)
{
    n->to[i] = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
    n->to[i].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}

/* One packet by itself; a full buffer or an unreachable peer loses it, as any server would. */
static void send_one(struct floor_net *n, uint16_t port, const uint8_t *data, size_t len)
{
    address(n, 0, port);
    n->stats.send_calls++;
    if (sendto(n->fd, data, len, 0, (struct sockaddr *)&n->to[0], sizeof(n->to[0])) < 0)
        n->stats.refused++;
}

static void send_singly(struct floor_net *n, const struct floor_message *m)
{
    size_t step = m->segment ? m->segment : m->len;
    for (size_t at = 0; at < m->len; at += step)
        send_one(n, m->port, m->data + at, m->len - at < step ? m->len - at : step);
}

static void fill(struct floor_net *n, const struct floor_message *m, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        address(n, i, m[i].port);
        n->out_iov[i] = (struct iovec){(void *)(uintptr_t)m[i].data, m[i].len};
        n->out[i].msg_hdr = (struct msghdr){.msg_name = &n->to[i],
                                            .msg_namelen = sizeof(n->to[i]),
                                            .msg_iov = &n->out_iov[i],
                                            .msg_iovlen = 1};
        if (m[i].segment)
            ask_segments(&n->out[i].msg_hdr, &n->control[i], m[i].segment);
    }
}

/* EIO: the device can't; EINVAL, ENOPROTOOPT: the kernel can't (UDP_SEGMENT came in Linux 4.18). */
static bool is_refusal(int why)
{
    return why == EIO || why == EINVAL || why == ENOPROTOOPT || why == EOPNOTSUPP;
}

static void send_batch(struct floor_net *n, const struct floor_message *m, size_t count)
{
    fill(n, m, count);
    for (size_t done = 0; done < count;) {
        int sent = sendmmsg(n->fd, n->out + done, (unsigned)(count - done), 0);
        n->stats.send_calls++;
        if (sent > 0) {
            done += (size_t)sent;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (m[done].segment && is_refusal(errno)) {
            n->fell_back = true;
            while (done < count)
                send_singly(n, &m[done++]);
            return;
        }
        n->stats.refused += m[done].packets;
        done++;
    }
}

void floor_net_send(struct floor_net *n, const struct floor_message *m, size_t count)
{
    n->stats.messages += count;
    if (n->mode != NET_SENDTO && !n->fell_back) {
        for (size_t i = 0; i < count; i += NET_BATCH)
            send_batch(n, m + i, count - i < NET_BATCH ? count - i : NET_BATCH);
        return;
    }
    for (size_t i = 0; i < count; i++)
        send_singly(n, &m[i]);
}
