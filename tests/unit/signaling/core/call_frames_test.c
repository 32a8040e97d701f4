#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "signaling/core/call_frames.h"

#define CALL "\"callId\":\"01890000-0000-7000-8000-000000000001\""
#define USER "01890000-0000-7000-8000-000000000002"

static struct call_frame frame;
static struct json_errors errors;

static int parse(enum call_frame_type t, const char *text)
{
    cJSON *data = NULL;
    memset(&errors, 0, sizeof(errors));
    assert_int_equal(json_parse(&data, text, strlen(text)), OK);
    int err = call_frame_parse(&frame, t, data, &errors);
    cJSON_Delete(data); /* texts are borrowed from it: payload is not */
    return err;
}

static void start_takes_a_user_or_a_conversation(void **state)
{
    (void)state;
    assert_int_equal(parse(FRAME_CALL_START, "{\"userId\":\"" USER "\",\"media\":\"video\"}"), OK);
    assert_string_equal(frame.other_id.s, USER);
    assert_string_equal(frame.conversation_id.s, "");
    assert_true(frame.video);
    assert_int_equal(frame.policy, CALL_POLICY_AUTO);
    call_frame_free(&frame);
    assert_int_equal(parse(FRAME_CALL_START, "{\"conversationId\":\"" USER "\",\"mode\":\"sfu\"}"),
                     OK);
    assert_int_equal(frame.policy, CALL_POLICY_SFU);
    assert_false(frame.video);
    call_frame_free(&frame);
    assert_int_equal(parse(FRAME_CALL_START, "{}"), ERR_INVALID);
    assert_string_equal(errors.item[0].field, "conversationId");
    assert_int_equal(
        parse(FRAME_CALL_START, "{\"userId\":\"" USER "\",\"conversationId\":\"" USER "\"}"),
        ERR_INVALID);
}

static void every_frame_but_start_names_its_call(void **state)
{
    (void)state;
    for (int t = FRAME_CALL_RINGING; t < FRAME_TYPES; t++) {
        assert_int_equal(parse((enum call_frame_type)t, "{}"), ERR_INVALID);
        assert_string_equal(errors.item[0].field, "callId");
        assert_int_equal(parse((enum call_frame_type)t, "{\"callId\":\"x\"}"), ERR_INVALID);
        assert_true(strlen(call_frame_name((enum call_frame_type)t)) > 0);
    }
}

static void descriptions_are_copied_with_known_members_only(void **state)
{
    (void)state;
    assert_int_equal(parse(FRAME_CALL_DESCRIPTION,
                           "{" CALL ",\"description\":{\"type\":\"offer\",\"sdp\":\"v=0\\r\\n\","
                           "\"evil\":1},\"to\":{\"userId\":\"" USER "\"}}"),
                     OK);
    assert_string_equal(frame.payload, "{\"type\":\"offer\",\"sdp\":\"v=0\\r\\n\"}");
    assert_string_equal(frame.to_user.s, USER);
    assert_string_equal(frame.to_device.s, "");
    call_frame_free(&frame);
    assert_int_equal(
        parse(FRAME_CALL_DESCRIPTION, "{" CALL ",\"description\":{\"type\":\"rollback\"}}"), OK);
    call_frame_free(&frame);
    assert_int_equal(parse(FRAME_CALL_DESCRIPTION,
                           "{" CALL ",\"description\":{\"type\":\"offer\",\"sdp\":\"v=1\"}}"),
                     ERR_INVALID);
    assert_int_equal(parse(FRAME_CALL_DESCRIPTION, "{" CALL "}"), ERR_INVALID);
}

static int of_size(enum call_frame_type t, const char *head, size_t fill, const char *tail)
{
    size_t n = strlen(head) + fill + strlen(tail) + 1;
    char *text = malloc(n), *at = text;
    at += snprintf(at, n, "%s", head);
    memset(at, 'a', fill);
    snprintf(at + fill, strlen(tail) + 1, "%s", tail);
    int err = parse(t, text);
    free(text);
    return err;
}

static void sizes_are_bounded_to_the_byte(void **state)
{
    (void)state;
    const char *sdp = "{" CALL ",\"sdp\":\"v=0\\n";
    assert_int_equal(of_size(FRAME_SFU_PUBLISH, sdp, CALL_MAX_SDP - 4, "\"}"), OK);
    assert_int_equal(of_size(FRAME_SFU_PUBLISH, sdp, CALL_MAX_SDP - 3, "\"}"), ERR_TOO_LARGE);
    const char *candidate = "{" CALL ",\"candidate\":{\"candidate\":\"candidate:";
    assert_int_equal(of_size(FRAME_ICE_CANDIDATE, candidate, CALL_MAX_CANDIDATE - 10, "\"}}"), OK);
    call_frame_free(&frame);
    assert_int_equal(of_size(FRAME_ICE_CANDIDATE, candidate, CALL_MAX_CANDIDATE - 9, "\"}}"),
                     ERR_TOO_LARGE);
}

static void candidates_may_be_null_or_empty(void **state)
{
    (void)state;
    assert_int_equal(parse(FRAME_ICE_CANDIDATE, "{" CALL ",\"candidate\":null}"), OK);
    assert_string_equal(frame.payload, "null");
    call_frame_free(&frame);
    assert_int_equal(parse(FRAME_ICE_CANDIDATE,
                           "{" CALL ",\"candidate\":{\"candidate\":\"\",\"sdpMid\":\"0\","
                           "\"sdpMLineIndex\":0,\"x\":[]}}"),
                     OK);
    assert_string_equal(frame.payload, "{\"candidate\":\"\",\"sdpMid\":\"0\",\"sdpMLineIndex\":0}");
    call_frame_free(&frame);
    assert_int_equal(parse(FRAME_ICE_CANDIDATE, "{" CALL "}"), ERR_INVALID);
    assert_int_equal(
        parse(FRAME_ICE_CANDIDATE, "{" CALL ",\"candidate\":{\"candidate\":\"hello\"}}"),
        ERR_INVALID);
}

static void views_slots_and_stats(void **state)
{
    (void)state;
    assert_int_equal(parse(FRAME_SFU_VIEW,
                           "{" CALL ",\"video\":[{\"slot\":2,\"participantId\":\"" USER
                           "\",\"source\":\"screen\",\"maxHeight\":720},"
                           "{\"slot\":0,\"participantId\":null}]}"),
                     OK);
    assert_int_equal(frame.n_view, 2);
    assert_int_equal(frame.view[0].slot, 2);
    assert_string_equal(frame.view[0].source, "screen");
    assert_int_equal(frame.view[0].max_height, 720);
    assert_string_equal(frame.view[1].participant_id.s, "");
    assert_int_equal(parse(FRAME_SFU_VIEW, "{" CALL ",\"video\":[{\"slot\":64}]}"), ERR_INVALID);
    assert_int_equal(parse(FRAME_SFU_SUBSCRIBE, "{" CALL "}"), OK);
    assert_int_equal(frame.audio_slots, 3);
    assert_int_equal(frame.video_slots, 9);
    assert_int_equal(parse(FRAME_SFU_SUBSCRIBE, "{" CALL ",\"videoSlots\":65}"), ERR_INVALID);
    assert_int_equal(parse(FRAME_CALL_STATS, "{" CALL ",\"path\":\"turn\",\"rttMs\":12.7}"), OK);
    assert_int_equal(frame.path, CALL_PATH_TURN);
    assert_int_equal(frame.rtt_ms, 12);
    assert_true(frame.loss_percent < 0);
    assert_int_equal(parse(FRAME_CALL_STATS, "{" CALL ",\"lossPercent\":101}"), ERR_INVALID);
    assert_int_equal(parse(FRAME_CALL_UPDATE, "{" CALL ",\"video\":false}"), OK);
    assert_int_equal(frame.set_video, 0);
    assert_int_equal(frame.set_audio, -1);
}

static void restarts_and_invitations(void **state)
{
    (void)state;
    assert_int_equal(parse(FRAME_SFU_ICE_RESTART, "{" CALL ",\"which\":\"subscribe\"}"), OK);
    assert_int_equal(parse(FRAME_SFU_ICE_RESTART, "{" CALL ",\"which\":\"publish\"}"), ERR_INVALID);
    assert_int_equal(parse(FRAME_CALL_INVITE, "{" CALL ",\"userIds\":[\"" USER "\"]}"), OK);
    assert_int_equal(frame.n_users, 1);
    assert_int_equal(parse(FRAME_CALL_INVITE, "{" CALL ",\"userIds\":[]}"), ERR_INVALID);
    assert_int_equal(parse(FRAME_CALL_INVITE, "{" CALL ",\"userIds\":[1]}"), ERR_INVALID);
    assert_int_equal(parse(FRAME_CALL_FALLBACK, "{" CALL ",\"reason\":\"policy\"}"), OK);
    assert_int_equal(frame.fallback, FALLBACK_POLICY);
    assert_int_equal(parse(FRAME_CALL_FALLBACK, "{" CALL ",\"reason\":\"sfu_restarted\"}"),
                     ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(start_takes_a_user_or_a_conversation),
        cmocka_unit_test(every_frame_but_start_names_its_call),
        cmocka_unit_test(descriptions_are_copied_with_known_members_only),
        cmocka_unit_test(sizes_are_bounded_to_the_byte),
        cmocka_unit_test(candidates_may_be_null_or_empty),
        cmocka_unit_test(views_slots_and_stats),
        cmocka_unit_test(restarts_and_invitations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
