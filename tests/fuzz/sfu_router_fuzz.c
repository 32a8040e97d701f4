/* The router fed with what a hostile but authenticated peer may send: RTP to a publisher, RTCP to
 * both sides, time going on. The input is a script of records: kind, length, bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "sfu/core/router.h"
#include "tests/unit/sfu/core/slot_written.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define START_US INT64_C(1000000000)
#define MAX_SENT 512
#define N_SLOTS  6

struct world {
    struct router *router;
    struct publisher *publisher;
    struct subscriber *subscriber;
    int64_t now_us;
    size_t n_sent[N_SLOTS]; /* numbers that left, a slot: none may twice */
    int64_t sent[N_SLOTS][MAX_SENT];
};

static void check(bool good)
{
    if (!good) {
        abort();
    }
}

/* Every codec by one of its payload types, in pairs with that of its retransmissions. */
static void add_codecs(struct sdp_track *t)
{
    static const enum codec codecs[] = {CODEC_VP8, CODEC_VP9, CODEC_H264, CODEC_AV1};
    for (uint8_t i = 0; i < 4; i++) {
        uint8_t pt = (uint8_t)(96 + 2 * i);
        t->codec[t->n_codecs++] =
            (struct sdp_agreed){.codec = codecs[i], .pt = pt, .rtx_pt = (uint8_t)(pt + 1)};
    }
}

/* A voice, a camera of one stream, a screen of three by RIDs a, b, c (or SSRCs). */
static struct sdp_publish describe(void)
{
    struct sdp_publish p = {.n_tracks = 3};
    p.track[0] = (struct sdp_track){
        .kind = SDP_AUDIO,
        .source = SDP_SOURCE_MICROPHONE,
        .mid = "0",
        .sending = true,
        .pt = 111,
        .clock_rate = 48000,
        .n_codecs = 2,
        .codec = {{.codec = CODEC_OPUS, .pt = 111}, {.codec = CODEC_RED, .pt = 63}}};
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
    p.track[2] = p.track[1];
    p.track[2].source = SDP_SOURCE_SCREEN;
    snprintf(p.track[2].mid, sizeof p.track[2].mid, "2");
    p.track[2].ssrc = p.track[2].rtx_ssrc = 0;
    p.track[2].fir = p.track[2].remb = true;
    add_codecs(&p.track[1]);
    add_codecs(&p.track[2]);
    for (uint32_t i = 0; i < 3; i++) {
        p.track[2].layer[i] = (struct sdp_layer){.rid = {(char)('a' + i)}, .ssrc = 0x04040401 + i};
    }
    p.track[2].n_layers = 3;
    p.track[2].layer[2].ssrc = 0; /* found on arrival */
    for (int i = 0; i < 3; i++) {
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
    for (int i = 0; i < 4; i++) {
        answer.audio[i].accepted = answer.video[i].accepted = answer.video[i].rtx = true;
        answer.audio[i].codecs = i ? SDP_AUDIO_CODECS : SDP_CODEC(CODEC_OPUS);
        answer.video[i].codecs = SDP_VIDEO_CODECS & ~(i ? 0 : SDP_CODEC(CODEC_AV1));
        for (int kind = 0; kind < RTP_EXT_KINDS; kind++) {
            answer.audio[i].ext.id[kind] = answer.video[i].ext.id[kind] = (uint8_t)(kind + 1);
        }
    }
    w->now_us = START_US;
    w->router = router_new(&limits);
    check(w->router != NULL);
    check(router_publish(w->router, &room, 1, &sdp, 7, START_US, &w->publisher) == OK);
    check(router_subscribe(w->router, &room, 2, 2, 4, 9, START_US, &w->subscriber) == OK);
    router_publisher_ready(w->router, w->publisher, START_US);
    subscriber_answered(w->subscriber, &answer);
    subscriber_stamped(w->subscriber);
    router_subscriber_ready(w->router, w->subscriber, START_US);
}

/* One number twice would be one nonce twice; a leap would break the receiver's rollover counter. */
static void note_sent(struct world *w, const struct forward *f)
{
    size_t slot = (size_t)(f->slot - w->subscriber->slot);
    int64_t highest = f->slot->rewriter.out_highest;
    int64_t n = highest + (int16_t)(uint16_t)(f->to.seq - (uint16_t)highest), newest = 0;
    check(slot < N_SLOTS);
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
        check(n <= N_SLOTS);
        for (size_t i = 0; i < n; i++) {
            int written = slot_written(f[i].slot, k, &f[i].to, false, out, sizeof out, &header_len);
            note_sent(w, &f[i]);
            if (written > 0) {
                slot_stamp(f[i].slot, out, 0xffff, 0xffffff);
                check(written == (int)(header_len + slot_payload_len(f[i].slot, k)));
            }
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
        (void)slot_written(again[i].slot, again[i].packet, &again[i].to, true, out, sizeof out,
                           &header_len);
    }
    (void)publisher_rtcp(w->publisher, data, len, w->now_us, w->now_us);
}

/* What a view or an allocator may ask for at any time. */
static void choose(struct world *w, const uint8_t *data, size_t len)
{
    struct allocator_slot slots[4];
    struct allocator_choice choice[4];
    struct room_view view[4];
    uint32_t n = 0;
    for (; n < 4 && (n + 1) * 3 <= len; n++) {
        const uint8_t *b = data + (size_t)n * 3;
        view[n] =
            (struct room_view){.slot = n,
                               .wish = {.participant = b[0] & 1,
                                        .source = b[0] & 2 ? SDP_SOURCE_SCREEN : SDP_SOURCE_CAMERA,
                                        .max_height = (uint32_t)b[1] * 8}};
        choice[n] = (struct allocator_choice){
            .state = (enum allocator_state)(b[2] % 5), .sid = b[2] / 8 % 4, .tid = b[2] / 32 % 4};
    }
    if (n == 4 && data[0] & 0x80) {
        check(subscriber_layers(w->subscriber, slots, w->now_us) == 4);
        subscriber_apply(w->subscriber, choice, w->now_us);
    } else {
        check(router_view(w->router, w->subscriber, view, n, w->now_us) == OK);
    }
}

static void look(struct world *w)
{
    struct counters c;
    struct slot_told told;
    for (uint32_t i = 0; i < N_SLOTS; i++) {
        slot_tell(&w->subscriber->slot[i], &told);
        slot_counters(&w->subscriber->slot[i], &c);
    }
    for (size_t i = 0; i < w->publisher->n_tracks; i++) {
        track_sum(w->publisher->track[i], &c);
    }
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
        if (kind == 0xff) {
            choose(&w, bytes, len);
        } else if (kind % 4 < 2) {
            feed_rtp(&w, bytes, len);
        } else if (kind % 4 == 2) {
            feed_rtcp(&w, bytes, len);
        } else {
            go_on(&w, (uint8_t)(kind / 4));
        }
    }
    look(&w);
    router_free(w.router);
    return 0;
}
