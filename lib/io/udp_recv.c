/* Receiving: see udp.h. */
#include "lib/io/udp_internal.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"

#define JOINED_SIZE 65536 /* the kernel joins up to what an IP packet holds */

struct udp_gro {
    int n, next; /* messages read, and the one that is taken from */
    size_t at;   /* how far into it */
    struct udp_packet message[UDP_JOINED];
    size_t step[UDP_JOINED];
    uint8_t room[UDP_JOINED][JOINED_SIZE];
};

/* Where it went to, and of how many bytes each datagram in it is: 0 when it is but one. */
static int read_control(struct in6_addr *local, struct msghdr *h)
{
    int segment = 0;
    memset(local, 0, sizeof(*local));
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
        if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof(info));
            *local = info.ipi6_addr;
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof(info));
            udp_map_v4(local, &info.ipi_addr);
        } else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
            memcpy(&segment, CMSG_DATA(c), sizeof(segment));
        }
    }
    return segment;
}

static void prepare(struct udp *u, int i, struct udp_packet *p, size_t room)
{
    struct udp_slot *s = &u->in[i];
    s->iov = (struct iovec){.iov_base = p->data, .iov_len = room};
    u->in_msgs[i].msg_hdr = (struct msghdr){
        .msg_name = u->ipv4_only ? (void *)&s->v4 : (void *)&p->peer,
        .msg_namelen = u->ipv4_only ? sizeof(s->v4) : sizeof(p->peer),
        .msg_iov = &s->iov,
        .msg_iovlen = 1,
        .msg_control = u->any || u->gro ? s->control.room : NULL,
        .msg_controllen = u->any || u->gro ? sizeof(s->control.room) : 0,
    };
}

/* steps: of n, or NULL where nothing is joined. */
static int receive(struct udp *u, struct udp_packet *p, size_t *steps, int n)
{
    int got;
    do
        got = recvmmsg(u->fd, u->in_msgs, (unsigned)n, 0, NULL);
    while (got < 0 &&
           (errno == EINTR || errno == ECONNREFUSED)); /* an ICMP error of a former send */
    if (got < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : ERR_IO;
    for (int i = 0; i < got; i++) {
        struct msghdr *h = &u->in_msgs[i].msg_hdr;
        p[i].len = h->msg_flags & MSG_TRUNC ? 0 : u->in_msgs[i].msg_len;
        int segment = read_control(&p[i].local, h);
        if (u->ipv4_only)
            udp_from_v4(&p[i].peer, &u->in[i].v4);
        if (steps)
            steps[i] = segment > 0 && (size_t)segment < p[i].len ? (size_t)segment : p[i].len;
    }
    return got;
}

int udp_recv(struct udp *u, struct udp_packet *p, int n)
{
    if (u->gro)
        return ERR_STATE;
    if (n > UDP_BATCH)
        n = UDP_BATCH;
    for (int i = 0; i < n; i++)
        prepare(u, i, &p[i], UDP_MTU);
    return receive(u, p, NULL, n);
}

int udp_gro(struct udp *u)
{
    int on = 1;
    if (u->gro)
        return OK;
    if (setsockopt(u->fd, IPPROTO_UDP, UDP_GRO, &on, sizeof(on)) != 0)
        return ERR_UNSUPPORTED;
    u->gro = malloc(sizeof(*u->gro)); /* pages that are never written cost nothing */
    if (!u->gro) {
        on = 0;
        setsockopt(u->fd, IPPROTO_UDP, UDP_GRO, &on, sizeof(on));
        return ERR_NOMEM;
    }
    u->gro->n = u->gro->next = 0;
    u->gro->at = 0;
    return OK;
}

void udp_gro_free(struct udp_gro *g)
{
    free(g);
}

static int read_joined(struct udp *u)
{
    struct udp_gro *g = u->gro;
    for (int i = 0; i < UDP_JOINED; i++) {
        g->message[i].data = g->room[i];
        prepare(u, i, &g->message[i], JOINED_SIZE);
    }
    int n = receive(u, g->message, g->step, UDP_JOINED);
    g->n = n > 0 ? n : 0;
    g->next = 0;
    g->at = 0;
    return n;
}

/* The next datagram of what was read. One longer than UDP_MTU counts as truncated. */
static void take(struct udp_gro *g, struct udp_packet *out)
{
    const struct udp_packet *m = &g->message[g->next];
    size_t left = m->len - g->at, step = g->step[g->next];
    *out = *m;
    out->data = m->data + g->at;
    out->len = left < step ? left : step;
    g->at += out->len;
    if (g->at >= m->len) {
        g->next++;
        g->at = 0;
    }
    if (out->len > UDP_MTU)
        out->len = 0;
}

int udp_recv_joined(struct udp *u, struct udp_packet *p, int n)
{
    struct udp_gro *g = u->gro;
    int taken = 0;
    if (!g)
        return ERR_STATE;
    if (g->next == g->n) {
        int got = read_joined(u);
        if (got <= 0)
            return got;
    }
    while (taken < n && g->next < g->n)
        take(g, &p[taken++]);
    return taken;
}
