/* A peer that falls silent is lost, after its time and not before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "sfu/shell/sfu_metrics.h"
#include "sfu/shell/worker_private.h"

#define SECOND INT64_C(1000000)

static const struct id room = {"01890a5d-ac96-774b-bcce-b302099a8057"};

static void a_silent_peer_is_lost(void **state)
{
    (void)state;
    struct worker *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->table = transport_table_new();
    w->now_us = 1000 * SECOND;
    struct transport *t[2];
    for (uint32_t i = 0; i < 2; i++) {
        t[i] = transport_new(w->table, CONTROL_WHICH_PUBLISH, &room, i + 1, w->now_us);
        t[i]->connected = true; /* its keys are here: what counts now is that it is heard */
        worker_add(w, t[i]);
    }
    int64_t expired = sfu_metric_value(SFU_CONSENT_EXPIRED);

    w->now_us += 30 * SECOND;
    worker_check_peers(w);
    assert_false(t[0]->lost || t[1]->lost || w->any_lost);

    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(9)};
    struct peer_path path = {.addr = &a, .local = &in6addr_any};
    transport_checked(w->table, &t[1]->credentials[0], &path, true, w->now_us); /* a word */
    w->now_us += DUE_TICK_US;
    worker_check_peers(w);
    assert_true(t[0]->lost && w->any_lost);
    assert_false(t[1]->lost);
    assert_int_equal(sfu_metric_value(SFU_CONSENT_EXPIRED), expired + 1);
    worker_check_peers(w);
    assert_int_equal(sfu_metric_value(SFU_CONSENT_EXPIRED), expired + 1); /* once */

    transport_free(w->table, t[0]);
    transport_free(w->table, t[1]);
    transport_table_free(w->table);
    free(w);
}

/* Who is connected and has nothing to report isn't looked at until he may have fallen silent. */
static void who_is_idle_costs_nothing(void **state)
{
    (void)state;
    struct worker *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->table = transport_table_new();
    w->o.connect_us = 30 * SECOND;
    w->now_us = 1000 * SECOND;
    struct transport *t = transport_new(w->table, CONTROL_WHICH_PUBLISH, &room, 1, w->now_us);
    worker_add(w, t);
    for (int i = 0; i < 20; i++) { /* not connected: each tenth of a second */
        size_t before = t->due.slot;
        w->now_us += DUE_TICK_US;
        worker_check_peers(w);
        assert_true(t->due.waits && (i == 0 || t->due.slot != before));
    }
    t->connected = true;
    t->heard_us = w->now_us;
    w->now_us += DUE_TICK_US;
    worker_check_peers(w);
    size_t slot = t->due.slot;
    for (int i = 0; i < 298; i++) {
        w->now_us += DUE_TICK_US;
        worker_check_peers(w);
        assert_int_equal(t->due.slot, slot);
    }
    worker_look_at(w, t); /* something changed */
    assert_int_not_equal(t->due.slot, slot);
    w->now_us += DUE_TICK_US;
    worker_check_peers(w);
    assert_false(t->lost);
    w->now_us += 3 * DUE_TICK_US;
    worker_check_peers(w);
    assert_true(t->lost && !t->due.waits);
    transport_free(w->table, t);
    transport_table_free(w->table);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_silent_peer_is_lost),
        cmocka_unit_test(who_is_idle_costs_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
