/* Who is in whose slots. */
#include "tests/unit/sfu/core/room_fixture.h"

#include <stdlib.h>

static uint32_t shown(const struct subscriber *s, uint32_t slot)
{
    const struct track *t = subscriber_video(s, slot)->track;
    return t ? t->publisher->number : 0;
}

static uint32_t heard(const struct subscriber *s, uint32_t slot)
{
    const struct track *t = subscriber_audio(s, slot)->track;
    return t ? t->publisher->number : 0;
}

static bool hears(const struct subscriber *s, uint32_t number)
{
    for (uint32_t i = 0; i < s->n_audio; i++) {
        if (heard(s, i) == number) {
            return true;
        }
    }
    return false;
}

static void speak(struct router *r, struct publisher *p, uint16_t from, int n, uint8_t level,
                  int64_t *now_us)
{
    for (int i = 0; i < n; i++) {
        *now_us += 20000;
        fixture_route(r, p, fixture_audio(r, p->number, (uint16_t)(from + i), level, *now_us),
                      NULL);
        router_tick(r, *now_us);
    }
}

static void test_video_in_the_order_of_joining(void **state)
{
    (void)state;
    struct router *r = fixture_router(16);
    struct publisher *p[4];
    struct subscriber *s = fixture_subscriber(r, 9, 1, 2);
    for (uint32_t i = 0; i < 4; i++) {
        p[i] = fixture_publisher(r, i + 1);
    }
    assert_int_equal(shown(s, 0), 1);
    assert_int_equal(shown(s, 1), 2);
    router_unpublish(r, p[0], START_US);
    assert_int_equal(shown(s, 1), 2); /* who stays, stays where he is */
    assert_int_equal(shown(s, 0), 3);
    router_free(r);
}

static bool sees(const struct subscriber *s, uint32_t number)
{
    for (uint32_t i = 0; i < s->n_video; i++) {
        if (shown(s, i) == number) {
            return true;
        }
    }
    return false;
}

/* More people than slots: a camera that is off takes no slot from one that is on. */
static void test_pictures_before_dark_cameras(void **state)
{
    (void)state;
    struct router *r = fixture_router(32);
    struct publisher *p[4];
    struct subscriber *s = fixture_subscriber(r, 9, 1, 2);
    struct router_event e;
    int64_t now_us = START_US;
    for (uint32_t i = 0; i < 4; i++) {
        p[i] = fixture_publisher(r, i + 1);
    }
    assert_true(sees(s, 1) && sees(s, 2)); /* nobody sends yet */
    fixture_route(r, p[3], fixture_video(r, 4, 1, true, now_us), NULL);
    router_tick(r, now_us);
    assert_true(sees(s, 4));
    while (router_poll(r, now_us, &e)) {
    }
    fixture_route(r, p[2], fixture_video(r, 3, 1, true, now_us), NULL);
    now_us += ROUTER_TICK_US;
    router_tick(r, now_us);
    assert_true(sees(s, 3) && sees(s, 4));
    assert_true(router_poll(r, now_us, &e)); /* and it is told */
    assert_ptr_equal(e.subscriber, s);

    now_us += TRACK_SILENT_US; /* 3 is switched off, 1 on: 4 stays */
    fixture_route(r, p[3], fixture_video(r, 4, 2, false, now_us), NULL);
    fixture_route(r, p[0], fixture_video(r, 1, 1, true, now_us), NULL);
    now_us += ROUTER_TICK_US;
    router_tick(r, now_us);
    assert_true(sees(s, 1) && sees(s, 4));
    router_free(r);
}

static void test_not_before_the_transport_is_up(void **state)
{
    (void)state;
    struct router *r = fixture_router(16);
    struct subscriber *s = fixture_subscriber(r, 9, 1, 1);
    struct sdp_publish sdp = fixture_sdp(1);
    struct publisher *p;
    assert_int_equal(router_publish(r, &fixture_room, 1, &sdp, 5, START_US, &p), OK);
    assert_int_equal(shown(s, 0), 0);
    router_publisher_ready(r, p, START_US);
    assert_int_equal(shown(s, 0), 1);
    router_free(r);
}

/* Six talk at once and grow louder and softer; with three slots, those ranked first are in them at
 * every moment, also when the list of who is active stays the same. */
static void test_slots_follow_the_ranking(void **state)
{
    (void)state;
    struct router *r = fixture_router(16);
    struct publisher *p[6];
    struct subscriber *s = fixture_subscriber(r, 9, 3, 1);
    int64_t now_us = START_US;
    uint32_t rng = 3;
    uint8_t level[6] = {20, 22, 24, 26, 28, 30};
    for (uint32_t i = 0; i < 6; i++) {
        p[i] = fixture_publisher(r, i + 1);
    }
    for (uint16_t t = 0; t < 2000; t++) {
        now_us += 20000;
        rng = rng * 1664525 + 1013904223;
        level[(rng >> 16) % 6] = (uint8_t)(15 + (rng >> 20) % 48);
        for (uint32_t i = 0; i < 6; i++) {
            fixture_route(r, p[i], fixture_audio(r, i + 1, t, level[i], now_us), NULL);
        }
        router_tick(r, now_us);
        uint32_t ranked[3];
        assert_int_equal(speakers_rank(s->room->speakers, 9, ranked, 3), 3);
        for (int i = 0; i < 3; i++) {
            assert_true(hears(s, ranked[i]));
        }
    }
    router_free(r);
}

static void test_the_loudest_are_heard(void **state)
{
    (void)state;
    struct router *r = fixture_router(16);
    struct publisher *p[5];
    struct subscriber *s = fixture_subscriber(r, 9, 2, 1);
    struct subscriber *own = fixture_subscriber(r, 5, 2, 1);
    int64_t now_us = START_US;
    for (uint32_t i = 0; i < 5; i++) {
        p[i] = fixture_publisher(r, i + 1);
    }
    assert_true(hears(s, 1) && hears(s, 2)); /* nobody has spoken yet */
    speak(r, p[4], 0, 100, 20, &now_us);
    assert_true(hears(s, 5));
    assert_false(hears(own, 5)); /* never oneself */
    speak(r, p[3], 0, 100, 25, &now_us);
    assert_true(hears(s, 4) && hears(s, 5));
    assert_true(hears(own, 4));
    router_free(r);
}

/* The sound of one's own shared screen isn't played back either. */
static void test_nobody_hears_his_own_screen(void **state)
{
    (void)state;
    struct router *r = fixture_router(16);
    struct subscriber *own = fixture_subscriber(r, 3, 2, 1), *s = fixture_subscriber(r, 9, 2, 1);
    struct sdp_publish sdp = fixture_sdp(3);
    sdp.n_tracks = 3;
    sdp.track[2] = sdp.track[0];
    sdp.track[2].source = SDP_SOURCE_SCREEN_AUDIO;
    sdp.track[2].mid[0] = '2';
    sdp.track[2].ssrc = 0x99;
    struct publisher *p = fixture_publisher(r, 3);
    assert_int_equal(router_republish(r, p, &sdp, START_US), OK);
    assert_int_equal(heard(s, 0), 3);
    assert_int_equal(heard(s, 1), 3);
    assert_false(hears(own, 3));
    router_free(r);
}

/* Who goes leaves empty slots behind, and those who had him there are told. */
static void test_a_leaver_is_told(void **state)
{
    (void)state;
    struct router *r = fixture_router(16);
    struct subscriber *s = fixture_subscriber(r, 9, 1, 1);
    struct publisher *p = fixture_publisher(r, 1);
    struct router_event e;
    int told = 0;
    while (router_poll(r, START_US, &e)) {
    }
    router_unpublish(r, p, START_US);
    assert_int_equal(shown(s, 0), 0);
    assert_int_equal(heard(s, 0), 0);
    while (router_poll(r, START_US, &e)) {
        told += e.type == ROUTER_SLOTS && e.subscriber == s;
    }
    assert_int_equal(told, 1);
    router_free(r);
}

static void test_speakers_are_told_at_most_four_times_a_second(void **state)
{
    (void)state;
    struct router *r = fixture_router(16);
    struct publisher *p = fixture_publisher(r, 1);
    struct router_event e;
    int64_t now_us = START_US;
    int told = 0;
    fixture_publisher(r, 2);
    for (int i = 0; i < 200; i++) {
        speak(r, p, (uint16_t)i, 1, i % 3 ? 20 : 60, &now_us);
        while (router_poll(r, now_us, &e)) {
            told += e.type == ROUTER_SPEAKERS;
        }
    }
    assert_true(told >= 1);
    assert_true(told <= 17); /* four seconds */
    router_free(r);
}

static void test_views(void **state)
{
    (void)state;
    struct router *r = fixture_router(16);
    struct subscriber *s = fixture_subscriber(r, 2, 1, 3);
    for (uint32_t i = 1; i < 5; i++) {
        fixture_publisher(r, i);
    }
    struct room_view view[2] = {{.slot = 2, .wish = {.participant = 4}},
                                {.slot = 0, .wish = {.participant = 2}}};
    assert_int_equal(router_view(r, s, view, 2, START_US), OK);
    assert_int_equal(shown(s, 0), 0); /* oneself is not shown */
    assert_int_equal(shown(s, 1), 0); /* not named: empty */
    assert_int_equal(shown(s, 2), 4);

    view[0].wish.participant = 7; /* not here yet */
    assert_int_equal(router_view(r, s, view, 1, START_US), OK);
    assert_int_equal(shown(s, 2), 0);
    fixture_publisher(r, 7);
    assert_int_equal(shown(s, 2), 7);

    view[0].wish.source = SDP_SOURCE_SCREEN;
    assert_int_equal(router_view(r, s, view, 1, START_US), OK);
    assert_int_equal(shown(s, 2), 0); /* he shares none */

    view[0].slot = 3;
    assert_int_equal(router_view(r, s, view, 1, START_US), ERR_INVALID);
    assert_int_equal(router_view(r, s, NULL, 0, START_US), OK);
    assert_int_equal(shown(s, 0), 1); /* automatic again */
    router_free(r);
}

static void test_a_screen_comes_before_cameras(void **state)
{
    (void)state;
    struct router *r = fixture_router(16);
    struct subscriber *s = fixture_subscriber(r, 9, 1, 1);
    struct sdp_publish sdp = fixture_sdp(3);
    sdp.n_tracks = 3;
    sdp.track[2] = sdp.track[1];
    sdp.track[2].source = SDP_SOURCE_SCREEN;
    sdp.track[2].mid[0] = '2';
    sdp.track[2].ssrc = 0x99;
    fixture_publisher(r, 1);
    struct publisher *p = fixture_publisher(r, 3);
    assert_int_equal(shown(s, 0), 1);
    assert_int_equal(router_republish(r, p, &sdp, START_US), OK);
    assert_int_equal(shown(s, 0), 3);
    assert_int_equal(subscriber_video(s, 0)->track->sdp.source, SDP_SOURCE_SCREEN);
    router_free(r);
}

static void test_slots_are_told_when_they_change(void **state)
{
    (void)state;
    struct router *r = fixture_router(16);
    struct subscriber *s = fixture_subscriber(r, 9, 1, 1);
    struct router_event e;
    assert_true(router_poll(r, START_US, &e));
    assert_int_equal(e.type, ROUTER_SLOTS);
    assert_ptr_equal(e.subscriber, s);
    assert_false(router_poll(r, START_US, &e));

    struct publisher *p = fixture_publisher(r, 1);
    assert_true(router_poll(r, START_US, &e));
    assert_false(router_poll(r, START_US, &e));
    fixture_route(r, p, fixture_video(r, 1, 5, true, START_US), NULL); /* it has come to life */
    assert_true(router_poll(r, START_US, &e));
    assert_int_equal(subscriber_video(s, 0)->track->width, 640);
    assert_int_equal(subscriber_video(s, 0)->track->height, 480);
    fixture_route(r, p, fixture_video(r, 1, 6, true, START_US), NULL);
    assert_false(router_poll(r, START_US, &e)); /* nothing new */
    router_tick(r, START_US + TRACK_SILENT_US + 1);
    assert_true(router_poll(r, START_US + TRACK_SILENT_US + 1, &e)); /* paused */
    assert_false(p->track[1]->live);
    router_tell_all(r);
    assert_true(router_poll(r, START_US + TRACK_SILENT_US + 1, &e));
    router_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_video_in_the_order_of_joining),
        cmocka_unit_test(test_pictures_before_dark_cameras),
        cmocka_unit_test(test_not_before_the_transport_is_up),
        cmocka_unit_test(test_the_loudest_are_heard),
        cmocka_unit_test(test_slots_follow_the_ranking),
        cmocka_unit_test(test_nobody_hears_his_own_screen),
        cmocka_unit_test(test_a_leaver_is_told),
        cmocka_unit_test(test_speakers_are_told_at_most_four_times_a_second),
        cmocka_unit_test(test_views),
        cmocka_unit_test(test_a_screen_comes_before_cameras),
        cmocka_unit_test(test_slots_are_told_when_they_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
