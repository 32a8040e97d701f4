/* RTP: headers, extensions, RTX, and our writer's reading of its own output. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/proto/demux.h"
#include "lib/proto/opus.h"
#include "lib/proto/rtp.h"
#include "lib/proto/vp8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The parsed header written anew must read back the same. */
static void rewrite(const struct rtp_header *h, const uint8_t *data)
{
    uint8_t room[RTP_MAX_PACKET * 2];
    struct rtp_header again;
    struct rtp_out o = {.pt = h->pt,
                        .seq = h->seq,
                        .ts = h->ts,
                        .ssrc = h->ssrc,
                        .marker = h->marker,
                        .n_csrc = h->n_csrc,
                        .n_ext = h->n_ext};

    for (size_t i = 0; i < h->n_csrc; i++) {
        o.csrc[i] = rtp_csrc(h, data, i);
    }
    for (size_t i = 0; i < h->n_ext; i++) {
        o.ext[i] = (struct rtp_out_ext){h->ext[i].id, h->ext[i].len, data + h->ext[i].off};
    }
    int n = rtp_out_write(&o, room, sizeof room);
    if (n < 0 || n > RTP_MAX_PACKET) {
        return;
    }
    if (rtp_parse(&again, room, (size_t)n) != OK || again.n_ext != h->n_ext ||
        again.ssrc != h->ssrc || again.n_csrc != h->n_csrc) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rtp_header h;
    struct vp8_descriptor v;
    uint8_t level, copy[RTP_MAX_PACKET];
    uint16_t seq;
    bool voice;
    char text[17];

    (void)demux_packet(data, size);
    (void)rtp_parse_encrypted(&h, data, size);
    if (rtp_parse(&h, data, size) != OK) {
        return 0;
    }
    for (unsigned id = 0; id < 16; id++) {
        (void)rtp_audio_level(&h, data, (uint8_t)id, &level, &voice);
        (void)rtp_transport_seq(&h, data, (uint8_t)id, &seq);
        (void)rtp_ext_text(&h, data, (uint8_t)id, text, sizeof text);
    }
    rewrite(&h, data);
    (void)opus_packet_samples(data + h.payload_off, h.payload_len);
    (void)vp8_parse(&v, data + h.payload_off, h.payload_len);
    memcpy(copy, data, size);
    (void)rtp_rtx_unwrap(&h, copy, &size, 1, 96);
    return 0;
}
