/* The hub against a server, a database and accounts that this file plays: every order of events
 * that is hard to get over the wire. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "signaling/shell/hub.h"
#include "tests/unit/signaling/shell/hub_world.h"

static struct world w;
static struct hub *hub;

static int set_up(void **state)
{
    (void)state;
    hub = world_start(&w);
    return hub ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    world_stop(&w, hub);
    return 0;
}

static struct client *online(const char *user, const char *device)
{
    struct client *c = world_connect(&w, user, device, NULL);
    world_run(&w);
    return c;
}

static cJSON *number(int n)
{
    cJSON *data = json_new();
    json_put_int(data, "n", n);
    return data;
}

static void say(const char *user, const char *device, int n)
{
    hub_send_device(hub, user, device, WS_CONTROL, "active_speakers", number(n));
}

/* ---- the connect ---- */
static void connected_then_events_then_synced(void **state)
{
    (void)state;
    world_event(&w, ALICE, NULL, "call_ended");
    world_event(&w, ALICE, PHONE, "call_ended");
    world_event(&w, ALICE, LAPTOP, "call_ended");
    struct client *c = online(ALICE, PHONE);
    assert_string_equal(c->seen, "connected call_ended:1 call_ended:2 synced:3 ");
}

static void early_frames_wait(void **state)
{
    (void)state;
    struct client *c = world_connect(&w, ALICE, PHONE, NULL);
    client_send(c, "{\"type\":\"ping\",\"id\":\"a\"}");
    client_send(c, "{\"type\":\"ping\",\"id\":7}");
    assert_string_equal(c->seen, "");
    world_run(&w);
    assert_string_equal(c->seen, "connected reply:\"a\" reply:7 synced:0 ");
}

static void too_many_early_frames(void **state)
{
    (void)state;
    struct client *c = world_connect(&w, ALICE, PHONE, NULL);
    for (int i = 0; i < 33; i++)
        client_send(c, "{\"type\":\"ping\",\"id\":\"a\"}");
    assert_int_equal(c->close_code, 4004);
    world_run(&w);
    assert_string_equal(c->seen, "");
    assert_false(hub_device_online(hub, PHONE));
}

static void spent_ticket_and_dead_database(void **state)
{
    (void)state;
    struct client *c = world_connect(&w, ALICE, PHONE, NULL);
    w.ticket_err = ERR_AUTH;
    world_run(&w);
    assert_int_equal(c->close_code, 1008);
    w.ticket_err = OK;
    struct client *d = world_connect(&w, ALICE, PHONE, NULL);
    world_step(&w);
    w.query_err = ERR_UNAVAILABLE;
    world_run(&w);
    assert_int_equal(d->close_code, 1013);
    assert_int_equal(hub_sockets(hub), 0);
}

static void gone_at_every_step(void **state)
{
    (void)state;
    world_event(&w, ALICE, NULL, "call_ended");
    for (int steps = 0; steps < 5; steps++) {
        struct client *c = world_connect(&w, ALICE, PHONE, NULL);
        for (int i = 0; i < steps; i++)
            world_step(&w);
        client_drop(c);
        world_run(&w);
        assert_false(hub_device_online(hub, PHONE));
        assert_int_equal(hub_sockets(hub), 0);
    }
    assert_true(hub_is_empty(hub));
}

static void revoked_while_connecting(void **state)
{
    (void)state;
    struct client *c = world_connect(&w, ALICE, PHONE, NULL);
    world_step(&w);
    hub_close_session(hub, ALICE, NULL, "logout");
    assert_int_equal(c->close_code, 4001);
    world_run(&w);
    assert_false(hub_device_online(hub, PHONE));
}

/* ---- durable events ---- */
static void written_between_the_page_and_its_answer(void **state)
{
    (void)state;
    struct client *c = world_connect(&w, ALICE, PHONE, NULL);
    world_step(&w); /* ticket */
    world_step(&w); /* start: the first page is asked for, and was read before … */
    world_read(&w);
    world_event(&w, ALICE, NULL, "call_ended"); /* … this one was committed */
    hub_announce(hub, ALICE);
    world_run(&w);
    assert_string_equal(c->seen, "connected synced:0 call_ended:1 ");
}

static void announcements_are_coalesced(void **state)
{
    (void)state;
    struct client *c = online(ALICE, PHONE);
    int before = w.queries;
    for (int i = 0; i < 50; i++) {
        world_event(&w, ALICE, NULL, "call_ended");
        hub_announce(hub, ALICE);
    }
    world_run(&w);
    assert_int_equal(w.queries - before, 2);
    assert_int_equal(c->durable, 50);
    assert_int_equal(c->disorder, 0);
}

static void each_device_gets_its_own(void **state)
{
    (void)state;
    struct client *phone = online(ALICE, PHONE), *laptop = online(ALICE, LAPTOP);
    world_event(&w, ALICE, LAPTOP, "call_ended");
    world_event(&w, ALICE, NULL, "call_ended");
    hub_announce(hub, ALICE);
    world_run(&w);
    assert_string_equal(phone->seen, "connected synced:0 call_ended:2 ");
    assert_string_equal(laptop->seen, "connected synced:0 call_ended:1 call_ended:2 ");
}

static void a_late_device_does_not_hold_up_a_live_one(void **state)
{
    (void)state;
    for (int i = 0; i < 450; i++)
        world_event(&w, ALICE, NULL, "call_ended");
    struct client *live = world_connect(&w, ALICE, PHONE, "450");
    world_run(&w);
    struct client *late = world_connect(&w, ALICE, LAPTOP, "0");
    world_step(&w);
    world_step(&w);
    late->queued = 1 << 20; /* its reader sleeps */
    world_run(&w);
    world_event(&w, ALICE, NULL, "call_ended");
    hub_announce(hub, ALICE);
    world_run(&w);
    assert_int_equal(live->durable, 1);
    assert_int_equal(late->durable, 200); /* the page that was under way */
    late->queued = 0;
    for (int i = 0; i < 5; i++) {
        world_timers();
        world_run(&w);
    }
    assert_int_equal(late->durable, 451);
    assert_int_equal(late->disorder, 0);
    assert_int_equal(live->durable, 1);
}

static void overflow_resync_ack(void **state)
{
    (void)state;
    struct client *c = online(ALICE, PHONE);
    c->room = 3;
    for (int i = 0; i < 10; i++)
        world_event(&w, ALICE, NULL, "call_ended");
    hub_announce(hub, ALICE);
    world_run(&w);
    assert_string_equal(
        c->seen, "connected synced:0 call_ended:1 call_ended:2 call_ended:3 resync_required:3 ");
    world_event(&w, ALICE, NULL, "call_ended");
    hub_announce(hub, ALICE);
    world_run(&w);
    assert_int_equal(c->durable, 3);
    c->room = 100;
    client_send(c, "{\"type\":\"ack\",\"id\":\"k\",\"data\":{\"cursor\":9}}");
    world_run(&w);
    assert_non_null(strstr(c->seen, "reply:\"k\" call_ended:10 call_ended:11 synced:11 "));
    assert_int_equal(c->disorder, 0);
}

static void sockets_outlive_the_database(void **state)
{
    (void)state;
    struct client *live = online(ALICE, PHONE), *syncing = world_connect(&w, ALICE, LAPTOP, NULL);
    world_step(&w);
    world_step(&w);
    world_event(&w, ALICE, NULL, "call_ended");
    hub_announce(hub, ALICE);
    w.query_err = ERR_UNAVAILABLE;
    world_run(&w);
    world_timers();
    world_run(&w);
    say(ALICE, PHONE, 5);
    assert_string_equal(live->seen, "connected synced:0 active_speakers#5 ");
    w.query_err = OK;
    world_timers();
    world_run(&w);
    assert_string_equal(live->seen, "connected synced:0 active_speakers#5 call_ended:1 ");
    assert_string_equal(syncing->seen, "connected call_ended:1 synced:1 ");
}

/* ---- frames of a device that is away ---- */
static void held_frames_come_after_synced(void **state)
{
    (void)state;
    struct client *c = online(ALICE, PHONE);
    assert_int_equal(hub_hold(hub, ALICE, PHONE, true), OK);
    client_drop(c);
    say(ALICE, PHONE, 1);
    assert_int_equal(hub_send_user(hub, ALICE, NULL, WS_CONTROL, "active_speakers", number(2)), 0);
    c = world_connect(&w, ALICE, PHONE, NULL);
    world_step(&w);
    world_step(&w);
    assert_true(hub_device_online(hub, PHONE));
    say(ALICE, PHONE, 3); /* connected, still syncing */
    world_run(&w);
    assert_string_equal(
        c->seen, "connected synced:0 active_speakers#1 active_speakers#2 active_speakers#3 ");
    say(ALICE, PHONE, 4);
    assert_non_null(strstr(c->seen, "active_speakers#4"));
}

static void not_held_is_lost_and_let_go_drops(void **state)
{
    (void)state;
    say(ALICE, PHONE, 1);
    hub_hold(hub, ALICE, PHONE, true);
    say(ALICE, PHONE, 2);
    hub_hold(hub, ALICE, PHONE, false);
    struct client *c = online(ALICE, PHONE);
    assert_string_equal(c->seen, "connected synced:0 ");
    say(BOB, PHONE, 3); /* another user's device by that id: nobody's */
    assert_string_equal(c->seen, "connected synced:0 ");
}

static void held_queue_keeps_the_newest(void **state)
{
    (void)state;
    hub_hold(hub, ALICE, PHONE, true);
    for (int i = 0; i < HUB_HELD_FRAMES + 5; i++)
        say(ALICE, PHONE, i);
    struct client *c = online(ALICE, PHONE);
    assert_null(strstr(c->seen, "#4 "));
    assert_non_null(strstr(c->seen, "#5 "));
    assert_non_null(strstr(c->seen, "#260 "));
}

/* ---- presence, replacement, the end ---- */
static char presence[256];
static void on_presence(void *arg, const struct http_principal *who, bool is_online)
{
    (void)arg;
    size_t n = strlen(presence);
    snprintf(presence + n, sizeof(presence) - n, "%c%c ", is_online ? '+' : '-',
             who->device_id.s[ID_LEN - 1]);
    if (is_online)
        say(who->user_id.s, who->device_id.s, 9);
    else
        hub_hold(hub, who->user_id.s, who->device_id.s, false);
}

static void presence_and_replacement(void **state)
{
    (void)state;
    presence[0] = 0;
    hub_on_presence(hub, on_presence, NULL);
    struct client *first = online(ALICE, PHONE);
    assert_string_equal(first->seen, "connected synced:0 active_speakers#9 ");
    struct client *second = online(ALICE, PHONE);
    assert_int_equal(first->close_code, 4009);
    client_drop(first);
    assert_int_equal(hub_user_online(hub, ALICE), 1);
    assert_string_equal(presence, "+d +d ");
    hub_close_device(hub, PHONE, 4001, "device_revoked");
    assert_int_equal(second->close_code, 4001);
    assert_non_null(strstr(second->seen, "session_revoked "));
    assert_string_equal(presence, "+d +d -d ");
    assert_int_equal(hub_user_online(hub, ALICE), 0);
}

static void drain_tells_nobody(void **state)
{
    (void)state;
    presence[0] = 0;
    struct client *c = online(ALICE, PHONE);
    hub_on_presence(hub, on_presence, NULL);
    hub_drain(hub);
    assert_int_equal(c->close_code, 1012);
    assert_non_null(strstr(c->close_reason, "retryAfterMs"));
    assert_string_equal(presence, "");
    struct client *late = world_connect(&w, ALICE, PHONE, NULL);
    assert_int_equal(late->close_code, 1012);
}

/* ---- requests ---- */
static struct hub_request *waiting[80];
static int n_waiting;
static void on_slow(struct hub_request *q, const cJSON *data, void *arg)
{
    (void)arg;
    assert_true(cJSON_IsObject(data));
    waiting[n_waiting++] = q;
}

static void bad_frames_get_their_id_back(void **state)
{
    (void)state;
    struct client *c = online(ALICE, PHONE);
    c->seen[0] = 0;
    client_send(c, "{\"type\":\"ping\",\"id\":12,\"data\":3}");
    client_send(c, "{\"type\":\"ping\",\"id\":\"12\",\"data\":3}");
    client_send(c, "{\"type\":\"nope\",\"id\":\"x\"}");
    client_send(c, "{");
    assert_string_equal(c->seen, "reply:12 reply:\"12\" reply:\"x\" reply ");
    assert_int_equal(c->errors, 4);
}

static void a_reply_after_the_socket_is_gone(void **state)
{
    (void)state;
    n_waiting = 0;
    hub_on(hub, "call_start", on_slow, NULL);
    struct client *c = online(ALICE, PHONE);
    client_send(c, "{\"type\":\"call_start\",\"id\":\"1\"}");
    client_send(c, "{\"type\":\"call_start\",\"id\":\"2\"}");
    assert_int_equal(n_waiting, 2);
    hub_reply(waiting[1], NULL);
    assert_non_null(strstr(c->seen, "reply:\"2\" "));
    client_drop(c);
    assert_string_equal(hub_who(waiting[0])->user_id.s, ALICE);
    hub_reply_error(waiting[0], "busy", "gone anyway", 0);
}

static void requests_of_a_socket_are_bounded(void **state)
{
    (void)state;
    n_waiting = 0;
    hub_on(hub, "call_start", on_slow, NULL);
    struct client *c = online(ALICE, PHONE);
    for (int i = 0; i < 66; i++)
        client_send(c, "{\"type\":\"call_start\",\"id\":\"x\"}");
    assert_int_equal(n_waiting, 64);
    assert_int_equal(c->errors, 2);
    for (int i = 0; i < n_waiting; i++)
        hub_reply_err(waiting[i], ERR_FORBIDDEN);
    assert_int_equal(c->errors, 66);
    client_send(c, "{\"type\":\"call_start\",\"id\":\"y\"}");
    assert_int_equal(n_waiting, 65);
    hub_reply(waiting[64], NULL);
}

static void a_reader_that_takes_no_control_frame_is_closed(void **state)
{
    (void)state;
    struct client *c = online(ALICE, PHONE);
    c->stuck = true;
    assert_int_equal(hub_send_user(hub, ALICE, NULL, WS_EPHEMERAL, "typing", NULL), 1);
    assert_int_equal(c->close_code, 0);
    assert_int_equal(hub_send_user(hub, ALICE, NULL, WS_CONTROL, "call_accepted", NULL), 0);
    assert_int_equal(c->close_code, 1013);
    assert_false(hub_device_online(hub, PHONE));
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(connected_then_events_then_synced),
        T(early_frames_wait),
        T(too_many_early_frames),
        T(spent_ticket_and_dead_database),
        T(gone_at_every_step),
        T(revoked_while_connecting),
        T(written_between_the_page_and_its_answer),
        T(announcements_are_coalesced),
        T(each_device_gets_its_own),
        T(a_late_device_does_not_hold_up_a_live_one),
        T(overflow_resync_ack),
        T(sockets_outlive_the_database),
        T(held_frames_come_after_synced),
        T(not_held_is_lost_and_let_go_drops),
        T(held_queue_keeps_the_newest),
        T(presence_and_replacement),
        T(drain_tells_nobody),
        T(bad_frames_get_their_id_back),
        T(a_reply_after_the_socket_is_gone),
        T(requests_of_a_socket_are_bounded),
        T(a_reader_that_takes_no_control_frame_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
