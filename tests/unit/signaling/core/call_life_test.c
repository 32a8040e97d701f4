#include "tests/unit/signaling/core/call_fixture.h"

static void hang_up_ends_a_call_of_two(void **state)
{
    (void)state;
    for (int who = 0; who < 2; who++) {
        struct stage s;
        stage_start(&s, 1);
        stage_accept(&s, 1, 1);
        stage_ask(&s, CALL_HANG_UP, who, 1);
        assert_ok(&s);
        assert_ended(&s, CALL_COMPLETED);
        assert_int_equal(stage_count(&s, CALL_RELEASE), 2);
        stage_close(&s);
    }
}

static void another_device_cannot_hang_up(void **state)
{
    (void)state;
    struct stage s;
    stage_start(&s, 1);
    stage_accept(&s, 1, 1);
    stage_ask(&s, CALL_HANG_UP, 1, 2);
    assert_error(&s, CALL_E_NOT_PARTICIPANT);
    assert_int_equal(s.c->state, CALL_ACTIVE);
    stage_close(&s);
}

static void a_group_ends_when_one_is_left(void **state)
{
    (void)state;
    struct stage s;
    stage_start(&s, 2);
    stage_accept(&s, 1, 1);
    stage_accept(&s, 2, 1);
    stage_ask(&s, CALL_HANG_UP, 0, 1);
    assert_int_equal(s.c->state, CALL_ACTIVE);
    assert_int_equal(stage_sent(&s, MSG_PARTICIPANT_LEFT, 1, 1), 1);
    assert_int_equal(stage_sent(&s, MSG_PARTICIPANT_LEFT, 2, 1), 1);
    assert_int_equal(stage_effect(&s, CALL_WRITE_PARTY)->party_state, PARTY_LEFT);
    stage_ask(&s, CALL_HANG_UP, 1, 1);
    assert_ended(&s, CALL_COMPLETED);
    stage_close(&s);
}

static void a_group_waits_for_those_who_still_ring(void **state)
{
    (void)state;
    struct stage s;
    stage_start(&s, 2);
    stage_accept(&s, 1, 1);
    stage_ask(&s, CALL_HANG_UP, 0, 1);
    assert_int_equal(s.c->state, CALL_ACTIVE); /* the second one may still come */
    stage_tick(&s, 60 * SECOND);
    assert_ended(&s, CALL_COMPLETED);
    stage_close(&s);
}

static void one_leaves_and_comes_back(void **state)
{
    (void)state;
    struct stage s;
    stage_start(&s, 2);
    stage_accept(&s, 1, 1);
    stage_accept(&s, 2, 1);
    struct id user = stage_id(2, 0);
    int number = call_party(s.c, &user)->number;
    stage_ask(&s, CALL_HANG_UP, 2, 1);
    assert_int_equal(call_count(s.c, PARTY_JOINED), 2);
    stage_ask(&s, CALL_JOIN, 2, 3); /* from another device */
    assert_int_equal(stage_count(&s, CALL_WRITE_ACCEPT), 1);
    stage_step(&s, (struct call_event){.type = CALL_ACCEPT_COMMITTED,
                                       .request = 77,
                                       .user_id = user,
                                       .device_id = stage_id(2, 3),
                                       .online = true,
                                       .stay = call_party(s.c, &user)->stay,
                                       .number = number});
    assert_ok(&s);
    assert_int_equal(stage_messages(&s, MSG_CALL_ACCEPTED), 0);
    assert_int_equal(stage_messages(&s, MSG_PARTICIPANT_JOINED), 2);
    assert_int_equal(call_party(s.c, &user)->number, number);
    stage_close(&s);
}

static void an_accept_from_before_he_left_is_void(void **state)
{
    (void)state;
    struct stage s;
    stage_start(&s, 2);
    stage_accept(&s, 2, 1);
    stage_ask(&s, CALL_ACCEPT, 1, 1);
    stage_ask(&s, CALL_ACCEPT, 1, 1); /* the frame came twice */
    stage_committed(&s, 1, 1);
    stage_ask(&s, CALL_HANG_UP, 1, 1);
    stage_step(&s, (struct call_event){.type = CALL_ACCEPT_COMMITTED,
                                       .request = 79,
                                       .user_id = stage_id(1, 0),
                                       .device_id = stage_id(1, 1),
                                       .online = true,
                                       .number = 3});
    assert_error(&s, CALL_E_CONFLICT);
    assert_int_equal(call_count(s.c, PARTY_JOINED), 2);
    stage_close(&s);
}

static void the_last_but_one_waits_for_a_join_under_way(void **state)
{
    (void)state;
    struct stage s;
    stage_start(&s, 2);
    stage_accept(&s, 1, 1);
    stage_ask(&s, CALL_DECLINE, 2, 1);
    stage_ask(&s, CALL_JOIN, 2, 1); /* thinks better of it */
    stage_ask(&s, CALL_HANG_UP, 1, 1);
    assert_int_equal(s.c->state, CALL_ACTIVE);
    stage_step(&s, (struct call_event){.type = CALL_ACCEPT_REFUSED,
                                       .request = 78,
                                       .user_id = stage_id(2, 0),
                                       .device_id = stage_id(2, 1),
                                       .error = CALL_E_UNAVAILABLE});
    assert_ended(&s, CALL_COMPLETED);
    stage_close(&s);
}

/* He accepts and hangs up at once, before the database has said who won. */
static void hanging_up_takes_back_an_accept_under_way(void **state)
{
    (void)state;
    struct stage s;
    stage_start(&s, 1);
    stage_ask(&s, CALL_ACCEPT, 1, 1);
    stage_ask(&s, CALL_HANG_UP, 1, 2); /* another device waits for the one that accepted */
    assert_error(&s, CALL_E_CONFLICT);
    stage_ask(&s, CALL_HANG_UP, 1, 1);
    assert_ok(&s);
    assert_int_equal(s.c->state, CALL_RINGING); /* until the answer is here */
    stage_step(&s, (struct call_event){.type = CALL_ACCEPT_COMMITTED,
                                       .request = 80,
                                       .user_id = stage_id(1, 0),
                                       .device_id = stage_id(1, 1),
                                       .online = true,
                                       .number = 2});
    assert_error(&s, CALL_E_CONFLICT);
    assert_int_equal(stage_messages(&s, MSG_CALL_ACCEPTED), 0);
    assert_ended(&s, CALL_DECLINED);
    stage_close(&s);
}

static void hanging_up_takes_back_a_join_under_way(void **state)
{
    (void)state;
    struct stage s;
    stage_start(&s, 3);
    stage_accept(&s, 1, 1);
    stage_accept(&s, 2, 1);
    stage_ask(&s, CALL_DECLINE, 3, 1);
    stage_ask(&s, CALL_JOIN, 3, 1);
    stage_ask(&s, CALL_HANG_UP, 3, 1);
    assert_ok(&s);
    stage_step(&s, (struct call_event){.type = CALL_ACCEPT_COMMITTED,
                                       .request = 81,
                                       .user_id = stage_id(3, 0),
                                       .device_id = stage_id(3, 1),
                                       .online = true,
                                       .number = 4});
    assert_error(&s, CALL_E_CONFLICT);
    assert_int_equal(call_count(s.c, PARTY_JOINED), 3);
    /* The row says that he is in: it has to hear that he isn't, or he stays busy. */
    assert_int_equal(stage_effect(&s, CALL_WRITE_PARTY)->party_state, PARTY_LEFT);
    stage_close(&s);
}

static void who_comes_when_all_have_left_is_not_left_alone(void **state)
{
    (void)state;
    struct stage s;
    stage_start(&s, 2);
    stage_accept(&s, 1, 1);
    stage_ask(&s, CALL_ACCEPT, 2, 1);
    stage_ask(&s, CALL_HANG_UP, 0, 1);
    stage_ask(&s, CALL_HANG_UP, 1, 1);
    assert_int_equal(s.c->state, CALL_ACTIVE);
    stage_committed(&s, 2, 1);
    assert_ok(&s);
    assert_ended(&s, CALL_COMPLETED);
    stage_close(&s);
}

/* The answer was lost, the accept perhaps not: his row mustn't say joined as long as the others go
 * on, or everybody else finds him busy. He rings on here. */
static void an_accept_without_an_answer_is_undone(void **state)
{
    (void)state;
    struct stage s;
    stage_start(&s, 2);
    stage_accept(&s, 1, 1);
    stage_ask(&s, CALL_ACCEPT, 2, 3);
    stage_step(&s, (struct call_event){.type = CALL_ACCEPT_REFUSED,
                                       .request = 82,
                                       .user_id = stage_id(2, 0),
                                       .device_id = stage_id(2, 3),
                                       .error = CALL_E_UNAVAILABLE});
    assert_error(&s, CALL_E_UNAVAILABLE);
    const struct call_effect *e = stage_effect(&s, CALL_WRITE_PARTY);
    struct id device = stage_id(2, 3), user = stage_id(2, 0);
    assert_int_equal(e->party_state, PARTY_LEFT);
    assert_true(id_equal(&e->device_id, &device));
    assert_int_equal(call_party(s.c, &user)->state, PARTY_RINGING);
    stage_accept(&s, 2, 3);
    assert_ok(&s);
    stage_close(&s);
}

static void a_lost_socket_has_the_grace_to_return(void **state)
{
    (void)state;
    struct stage s;
    stage_start(&s, 1);
    stage_accept(&s, 1, 1);
    stage_event(&s, CALL_SOCKET_LOST, 1, 2); /* a device that isn't in it */
    assert_int_equal(s.fx.n, 0);
    stage_event(&s, CALL_SOCKET_LOST, 1, 1);
    assert_int_equal(stage_sent(&s, MSG_PARTICIPANT_UPDATED, 0, 1), 1);
    stage_event(&s, CALL_SOCKET_LOST, 1, 1);
    assert_int_equal(s.fx.n, 0);
    stage_tick(&s, 29 * SECOND);
    assert_int_equal(s.fx.n, 0);
    stage_event(&s, CALL_SOCKET_BACK, 1, 1);
    assert_int_equal(stage_sent(&s, MSG_PARTICIPANT_UPDATED, 0, 1), 1);
    stage_event(&s, CALL_SOCKET_BACK, 1, 1); /* replaced by another socket of the same device */
    assert_int_equal(s.fx.n, 0);
    stage_tick(&s, 60 * SECOND);
    assert_int_equal(s.c->state, CALL_ACTIVE);
    stage_event(&s, CALL_SOCKET_LOST, 1, 1);
    stage_tick(&s, 30 * SECOND);
    assert_int_equal(stage_effect(&s, CALL_WRITE_PARTY)->party_state, PARTY_FAILED);
    assert_ended(&s, CALL_FAILED);
    stage_close(&s);
}

static void a_lost_caller_ends_the_ring(void **state)
{
    (void)state;
    struct stage s;
    stage_start(&s, 1);
    stage_event(&s, CALL_SOCKET_LOST, 0, 1);
    stage_tick(&s, 30 * SECOND);
    assert_ended(&s, CALL_FAILED);
    stage_close(&s);
}

static void one_of_many_is_lost_and_the_others_go_on(void **state)
{
    (void)state;
    struct stage s;
    stage_start(&s, 3);
    for (int u = 1; u <= 3; u++) {
        stage_accept(&s, u, 1);
    }
    stage_event(&s, CALL_SOCKET_LOST, 2, 1);
    stage_event(&s, CALL_SFU_PLACED, 0, 0);
    stage_tick(&s, 30 * SECOND);
    assert_int_equal(s.c->state, CALL_ACTIVE);
    assert_int_equal(stage_count(&s, CALL_SFU_LEAVE), 1);
    assert_int_equal(stage_messages(&s, MSG_PARTICIPANT_LEFT), 3);
    for (int u = 0; u <= 3; u++) {
        stage_event(&s, CALL_SOCKET_LOST, u, 1);
    }
    stage_tick(&s, 30 * SECOND);
    assert_ended(&s, CALL_FAILED);
    assert_int_equal(stage_count(&s, CALL_SFU_CLOSE), 1);
    stage_close(&s);
}

static void restore(struct stage *s, enum call_state was, struct call_participant *parties, int n,
                    bool placed)
{
    stage_open(s, n > 2);
    s->c->mode = n > 2 ? CALL_SFU : CALL_P2P;
    stage_step(s, (struct call_event){.type = CALL_RESTORE,
                                      .restored_state = was,
                                      .connected = placed,
                                      .parties = parties,
                                      .n_parties = n});
}

static void a_restart_resumes_an_active_call(void **state)
{
    (void)state;
    struct stage s;
    struct call_participant p[] = {stage_party(0, PARTY_JOINED), stage_party(1, PARTY_JOINED)};
    restore(&s, CALL_ACTIVE, p, 2, false);
    assert_int_equal(s.c->state, CALL_ACTIVE);
    assert_int_equal(stage_count(&s, CALL_HOLD), 2);
    stage_event(&s, CALL_SOCKET_BACK, 0, 1);
    stage_event(&s, CALL_SOCKET_BACK, 1, 1);
    stage_tick(&s, 100 * SECOND);
    assert_int_equal(s.c->state, CALL_ACTIVE);
    stage_ask(&s, CALL_HANG_UP, 0, 1);
    assert_ended(&s, CALL_COMPLETED);
    stage_close(&s);
}

static void a_restart_ends_what_nobody_returns_to(void **state)
{
    (void)state;
    struct stage s;
    struct call_participant p[] = {stage_party(0, PARTY_JOINED), stage_party(1, PARTY_JOINED)};
    restore(&s, CALL_ACTIVE, p, 2, false);
    stage_tick(&s, 30 * SECOND);
    assert_ended(&s, CALL_FAILED);
    stage_close(&s);
    p[0].state = PARTY_LEFT;
    p[1].state = PARTY_LEFT;
    restore(&s, CALL_ACTIVE, p, 2, false);
    assert_ended(&s, CALL_FAILED);
    stage_close(&s);
}

static void a_restart_goes_on_ringing_or_says_missed(void **state)
{
    (void)state;
    struct stage s;
    struct call_participant p[] = {stage_party(0, PARTY_JOINED), stage_party(1, PARTY_RINGING)};
    p[1].ring_deadline_us = 1010 * SECOND;
    restore(&s, CALL_RINGING, p, 2, false);
    assert_int_equal(s.c->state, CALL_RINGING);
    stage_event(&s, CALL_SOCKET_BACK, 1, 4);
    assert_int_equal(stage_sent(&s, MSG_INCOMING_CALL, 1, 4), 1);
    stage_tick(&s, 10 * SECOND);
    assert_ended(&s, CALL_MISSED);
    stage_close(&s);
    p[1].ring_deadline_us = 1; /* ran out while the server was away */
    restore(&s, CALL_RINGING, p, 2, false);
    stage_tick(&s, 0);
    assert_ended(&s, CALL_MISSED);
    stage_close(&s);
}

static void a_restart_looks_for_its_room(void **state)
{
    (void)state;
    struct stage s;
    struct call_participant p[] = {stage_party(0, PARTY_JOINED), stage_party(1, PARTY_JOINED),
                                   stage_party(2, PARTY_JOINED)};
    restore(&s, CALL_ACTIVE, p, 3, true);
    stage_step(&s, (struct call_event){.type = CALL_SFU_UP, .kept = true});
    assert_int_equal(s.fx.n, 0);
    stage_close(&s);
    restore(&s, CALL_ACTIVE, p, 3, true);
    stage_tick(&s, 5 * SECOND);
    assert_int_equal(stage_count(&s, CALL_SFU_REPLACE), 1);
    stage_step(&s, (struct call_event){.type = CALL_SFU_UP, .kept = false});
    assert_int_equal(stage_messages(&s, MSG_CALL_FALLBACK), 3);
    stage_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hang_up_ends_a_call_of_two),
        cmocka_unit_test(another_device_cannot_hang_up),
        cmocka_unit_test(a_group_ends_when_one_is_left),
        cmocka_unit_test(a_group_waits_for_those_who_still_ring),
        cmocka_unit_test(one_leaves_and_comes_back),
        cmocka_unit_test(an_accept_from_before_he_left_is_void),
        cmocka_unit_test(the_last_but_one_waits_for_a_join_under_way),
        cmocka_unit_test(hanging_up_takes_back_an_accept_under_way),
        cmocka_unit_test(hanging_up_takes_back_a_join_under_way),
        cmocka_unit_test(who_comes_when_all_have_left_is_not_left_alone),
        cmocka_unit_test(an_accept_without_an_answer_is_undone),
        cmocka_unit_test(a_lost_socket_has_the_grace_to_return),
        cmocka_unit_test(a_lost_caller_ends_the_ring),
        cmocka_unit_test(one_of_many_is_lost_and_the_others_go_on),
        cmocka_unit_test(a_restart_resumes_an_active_call),
        cmocka_unit_test(a_restart_ends_what_nobody_returns_to),
        cmocka_unit_test(a_restart_goes_on_ringing_or_says_missed),
        cmocka_unit_test(a_restart_looks_for_its_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
