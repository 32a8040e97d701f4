#include "sfu/shell/worker_relay.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "lib/base/err.h"
#include "lib/base/log.h"
#include "sfu/shell/worker_private.h"

#define TAKE_AT_ONCE RELAY_RING_PACKETS /* frames of one link in one turn */
#define RING_SHARE   4                  /* of the pool: a part in so many is for rings */
#define NO_FD        (-1)

struct end {
    struct relay_ring *in, *out; /* NULL: to a node, or no such link */
    int peer_wake;
};

struct worker_relay {
    struct relay *relay;
    struct relay_udp *udp; /* NULL: there are no other nodes */
    int wake;              /* becomes readable when somebody wrote into a ring */
    int64_t tick_us;       /* when the next one is due */
    uint64_t rings, nodes; /* links of either kind, a bit each */
    uint64_t wrote;        /* rings whose readers are to be woken */
    uint64_t refused;      /* datagrams, as counted last */
    struct end end[RELAY_MAX_LINKS];
};

static uint64_t bit(uint32_t link)
{
    return UINT64_C(1) << link;
}

/* ---- orders ---- */

static int need_relay(struct worker *w)
{
    if (w->relay) {
        return OK;
    }
    struct worker_relay *r = calloc(1, sizeof *r);
    if (!r) {
        return ERR_NOMEM;
    }
    r->wake = NO_FD;
    r->relay = relay_new(w->router);
    if (!r->relay) {
        free(r);
        return ERR_NOMEM;
    }
    w->relay = r;
    return OK;
}

static int watch(const struct worker *w, int fd)
{
    struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
    return epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &e) == 0 ? OK : ERR_IO;
}

/* Buffers of one ring: all rings together leave most of the pool to packets that come by the port.
 */
static size_t ring_bound(const struct worker *w)
{
    size_t n = (size_t)__builtin_popcountll(w->relay->rings);
    return packet_pool_size(router_pool(w->router)) / RING_SHARE / (n ? n : 1);
}

int worker_relay_link(struct worker *w, uint32_t link, const struct worker_relay_way *way)
{
    int err = link < WORKER_RELAY_NODES ? need_relay(w) : ERR_INVALID;
    if (!err && w->relay->wake == NO_FD) {
        err = watch(w, way->wake);
        w->relay->wake = err ? NO_FD : way->wake;
    }
    if (!err) {
        w->relay->end[link] =
            (struct end){.in = way->in, .out = way->out, .peer_wake = way->peer_wake};
        w->relay->rings |= bit(link);
        relay_ring_refill(way->in, router_pool(w->router), ring_bound(w));
        relay_open(w->relay->relay, link);
    }
    return err;
}

int worker_relay_share(struct worker *w, uint32_t link, const struct id *room, bool branch)
{
    int err = need_relay(w);
    if (!err) {
        err = relay_join(w->relay->relay, link, room, branch);
        LOG_I("room_shared", "room=%s link=%u branch=%d", room->s, link, branch);
    }
    return err;
}

void worker_relay_unshare(struct worker *w, uint32_t link, const struct id *room)
{
    if (w->relay) {
        relay_leave(w->relay->relay, link, room, w->now_us);
        LOG_I("room_unshared", "room=%s link=%u", room->s, link);
    }
}

void worker_relay_close(struct worker *w, const struct id *room)
{
    if (w->relay) {
        relay_leave_all(w->relay->relay, room, w->now_us);
    }
}

bool worker_relay_is_branch(const struct worker *w, const struct id *room)
{
    return w->relay && relay_is_branch(w->relay->relay, room);
}

void worker_relay_free(struct worker *w)
{
    if (w->relay) {
        relay_free(w->relay->relay, w->now_us);
        for (uint32_t i = 0; i < RELAY_MAX_LINKS; i++) {
            if (w->relay->end[i].in) {
                relay_ring_drain(w->relay->end[i].in);
            }
        }
        free(w->relay);
        w->relay = NULL;
    }
}

/* ---- out ---- */

static int put(struct worker_relay *r, uint32_t link, enum relay_class class, const uint8_t *head,
               size_t head_len, const uint8_t *body, size_t body_len)
{
    if (r->nodes & bit(link)) {
        return relay_udp_send(r->udp, link - WORKER_RELAY_NODES, head, head_len, body, body_len);
    }
    if (!(r->rings & bit(link))) {
        return ERR_STATE;
    }
    r->wrote |= bit(link);
    return relay_ring_put(r->end[link].out, class, head, head_len, body, body_len);
}

static void put_packet(struct worker *w, uint32_t link, uint32_t track, uint8_t layer,
                       enum relay_class class, struct packet *k)
{
    uint8_t head[RELAY_PACKET_HEAD];
    relay_frame_write_packet_head(head, track, layer);
    int err = put(w->relay, link, class, head, sizeof head, packet_data(k), k->len);
    worker_count(w, err ? SFU_DROP_RELAY : SFU_RELAYED_PACKETS, 1);
}

void worker_relay_packet(struct worker *w, const struct track *t, struct packet *k)
{
    uint64_t links = w->relay ? router_relays(w->router) : 0;
    enum relay_class class = t->sdp.kind == SDP_VIDEO ? RELAY_CLASS_VIDEO : RELAY_CLASS_AUDIO;
    while (links) {
        put_packet(w, (uint32_t)__builtin_ctzll(links), t->source, k->stream, class, k);
        links &= links - 1;
    }
}

static void send_frame(void *arg, uint32_t link, const struct relay_frame *f)
{
    struct worker *w = arg;
    const size_t head = RELAY_PACKET_HEAD - 1;
    uint8_t out[RELAY_MAX_FRAME];
    int n = relay_frame_write(f, out, sizeof out);
    if (n < 0 ||
        put(w->relay, link, RELAY_CLASS_CONTROL, out, head, out + head, (size_t)n - head)) {
        worker_count(w, SFU_DROP_RELAY, 1);
    }
}

/* ---- in ---- */

/* k holds a whole packet frame. */
static void take_packet(struct worker *w, uint32_t link, uint32_t number, uint8_t layer,
                        struct packet *k)
{
    size_t n;
    k->start = (uint16_t)(k->start + RELAY_PACKET_HEAD);
    k->len = (uint16_t)(k->len - RELAY_PACKET_HEAD);
    k->arrival_us = w->now_us;
    if (rtp_parse(&k->header, packet_data(k), k->len)) {
        worker_count(w, SFU_DROP_MALFORMED, 1);
        return;
    }
    struct track *t = relay_packet(w->relay->relay, link, number, layer, k);
    if (!t) {
        worker_count(w, SFU_DROP_UNKNOWN_SSRC, 1); /* no longer, or not yet */
        return;
    }
    const struct forward *f = router_track_packet(w->router, t, k, false, &n);
    worker_forward(w, t, k, f, n);
}

/* What waits to be sent refers to slots and packets, never to tracks: these may come and go. */
static void take_control(struct worker *w, uint32_t link, const uint8_t *data, size_t len)
{
    struct relay_frame f;
    struct packet *resend[RELAY_MAX_SEQS];
    size_t n = 0;
    if (relay_frame_read(&f, data, len)) {
        worker_count(w, SFU_DROP_MALFORMED, 1);
        return;
    }
    (void)relay_input(w->relay->relay, link, &f, w->now_us, w->wall_us, resend, RELAY_MAX_SEQS, &n);
    for (size_t i = 0; i < n; i++) { /* only video is kept to be sent again */
        put_packet(w, link, f.track, f.layer, RELAY_CLASS_VIDEO, resend[i]);
    }
}

static void take_all(struct worker *w, uint32_t link)
{
    struct relay_ring *in = w->relay->end[link].in;
    struct packet *k;
    for (int i = 0; i < TAKE_AT_ONCE && (k = relay_ring_take(in)); i++) {
        uint32_t track;
        uint8_t layer;
        if (relay_frame_is_packet(packet_data(k), k->len, &track, &layer)) {
            take_packet(w, link, track, layer, k);
        } else {
            take_control(w, link, packet_data(k), k->len);
        }
        packet_unref(k);
    }
    relay_ring_refill(in, router_pool(w->router), ring_bound(w));
}

/* ---- other nodes ---- */

static void on_up(void *arg, uint32_t peer)
{
    struct worker *w = arg;
    struct relay *r = w->relay->relay;
    relay_shut(r, WORKER_RELAY_NODES + peer, w->now_us);
    relay_open(r, WORKER_RELAY_NODES + peer);
    w->relay->tick_us = w->now_us; /* who knows nothing is told at once */
}

static void on_down(void *arg, uint32_t peer)
{
    struct worker *w = arg;
    relay_shut(w->relay->relay, WORKER_RELAY_NODES + peer, w->now_us);
}

/* A packet's bytes go into a buffer of our own, as a ring would hold them. */
static void on_frame(void *arg, uint32_t peer, const uint8_t *data, size_t len)
{
    struct worker *w = arg;
    uint32_t track, link = WORKER_RELAY_NODES + peer;
    uint8_t layer;
    if (!relay_frame_is_packet(data, len, &track, &layer)) {
        take_control(w, link, data, len);
        return;
    }
    struct packet *k = len <= PACKET_CAP ? router_alloc(w->router) : NULL;
    if (!k) {
        worker_count(w, len <= PACKET_CAP ? SFU_DROP_POOL : SFU_DROP_TOO_LARGE, 1);
        return;
    }
    k->start = PACKET_HEADROOM - RELAY_PACKET_HEAD;
    k->len = (uint16_t)len;
    memcpy(packet_data(k), data, len);
    take_packet(w, link, track, layer, k);
    packet_unref(k);
}

int worker_relay_nodes(struct worker *w, struct relay_udp *udp)
{
    static const struct relay_udp_handlers handlers = {on_up, on_down, on_frame};
    int err = need_relay(w);
    err = err ? err : watch(w, relay_udp_fd(udp));
    if (!err) {
        relay_udp_handle(udp, &handlers, w);
        w->relay->udp = udp;
    }
    return err;
}

int worker_relay_node(struct worker *w, uint32_t link, const char *address, int port)
{
    struct worker_relay *r = w->relay;
    if (!r || !r->udp) {
        return ERR_STATE;
    }
    if (link < WORKER_RELAY_NODES || link >= WORKER_RELAY_NODES + RELAY_UDP_PEERS) {
        return ERR_INVALID;
    }
    int err = relay_udp_peer(r->udp, link - WORKER_RELAY_NODES, address, port);
    if (!err) {
        r->nodes |= bit(link);
        r->tick_us = w->now_us;
    }
    return err;
}

void worker_relay_unnode(struct worker *w, uint32_t link)
{
    if (w->relay && (w->relay->nodes & bit(link))) {
        relay_shut(w->relay->relay, link, w->now_us);
        relay_udp_forget(w->relay->udp, link - WORKER_RELAY_NODES);
        w->relay->nodes &= ~bit(link);
    }
}

static void tell_counts(struct worker *w)
{
    struct worker_relay *r = w->relay;
    uint64_t refused = relay_udp_counts(r->udp)->refused;
    int64_t up = 0;
    worker_count(w, SFU_RELAY_REFUSED, (int64_t)(refused - r->refused));
    r->refused = refused;
    for (uint32_t i = 0; i < RELAY_UDP_PEERS; i++) {
        up += relay_udp_is_up(r->udp, i);
    }
    sfu_gauge(SFU_RELAY_LINKS, up);
}

/* ---- the loop ---- */

bool worker_relay_event(struct worker *w, int fd)
{
    struct worker_relay *r = w->relay;
    uint64_t count;
    if (r && r->udp && fd == relay_udp_fd(r->udp)) {
        relay_udp_receive(r->udp, w->now_us);
        return true;
    }
    if (r && fd == r->wake) {
        ssize_t n = read(fd, &count, sizeof count); /* worker_relay_turn looks at all rings */
        (void)n;
        return true;
    }
    return false;
}

int64_t worker_relay_due(const struct worker *w)
{
    const struct worker_relay *r = w->relay;
    return r && (r->nodes || relay_has_rooms(r->relay)) ? r->tick_us : INT64_MAX;
}

static void tick(struct worker *w)
{
    struct worker_relay *r = w->relay;
    r->tick_us = w->now_us + RELAY_TICK_US;
    if (r->udp) {
        relay_udp_tick(r->udp, w->now_us);
        tell_counts(w);
    }
    relay_tick(r->relay, w->now_us, send_frame, w);
}

static void wake_peers(struct worker_relay *r)
{
    static const uint64_t one = 1;
    for (; r->wrote; r->wrote &= r->wrote - 1) {
        ssize_t n = write(r->end[__builtin_ctzll(r->wrote)].peer_wake, &one, sizeof one);
        (void)n; /* fails only when the counter is full, and then the reader is awake anyway */
    }
}

void worker_relay_turn(struct worker *w)
{
    struct worker_relay *r = w->relay;
    if (!r) {
        return;
    }
    for (uint64_t rings = r->rings; rings; rings &= rings - 1) {
        take_all(w, (uint32_t)__builtin_ctzll(rings));
    }
    if (w->now_us >= r->tick_us) {
        tick(w);
    }
    if (r->udp) {
        relay_udp_flush(r->udp);
    }
    wake_peers(r);
}
