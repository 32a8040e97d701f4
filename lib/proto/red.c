#include "lib/proto/red.h"

#define MORE       0x80 /* F: another block header follows */
#define BLOCK_HEAD 4    /* of all blocks but the last (RFC 2198 section 3) */

uint16_t red_primary(const uint8_t *payload, size_t len)
{
    size_t at = 0, blocks = 0;
    while (at < len && payload[at] & MORE) {
        if (len - at <= BLOCK_HEAD) {
            return 0;
        }
        blocks += (size_t)(payload[at + 2] & 0x03) << 8 | payload[at + 3];
        at += BLOCK_HEAD;
    }
    at += 1;
    return at + blocks < len && at + blocks <= UINT16_MAX ? (uint16_t)(at + blocks) : 0;
}

void red_retype(uint8_t *payload, size_t len, uint8_t pt)
{
    size_t at = 0;
    while (at < len && payload[at] & MORE) {
        payload[at] = (uint8_t)(MORE | pt);
        at += BLOCK_HEAD;
    }
    if (at < len) {
        payload[at] = pt & 0x7f;
    }
}
