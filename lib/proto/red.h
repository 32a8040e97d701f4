/* Redundant audio (RFC 2198): a packet carries its own block and copies of those before it. */
#ifndef SOTTO_PROTO_RED_H
#define SOTTO_PROTO_RED_H

#include <stddef.h>
#include <stdint.h>

/* Where the primary block, the last one, begins within a RED payload; at least 1. 0: no RED. */
uint16_t red_primary(const uint8_t *payload, size_t len);
/* Names all blocks of a payload that red_primary took by this payload type, in place. */
void red_retype(uint8_t *payload, size_t len, uint8_t pt);

#endif
