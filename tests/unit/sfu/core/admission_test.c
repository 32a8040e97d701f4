#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "sfu/core/admission.h"

#define SECOND INT64_C(1000000)

static struct admission a;
static int64_t now;
static uint64_t seed;

static uint32_t next_random(uint32_t below)
{
    uint64_t z = (seed += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)(((z ^ (z >> 31)) >> 32) * below >> 32);
}

static int setup(void **state)
{
    struct admission_limits limits;
    (void)state;
    admission_limits_default(&limits);
    admission_init(&a, &limits, 12345);
    now = 1000 * SECOND;
    seed = 1;
    return 0;
}

/* ---- rates ---- */

static void bucket_gives_a_burst_then_the_rate(void **state)
{
    struct admission_bucket b = {0};
    struct admission_rate rate = {.per_second = 100, .burst = 10};
    (void)state;
    for (int i = 0; i < 10; i++) {
        assert_true(admission_take(&b, &rate, now));
    }
    assert_false(admission_take(&b, &rate, now));
    assert_false(admission_take(&b, &rate, now + 9999));
    assert_true(admission_take(&b, &rate, now + 10000));
    int passed = 0;
    for (int i = 0; i < 10000; i++) {
        passed += admission_take(&b, &rate, now + 10000 + i * 100);
    }
    assert_in_range(passed, 99, 100);
    assert_true(admission_take(&b, &(struct admission_rate){0}, now)); /* no bound */
}

/* In no window does more pass than burst + rate · length, and a polite sender loses nothing. */
static void bucket_bounds_every_window(void **state)
{
    enum { N = 2000 };
    static int64_t passed_us[N];
    (void)state;
    for (int world = 0; world < 300; world++) {
        struct admission_bucket b = {0}, polite = {0};
        struct admission_rate rate = {1 + next_random(5000), 1 + next_random(50)};
        int64_t t = now, gap = 2 * SECOND / rate.per_second;
        size_t n = 0;
        for (int i = 0; i < N; i++) {
            t += next_random((uint32_t)gap + 1);
            if (admission_take(&b, &rate, t)) {
                passed_us[n++] = t;
            }
            int64_t exact = SECOND / rate.per_second + 1;
            assert_true(admission_take(&polite, &rate, now + i * exact));
        }
        for (size_t i = 0; i < n; i += 1 + next_random(20)) {
            size_t k = i + next_random((uint32_t)(n - i));
            double most =
                rate.burst + (double)(passed_us[k] - passed_us[i]) * rate.per_second / 1e6;
            assert_true((double)(k - i + 1) <= most * 1.001 + 1);
        }
    }
}

static void bucket_survives_a_clock_that_goes_back(void **state)
{
    struct admission_bucket b = {0};
    struct admission_rate rate = {.per_second = 10, .burst = 5};
    (void)state;
    assert_true(admission_take(&b, &rate, now));
    int64_t back = now - 3600 * SECOND;
    (void)admission_take(&b, &rate, back);
    assert_true(admission_take(&b, &rate, back + SECOND));
}

static void flooding_publisher_is_cut_and_counted(void **state)
{
    struct admission_bucket flood = {0}, other = {0};
    int passed = 0;
    (void)state;
    for (int i = 0; i < 100000; i++) { /* 100,000 packets in a second */
        passed += admission_packet(&a, &flood, now + i * 10);
        if (i % 1000 == 0) {
            assert_true(admission_packet(&a, &other, now + i * 10));
        }
    }
    assert_in_range(passed, 7990, 8001);
    assert_int_equal(a.count[ADMISSION_DROPPED_PACKETS], 100000 - passed);
}

/* ---- what a worker holds ---- */

static void resources_have_bounds(void **state)
{
    (void)state;
    a.limits.most[ADMISSION_TRANSPORTS] = 3;
    assert_int_equal(admission_join(&a), OK);
    assert_int_equal(admission_hold(&a, ADMISSION_TRANSPORTS, 3), OK);
    assert_int_equal(admission_join(&a), ERR_LIMIT);
    assert_int_equal(admission_hold(&a, ADMISSION_TRANSPORTS, 1), ERR_LIMIT);
    admission_release(&a, ADMISSION_TRANSPORTS, 1);
    assert_int_equal(admission_hold(&a, ADMISSION_TRANSPORTS, 1), OK);
    assert_int_equal(admission_hold(&a, ADMISSION_CACHE_BYTES, UINT64_MAX), ERR_LIMIT);
    assert_int_equal(admission_hold(&a, ADMISSION_CACHE_BYTES, UINT64_C(512) << 20), OK);
    assert_int_equal(admission_hold(&a, ADMISSION_CACHE_BYTES, 1), ERR_LIMIT);
    admission_release(&a, ADMISSION_CACHE_BYTES, UINT64_MAX);
    assert_int_equal(a.held[ADMISSION_CACHE_BYTES], 0);
    a.limits.most[ADMISSION_TRACKS] = 0;
    assert_int_equal(admission_hold(&a, ADMISSION_TRACKS, UINT64_MAX), OK);
    assert_int_equal(admission_hold(&a, ADMISSION_TRACKS, 1), ERR_LIMIT); /* doesn't wrap */
    assert_int_equal(a.count[ADMISSION_REFUSED_RESOURCES], 4);
}

static void random_holds_stay_within(void **state)
{
    (void)state;
    for (int world = 0; world < 2000; world++) {
        uint64_t held = 0, most = next_random(1000);
        admission_release(&a, ADMISSION_TRACKS, UINT64_MAX);
        a.limits.most[ADMISSION_TRACKS] = most;
        for (int i = 0; i < 50; i++) {
            uint64_t n = next_random(200);
            if (next_random(2)) {
                bool fits = most == 0 || held + n <= most;
                assert_int_equal(admission_hold(&a, ADMISSION_TRACKS, n), fits ? OK : ERR_LIMIT);
                held += fits ? n : 0;
            } else {
                n = n < held ? n : held;
                admission_release(&a, ADMISSION_TRACKS, n);
                held -= n;
            }
            assert_int_equal(a.held[ADMISSION_TRACKS], held);
        }
    }
}

static void handshakes_are_bounded_twice(void **state)
{
    int begun = 0;
    (void)state;
    for (int i = 0; i < 1000; i++) { /* never finished: no more than may be open */
        begun += admission_handshake(&a, now += SECOND) == OK;
    }
    assert_int_equal(begun, 500);
    admission_release(&a, ADMISSION_HANDSHAKES, 500);
    begun = 0;
    for (int i = 0; i < 10000; i++) { /* finished at once: no more than a second's */
        if (admission_handshake(&a, now += 100) == OK) {
            begun++;
            admission_release(&a, ADMISSION_HANDSHAKES, 1);
        }
    }
    assert_in_range(begun, 598, 601);
    assert_int_equal(a.count[ADMISSION_REFUSED_HANDSHAKES], 500 + 10000 - begun);
}

/* ---- strangers ---- */

static void v4(uint8_t *out, uint32_t address)
{
    memset(out, 0, 10);
    out[10] = out[11] = 0xff;
    for (int i = 0; i < 4; i++) {
        out[12 + i] = (uint8_t)(address >> (24 - 8 * i));
    }
}

static void answers_never_amplify(void **state)
{
    uint8_t address[16];
    uint64_t in = 0, out = 0;
    (void)state;
    v4(address, 0x0a000001);
    assert_int_equal(admission_stranger(&a, address, 99, 100, now), ERR_TOO_LARGE);
    assert_int_equal(a.count[ADMISSION_REFUSED_LARGER], 1);
    for (int i = 0; i < 20000; i++) {
        size_t question = next_random(200), answer = next_random(200);
        v4(address, next_random(UINT32_MAX));
        in += question;
        out += admission_stranger(&a, address, question, answer, now += 100) == OK ? answer : 0;
    }
    assert_true(out > 0 && out < in);
}

static int ask(uint32_t address, int times, int64_t every_us)
{
    uint8_t bytes[16];
    int answered = 0;
    v4(bytes, address);
    for (int i = 0; i < times; i++) {
        answered += admission_stranger(&a, bytes, 100, 100, now += every_us) == OK;
    }
    return answered;
}

static void prefix_has_its_share(void **state)
{
    (void)state;
    int64_t begin = now;
    int flood = ask(0x0a000001, 20000, 50); /* a second of 20,000 */
    assert_in_range(flood, 1498, 1501);
    assert_int_equal(ask(0x0a0000fe, 100, 0), 0); /* the same /24 */
    assert_int_equal(ask(0x0a000101, 100, 0), 100);
    assert_true(now > begin);
    assert_int_equal(ask(0x0a0000fe, 500, 4000), 500); /* back to normal after the flood */
}

static void ipv6_counts_by_56_bits(void **state)
{
    uint8_t one[16] = {0x20, 1, 0xd, 0xb8, 0, 0, 7, 1},
            other[16] = {0x20, 1, 0xd, 0xb8, 0, 0, 8, 1};
    int answered = 0;
    (void)state;
    for (int i = 0; i < 5000; i++) {
        one[7] = (uint8_t)i; /* within one /56 */
        one[15] = (uint8_t)(i >> 8);
        answered += admission_stranger(&a, one, 100, 60, now) == OK;
    }
    assert_int_equal(answered, 1000);
    assert_int_equal(admission_stranger(&a, other, 100, 60, now), OK);
}

static void forged_flood_is_bounded_in_all(void **state)
{
    int answered = 0;
    (void)state;
    for (int i = 0; i < 1000000; i++) { /* a million addresses in a second */
        answered += ask(next_random(UINT32_MAX), 1, 1);
    }
    assert_in_range(answered, 39990, 40001);
    assert_true(a.count[ADMISSION_EVICTED_PREFIXES] > 900000); /* and the table didn't grow */
}

static void table_keeps_those_seen_last(void **state)
{
    (void)state;
    a.limits.stun_all.per_second = 0;
    assert_int_equal(ask(0x0a000001, 1000, 0), 1000); /* used up */
    for (int i = 0; i < 20000; i++) {
        ask(0x0b000000u + ((uint32_t)i << 8), 1, 1);
        if (i % 16 == 0) { /* it goes on asking, so it isn't forgotten, and gets its rate only */
            ask(0x0a000001, 1, 0);
        }
    }
    assert_in_range(ask(0x0a000001, 10, 0), 0, 1);
}

/* ---- overload ---- */

/* Work that the worker would have: audio always, video as far as it isn't shed. Returns how often
 * something changed. */
static int work(double audio, double video, int64_t for_us)
{
    int changes = 0;
    for (int64_t end = now + for_us; now < end;) {
        double busy =
            audio + video * (ADMISSION_SHED_ALL - admission_shed(&a)) / ADMISSION_SHED_ALL;
        int64_t elapsed = 50000 + next_random(100000);
        now += elapsed;
        busy *= 0.95 + next_random(100) / 1000.0;
        changes += admission_busy(&a, (int64_t)((busy < 1 ? busy : 1) * (double)elapsed), now);
    }
    return changes;
}

static void normal_load_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(work(0.1, 0.65, 600 * SECOND), 0);
    assert_int_equal(admission_level(&a), ADMISSION_NORMAL);
    assert_int_equal(admission_shed(&a), 0);
}

static void peak_is_no_overload(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        assert_int_equal(work(0.1, 0.4, 5 * SECOND), 0);
        now += 300000; /* stood still for a moment: a keyframe to hundreds */
        assert_false(admission_busy(&a, 300000, now));
    }
}

static void overload_sheds_then_settles(void **state)
{
    (void)state;
    work(0.1, 0.5, 10 * SECOND);
    work(0.1, 0.95, 3 * SECOND);
    assert_int_equal(admission_level(&a), ADMISSION_SHEDDING);
    work(0.1, 0.95, 30 * SECOND);
    assert_in_range(admission_shed(&a), 2, 6);
    assert_int_equal(work(0.1, 0.95, 600 * SECOND), 0); /* settled */
    work(0.1, 0.4, 120 * SECOND);
    assert_int_equal(admission_shed(&a), 0);
    assert_int_equal(admission_level(&a), ADMISSION_NORMAL);
}

static void when_shedding_is_not_enough_nobody_joins(void **state)
{
    (void)state;
    work(0.3, 2, 20 * SECOND);
    assert_int_equal(admission_level(&a), ADMISSION_REFUSING);
    assert_int_equal(admission_join(&a), ERR_UNAVAILABLE);
    assert_int_equal(a.count[ADMISSION_REFUSED_JOINS], 1);
    work(0.95, 0, 20 * SECOND); /* audio alone fills it: all video is off, that is the end of it */
    assert_int_equal(admission_shed(&a), ADMISSION_SHED_ALL);
    work(0.3, 0.1, 2 * SECOND);
    assert_int_equal(admission_level(&a), ADMISSION_REFUSING); /* not at the first relief */
    work(0.3, 0.1, 600 * SECOND);
    assert_int_equal(admission_level(&a), ADMISSION_NORMAL);
    assert_int_equal(admission_join(&a), OK);
}

/* A load that is too much with one step less: giving back is tried ever less often. */
static void restoring_does_not_flap(void **state)
{
    int changes = 0;
    (void)state;
    for (int i = 0; i < 600 * 10; i++) {
        double busy = admission_shed(&a) >= 3 ? 0.4 : 0.99; /* a cliff between two steps */
        now += 100000;
        changes += admission_busy(&a, (int64_t)(busy * 100000), now);
    }
    assert_in_range(changes, 3, 60);
    changes = 0;
    for (int i = 0; i < 600 * 10; i++) {
        double busy = admission_shed(&a) >= 3 ? 0.4 : 0.99;
        now += 100000;
        changes += admission_busy(&a, (int64_t)(busy * 100000), now);
    }
    assert_in_range(changes, 1, 45); /* at most once a minute down, and up again */
}

static void work_is_of_the_time_that_was_ones_own(void **state)
{
    (void)state;
    assert_int_equal(admission_work(30000, 70000, 100000), 30000); /* a core to itself */
    assert_int_equal(admission_work(30000, 20000, 100000), 60000); /* it had half of it */
    assert_int_equal(admission_work(30000, 60000, 100000), 33333); /* others had 10 ms */
    assert_int_equal(admission_work(40000, 0, 100000), 100000);    /* no time ever to wait */
    assert_int_equal(admission_work(0, 100000, 100000), 0);
    assert_int_equal(admission_work(0, 0, 100000), 0);
    assert_int_equal(admission_work(-5, -5, 100000), 0);
    assert_int_equal(admission_work(5, 5, 0), 0);
}

static void strange_samples_do_no_harm(void **state)
{
    (void)state;
    for (int i = 0; i < 100000; i++) {
        now += (int64_t)next_random(3000000) - 1000000;
        (void)admission_busy(&a, (int64_t)next_random(4000000) - 2000000, now);
        assert_true(a.load.busy >= 0 && a.load.busy <= 1);
        assert_true(admission_shed(&a) <= ADMISSION_SHED_ALL);
        assert_true((admission_level(&a) == ADMISSION_NORMAL) == (admission_shed(&a) == 0));
    }
}

#define CASE(fn) cmocka_unit_test_setup(fn, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(bucket_gives_a_burst_then_the_rate),
        CASE(bucket_bounds_every_window),
        CASE(bucket_survives_a_clock_that_goes_back),
        CASE(flooding_publisher_is_cut_and_counted),
        CASE(resources_have_bounds),
        CASE(random_holds_stay_within),
        CASE(handshakes_are_bounded_twice),
        CASE(answers_never_amplify),
        CASE(prefix_has_its_share),
        CASE(ipv6_counts_by_56_bits),
        CASE(forged_flood_is_bounded_in_all),
        CASE(table_keeps_those_seen_last),
        CASE(normal_load_changes_nothing),
        CASE(peak_is_no_overload),
        CASE(overload_sheds_then_settles),
        CASE(when_shedding_is_not_enough_nobody_joins),
        CASE(restoring_does_not_flap),
        CASE(work_is_of_the_time_that_was_ones_own),
        CASE(strange_samples_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
