/* VP8: the descriptor, and its rewriting in place, which must change nothing else. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/proto/codec.h"
#include "lib/proto/vp8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vp8_descriptor a, b;
    struct codec_info info;
    uint8_t copy[64];

    if (vp8_parse(&a, data, size) != OK || codec_parse(&info, CODEC_VP8, data, size) != OK) {
        return 0;
    }
    size_t n = size < sizeof copy ? size : sizeof copy;
    memcpy(copy, data, n);
    codec_rewrite(&info, copy, 0x1234, 0x56);
    if (vp8_parse(&b, copy, n) != OK || b.size != a.size || b.tid != a.tid ||
        b.picture_bits != a.picture_bits || b.keyframe != a.keyframe ||
        (b.picture_bits == 15 && b.picture_id != 0x1234)) {
        abort();
    }
    return 0;
}
