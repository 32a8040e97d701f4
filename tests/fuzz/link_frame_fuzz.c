/* The control link's framing: whatever comes, in whatever pieces, frames are found whole, once and
 * in order, and a length past the bound ends the stream. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/io/link_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf b;
    size_t at = 0, taken = 0;
    if (size < 1)
        return 0;
    size_t piece = 1 + data[0] % 64;
    data++;
    size--;
    buf_init(&b, LINK_MAX_FRAME + 65536);
    while (at < size) {
        size_t n = size - at < piece ? size - at : piece;
        if (buf_append(&b, data + at, n) != OK)
            break;
        at += n;
        const uint8_t *frame;
        size_t len;
        int rc;
        while ((rc = link_frame_next(&b, &frame, &len)) == OK) {
            /* it is what was sent at that place */
            if (len > LINK_MAX_FRAME || memcmp(frame, data + taken + 4, len) != 0)
                abort();
            taken += 4 + len;
            buf_consume(&b, 4 + len);
        }
        if (rc == ERR_TOO_LARGE)
            break;
        if (rc != ERR_AGAIN || taken + b.len != at)
            abort();
    }
    buf_free(&b);
    return 0;
}
