/* A ring between two threads: everything arrives once, in order and whole, and what is dropped is
 * video first. Run by ThreadSanitizer too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "lib/base/err.h"
#include "sfu/shell/relay_ring.h"

#define FRAMES 200000u

static void test_there_and_back(void **state)
{
    (void)state;
    struct relay_ring *r;
    struct packet_pool *pool = packet_pool_new(8);
    assert_int_equal(relay_ring_new(&r), OK);
    assert_null(relay_ring_take(r));
    assert_int_equal(relay_ring_put(r, RELAY_CLASS_CONTROL, "head", 4, "body", 4), ERR_LIMIT);
    assert_int_equal(relay_ring_dropped(r, RELAY_CLASS_CONTROL), 1);
    relay_ring_refill(r, pool, RELAY_RING_PACKETS);
    assert_int_equal(packet_pool_available(pool), 0);
    assert_int_equal(relay_ring_put(r, RELAY_CLASS_CONTROL, "head", 4, "body", 4), OK);
    assert_int_equal(relay_ring_put(r, RELAY_CLASS_CONTROL, "x", 1, NULL, 0), OK);
    struct packet *k = relay_ring_take(r);
    assert_int_equal(k->len, 8);
    assert_memory_equal(packet_data(k), "headbody", 8);
    assert_ptr_equal(packet_data(k) + 4, k->room + PACKET_HEADROOM);
    packet_unref(k);
    k = relay_ring_take(r);
    assert_int_equal(k->len, 1);
    packet_unref(k);
    assert_null(relay_ring_take(r));
    assert_int_equal(packet_pool_available(pool), 2);
    relay_ring_refill(r, pool, RELAY_RING_PACKETS);
    assert_int_equal(relay_ring_put(r, RELAY_CLASS_CONTROL, "x", PACKET_HEADROOM + 1, NULL, 0),
                     ERR_TOO_LARGE);
    assert_int_equal(relay_ring_put(r, RELAY_CLASS_CONTROL, "x", 1, "x", PACKET_CAP + 1),
                     ERR_TOO_LARGE);
    relay_ring_drain(r);
    assert_int_equal(packet_pool_available(pool), 8);
    relay_ring_free(r);
    relay_ring_free(NULL);
    packet_pool_free(pool);
}

static void test_video_goes_first(void **state)
{
    (void)state;
    struct relay_ring *r;
    struct packet_pool *pool = packet_pool_new(RELAY_RING_PACKETS * 2);
    size_t put[RELAY_CLASSES] = {0};
    assert_int_equal(relay_ring_new(&r), OK);
    relay_ring_refill(r, pool, RELAY_RING_PACKETS);
    relay_ring_refill(r, pool, RELAY_RING_PACKETS); /* no more than the ring is for */
    assert_int_equal(packet_pool_available(pool), RELAY_RING_PACKETS);
    for (int c = RELAY_CLASS_VIDEO; c < RELAY_CLASSES; c++) {
        while (relay_ring_put(r, (enum relay_class)c, "x", 1, NULL, 0) == OK) {
            put[c]++;
        }
        assert_int_equal(relay_ring_dropped(r, (enum relay_class)c), 1);
    }
    assert_int_equal(put[RELAY_CLASS_VIDEO], RELAY_RING_PACKETS * 3 / 4);
    assert_int_equal(put[RELAY_CLASS_AUDIO], RELAY_RING_PACKETS * 3 / 16);
    assert_int_equal(put[RELAY_CLASS_CONTROL], RELAY_RING_PACKETS / 16);
    relay_ring_drain(r);
    relay_ring_free(r);
    packet_pool_free(pool);
}

/* Of many rings each has fewer buffers, and video leaves the same part of them to others. */
static void test_bound(void **state)
{
    (void)state;
    struct relay_ring *r;
    struct packet_pool *pool = packet_pool_new(RELAY_RING_PACKETS);
    size_t put = 0;
    assert_int_equal(relay_ring_new(&r), OK);
    relay_ring_refill(r, pool, 64);
    assert_int_equal(packet_pool_available(pool), RELAY_RING_PACKETS - 64);
    while (relay_ring_put(r, RELAY_CLASS_VIDEO, "x", 1, NULL, 0) == OK) {
        put++;
    }
    assert_int_equal(put, 48);
    relay_ring_refill(r, pool, 16); /* fewer from now on: what is under way comes home first */
    for (; put > 0; put--) {
        packet_unref(relay_ring_take(r));
        relay_ring_refill(r, pool, 16);
    }
    assert_int_equal(packet_pool_available(pool), RELAY_RING_PACKETS - 16);
    relay_ring_drain(r);
    assert_int_equal(packet_pool_available(pool), RELAY_RING_PACKETS);
    relay_ring_free(r);
    packet_pool_free(pool);
}

struct writer_end {
    struct relay_ring *ring;
    _Atomic bool done;
};

static void *write_all(void *arg)
{
    struct writer_end *w = arg;
    uint8_t body[1200];
    for (uint32_t i = 0; i < FRAMES; i++) {
        size_t len = 4 + i % 1000;
        memset(body, (int)i, sizeof body);
        memcpy(body, &i, sizeof i);
        while (relay_ring_put(w->ring, RELAY_CLASS_CONTROL, "abcdef", 6, body, len) != OK) {
            sched_yield();
        }
    }
    atomic_store(&w->done, true);
    return NULL;
}

static void test_two_threads(void **state)
{
    (void)state;
    struct writer_end w = {0};
    struct packet_pool *pool = packet_pool_new(64); /* short of what the ring could hold */
    pthread_t thread;
    assert_int_equal(relay_ring_new(&w.ring), OK);
    relay_ring_refill(w.ring, pool, RELAY_RING_PACKETS);
    assert_int_equal(pthread_create(&thread, NULL, write_all, &w), 0);
    for (uint32_t next = 0; next < FRAMES;) {
        struct packet *k = relay_ring_take(w.ring);
        if (!k) {
            sched_yield();
            continue;
        }
        uint32_t number;
        memcpy(&number, packet_data(k) + 6, sizeof number);
        assert_int_equal(number, next);
        assert_int_equal(k->len, 10 + next % 1000);
        if (k->len > 10) {
            assert_int_equal(packet_data(k)[k->len - 1], (uint8_t)next);
        }
        packet_unref(k);
        relay_ring_refill(w.ring, pool, RELAY_RING_PACKETS);
        next++;
    }
    pthread_join(thread, NULL);
    assert_true(atomic_load(&w.done));
    assert_null(relay_ring_take(w.ring));
    relay_ring_drain(w.ring);
    relay_ring_free(w.ring);
    packet_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_video_goes_first),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_two_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
