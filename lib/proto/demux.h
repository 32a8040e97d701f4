/* What a datagram on the one UDP port is, by its first bytes (RFC 7983, RFC 5761 section 4). */
#ifndef SOTTO_PROTO_DEMUX_H
#define SOTTO_PROTO_DEMUX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum packet_kind {
    PACKET_UNKNOWN,
    PACKET_STUN, /* first byte 0..3, magic cookie in place, length a multiple of 4 that fits */
    PACKET_DTLS, /* first byte 20..63 */
    PACKET_RTP,  /* first byte 128..191, payload type not 64..95 */
    PACKET_RTCP, /* first byte 128..191, second byte 192..223 */
};

/* Looks only; nothing is verified. Shorter than the kind's smallest header: PACKET_UNKNOWN. */
enum packet_kind demux_packet(const uint8_t *data, size_t len);

#endif
