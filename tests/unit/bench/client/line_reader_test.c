#include "bench/client/line_reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/err.h"

static struct line_reader reader;
static int ends[2];
static char heard[256];

static int set_up(void **state)
{
    (void)state;
    memset(&reader, 0, sizeof(reader));
    heard[0] = '\0';
    return pipe(ends);
}

static int tear_down(void **state)
{
    (void)state;
    close(ends[0]);
    return 0;
}

static void on_line(void *arg, const char *line, size_t len)
{
    char *to = arg;
    size_t at = strlen(to);
    snprintf(to + at, sizeof(heard) - at, "[%.*s]", (int)len, line);
}

static int say(const char *text)
{
    assert_int_equal(write(ends[1], text, strlen(text)), strlen(text));
    return line_reader_read(&reader, ends[0], on_line, heard);
}

static void test_lines_in_pieces(void **state)
{
    (void)state;
    assert_int_equal(say("one\ntw"), OK);
    assert_string_equal(heard, "[one]");
    assert_int_equal(say("o"), OK);
    assert_string_equal(heard, "[one]");
    assert_int_equal(say("\n\n\nthree\nfo"), OK);
    assert_string_equal(heard, "[one][two][three]");
    close(ends[1]);
    assert_int_equal(line_reader_read(&reader, ends[0], on_line, heard), ERR_CLOSED);
    assert_string_equal(heard, "[one][two][three]"); /* half a line is none */
}

static void test_a_line_that_does_not_end(void **state)
{
    (void)state;
    char part[4096];
    size_t given = 0;
    int err = OK;
    memset(part, 'x', sizeof(part) - 1);
    part[sizeof(part) - 1] = '\0';
    while (err == OK && given < (size_t)2 * LINE_READER_MAX) {
        err = say(part);
        given += sizeof(part) - 1;
    }
    assert_int_equal(err, ERR_TOO_LARGE);
    assert_true(given >= LINE_READER_MAX);
    assert_int_equal(line_reader_read(&reader, -1, on_line, heard), ERR_IO);
    assert_int_equal(say("\nnext\n"), OK); /* it goes on */
    assert_non_null(strstr(heard, "[next]"));
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lines_in_pieces, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_line_that_does_not_end, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
