/* The link's ends of life; what passes over it is tested with a whole sfud. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "lib/io/loop.h"
#include "sfu/shell/signald_link.h"

static void stop(void *arg)
{
    loop_stop(arg);
}

/* A worker with much to say is stopped while its reports wait on the loop: they come to a link that
 * is gone. (Found by closing 300 subscribers and the server at once; AddressSanitizer judges.) */
static void test_freed_with_reports_on_their_way(void **state)
{
    struct signald_link *s = NULL;
    struct loop *l = loop_new();
    (void)state;
    assert_int_equal(signald_link_new(&s, l), OK);
    signald_link_on_report(s);
    signald_link_on_report(s);
    signald_link_free(s);
    assert_int_equal(loop_post(l, stop, l), OK);
    loop_run(l);
    loop_free(l);
}

static void test_freed_with_reports_when_the_loop_ends(void **state)
{
    struct signald_link *s = NULL;
    struct loop *l = loop_new();
    (void)state;
    assert_int_equal(signald_link_new(&s, l), OK);
    signald_link_on_report(s);
    signald_link_free(s);
    loop_free(l);
}

static void test_freed_without(void **state)
{
    struct signald_link *s = NULL;
    struct loop *l = loop_new();
    (void)state;
    assert_int_equal(signald_link_new(&s, l), OK);
    signald_link_free(s);
    loop_free(l);
}

/* The same with a worker that is stopped and gone, and a client whose end runs the loop. */
static void test_freed_after_its_worker(void **state)
{
    struct dtls_context *dtls = NULL;
    struct signald_link *s = NULL;
    struct worker *w = NULL;
    struct loop *l = loop_new();
    (void)state;
    assert_int_equal(dtls_context_new(&dtls), OK);
    assert_int_equal(signald_link_new(&s, l), OK);
    struct worker_options o = {.node = "n",
                               .instance = "i",
                               .region = "r",
                               .address = "127.0.0.1",
                               .max_rooms = 4,
                               .max_transports = 4,
                               .pool_packets = 256,
                               .cache_us = 1000000,
                               .dtls = dtls,
                               .on_report = signald_link_on_report,
                               .arg = s};
    assert_int_equal(worker_start(&w, &o), OK);
    assert_int_equal(signald_link_connect(s, w, "127.0.0.1", 1, "0123456789abcdef0123456789abcdef"),
                     OK);
    signald_link_on_report(s);
    worker_stop(w);
    signald_link_free(s);
    loop_free(l);
    dtls_context_free(dtls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_freed_with_reports_on_their_way),
        cmocka_unit_test(test_freed_with_reports_when_the_loop_ends),
        cmocka_unit_test(test_freed_without),
        cmocka_unit_test(test_freed_after_its_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
