/* What the files of receiver*.c share. */
#ifndef SOTTO_BENCH_CLIENT_RECEIVER_INTERNAL_H
#define SOTTO_BENCH_CLIENT_RECEIVER_INTERNAL_H

#include "bench/client/receiver.h"
#include "sfu/core/nack.h"
#include "sfu/core/rtp_stats.h"
#include "sfu/core/twcc_recorder.h"

#define WINDOW_BITS 2048 /* numbers remembered a stream; power of two */
#define SETTLE_US   1000000
#define MARK_US     125000 /* between notes of how far a stream was */
#define MARKS       16     /* more than fit into SETTLE_US */

#define FRAMES            64 /* followed at once, power of two: two seconds of video */
#define FRAME_DEADLINE_US 400000

#define KEYFRAME_WAIT_US  200000 /* a new stream's keyframe may still be on its way */
#define KEYFRAME_AGAIN_US 300000 /* as long as a browser's encoder refuses another one */
#define REPORT_US         1000000
#define IDLE_US           5000000 /* a stream silent for so long may be forgotten for a new one */

/* Which numbers came. Those up to `settled` are in the counters for good. */
struct window {
    bool started;
    int64_t highest, settled; /* settled: the first number that isn't yet */
    uint64_t bits[WINDOW_BITS / 64];
    struct window_mark {
        int64_t at_us, highest;
    } mark[MARKS];
    size_t mark_head, mark_n;
};

enum window_result { WINDOW_NEW, WINDOW_OLD, WINDOW_DUPLICATE, WINDOW_TOO_LATE };

/* A number came. WINDOW_OLD: a later one was there before. WINDOW_TOO_LATE: it is settled, that is
 * lost or had come. What has become settled is added to *expected and *lost. */
enum window_result window_input(struct window *w, int64_t seq, int64_t now_us, uint64_t *expected,
                                uint64_t *lost);
/* Settles what is old enough by the time. */
void window_settle(struct window *w, int64_t now_us, uint64_t *expected, uint64_t *lost);

/* Frames by picture id, in order. */
struct frames {
    bool started;
    uint8_t bits;          /* of picture ids */
    int64_t next, highest; /* unwrapped ids: the first not yet judged, and the newest */
    struct frame {
        bool whole;
        int64_t id, due_us;
        int64_t first, last; /* numbers of its first and last packet; -1: not seen */
        uint32_t packets;
    } frame[FRAMES];
};

struct frame_packet {
    uint16_t picture;
    uint8_t bits;
    bool first, last;
    int64_t seq, due_us, now_us;
};
void frames_input(struct frames *f, const struct frame_packet *p, uint64_t *whole,
                  uint64_t *broken);
void frames_settle(struct frames *f, int64_t now_us, uint64_t *whole, uint64_t *broken);

struct stream {
    uint32_t ssrc;
    const struct media_track *track;
    bool video, rtx, closed;
    struct stream *media; /* of an RTX stream; NULL: not known yet */
    int64_t last_us;
    uint32_t until_sample; /* packets */
    int64_t measured;      /* the newest sample's number: what else is decrypted isn't measured */
    uint32_t random;
    struct rtp_unwrap unwrap;
    struct window window;
    struct rtp_stats stats;
    bool keyframe_wanted;
    int64_t keyframe_us; /* when to ask for one */
    struct nack *nack;
    struct frames *frames;
};

struct slot {
    uint32_t ssrc;
    struct stream *stream; /* NULL: free */
};

struct receiver {
    struct receiver_config config;
    const struct media_opus *opus;
    struct media_track *tracks;
    size_t n_tracks;
    uint8_t transport_id;
    struct slot *table; /* open addressing, at most half full */
    size_t table_size;
    struct stream **streams;
    size_t n_streams, cap_streams;
    struct twcc_recorder *twcc;
    uint32_t last_ssrc;
    int64_t deadline_us;         /* not later than what is due next */
    int64_t report_us;           /* when the next round of reports begins */
    size_t report_next;          /* stream, within a round */
    int64_t rtt_us;              /* of asking for a packet again; 0: not known */
    uint32_t probe_ssrc;         /* whose packet is measured for that */
    int64_t probe_seq, probe_us; /* probe_us 0: none */
    struct receiver_stats stats;
    struct histogram latency;
};

/* receiver_stream.c */
struct stream *stream_find(const struct receiver *r, uint32_t ssrc);
/* The stream of a packet, made if it is told or looks like one of the tracks; NULL otherwise. */
struct stream *stream_of(struct receiver *r, const struct rtp_header *h, const uint8_t *packet,
                         int64_t now_us);
/* Binds an RTX stream that nothing is known of to the media stream that misses this number, if that
 * is only one (RFC 4588 section 5.3). */
void stream_bind_rtx(struct receiver *r, struct stream *rtx, uint16_t osn);
/* The bookkeeping of a packet of a media stream, however it came. */
enum window_result stream_arrived(struct receiver *r, struct stream *st, int64_t seq,
                                  int64_t now_us);
bool stream_take_sample(struct stream *st);
void stream_free(struct stream *st);

void receiver_due_by(struct receiver *r, int64_t at_us);

#endif
