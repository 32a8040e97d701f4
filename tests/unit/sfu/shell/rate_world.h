/* A publisher, a subscriber with his rate control, and the link between: bottleneck with a
 * tail-drop queue, delay, loss, feedback made by a real recorder. The clock is the test's: steps of
 * 1 ms. */
#ifndef SOTTO_TEST_RATE_WORLD_H
#define SOTTO_TEST_RATE_WORLD_H

#include "tests/unit/sfu/core/room_fixture.h"

#include <srtp2/srtp.h>
#include <stdlib.h>

#include "lib/proto/rtcp.h"
#include "sfu/core/twcc_recorder.h"
#include "sfu/shell/out_queue.h"
#include "sfu/shell/subscriber_rate.h"
#include "sfu/shell/transport.h"

#define WORLD_FLIGHT   8192
#define WORLD_FEEDBACK 64
#define WORLD_LAYERS   3
#define WORLD_QUEUE_US 300000
#define WORLD_DELAY_US 30000
#define STEP_US        1000
#define FRAME_US       33000
#define PAYLOAD        1000 /* bytes of a video packet's content, at most */
#define LAYER_AT       20   /* where a video payload says which layer it is of */

struct world_packet {
    int64_t arrives_us;
    uint16_t len;
    _Alignas(16) uint8_t data[1600];
};

struct world_feedback {
    int64_t arrives_us;
    size_t len;
    uint8_t data[1200];
};

struct world {
    int64_t now_us;
    struct router *r;
    struct publisher *p;
    struct subscriber *s;
    struct out_queue *q;
    struct transport t;
    struct subscriber_rate *rate;
    srtp_t receiver;
    struct twcc_recorder recorder;
    struct twcc_status statuses[RATE_STATUSES];
    /* the link */
    double capacity_bps, loss; /* capacity 0: no bottleneck */
    int64_t jitter_us; /* from 0 to this is added to each packet's delay; none overtakes another */
    int64_t busy_until_us, last_arrival_us;
    bool deaf; /* the receiver gives no feedback */
    uint32_t seed;
    size_t first, count, n_feedback;
    struct world_packet flight[WORLD_FLIGHT];
    struct world_feedback feedback[WORLD_FEEDBACK];
    /* the publisher */
    double layer_bps[WORLD_LAYERS]; /* 0: the end */
    double key_factor;              /* how much larger a keyframe is */
    uint16_t audio_seq, video_seq[WORLD_LAYERS];
    uint16_t picture[WORLD_LAYERS];
    bool key[WORLD_LAYERS]; /* the next frame is one */
    int64_t audio_us, frame_us, tick_us;
    /* what was sent and came */
    uint64_t left_audio, audio, probes, rtx, dropped;
    uint64_t layer_packets[WORLD_LAYERS];
    uint64_t bytes;
    uint16_t next_seq; /* transport-wide, as sent */
    bool any_seq;
    int64_t worst_audio_us; /* from the publisher to leaving */
    int64_t worst_queue_us; /* of the bottleneck */
    uint64_t told;          /* slots events */
    uint64_t waited;        /* feedbacks */
    uint32_t playout;       /* of the newest video packet that has one: least << 12 | most */
    bool has_playout;       /* the newest video packet has */
};

static struct world w;
static struct rtcp_wait
    *world_waits; /* feedback waits here where it may, as in a worker, or NULL */

static double world_chance(void)
{
    w.seed = w.seed * 1664525u + 1013904223u;
    return (double)(w.seed >> 8) / (1 << 24);
}

/* ---- the way there ---- */

/* Each number is one more than the one before, whatever it is on. */
static void world_check_numbers(const struct rtp_header *h, const uint8_t *data)
{
    uint16_t seq;
    size_t len;
    if (!w.rate || !w.rate->twcc) {
        return;
    }
    assert_true(rtp_transport_seq(h, data, SDP_SLOT_EXT_TRANSPORT_CC, &seq));
    assert_true(!w.any_seq || seq == w.next_seq);
    w.any_seq = true;
    w.next_seq = (uint16_t)(seq + 1);
    const uint8_t *time = rtp_ext_find(h, data, SDP_SLOT_EXT_ABS_SEND_TIME, &len);
    assert_true(time && len == 3);
    uint32_t expected = rtp_abs_send_time(w.now_us);
    assert_int_equal((uint32_t)time[0] << 16 | (uint32_t)time[1] << 8 | time[2], expected);
}

static void world_enter_link(const uint8_t *data, size_t len)
{
    int64_t wait_us = w.busy_until_us > w.now_us ? w.busy_until_us - w.now_us : 0;
    if (w.capacity_bps > 0 && wait_us > WORLD_QUEUE_US) {
        w.dropped++;
        return;
    }
    if (w.capacity_bps > 0) {
        w.busy_until_us = w.now_us + wait_us + (int64_t)((double)len * 8e6 / w.capacity_bps);
    } else {
        w.busy_until_us = w.now_us;
    }
    w.worst_queue_us = wait_us > w.worst_queue_us ? wait_us : w.worst_queue_us;
    if (world_chance() < w.loss) {
        w.dropped++;
        return;
    }
    assert_true(w.count < WORLD_FLIGHT);
    struct world_packet *p = &w.flight[(w.first + w.count++) % WORLD_FLIGHT];
    int64_t at_us =
        w.busy_until_us + WORLD_DELAY_US + (int64_t)((double)w.jitter_us * world_chance());
    p->arrives_us = at_us > w.last_arrival_us ? at_us : w.last_arrival_us;
    w.last_arrival_us = p->arrives_us;
    p->len = (uint16_t)len;
    memcpy(p->data, data, len);
}

static void world_leave(const uint8_t *data, size_t len)
{
    struct rtp_header h;
    assert_int_equal(rtp_parse_encrypted(&h, data, len), OK);
    world_check_numbers(&h, data);
    w.left_audio += h.pt == SDP_OPUS_PT;
    w.bytes += len;
    world_enter_link(data, len);
}

static int world_take(void *arg, const struct udp_message *m, int n)
{
    int all = 0;
    (void)arg;
    for (int i = 0; i < n; i++) {
        size_t step = m[i].segment ? m[i].segment : m[i].len;
        for (size_t at = 0; at < m[i].len; at += step, all++) {
            world_leave(m[i].data + at, m[i].len - at < step ? m[i].len - at : step);
        }
    }
    return all;
}

static void world_arrive(struct world_packet *p)
{
    struct rtp_header h;
    int n = p->len;
    uint16_t seq;
    assert_int_equal(srtp_unprotect(w.receiver, p->data, &n), srtp_err_status_ok);
    assert_int_equal(rtp_parse(&h, p->data, (size_t)n), OK);
    if (rtp_transport_seq(&h, p->data, SDP_SLOT_EXT_TRANSPORT_CC, &seq)) {
        twcc_recorder_input(&w.recorder, seq, w.now_us + 77000000);
    }
    size_t len;
    const uint8_t *playout = rtp_ext_find(&h, p->data, SDP_SLOT_EXT_PLAYOUT_DELAY, &len);
    if (h.ssrc == subscriber_video(w.s, 0)->ssrc) {
        w.has_playout = playout != NULL;
        w.playout = playout ? (uint32_t)playout[0] << 16 | (uint32_t)playout[1] << 8 | playout[2]
                            : w.playout;
    }
    if (h.ssrc == subscriber_audio(w.s, 0)->ssrc) {
        w.audio++;
    } else if (h.ssrc == subscriber_video(w.s, 0)->rtx_ssrc) {
        w.probes += h.payload_len == 0;
        w.rtx += h.payload_len > 0;
    } else if (h.ssrc == subscriber_video(w.s, 0)->ssrc) {
        w.layer_packets[p->data[h.payload_off + LAYER_AT] % WORLD_LAYERS]++;
    }
}

/* ---- the way back ---- */

static void world_open_rtcp(const uint8_t *data, size_t len, int64_t came_us)
{
    bool bad = false;
    if (subscriber_rate_rtcp(w.rate, data, len, w.statuses, came_us, &bad)) {
        subscriber_rate_run(w.rate, 0, w.now_us);
    }
    out_queue_probe(w.q, &w.t);
    assert_false(bad);
}

static void world_open_waiting(void)
{
    struct rtcp_waiting *k[RTCP_WAIT_EACH];
    size_t n = world_waits ? rtcp_wait_take(world_waits, &w.t.rtcp, k) : 0;
    for (size_t i = 0; i < n; i++) {
        world_open_rtcp(k[i]->data, k[i]->len, k[i]->at_us);
    }
}

static void world_rtcp(const uint8_t *data, size_t len)
{
    bool may = world_waits && w.t.rtcp.open && data[1] == RTCP_RTPFB;
    if (may && rtcp_wait_put(world_waits, &w.t.rtcp, data, len, w.now_us)) {
        w.waited++;
        return;
    }
    world_open_waiting();
    world_open_rtcp(data, len, w.now_us);
}

static void world_answer(void)
{
    uint8_t data[1200];
    size_t len;
    while ((len = twcc_recorder_poll(&w.recorder, 2, data, sizeof data, w.now_us + 77000000)) > 0) {
        if (w.deaf || w.n_feedback == WORLD_FEEDBACK) {
            continue;
        }
        struct world_feedback *f = &w.feedback[w.n_feedback++];
        f->arrives_us = w.now_us + WORLD_DELAY_US;
        f->len = len;
        memcpy(f->data, data, len);
    }
    for (size_t i = 0; i < w.n_feedback;) {
        if (w.feedback[i].arrives_us > w.now_us) {
            i++;
            continue;
        }
        struct world_feedback f = w.feedback[i];
        memmove(&w.feedback[i], &w.feedback[i + 1], (--w.n_feedback - i) * sizeof f);
        world_rtcp(f.data, f.len);
    }
}

/* ---- the publisher ---- */

static void world_forward(struct packet *k)
{
    size_t n;
    struct track *t;
    const struct forward *f = router_packet(w.r, w.p, k, &n, &t);
    for (size_t i = 0; i < n; i++) {
        out_queue_add(w.q, f[i].slot->subscriber->user, f[i].slot, k, &f[i].to, false, 0);
    }
    packet_unref(k);
}

/* The publisher's own requests for keyframes. */
static void world_take_plis(void)
{
    uint8_t data[1200];
    struct publisher_feedback count = {0};
    size_t len;
    while ((len = publisher_poll(w.p, data, sizeof data, w.now_us, &count)) > 0) {
        struct rtcp_iter it;
        struct rtcp_packet p;
        struct rtcp_feedback fb;
        rtcp_iter_init(&it, data, len);
        while (rtcp_next(&it, &p) == 1) {
            if (p.type == RTCP_PSFB && p.count == RTCP_FMT_PLI && !rtcp_parse_pli(&fb, &p)) {
                w.key[(fb.media_ssrc >> 8 & 0xf) % WORLD_LAYERS] = true;
            }
        }
    }
}

static void world_picture(unsigned layer)
{
    uint8_t data[PAYLOAD] = {0};
    bool key = w.key[layer];
    double bytes = w.layer_bps[layer] * FRAME_US / 8e6 * (0.9 + 0.2 * world_chance());
    size_t left = (size_t)(bytes * (key ? w.key_factor : 1)) + 60;
    w.key[layer] = false;
    w.picture[layer]++;
    for (bool first = true; left > 0; first = false) {
        size_t one = left > PAYLOAD ? PAYLOAD : left < 60 ? 60 : left;
        left -= left < one ? left : one;
        uint16_t height = (uint16_t)(180 << layer), width = (uint16_t)(320 << layer);
        uint8_t head[] = {first ? 0x90 : 0x80,
                          0xe0,
                          (uint8_t)(0x80 | (w.picture[layer] >> 8 & 0x7f)),
                          (uint8_t)w.picture[layer],
                          (uint8_t)w.picture[layer],
                          0x20,
                          key ? 0x10 : 0x11,
                          0,
                          0,
                          0x9d,
                          0x01,
                          0x2a,
                          (uint8_t)width,
                          (uint8_t)(width >> 8),
                          (uint8_t)height,
                          (uint8_t)(height >> 8)};
        memcpy(data, head, first ? sizeof head : 6);
        data[LAYER_AT] = (uint8_t)layer;
        struct rtp_out o = {.pt = VIDEO_PT,
                            .marker = left == 0,
                            .seq = ++w.video_seq[layer],
                            .ts = (uint32_t)(w.frame_us * 9 / 100),
                            .ssrc = VIDEO_SSRC(1) | layer << 8};
        world_forward(fixture_parsed(w.r, &o, data, one, w.now_us));
    }
}

static void world_publish(void)
{
    if (w.now_us >= w.audio_us) {
        w.audio_us += 20000;
        w.audio_seq++;
        world_forward(fixture_audio(w.r, 1, w.audio_seq, 20, w.now_us));
    }
    if (w.now_us >= w.frame_us) {
        w.frame_us += FRAME_US;
        for (unsigned i = 0; i < WORLD_LAYERS && w.layer_bps[i] > 0; i++) {
            world_picture(i);
        }
    }
}

/* ---- time ---- */

static void world_step(void)
{
    struct router_event e;
    world_publish();
    while (w.count > 0 && w.flight[w.first].arrives_us <= w.now_us) {
        world_arrive(&w.flight[w.first]);
        w.first = (w.first + 1) % WORLD_FLIGHT;
        w.count--;
    }
    world_answer();
    struct rtcp_queue *due;
    if (world_waits && w.now_us % 10000 == 0 && rtcp_wait_due(world_waits, &due, 1, w.now_us)) {
        world_open_waiting();
    }
    world_take_plis();
    if (w.now_us >= w.tick_us) {
        w.tick_us = w.now_us + ROUTER_TICK_US;
        router_tick(w.r, w.now_us);
        subscriber_rate_run(w.rate, 0, w.now_us);
        out_queue_probe(w.q, &w.t);
    }
    while (router_poll(w.r, w.now_us, &e)) {
        w.told += e.type == ROUTER_SLOTS;
    }
    out_queue_flush(w.q, w.now_us);
    assert_true(out_queue_due(w.q) > w.now_us);
}

static void world_run(double seconds)
{
    for (int64_t end_us = w.now_us + (int64_t)(seconds * 1e6); w.now_us < end_us;
         w.now_us += STEP_US) {
        world_step();
    }
}

/* Counters begin anew. */
static void world_measure(void)
{
    w.waited = 0;
    w.left_audio = w.audio = w.probes = w.rtx = w.dropped = w.bytes = w.told = 0;
    w.worst_audio_us = w.worst_queue_us = 0;
    memset(w.layer_packets, 0, sizeof w.layer_packets);
}

/* ---- beginning and end ---- */

static void world_receiver(void)
{
    uint8_t key[64];
    srtp_policy_t policy;
    memset(key, 7, sizeof key);
    memset(&policy, 0, sizeof policy);
    size_t key_len = srtp_profile_key_len(SRTP_AEAD_AES_128_GCM);
    assert_int_equal(srtp_writer_new(&w.t.writer, SRTP_AEAD_AES_128_GCM, key, key + key_len), OK);
    srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtp);
    srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtcp);
    policy.ssrc.type = ssrc_any_inbound;
    policy.key = key;
    policy.window_size = 1024;
    assert_int_equal(srtp_create(&w.receiver, &policy), srtp_err_status_ok);
}

static void world_answered(bool twcc)
{
    static struct sdp_subscribe answer;
    memset(&answer, 0, sizeof answer);
    for (int i = 0; i < SDP_MAX_VIDEO_SLOTS; i++) {
        struct sdp_subscribed_slot *both[] = {&answer.video[i],
                                              &answer.audio[i % SDP_MAX_AUDIO_SLOTS]};
        for (int k = 0; k < 2; k++) {
            both[k]->accepted = true;
            both[k]->rtx = k == 0;
            both[k]->transport_cc = twcc;
            both[k]->codecs = SDP_BASIC_CODECS;
            both[k]->rtx_codecs = k == 0 ? SDP_CODEC(CODEC_VP8) : 0;
            both[k]->ext.id[RTP_EXT_MID] = SDP_SLOT_EXT_MID;
            both[k]->ext.id[RTP_EXT_ABS_SEND_TIME] = SDP_SLOT_EXT_ABS_SEND_TIME;
            both[k]->ext.id[RTP_EXT_TRANSPORT_CC] = twcc ? SDP_SLOT_EXT_TRANSPORT_CC : 0;
            both[k]->ext.id[RTP_EXT_PLAYOUT_DELAY] = k == 0 ? SDP_SLOT_EXT_PLAYOUT_DELAY : 0;
        }
    }
    subscriber_answered(w.s, &answer);
}

/* layers: their rates, 0 at the end unless there are three. */
static void world_open(const double *layers, bool twcc)
{
    memset(&w, 0, sizeof w);
    w.seed = 12345;
    w.now_us = w.audio_us = w.frame_us = w.tick_us = START_US;
    w.key_factor = 4;
    size_t n = 0;
    for (; n < WORLD_LAYERS && layers[n] > 0; n++) {
        w.layer_bps[n] = layers[n];
        w.key[n] = true;
    }
    w.r = fixture_router(8192);
    w.q = out_queue_new(world_take, NULL);
    struct sdp_publish sdp = fixture_sdp(1);
    for (size_t i = 0; n > 1 && i < n; i++) {
        sdp.track[1].layer[i].ssrc = VIDEO_SSRC(1) | (uint32_t)i << 8;
        sdp.track[1].n_layers = n;
    }
    assert_int_equal(router_publish(w.r, &fixture_room, 1, &sdp, 0x7700, START_US, &w.p), OK);
    router_publisher_ready(w.r, w.p, START_US);
    assert_int_equal(router_subscribe(w.r, &fixture_room, 2, 1, 1, 99, START_US, &w.s), OK);
    world_answered(twcc);
    router_subscriber_ready(w.r, w.s, START_US);
    world_receiver();
    w.s->user = &w.t;
    w.t.subscriber = w.s;
    w.t.selected = &w.t.address[0];
    twcc_recorder_init(&w.recorder, 1);
    assert_int_equal(subscriber_rate_new(&w.rate, &w.t, w.s, START_US), OK);
}

static void world_close(void)
{
    out_queue_forget(w.q, &w.t);
    if (world_waits) {
        rtcp_wait_forget(world_waits, &w.t.rtcp);
    }
    subscriber_rate_free(w.rate);
    out_queue_free(w.q);
    srtp_dealloc(w.receiver);
    srtp_writer_free(w.t.writer);
    router_free(w.r); /* aborts when a packet hasn't come home */
}

#endif
