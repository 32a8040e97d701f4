/* Framing of ICE-TCP: however a stream is cut into reads, the same packets come out. The first byte
 * says how it is cut. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/io/tcp_frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    size_t packets, bytes;
    uint32_t sum;
    int end;
};

static void look(struct seen *s, const uint8_t *frame, int len)
{
    s->packets++;
    s->bytes += (size_t)len;
    for (int i = 0; i < len; i++) {
        s->sum = s->sum * 31 + frame[i];
    }
}

static void read_all(struct seen *s, const uint8_t *data, size_t size, size_t step)
{
    struct tcp_frames f = {0};
    const uint8_t *frame;
    memset(s, 0, sizeof *s);
    for (size_t at = 0; at < size && s->end >= 0; at += step) {
        const uint8_t *part = data + at;
        size_t len = size - at < step ? size - at : step;
        while ((s->end = tcp_frames_next(&f, &part, &len, &frame)) > 0) {
            if (s->end > TCP_FRAME_MAX) {
                abort();
            }
            look(s, frame, s->end);
        }
        if (s->end == 0 && len != 0) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen whole, cut;
    if (size < 2) {
        return 0;
    }
    read_all(&whole, data + 1, size - 1, size);
    read_all(&cut, data + 1, size - 1, (size_t)data[0] + 1);
    if (whole.packets != cut.packets || whole.bytes != cut.bytes || whole.sum != cut.sum ||
        whole.end != cut.end) {
        abort();
    }
    return 0;
}
