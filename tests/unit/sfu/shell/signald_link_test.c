/* The link's ends of life; what passes over it is tested with a whole sfud. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "lib/io/link.h"
#include "lib/io/loop.h"
#include "sfu/shell/signald_link.h"
#include "tests/unit/sfu/shell/set_fixture.h"

#define SECRET "a secret of a test's own, thirty-two bytes and more"

static void stop(void *arg)
{
    loop_stop(arg);
}

/* A worker with much to say is stopped while its reports wait on the loop: they come to a link that
 * is gone. (Found by closing 300 subscribers and the server at once; AddressSanitizer judges.) */
static void test_freed_with_reports_on_their_way(void **state)
{
    struct signald_link *s = NULL;
    struct loop *l = loop_new();
    (void)state;
    assert_int_equal(signald_link_new(&s, l), OK);
    signald_link_on_report(s);
    signald_link_on_report(s);
    signald_link_free(s);
    assert_int_equal(loop_post(l, stop, l), OK);
    loop_run(l);
    loop_free(l);
}

static void test_freed_with_reports_when_the_loop_ends(void **state)
{
    struct signald_link *s = NULL;
    struct loop *l = loop_new();
    (void)state;
    assert_int_equal(signald_link_new(&s, l), OK);
    signald_link_on_report(s);
    signald_link_free(s);
    loop_free(l);
}

static void test_freed_without(void **state)
{
    struct signald_link *s = NULL;
    struct loop *l = loop_new();
    (void)state;
    assert_int_equal(signald_link_new(&s, l), OK);
    signald_link_free(s);
    loop_free(l);
}

/* ---- signald's end, that asks badly ---- */

static struct asker {
    struct loop *loop;
    const char *question[3];
    size_t len[3];
    char *reply[3]; /* to 31, 32, 33 */
    int replies;
} asker;

static void ask_all(struct link *k, void *arg)
{
    struct asker *a = arg;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(link_send(k, a->question[i], a->len[i]), OK);
    }
}

static void take_reply(struct link *k, void *arg, const uint8_t *data, size_t len)
{
    struct asker *a = arg;
    struct control_frame f;
    (void)k;
    assert_int_equal(control_parse(&f, (const char *)data, len, NULL, 0), OK);
    if (f.type == CONTROL_REPLY && f.id > 30 && f.id < 34) {
        assert_false(f.ok);
        assert_string_equal(f.error_code, "bad_request");
        a->reply[f.id - 31] = strdup(f.error_message);
        if (++a->replies == 3) {
            loop_stop(a->loop);
        }
    }
    control_free(&f);
}

static void gone(struct link *k, void *arg)
{
    (void)k;
    (void)arg;
}

/* Too large, with an escaped NUL, and with no room: each is told what was wrong with it. */
static void test_bad_questions_are_answered(void **state)
{
    static const struct link_handlers handlers = {
        .on_up = ask_all, .on_frame = take_reply, .on_down = gone};
    static char large[CONTROL_MAX_BYTES + 100];
    static const char nul[] = "{\"t\":\"publish\",\"sdp\":\"\\u0000\",\"id\":32}";
    static const char roomless[] = "{\"t\":\"close\",\"id\":33}";
    struct set_end c;
    struct signald_link *s = NULL;
    struct link_server *server = NULL;

    (void)state;
    memset(large, ' ', sizeof large);
    memcpy(large, "{\"t\":\"publish\",\"id\":31,", 24);
    asker = (struct asker){.loop = loop_new(),
                           .question = {large, nul, roomless},
                           .len = {sizeof large, sizeof nul - 1, sizeof roomless - 1}};
    struct loop_timer *late = loop_timer_new(asker.loop, stop, asker.loop);
    loop_timer_start(late, 6 * WAIT_US, 0);
    set_open(&c, 1, 1);
    assert_int_equal(link_listen(&server, asker.loop, "127.0.0.1", 0, SECRET, &handlers, &asker),
                     OK);
    assert_int_equal(signald_link_new(&s, asker.loop), OK);
    assert_int_equal(signald_link_connect(s, c.set, "127.0.0.1", link_server_port(server), SECRET),
                     OK);
    loop_run(asker.loop);
    assert_int_equal(asker.replies, 3);
    assert_string_equal(asker.reply[0], "frame is too large");
    assert_string_equal(asker.reply[1], "is not JSON");
    assert_true(strncmp(asker.reply[2], "room ", 5) == 0);
    for (int i = 0; i < 3; i++) {
        free(asker.reply[i]);
    }
    set_shut(&c);
    signald_link_free(s);
    link_server_free(server);
    loop_timer_free(late);
    loop_free(asker.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_freed_with_reports_on_their_way),
        cmocka_unit_test(test_freed_with_reports_when_the_loop_ends),
        cmocka_unit_test(test_freed_without),
        cmocka_unit_test(test_bad_questions_are_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
