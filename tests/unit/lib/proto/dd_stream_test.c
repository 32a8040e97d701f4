/* Streams of dd_stream.h, read by dd_parse: the structures are those of the specification, and what
 * the descriptors say of each decode target holds when only its frames arrive. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "lib/proto/codec.h"
#include "lib/proto/dd.h"
#include "tests/unit/lib/proto/dd_stream.h"

/* The table of A.10.2.2 (L3T3), targets from low to high as libwebrtc orders them. */
static const struct {
    const char *indications, *fdiffs, *chains;
} table[] = {
    {"SSSSSSSSS", "", "000"},      {"SSSRRRRRR", "\14", "<;:"},  {"-DS-RR-RR", "\6", "654"},
    {"--D--R--R", "\3", "321"},    {"--D--R--R", "\3", "987"},   {"---SSSSSS", "\1", "111"},
    {"---SSSRRR", "\14\1", "111"}, {"----DS-RR", "\6\1", "765"}, {"-----D--R", "\3\1", "432"},
    {"-----D--R", "\3\1", ":98"},  {"------SSS", "\1", "211"},   {"------SSS", "\14\1", "211"},
    {"-------DS", "\6\1", "876"},  {"--------D", "\3\1", "543"}, {"--------D", "\3\1", ";:9"},
};

static void l3t3_is_the_specifications(void **state)
{
    struct dd_stream s;
    const struct dd_structure *st = &s.structure;

    (void)state;
    dd_stream_init(&s, 3, 3, DD_STREAM_FULL, 1);
    assert_int_equal(st->n_templates, 15);
    for (unsigned i = 0; i < 15; i++) {
        const struct dd_template *t = &st->templates[i];
        for (unsigned k = 0; k < 9; k++) {
            assert_int_equal("-DSR"[t->indication[k]], table[i].indications[k]);
        }
        assert_int_equal(t->n_fdiffs, strlen(table[i].fdiffs));
        assert_memory_equal(t->fdiff, table[i].fdiffs, t->n_fdiffs);
        for (unsigned k = 0; k < 3; k++) {
            assert_int_equal(t->chain_diff[k], table[i].chains[k] - '0');
        }
    }
}

/* The structure that was planned comes out of the first packet's descriptor, all of it. */
static void structures_arrive(void **state)
{
    struct dd_stream s;
    struct dd_packet p[DD_STREAM_PACKETS];

    (void)state;
    for (int kind = DD_STREAM_FULL; kind <= DD_STREAM_SIMUL; kind++) {
        for (unsigned layers = 1; layers <= 12; layers++) {
            struct dd_state st = {0};
            struct dd_frame f;
            dd_stream_init(&s, (layers - 1) / 3 + 1, (layers - 1) % 3 + 1,
                           (enum dd_stream_kind)kind, 1);
            dd_stream_with_sizes(&s);
            dd_stream_picture(&s, true, p);
            assert_int_equal(dd_parse(&st, &f, p[0].dd, p[0].dd_len), OK);
            assert_memory_equal(&st.structure, &s.structure, sizeof st.structure);
            assert_true(f.keyframe);
            assert_int_equal(f.bits / 8 + (f.bits % 8 != 0), p[0].dd_len);
        }
    }
}

/* A receiver of one decode target: which frames it has. */
struct receiver {
    bool have[1024]; /* by frame_id from the first on */
    int64_t base;
    unsigned target;
};

/* A frame of the target: everything it refers to is there, and so is the chain. */
static void receive(struct receiver *r, const struct dd_state *st, const struct dd_frame *f,
                    bool drop_discardable)
{
    int64_t at = f->frame_id - r->base;
    uint8_t back = f->chain_diff[st->structure.target_chain[r->target]];

    assert_in_range(at, 0, 1023);
    assert_true(back == 0 || r->have[at - back]); /* said in every frame, also those not for us */
    if (f->indication[r->target] == DD_NOT_PRESENT ||
        (drop_discardable && f->indication[r->target] == DD_DISCARDABLE)) {
        return;
    }
    for (unsigned i = 0; i < f->n_fdiffs; i++) {
        assert_true(r->have[at - f->fdiff[i]]);
    }
    r->have[at] = true;
}

static void watch_target(enum dd_stream_kind kind, unsigned target, bool drop_discardable)
{
    struct dd_stream s;
    struct dd_packet p[DD_STREAM_PACKETS];
    struct receiver r = {.target = target};
    struct dd_state st = {0};
    struct dd_frame f;

    dd_stream_init(&s, 3, 3, kind, 2);
    for (unsigned i = 0; i < 60; i++) {
        size_t n = dd_stream_picture(&s, i % 25 == 0, p);
        for (size_t k = 0; k < n; k++) {
            assert_int_equal(dd_parse(&st, &f, p[k].dd, p[k].dd_len), OK);
            r.base = i == 0 && k == 0 ? f.frame_id : r.base;
            assert_int_equal(f.sid, p[k].sid);
            assert_int_equal(f.tid, p[k].tid);
            assert_int_equal(f.frame_number, p[k].frame_number);
            if (f.first_in_frame) {
                receive(&r, &st, &f, drop_discardable);
            }
        }
    }
}

static void targets_decode(void **state)
{
    (void)state;
    for (int kind = DD_STREAM_FULL; kind <= DD_STREAM_SIMUL; kind++) {
        for (unsigned target = 0; target < 9; target++) {
            watch_target((enum dd_stream_kind)kind, target, false);
            watch_target((enum dd_stream_kind)kind, target, true);
        }
    }
}

static void packets_are_in_order(void **state)
{
    struct dd_stream s;
    struct dd_packet p[DD_STREAM_PACKETS];
    struct codec_info info;
    uint16_t seq, number;
    uint32_t ts;

    (void)state;
    dd_stream_init(&s, 3, 3, DD_STREAM_KEY, 3);
    seq = s.seq;
    number = s.frame_number;
    ts = s.ts;
    for (unsigned i = 0; i < 50; i++, ts += DD_STREAM_TICKS) {
        size_t n = dd_stream_picture(&s, i % 10 == 0, p);
        assert_int_equal(n, 9);
        for (size_t k = 0; k < n; k++) {
            assert_int_equal(p[k].seq, seq++);
            assert_int_equal(p[k].ts, ts);
            assert_int_equal(p[k].marker, k == 8);
            assert_int_equal(p[k].frame_number, (uint16_t)(number + k / 3));
            assert_int_equal(codec_parse(&info, CODEC_AV1, p[k].payload, p[k].payload_len), OK);
            assert_int_equal(info.keyframe, i % 10 == 0 && k == 0);
            assert_int_equal(info.frame_start, k % 3 == 0);
            assert_int_equal(info.sid, k % 3 == 0 ? k / 3 : 0);
        }
        number += 3;
    }
}

/* The encoder makes fewer layers: the marker moves down and the mask says so. */
static void fewer_layers(void **state)
{
    struct dd_stream s;
    struct dd_packet p[DD_STREAM_PACKETS];
    struct dd_state st = {0};
    struct dd_frame f;

    (void)state;
    dd_stream_init(&s, 3, 2, DD_STREAM_FULL, 1);
    s.active_spatial = 2;
    assert_int_equal(dd_stream_picture(&s, true, p), 2);
    assert_int_equal(dd_parse(&st, &f, p[0].dd, p[0].dd_len), OK);
    assert_true(f.targets_present);
    assert_int_equal(f.active_targets, 0xf);
    assert_false(p[0].marker);
    assert_true(p[1].marker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(l3t3_is_the_specifications),
        cmocka_unit_test(structures_arrive),
        cmocka_unit_test(targets_decode),
        cmocka_unit_test(packets_are_in_order),
        cmocka_unit_test(fewer_layers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
