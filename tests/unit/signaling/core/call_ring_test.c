#include "tests/unit/signaling/core/call_fixture.h"

static void rings_every_callee_and_answers_the_caller(void **state)
{
    (void)state;
    struct stage s;
    stage_start(&s, 1);
    assert_int_equal(s.c->state, CALL_RINGING);
    assert_ok(&s);
    assert_int_equal(stage_effect(&s, CALL_REPLY_OK)->asked, CALL_START);
    assert_int_equal(stage_sent(&s, MSG_INCOMING_CALL, 1, 0), 1);
    assert_int_equal(stage_sent(&s, MSG_INCOMING_CALL, 0, 0), 0);
    assert_int_equal(stage_count(&s, CALL_HOLD), 1);
    assert_true(call_deadline(s.c) == s.now_us + 60 * SECOND);
    stage_close(&s);
}

static void incoming_call_carries_the_offer(void **state)
{
    (void)state;
    struct stage s;
    struct call_participant parties[] = {stage_party(0, PARTY_JOINED),
                                         stage_party(1, PARTY_RINGING)};
    stage_open(&s, false);
    stage_step(&s, (struct call_event){.type = CALL_START,
                                       .request = 1,
                                       .user_id = stage_id(0, 0),
                                       .device_id = stage_id(0, 1),
                                       .online = true,
                                       .payload = "{\"type\":\"offer\"}",
                                       .parties = parties,
                                       .n_parties = 2});
    for (int i = 0; i < s.fx.n; i++) {
        if (s.fx.v[i].type == CALL_SEND) {
            assert_string_equal(s.fx.v[i].payload, "{\"type\":\"offer\"}");
        }
    }
    stage_event(&s, CALL_SOCKET_BACK, 1, 2); /* and again for a device that comes later */
    assert_int_equal(stage_sent(&s, MSG_INCOMING_CALL, 1, 2), 1);
    assert_string_equal(stage_effect(&s, CALL_SEND)->payload, "{\"type\":\"offer\"}");
    stage_close(&s);
}

static void ringing_is_told_once_a_device(void **state)
{
    (void)state;
    struct stage s;
    stage_start(&s, 1);
    stage_ask(&s, CALL_DEVICE_RINGING, 1, 1);
    assert_ok(&s);
    assert_int_equal(stage_sent(&s, MSG_CALL_RINGING, 0, 1), 1);
    assert_int_equal(stage_count(&s, CALL_WRITE_DEVICE), 1);
    stage_ask(&s, CALL_DEVICE_RINGING, 1, 1);
    assert_ok(&s);
    assert_int_equal(stage_messages(&s, MSG_CALL_RINGING), 0);
    stage_ask(&s, CALL_DEVICE_RINGING, 1, 2);
    assert_int_equal(stage_sent(&s, MSG_CALL_RINGING, 0, 1), 1);
    for (int d = 3; d < 40; d++) {
        stage_ask(&s, CALL_DEVICE_RINGING, 1, d); /* bounded */
    }
    struct id callee = stage_id(1, 0);
    assert_int_equal(call_party(s.c, &callee)->n_devices, CALL_MAX_DEVICES);
    stage_close(&s);
}

static void accept_waits_for_the_database(void **state)
{
    (void)state;
    struct stage s;
    stage_start(&s, 1);
    stage_ask(&s, CALL_ACCEPT, 1, 2);
    assert_int_equal(stage_count(&s, CALL_WRITE_ACCEPT), 1);
    assert_int_equal(stage_count(&s, CALL_REPLY_OK), 0);
    assert_int_equal(s.c->state, CALL_RINGING);
    stage_committed(&s, 1, 2);
    assert_ok(&s);
    assert_int_equal(s.c->state, CALL_ACTIVE);
    assert_int_equal(stage_sent(&s, MSG_CALL_ACCEPTED, 0, 1), 1);
    assert_int_equal(stage_sent(&s, MSG_PARTICIPANT_JOINED, 0, 1), 1);
    struct id callee = stage_id(1, 0), device = stage_id(1, 2);
    assert_int_equal(call_party(s.c, &callee)->number, 2);
    assert_true(id_equal(&call_party(s.c, &callee)->device_id, &device));
    stage_close(&s);
}

static void two_devices_accept_and_one_wins(void **state)
{
    (void)state;
    struct stage s;
    stage_start(&s, 1);
    stage_ask(&s, CALL_ACCEPT, 1, 1);
    stage_ask(&s, CALL_ACCEPT, 1, 2);
    assert_int_equal(stage_count(&s, CALL_WRITE_ACCEPT), 1); /* the database decides, not we */
    stage_committed(&s, 1, 2);
    assert_ok(&s);
    stage_step(&s, (struct call_event){.type = CALL_ACCEPT_REFUSED,
                                       .request = 9,
                                       .user_id = stage_id(1, 0),
                                       .device_id = stage_id(1, 1),
                                       .error = CALL_E_CONFLICT});
    assert_error(&s, CALL_E_CONFLICT);
    assert_int_equal(s.c->state, CALL_ACTIVE);
    stage_ask(&s, CALL_ACCEPT, 1, 2); /* the winner's repeat */
    assert_ok(&s);
    stage_ask(&s, CALL_ACCEPT, 1, 1);
    assert_error(&s, CALL_E_CONFLICT);
    stage_close(&s);
}

/* The database names one winner; should it ever name another, the one who talks keeps the call. */
static void a_second_winner_is_refused(void **state)
{
    (void)state;
    struct stage s;
    stage_start(&s, 1);
    stage_ask(&s, CALL_ACCEPT, 1, 1);
    stage_ask(&s, CALL_ACCEPT, 1, 2);
    stage_committed(&s, 1, 1);
    assert_ok(&s);
    stage_committed(&s, 1, 2);
    assert_error(&s, CALL_E_CONFLICT);
    assert_int_equal(stage_messages(&s, MSG_CALL_ACCEPTED), 0);
    struct id callee = stage_id(1, 0), device = stage_id(1, 1);
    assert_true(id_equal(&call_party(s.c, &callee)->device_id, &device));
    stage_close(&s);
}

static void a_refused_accept_leaves_it_ringing(void **state)
{
    (void)state;
    struct stage s;
    stage_start(&s, 1);
    stage_ask(&s, CALL_ACCEPT, 1, 1);
    stage_step(&s, (struct call_event){.type = CALL_ACCEPT_REFUSED,
                                       .request = 9,
                                       .user_id = stage_id(1, 0),
                                       .device_id = stage_id(1, 1),
                                       .error = CALL_E_BUSY});
    assert_error(&s, CALL_E_BUSY);
    assert_int_equal(s.c->state, CALL_RINGING);
    stage_accept(&s, 1, 1);
    assert_int_equal(s.c->state, CALL_ACTIVE);
    stage_close(&s);
}

static void decline_on_one_device_declines_for_the_user(void **state)
{
    (void)state;
    struct stage s;
    stage_start(&s, 1);
    stage_ask(&s, CALL_DECLINE, 1, 2);
    assert_ok(&s);
    assert_int_equal(stage_effect(&s, CALL_WRITE_PARTY)->party_state, PARTY_DECLINED);
    assert_ended(&s, CALL_DECLINED);
    stage_ask(&s, CALL_ACCEPT, 1, 1);
    assert_error(&s, CALL_E_ENDED);
    stage_close(&s);
}

static void a_decline_does_not_overtake_an_accept(void **state)
{
    (void)state;
    struct stage s;
    stage_start(&s, 1);
    stage_ask(&s, CALL_ACCEPT, 1, 1);
    stage_ask(&s, CALL_DECLINE, 1, 2);
    assert_error(&s, CALL_E_CONFLICT);
    assert_int_equal(s.c->state, CALL_RINGING);
    stage_committed(&s, 1, 1);
    assert_ok(&s);
    stage_close(&s);
}

static void a_group_goes_on_when_one_declines(void **state)
{
    (void)state;
    struct stage s;
    stage_start(&s, 2);
    stage_ask(&s, CALL_DECLINE, 1, 1);
    assert_int_equal(s.c->state, CALL_RINGING);
    assert_int_equal(stage_sent(&s, MSG_PARTICIPANT_UPDATED, 0, 1), 1);
    stage_ask(&s, CALL_DECLINE, 2, 1);
    assert_ended(&s, CALL_DECLINED);
    stage_close(&s);
}

static void busy_and_unreachable_end_at_once(void **state)
{
    (void)state;
    struct stage s;
    stage_start_as(&s, 1, CALL_POLICY_AUTO, PARTY_BUSY);
    assert_ok(&s);
    assert_int_equal(stage_messages(&s, MSG_INCOMING_CALL), 0);
    assert_ended(&s, CALL_BUSY);
    stage_close(&s);
    stage_start_as(&s, 1, CALL_POLICY_AUTO, PARTY_UNREACHABLE);
    assert_ended(&s, CALL_UNREACHABLE);
    stage_close(&s);
}

static void nobody_answers(void **state)
{
    (void)state;
    struct stage s;
    stage_start(&s, 1);
    stage_tick(&s, 59 * SECOND);
    assert_int_equal(s.fx.n, 0);
    stage_tick(&s, 1 * SECOND);
    assert_ended(&s, CALL_MISSED);
    stage_tick(&s, 60 * SECOND);
    assert_int_equal(s.fx.n, 0);
    stage_close(&s);
}

static void an_accept_under_way_outlives_the_ring(void **state)
{
    (void)state;
    struct stage s;
    stage_start(&s, 1);
    stage_ask(&s, CALL_ACCEPT, 1, 1);
    stage_tick(&s, 60 * SECOND);
    assert_int_equal(s.c->state, CALL_RINGING);
    stage_committed(&s, 1, 1);
    assert_int_equal(s.c->state, CALL_ACTIVE);
    stage_close(&s);
}

static void caller_cancels(void **state)
{
    (void)state;
    struct stage s;
    stage_start(&s, 1);
    stage_ask(&s, CALL_ACCEPT, 1, 1); /* crosses the cancel */
    stage_ask(&s, CALL_HANG_UP, 0, 1);
    assert_ok(&s);
    assert_ended(&s, CALL_CANCELLED);
    stage_committed(&s, 1, 1);
    assert_error(&s, CALL_E_ENDED);
    stage_ask(&s, CALL_HANG_UP, 0, 1);
    assert_ok(&s); /* twice is no error */
    stage_close(&s);
}

static void hang_up_of_a_ringing_callee_declines(void **state)
{
    (void)state;
    struct stage s;
    stage_start(&s, 1);
    stage_ask(&s, CALL_HANG_UP, 1, 1);
    assert_ok(&s);
    assert_ended(&s, CALL_DECLINED);
    stage_close(&s);
}

static void groups_start_on_the_sfu_and_need_one(void **state)
{
    (void)state;
    struct stage s;
    stage_start(&s, 2);
    assert_int_equal(s.c->mode, CALL_SFU);
    stage_close(&s);
    struct call_participant parties[] = {stage_party(0, PARTY_JOINED),
                                         stage_party(1, PARTY_RINGING)};
    stage_open(&s, true);
    stage_step(&s, (struct call_event){.type = CALL_START,
                                       .request = 1,
                                       .user_id = stage_id(0, 0),
                                       .device_id = stage_id(0, 1),
                                       .online = true,
                                       .sfu_available = false,
                                       .parties = parties,
                                       .n_parties = 2});
    assert_error(&s, CALL_E_SFU_UNAVAILABLE);
    assert_int_equal(stage_messages(&s, MSG_INCOMING_CALL), 0);
    assert_ended(&s, CALL_FAILED);
    stage_close(&s);
}

static void strangers_learn_nothing(void **state)
{
    (void)state;
    static const struct {
        enum call_event_type type;
        enum call_error error;
    } asks[] = {
        {CALL_DEVICE_RINGING, CALL_E_NOT_FOUND}, {CALL_ACCEPT, CALL_E_NOT_FOUND},
        {CALL_DECLINE, CALL_E_NOT_FOUND},        {CALL_HANG_UP, CALL_E_NOT_FOUND},
        {CALL_INVITE, CALL_E_NOT_FOUND},         {CALL_JOIN, CALL_E_FORBIDDEN},
        {CALL_DESCRIPTION, CALL_E_NOT_FOUND},    {CALL_CANDIDATE, CALL_E_NOT_FOUND},
        {CALL_FALLBACK, CALL_E_NOT_FOUND},       {CALL_SFU_REQUEST, CALL_E_FORBIDDEN},
        {CALL_UPDATE, CALL_E_NOT_FOUND},         {CALL_STATS, CALL_E_NOT_FOUND},
    };
    struct stage s;
    for (int round = 0; round < 3; round++) {
        stage_start(&s, round == 2 ? 2 : 1);
        if (round == 1) {
            stage_accept(&s, 1, 1);
        }
        if (round == 2) {
            stage_ask(&s, CALL_HANG_UP, 0, 1); /* over: still nothing */
        }
        for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
            stage_ask(&s, asks[i].type, 7, 1);
            assert_error(&s, asks[i].error);
            assert_int_equal(s.fx.n, 1);
        }
        stage_close(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rings_every_callee_and_answers_the_caller),
        cmocka_unit_test(incoming_call_carries_the_offer),
        cmocka_unit_test(ringing_is_told_once_a_device),
        cmocka_unit_test(accept_waits_for_the_database),
        cmocka_unit_test(two_devices_accept_and_one_wins),
        cmocka_unit_test(a_second_winner_is_refused),
        cmocka_unit_test(a_refused_accept_leaves_it_ringing),
        cmocka_unit_test(decline_on_one_device_declines_for_the_user),
        cmocka_unit_test(a_decline_does_not_overtake_an_accept),
        cmocka_unit_test(a_group_goes_on_when_one_declines),
        cmocka_unit_test(busy_and_unreachable_end_at_once),
        cmocka_unit_test(nobody_answers),
        cmocka_unit_test(an_accept_under_way_outlives_the_ring),
        cmocka_unit_test(caller_cancels),
        cmocka_unit_test(hang_up_of_a_ringing_callee_declines),
        cmocka_unit_test(groups_start_on_the_sfu_and_need_one),
        cmocka_unit_test(strangers_learn_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
