/* A publisher of every codec with three simulcast streams told by RIDs, or one with layers inside,
 * and a viewer who reads what left for him as a receiver would. */
#ifndef SOTTO_TEST_LAYERS_FIXTURE_H
#define SOTTO_TEST_LAYERS_FIXTURE_H

#include <stdio.h>

#include "lib/proto/rtcp.h"
#include "tests/unit/lib/proto/dd_stream.h"
#include "tests/unit/sfu/core/room_fixture.h"

#define MID_ID      1
#define RID_ID      2
#define RRID_ID     3
#define DD_ID       9
#define DELAY_ID    10
#define TURN_ID     11
#define TICK_US     33333
#define SLOT_DD_ID  SDP_SLOT_EXT_DEPENDENCY_DESCRIPTOR
#define STREAM_SSRC 0x51000000u

static const char *const fixture_rids[] = {"q", "h", "f"};
static const uint8_t fixture_pts[CODECS] = {
    [CODEC_VP8] = 100, [CODEC_VP9] = 102, [CODEC_H264] = 104, [CODEC_AV1] = 106};

/* simulcast: RIDs in the order of `rids` (or NULL: "q", "h", "f"); else a single stream. */
static inline struct sdp_publish layers_sdp(bool simulcast, bool dd, const char *const *rids)
{
    static const enum codec codecs[] = {CODEC_VP8, CODEC_VP9, CODEC_H264, CODEC_AV1};
    struct sdp_publish p = {.n_tracks = 1};
    struct sdp_track *t = &p.track[0];
    *t = (struct sdp_track){.kind = SDP_VIDEO,
                            .source = SDP_SOURCE_CAMERA,
                            .mid = "v",
                            .sending = true,
                            .clock_rate = 90000,
                            .nack = true,
                            .pli = true};
    for (size_t i = 0; i < 4; i++) {
        uint8_t pt = fixture_pts[codecs[i]];
        t->codec[t->n_codecs++] =
            (struct sdp_agreed){.codec = codecs[i], .pt = pt, .rtx_pt = (uint8_t)(pt + 1)};
    }
    t->pt = t->codec[0].pt;
    t->ext.id[RTP_EXT_MID] = MID_ID;
    t->ext.id[RTP_EXT_RID] = RID_ID;
    t->ext.id[RTP_EXT_REPAIRED_RID] = RRID_ID;
    t->ext.id[RTP_EXT_PLAYOUT_DELAY] = DELAY_ID;
    t->ext.id[RTP_EXT_VIDEO_ORIENTATION] = TURN_ID;
    t->ext.id[RTP_EXT_DEPENDENCY_DESCRIPTOR] = dd ? DD_ID : 0;
    for (size_t i = 0; simulcast && i < 3; i++) {
        snprintf(t->rid[t->n_rids++], SDP_RID_LEN, "%s", (rids ? rids : fixture_rids)[i]);
        snprintf(t->layer[t->n_layers++].rid, SDP_RID_LEN, "%s", (rids ? rids : fixture_rids)[i]);
    }
    return p;
}

static inline struct publisher *layers_publisher(struct router *r, uint32_t number,
                                                 const struct sdp_publish *sdp)
{
    struct publisher *p;
    assert_int_equal(router_publish(r, &fixture_room, number, sdp, 0x78000000u, START_US, &p), OK);
    router_publisher_ready(r, p, START_US);
    return p;
}

/* Takes every codec but those in `refused` (SDP_CODEC bits), RTX and all extensions. */
static inline struct subscriber *layers_subscriber(struct router *r, uint32_t number,
                                                   uint32_t n_audio, uint32_t n_video,
                                                   uint32_t refused)
{
    static struct sdp_subscribe answer;
    struct subscriber *s;
    memset(&answer, 0, sizeof answer);
    assert_int_equal(router_subscribe(r, &fixture_room, number, n_audio, n_video,
                                      0x123456789abcdefu * number, START_US, &s),
                     OK);
    for (uint32_t i = 0; i < n_video; i++) {
        struct sdp_subscribed_slot *v = &answer.video[i];
        v->accepted = v->rtx = true;
        v->codecs = v->rtx_codecs = SDP_VIDEO_CODECS & ~refused;
        v->ext.id[RTP_EXT_MID] = SDP_SLOT_EXT_MID;
        v->ext.id[RTP_EXT_TRANSPORT_CC] = SDP_SLOT_EXT_TRANSPORT_CC;
        v->ext.id[RTP_EXT_ABS_SEND_TIME] = SDP_SLOT_EXT_ABS_SEND_TIME;
        v->ext.id[RTP_EXT_PLAYOUT_DELAY] = SDP_SLOT_EXT_PLAYOUT_DELAY;
        v->ext.id[RTP_EXT_VIDEO_ORIENTATION] = SDP_SLOT_EXT_VIDEO_ORIENTATION;
        v->ext.id[RTP_EXT_DEPENDENCY_DESCRIPTOR] = SLOT_DD_ID;
    }
    for (uint32_t i = 0; i < n_audio; i++) {
        answer.audio[i].accepted = true;
        answer.audio[i].codecs = SDP_AUDIO_CODECS & ~refused;
    }
    subscriber_answered(s, &answer);
    router_subscriber_ready(r, s, START_US);
    return s;
}

/* ---- packets ---- */

/* One stream as its encoder sees it. */
struct made_video {
    enum codec codec;
    const char *rid; /* NULL: none is said */
    uint32_t ssrc;
    uint16_t seq, picture, width, height;
    uint32_t ts;
    uint8_t tl0, phase;
    bool key_due;
};

static inline struct made_video made_video(enum codec codec, unsigned layer, bool rid)
{
    return (struct made_video){.codec = codec,
                               .rid = rid ? fixture_rids[layer] : NULL,
                               .ssrc = STREAM_SSRC + layer,
                               .seq = (uint16_t)(1000 * (layer + 1)),
                               .picture = (uint16_t)(500 * (layer + 1)),
                               .width = (uint16_t)(320u << layer),
                               .height = (uint16_t)(180u << layer),
                               .ts = 777777u * (layer + 1),
                               .key_due = true};
}

/* The VP8 descriptor with picture id, tl0picidx and layers T0 T2 T1 T2, and what a frame begins
 * with. */
static inline size_t made_vp8(struct made_video *v, bool key, uint8_t *out)
{
    static const uint8_t tids[] = {0, 2, 1, 2};
    uint8_t tid = tids[v->phase % 4];
    v->tl0 = (uint8_t)(v->tl0 + (tid == 0));
    uint8_t head[] = {0x90,
                      0xe0,
                      (uint8_t)(0x80 | (v->picture >> 8 & 0x7f)),
                      (uint8_t)v->picture,
                      v->tl0,
                      (uint8_t)(tid << 6 | (tid > 0) << 5),
                      key ? 0x10 : 0x11,
                      0,
                      0,
                      0x9d,
                      0x01,
                      0x2a,
                      (uint8_t)v->width,
                      (uint8_t)(v->width >> 8),
                      (uint8_t)v->height,
                      (uint8_t)(v->height >> 8)};
    memcpy(out, head, sizeof head);
    v->picture++;
    return sizeof head;
}

/* A parameter set of constrained baseline in a STAP-A with an IDR slice, or a slice. */
static inline size_t made_h264(bool key, uint8_t *out)
{
    static const uint8_t idr[] = {0x78, 0, 4, 0x68, 0xce, 0x3c, 0x80, 0, 5, 0x65, 0x88, 0x80, 1, 2};
    static const uint8_t slice[] = {0x61, 0xe0, 1, 2, 3, 4, 5, 6};
    memcpy(out, key ? idr : slice, key ? sizeof idr : sizeof slice);
    return key ? sizeof idr : sizeof slice;
}

/* The next picture of a simulcast stream, in one packet, of 120 bytes for VP8. */
static inline struct packet *made_packet(struct router *r, struct made_video *v, int64_t now_us)
{
    uint8_t payload[120] = {0};
    bool key = v->key_due;
    v->phase = key ? 0 : (uint8_t)(v->phase + 1);
    size_t n = v->codec == CODEC_VP8 ? made_vp8(v, key, payload) : made_h264(key, payload);
    assert_true(n <= sizeof payload);
    struct rtp_out o = {.pt = fixture_pts[v->codec],
                        .marker = true,
                        .seq = v->seq++,
                        .ts = v->ts,
                        .ssrc = v->ssrc,
                        .n_ext = v->rid ? 2 : 1,
                        .ext = {{.id = MID_ID, .len = 1, .data = (const uint8_t *)"v"},
                                {.id = RID_ID, .len = 1, .data = (const uint8_t *)v->rid}}};
    v->ts += 3000;
    v->key_due = false;
    return fixture_parsed(r, &o, payload, v->codec == CODEC_VP8 ? sizeof payload : n, now_us);
}

/* ---- a viewer ---- */

struct seen {
    size_t packets, keys, gaps, backward;
    uint16_t seq, picture;
    uint32_t ts;
    uint8_t pt;
    struct rtp_header h;
    uint8_t data[1500];
    struct codec_info info;
    struct dd_state dd_state;
    struct dd_frame dd;
    bool has_dd;
    uint64_t from[3]; /* packets by the height that their stream had, smallest first */
};

static inline void see_dd(struct seen *s)
{
    size_t len;
    const uint8_t *dd = rtp_ext_find(&s->h, s->data, SLOT_DD_ID, &len);
    s->has_dd = dd != NULL;
    if (dd) {
        assert_int_equal(dd_parse(&s->dd_state, &s->dd, dd, len), OK);
    }
}

/* One packet leaves: its numbers go on by one, its time never goes back. */
static inline void see(struct seen *s, const struct forward *f, struct packet *k, enum codec codec)
{
    size_t header_len;
    int len = slot_written(f->slot, k, &f->to, false, s->data, sizeof s->data, &header_len);
    assert_true(len > 0);
    assert_int_equal(rtp_parse(&s->h, s->data, (size_t)len), OK);
    assert_int_equal(s->h.payload_len, slot_payload_len(f->slot, k));
    if (s->packets > 0) {
        s->gaps += s->h.seq != (uint16_t)(s->seq + 1);
        s->backward += (int32_t)(s->h.ts - s->ts) < 0;
    }
    if (codec_parse(&s->info, codec, s->data + s->h.payload_off, s->h.payload_len) == OK) {
        if (codec == CODEC_VP8 && s->packets > 0) {
            assert_int_equal(s->info.picture_id, (s->picture + 1) & 0x7fff);
        }
        s->picture = s->info.picture_id;
        s->keys += s->info.keyframe;
    }
    s->seq = s->h.seq;
    s->ts = s->h.ts;
    s->pt = s->h.pt;
    s->packets++;
    see_dd(s);
}

/* Routes a packet, lets the (first) viewer see it, gives it back. */
static inline size_t show(struct router *r, struct publisher *p, struct packet *k, struct seen *s,
                          enum codec codec)
{
    size_t n;
    struct track *t;
    const struct forward *f = router_packet(r, p, k, &n, &t);
    if (n > 0 && s) {
        see(s, &f[0], k, codec);
        s->from[t->n_streams > 1 ? t->rank[k->stream] : 0]++;
    }
    packet_unref(k);
    return n;
}

/* What is asked of the publisher: keyframes come with the next picture. */
static inline void answer_requests(struct publisher *p, struct made_video *v, size_t n,
                                   int64_t now_us)
{
    uint8_t out[1200];
    struct publisher_feedback count = {0};
    struct rtcp_iter it;
    struct rtcp_packet packet;
    struct rtcp_feedback fb;
    size_t len;
    while ((len = publisher_poll(p, out, sizeof out, now_us, &count)) > 0) {
        rtcp_iter_init(&it, out, len);
        while (rtcp_next(&it, &packet) == 1) {
            if (packet.type == RTCP_PSFB && packet.count == RTCP_FMT_PLI &&
                rtcp_parse_pli(&fb, &packet) == OK) {
                for (size_t i = 0; i < n; i++) {
                    v[i].key_due |= v[i].ssrc == fb.media_ssrc;
                }
            }
        }
    }
}

/* So many pictures of all streams; returns the time after them. */
static inline int64_t play(struct router *r, struct publisher *p, struct made_video *v, size_t n,
                           int pictures, struct seen *s, int64_t now_us)
{
    for (int i = 0; i < pictures; i++, now_us += TICK_US) {
        for (size_t k = 0; k < n; k++) {
            show(r, p, made_packet(r, &v[k], now_us), s, v[k].codec);
        }
        answer_requests(p, v, n, now_us);
        if (i % 3 == 0) {
            router_tick(r, now_us);
        }
    }
    return now_us;
}

static inline void look(struct router *r, struct subscriber *s, uint32_t who, uint32_t max_height,
                        int64_t now_us)
{
    struct room_view view = {
        .slot = 0,
        .wish = {.participant = who, .source = SDP_SOURCE_CAMERA, .max_height = max_height}};
    assert_int_equal(router_view(r, s, &view, 1, now_us), OK);
}

#endif
