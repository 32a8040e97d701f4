/* Structured logs on stderr: one line an event, `key=value` pairs readable by eye and machine:
 *   2026-11-21T11:33:00.000Z INFO  signald request rid=… method=GET path=/v1/calls status=200
 * ms=1.2 or, with log.format = json, one JSON object a line. Never log secrets, tokens, SDP or
 * addresses of users above debug. Safe from any thread (one write(2) a line). */
#ifndef SOTTO_BASE_LOG_H
#define SOTTO_BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Once at start. program is borrowed. */
void log_init(const char *program, enum log_level level, bool json);
void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);
/* `event` is a short fixed name in snake_case; fmt gives `key=%value` pairs, or NULL. Values with
 * spaces are to be written with log_quote. Control bytes in the line become spaces, and a line of
 * over 3.5 KiB is cut: no value can make a second line. */
void log_event(enum log_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The request id that this thread's lines carry until set again; NULL for none. Copied. */
void log_set_request_id(const char *rid);
const char *log_request_id(void); /* "" when none */
/* s as one value: in double quotes with `"` and `\` escaped, cut at 240 bytes. The text is this
 * thread's and stays good for its next seven calls, so that one log line can hold eight. NULL → "".
 */
const char *log_quote(const char *s);

#define LOG_D(ev, ...) (log_enabled(LOG_DEBUG) ? log_event(LOG_DEBUG, ev, __VA_ARGS__) : (void)0)
#define LOG_I(ev, ...) log_event(LOG_INFO, ev, __VA_ARGS__)
#define LOG_W(ev, ...) log_event(LOG_WARN, ev, __VA_ARGS__)
#define LOG_E(ev, ...) log_event(LOG_ERROR, ev, __VA_ARGS__)

#endif
