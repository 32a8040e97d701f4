#include "lib/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/ids.h"
#include "lib/base/json.h"

/* A line stays under PIPE_BUF (4096), up to which a write to a pipe is never torn. */
#define PAIRS_MAX      3584
#define LINE_MAX_BYTES 4096
#define RID_MAX        64
#define QUOTES         8
#define QUOTE_MAX      240

static const char *program_name = "sotto";
static _Atomic int threshold = LOG_INFO;
static bool as_json;
static _Thread_local char request_id[RID_MAX + 1];

void log_init(const char *program, enum log_level level, bool json)
{
    program_name = program;
    as_json = json;
    log_set_level(level);
}

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&threshold, (int)level, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&threshold, memory_order_relaxed);
}

void log_set_request_id(const char *rid)
{
    size_t n = rid ? strnlen(rid, RID_MAX) : 0;

    if (n > 0) {
        memcpy(request_id, rid, n);
    }
    request_id[n] = 0;
}

const char *log_request_id(void)
{
    return request_id;
}

const char *log_quote(const char *s)
{
    static _Thread_local char ring[QUOTES][2 * QUOTE_MAX + 3];
    static _Thread_local unsigned next;
    char *out = ring[next++ % QUOTES];
    size_t len = 0;

    out[len++] = '"';
    for (size_t i = 0; s && s[i] && i < QUOTE_MAX; i++) {
        if (s[i] == '"' || s[i] == '\\') {
            out[len++] = '\\';
        }
        out[len++] = s[i];
    }
    out[len++] = '"';
    out[len] = 0;
    return out;
}

/* The bytes from 0 of a UTF-8 text that can stay when it is cut at n: no character is halved. */
static size_t whole_characters(const char *text, size_t n)
{
    while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80) {
        n--;
    }
    return n;
}

static void one_line(char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f) {
            *text = ' ';
        }
    }
}

static void write_line(const char *line, size_t n)
{
    ssize_t rc;

    do {
        rc = write(STDERR_FILENO, line, n); /* one call, so that threads' lines never mix */
    } while (rc < 0 && errno == EINTR);
}

/* Takes the next `key=value` off the text, in place: *key and *value are 0-ended, quotes undone. */
static char *next_pair(char *at, const char **key, const char **value)
{
    at += strspn(at, " ");
    *key = at;
    at += strcspn(at, "= ");
    if (*at != '=') { /* a word without value */
        *value = "";
        if (*at) {
            *at++ = 0;
        }
        return at;
    }
    *at++ = 0;
    bool quoted = *at == '"';
    char *out = at += quoted;
    *value = out;
    while (*at && *at != (quoted ? '"' : ' ')) {
        if (quoted && *at == '\\' && at[1]) {
            at++;
        }
        *out++ = *at++;
    }
    if (*at) {
        at++;
    }
    *out = 0;
    return at;
}

static bool plain_number(const char *s)
{
    size_t n = strspn(s, "0123456789");

    if (n == 0 || n > 15 || (s[0] == '0' && n > 1)) {
        return false;
    }
    if (s[n] == '.') {
        size_t fraction = strspn(s + n + 1, "0123456789");
        return fraction > 0 && fraction < 10 && s[n + 1 + fraction] == 0;
    }
    return s[n] == 0;
}

static void json_line(struct buf *out, const char *time, const char *level, const char *event,
                      char *pairs)
{
    cJSON *o = json_new();
    const char *key, *value;

    json_put_str(o, "time", time);
    json_put_str(o, "level", level);
    json_put_str(o, "program", program_name);
    json_put_str(o, "event", event);
    if (request_id[0]) {
        json_put_str(o, "rid", request_id);
    }
    for (char *at = pairs; *at;) {
        at = next_pair(at, &key, &value);
        if (!*key || cJSON_HasObjectItem(o, key) || !utf8_is_valid(value, strlen(value))) {
            continue;
        }
        if (plain_number(value)) {
            cJSON_AddRawToObject(o, key, value);
        } else {
            json_put_str(o, key, value);
        }
    }
    char *text = json_print(o);
    if (text) {
        (void)buf_append_str(out, text);
        (void)buf_append_str(out, "\n");
        cJSON_free(text);
    }
    cJSON_Delete(o);
}

static void text_line(const char *time, const char *level, const char *event, const char *pairs)
{
    char line[LINE_MAX_BYTES];
    const char *rid = request_id[0] ? " rid=" : "";
    int n = snprintf(line, sizeof line - 1, "%s %-5s %s %s%s%s%s%s", time, level, program_name,
                     event, rid, request_id, pairs[0] ? " " : "", pairs);

    if (n < 0) {
        return;
    }
    one_line(line);
    size_t len = strlen(line);
    line[len++] = '\n';
    write_line(line, len);
}

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
    static const char *const upper[] = {"DEBUG", "INFO", "WARN", "ERROR"};
    static const char *const lower[] = {"debug", "info", "warn", "error"};
    char pairs[PAIRS_MAX] = "";
    char time[RFC3339_LEN + 1];
    int saved = errno; /* callers log first and act on errno after */

    if (!log_enabled(level)) {
        return;
    }
    if (fmt) {
        va_list ap;
        va_start(ap, fmt);
        int n = vsnprintf(pairs, sizeof pairs, fmt, ap);
        va_end(ap);
        if (n >= (int)sizeof pairs) {
            pairs[whole_characters(pairs, sizeof pairs - 5)] = 0;
            memcpy(pairs + strlen(pairs), "…", sizeof "…");
        }
    }
    rfc3339_format(time, clock_wall_us());
    if (as_json) {
        struct buf line;
        buf_init(&line, 8 * (size_t)LINE_MAX_BYTES);
        one_line(pairs);
        json_line(&line, time, lower[level], event, pairs);
        write_line(buf_cstr(&line), line.len);
        buf_free(&line);
    } else {
        text_line(time, upper[level], event, pairs);
    }
    errno = saved;
}
