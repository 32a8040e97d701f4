/* What is found out of a packet, once, for all who get it. */
#include <string.h>

#include "lib/proto/red.h"
#include "lib/proto/vp9.h"
#include "sfu/core/publisher.h"
#include "sfu/core/track_private.h"

#define PASSED_MAX 16 /* bytes of an extension, but for the descriptor's and */
#define LAYERS_MAX                                                                                 \
    128 /* of the allocation of layers: Chromium's three streams with sizes take 33 */

/* ---- duplicates ---- */

static uint64_t *window_word(struct track_stream *s, int64_t ext_seq, uint64_t *bit)
{
    uint64_t at = (uint64_t)ext_seq % TRACK_WINDOW;
    *bit = UINT64_C(1) << (at % 64);
    return &s->seen[at / 64];
}

/* Each number goes on at most once, however often and by whatever stream it comes: a second packet
 * of the same number would leave under a nonce already used (RFC 7714 section 5). False for what
 * came before or is older than the window. `before` is the highest number until now. */
static bool is_fresh(struct track_stream *s, int64_t ext_seq, int64_t before)
{
    uint64_t bit;
    uint64_t *word;
    if (ext_seq <= before - TRACK_WINDOW) {
        return false;
    }
    if (ext_seq - before >= TRACK_WINDOW) {
        memset(s->seen, 0, sizeof s->seen);
    } else {
        for (int64_t n = before + 1; n <= ext_seq; n++) { /* these places held older numbers */
            word = window_word(s, n, &bit);
            *word &= ~bit;
        }
    }
    word = window_word(s, ext_seq, &bit);
    bool fresh = !(*word & bit);
    *word |= bit;
    return fresh;
}

/* ---- extensions and descriptors ---- */

static void find_extensions(const struct track *t, struct packet *k)
{
    const uint8_t *data = packet_data(k);
    const struct rtp_ext_map *ids = &t->publisher->ext;
    k->n_passed = 0;
    for (size_t i = 0; k->header.n_ext > 0 && i < PACKET_PASSED; i++) {
        enum rtp_ext_kind kind = packet_passed_kind[i];
        size_t len = 0;
        const uint8_t *value = rtp_ext_find(&k->header, data, ids->id[kind], &len);
        bool fits = kind == RTP_EXT_DEPENDENCY_DESCRIPTOR ||
                    len <= (kind == RTP_EXT_VIDEO_LAYERS ? LAYERS_MAX : PASSED_MAX);
        if (value && len > 0 && fits) {
            k->passed[k->n_passed++] = (struct packet_ext){
                .kind = (uint8_t)kind, .len = (uint8_t)len, .off = (uint16_t)(value - data)};
        }
    }
}

/* The descriptor is the last of them, where it is there. True when it is, read or not. */
static bool read_dd(struct track_stream *s, struct packet *k)
{
    k->has_dd = false;
    const struct packet_ext *e = k->n_passed ? &k->passed[k->n_passed - 1] : NULL;
    if (!s->dd || !e || e->kind != RTP_EXT_DEPENDENCY_DESCRIPTOR) {
        return false;
    }
    k->has_dd = dd_parse(s->dd, &k->dd, packet_data(k) + e->off, e->len) == 0;
    return true;
}

static void describe_video(struct track_stream *s, struct packet *k, struct layers_packet *p)
{
    bool described = read_dd(s, k);
    k->has_info = codec_parse(&k->info, k->codec, packet_data(k) + k->header.payload_off,
                              k->header.payload_len) == 0;
    /* Beside a descriptor that can't be read the payload may as well be cipher text. */
    p->info = k->has_info && (k->has_dd || !described) ? &k->info : NULL;
    p->dd = k->has_dd ? &k->dd : NULL;
    p->structure = k->has_dd ? &s->dd->structure : NULL;
}

/* ---- pictures ---- */

static void note_vp9_sizes(struct track_stream *s, struct packet *k)
{
    struct vp9_descriptor d;
    struct vp9_structure st;
    const uint8_t *payload = packet_data(k) + k->header.payload_off;
    if (k->codec != CODEC_VP9 || k->info.n_spatial < 2 ||
        vp9_parse(&d, payload, k->header.payload_len) != 0 ||
        vp9_structure_read(&st, &d, payload, k->header.payload_len) != 0) {
        return;
    }
    for (unsigned i = 0; i < TRACK_SPATIAL; i++) {
        bool told = st.has_sizes && i < st.n_spatial;
        s->layer_width[i] = told ? st.width[i] : 0;
        s->layer_height[i] = told ? st.height[i] : 0;
    }
}

static bool note_dd_sizes(struct track_stream *s, const struct packet *k, uint16_t *width,
                          uint16_t *height)
{
    const struct dd_structure *st = k->has_dd ? &s->dd->structure : NULL;
    if (!st || !k->dd.structure_attached || !st->has_resolutions || st->n_spatial == 0) {
        return false;
    }
    for (unsigned i = 0; i < TRACK_SPATIAL; i++) {
        s->layer_width[i] = i < st->n_spatial ? st->width[i] : 0;
        s->layer_height[i] = i < st->n_spatial ? st->height[i] : 0;
    }
    *width = st->width[st->n_spatial - 1];
    *height = st->height[st->n_spatial - 1];
    return true;
}

/* What a payload says is believed where it isn't known to be no keyframe: it may be cipher text. */
static bool note_size(struct track *t, struct track_stream *s, struct packet *k)
{
    bool told = k->has_info && (!k->has_dd || k->dd.keyframe);
    uint16_t width = told ? k->info.width : 0, height = told ? k->info.height : 0;
    if (!note_dd_sizes(s, k, &width, &height) && told) {
        note_vp9_sizes(s, k);
    }
    if (!width || (width == s->width && height == s->height)) {
        return false;
    }
    track_resize(t, s, width, height);
    return true;
}

static void note_picture(struct track_stream *s, const struct packet *k, struct track_packet *out)
{
    const struct layers_packet *p = &out->layers;
    uint8_t sid = p->dd ? p->dd->sid : p->info ? p->info->sid : 0;
    uint8_t tid = p->dd ? p->dd->tid : p->info ? p->info->tid : 0;
    meter_packet(&s->meter, sid, tid, k->header.payload_len, p->new_picture, p->now_us);
    out->keyframe = layers_is_key(p);
    if (p->new_picture) {
        counters_frame(&s->counters, out->keyframe, p->now_us);
    }
    if (out->keyframe) {
        pli_keyframe(&s->pli, p->now_us);
        nack_keyframe(&s->nack, layers_key_from(p));
    }
}

static void take_video(struct track *t, struct track_stream *s, struct packet *k,
                       struct track_packet *out)
{
    struct layers_packet *p = &out->layers;
    *p = (struct layers_packet){.stream = t->rank[k->stream],
                                .marker = k->header.marker,
                                .codec = k->codec,
                                .ts = k->header.ts,
                                .ext_seq = k->ext_seq,
                                .now_us = k->arrival_us};
    describe_video(s, k, p);
    if ((p->info || p->dd) && note_size(t, s, k)) {
        out->woke = true;
        p->stream = t->rank[k->stream];
    }
    layers_track_input(&t->layers, p);
    out->plain = !p->late && !p->resync && !k->has_dd;
    note_picture(s, k, out);
    rtx_cache_put(s->cache, k);
    if (s->nack.keyframe_wanted) {
        s->nack.keyframe_wanted = false;
        pli_request(&s->pli, k->arrival_us);
    }
}

/* ---- input ---- */

static bool take_number(struct track *t, struct track_stream *s, struct packet *k,
                        bool retransmitted)
{
    int64_t before = s->unwrap.started ? s->unwrap.highest : INT64_MIN / 2;
    k->ext_seq = rtp_unwrap_seq(&s->unwrap, k->header.seq);
    if (!is_fresh(s, k->ext_seq, before)) {
        s->stats.duplicates_or_late++;
        return false;
    }
    if (retransmitted) {
        counters_add(&s->counters, COUNTER_RETRANSMITS, 1);
        counters_add(&s->counters, COUNTER_RETRANSMIT_BYTES, k->header.payload_len);
    } else {
        rtp_stats_input(&s->stats, k->ext_seq, k->header.ts, k->header.payload_len, k->arrival_us);
    }
    if (t->sdp.nack) {
        nack_received(&s->nack, k->ext_seq, k->arrival_us);
    }
    t->last_us = s->counters.last_us = k->arrival_us;
    return true;
}

static bool take_codec(const struct track *t, struct packet *k)
{
    bool rtx;
    const struct sdp_agreed *a = track_agreed(t, k->header.pt, &rtx);
    k->codec = (uint8_t)(a ? a->codec : CODEC_NONE);
    k->red_off = 0;
    if (k->codec == CODEC_RED) {
        k->red_off = red_primary(packet_data(k) + k->header.payload_off, k->header.payload_len);
        return k->red_off > 0;
    }
    return k->codec != CODEC_NONE;
}

static void describe(const struct track *t, const struct packet *k, struct track_packet *out)
{
    out->rewriter = (struct rewriter_packet){.source = t->source + k->stream,
                                             .ts = k->header.ts,
                                             .ext_seq = k->ext_seq,
                                             .now_us = k->arrival_us,
                                             .codec = k->codec};
}

void track_input(struct track *t, struct packet *k, bool retransmitted, struct track_packet *out)
{
    struct track_stream *s = &t->stream[k->stream < t->n_streams ? k->stream : 0];
    bool video = t->sdp.kind == SDP_VIDEO;
    out->verdict = TRACK_DROP;
    out->woke = out->keyframe = false;
    k->has_info = k->has_dd = false;
    if (!take_number(t, s, k, retransmitted)) {
        return;
    }
    bool empty = k->header.payload_len == 0;
    if (!empty && !take_codec(t, k)) {
        counters_add(&s->counters, COUNTER_DROPPED, 1);
        return;
    }
    describe(t, k, out);
    if (empty) {
        out->verdict = TRACK_PADDING;
        return;
    }
    out->verdict = TRACK_FORWARD;
    out->woke = !t->live;
    t->live = true;
    k->csrc = t->publisher->number;
    find_extensions(t, k);
    if (!video) {
        return;
    }
    if (out->woke) {
        pli_wake(&s->pli, k->arrival_us);
    }
    take_video(t, s, k, out);
    out->rewriter.info = k->has_info ? &k->info : NULL;
    out->rewriter.dd = k->has_dd ? &k->dd : NULL;
}
