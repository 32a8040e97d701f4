#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "lib/base/err.h"
#include "lib/io/link_frame.h"

static void a_frame_is_found_when_it_is_whole(void **state)
{
    static const uint8_t bytes[] = {0, 0, 0, 3, 'a', 'b', 'c', 0, 0};
    const uint8_t *data = NULL;
    size_t len = 99;
    (void)state;
    for (size_t n = 0; n < 7; n++) {
        struct buf b = {.data = (uint8_t *)bytes, .len = n};
        assert_int_equal(link_frame_next(&b, &data, &len), ERR_AGAIN);
        assert_null(data);
    }
    struct buf b = {.data = (uint8_t *)bytes, .len = sizeof(bytes)};
    assert_int_equal(link_frame_next(&b, &data, &len), OK);
    assert_int_equal(len, 3);
    assert_memory_equal(data, "abc", 3);
}

static void an_empty_frame_is_a_frame(void **state)
{
    static const uint8_t bytes[4] = {0};
    struct buf b = {.data = (uint8_t *)bytes, .len = 4};
    const uint8_t *data = NULL;
    size_t len = 99;
    (void)state;
    assert_int_equal(link_frame_next(&b, &data, &len), OK);
    assert_int_equal(len, 0);
}

static void a_length_past_the_bound_is_refused_at_once(void **state)
{
    static const uint8_t most[] = {0, 0x10, 0, 0}, more[] = {0, 0x10, 0, 1},
                         huge[] = {0xff, 0xff, 0xff, 0xff};
    const uint8_t *data = NULL;
    size_t len = 0;
    (void)state;
    assert_int_equal(link_frame_next(&(struct buf){.data = (uint8_t *)most, .len = 4}, &data, &len),
                     ERR_AGAIN);
    assert_int_equal(link_frame_next(&(struct buf){.data = (uint8_t *)more, .len = 4}, &data, &len),
                     ERR_TOO_LARGE);
    assert_int_equal(link_frame_next(&(struct buf){.data = (uint8_t *)huge, .len = 4}, &data, &len),
                     ERR_TOO_LARGE);
}

static void proofs_depend_on_secret_role_and_both_nonces(void **state)
{
    uint8_t a[LINK_NONCE] = {1}, b[LINK_NONCE] = {2}, want[SHA256_LEN], got[SHA256_LEN];
    (void)state;
    link_proof(want, "secret", "client", a, b);
    link_proof(got, "secret", "client", a, b);
    assert_memory_equal(want, got, sizeof(got));
    link_proof(got, "secreT", "client", a, b);
    assert_memory_not_equal(want, got, sizeof(got));
    link_proof(got, "secret", "server", a, b);
    assert_memory_not_equal(want, got, sizeof(got));
    link_proof(got, "secret", "client", b, a);
    assert_memory_not_equal(want, got, sizeof(got));
    b[31] ^= 1;
    link_proof(got, "secret", "client", a, b);
    assert_memory_not_equal(want, got, sizeof(got));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_is_found_when_it_is_whole),
        cmocka_unit_test(an_empty_frame_is_a_frame),
        cmocka_unit_test(a_length_past_the_bound_is_refused_at_once),
        cmocka_unit_test(proofs_depend_on_secret_role_and_both_nonces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
