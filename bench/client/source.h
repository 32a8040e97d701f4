/* What one endpoint sends: a camera's frames as Chromium sends them (a frame's packets together, a
 * keyframe several times larger) and a microphone's Opus. Open loop: packets are due by a schedule
 * that nothing holds up. Pure: the clock is an argument, packets are results. */
#ifndef SOTTO_BENCH_CLIENT_SOURCE_H
#define SOTTO_BENCH_CLIENT_SOURCE_H

#include "bench/client/histogram.h"
#include "bench/client/media.h"

#define SOURCE_CACHE 512 /* video packets kept for NACK, power of two */
#define SOURCE_BATCH 32  /* packets that one source_poll makes at most */

struct source_config {
    uint32_t number;     /* the endpoint's, into the stamps */
    uint32_t video_kbps; /* 1500; 0: no video */
    uint32_t fps;        /* 30 */
    uint32_t
        packet_bytes; /* 1100: payload of a full packet; the frame's packets differ by one byte */
    uint32_t keyframe_interval_ms; /* 0: only at the start and when asked (PLI) */
    bool audio;
    uint16_t width, height; /* told in keyframes */
};

struct source;

struct source_packet {
    uint8_t *data; /* room for MEDIA_MAX_PACKET + SRTP_MAX_TAG; valid until the next source call */
    size_t len;
    size_t header_len; /* as srtp_writer_protect wants it */
    uint32_t ssrc;
    int64_t due_us;
    bool rtx;
};

/* Tracks are copied (audio or video may be NULL). Sending starts at start_us with a keyframe.
 * ERR_NOMEM, ERR_INVALID. opus is borrowed for life. */
int source_new(struct source **out, const struct source_config *c, const struct media_opus *opus,
               const struct media_track *audio, const struct media_track *video, int64_t start_us);
void source_free(struct source *s);
/* To be called before the first poll: numbers, clocks and pictures go on where `before` (the same
 * tracks) leaves off, so that SRTP's keys and the other end may stay: nothing is sent under a
 * number again, and the counters count on. What was sent before can't be repeated any more. */
void source_continue(struct source *s, const struct source *before);
/* When something is due, reports (source_report) included. */
int64_t source_deadline(const struct source *s);
/* What is due by now, retransmissions first; at most n packets, nor more than SOURCE_BATCH; call
 * until 0 come back. The transport-wide number and abs-send-time are written here, the MID as long
 * as source_acknowledged wasn't called for the SSRC. */
size_t source_poll(struct source *s, struct source_packet *out, size_t n, int64_t now_us);
/* A PLI or FIR for the video: the next frame is a keyframe (at most one in 300 ms). */
void source_on_pli(struct source *s, int64_t now_us);
/* A generic NACK for the video: what is still in the cache goes again by RTX (or as it was, where
 * there is none), each packet at most once in 20 ms. */
void source_on_nack(struct source *s, const uint16_t *seqs, size_t n, int64_t now_us);
/* A receiver report about this SSRC (media or RTX) came: packets of it need no MID any more. */
void source_acknowledged(struct source *s, uint32_t ssrc);
/* A sender report (RFC 3550 section 6.4.1) with SDES for each track when due (every second), as one
 * compound RTCP packet; returns its bytes, 0 when none is due. */
size_t source_report(struct source *s, uint8_t *out, size_t cap, int64_t now_us);

struct source_stats {
    uint64_t audio_packets, video_packets, rtx_packets, bytes; /* bytes of RTP */
    uint64_t frames, keyframes;
    int64_t late_max_us; /* how far behind its schedule the generator ever was */
};
void source_stats(const struct source *s, struct source_stats *out);
/* From here the counters start anew. */
void source_stats_reset(struct source *s);

#endif
