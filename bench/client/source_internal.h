/* What the files of source*.c share. */
#ifndef SOTTO_BENCH_CLIENT_SOURCE_INTERNAL_H
#define SOTTO_BENCH_CLIENT_SOURCE_INTERNAL_H

#include "bench/client/source.h"
#include "sfu/core/srtp_writer.h"

#define SOURCE_ROOM (MEDIA_MAX_PACKET + SRTP_MAX_TAG)

/* All that a video packet is made of. Its bytes are made again from this for a retransmission, so
 * that 512 of them cost 24 kB and not 700. */
struct source_video {
    bool used, first, key, marker, queued;
    uint16_t seq, picture;
    uint16_t len;        /* of the payload, descriptor included */
    uint32_t frame_size; /* told in the frame's first bytes */
    uint32_t ts, counter;
    int64_t due_us, resent_us;
};

/* The frame that is being sent. */
struct source_frame {
    uint32_t size, packets, next; /* size without descriptors */
    bool key;
    uint16_t picture;
    uint32_t ts;
    int64_t due_us;
};

struct source_stream {
    bool on, acknowledged, rtx_acknowledged;
    struct media_track track;
    uint16_t seq, rtx_seq;
    uint32_t ts_base, packets, octets; /* the last two for sender reports: never reset */
};

struct source {
    struct source_config config;
    const struct media_opus *opus;
    struct source_stream audio, video;
    int64_t start_us, report_us;
    uint64_t random;
    uint16_t transport_seq;
    uint64_t audio_index, frame_index; /* next to be made */
    uint32_t counter;
    uint16_t picture; /* the first frame's id */
    int64_t debt;     /* bytes that frames were larger than the rate allows */
    bool key_wanted;
    int64_t key_us; /* when the last keyframe was due */
    struct source_frame frame;
    struct source_video cache[SOURCE_CACHE];
    uint16_t resend[SOURCE_CACHE]; /* a ring of cache places */
    size_t resend_head, resend_n;
    struct source_stats stats;
    uint8_t room[SOURCE_BATCH][SOURCE_ROOM];
};

uint64_t source_random(struct source *s);
int64_t source_audio_due(const struct source *s);
int64_t source_video_due(const struct source *s);

/* source_packet.c: one packet into `room`; out is filled. */
void source_write_audio(struct source *s, struct source_packet *out, uint8_t *room, int64_t now_us);
void source_write_video(struct source *s, struct source_packet *out, uint8_t *room,
                        const struct source_video *v, bool again, int64_t now_us);

/* source_frame.c: what comes next of the video. */
void source_begin_frame(struct source *s);
struct source_video *source_next_of_frame(struct source *s);

#endif
