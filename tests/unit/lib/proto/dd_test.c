/* Descriptors whose bytes were assembled by hand from the tables of the AV1 RTP specification,
 * appendix A.10.2, not by dd_stream.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdlib.h>

#include "lib/base/err.h"
#include "lib/proto/dd.h"

/* A.10.2.1: frame 0x1234, template 0, structure of five templates, three targets, one chain,
 * 1280x720. */
static const uint8_t l1t3[] = {0x80, 0x12, 0x34, 0x80, 0x02, 0x14, 0xea, 0xaa, 0x44, 0x10,
                               0x4d, 0x14, 0x10, 0x20, 0x84, 0x27, 0x04, 0xff, 0x02, 0xcf};
/* A.10.2.2: frame 0xfffe, template ids from 60 on, so that they wrap; fifteen templates, three
 * chains, three sizes; the targets of the two upper layers are active (0x1f8). */
static const uint8_t l3t3[] = {
    0xfc, 0xff, 0xfe, 0xc7, 0x88, 0x14, 0x85, 0x21, 0x4e, 0xaa, 0xaa, 0xff, 0xfa, 0xbc,
    0xf2, 0x4c, 0x30, 0x43, 0x0c, 0x10, 0xaa, 0xa0, 0x3f, 0xa8, 0x0f, 0x24, 0x03, 0x04,
    0x00, 0xc1, 0x00, 0x2a, 0x00, 0x0a, 0x80, 0x02, 0x40, 0x00, 0x40, 0x00, 0x10, 0x00,
    0x06, 0xd5, 0x49, 0x24, 0x1b, 0x82, 0xb0, 0x4a, 0x09, 0x41, 0x06, 0xe0, 0xac, 0x12,
    0x82, 0x50, 0x3f, 0xea, 0x00, 0x01, 0x97, 0x4c, 0xa8, 0x64, 0x33, 0x0e, 0x22, 0x22,
    0x22, 0xec, 0xa8, 0x65, 0x53, 0x04, 0x22, 0x42, 0x30, 0xec, 0xa8, 0x77, 0x53, 0x01,
    0x3f, 0x00, 0xb3, 0x02, 0x7f, 0x01, 0x67, 0x04, 0xff, 0x02, 0xcf, 0xfc, 0x00};
/* On l3t3: last packet of frame 7, template 61 (S0 T0): mask 0x007, own indications SS-DR----,
 * differences 1, 16, 256 and 4096, chains 200, 0 and 255. */
static const uint8_t custom[] = {0x7d, 0x00, 0x07, 0x78, 0x1e, 0x87, 0x00, 0x41,
                                 0xfb, 0xff, 0xff, 0xf3, 0x20, 0x03, 0xfc};

static void expect_template(const struct dd_structure *s, unsigned i, const char *indications,
                            const char *fdiffs, const char *chains)
{
    const struct dd_template *t = &s->templates[i];

    for (unsigned k = 0; k < s->n_targets; k++) {
        assert_int_equal("-DSR"[t->indication[k]], indications[k]);
    }
    assert_int_equal(t->n_fdiffs, strlen(fdiffs));
    for (unsigned k = 0; k < t->n_fdiffs; k++) {
        assert_int_equal(t->fdiff[k], fdiffs[k]);
    }
    for (unsigned k = 0; k < s->n_chains; k++) {
        assert_int_equal(t->chain_diff[k], chains[k] - '0');
    }
}

static void structure_of_l1t3(void **state)
{
    struct dd_state st = {0};
    struct dd_frame f;
    const struct dd_structure *s = &st.structure;

    (void)state;
    assert_int_equal(dd_parse(&st, &f, l1t3, sizeof l1t3), OK);
    assert_true(st.known && f.structure_attached && f.keyframe);
    assert_true(f.first_in_frame && !f.last_in_frame && !f.targets_present);
    assert_int_equal(f.frame_number, 0x1234);
    assert_int_equal(f.frame_id, 0x11234);
    assert_int_equal(f.active_targets, 7);
    assert_int_equal(f.width, 1280);
    assert_int_equal(f.height, 720);
    assert_int_equal(f.bits, sizeof l1t3 * 8);
    assert_int_equal(s->n_templates, 5);
    assert_int_equal(s->n_targets, 3);
    assert_int_equal(s->n_chains, 1);
    assert_int_equal(s->n_spatial, 1);
    assert_int_equal(s->n_temporal, 3);
    expect_template(s, 0, "SSS", "", "0");
    expect_template(s, 1, "SSS", "\4", "4");
    expect_template(s, 2, "SD-", "\2", "2");
    expect_template(s, 3, "D--", "\1", "1");
    expect_template(s, 4, "D--", "\1", "3");
    assert_int_equal(s->templates[4].tid, 2);
    assert_int_equal(s->target_tid[0], 2);
    assert_int_equal(s->target_tid[1], 1);
    assert_int_equal(s->target_tid[2], 0);
}

static void structure_of_l3t3(void **state)
{
    struct dd_state st = {0};
    struct dd_frame f;
    const struct dd_structure *s = &st.structure;

    (void)state;
    assert_int_equal(dd_parse(&st, &f, l3t3, sizeof l3t3), OK);
    assert_int_equal(s->template_id_offset, 60);
    assert_int_equal(s->n_templates, 15);
    assert_int_equal(s->n_targets, 9);
    assert_int_equal(s->n_chains, 3);
    assert_int_equal(s->n_spatial, 3);
    expect_template(s, 0, "SSSSSSSSS", "", "000");
    expect_template(s, 1, "RRRRRRSSS", "\14", "<;:");
    expect_template(s, 4, "R--R--D--", "\3", "987");
    expect_template(s, 6, "RRRSSS---", "\14\1", "111");
    expect_template(s, 7, "RR-SD----", "\6\1", "765");
    expect_template(s, 11, "SSS------", "\14\1", "211");
    expect_template(s, 14, "D--------", "\3\1", ";:9");
    assert_int_equal(s->templates[7].sid, 1);
    assert_int_equal(s->templates[7].tid, 1);
    assert_int_equal(s->templates[10].sid, 2);
    assert_int_equal(s->templates[10].tid, 0);
    for (unsigned i = 0; i < 9; i++) {
        assert_int_equal(s->target_chain[i], 2 - i / 3);
        assert_int_equal(s->target_sid[i], 2 - i / 3);
        assert_int_equal(s->target_tid[i], 2 - i % 3);
    }
    assert_true(s->has_resolutions);
    assert_int_equal(s->width[1], 640);
    assert_int_equal(s->height[2], 720);
    assert_int_equal(f.width, 320);
    assert_true(f.targets_present);
    assert_int_equal(f.active_targets, 0x1f8);
    assert_int_equal(st.active_targets, 0x1f8);
    assert_int_equal(dd_targets_within(s, 1, 1), 0x1b0);
    assert_int_equal(dd_targets_within(s, 0, 0), 0x100);
    assert_int_equal(dd_targets_within(s, 7, 7), 0x1ff);
}

static void frames_that_refer_to_it(void **state)
{
    static const uint8_t short_one[] = {0xc3, 0xff, 0xff}; /* template 3: index 7, S1 T1 */
    struct dd_state st = {0};
    struct dd_frame f;

    (void)state;
    assert_int_equal(dd_parse(&st, &f, short_one, sizeof short_one), ERR_STATE);
    assert_int_equal(dd_parse(&st, &f, l3t3, sizeof l3t3), OK);
    assert_int_equal(dd_parse(&st, &f, short_one, sizeof short_one), OK);
    assert_true(f.first_in_frame && f.last_in_frame && !f.keyframe && !f.structure_attached);
    assert_int_equal(f.sid, 1);
    assert_int_equal(f.tid, 1);
    assert_int_equal(f.frame_id, 0x1ffff);
    assert_int_equal(f.n_fdiffs, 2);
    assert_int_equal(f.fdiff[0], 6);
    assert_int_equal(f.chain_diff[2], 5);
    assert_int_equal(f.active_targets, 0x1f8); /* as said by the keyframe */
    assert_int_equal(f.width, 640);
    assert_int_equal(f.bits, 24);
    assert_int_equal(f.targets_bit, 29);
}

static void custom_fields(void **state)
{
    struct dd_state st = {0};
    struct dd_frame f;

    (void)state;
    assert_int_equal(dd_parse(&st, &f, l3t3, sizeof l3t3), OK);
    assert_int_equal(dd_parse(&st, &f, custom, sizeof custom), OK);
    assert_true(!f.first_in_frame && f.last_in_frame && f.targets_present);
    assert_int_equal(f.frame_number, 7);
    assert_int_equal(f.frame_id, 0x20007); /* round the end of 16 bits */
    assert_int_equal(f.active_targets, 7);
    assert_int_equal(st.active_targets, 7);
    assert_int_equal(f.indication[0], DD_SWITCH);
    assert_int_equal(f.indication[2], DD_NOT_PRESENT);
    assert_int_equal(f.indication[3], DD_DISCARDABLE);
    assert_int_equal(f.indication[4], DD_REQUIRED);
    assert_int_equal(f.n_fdiffs, 4);
    assert_int_equal(f.fdiff[0], 1);
    assert_int_equal(f.fdiff[1], 16);
    assert_int_equal(f.fdiff[2], 256);
    assert_int_equal(f.fdiff[3], 4096);
    assert_int_equal(f.chain_diff[0], 200);
    assert_int_equal(f.chain_diff[2], 255);
}

static void expect_refusal(const struct dd_state *before, const uint8_t *data, size_t len, int rc)
{
    struct dd_state st = *before;
    struct dd_frame f, zero = {0};
    uint8_t *copy = malloc(len ? len : 1);

    memcpy(copy, data, len);
    memset(&f, 0xff, sizeof f);
    assert_int_equal(dd_parse(&st, &f, copy, len), rc);
    assert_memory_equal(&st, before, sizeof st);
    assert_memory_equal(&f, &zero, sizeof f);
    free(copy);
}

static void every_truncation(void **state)
{
    struct dd_state none = {0}, held = {0};
    struct dd_frame f;

    (void)state;
    assert_int_equal(dd_parse(&held, &f, l1t3, sizeof l1t3), OK);
    for (size_t n = 0; n < sizeof l3t3;
         n++) { /* without the extended fields it refers to nothing */
        expect_refusal(&none, l3t3, n, n == 3 ? ERR_STATE : ERR_TRUNCATED);
        expect_refusal(&held, l3t3, n, n == 3 ? ERR_STATE : ERR_TRUNCATED);
    }
    assert_int_equal(dd_parse(&held, &f, l3t3, sizeof l3t3), OK);
    for (size_t n = 4; n < sizeof custom; n++) {
        expect_refusal(&held, custom, n, ERR_TRUNCATED);
    }
}

/* Bits on their way into a descriptor: 0x80 0 0, then 10000, offset 0, one target. */
static size_t begin_structure(uint8_t *out, size_t cap)
{
    memset(out, 0, cap);
    out[0] = 0x80;
    out[3] = 0x80;
    return 24 + 5 + 6 + 5;
}

static void put(uint8_t *out, size_t *pos, unsigned n, unsigned v)
{
    for (unsigned i = n; i-- > 0; ++*pos) {
        out[*pos / 8] |= (uint8_t)((v >> i & 1) << (7 - *pos % 8));
    }
}

static void template_storms(void **state)
{
    struct dd_state none = {0};
    uint8_t p[DD_MAX_SIZE + 1];
    size_t pos = begin_structure(p, sizeof p);

    (void)state;
    expect_refusal(&none, p, sizeof p - 1, ERR_INVALID); /* zeros: the same layer for ever */
    expect_refusal(&none, p, sizeof p, ERR_TOO_LARGE);
    put(p, &pos, 2, 2);
    put(p, &pos, 2, 2);
    put(p, &pos, 2, 2);
    put(p, &pos, 2, 2);
    put(p, &pos, 2, 3); /* of a fifth spatial layer */
    expect_refusal(&none, p, sizeof p - 1, ERR_INVALID);
    pos = begin_structure(p, sizeof p);
    for (unsigned i = 0; i < 8; i++) {
        put(p, &pos, 2, 1);
    }
    put(p, &pos, 2, 3); /* of a ninth temporal layer */
    expect_refusal(&none, p, sizeof p - 1, ERR_INVALID);
    memset(p, 0xff, sizeof p);
    expect_refusal(&none, p, sizeof p - 1, ERR_TOO_LARGE); /* differences without end */
}

/* 64 templates are allowed, and 32 targets with 32 chains. */
static void largest_counts(void **state)
{
    struct dd_state st = {0};
    struct dd_frame f;
    uint8_t p[DD_MAX_SIZE];
    size_t pos = begin_structure(p, sizeof p);

    (void)state;
    for (unsigned i = 0; i < 64; i++) {
        put(p, &pos, 2, i == 63 ? 3 : 0);
    }
    p[0] = 0x80 | 63;
    assert_int_equal(dd_parse(&st, &f, p, sizeof p), OK);
    assert_int_equal(st.structure.n_templates, 64);
    assert_int_equal(st.structure.n_chains, 0);
    assert_int_equal(f.active_targets, 1);
    pos = begin_structure(p, sizeof p) - 5;
    put(p, &pos, 5, 31);
    put(p, &pos, 2, 3);
    pos += 2 * 32 + 1;   /* indications, no differences */
    put(p, &pos, 6, 63); /* ns(33) of 32 */
    assert_int_equal(dd_parse(&st, &f, p, sizeof p), OK);
    assert_int_equal(f.n_targets, 32);
    assert_int_equal(f.n_chains, 32);
    assert_true(f.active_targets == UINT32_MAX);
}

static void too_many_differences(void **state)
{
    struct dd_state st = {0};
    struct dd_frame f;
    uint8_t p[DD_MAX_SIZE];
    size_t pos = 24;

    (void)state;
    assert_int_equal(dd_parse(&st, &f, l1t3, sizeof l1t3), OK);
    memset(p, 0, sizeof p);
    p[1] = 0x12;
    p[2] = 0x35;
    put(p, &pos, 5, 2);
    for (unsigned i = 0; i < 8; i++) {
        put(p, &pos, 6, 0x10);
    }
    assert_int_equal(dd_parse(&st, &f, p, sizeof p), OK);
    assert_int_equal(f.n_fdiffs, 8);
    put(p, &pos, 6, 0x10);
    expect_refusal(&st, p, sizeof p, ERR_TOO_LARGE);
}

static void templates_out_of_range(void **state)
{
    uint8_t p[sizeof l1t3], beyond[] = {0xc5, 0x12, 0x35};
    struct dd_state st = {0};
    struct dd_frame f;

    (void)state;
    memcpy(p, l1t3, sizeof p);
    p[0] |= 5;
    expect_refusal(&st, p, sizeof p, ERR_INVALID); /* its own structure has no such template */
    assert_int_equal(dd_parse(&st, &f, l1t3, sizeof l1t3), OK);
    expect_refusal(&st, beyond, sizeof beyond, ERR_STATE); /* perhaps of one that was lost */
}

static void set_number(uint8_t *p, uint16_t number)
{
    p[1] = (uint8_t)(number >> 8);
    p[2] = (uint8_t)number;
}

static void late_structures(void **state)
{
    uint8_t old[sizeof l1t3], plain[] = {0xc1, 0, 0};
    struct dd_state st = {0};
    struct dd_frame f;

    (void)state;
    assert_int_equal(dd_parse(&st, &f, l3t3, sizeof l3t3), OK); /* frame 0xfffe */
    memcpy(old, l1t3, sizeof old);
    set_number(old, 0xfff0); /* its keyframe's packet comes after the next one's */
    expect_refusal(&st, old, sizeof old, ERR_STATE);
    set_number(plain, 0xfff1); /* nothing of that stream can be read any more */
    expect_refusal(&st, plain, sizeof plain, ERR_STATE);
    set_number(old, 0x0001);
    assert_int_equal(dd_parse(&st, &f, old, sizeof old), OK);
    assert_int_equal(st.structure.n_targets, 3);
    assert_int_equal(st.active_targets, 7);
}

/* The same structure again keeps late frames readable; an encoder that counts from anew goes on. */
static void repeated_structures(void **state)
{
    uint8_t again[sizeof l1t3], plain[] = {0xc1, 0, 0};
    struct dd_state st = {0};
    struct dd_frame f;

    (void)state;
    memcpy(again, l1t3, sizeof again);
    assert_int_equal(dd_parse(&st, &f, again, sizeof again), OK);
    set_number(again, 0x1240);
    assert_int_equal(dd_parse(&st, &f, again, sizeof again), OK);
    set_number(plain, 0x1236);
    assert_int_equal(dd_parse(&st, &f, plain, sizeof plain), OK);
    assert_int_equal(f.frame_id, 0x11236);
    assert_int_equal(st.newest, 0x11240);
    set_number(again, 0x1240 - DD_LATE_FRAMES - 1);
    assert_int_equal(dd_parse(&st, &f, again, sizeof again), OK);
    assert_int_equal(f.frame_id, 0x21240 - DD_LATE_FRAMES - 1);
}

static void late_masks(void **state)
{
    uint8_t late[sizeof custom];
    struct dd_state st = {0};
    struct dd_frame f;

    (void)state;
    assert_int_equal(dd_parse(&st, &f, l3t3, sizeof l3t3), OK);
    assert_int_equal(dd_parse(&st, &f, custom, sizeof custom), OK); /* frame 7: 0x007 */
    memcpy(late, custom, sizeof late);
    set_number(late, 6);
    late[3] = 0x7f; /* 0x1c7, in the frame before */
    assert_int_equal(dd_parse(&st, &f, late, sizeof late), OK);
    assert_int_equal(f.active_targets, 0x1c7);
    assert_int_equal(st.active_targets, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(structure_of_l1t3),       cmocka_unit_test(structure_of_l3t3),
        cmocka_unit_test(frames_that_refer_to_it), cmocka_unit_test(custom_fields),
        cmocka_unit_test(every_truncation),        cmocka_unit_test(template_storms),
        cmocka_unit_test(largest_counts),          cmocka_unit_test(too_many_differences),
        cmocka_unit_test(templates_out_of_range),  cmocka_unit_test(late_structures),
        cmocka_unit_test(repeated_structures),     cmocka_unit_test(late_masks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
