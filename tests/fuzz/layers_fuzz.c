/* The layer selector and the rewriter: any packets of any streams, any targets. Nothing crashes, no
 * number goes out twice for two packets, each finds its way back, only keyframes switch. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "sfu/core/layers.h"
#include "sfu/core/rewriter.h"

#define STEPS 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *data;
    size_t left;
};

static uint8_t take(struct input *in)
{
    if (in->left == 0) {
        return 0;
    }
    in->left--;
    return *in->data++;
}

static int64_t seq[LAYERS_STREAMS];
static uint32_t ts[LAYERS_STREAMS];
static int64_t frame_id;
static uint8_t given[3][65536]; /* numbers of a stream that were given out, to tell duplicates */

static void make_info(struct input *in, struct codec_info *info)
{
    uint8_t flags = take(in), layer = take(in), picture = take(in);
    *info = (struct codec_info){.keyframe = flags & 1,
                                .frame_start = flags & 2,
                                .frame_end = flags & 4,
                                .up_switch = flags & 8,
                                .inter_picture = flags & 16,
                                .inter_layer = flags & 32,
                                .has_tl0 = flags & 64,
                                .picture_bits = flags & 128   ? 15
                                                : picture & 1 ? 7
                                                              : 0,
                                .sid = layer & 7,
                                .tid = layer >> 3 & 7,
                                .picture_id = picture,
                                .tl0picidx = layer};
}

static void make_dd(struct input *in, struct dd_frame *dd, struct dd_structure *s)
{
    uint8_t flags = take(in);
    frame_id += (int8_t)take(in);
    *dd = (struct dd_frame){.first_in_frame = flags & 1,
                            .last_in_frame = flags & 2,
                            .keyframe = flags & 4,
                            .structure_attached = flags & 4,
                            .frame_id = frame_id,
                            .frame_number = (uint16_t)frame_id,
                            .sid = flags >> 3 & 3,
                            .tid = flags >> 5,
                            .n_fdiffs = take(in) % (DD_MAX_FDIFFS + 1),
                            .n_targets = take(in) % (DD_MAX_TARGETS + 1),
                            .active_targets = take(in) * 0x01010101u};
    for (int i = 0; i < dd->n_fdiffs; i++) {
        dd->fdiff[i] = take(in);
    }
    for (int i = 0; i < dd->n_targets; i++) {
        dd->indication[i] = take(in) & 3;
    }
    if (dd->keyframe) {
        s->n_targets = dd->n_targets;
        for (int i = 0; i < s->n_targets; i++) {
            uint8_t b = take(in);
            s->target_sid[i] = b & 3;
            s->target_tid[i] = b >> 5;
        }
    }
}

static void check(struct rewriter *r, const struct rewriter_packet *p, const struct rewritten *to)
{
    uint32_t source;
    int64_t back;
    if (rewriter_unmap(r, to->seq, &source, &back) != OK || source != p->source ||
        back != p->ext_seq) {
        abort();
    }
}

static void packet(struct input *in, struct layers *l, struct layers_track *t, struct rewriter *r,
                   struct dd_structure *structure, int64_t now_us)
{
    struct codec_info info;
    struct dd_frame dd;
    struct layers_verdict v;
    struct rewritten to;
    uint8_t kind = take(in), s = kind % 3, move = take(in);
    seq[s] += move & 128 ? -(move & 15) : 1 + (move & 64 ? (move & 63) * 9 : 0);
    ts[s] += kind & 4 ? 3000 : 0;
    struct layers_packet p = {
        .stream = s, .ts = ts[s], .ext_seq = seq[s], .now_us = now_us, .codec = CODEC_VP8};
    if (kind & 8) {
        make_info(in, &info);
        p.info = &info;
        p.codec = kind & 16 ? CODEC_VP9 : CODEC_VP8;
    }
    if (kind & 32) {
        make_dd(in, &dd, structure);
        p.dd = &dd;
        p.structure = structure;
    }
    uint8_t *once = &given[s][(uint64_t)seq[s] % 65536];
    if (*once) { /* the track lets each number through once */
        return;
    }
    *once = 1;
    layers_track_input(t, &p);
    layers_input(l, t, &p, &v);
    struct rewriter_packet rp = {.source = s,
                                 .ts = p.ts,
                                 .ext_seq = p.ext_seq,
                                 .from_seq = v.from_seq,
                                 .now_us = now_us,
                                 .late = v.late,
                                 .codec = p.codec,
                                 .info = p.info,
                                 .dd = p.dd};
    if (v.action == LAYERS_SKIP) {
        rewriter_skip_packet(r, &rp, v.skip_from);
    } else if (v.action == LAYERS_FORWARD && rewriter_map_packet(r, &rp, &to) == OK) {
        if (v.switched && !(p.dd ? dd.keyframe : info.keyframe)) {
            abort();
        }
        check(r, &rp, &to);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct dd_structure structure;
    struct input in = {data, size};
    struct layers l;
    struct layers_track track = {0};
    struct rewriter r;
    struct rewriter_past past;
    int64_t now_us = 0;

    memset(&structure, 0, sizeof structure);
    memset(given, 0, sizeof given);
    for (int i = 0; i < LAYERS_STREAMS; i++) {
        seq[i] = 100000;
        ts[i] = 0;
    }
    frame_id = 65536;
    layers_init(&l);
    rewriter_init(&r, &past, 90000, 7, 7);
    for (int i = 0; i < STEPS && in.left > 0; i++) {
        uint8_t what = take(&in);
        now_us += (int64_t)(what >> 2) * 3000;
        if ((what & 3) == 0) {
            uint8_t b = take(&in);
            struct layers_target target = {.paused = (b & 0xc0) == 0xc0,
                                           .stream = b & 3,
                                           .sid = b >> 2 & 3,
                                           .tid = b >> 4 & 3};
            (void)layers_set_target(&l, &track, &target, now_us);
            if (target.paused) {
                rewriter_detach(&r);
            }
        } else {
            packet(&in, &l, &track, &r, &structure, now_us);
        }
    }
    return 0;
}
