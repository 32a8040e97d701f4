#include "sfu/shell/worker_relay.h"

#include <stdlib.h>

#include "lib/base/err.h"
#include "lib/base/log.h"
#include "sfu/shell/worker_private.h"

#define TAKE_AT_ONCE RELAY_RING_PACKETS /* frames of one link in one turn */

struct end {
    struct relay_ring *in, *out; /* NULL: no such link */
    struct worker *peer;
    bool wrote; /* the peer is to be woken */
};

struct worker_relay {
    struct relay *relay;
    int64_t tick_us; /* when the next one is due */
    struct end end[RELAY_MAX_LINKS];
};

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
    r->relay = relay_new(w->router);
    if (!r->relay) {
        free(r);
        return ERR_NOMEM;
    }
    w->relay = r;
    return OK;
}

int worker_relay_link(struct worker *w, uint32_t link, struct relay_ring *in,
                      struct relay_ring *out, struct worker *peer)
{
    int err = link < RELAY_MAX_LINKS ? need_relay(w) : ERR_INVALID;
    if (!err) {
        w->relay->end[link] = (struct end){.in = in, .out = out, .peer = peer};
        relay_ring_refill(in, router_pool(w->router));
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

static void put_packet(struct worker *w, uint32_t link, uint32_t track, enum relay_class class,
                       struct packet *k)
{
    struct end *e = &w->relay->end[link];
    uint8_t head[RELAY_PACKET_HEAD];
    relay_frame_write_packet_head(head, track, 0);
    if (e->out && relay_ring_put(e->out, class, head, sizeof head, packet_data(k), k->len) == OK) {
        e->wrote = true;
        worker_count(w, SFU_RELAYED_PACKETS, 1);
    } else {
        worker_count(w, SFU_DROP_RELAY, 1);
    }
}

void worker_relay_packet(struct worker *w, const struct track *t, struct packet *k)
{
    uint64_t links = w->relay ? router_relays(w->router) : 0;
    enum relay_class class = t->sdp.kind == SDP_VIDEO ? RELAY_CLASS_VIDEO : RELAY_CLASS_AUDIO;
    while (links) {
        put_packet(w, (uint32_t)__builtin_ctzll(links), t->source, class, k);
        links &= links - 1;
    }
}

static void send_frame(void *arg, uint32_t link, const struct relay_frame *f)
{
    struct worker *w = arg;
    struct end *e = &w->relay->end[link];
    uint8_t out[RELAY_MAX_FRAME];
    int n = relay_frame_write(f, out, sizeof out);
    if (n < 0 || !e->out ||
        relay_ring_put(e->out, RELAY_CLASS_CONTROL, out, RELAY_PACKET_HEAD - 1,
                       out + RELAY_PACKET_HEAD - 1, (size_t)n - (RELAY_PACKET_HEAD - 1))) {
        worker_count(w, SFU_DROP_RELAY, 1);
        return;
    }
    e->wrote = true;
}

/* ---- in ---- */

static void take_packet(struct worker *w, uint32_t link, uint32_t number, struct packet *k)
{
    size_t n;
    struct track *t = relay_track(w->relay->relay, link, number);
    k->start = (uint16_t)(k->start + RELAY_PACKET_HEAD);
    k->len = (uint16_t)(k->len - RELAY_PACKET_HEAD);
    k->arrival_us = w->now_us;
    if (!t) {
        worker_count(w, SFU_DROP_UNKNOWN_SSRC, 1); /* no longer, or not yet */
    } else if (rtp_parse(&k->header, packet_data(k), k->len)) {
        worker_count(w, SFU_DROP_MALFORMED, 1);
    } else {
        const struct forward *f = router_track_packet(w->router, t, k, false, &n);
        worker_forward(w, t, k, f, n);
    }
}

/* Tracks may go by it that packets of this turn wait for. */
static void take_control(struct worker *w, uint32_t link, struct packet *k)
{
    struct relay_frame f;
    struct packet *resend[RELAY_MAX_SEQS];
    size_t n = 0;
    if (relay_frame_read(&f, packet_data(k), k->len)) {
        worker_count(w, SFU_DROP_MALFORMED, 1);
        return;
    }
    out_queue_flush_all(w->queue);
    (void)relay_input(w->relay->relay, link, &f, w->now_us, w->wall_us, resend, RELAY_MAX_SEQS, &n);
    for (size_t i = 0; i < n; i++) { /* only video is kept to be sent again */
        put_packet(w, link, f.track, RELAY_CLASS_VIDEO, resend[i]);
    }
}

static void take_all(struct worker *w, uint32_t link)
{
    struct relay_ring *in = w->relay->end[link].in;
    struct packet *k;
    for (int i = 0; i < TAKE_AT_ONCE && (k = relay_ring_take(in)); i++) {
        uint32_t track;
        if (relay_frame_is_packet(packet_data(k), k->len, &track)) {
            take_packet(w, link, track, k);
        } else {
            take_control(w, link, k);
        }
        packet_unref(k);
    }
    relay_ring_refill(in, router_pool(w->router));
}

void worker_relay_turn(struct worker *w)
{
    struct worker_relay *r = w->relay;
    if (!r) {
        return;
    }
    for (uint32_t i = 0; i < RELAY_MAX_LINKS; i++) {
        if (r->end[i].in) {
            take_all(w, i);
        }
    }
    if (w->now_us >= r->tick_us) {
        r->tick_us = w->now_us + RELAY_TICK_US;
        out_queue_flush_all(w->queue);
        relay_tick(r->relay, w->now_us, send_frame, w);
    }
    for (uint32_t i = 0; i < RELAY_MAX_LINKS; i++) {
        if (r->end[i].wrote) {
            r->end[i].wrote = false;
            mailbox_wake(r->end[i].peer->in);
        }
    }
}
