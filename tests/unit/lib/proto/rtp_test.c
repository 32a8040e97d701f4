#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdlib.h>

#include "lib/base/err.h"
#include "lib/proto/rtp.h"

/* Exactly n bytes on the heap, so that the sanitizer sees a read past their end. */
static uint8_t *exact(const uint8_t *p, size_t n)
{
    uint8_t *copy = malloc(n ? n : 1);
    assert_non_null(copy);
    memcpy(copy, p, n);
    return copy;
}

static const uint8_t one_byte[] = {
    0x92, 0xe0, 0x12, 0x34, 0,    0,    0,    7,
    0xaa, 0xbb, 0xcc, 0xdd,                      /* X, 2 CSRCs, M, PT 96 */
    0,    0,    0,    1,    0,    0,    0,    2, /* CSRCs */
    0xbe, 0xde, 0,    3,                         /* 3 words */
    0x10, 0x85, 0,    0x31, 0x12, 0x34, 0x42, 'a',
    'b',  'c',  0,    0, /* level, padding, TWCC, mid */
    1,    2,    3,
};

static void reads_header_and_one_byte_extensions(void **state)
{
    struct rtp_header h;
    uint8_t level;
    bool voice;
    uint16_t seq;
    char mid[8];
    size_t len;

    (void)state;
    assert_int_equal(rtp_parse(&h, one_byte, sizeof one_byte), OK);
    assert_true(h.marker);
    assert_int_equal(h.pt, 96);
    assert_int_equal(h.seq, 0x1234);
    assert_int_equal(h.ts, 7);
    assert_int_equal(h.ssrc, 0xaabbccdd);
    assert_int_equal(h.n_csrc, 2);
    assert_int_equal(rtp_csrc(&h, one_byte, 1), 2);
    assert_int_equal(h.payload_off, sizeof one_byte - 3);
    assert_int_equal(h.payload_len, 3);
    assert_int_equal(h.n_ext, 3);
    assert_true(rtp_audio_level(&h, one_byte, 1, &level, &voice));
    assert_int_equal(level, 5);
    assert_true(voice);
    assert_true(rtp_transport_seq(&h, one_byte, 3, &seq));
    assert_int_equal(seq, 0x1234);
    assert_true(rtp_ext_text(&h, one_byte, 4, mid, sizeof mid));
    assert_string_equal(mid, "abc");
    assert_false(rtp_ext_text(&h, one_byte, 4, mid, 3)); /* too long for it */
    assert_null(rtp_ext_find(&h, one_byte, 0, &len));
    assert_null(rtp_ext_find(&h, one_byte, 9, &len));
}

static void reads_two_byte_extensions(void **state)
{
    static const uint8_t p[] = {0x90, 96,  0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0x10, 0,   0,
                                3,    200, 3, 1, 2, 3, 0, 7, 0, 9, 1, 5, 0,    0xff};
    struct rtp_header h;
    size_t len;

    (void)state;
    assert_int_equal(rtp_parse(&h, p, sizeof p), OK);
    assert_int_equal(h.n_ext, 3);
    const uint8_t *d = rtp_ext_find(&h, p, 200, &len);
    assert_int_equal(len, 3);
    assert_int_equal(d[2], 3);
    assert_non_null(rtp_ext_find(&h, p, 7, &len));
    assert_int_equal(len, 0);
    assert_int_equal(h.payload_len, 1);
}

static void id_15_ends_the_list(void **state)
{
    static const uint8_t p[] = {0x90, 96, 0,    1,    0, 0, 0,    0, 0, 0,
                                0,    1,  0xbe, 0xde, 0, 1, 0xff, 1, 2, 3};
    struct rtp_header h;

    (void)state;
    assert_int_equal(rtp_parse(&h, p, sizeof p), OK);
    assert_int_equal(h.n_ext, 0);
    assert_int_equal(h.payload_len, 0);
}

static void element_past_the_extension_is_refused(void **state)
{
    static const uint8_t p[] = {0x90, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0xbe, 0xde, 0, 1, 0x1f, 1,
                                2,    3,  9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9,    9,    9, 9, 9,    9};
    struct rtp_header h;

    (void)state;
    assert_int_equal(rtp_parse(&h, p, sizeof p), ERR_TRUNCATED);
}

static void more_elements_than_kept_are_skipped(void **state)
{
    uint8_t p[16 + 32] = {0x90, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0xbe, 0xde, 0, 8};
    struct rtp_header h;

    (void)state;
    for (size_t i = 0; i < 16; i++) {
        p[16 + 2 * i] = 0x10;
        p[17 + 2 * i] = (uint8_t)i;
    }
    assert_int_equal(rtp_parse(&h, p, sizeof p), OK);
    assert_int_equal(h.n_ext, RTP_MAX_EXT);
}

static void every_truncation_is_an_error_or_a_shorter_payload(void **state)
{
    struct rtp_header h;

    (void)state;
    for (size_t n = 0; n < sizeof one_byte; n++) {
        uint8_t *p = exact(one_byte, n);
        int r = rtp_parse(&h, p, n);
        if (n < sizeof one_byte - 3) {
            assert_int_equal(r, ERR_TRUNCATED);
        } else {
            assert_int_equal(r, OK);
        }
        free(p);
    }
}

static void padding(void **state)
{
    uint8_t p[20] = {0xa0, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 4};
    struct rtp_header h;

    (void)state;
    assert_int_equal(rtp_parse(&h, p, sizeof p), OK);
    assert_int_equal(h.payload_len, 4);
    assert_int_equal(h.padding, 4);
    p[19] = 8; /* a probe: nothing but padding */
    assert_int_equal(rtp_parse(&h, p, sizeof p), OK);
    assert_int_equal(h.payload_len, 0);
    p[19] = 9;
    assert_int_equal(rtp_parse(&h, p, sizeof p), ERR_INVALID);
    p[19] = 0;
    assert_int_equal(rtp_parse(&h, p, sizeof p), ERR_INVALID);
    assert_int_equal(rtp_parse(&h, p, 12), ERR_INVALID);
    assert_int_equal(rtp_parse_encrypted(&h, p, sizeof p), OK);
    assert_int_equal(h.payload_len, 8);
    p[0] = 0x60;
    assert_int_equal(rtp_parse(&h, p, sizeof p), ERR_INVALID);
}

static void too_large(void **state)
{
    static uint8_t p[RTP_MAX_PACKET + 1] = {0x80, 96};
    struct rtp_header h;

    (void)state;
    assert_int_equal(rtp_parse(&h, p, sizeof p), ERR_TOO_LARGE);
    assert_int_equal(rtp_parse(&h, p, RTP_MAX_PACKET), OK);
}

static void written_header_reads_back(void **state)
{
    uint8_t p[128], level = 0x85, twcc[2] = {1, 2};
    struct rtp_header h;
    struct rtp_out o = {.marker = true,
                        .pt = 111,
                        .seq = 65535,
                        .ts = 0xfffffff0,
                        .ssrc = 42,
                        .n_csrc = 1,
                        .csrc = {77},
                        .n_ext = 2,
                        .ext = {{1, 1, &level}, {3, 2, twcc}}};

    (void)state;
    int n = rtp_out_write(&o, p, sizeof p);
    assert_int_equal(n, (int)rtp_out_size(&o));
    assert_int_equal(n, 12 + 4 + 4 + 8);
    assert_int_equal(rtp_parse(&h, p, (size_t)n), OK);
    assert_int_equal(h.ext_profile, RTP_EXT_ONE_BYTE);
    assert_int_equal(h.seq, 65535);
    assert_int_equal(h.ts, 0xfffffff0);
    assert_int_equal(rtp_csrc(&h, p, 0), 77);
    uint16_t seq;
    assert_true(rtp_transport_seq(&h, p, 3, &seq));
    assert_int_equal(seq, 0x0102);
    o.ext[0].id = 15; /* only the two-byte form has it */
    n = rtp_out_write(&o, p, sizeof p);
    assert_int_equal(rtp_parse(&h, p, (size_t)n), OK);
    assert_int_equal(h.ext_profile, RTP_EXT_TWO_BYTE);
    assert_int_equal(h.n_ext, 2);
}

static void writer_refuses(void **state)
{
    uint8_t p[64], one = 1;
    struct rtp_out o = {.pt = 96, .n_ext = 1, .ext = {{1, 1, &one}}};

    (void)state;
    for (size_t cap = 0; cap < rtp_out_size(&o); cap++) {
        assert_int_equal(rtp_out_write(&o, p, cap), ERR_TOO_LARGE);
    }
    o.ext[0].id = 0;
    assert_int_equal(rtp_out_write(&o, p, sizeof p), ERR_INVALID);
    o = (struct rtp_out){.n_csrc = 16};
    assert_int_equal(rtp_out_write(&o, p, sizeof p), ERR_INVALID);
    assert_int_equal(rtp_out_prepend(&o, p + 64, 64), ERR_INVALID);
}

static void rtx_wraps_and_unwraps(void **state)
{
    uint8_t room[64] = {0}, *payload = room + 40;
    struct rtp_header h;
    struct rtp_out o = {.pt = 97, .seq = 9, .ts = 5, .ssrc = 2, .rtx = true, .osn = 0xabcd};

    (void)state;
    memcpy(payload, "vp8!", 4);
    int n = rtp_out_prepend(&o, payload, 40);
    assert_int_equal(n, 14);
    uint8_t *p = payload - n;
    size_t len = (size_t)n + 4;
    assert_int_equal(rtp_parse(&h, p, len), OK);
    assert_int_equal(h.payload_len, 6);
    assert_int_equal(rtp_rtx_unwrap(&h, p, &len, 1, 96), OK);
    p += 2;
    assert_int_equal(len, 16);
    assert_int_equal(h.seq, 0xabcd);
    assert_int_equal(h.ssrc, 1);
    assert_int_equal(h.pt, 96);
    assert_int_equal(h.ts, 5);
    assert_memory_equal(p + h.payload_off, "vp8!", 4);
    assert_int_equal(rtp_out_prepend(&o, payload, 13), ERR_TOO_LARGE);
}

static void rtx_without_osn_is_refused(void **state)
{
    uint8_t p[16] = {0x80, 97, 0, 9, 0, 0, 0, 5, 0, 0, 0, 2, 7};
    struct rtp_header h;
    size_t len = 13;

    (void)state;
    assert_int_equal(rtp_parse(&h, p, len), OK);
    assert_int_equal(rtp_rtx_unwrap(&h, p, &len, 1, 96), ERR_TRUNCATED);
    assert_int_equal(len, 13);
    assert_int_equal(p[1], 97);
}

static void sequence_arithmetic(void **state)
{
    struct rtp_unwrap u = {0}, t = {0};

    (void)state;
    assert_int_equal(rtp_seq_diff(1, 65535), 2);
    assert_int_equal(rtp_seq_diff(65535, 1), -2);
    assert_int_equal(rtp_ts_diff(3, 0xffffffff), 4);
    assert_int_equal(rtp_unwrap_seq(&u, 65534), 65536 + 65534);
    assert_int_equal(rtp_unwrap_seq(&u, 1), 65536 + 65537);
    assert_int_equal(rtp_unwrap_seq(&u, 65535), 65536 + 65535); /* late */
    assert_int_equal(u.highest, 65536 + 65537);
    assert_int_equal(rtp_unwrap_peek(&u, 2), 65536 + 65538);
    assert_int_equal(u.highest, 65536 + 65537);
    assert_int_equal(rtp_unwrap_ts(&t, 0xffffff00), 0x1ffffff00);
    assert_int_equal(rtp_unwrap_ts(&t, 0x10), 0x200000010);
}

static void fields_are_set_in_place(void **state)
{
    uint8_t p[12] = {0x80, 0x80 | 96};
    struct rtp_header h;

    (void)state;
    rtp_set_seq(p, 0x0102);
    rtp_set_ts(p, 0x03040506);
    rtp_set_ssrc(p, 0x0708090a);
    rtp_set_pt(p, 111);
    assert_int_equal(rtp_parse(&h, p, sizeof p), OK);
    assert_true(h.marker);
    assert_int_equal(h.pt, 111);
    assert_int_equal(h.seq, 0x0102);
    assert_int_equal(h.ts, 0x03040506);
    assert_int_equal(h.ssrc, 0x0708090a);
    rtp_set_marker(p, false);
    assert_int_equal(p[1], 111);
}

static void abs_send_time_is_6_18_fixed_point(void **state)
{
    (void)state;
    assert_int_equal(rtp_abs_send_time(0), 0);
    assert_int_equal(rtp_abs_send_time(1000000), 1 << 18);
    assert_int_equal(rtp_abs_send_time(1500000), 3 << 17);
    assert_int_equal(rtp_abs_send_time(64000000), 0);
}

static void uris_have_kinds(void **state)
{
    (void)state;
    for (int i = 0; i < RTP_EXT_KINDS; i++) {
        assert_int_equal(rtp_ext_kind_of(rtp_ext_uri((enum rtp_ext_kind)i)), i);
    }
    assert_int_equal(rtp_ext_kind_of("urn:x"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_header_and_one_byte_extensions),
        cmocka_unit_test(reads_two_byte_extensions),
        cmocka_unit_test(id_15_ends_the_list),
        cmocka_unit_test(element_past_the_extension_is_refused),
        cmocka_unit_test(more_elements_than_kept_are_skipped),
        cmocka_unit_test(every_truncation_is_an_error_or_a_shorter_payload),
        cmocka_unit_test(padding),
        cmocka_unit_test(too_large),
        cmocka_unit_test(written_header_reads_back),
        cmocka_unit_test(writer_refuses),
        cmocka_unit_test(rtx_wraps_and_unwraps),
        cmocka_unit_test(rtx_without_osn_is_refused),
        cmocka_unit_test(sequence_arithmetic),
        cmocka_unit_test(fields_are_set_in_place),
        cmocka_unit_test(abs_send_time_is_6_18_fixed_point),
        cmocka_unit_test(uris_have_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
