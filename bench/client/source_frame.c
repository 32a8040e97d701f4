#include "bench/client/source_internal.h"

/* Sizes of frames and how they are cut, as a camera's encoder and a browser's packetizer do it. */

#define KEY_TIMES       4      /* a keyframe's size over the mean */
#define KEY_GAP_US      300000 /* between keyframes that were asked for */
#define PAY_BACK_FRAMES 8      /* a debt is paid by about so many frames */
#define DESCRIPTOR_LEN  4
#define SIZE_MIN        128
#define VIDEO_CLOCK     90000

static int64_t mean_size(const struct source *s)
{
    return (int64_t)s->config.video_kbps * 1000 / 8 / s->config.fps;
}

/* Two dice, so that sizes near the mean are the most frequent: 0.7 to 1.3 of it. What a frame took
 * too much the next ones give back, never below a third of the mean. */
static uint32_t frame_size(struct source *s, bool key)
{
    int64_t mean = mean_size(s);
    int64_t permille = 700 + (int64_t)(source_random(s) % 301 + source_random(s) % 301);
    int64_t size = mean * permille / 1000;

    size = key ? size * KEY_TIMES : size - s->debt / PAY_BACK_FRAMES;
    if (size < mean / 3)
        size = mean / 3;
    if (size < SIZE_MIN)
        size = SIZE_MIN;
    s->debt += size - mean;
    return (uint32_t)size;
}

static bool key_due(const struct source *s, int64_t due_us)
{
    uint64_t frames = ((uint64_t)s->config.keyframe_interval_ms * s->config.fps + 999) / 1000;

    if (s->frame_index == 0 || (frames > 0 && s->frame_index % frames == 0))
        return true;
    return s->key_wanted && due_us - s->key_us >= KEY_GAP_US;
}

void source_begin_frame(struct source *s)
{
    int64_t due_us = source_video_due(s);
    bool key = key_due(s, due_us);
    uint32_t room = s->config.packet_bytes - DESCRIPTOR_LEN, size = frame_size(s, key);

    if (key) {
        s->key_us = due_us;
        s->key_wanted = false;
    }
    s->frame = (struct source_frame){
        .size = size,
        .packets = (size + room - 1) / room,
        .key = key,
        .picture = (uint16_t)((s->picture + s->frame_index) & 0x7fff),
        .ts = s->video.ts_base + (uint32_t)(s->frame_index * VIDEO_CLOCK / s->config.fps),
        .due_us = due_us,
    };
    s->frame_index++;
    s->stats.frames++;
    s->stats.keyframes += key;
}

struct source_video *source_next_of_frame(struct source *s)
{
    struct source_frame *f = &s->frame;
    uint16_t seq = s->video.seq++;
    struct source_video *v = &s->cache[seq & (SOURCE_CACHE - 1)];
    uint32_t part = f->size / f->packets + (f->next < f->size % f->packets);

    *v = (struct source_video){
        .used = true,
        .first = f->next == 0,
        .key = f->key,
        .marker = f->next + 1 == f->packets,
        .seq = seq,
        .picture = f->picture,
        .len = (uint16_t)(part + DESCRIPTOR_LEN),
        .frame_size = f->size,
        .ts = f->ts,
        .counter = s->counter++,
        .due_us = f->due_us,
        .resent_us = INT64_MIN / 2,
    };
    f->next++;
    return v;
}
