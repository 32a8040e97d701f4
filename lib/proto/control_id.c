/* The id of a control frame that can't be read as a whole: who asked is to be told. */
#include <stdbool.h>
#include <string.h>

#include "lib/proto/control.h"

#define MAX_DIGITS 16

static size_t skip_space(const char *text, size_t at, size_t len)
{
    while (at < len && (text[at] == ' ' || (text[at] >= '\t' && text[at] <= '\r'))) {
        at++;
    }
    return at;
}

/* Behind the string whose quote is at `at`; len when it doesn't end. */
static size_t skip_string(const char *text, size_t at, size_t len)
{
    for (at++; at < len && text[at] != '"'; at++) {
        at += text[at] == '\\';
    }
    return at < len ? at + 1 : len;
}

static int64_t read_number(const char *text, size_t at, size_t len)
{
    int64_t n = 0;
    size_t end = at;

    for (; end < len && text[end] >= '0' && text[end] <= '9'; end++) {
        if (end - at == MAX_DIGITS) {
            return 0;
        }
        n = 10 * n + (text[end] - '0');
    }
    end = skip_space(text, end, len);
    bool whole = end < len && (text[end] == ',' || text[end] == '}');
    return whole && n <= CONTROL_MAX_ID ? n : 0;
}

/* Strings are passed over and brackets counted; what else is wrong with the text doesn't matter. */
int64_t control_find_id(const char *text, size_t len)
{
    size_t at = skip_space(text, 0, len);
    int depth = 0;

    while (at < len) {
        if (text[at] != '"') {
            depth += (text[at] == '{' || text[at] == '[') - (text[at] == '}' || text[at] == ']');
            if (depth < 1) {
                return 0;
            }
            at++;
            continue;
        }
        if (depth < 1) {
            return 0;
        }
        size_t key = at;
        at = skip_string(text, at, len);
        size_t behind = skip_space(text, at, len);
        bool is_id = depth == 1 && at - key == 4 && memcmp(text + key, "\"id\"", 4) == 0;
        if (is_id && behind < len && text[behind] == ':') {
            return read_number(text, skip_space(text, behind + 1, len), len);
        }
    }
    return 0;
}
