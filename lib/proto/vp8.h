/* The VP8 RTP payload descriptor (RFC 7741 section 4.2) and the keyframe header behind it. */
#ifndef SOTTO_PROTO_VP8_H
#define SOTTO_PROTO_VP8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vp8_descriptor {
    uint8_t size;         /* bytes of the descriptor */
    bool non_reference;   /* N */
    bool start;           /* S: first packet of a partition */
    uint8_t partition;    /* PID */
    bool frame_start;     /* S and partition 0 */
    bool keyframe;        /* frame_start and the payload header says key frame */
    uint8_t picture_bits; /* 0 (none), 7 or 15 */
    uint16_t picture_id;
    uint8_t picture_off; /* of the picture id within the payload */
    bool has_tl0, has_tid, has_keyidx;
    uint8_t tl0picidx, tl0_off;
    uint8_t tid;     /* temporal layer 0..3 */
    bool layer_sync; /* Y */
    uint8_t keyidx;
    uint16_t width, height; /* of a keyframe's first packet with 10 bytes of header; else 0 */
};

/* Reads the descriptor at a payload's start. ERR_TRUNCATED. An end-to-end encrypted payload parses
 * as far as its clear descriptor; keyframe is then as reliable as the sender's clear header. */
int vp8_parse(struct vp8_descriptor *d, const uint8_t *payload, size_t len);

/* Signed distance between picture ids of `bits` bits (7 or 15). */
int vp8_picture_diff(uint16_t a, uint16_t b, uint8_t bits);

#endif
