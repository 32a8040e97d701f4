/* Packets in and out of a connected endpoint. */
#include <stdlib.h>
#include <string.h>

#include "bench/client/endpoint_private.h"
#include "lib/base/err.h"
#include "lib/base/ids.h"
#include "lib/proto/rtcp.h"

#define MAX_RTCP    1400
#define MAX_NACKED  256 /* numbers regarded of one NACK */
#define MAX_PACKETS 64  /* RTCP packets written in a turn */

static void set_pt(struct endpoint *e, enum media_kind kind, uint8_t pt)
{
    e->kind_pts[kind][pt >> 6] |= 1ull << (pt & 63);
}

static int make_receiver(struct endpoint *e)
{
    struct receiver_config c = e->receiver_config;
    bool twcc = false;
    c.ssrc = e->ssrc;
    for (size_t i = 0; i < e->agreed.n_receive; i++) {
        const struct media_track *t = &e->agreed.receive[i];
        twcc = twcc || t->transport_cc;
        e->media_pending |= e->connected_us && e->receiver ? 0 : 1u << t->kind;
        set_pt(e, t->kind, t->pt);
    }
    c.twcc = c.twcc && twcc;
    receiver_free(e->receiver);
    e->receiver = NULL;
    return receiver_new(&e->receiver, &c, &e->host->opus, e->agreed.receive, e->agreed.n_receive);
}

static int make_source(struct endpoint *e, int64_t now_us)
{
    const struct sdp_client_agreed *a = &e->agreed;
    struct source_config c = e->source_config;
    struct source *next;
    c.number = e->o.number;
    int r = source_new(&next, &c, &e->host->opus, a->sends[MEDIA_AUDIO] ? &a->send[0] : NULL,
                       a->sends[MEDIA_VIDEO] ? &a->send[1] : NULL, now_us);
    if (r != OK)
        return r;
    if (e->source) /* no number may be sent twice under one key */
        source_continue(next, e->source);
    source_free(e->source);
    e->source = next;
    return OK;
}

int endpoint_media_start(struct endpoint *e, const struct dtls_keys *keys, int64_t now_us)
{
    enum srtp_profile profile = (enum srtp_profile)keys->profile;
    int r = srtp_gcm_new(&e->gcm, keys);
    if (r == ERR_UNSUPPORTED)
        r = srtp_peer_new(&e->srtp, keys);
    if (r == OK)
        r = srtp_writer_new(&e->writer, profile, keys->local_key, keys->local_salt);
    e->tag_len = srtp_profile_tag_len(profile);
    if (r == OK && e->agreed.n_receive > 0)
        r = make_receiver(e);
    if (r == OK && e->wants_source)
        r = make_source(e, now_us);
    return r;
}

void endpoint_media_free(struct endpoint *e)
{
    source_free(e->source);
    receiver_free(e->receiver);
    srtp_gcm_free(e->gcm);
    srtp_peer_free(e->srtp);
    srtp_writer_free(e->writer);
    e->source = NULL;
    e->receiver = NULL;
    e->gcm = NULL;
    e->srtp = NULL;
    e->writer = NULL;
}

int endpoint_send(struct endpoint *e, const struct source_config *c)
{
    e->source_config = *c;
    e->wants_source = true;
    if (e->state != ENDPOINT_CONNECTED)
        return OK;
    int64_t now = clock_mono_us();
    int r = make_source(e, now);
    endpoint_schedule(e, now);
    return r;
}

int endpoint_receive(struct endpoint *e, bool nack, bool twcc, bool decrypt_all)
{
    e->receiver_config =
        (struct receiver_config){.nack = nack, .twcc = twcc, .decrypt_all = decrypt_all};
    return e->receiver ? make_receiver(e) : OK;
}

/* ---- in ---- */

/* Tells of the first packet of a kind. */
static void look_for_media(struct endpoint *e, uint8_t pt, int64_t now_us)
{
    for (int k = 0; k < 2; k++) {
        if (!(e->media_pending & 1u << k) || !(e->kind_pts[k][pt >> 6] >> (pt & 63) & 1))
            continue;
        e->media_pending &= ~(1u << k);
        /* It may have arrived before we came round to the handshake's end. */
        int64_t us = now_us > e->connected_us ? now_us - e->connected_us : 0;
        e->handler.media(e->arg, e, (enum media_kind)k, us, now_us - e->answer_us);
    }
}

void endpoint_rtp(struct endpoint *e, uint8_t *data, size_t len, int64_t now_us)
{
    if (!e->receiver || e->state != ENDPOINT_CONNECTED)
        return;
    e->host->media_came = true;
    if (e->media_pending)
        look_for_media(e, data[1] & 0x7f, now_us);
    if (!receiver_input(e->receiver, data, len, now_us))
        return;
    int r = e->gcm ? srtp_gcm_open_rtp(e->gcm, data, &len)
                   : srtp_peer_unprotect_rtp(e->srtp, data, &len);
    if (r == OK || r == ERR_AUTH || r == ERR_INVALID)
        receiver_sample(e->receiver, data, r == OK ? len : 0, now_us);
}

/* The other end knows by now what these SSRCs are: no MID any more. */
static void on_report(struct endpoint *e, const struct rtcp_packet *p)
{
    struct rtcp_rr rr;
    if (rtcp_parse_rr(&rr, p) != OK)
        return;
    for (size_t i = 0; i < rr.n_reports; i++)
        source_acknowledged(e->source, rr.report[i].ssrc);
}

/* What the other end asks of what we send. */
static void on_feedback(struct endpoint *e, const struct rtcp_packet *p, int64_t now_us)
{
    uint16_t seqs[MAX_NACKED];
    struct rtcp_feedback fb;
    if (p->type == RTCP_RR)
        on_report(e, p);
    if (p->type == RTCP_PSFB && (p->count == RTCP_FMT_PLI || p->count == RTCP_FMT_FIR)) {
        source_on_pli(e->source, now_us);
    } else if (p->type == RTCP_RTPFB && p->count == RTCP_FMT_NACK) {
        int n = rtcp_parse_nack(&fb, seqs, MAX_NACKED, p);
        if (n > 0 && fb.media_ssrc == e->agreed.send[MEDIA_VIDEO].ssrc)
            source_on_nack(e->source, seqs, (size_t)n, now_us);
    }
}

void endpoint_rtcp(struct endpoint *e, uint8_t *data, size_t len, int64_t now_us)
{
    struct rtcp_iter it;
    struct rtcp_packet p;
    if (e->state != ENDPOINT_CONNECTED)
        return;
    int r = e->gcm ? srtp_gcm_open_rtcp(e->gcm, data, &len)
                   : srtp_peer_unprotect_rtcp(e->srtp, data, &len);
    if (r != OK)
        return;
    if (e->receiver)
        receiver_rtcp(e->receiver, data, len, now_us);
    rtcp_iter_init(&it, data, len);
    while (e->source && rtcp_next(&it, &p) == 1)
        on_feedback(e, &p, now_us);
}

/* ---- out ---- */

static struct srtp_stream *stream_of(struct endpoint *e, uint32_t ssrc)
{
    for (size_t i = 0; i < ENDPOINT_STREAMS; i++) {
        if (e->out[i].ssrc == ssrc || e->out[i].ssrc == 0) {
            e->out[i].ssrc = ssrc;
            return &e->out[i].stream;
        }
    }
    return NULL;
}

static void send_packets(struct endpoint *e, int64_t now_us)
{
    struct source_packet p[ENDPOINT_FRAME];
    struct iovec iov[ENDPOINT_FRAME];
    size_t n;
    do {
        size_t ready = 0;
        n = source_poll(e->source, p, ENDPOINT_FRAME, now_us);
        for (size_t i = 0; i < n; i++) {
            struct srtp_stream *s = stream_of(e, p[i].ssrc);
            int len = !s ? ERR_LIMIT
                         : srtp_writer_protect(e->writer, s, p[i].data, p[i].len, p[i].header_len,
                                               MEDIA_MAX_PACKET + SRTP_MAX_TAG);
            if (len > 0)
                iov[ready++] = (struct iovec){.iov_base = p[i].data, .iov_len = (size_t)len};
        }
        if (ready > 0)
            endpoint_transmit_batch(e, iov, ready);
    } while (n == ENDPOINT_FRAME);
}

static void send_rtcp(struct endpoint *e, uint8_t *data, size_t len)
{
    int r = e->gcm ? srtp_gcm_seal_rtcp(e->gcm, data, &len)
                   : srtp_peer_protect_rtcp(e->srtp, data, &len);
    if (r == OK)
        endpoint_transmit(e, data, len);
}

void endpoint_media_poll(struct endpoint *e, int64_t now_us)
{
    _Alignas(4) uint8_t out[MAX_RTCP + SRTP_PEER_OVERHEAD];
    size_t len;
    if (e->state != ENDPOINT_CONNECTED)
        return;
    if (e->source && source_deadline(e->source) <= now_us)
        send_packets(e, now_us);
    if (e->source && (len = source_report(e->source, out, MAX_RTCP, now_us)) > 0)
        send_rtcp(e, out, len);
    for (int i = 0; e->receiver && i < MAX_PACKETS; i++) {
        if ((len = receiver_poll(e->receiver, out, MAX_RTCP, now_us)) == 0)
            return;
        send_rtcp(e, out, len);
    }
}
