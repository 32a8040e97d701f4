/* What both ends of the load know of a stream: how it is numbered and what its payload looks like,
 * so that a receiver can prove a packet whole and tell how long it took. Nothing here is I/O. */
#ifndef SOTTO_BENCH_CLIENT_MEDIA_H
#define SOTTO_BENCH_CLIENT_MEDIA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/proto/rtp.h"

#define MEDIA_MAX_PACKET 1400 /* bytes of a packet that we make, before SRTP */
#define MEDIA_STAMP_LEN  24

enum media_kind { MEDIA_AUDIO, MEDIA_VIDEO };

/* One stream as SDP agreed on it. */
struct media_track {
    enum media_kind kind;
    char mid[33];
    uint32_t ssrc;
    uint32_t rtx_ssrc; /* 0: none */
    uint8_t pt, rtx_pt;
    struct rtp_ext_map ext;
    bool nack, pli, transport_cc;
};

/* In every video payload, right behind the VP8 descriptor and the 10 bytes of a keyframe's header
 * (or 3 of another frame's): who made it, when it was *due* (the schedule's time, not the time the
 * generator came round to it: a stalled generator's delay counts), and a checksum over the rest. */
struct media_stamp {
    uint32_t source;  /* the sending endpoint's number */
    uint32_t counter; /* of its video packets, from 0 */
    int64_t due_us;   /* CLOCK_MONOTONIC */
};

/* Fills payload[off..len) with a pattern and the stamp; len - off >= MEDIA_STAMP_LEN. */
void media_stamp_write(uint8_t *payload, size_t off, size_t len, const struct media_stamp *s);
/* Finds and verifies it in a decrypted video payload. ERR_TRUNCATED, ERR_INVALID (checksum). */
int media_stamp_read(struct media_stamp *out, const uint8_t *payload, size_t len);

/* Two seconds of Opus made once by libopus (48 kHz, mono, 20 ms, 32 kbit/s, a voice-like signal
 * that pauses): 100 packets, shared by all sources. ERR_NOMEM, ERR_IO (libopus). */
#define MEDIA_OPUS_PACKETS 100
struct media_opus {
    struct media_opus_packet {
        uint16_t len;
        uint8_t level; /* RFC 6464, -dBov */
        bool voice;
        uint8_t data[256];
    } packet[MEDIA_OPUS_PACKETS];
};
int media_opus_make(struct media_opus *out);
/* Whether a decrypted audio payload is one of those packets. */
bool media_opus_known(const struct media_opus *o, const uint8_t *payload, size_t len);

#endif
