/* When subscribers are looked at: each tenth of a second, but who is calm each second only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "sfu/shell/worker_private.h"

static const struct id room = {"01890a5d-ac96-774b-bcce-b302099a8057"};

/* A worker whose only transport is a subscriber's, who agreed to feedback and sees nobody. */
struct world {
    struct worker *w;
    struct transport *t;
    struct subscriber *s;
    struct subscriber_rate *r;
    bool speaks; /* his feedback comes */
};

static int take(void *arg, const struct udp_message *m, int n)
{
    (void)arg;
    (void)m;
    return n;
}

/* A tenth of a second later; whether he was looked at. */
static bool tick(struct world *x)
{
    x->w->now_us += DUE_TICK_US;
    if (x->r && x->speaks) {
        x->r->pace.bwe->feedback_us = x->w->now_us - 50000;
    }
    worker_rates(x->w);
    x->r = subscriber_rate_of(x->t);
    return x->r && x->r->use.at_us == x->w->now_us;
}

static int looks(struct world *x, int ticks)
{
    int n = 0;
    for (int i = 0; i < ticks; i++) {
        n += tick(x);
    }
    return n;
}

static int setup(void **state)
{
    struct router_limits limits = {.max_rooms = 1, .pool_packets = 16, .cache_us = 1000000};
    struct world *x = calloc(1, sizeof *x);
    struct worker *w = calloc(1, sizeof *w);
    assert_true(x && w);
    w->router = router_new(&limits);
    w->table = transport_table_new();
    w->queue = out_queue_new(take, NULL);
    w->now_us = 1000000000;
    x->w = w;
    x->t = transport_new(w->table, CONTROL_WHICH_SUBSCRIBE, &room, 1, w->now_us);
    assert_int_equal(router_subscribe(w->router, &room, 1, 1, 1, 7, w->now_us, &x->s), OK);
    subscriber_video(x->s, 0)->accepted = true;
    subscriber_video(x->s, 0)->ext.id[RTP_EXT_TRANSPORT_CC] = 3;
    x->t->subscriber = x->s;
    x->s->user = x->t;
    worker_add(w, x->t);
    *state = x;
    return 0;
}

static int teardown(void **state)
{
    struct world *x = *state;
    worker_remove(x->w, x->t, false);
    out_queue_free(x->w->queue);
    router_free(x->w->router);
    transport_table_free(x->w->table);
    free(x->w);
    free(x);
    return 0;
}

static void come_up(struct world *x)
{
    x->t->connected = x->s->ready = true;
    worker_rate_look(x->w, x->t); /* as worker_events does */
}

static void test_who_is_up(void **state)
{
    struct world *x = *state;
    assert_int_equal(looks(x, 5), 0);
    worker_rate_look(x->w, x->t);
    assert_int_equal(looks(x, 5), 0); /* not connected */
    come_up(x);
    assert_true(tick(x));
    assert_int_equal(looks(x, 20), 20); /* nothing is heard of him */
}

static void be_calm(struct world *x)
{
    come_up(x);
    tick(x);
    x->speaks = true;
    x->r->trust.state = RATE_PATIENT;
    tick(x);
}

static void test_who_is_calm(void **state)
{
    struct world *x = *state;
    be_calm(x);
    assert_int_equal(looks(x, 30), 3);
    worker_rate_look(x->w, x->t); /* something changed */
    assert_true(tick(x));
    assert_false(tick(x));
    x->w->shed = 100;
    assert_true(tick(x));
    assert_int_equal(looks(x, 9), 0);
}

static void test_who_is_not_any_more(void **state)
{
    struct world *x = *state;
    be_calm(x);
    x->r->pace.bwe->loss.average = 0.1;
    assert_int_equal(looks(x, 20), 11); /* in a second at the latest, and then each time */
    x->r->pace.bwe->loss.average = 0;
    x->r->playout = 0;
    assert_int_equal(looks(x, 20), 2);
    x->speaks = false;
    looks(x, 10);
    assert_int_equal(looks(x, 10), 10);
}

static void test_who_goes(void **state)
{
    struct world *x = *state;
    be_calm(x);
    assert_true(x->t->rate_due.waits);
    worker_rate_close(x->w, x->t);
    assert_false(x->t->rate_due.waits);
    assert_null(subscriber_rate_of(x->t));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_who_is_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_is_calm, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_is_not_any_more, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_goes, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
