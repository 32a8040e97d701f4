#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/log.h"

/* stderr is a pipe in packet mode: one read gives what one write wrote. */
static int pipe_fd, real_stderr;
static char line[65536];

static int setup(void **state)
{
    int fds[2];

    (void)state;
    if (pipe2(fds, O_DIRECT) != 0 || fcntl(fds[0], F_SETFL, O_DIRECT | O_NONBLOCK) != 0) {
        return -1;
    }
    real_stderr = dup(STDERR_FILENO);
    dup2(fds[1], STDERR_FILENO);
    close(fds[1]);
    pipe_fd = fds[0];
    log_init("testd", LOG_INFO, false);
    log_set_request_id(NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    close(pipe_fd);
    return 0;
}

/* The line of one write, without its newline; NULL when nothing was written. */
static const char *written(void)
{
    ssize_t n = read(pipe_fd, line, sizeof line - 1);

    if (n <= 0) {
        return NULL;
    }
    line[n] = 0;
    if (line[n - 1] != '\n' || strchr(line, '\n') != line + n - 1) {
        return "not one line";
    }
    line[n - 1] = 0;
    return line;
}

static void a_line_has_its_shape(void **state)
{
    (void)state;
    LOG_I("request", "method=%s status=%d", "GET", 200);
    const char *got = written();
    assert_non_null(got);
    assert_int_equal(got[10], 'T');
    assert_string_equal(got + 24, " INFO  testd request method=GET status=200");
    log_event(LOG_ERROR, "bare", NULL);
    assert_string_equal(written() + 24, " ERROR testd bare");
}

static void levels_hold_back(void **state)
{
    (void)state;
    assert_false(log_enabled(LOG_DEBUG));
    LOG_D("quiet", "x=%d", 1);
    assert_null(written());
    log_set_level(LOG_WARN);
    LOG_I("quiet", "x=%d", 1);
    assert_null(written());
    LOG_W("loud", "x=%d", 1);
    assert_non_null(written());
    log_set_level(LOG_DEBUG);
    LOG_D("loud", "x=%d", 1);
    assert_non_null(written());
}

static void carries_the_request_id_of_its_thread(void **state)
{
    char longest[200];

    (void)state;
    log_set_request_id("r-1");
    LOG_I("e", "x=%d", 1);
    assert_string_equal(written() + 24, " INFO  testd e rid=r-1 x=1");
    assert_string_equal(log_request_id(), "r-1");
    log_set_request_id(NULL);
    assert_string_equal(log_request_id(), "");
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    log_set_request_id(longest);
    assert_int_equal(strlen(log_request_id()), 64);
}

static void no_value_makes_a_second_line(void **state)
{
    (void)state;
    LOG_I("e", "name=%s", "a\nERROR forged\r\x1b[0m\x7f");
    assert_string_equal(written() + 24, " INFO  testd e name=a ERROR forged  [0m ");
}

static void quotes_values(void **state)
{
    (void)state;
    LOG_I("e", "a=%s b=%s c=%s", log_quote("two words"), log_quote("say \"hi\"\\"),
          log_quote(NULL));
    assert_string_equal(written() + 24,
                        " INFO  testd e a=\"two words\" b=\"say \\\"hi\\\"\\\\\" c=\"\"");
}

static void long_lines_are_cut_between_characters(void **state)
{
    static char text[20000];

    (void)state;
    for (size_t i = 0; i + 2 < sizeof text; i += 2) {
        memcpy(text + i, "\xc3\xa4", 2);
    }
    LOG_I("e", "x=%s", text);
    const char *got = written();
    size_t n = strlen(got);
    assert_true(n < 4096);
    assert_true(utf8_is_valid(got, n));
    assert_string_equal(got + n - 3, "…");
}

static void json_lines_parse(void **state)
{
    cJSON *o = NULL;

    (void)state;
    log_init("testd", LOG_INFO, true);
    log_set_request_id("r-1");
    LOG_I("request", "status=%d ms=%s path=%s who=%s bad=%s flag event=again id=%s", 200, "1.5",
          "/v1/x", log_quote("a \"b\"\n"), "\xff\xfe", "007");
    const char *got = written();
    assert_int_equal(json_parse(&o, got, strlen(got)), OK);
    assert_string_equal(cJSON_GetObjectItem(o, "level")->valuestring, "info");
    assert_string_equal(cJSON_GetObjectItem(o, "event")->valuestring, "request");
    assert_string_equal(cJSON_GetObjectItem(o, "rid")->valuestring, "r-1");
    assert_true(cJSON_GetObjectItem(o, "status")->valuedouble == 200);
    assert_true(cJSON_GetObjectItem(o, "ms")->valuedouble == 1.5);
    assert_string_equal(cJSON_GetObjectItem(o, "path")->valuestring, "/v1/x");
    assert_string_equal(cJSON_GetObjectItem(o, "who")->valuestring, "a \"b\" ");
    assert_string_equal(cJSON_GetObjectItem(o, "flag")->valuestring, "");
    assert_string_equal(cJSON_GetObjectItem(o, "id")->valuestring, "007");
    assert_null(cJSON_GetObjectItem(o, "bad"));
    cJSON_Delete(o);
}

static void errno_stays(void **state)
{
    (void)state;
    errno = EXDEV;
    LOG_I("e", "x=%d", 1);
    assert_int_equal(errno, EXDEV);
    assert_non_null(written());
}

static void *many_lines(void *arg)
{
    log_set_request_id(arg);
    for (int i = 0; i < 50; i++) {
        LOG_I("thread", "n=%d text=%s", i, log_quote("some words to make it longer"));
    }
    return NULL;
}

static void threads_do_not_mix(void **state)
{
    static char names[4][2] = {"a", "b", "c", "d"};
    pthread_t threads[4];
    int seen[4] = {0};

    (void)state;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, many_lines, names[i]), 0);
    }
    /* The pipe holds fewer lines than come, so it is emptied while they write. */
    for (int lines = 0; lines < 200; lines++) {
        struct pollfd ready = {.fd = pipe_fd, .events = POLLIN};
        assert_int_equal(poll(&ready, 1, 10000), 1);
        const char *got = written();
        assert_non_null(got);
        const char *rid = strstr(got, "rid=");
        assert_non_null(rid);
        assert_true(rid[4] >= 'a' && rid[4] <= 'd');
        seen[rid[4] - 'a']++;
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(seen[i], 50);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_line_has_its_shape),
        TEST(levels_hold_back),
        TEST(carries_the_request_id_of_its_thread),
        TEST(no_value_makes_a_second_line),
        TEST(quotes_values),
        TEST(long_lines_are_cut_between_characters),
        TEST(json_lines_parse),
        TEST(errno_stays),
        TEST(threads_do_not_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
