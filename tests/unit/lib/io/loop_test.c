#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

#include "lib/base/err.h"
#include "lib/base/ids.h"
#include "lib/io/loop.h"

static struct loop *l;
static int count;

static int set_up(void **state)
{
    (void)state;
    count = 0;
    l = loop_new();
    return l ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    loop_free(l);
    return 0;
}

static void stop(void *arg)
{
    (void)arg;
    count++;
    loop_stop(l);
}

static void a_timer_fires_after_its_time(void **state)
{
    struct loop_timer *t = loop_timer_new(l, stop, NULL);
    int64_t from = clock_mono_us();
    (void)state;
    loop_timer_start(t, 20000, 0);
    loop_run(l);
    assert_int_equal(count, 1);
    assert_true(clock_mono_us() - from >= 19000);
    loop_timer_free(t);
}

static struct loop_timer *own;
static void three_times(void *arg)
{
    (void)arg;
    if (++count < 3)
        return;
    loop_timer_free(own); /* from inside its own callback */
    loop_stop(l);
}

static void a_repeating_timer_may_free_itself(void **state)
{
    (void)state;
    own = loop_timer_new(l, three_times, NULL);
    loop_timer_start(own, 0, 1000);
    loop_run(l);
    assert_int_equal(count, 3);
}

static pthread_t worker;
static void work(void *arg)
{
    *(bool *)arg = !pthread_equal(worker, pthread_self());
}

static void jobs_run_on_another_thread_and_end_on_the_loop(void **state)
{
    bool elsewhere = false;
    (void)state;
    worker = pthread_self();
    assert_int_equal(loop_work(l, work, stop, &elsewhere), OK);
    loop_run(l);
    assert_true(elsewhere);
    assert_int_equal(count, 1);
}

static void nothing(void *arg)
{
    (void)arg;
}
static void job_done(void *arg)
{
    if (++count == *(int *)arg)
        loop_stop(l);
}

static void jobs_are_bounded(void **state)
{
    int taken = 0;
    (void)state;
    while (loop_work(l, nothing, job_done, &taken) == OK)
        taken++;
    assert_int_equal(taken, 1024);
    loop_run(l);
    assert_int_equal(count, 1024);
    assert_int_equal(loop_work(l, nothing, stop, NULL), OK);
    loop_run(l);
}

enum { POSTS = 1000 };
static void posted(void *arg)
{
    (void)arg;
    if (++count == 2 * POSTS)
        loop_stop(l);
}
static void *poster(void *arg)
{
    (void)arg;
    for (int i = 0; i < POSTS; i++)
        if (loop_post(l, posted, NULL) != OK)
            return NULL;
    return arg;
}

static void posts_from_two_threads_all_arrive(void **state)
{
    pthread_t a, b;
    (void)state;
    pthread_create(&a, NULL, poster, &count);
    pthread_create(&b, NULL, poster, &count);
    loop_run(l);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    assert_int_equal(count, 2 * POSTS);
}

static void send_signal(void *arg)
{
    (void)arg;
    raise(SIGHUP);
}

static void signals_are_told(void **state)
{
    (void)state;
    assert_int_equal(loop_on_signal(l, SIGHUP, stop, NULL), OK);
    loop_post(l, send_signal, NULL);
    loop_run(l);
    assert_int_equal(count, 1);
}

static void what_is_left_open_is_freed(void **state)
{
    (void)state;
    struct loop_timer *t = loop_timer_new(l, stop, NULL);
    loop_timer_start(t, 1000000, 0);
    /* tear_down frees the loop; the sanitizer counts */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_timer_fires_after_its_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_repeating_timer_may_free_itself, set_up, tear_down),
        cmocka_unit_test_setup_teardown(jobs_run_on_another_thread_and_end_on_the_loop, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(jobs_are_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(posts_from_two_threads_all_arrive, set_up, tear_down),
        cmocka_unit_test_setup_teardown(signals_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_left_open_is_freed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
