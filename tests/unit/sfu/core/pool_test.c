#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sfu/core/pool.h"

static void counts_references(void **state)
{
    struct packet_pool *p = packet_pool_new(2);

    (void)state;
    struct packet *a = packet_alloc(p), *b = packet_alloc(p);
    assert_non_null(a);
    assert_non_null(b);
    assert_ptr_not_equal(a, b);
    assert_null(packet_alloc(p));
    assert_int_equal(packet_pool_available(p), 0);
    assert_ptr_equal(packet_ref(a), a);
    packet_unref(a);
    assert_null(packet_alloc(p)); /* one reference is left */
    packet_unref(a);
    assert_int_equal(packet_pool_available(p), 1);
    assert_ptr_equal(packet_alloc(p), a);
    packet_unref(a);
    packet_unref(b);
    packet_unref(NULL);
    assert_int_equal(packet_pool_available(p), packet_pool_size(p));
    packet_pool_free(p);
}

static void comes_back_fresh(void **state)
{
    struct packet_pool *p = packet_pool_new(1);

    (void)state;
    struct packet *k = packet_alloc(p);
    k->len = 9;
    k->start = 3;
    k->has_info = true;
    packet_unref(k);
    k = packet_alloc(p);
    assert_int_equal(k->len, 0);
    assert_ptr_equal(packet_data(k), k->room + PACKET_HEADROOM);
    assert_false(k->has_info);
    packet_unref(k);
    packet_pool_free(p);
}

static void empty_pool(void **state)
{
    struct packet_pool *p = packet_pool_new(0);

    (void)state;
    assert_null(packet_alloc(p));
    packet_pool_free(p);
    packet_pool_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_references),
        cmocka_unit_test(comes_back_fresh),
        cmocka_unit_test(empty_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
