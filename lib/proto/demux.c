#include "lib/proto/demux.h"

#define STUN_COOKIE 0x2112a442u

static bool is_stun(const uint8_t *d, size_t len)
{
    if (len < 20) {
        return false;
    }
    uint32_t cookie =
        (uint32_t)d[4] << 24 | (uint32_t)d[5] << 16 | (uint32_t)d[6] << 8 | (uint32_t)d[7];
    size_t body = (size_t)d[2] << 8 | d[3];
    return cookie == STUN_COOKIE && body % 4 == 0 && body + 20 == len;
}

enum packet_kind demux_packet(const uint8_t *data, size_t len)
{
    if (len < 1) {
        return PACKET_UNKNOWN;
    }
    uint8_t first = data[0];
    if (first <= 3) {
        return is_stun(data, len) ? PACKET_STUN : PACKET_UNKNOWN;
    }
    if (first >= 20 && first <= 63) {
        return len >= 13 ? PACKET_DTLS : PACKET_UNKNOWN;
    }
    if (first < 128 || first > 191) {
        return PACKET_UNKNOWN;
    }
    if (len < 8) {
        return PACKET_UNKNOWN;
    }
    if (data[1] >= 192 && data[1] <= 223) {
        return PACKET_RTCP;
    }
    return len >= 12 ? PACKET_RTP : PACKET_UNKNOWN;
}
