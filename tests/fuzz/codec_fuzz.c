/* Payload descriptors of all codecs: the first byte chooses. What was read must be within the
 * payload, and rewriting must change nothing but picture id and tl0picidx. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/proto/codec.h"
#include "lib/proto/h264.h"
#include "lib/proto/vp9.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void expect_bounds(const struct codec_info *i, size_t size)
{
    expect(i->picture_bits == 0 || i->picture_off + i->picture_bits / 8u < size);
    expect(!i->has_tl0 || i->tl0_off < size);
    expect(i->sid < 8 && i->tid < 8 && i->n_spatial <= 8);
    expect(i->picture_bits == 0 || i->picture_id < 1u << i->picture_bits);
    expect(!i->picture_start || i->frame_start);
}

static void rewrite(enum codec c, const struct codec_info *info, const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size);
    struct codec_info again, want = *info;

    if (!copy) {
        return;
    }
    memcpy(copy, data, size);
    codec_rewrite(info, copy, 0x5a5a, 0xa5);
    want.picture_id = info->picture_bits ? 0x5a5a & ((1u << info->picture_bits) - 1) : 0;
    want.tl0picidx = info->has_tl0 ? 0xa5 : 0;
    expect(codec_parse(&again, c, copy, size) == OK);
    expect(memcmp(&again, &want, sizeof want) == 0);
    free(copy);
}

static void read_vp9_structure(const uint8_t *data, size_t size)
{
    struct vp9_descriptor d;
    struct vp9_structure s;

    if (vp9_parse(&d, data, size) == OK && d.has_structure) {
        expect(vp9_structure_read(&s, &d, data, size) == OK);
        expect(s.n_spatial == d.n_spatial && s.width[s.n_spatial - 1] == d.width);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum codec codecs[] = {CODEC_VP8, CODEC_VP9, CODEC_H264, CODEC_AV1, CODEC_RED};
    struct codec_info info, zero;
    uint16_t width, height;

    if (size < 1) {
        return 0;
    }
    enum codec c = codecs[data[0] % (sizeof codecs / sizeof codecs[0])];
    data++;
    size--;
    memset(&info, 0, sizeof info);
    memset(&zero, 0, sizeof zero);
    if (codec_parse(&info, c, data, size) == OK) {
        expect_bounds(&info, size);
        rewrite(c, &info, data, size);
    } else {
        expect(memcmp(&info, &zero, sizeof info) == 0);
    }
    read_vp9_structure(data, size);
    if (h264_sps_size(data, size, &width, &height) == OK) {
        expect(width > 0 && height > 0);
    }
    return 0;
}
