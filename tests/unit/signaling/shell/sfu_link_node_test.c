#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "signaling/shell/sfu_link_internal.h"

static struct sfu_node node(const char *name, int64_t transports, int64_t rooms)
{
    struct sfu_node n = {.transports = transports, .rooms = rooms};
    memcpy(n.name, name, strlen(name) + 1);
    return n;
}

static void least_loaded_first(void **state)
{
    (void)state;
    struct sfu_node a = node("a", 4, 1), b = node("b", 6, 1), c = node("c", 4, 2);
    struct sfu_node d = node("d", 4, 1);
    assert_true(sfu_node_less(&a, &b));
    assert_false(sfu_node_less(&b, &a));
    assert_true(sfu_node_less(&a, &c));
    assert_true(sfu_node_less(&a, &d));
    assert_false(sfu_node_less(&a, &a));
}

static void placed_counts_until_the_next_report(void **state)
{
    (void)state;
    struct sfu_node a = node("a", 0, 0), b = node("b", 1, 0);
    sfu_node_placed(&a);
    sfu_node_placed(&a);
    assert_true(sfu_node_less(&b, &a));
    cJSON *load = cJSON_Parse("{\"rooms\":3,\"transports\":0}");
    sfu_node_load(&a, load);
    cJSON_Delete(load);
    assert_int_equal(a.rooms, 3);
    assert_true(sfu_node_less(&a, &b));
}

static int64_t report(struct sfu_node *n, const char *text)
{
    cJSON *load = cJSON_Parse(text);
    int64_t more = sfu_node_forwarded(n, load);
    cJSON_Delete(load);
    return more;
}

static void forwarded_packets_are_counted_once(void **state)
{
    (void)state;
    struct sfu_node a = node("a", 0, 0);
    a.forwarded = -1;
    assert_int_equal(report(&a, "{\"forwardedPackets\":500}"), 0); /* before this link */
    assert_int_equal(report(&a, "{\"forwardedPackets\":620}"), 120);
    assert_int_equal(report(&a, "{}"), 0);
    assert_int_equal(report(&a, "{\"forwardedPackets\":-1}"), 0);
    assert_int_equal(report(&a, "{\"forwardedPackets\":600}"), 0);
    assert_int_equal(report(&a, "{\"forwardedPackets\":601}"), 1);
}

static void nonsense_loads_count_as_nothing(void **state)
{
    (void)state;
    static const char *const texts[] = {"{}", "{\"rooms\":\"x\",\"transports\":null}",
                                        "{\"rooms\":-5,\"transports\":-1e300}",
                                        "{\"rooms\":1e300,\"transports\":1e300}"};
    for (size_t i = 0; i < 4; i++) {
        struct sfu_node a = node("a", 9, 9);
        cJSON *load = cJSON_Parse(texts[i]);
        sfu_node_load(&a, load);
        cJSON_Delete(load);
        assert_int_equal(a.rooms, 0);
        assert_int_equal(a.transports, 0);
    }
    struct sfu_node a = node("a", 9, 9);
    sfu_node_load(&a, NULL);
    assert_int_equal(a.transports, 0);
}

static void codes_become_errors(void **state)
{
    (void)state;
    assert_int_equal(sfu_code_to_err("room_not_found"), ERR_NOT_FOUND);
    assert_int_equal(sfu_code_to_err("bad_sdp"), ERR_INVALID);
    assert_int_equal(sfu_code_to_err("full"), ERR_LIMIT);
    assert_int_equal(sfu_code_to_err(""), ERR_IO);
    assert_int_equal(sfu_code_to_err("something new"), ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(least_loaded_first),
        cmocka_unit_test(placed_counts_until_the_next_report),
        cmocka_unit_test(forwarded_packets_are_counted_once),
        cmocka_unit_test(nonsense_loads_count_as_nothing),
        cmocka_unit_test(codes_become_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
