/* AV1 in RTP (AV1 RTP specification 1.0, section 4): the aggregation header, the OBU elements
 * behind it, and of a sequence header (AV1 section 5.5) the picture's size. */
#ifndef SOTTO_PROTO_AV1_H
#define SOTTO_PROTO_AV1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum av1_obu {
    AV1_OBU_SEQUENCE = 1,
    AV1_OBU_TEMPORAL_DELIMITER = 2,
    AV1_OBU_FRAME_HEADER = 3,
    AV1_OBU_TILE_GROUP = 4,
    AV1_OBU_METADATA = 5,
    AV1_OBU_FRAME = 6,
};

struct av1_packet {
    bool continues;    /* Z: the first element goes on from the packet before */
    bool continued;    /* Y: the last one goes on in the next packet */
    bool new_sequence; /* N: first packet of a coded video sequence */
    bool sequence;     /* a sequence header that could be read is in it */
    bool keyframe;     /* N, or a sequence header that no inter frame follows in this packet */
    bool frame_start;  /* a frame can begin here: first no continuation, tile group, or padding */
    bool has_layer;    /* an OBU extension header is in it */
    uint8_t tid, sid;
    uint32_t n_elements;
    uint16_t width, height; /* max_frame_width and _height of the sequence header; 0: not here */
};

/* Reads a payload. ERR_TRUNCATED; ERR_INVALID (an element of size 0, a length of over 32 bits, N in
 * a continuation). *p is zero on failure. OBU headers may be cipher text: a sequence header counts
 * only when its bits up to the picture's size make sense and its length fits them, N always. */
int av1_parse(struct av1_packet *p, const uint8_t *payload, size_t len);

#endif
