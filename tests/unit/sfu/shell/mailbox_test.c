/* Messages from one thread to another: all of them, in order, none when full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>

#include "lib/base/err.h"
#include "sfu/shell/mailbox.h"

#define MESSAGES 200000

static void *write_all(void *arg)
{
    for (uintptr_t i = 1; i <= MESSAGES; i++) {
        while (mailbox_put(arg, (void *)i) == ERR_LIMIT) {
            sched_yield();
        }
    }
    return NULL;
}

static void test_two_threads(void **state)
{
    (void)state;
    struct mailbox *m;
    pthread_t writer;
    uintptr_t expected = 1;
    assert_int_equal(mailbox_new(&m, 64), OK);
    assert_int_equal(pthread_create(&writer, NULL, write_all, m), 0);
    while (expected <= MESSAGES) {
        struct pollfd f = {.fd = mailbox_fd(m), .events = POLLIN};
        void *message;
        assert_int_equal(poll(&f, 1, 10000), 1); /* a wake is never lost */
        mailbox_clear(m);
        while ((message = mailbox_take(m))) {
            assert_int_equal((uintptr_t)message, expected);
            expected++;
        }
    }
    pthread_join(writer, NULL);
    mailbox_free(m);
}

static void test_bounds(void **state)
{
    (void)state;
    struct mailbox *m;
    assert_int_equal(mailbox_new(&m, 3), OK); /* rounded up to 4 */
    assert_null(mailbox_take(m));
    for (uintptr_t i = 1; i <= 4; i++) {
        assert_int_equal(mailbox_put(m, (void *)i), OK);
    }
    assert_int_equal(mailbox_put(m, m), ERR_LIMIT);
    assert_int_equal((uintptr_t)mailbox_take(m), 1);
    assert_int_equal(mailbox_put(m, m), OK);
    mailbox_free(m);
}

static void test_a_wake_without_a_message(void **state)
{
    (void)state;
    struct mailbox *m;
    assert_int_equal(mailbox_new(&m, 4), OK);
    struct pollfd f = {.fd = mailbox_fd(m), .events = POLLIN};
    assert_int_equal(poll(&f, 1, 0), 0);
    mailbox_wake(m);
    assert_int_equal(poll(&f, 1, 0), 1);
    mailbox_clear(m);
    assert_int_equal(poll(&f, 1, 0), 0);
    assert_null(mailbox_take(m));
    mailbox_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_threads),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_a_wake_without_a_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
