#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "lib/proto/dd.h"
#include "tests/unit/lib/proto/dd_stream.h"

/* Everything that a rewrite leaves alone. */
static void expect_same_frame(const struct dd_frame *a, const struct dd_frame *b)
{
    assert_int_equal(a->first_in_frame, b->first_in_frame);
    assert_int_equal(a->last_in_frame, b->last_in_frame);
    assert_int_equal(a->sid, b->sid);
    assert_int_equal(a->tid, b->tid);
    assert_int_equal(a->structure_attached, b->structure_attached);
    assert_int_equal(a->n_fdiffs, b->n_fdiffs);
    assert_memory_equal(a->fdiff, b->fdiff, sizeof a->fdiff);
    assert_memory_equal(a->indication, b->indication, sizeof a->indication);
    assert_memory_equal(a->chain_diff, b->chain_diff, sizeof a->chain_diff);
    assert_int_equal(a->width, b->width);
}

/* Sends every packet of a stream through dd_write and reads it as a receiver would. */
static void forward(struct dd_stream *s, const struct dd_rewrite *how, unsigned pictures)
{
    struct dd_packet p[DD_STREAM_PACKETS];
    struct dd_state in = {0}, out = {0};
    struct dd_frame a, b;
    uint8_t buf[DD_MAX_SIZE];

    for (unsigned i = 0; i < pictures; i++) {
        size_t n = dd_stream_picture(s, i % 20 == 0, p);
        for (size_t k = 0; k < n; k++) {
            assert_int_equal(dd_parse(&in, &a, p[k].dd, p[k].dd_len), OK);
            int len = dd_write(&a, how, p[k].dd, p[k].dd_len, buf, sizeof buf);
            assert_true(len >= 3 && len <= p[k].dd_len + 5);
            assert_int_equal(dd_parse(&out, &b, buf, (size_t)len), OK);
            expect_same_frame(&a, &b);
            assert_int_equal(b.frame_number, (uint16_t)(a.frame_number + how->add_frame));
            assert_int_equal(b.active_targets, how->set_targets ? how->targets : a.active_targets);
        }
    }
    assert_int_equal(out.structure.template_id_offset,
                     (in.structure.template_id_offset + how->add_template) % 64);
    assert_memory_equal(out.structure.templates, in.structure.templates,
                        sizeof in.structure.templates);
}

static void streams_forwarded(void **state)
{
    static const struct dd_rewrite hows[] = {
        {0},
        {.set_targets = true, .targets = 5},
        {.set_targets = true, .targets = 0},
        {.add_frame = 40000, .add_template = 20},
        {.add_frame = 1, .add_template = 63, .set_targets = true, .targets = 1},
    };
    struct dd_stream s;

    (void)state;
    for (size_t h = 0; h < sizeof hows / sizeof hows[0]; h++) {
        for (int kind = DD_STREAM_FULL; kind <= DD_STREAM_SIMUL; kind++) {
            dd_stream_init(&s, 3, 3, (enum dd_stream_kind)kind, 2);
            dd_stream_with_sizes(&s);
            s.say_targets = h % 2;
            forward(&s, &hows[h], 50);
        }
    }
}

static void nothing_to_do_is_a_copy(void **state)
{
    struct dd_stream s;
    struct dd_packet p[DD_STREAM_PACKETS];
    struct dd_state st = {0};
    struct dd_frame f;
    struct dd_rewrite none = {0};
    uint8_t buf[DD_MAX_SIZE];

    (void)state;
    dd_stream_init(&s, 2, 2, DD_STREAM_FULL, 1);
    for (unsigned i = 0; i < 10; i++) {
        size_t n = dd_stream_picture(&s, i == 0, p);
        for (size_t k = 0; k < n; k++) {
            assert_int_equal(dd_parse(&st, &f, p[k].dd, p[k].dd_len), OK);
            assert_int_equal(dd_write(&f, &none, p[k].dd, p[k].dd_len, buf, sizeof buf),
                             p[k].dd_len);
            assert_memory_equal(buf, p[k].dd, p[k].dd_len);
        }
    }
}

/* The short form grows by flags and mask; one that has a mask keeps its size. */
static void sizes(void **state)
{
    struct dd_stream s;
    struct dd_packet p[DD_STREAM_PACKETS];
    struct dd_state st = {0};
    struct dd_frame f;
    struct dd_rewrite how = {.set_targets = true, .targets = 0x3f};
    uint8_t buf[DD_MAX_SIZE], again[DD_MAX_SIZE];

    (void)state;
    dd_stream_init(&s, 3, 3, DD_STREAM_FULL, 1);
    dd_stream_picture(&s, true, p);
    assert_int_equal(dd_parse(&st, &f, p[0].dd, p[0].dd_len), OK);
    assert_int_equal(p[1].dd_len, 3);
    assert_int_equal(dd_parse(&st, &f, p[1].dd, p[1].dd_len), OK);
    assert_int_equal(dd_write(&f, &how, p[1].dd, 3, buf, 4), ERR_TOO_LARGE);
    assert_int_equal(dd_write(&f, &how, p[1].dd, 3, buf, sizeof buf), 5);
    assert_int_equal(buf[3], 0x40); /* 01000, then 000111111 */
    assert_int_equal(buf[4], 0xfc);
    assert_int_equal(dd_parse(&st, &f, buf, 5), OK);
    how.targets = 7;
    assert_int_equal(dd_write(&f, &how, buf, 5, again, sizeof again), 5);
    assert_int_equal(again[4], 0x1c);
}

static void what_was_not_read(void **state)
{
    struct dd_frame f = {0};
    struct dd_rewrite how = {0};
    uint8_t data[3] = {0}, buf[DD_MAX_SIZE];

    (void)state;
    assert_int_equal(dd_write(&f, &how, data, sizeof data, buf, sizeof buf), ERR_INVALID);
    f.bits = 32;
    f.n_targets = 1;
    assert_int_equal(dd_write(&f, &how, data, sizeof data, buf, sizeof buf), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_forwarded),
        cmocka_unit_test(nothing_to_do_is_a_copy),
        cmocka_unit_test(sizes),
        cmocka_unit_test(what_was_not_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
