/* Whose packet, by address and by ufrag; restarts and moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "lib/base/err.h"
#include "sfu/shell/transport.h"

static const struct id room = {"01890a5d-ac96-774b-bcce-b302099a8057"};

static struct sockaddr_in6 address(uint16_t port)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    inet_pton(AF_INET6, "::ffff:192.0.2.7", &a.sin6_addr);
    return a;
}

static struct transport *owner(struct transport_table *table, uint16_t port)
{
    struct sockaddr_in6 a = address(port);
    struct peer_address *found = transport_by_address(table, &a);
    return found ? found->transport : NULL;
}

/* Under the current credentials. */
static void check_by(struct transport_table *table, struct transport *t,
                     const struct sockaddr_in6 *addr, const struct in6_addr *local, bool nominated,
                     int64_t now_us)
{
    struct peer_path path = {.addr = addr, .local = local};
    struct ice_credentials *c = &t->credentials[t->epoch % TRANSPORT_ICE_EPOCHS];
    transport_checked(table, c, &path, nominated, now_us);
}

static void check(struct transport_table *table, struct transport *t, uint16_t port, bool nominated,
                  int64_t now_us)
{
    struct sockaddr_in6 a = address(port);
    check_by(table, t, &a, &in6addr_any, nominated, now_us);
}

static uint16_t sends_to(const struct transport *t)
{
    return t->selected ? ntohs(t->selected->addr.sin6_port) : 0;
}

static void test_selection(void **state)
{
    (void)state;
    struct transport_table *table = transport_table_new();
    struct transport *t = transport_new(table, CONTROL_WHICH_PUBLISH, &room, 1, 5);
    assert_null(owner(table, 1000));
    check(table, t, 1000, false, 10);
    assert_int_equal(sends_to(t), 1000); /* better than nothing */
    check(table, t, 1001, false, 11);
    assert_int_equal(sends_to(t), 1000);
    check(table, t, 1001, true, 12);
    assert_int_equal(sends_to(t), 1001); /* nominated */
    check(table, t, 1000, false, 13);
    assert_int_equal(sends_to(t), 1001);
    assert_ptr_equal(owner(table, 1000), t);
    assert_int_equal(t->heard_us, 13);
    transport_free(table, t);
    assert_null(owner(table, 1000));
    transport_table_free(table);
}

static void test_addresses_are_bounded(void **state)
{
    (void)state;
    struct transport_table *table = transport_table_new();
    struct transport *t = transport_new(table, CONTROL_WHICH_PUBLISH, &room, 1, 5);
    check(table, t, 1000, true, 1);
    for (uint16_t i = 1; i < 50; i++) {
        check(table, t, (uint16_t)(1000 + i), false, 10 + i);
    }
    assert_int_equal(sends_to(t), 1000);
    assert_ptr_equal(owner(table, 1000), t); /* the selected one is never let go */
    assert_ptr_equal(owner(table, 1049), t);
    assert_null(owner(table, 1010));
    int known = 0;
    for (uint16_t i = 0; i < 50; i++) {
        known += owner(table, (uint16_t)(1000 + i)) != NULL;
    }
    assert_int_equal(known, TRANSPORT_ADDRESSES);
    transport_free(table, t);
    transport_table_free(table);
}

static void test_an_address_changes_hands(void **state)
{
    (void)state;
    struct transport_table *table = transport_table_new();
    struct transport *a = transport_new(table, CONTROL_WHICH_PUBLISH, &room, 1, 5);
    struct transport *b = transport_new(table, CONTROL_WHICH_SUBSCRIBE, &room, 1, 5);
    check(table, a, 1000, true, 1);
    check(table, b, 1000, true, 2); /* the same port, for another peer connection */
    assert_ptr_equal(owner(table, 1000), b);
    assert_int_equal(sends_to(a), 0);
    transport_free(table, a);
    assert_ptr_equal(owner(table, 1000), b);
    transport_free(table, b);
    transport_table_free(table);
}

static void test_restart_keeps_the_former_credentials(void **state)
{
    (void)state;
    struct transport_table *table = transport_table_new();
    struct transport *t = transport_new(table, CONTROL_WHICH_PUBLISH, &room, 1, 5);
    char ufrag[3][TRANSPORT_UFRAG_LEN + 1];
    for (int i = 0; i < 3; i++) {
        memcpy(ufrag[i], transport_local(t)->ufrag, sizeof ufrag[i]);
        assert_int_equal(strlen(ufrag[i]), TRANSPORT_UFRAG_LEN);
        assert_int_equal(strlen(transport_local(t)->pwd), TRANSPORT_PWD_LEN);
        assert_int_equal(strspn(ufrag[i], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "0123456789+/"),
                         TRANSPORT_UFRAG_LEN);
        if (i < 2) {
            transport_restart(table, t);
        }
    }
    assert_null(transport_by_ufrag(table, ufrag[0]));
    assert_ptr_equal(transport_by_ufrag(table, ufrag[1])->transport, t);
    assert_ptr_equal(transport_by_ufrag(table, ufrag[2])->transport, t);
    assert_ptr_equal(transport_by_ufrag(table, ufrag[2]), transport_local(t));
    transport_free(table, t);
    assert_null(transport_by_ufrag(table, ufrag[2]));
    transport_table_free(table);
}

/* One port of the client checks two addresses of ours: media leaves from the nominated one. */
static void test_our_address_of_the_pair(void **state)
{
    (void)state;
    struct transport_table *table = transport_table_new();
    struct transport *t = transport_new(table, CONTROL_WHICH_PUBLISH, &room, 1, 5);
    struct sockaddr_in6 a = address(1000);
    struct in6_addr first = address(0).sin6_addr, second = first;
    second.s6_addr[15] = 8;
    check_by(table, t, &a, &first, false, 10);
    assert_memory_equal(&t->selected->local, &first, sizeof first);
    check_by(table, t, &a, &second, false, 11);
    assert_memory_equal(&t->selected->local, &first, sizeof first);
    check_by(table, t, &a, &second, true, 12);
    assert_memory_equal(&t->selected->local, &second, sizeof second);
    check_by(table, t, &a, &first, false, 13);
    assert_memory_equal(&t->selected->local, &second, sizeof second);
    transport_free(table, t);
    transport_table_free(table);
}

/* What was found of one address of ours says nothing of another. */
static void test_the_source_is_named_until_it_is_the_routes(void **state)
{
    (void)state;
    struct transport_table *table = transport_table_new();
    struct transport *t = transport_new(table, CONTROL_WHICH_PUBLISH, &room, 1, 5);
    struct sockaddr_in6 a = address(1000);
    struct in6_addr first = address(0).sin6_addr, second = first;
    second.s6_addr[15] = 8;
    check_by(table, t, &a, &first, true, 10);
    assert_memory_equal(peer_address_source(t->selected), &first, sizeof first);
    t->selected->routed = true; /* as the worker does */
    t->selected->routed_us = 10;
    check_by(table, t, &a, &first, true, 11);
    assert_memory_equal(peer_address_source(t->selected), &in6addr_any, sizeof first);
    assert_int_equal(t->selected->routed_us, 10);
    check_by(table, t, &a, &second, true, 12);
    assert_memory_equal(peer_address_source(t->selected), &second, sizeof second);
    assert_int_equal(t->selected->routed_us, 0);
    transport_free(table, t);
    transport_table_free(table);
}

/* ---- whose address it is ---- */

#define SECOND INT64_C(1000000)

static bool may_have(const struct transport_table *table, const struct transport *t, uint16_t port,
                     int64_t now_us)
{
    struct sockaddr_in6 a = address(port);
    struct peer_path path = {.addr = &a, .local = &in6addr_any};
    return transport_may_have(table, transport_local(t), &path, now_us);
}

/* A handshake whose flights go where it sends. */
static struct transport *connected(struct transport_table *table, uint32_t number, uint16_t port,
                                   int64_t now_us)
{
    struct transport *t = transport_new(table, CONTROL_WHICH_PUBLISH, &room, number, now_us);
    check(table, t, port, true, now_us);
    transport_note_flight(t);
    transport_note_flight(t);
    t->connected = true;
    return t;
}

static void test_who_is_heard_keeps_his_address(void **state)
{
    (void)state;
    struct transport_table *table = transport_table_new();
    struct transport *victim = connected(table, 1, 1000, 10 * SECOND);
    struct transport *thief = connected(table, 2, 2000, 10 * SECOND);
    for (int64_t now = 10 * SECOND; now < 40 * SECOND; now += SECOND) {
        victim->heard_us = now;
        assert_false(may_have(table, thief, 1000, now));
        assert_false(may_have(table, thief, 1000, now + TRANSPORT_HELD_US - 1));
        assert_true(may_have(table, victim, 1000, now));
        assert_true(may_have(table, thief, 2000, now));
        assert_true(may_have(table, thief, 3000, now)); /* nobody's */
    }
    transport_free(table, victim);
    transport_free(table, thief);
    transport_table_free(table);
}

/* A NAT gives a port to another, a client comes again from the same one: nobody waits for long. */
static void test_an_address_that_fell_silent_is_free(void **state)
{
    (void)state;
    struct transport_table *table = transport_table_new();
    struct transport *former = connected(table, 1, 1000, 10 * SECOND);
    struct transport *next = transport_new(table, CONTROL_WHICH_PUBLISH, &room, 2, 10 * SECOND);
    int64_t now = 10 * SECOND + TRANSPORT_HELD_US;
    assert_false(may_have(table, next, 1000, now - 1));
    assert_true(may_have(table, next, 1000, now));
    former->heard_us = now;
    assert_false(may_have(table, next, 1000, now));
    former->lost = true; /* he leaves */
    assert_true(may_have(table, next, 1000, now));
    former->lost = false;
    check(table, former, 1001, true, now); /* he has moved */
    assert_true(may_have(table, next, 1000, now));
    transport_free(table, former);
    transport_free(table, next);
    transport_table_free(table);
}

static void test_nobody_robs_himself(void **state)
{
    (void)state;
    static const struct id another = {"01890a5d-ac96-774b-bcce-b302099a8058"};
    struct transport_table *table = transport_table_new();
    struct transport *t = connected(table, 1, 1000, SECOND);
    struct transport *again = transport_new(table, CONTROL_WHICH_SUBSCRIBE, &room, 1, SECOND);
    struct transport *other = transport_new(table, CONTROL_WHICH_SUBSCRIBE, &another, 1, SECOND);
    assert_true(may_have(table, again, 1000, SECOND));
    assert_false(may_have(table, other, 1000, SECOND)); /* numbers are a room's */
    transport_restart(table, t);
    assert_true(may_have(table, t, 1000, SECOND));
    transport_free(table, t);
    transport_free(table, again);
    transport_free(table, other);
    transport_table_free(table);
}

/* Who says that an address is his, without ever reading what is sent there, keeps nobody out. */
static void test_an_address_is_not_reserved_by_checks(void **state)
{
    (void)state;
    struct transport_table *table = transport_table_new();
    struct transport *early = connected(table, 1, 1000, SECOND);
    struct transport *victim = transport_new(table, CONTROL_WHICH_PUBLISH, &room, 2, SECOND);
    check(table, early, 2000, true, SECOND); /* forged; his handshake went to 1000 */
    early->heard_us = 2 * SECOND;
    assert_true(may_have(table, victim, 2000, 2 * SECOND));

    struct transport *other = transport_new(table, CONTROL_WHICH_PUBLISH, &room, 3, SECOND);
    check(table, other, 1001, true, SECOND);
    transport_note_flight(other);
    check(table, other, 2001, true, SECOND); /* before the last flight */
    transport_note_flight(other);
    other->connected = true;
    assert_true(may_have(table, victim, 2001, SECOND));
    transport_free(table, early);
    transport_free(table, other);
    transport_free(table, victim);
    transport_table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_selection),
        cmocka_unit_test(test_our_address_of_the_pair),
        cmocka_unit_test(test_the_source_is_named_until_it_is_the_routes),
        cmocka_unit_test(test_addresses_are_bounded),
        cmocka_unit_test(test_an_address_changes_hands),
        cmocka_unit_test(test_restart_keeps_the_former_credentials),
        cmocka_unit_test(test_who_is_heard_keeps_his_address),
        cmocka_unit_test(test_an_address_that_fell_silent_is_free),
        cmocka_unit_test(test_nobody_robs_himself),
        cmocka_unit_test(test_an_address_is_not_reserved_by_checks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
