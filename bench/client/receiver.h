/* What one endpoint makes of the packets that come: sequence numbers, loss, reordering, NACK,
 * transport-wide feedback, receiver reports and PLI as a browser sends them, and frames complete or
 * not. It sees headers only; the shell decrypts a sample (and what is asked by receiver_wants) and
 * gives it back. Pure. Streams are made as SSRCs appear. */
#ifndef SOTTO_BENCH_CLIENT_RECEIVER_H
#define SOTTO_BENCH_CLIENT_RECEIVER_H

#include "bench/client/histogram.h"
#include "bench/client/media.h"

#define RECEIVER_MAX_STREAMS 160
#define RECEIVER_SAMPLE      64 /* one packet in so many a stream is decrypted */

struct receiver;

struct receiver_config {
    uint32_t ssrc;    /* ours, in RTCP that we send */
    bool nack;        /* ask for what is missing */
    bool twcc;        /* send transport-wide feedback */
    bool decrypt_all; /* every packet is a sample (bad-link runs: frames are then known whole) */
};

/* tracks: what the SDP told (SSRCs may be 0 there: matched by payload type); copied. */
int receiver_new(struct receiver **out, const struct receiver_config *c,
                 const struct media_opus *opus, const struct media_track *tracks, size_t n);
void receiver_free(struct receiver *r);

/* A packet as it came, still encrypted. True: decrypt it and call receiver_sample with the result:
 * a sample, any RTX packet (which one it repeats is encrypted), what may be padding only, all of a
 * video stream that waits for its keyframe. Packets of no track, and of more SSRCs than
 * RECEIVER_MAX_STREAMS, are counted in packets and bytes only. now_us is when the packet came,
 * which may be some time before the last receiver_poll. */
bool receiver_input(struct receiver *r, const uint8_t *packet, size_t len, int64_t now_us);
/* The same packet decrypted (an RTX one too: it is unwrapped inside), or len 0 where the tag was
 * wrong. Proves the payload and takes the latency into the histogram: now - due, of video. */
void receiver_sample(struct receiver *r, uint8_t *packet, size_t len, int64_t now_us);
/* A decrypted compound RTCP packet: sender reports (for LSR/DLSR and lip sync), BYE. */
void receiver_rtcp(struct receiver *r, const uint8_t *rtcp, size_t len, int64_t now_us);

/* When receiver_poll has something. */
int64_t receiver_deadline(const struct receiver *r);
/* One RTCP packet to protect and send (a NACK 5 ms after the gap showed and again each round trip;
 * TWCC every 50..100 ms; RR and SDES every second, a stream each; PLI when a stream has no keyframe
 * yet or gave gaps up; NACK and PLI behind a report about their stream); 0: none. Call until 0. */
size_t receiver_poll(struct receiver *r, uint8_t *out, size_t cap, int64_t now_us);

struct receiver_stats {
    uint64_t packets, bytes; /* RTP as it came (RTX and probes too), bytes of UDP payload */
    uint64_t media_packets;  /* without RTX and padding-only */
    uint64_t audio_packets, video_packets, rtx_packets;
    uint64_t probes; /* padding on the RTX stream: not among rtx_packets */
    /* By sequence numbers, of those that are settled: a number is settled between 1 and 1.13 s
     * after a later one came (NACK gives up after 1 s), whatever the marks in between. lost: had
     * not come by then, neither itself nor by RTX. expected - lost came, each counted once. What
     * comes when it is settled stays lost and is counted in late. */
    uint64_t expected, lost;
    uint64_t late;       /* media packets that came after a later one, by themselves */
    uint64_t repaired;   /* numbers that came by RTX first */
    uint64_t duplicates; /* numbers that had come already, by media or RTX */
    uint64_t nacks;      /* numbers asked for, repetitions counted */
    uint64_t plis, feedbacks;
    uint64_t sampled, sample_bad_tag, sample_bad_payload;
    uint64_t frames, frames_broken; /* decrypt_all only: whole by deadline (400 ms) or not */
    uint32_t streams;               /* SSRCs followed now, RTX among them */
    int64_t first_us[2];            /* first packet of each media_kind; 0: none yet */
};
void receiver_stats(const struct receiver *r, struct receiver_stats *out);
/* Of video, by samples; owned by the receiver. */
const struct histogram *receiver_latency(const struct receiver *r);
/* Counters and histogram start anew (first_us, streams and what isn't settled yet stay). */
void receiver_stats_reset(struct receiver *r);

#endif
