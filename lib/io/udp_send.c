/* Sending: see udp.h. */
#include "lib/io/udp_internal.h"

#include <errno.h>
#include <netinet/udp.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/metrics.h"

/* Where trains have been taken before, so many in line are not one peer's route any more. */
#define REFUSALS_MAX 64

METRIC_COUNTER_DEF(m_sent, "sotto_udp_sent_total", NULL, "Datagrams that the kernel took");
METRIC_COUNTER_DEF(m_refused, "sotto_udp_refused_total", NULL, "Datagrams that the kernel refused");
METRIC_COUNTER_DEF(m_full, "sotto_udp_full_total", NULL,
                   "Times that the socket's send buffer was full");
METRIC_COUNTER_DEF(m_trains, "sotto_udp_trains_total", NULL,
                   "Messages of several datagrams that the kernel took");
METRIC_COUNTER_DEF(m_split, "sotto_udp_trains_refused_total", NULL,
                   "Messages of several datagrams that had to be sent singly");

void udp_send_register(void)
{
    metric_register(&m_sent);
    metric_register(&m_refused);
    metric_register(&m_full);
    metric_register(&m_trains);
    metric_register(&m_split);
}

enum udp_segments udp_segments(const struct udp *u)
{
    return u->segments;
}

static void put_control(struct msghdr *h, int level, int type, const void *info, size_t len)
{
    struct cmsghdr *c = (struct cmsghdr *)(void *)((uint8_t *)h->msg_control + h->msg_controllen);
    memset(c, 0, CMSG_SPACE(len));
    h->msg_controllen += CMSG_SPACE(len);
    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(len);
    memcpy(CMSG_DATA(c), info, len);
}

/* The interface stays the route's to choose: only the address is asked for. */
static void put_local(const struct udp *u, struct msghdr *h, const struct in6_addr *local)
{
    if (!u->any || IN6_IS_ADDR_UNSPECIFIED(local))
        return;
    if (u->ipv4_only) {
        struct in_pktinfo info = {0};
        memcpy(&info.ipi_spec_dst, &local->s6_addr[12], 4);
        put_control(h, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
    } else {
        struct in6_pktinfo info = {.ipi6_addr = *local};
        put_control(h, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
    }
}

static void fill(struct udp *u, int i, const struct udp_message *m)
{
    struct udp_slot *s = &u->out[i];
    struct msghdr *h = &u->out_msgs[i].msg_hdr;
    s->iov = (struct iovec){.iov_base = (void *)(uintptr_t)m->data, .iov_len = m->len};
    *h = (struct msghdr){.msg_name = (void *)(uintptr_t)m->peer,
                         .msg_namelen = sizeof(*m->peer),
                         .msg_iov = &s->iov,
                         .msg_iovlen = 1,
                         .msg_control = s->control.room};
    if (u->ipv4_only) {
        udp_to_v4(&s->v4, m->peer);
        h->msg_name = &s->v4;
        h->msg_namelen = sizeof(s->v4);
    }
    put_local(u, h, m->local);
    if (m->segment)
        put_control(h, IPPROTO_UDP, UDP_SEGMENT, &m->segment, sizeof(m->segment));
    if (h->msg_controllen == 0)
        h->msg_control = NULL;
}

static int datagrams(const struct udp_message *m)
{
    return m->segment ? (int)((m->len + m->segment - 1) / m->segment) : 1;
}

static bool is_full(int why)
{
    return why == EAGAIN || why == EWOULDBLOCK || why == ENOBUFS;
}

/* EIO: the device or the route (IPsec) can't; EINVAL, EMSGSIZE: the route's MTU is below the
 * segment, which a single datagram gets through in fragments; the others: the kernel can't. */
static bool is_refusal(int why)
{
    return why == EIO || why == EINVAL || why == EMSGSIZE || why == ENOPROTOOPT ||
           why == EOPNOTSUPP;
}

/* One peer's narrow route is no reason to give trains up; a kernel or device that can't is. */
static void note_refusal(struct udp *u, int why)
{
    metric_add(&m_split, 1);
    u->refused_in_line++;
    if (u->segments == UDP_SEGMENTS_OFF || why == EMSGSIZE ||
        (u->train_taken && u->refused_in_line < REFUSALS_MAX))
        return;
    u->segments = UDP_SEGMENTS_OFF;
    LOG_W("udp_segments_refused", "why=\"%s\" port=%d now=\"single datagrams\"", strerror(why),
          u->port);
}

/* One datagram after the other, by the last of the slots; how many were taken. */
static int send_singly(struct udp *u, const struct udp_message *m, bool *full)
{
    int taken = 0;
    size_t step = m->segment ? m->segment : m->len;
    struct mmsghdr *h = &u->out_msgs[UDP_SEND_MAX - 1];
    for (size_t at = 0; at < m->len && !*full;) {
        struct udp_message one = *m;
        one.data += at;
        one.len = m->len - at < step ? m->len - at : step;
        one.segment = 0;
        fill(u, UDP_SEND_MAX - 1, &one);
        int sent = u->sendmmsg(u->fd, h, 1, 0);
        if (sent < 0 && errno == EINTR)
            continue;
        taken += sent > 0;
        *full = sent < 0 && is_full(errno);
        at += one.len;
    }
    return taken;
}

static void note_taken(struct udp *u, const struct udp_message *m, int sent, int *taken)
{
    int trains = 0;
    for (int i = 0; i < sent; i++) {
        *taken += datagrams(&m[i]);
        trains += m[i].segment != 0;
    }
    if (trains > 0) {
        u->train_taken = true;
        u->refused_in_line = 0;
        metric_add(&m_trains, trains);
    }
}

/* One that is refused for itself is skipped, full buffers end the attempt; *done tells how far it
 * got: further than asked never, less when trains are given up on the way. */
static int send_filled(struct udp *u, const struct udp_message *m, int n, int *done, bool *full)
{
    int taken = 0;
    *done = 0;
    while (*done < n && !*full) {
        int sent = u->sendmmsg(u->fd, u->out_msgs + *done, (unsigned)(n - *done), 0);
        if (sent > 0) {
            note_taken(u, m + *done, sent, &taken);
            *done += sent;
        } else if (is_full(errno)) {
            *full = true;
        } else if (errno != EINTR) {
            const struct udp_message *one = &m[(*done)++];
            if (one->segment && is_refusal(errno)) {
                note_refusal(u, errno);
                taken += send_singly(u, one, full);
            }
            if (u->segments == UDP_SEGMENTS_OFF)
                break;
        }
    }
    return taken;
}

int udp_send_messages(struct udp *u, const struct udp_message *m, int n)
{
    int taken = 0, all = 0, at = 0;
    bool full = false;
    for (int i = 0; i < n; i++)
        all += datagrams(&m[i]);
    while (at < n && !full) {
        int batch = 0, done;
        if (u->segments == UDP_SEGMENTS_OFF && m[at].segment) {
            taken += send_singly(u, &m[at++], &full);
            continue;
        }
        while (at + batch < n && batch < UDP_SEND_MAX - 1 &&
               !(u->segments == UDP_SEGMENTS_OFF && m[at + batch].segment)) {
            fill(u, batch, &m[at + batch]);
            batch++;
        }
        taken += send_filled(u, m + at, batch, &done, &full);
        at += done;
    }
    metric_add(&m_sent, taken);
    if (taken < all)
        metric_add(&m_refused, all - taken);
    if (full)
        metric_add(&m_full, 1);
    return taken;
}

int udp_send(struct udp *u, const struct udp_packet *p, int n)
{
    struct udp_message m[UDP_BATCH];
    int taken = 0;
    for (int at = 0; at < n;) {
        int batch = 0;
        for (; batch < UDP_BATCH && at < n; batch++, at++)
            m[batch] = (struct udp_message){
                .data = p[at].data, .len = p[at].len, .peer = &p[at].peer, .local = &p[at].local};
        taken += udp_send_messages(u, m, batch);
    }
    return taken;
}
