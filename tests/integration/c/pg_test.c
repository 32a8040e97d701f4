/* lib/io/pg against a real PostgreSQL: SOTTO_TEST_CONNINFO is the connection string of an empty
 * database that may be used freely. Without it every test is skipped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/io/loop.h"
#include "lib/io/pg.h"

enum { SECOND = 1000000, PATIENCE_US = 20 * SECOND };

static struct {
    struct loop *l;
    struct pg *p;
    bool timed_out;
} t;

struct answer {
    bool done;
    int err;
    char text[128];
    char raised[64];
    int rows;
};

static void on_answer(void *arg, int err, const struct pg_result *res)
{
    struct answer *a = arg;
    assert_false(a->done); /* told once */
    a->done = true;
    a->err = err;
    snprintf(a->raised, sizeof(a->raised), "%s", pg_raised(t.p));
    if (err == OK) {
        a->rows = pg_rows(res);
        const char *s = a->rows ? pg_text(res, 0, 0) : NULL;
        snprintf(a->text, sizeof(a->text), "%s", s ? s : "NULL");
    } else {
        assert_null(res);
    }
    loop_stop(t.l);
}

static void time_out(void *arg)
{
    (void)arg;
    t.timed_out = true;
    loop_stop(t.l);
}

static void wait_for(struct answer *a)
{
    struct loop_timer *timer = loop_timer_new(t.l, time_out, NULL);
    loop_timer_start(timer, PATIENCE_US, 0);
    while (!a->done && !t.timed_out)
        loop_run(t.l);
    loop_timer_free(timer);
    assert_false(t.timed_out);
}

static void ask(struct answer *a, const char *name, const char *sql, const char *param,
                const char *lane)
{
    *a = (struct answer){0};
    const char *params[] = {param};
    assert_int_equal(pg_query(t.p, name, sql, param ? 1 : 0, params, lane, on_answer, a), OK);
    assert_false(a->done); /* never from inside */
}

static struct answer get(const char *name, const char *sql, const char *param)
{
    struct answer a;
    ask(&a, name, sql, param, NULL);
    wait_for(&a);
    return a;
}

static void open_pool(int connections, int64_t timeout_us, size_t max_queued)
{
    const char *conninfo = getenv("SOTTO_TEST_CONNINFO");
    if (!conninfo)
        skip();
    struct pg_options o = {conninfo, connections, timeout_us, max_queued};
    t.timed_out = false;
    t.l = loop_new();
    t.p = pg_open(t.l, &o);
    assert_non_null(t.p);
    assert_false(pg_ready(t.p));
}

static int tear_down(void **state)
{
    (void)state;
    pg_close(t.p);
    loop_free(t.l);
    t.p = NULL;
    t.l = NULL;
    return 0;
}

static void a_query_waits_for_the_connection_and_is_answered(void **state)
{
    (void)state;
    open_pool(1, 10 * SECOND, 10);
    struct answer a = get("echo", "select $1::text || '!'", "hello");
    assert_int_equal(a.err, OK);
    assert_string_equal(a.text, "hello!");
    assert_true(pg_ready(t.p));
    a = get("null", "select null", NULL);
    assert_string_equal(a.text, "NULL");
    a = get("none", "select 1 where false", NULL);
    assert_int_equal(a.err, OK);
    assert_int_equal(a.rows, 0);
}

static void errors_have_their_codes(void **state)
{
    (void)state;
    open_pool(1, 10 * SECOND, 10);
    struct answer a = get(
        "raise",
        "do $$ begin raise exception using errcode = 'ST404', message = 'call_not_found'; end $$",
        NULL);
    assert_int_equal(a.err, ERR_NOT_FOUND);
    assert_string_equal(a.raised, "call_not_found");
    a = get("syntax", "selec 1", NULL);
    assert_int_equal(a.err, ERR_IO);
    assert_string_equal(a.raised, "");
    a = get("divide", "select 1 / $1::int", "0");
    assert_int_equal(a.err, ERR_IO);
    /* each query is its own transaction: the next one isn't touched */
    a = get("divide", "select 1 / $1::int", "1");
    assert_int_equal(a.err, OK);
    assert_string_equal(a.text, "1");
    get("make", "create table if not exists pg_test_unique (id int primary key)", NULL);
    get("empty", "truncate pg_test_unique", NULL);
    a = get("insert", "insert into pg_test_unique values ($1::int) returning id", "7");
    assert_int_equal(a.err, OK);
    a = get("insert", "insert into pg_test_unique values ($1::int) returning id", "7");
    assert_int_equal(a.err, ERR_CONFLICT);
}

static void a_failed_prepare_can_be_repeated(void **state)
{
    (void)state;
    open_pool(1, 10 * SECOND, 10);
    get("drop", "drop table if exists pg_test_late", NULL);
    struct answer a, b;
    /* both are in the pipeline before the first's Parse is known to fail */
    ask(&a, "late", "select count(*) from pg_test_late", NULL, NULL);
    ask(&b, "late", "select count(*) from pg_test_late", NULL, NULL);
    wait_for(&a);
    wait_for(&b);
    assert_int_equal(a.err, ERR_IO);
    assert_int_equal(b.err, ERR_IO);
    get("create", "create table pg_test_late (id int)", NULL);
    a = get("late", "select count(*) from pg_test_late", NULL);
    assert_int_equal(a.err, OK);
    assert_string_equal(a.text, "0");
}

enum { MANY = 2000 };

static void a_lane_keeps_its_order(void **state)
{
    static struct answer a[MANY];
    static char n[MANY][12];
    (void)state;
    open_pool(4, 20 * SECOND, MANY);
    get("make2", "create table if not exists pg_test_order (n serial, v int)", NULL);
    get("empty2", "truncate pg_test_order", NULL);
    for (int i = 0; i < MANY; i++) {
        snprintf(n[i], sizeof(n[i]), "%d", i);
        ask(&a[i], "order", "insert into pg_test_order (v) values ($1::int)", n[i], "one lane");
    }
    for (int i = 0; i < MANY; i++) {
        wait_for(&a[i]);
        assert_int_equal(a[i].err, OK);
    }
    struct answer out_of_order = get("check",
                                     "select count(*) from (select v, lag(v) over (order by n) p "
                                     "from pg_test_order) s where v < p",
                                     NULL);
    assert_string_equal(out_of_order.text, "0");
}

static void queues_are_bounded(void **state)
{
    struct answer a[3] = {{0}};
    (void)state;
    open_pool(1, 10 * SECOND, 2);
    assert_int_equal(pg_query(t.p, "one", "select 1", 0, NULL, NULL, on_answer, &a[0]), OK);
    assert_int_equal(pg_query(t.p, "one", "select 1", 0, NULL, "lane", on_answer, &a[1]), OK);
    assert_int_equal(pg_query(t.p, "one", "select 1", 0, NULL, NULL, on_answer, &a[2]), ERR_LIMIT);
    wait_for(&a[0]);
    wait_for(&a[1]);
    assert_false(a[2].done);
}

static void a_slow_query_times_out_and_the_next_is_served(void **state)
{
    (void)state;
    open_pool(1, SECOND, 10);
    get("warm", "select 1", NULL);
    struct answer slow, next;
    ask(&slow, "slow", "select pg_sleep(30)::text", NULL, NULL);
    wait_for(&slow);
    assert_int_equal(slow.err, ERR_TIMEOUT);
    for (int i = 0; i < 10; i++) { /* the server ends the statement soon after we did */
        next = get("warm", "select 1", NULL);
        if (next.err == OK)
            break;
    }
    assert_int_equal(next.err, OK);
}

static void a_killed_backend_fails_what_was_sent_and_comes_back(void **state)
{
    struct answer a[8];
    (void)state;
    open_pool(2, 10 * SECOND, 100);
    get("warm", "select 1", NULL);
    for (int i = 0; i < 8; i++)
        ask(&a[i], "sleep", "select pg_sleep(5)::text", NULL, i % 2 ? "a" : NULL);
    /* from a connection of its own, since the pool's are behind the sleeps */
    struct pg_options o = {getenv("SOTTO_TEST_CONNINFO"), 1, 10 * SECOND, 10};
    struct pg *other = pg_open(t.l, &o);
    struct answer done = {0};
    assert_int_equal(pg_query(other, "killall",
                              "select count(pg_terminate_backend(pid))::text from pg_stat_activity "
                              "where pid <> pg_backend_pid() and datname = current_database() "
                              "and state = 'active' and backend_type = 'client backend'",
                              0, NULL, NULL, on_answer, &done),
                     OK);
    wait_for(&done);
    assert_int_equal(done.err, OK);
    for (int i = 0; i < 8; i++) {
        wait_for(&a[i]);
        assert_int_equal(a[i].err, ERR_UNAVAILABLE);
    }
    struct answer back = get("warm", "select 1", NULL);
    assert_int_equal(back.err, OK);
    assert_string_equal(back.text, "1");
    pg_close(other);
}

static void without_a_server_queries_fail_when_their_time_is_up(void **state)
{
    (void)state;
    if (!getenv("SOTTO_TEST_CONNINFO"))
        skip();
    struct pg_options o = {"host=127.0.0.1 port=1 user=nobody dbname=nothing", 2, SECOND / 2, 10};
    t.timed_out = false;
    t.l = loop_new();
    t.p = pg_open(t.l, &o);
    struct answer a, b;
    ask(&a, "one", "select 1", NULL, NULL);
    ask(&b, "one", "select 1", NULL, "lane");
    wait_for(&a);
    wait_for(&b);
    assert_int_equal(a.err, ERR_UNAVAILABLE);
    assert_int_equal(b.err, ERR_UNAVAILABLE);
    assert_false(pg_ready(t.p));
}

static void closing_tells_everyone(void **state)
{
    struct answer a, b;
    (void)state;
    open_pool(1, 10 * SECOND, 10);
    get("warm", "select 1", NULL);
    ask(&a, "sleep", "select pg_sleep(5)::text", NULL, NULL);
    ask(&b, "sleep", "select pg_sleep(5)::text", NULL, "lane");
    pg_close(t.p);
    t.p = NULL;
    assert_true(a.done && b.done);
    assert_int_equal(a.err, ERR_CLOSED);
    assert_int_equal(b.err, ERR_CLOSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_query_waits_for_the_connection_and_is_answered, tear_down),
        cmocka_unit_test_teardown(errors_have_their_codes, tear_down),
        cmocka_unit_test_teardown(a_failed_prepare_can_be_repeated, tear_down),
        cmocka_unit_test_teardown(a_lane_keeps_its_order, tear_down),
        cmocka_unit_test_teardown(queues_are_bounded, tear_down),
        cmocka_unit_test_teardown(a_slow_query_times_out_and_the_next_is_served, tear_down),
        cmocka_unit_test_teardown(a_killed_backend_fails_what_was_sent_and_comes_back, tear_down),
        cmocka_unit_test_teardown(without_a_server_queries_fail_when_their_time_is_up, tear_down),
        cmocka_unit_test_teardown(closing_tells_everyone, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
