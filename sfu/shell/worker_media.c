/* The way of a packet: decrypted once, parsed once, sent to all who see it; and the RTCP of both
 * sides. */
#include <string.h>
#include <utlist.h>

#include "lib/base/err.h"
#include "sfu/shell/sfu_metrics.h"
#include "sfu/shell/worker_private.h"

/* ---- RTP ---- */

static void count_refused(int err)
{
    if (err == ERR_CONFLICT) {
        sfu_count(SFU_DROP_SRTP_REPLAY, 1);
    } else if (err == ERR_LIMIT) {
        sfu_count(SFU_DROP_UNKNOWN_SSRC, 1);
    } else {
        sfu_count(err == ERR_AUTH ? SFU_DROP_SRTP_AUTH : SFU_DROP_MALFORMED, 1);
    }
}

/* Each number that was given is protected, also when there is nobody to send it to: the rollover
 * counter goes by what passes the writer, and a number left out too often would come twice. */
static void send_protected(struct worker *w, struct transport *t, struct srtp_stream *stream,
                           uint8_t *out, int len, size_t header_len)
{
    if (len > 0) {
        len = srtp_writer_protect(t->writer, stream, out, (size_t)len, header_len, WORKER_DATAGRAM);
    }
    if (len > 0 && t->selected) {
        worker_out_to_peer(w, (size_t)len, t->selected);
        sfu_count(SFU_FORWARDED_PACKETS, 1);
        sfu_count(SFU_FORWARDED_BYTES, len);
    } else {
        sfu_count(SFU_DROP_TOO_LARGE, 1);
    }
}

static void forward(struct worker *w, const struct forward *f, struct packet *k)
{
    size_t header_len = 0;
    uint8_t *out = worker_out_begin(w);
    int len = slot_write(f->slot, k, &f->to, out, WORKER_DATAGRAM, &header_len);
    send_protected(w, f->slot->subscriber->user, &f->slot->stream, out, len, header_len);
}

static void route(struct worker *w, struct transport *t, struct packet *k)
{
    size_t n;
    struct track *track;
    const struct forward *f = router_packet(w->router, t->publisher, k, &n, &track);
    if (!track) {
        sfu_count(SFU_DROP_UNKNOWN_SSRC, 1);
        return;
    }
    if (k->start != PACKET_HEADROOM) { /* an RTX header was taken off */
        sfu_count(SFU_RTX_RECEIVED, 1);
    }
    for (size_t i = 0; i < n; i++) {
        forward(w, &f[i], k);
    }
}

void worker_rtp(struct worker *w, struct transport *t, uint8_t *data, size_t len)
{
    if (!t->publisher) {
        sfu_count(SFU_DROP_UNKNOWN_SSRC, 1);
        return;
    }
    int err = srtp_peer_unprotect_rtp(t->srtp, data, &len);
    if (err) {
        count_refused(err);
        return;
    }
    t->heard_us = w->now_us;
    if (len > PACKET_CAP) {
        sfu_count(SFU_DROP_TOO_LARGE, 1);
        return;
    }
    struct packet *k = router_alloc(w->router);
    if (!k) {
        sfu_count(SFU_DROP_POOL, 1);
        return;
    }
    memcpy(packet_data(k), data, len);
    k->len = (uint16_t)len;
    k->arrival_us = w->now_us;
    if (rtp_parse(&k->header, packet_data(k), len)) {
        sfu_count(SFU_DROP_MALFORMED, 1);
    } else {
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

static void resend(struct worker *w, const struct resend *r)
{
    size_t header_len = 0;
    uint8_t *out = worker_out_begin(w);
    int len = slot_write_rtx(r->slot, r->packet, &r->to, out, WORKER_DATAGRAM, &header_len);
    send_protected(w, r->slot->subscriber->user, &r->slot->rtx_stream, out, len, header_len);
    sfu_count(SFU_RTX_SENT, 1);
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
        resend(w, &list[i]);
    }
    sfu_count(SFU_NACKS_RECEIVED, count.nacked);
    sfu_count(SFU_PLIS_RECEIVED, count.plis);
    return !bad;
}

void worker_rtcp(struct worker *w, struct transport *t, uint8_t *data, size_t len)
{
    int err = srtp_peer_unprotect_rtcp(t->srtp, data, &len);
    if (err) {
        count_refused(err);
        return;
    }
    t->heard_us = w->now_us;
    bool good = t->publisher ? publisher_rtcp(t->publisher, data, len, w->now_us, w->wall_us) == OK
                             : take_subscriber_rtcp(w, t, data, len);
    if (!good) {
        sfu_count(SFU_DROP_MALFORMED, 1);
    }
}

void worker_feedback(struct worker *w)
{
    struct transport *t;
    struct publisher_feedback count = {0};
    uint8_t out[WORKER_RTCP];
    DL_FOREACH(w->transports, t)
    {
        size_t n;
        while (t->publisher && t->connected &&
               (n = publisher_poll(t->publisher, out, sizeof out, w->now_us, &count)) > 0) {
            send_rtcp(w, t, out, n);
        }
    }
    sfu_count(SFU_NACKS_SENT, count.nacked);
    sfu_count(SFU_PLIS_SENT, count.plis);
}

void worker_reports(struct worker *w)
{
    struct transport *t;
    uint8_t out[WORKER_RTCP];
    DL_FOREACH(w->transports, t)
    {
        size_t n;
        while (t->subscriber && t->connected &&
               (n = subscriber_poll(t->subscriber, out, sizeof out, WORKER_CNAME, w->now_us,
                                    w->wall_us)) > 0) {
            send_rtcp(w, t, out, n);
        }
    }
}
