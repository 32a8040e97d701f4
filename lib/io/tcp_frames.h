/* Packets on a stream: RFC 4571 framing, as ICE-TCP uses it (RFC 6544 section 3). Each packet has
 * its length in front, 16 bits, most significant byte first. Pure: bytes in, packets out. */
#ifndef SOTTO_IO_TCP_FRAMES_H
#define SOTTO_IO_TCP_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TCP_FRAME_HEADER 2
#define TCP_FRAME_MAX    2048 /* bytes of one packet; what claims more is no peer of ours */

/* The incoming side of one stream; zero-initialise. It keeps what a read ended in the middle of. */
struct tcp_frames {
    size_t len; /* bytes kept */
    uint8_t kept[TCP_FRAME_HEADER + TCP_FRAME_MAX];
};

/* The next packet of what has come. *data and *len are what was read and not yet looked at; they
 * move on with each call. Returns the packet's length with *frame set (into the data or into f:
 * valid until the next call), 0 when everything was used and no packet is whole, or ERR_TOO_LARGE:
 * the stream is to be closed. Empty packets, which the framing allows, are passed over. */
int tcp_frames_next(struct tcp_frames *f, const uint8_t **data, size_t *len, const uint8_t **frame);
/* Whether the stream stands between two packets. */
bool tcp_frames_is_clean(const struct tcp_frames *f);

/* The header of a packet of len bytes, at most UINT16_MAX. */
static inline void tcp_frames_header(uint8_t out[TCP_FRAME_HEADER], size_t len)
{
    out[0] = (uint8_t)(len >> 8);
    out[1] = (uint8_t)len;
}

#endif
