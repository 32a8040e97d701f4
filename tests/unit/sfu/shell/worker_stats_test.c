/* Statistics and dumps as the worker's thread makes them: everybody is told of once a round, in
 * steps that hold no packet up, also of a room of hundreds. Prints what a step costs. */
#include "tests/unit/sfu/core/room_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "sfu/shell/debug_dump.h"
#include "sfu/shell/worker_private.h"

#define STEP_US 10000
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define MOST_NS INT64_C(20000000) /* instrumented code costs many times more */
#else
#define MOST_NS INT64_C(1000000)
#endif

static void nobody_waits(void *arg)
{
    (void)arg;
}

static int send_nothing(void *arg, const struct udp_message *m, int n)
{
    (void)arg;
    (void)m;
    return n;
}

static struct worker *worker_open(void)
{
    struct router_limits limits = {.max_rooms = 2000, .pool_packets = 64, .cache_us = 1000000};
    struct worker *w = aligned_alloc(64, (sizeof *w + 63) / 64 * 64);
    assert_non_null(w);
    memset(w, 0, sizeof *w);
    w->router = router_new(&limits);
    w->queue = out_queue_new(send_nothing, NULL);
    assert_int_equal(mailbox_new(&w->data, 1024), OK);
    w->o.on_report = nobody_waits;
    w->now_us = START_US;
    assert_non_null(w->router);
    assert_non_null(w->queue);
    return w;
}

static void worker_close(struct worker *w)
{
    worker_stats_end(w);
    out_queue_free(w->queue);
    router_free(w->router);
    free(w);
}

static struct id numbered_room(unsigned n)
{
    struct id id;
    snprintf(id.s, sizeof id.s, "01890a5d-ac96-774b-bcce-b3020%07u", n % 10000000u);
    return id;
}

static void join(struct worker *w, const struct id *room, uint32_t number, uint32_t n_video)
{
    struct sdp_publish sdp = fixture_sdp(number);
    struct publisher *p;
    struct subscriber *s;
    assert_int_equal(router_publish(w->router, room, number, &sdp, number, START_US, &p), OK);
    assert_int_equal(router_subscribe(w->router, room, number, 3, n_video, number, START_US, &s),
                     OK);
}

static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* One step; its cost if it was more than *most. */
static void step(struct worker *w, int64_t *most)
{
    int64_t begin = cpu_ns();
    worker_stats(w);
    int64_t ns = cpu_ns() - begin;
    *most = ns > *most ? ns : *most;
    w->now_us += STEP_US;
}

/* Takes what there is; counts how often each was told of. */
static size_t take(struct worker *w, unsigned *told, size_t n, size_t *samples)
{
    struct worker_data *data;
    size_t parts = 0;
    while ((data = worker_take_data(w))) {
        const struct stats_part *part = (const struct stats_part *)(const void *)data;
        if (data->type == WORKER_DATA_SAMPLE) {
            ++*samples;
        } else {
            assert_int_equal(data->type, WORKER_DATA_STATS);
            parts++;
            for (size_t i = 0; i < part->n; i++) {
                assert_true(part->entry[i].participant < n);
                told[part->entry[i].participant]++;
            }
        }
        free(data);
    }
    return parts;
}

static void a_round_tells_of_everybody_once_in_short_steps(void **state)
{
    (void)state;
    enum { PEOPLE = 300 };
    struct worker *w = worker_open();
    struct id room = numbered_room(1);
    unsigned told[PEOPLE + 1] = {0};
    size_t samples = 0;
    int64_t most = 0;
    for (uint32_t n = 1; n <= PEOPLE; n++) {
        join(w, &room, n, 9);
    }
    for (int64_t t = 0; t < STATS_ROUND_US; t += STEP_US) {
        step(w, &most);
    }
    size_t parts = take(w, told, PEOPLE + 1, &samples);
    for (uint32_t n = 1; n <= PEOPLE; n++) {
        assert_int_equal(told[n], 1);
    }
    assert_int_equal(samples, STATS_ROUND_US / STATS_SAMPLE_US);
    assert_true(parts >= PEOPLE / STATS_STEP_PEOPLE);
    printf("dearest step with %d participants of 12 slots: %.1f us\n", PEOPLE, (double)most / 1e3);
    assert_true(most < MOST_NS);
    step(w, &most);
    assert_true(take(w, told, PEOPLE + 1, &samples) > 0); /* the next round */
    worker_close(w);
}

static void many_small_rooms_fit_into_a_round(void **state)
{
    (void)state;
    enum { ROOMS = 1000 };
    struct worker *w = worker_open();
    static unsigned told[ROOMS + 1];
    size_t samples = 0, parts = 0;
    int64_t most = 0;
    for (uint32_t n = 1; n <= ROOMS; n++) {
        struct id room = numbered_room(n);
        join(w, &room, n, 2);
    }
    for (int64_t t = 0; t < STATS_ROUND_US; t += STEP_US) {
        step(w, &most);
        parts += take(w, told, ROOMS + 1, &samples);
    }
    for (uint32_t n = 1; n <= ROOMS; n++) {
        assert_int_equal(told[n], 1);
    }
    assert_int_equal(parts, ROOMS);
    printf("dearest step with %d rooms: %.1f us\n", ROOMS, (double)most / 1e3);
    assert_true(most < MOST_NS);
    worker_close(w);
}

/* A control thread that takes nothing costs parts, never memory without end. */
static void nobody_takes(void **state)
{
    (void)state;
    struct worker *w = worker_open();
    struct id room = numbered_room(1);
    unsigned told[2] = {0};
    size_t samples = 0;
    int64_t most = 0, dropped = sfu_metric_value(SFU_STATS_DROPPED);
    join(w, &room, 1, 1);
    for (int i = 0; i < 3000; i++) {
        w->now_us += STATS_SAMPLE_US;
        step(w, &most);
    }
    assert_true(sfu_metric_value(SFU_STATS_DROPPED) > dropped);
    (void)take(w, told, 2, &samples);
    assert_true(told[1] > 0 && samples <= 1024);
    worker_close(w);
}

static void rooms_that_go_in_the_middle(void **state)
{
    (void)state;
    struct worker *w = worker_open();
    int64_t most = 0;
    struct id room[3] = {numbered_room(1), numbered_room(2), numbered_room(3)};
    for (uint32_t n = 1; n <= 300; n++) {
        join(w, &room[n % 3], n, 16);
    }
    for (uint32_t n = 1; n <= 300; n++) {
        step(w, &most);
        struct participant *p = router_find(w->router, &room[n % 3], n);
        struct publisher *pub = p->publisher;
        router_unsubscribe(w->router, p->subscriber, w->now_us);
        router_unpublish(w->router, pub, w->now_us);
    }
    assert_int_equal(router_room_count(w->router), 0);
    for (int i = 0; i < 1200; i++) {
        step(w, &most);
    }
    worker_stats_idle(w);
    worker_close(w);
}

/* ---- dumps ---- */

static struct room_dump *dump(struct worker *w, const struct id *room, size_t from)
{
    debug_dump(w, 42, room, from);
    struct worker_data *data = worker_take_data(w);
    assert_non_null(data);
    assert_int_equal(data->type, WORKER_DATA_DUMP);
    struct room_dump *d = (struct room_dump *)(void *)data;
    assert_int_equal(d->ticket, 42);
    return d;
}

static void a_dump_comes_in_bounded_parts(void **state)
{
    (void)state;
    enum { PEOPLE = 200 };
    struct worker *w = worker_open();
    struct id room = numbered_room(1), nowhere = numbered_room(2);
    uint32_t next_number = 1;
    for (uint32_t n = 1; n <= PEOPLE; n++) {
        join(w, &room, n, n == 100 ? 64 : 30);
    }
    for (size_t from = 0; from < PEOPLE;) {
        int64_t begin = cpu_ns();
        struct room_dump *d = dump(w, &room, from);
        printf("dump of %zu participants, %zu slots: %.1f us\n", d->n, d->n_slots,
               (double)(cpu_ns() - begin) / 1e3);
        assert_true(d->found && !d->list);
        assert_int_equal(d->total, PEOPLE);
        assert_true(d->n > 0 && d->n <= DUMP_MAX_PARTICIPANTS);
        assert_true(d->n_slots < DUMP_MAX_SLOTS + 67);
        for (size_t i = 0; i < d->n; i++) {
            const struct dump_participant *p = &d->participant[i];
            assert_int_equal(p->number, next_number++);
            assert_int_equal(p->n_tracks, 2);
            assert_int_equal(d->track[p->first_track].stream[0].ssrc, AUDIO_SSRC(p->number));
            assert_int_equal(p->n_slots, p->number == 100 ? 67 : 33);
            assert_string_equal(d->slot[p->first_slot].mid, "a0");
        }
        assert_int_equal(d->next, from + d->n);
        from = d->next;
        free(d);
    }
    assert_int_equal(next_number, PEOPLE + 1);
    struct room_dump *d = dump(w, &room, 5000);
    assert_true(d->found && d->n == 0 && d->next == d->total);
    free(d);
    d = dump(w, &nowhere, 0);
    assert_false(d->found);
    free(d);
    worker_close(w);
}

static void a_list_of_rooms(void **state)
{
    (void)state;
    struct worker *w = worker_open();
    struct id room[2] = {numbered_room(1), numbered_room(2)}, all = {{0}};
    join(w, &room[0], 1, 1);
    join(w, &room[1], 1, 1);
    join(w, &room[1], 2, 1);
    struct rooms_dump *d = (struct rooms_dump *)(void *)dump(w, &all, 0);
    assert_true(d->list);
    assert_int_equal(d->n, 2);
    for (size_t i = 0; i < 2; i++) {
        unsigned n = id_equal(&d->entry[i].room, &room[0]) ? 1 : 2;
        assert_int_equal(d->entry[i].participants, n);
        assert_int_equal(d->entry[i].publishers, n);
        assert_int_equal(d->entry[i].subscribers, n);
        assert_int_equal(d->entry[i].tracks, 2 * n);
    }
    free(d);
    worker_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_round_tells_of_everybody_once_in_short_steps),
        cmocka_unit_test(many_small_rooms_fit_into_a_round),
        cmocka_unit_test(nobody_takes),
        cmocka_unit_test(rooms_that_go_in_the_middle),
        cmocka_unit_test(a_dump_comes_in_bounded_parts),
        cmocka_unit_test(a_list_of_rooms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
