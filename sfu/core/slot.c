#include "sfu/core/slot.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "sfu/core/publisher.h"
#include "sfu/core/subscriber.h"

#define OPUS_CLOCK  48000
#define VIDEO_CLOCK 90000

static const char *const reasons[] = {
    [SLOT_SENT] = "sent",         [SLOT_EMPTY] = "empty",       [SLOT_REFUSED] = "refused",
    [SLOT_SILENT] = "silent",     [SLOT_CODEC] = "codec",       [SLOT_BANDWIDTH] = "bandwidth",
    [SLOT_OVERLOAD] = "overload", [SLOT_UNWANTED] = "unwanted",
};

_Static_assert(offsetof(struct slot, rtx_pt) == FETCH_LINE, "each for its lines");
_Static_assert(offsetof(struct slot, rewriter) == 2 * FETCH_LINE, "each for its lines");
_Static_assert(offsetof(struct slot, layers) == 4 * FETCH_LINE, "each for its lines");

const char *slot_reason_name(enum slot_reason r)
{
    return (unsigned)r < sizeof reasons / sizeof reasons[0] ? reasons[r] : "";
}

void slot_init(struct slot *s, struct subscriber *sub, enum sdp_kind kind, uint32_t index,
               uint32_t ssrc, uint32_t rtx_ssrc, uint64_t random)
{
    static const struct layers_target all = {
        .stream = TRACK_STREAMS - 1, .sid = LAYERS_ALL, .tid = LAYERS_ALL};
    *s = (struct slot){.subscriber = sub,
                       .kind = (uint8_t)kind,
                       .index = index,
                       .ssrc = ssrc,
                       .rtx_ssrc = rtx_ssrc,
                       .rtt_us = -1};
    sdp_slot_mid(s->mid, kind, index);
    s->mid_len = (uint8_t)strlen(s->mid);
    s->rtx_seq = (uint16_t)((random >> 16) & 0x7fff);
    rewriter_init(&s->rewriter, NULL, kind == SDP_AUDIO ? OPUS_CLOCK : VIDEO_CLOCK,
                  (uint16_t)(random & 0x7fff), (uint32_t)(random >> 32));
    layers_init(&s->layers);
    s->layers.target = all;
    counters_init(&s->counters);
}

void slot_end(struct slot *s)
{
    free(s->rewriter.past);
    s->rewriter.past = NULL;
}

/* ---- what it is fed with ---- */

void slot_restart(struct slot *s)
{
    rewriter_detach(&s->rewriter);
    layers_reset(&s->layers);
    s->plain = false;
}

/* Most slots of most viewers never carry anything. */
static bool feed(struct slot *s, struct track *t)
{
    if (!s->rewriter.past) {
        s->rewriter.past = malloc(sizeof *s->rewriter.past);
    }
    s->user = s->subscriber->user;
    return s->rewriter.past && track_feed(t, s) == OK;
}

void slot_set_track(struct slot *s, struct track *t, int64_t now_us)
{
    if (s->track == t) {
        return;
    }
    if (s->track) {
        track_unfeed(s->track, s);
        slot_restart(s);
    }
    t = t && feed(s, t) ? t : NULL;
    s->track = t;
    s->codec = CODEC_NONE;
    s->counters.frame_us = 0;
    counters_layer(&s->counters, COUNTERS_NONE, COUNTERS_NONE);
    if (t) {
        slot_fit(s, now_us);
        slot_request_keyframe(s, now_us);
    }
}

void slot_aim(struct slot *s, const struct layers_target *target, int64_t now_us)
{
    static const struct layers_track none;
    const struct layers_track *of = s->track ? &s->track->layers : &none;
    const struct layers_target *was = &s->layers.target;
    if (target->paused == was->paused && target->stream == was->stream && target->sid == was->sid &&
        target->tid == was->tid) {
        return;
    }
    if (target->paused && !was->paused) {
        rewriter_detach(&s->rewriter);
    }
    int stream = layers_set_target(&s->layers, of, target, now_us);
    s->plain = false;
    if (s->track && stream >= 0) {
        track_request_stream(s->track, (unsigned)stream, now_us);
    }
}

void slot_fit(struct slot *s, int64_t now_us)
{
    if (s->kind == SDP_VIDEO && s->track && !s->subscriber->decided) {
        struct layers_target target = track_fit(s->track, s->wish.max_height);
        slot_aim(s, &target, now_us);
    }
}

void slot_request_keyframe(struct slot *s, int64_t now_us)
{
    if (!s->track || s->layers.target.paused) {
        return;
    }
    int stream =
        s->layers.current >= 0 ? s->layers.current : layers_wanted(&s->layers, &s->track->layers);
    if (stream >= 0) {
        track_request_stream(s->track, (unsigned)stream, now_us);
    } else {
        track_request_keyframe(s->track, now_us);
    }
}

/* ---- mapping ---- */

/* Another codec than before: of one that isn't agreed nothing is sent, and what comes behind it
 * begins with a keyframe. */
static void change_codec(struct slot *s, enum codec codec)
{
    bool had = s->codec == CODEC_NONE || s->pt[s->codec];
    s->codec = (uint8_t)codec;
    if (had != (s->pt[codec] != 0)) {
        s->subscriber->slots_changed = true;
        slot_restart(s);
    }
}

static void note_sent(struct slot *s, const struct packet *k, const struct rewritten *to,
                      uint32_t source)
{
    s->last_us = k->arrival_us;
    s->last_ts = to->ts;
    s->last_source = source;
    s->packets++;
    s->octets += k->header.payload_len;
}

/* Whether the clock of the stream shown before and that of the next are one (both of this track),
 * and how far they are apart. */
static void sync_clocks(const struct slot *s, const struct packet *k, struct rewriter_packet *p)
{
    const struct track *t = s->track;
    uint32_t was = s->last_source - t->source;
    if (s->last_us && was < t->n_streams && was != k->stream) {
        p->synced = rewriter_ts_distance(&t->stream[was].sr, &t->stream[k->stream].sr,
                                         s->rewriter.clock_rate, &p->ts_distance);
    }
}

static void note_switch(struct slot *s)
{
    uint8_t stream, sid, tid;
    if (layers_selected(&s->layers, &stream, &sid, &tid)) {
        s->told_sid = sid;
        s->subscriber->slots_changed = true;
    }
}

static bool map_forwarded(struct slot *s, const struct packet *k, const struct track_packet *p,
                          const struct layers_verdict *v, struct rewritten *to)
{
    struct rewriter_packet rp = p->rewriter;
    rp.late = v->late;
    rp.from_seq = v->from_seq;
    if (v->switched) {
        sync_clocks(s, k, &rp);
    }
    if (rewriter_map_packet(&s->rewriter, &rp, to)) {
        return false;
    }
    to->marker = v->marker;
    to->set_targets = v->set_targets;
    to->targets = v->targets;
    if (v->switched || s->layers.era[0].sid != s->told_sid) {
        note_switch(s);
    }
    return true;
}

/* The way of a packet that the layer selector has to judge. */
static bool map_layers(struct slot *s, const struct packet *k, const struct track_packet *p,
                       struct rewritten *to)
{
    struct track *t = s->track;
    struct layers_verdict v;
    layers_input(&s->layers, &t->layers, &p->layers, &v);
    s->plain = t->n_streams == 1 && !k->has_dd && layers_take_all(&s->layers);
    if (v.keyframe_stream >= 0) {
        track_request_stream(t, (unsigned)v.keyframe_stream, p->layers.now_us);
    }
    if (v.action == LAYERS_SKIP) {
        rewriter_skip_packet(&s->rewriter, &p->rewriter, v.skip_from);
        return false;
    }
    return v.action == LAYERS_FORWARD && map_forwarded(s, k, p, &v, to);
}

static bool map_video(struct slot *s, const struct packet *k, const struct track_packet *p,
                      struct rewritten *to)
{
    if (s->plain && p->plain) {
        if (rewriter_map_packet(&s->rewriter, &p->rewriter, to)) {
            return false;
        }
        to->marker = k->header.marker;
    } else if (!map_layers(s, k, p, to)) {
        return false;
    }
    if (p->layers.new_picture) {
        counters_frame(&s->counters, p->keyframe, k->arrival_us);
    }
    return true;
}

bool slot_map(struct slot *s, const struct packet *k, const struct track_packet *p,
              struct rewritten *to)
{
    if (!s->accepted) {
        return false;
    }
    if (k->codec != s->codec) {
        change_codec(s, k->codec);
    }
    if (!s->pt[k->codec]) {
        return false;
    }
    if (s->kind == SDP_VIDEO) {
        if (!map_video(s, k, p, to)) {
            return false;
        }
    } else {
        if (rewriter_map_packet(&s->rewriter, &p->rewriter, to)) {
            return false;
        }
        to->marker = k->header.marker || to->switched;
    }
    note_sent(s, k, to, p->rewriter.source);
    return true;
}

bool slot_map_again(struct slot *s, const struct packet *k, uint16_t seq, struct rewritten *to)
{
    struct rewriter_packet rp = {.ts = k->header.ts,
                                 .codec = k->codec,
                                 .info = k->has_info ? &k->info : NULL,
                                 .dd = k->has_dd ? &k->dd : NULL};
    struct layers_packet lp = {.stream = s->track->rank[k->stream],
                               .marker = k->header.marker,
                               .codec = k->codec,
                               .ts = k->header.ts,
                               .ext_seq = k->ext_seq,
                               .info = rp.info,
                               .dd = rp.dd};
    struct layers_verdict v;
    if (!s->rtx_pt[k->codec] || rewriter_remap_packet(&s->rewriter, seq, &rp, to)) {
        return false;
    }
    layers_again(&s->layers, &lp, &v);
    to->marker = v.marker;
    to->set_targets = v.set_targets;
    to->targets = v.targets;
    return true;
}

/* ---- telling ---- */

static enum slot_reason reason_of(const struct slot *s)
{
    static const enum slot_reason of[] = {[ALLOCATOR_SENT] = SLOT_SENT,
                                          [ALLOCATOR_OFF] = SLOT_UNWANTED,
                                          [ALLOCATOR_NO_LAYER] = SLOT_SILENT,
                                          [ALLOCATOR_BANDWIDTH] = SLOT_BANDWIDTH,
                                          [ALLOCATOR_OVERLOAD] = SLOT_OVERLOAD};
    if (!s->track) {
        return SLOT_EMPTY;
    }
    if (!s->accepted) {
        return SLOT_REFUSED;
    }
    if (!s->track->live) {
        return SLOT_SILENT;
    }
    if (s->codec != CODEC_NONE && !s->pt[s->codec]) {
        return SLOT_CODEC;
    }
    return s->paused ? of[s->state] : SLOT_SENT;
}

void slot_tell(const struct slot *s, struct slot_told *out)
{
    uint8_t stream = 0, sid = LAYERS_ALL, tid;
    *out = (struct slot_told){.reason = reason_of(s), .stream = -1, .sid = -1};
    if (!s->track || s->kind != SDP_VIDEO) {
        return; /* silence is no pause */
    }
    out->paused = out->reason != SLOT_SENT;
    if (!layers_selected(&s->layers, &stream, &sid, &tid)) {
        int wanted = layers_wanted(&s->layers, &s->track->layers);
        stream = (uint8_t)(wanted >= 0 ? wanted : s->track->n_streams - 1);
    } else {
        out->stream = (int8_t)stream;
        out->sid = (int8_t)(sid < TRACK_SPATIAL ? sid : TRACK_SPATIAL - 1);
    }
    track_size(s->track, stream, sid, &out->width, &out->height);
}

void slot_counters(const struct slot *s, struct counters *out)
{
    uint8_t stream, sid, tid;
    *out = s->counters;
    out->n[COUNTER_PACKETS] = s->packets;
    out->n[COUNTER_BYTES] = s->octets;
    out->n[COUNTER_RETRANSMITS] = s->resent;
    out->last_us = s->last_us;
    out->rtt_us = s->rtt_us;
    if (s->kind == SDP_VIDEO && layers_selected(&s->layers, &stream, &sid, &tid)) {
        bool simulcast = s->track && s->track->n_streams > 1;
        sid = simulcast ? stream : sid;
        out->sid = (int8_t)(sid < TRACK_SPATIAL ? sid : TRACK_SPATIAL - 1);
        out->tid = (int8_t)(tid < METER_TEMPORAL ? tid : METER_TEMPORAL - 1);
    }
}
