#include "tests/unit/signaling/core/call_fixture.h"

static void relay(struct stage *s, enum call_event_type type, int u, int d, const char *payload)
{
    stage_step(s, (struct call_event){.type = type,
                                      .request = ++s->request,
                                      .user_id = stage_id(u, 0),
                                      .device_id = stage_id(u, d),
                                      .payload = payload});
}

static void relays_only_between_joined_devices(void **state)
{
    (void)state;
    struct stage s;
    stage_start(&s, 1);
    relay(&s, CALL_DESCRIPTION, 1, 1, "x");
    assert_error(&s, CALL_E_NOT_PARTICIPANT); /* rings only */
    stage_accept(&s, 1, 1);
    relay(&s, CALL_DESCRIPTION, 1, 1, "answer");
    assert_ok(&s);
    assert_int_equal(stage_sent(&s, MSG_CALL_DESCRIPTION, 0, 1), 1);
    struct id device = stage_id(1, 1);
    assert_true(id_equal(&stage_effect(&s, CALL_SEND)->from_device, &device));
    assert_string_equal(stage_effect(&s, CALL_SEND)->payload, "answer");
    relay(&s, CALL_CANDIDATE, 0, 1, "c");
    assert_int_equal(stage_sent(&s, MSG_ICE_CANDIDATE, 1, 1), 1);
    relay(&s, CALL_CANDIDATE, 1, 2, "c");
    assert_error(&s, CALL_E_NOT_PARTICIPANT); /* another device of his */
    assert_int_equal(s.fx.n, 1);
    stage_close(&s);
}

static void early_candidates_reach_whoever_accepts(void **state)
{
    (void)state;
    struct stage s;
    stage_start(&s, 1);
    relay(&s, CALL_CANDIDATE, 0, 1, "c1");
    assert_ok(&s);
    assert_int_equal(stage_messages(&s, MSG_ICE_CANDIDATE), 0);
    relay(&s, CALL_CANDIDATE, 0, 1, "c2");
    stage_accept(&s, 1, 2);
    assert_int_equal(stage_sent(&s, MSG_ICE_CANDIDATE, 1, 2), 2);
    relay(&s, CALL_CANDIDATE, 0, 1, "c3");
    assert_int_equal(stage_sent(&s, MSG_ICE_CANDIDATE, 1, 2), 1);
    stage_close(&s);
}

static void candidates_are_bounded(void **state)
{
    (void)state;
    struct stage s;
    stage_start(&s, 1);
    for (int i = 0; i < CALL_MAX_EARLY; i++) {
        relay(&s, CALL_CANDIDATE, 0, 1, "c");
        assert_ok(&s);
    }
    relay(&s, CALL_CANDIDATE, 0, 1, "c");
    assert_error(&s, CALL_E_RATE_LIMITED);
    stage_accept(&s, 1, 1);
    for (int i = 0; i < CALL_MAX_CANDIDATES; i++) {
        relay(&s, CALL_CANDIDATE, 1, 1, "c");
        assert_ok(&s);
    }
    relay(&s, CALL_CANDIDATE, 1, 1, "c");
    assert_error(&s, CALL_E_RATE_LIMITED);
    relay(&s, CALL_DESCRIPTION, 1, 1, "d"); /* an ICE restart may gather anew */
    relay(&s, CALL_CANDIDATE, 1, 1, "c");
    assert_ok(&s);
    stage_close(&s);
}

static void a_named_target_must_be_joined(void **state)
{
    (void)state;
    struct stage s;
    stage_start(&s, 2);
    stage_accept(&s, 1, 1);
    s.c->mode = CALL_P2P; /* three, so that one can still ring */
    struct call_event ev = {.type = CALL_CANDIDATE,
                            .request = 5,
                            .user_id = stage_id(0, 0),
                            .device_id = stage_id(0, 1),
                            .to_user = stage_id(1, 0),
                            .to_device = stage_id(1, 1),
                            .payload = "c"};
    stage_step(&s, ev);
    assert_ok(&s);
    ev.to_device = stage_id(1, 2);
    stage_step(&s, ev);
    assert_error(&s, CALL_E_CONFLICT);
    ev.to_user = stage_id(9, 0);
    stage_step(&s, ev);
    assert_error(&s, CALL_E_NOT_PARTICIPANT);
    assert_int_equal(s.fx.n, 1); /* nothing leaves for a stranger */
    ev.to_user = stage_id(0, 0);
    ev.to_device = stage_id(0, 1);
    stage_step(&s, ev);
    assert_error(&s, CALL_E_CONFLICT); /* nor to himself */
    ev.to_user = stage_id(2, 0);
    ev.to_device.s[0] = '\0';
    stage_step(&s, ev);
    assert_error(&s, CALL_E_CONFLICT); /* nor to one who only rings */
    assert_int_equal(s.fx.n, 1);
    stage_close(&s);
}

static void fallback_moves_both_once(void **state)
{
    (void)state;
    struct stage s;
    stage_start(&s, 1);
    stage_accept(&s, 1, 1);
    stage_step(&s, (struct call_event){.type = CALL_FALLBACK,
                                       .request = 5,
                                       .user_id = stage_id(1, 0),
                                       .device_id = stage_id(1, 1),
                                       .fallback = FALLBACK_TIMEOUT,
                                       .sfu_available = true});
    assert_ok(&s);
    assert_int_equal(s.c->mode, CALL_SFU);
    assert_int_equal(s.c->path, CALL_PATH_SFU);
    assert_int_equal(stage_sent(&s, MSG_CALL_FALLBACK, 0, 1), 1);
    assert_int_equal(stage_sent(&s, MSG_CALL_FALLBACK, 1, 1), 1);
    assert_int_equal(stage_effect(&s, CALL_SEND)->fallback, FALLBACK_TIMEOUT);
    assert_int_equal(stage_count(&s, CALL_WRITE_MODE), 1);
    stage_ask(&s, CALL_FALLBACK, 0, 1); /* the other side, at about the same time */
    assert_ok(&s);
    assert_int_equal(s.fx.n, 1);
    relay(&s, CALL_CANDIDATE, 0, 1, "late");
    assert_ok(&s);
    assert_int_equal(stage_messages(&s, MSG_ICE_CANDIDATE), 0);
    stage_close(&s);
}

static void fallback_can_be_impossible(void **state)
{
    (void)state;
    struct stage s;
    stage_start_as(&s, 1, CALL_POLICY_P2P, PARTY_RINGING);
    stage_accept(&s, 1, 1);
    stage_ask(&s, CALL_FALLBACK, 0, 1);
    assert_error(&s, CALL_E_CONFLICT);
    stage_close(&s);
    stage_start(&s, 1);
    stage_accept(&s, 1, 1);
    stage_step(&s, (struct call_event){.type = CALL_FALLBACK,
                                       .request = 5,
                                       .user_id = stage_id(1, 0),
                                       .device_id = stage_id(1, 1),
                                       .sfu_available = false});
    assert_error(&s, CALL_E_SFU_UNAVAILABLE);
    assert_int_equal(s.c->mode, CALL_P2P);
    stage_ask(&s, CALL_SFU_REQUEST, 1, 1);
    assert_error(&s, CALL_E_CONFLICT); /* not before the call has moved */
    stage_close(&s);
}

static void invited(struct stage *s, int u, enum call_party_state st)
{
    struct call_participant p = stage_party(u, st);
    stage_step(s, (struct call_event){.type = CALL_INVITED,
                                      .request = ++s->request,
                                      .user_id = stage_id(0, 0),
                                      .device_id = stage_id(0, 1),
                                      .parties = &p,
                                      .n_parties = 1});
}

static void a_third_person_moves_the_call_to_the_sfu(void **state)
{
    (void)state;
    struct stage s;
    stage_start(&s, 1);
    stage_accept(&s, 1, 1);
    stage_ask(&s, CALL_INVITE, 0, 1);
    assert_int_equal(stage_count(&s, CALL_WRITE_INVITE), 1);
    invited(&s, 2, PARTY_RINGING);
    assert_ok(&s);
    assert_int_equal(stage_messages(&s, MSG_CALL_FALLBACK), 2);
    assert_int_equal(stage_sent(&s, MSG_INCOMING_CALL, 2, 0), 1);
    struct id inviter = stage_id(0, 0), third = stage_id(2, 0);
    assert_true(id_equal(&call_party(s.c, &third)->invited_by, &inviter));
    assert_int_equal(s.c->mode, CALL_SFU);
    stage_accept(&s, 2, 1);
    assert_int_equal(stage_messages(&s, MSG_CALL_FALLBACK), 0);
    stage_ask(&s, CALL_HANG_UP, 0, 1);
    assert_int_equal(s.c->state, CALL_ACTIVE); /* it is a group now */
    invited(&s, 0, PARTY_RINGING);             /* and the first one is asked back */
    assert_int_equal(stage_sent(&s, MSG_INCOMING_CALL, 0, 0), 1);
    stage_close(&s);
}

static void who_is_busy_is_not_rung(void **state)
{
    (void)state;
    struct stage s;
    stage_start(&s, 1);
    stage_accept(&s, 1, 1);
    invited(&s, 2, PARTY_BUSY);
    assert_int_equal(stage_messages(&s, MSG_INCOMING_CALL), 0);
    assert_int_equal(s.c->state, CALL_ACTIVE);
    stage_close(&s);
    stage_start_as(&s, 1, CALL_POLICY_P2P, PARTY_RINGING);
    stage_accept(&s, 1, 1);
    stage_ask(&s, CALL_INVITE, 0, 1);
    assert_error(&s, CALL_E_CONFLICT);
    stage_close(&s);
}

static void update_is_told_to_the_others_when_it_changes(void **state)
{
    (void)state;
    struct stage s;
    stage_start(&s, 1);
    stage_accept(&s, 1, 1);
    struct call_event ev = {.type = CALL_UPDATE,
                            .request = 5,
                            .user_id = stage_id(1, 0),
                            .device_id = stage_id(1, 1),
                            .set_audio = 0,
                            .set_video = -1};
    stage_step(&s, ev);
    assert_ok(&s);
    assert_int_equal(stage_sent(&s, MSG_PARTICIPANT_UPDATED, 0, 1), 1);
    assert_int_equal(stage_messages(&s, MSG_PARTICIPANT_UPDATED), 1);
    stage_step(&s, ev);
    assert_int_equal(stage_messages(&s, MSG_PARTICIPANT_UPDATED), 0);
    stage_close(&s);
}

static void stats(struct stage *s, enum call_path path, int rtt_ms)
{
    stage_step(s, (struct call_event){.type = CALL_STATS,
                                      .request = ++s->request,
                                      .user_id = stage_id(1, 0),
                                      .device_id = stage_id(1, 1),
                                      .path = path,
                                      .rtt_ms = rtt_ms,
                                      .loss_percent = 1.5});
}

static void the_path_is_the_farthest_that_was_taken(void **state)
{
    (void)state;
    struct stage s;
    stage_start(&s, 1);
    stage_accept(&s, 1, 1);
    stats(&s, CALL_PATH_P2P, 20);
    assert_int_equal(stage_count(&s, CALL_WRITE_MODE), 1);
    stats(&s, CALL_PATH_SFU, 20); /* there is no SFU in this call */
    assert_int_equal(s.c->path, CALL_PATH_P2P);
    stats(&s, CALL_PATH_TURN, 40);
    stats(&s, CALL_PATH_P2P, 60);
    assert_int_equal(s.c->path, CALL_PATH_TURN);
    assert_int_equal(s.c->quality.rtt_samples, 4);
    assert_int_equal(s.c->quality.rtt_ms_sum, 140);
    stage_close(&s);
}

static void sfu_requests_are_for_joined_devices(void **state)
{
    (void)state;
    struct stage s;
    stage_start(&s, 2);
    stage_ask(&s, CALL_SFU_REQUEST, 0, 1);
    assert_int_equal(stage_count(&s, CALL_SFU_FORWARD), 1);
    assert_true(stage_effect(&s, CALL_SFU_FORWARD)->request == s.request);
    stage_ask(&s, CALL_SFU_REQUEST, 1, 1);
    assert_error(&s, CALL_E_NOT_PARTICIPANT); /* rings only */
    stage_ask(&s, CALL_SFU_REQUEST, 5, 1);
    assert_error(&s, CALL_E_FORBIDDEN); /* never invited */
    stage_ask(&s, CALL_JOIN, 5, 1);
    assert_error(&s, CALL_E_FORBIDDEN);
    stage_close(&s);
}

static void a_lost_sfu_is_waited_for_then_replaced(void **state)
{
    (void)state;
    struct stage s;
    stage_start(&s, 2);
    stage_accept(&s, 1, 1);
    stage_event(&s, CALL_SFU_DOWN, 0, 0);
    assert_true(call_deadline(s.c) > s.now_us + 5 * SECOND); /* no room yet: nothing to lose */
    stage_event(&s, CALL_SFU_PLACED, 0, 0);
    stage_event(&s, CALL_SFU_DOWN, 0, 0);
    stage_step(&s, (struct call_event){.type = CALL_SFU_UP, .kept = true});
    assert_int_equal(s.fx.n, 0); /* only the link broke */
    stage_event(&s, CALL_SFU_DOWN, 0, 0);
    stage_tick(&s, 5 * SECOND);
    assert_int_equal(stage_count(&s, CALL_SFU_REPLACE), 1);
    stage_tick(&s, 5 * SECOND);
    assert_int_equal(stage_count(&s, CALL_SFU_REPLACE), 0); /* asked once; then it is told */
    stage_step(&s, (struct call_event){.type = CALL_SFU_UP, .kept = false});
    assert_int_equal(stage_messages(&s, MSG_CALL_FALLBACK), 2);
    assert_int_equal(stage_effect(&s, CALL_SEND)->fallback, FALLBACK_SFU_RESTARTED);
    assert_int_equal(stage_messages(&s, MSG_INCOMING_CALL), 0); /* no second ring */
    stage_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(relays_only_between_joined_devices),
        cmocka_unit_test(early_candidates_reach_whoever_accepts),
        cmocka_unit_test(candidates_are_bounded),
        cmocka_unit_test(a_named_target_must_be_joined),
        cmocka_unit_test(fallback_moves_both_once),
        cmocka_unit_test(fallback_can_be_impossible),
        cmocka_unit_test(a_third_person_moves_the_call_to_the_sfu),
        cmocka_unit_test(who_is_busy_is_not_rung),
        cmocka_unit_test(update_is_told_to_the_others_when_it_changes),
        cmocka_unit_test(the_path_is_the_farthest_that_was_taken),
        cmocka_unit_test(sfu_requests_are_for_joined_devices),
        cmocka_unit_test(a_lost_sfu_is_waited_for_then_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
