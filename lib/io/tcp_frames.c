#include "lib/io/tcp_frames.h"

#include <string.h>

#include "lib/base/err.h"

static size_t length_at(const uint8_t *header)
{
    return (size_t)header[0] << 8 | header[1];
}

/* Keeps up to `want` bytes in all; how many are kept then. */
static size_t keep(struct tcp_frames *f, size_t want, const uint8_t **data, size_t *len)
{
    size_t missing = want > f->len ? want - f->len : 0;
    size_t n = missing < *len ? missing : *len;
    memcpy(f->kept + f->len, *data, n);
    f->len += n;
    *data += n;
    *len -= n;
    return f->len;
}

/* Goes on with a packet whose beginning came with an earlier read. */
static int finish_kept(struct tcp_frames *f, const uint8_t **data, size_t *len,
                       const uint8_t **frame)
{
    if (keep(f, TCP_FRAME_HEADER, data, len) < TCP_FRAME_HEADER) {
        return 0;
    }
    size_t n = length_at(f->kept);
    if (n > TCP_FRAME_MAX) {
        return ERR_TOO_LARGE;
    }
    if (keep(f, TCP_FRAME_HEADER + n, data, len) < TCP_FRAME_HEADER + n) {
        return 0;
    }
    f->len = 0;
    *frame = f->kept + TCP_FRAME_HEADER;
    return (int)n;
}

/* A packet that is whole in what was read needs no copy. */
static int take_whole(const uint8_t **data, size_t *len, const uint8_t **frame)
{
    size_t n = length_at(*data);
    *frame = *data + TCP_FRAME_HEADER;
    *data += TCP_FRAME_HEADER + n;
    *len -= TCP_FRAME_HEADER + n;
    return (int)n;
}

int tcp_frames_next(struct tcp_frames *f, const uint8_t **data, size_t *len, const uint8_t **frame)
{
    while (*len > 0) {
        bool begun = f->len > 0;
        size_t n = *len >= TCP_FRAME_HEADER ? length_at(*data) : 0;
        bool whole = !begun && *len >= TCP_FRAME_HEADER && n <= *len - TCP_FRAME_HEADER;
        if (!begun && n > TCP_FRAME_MAX) {
            return ERR_TOO_LARGE;
        }
        int got = whole ? take_whole(data, len, frame) : finish_kept(f, data, len, frame);
        if (got != 0) {
            return got;
        }
    }
    return 0;
}

bool tcp_frames_is_clean(const struct tcp_frames *f)
{
    return f->len == 0;
}
