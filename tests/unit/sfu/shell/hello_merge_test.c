/* Several workers' hellos become one that signald reads as any other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "lib/proto/control.h"
#include "sfu/shell/hello_merge.h"

#define NODE  "01890a5d-ac96-774b-bcce-b302099a8057"
#define ROOMA "01890a5d-ac96-774b-bcce-b302099a8001"
#define ROOMB "01890a5d-ac96-774b-bcce-b302099a8002"
#define ROOMC "01890a5d-ac96-774b-bcce-b302099a8003"

static char *make(const struct control_hello_room *rooms, size_t n)
{
    char *text = control_make_hello("sfu-1", NODE, "here", rooms, n);
    assert_non_null(text);
    return text;
}

static void read_back(struct control_frame *f, char *text)
{
    assert_non_null(text);
    assert_int_equal(control_parse(f, text, strlen(text), NULL, 0), OK);
    assert_int_equal(f->type, CONTROL_HELLO);
    assert_string_equal(f->node, "sfu-1");
    assert_string_equal(f->instance, NODE);
    free(text);
}

/* The participants of that room, in order, as text. */
static const char *participants(const struct control_frame *f, const char *room)
{
    static char out[200];
    for (size_t i = 0; i < f->n_rooms; i++) {
        struct id id;
        uint32_t number[16];
        int n = control_room_at(f, i, &id, number, 16);
        assert_true(n >= 0);
        if (strcmp(id.s, room) == 0) {
            size_t at = 0;
            out[0] = 0;
            for (int k = 0; k < n; k++) {
                at += (size_t)snprintf(out + at, sizeof out - at, "%u ", number[k]);
            }
            return out;
        }
    }
    return "none";
}

static void test_rooms_of_all(void **state)
{
    (void)state;
    uint32_t some[] = {1, 2}, others[] = {7}, branch[] = {2, 3, 4};
    struct control_hello_room a[] = {{ROOMA, some, 2}, {ROOMB, others, 1}};
    struct control_hello_room b[] = {{ROOMC, others, 1}, {ROOMA, branch, 3}};
    struct control_frame f;
    char *hello[] = {make(a, 2), make(NULL, 0), make(b, 2)};
    read_back(&f, hello_merge(hello, 3));
    assert_int_equal(f.n_rooms, 3);
    assert_string_equal(participants(&f, ROOMA), "1 2 3 4 ");
    assert_string_equal(participants(&f, ROOMB), "7 ");
    assert_string_equal(participants(&f, ROOMC), "7 ");
    control_free(&f);
    for (int i = 0; i < 3; i++) {
        free(hello[i]);
    }
}

/* As many as a room may have on each of three workers, half of them on the next one too. */
static void test_a_large_room(void **state)
{
    (void)state;
    static uint32_t numbers[3][CONTROL_MAX_PARTICIPANTS], all[CONTROL_MAX_PARTICIPANTS];
    static uint8_t seen[CONTROL_MAX_PARTICIPANT + 1];
    const uint32_t n = CONTROL_MAX_PARTICIPANTS / 2; /* 2 n in all */
    struct control_frame f;
    struct id id;
    char *hello[3];
    for (uint32_t k = 0; k < 3; k++) {
        for (uint32_t i = 0; i < n; i++) {
            numbers[k][i] = CONTROL_MAX_PARTICIPANT - (k * n / 2 + i);
        }
        hello[k] = make(&(struct control_hello_room){ROOMA, numbers[k], n}, 1);
    }
    read_back(&f, hello_merge(hello, 3));
    assert_int_equal(f.n_rooms, 1);
    assert_int_equal(control_room_at(&f, 0, &id, all, CONTROL_MAX_PARTICIPANTS), 2 * n);
    for (uint32_t i = 0; i < 2 * n; i++) {
        assert_true(all[i] > CONTROL_MAX_PARTICIPANT - 2 * n && seen[all[i]]++ == 0);
    }
    control_free(&f);
    for (int i = 0; i < 3; i++) {
        free(hello[i]);
    }
}

static void test_one_alone(void **state)
{
    (void)state;
    uint32_t some[] = {1, 2};
    struct control_hello_room a[] = {{ROOMA, some, 2}};
    struct control_frame f;
    char *hello[] = {make(a, 1)};
    read_back(&f, hello_merge(hello, 1));
    assert_int_equal(f.n_rooms, 1);
    assert_string_equal(participants(&f, ROOMA), "1 2 ");
    control_free(&f);
    free(hello[0]);
}

static void test_what_is_no_hello(void **state)
{
    (void)state;
    char *good = make(NULL, 0), bad[] = "nonsense", other[] = "{\"t\":\"load\"}",
         room[] = "{\"t\":\"hello\",\"rooms\":[{\"room\":5}]}";
    assert_null(hello_merge((char *[]){bad}, 1));
    assert_null(hello_merge((char *[]){other}, 1));
    assert_null(hello_merge((char *[]){good, bad}, 2));
    assert_null(hello_merge((char *[]){good, room}, 2));
    free(good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rooms_of_all),
        cmocka_unit_test(test_a_large_room),
        cmocka_unit_test(test_one_alone),
        cmocka_unit_test(test_what_is_no_hello),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
