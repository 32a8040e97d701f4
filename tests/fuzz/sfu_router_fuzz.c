/* The router fed with what a hostile but authenticated peer may send: RTP to a publisher, RTCP to
 * both sides, time going on. The input is a script of records: kind, length, bytes. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "sfu/core/router.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define START_US INT64_C(1000000000)
#define MAX_SENT 512

struct world {
    struct router *router;
    struct publisher *publisher;
    struct subscriber *subscriber;
    int64_t now_us;
    size_t n_sent[4]; /* numbers that left, a slot: none may twice */
    int64_t sent[4][MAX_SENT];
};

static void check(bool good)
{
    if (!good) {
        abort();
    }
}

static struct sdp_publish describe(void)
{
    struct sdp_publish p = {.n_tracks = 2};
    p.track[0] = (struct sdp_track){.kind = SDP_AUDIO,
                                    .source = SDP_SOURCE_MICROPHONE,
                                    .mid = "0",
                                    .sending = true,
                                    .pt = 111,
                                    .clock_rate = 48000};
    p.track[1] = (struct sdp_track){.kind = SDP_VIDEO,
                                    .source = SDP_SOURCE_CAMERA,
                                    .mid = "1",
                                    .sending = true,
                                    .pt = 96,
                                    .rtx_pt = 97,
                                    .clock_rate = 90000,
                                    .nack = true,
                                    .ssrc = 0x02020202,
                                    .rtx_ssrc = 0x03030303};
    for (int i = 0; i < 2; i++) {
        for (int kind = 0; kind < RTP_EXT_KINDS; kind++) {
            p.track[i].ext.id[kind] = (uint8_t)(kind + 1);
        }
    }
    return p;
}

static void setup(struct world *w)
{
    static const struct id room = {"01890a5d-ac96-774b-bcce-b302099a8057"};
    static struct sdp_subscribe answer;
    struct router_limits limits = {.max_rooms = 1, .pool_packets = 64, .cache_us = 1000000};
    struct sdp_publish sdp = describe();
    for (int i = 0; i < 2; i++) {
        answer.audio[i].accepted = answer.video[i].accepted = answer.video[i].rtx = true;
        for (int kind = 0; kind < RTP_EXT_KINDS; kind++) {
            answer.audio[i].ext.id[kind] = answer.video[i].ext.id[kind] = (uint8_t)(kind + 1);
        }
    }
    w->now_us = START_US;
    w->router = router_new(&limits);
    check(w->router != NULL);
    check(router_publish(w->router, &room, 1, &sdp, 7, START_US, &w->publisher) == OK);
    check(router_subscribe(w->router, &room, 2, 2, 2, 9, START_US, &w->subscriber) == OK);
    router_publisher_ready(w->router, w->publisher, START_US);
    subscriber_answered(w->subscriber, &answer);
    router_subscriber_ready(w->router, w->subscriber, START_US);
}

/* One number twice would be one nonce twice; a leap would break the receiver's rollover counter. */
static void note_sent(struct world *w, const struct forward *f)
{
    size_t slot = (size_t)(f->slot - w->subscriber->slot);
    int64_t highest = f->slot->rewriter.out_highest;
    int64_t n = highest + (int16_t)(uint16_t)(f->to.seq - (uint16_t)highest), newest = 0;
    check(slot < 4);
    if (w->n_sent[slot] == MAX_SENT) {
        return;
    }
    for (size_t i = 0; i < w->n_sent[slot]; i++) {
        check(w->sent[slot][i] != n);
        newest = w->sent[slot][i] > newest ? w->sent[slot][i] : newest;
    }
    check(newest == 0 || n - newest <= REWRITER_MAX_GAP);
    w->sent[slot][w->n_sent[slot]++] = n;
}

static void feed_rtp(struct world *w, const uint8_t *data, size_t len)
{
    uint8_t out[1600];
    size_t n, header_len;
    struct track *t;
    struct packet *k = len <= PACKET_CAP ? router_alloc(w->router) : NULL;
    if (!k) {
        return;
    }
    memcpy(packet_data(k), data, len);
    k->len = (uint16_t)len;
    k->arrival_us = w->now_us;
    if (rtp_parse(&k->header, packet_data(k), len) == OK) {
        const struct forward *f = router_packet(w->router, w->publisher, k, &n, &t);
        check(n <= 4);
        for (size_t i = 0; i < n; i++) {
            int written = slot_write(f[i].slot, k, &f[i].to, out, sizeof out, &header_len);
            note_sent(w, &f[i]);
            check(written < 0 || (header_len >= 12 && header_len <= (size_t)written));
        }
    }
    packet_unref(k);
}

static void feed_rtcp(struct world *w, const uint8_t *data, size_t len)
{
    uint8_t out[1600];
    struct resend again[16];
    struct subscriber_requests count = {0};
    size_t header_len;
    bool bad;
    size_t n =
        subscriber_rtcp(w->subscriber, data, len, w->now_us, w->now_us, again, 16, &count, &bad);
    check(n <= 16);
    for (size_t i = 0; i < n; i++) {
        (void)slot_write_rtx(again[i].slot, again[i].packet, &again[i].to, out, sizeof out,
                             &header_len);
    }
    (void)publisher_rtcp(w->publisher, data, len, w->now_us, w->now_us);
}

static void go_on(struct world *w, uint8_t by)
{
    uint8_t out[1200];
    struct publisher_feedback count = {0};
    struct router_event e;
    int rounds = 0;
    w->now_us += (int64_t)by * 5000;
    while (publisher_poll(w->publisher, out, sizeof out, w->now_us, &count) > 0) {
        check(++rounds < 100);
    }
    while (subscriber_poll(w->subscriber, out, sizeof out, "x", w->now_us, w->now_us) > 0) {
        check(++rounds < 100);
    }
    router_tick(w->router, w->now_us);
    while (router_poll(w->router, w->now_us, &e)) {
        check(++rounds < 100);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world w;
    struct cursor c;
    memset(w.n_sent, 0, sizeof w.n_sent);
    setup(&w);
    cursor_init(&c, data, size);
    while (cursor_left(&c) > 3) {
        uint8_t kind = cursor_u8(&c);
        size_t len = cursor_u16(&c);
        len = len < cursor_left(&c) ? len : cursor_left(&c);
        const uint8_t *bytes = cursor_bytes(&c, len);
        if (kind % 4 < 2) {
            feed_rtp(&w, bytes, len);
        } else if (kind % 4 == 2) {
            feed_rtcp(&w, bytes, len);
        } else {
            go_on(&w, (uint8_t)(kind / 4));
        }
    }
    router_free(w.router);
    return 0;
}
