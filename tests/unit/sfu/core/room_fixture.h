/* Made publishers, subscribers and packets for the tests of rooms and routing. */
#ifndef SOTTO_TEST_ROOM_FIXTURE_H
#define SOTTO_TEST_ROOM_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "sfu/core/router.h"
#include "tests/unit/sfu/core/slot_written.h"

#define AUDIO_SSRC(n) (0x10000u + (n))
#define VIDEO_SSRC(n) (0x20000u + (n))
#define RTX_SSRC(n)   (0x30000u + (n))
#define AUDIO_PT      109
#define VIDEO_PT      120
#define RTX_PT        121
#define LEVEL_ID      5
#define TWCC_ID       6
#define START_US      INT64_C(1000000000)

static const struct id fixture_room = {"01890a5d-ac96-774b-bcce-b302099a8057"};

__attribute__((unused)) static struct router *fixture_router(size_t packets)
{
    struct router_limits limits = {.max_rooms = 4, .pool_packets = packets, .cache_us = 1000000};
    struct router *r = router_new(&limits);
    assert_non_null(r);
    return r;
}

__attribute__((unused)) static struct sdp_publish fixture_sdp(uint32_t number)
{
    struct sdp_publish p = {.n_tracks = 2};
    p.track[0] = (struct sdp_track){.kind = SDP_AUDIO,
                                    .source = SDP_SOURCE_MICROPHONE,
                                    .mid = "0",
                                    .sending = true,
                                    .pt = AUDIO_PT,
                                    .clock_rate = 48000,
                                    .ssrc = AUDIO_SSRC(number)};
    p.track[1] = (struct sdp_track){.kind = SDP_VIDEO,
                                    .source = SDP_SOURCE_CAMERA,
                                    .mid = "1",
                                    .sending = true,
                                    .pt = VIDEO_PT,
                                    .rtx_pt = RTX_PT,
                                    .clock_rate = 90000,
                                    .nack = true,
                                    .pli = true,
                                    .ssrc = VIDEO_SSRC(number),
                                    .rtx_ssrc = RTX_SSRC(number)};
    for (int i = 0; i < 2; i++) {
        p.track[i].ext.id[RTP_EXT_AUDIO_LEVEL] = LEVEL_ID;
        p.track[i].ext.id[RTP_EXT_TRANSPORT_CC] = TWCC_ID;
    }
    return p;
}

/* One that is ready, in fixture_room. */
__attribute__((unused)) static struct publisher *fixture_publisher(struct router *r,
                                                                   uint32_t number)
{
    struct sdp_publish sdp = fixture_sdp(number);
    struct publisher *p;
    assert_int_equal(
        router_publish(r, &fixture_room, number, &sdp, 0x77000000u + number, START_US, &p), OK);
    router_publisher_ready(r, p, START_US);
    return p;
}

__attribute__((unused)) static struct subscriber *
fixture_subscriber(struct router *r, uint32_t number, uint32_t n_audio, uint32_t n_video)
{
    static struct sdp_subscribe answer;
    struct subscriber *s;
    assert_int_equal(router_subscribe(r, &fixture_room, number, n_audio, n_video,
                                      0x123456789abcdefu * number, START_US, &s),
                     OK);
    for (int i = 0; i < SDP_MAX_AUDIO_SLOTS; i++) {
        answer.audio[i].accepted = true;
        answer.audio[i].ext.id[RTP_EXT_MID] = SDP_SLOT_EXT_MID;
        answer.audio[i].ext.id[RTP_EXT_AUDIO_LEVEL] = SDP_SLOT_EXT_AUDIO_LEVEL;
    }
    for (int i = 0; i < SDP_MAX_VIDEO_SLOTS; i++) {
        answer.video[i].accepted = answer.video[i].rtx = true;
        answer.video[i].ext.id[RTP_EXT_MID] = SDP_SLOT_EXT_MID;
    }
    subscriber_answered(s, &answer);
    router_subscriber_ready(r, s, START_US);
    return s;
}

__attribute__((unused)) static struct packet *fixture_parsed(struct router *r,
                                                             const struct rtp_out *o,
                                                             const uint8_t *payload,
                                                             size_t payload_len, int64_t now_us)
{
    struct packet *k = packet_alloc(router_pool(r));
    assert_non_null(k);
    int n = rtp_out_write(o, packet_data(k), PACKET_CAP);
    assert_true(n > 0);
    if (payload_len) {
        memcpy(packet_data(k) + n, payload, payload_len);
    }
    k->len = (uint16_t)((size_t)n + payload_len);
    k->arrival_us = now_us;
    assert_int_equal(rtp_parse(&k->header, packet_data(k), k->len), OK);
    return k;
}

__attribute__((unused)) static struct packet *
fixture_audio(struct router *r, uint32_t number, uint16_t seq, uint8_t level, int64_t now_us)
{
    uint8_t value = (uint8_t)(0x80u | level);
    struct rtp_out o = {.pt = AUDIO_PT,
                        .seq = seq,
                        .ts = seq * 960u,
                        .ssrc = AUDIO_SSRC(number),
                        .n_ext = 1,
                        .ext = {{.id = LEVEL_ID, .len = 1, .data = &value}}};
    static const uint8_t opus[40] = {0x78, 1, 2, 3};
    return fixture_parsed(r, &o, opus, sizeof opus, now_us);
}

/* A one-packet VP8 frame with a 15-bit picture id and tl0picidx. */
__attribute__((unused)) static struct packet *
fixture_video(struct router *r, uint32_t number, uint16_t seq, bool keyframe, int64_t now_us)
{
    uint8_t frame[40] = {0x90, 0xe0, 0x80, (uint8_t)seq, (uint8_t)seq, 0x20};
    frame[6] = keyframe ? 0x10 : 0x11;
    frame[9] = 0x9d;
    frame[10] = 0x01;
    frame[11] = 0x2a;
    frame[12] = 0x80; /* 640 × 480 */
    frame[13] = 0x02;
    frame[14] = 0xe0;
    frame[15] = 0x01;
    struct rtp_out o = {
        .pt = VIDEO_PT, .marker = true, .seq = seq, .ts = seq * 3000u, .ssrc = VIDEO_SSRC(number)};
    return fixture_parsed(r, &o, frame, sizeof frame, now_us);
}

/* Routes it and gives it back; returns how many slots it goes to, the first in *first. */
__attribute__((unused)) static size_t fixture_route(struct router *r, struct publisher *p,
                                                    struct packet *k, struct forward *first)
{
    size_t n;
    struct track *t;
    const struct forward *f = router_packet(r, p, k, &n, &t);
    if (first) {
        *first = n ? f[0] : (struct forward){0};
    }
    packet_unref(k);
    return n;
}

#endif
