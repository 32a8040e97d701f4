/* The sequence parameter set of H.264 (section 7.3.2.1.1), as far as the picture's size. */
#include "lib/base/err.h"
#include "lib/proto/bits.h"
#include "lib/proto/h264.h"

#define SPS_MAX    256 /* bytes regarded: the size stands before the VUI, far below this */
#define MAX_SCALED 64
#define MAX_MBS    1055 /* a side: sqrt(8 MaxFS) of level 6.2 (sections A.3.1, A.3.4) */
#define MAX_POC    255

/* Section 7.3.1.1: 00 00 03 stands for 00 00. */
static size_t unescape(uint8_t *out, size_t cap, const uint8_t *in, size_t len)
{
    size_t n = 0, zeros = 0;

    for (size_t i = 0; i < len && n < cap; i++) {
        if (zeros >= 2 && in[i] == 3) {
            zeros = 0;
            continue;
        }
        zeros = in[i] ? 0 : zeros + 1;
        out[n++] = in[i];
    }
    return n;
}

static bool has_chroma_format(uint32_t profile)
{
    static const uint8_t profiles[] = {100, 110, 122, 244, 44,  83, 86,
                                       118, 128, 138, 139, 134, 135};

    for (size_t i = 0; i < sizeof profiles; i++) {
        if (profiles[i] == profile) {
            return true;
        }
    }
    return false;
}

/* Section 7.3.2.1.1.1: passes over a scaling list; it ends where the next scale is 0. */
static void skip_scaling_list(struct bits *b, size_t size)
{
    int32_t last = 8, next = 8;

    for (size_t i = 0; i < size && next && !b->bad; i++) {
        int32_t delta = bits_read_se(b);
        next = (last + (delta & 0xff) + 256) & 0xff;
        last = next ? next : last;
    }
}

/* Returns chroma_format_idc; 1 (4:2:0) where the profile doesn't tell. Over 3: not valid. */
static uint32_t read_chroma(struct bits *b, uint32_t profile, bool *separate)
{
    if (!has_chroma_format(profile)) {
        return 1;
    }
    uint32_t chroma = bits_read_ue(b);
    if (chroma == 3) {
        *separate = bits_flag(b);
    }
    bits_read_ue(b); /* bit_depth_luma_minus8 */
    bits_read_ue(b); /* bit_depth_chroma_minus8 */
    bits_skip(b, 1); /* qpprime_y_zero_transform_bypass_flag */
    if (bits_flag(b)) {
        for (size_t i = 0; i < (chroma == 3 ? 12u : 8u) && !b->bad; i++) {
            if (bits_flag(b)) {
                skip_scaling_list(b, i < 6 ? 16 : MAX_SCALED);
            }
        }
    }
    return chroma;
}

static void skip_picture_order(struct bits *b)
{
    uint32_t type = bits_read_ue(b);

    if (type == 0) {
        bits_read_ue(b); /* log2_max_pic_order_cnt_lsb_minus4 */
    } else if (type == 1) {
        bits_skip(b, 1);
        bits_read_se(b);
        bits_read_se(b);
        uint32_t n = bits_read_ue(b);
        b->bad |= n > MAX_POC;
        for (uint32_t i = 0; i < n && !b->bad; i++) {
            bits_read_se(b);
        }
    }
}

/* Width or height in samples, without what is cropped at both ends (in units of `unit`); 0: the
 * numbers can't be right. */
static uint16_t side(uint32_t samples, uint32_t crop_a, uint32_t crop_b, uint32_t unit)
{
    uint64_t crop = ((uint64_t)crop_a + crop_b) * unit;

    return crop < samples ? (uint16_t)(samples - crop) : 0;
}

/* From pic_width_in_mbs_minus1 to the cropping rectangle. */
static int read_size(struct bits *b, uint32_t chroma, bool separate, uint16_t *width,
                     uint16_t *height)
{
    uint32_t mbs_wide = bits_read_ue(b), units_high = bits_read_ue(b), crop[4] = {0};
    bool frames_only = bits_flag(b);

    if (!frames_only) {
        bits_skip(b, 1); /* mb_adaptive_frame_field_flag */
    }
    bits_skip(b, 1);    /* direct_8x8_inference_flag */
    if (bits_flag(b)) { /* left, right, top, bottom */
        for (size_t i = 0; i < 4; i++) {
            crop[i] = bits_read_ue(b);
        }
    }
    if (b->bad) {
        return ERR_TRUNCATED;
    }
    if (mbs_wide >= MAX_MBS || units_high >= MAX_MBS) {
        return ERR_INVALID;
    }
    uint32_t fields = frames_only ? 1 : 2; /* 7-19 to 7-22: CropUnitX and CropUnitY */
    uint32_t sub_x = !separate && (chroma == 1 || chroma == 2) ? 2 : 1;
    uint32_t sub_y = !separate && chroma == 1 ? 2 : 1;
    *width = side((mbs_wide + 1) * 16, crop[0], crop[1], sub_x);
    *height = side((units_high + 1) * 16 * fields, crop[2], crop[3], sub_y * fields);
    return *width && *height ? OK : ERR_INVALID;
}

int h264_sps_size(const uint8_t *nal, size_t len, uint16_t *width, uint16_t *height)
{
    uint8_t plain[SPS_MAX];
    struct bits b;
    bool separate = false;

    if (len < 4 || (nal[0] & 0x1f) != H264_NAL_SPS) {
        return len < 4 ? ERR_TRUNCATED : ERR_INVALID;
    }
    bits_init(&b, plain, unescape(plain, sizeof plain, nal + 1, len - 1));
    uint32_t profile = bits_read(&b, 8);
    bits_skip(&b, 16); /* constraint flags, level_idc */
    bits_read_ue(&b);  /* seq_parameter_set_id */
    uint32_t chroma = read_chroma(&b, profile, &separate);
    if (chroma > 3) {
        return ERR_INVALID;
    }
    bits_read_ue(&b); /* log2_max_frame_num_minus4 */
    skip_picture_order(&b);
    bits_read_ue(&b); /* max_num_ref_frames */
    bits_skip(&b, 1); /* gaps_in_frame_num_value_allowed_flag */
    return read_size(&b, chroma, separate, width, height);
}
