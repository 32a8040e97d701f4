#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sfu/core/rtx_cache.h"

#define AGE_US 1000000

static struct packet_pool *pool;
static struct rtx_cache *cache;

static int setup(void **state)
{
    (void)state;
    pool = packet_pool_new(64);
    cache = rtx_cache_new(16, AGE_US);
    return !pool || !cache;
}

static int teardown(void **state)
{
    (void)state;
    rtx_cache_free(cache);
    packet_pool_free(pool); /* aborts when a reference leaked */
    return 0;
}

static void put(int64_t seq, int64_t at_us)
{
    struct packet *k = packet_alloc(pool);
    assert_non_null(k);
    k->ext_seq = seq;
    k->arrival_us = at_us;
    rtx_cache_put(cache, k);
    packet_unref(k);
}

static void finds_by_number(void **state)
{
    (void)state;
    assert_null(rtx_cache_get(cache, 5, 0));
    assert_null(rtx_cache_get_seq(cache, 5, 0));
    for (int64_t s = 65530; s < 65540; s++) {
        put(s, 100);
    }
    assert_int_equal(rtx_cache_count(cache), 10);
    assert_int_equal(rtx_cache_get(cache, 65535, 100)->ext_seq, 65535);
    assert_int_equal(rtx_cache_get_seq(cache, 65535, 100)->ext_seq, 65535);
    assert_int_equal(rtx_cache_get_seq(cache, 2, 100)->ext_seq, 65538);
    assert_null(rtx_cache_get(cache, 65540, 100));
    assert_null(rtx_cache_get(cache, 65535 + 16, 100));
    assert_null(rtx_cache_get(cache, -1, 100));
}

static void window_moves_on(void **state)
{
    (void)state;
    for (int64_t s = 100; s < 140; s++) {
        put(s, 100);
    }
    assert_int_equal(rtx_cache_count(cache), 16);
    assert_null(rtx_cache_get(cache, 123, 100));
    assert_non_null(rtx_cache_get(cache, 124, 100));
    put(110, 100); /* older than the window: not taken */
    assert_null(rtx_cache_get(cache, 110, 100));
    put(1000000, 100); /* a jump lets everything go */
    assert_int_equal(rtx_cache_count(cache), 1);
    assert_int_equal(packet_pool_available(pool), 63);
}

static void late_and_repeated(void **state)
{
    (void)state;
    put(100, 100);
    put(105, 100);
    put(98, 100); /* before the first, within the window */
    put(102, 100);
    put(102, 200);
    assert_int_equal(rtx_cache_count(cache), 4);
    assert_int_equal(rtx_cache_get(cache, 102, 200)->arrival_us, 200);
    assert_non_null(rtx_cache_get(cache, 98, 200));
    struct packet *k = rtx_cache_get(cache, 102, 200);
    rtx_cache_put(cache, k); /* the same packet again changes nothing */
    assert_int_equal(k->refs, 1);
}

static void age(void **state)
{
    (void)state;
    put(1, 0);
    put(2, 500000);
    put(4, 900000);
    assert_non_null(rtx_cache_get(cache, 1, AGE_US));
    assert_null(rtx_cache_get(cache, 1, AGE_US + 1));
    assert_int_equal(rtx_cache_expire(cache, AGE_US + 1), 1);
    assert_int_equal(rtx_cache_expire(cache, AGE_US + 600000), 1);
    assert_int_equal(rtx_cache_count(cache), 1);
    assert_int_equal(rtx_cache_expire(cache, 10 * AGE_US), 1);
    assert_int_equal(rtx_cache_expire(cache, 10 * AGE_US), 0);
    put(5, 20 * AGE_US);
    assert_non_null(rtx_cache_get(cache, 5, 20 * AGE_US));
}

static void evicts_the_oldest(void **state)
{
    (void)state;
    put(10, 0);
    put(13, 0);
    assert_int_equal(rtx_cache_evict_oldest(cache), 1);
    assert_null(rtx_cache_get(cache, 10, 0));
    assert_non_null(rtx_cache_get(cache, 13, 0));
    assert_int_equal(rtx_cache_evict_oldest(cache), 1);
    assert_int_equal(rtx_cache_evict_oldest(cache), 0);
}

/* Random numbers, held against a plain model: nothing wrong is found and nothing leaks. */
static void random_walk(void **state)
{
    uint32_t rng = 1;
    int64_t at = 100000;

    (void)state;
    for (int i = 0; i < 200000; i++) {
        rng = rng * 1664525 + 1013904223;
        uint32_t r = rng >> 16;
        if (r % 50 == 0) {
            at += 40;
        } else {
            at += (int64_t)(r % 5) - 1;
        }
        put(at, i);
        struct packet *k = rtx_cache_get(cache, at, i);
        assert_true(!k || k->ext_seq == at);
        if (r % 97 == 0) {
            rtx_cache_evict_oldest(cache);
        }
        if (r % 101 == 0) {
            rtx_cache_expire(cache, i + AGE_US - 5);
        }
        assert_true(rtx_cache_count(cache) <= 16);
        assert_int_equal(packet_pool_available(pool), 64 - rtx_cache_count(cache));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(finds_by_number, setup, teardown),
        cmocka_unit_test_setup_teardown(window_moves_on, setup, teardown),
        cmocka_unit_test_setup_teardown(late_and_repeated, setup, teardown),
        cmocka_unit_test_setup_teardown(age, setup, teardown),
        cmocka_unit_test_setup_teardown(evicts_the_oldest, setup, teardown),
        cmocka_unit_test_setup_teardown(random_walk, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
