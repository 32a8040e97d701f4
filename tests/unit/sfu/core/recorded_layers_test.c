/* Layer switches on what a real Chromium sent: simulcast of VP8 and AV1, SVC of VP9 and AV1, played
 * through the router to a viewer whose choice changes at random. In three ways: with everything
 * there is, with a payload that can't be read (end-to-end encryption: the descriptor alone), and
 * without the descriptor (the payload alone). What left is judged by the recorded references. */
#include "layers_fixture.h"
#include "recorded.h"

enum way { CLEAR, BLIND, PLAIN };

#define OUT_MAX RECORDED_PACKETS

struct left {
    int in; /* place in the recording */
    int stay;
    uint16_t seq, picture, frame;
    uint32_t ts;
    uint8_t tl0;
    bool marker;
};

struct scene {
    struct recorded rec;
    enum codec codec;
    enum way way;
    bool lossy;
    bool apart; /* spatial layers refer to each other in keyframes only */
    struct router *r;
    struct publisher *p;
    struct subscriber *s;
    struct allocator_choice choice;
    struct layers_target most[RECORDED_STREAMS]; /* the slot's aim during the newest picture */
    uint32_t begun_ts[RECORDED_STREAMS];
    int n_out, stay, n_lost;
    bool lost[RECORDED_PACKETS], sent[RECORDED_PACKETS];
    struct left out[OUT_MAX];
    uint64_t of_sid[3], of_tid[3], of_stream[3];
};

static struct scene scene;

static const struct recording {
    const char *name;
    enum codec codec;
    uint8_t pt;
} recordings[] = {
    {"vp8_without_dd", CODEC_VP8, 96}, {"vp8_simulcast", CODEC_VP8, 96},
    {"vp9_l3t3_key", CODEC_VP9, 98},   {"vp9_l3t3", CODEC_VP9, 98},
    {"av1_l3t3_key", CODEC_AV1, 45},   {"av1_l3t3", CODEC_AV1, 45},
    {"av1_simulcast", CODEC_AV1, 45},
};
#define RECORDINGS      (sizeof recordings / sizeof recordings[0])
#define FIRST_WITH_DD   1
#define FIRST_OF_DD_VP9 2

static void open_scene(struct scene *c, const struct recording *of, enum way way, unsigned seed,
                       bool lossy)
{
    memset(c, 0, sizeof *c);
    srand(seed);
    recorded_read(&c->rec, of->name);
    c->codec = of->codec;
    c->way = way;
    c->lossy = lossy;
    c->apart = strstr(of->name, "_key") != NULL;
    c->r = fixture_router(2048);
    struct sdp_publish sdp = layers_sdp(c->rec.n_streams > 1, way != PLAIN, NULL);
    struct sdp_track *t = &sdp.track[0];
    t->n_codecs = 1;
    t->codec[0] =
        (struct sdp_agreed){.codec = of->codec, .pt = of->pt, .rtx_pt = (uint8_t)(of->pt + 1)};
    t->pt = of->pt;
    t->ext = (struct rtp_ext_map){0};
    t->ext.id[RTP_EXT_DEPENDENCY_DESCRIPTOR] = way == PLAIN ? 0 : RECORDED_DD;
    for (unsigned i = 0; i < c->rec.n_streams; i++) {
        if (c->rec.n_streams > 1) {
            t->layer[i].ssrc = c->rec.ssrc[i];
        } else {
            t->ssrc = c->rec.ssrc[i];
        }
    }
    c->p = layers_publisher(c->r, 1, &sdp);
    c->s = layers_subscriber(c->r, 2, 0, 1, 0);
    c->choice = (struct allocator_choice){.state = ALLOCATOR_SENT, .sid = 2, .tid = 2};
    subscriber_apply(c->s, &c->choice, START_US);
}

/* Another choice now and then. */
static void choose(struct scene *c, int64_t now_us)
{
    struct allocator_choice next = c->choice;
    if (rand() % 60) {
        return;
    }
    next.sid = (uint8_t)(rand() % 3);
    next.tid = (uint8_t)(rand() % 3);
    c->choice = next;
    subscriber_apply(c->s, &c->choice, now_us);
}

/* The descriptor as the viewer sees it; it isn't there where it wasn't agreed. */
static void read_frame_number(const struct scene *c, const struct rtp_header *h,
                              const uint8_t *data, struct left *o)
{
    size_t len;
    const uint8_t *dd = rtp_ext_find(h, data, SLOT_DD_ID, &len);
    assert_int_equal(dd != NULL, c->way != PLAIN);
    o->frame = dd ? (uint16_t)(dd[1] << 8 | dd[2]) : 0;
}

/* Less is there with the next picture; but where spatial layers don't build on each other a lower
 * one, which wasn't forwarded, begins with a keyframe. */
static void check_less(const struct scene *c, const struct recorded_packet *p)
{
    if (!c->lossy && (!c->apart || c->way == PLAIN)) {
        assert_true(p->tid <= c->most[p->stream].tid && p->sid <= c->most[p->stream].sid);
    }
}

static void note_out(struct scene *c, int in, const struct forward *f, struct packet *k)
{
    uint8_t data[1700];
    size_t header_len;
    struct rtp_header h;
    struct codec_info info = {0};
    const struct recorded_packet *p = &c->rec.packet[in];
    struct left *o = &c->out[c->n_out];
    int len = slot_written(f->slot, k, &f->to, false, data, sizeof data, &header_len);
    assert_true(len > 0 && rtp_parse(&h, data, (size_t)len) == OK);
    assert_int_equal(h.payload_len, k->header.payload_len);
    if (c->way != BLIND) {
        codec_parse(&info, c->codec, data + h.payload_off, h.payload_len);
    }
    bool another = c->n_out == 0 || c->rec.packet[c->out[c->n_out - 1].in].stream != p->stream;
    c->stay += another;
    if (another) { /* a stream begins with the beginning of a keyframe, and nothing else */
        assert_true(p->keyframe && p->first && p->sid == 0);
    }
    check_less(c, p);
    *o = (struct left){.in = in,
                       .stay = c->stay,
                       .seq = h.seq,
                       .ts = h.ts,
                       .marker = h.marker,
                       .picture = info.picture_id,
                       .tl0 = info.tl0picidx};
    read_frame_number(c, &h, data, o);
    c->sent[in] = true;
    c->of_sid[p->sid]++;
    c->of_tid[p->tid]++;
    c->of_stream[p->stream]++;
    c->n_out++;
}

static void play_one(struct scene *c, int in)
{
    const struct recorded_packet *p = &c->rec.packet[in];
    struct packet *k = packet_alloc(router_pool(c->r));
    struct track *t;
    size_t n;
    assert_non_null(k);
    k->len = (uint16_t)recorded_bytes(p, c->way == BLIND, packet_data(k));
    k->arrival_us = START_US + p->at_us;
    assert_int_equal(rtp_parse(&k->header, packet_data(k), k->len), OK);
    const struct forward *f = router_packet(c->r, c->p, k, &n, &t);
    assert_true(n <= 1 && t);
    if (n) {
        note_out(c, in, &f[0], k);
    }
    packet_unref(k);
}

static void note_aim(struct scene *c, const struct recorded_packet *p)
{
    const struct layers_target *now = &subscriber_video(c->s, 0)->layers.target;
    struct layers_target *most = &c->most[p->stream];
    if (c->begun_ts[p->stream] != p->ts) {
        c->begun_ts[p->stream] = p->ts;
        *most = *now;
    }
    most->sid = now->sid > most->sid ? now->sid : most->sid;
    most->tid = now->tid > most->tid ? now->tid : most->tid;
}

static void play_all(struct scene *c)
{
    struct publisher_feedback count = {0};
    uint8_t rtcp[1200];
    int64_t tick_us = START_US;
    for (int i = 0; i < c->rec.n; i++) {
        int64_t now_us = START_US + c->rec.packet[i].at_us;
        for (; tick_us <= now_us; tick_us += ROUTER_TICK_US) {
            router_tick(c->r, tick_us);
            subscriber_apply(c->s, &c->choice, tick_us); /* as the shell does, each time */
            while (publisher_poll(c->p, rtcp, sizeof rtcp, tick_us, &count) > 0) {
            }
        }
        choose(c, now_us);
        note_aim(c, &c->rec.packet[i]);
        if (c->lossy && rand() % 50 == 0) {
            c->lost[i] = true;
            c->n_lost++;
            continue;
        }
        play_one(c, i);
    }
}

/* ---- what must be true of it ---- */

/* The frame's place in the recording: its first packet; -1: it isn't in it. */
static int place_of(const struct scene *c, uint8_t stream, int64_t frame, int before)
{
    for (int i = before; i >= 0; i--) {
        const struct recorded_packet *p = &c->rec.packet[i];
        if (p->stream == stream && p->frame == frame && p->first) {
            return i;
        }
    }
    return -1;
}

/* All of the frame that came was sent; *came tells whether all of it came. */
static bool whole(const struct scene *c, int at, bool *came)
{
    const struct recorded_packet *p = &c->rec.packet[at];
    *came = true;
    for (int i = at; i < c->rec.n && i < at + 400; i++) {
        const struct recorded_packet *q = &c->rec.packet[i];
        if (q->stream != p->stream || q->frame != p->frame) {
            continue;
        }
        *came = *came && !c->lost[i];
        if (!c->lost[i] && !c->sent[i]) {
            return false;
        }
        if (q->last) {
            break;
        }
    }
    return true;
}

/* Every frame that left can be decoded: it is whole, and what it refers to left in the same stay.
 * What was lost on its way to us is lost to the viewer too; the frames that need it are not. */
static void check_decodable(const struct scene *c)
{
    for (int i = 0; i < c->n_out; i++) {
        const struct left *o = &c->out[i];
        const struct recorded_packet *p = &c->rec.packet[o->in];
        bool came;
        if (i + 30 < c->n_out && p->first && o->stay == c->out[i + 30].stay) {
            assert_true(whole(c, o->in, &came));
        }
        for (int k = 0; k < p->n_refs; k++) {
            int at = place_of(c, p->stream, p->ref[k], o->in);
            if (at < 0 || (c->lossy && (c->lost[at] || !whole(c, at, &came) || !came))) {
                assert_true(c->lossy);
                continue;
            }
            if (!c->sent[at]) {
                fail_msg("frame %d (sid %d tid %d, stay %d) without %d (sid %d tid %d)",
                         (int)p->frame, p->sid, p->tid, o->stay, (int)p->ref[k],
                         c->rec.packet[at].sid, c->rec.packet[at].tid);
            }
        }
    }
}

/* One stay's frames refer to nothing from before it. */
static void check_stays(const struct scene *c)
{
    int64_t first = 0;
    for (int i = 0; i < c->n_out; i++) {
        const struct recorded_packet *p = &c->rec.packet[c->out[i].in];
        if (i == 0 || c->out[i].stay != c->out[i - 1].stay) {
            first = p->frame;
        }
        for (int k = 0; k < p->n_refs; k++) {
            assert_true(p->ref[k] >= first);
        }
    }
}

static void check_numbers(const struct scene *c)
{
    int64_t holes = 0;
    for (int i = 1; i < c->n_out; i++) {
        const struct left *o = &c->out[i], *b = o - 1;
        const struct recorded_packet *p = &c->rec.packet[o->in], *q = &c->rec.packet[b->in];
        bool same_picture = o->stay == b->stay && p->ts == q->ts;
        int16_t step = (int16_t)(o->seq - b->seq);
        assert_true(step > 0);
        holes += step - 1;
        assert_true(same_picture ? o->ts == b->ts : (int32_t)(o->ts - b->ts) > 0);
        /* A higher layer may be taken up behind what was to be the picture's last packet. */
        bool up = same_picture && p->first && p->sid > q->sid;
        if (!c->lossy && !up) {
            assert_int_equal(b->marker, !same_picture && (o->stay == b->stay || q->last));
        }
        if (c->way != PLAIN && o->stay == b->stay) { /* differences are counted in them */
            assert_int_equal((uint16_t)(o->frame - b->frame), (uint16_t)(p->frame - q->frame));
        } else if (c->way != PLAIN) {
            assert_int_equal((uint16_t)(o->frame - b->frame), 1);
        }
    }
    if (!c->lossy) {
        assert_int_equal(holes, 0);
    } else {
        assert_in_range(holes, 0, c->n_lost + 64 * c->stay);
    }
}

/* VP8's picture ids have no holes, tl0picidx counts base pictures (RFC 7741 section 4.2). VP9's
 * keep their distances. */
static void check_picture_ids(const struct scene *c)
{
    for (int i = 1; i < c->n_out && c->way != BLIND && !c->lossy; i++) {
        const struct left *o = &c->out[i], *b = o - 1;
        const struct recorded_packet *p = &c->rec.packet[o->in];
        bool same = o->ts == b->ts;
        int step = (o->picture - b->picture) & 0x7fff;
        if (c->codec == CODEC_VP8 && c->way == PLAIN) {
            assert_int_equal(step, same ? 0 : 1);
            assert_int_equal((uint8_t)(o->tl0 - b->tl0), !same && p->tid == 0);
        } else if (c->codec == CODEC_VP9) {
            assert_true(same ? step == 0 : step > 0 && step < 20);
        }
    }
}

/* The timestamps that left keep the recording's time across all switches. */
static void check_clock(const struct scene *c)
{
    for (int i = 1; i < c->n_out; i++) {
        const struct left *o = &c->out[i];
        int64_t in_us = c->rec.packet[o->in].at_us - c->rec.packet[c->out[0].in].at_us;
        int64_t out_us = (int64_t)(int32_t)(o->ts - c->out[0].ts) * 100 / 9;
        assert_in_range(out_us - in_us + 200000, 0, 400000);
    }
}

static void check(struct scene *c)
{
    check_decodable(c);
    check_stays(c);
    check_numbers(c);
    check_picture_ids(c);
    check_clock(c);
}

/* ---- tests ---- */

static void walk(const struct recording *of, enum way way)
{
    uint64_t of_sid[3] = {0}, of_tid[3] = {0}, of_stream[3] = {0};
    int switches = 0, out = 0, in = 0;
    for (unsigned seed = 1; seed <= 12; seed++) {
        struct scene *c = &scene;
        open_scene(c, of, way, seed, seed > 8);
        play_all(c);
        check(c);
        for (int i = 0; i < 3; i++) {
            of_sid[i] += c->of_sid[i];
            of_tid[i] += c->of_tid[i];
            of_stream[i] += c->of_stream[i];
        }
        switches += c->stay;
        out += c->n_out;
        in += c->rec.n;
        router_free(c->r);
    }
    print_message("%s, way %d: %d of %d packets, %d stays; sid %d %d %d, tid %d %d %d\n", of->name,
                  way, out, in, switches, (int)of_sid[0], (int)of_sid[1], (int)of_sid[2],
                  (int)of_tid[0], (int)of_tid[1], (int)of_tid[2]);
    assert_true(out > in / 5 && out < in * 3 / 4);
    bool simulcast = scene.rec.n_streams > 1;
    for (int i = 0; i < 3; i++) {
        assert_true(of_tid[i] > 100 && (simulcast ? of_stream[i] : of_sid[i]) > 100);
    }
    assert_true(!simulcast || switches > 40);
}

static void everything_is_there(void **state)
{
    (void)state;
    for (size_t i = FIRST_WITH_DD; i < RECORDINGS; i++) {
        walk(&recordings[i], CLEAR);
    }
}

static void the_descriptor_alone(void **state)
{
    (void)state;
    for (size_t i = FIRST_WITH_DD; i < RECORDINGS; i++) {
        walk(&recordings[i], BLIND);
    }
}

/* VP8 has picture ids only where the descriptor isn't agreed; AV1 has no layers that could be read
 * without. */
static void the_payload_alone(void **state)
{
    (void)state;
    walk(&recordings[0], PLAIN);
    walk(&recordings[FIRST_OF_DD_VP9], PLAIN);
    walk(&recordings[FIRST_OF_DD_VP9 + 1], PLAIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_there),
        cmocka_unit_test(the_descriptor_alone),
        cmocka_unit_test(the_payload_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
