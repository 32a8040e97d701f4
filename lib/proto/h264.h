/* H.264 in RTP (RFC 6184): single NAL units, STAP-A and FU-A, which are packetization modes 0 and
 * 1, all that WebRTC negotiates; and the picture size of an SPS. */
#ifndef SOTTO_PROTO_H264_H
#define SOTTO_PROTO_H264_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum h264_nal {
    H264_NAL_SLICE = 1,
    H264_NAL_IDR = 5,
    H264_NAL_SEI = 6,
    H264_NAL_SPS = 7,
    H264_NAL_PPS = 8,
    H264_NAL_AUD = 9,
    H264_NAL_PREFIX = 14,
    H264_NAL_STAP_A = 24,
    H264_NAL_FU_A = 28,
};

struct h264_packet {
    bool sps;         /* a whole SPS is in it */
    bool idr;         /* a slice of an IDR picture, or a piece of one */
    bool frame_start; /* a picture can begin here: first a delimiter, SEI, parameter set, or slice
                         with its first macroblock */
    bool not_referenced;    /* slices, and all of it with nal_ref_idc 0 */
    uint8_t n_nals;         /* NAL units or pieces of one, at most 255 counted */
    uint16_t width, height; /* of the SPS, cropped; 0: none here, or not readable */
};

/* Reads a payload. ERR_TRUNCATED; ERR_INVALID (NAL types of the interleaved mode or reserved ones,
 * an aggregate in an aggregate, a unit of size 0). *p is zero on failure. An SPS that can't be read
 * (encrypted, or of a kind to come) is no error: there is no size then. */
int h264_parse(struct h264_packet *p, const uint8_t *payload, size_t len);

/* Picture size of an SPS NAL unit (its header byte included; H.264 section 7.3.2.1.1), cropping
 * applied. ERR_TRUNCATED, ERR_INVALID (codes or sizes beyond the standard's bounds). */
int h264_sps_size(const uint8_t *nal, size_t len, uint16_t *width, uint16_t *height);

#endif
