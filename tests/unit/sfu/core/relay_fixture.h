/* Routers that share a room over links in the process, which may lose frames. Everything passes as
 * bytes. */
#ifndef SOTTO_TEST_RELAY_FIXTURE_H
#define SOTTO_TEST_RELAY_FIXTURE_H

#include "tests/unit/sfu/core/room_fixture.h"

#include <stdlib.h>

#include "lib/proto/rtcp.h"
#include "sfu/core/relay.h"

#define MAX_NODES  3
#define MAX_QUEUED 4096

/* Link i of a node leads to node i. */
struct node {
    struct router *router;
    struct relay *relay;
    size_t forwarded; /* packets that went into slots here */
    struct forward last;
};

struct queued {
    uint32_t from, to;
    size_t len;
    uint8_t data[RELAY_MAX_FRAME];
};

struct net {
    size_t n;
    struct node node[MAX_NODES];
    int64_t now_us;
    unsigned loss; /* frames lost, of 100 */
    uint32_t random;
    bool drop_packets;
    size_t count[16][MAX_NODES];      /* frames by type and sender */
    size_t carried[RELAY_MAX_LAYERS]; /* packets by layer */
    size_t n_queued;
    struct queued *queue;
    uint32_t sender;
};

static inline bool loses(struct net *net)
{
    net->random = net->random * 1664525u + 1013904223u;
    return (net->random >> 16) % 100 < net->loss;
}

static inline void put(struct net *net, uint32_t from, uint32_t to, const struct relay_frame *f)
{
    struct queued *q = &net->queue[net->n_queued];
    net->count[f->type][from]++;
    if (loses(net) || (f->type == RELAY_PACKET && net->drop_packets)) {
        return;
    }
    assert_true(net->n_queued < MAX_QUEUED);
    int n = relay_frame_write(f, q->data, sizeof q->data);
    assert_true(n > 0);
    q->from = from;
    q->to = to;
    q->len = (size_t)n;
    net->n_queued++;
}

static inline void send_frame(void *arg, uint32_t link, const struct relay_frame *f)
{
    struct net *net = arg;
    put(net, net->sender, link, f);
}

static inline void send_packet(struct net *net, uint32_t from, uint32_t to, uint32_t track,
                               uint8_t layer, struct packet *k)
{
    struct relay_frame f = {.type = RELAY_PACKET,
                            .track = track,
                            .layer = layer,
                            .payload = packet_data(k),
                            .payload_len = k->len};
    net->carried[layer]++;
    put(net, from, to, &f);
}

/* What the worker does behind router_packet and router_track_packet. */
static inline void spread(struct net *net, uint32_t at, const struct forward *f, size_t n,
                          const struct track *t, struct packet *k)
{
    struct node *node = &net->node[at];
    node->forwarded += n;
    if (n) {
        node->last = f[0];
    }
    uint64_t links = router_relays(node->router);
    for (uint32_t i = 0; i < net->n; i++) {
        if (links >> i & 1) {
            send_packet(net, at, i, t->source, k->stream, k);
        }
    }
}

static inline void take_packet(struct net *net, const struct queued *q, const struct relay_frame *f)
{
    struct node *node = &net->node[q->to];
    size_t n;
    struct packet *k = router_alloc(node->router);
    assert_non_null(k);
    memcpy(packet_data(k), f->payload, f->payload_len);
    k->len = (uint16_t)f->payload_len;
    k->arrival_us = net->now_us;
    assert_int_equal(rtp_parse(&k->header, packet_data(k), k->len), OK);
    struct track *t = relay_packet(node->relay, q->from, f->track, f->layer, k);
    if (t) {
        const struct forward *list = router_track_packet(node->router, t, k, false, &n);
        spread(net, q->to, list, n, t, k);
    }
    packet_unref(k);
}

static inline void deliver(struct net *net)
{
    for (size_t i = 0; i < net->n_queued; i++) { /* more may come behind meanwhile */
        const struct queued *q = &net->queue[i];
        struct node *node = &net->node[q->to];
        struct relay_frame f;
        struct packet *resend[RELAY_MAX_SEQS];
        size_t n = 0;
        assert_int_equal(relay_frame_read(&f, q->data, q->len), OK);
        if (f.type == RELAY_PACKET) {
            take_packet(net, q, &f);
            continue;
        }
        (void)relay_input(node->relay, q->from, &f, net->now_us, net->now_us, resend,
                          RELAY_MAX_SEQS, &n);
        for (size_t k = 0; k < n; k++) {
            send_packet(net, q->to, q->from, f.track, f.layer, resend[k]);
        }
    }
    net->n_queued = 0;
}

static inline void run(struct net *net, int64_t for_us)
{
    struct router_event e;
    for (int64_t end_us = net->now_us + for_us; net->now_us < end_us;
         net->now_us += RELAY_TICK_US) {
        for (net->sender = 0; net->sender < net->n; net->sender++) {
            struct node *node = &net->node[net->sender];
            relay_tick(node->relay, net->now_us, send_frame, net);
            if (net->now_us % ROUTER_TICK_US == 0) {
                router_tick(node->router, net->now_us);
            }
            while (router_poll(node->router, net->now_us, &e)) {
            }
        }
        deliver(net);
    }
}

/* Node 0 is the home; the others are its branches. */
static inline void open_net(struct net *net, size_t n)
{
    memset(net, 0, sizeof *net);
    net->queue = calloc(MAX_QUEUED, sizeof *net->queue);
    assert_non_null(net->queue);
    net->n = n;
    net->now_us = START_US;
    for (size_t i = 0; i < n; i++) {
        net->node[i].router = fixture_router(2048);
        net->node[i].relay = relay_new(net->node[i].router);
        assert_non_null(net->node[i].relay);
    }
    for (uint32_t i = 1; i < n; i++) {
        relay_open(net->node[0].relay, i);
        relay_open(net->node[i].relay, 0);
        assert_int_equal(relay_join(net->node[0].relay, i, &fixture_room, false), OK);
        assert_int_equal(relay_join(net->node[i].relay, 0, &fixture_room, true), OK);
    }
}

static inline void close_net(struct net *net)
{
    for (size_t i = 0; i < net->n; i++) {
        relay_free(net->node[i].relay, net->now_us);
        router_free(net->node[i].router);
    }
    free(net->queue);
}

static inline void say(struct net *net, uint32_t at, struct publisher *p, struct packet *k)
{
    size_t n;
    struct track *t;
    const struct forward *f = router_packet(net->node[at].router, p, k, &n, &t);
    assert_non_null(t);
    spread(net, at, f, n, t, k);
    packet_unref(k);
    deliver(net);
}

static inline void say_audio(struct net *net, uint32_t at, struct publisher *p, uint16_t seq,
                             uint8_t level)
{
    say(net, at, p, fixture_audio(net->node[at].router, p->number, seq, level, net->now_us));
}

static inline void say_video(struct net *net, uint32_t at, struct publisher *p, uint16_t seq,
                             bool keyframe)
{
    say(net, at, p, fixture_video(net->node[at].router, p->number, seq, keyframe, net->now_us));
}

static inline struct publisher *remote(struct net *net, uint32_t at, uint32_t number)
{
    struct participant *p = router_find(net->node[at].router, &fixture_room, number);
    return p ? p->publisher : NULL;
}

/* Whether packets of that track and layer are taken from that link. */
static inline bool takes(struct net *net, uint32_t at, uint32_t link, uint32_t track, uint8_t layer)
{
    static struct packet none;
    return relay_packet(net->node[at].relay, link, track, layer, &none) != NULL;
}

/* Whether the publisher is asked for a keyframe now. */
static inline bool asks_for_picture(struct net *net, struct publisher *p)
{
    uint8_t out[1200];
    struct publisher_feedback count = {0};
    while (publisher_poll(p, out, sizeof out, net->now_us, &count) > 0) {
    }
    return count.plis > 0;
}

#endif
