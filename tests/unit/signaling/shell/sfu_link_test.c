/* The pool of SFUs over real links on loopback: this file plays the SFUs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "lib/base/ids.h"
#include "lib/io/link.h"
#include "signaling/shell/sfu_link.h"

#define SECRET     "the secret of both sides"
#define FIRST      "01900000-0000-7000-8000-000000000001"
#define SECOND     "01900000-0000-7000-8000-000000000002"
#define GIVE_UP_US INT64_C(10000000)

static struct loop *loop;
static struct sfu_pool *pool;
static char heard[1024]; /* what the pool's handlers and replies said, in order */
static int wanted;       /* the loop stops when this many things were heard */

static void hear(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void hear(const char *fmt, ...)
{
    va_list ap;
    size_t n = strlen(heard);
    va_start(ap, fmt);
    vsnprintf(heard + n, sizeof(heard) - n, fmt, ap);
    va_end(ap);
    if (--wanted <= 0)
        loop_stop(loop);
}

static void on_give_up(void *arg)
{
    (void)arg;
    loop_stop(loop);
}

/* Runs the loop until n more things were heard. */
static void hear_more(int n)
{
    struct loop_timer *t = loop_timer_new(loop, on_give_up, NULL);
    loop_timer_start(t, GIVE_UP_US, 0);
    wanted = n;
    loop_run(loop);
    loop_timer_free(t);
    if (wanted > 0)
        fail_msg("%d more were to be heard after: %s", wanted, heard);
}

/* ---- the pool's side ---- */
static void on_node_up(void *arg, const char *node, const char *instance, const cJSON *rooms)
{
    (void)arg;
    hear("up:%s:%c:%d ", node, instance[ID_LEN - 1], cJSON_GetArraySize(rooms));
}

static void on_node_down(void *arg, const char *node)
{
    (void)arg;
    hear("down:%s ", node);
}

static void on_event(void *arg, const char *node, const char *type, const cJSON *frame)
{
    (void)arg;
    hear("event:%s:%s:%s ", node, type,
         cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(frame, "room")));
}

static const struct sfu_handlers handlers = {on_node_up, on_node_down, on_event};

static void on_reply(void *arg, int err, const cJSON *data, const char *code)
{
    const cJSON *sdp = cJSON_GetObjectItemCaseSensitive(data, "sdp");
    assert_true((err == OK) == (data != NULL));
    hear("reply:%s:%s:%s:%s ", (const char *)arg, err_name(err), code,
         sdp ? cJSON_GetStringValue(sdp) : "");
}

static void ask(const char *node, const char *type, char *name)
{
    cJSON *frame = json_new();
    json_put_str(frame, "t", type);
    sfu_request(pool, node, frame, on_reply, name);
}

/* ---- an SFU ---- */
struct sfu {
    struct link_client *client;
    struct link *link;
    const char *hello;
};

static void say(struct sfu *s, const char *text)
{
    assert_int_equal(link_send(s->link, text, strlen(text)), OK);
}

static void sfu_up(struct link *k, void *arg)
{
    struct sfu *s = arg;
    s->link = k;
    say(s, s->hello);
}

/* Answers by type: publish well, subscribe with an error, answer with nonsense, view never; leave
 * with its link's end. */
static void sfu_frame(struct link *k, void *arg, const uint8_t *data, size_t len)
{
    struct sfu *s = arg;
    char text[200];
    cJSON *f = cJSON_ParseWithLength((const char *)data, len);
    const char *type = cJSON_GetStringValue(cJSON_GetObjectItem(f, "t"));
    int id = cJSON_GetObjectItem(f, "id")->valueint;
    if (strcmp(type, "publish") == 0)
        snprintf(text, sizeof(text),
                 "{\"t\":\"reply\",\"id\":%d,\"ok\":true,\"data\":{\"sdp\":\"v=0\"}}", id);
    else if (strcmp(type, "subscribe") == 0)
        snprintf(text, sizeof(text),
                 "{\"t\":\"reply\",\"id\":%d,\"ok\":false,\"error\":{\"code\":\"room_not_found\"}}",
                 id);
    else
        snprintf(text, sizeof(text), "{\"t\":\"reply\",\"id\":%d,\"ok\":false}", id);
    if (strcmp(type, "leave") == 0)
        link_drop(k);
    else if (strcmp(type, "view") != 0)
        say(s, text);
    cJSON_Delete(f);
}

static void sfu_down(struct link *k, void *arg)
{
    struct sfu *s = arg;
    (void)k;
    s->link = NULL;
}

static const struct link_handlers sfu_handlers = {sfu_up, sfu_frame, sfu_down};

static void sfu_start(struct sfu *s, const char *hello)
{
    s->hello = hello;
    assert_int_equal(
        link_connect(&s->client, loop, "127.0.0.1", sfu_pool_port(pool), SECRET, &sfu_handlers, s),
        OK);
}

#define HELLO(node, instance, load)                                                                \
    "{\"t\":\"hello\",\"node\":\"" node "\",\"instance\":\"" instance                              \
    "\",\"region\":\"r\",\"rooms\":[{\"room\":\"" FIRST "\",\"participants\":[1]}],\"load\":" load \
    "}"

static int set_up(void **state)
{
    (void)state;
    heard[0] = 0;
    loop = loop_new();
    int err = sfu_pool_open(&pool, loop, "127.0.0.1", 0, SECRET);
    sfu_pool_handle(pool, &handlers, NULL);
    return err;
}

static int tear_down(void **state)
{
    (void)state;
    loop_free(loop);
    return 0;
}

/* ---- tests ---- */
static void hello_request_reply(void **state)
{
    (void)state;
    struct sfu s = {0};
    assert_null(sfu_pick(pool));
    sfu_start(&s, HELLO("one", FIRST, "{}"));
    hear_more(1);
    assert_string_equal(heard, "up:one:1:1 ");
    assert_string_equal(sfu_pick(pool), "one");
    assert_string_equal(sfu_node_instance(pool, "one"), FIRST);
    heard[0] = 0;
    ask("one", "publish", "a");
    ask("one", "subscribe", "b");
    ask("one", "answer", "c");
    assert_string_equal(heard, "");
    hear_more(3);
    assert_string_equal(heard, "reply:a:ok:ok:v=0 reply:b:not_found:room_not_found: "
                               "reply:c:invalid:invalid: ");
    heard[0] = 0;
    say(&s, "{\"t\":\"connected\",\"room\":\"" FIRST "\",\"participant\":1}");
    say(&s, "{\"t\":\"reply\",\"id\":999,\"ok\":true}"); /* nobody asked */
    say(&s, "{\"t\":\"disconnected\",\"room\":\"" SECOND "\"}");
    hear_more(2);
    assert_string_equal(heard, "event:one:connected:" FIRST " event:one:disconnected:" SECOND " ");
    link_client_free(s.client);
    sfu_pool_free(pool);
}

static void nobody_there(void **state)
{
    (void)state;
    ask("one", "publish", "a");
    ask(NULL, "publish", "b");
    assert_string_equal(heard, "");
    hear_more(2);
    assert_string_equal(heard,
                        "reply:a:unavailable:unavailable: reply:b:unavailable:unavailable: ");
    sfu_pool_free(pool);
}

static void a_link_that_goes_fails_its_requests_first(void **state)
{
    (void)state;
    struct sfu s = {0};
    sfu_start(&s, HELLO("one", FIRST, "{}"));
    hear_more(1);
    heard[0] = 0;
    ask("one", "view", "a");
    ask("one", "leave", "b");
    hear_more(3);
    assert_string_equal(heard, "reply:a:unavailable:unavailable: reply:b:unavailable:unavailable: "
                               "down:one ");
    heard[0] = 0;
    hear_more(1); /* it comes back by itself */
    assert_string_equal(heard, "up:one:1:1 ");
    ask("one", "view", "c");
    heard[0] = 0;
    wanted = 100;
    link_client_free(s.client);
    sfu_pool_free(pool); /* the last one hears of the end */
    assert_non_null(strstr(heard, "reply:c:"));
}

static void the_name_goes_to_the_newer_link(void **state)
{
    (void)state;
    struct sfu old = {0}, new = {0};
    sfu_start(&old, HELLO("one", FIRST, "{}"));
    hear_more(1);
    link_client_free(old.client); /* the pool may or may not know by the time of the next hello */
    sfu_start(&new, HELLO("one", SECOND, "{}"));
    hear_more(2);
    assert_string_equal(heard, "up:one:1:1 down:one up:one:2:1 ");
    assert_string_equal(sfu_node_instance(pool, "one"), SECOND);
    assert_int_equal(sfu_nodes(pool), 1);
    link_client_free(new.client);
    sfu_pool_free(pool);
}

static void the_least_loaded_is_picked(void **state)
{
    (void)state;
    struct sfu a = {0}, b = {0};
    sfu_start(&a, HELLO("a", FIRST, "{\"rooms\":1,\"transports\":3}"));
    sfu_start(&b, HELLO("b", SECOND, "{\"rooms\":1,\"transports\":2}"));
    hear_more(2);
    assert_string_equal(sfu_pick(pool), "b");
    ask("b", "publish", "1");
    ask("b", "publish", "2");
    assert_string_equal(sfu_pick(pool), "a");
    hear_more(2);
    say(&b, "{\"t\":\"load\",\"rooms\":1,\"transports\":0}");
    say(&b, "{\"t\":\"stats\",\"room\":\"" FIRST "\"}");
    hear_more(1);
    assert_string_equal(sfu_pick(pool), "b");
    link_client_free(a.client);
    link_client_free(b.client);
    sfu_pool_free(pool);
}

static void nonsense_drops_the_link(void **state)
{
    (void)state;
    static const char *const bad[] = {"{\"t\":\"load\"}",
                                      "not json",
                                      "[]",
                                      "{\"t\":1}",
                                      "{\"t\":\"hello\"}",
                                      "{\"t\":\"hello\",\"node\":\"x\",\"instance\":\"y\"}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct sfu s = {0}, good = {0};
        heard[0] = 0;
        sfu_start(&s, bad[i]);
        sfu_start(&good, HELLO("good", FIRST, "{}"));
        hear_more(1);
        assert_string_equal(heard, "up:good:1:1 ");
        link_client_free(s.client);
        link_client_free(good.client);
        hear_more(1);
        assert_int_equal(sfu_nodes(pool), 0);
    }
    sfu_pool_free(pool);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(hello_request_reply),
        T(nobody_there),
        T(a_link_that_goes_fails_its_requests_first),
        T(the_name_goes_to_the_newer_link),
        T(the_least_loaded_is_picked),
        T(nonsense_drops_the_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
