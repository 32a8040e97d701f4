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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_freed_with_reports_on_their_way),
        cmocka_unit_test(test_freed_with_reports_when_the_loop_ends),
        cmocka_unit_test(test_freed_without),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
