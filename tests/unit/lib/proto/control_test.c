#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/proto/control.h"

#define ROOM "0193a6c0-0000-7000-8000-000000000001"

static struct control_frame f;

/* Reads what a builder made, and frees the text. */
static void take(char *text)
{
    char why[128];

    assert_non_null(text);
    int r = control_parse(&f, text, strlen(text), why, sizeof why);
    if (r != OK) {
        fail_msg("%s: %s", text, why);
    }
    free(text);
}

static void requests_round_trip(void **state)
{
    struct control_slot view[2] = {
        {.slot = 0, .participant = 5, .source = "camera", .max_height = 360, .priority = 2},
        {.slot = 3, .source = "screen", .priority = -1}};

    (void)state;
    take(control_make_publish(7, ROOM, 3, "v=0"));
    assert_int_equal(f.type, CONTROL_PUBLISH);
    assert_int_equal(f.id, 7);
    assert_string_equal(f.room.s, ROOM);
    assert_int_equal(f.participant, 3);
    assert_string_equal(f.sdp, "v=0");
    control_free(&f);
    take(control_make_subscribe(8, ROOM, 3, 3, 9));
    assert_int_equal(f.audio_slots, 3);
    assert_int_equal(f.video_slots, 9);
    control_free(&f);
    take(control_make_watch(8, ROOM, 4, "v=0"));
    assert_int_equal(f.type, CONTROL_WATCH);
    assert_string_equal(control_type_name(f.type), "watch");
    assert_int_equal(f.participant, 4);
    assert_string_equal(f.sdp, "v=0");
    control_free(&f);
    take(control_make_answer(9, ROOM, 65535, "v=0"));
    assert_int_equal(f.participant, 65535);
    control_free(&f);
    take(control_make_view(10, ROOM, 3, view, 2));
    assert_int_equal(f.n_video, 2);
    assert_int_equal(f.video[0].participant, 5);
    assert_int_equal(f.video[0].max_height, 360);
    assert_int_equal(f.video[1].slot, 3);
    assert_int_equal(f.video[1].participant, 0);
    assert_string_equal(f.video[1].source, "screen");
    assert_int_equal(f.video[1].priority, -1);
    control_free(&f);
    take(control_make_restart(11, ROOM, 3, CONTROL_WHICH_SUBSCRIBE, NULL));
    assert_int_equal(f.which, CONTROL_WHICH_SUBSCRIBE);
    assert_null(f.sdp);
    control_free(&f);
    take(control_make_leave(12, ROOM, 3));
    assert_int_equal(f.type, CONTROL_LEAVE);
    assert_false(f.has_which);
    control_free(&f);
    take(control_make_leave_one(12, ROOM, 3, CONTROL_WHICH_SUBSCRIBE));
    assert_true(f.has_which);
    assert_int_equal(f.which, CONTROL_WHICH_SUBSCRIBE);
    control_free(&f);
    take(control_make_close(13, ROOM));
    assert_int_equal(f.type, CONTROL_CLOSE);
    control_free(&f);
}

static void relays_round_trip(void **state)
{
    (void)state;
    take(control_make_relay(14, ROOM, "sfu-2", "2001:db8::7", 7200, true));
    assert_int_equal(f.type, CONTROL_RELAY);
    assert_string_equal(f.room.s, ROOM);
    assert_string_equal(f.node, "sfu-2");
    assert_string_equal(f.address, "2001:db8::7");
    assert_int_equal(f.port, 7200);
    assert_true(f.branch);
    control_free(&f);
    take(control_make_relay(15, ROOM, "sfu-2", NULL, 0, false)); /* only to be given its place */
    assert_string_equal(f.address, "");
    assert_int_equal(f.port, 0);
    assert_false(f.branch);
    control_free(&f);
    take(control_make_unrelay(16, ROOM, "sfu-2"));
    assert_int_equal(f.type, CONTROL_UNRELAY);
    assert_string_equal(f.node, "sfu-2");
    control_free(&f);
    take(control_make_relay_reply(15, 65535));
    assert_true(f.ok);
    assert_null(f.sdp);
    assert_int_equal(f.port, 65535);
    control_free(&f);
    assert_true(control_is_request(CONTROL_UNRELAY));
    assert_false(control_is_request(CONTROL_REPLY));
    assert_false(control_is_request(CONTROL_HELLO));
}

static void replies_round_trip(void **state)
{
    (void)state;
    take(control_make_reply(7, "v=0"));
    assert_true(f.ok);
    assert_string_equal(f.sdp, "v=0");
    control_free(&f);
    take(control_make_reply(7, NULL));
    assert_true(f.ok);
    assert_null(f.sdp);
    control_free(&f);
    take(control_make_error(7, "too_large", "no room"));
    assert_false(f.ok);
    assert_string_equal(f.error_code, "too_large");
    assert_string_equal(f.error_message, "no room");
    control_free(&f);
}

static void events_round_trip(void **state)
{
    static const uint32_t who[] = {1, 2};
    struct control_hello_room rooms[] = {{ROOM, who, 2}, {ROOM, who, 0}};
    struct control_slot audio = {.slot = 0, .mid = "a0", .participant = 2, .csrc = 2};
    struct control_slot video[2] = {{.slot = 0,
                                     .mid = "v0",
                                     .participant = 2,
                                     .csrc = 2,
                                     .source = "camera",
                                     .width = 640,
                                     .height = 360},
                                    {.slot = 1, .mid = "v1", .paused = true}};
    struct control_speaker speakers[] = {{2, 20}, {1, 60}};
    struct id room;
    uint32_t got[2];

    (void)state;
    take(control_make_hello("sfu-1", ROOM, "local", rooms, 2));
    assert_string_equal(f.node, "sfu-1");
    assert_string_equal(f.region, "local");
    assert_int_equal(f.n_rooms, 2);
    assert_int_equal(control_room_at(&f, 0, &room, got, 2), 2);
    assert_string_equal(room.s, ROOM);
    assert_int_equal(got[1], 2);
    assert_int_equal(control_room_at(&f, 0, &room, got, 1), 1);
    assert_int_equal(control_room_at(&f, 1, &room, got, 2), 0);
    assert_int_equal(control_room_at(&f, 2, &room, got, 2), ERR_INVALID);
    control_free(&f);
    take(control_make_transport(true, ROOM, 4, CONTROL_WHICH_PUBLISH));
    assert_int_equal(f.type, CONTROL_CONNECTED);
    control_free(&f);
    take(control_make_transport(false, ROOM, 4, CONTROL_WHICH_SUBSCRIBE));
    assert_int_equal(f.type, CONTROL_DISCONNECTED);
    assert_int_equal(f.which, CONTROL_WHICH_SUBSCRIBE);
    control_free(&f);
    take(control_make_slots(ROOM, 4, &audio, 1, video, 2));
    assert_int_equal(f.n_audio, 1);
    assert_string_equal(f.audio[0].mid, "a0");
    assert_int_equal(f.video[0].height, 360);
    assert_false(f.video[0].paused);
    assert_int_equal(f.video[1].participant, 0);
    assert_true(f.video[1].paused);
    control_free(&f);
    take(control_make_speakers(ROOM, speakers, 2));
    assert_int_equal(f.n_speakers, 2);
    assert_int_equal(f.speaker[1].level, 60);
    control_free(&f);
    take(control_make_load(1, 2, 3, 4, 0.25));
    assert_int_equal(f.packets_per_second, 3);
    assert_true(f.cpu > 0.24 && f.cpu < 0.26);
    control_free(&f);
    cJSON *list = cJSON_CreateArray(), *one = json_new();
    json_put_int(one, "participant", 9);
    cJSON_AddItemToArray(list, one);
    take(control_make_stats(ROOM, list));
    assert_int_equal(cJSON_GetArraySize(f.data), 1);
    control_free(&f);
}

static void expect(const char *text, int code)
{
    char why[64];
    int r = control_parse(&f, text, strlen(text), why, sizeof why);

    if (r != code) {
        fail_msg("%d for %s", r, text);
    }
    assert_null(f.root);
    assert_true(why[0] != 0);
}

static void refuses(void **state)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"t\":1}",
        "{\"t\":\"leave\",\"room\":\"" ROOM "\",\"participant\":1}", /* no id */
        "{\"t\":\"relay\",\"room\":\"" ROOM "\",\"node\":\"b\",\"address\":\"::1\",\"port\":1}",
        "{\"t\":\"relay\",\"id\":1,\"room\":\"" ROOM "\",\"address\":\"::1\",\"port\":1}",
        "{\"t\":\"relay\",\"id\":1,\"room\":\"" ROOM
        "\",\"node\":\"b\",\"port\":1}", /* no address */
        "{\"t\":\"relay\",\"id\":1,\"room\":\"" ROOM
        "\",\"node\":\"b\",\"address\":\"::1\",\"port\":65536}",
        "{\"t\":\"relay\",\"id\":1,\"room\":\"x\",\"node\":\"b\",\"address\":\"::1\",\"port\":1}",
        "{\"t\":\"relay\",\"id\":1,\"room\":\"" ROOM
        "\",\"node\":\"b\",\"address\":\"0123456789012345678901234567890123456789012345\",\"port\":"
        "1}",
        "{\"t\":\"unrelay\",\"id\":1,\"room\":\"" ROOM "\"}",
        "{\"t\":\"reply\",\"id\":1,\"ok\":true,\"data\":{\"port\":-1}}",
        "{\"t\":\"leave\",\"id\":0,\"room\":\"" ROOM "\",\"participant\":1}",
        "{\"t\":\"leave\",\"id\":1.5,\"room\":\"" ROOM "\",\"participant\":1}",
        "{\"t\":\"leave\",\"id\":1,\"room\":\"x\",\"participant\":1}",
        "{\"t\":\"leave\",\"id\":1,\"room\":\"" ROOM "\",\"participant\":0}",
        "{\"t\":\"leave\",\"id\":1,\"room\":\"" ROOM "\",\"participant\":65536}",
        "{\"t\":\"publish\",\"id\":1,\"room\":\"" ROOM "\",\"participant\":1}",
        "{\"t\":\"publish\",\"id\":1,\"room\":\"" ROOM "\",\"participant\":1,\"sdp\":7}",
        "{\"t\":\"watch\",\"id\":1,\"room\":\"" ROOM "\",\"participant\":1}",
        "{\"t\":\"watch\",\"id\":1,\"room\":\"" ROOM "\",\"participant\":1,\"sdp\":\"\"}",
        "{\"t\":\"leave\",\"id\":1,\"room\":\"" ROOM "\",\"participant\":1,\"which\":\"x\"}",
        "{\"t\":\"subscribe\",\"id\":1,\"room\":\"" ROOM
        "\",\"participant\":1,\"audioSlots\":17,\"videoSlots\":1}",
        "{\"t\":\"subscribe\",\"id\":1,\"room\":\"" ROOM
        "\",\"participant\":1,\"audioSlots\":0,\"videoSlots\":0}",
        "{\"t\":\"view\",\"id\":1,\"room\":\"" ROOM "\",\"participant\":1,\"video\":[3]}",
        "{\"t\":\"view\",\"id\":1,\"room\":\"" ROOM
        "\",\"participant\":1,\"video\":[{\"slot\":64}]}",
        "{\"t\":\"restart\",\"id\":1,\"room\":\"" ROOM "\",\"participant\":1,\"which\":\"x\"}",
        "{\"t\":\"reply\",\"id\":1}",
        "{\"t\":\"reply\",\"id\":1,\"ok\":false}",
        "{\"t\":\"reply\",\"id\":1,\"ok\":true,\"data\":[]}",
        "{\"t\":\"load\",\"rooms\":1,\"transports\":1,\"packetsPerSecond\":1,\"cpu\":\"x\"}",
        "{\"t\":\"load\",\"rooms\":-1,\"transports\":1,\"packetsPerSecond\":1,\"cpu\":0}",
        "{\"t\":\"hello\",\"node\":\"a\",\"instance\":\"" ROOM
        "\",\"region\":\"\",\"rooms\":[{\"room\":\"" ROOM "\",\"participants\":[0]}]}",
        "{\"t\":\"hello\",\"node\":\"a\",\"instance\":\"" ROOM "\",\"region\":\"\",\"rooms\":[7]}",
        "{\"t\":\"speakers\",\"room\":\"" ROOM
        "\",\"speakers\":[{\"participant\":1,\"level\":128}]}",
        "{\"t\":\"stats\",\"room\":\"" ROOM "\",\"participants\":[1]}",
        "{\"t\":\"slots\",\"room\":\"" ROOM
        "\",\"participant\":1,\"audio\":[{\"slot\":0}],\"video\":[]}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        expect(bad[i], ERR_INVALID);
    }
}

static void unknown_type_keeps_its_id(void **state)
{
    (void)state;
    expect("{\"t\":\"dance\",\"id\":5}", ERR_UNSUPPORTED);
    assert_int_equal(f.id, 5);
    expect("{\"t\":\"dance\"}", ERR_UNSUPPORTED);
    assert_int_equal(f.id, 0);
}

/* Who asked with what can't be read is told so, by the id that stands in it. */
static void what_is_no_json_keeps_its_id(void **state)
{
    static const struct {
        const char *text;
        int64_t id;
    } cases[] = {
        {"{\"t\":\"publish\",\"id\":7,\"sdp\":\"a\\u0000b\"}", 7},
        {"{\"t\":\"publish\",\"sdp\":\"a\\u0000b\", \"id\" : 9007199254740991 }", 9007199254740991},
        {"{\"sdp\":\"\\\",\\\"id\\\":3,\\u0000\",\"id\":8}", 8}, /* not the one in the string */
        {"{\"a\":{\"id\":3},\"b\":[{\"id\":4}],\"id\":5,\"c\":tru}", 5},
        {"{\"a\":\"id\",\"id\":5,,}", 5},
        {"{\"id\":5,\"id\":6}", 5},
        {"{\"id\":9007199254740992,,}", 0},
        {"{\"id\":99999999999999999999999,,}", 0},
        {"{\"id\":-5,,}", 0},
        {"{\"id\":5.5,,}", 0},
        {"{\"id\":\"5\",,}", 0},
        {"{\"id\":5", 0}, /* may be cut */
        {"{\"id\":", 0},
        {"{\"id", 0},
        {"{\"id\\", 0},
        {"[{\"id\":5}],", 0},
        {"}{\"id\":5,,}", 0},
        {"\"id\":5,", 0},
        {"", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t n = strlen(cases[i].text);
        char *exact = malloc(n ? n : 1), why[96];
        memcpy(exact, cases[i].text, n);
        assert_int_equal(control_parse(&f, exact, n, why, sizeof why), ERR_INVALID);
        assert_string_equal(why, "is not JSON");
        assert_int_equal(f.id, cases[i].id);
        free(exact);
    }
}

static void what_is_too_large_keeps_its_id(void **state)
{
    struct buf big;
    char why[96];

    (void)state;
    buf_init(&big, 0);
    buf_append_str(&big, "{\"t\":\"publish\",\"sdp\":\"");
    for (size_t i = 0; i < CONTROL_MAX_BYTES / 8; i++) {
        buf_append_str(&big, "a=b:c\\r\\n");
    }
    buf_append_str(&big, "\",\"id\":31}");
    assert_int_equal(control_parse(&f, buf_cstr(&big), big.len, why, sizeof why), ERR_TOO_LARGE);
    assert_int_equal(f.id, 31);
    assert_string_equal(why, "frame is too large");
    buf_free(&big);
}

static void bounds(void **state)
{
    static char big[CONTROL_MAX_BYTES + 1];

    (void)state;
    memset(big, ' ', sizeof big);
    assert_int_equal(control_parse(&f, big, sizeof big, NULL, 0), ERR_TOO_LARGE);
    struct buf many;
    buf_init(&many, 0);
    buf_append_str(&many, "{\"t\":\"speakers\",\"room\":\"" ROOM "\",\"speakers\":[");
    for (int i = 0; i < 17; i++) {
        buf_printf(&many, "%s{\"participant\":1,\"level\":1}", i ? "," : "");
    }
    buf_append_str(&many, "]}");
    assert_int_equal(control_parse(&f, buf_cstr(&many), many.len, NULL, 0), ERR_INVALID);
    buf_free(&many);
}

static void every_truncation(void **state)
{
    struct control_slot audio = {.slot = 0, .mid = "a0", .participant = 2, .csrc = 2};
    char *text = control_make_slots(ROOM, 4, &audio, 1, NULL, 0);
    size_t len = strlen(text);

    (void)state;
    for (size_t n = 0; n < len; n++) {
        char *copy = malloc(n ? n : 1);
        memcpy(copy, text, n);
        assert_int_equal(control_parse(&f, copy, n, NULL, 0), ERR_INVALID);
        free(copy);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_round_trip),
        cmocka_unit_test(relays_round_trip),
        cmocka_unit_test(replies_round_trip),
        cmocka_unit_test(events_round_trip),
        cmocka_unit_test(refuses),
        cmocka_unit_test(unknown_type_keeps_its_id),
        cmocka_unit_test(what_is_no_json_keeps_its_id),
        cmocka_unit_test(what_is_too_large_keeps_its_id),
        cmocka_unit_test(bounds),
        cmocka_unit_test(every_truncation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
