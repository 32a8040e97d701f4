#include "lib/proto/opus.h"

/* Samples of one frame by the TOC's configuration (RFC 6716 section 3.1, table 2). */
static uint32_t frame_samples(uint8_t toc)
{
    unsigned config = toc >> 3;
    static const uint32_t silk[] = {480, 960, 1920, 2880};

    if (config < 12) {
        return silk[config & 3];
    }
    if (config < 16) {
        return config & 1 ? 960 : 480;
    }
    return 120u << (config & 3);
}

uint32_t opus_packet_samples(const uint8_t *payload, size_t len)
{
    uint32_t frames = 1;

    if (len < 1) {
        return 0;
    }
    unsigned code = payload[0] & 3;
    if (code == 1 || code == 2) {
        frames = 2;
    }
    if (code == 3) {
        if (len < 2) {
            return 0;
        }
        frames = payload[1] & 0x3f;
    }
    uint32_t samples = frames * frame_samples(payload[0]);
    return samples <= 5760 ? samples : 0;
}

bool opus_packet_is_dtx(const uint8_t *payload, size_t len)
{
    (void)payload;
    return len > 0 && len <= 2;
}
