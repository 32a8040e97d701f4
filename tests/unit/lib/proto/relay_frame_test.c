/* Relay frames there and back, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "lib/proto/relay_frame.h"

#define ROOM "01890a5d-ac96-774b-bcce-b302099a8057"

static void there_and_back(const struct relay_frame *f, struct relay_frame *out)
{
    uint8_t data[RELAY_MAX_FRAME];
    int n = relay_frame_write(f, data, sizeof data);
    assert_true(n > 0);
    assert_int_equal(relay_frame_read(out, data, (size_t)n), OK);
    assert_int_equal(out->type, f->type);
    assert_int_equal(out->track, f->track);
    struct relay_frame part; /* and no part of it is a frame, nor one that ends a byte early */
    for (int cut = 0; cut < n; cut++) {
        int err = relay_frame_read(&part, data, (size_t)cut);
        bool shorter_packet = f->type == RELAY_PACKET && err == OK;
        assert_true(err == ERR_TRUNCATED || shorter_packet);
        assert_int_equal(relay_frame_write(f, data, (size_t)cut), ERR_TOO_LARGE);
        (void)relay_frame_write(f, data, sizeof data);
    }
    uint8_t longer[RELAY_MAX_FRAME + 8] = {0}; /* a later version may know more */
    memcpy(longer, data, (size_t)n);
    assert_int_equal(relay_frame_read(&part, longer, (size_t)n + 8), OK);
}

static struct relay_frame announce(void)
{
    struct relay_frame f = {.type = RELAY_ANNOUNCE,
                            .track = 0xfedcba98,
                            .room = {ROOM},
                            .participant = 65535,
                            .description = {.video = true,
                                            .nack = true,
                                            .source = 2,
                                            .clock_rate = 90000,
                                            .n_codecs = 2,
                                            .codec = {{5, 96}, {3, 127}},
                                            .n_layers = 3,
                                            .layer = {{true, 320, 180, {1, 2, 3}, {7, 15, 30}},
                                                      {false, 640, 360, {400000}, {30}},
                                                      {true, 65535, 720, {0, 0, 1u << 31}, {0}}}}};
    f.description.ext.id[RTP_EXT_MID] = 4;
    f.description.ext.id[RTP_EXT_DEPENDENCY_DESCRIPTOR] = 200;
    return f;
}

static void test_announce(void **state)
{
    (void)state;
    struct relay_frame f = announce(), back;
    there_and_back(&f, &back);
    assert_string_equal(back.room.s, ROOM);
    assert_int_equal(back.participant, 65535);
    assert_true(relay_description_same(&back.description, &f.description, true));
    f.description = (struct relay_description){
        .clock_rate = 48000, .n_codecs = 1, .codec = {{1, 111}}, .n_layers = 1};
    there_and_back(&f, &back);
    assert_true(relay_description_same(&back.description, &f.description, true));
}

/* Each member counts, but for what is measured where that isn't asked. */
static void test_same(void **state)
{
    (void)state;
    struct relay_description a = announce().description, b = a;
    assert_true(relay_description_same(&a, &b, true));
    b.layer[1].bps[0]++;
    assert_true(relay_description_same(&a, &b, false));
    assert_false(relay_description_same(&a, &b, true));
    b = a;
    b.layer[2].live = false;
    assert_false(relay_description_same(&a, &b, false));
    b = a;
    b.codec[1].pt = 1;
    assert_false(relay_description_same(&a, &b, false));
    b = a;
    b.ext.id[RTP_EXT_MID] = 5;
    assert_false(relay_description_same(&a, &b, false));
    b = a;
    b.n_layers = 2;
    assert_false(relay_description_same(&a, &b, false));
}

static void test_the_small_ones(void **state)
{
    (void)state;
    struct relay_frame back, f = {.type = RELAY_DEMAND, .track = 7, .layers = 5, .keyframes = 4};
    there_and_back(&f, &back);
    assert_true(back.layers == 5 && back.keyframes == 4);
    f.layers = f.keyframes = 0xf8; /* of a later version, which knows more layers */
    there_and_back(&f, &back);
    assert_true(back.layers == 0 && back.keyframes == 0);

    f = (struct relay_frame){
        .type = RELAY_NACK, .track = 7, .layer = 1, .n_seqs = 2, .seq = {65535, 0}};
    there_and_back(&f, &back);
    assert_int_equal(back.layer, 1);
    assert_int_equal(back.n_seqs, 2);
    assert_int_equal(back.seq[0], 65535);
    assert_int_equal(back.seq[1], 0);

    f = (struct relay_frame){.type = RELAY_REPORT,
                             .track = 7,
                             .layer = 2,
                             .info = {0x0123456789abcdef, 0xffffffff, 3, 4}};
    there_and_back(&f, &back);
    assert_memory_equal(&back.info, &f.info, sizeof f.info);
    assert_int_equal(back.layer, 2);

    f = (struct relay_frame){.type = RELAY_WITHDRAW, .track = 7};
    there_and_back(&f, &back);
    f = (struct relay_frame){.type = RELAY_PING};
    there_and_back(&f, &back);
    f = (struct relay_frame){.type = RELAY_SOLICIT, .room = {ROOM}};
    there_and_back(&f, &back);
    assert_string_equal(back.room.s, ROOM);
}

static void test_levels(void **state)
{
    (void)state;
    struct relay_frame back, f = {.type = RELAY_LEVELS, .n_levels = RELAY_MAX_LEVELS};
    for (uint32_t i = 0; i < RELAY_MAX_LEVELS; i++) {
        f.level[i] = (struct relay_level){
            .track = i * 1000, .level = (uint8_t)(i * 2), .packets = 255, .voice = i % 2};
    }
    there_and_back(&f, &back);
    assert_int_equal(back.n_levels, RELAY_MAX_LEVELS);
    for (size_t i = 0; i < RELAY_MAX_LEVELS; i++) {
        assert_int_equal(back.level[i].track, f.level[i].track);
        assert_int_equal(back.level[i].level, f.level[i].level);
        assert_int_equal(back.level[i].packets, 255);
        assert_int_equal(back.level[i].voice, f.level[i].voice);
    }
}

static void test_packet(void **state)
{
    (void)state;
    uint8_t rtp[1200], data[RELAY_MAX_FRAME], head[RELAY_PACKET_HEAD];
    memset(rtp, 0x5a, sizeof rtp);
    struct relay_frame back, f = {.type = RELAY_PACKET,
                                  .track = 77,
                                  .layer = 2,
                                  .payload = rtp,
                                  .payload_len = sizeof rtp};
    there_and_back(&f, &back);
    assert_int_equal(relay_frame_write(&f, data, sizeof data), RELAY_PACKET_HEAD + sizeof rtp);
    assert_int_equal(relay_frame_read(&back, data, RELAY_PACKET_HEAD + sizeof rtp), OK);
    assert_ptr_equal(back.payload, data + RELAY_PACKET_HEAD);
    assert_int_equal(back.payload_len, sizeof rtp);
    assert_int_equal(back.layer, 2);
    relay_frame_write_packet_head(head, 77, 2);
    assert_memory_equal(head, data, sizeof head);

    uint32_t track;
    uint8_t layer;
    assert_true(relay_frame_is_packet(data, RELAY_PACKET_HEAD + RTP_HEADER_MIN, &track, &layer));
    assert_int_equal(track, 77);
    assert_int_equal(layer, 2);
    assert_false(
        relay_frame_is_packet(data, RELAY_PACKET_HEAD + RTP_HEADER_MIN - 1, &track, &layer));
    assert_false(relay_frame_is_packet(data, 0, &track, &layer));
    data[0]++;
    assert_false(relay_frame_is_packet(data, RELAY_PACKET_HEAD + 100, &track, &layer));
}

static void test_what_is_none(void **state)
{
    (void)state;
    struct relay_frame f, good = announce();
    uint8_t data[RELAY_MAX_FRAME + 1] = {0};
    int n = relay_frame_write(&good, data, sizeof data);
    assert_int_equal(relay_frame_read(&f, data, sizeof data), ERR_TOO_LARGE);
    uint8_t kept = data[0];
    data[0] = 0x20 | RELAY_ANNOUNCE;
    assert_int_equal(relay_frame_read(&f, data, (size_t)n), ERR_UNSUPPORTED);
    data[0] = 0x1f;
    assert_int_equal(relay_frame_read(&f, data, (size_t)n), ERR_UNSUPPORTED);
    data[0] = 0x10;
    assert_int_equal(relay_frame_read(&f, data, (size_t)n), ERR_UNSUPPORTED);
    data[0] = kept;

    good.participant = 0;
    n = relay_frame_write(&good, data, sizeof data);
    assert_int_equal(relay_frame_read(&f, data, (size_t)n), ERR_INVALID);
    good = announce();
    good.description.n_layers = 0;
    n = relay_frame_write(&good, data, sizeof data);
    assert_int_equal(relay_frame_read(&f, data, (size_t)n), ERR_INVALID);
    good = announce();
    good.description.n_codecs = 0;
    n = relay_frame_write(&good, data, sizeof data);
    assert_int_equal(relay_frame_read(&f, data, (size_t)n), ERR_INVALID);
    good.description.n_codecs = RELAY_MAX_CODECS + 1;
    assert_int_equal(relay_frame_write(&good, data, sizeof data), ERR_INVALID);
    good = announce();
    good.description.codec[1].pt = 128;
    n = relay_frame_write(&good, data, sizeof data);
    assert_int_equal(relay_frame_read(&f, data, (size_t)n), ERR_INVALID);
    good = announce();
    good.room.s[3] = 'x';
    assert_int_equal(relay_frame_write(&good, data, sizeof data), ERR_INVALID);

    uint8_t nack[] = {0x10 | RELAY_NACK, 0, 0, 0, 1, 0, RELAY_MAX_SEQS + 1};
    assert_int_equal(relay_frame_read(&f, nack, sizeof nack), ERR_INVALID);
    uint8_t layer[] = {0x10 | RELAY_NACK, 0, 0, 0, 1, RELAY_MAX_LAYERS, 0};
    assert_int_equal(relay_frame_read(&f, layer, sizeof layer), ERR_INVALID);
    uint8_t levels[] = {0x10 | RELAY_LEVELS, 0, 0, 0, 0, 255};
    assert_int_equal(relay_frame_read(&f, levels, sizeof levels), ERR_INVALID);
    assert_string_equal(relay_frame_name(RELAY_NACK), "nack");
    assert_string_equal(relay_frame_name((enum relay_frame_type)10), "");
}

/* An extension that this side hasn't heard of is left out, and the rest stays. */
static void test_an_unknown_extension(void **state)
{
    (void)state;
    struct relay_frame f, good = announce();
    uint8_t data[RELAY_MAX_FRAME];
    int n = relay_frame_write(&good, data, sizeof data);
    data[n - 2] = 250; /* the kind of the last one */
    assert_int_equal(relay_frame_read(&f, data, (size_t)n), OK);
    assert_int_equal(f.description.ext.id[RTP_EXT_MID], 4);
    assert_int_equal(f.description.ext.id[RTP_EXT_DEPENDENCY_DESCRIPTOR], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_announce),
        cmocka_unit_test(test_same),
        cmocka_unit_test(test_the_small_ones),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_packet),
        cmocka_unit_test(test_what_is_none),
        cmocka_unit_test(test_an_unknown_extension),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
