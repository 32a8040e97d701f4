/* The way of a packet: decrypted once, parsed once, sent to all who see it; and the RTCP of both
 * sides. */
#include <stddef.h>
#include <string.h>
#include <utlist.h>

#include "lib/base/err.h"
#include "lib/base/fetch.h"
#include "sfu/shell/worker_private.h"
#include "sfu/shell/worker_relay.h"

/* ---- RTP ---- */

static void count_refused(struct worker *w, int err)
{
    if (err == ERR_CONFLICT) {
        worker_count(w, SFU_DROP_SRTP_REPLAY, 1);
    } else if (err == ERR_LIMIT) {
        worker_count(w, SFU_DROP_UNKNOWN_SSRC, 1);
    } else {
        worker_count(w, err == ERR_AUTH ? SFU_DROP_SRTP_AUTH : SFU_DROP_MALFORMED, 1);
    }
}

/* Until when the packet may wait for others of its frame; 0: not at all. What comes out of order is
 * late already. */
static int64_t hold_until(const struct worker *w, struct track *track, const struct packet *k)
{
    if (track->sdp.kind != SDP_VIDEO || k->ext_seq != track->stream[k->stream].unwrap.highest) {
        return 0;
    }
    struct frame_hold *hold = &track->stream[k->stream].hold;
    int64_t until = frame_hold_input(hold, k->header.ts, k->header.marker, k->arrival_us);
    return until > w->now_us ? until : 0;
}

void worker_forward(struct worker *w, struct track *track, struct packet *k,
                    const struct forward *f, size_t n)
{
    int64_t until = hold_until(w, track, k);
    for (size_t i = 0; i < n; i++) {
        out_queue_add(w->queue, f[i].slot->user, f[i].slot, k, &f[i].to, false, until);
    }
    worker_relay_packet(w, track, k);
}

static void route(struct worker *w, struct transport *t, struct packet *k)
{
    size_t n;
    struct track *track;
    const struct forward *f = router_packet(w->router, t->publisher, k, &n, &track);
    if (!track) {
        worker_count(w, SFU_DROP_UNKNOWN_SSRC, 1);
        return;
    }
    if (k->start != PACKET_HEADROOM) { /* an RTX header was taken off */
        worker_count(w, SFU_RTX_RECEIVED, 1);
    }
    worker_forward(w, track, k, f, n);
}

void worker_rtp(struct worker *w, struct transport *t, uint8_t *data, size_t len)
{
    if (!t->publisher) {
        worker_count(w, SFU_DROP_UNKNOWN_SSRC, 1);
        return;
    }
    int err = srtp_peer_unprotect_rtp(t->srtp, data, &len);
    if (err) {
        count_refused(w, err);
        return;
    }
    t->heard_us = w->now_us;
    if (!admission_packet(&w->admission, &t->packets, w->now_us)) {
        return;
    }
    if (len > PACKET_CAP) {
        worker_count(w, SFU_DROP_TOO_LARGE, 1);
        return;
    }
    struct packet *k = router_alloc(w->router);
    if (!k) {
        worker_count(w, SFU_DROP_POOL, 1);
        return;
    }
    memcpy(packet_data(k), data, len);
    k->len = (uint16_t)len;
    k->arrival_us = w->now_us;
    if (rtp_parse(&k->header, packet_data(k), len)) {
        worker_count(w, SFU_DROP_MALFORMED, 1);
    } else {
        worker_tap_packet(w, t, k);
        route(w, t, k);
    }
    packet_unref(k);
}

/* ---- RTCP ---- */

static void send_rtcp(struct worker *w, struct transport *t, const uint8_t *data, size_t len)
{
    uint8_t *out = worker_out_begin(w);
    if (!t->selected || len + SRTP_PEER_OVERHEAD > WORKER_DATAGRAM) {
        return;
    }
    memcpy(out, data, len);
    if (srtp_peer_protect_rtcp(t->srtp, out, &len) == OK) {
        worker_out_to_peer(w, len, t->selected);
    }
}

/* The feedback of many viewers comes at once, and what each of them needs has left the cache since
 * his last: the steps of all together cost little more than those of one. */
static void fetch_transports(struct transport *const *t, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        srtp_peer_prefetch(t[i]->srtp, SRTP_PEER_FAR);
        fetch_write(t[i]->subscriber);
        fetch_read(t[i]->out.pace);
    }
    for (size_t i = 0; i < n; i++) {
        srtp_peer_prefetch(t[i]->srtp, SRTP_PEER_NEAR);
    }
    for (size_t i = 0; i < n; i++) {
        srtp_peer_prefetch(t[i]->srtp, SRTP_PEER_KEYS);
        subscriber_rate_prefetch(t[i]);
    }
}

void worker_fetch(const struct worker *w, const struct udp_packet *p, int n)
{
    struct transport *t[WORKER_FETCH];
    size_t found = 0;
    for (int i = 0; i < n && n > 1; i++) {
        const struct peer_address *a = transport_by_address(w->table, &p[i].peer);
        t[i] = a ? a->transport : NULL;
        fetch_write(t[i] ? &t[i]->rtcp : NULL);
    }
    for (int i = 0; i < n && n > 1; i++) {
        bool waits = t[i] && t[i]->rtcp.open && rtcp_wait_is_feedback(p[i].data, p[i].len);
        if (t[i] && t[i]->subscriber && t[i]->srtp && !waits) {
            t[found++] = t[i];
        }
    }
    fetch_transports(t, found);
}

/* True: slots are to be looked at. */
static bool open_waiting(struct worker *w, struct transport *t, struct rtcp_waiting *k)
{
    struct subscriber_rate *r = subscriber_rate_of(t);
    size_t len = k->len;
    bool bad = false, urgent = false;
    int err = srtp_peer_unprotect_rtcp(t->srtp, k->data, &len);
    if (err) {
        count_refused(w, err);
        return false;
    }
    t->heard_us = k->at_us > t->heard_us ? k->at_us : t->heard_us;
    if (r) {
        urgent = subscriber_rate_rtcp(r, k->data, len, w->statuses, k->at_us, &bad);
    }
    if (bad) {
        worker_count(w, SFU_DROP_MALFORMED, 1);
    }
    return urgent;
}

bool worker_rtcp_open(struct worker *w, struct transport *t)
{
    struct rtcp_waiting *k[RTCP_WAIT_EACH];
    bool urgent = false;
    size_t n = t->rtcp.n > 0 ? rtcp_wait_take(w->waits, &t->rtcp, k) : 0;
    for (size_t i = 0; i < n; i++) {
        urgent |= open_waiting(w, t, k[i]);
    }
    return urgent;
}

static struct transport *owner_of(struct rtcp_queue *q)
{
    return (struct transport *)(void *)((char *)q - offsetof(struct transport, rtcp));
}

void worker_rtcp_due(struct worker *w)
{
    struct rtcp_queue *q[WORKER_FETCH];
    struct transport *t[WORKER_FETCH];
    size_t n;
    while ((n = rtcp_wait_due(w->waits, q, WORKER_FETCH, w->now_us)) > 0) {
        for (size_t i = 0; i < n; i++) {
            t[i] = owner_of(q[i]);
            fetch_read(t[i]);
            fetch_write(q[i]);
        }
        for (size_t i = 0; i < n; i++) {
            rtcp_wait_prefetch(w->waits, q[i]);
        }
        fetch_transports(t, n);
        for (size_t i = 0; i < n; i++) {
            worker_rate_waited(w, t[i]);
        }
    }
}

static bool take_subscriber_rtcp(struct worker *w, struct transport *t, const uint8_t *data,
                                 size_t len)
{
    struct resend list[WORKER_RESENDS];
    struct subscriber_requests count = {0};
    bool bad;
    size_t n = subscriber_rtcp(t->subscriber, data, len, w->now_us, w->wall_us, list,
                               WORKER_RESENDS, &count, &bad);
    for (size_t i = 0; i < n; i++) {
        out_queue_add(w->queue, t, list[i].slot, list[i].packet, &list[i].to, true, 0);
    }
    worker_count(w, SFU_RTX_SENT, (int64_t)n);
    worker_count(w, SFU_NACKS_RECEIVED, count.nacked);
    worker_count(w, SFU_PLIS_RECEIVED, count.plis);
    return !bad && worker_rate_rtcp(w, t, data, len);
}

void worker_rtcp(struct worker *w, struct transport *t, uint8_t *data, size_t len)
{
    if (t->rtcp.open && rtcp_wait_is_feedback(data, len) &&
        rtcp_wait_put(w->waits, &t->rtcp, data, len, w->now_us)) {
        return;
    }
    if (t->rtcp.n > 0) {
        worker_rate_waited(w, t);
    }
    int err = srtp_peer_unprotect_rtcp(t->srtp, data, &len);
    if (err) {
        count_refused(w, err);
        return;
    }
    t->heard_us = w->now_us;
    bool good = t->publisher ? publisher_rtcp(t->publisher, data, len, w->now_us, w->wall_us) == OK
                             : take_subscriber_rtcp(w, t, data, len);
    if (!good) {
        worker_count(w, SFU_DROP_MALFORMED, 1);
    }
}

void worker_feedback(struct worker *w)
{
    struct transport *t;
    struct publisher_feedback count = {0};
    uint8_t out[WORKER_RTCP];
    DL_FOREACH2(w->publishers, t, next_publisher)
    {
        size_t n;
        while (t->connected &&
               (n = publisher_poll(t->publisher, out, sizeof out, w->now_us, &count)) > 0) {
            send_rtcp(w, t, out, n);
        }
    }
    worker_count(w, SFU_NACKS_SENT, count.nacked);
    worker_count(w, SFU_PLIS_SENT, count.plis);
}

void worker_report(struct worker *w, struct transport *t)
{
    uint8_t out[WORKER_RTCP];
    size_t n;
    while (t->subscriber && t->connected &&
           (n = subscriber_poll(t->subscriber, out, sizeof out, WORKER_CNAME, w->now_us,
                                w->wall_us)) > 0) {
        send_rtcp(w, t, out, n);
    }
}
