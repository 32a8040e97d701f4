/* What can be told of an Opus packet without decoding it (RFC 6716 section 3, RFC 7587). */
#ifndef SOTTO_PROTO_OPUS_H
#define SOTTO_PROTO_OPUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Duration in samples at 48 kHz of the packet's frames (TOC and frame count); 0 when it is empty,
 * lies about its count or lasts over 120 ms (RFC 6716 section 3.2.5). */
uint32_t opus_packet_samples(const uint8_t *payload, size_t len);
/* DTX: at most 2 bytes, hence TOC only or a frame without content (RFC 6716 section 2.1.9). */
bool opus_packet_is_dtx(const uint8_t *payload, size_t len);

#endif
