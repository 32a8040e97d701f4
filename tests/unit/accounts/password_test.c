/* Passwords on the thread pool: right, wrong, unknown account, too long, too many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "accounts/password.h"
#include "lib/base/err.h"
#include "lib/io/loop.h"

struct fixture {
    struct loop *loop;
    struct passwords *p;
    char hash[64];
    int waiting, err;
};

static void finish(struct fixture *f, int err)
{
    f->err = err;
    if (--f->waiting == 0) {
        loop_stop(f->loop);
    }
}

static void on_hashed(void *arg, int err, const char *hash)
{
    struct fixture *f = arg;

    if (hash) {
        snprintf(f->hash, sizeof f->hash, "%s", hash);
    }
    finish(f, err);
}

static void on_verified(void *arg, int err)
{
    finish(arg, err);
}

static int verify(struct fixture *f, const char *password, const char *hash)
{
    f->waiting = 1;
    f->err = 1;
    assert_int_equal(password_verify(f->p, password, hash, on_verified, f), OK);
    loop_run(f->loop);
    return f->err;
}

static void test_passwords(void **state)
{
    struct fixture f = {.loop = loop_new()};
    char longer[80];

    (void)state;
    f.p = passwords_new(f.loop, 4, 2);
    assert_non_null(f.p);
    f.waiting = 1;
    assert_int_equal(password_hash(f.p, "correct horse", on_hashed, &f), OK);
    loop_run(f.loop);
    assert_int_equal(f.err, OK);
    assert_int_equal(strncmp(f.hash, "$2b$04$", 7), 0);

    assert_int_equal(verify(&f, "correct horse", f.hash), OK);
    assert_int_equal(verify(&f, "correct horsf", f.hash), ERR_AUTH);
    assert_int_equal(verify(&f, "", f.hash), ERR_AUTH);
    assert_int_equal(verify(&f, "correct horse", NULL), ERR_AUTH);
    assert_int_equal(verify(&f, "correct horse", "*0"), ERR_AUTH);

    memset(longer, 'x', sizeof longer);
    longer[PASSWORD_MAX + 1] = 0;
    assert_int_equal(password_hash(f.p, longer, on_hashed, &f), ERR_INVALID);
    longer[PASSWORD_MAX] = 0;
    f.waiting = 1;
    assert_int_equal(password_hash(f.p, longer, on_hashed, &f), OK);
    loop_run(f.loop);
    assert_int_equal(verify(&f, longer, f.hash), OK);
    longer[PASSWORD_MAX] = 'x'; /* bcrypt alone would look at the first 72 bytes and say yes */
    longer[PASSWORD_MAX + 1] = 0;
    assert_int_equal(verify(&f, longer, f.hash), ERR_AUTH);
    passwords_free(f.p);
    loop_free(f.loop);
}

static void test_bound(void **state)
{
    struct fixture f = {.loop = loop_new()};

    (void)state;
    f.p = passwords_new(f.loop, 4, 2);
    f.waiting = 2;
    assert_false(passwords_busy(f.p));
    assert_int_equal(password_verify(f.p, "a", NULL, on_verified, &f), OK);
    assert_int_equal(password_verify(f.p, "b", NULL, on_verified, &f), OK);
    assert_true(passwords_busy(f.p));
    assert_int_equal(password_verify(f.p, "c", NULL, on_verified, &f), ERR_LIMIT);
    assert_int_equal(password_hash(f.p, "d", on_hashed, &f), ERR_LIMIT);
    loop_run(f.loop);
    assert_false(passwords_busy(f.p));
    assert_int_equal(verify(&f, "e", NULL), ERR_AUTH);
    passwords_free(f.p);
    loop_free(f.loop);
}

/* Freed with jobs under way: each caller hears of it, and nothing is left over. */
static void test_freed_early(void **state)
{
    struct fixture f = {.loop = loop_new(), .waiting = 3};

    (void)state;
    f.p = passwords_new(f.loop, 4, 4);
    assert_int_equal(password_verify(f.p, "a", NULL, on_verified, &f), OK);
    assert_int_equal(password_hash(f.p, "b", on_hashed, &f), OK);
    passwords_free(f.p);
    loop_free(f.loop);
    assert_int_equal(f.waiting, 1);
    assert_int_equal(f.err, ERR_CLOSED);
    assert_string_equal(f.hash, "");
}

static void test_cost(void **state)
{
    struct loop *l = loop_new();

    (void)state;
    assert_null(passwords_new(l, 3, 2));
    loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_passwords),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_freed_early),
        cmocka_unit_test(test_cost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
